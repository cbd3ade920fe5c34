#include "client/cpp/handshake.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace wasmd::client {

namespace {

using handshake::FrameHeader;
using handshake::FrameType;

// How long the daemon may take for an answer that needs no work.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<Handshake>> Handshake::Open(Fd socket, absl::Time deadline) {
  std::unique_ptr<Handshake> self(new Handshake(std::move(socket)));
  if (absl::Status status = self->SendFrame(FrameType::kHello, "", {}); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::string> token = self->ReadFrame(FrameType::kWelcome, deadline);
  if (!token.ok()) {
    return token.status();
  }
  if (token->size() != handshake::kTokenBytes) {
    return absl::UnimplementedError("the daemon's handshake has a token of another length");
  }
  self->token_ = *std::move(token);
  return self;
}

absl::StatusOr<std::vector<uint64_t>> Handshake::Pass(std::span<const int> descriptors) {
  std::vector<uint64_t> handles;
  const absl::MutexLock lock(&mutex_);
  while (!descriptors.empty()) {
    const auto part =
        descriptors.first(std::min<size_t>(descriptors.size(), handshake::kMaxDescriptorsPerFrame));
    const auto count = static_cast<uint32_t>(part.size());
    const std::string_view payload(reinterpret_cast<const char*>(&count), sizeof(count));
    if (absl::Status status = SendFrame(FrameType::kDescriptors, payload, part); !status.ok()) {
      return status;
    }
    absl::StatusOr<std::string> answer =
        ReadFrame(FrameType::kHandles, absl::Now() + kAnswerTimeout);
    if (!answer.ok()) {
      return answer.status();
    }
    if (answer->size() != part.size() * sizeof(uint64_t)) {
      return absl::InternalError("the daemon answered with another number of handles");
    }
    const size_t before = handles.size();
    handles.resize(before + part.size());
    std::memcpy(handles.data() + before, answer->data(), answer->size());
    descriptors = descriptors.subspan(part.size());
  }
  return handles;
}

absl::Status Handshake::SendFrame(FrameType type, std::string_view payload,
                                  std::span<const int> descriptors) {
  FrameHeader header{};
  std::memcpy(header.magic, handshake::kMagic, sizeof(header.magic));
  header.version = handshake::kVersion;
  header.type = static_cast<uint16_t>(type);
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes.append(payload);

  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * handshake::kMaxDescriptorsPerFrame)] = {};
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  while (part.iov_len > 0) {
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno == EPIPE || errno == ECONNRESET
                 ? absl::UnavailableError("the daemon closed the connection")
                 : ErrnoStatus(errno, "cannot pass descriptors");
    }
    // The descriptors went with the first byte.
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    part.iov_base = static_cast<char*>(part.iov_base) + sent;
    part.iov_len -= static_cast<size_t>(sent);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Handshake::ReadFrame(FrameType wanted, absl::Time deadline) {
  FrameHeader header{};
  // A plain gRPC server says something else, or hangs up.
  if (absl::Status status = ReadBytes(reinterpret_cast<char*>(&header), sizeof(header), deadline);
      !status.ok()) {
    return absl::IsUnavailable(status) && wanted == FrameType::kWelcome
               ? absl::UnimplementedError("the daemon does not take the handshake")
               : status;
  }
  if (std::memcmp(header.magic, handshake::kMagic, sizeof(header.magic)) != 0) {
    return absl::UnimplementedError("the daemon does not take the handshake");
  }
  if (header.payload_bytes > handshake::kMaxPayloadBytes) {
    return absl::InternalError("a frame of the handshake is too long");
  }
  std::string payload(header.payload_bytes, '\0');
  if (absl::Status status = ReadBytes(payload.data(), payload.size(), deadline); !status.ok()) {
    return status;
  }
  if (header.type == static_cast<uint16_t>(FrameType::kError)) {
    return absl::PermissionDeniedError(payload);
  }
  if (header.type != static_cast<uint16_t>(wanted)) {
    return absl::InternalError("a frame of the handshake is of another type");
  }
  return payload;
}

absl::Status Handshake::ReadBytes(char* to, size_t size, absl::Time deadline) {
  while (size > 0) {
    if (WaitFor(socket_.get(), POLLIN, -1, deadline) == Ready::kDeadline) {
      return absl::DeadlineExceededError("the daemon does not answer the handshake");
    }
    const ssize_t got = recv(socket_.get(), to, size, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) {
      return absl::UnavailableError("the daemon closed the connection");
    }
    if (got < 0) {
      if (errno == EINTR || errno == EAGAIN) {
        continue;
      }
      return ErrnoStatus(errno, "cannot read from the daemon");
    }
    to += got;
    size -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace wasmd::client
