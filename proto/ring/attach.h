// How a client gets a channel: what it says on wasmd's unix socket instead of HTTP/2.
//
//   client                                   wasmd
//     Frame{kAttach, AttachRequest}   ──►
//                                     ◄──   Frame{kAttached, AttachReply} + SCM_RIGHTS with the
//                                           segment's memfd and the doorbell, an eventfd
//                                     ◄──   kWakeByte, whenever the client sleeps as kAsleepSocket
//                                     ◄──   Frame{kError, payload: UTF-8 text}, then the connection
//                                           closes: the channel is over
//
// The connection is the channel's life: whoever closes it ends it. The client sends nothing more on
// it. The session is one that Initialize or the descriptor handshake gave a token for, to the same
// user; functions are bound by ChannelService (proto/wasmd/v1/channel.proto). All integers
// little-endian. Standard library only.
#ifndef WASMD_PROTO_RING_ATTACH_H_
#define WASMD_PROTO_RING_ATTACH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "proto/ring/layout.h"

namespace wasmd::ring {

inline constexpr char kAttachMagic[4] = {'W', 'S', 'M', 'R'};
inline constexpr uint16_t kAttachVersion = 1;
inline constexpr uint32_t kMaxAttachPayloadBytes = 4096;
// Between frames; no frame begins with it.
inline constexpr uint8_t kWakeByte = 1;
// The descriptors of the reply, in this order.
enum AttachDescriptor : uint8_t { kSegmentDescriptor, kDoorbellDescriptor, kAttachDescriptors };

enum class AttachFrameType : uint16_t {
  kAttach = 16,
  kAttached = 17,
  kError = 18,
};

struct AttachFrameHeader {
  std::array<char, 4> magic{};
  uint16_t version = 0;
  uint16_t type = 0;
  uint32_t payload_bytes = 0;
  uint32_t reserved = 0;
};

struct AttachRequest {
  std::array<char, 64> session_token{};
  uint32_t layout_version = 0;  // The highest that the client speaks.
  uint32_t slots = 0;           // 0: the daemon's default.
  uint64_t arena_bytes = 0;     // 0: the daemon's default.
  uint64_t features = 0;        // Wanted.
};

struct AttachReply {
  uint64_t channel = 0;         // Names it to ChannelService.
  uint32_t layout_version = 0;  // What both speak from here on.
  uint32_t slots = 0;
  uint64_t arena_bytes = 0;
  uint64_t features = 0;  // Granted.
  uint64_t segment_bytes = 0;
  uint64_t clock_ns = 0;  // The daemon's CLOCK_MONOTONIC, which deadlines are told in.
};

static_assert(sizeof(AttachFrameHeader) == 16 && std::is_trivially_copyable_v<AttachFrameHeader>);
static_assert(sizeof(AttachRequest) == 88 && std::is_trivially_copyable_v<AttachRequest>);
static_assert(sizeof(AttachReply) == 48 && std::is_trivially_copyable_v<AttachReply>);

}  // namespace wasmd::ring

#endif  // WASMD_PROTO_RING_ATTACH_H_
