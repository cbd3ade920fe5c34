// The client's end of proto/handshake/handshake.h: a connection that owns the session and carries
// descriptors. Internal.
#ifndef WASMD_CLIENT_CPP_HANDSHAKE_H_
#define WASMD_CLIENT_CPP_HANDSHAKE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "client/cpp/posix.h"
#include "proto/handshake/handshake.h"

namespace wasmd::client {

// Thread-safe. The session ends when this object is gone.
class Handshake {
 public:
  // Says hello on a connected socket and reads the session's token.
  // kUnimplemented: the peer does not speak it. kDeadlineExceeded: it says nothing. Others: it
  // refused, with its own words.
  static absl::StatusOr<std::unique_ptr<Handshake>> Open(Fd socket, absl::Time deadline);

  const std::string& token() const { return token_; }

  // Passes duplicates of the descriptors and returns their handles, in the same order.
  absl::StatusOr<std::vector<uint64_t>> Pass(std::span<const int> descriptors);

 private:
  explicit Handshake(Fd socket) : socket_(std::move(socket)) {}

  absl::Status SendFrame(handshake::FrameType type, std::string_view payload,
                         std::span<const int> descriptors);
  // The payload of the next frame, which must be of that type. Waits until the deadline.
  absl::StatusOr<std::string> ReadFrame(handshake::FrameType wanted, absl::Time deadline);
  absl::Status ReadBytes(char* to, size_t size, absl::Time deadline);

  absl::Mutex mutex_;  // One question and its answer at a time.
  Fd socket_;
  std::string token_;
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_HANDSHAKE_H_
