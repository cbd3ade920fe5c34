// Calls with C++ types: every class of value by register and by overflow cell, traps and interrupts
// out of the inlined entry, and what the look-up refuses.
#include <pthread.h>
#include <signal.h>

#include <cstdint>
#include <limits>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

using testing::HasSubstr;

class TypedFuncTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(TypedFuncTest);

template <typename Signature>
TypedFunc<Signature> Typed(TestInstance& instance, std::string_view name) {
  auto func = instance.Func(name).Typed<Signature>();
  EXPECT_TRUE(func.ok()) << func.status();
  return *func;
}

TEST_P(TypedFuncTest, EveryType) {
  TestInstance instance(R"((module
      (func (export "nothing"))
      (func (export "i32") (param i32) (result i32) local.get 0)
      (func (export "extend") (param i32) (result i64) local.get 0 i64.extend_i32_u)
      (func (export "i64") (param i64) (result i64) local.get 0)
      (func (export "f32") (param f32) (result f32) local.get 0)
      (func (export "f64") (param f64) (result f64) local.get 0)
      (func (export "funcref") (param funcref) (result funcref) local.get 0)
      (func (export "externref") (param externref) (result externref) local.get 0)))",
                        GetParam());
  for (int round = 0; round < 3; ++round) {  // The first is a thread's first, and compiles.
    EXPECT_TRUE(Typed<void()>(instance, "nothing")().ok());
    EXPECT_EQ(*Typed<int32_t(int32_t)>(instance, "i32")(-5), -5);
    EXPECT_EQ(*Typed<uint32_t(uint32_t)>(instance, "i32")(0xffff'fff0), 0xffff'fff0);
    EXPECT_EQ(*Typed<uint64_t(int32_t)>(instance, "extend")(-1), 0xffff'ffff);
    EXPECT_EQ(*Typed<int64_t(int64_t)>(instance, "i64")(std::numeric_limits<int64_t>::min()),
              std::numeric_limits<int64_t>::min());
    EXPECT_EQ(*Typed<float(float)>(instance, "f32")(0.5F), 0.5F);
    EXPECT_EQ(*Typed<double(double)>(instance, "f64")(-0.25), -0.25);
    FuncRef* const ref = instance.Func("nothing").ref();
    EXPECT_EQ(*Typed<FuncRef*(FuncRef*)>(instance, "funcref")(ref), ref);
    EXPECT_EQ(*Typed<ExternRefWord(ExternRefWord)>(instance, "externref")({0xfeed'beef'0000'0001}),
              (ExternRefWord{0xfeed'beef'0000'0001}));
  }
}

TEST_P(TypedFuncTest, MoreThanTheRegistersHold) {
  // 7 general and 10 float arguments, interleaved; 4 and 3 results.
  TestInstance instance(R"((module
      (func (export "many")
        (param i32 f64 i64 f32 i32 f64 i64 f32 i32 f64 i64 f32 i32 f64 f32 f64 f32)
        (result i32 f64 i64 f32 i64 f64 i32)
        (i32.add (i32.add (local.get 0) (local.get 4)) (i32.add (local.get 8) (local.get 12)))
        (f64.add (f64.add (local.get 1) (local.get 5))
                 (f64.add (local.get 9) (f64.add (local.get 13) (local.get 15))))
        (i64.add (local.get 2) (i64.add (local.get 6) (local.get 10)))
        (f32.add (f32.add (local.get 3) (local.get 7))
                 (f32.add (local.get 11) (f32.add (local.get 14) (local.get 16))))
        (local.get 10) (local.get 15) (local.get 12))))",
                        GetParam());
  using Results = std::tuple<int32_t, double, int64_t, float, int64_t, double, int32_t>;
  const auto many =
      Typed<Results(int32_t, double, int64_t, float, int32_t, double, int64_t, float, int32_t,
                    double, int64_t, float, int32_t, double, float, double, float)>(instance,
                                                                                    "many");
  for (int round = 0; round < 3; ++round) {
    const Outcome<Results> outcome =
        many(1, 0x1p1, int64_t{1} << 40, 0x1p2F, 2, 0x1p3, int64_t{1} << 41, 0x1p4F, 4, 0x1p5,
             int64_t{1} << 42, 0x1p6F, 8, 0x1p7, 0x1p8F, 0x1p9, 0x1p10F);
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(*outcome,
              Results(15, 0x1p1 + 0x1p3 + 0x1p5 + 0x1p7 + 0x1p9, int64_t{7} << 40,
                      0x1p2F + 0x1p4F + 0x1p6F + 0x1p8F + 0x1p10F, int64_t{1} << 42, 0x1p9, 8));
  }
}

TEST_P(TypedFuncTest, LookUpNamesBothTypes) {
  TestInstance instance("(module (func (export \"f\") (param i32) (result i64) i64.const 0))",
                        GetParam());
  const auto wrong = instance.Func("f").Typed<float(int32_t, double)>();
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(wrong.status().message()),
              HasSubstr(ToString(instance.Func("f").type())));
  EXPECT_THAT(std::string(wrong.status().message()),
              HasSubstr(ToString(TypedFunc<float(int32_t, double)>::type())));
}

// The caller's locals survive, whatever the callee did with the registers.
TEST_P(TypedFuncTest, TrapsByBranchAndByFault) {
  TestInstance instance(R"((module (memory 1)
      (func (export "div") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
      (func (export "load") (param i32) (result i32) local.get 0 i32.load)
      (func $down (export "down") (result i32) call $down)))",
                        GetParam());
  const auto div = Typed<int32_t(int32_t, int32_t)>(instance, "div");
  const auto load = Typed<int32_t(int32_t)>(instance, "load");
  const auto down = Typed<int32_t()>(instance, "down");
  int64_t sum = 0;
  for (int32_t i = 1; i <= 200; ++i) {
    sum += *div(12 * i, 3);
    const Outcome<int32_t> by_zero = div(i, 0);
    ASSERT_NE(by_zero.trap(), nullptr);
    EXPECT_EQ(by_zero.trap()->code, TrapCode::kDivideByZero);
    EXPECT_EQ(by_zero.trap()->backtrace.size(), 1);
    const Outcome<int32_t> outside = load(65533 + i % 3);
    ASSERT_NE(outside.trap(), nullptr);
    EXPECT_EQ(outside.trap()->code, TrapCode::kMemoryOutOfBounds);
    EXPECT_EQ(*load(65532 - i), 0);
    if (i % 50 == 0) {
      const Outcome<int32_t> deep = down();
      ASSERT_NE(deep.trap(), nullptr);
      EXPECT_EQ(deep.trap()->code, TrapCode::kStackOverflow);
    }
  }
  EXPECT_EQ(sum, 4 * 200 * 201 / 2);
}

TEST_P(TypedFuncTest, AnotherThreadAtEveryCall) {
  TestInstance instance(
      "(module (func (export \"div\") (param i32 i32) (result i32) local.get 0 local.get 1 "
      "i32.div_s))",
      GetParam());
  const auto div = Typed<int32_t(int32_t, int32_t)>(instance, "div");
  for (int32_t i = 0; i < 20; ++i) {
    const auto call = [&] {
      EXPECT_EQ(*div(i, 1), i);
      EXPECT_NE(div(i, 0).trap(), nullptr);
      EXPECT_EQ(*div(2 * i, 2), i);
    };
    std::thread(call).join();
    call();
  }
}

// A store goes from thread to thread at every call, with no word to anybody, and traps at random by
// branch, by fault and by running out of stack.
TEST_P(TypedFuncTest, MigratesAndTrapsAtRandom) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  TestInstance instance(
      R"((module (memory 1)
        (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
        (func (export "end") (param $how i32) (result i32)
          (if (i32.eq (local.get $how) (i32.const 1)) (then unreachable))
          (if (i32.eq (local.get $how) (i32.const 2)) (then (drop (i32.load (i32.const -1)))))
          (if (i32.eq (local.get $how) (i32.const 3)) (then (drop (call $deep (i32.const 0)))))
          (i32.const 7))))",
      GetParam());
  const auto end = Typed<int32_t(int32_t)>(instance, "end");
  constexpr TrapCode kExpected[] = {TrapCode::kNone, TrapCode::kUnreachable,
                                    TrapCode::kMemoryOutOfBounds, TrapCode::kStackOverflow};
  std::mutex turn;
  int wrong = 0;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < kRounds; ++i) {
        // Overflow is rare: it touches a megabyte of stack.
        const uint32_t how = random() % 100 == 0 ? 3 : static_cast<uint32_t>(random() % 3);
        const std::lock_guard lock(turn);
        const Outcome<int32_t> outcome = end(static_cast<int32_t>(how));
        const TrapCode code = outcome.trap() == nullptr ? TrapCode::kNone : outcome.trap()->code;
        wrong += code == kExpected[how] && (!outcome.ok() || *outcome == 7) ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

// A host may keep signals from its threads; those of a guest's faults and interrupts get through.
TEST_P(TypedFuncTest, OnAThreadThatBlocksAllSignals) {
  TestInstance instance(
      R"((module (memory 1) (func (export "fault") (drop (i32.load (i32.const -1))))
        (func (export "spin") (loop $l (br $l)))))",
      GetParam());
  std::thread([&] {
    sigset_t all;
    sigfillset(&all);
    ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &all, nullptr), 0);
    const Outcome<void> faulted = Typed<void()>(instance, "fault")();
    ASSERT_NE(faulted.trap(), nullptr);
    EXPECT_EQ(faulted.trap()->code, TrapCode::kMemoryOutOfBounds);
    const InterruptHandle handle = instance.store().ArmInterrupt();
    std::thread interrupter([handle] { handle.Interrupt(InterruptReason::kCancel); });
    const Outcome<void> spun = Typed<void()>(instance, "spin")();
    interrupter.join();
    ASSERT_NE(spun.interrupt(), nullptr);
    EXPECT_EQ(spun.interrupt()->reason, InterruptReason::kCancel);
    // The other ones are as the host wants them.
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    EXPECT_EQ(sigismember(&now, SIGUSR1), 1);
  }).join();
}

// host → wasm → host …, and each wasm level ends by a trap that its own caller sees.
TEST_P(TypedFuncTest, NestedTrapsEachAtItsCaller) {
  constexpr int32_t kDepth = 50;
  TestInstance* self = nullptr;
  int traps_seen = 0;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc("env", "again", FuncType{{ValType::kI32}, {}},
                      [&](HostContext&, std::span<const Value> args, std::span<Value>) {
                        const auto level = static_cast<int32_t>(args[0].i32());
                        if (level != 0) {
                          const Outcome<int32_t> inner =
                              Typed<int32_t(int32_t)>(*self, "level")(level - 1);
                          const Trap* trap = inner.trap();
                          traps_seen += trap != nullptr && trap->code == TrapCode::kUnreachable;
                        }
                        return HostResult::Ok();
                      });
  };
  TestInstance instance(R"((module (import "env" "again" (func $again (param i32)))
      (func (export "level") (param i32) (result i32)
        (call $again (local.get 0)) (if (local.get 0) (then unreachable)) unreachable)
      (func (export "id") (param i32) (result i32) local.get 0)))",
                        GetParam(), options);
  self = &instance;
  const auto level = Typed<int32_t(int32_t)>(instance, "level");
  const auto id = Typed<int32_t(int32_t)>(instance, "id");
  for (int round = 1; round <= 3; ++round) {
    const Outcome<int32_t> outermost = level(kDepth);
    ASSERT_NE(outermost.trap(), nullptr);
    EXPECT_EQ(outermost.trap()->code, TrapCode::kUnreachable);
    EXPECT_EQ(traps_seen, kDepth * round);
    EXPECT_EQ(*id(round), round);
  }
}

// Far from where the store was bound, down the stack and up again.
__attribute__((noinline)) void Below(int kilobytes, const std::function<void()>& body) {
  if (kilobytes == 0) {
    body();
    return;
  }
  [[maybe_unused]] volatile char used[1024];
  used[0] = 0;
  Below(kilobytes - 1, body);
  used[1] = 0;
}

TEST_P(TypedFuncTest, AnyDepthOfTheStack) {
  TestInstance instance(
      "(module (func $down (export \"down\") (param i32) (result i32) local.get 0 i32.eqz if "
      "i32.const 7 return end local.get 0 i32.const 1 i32.sub call $down))",
      GetParam());
  const auto down = Typed<int32_t(int32_t)>(instance, "down");
  for (const int kilobytes : {0, 20, 100, 500, 70, 0}) {
    Below(kilobytes, [&] {
      EXPECT_EQ(*down(100), 7);
      EXPECT_EQ(down(1 << 30).trap()->code, TrapCode::kStackOverflow);
      EXPECT_EQ(*down(100), 7);
    });
  }
}

TEST_P(TypedFuncTest, InterruptBeforeACallAndAbandonedStore) {
  TestInstance instance(R"((module
      (func (export "nop"))
      (func (export "spin") (loop br 0))))",
                        GetParam());
  const auto nop = Typed<void()>(instance, "nop");
  const auto spin = Typed<void()>(instance, "spin");
  EXPECT_TRUE(nop().ok());
  InterruptHandle handle = instance.store().ArmInterrupt();
  ASSERT_TRUE(handle.Interrupt(InterruptReason::kCancel));
  {
    const Outcome<void> outcome = nop();
    ASSERT_NE(outcome.interrupt(), nullptr);
    EXPECT_EQ(outcome.interrupt()->reason, InterruptReason::kCancel);
    EXPECT_FALSE(outcome.interrupt()->store_abandoned);
  }
  EXPECT_TRUE(nop().ok());
  handle = instance.store().ArmInterrupt();
  std::thread other([&] { handle.Interrupt(InterruptReason::kDeadline); });
  const Outcome<void> stopped = spin();
  other.join();
  ASSERT_NE(stopped.interrupt(), nullptr);
  EXPECT_EQ(stopped.interrupt()->reason, InterruptReason::kDeadline);
  if (stopped.interrupt()->store_abandoned) {
    const Outcome<void> refused = nop();
    ASSERT_NE(refused.trap(), nullptr);
    EXPECT_THAT(refused.trap()->message, HasSubstr("abandoned"));
  }
}

}  // namespace
}  // namespace wasmd::engine
