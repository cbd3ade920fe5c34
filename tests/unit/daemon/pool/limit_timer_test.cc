// Checks come in order, again as long as they ask for it, and not after they were removed.
#include "daemon/pool/limit_timer.h"

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wasmd::daemon {
namespace {

TEST(LimitTimerTest, InOrderOfTime) {
  LimitTimer timer;
  absl::Mutex mutex;
  std::vector<int> order;
  absl::Notification done;
  const auto note = [&](int number) {
    return [&, number]() -> std::optional<absl::Duration> {
      const absl::MutexLock lock(&mutex);
      order.push_back(number);
      if (number == 3) {
        done.Notify();
      }
      return std::nullopt;
    };
  };
  timer.Add(absl::Milliseconds(30), note(3));
  timer.Add(absl::Milliseconds(20), note(2));
  timer.Add(absl::Milliseconds(-5), note(1));
  done.WaitForNotification();
  const absl::MutexLock lock(&mutex);
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 3));
}

TEST(LimitTimerTest, AgainUntilItSaysNo) {
  LimitTimer timer;
  std::atomic<int> count{0};
  absl::Notification done;
  timer.Add(absl::ZeroDuration(), [&]() -> std::optional<absl::Duration> {
    if (count.fetch_add(1) == 4) {
      done.Notify();
      return std::nullopt;
    }
    return absl::ZeroDuration();
  });
  done.WaitForNotification();
  timer.Shutdown();
  EXPECT_EQ(count.load(), 5);
}

TEST(LimitTimerTest, RemovedOnesAreNotCalled) {
  LimitTimer timer;
  const auto kept = std::make_shared<int>(1);
  const LimitTimer::Entry entry =
      timer.Add(absl::Hours(1), [kept]() -> std::optional<absl::Duration> { return std::nullopt; });
  EXPECT_EQ(kept.use_count(), 2);
  timer.Remove(entry);
  EXPECT_EQ(kept.use_count(), 1);
  timer.Remove(entry);
  timer.Remove(0);
  // While it is being called: not again.
  absl::Notification called;
  absl::Notification removed;
  std::atomic<int> count{0};
  const LimitTimer::Entry again = timer.Add(absl::ZeroDuration(), [&] {
    count.fetch_add(1);
    called.Notify();
    removed.WaitForNotification();
    return std::optional(absl::ZeroDuration());
  });
  called.WaitForNotification();
  timer.Remove(again);
  removed.Notify();
  absl::Notification later;
  timer.Add(absl::Milliseconds(20), [&]() -> std::optional<absl::Duration> {
    later.Notify();
    return std::nullopt;
  });
  later.WaitForNotification();
  EXPECT_EQ(count.load(), 1);
}

TEST(LimitTimerTest, ShutdownForgetsWhatWaits) {
  const auto kept = std::make_shared<int>(1);
  {
    LimitTimer timer;
    timer.Add(absl::InfiniteDuration(),
              [kept]() -> std::optional<absl::Duration> { return std::nullopt; });
    timer.Shutdown();
    timer.Shutdown();
    timer.Add(absl::ZeroDuration(),
              [kept]() -> std::optional<absl::Duration> { return std::nullopt; });
  }
  EXPECT_EQ(kept.use_count(), 1);
}

}  // namespace
}  // namespace wasmd::daemon
