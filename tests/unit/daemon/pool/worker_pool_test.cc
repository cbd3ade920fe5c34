// Tasks and rings on one set of threads: nothing is lost when either side sleeps, a call that takes
// long holds up nobody else, and what is overdue, cancelled, detached or broken ends.
#include "daemon/pool/worker_pool.h"

#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "engine/base/thread_priority.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"
#include "tests/support/ring_pair.h"

namespace wasmd::daemon {
namespace {

using tests::RingPair;

// Waits for what another thread does.
bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 30'000; ++i) {
    if (condition()) {
      return true;
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  return condition();
}

WorkerPoolOptions Sized(uint32_t workers, uint32_t max_workers, uint32_t max_queued = 1000) {
  WorkerPoolOptions options;
  options.limit_name = "--test-limit";
  options.workers = workers;
  options.max_workers = max_workers;
  options.max_queued = max_queued;
  return options;
}

// Answers with the arguments. Function 1 stays until it is interrupted or let go, 2 is parked.
class EchoSource : public RingSource {
 public:
  explicit EchoSource(const RingPair& pair) : RingSource(pair.DaemonView(), pair.doorbell()) {}

  bool Visit(daemon::Visit& visit, uint32_t budget) override {
    EXPECT_FALSE(busy_.exchange(true)) << "two threads serve one source";
    ring::Submission message;
    bool goes_on = true;
    if (std::exchange(was_parked_, false)) {
      Complete(parked_, 0);
    }
    for (uint32_t i = 0; i < budget && end_.Take(message); ++i) {
      if (message.func == 2) {
        parked_ = message;
        was_parked_ = true;
        goes_on = false;
        break;
      }
      visit.BeginCall(end_.taken() - 1, message.deadline_ns);
      if (message.func == 1 && !is_closed()) {
        stuck.store(true);
        while (interrupted_by.load() == 0 && !let_go.load()) {
          absl::SleepFor(absl::Microseconds(100));
        }
      }
      policy.store(::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK);
      if (visit.EndCall()) {
        settled.fetch_add(1);
      }
      Complete(message, interrupted_by.exchange(0));
      visit.ReturnPriority();
      if (end_.TakeSleeperRelaxed() != ring::kAwake) {
        ring::FutexWake(end_.client_wait_word());
      }
    }
    WakeClient();
    busy_.store(false);
    if (!goes_on) {
      parked.store(true);
      if (WorkerPool* const pool = unpark_at_once.load()) {
        pool->Unpark(*this);
      }
    }
    return goes_on;
  }
  void InterruptCall(uint64_t number, const Interruption& why) override {
    EXPECT_EQ(number, end_.taken() - 1);
    interrupted_by.store(static_cast<uint32_t>(why.reason));
  }
  void WakeClient() override {
    if (end_.TakeSleeper() != ring::kAwake) {
      ring::FutexWake(end_.client_wait_word());
    }
  }
  void Violate(std::string_view /*reason*/) override {
    violations.fetch_add(1);
    MarkClosed();
  }

  std::atomic<bool> stuck{false};
  std::atomic<bool> let_go{false};
  std::atomic<bool> parked{false};
  std::atomic<uint32_t> interrupted_by{0};
  std::atomic<uint32_t> violations{0};
  std::atomic<uint32_t> settled{0};
  std::atomic<int> policy{-1};  // Of the thread, when its last call ended.
  std::atomic<WorkerPool*> unpark_at_once{nullptr};

 private:
  void Complete(const ring::Submission& message, uint32_t code) {
    ring::Completion answer;
    answer.kind = code == 0 ? ring::CompletionKind::kReturned : ring::CompletionKind::kFailed;
    answer.code = static_cast<uint16_t>(code);
    answer.tag = message.tag;
    answer.payload = message.payload;
    end_.Complete(answer);
  }

  std::atomic<bool> busy_{false};
  ring::Submission parked_;
  bool was_parked_ = false;
};

struct Echo {
  RingPair pair;
  std::shared_ptr<EchoSource> source = std::make_shared<EchoSource>(pair);

  uint64_t Submit(uint32_t func, uint64_t argument = 0, uint64_t deadline_ns = 0) {
    ring::Submission message;
    message.kind = ring::SubmissionKind::kCall;
    message.func = func;
    message.tag = static_cast<uint32_t>(argument);
    message.payload[0] = argument;
    message.deadline_ns = deadline_ns;
    return pair.Submit(message);
  }
  ring::Completion Wait(uint64_t polls = 0) {
    ring::Completion answer;
    EXPECT_TRUE(pair.Wait(answer, polls)) << "no answer";
    return answer;
  }
  // A call of the echo itself.
  bool Echoes(uint64_t argument, uint64_t polls = 0) {
    Submit(0, argument);
    return Wait(polls).payload[0] == argument;
  }
};

// A pool and what is attached to it; ends in order.
class WorkerPoolTest : public testing::Test {
 protected:
  void Start(WorkerPoolOptions options) {
    pool_ = std::make_unique<WorkerPool>(std::move(options));
  }
  Echo& Attach() {
    echoes_.push_back(std::make_unique<Echo>());
    EXPECT_TRUE(pool_->Attach(echoes_.back()->source).ok());
    return *echoes_.back();
  }
  void TearDown() override {
    let_go_.store(true);
    let_go_.notify_all();
    for (const std::unique_ptr<Echo>& echo : echoes_) {
      echo->source->let_go.store(true);
    }
    if (pool_ != nullptr) {
      pool_->InterruptAll(engine::InterruptReason::kShutdown);
      pool_->Shutdown();
      EXPECT_EQ(pool_->threads(), 0u);
    }
  }

  std::atomic<bool> let_go_{false};  // Tasks wait for it; the end of the test sets it.
  std::vector<std::unique_ptr<Echo>> echoes_;
  std::unique_ptr<WorkerPool> pool_;
};

TEST_F(WorkerPoolTest, RunsEveryTask) {
  Start(Sized(3, 3, 10'000));
  std::atomic<int> ran{0};
  for (int i = 0; i < 5'000; ++i) {
    ASSERT_TRUE(pool_->Submit([&] { ran.fetch_add(1); }).ok());
  }
  EXPECT_TRUE(Eventually([&] { return ran.load() == 5'000; }));
}

TEST_F(WorkerPoolTest, ShutdownRunsWhatIsQueued) {
  Start(Sized(1, 1, 10'000));
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(pool_
                    ->Submit([&] {
                      ran.fetch_add(1);
                      pool_->SubmitAdmitted([&] { ran.fetch_add(1); });
                    })
                    .ok());
  }
  pool_->Shutdown();
  EXPECT_EQ(ran.load(), 200);
  EXPECT_EQ(pool_->Submit([] {}).code(), absl::StatusCode::kUnavailable);
}

TEST_F(WorkerPoolTest, RefusesWhatHasNoPlace) {
  Start(Sized(1, 1, 2));
  std::atomic<bool> runs{false};
  ASSERT_TRUE(pool_
                  ->Submit([&] {
                    runs.store(true);
                    let_go_.wait(false);
                  })
                  .ok());
  ASSERT_TRUE(Eventually([&] { return runs.load(); }));
  absl::Status status;
  int accepted = 0;
  while ((status = pool_->Submit([] {})).ok() && accepted < 100) {
    ++accepted;
  }
  EXPECT_EQ(accepted, 3);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("--test-limit"));
}

TEST_F(WorkerPoolTest, ATaskThatTakesLongDelaysNoOthers) {
  Start(Sized(1, 4));
  std::atomic<int> ran{0};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool_->Submit([this] { let_go_.wait(false); }).ok());
  }
  ASSERT_TRUE(pool_->Submit([&] { ran.fetch_add(1); }).ok());
  EXPECT_TRUE(Eventually([&] { return ran.load() == 1; })) << pool_->threads() << " threads";
  EXPECT_GE(pool_->hand_overs(), 3u);
}

// The watchdog has real-time priority where it may; what it starts runs guests, and must not.
TEST_F(WorkerPoolTest, NoWorkerHasRealTimePriority) {
  Start(Sized(1, 4));
  ASSERT_TRUE(pool_->Submit([this] { let_go_.wait(false); }).ok());
  std::atomic<int> policy{-1};
  ASSERT_TRUE(pool_->Submit([&] { policy.store(::sched_getscheduler(0)); }).ok());
  ASSERT_TRUE(Eventually([&] { return policy.load() != -1; }));
  EXPECT_EQ(policy.load(), SCHED_OTHER);
  EXPECT_GE(pool_->hand_overs(), 1u) << "it did not run on a thread that the watchdog started";
}

// On a busy machine it would not get a CPU to stop on.
TEST_F(WorkerPoolTest, AWorkerThatIsStoppedHasRealTimePriorityUntilItHasAnswered) {
  bool may = false;
  std::thread([&] { may = engine::RaiseThreadToRealTime(); }).join();
  Start(Sized(1, 1));
  Echo& echo = Attach();
  for (int i = 0; i < 20; ++i) {
    echo.source->stuck.store(false);
    echo.Submit(1, 0, i % 2 == 0 ? ring::MonotonicNs() + 1'000'000 : 0);
    ASSERT_TRUE(Eventually([&] { return echo.source->stuck.load(); }));
    if (i % 2 != 0) {
      pool_->InterruptAll(engine::InterruptReason::kShutdown);
    }
    EXPECT_NE(echo.Wait().code, 0u);
    EXPECT_EQ(echo.source->policy.load(), may ? SCHED_FIFO : SCHED_OTHER) << i;
    // The next call is an ordinary one.
    ASSERT_TRUE(echo.Echoes(3));
    EXPECT_EQ(echo.source->policy.load(), SCHED_OTHER) << i;
  }
  if (!may) {
    std::cout << "this process may not have real-time priority: nothing was lent\n";
  }
}

TEST_F(WorkerPoolTest, AnswersWhetherOrNotEitherSideSleeps) {
  for (const int64_t spin_us : {0, 50}) {
    WorkerPoolOptions options = Sized(1, 1);
    options.max_spin = absl::Microseconds(spin_us);
    Start(options);
    Echo& echo = Attach();
    for (uint64_t i = 0; i < 3'000; ++i) {
      ASSERT_TRUE(echo.Echoes(i, i % 3 == 0 ? 100'000 : 0)) << i;
      if (i % 500 == 0) {
        absl::SleepFor(absl::Milliseconds(2));  // Both sides fall asleep.
      }
    }
    TearDown();
    echoes_.clear();
    pool_ = nullptr;
  }
}

TEST_F(WorkerPoolTest, AnswersManyAtOnceInOrder) {
  Start(Sized(1, 1));
  Echo& echo = Attach();
  uint64_t answered = 0;
  for (uint64_t sent = 0; answered < 50'000;) {
    while (echo.pair.client.CanSubmit() && sent < 50'000) {
      ring::Submission message;
      message.kind = ring::SubmissionKind::kCall;
      message.payload[0] = sent++;
      echo.pair.client.Submit(message);
    }
    echo.pair.Flush();
    ring::Completion answer = echo.Wait();
    do {
      ASSERT_EQ(answer.payload[0], answered++);
    } while (echo.pair.client.Take(answer));
  }
}

TEST_F(WorkerPoolTest, ServesManyChannelsAndTasksTogether) {
  Start(Sized(2, 4));
  constexpr int kChannels = 20;
  constexpr uint64_t kCalls = 300;
  for (int i = 0; i < kChannels; ++i) {
    Attach();
  }
  std::atomic<uint64_t> right{0};
  std::atomic<int> ran{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kChannels; ++i) {
    clients.emplace_back([&, i] {
      for (uint64_t call = 0; call < kCalls; ++call) {
        right += echoes_[static_cast<size_t>(i)]->Echoes(call, call % 2 == 0 ? 0 : 200) ? 1 : 0;
        if (call % 50 == 0) {
          EXPECT_TRUE(pool_->Submit([&] { ran.fetch_add(1); }).ok());
        }
      }
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  EXPECT_EQ(right.load(), kChannels * kCalls);
  EXPECT_TRUE(Eventually([&] { return ran.load() == kChannels * 6; }));
}

TEST_F(WorkerPoolTest, ACallThatTakesLongDelaysNoOtherRing) {
  Start(Sized(1, 3));
  Echo& slow = Attach();
  Echo& other = Attach();
  Echo& third = Attach();
  ASSERT_TRUE(other.Echoes(1));
  slow.Submit(0, 5);
  slow.Submit(1);
  // Its client sleeps, and yet hears of the call before.
  EXPECT_EQ(slow.Wait().payload[0], 5u);
  ASSERT_TRUE(Eventually([&] { return slow.source->stuck.load(); }));
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(other.Echoes(i));
    ASSERT_TRUE(third.Echoes(i));
  }
  EXPECT_GE(pool_->hand_overs(), 1u);
  slow.source->let_go.store(true);
  EXPECT_EQ(slow.Wait().kind, ring::CompletionKind::kReturned);
  // And it is served again, by whoever has its lane now.
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(slow.Echoes(i));
    ASSERT_TRUE(other.Echoes(i));
  }
}

TEST_F(WorkerPoolTest, LanesGoFromHandToHandWithoutLoss) {
  WorkerPoolOptions options = Sized(1, 3);
  options.tick = absl::Microseconds(200);
  Start(options);
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    Attach();
  }
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&, i] {
      Echo& echo = *echoes_[static_cast<size_t>(i)];
      for (uint64_t call = 0; call < 100; ++call) {
        ASSERT_TRUE(echo.Echoes(call));
        echo.source->let_go.store(false);
        echo.Submit(1, call);
        absl::SleepFor(absl::Microseconds(call * 10));
        echo.source->let_go.store(true);
        ASSERT_EQ(echo.Wait().payload[0], call);
      }
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  EXPECT_LE(pool_->threads(), 3u);
}

TEST_F(WorkerPoolTest, EndsWhatIsOverdueOrCancelled) {
  Start(Sized(1, 2));
  Echo& echo = Attach();
  echo.Submit(1, 0, ring::MonotonicNs() + 3'000'000);
  EXPECT_EQ(echo.Wait().code, static_cast<uint16_t>(engine::InterruptReason::kDeadline));
  const uint64_t number = echo.Submit(1);
  ASSERT_TRUE(Eventually([&] { return echo.source->stuck.load(); }));
  echo.pair.client.Cancel(number);
  EXPECT_EQ(echo.Wait().code, static_cast<uint16_t>(engine::InterruptReason::kCancel));
  EXPECT_GE(echo.source->settled.load(), 2u) << "a claim was not noticed";
  EXPECT_TRUE(echo.Echoes(3));
}

// By the alarm: by ticks, which are ten seconds apart, it would take half an hour.
TEST_F(WorkerPoolTest, ADeadlineIsSeenWhateverTheAlarmIsSetTo) {
  WorkerPoolOptions options = Sized(2, 2);
  options.tick = absl::Seconds(10);
  Start(options);
  Echo& first = Attach();
  Echo& second = Attach();  // On the other lane.
  for (uint64_t i = 0; i < 100; ++i) {
    const uint64_t now = ring::MonotonicNs();
    // Later than what is armed, earlier, long ago, and beside calls that end by themselves.
    second.Submit(1, 0, now + 2'000'000);
    first.Submit(0, i, now + i * 1'000'000'000);
    first.Submit(1, i, i % 3 == 0 ? now : now + i * 20'000);
    EXPECT_EQ(first.Wait().payload[0], i);
    ASSERT_EQ(first.Wait().code, static_cast<uint16_t>(engine::InterruptReason::kDeadline)) << i;
    ASSERT_EQ(second.Wait().code, static_cast<uint16_t>(engine::InterruptReason::kDeadline)) << i;
  }
}

TEST_F(WorkerPoolTest, ACancelMayRing) {
  Start(Sized(1, 2));
  Echo& echo = Attach();
  for (int i = 0; i < 20; ++i) {
    echo.source->stuck.store(false);
    const uint64_t number = echo.Submit(1);
    ASSERT_TRUE(Eventually([&] { return echo.source->stuck.load(); }));
    // With a bell or without, once or too often, in a call that is stuck or is not yet.
    absl::SleepFor(absl::Microseconds(300 * i));
    for (int rung = 0; rung < i; ++rung) {
      ring::RingDoorbell(echo.pair.doorbell());
    }
    echo.pair.client.Cancel(number);
    if (i % 2 == 0) {
      ring::RingDoorbell(echo.pair.doorbell());
    }
    ASSERT_EQ(echo.Wait().code, static_cast<uint16_t>(engine::InterruptReason::kCancel)) << i;
    ASSERT_TRUE(echo.Echoes(3));
  }
  EXPECT_EQ(echo.source->violations.load(), 0u);
}

TEST_F(WorkerPoolTest, DetachingEndsTheCallAndLetsGo) {
  Start(Sized(1, 2));
  for (int i = 0; i < 20; ++i) {
    auto echo = std::make_unique<Echo>();
    ASSERT_TRUE(pool_->Attach(echo->source).ok());
    if (i % 2 == 0) {
      echo->Submit(1);
      ASSERT_TRUE(Eventually([&] { return echo->source->stuck.load(); }));
    }
    pool_->Detach(echo->source, engine::InterruptReason::kClientGone);
    EXPECT_TRUE(Eventually([&] { return echo->source.use_count() == 1; })) << i;
    pool_->Detach(echo->source, engine::InterruptReason::kClientGone);
  }
  EXPECT_EQ(pool_->sources(), 0u);
}

TEST_F(WorkerPoolTest, ParksAndUnparks) {
  Start(Sized(1, 2));
  Echo& echo = Attach();
  Echo& other = Attach();
  echo.Submit(2, 7);
  echo.Submit(0, 8);
  ASSERT_TRUE(Eventually([&] { return echo.source->parked.load(); }));
  EXPECT_TRUE(other.Echoes(1));
  ring::Completion none;
  EXPECT_FALSE(echo.pair.client.Take(none)) << "served while parked";
  pool_->Unpark(*echo.source);
  EXPECT_EQ(echo.Wait().payload[0], 7u);
  EXPECT_EQ(echo.Wait().payload[0], 8u);
  // Unparked before the pool has heard that it is parked.
  echo.source->unpark_at_once.store(pool_.get());
  for (uint64_t i = 0; i < 200; ++i) {
    echo.Submit(2, i);
    ASSERT_EQ(echo.Wait().payload[0], i);
  }
}

// A message may be served before its client looks whether the daemon sleeps: then it takes the mark
// of the next sleep, and rings for nothing.
TEST_F(WorkerPoolTest, ABellThatComesLateDoesNotSilenceTheNext) {
  Start(Sized(1, 1));
  Echo& echo = Attach();
  Echo& other = Attach();
  for (uint64_t i = 0; i < 20; ++i) {
    ring::Submission message;
    message.kind = ring::SubmissionKind::kCall;
    message.payload[0] = i;
    echo.pair.client.Submit(message);
    ASSERT_TRUE(other.Echoes(i));  // Wakes the worker, which looks at both.
    ring::Completion answer;
    ASSERT_TRUE(Eventually([&] { return echo.pair.client.Take(answer); })) << i;
    ASSERT_EQ(answer.payload[0], i);
    ASSERT_TRUE(Eventually([&] { return echo.pair.client.daemon_sleeps(); })) << i;
    echo.pair.Flush();
    ASSERT_TRUE(Eventually([&] { return echo.pair.client.daemon_sleeps(); }))
        << "asleep, and the client does not know: " << i;
    ASSERT_TRUE(echo.Echoes(i)) << i;
  }
}

TEST_F(WorkerPoolTest, AChannelThatComesBackDoesNotWaitForALongCall) {
  Start(Sized(1, 3));
  Echo& slow = Attach();
  Echo& echo = Attach();
  echo.Submit(2, 7);
  ASSERT_TRUE(Eventually([&] { return echo.source->parked.load(); }));
  // The worker finds both at once, and the long call first.
  ASSERT_TRUE(Eventually([&] { return slow.pair.client.daemon_sleeps(); }));
  ring::Submission message;
  message.kind = ring::SubmissionKind::kCall;
  message.func = 1;
  slow.pair.client.Submit(message);
  pool_->Unpark(*echo.source);
  ring::Completion answer;
  EXPECT_TRUE(Eventually([&] { return echo.pair.client.Take(answer); }));
  EXPECT_EQ(answer.payload[0], 7u);
  slow.source->let_go.store(true);
  EXPECT_EQ(slow.Wait().kind, ring::CompletionKind::kReturned);
}

TEST_F(WorkerPoolTest, ATaskGoesToALaneThatSleepsIfItsOwnIsHeldUp) {
  Start(Sized(2, 2));
  Echo& slow = Attach();
  Echo& other = Attach();  // On the other lane.
  ASSERT_TRUE(Eventually(
      [&] { return slow.pair.client.daemon_sleeps() && other.pair.client.daemon_sleeps(); }));
  ring::Submission message;
  message.kind = ring::SubmissionKind::kCall;
  message.func = 1;
  slow.pair.client.Submit(message);
  std::atomic<bool> ran{false};
  ASSERT_TRUE(pool_->Submit([&] { ran.store(true); }).ok());
  EXPECT_TRUE(Eventually([&] { return ran.load(); }));
}

TEST_F(WorkerPoolTest, DisconnectsWhoOnlyRings) {
  Start(Sized(1, 1));
  Echo& echo = Attach();
  Echo& other = Attach();
  EXPECT_TRUE(Eventually([&] {
    for (int i = 0; i < 100; ++i) {
      ring::RingDoorbell(echo.pair.doorbell());
    }
    return echo.source->violations.load() != 0;
  }));
  EXPECT_TRUE(other.Echoes(1));
  EXPECT_EQ(other.source->violations.load(), 0u);
}

TEST_F(WorkerPoolTest, AHundredIdleChannelsCostNothing) {
  Start(Sized(2, 4));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Attach().Echoes(1));
  }
  absl::SleepFor(absl::Milliseconds(100));  // Workers and watchdog fall asleep.
  const auto cpu_us = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
  };
  const auto before = cpu_us();
  absl::SleepFor(absl::Seconds(1));
  // 0.5 % of a core, whatever else the machine does.
  EXPECT_LT(cpu_us() - before, 5'000);
  EXPECT_TRUE(echoes_[50]->Echoes(2));
}

}  // namespace
}  // namespace wasmd::daemon
