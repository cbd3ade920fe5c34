// A bounded queue, threads as they are needed, and a place for others when tasks hold all threads.
#include "daemon/pool/thread_pool.h"

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace wasmd::daemon {
namespace {

constexpr absl::Duration kWatchdog = absl::Seconds(30);

ThreadPoolOptions Sized(uint32_t threads, uint32_t max_threads, uint32_t max_queued) {
  ThreadPoolOptions options;
  options.name = "test";
  options.limit_name = "--test-limit";
  options.threads = threads;
  options.max_threads = max_threads;
  options.max_queued = max_queued;
  return options;
}

// Tasks that hold their thread until they are let go.
class Held {
 public:
  std::function<void()> Task() {
    return [this] {
      running_.fetch_add(1);
      release_.WaitForNotification();
    };
  }
  void Release() { release_.Notify(); }
  bool WaitForRunning(int count) const {
    for (int i = 0; i < 30'000 && running_.load() < count; ++i) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return running_.load() >= count;
  }
  int running() const { return running_.load(); }

 private:
  std::atomic<int> running_{0};
  absl::Notification release_;
};

TEST(ThreadPoolTest, RunsEveryTask) {
  std::atomic<int> ran{0};
  ThreadPool pool(Sized(3, 3, 10'000));
  for (int i = 0; i < 5'000; ++i) {
    ASSERT_TRUE(pool.Submit([&] { ran.fetch_add(1); }).ok());
  }
  pool.Shutdown();
  EXPECT_EQ(ran.load(), 5'000);
  EXPECT_EQ(pool.threads(), 0u);
}

TEST(ThreadPoolTest, RefusesWhatHasNoPlace) {
  Held held;
  ThreadPool pool(Sized(2, 2, 3));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(pool.Submit(held.Task()).ok()) << i;
  }
  const absl::Status refused = pool.Submit(held.Task());
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(refused.message().find("--test-limit"), absl::string_view::npos);
  EXPECT_TRUE(held.WaitForRunning(2));
  EXPECT_EQ(held.running(), 2) << "more threads than there may be";
  held.Release();
  pool.Shutdown();
  EXPECT_EQ(held.running(), 5);
}

TEST(ThreadPoolTest, WithoutAQueueOnlyThreadsCount) {
  Held held;
  ThreadPool pool(Sized(2, 2, 0));
  EXPECT_TRUE(pool.Submit(held.Task()).ok());
  EXPECT_TRUE(pool.Submit(held.Task()).ok());
  EXPECT_EQ(pool.Submit(held.Task()).code(), absl::StatusCode::kResourceExhausted);
  held.Release();
  pool.Shutdown();
}

TEST(ThreadPoolTest, TasksThatStallGiveOthersAThread) {
  Held held;
  ThreadPool pool(Sized(2, 8, 100));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pool.Submit(held.Task()).ok());
  }
  ASSERT_TRUE(held.WaitForRunning(4)) << "stalled tasks kept others from running";
  absl::Notification ran;
  ASSERT_TRUE(pool.Submit([&] { ran.Notify(); }).ok());
  EXPECT_TRUE(ran.WaitForNotificationWithTimeout(kWatchdog));
  held.Release();
  pool.Shutdown();
}

TEST(ThreadPoolTest, NeverMoreThreadsThanAllowed) {
  Held held;
  ThreadPool pool(Sized(1, 3, 100));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(pool.Submit(held.Task()).ok());
  }
  ASSERT_TRUE(held.WaitForRunning(3));
  absl::SleepFor(absl::Milliseconds(100));  // Several times the stall: a fourth would have come.
  EXPECT_EQ(held.running(), 3);
  EXPECT_EQ(pool.threads(), 3u);
  held.Release();
  pool.Shutdown();
  EXPECT_EQ(held.running(), 10);
}

TEST(ThreadPoolTest, ShutDownTakesNothingMore) {
  ThreadPool pool(Sized(1, 1, 1));
  pool.Shutdown();
  EXPECT_EQ(pool.Submit([] {}).code(), absl::StatusCode::kUnavailable);
}

TEST(ThreadPoolTest, IdleThreadsEnd) {
  ThreadPoolOptions options = Sized(4, 4, 10);
  options.kept_threads = 1;
  options.idle_timeout = absl::Milliseconds(5);
  Held held;
  ThreadPool pool(options);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pool.Submit(held.Task()).ok());
  }
  ASSERT_TRUE(held.WaitForRunning(4));
  held.Release();
  for (int i = 0; i < 30'000 && pool.threads() > 1; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(pool.threads(), 1u);
  absl::Notification ran;
  ASSERT_TRUE(pool.Submit([&] { ran.Notify(); }).ok());
  EXPECT_TRUE(ran.WaitForNotificationWithTimeout(kWatchdog));
  pool.Shutdown();
}

}  // namespace
}  // namespace wasmd::daemon
