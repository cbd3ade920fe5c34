// The descriptor-passing handshake: what a client says on wasmd's unix socket instead of HTTP/2.
//
// gRPC cannot pass file descriptors, so a client opens a second connection to the same socket,
// whose first four bytes are kMagic instead of "PRI ". It stays open for the session's life: its
// end of file is the session's end.
//
//   client                                   wasmd
//     Frame{kHello}                   ──►
//                                     ◄──   Frame{kWelcome, payload: token, kTokenBytes of ASCII}
//     Frame{kDescriptors, payload: u32 count} + SCM_RIGHTS with `count` descriptors on the frame's
//     first byte
//                                     ──►
//                                     ◄──   Frame{kHandles, payload: u64 handles[count]}
//     Frame{kRelease, payload: u64 handle}   (closes one that no run has taken; no reply)
//                                     ──►
//                                     ◄──   Frame{kError, payload: UTF-8 text}, then the connection
//                                     closes
//
// The token goes into the gRPC metadata key kSessionMetadataKey; handles go into RunStart
// (preopens, stdio, sockets) and UploadModuleHeader. A handle used by a Run or an upload is
// consumed by it. All integers little-endian. Standard library only.
#ifndef WASMD_PROTO_HANDSHAKE_HANDSHAKE_H_
#define WASMD_PROTO_HANDSHAKE_HANDSHAKE_H_

#include <cstdint>
#include <type_traits>

namespace wasmd::handshake {

inline constexpr char kMagic[4] = {'W', 'S', 'M', 'D'};
inline constexpr uint16_t kVersion = 1;
inline constexpr uint32_t kTokenBytes = 64;  // Hex digits of 32 random bytes.
inline constexpr uint32_t kMaxDescriptorsPerFrame = 16;
inline constexpr uint32_t kMaxDescriptorsPerSession = 256;
inline constexpr uint32_t kMaxPayloadBytes = 4096;
// A connection that has not sent its first frame (or HTTP/2 preface) by then is closed.
inline constexpr uint32_t kFirstFrameTimeoutMs = 5000;
inline constexpr char kSessionMetadataKey[] = "wasmd-session";

enum class FrameType : uint16_t {
  kHello = 1,
  kWelcome = 2,
  kDescriptors = 3,
  kHandles = 4,
  kRelease = 5,
  kError = 6,
  // Reserved for the shared-memory rings: 16 … 31.
};

struct FrameHeader {
  char magic[4];
  uint16_t version;
  uint16_t type;
  uint32_t payload_bytes;
  uint32_t reserved;  // 0
};
static_assert(sizeof(FrameHeader) == 16 && std::is_trivially_copyable_v<FrameHeader>);

}  // namespace wasmd::handshake

#endif  // WASMD_PROTO_HANDSHAKE_HANDSHAKE_H_
