// Attaching: to a daemon that does it right, and to one that does each thing wrong.
#include "client/cpp/ring_connection.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/cpp/fake_ring_daemon.h"

namespace wasmd::client {
namespace {

using testing::HasSubstr;

absl::StatusOr<std::unique_ptr<RingConnection>> Attach(
    const FakeRingDaemon& daemon, const RingOptions& options = {},
    absl::Duration patience = absl::Seconds(30)) {
  return RingConnection::Attach(daemon.Connect(), FakeRingDaemon::Token(), options,
                                absl::Now() + patience);
}

TEST(RingConnectionTest, AttachesByTheDaemonsDefaultsOrAsAskedFor) {
  const FakeRingDaemon daemon({});
  {
    auto connection = Attach(daemon);
    ASSERT_TRUE(connection.ok()) << connection.status();
    EXPECT_EQ((*connection)->channel(), 77U);
    EXPECT_EQ((*connection)->view().geometry(), (ring::Geometry{.slots = 8, .arena_bytes = 4096}));
    EXPECT_EQ((*connection)->features(), ring::kFeatureBytes);
    EXPECT_EQ((*connection)->clock_offset_ns(), 0);
    EXPECT_TRUE((*connection)->Check().ok());
    // All of it is mapped, to the last byte.
    (*connection)->view().arena()[4095] = std::byte{1};
  }
  // Arenas are whole pages.
  auto connection = Attach(daemon, {.slots = 64, .arena_bytes = 5000});
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ((*connection)->view().geometry(), (ring::Geometry{.slots = 64, .arena_bytes = 8192}));
  EXPECT_TRUE(FakeRingDaemon::WaitUntil([&] { return daemon.ended() == 1; }))
      << "the first channel goes on";
}

TEST(RingConnectionTest, AClockOfAnotherNamespaceIsReckonedWith) {
  constexpr int64_t kDayNs = int64_t{86'400} * 1'000'000'000;
  for (const int64_t ahead_ns : {kDayNs, -kDayNs}) {
    const FakeRingDaemon daemon({.clock_ahead_ns = ahead_ns});
    auto connection = Attach(daemon);
    ASSERT_TRUE(connection.ok()) << connection.status();
    EXPECT_NEAR(static_cast<double>((*connection)->clock_offset_ns()),
                static_cast<double>(ahead_ns), 30e9);
  }
}

TEST(RingConnectionTest, RefusesToAskForWhatCannotBe) {
  const FakeRingDaemon daemon({});
  for (const uint32_t slots : {1U, 3U, 65'537U, 131'072U}) {
    EXPECT_EQ(Attach(daemon, {.slots = slots}).status().code(), absl::StatusCode::kInvalidArgument)
        << slots;
  }
  for (const uint64_t bytes : {ring::kMaxArenaBytes + 1, ~uint64_t{0}}) {
    EXPECT_EQ(Attach(daemon, {.slots = 0, .arena_bytes = bytes}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bytes;
  }
  EXPECT_EQ(
      RingConnection::Attach(daemon.Connect(), "short", {}, absl::InfiniteFuture()).status().code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(RingConnectionTest, SaysWhatTheDaemonDidWrong) {
  using enum AttachFault;
  struct Case {
    AttachFault fault;
    absl::StatusCode code;
    const char* words;
  };
  for (const Case& wrong : {
           Case{kRefuse, absl::StatusCode::kUnavailable, "gives no channel: no channels left"},
           Case{kHangUp, absl::StatusCode::kUnavailable, "closed the connection"},
           Case{kHangUpInFrame, absl::StatusCode::kUnavailable, "closed the connection"},
           Case{kHangUpInPayload, absl::StatusCode::kUnavailable, "closed the connection"},
           Case{kGarbage, absl::StatusCode::kUnimplemented, "does not take an attach"},
           Case{kWrongVersion, absl::StatusCode::kUnimplemented, "version 2"},
           Case{kTooLongPayload, absl::StatusCode::kInternal, "too long"},
           Case{kShortReply, absl::StatusCode::kInternal, "another length"},
           Case{kWrongType, absl::StatusCode::kInternal, "another type"},
           Case{kNoDescriptors, absl::StatusCode::kInternal, "number of descriptors"},
           Case{kOneDescriptor, absl::StatusCode::kInternal, "number of descriptors"},
           Case{kThreeDescriptors, absl::StatusCode::kInternal, "number of descriptors"},
           Case{kManyDescriptors, absl::StatusCode::kInternal, "number of descriptors"},
           Case{kSwappedDescriptors, absl::StatusCode::kInternal, "is not sealed"},
           Case{kUnsealed, absl::StatusCode::kInternal, "is not sealed"},
           Case{kHalfSealed, absl::StatusCode::kInternal, "is not sealed"},
           Case{kShortSegment, absl::StatusCode::kInternal, "the segment has 8192 bytes"},
           Case{kLongSegment, absl::StatusCode::kInternal, "the segment has 16384 bytes"},
           Case{kWrongSegmentBytes, absl::StatusCode::kInternal, "a segment of 16384"},
           Case{kThreeSlots, absl::StatusCode::kInternal, "3 slots"},
           Case{kHugeArena, absl::StatusCode::kInternal, "8 slots, an arena of 184467"},
           Case{kUnevenArena, absl::StatusCode::kInternal, "an arena of 4088"},
           Case{kUnknownFeatures, absl::StatusCode::kInternal, "features"},
           Case{kWrongLayout, absl::StatusCode::kInternal, "layout version 2"},
           Case{kPipeForBell, absl::StatusCode::kInternal, "is no eventfd"},
       }) {
    const FakeRingDaemon daemon({.fault = wrong.fault});
    const absl::Status status = Attach(daemon).status();
    EXPECT_EQ(status.code(), wrong.code) << wrong.words << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(wrong.words));
  }
  // More than asked for.
  const FakeRingDaemon generous({.fault = kMoreSlots});
  EXPECT_EQ(Attach(generous, {.slots = 8}).status().code(), absl::StatusCode::kInternal);
  const FakeRingDaemon silent({.fault = kSilent});
  EXPECT_EQ(Attach(silent, {}, absl::Milliseconds(50)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace wasmd::client
