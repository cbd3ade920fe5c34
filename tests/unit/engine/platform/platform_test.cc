#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "engine/platform/event_fd.h"
#include "engine/platform/thread.h"
#include "engine/platform/virtual_memory.h"

namespace wasmd::engine {
namespace {

TEST(ReservationTest, OnlyWhatWasMadeAccessibleIs) {
  absl::StatusOr<Reservation> reservation = Reservation::Create(uint64_t{8} << 30);
  ASSERT_TRUE(reservation.ok()) << reservation.status();
  EXPECT_DEATH(std::memset(reservation->base(), 1, 1), "");
  ASSERT_TRUE(reservation->MakeAccessible(0, OsPageBytes()).ok());
  std::memset(reservation->base(), 1, OsPageBytes());
  EXPECT_DEATH(std::memset(reservation->base() + OsPageBytes(), 1, 1), "");
  EXPECT_TRUE(reservation->Contains(reservation->base()));
  EXPECT_TRUE(reservation->Contains(reservation->base() + reservation->size_bytes() - 1));
  EXPECT_FALSE(reservation->Contains(reservation->base() + reservation->size_bytes()));
}

TEST(ReservationTest, RunsOutWithAStatus) {
  EXPECT_EQ(Reservation::Create(uint64_t{1} << 60).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(ReservationTest, MoveLeavesNothing) {
  absl::StatusOr<Reservation> a = Reservation::Create(1 << 20);
  ASSERT_TRUE(a.ok());
  std::byte* const base = a->base();
  Reservation b = *std::move(a);
  EXPECT_EQ(b.base(), base);
  Reservation c;
  c = std::move(b);
  EXPECT_EQ(c.base(), base);
}

TEST(CodeMappingTest, TheTwoViewsAreOneAndNeitherIsBoth) {
  absl::StatusOr<CodeMapping> mapping = CodeMapping::Create(1 << 20);
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  const uint8_t return_7[] = {0xb8, 7, 0, 0, 0, 0xc3};
  std::memcpy(mapping->writable(), return_7, sizeof(return_7));
  EXPECT_EQ(std::memcmp(mapping->executable(), return_7, sizeof(return_7)), 0);
  int result = 0;
  asm("call *%1" : "=a"(result) : "r"(mapping->executable()) : "memory", "cc");
  EXPECT_EQ(result, 7);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    EXPECT_EQ(line.find("rwx"), std::string::npos) << line;
  }
  EXPECT_DEATH(*const_cast<std::byte*>(mapping->executable()) = std::byte{1}, "");
  mapping->Discard(0, OsPageBytes());
  EXPECT_EQ(*mapping->executable(), std::byte{0});
}

TEST(ThreadTest, TheStackIsTheOneInUse) {
  const auto check = [] {
    const StackBounds stack = CurrentThreadStack();
    const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    EXPECT_LT(stack.low, here);
    EXPECT_GT(stack.high, here);
  };
  check();
  std::thread(check).join();
}

TEST(ThreadTest, SignalsAreNotForOurThreads) {
  std::atomic<int> blocked{-1};
  std::optional<Thread> thread = Thread::Start([&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGSEGV) == 0 ? 1 : 0;
  });
  ASSERT_TRUE(thread.has_value());
  thread->Join();
  EXPECT_EQ(blocked, 1);
}

TEST(ThreadTest, SignalToAThreadThatEnded) {
  std::atomic<int32_t> id{0};
  std::thread([&] { id = CurrentThreadId(); }).join();
  // The kernel may take a moment to forget it.
  while (SignalThread(id, SIGURG, nullptr)) {
    std::this_thread::yield();
  }
}

TEST(EventFdTest, ReadableWhileSet) {
  absl::StatusOr<EventFd> event = EventFd::Create();
  ASSERT_TRUE(event.ok());
  const auto is_readable = [&] {
    pollfd fd = {event->fd(), POLLIN, 0};
    return poll(&fd, 1, 0) == 1;
  };
  EXPECT_FALSE(is_readable());
  event->Set();
  event->Set();
  EXPECT_TRUE(is_readable());
  event->Clear();
  EXPECT_FALSE(is_readable());
  EventFd none;
  none.Set();
  none.Clear();
  EXPECT_EQ(none.fd(), -1);
}

}  // namespace
}  // namespace wasmd::engine
