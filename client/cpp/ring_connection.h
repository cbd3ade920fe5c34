// The client's end of proto/ring/attach.h: the connection that a channel lives by, its segment,
// mapped, and its doorbell. Internal to client/cpp.
//
// Nothing that the daemon says is believed: the descriptors are looked at, sizes are compared with
// what was asked for, and whatever does not fit is an error that says so.
#ifndef WASMD_CLIENT_CPP_RING_CONNECTION_H_
#define WASMD_CLIENT_CPP_RING_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "client/cpp/posix.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"

namespace wasmd::client {

// What to ask for; 0: the daemon's default.
struct RingOptions {
  uint32_t slots = 0;        // A power of two, from kMinSlots to kMaxSlots.
  uint64_t arena_bytes = 0;  // Rounded up to whole pages; at most kMaxArenaBytes.
};

// Single-thread. The channel ends when this object is gone.
class RingConnection {
 public:
  // Attaches on a socket that is connected to wasmd.
  // kInvalidArgument: `options`, or the token has not the right length. kUnimplemented: the peer
  // does not take it. kDeadlineExceeded: it says nothing. kUnavailable: it refused, with its own
  // words, or hung up. kInternal: what it says or passes is not what was agreed upon.
  static absl::StatusOr<std::unique_ptr<RingConnection>> Attach(Fd socket, std::string_view token,
                                                                const RingOptions& options,
                                                                absl::Time deadline);
  ~RingConnection();

  RingConnection(const RingConnection&) = delete;
  RingConnection& operator=(const RingConnection&) = delete;

  const ring::SegmentView& view() const { return view_; }
  // Names the channel to ChannelService.
  uint64_t channel() const { return channel_; }
  uint64_t features() const { return features_; }
  int doorbell() const { return doorbell_.get(); }
  // To add to this process's CLOCK_MONOTONIC to have the daemon's; 0 unless a time namespace is
  // between them.
  int64_t clock_offset_ns() const { return clock_offset_ns_; }

  // Looks, without waiting, whether the daemon has ended the channel. kUnavailable: it has, with
  // its reason if it gave one. kInternal: it says something that it must not.
  absl::Status Check();
  // Ends the channel on the daemon's side. The segment stays mapped.
  void HangUp();

 private:
  explicit RingConnection(Fd socket) : socket_(std::move(socket)) {}

  absl::Status Accept(std::string_view payload, std::vector<Fd> descriptors,
                      const RingOptions& asked);
  absl::Status Map(const ring::Geometry& geometry);

  Fd socket_;
  Fd segment_;
  Fd doorbell_;
  std::byte* base_ = nullptr;
  ring::SegmentView view_;
  uint64_t channel_ = 0;
  uint64_t features_ = 0;
  int64_t clock_offset_ns_ = 0;
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_RING_CONNECTION_H_
