// The alarm rings for whoever expects something first, and the watchdog looks for each reason that
// it has: deadlines, ticks, bells. With ticks an hour apart, what ends is ended by its deadline.
#include "daemon/pool/watchdog.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/pool/alarm.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/invocation.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/wait.h"

namespace wasmd::daemon {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kHour = 3'600'000 * kMs;

bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 30'000 && !condition(); ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  return condition();
}

bool Rings(const Alarm& alarm, int timeout_ms) {
  pollfd waiting{alarm.fd(), POLLIN, 0};
  return ::poll(&waiting, 1, timeout_ms) == 1;
}

TEST(AlarmTest, RingsForTheEarliest) {
  Alarm alarm;
  EXPECT_FALSE(Rings(alarm, 0));
  alarm.Expect(Alarm::kNever);
  EXPECT_FALSE(Rings(alarm, 0));
  const uint64_t now = ring::MonotonicNs();
  alarm.Expect(now + kHour);
  EXPECT_FALSE(Rings(alarm, 0));
  alarm.Expect(now + kMs);
  alarm.Expect(now + 2 * kHour);
  EXPECT_TRUE(Rings(alarm, 30'000));
  alarm.Open(Alarm::kNever);
  EXPECT_FALSE(Rings(alarm, 0)) << "what was expected is forgotten";
  alarm.Open(now + kHour);
  alarm.Expect(1);  // Long ago, and 0, which would stop a timer.
  EXPECT_TRUE(Rings(alarm, 30'000));
  alarm.Open(now + kHour);
  alarm.Expect(0);
  EXPECT_TRUE(Rings(alarm, 30'000));
}

TEST(AlarmTest, TheEarliestOfManyThreadsWins) {
  for (uint64_t round = 0; round < 50; ++round) {
    Alarm alarm;
    const uint64_t soon = ring::MonotonicNs() + kMs;
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back(
          [&, t] { alarm.Expect(t == round % 4 ? soon : soon + t * kHour + kHour); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    ASSERT_TRUE(Rings(alarm, 30'000)) << round;
  }
}

class FakeSubject : public Watchdog::Subject {
 public:
  uint64_t LookAround(const Watchdog::Look& look) override {
    looks.fetch_add(1);
    ticks.fetch_add(look.is_tick ? 1 : 0);
    bells.fetch_add(look.is_bell ? 1 : 0);
    if (const int bell = listen_to.exchange(-1); bell >= 0) {
      watchdog->Listen(bell);
      listens.store(true);
    }
    const uint64_t next = deadline_ns.load();
    if (look.now_ns >= next) {
      deadline_ns.store(Alarm::kNever);
      overdue.fetch_add(1);
      return Alarm::kNever;
    }
    return next;
  }
  bool AnyAwake() override { return awake.load(); }

  Watchdog* watchdog = nullptr;
  std::atomic<uint64_t> deadline_ns{Alarm::kNever};
  std::atomic<bool> awake{false};
  std::atomic<int> listen_to{-1};
  std::atomic<bool> listens{false};
  std::atomic<int> looks{0};
  std::atomic<int> ticks{0};
  std::atomic<int> bells{0};
  std::atomic<int> overdue{0};
};

class WatchdogTest : public testing::Test {
 protected:
  void Start(uint64_t tick_ns) {
    watchdog_ = std::make_unique<Watchdog>(subject_, tick_ns);
    subject_.watchdog = watchdog_.get();
    ASSERT_TRUE(watchdog_->Start());
  }
  void TearDown() override {
    if (watchdog_ != nullptr) {
      watchdog_->Stop();
      watchdog_->Stop();
    }
  }
  static std::shared_ptr<Invocation> New() {
    return std::make_shared<Invocation>(InvocationInfo{});
  }
  static bool IsDue(const Invocation& invocation) {
    return invocation.reason() == engine::InterruptReason::kDeadline;
  }

  FakeSubject subject_;
  std::unique_ptr<Watchdog> watchdog_;
};

TEST_F(WatchdogTest, InterruptsAtTheDeadlineAndNotBefore) {
  Start(kHour);
  const auto first = New();
  const auto second = New();
  const auto late = New();
  const auto removed = New();
  const auto past = New();
  const absl::Time begin = absl::Now();
  static_cast<void>(watchdog_->Add(absl::Hours(1), late));
  static_cast<void>(watchdog_->Add(absl::InfiniteDuration(), late));
  static_cast<void>(watchdog_->Add(absl::Milliseconds(30), second));
  static_cast<void>(watchdog_->Add(absl::Milliseconds(10), first));
  const Watchdog::Entry entry = watchdog_->Add(absl::Milliseconds(15), removed);
  watchdog_->Remove(entry);
  watchdog_->Remove(entry);
  static_cast<void>(watchdog_->Add(-absl::Seconds(1), past));
  ASSERT_TRUE(Eventually([&] { return IsDue(*past); }));
  ASSERT_TRUE(Eventually([&] { return IsDue(*first); }));
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(10));
  ASSERT_TRUE(Eventually([&] { return IsDue(*second); }));
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(30));
  EXPECT_FALSE(IsDue(*removed));
  EXPECT_FALSE(IsDue(*late));
  EXPECT_EQ(subject_.ticks.load(), 0);
  // Once for each deadline, and when it was brought forward: it does not poll.
  EXPECT_LE(subject_.looks.load(), 20);
}

TEST_F(WatchdogTest, ChecksInOrderOfTime) {
  Start(kHour);
  engine::Mutex mutex;
  std::vector<int> order;
  std::atomic<bool> done{false};
  const auto note = [&](int number) {
    return [&, number]() -> std::optional<absl::Duration> {
      const engine::MutexLock lock(mutex);
      order.push_back(number);
      if (number == 3) {
        done.store(true);
      }
      return std::nullopt;
    };
  };
  watchdog_->Add(absl::Milliseconds(30), note(3));
  watchdog_->Add(absl::Milliseconds(20), note(2));
  watchdog_->Add(absl::Milliseconds(-5), note(1));
  ASSERT_TRUE(Eventually([&] { return done.load(); }));
  const engine::MutexLock lock(mutex);
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 3));
}

TEST_F(WatchdogTest, ChecksAgainUntilTheySayNo) {
  Start(kHour);
  std::atomic<int> count{0};
  std::atomic<bool> done{false};
  watchdog_->Add(absl::ZeroDuration(), [&]() -> std::optional<absl::Duration> {
    if (count.fetch_add(1) == 4) {
      done.store(true);
      return std::nullopt;
    }
    return absl::ZeroDuration();
  });
  ASSERT_TRUE(Eventually([&] { return done.load(); }));
  watchdog_->Stop();
  EXPECT_EQ(count.load(), 5);
}

TEST_F(WatchdogTest, RemovedChecksAreNotCalled) {
  Start(kHour);
  const auto kept = std::make_shared<int>(1);
  const Watchdog::Entry entry = watchdog_->Add(
      absl::Hours(1), [kept]() -> std::optional<absl::Duration> { return std::nullopt; });
  EXPECT_EQ(kept.use_count(), 2);
  watchdog_->Remove(entry);
  EXPECT_EQ(kept.use_count(), 1);
  watchdog_->Remove(entry);
  watchdog_->Remove(0);
  // While it is being called: not again.
  std::atomic<bool> called{false};
  std::atomic<bool> removed{false};
  std::atomic<int> count{0};
  const Watchdog::Entry again = watchdog_->Add(absl::ZeroDuration(), [&] {
    count.fetch_add(1);
    called.store(true);
    EXPECT_TRUE(Eventually([&] { return removed.load(); }));
    return std::optional(absl::ZeroDuration());
  });
  ASSERT_TRUE(Eventually([&] { return called.load(); }));
  watchdog_->Remove(again);
  removed.store(true);
  std::atomic<bool> later{false};
  watchdog_->Add(absl::Milliseconds(20), [&]() -> std::optional<absl::Duration> {
    later.store(true);
    return std::nullopt;
  });
  ASSERT_TRUE(Eventually([&] { return later.load(); }));
  EXPECT_EQ(count.load(), 1);
}

TEST_F(WatchdogTest, LooksWhenItsSubjectExpectsTo) {
  Start(kHour);
  for (int i = 0; i < 200; ++i) {
    const uint64_t deadline = ring::MonotonicNs() + 100'000;
    subject_.deadline_ns.store(deadline);
    watchdog_->alarm().Expect(deadline);
    ASSERT_TRUE(Eventually([&] { return subject_.overdue.load() == i + 1; })) << i;
  }
}

TEST_F(WatchdogTest, TicksWhileAnythingIsAwake) {
  Start(100'000);
  for (int i = 0; i < 20; ++i) {
    subject_.awake.store(true);
    ASSERT_FALSE(watchdog_->is_ticking());
    watchdog_->StartTicking();
    const int before = subject_.ticks.load();
    ASSERT_TRUE(Eventually([&] { return subject_.ticks.load() >= before + 30; })) << i;
    EXPECT_TRUE(watchdog_->is_ticking());
    subject_.awake.store(false);
    ASSERT_TRUE(Eventually([&] { return !watchdog_->is_ticking(); })) << i;
  }
}

TEST_F(WatchdogTest, HearsABell) {
  Start(kHour);
  const engine::UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ring::RingDoorbell(bell.get());
  subject_.listen_to.store(bell.get());
  watchdog_->alarm().Expect(1);
  ASSERT_TRUE(Eventually([&] { return subject_.listens.load(); }));
  for (int i = 0; i < 50; ++i) {
    // Nobody reads it; each ring is heard all the same.
    const int before = subject_.bells.load();
    ring::RingDoorbell(bell.get());
    ASSERT_TRUE(Eventually([&] { return subject_.bells.load() > before; })) << i;
  }
}

TEST_F(WatchdogTest, ForgetsWhatIsLeftWhenItStops) {
  Start(kHour);
  const auto left = New();
  static_cast<void>(watchdog_->Add(absl::Hours(1), left));
  EXPECT_EQ(left.use_count(), 2);
  watchdog_->Stop();
  EXPECT_EQ(left.use_count(), 1);
  EXPECT_EQ(watchdog_->Add(absl::Milliseconds(1), left), 0u);
  EXPECT_FALSE(watchdog_->Start());
  EXPECT_EQ(left.use_count(), 1);
}

}  // namespace
}  // namespace wasmd::daemon
