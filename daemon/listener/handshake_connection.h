// HandshakeConnection: the daemon's side of proto/handshake/handshake.h on one connection, without
// the waiting: whoever owns the connection says when it can be read.
//
// Frames are read piece by piece, header and payload apart, so that descriptors which come with a
// header's first byte belong to that frame. A peer that breaks the protocol gets an error frame and
// is closed. Single-thread: the listener's.
#ifndef WASMD_DAEMON_LISTENER_HANDSHAKE_CONNECTION_H_
#define WASMD_DAEMON_LISTENER_HANDSHAKE_CONNECTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "daemon/listener/conversation.h"
#include "daemon/session/session_manager.h"
#include "engine/base/unique_fd.h"
#include "proto/handshake/handshake.h"

namespace wasmd::daemon {

class HandshakeConnection final : public Conversation {
 public:
  // `fd` is a connected, non-blocking unix stream socket that stays the caller's. `principal` is
  // the peer's user.
  HandshakeConnection(SessionManager& sessions, int fd, std::string principal);
  // Ends the session.
  ~HandshakeConnection() override;

  bool Read() override;
  // The client has said hello.
  bool welcomed() const override { return session_ != nullptr; }
  void SayGoodbye(std::string_view reason) override;

 private:
  enum class Step : uint8_t { kDone, kWait, kEnd };

  // Fills `to` from `received_` on.
  Step Receive(std::span<std::byte> to, bool take_descriptors);
  absl::Status CheckHeader() const;
  absl::Status Handle();
  absl::Status HandleHello();
  absl::Status HandleDescriptors();
  absl::Status HandleRelease();
  // kUnavailable: the peer does not read what it asked for.
  absl::Status Send(handshake::FrameType type, std::span<const std::byte> payload) const;

  SessionManager& sessions_;
  const int fd_;
  const std::string principal_;
  std::shared_ptr<Session> session_;
  handshake::FrameHeader header_{};
  bool in_payload_ = false;
  std::vector<std::byte> payload_;
  size_t received_bytes_ = 0;  // Of the header, or of the payload.
  std::vector<engine::UniqueFd> descriptors_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_LISTENER_HANDSHAKE_CONNECTION_H_
