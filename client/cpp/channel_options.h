// How a channel is opened (client/cpp/channel.h).
#ifndef WASMD_CLIENT_CPP_CHANNEL_OPTIONS_H_
#define WASMD_CLIENT_CPP_CHANNEL_OPTIONS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace wasmd::client {

enum class ChannelTransport : uint8_t {
  kAuto,  // Shared memory where it can be had, else gRPC; Channel::fallback_reason says why.
  kRing,  // Shared memory, or an error.
  kGrpc,
};

struct ChannelOptions {
  // Calls that can be in flight: a power of two from 2 to 65,536. 0: the daemon's default.
  uint32_t slots = 0;
  // Shared memory for byte strings and for calls of more than four words, up to 1 GiB. 0: the
  // daemon's default.
  uint64_t arena_bytes = 0;
  ChannelTransport transport = ChannelTransport::kAuto;
  // How long a call may keep this thread's CPU busy before it sleeps until the answer comes: the
  // least latency for what is answered in less. Less is used where answers take longer anyway, or
  // the daemon wants this very CPU. 0: it sleeps at once.
  absl::Duration spin = absl::Microseconds(50);
  // How long the daemon may take to end a call whose deadline has passed, or that was cancelled;
  // then the channel is closed.
  absl::Duration grace = absl::Seconds(5);
};

// Which instance a bound function runs in.
enum class InstancePolicy : uint8_t {
  // One of the module's own for the channel: it keeps its state between calls, and is gone with the
  // channel.
  kChannel = 1,
  // A new one for each call.
  kFresh = 2,
  // An Instance of the session, as its own Call does it.
  kShared = 3,
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_CHANNEL_OPTIONS_H_
