// Exactly one of `run` and `dropped` is called for what was taken, in order for an instance, and
// nothing for what was refused.
#include "daemon/scheduler/scheduler.h"

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/config/options.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"

namespace wasmd::daemon {
namespace {

using absl::StatusCode;
using engine::InterruptReason;

constexpr absl::Duration kWatchdog = absl::Seconds(30);

Options Small() {
  Options options;
  options.workers = 2;
  options.max_workers = 2;
  options.max_queued_calls = 4;
  options.max_runs = 2;
  options.max_calls_per_session = 3;
  return options;
}

std::shared_ptr<Invocation> NewInvocation(std::string principal = "uid:1") {
  InvocationInfo info;
  info.principal = std::move(principal);
  return std::make_shared<Invocation>(std::move(info));
}

// Work whose run waits for `release` and whose ends are counted.
struct Probe {
  absl::Notification release;
  absl::Notification began;
  std::atomic<int> ran{0};
  std::atomic<int> completed{0};
  std::atomic<int> dropped{0};

  Scheduler::Work Work(std::shared_ptr<Invocation> invocation) {
    Scheduler::Work work;
    work.invocation = std::move(invocation);
    work.run = [this]() -> std::function<void()> {
      ran.fetch_add(1);
      began.Notify();
      release.WaitForNotification();
      return [this] { completed.fetch_add(1); };
    };
    work.dropped = [this] { dropped.fetch_add(1); };
    return work;
  }
};

class SchedulerTest : public testing::Test {
 protected:
  void TearDown() override { scheduler_.Shutdown(); }
  bool Idle() { return scheduler_.WaitUntilIdle(absl::Now() + kWatchdog); }
  Scheduler scheduler_{Small()};
};

TEST_F(SchedulerTest, RunsAndCompletes) {
  Probe probe;
  probe.release.Notify();
  ASSERT_TRUE(scheduler_.StartCall(probe.Work(NewInvocation())).ok());
  ASSERT_TRUE(Idle());
  scheduler_.Shutdown();
  EXPECT_EQ(probe.completed.load(), 1);
  EXPECT_EQ(probe.dropped.load(), 0);
}

TEST_F(SchedulerTest, RunsOverTheLimitAreRefusedAndNotCalled) {
  Probe first;
  Probe second;
  Probe third;
  ASSERT_TRUE(scheduler_.StartRun(first.Work(NewInvocation())).ok());
  ASSERT_TRUE(scheduler_.StartRun(second.Work(NewInvocation())).ok());
  const absl::Status refused = scheduler_.StartRun(third.Work(NewInvocation()));
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.message().find("--max-runs"), absl::string_view::npos) << refused;
  EXPECT_EQ(scheduler_.active(), 2u);
  first.release.Notify();
  second.release.Notify();
  ASSERT_TRUE(Idle());
  EXPECT_EQ(third.ran.load() + third.dropped.load(), 0);
}

TEST_F(SchedulerTest, WhatWaitsIsDroppedAtItsDeadline) {
  Probe held[2];
  for (Probe& probe : held) {
    ASSERT_TRUE(scheduler_.StartCall(probe.Work(NewInvocation())).ok());
    ASSERT_TRUE(probe.began.WaitForNotificationWithTimeout(kWatchdog));
  }
  Probe late;
  const std::shared_ptr<Invocation> invocation = NewInvocation();
  Scheduler::Work work = late.Work(invocation);
  work.deadline = absl::Now() + absl::Milliseconds(20);
  ASSERT_TRUE(scheduler_.StartCall(std::move(work)).ok());
  for (int i = 0; i < 30'000 && late.dropped.load() == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(late.dropped.load(), 1);
  EXPECT_EQ(invocation->reason(), InterruptReason::kDeadline);
  for (Probe& probe : held) {
    probe.release.Notify();
  }
  ASSERT_TRUE(Idle());
  EXPECT_EQ(late.ran.load(), 0);
}

TEST_F(SchedulerTest, ADeadlineInThePastDropsOrInterrupts) {
  Probe probe;
  probe.release.Notify();
  const std::shared_ptr<Invocation> invocation = NewInvocation();
  Scheduler::Work work = probe.Work(invocation);
  work.deadline = absl::Now() - absl::Seconds(1);
  ASSERT_TRUE(scheduler_.StartCall(std::move(work)).ok());
  ASSERT_TRUE(Idle());
  scheduler_.Shutdown();
  EXPECT_EQ(probe.completed.load() + probe.dropped.load(), 1);
}

TEST_F(SchedulerTest, AnInstanceServesOneAtATimeInOrder) {
  const auto engine = *engine::Engine::Create({});
  const auto group = std::make_shared<InstanceGroup>(
      engine->runtime(), GuestLimits{.memory_bytes = 1 << 20, .wasm_stack_bytes = 1 << 20});
  absl::Mutex mutex;
  std::vector<int> order;
  std::atomic<int> inside{0};
  absl::Notification gate;
  for (int i = 0; i < 4; ++i) {
    Scheduler::Work work;
    work.invocation = NewInvocation();
    work.group = group;
    work.run = [&, i]() -> std::function<void()> {
      EXPECT_EQ(inside.fetch_add(1), 0) << "two in one instance";
      gate.WaitForNotification();
      {
        const absl::MutexLock lock(&mutex);
        order.push_back(i);
      }
      inside.fetch_sub(1);
      return [] {};
    };
    work.dropped = [] { FAIL(); };
    ASSERT_TRUE(scheduler_.StartCall(std::move(work)).ok()) << i;
  }
  // Those that wait hold no worker: another call runs at once.
  Probe other;
  other.release.Notify();
  ASSERT_TRUE(scheduler_.StartCall(other.Work(NewInvocation())).ok());
  ASSERT_TRUE(other.began.WaitForNotificationWithTimeout(kWatchdog));
  // One runs, three wait, and that is the limit.
  Probe more;
  Scheduler::Work work = more.Work(NewInvocation());
  work.group = group;
  EXPECT_EQ(scheduler_.StartCall(std::move(work)).code(), StatusCode::kResourceExhausted);
  gate.Notify();
  ASSERT_TRUE(Idle());
  EXPECT_THAT(order, testing::ElementsAre(0, 1, 2, 3));
}

TEST_F(SchedulerTest, DrainingRefusesAndWaits) {
  Probe probe;
  ASSERT_TRUE(scheduler_.StartCall(probe.Work(NewInvocation())).ok());
  ASSERT_TRUE(probe.began.WaitForNotificationWithTimeout(kWatchdog));
  scheduler_.StopAdmission();
  Probe refused;
  EXPECT_EQ(scheduler_.StartCall(refused.Work(NewInvocation())).code(), StatusCode::kUnavailable);
  EXPECT_FALSE(scheduler_.WaitUntilIdle(absl::Now() + absl::Milliseconds(5)));
  probe.release.Notify();
  EXPECT_TRUE(Idle());
}

TEST_F(SchedulerTest, ActivitiesAreOfOnePrincipal) {
  Probe mine;
  Probe theirs;
  ASSERT_TRUE(scheduler_.StartCall(mine.Work(NewInvocation("uid:1"))).ok());
  ASSERT_TRUE(scheduler_.StartCall(theirs.Work(NewInvocation("uid:2"))).ok());
  EXPECT_EQ(scheduler_.Activities("uid:1").size(), 1u);
  EXPECT_EQ(scheduler_.Activities("uid:3").size(), 0u);
  mine.release.Notify();
  theirs.release.Notify();
  EXPECT_TRUE(Idle());
}

// Cancels while work is queued, starts and ends: each invocation ends once, whichever way.
TEST_F(SchedulerTest, CancelsRaceWithEverything) {
  constexpr int kRounds = 300;
  std::atomic<int> ended{0};
  int taken = 0;
  for (int i = 0; i < kRounds; ++i) {
    const std::shared_ptr<Invocation> invocation = NewInvocation();
    Scheduler::Work work;
    work.invocation = invocation;
    work.deadline = absl::Now() + absl::Microseconds(50 + i);
    work.run = [&]() -> std::function<void()> { return [&] { ended.fetch_add(1); }; };
    work.dropped = [&] { ended.fetch_add(1); };
    if (scheduler_.StartCall(std::move(work)).ok()) {
      ++taken;
    }
    invocation->Interrupt(InterruptReason::kCancel);
  }
  ASSERT_TRUE(Idle());
  scheduler_.Shutdown();
  EXPECT_EQ(ended.load(), taken);
}

}  // namespace
}  // namespace wasmd::daemon
