#include "daemon/listener/handshake_connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/text.h"
#include "daemon/observe/log.h"
#include "daemon/pool/engine_types.h"
#include "daemon/session/session_manager.h"
#include "engine/base/status_macros.h"
#include "engine/base/unique_fd.h"
#include "proto/handshake/handshake.h"

namespace wasmd::daemon {
namespace {

using handshake::FrameHeader;
using handshake::FrameType;
using handshake::kMaxDescriptorsPerFrame;

// Frames handled in one go before other connections have their turn.
constexpr int kFramesPerRead = 64;

}  // namespace

HandshakeConnection::HandshakeConnection(SessionManager& sessions, int fd, std::string principal)
    : sessions_(sessions), fd_(fd), principal_(std::move(principal)) {}

HandshakeConnection::~HandshakeConnection() {
  if (session_ != nullptr) {
    sessions_.Close(session_, engine::InterruptReason::kClientGone);
  }
}

bool HandshakeConnection::Read() {
  for (int frame = 0; frame < kFramesPerRead;) {
    if (!in_payload_) {
      const Step step = Receive(std::as_writable_bytes(std::span(&header_, 1)), true);
      if (step != Step::kDone) {
        return step == Step::kWait;
      }
      if (const absl::Status checked = CheckHeader(); !checked.ok()) {
        SayGoodbye(StdView(checked.message()));
        return false;
      }
      payload_.resize(header_.payload_bytes);
      received_bytes_ = 0;
      in_payload_ = true;
    }
    const Step step = Receive(payload_, false);
    if (step != Step::kDone) {
      return step == Step::kWait;
    }
    in_payload_ = false;
    received_bytes_ = 0;
    if (const absl::Status handled = Handle(); !handled.ok()) {
      SayGoodbye(StdView(handled.message()));
      return false;
    }
    descriptors_.clear();
    ++frame;
  }
  return true;
}

HandshakeConnection::Step HandshakeConnection::Receive(std::span<std::byte> to,
                                                       bool take_descriptors) {
  while (received_bytes_ < to.size()) {
    iovec piece{to.data() + received_bytes_, to.size() - received_bytes_};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * kMaxDescriptorsPerFrame)>
        control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno == EAGAIN ? Step::kWait : Step::kEnd;
    }
    std::vector<engine::UniqueFd> got;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
        continue;
      }
      const size_t fds = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < fds; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
        got.emplace_back(fd);
      }
    }
    if (count == 0) {
      return Step::kEnd;
    }
    const bool misplaced = !got.empty() && (!take_descriptors || received_bytes_ != 0);
    const bool truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    // What the kernel leaves out is what does not fit into our buffer, or our table of descriptors.
    if (truncated && !misplaced && got.size() < kMaxDescriptorsPerFrame) {
      SayGoodbye("wasmd has no descriptors left for those that are passed (ulimit -n)");
      return Step::kEnd;
    }
    if (misplaced || truncated) {
      SayGoodbye(
          StrCat("descriptors come on a frame's first byte, at most ", kMaxDescriptorsPerFrame));
      return Step::kEnd;
    }
    std::ranges::move(got, std::back_inserter(descriptors_));
    received_bytes_ += static_cast<size_t>(count);
  }
  return Step::kDone;
}

absl::Status HandshakeConnection::CheckHeader() const {
  if (std::memcmp(header_.magic, handshake::kMagic, sizeof(handshake::kMagic)) != 0) {
    return absl::InvalidArgumentError("a frame begins with WSMD");
  }
  if (header_.version != handshake::kVersion) {
    return absl::UnimplementedError(
        StrCat("version ", header_.version, " is not spoken here, but ", handshake::kVersion));
  }
  if (header_.payload_bytes > handshake::kMaxPayloadBytes) {
    return absl::InvalidArgumentError(
        StrCat("a payload has at most ", handshake::kMaxPayloadBytes, " bytes"));
  }
  if (header_.reserved != 0) {
    return absl::InvalidArgumentError("the reserved field must be 0");
  }
  if (!descriptors_.empty() && header_.type != static_cast<uint16_t>(FrameType::kDescriptors)) {
    return absl::InvalidArgumentError("descriptors come with a descriptors frame only");
  }
  return absl::OkStatus();
}

absl::Status HandshakeConnection::Handle() {
  const auto type = static_cast<FrameType>(header_.type);
  if (type != FrameType::kHello && session_ == nullptr) {
    return absl::FailedPreconditionError("the first frame is a hello");
  }
  switch (type) {
    case FrameType::kHello:
      return HandleHello();
    case FrameType::kDescriptors:
      return HandleDescriptors();
    case FrameType::kRelease:
      return HandleRelease();
    case FrameType::kWelcome:
    case FrameType::kHandles:
    case FrameType::kError:
      break;
  }
  return absl::InvalidArgumentError(StrCat("a client sends no frame of type ", header_.type));
}

absl::Status HandshakeConnection::HandleHello() {
  if (session_ != nullptr || !payload_.empty()) {
    return absl::InvalidArgumentError("hello is said once, with nothing in it");
  }
  WASMD_ASSIGN_OR_RETURN(session_, sessions_.Open(principal_, true));
  const std::string& token = session_->identity().token;
  static_assert(handshake::kTokenBytes == 64);
  return Send(FrameType::kWelcome, std::as_bytes(std::span(token)));
}

absl::Status HandshakeConnection::HandleDescriptors() {
  uint32_t count = 0;
  if (payload_.size() != sizeof(count)) {
    return absl::InvalidArgumentError("a descriptors frame's payload is their count");
  }
  std::memcpy(&count, payload_.data(), sizeof(count));
  if (count == 0 || count != descriptors_.size()) {
    return absl::InvalidArgumentError(
        StrCat(count, " descriptors were announced and ", descriptors_.size(), " came"));
  }
  WASMD_ASSIGN_OR_RETURN(const std::vector<uint64_t> handles,
                         session_->AddDescriptors(std::move(descriptors_)));
  descriptors_.clear();
  return Send(FrameType::kHandles, std::as_bytes(std::span(handles)));
}

absl::Status HandshakeConnection::HandleRelease() {
  uint64_t handle = 0;
  if (payload_.size() != sizeof(handle)) {
    return absl::InvalidArgumentError("a release frame's payload is a handle");
  }
  std::memcpy(&handle, payload_.data(), sizeof(handle));
  // One that a run has taken meanwhile is no error.
  const absl::StatusOr<engine::UniqueFd> released = session_->TakeDescriptor(handle);
  return absl::OkStatus();
}

absl::Status HandshakeConnection::Send(FrameType type, std::span<const std::byte> payload) const {
  FrameHeader header{};
  std::memcpy(header.magic, handshake::kMagic, sizeof(header.magic));
  header.version = handshake::kVersion;
  header.type = static_cast<uint16_t>(type);
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  std::vector<std::byte> frame(sizeof(header) + payload.size());
  std::memcpy(frame.data(), &header, sizeof(header));
  if (!payload.empty()) {
    std::memcpy(frame.data() + sizeof(header), payload.data(), payload.size());
  }
  // Replies are small; a peer that lets the socket's buffer fill up with them is not worth waiting
  // for.
  if (::send(fd_, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
      static_cast<ssize_t>(frame.size())) {
    return absl::UnavailableError("the peer does not read its replies");
  }
  return absl::OkStatus();
}

void HandshakeConnection::SayGoodbye(std::string_view reason) {
  Log(LogLevel::kDebug, "handshake refused", {{"principal", principal_}, {"reason", reason}});
  static_cast<void>(Send(FrameType::kError,
                         std::as_bytes(std::span(reason.substr(0, handshake::kMaxPayloadBytes)))));
}

}  // namespace wasmd::daemon
