// An invocation is stopped in whichever state it is, once, and its first reason stays.
#include "daemon/pool/invocation.h"

#include <sched.h>

#include <thread>

#include "gtest/gtest.h"

#include "daemon/pool/engine_types.h"
#include "engine/base/thread_priority.h"

namespace wasmd::daemon {
namespace {

using engine::InterruptReason;

TEST(InvocationTest, DroppedWhileItWaits) {
  Invocation invocation({});
  int dropped = 0;
  invocation.set_on_dropped([&] { ++dropped; });
  invocation.Interrupt(InterruptReason::kCancel);
  invocation.Interrupt(InterruptReason::kDeadline);
  EXPECT_EQ(dropped, 1);
  EXPECT_EQ(invocation.reason(), InterruptReason::kCancel);
  EXPECT_FALSE(invocation.Begin());
}

TEST(InvocationTest, NotDroppedOnceItRuns) {
  Invocation invocation({});
  invocation.set_on_dropped([] { FAIL(); });
  EXPECT_TRUE(invocation.Begin());
  EXPECT_FALSE(invocation.Begin());
  invocation.Interrupt(InterruptReason::kDeadline);
  EXPECT_EQ(invocation.reason(), InterruptReason::kDeadline);
  invocation.ReturnPriority();
}

// Otherwise it waits for a CPU like all others, with what it still has to do.
TEST(InvocationTest, AThreadThatIsStoppedHasRealTimePriorityUntilItGivesItBack) {
  bool may = false;
  std::thread([&] { may = engine::RaiseThreadToRealTime(); }).join();
  const auto policy = [] { return ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; };
  std::thread([&] {
    Invocation queued({});
    queued.Interrupt(InterruptReason::kCancel);
    EXPECT_EQ(policy(), SCHED_OTHER) << "nobody runs it";
    Invocation invocation({});
    ASSERT_TRUE(invocation.Begin());
    std::thread([&] { invocation.Interrupt(InterruptReason::kCancel); }).join();
    EXPECT_EQ(policy(), may ? SCHED_FIFO : SCHED_OTHER);
    invocation.End();
    invocation.ReturnPriority();
    EXPECT_EQ(policy(), SCHED_OTHER);
    Invocation over({});
    ASSERT_TRUE(over.Begin());
    over.End();
    over.Interrupt(InterruptReason::kCancel);
    EXPECT_EQ(policy(), SCHED_OTHER) << "it is over";
  }).join();
}

TEST(InvocationTest, AnInterruptBeforeArmingReachesTheStore) {
  const auto engine = *engine::Engine::Create({});
  engine::Store store(engine->runtime());
  Invocation invocation({});
  ASSERT_TRUE(invocation.Begin());
  invocation.Interrupt(InterruptReason::kCancel);
  EXPECT_FALSE(store.interrupt_requested());
  invocation.Arm(store);
  EXPECT_TRUE(store.interrupt_requested());
  invocation.End();
  invocation.ReturnPriority();
}

TEST(InvocationTest, AnInterruptAfterItsEndReachesNothing) {
  const auto engine = *engine::Engine::Create({});
  engine::Store store(engine->runtime());
  Invocation invocation({});
  ASSERT_TRUE(invocation.Begin());
  invocation.Arm(store);
  invocation.End();
  invocation.Interrupt(InterruptReason::kCancel);
  EXPECT_FALSE(store.interrupt_requested());
  EXPECT_EQ(invocation.reason(), InterruptReason::kNone);
}

TEST(InvocationTest, ActivityShowsMemoryWhileItIsArmed) {
  const auto engine = *engine::Engine::Create({});
  engine::Store store(engine->runtime());
  ASSERT_TRUE(store.CreateMemory({.limits = {.min = 3, .max = {}}}).ok());
  InvocationInfo info;
  info.id = 7;
  Invocation invocation(info);
  ASSERT_TRUE(invocation.Begin());
  EXPECT_EQ(invocation.activity().memory_bytes, 0u);
  invocation.Arm(store);
  EXPECT_EQ(invocation.activity().memory_bytes, 3u * 65536);
  EXPECT_EQ(invocation.activity().info.id, 7u);
  invocation.End();
  EXPECT_EQ(invocation.activity().memory_bytes, 0u);
}

}  // namespace
}  // namespace wasmd::daemon
