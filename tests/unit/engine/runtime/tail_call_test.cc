// Tail calls: the stack stays where it is for every kind of callee, arguments arrive whatever their
// number, and what looks at frames (backtraces, interrupts, traps) finds them right.
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

class TailCallTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(TailCallTest);

// Frames of any size would fill the stack thousands of times.
constexpr int64_t kManyCalls = 3'000'000;

TestInstanceOptions SmallStack() {
  TestInstanceOptions options;
  options.store.wasm_stack_bytes = 64 << 10;
  return options;
}

TEST_P(TailCallTest, KeepTheStackWithinAModule) {
  for (const CompileMode mode : {CompileMode::kLazy, CompileMode::kEager}) {
    TestInstanceOptions options = SmallStack();
    options.mode = mode;
    TestInstance instance(LoadWat(R"((module
        (type $t (func (param i64) (result i64)))
        (table funcref (elem $even $odd))
        (func $even (param i64) (result i64)
          (if (i64.eqz (local.get 0)) (then (return (i64.const 44))))
          (return_call $odd (i64.sub (local.get 0) (i64.const 1))))
        (func $odd (param i64) (result i64)
          (if (i64.eqz (local.get 0)) (then (return (i64.const 99))))
          (return_call $even (i64.sub (local.get 0) (i64.const 1))))
        (func (export "direct") (param i64) (result i64) (return_call $even (local.get 0)))
        (func $through (export "table") (param i64) (result i64)
          (if (i64.le_s (local.get 0) (i64.const 1))
            (then (return_call_indirect (type $t) (local.get 0) (i32.const 0))))
          (return_call $again (i64.sub (local.get 0) (i64.const 1))))
        (func $again (param i64) (result i64)
          (return_call $through (local.get 0)))))",
                                  GetParam(), mode),
                          options);
    EXPECT_THAT(instance.Invoke("direct", {Value::I64(kManyCalls)}),
                Returns({Value::I64(int64_t{44})}));
    EXPECT_THAT(instance.Invoke("direct", {Value::I64(kManyCalls + 1)}),
                Returns({Value::I64(int64_t{99})}));
    EXPECT_THAT(instance.Invoke("table", {Value::I64(kManyCalls)}),
                Returns({Value::I64(int64_t{99})}));
  }
}

// Every argument is another one, more of them than there are registers, and they move between the
// lists: from three to twenty and back.
TEST_P(TailCallTest, ArgumentsOfAnyNumberArrive) {
  std::string many_params;
  std::string many_args;
  std::string sum = "(i64.const 0)";
  for (int i = 0; i < 20; ++i) {
    const bool is_float = i % 3 == 2;
    many_params += is_float ? " f64" : " i64";
    many_args += is_float ? " (f64.convert_i64_s (i64.add (local.get 1) (i64.const " +
                                std::to_string(i) + ")))"
                          : " (i64.add (local.get 1) (i64.const " + std::to_string(i) + "))";
    const std::string get = "(local.get " + std::to_string(i + 1) + ")";
    sum = "(i64.add " + sum + " (i64.mul (i64.const " + std::to_string(i + 1) + ") " +
          (is_float ? "(i64.trunc_f64_s " + get + ")" : get) + "))";
  }
  TestInstance instance(
      LoadWat("(module (func $few (export \"run\") (param i64 i64 i64) (result i64)"
              " (if (i64.eqz (local.get 0)) (then (return (local.get 2))))"
              " (return_call $many (local.get 0)" +
                  many_args +
                  "))"
                  " (func $many (param i64" +
                  many_params +
                  ") (result i64)"
                  " (return_call $few (i64.sub (local.get 0) (i64.const 1))"
                  " (local.get 1) " +
                  sum + ")))",
              GetParam()),
      SmallStack());
  int64_t expected = 0;
  for (int64_t i = 0; i < 20; ++i) {
    expected += (i + 1) * (7 + i);
  }
  EXPECT_THAT(instance.Invoke("run", {Value::I64(int64_t{100'000}), Value::I64(int64_t{7}),
                                      Value::I64(int64_t{0})}),
              Returns({Value::I64(expected)}));
}

// Two instances call each other, and a host function in between is the last callee.
TEST_P(TailCallTest, KeepTheStackAcrossInstancesAndToTheHost) {
  for (const CompileMode mode : {CompileMode::kLazy, CompileMode::kEager}) {
    Store store(TestEngine().runtime(), {.wasm_stack_bytes = 64 << 10});
    Linker linker;
    linker.DefineFunc("host", "done", {{ValType::kI64}, {ValType::kI64}},
                      [](HostContext&, std::span<const Value> args, std::span<Value> results) {
                        results[0] = Value::I64(args[0].i64() + 5);
                        return HostResult::Ok();
                      });
    const auto table =
        store.CreateTable({ValType::kFuncRef, {1, 1}}, Value::Null(ValType::kFuncRef));
    ASSERT_TRUE(table.ok());
    linker.Define("env", "table", *table);
    auto a = linker.Instantiate(store, LoadWat(R"((module
        (import "env" "table" (table 1 funcref))
        (import "host" "done" (func $done (param i64) (result i64)))
        (type $t (func (param i64) (result i64)))
        (global $seen (export "seen") (mut i64) (i64.const 0))
        (func (export "a") (param i64) (result i64)
          (global.set $seen (i64.add (global.get $seen) (i64.const 1)))
          (if (i64.eqz (local.get 0)) (then (return_call $done (i64.const 37))))
          (return_call_indirect (type $t) (local.get 0) (i32.const 0)))))",
                                               GetParam(), mode));
    ASSERT_TRUE(a.ok() && a->outcome.ok());
    linker.DefineInstance("a", *a->instance);
    auto b = linker.Instantiate(store, LoadWat(R"((module
        (import "env" "table" (table 1 funcref))
        (import "a" "a" (func $a (param i64) (result i64)))
        (elem (i32.const 0) $b)
        (func $b (export "b") (param i64) (result i64)
          (return_call $a (i64.sub (local.get 0) (i64.const 1))))))",
                                               GetParam(), mode));
    ASSERT_TRUE(b.ok() && b->outcome.ok());
    EXPECT_THAT(Invoke(*b->instance->Func("b"), {Value::I64(kManyCalls)}),
                Returns({Value::I64(int64_t{42})}));
    EXPECT_EQ(a->instance->Global("seen")->Get(), Value::I64(kManyCalls));
  }
}

// Who made a tail call is gone; who called it is not.
TEST_P(TailCallTest, BacktraceHasTheCallersThatWait) {
  TestInstance instance(R"((module $tail
      (func $boom (param i32) (result i32) unreachable)
      (func $jump (param i32) (result i32) (return_call $boom (local.get 0)))
      (func $outer (export "run") (param i32) (result i32)
        (i32.add (call $jump (local.get 0)) (i32.const 1)))))",
                        GetParam());
  const Invoked invoked = instance.Invoke("run", {Value::I32(1)});
  ASSERT_THAT(invoked, TrapsWith(TrapCode::kUnreachable));
  ASSERT_EQ(invoked.trap()->backtrace.frames().size(), 2u);
  EXPECT_EQ(invoked.trap()->backtrace.frames()[0].func_name, "boom");
  EXPECT_EQ(invoked.trap()->backtrace.frames()[1].func_name, "outer");
}

// The frame is still there when the table's checks trap.
TEST_P(TailCallTest, IndirectChecksTrapInTheCaller) {
  TestInstance instance(R"((module
      (type $t (func (param i32) (result i32)))
      (table 3 funcref) (elem (i32.const 0) $f $other)
      (func $f (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
      (func $other)
      (func $run (export "run") (param i32) (result i32)
        (return_call_indirect (type $t) (i32.const 14) (local.get 0)))))",
                        GetParam());
  EXPECT_THAT(instance.Invoke("run", {Value::I32(0)}), Returns({Value::I32(42)}));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(1)}), TrapsWith(TrapCode::kBadSignature));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(2)}), TrapsWith(TrapCode::kIndirectCallToNull));
  const Invoked beyond = instance.Invoke("run", {Value::I32(3)});
  ASSERT_THAT(beyond, TrapsWith(TrapCode::kTableOutOfBounds));
  ASSERT_EQ(beyond.trap()->backtrace.frames().size(), 1u);
  EXPECT_EQ(beyond.trap()->backtrace.frames()[0].func_name, "run");
}

// A function that makes tail calls and ordinary ones still finds the end of the stack.
TEST_P(TailCallTest, RecursionBetweenTailCallsOverflows) {
  TestInstance instance(LoadWat(R"((module
      (func $f (export "run") (param i64) (result i64)
        (return_call $g (i64.add (call $g (local.get 0)) (i64.const 1))))
      (func $g (param i64) (result i64) (return_call $f (local.get 0)))))",
                                GetParam()),
                        SmallStack());
  EXPECT_THAT(instance.Invoke("run", {Value::I64(int64_t{1})}),
              TrapsWith(TrapCode::kStackOverflow));
  EXPECT_THAT(instance.Invoke("run", {Value::I64(int64_t{1})}),
              TrapsWith(TrapCode::kStackOverflow));
}

constexpr std::string_view kTailLoops = R"((module
    (type $t (func (param i64 i64 i64 i64 i64 i64 i64)))
    (table funcref (elem $ping $pong))
    (func $self (export "self") (return_call $self))
    (func $ping (type $t) (return_call_indirect (type $t)
      (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
      (local.get 6) (i32.const 1)))
    (func $pong (type $t) (return_call $ping
      (local.get 6) (local.get 5) (local.get 4) (local.get 3) (local.get 2) (local.get 1)
      (local.get 0)))
    (func $called (param i64) (if (i64.eqz (local.get 0)) (then (return_call $nothing))))
    (func $nothing)
    (func (export "table") (return_call $ping (i64.const 1) (i64.const 2) (i64.const 3)
      (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7)))
    (global $looping (export "looping") (mut i32) (i32.const 0))
    (func (export "calls") (global.set $looping (i32.const 1))
      (loop $l (call $called (i64.const 0)) (br $l)))))";

// At every instruction of the loops sooner or later, the jump behind `leave` among them: the caller
// is found from each.
TEST_P(TailCallTest, LoopsAreInterruptedAtEveryInstruction) {
  const auto module = LoadWat(kTailLoops, GetParam(), CompileMode::kEager);
  std::mt19937 random(3);
  for (int i = 0; i < 1500; ++i) {
    constexpr std::string_view kNames[] = {"self", "table", "calls"};
    const std::string_view name = kNames[i % 3];
    TestInstance instance(module);
    const InterruptHandle handle = instance.store().ArmInterrupt();
    std::atomic<bool> go{false};
    std::thread interrupter([&] {
      while (!go) {
        std::this_thread::yield();
      }
      const auto until =
          std::chrono::steady_clock::now() + std::chrono::nanoseconds(random() % 20'000);
      while (std::chrono::steady_clock::now() < until) {
      }
      handle.Interrupt(InterruptReason::kCancel);
    });
    go = true;
    const Invoked invoked = instance.Invoke(name);
    interrupter.join();
    ASSERT_THAT(invoked, InterruptedBy(InterruptReason::kCancel)) << name << " " << i;
    // The entry is next: no frame is missing or there twice. An interrupt that came before the
    // first instruction has none to tell of.
    if (name == "calls" && instance.instance().Global("looping")->Get() == Value::I32(1)) {
      ASSERT_FALSE(invoked.interrupt()->backtrace.frames().empty()) << i;
      ASSERT_EQ(invoked.interrupt()->backtrace.frames().back().func_name, name) << i;
    }
    ASSERT_LE(invoked.interrupt()->backtrace.frames().size(), name == "calls" ? 2u : 1u);
  }
}

}  // namespace
}  // namespace wasmd::engine
