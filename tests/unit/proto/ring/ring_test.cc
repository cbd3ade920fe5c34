#include "proto/ring/ring.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "engine/base/unique_fd.h"
#include "proto/ring/layout.h"
#include "proto/ring/wait.h"
#include "tests/support/guarded_segment.h"

namespace wasmd::ring {
namespace {

using tests::GuardedSegment;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

constexpr uint64_t kGenerousNs = 30'000'000'000;

Submission Call(uint64_t argument) {
  Submission message;
  message.kind = SubmissionKind::kCall;
  message.words = 1;
  message.flags = 0x0102;
  message.func = static_cast<uint32_t>(argument * 3);
  message.tag = static_cast<uint32_t>(argument);
  message.deadline_ns = ~argument;
  message.payload = {argument, argument + 1, argument + 2, argument + 3};
  return message;
}

Completion Answer(const Submission& message) {
  Completion answer;
  answer.kind = CompletionKind::kReturned;
  answer.words = 1;
  answer.tag = message.tag;
  answer.detail = message.deadline_ns;
  answer.payload = message.payload;
  return answer;
}

struct Channel {
  explicit Channel(uint32_t slots, uint64_t first = 0, uint64_t arena_bytes = 0)
      : segment({slots, arena_bytes}),
        client(segment.view(), first),
        daemon(segment.view(), first) {}

  [[nodiscard]] uint32_t client_state() const {
    return segment.view().header().client_state.load();
  }
  [[nodiscard]] uint32_t daemon_state() const {
    return segment.view().header().daemon_state.load();
  }

  GuardedSegment segment;
  ClientEnd client;
  DaemonEnd daemon;
};

// ---- Geometry

TEST(GeometryTest, WhatIsValid) {
  EXPECT_TRUE((Geometry{2, 0}).IsValid());
  EXPECT_TRUE((Geometry{65'536, kMaxArenaBytes}).IsValid());
  EXPECT_TRUE(Geometry{}.IsValid());
  for (const uint32_t slots : {0U, 1U, 3U, 1000U, 131'072U, 0x8000'0000U, ~0U}) {
    EXPECT_FALSE((Geometry{slots, 0}).IsValid()) << slots;
  }
  for (const uint64_t arena : {uint64_t{1}, uint64_t{4095}, kMaxArenaBytes + 4096, ~uint64_t{0}}) {
    EXPECT_FALSE((Geometry{2, arena}).IsValid()) << arena;
  }
}

TEST(GeometryTest, PartsFollowEachOther) {
  for (uint32_t slots = kMinSlots; slots <= kMaxSlots; slots *= 2) {
    const Geometry geometry{slots, 8192};
    EXPECT_EQ(geometry.submissions_offset(), 4096U);
    EXPECT_EQ(geometry.completions_offset(), 4096U + uint64_t{slots} * 64);
    EXPECT_GE(geometry.arena_offset(), geometry.completions_offset() + uint64_t{slots} * 64);
    EXPECT_LT(geometry.arena_offset(), geometry.completions_offset() + uint64_t{slots} * 64 + 4096);
    EXPECT_EQ(geometry.arena_offset() % 4096, 0U);
    EXPECT_EQ(geometry.segment_bytes(), geometry.arena_offset() + 8192);
  }
}

TEST(GeometryTest, RangesOfTheArena) {
  EXPECT_TRUE(IsInArena(0, 0, 0));
  EXPECT_TRUE(IsInArena(0, 4096, 4096));
  EXPECT_TRUE(IsInArena(4096, 0, 4096));
  EXPECT_TRUE(IsInArena(4095, 1, 4096));
  EXPECT_FALSE(IsInArena(4097, 0, 4096));
  EXPECT_FALSE(IsInArena(4095, 2, 4096));
  EXPECT_FALSE(IsInArena(0, 4097, 4096));
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  EXPECT_FALSE(IsInArena(kMax, 1, 4096));
  EXPECT_FALSE(IsInArena(1, kMax, 4096));
  EXPECT_FALSE(IsInArena(kMax, kMax, 4096));
}

// ---- Messages

TEST(RingTest, MessagesArriveWhole) {
  Channel channel(4);
  Submission taken;
  EXPECT_FALSE(channel.daemon.HasSubmission());
  EXPECT_FALSE(channel.daemon.Take(taken));
  EXPECT_EQ(channel.client.Submit(Call(5)), 0U);
  EXPECT_TRUE(channel.daemon.HasSubmission());
  ASSERT_TRUE(channel.daemon.Take(taken));
  EXPECT_EQ(taken.sequence, 1U);
  EXPECT_EQ(taken.kind, SubmissionKind::kCall);
  EXPECT_EQ(taken.words, 1);
  EXPECT_EQ(taken.flags, 0x0102);
  EXPECT_EQ(taken.func, 15U);
  EXPECT_EQ(taken.tag, 5U);
  EXPECT_EQ(taken.deadline_ns, ~uint64_t{5});
  EXPECT_EQ(taken.payload, (std::array<uint64_t, 4>{5, 6, 7, 8}));
  EXPECT_EQ(taken.cancel, 0U);
  EXPECT_FALSE(channel.daemon.HasSubmission());
  EXPECT_FALSE(channel.daemon.Take(taken));

  Completion answer;
  answer.kind = CompletionKind::kTrapped;
  answer.words = 2;
  answer.code = 6;
  answer.tag = 5;
  answer.detail = 17;
  answer.payload = {1, 2, 3, 4};
  Completion seen;
  EXPECT_FALSE(channel.client.HasCompletion());
  EXPECT_FALSE(channel.client.Take(seen));
  channel.daemon.Complete(answer);
  EXPECT_TRUE(channel.client.HasCompletion());
  ASSERT_TRUE(channel.client.Take(seen));
  EXPECT_EQ(seen.sequence, 1U);
  EXPECT_EQ(seen.kind, CompletionKind::kTrapped);
  EXPECT_EQ(seen.words, 2);
  EXPECT_EQ(seen.code, 6);
  EXPECT_EQ(seen.tag, 5U);
  EXPECT_EQ(seen.detail, 17U);
  EXPECT_EQ(seen.payload, answer.payload);
  EXPECT_FALSE(channel.client.Take(seen));
}

// A slot counts once its first word does, whatever lies behind that already.
TEST(RingTest, NothingIsThereBeforeTheFirstWord) {
  Channel channel(2);
  Slot& slot = channel.segment.view().submissions()[0];
  for (size_t i = 1; i < kSlotWords; ++i) {
    slot.words[i].store(~uint64_t{0});
  }
  EXPECT_FALSE(channel.daemon.HasSubmission());
  slot.words[0].store(0xffff'ffff'0000'0002);  // The number of another message.
  EXPECT_FALSE(channel.daemon.HasSubmission());
  slot.words[0].store(0xffff'ffff'0000'0001);
  Submission message;
  ASSERT_TRUE(channel.daemon.Take(message));
  EXPECT_EQ(message.words, 0xff);
  EXPECT_EQ(message.flags, 0xffff);
}

class RingOrderTest : public testing::TestWithParam<uint64_t> {};

// Random numbers of messages in flight, many times around.
TEST_P(RingOrderTest, IsKeptAroundTheRing) {
  std::mt19937 random(42);  // NOLINT(bugprone-random-generator-seed): the same each time.
  for (const uint32_t slots : {2U, 4U, 64U}) {
    Channel channel(slots, GetParam());
    std::deque<Submission> in_daemon;
    uint64_t submitted = 0;
    uint64_t seen = 0;
    while (seen < 1000) {
      switch (random() % 4) {
        case 0:
          if (channel.client.CanSubmit()) {
            EXPECT_EQ(channel.client.Submit(Call(submitted)), GetParam() + submitted);
            ++submitted;
          } else {
            EXPECT_EQ(channel.client.in_flight(), slots);
          }
          break;
        case 1:
          if (Submission message; channel.daemon.Take(message)) {
            in_daemon.push_back(message);
            EXPECT_EQ(message.sequence, static_cast<uint32_t>(channel.daemon.taken()));
          }
          break;
        case 2:
          if (!in_daemon.empty()) {
            channel.daemon.Complete(Answer(in_daemon.front()));
            in_daemon.pop_front();
          }
          break;
        default:
          if (Completion message; channel.client.Take(message)) {
            ASSERT_EQ(message.tag, seen);
            ASSERT_EQ(message.payload, Call(seen).payload);
            ++seen;
            EXPECT_EQ(message.sequence, static_cast<uint32_t>(GetParam() + seen));
          }
      }
      ASSERT_EQ(channel.client.in_flight(), submitted - seen);
      ASSERT_LE(channel.daemon.completed(), channel.daemon.taken());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(First, RingOrderTest,
                         testing::Values(0, 0xffff'ff00, 0x1'0000'0000, 0xffff'ffff'0000'0000));

// Message 2^32 - 1 has the number 0, as a slot has that was never written.
TEST(RingTest, SequenceBeginsAgain) {
  Channel channel(2, 0xffff'fffb);
  for (const uint32_t sequence :
       {0xffff'fffcU, 0xffff'fffdU, 0xffff'fffeU, 0xffff'ffffU, 0U, 1U, 2U}) {
    channel.client.Submit(Call(sequence));
    Submission message;
    ASSERT_TRUE(channel.daemon.Take(message));
    EXPECT_EQ(message.sequence, sequence);
    EXPECT_FALSE(channel.daemon.Take(message));
    channel.daemon.Complete(Answer(message));
    Completion answer;
    ASSERT_TRUE(channel.client.Take(answer));
    EXPECT_EQ(answer.sequence, sequence);
    EXPECT_FALSE(channel.client.Take(answer));
  }
}

TEST(RingTest, AsManyInFlightAsSlots) {
  Channel channel(4);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(channel.client.CanSubmit());
    channel.client.Submit(Call(i));
  }
  EXPECT_FALSE(channel.client.CanSubmit());
  Submission message;
  ASSERT_TRUE(channel.daemon.Take(message));
  EXPECT_FALSE(channel.client.CanSubmit());
  channel.daemon.Complete(Answer(message));
  EXPECT_FALSE(channel.client.CanSubmit());  // Only what it has consumed frees a slot.
  Completion answer;
  ASSERT_TRUE(channel.client.Take(answer));
  EXPECT_TRUE(channel.client.CanSubmit());
  EXPECT_EQ(channel.client.Submit(Call(4)), 4U);
  EXPECT_FALSE(channel.client.CanSubmit());
}

TEST(RingTest, WhoSubmitsTooMuchLosesTheirOwn) {
  Channel channel(2);
  for (uint64_t i = 0; i < 3; ++i) {
    channel.client.Submit(Call(i));  // The third overwrites the first.
  }
  Submission message;
  EXPECT_FALSE(channel.daemon.Take(message));
  EXPECT_EQ(channel.daemon.taken(), 0U);
}

TEST(RingTest, CancelIsOfOneMessage) {
  Channel channel(2);
  channel.client.Submit(Call(0));
  const uint64_t second = channel.client.Submit(Call(1));
  Submission message;
  ASSERT_TRUE(channel.daemon.Take(message));
  channel.client.Cancel(second);
  EXPECT_FALSE(channel.daemon.IsCancelled(0));
  EXPECT_TRUE(channel.daemon.IsCancelled(second));
  ASSERT_TRUE(channel.daemon.Take(message));
  EXPECT_EQ(message.cancel, 1U);
  EXPECT_TRUE(channel.daemon.IsCancelled(second));
  channel.daemon.Complete({});
  channel.daemon.Complete({});
  Completion answer;
  ASSERT_TRUE(channel.client.Take(answer));
  ASSERT_TRUE(channel.client.Take(answer));
  // Messages that lie there next are not.
  channel.client.Submit(Call(2));
  const uint64_t fourth = channel.client.Submit(Call(3));
  ASSERT_EQ(fourth % 2, second % 2);
  EXPECT_FALSE(channel.daemon.IsCancelled(fourth));
}

// ---- Sleep and wake

TEST(RingSleepTest, DaemonIsRungOnce) {
  Channel channel(4);
  channel.client.Submit(Call(0));
  EXPECT_FALSE(channel.client.Flush());  // It is awake.
  channel.daemon.MarkAsleep();
  EXPECT_TRUE(channel.client.daemon_sleeps());
  EXPECT_TRUE(channel.daemon.HasSubmission());  // So it does not sleep after all.
  channel.client.Submit(Call(1));
  EXPECT_TRUE(channel.client.Flush());
  EXPECT_EQ(channel.daemon_state(), kAwake);
  channel.client.Submit(Call(2));
  EXPECT_FALSE(channel.client.Flush());  // Rung already.
  channel.daemon.MarkAsleep();
  channel.daemon.MarkAwake();
  EXPECT_FALSE(channel.client.Flush());
  EXPECT_FALSE(channel.client.daemon_sleeps());
}

TEST(RingSleepTest, ClientIsWokenOnce) {
  for (const WaitState how : {kAsleepFutex, kAsleepSocket}) {
    Channel channel(4);
    EXPECT_EQ(channel.daemon.TakeSleeper(), kAwake);
    EXPECT_TRUE(channel.client.PrepareSleep(how));
    EXPECT_EQ(channel.client_state(), how);
    channel.daemon.Complete({});
    EXPECT_EQ(channel.daemon.TakeSleeper(), how);
    EXPECT_EQ(channel.client_state(), kAwake);
    EXPECT_EQ(channel.daemon.TakeSleeper(), kAwake);
    EXPECT_EQ(channel.daemon.TakeSleeperRelaxed(), kAwake);
  }
}

TEST(RingSleepTest, ClientDoesNotSleepOverACompletion) {
  Channel channel(4);
  channel.daemon.Complete({});
  EXPECT_FALSE(channel.client.PrepareSleep(kAsleepFutex));
  EXPECT_EQ(channel.client_state(), kAwake);
  EXPECT_EQ(channel.daemon.TakeSleeper(), kAwake);
}

TEST(RingSleepTest, ClientWakesByItself) {
  Channel channel(4);
  EXPECT_TRUE(channel.client.PrepareSleep(kAsleepFutex));
  channel.client.Awake();
  channel.daemon.Complete({});
  EXPECT_EQ(channel.daemon.TakeSleeper(), kAwake);
}

TEST(RingSleepTest, StatesThatDoNotExist) {
  const Channel channel(4);
  ChannelHeader& header = channel.segment.view().header();
  for (const uint32_t state : {3U, 4U, 0x8000'0001U, ~0U}) {
    header.client_state = state;
    EXPECT_EQ(channel.daemon.TakeSleeperRelaxed(), kAwake) << state;
    EXPECT_EQ(channel.client_state(), kAwake) << state;
  }
}

// Every order of the steps of who publishes and of who goes to sleep: either the sleeper sees what
// is there, or it is woken.
template <typename A, typename B>
void InEveryOrder(size_t a_steps, size_t b_steps, const A& a, const B& b) {
  for (uint32_t order = 0; order < uint32_t{1} << (a_steps + b_steps); ++order) {
    if (static_cast<size_t>(std::popcount(order)) != a_steps) {
      continue;
    }
    SCOPED_TRACE(order);
    Channel channel(2);
    bool seen = false;
    bool woken = false;
    size_t a_step = 0;
    size_t b_step = 0;
    for (size_t i = 0; i < a_steps + b_steps; ++i) {
      if ((order >> i & 1) != 0) {
        woken = a(channel, a_step++) || woken;
      } else {
        seen = b(channel, b_step++) || seen;
      }
    }
    EXPECT_TRUE(seen || woken);
  }
}

TEST(RingSleepTest, NoOrderLosesASubmission) {
  InEveryOrder(
      2, 2,
      [](Channel& channel, size_t step) {
        if (step == 0) {
          channel.client.Submit(Call(1));
          return false;
        }
        return channel.client.Flush();
      },
      [](Channel& channel, size_t step) {
        if (step == 0) {
          channel.daemon.MarkAsleep();
          return false;
        }
        return channel.daemon.HasSubmission();
      });
}

TEST(RingSleepTest, NoOrderLosesACompletion) {
  InEveryOrder(
      2, 2,
      [](Channel& channel, size_t step) {
        if (step == 0) {
          channel.daemon.Complete({});
          return false;
        }
        return channel.daemon.TakeSleeper() == kAsleepFutex;
      },
      [](Channel& channel, size_t step) {
        // PrepareSleep's two halves.
        if (step == 0) {
          channel.segment.view().header().client_state = kAsleepFutex;
          return false;
        }
        return channel.client.HasCompletion();
      });
}

TEST(RingTest, CpusAreToldAndRead) {
  const Channel channel(2);
  EXPECT_EQ(channel.client.daemon_cpu(), kNoCpu);
  EXPECT_EQ(channel.daemon.client_cpu(), kNoCpu);
  channel.client.TellCpu(3);
  channel.daemon.TellCpu(5);
  EXPECT_EQ(channel.daemon.client_cpu(), 3U);
  EXPECT_EQ(channel.client.daemon_cpu(), 5U);
}

TEST(WaitTest, FutexComesBack) {
  std::atomic<uint32_t> word = kAwake;
  FutexWait(word, kAsleepFutex, kGenerousNs);  // Another value: at once.
  word = kAsleepFutex;
  FutexWait(word, kAsleepFutex, 1'000'000);  // The time limit.
  std::thread waker([&word] {
    word = kAwake;
    FutexWake(word);
  });
  const uint64_t before = MonotonicNs();
  while (word == kAsleepFutex) {
    FutexWait(word, kAsleepFutex, kGenerousNs);
  }
  waker.join();
  EXPECT_LT(MonotonicNs() - before, kGenerousNs);
}

TEST(WaitTest, DoorbellIsRungBySomebodyElse) {
  const engine::UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  pollfd poller{bell.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&poller, 1, 0), 0);
  RingDoorbell(bell.get());
  RingDoorbell(bell.get());
  EXPECT_EQ(::poll(&poller, 1, 0), 1);
  uint64_t count = 0;
  EXPECT_EQ(::read(bell.get(), &count, sizeof(count)), ssize_t{sizeof(count)});
  EXPECT_EQ(count, 2U);
  RingDoorbell(-1);  // A client may have closed it; nothing happens.
}

// ---- Two threads

// Answers `count` messages; waits by Idle(end) where there is none. Each answer has what was asked.
template <typename Idle, typename Wake>
void Serve(DaemonEnd& end, uint64_t count, Idle idle, const Wake& wake) {
  Submission message;
  for (const uint64_t last = end.completed() + count; end.completed() < last;) {
    if (!end.Take(message)) {
      idle();
      continue;
    }
    end.Complete(Answer(message));
    if (end.HasSubmission()) {
      wake(end.TakeSleeperRelaxed());
    } else {
      wake(end.TakeSleeper());
    }
  }
}

TEST(RingStressTest, Spinning) {
  constexpr uint64_t kMessages = kSanitized ? 200'000 : 2'000'000;
  // From below 2^32, so that the sequence begins again on the way.
  Channel channel(64, 0xffff'ffff - kMessages / 2);
  // More threads than CPUs may run here.
  const auto idle = [spins = 0]() mutable {
    CpuRelax();
    if (++spins % 64 == 0) {
      ::sched_yield();
    }
  };
  std::thread server(
      [&channel, idle] { Serve(channel.daemon, kMessages, idle, [](WaitState) {}); });
  auto client_idle = idle;
  uint64_t submitted = 0;
  uint64_t wrong = 0;
  for (uint64_t seen = 0; seen < kMessages;) {
    while (submitted < kMessages && channel.client.CanSubmit()) {
      channel.client.Submit(Call(submitted++));
    }
    Completion answer;
    if (!channel.client.Take(answer)) {
      client_idle();
      continue;
    }
    const Submission asked = Call(seen);
    wrong += answer.tag == asked.tag && answer.payload == asked.payload &&
                     answer.detail == asked.deadline_ns
                 ? 0U
                 : 1U;
    ++seen;
  }
  server.join();
  EXPECT_EQ(wrong, 0U);
}

// Both sides sleep whenever there is nothing to do. A wake-up that gets lost lasts for as long as
// the time limit.
TEST(RingStressTest, Sleeping) {
  constexpr uint64_t kMessages = kSanitized ? 20'000 : 100'000;
  Channel channel(8);
  const engine::UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::atomic<uint64_t> lost = 0;
  std::thread server([&channel, &bell, &lost] {
    const auto idle = [&] {
      channel.daemon.MarkAsleep();
      StoreLoadFence();
      if (!channel.daemon.HasSubmission()) {
        pollfd poller{bell.get(), POLLIN, 0};
        if (::poll(&poller, 1, static_cast<int>(kGenerousNs / 1'000'000)) != 1) {
          ++lost;
        }
        uint64_t rung = 0;
        static_cast<void>(!::read(bell.get(), &rung, sizeof(rung)));
      }
      channel.daemon.MarkAwake();
    };
    Serve(channel.daemon, kMessages, idle, [&channel](WaitState how) {
      if (how == kAsleepFutex) {
        FutexWake(channel.daemon.client_wait_word());
      }
    });
  });
  std::mt19937 random(7);  // NOLINT(bugprone-random-generator-seed): the same each time.
  uint64_t submitted = 0;
  uint64_t wrong = 0;
  for (uint64_t seen = 0; seen < kMessages;) {
    for (uint64_t window = random() % 8 + 1;
         window > 0 && submitted < kMessages && channel.client.CanSubmit(); --window) {
      channel.client.Submit(Call(submitted++));
    }
    if (channel.client.Flush()) {
      RingDoorbell(bell.get());
    }
    Completion answer;
    while (!channel.client.Take(answer)) {
      if (channel.client.PrepareSleep(kAsleepFutex)) {
        const uint64_t before = MonotonicNs();
        FutexWait(channel.client.wait_word(), kAsleepFutex, kGenerousNs);
        channel.client.Awake();
        lost += MonotonicNs() - before >= kGenerousNs ? 1U : 0U;
      }
    }
    wrong += answer.tag == seen && answer.payload == Call(seen).payload ? 0U : 1U;
    ++seen;
  }
  server.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(lost.load(), 0U);
}

// Rounds in which one thread publishes and looks for a sleeper while the other goes to sleep and
// looks once more, as near to the same time as can be. Returns in how many of them neither saw the
// other. Without the fences that is a few in a million on x86.
template <typename Sleep, typename Publish, typename Reset>
uint64_t CountLost(const Channel& channel, const Sleep& sleep, const Publish& publish,
                   const Reset& reset) {
  constexpr uint64_t kRounds = kSanitized ? 30'000 : 1'000'000;
  struct alignas(128) Line {
    std::atomic<uint64_t> value = 0;
  };
  Line ready;
  Line begun;
  Line done;
  Line woken;
  const auto wait_for = [](const Line& counter, uint64_t round) {
    for (uint32_t spins = 0; counter.value.load(std::memory_order_acquire) != round; ++spins) {
      if (spins > 1000) {
        ::sched_yield();
      }
    }
  };
  std::thread publisher([&] {
    for (uint64_t round = 1; round <= kRounds; ++round) {
      // Both have the lines in their caches, and own none: what is stored waits for that.
      static_cast<void>(channel.client_state() + channel.daemon_state());
      ready.value.store(round, std::memory_order_release);
      wait_for(begun, round);
      woken.value.store(publish() ? 1 : 0, std::memory_order_relaxed);
      done.value.store(round, std::memory_order_release);
    }
  });
  std::minstd_rand random(1);  // NOLINT(bugprone-random-generator-seed): the same each time.
  uint64_t lost = 0;
  for (uint64_t round = 1; round <= kRounds; ++round) {
    wait_for(ready, round);
    begun.value.store(round, std::memory_order_release);
    // The other thread hears of it a cache miss later.
    for (std::atomic<uint32_t> delay = static_cast<uint32_t>(random() % 300); delay > 0;) {
      delay.store(delay.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }
    const bool sleeps = sleep();
    wait_for(done, round);
    lost += sleeps && woken.value.load(std::memory_order_relaxed) == 0 ? 1U : 0U;
    reset();
  }
  publisher.join();
  return lost;
}

TEST(RingStressTest, FencesKeepACompletionFromGettingLost) {
  Channel channel(2);
  EXPECT_EQ(CountLost(
                channel, [&] { return channel.client.PrepareSleep(kAsleepFutex); },
                [&] {
                  channel.daemon.Complete({});
                  return channel.daemon.TakeSleeper() != kAwake;
                },
                [&] {
                  channel.client.Awake();
                  Completion message;
                  EXPECT_TRUE(channel.client.Take(message));
                }),
            0U);
}

TEST(RingStressTest, FencesKeepASubmissionFromGettingLost) {
  Channel channel(2);
  EXPECT_EQ(CountLost(
                channel,
                [&] {
                  channel.daemon.MarkAsleep();
                  StoreLoadFence();
                  return !channel.daemon.HasSubmission();
                },
                [&] {
                  channel.client.Submit(Call(1));
                  return channel.client.Flush();
                },
                [&] {
                  channel.daemon.MarkAwake();
                  Submission message;
                  EXPECT_TRUE(channel.daemon.Take(message));
                }),
            0U);
}

// ---- A client that writes what it likes

// Stores into every word of the segment that is shared, at random; often what is a message, `next`
// being the number that the daemon waits for.
void Scribble(const SegmentView& view, uint32_t seed, const std::atomic<uint64_t>& next,
              const std::atomic<bool>& stop) {
  std::mt19937_64 random(seed);
  const uint32_t slots = view.geometry().slots;
  ChannelHeader& header = view.header();
  while (!stop.load(std::memory_order_relaxed)) {
    const uint64_t dice = random();
    const uint64_t value = random();
    const uint64_t number = next.load(std::memory_order_relaxed) + (dice >> 16) % 2;
    switch (dice % 8) {
      case 0:
        header.client_state.store(static_cast<uint32_t>(value), std::memory_order_relaxed);
        header.client_cpu.store(static_cast<uint32_t>(value >> 32), std::memory_order_relaxed);
        break;
      case 1:
        header.daemon_state.store(static_cast<uint32_t>(value) % 4, std::memory_order_relaxed);
        header.daemon_cpu.store(static_cast<uint32_t>(value >> 32), std::memory_order_relaxed);
        break;
      case 2:
      case 3: {
        Slot* const ring = dice % 2 == 0 ? view.submissions() : view.completions();
        ring[(dice >> 8) % slots].words[(dice >> 40) % kSlotWords].store(value,
                                                                         std::memory_order_relaxed);
        break;
      }
      default:
        view.submissions()[number % slots].words[0].store(
            value << 32 | static_cast<uint32_t>(number + 1), std::memory_order_release);
    }
  }
}

TEST(RingStressTest, ScribblerHarmsItselfAlone) {
  constexpr uint64_t kLooks = kSanitized ? 300'000 : 3'000'000;
  for (const uint32_t slots : {2U, 16U}) {
    Channel channel(slots);
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> next = 0;
    std::thread scribbler([&] { Scribble(channel.segment.view(), slots, next, stop); });
    DaemonEnd& end = channel.daemon;
    uint64_t taken = 0;
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < kLooks; ++i) {
      Submission message;
      if (end.Take(message)) {
        ++taken;
        wrong += message.sequence == static_cast<uint32_t>(taken) ? 0U : 1U;
        end.Complete(Answer(message));
        next.store(taken, std::memory_order_relaxed);
      }
      wrong += end.taken() == taken && end.completed() == taken ? 0U : 1U;
      const WaitState how = end.TakeSleeper();
      wrong += how == kAwake || how == kAsleepFutex || how == kAsleepSocket ? 0U : 1U;
      static_cast<void>(end.IsCancelled(taken));
      end.MarkAsleep();
      static_cast<void>(end.HasSubmission());
      end.MarkAwake();
      end.TellCpu(static_cast<uint32_t>(i));
      static_cast<void>(end.client_cpu());
      if (i % 1024 == 0) {
        ::sched_yield();
      }
    }
    stop = true;
    scribbler.join();
    EXPECT_EQ(wrong, 0U);
    EXPECT_GT(taken, 0U) << "nothing was ever taken, so nothing was tested";
  }
}

}  // namespace
}  // namespace wasmd::ring
