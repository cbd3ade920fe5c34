// ChannelConnection: the daemon's side of proto/ring/attach.h on one connection, without the
// waiting: one request, one answer with descriptors, and from then on the connection is the
// channel's life.
//
// A peer that breaks the protocol gets an error frame and is closed. Single-thread: the listener's.
#ifndef WASMD_DAEMON_LISTENER_CHANNEL_CONNECTION_H_
#define WASMD_DAEMON_LISTENER_CHANNEL_CONNECTION_H_

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"

#include "daemon/channel/channel_manager.h"
#include "daemon/listener/conversation.h"
#include "proto/ring/attach.h"

namespace wasmd::daemon {

class ChannelConnection final : public Conversation {
 public:
  // `fd` is a connected, non-blocking unix stream socket that stays the caller's. `principal` is
  // the peer's user. `over`: the channel has ended for the reason given; the connection is to say
  // so and be closed. Called on any thread.
  ChannelConnection(ChannelManager& channels, int fd, std::string principal,
                    std::function<void(std::string_view reason)> over);
  // Ends the channel.
  ~ChannelConnection() override;

  bool Read() override;
  bool welcomed() const override { return channel_ != nullptr; }
  void SayGoodbye(std::string_view reason) override;

 private:
  struct Request {
    ring::AttachFrameHeader header;
    ring::AttachRequest attach;
  };

  absl::Status CheckHeader() const;
  absl::Status Attach();

  ChannelManager& channels_;
  const int fd_;
  const std::string principal_;
  std::function<void(std::string_view)> over_;
  std::array<std::byte, sizeof(Request)> received_{};
  size_t received_bytes_ = 0;
  std::shared_ptr<Channel> channel_;  // Shared with the manager and the pool.
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_LISTENER_CHANNEL_CONNECTION_H_
