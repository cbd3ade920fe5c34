// Fuel: what each instruction costs, that nothing unpaid is executed, that it is the same on every
// run, with every kind of bounds checks and whoever compiled what before, and that an instance
// which has run out goes on when it is given more.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/load_wat.h"
#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

class FuelTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(FuelTest);

constexpr std::string_view kGuest =
    R"((module (import "host" "nothing" (func $nothing)) (memory (export "m") 4) (table $t 64 200 funcref)
  (global $count (export "count") (mut i32) (i32.const 0))
  (type $v (func)) (elem (i32.const 0) $empty $one)
  (func $empty (export "empty"))
  (func $one (export "one") (drop (i32.const 1)))
  (func (export "nops") nop nop (block nop (block)) nop)
  (func (export "arm") (param i32) (if (local.get 0) (then (drop (i32.const 1))) (else (nop))) (drop (i32.const 2)))
  (func (export "arm_alone") (param i32) (if (local.get 0) (then (drop (i32.const 1)))))
  (func (export "loop") (param i32)
    (loop $l (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "out") (param i32) (block $b (br_if $b (local.get 0)) (drop (i32.const 1)) (br $b)) (drop (i32.const 2)))
  (func (export "switch") (param i32)
    (block $d (block $c (block $b (block $a (br_table $a $b $c $a $b $d (local.get 0))) (drop (i32.const 1)) (return))
      (drop (i32.const 1)) (drop (i32.const 1))) nop) (drop (i32.const 1)))
  (func (export "calls") (call $one) (call $empty) (call_indirect (type $v) (i32.const 1)) (call $nothing))
  (func (export "tail") return_call $one)
  (func $down (export "recurses") (param i32) (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
  (func (export "copy") (param i32) (memory.copy (i32.const 0) (i32.const 64) (local.get 0)))
  (func (export "table_fill") (param i32) (table.fill $t (i32.const 0) (ref.null func) (local.get 0)))
  (func (export "table_grow") (param i32) (drop (table.grow $t (ref.null func) (local.get 0))))
  (func (export "faults") (drop (i32.load (i32.const -1))) (drop (i32.const 1)))
  (func (export "values") (param i32 i64 f32 f64) (result i32)
    (block $b (result i32) (i32.const 7) (br_if $b (i64.eq (local.get 1) (i64.const 5))) (drop)
      (i32.trunc_sat_f64_s (f64.add (local.get 3) (f64.promote_f32 (local.get 2))))) (local.get 0) (i32.add))
  (func (export "for_ever") (loop $l (br $l)))))";

struct Cost {
  std::string_view func;
  std::vector<Value> args;
  uint64_t fuel;
};

std::vector<Cost> Costs() {
  const auto i32 = [](uint32_t value) { return Value::I32(value); };
  return {{"empty", {}, 0},
          {"one", {}, 2},
          {"nops", {}, 0},
          {"arm", {i32(1)}, 2 + 2 + 2},
          {"arm", {i32(0)}, 2 + 2},
          {"arm_alone", {i32(1)}, 2 + 2},
          {"arm_alone", {i32(0)}, 2},
          {"loop", {i32(1)}, 9},
          {"loop", {i32(1000)}, 9000},
          {"out", {i32(1)}, 2 + 2},
          {"out", {i32(0)}, 2 + 3 + 2},
          {"switch", {i32(0)}, 2 + 3},
          {"switch", {i32(1)}, 2 + 4 + 2},
          {"switch", {i32(2)}, 2 + 2},
          {"switch", {i32(9)}, 2 + 2},
          {"calls", {}, 5 + 2 + 2},
          {"tail", {}, 1 + 2},
          {"recurses", {i32(0)}, 2},
          {"recurses", {i32(50)}, 2 + 50 * 6},
          {"fill", {i32(0)}, 4},
          {"fill", {i32(63)}, 4},
          {"fill", {i32(64'000)}, 4 + 1000},
          {"copy", {i32(6400)}, 4 + 100},
          {"table_fill", {i32(64)}, 4 + 8},
          {"table_grow", {i32(80)}, 4},
          {"values", {i32(1), Value::I64(5), Value::F32(1), Value::F64(2)}, 5 + 2},
          {"values", {i32(1), Value::I64(6), Value::F32(1), Value::F64(2)}, 5 + 6 + 2}};
}

// An instance with host function, of a module that is metered.
class Metered {
 public:
  explicit Metered(const std::shared_ptr<LoadedModule>& module, Engine& engine = TestEngine(),
                   uint64_t fuel = kUnlimitedFuel)
      : store_(engine.runtime(), {.fuel = fuel}) {
    linker_.DefineFunc(
        "host", "nothing", {},
        [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
    auto made = linker_.Instantiate(store_, module);
    EXPECT_TRUE(made.ok()) << made.status();
    outcome_ok_ = made->outcome.ok();
    instance_ = made->instance;
  }
  Instance& operator*() const { return *instance_; }
  Instance* operator->() const { return instance_; }
  bool outcome_ok() const { return outcome_ok_; }
  Store& store() { return store_; }
  Invoked Call(std::string_view func, const std::vector<Value>& args = {}) {
    return Invoke(*instance_->Func(func), args);
  }

 private:
  Store store_;
  Linker linker_;
  Instance* instance_ = nullptr;
  bool outcome_ok_ = false;
};

std::shared_ptr<LoadedModule> LoadMetered(Engine& engine, std::string_view wat, Tier tier) {
  const Bytes bytes = Wat(wat);
  const auto span = std::as_bytes(std::span(bytes));
  auto loaded = engine.Load(std::vector<std::byte>(span.begin(), span.end()),
                            {.tier = tier, .is_metered = true});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *loaded;
}

TEST_P(FuelTest, CostsWhatTheInstructionsAre) {
  for (const BoundsChecks checks : {BoundsChecks::kGuardPages, BoundsChecks::kExplicit}) {
    const auto engine = *Engine::Create({.bounds_checks = checks});
    const auto module = LoadMetered(*engine, kGuest, GetParam());
    for (int run = 0; run < 2; ++run) {
      for (const Cost& cost : Costs()) {
        Metered instance(module, *engine);
        instance->set_fuel(1'000'000);
        const Invoked whole = instance.Call(cost.func, cost.args);
        EXPECT_EQ(whole.stop, nullptr) << cost.func;
        EXPECT_EQ(1'000'000 - *instance->fuel(), cost.fuel)
            << cost.func << (cost.args.empty() ? "" : " " + ToString(cost.args[0]));
        // Exactly enough, and one too little.
        Metered exact(module, *engine, cost.fuel);
        EXPECT_EQ(exact.Call(cost.func, cost.args).stop, nullptr) << cost.func;
        EXPECT_EQ(*exact->fuel(), 0u);
        if (cost.fuel != 0) {
          Metered lacking(module, *engine, cost.fuel - 1);
          EXPECT_THAT(lacking.Call(cost.func, cost.args), TrapsWith(TrapCode::kOutOfFuel))
              << cost.func;
          EXPECT_EQ(*lacking->fuel(), 0u);
        }
      }
    }
  }
}

TEST_P(FuelTest, NothingUnpaidIsExecutedAndTheInstanceGoesOn) {
  const auto module = LoadMetered(TestEngine(), kGuest, GetParam());
  Metered instance(module);
  instance->set_fuel(9 * 7 + 8);  // Seven rounds, and not quite another.
  const Invoked ended = instance.Call("loop", {Value::I32(100)});
  EXPECT_THAT(ended, TrapsWith(TrapCode::kOutOfFuel));
  ASSERT_NE(ended.trap(), nullptr);
  EXPECT_EQ(ended.trap()->message, "out of fuel");
  EXPECT_FALSE(ended.trap()->backtrace.empty());
  EXPECT_EQ(instance->Global("count")->Get(), Value::I32(7));
  EXPECT_FALSE(instance.store().is_abandoned());
  EXPECT_THAT(instance.Call("one"), TrapsWith(TrapCode::kOutOfFuel)) << "nothing is left";
  EXPECT_THAT(instance.Call("empty"), Returns({})) << "which costs nothing";
  instance->set_fuel(9 * 3);
  EXPECT_THAT(instance.Call("loop", {Value::I32(3)}), Returns({}));
  EXPECT_EQ(instance->Global("count")->Get(), Value::I32(10));
  // A line that traps in the middle has been paid for.
  instance->set_fuel(100);
  EXPECT_THAT(instance.Call("faults"), TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_EQ(*instance->fuel(), 95u);
  // Bulk operations are paid before they write.
  instance->set_fuel(10);
  EXPECT_THAT(instance.Call("fill", {Value::I32(6400)}), TrapsWith(TrapCode::kOutOfFuel));
  EXPECT_EQ(instance->Memory("m")->bytes()[0], std::byte{0});
  instance->set_fuel(UINT64_MAX);
  EXPECT_EQ(*instance->fuel(), kUnlimitedFuel);
  // It ends what would go on for ever, however often.
  for (int i = 0; i < 100; ++i) {
    instance->set_fuel(1000);
    EXPECT_THAT(instance.Call("for_ever"), TrapsWith(TrapCode::kOutOfFuel));
  }
}

TEST_P(FuelTest, AStartFunctionIsPaidToo) {
  const auto module = LoadMetered(
      TestEngine(), "(module (func $s (drop (i32.const 1)) (drop (i32.const 2))) (start $s))",
      GetParam());
  EXPECT_TRUE(Metered(module, TestEngine(), 4).outcome_ok());
  EXPECT_FALSE(Metered(module, TestEngine(), 3).outcome_ok());
}

TEST_P(FuelTest, AModuleHasBothKindsOfCode) {
  const auto plain = LoadWat(kGuest, GetParam());
  EXPECT_FALSE(plain->is_metered());
  const auto metered = plain->Metered();
  EXPECT_TRUE(metered->is_metered());
  EXPECT_EQ(plain->Metered(), metered);
  EXPECT_EQ(metered->Metered(), metered);
  Metered without(plain, TestEngine(), 0);
  EXPECT_EQ(without->fuel(), std::nullopt);
  without->set_fuel(1);
  EXPECT_THAT(without.Call("loop", {Value::I32(100)}), Returns({}));
  Metered with(metered, TestEngine(), 900);
  EXPECT_THAT(with.Call("loop", {Value::I32(100)}), Returns({}));
  EXPECT_THAT(with.Call("loop", {Value::I32(1)}), TrapsWith(TrapCode::kOutOfFuel));
}

// Many values in registers and on the stack where lines begin: a context that is not in its
// register any more, and results that are the same as without fuel.
TEST_P(FuelTest, ChangesNoResult) {
  std::string wat = "(module (func (export \"f\") (param i64 f64) (result i64) (local";
  for (int i = 0; i < 30; ++i) {
    wat += i % 3 == 0 ? " f64" : " i64";
  }
  wat += ")";
  for (int i = 0; i < 30; ++i) {
    const std::string local = std::to_string(i + 2);
    if (i % 3 == 0) {
      wat +=
          "(local.set " + local + " (f64.add (local.get 1) (f64.const " + std::to_string(i) + ")))";
    } else {
      wat +=
          "(local.set " + local + " (i64.add (local.get 0) (i64.const " + std::to_string(i) + ")))";
    }
  }
  wat += "(loop $l (if (i64.ne (i64.and (local.get 0) (i64.const 1)) (i64.const 0)) (then";
  for (int i = 0; i < 30; ++i) {
    const std::string local = std::to_string(i + 2);
    if (i % 3 == 0) {
      wat += "(local.set " + local + " (f64.mul (local.get " + local + ") (f64.const 1.5)))";
    } else {
      // Of the i64 local before it, or of the first parameter.
      const int before = i == 1 ? 0 : i % 3 == 1 ? i : i + 1;
      wat += "(local.set " + local + " (i64.xor (local.get " + local + ") (local.get " +
             std::to_string(before) + ")))";
    }
  }
  wat +=
      ")) (br_if $l (i64.ne (local.tee 0 (i64.sub (local.get 0) (i64.const 1))) (i64.const 0))))";
  wat += "(i64.const 0)";
  for (int i = 0; i < 30; ++i) {
    const std::string local = std::to_string(i + 2);
    wat += i % 3 == 0 ? "(i64.xor (i64.reinterpret_f64 (local.get " + local + ")))"
                      : "(i64.add (local.get " + local + "))";
  }
  wat += "))";
  const auto plain = LoadWat(wat, GetParam());
  Metered without(plain);
  Metered with(plain->Metered());
  for (uint64_t rounds = 1; rounds < 60; ++rounds) {
    const std::vector<Value> args = {Value::I64(rounds),
                                     Value::F64(static_cast<double>(rounds) / 3)};
    EXPECT_EQ(without.Call("f", args).values, with.Call("f", args).values) << rounds;
  }
}

}  // namespace
}  // namespace wasmd::engine
