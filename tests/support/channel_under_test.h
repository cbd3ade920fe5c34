// ChannelUnderTest: the daemon's end of a channel with a few functions bound, for tests of clients
// that do what they like: whoever has it is the worker that visits it, and the client.
//
// The segment has inaccessible pages on both sides, so that an access past either end is a fault.
#ifndef WASMD_TESTS_SUPPORT_CHANNEL_UNDER_TEST_H_
#define WASMD_TESTS_SUPPORT_CHANNEL_UNDER_TEST_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "daemon/channel/channel.h"
#include "daemon/pool/asymmetric_fence.h"
#include "daemon/pool/bound_func.h"
#include "daemon/pool/visit.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "tests/support/channel_harness.h"

namespace wasmd::tests {

// Thread-compatible; what the client's side writes into the segment is anybody's.
class ChannelUnderTest {
 public:
  // As Submission::func.
  enum Func : uint32_t {
    kAdd,          // (i32, i32) -> i32
    kI64,          // (i64) -> i64, itself
    kF32,          // (f32) -> f32
    kF64,          // (f64) -> f64
    kV128,         // (v128) -> v128
    kMany,         // (i32, i64, i64, v128, f32) -> (f32, v128, i64, i64, i32): six words, reversed
    kTrap,         // () -> (): unreachable
    kOutOfBounds,  // (i32) -> i32: what lies there in its memory, which is a page
    kCount,        // () -> i32: how often it was called; INSTANCE_POLICY_CHANNEL
    kFreshCount,   // The same; INSTANCE_POLICY_FRESH
    kEcho,         // bytes -> bytes
    kFuncs,
  };
  static constexpr uint32_t kManyWords = 6;

  explicit ChannelUnderTest(const ring::Geometry& geometry);
  ChannelUnderTest(const ChannelUnderTest&) = delete;
  ChannelUnderTest& operator=(const ChannelUnderTest&) = delete;
  ~ChannelUnderTest();

  daemon::Channel& channel() { return harness_.channel(); }
  ring::SegmentView view() { return channel().segment().view(); }
  int memfd() { return channel().segment().memfd(); }
  // As a worker does it, but that a pool leaves a closed channel alone.
  void Visit(uint32_t budget);
  // How often guest code of the channel's own instance was entered.
  uint32_t guest_calls() const;
  // How often the channel said that its client broke the protocol.
  uint32_t violations() const { return harness_.violations.load(); }

 private:
  void Guard(const ring::Geometry& geometry);

  std::shared_ptr<daemon::KeptInstance> kept_;
  ChannelHarness harness_;
  daemon::AsymmetricFence fence_;
  daemon::Visit visit_{fence_};
  std::vector<void*> guards_;
};

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_CHANNEL_UNDER_TEST_H_
