#include "daemon/listener/channel_connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

#include "daemon/channel/channel_manager.h"
#include "daemon/config/text.h"
#include "daemon/observe/log.h"
#include "daemon/pool/engine_types.h"
#include "engine/base/status_macros.h"
#include "proto/ring/attach.h"

namespace wasmd::daemon {
namespace {

using ring::AttachFrameHeader;
using ring::AttachFrameType;

AttachFrameHeader HeaderOf(AttachFrameType type, size_t payload_bytes) {
  AttachFrameHeader header;
  std::ranges::copy(ring::kAttachMagic, header.magic.begin());
  header.version = ring::kAttachVersion;
  header.type = static_cast<uint16_t>(type);
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  return header;
}

}  // namespace

ChannelConnection::ChannelConnection(ChannelManager& channels, int fd, std::string principal,
                                     std::function<void(std::string_view)> over)
    : channels_(channels), fd_(fd), principal_(std::move(principal)), over_(std::move(over)) {}

ChannelConnection::~ChannelConnection() {
  if (channel_ != nullptr) {
    // The channel may have the socket too for a while: the client shall see its end now.
    static_cast<void>(::shutdown(fd_, SHUT_RDWR));
    channels_.Close(channel_, engine::InterruptReason::kClientGone);
  }
}

bool ChannelConnection::Read() {
  while (true) {
    std::array<std::byte, 1> more{};
    const bool attached = channel_ != nullptr;
    std::byte* const to = attached ? more.data() : received_.data() + received_bytes_;
    const size_t wanted = attached ? more.size() : received_.size() - received_bytes_;
    // Not recvmsg: descriptors that come along are closed by the kernel.
    const ssize_t count = ::recv(fd_, to, wanted, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0 && errno == EAGAIN) {
      return true;
    }
    if (count <= 0) {
      return false;
    }
    absl::Status status;
    if (attached) {
      status = absl::InvalidArgumentError("nothing is said on the connection of a channel");
    } else {
      received_bytes_ += static_cast<size_t>(count);
      if (received_bytes_ >= sizeof(AttachFrameHeader)) {
        status = CheckHeader();
      }
      if (status.ok() && received_bytes_ == received_.size()) {
        status = Attach();
      }
    }
    if (!status.ok()) {
      SayGoodbye(StdView(status.message()));
      return false;
    }
  }
}

absl::Status ChannelConnection::CheckHeader() const {
  AttachFrameHeader header;
  std::memcpy(&header, received_.data(), sizeof(header));
  if (header.version != ring::kAttachVersion) {
    return absl::UnimplementedError(
        StrCat("version ", header.version, " is not spoken here, but ", ring::kAttachVersion));
  }
  if (header.type != static_cast<uint16_t>(AttachFrameType::kAttach) ||
      header.payload_bytes != sizeof(ring::AttachRequest) || header.reserved != 0) {
    return absl::InvalidArgumentError(
        StrCat("the first frame is an attach frame with ", sizeof(ring::AttachRequest), " bytes"));
  }
  return absl::OkStatus();
}

absl::Status ChannelConnection::Attach() {
  ring::AttachRequest request;
  std::memcpy(&request, received_.data() + sizeof(AttachFrameHeader), sizeof(request));
  WASMD_ASSIGN_OR_RETURN(ChannelManager::Attached attached,
                         channels_.Attach(request, principal_, fd_, over_));
  channel_ = attached.channel;

  const AttachFrameHeader header = HeaderOf(AttachFrameType::kAttached, sizeof(attached.reply));
  std::array<std::byte, sizeof(header) + sizeof(attached.reply)> frame{};
  std::memcpy(frame.data(), &header, sizeof(header));
  std::memcpy(frame.data() + sizeof(header), &attached.reply, sizeof(attached.reply));
  const std::array<int, ring::kAttachDescriptors> descriptors = {
      attached.channel->segment().memfd(), attached.doorbell.get()};
  iovec piece{frame.data(), frame.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(descriptors))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(descriptors));
  std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(descriptors));
  const ssize_t sent = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  attached.channel->CloseSegmentDescriptor();
  return sent == static_cast<ssize_t>(frame.size())
             ? absl::OkStatus()
             : absl::UnavailableError("the peer does not take its descriptors");
}

void ChannelConnection::SayGoodbye(std::string_view reason) {
  Log(LogLevel::kDebug, "channel refused or ended", {{"user", principal_}, {"reason", reason}});
  const std::string_view text = reason.substr(0, ring::kMaxAttachPayloadBytes);
  const AttachFrameHeader header = HeaderOf(AttachFrameType::kError, text.size());
  std::string frame(reinterpret_cast<const char*>(&header), sizeof(header));
  frame += text;
  static_cast<void>(::send(fd_, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

}  // namespace wasmd::daemon
