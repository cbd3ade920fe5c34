// Clients that break the protocol, or scribble over the segment while the daemon serves it: from
// another thread, and from another process. The daemon reads and writes nothing outside, ends what
// is over, and calls nothing after that. tests/fuzz/ring_fuzz.cc is the same without an end.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <ostream>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"

#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "tests/support/channel_under_test.h"
#include "tests/support/scribbler.h"

namespace wasmd::daemon {
namespace {

using ring::ArenaCall;
using ring::Completion;
using ring::CompletionKind;
using ring::Submission;
using ring::SubmissionKind;
using tests::ChannelUnderTest;
using tests::Scribbler;
using Func = ChannelUnderTest::Func;

SubmissionKind Kind(uint8_t number) {
  return std::bit_cast<SubmissionKind>(number);
}

// gRPC status codes.
constexpr uint16_t kCancelled = 1;
constexpr uint16_t kInvalidArgument = 3;
constexpr uint16_t kDeadlineExceeded = 4;
constexpr uint16_t kOutOfRange = 11;

constexpr ring::Geometry kGeometry{8, 8192};

Submission Add() {
  Submission message;
  message.kind = SubmissionKind::kCall;
  message.func = Func::kAdd;
  message.words = 2;
  message.payload = {1, 2, 0, 0};
  return message;
}

Submission InArena(SubmissionKind kind, uint32_t func, const ArenaCall& place) {
  Submission message;
  message.kind = kind;
  message.func = func;
  message.words = ring::kInlineWords;
  message.flags = kind == SubmissionKind::kCall ? ring::kFlagArena : 0;
  message.payload = std::bit_cast<std::array<uint64_t, ring::kInlineWords>>(place);
  return message;
}

struct Case {
  std::string name;
  Submission message;
  uint16_t code = 0;    // Refused: with this gRPC status code.
  uint64_t needed = 0;  // The bytes that the output would need.
};
void PrintTo(const Case& broken, std::ostream* out) {
  *out << broken.name;
}

Case Broken(std::string name, void (*change)(Submission&), uint16_t code = 0) {
  Submission message = Add();
  change(message);
  return {std::move(name), message, code};
}

constexpr uint64_t kAll = ~uint64_t{0};

class ViolationTest : public testing::TestWithParam<Case> {};

TEST_P(ViolationTest, EndsTheChannel) {
  ChannelUnderTest under_test(kGeometry);
  ring::ClientEnd client(under_test.view());
  client.Submit(Add());
  client.Submit(GetParam().message);
  client.Submit(Add());
  under_test.Visit(8);
  EXPECT_EQ(under_test.violations(), 1u);
  EXPECT_TRUE(under_test.channel().is_closed());
  EXPECT_FALSE(under_test.channel().violation().empty());
  // What came before it is answered; it is not, and nothing behind it is called.
  EXPECT_EQ(under_test.guest_calls(), 1u);
  Completion answer;
  ASSERT_TRUE(client.Take(answer));
  EXPECT_EQ(answer.kind, CompletionKind::kReturned);
  EXPECT_EQ(answer.payload[0], 3u);
  EXPECT_FALSE(client.Take(answer));
  under_test.Visit(8);
  EXPECT_EQ(under_test.guest_calls(), 1u);
  EXPECT_EQ(under_test.violations(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    All, ViolationTest,
    testing::Values(
        Broken("KindZero", [](Submission& m) { m.kind = Kind(0); }),
        Broken("KindUnknown", [](Submission& m) { m.kind = Kind(3); }),
        Broken("KindReserved", [](Submission& m) { m.kind = SubmissionKind::kImportReturn; }),
        Broken("Flag", [](Submission& m) { m.flags = 2; }),
        Broken("FlagBesideArena", [](Submission& m) { m.flags = 0x8001; }),
        Broken("Words", [](Submission& m) { m.words = 5; }),
        Broken("WordsAll", [](Submission& m) { m.words = 255; }),
        Broken("FuncNeverBound", [](Submission& m) { m.func = Func::kFuncs; }),
        Broken("FuncBeyond", [](Submission& m) { m.func = ~0u; }),
        Broken("ArenaWords", [](Submission& m) { m.flags = ring::kFlagArena; }),
        Case{"InputBehind", InArena(SubmissionKind::kCallBytes, Func::kEcho, {8192, 1, 0, 0})},
        Case{"InputTooLong", InArena(SubmissionKind::kCallBytes, Func::kEcho, {1, 8192, 0, 0})},
        Case{"InputWraps", InArena(SubmissionKind::kCallBytes, Func::kEcho, {kAll, 2, 0, 0})},
        Case{"InputHuge", InArena(SubmissionKind::kCallBytes, Func::kEcho, {2, kAll, 0, 0})},
        Case{"EmptyButOutside", InArena(SubmissionKind::kCallBytes, Func::kEcho, {8193, 0, 0, 0})},
        Case{"OutputBehind", InArena(SubmissionKind::kCallBytes, Func::kEcho, {0, 0, 8192, 1})},
        Case{"OutputWraps", InArena(SubmissionKind::kCallBytes, Func::kEcho, {0, 0, kAll, 2})},
        Case{"InputAskew", InArena(SubmissionKind::kCall, Func::kMany, {4, 48, 64, 48})},
        Case{"OutputAskew", InArena(SubmissionKind::kCall, Func::kMany, {0, 48, 65, 48})}),
    [](const auto& test) { return test.param.name; });

// What is wrong with one call alone.
class RefusedTest : public testing::TestWithParam<Case> {};

TEST_P(RefusedTest, LeavesTheChannel) {
  ChannelUnderTest under_test(kGeometry);
  ring::ClientEnd client(under_test.view());
  client.Submit(GetParam().message);
  client.Submit(Add());
  under_test.Visit(8);
  EXPECT_EQ(under_test.violations(), 0u);
  Completion answer;
  ASSERT_TRUE(client.Take(answer));
  EXPECT_EQ(answer.kind, CompletionKind::kFailed);
  EXPECT_EQ(answer.code, GetParam().code);
  EXPECT_EQ(answer.words, 0u);
  EXPECT_NE(answer.detail, 0u);
  EXPECT_EQ(answer.payload[0], GetParam().needed);
  // Only a byte string's size is known too late.
  const bool was_called = GetParam().needed != 0 && GetParam().message.func == Func::kEcho;
  EXPECT_EQ(under_test.guest_calls(), was_called ? 2u : 1u);
  ASSERT_TRUE(client.Take(answer));
  EXPECT_EQ(answer.payload[0], 3u);
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedTest,
    testing::Values(
        Broken(
            "FewWords", [](Submission& m) { m.words = 1; }, kInvalidArgument),
        Broken(
            "ManyWords", [](Submission& m) { m.words = 3; }, kInvalidArgument),
        Broken(
            "Cancelled", [](Submission& m) { m.cancel = 1; }, kCancelled),
        Broken(
            "CancelWordIsAnything", [](Submission& m) { m.cancel = kAll; }, kCancelled),
        Broken(
            "Late", [](Submission& m) { m.deadline_ns = 1; }, kDeadlineExceeded),
        Broken(
            "BytesFuncAsWords", [](Submission& m) { m.func = Func::kEcho; }, kInvalidArgument),
        Broken(
            "TooManyForASlot",
            [](Submission& m) {
              m.func = Func::kMany;
              m.words = 4;
            },
            kInvalidArgument),
        Case{"WordsFuncAsBytes", InArena(SubmissionKind::kCallBytes, Func::kAdd, {0, 16, 16, 8}),
             kInvalidArgument},
        Case{"BytesFuncAsArenaWords", InArena(SubmissionKind::kCall, Func::kEcho, {0, 16, 16, 8}),
             kInvalidArgument},
        Case{"ArenaWordsTooFew", InArena(SubmissionKind::kCall, Func::kMany, {0, 40, 64, 48}),
             kInvalidArgument},
        Case{"ArenaRoomTooSmall", InArena(SubmissionKind::kCall, Func::kMany, {0, 48, 64, 40}),
             kOutOfRange, 48},
        Case{"BytesRoomTooSmall", InArena(SubmissionKind::kCallBytes, Func::kEcho, {0, 9, 9, 8}),
             kOutOfRange, 9}),
    [](const auto& test) { return test.param.name; });

// Visits a channel whose segment somebody scribbles over, `next` being told to them.
void ServeScribbled(ChannelUnderTest& under_test, uint32_t visits, std::atomic<uint64_t>& next) {
  const ring::DaemonEnd& end = under_test.channel().end();
  for (uint32_t visit = 0; visit < visits; ++visit) {
    const uint64_t taken = end.taken();
    const uint32_t guest_calls = under_test.guest_calls();
    const bool was_closed = under_test.channel().is_closed();
    under_test.Visit(8);
    next.store(end.taken(), std::memory_order_relaxed);
    ASSERT_LE(end.taken(), taken + 8);
    ASSERT_EQ(end.completed() + under_test.violations(), end.taken());
    ASSERT_LE(under_test.violations(), 1u);
    if (was_closed) {
      ASSERT_EQ(end.taken(), taken);
      ASSERT_EQ(under_test.guest_calls(), guest_calls);
    }
    if (visit % 64 == 0) {
      ::sched_yield();
    }
  }
}

// Scribbling that is valid for the most part goes on for long; any other soon ends the channel.
struct Scribbling {
  bool only_valid;
  uint32_t channels;
  uint32_t visits;
};
constexpr std::array<Scribbling, 2> kScribblings = {{{true, 4, 20'000}, {false, 100, 300}}};

TEST(ScribbledTest, ByAnotherThread) {
  for (const Scribbling& how : kScribblings) {
    uint64_t answered = 0;
    uint32_t violations = 0;
    for (uint32_t seed = 0; seed < how.channels && !HasFailure(); ++seed) {
      ChannelUnderTest under_test(kGeometry);
      std::atomic<uint64_t> next = 0;
      std::atomic<bool> stop = false;
      std::atomic<uint32_t> steps = 0;
      std::thread scribbler([&] {
        Scribbler by(under_test.view(), seed,
                     {.funcs = Func::kFuncs, .only_valid = how.only_valid});
        while (!stop.load(std::memory_order_relaxed)) {
          by.Step(next.load(std::memory_order_relaxed));
          steps.fetch_add(1, std::memory_order_relaxed);
        }
      });
      // On a busy machine all visits could be over before it begins.
      while (steps.load(std::memory_order_relaxed) < 100) {
        ::sched_yield();
      }
      ServeScribbled(under_test, how.visits, next);
      stop = true;
      scribbler.join();
      answered += under_test.channel().end().completed();
      violations += under_test.violations();
    }
    EXPECT_GT(answered, 0u);
    if (!how.only_valid) {
      EXPECT_GT(violations, 0u);
    }
  }
}

// Shared with the child beside the segment.
struct Told {
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
};

// A child that has the segment's memfd, as a client has it, in a mapping of its own.
[[noreturn]] void ScribbleInChild(int memfd, Told& told, uint32_t seed, bool only_valid) {
  void* const base =
      ::mmap(nullptr, kGeometry.segment_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (base == MAP_FAILED) {
    std::_Exit(1);
  }
  Scribbler by({static_cast<std::byte*>(base), kGeometry}, seed,
               {.funcs = Func::kFuncs, .only_valid = only_valid});
  while (!told.stop.load(std::memory_order_relaxed) && ::getppid() != 1) {
    for (int i = 0; i < 100; ++i) {
      by.Step(told.next.load(std::memory_order_relaxed));
    }
  }
  std::_Exit(0);
}

TEST(ScribbledTest, ByAnotherProcess) {
  void* const page =
      ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  for (const Scribbling& how : kScribblings) {
    uint64_t answered = 0;
    for (uint32_t seed = 0; seed < how.channels / 4 && !HasFailure(); ++seed) {
      Told& told = *::new (page) Told;
      ChannelUnderTest under_test(kGeometry);
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        ScribbleInChild(under_test.memfd(), told, seed, how.only_valid);
      }
      // It has begun when the first message is there.
      while (!under_test.channel().end().HasSubmission()) {
        ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "the child has ended";
        ::sched_yield();
      }
      ServeScribbled(under_test, how.visits, told.next);
      told.stop = true;
      int status = 0;
      EXPECT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
      answered += under_test.channel().end().completed();
    }
    EXPECT_GT(answered, 0u);
  }
  ::munmap(page, sizeof(Told));
}

// A hole punched into the memfd reads as zeros, and shrinking it is refused.
TEST(ScribbledTest, PagesCannotBeTakenAway) {
  ChannelUnderTest under_test(kGeometry);
  ring::ClientEnd client(under_test.view());
  EXPECT_NE(::ftruncate(under_test.memfd(), 0), 0);
  EXPECT_NE(::ftruncate(under_test.memfd(), 1 << 20), 0);
  client.Submit(Add());
  ASSERT_EQ(::fallocate(under_test.memfd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                        static_cast<off_t>(kGeometry.segment_bytes())),
            0);
  under_test.Visit(8);
  EXPECT_EQ(under_test.channel().end().taken(), 0u);
  client.Submit(Add());  // Message 1 is not next.
  under_test.Visit(8);
  EXPECT_EQ(under_test.guest_calls(), 0u);
  EXPECT_EQ(under_test.violations(), 0u);
}

}  // namespace
}  // namespace wasmd::daemon
