// Interrupts: loops, host functions that block, recursion, builtins, lazy compilation; at random
// moments, thousands of times; never lost, never for the wrong invocation.
#include <poll.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

using std::chrono::microseconds;

// Long enough for a machine under load; a lost interrupt hangs until ctest's time is over.
class InterruptTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(InterruptTest);

constexpr std::string_view kLoops =
    R"((module $loops (import "host" "nothing" (func $nothing)) (import "host" "block" (func $block))
    (import "host" "entered" (func $entered))
    (memory 20) (global $count (export "count") (mut i64) (i64.const 0))
    (func (export "empty") (call $entered) (loop $l (br $l)))
    (func (export "count_up") (call $entered)
      (loop $l (global.set $count (i64.add (global.get $count) (i64.const 1))) (br $l)))
    (func $f (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "calls") (local i32) (call $entered)
      (loop $l (local.set 0 (call $f (local.get 0))) (br $l)))
    (func (export "host_calls") (call $entered) (loop $l (call $nothing) (br $l)))
    (func (export "fills") (call $entered)
      (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 1000000)) (br $l)))
    (table $t 1 externref)
    (func (export "grows") (loop $l (drop (memory.grow (i32.const 0))) (br $l)))
    (func (export "grows_table") (loop $l (drop (table.grow $t (ref.null extern) (i32.const 0))) (br $l)))
    (func (export "copies") (loop $l (memory.copy (i32.const 0) (i32.const 7) (i32.const 1000000)) (br $l)))
    (func $fib (param i32) (result i32)
      (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
        (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
    (func (export "fib") (call $entered) (drop (call $fib (i32.const 60))))
    (func (export "blocks") (call $entered) (call $block))
    (func (export "quick") (result i32) i32.const 7)))";

constexpr std::string_view kLoopNames[] = {"empty", "count_up", "calls", "host_calls",
                                           "fills", "fib",      "blocks"};

// Set by the first instruction of each of kLoopNames: from then on there is a frame to tell of.
std::atomic<bool> g_entered{false};

// Waits for that, and 5 ms more.
void WaitUntilEntered() {
  while (!g_entered) {
    std::this_thread::yield();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TestInstanceOptions Hosts() {
  TestInstanceOptions options;
  options.link = [](Linker& linker, Store&) {
    linker.DefineFunc(
        "host", "nothing", {},
        [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
    linker.DefineFunc("host", "entered", {},
                      [](HostContext&, std::span<const Value>, std::span<Value>) {
                        g_entered = true;
                        return HostResult::Ok();
                      });
    linker.DefineFunc("host", "block", {},
                      [](HostContext& context, std::span<const Value>, std::span<Value>) {
                        pollfd fd = {context.interrupt_fd(), POLLIN, 0};
                        while (!context.interrupt_requested()) {
                          poll(&fd, 1, -1);
                        }
                        return HostResult::Interrupted();
                      });
  };
  return options;
}

TEST_P(InterruptTest, EndsEveryKindOfLoop) {
  const auto module = LoadWat(kLoops, GetParam());
  for (const std::string_view name : kLoopNames) {
    TestInstance instance(module, Hosts());
    const InterruptHandle handle = instance.store().ArmInterrupt();
    g_entered = false;
    std::thread interrupter([&] {
      WaitUntilEntered();
      EXPECT_TRUE(handle.Interrupt(InterruptReason::kDeadline));
      EXPECT_TRUE(handle.Interrupt(InterruptReason::kCancel)) << "the first reason stays";
    });
    const Invoked invoked = instance.Invoke(name);
    interrupter.join();
    EXPECT_THAT(invoked, InterruptedBy(InterruptReason::kDeadline)) << name;
    ASSERT_NE(invoked.interrupt(), nullptr);
    EXPECT_TRUE(invoked.interrupt()->store_abandoned);
    EXPECT_FALSE(invoked.interrupt()->backtrace.empty()) << name;
    EXPECT_TRUE(instance.store().is_abandoned());
    EXPECT_EQ(instance.Invoke("quick").status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(instance.instance().Global("count").ok());
  }
}

TEST_P(InterruptTest, ThousandsAtRandomMoments) {
  const auto module = LoadWat(kLoops, GetParam(), CompileMode::kEager);
  std::mt19937 random(1);
  std::atomic<int> generation{0};
  std::atomic<bool> stop{false};
  InterruptHandle handle;
  std::atomic<int> delay_us{0};
  std::thread interrupter([&] {
    int seen = 0;
    while (!stop) {
      const int now = generation.load(std::memory_order_acquire);
      if (now == seen) {
        std::this_thread::yield();
        continue;
      }
      const auto until = std::chrono::steady_clock::now() + microseconds(delay_us);
      while (std::chrono::steady_clock::now() < until) {
      }
      handle.Interrupt(InterruptReason::kCancel);
      seen = now;
      generation.store(-now, std::memory_order_release);
      while (generation.load(std::memory_order_acquire) == -now && !stop) {
        std::this_thread::yield();
      }
    }
  });
  for (int i = 1; i <= 2000; ++i) {
    TestInstance instance(module, Hosts());
    handle = instance.store().ArmInterrupt();
    delay_us = static_cast<int>(random() % 30);
    generation.store(i, std::memory_order_release);
    const Invoked invoked = instance.Invoke(kLoopNames[random() % std::size(kLoopNames)]);
    ASSERT_THAT(invoked, InterruptedBy(InterruptReason::kCancel)) << i;
    while (generation.load(std::memory_order_acquire) != -i) {
      std::this_thread::yield();
    }
    generation.store(i, std::memory_order_relaxed);
    // The next round stores another number.
  }
  stop = true;
  generation = 0;
  interrupter.join();
}

// Interrupts of invocations that may have ended: whoever is hit is the one that was meant.
TEST_P(InterruptTest, ALateInterruptHitsNobodyElse) {
  TestInstance victim(
      "(module (func (export \"spin\") (param i32) (loop $l (br_if $l (local.tee 0 (i32.sub "
      "(local.get 0) (i32.const 1)))))))",
      GetParam());
  auto instance = std::make_unique<TestInstance>(kLoops, GetParam(), Hosts());
  std::mt19937 random(2);
  int hit = 0;
  for (int i = 0; i < 2000; ++i) {
    const InterruptHandle old = instance->store().ArmInterrupt();
    std::atomic<bool> go{false};
    std::thread late([&] {
      while (!go) {
      }
      const auto until = std::chrono::steady_clock::now() + microseconds(random() % 20);
      while (std::chrono::steady_clock::now() < until) {
      }
      old.Interrupt(InterruptReason::kDeadline);
    });
    go = true;
    const Invoked first = instance->Invoke("quick");
    // Another store on the same thread, at the very moment.
    EXPECT_THAT(victim.Invoke("spin", {Value::I32(2000)}), Returns({}));
    const bool was_hit = first.interrupt() != nullptr;
    if (!was_hit) {
      static_cast<void>(instance->store().ArmInterrupt());
      EXPECT_THAT(instance->Invoke("quick"), Returns({Value::I32(7)}))
          << "the next invocation of the same store";
    }
    late.join();
    hit += was_hit ? 1 : 0;
    EXPECT_FALSE(victim.store().is_abandoned());
    if (instance->store().is_abandoned()) {
      instance = std::make_unique<TestInstance>(kLoops, GetParam(), Hosts());
    }
  }
  RecordProperty("hit", hit);
}

TEST_P(InterruptTest, BeforeTheCallLeavesTheStoreAlone) {
  TestInstance instance(kLoops, GetParam(), Hosts());
  const InterruptHandle handle = instance.store().ArmInterrupt();
  EXPECT_TRUE(handle.Interrupt(InterruptReason::kShutdown));
  const Invoked invoked = instance.Invoke("quick");
  EXPECT_THAT(invoked, InterruptedBy(InterruptReason::kShutdown));
  ASSERT_NE(invoked.interrupt(), nullptr);
  EXPECT_FALSE(invoked.interrupt()->store_abandoned);
  EXPECT_FALSE(instance.store().is_abandoned());
  EXPECT_THAT(instance.Invoke("quick"), Returns({Value::I32(7)}))
      << "an interrupt stops one invocation";
  EXPECT_TRUE(handle.Interrupt(InterruptReason::kShutdown));
  static_cast<void>(instance.store().ArmInterrupt());
  EXPECT_FALSE(handle.Interrupt(InterruptReason::kShutdown)) << "the store was armed again";
  EXPECT_THAT(instance.Invoke("quick"), Returns({Value::I32(7)})) << "arming forgets";
}

TEST_P(InterruptTest, HandlesOutliveTheStore) {
  InterruptHandle handle;
  EXPECT_FALSE(handle.Interrupt(InterruptReason::kCancel));
  {
    TestInstance instance(kLoops, GetParam(), Hosts());
    handle = instance.store().ArmInterrupt();
    EXPECT_TRUE(handle.Interrupt(InterruptReason::kCancel));
  }
  EXPECT_FALSE(handle.Interrupt(InterruptReason::kCancel));
}

// A host function calls into another store, which loops: an interrupt of the outer one ends both,
// each at its own caller.
TEST_P(InterruptTest, ReachesAnInnerStore) {
  TestInstance inner(kLoops, GetParam(), Hosts());
  Invoked inner_invoked;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc("host", "inner", {},
                      [&](HostContext&, std::span<const Value>, std::span<Value>) {
                        inner_invoked = inner.Invoke("empty");
                        return HostResult::Ok();
                      });
  };
  TestInstance outer(
      R"((module (import "host" "inner" (func $inner)) (func (export "run") (call $inner))))",
      GetParam(), options);
  const InterruptHandle handle = outer.store().ArmInterrupt();
  g_entered = false;
  std::thread interrupter([&] {
    WaitUntilEntered();
    handle.Interrupt(InterruptReason::kDeadline);
  });
  EXPECT_THAT(outer.Invoke("run"), InterruptedBy(InterruptReason::kDeadline));
  EXPECT_THAT(inner_invoked, InterruptedBy(InterruptReason::kDeadline));
  interrupter.join();
}

// The same store twice on the stack: both activations end.
TEST_P(InterruptTest, EndsEveryActivationOfAStore) {
  std::unique_ptr<TestInstance> instance;
  Invoked inner;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc("host", "again", {},
                      [&](HostContext&, std::span<const Value>, std::span<Value>) {
                        g_entered = true;
                        inner = instance->Invoke("loop");
                        return HostResult::Ok();
                      });
  };
  instance = std::make_unique<TestInstance>(R"((module (import "host" "again" (func $again))
      (global (export "after") (mut i32) (i32.const 0))
      (func (export "loop") (loop $l (br $l))) (func (export "run") (call $again) (global.set 0 (i32.const 1)))))",
                                            GetParam(), options);
  const InterruptHandle handle = instance->store().ArmInterrupt();
  g_entered = false;
  std::thread interrupter([&] {
    WaitUntilEntered();
    handle.Interrupt(InterruptReason::kClientGone);
  });
  EXPECT_THAT(instance->Invoke("run"), InterruptedBy(InterruptReason::kClientGone));
  EXPECT_THAT(inner, InterruptedBy(InterruptReason::kClientGone));
  EXPECT_EQ(instance->instance().Global("after")->Get(), Value::I32(0));
  interrupter.join();
}

TEST_P(InterruptTest, ManyStoresAtOnce) {
  const auto module = LoadWat(kLoops, GetParam());
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        TestInstance instance(module, Hosts());
        const InterruptHandle handle = instance.store().ArmInterrupt();
        std::thread interrupter([&] { handle.Interrupt(InterruptReason::kCancel); });
        const Invoked invoked = instance.Invoke("count_up");
        interrupter.join();
        right += invoked.interrupt() != nullptr ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(right, 160);
}

// The watchdog's thread may hold the last reference to what it watches, and with that to itself.
TEST(EngineEndTest, AnEngineGoesWhileAnInterruptIsWatched) {
  for (int i = 0; i < 50; ++i) {
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create({});
    ASSERT_TRUE(engine.ok()) << engine.status();
    InterruptHandle handle;
    {
      Store store((*engine)->runtime());
      handle = store.ArmInterrupt();
      EXPECT_TRUE(handle.Interrupt(InterruptReason::kCancel));
      // Until the watchdog has it in hand, at some point of its round.
      std::this_thread::sleep_for(microseconds(i * 40));
      if (i % 2 == 0) {
        handle = {};
      }
    }
    engine->reset();
    EXPECT_FALSE(handle.Interrupt(InterruptReason::kCancel));
  }
}

}  // namespace
}  // namespace wasmd::engine
