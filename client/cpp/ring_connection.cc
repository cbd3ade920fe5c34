#include "client/cpp/ring_connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "client/cpp/posix.h"
#include "client/cpp/text.h"
#include "proto/ring/attach.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::client {

namespace {

using ring::AttachFrameHeader;
using ring::AttachFrameType;
using ring::AttachReply;
using ring::AttachRequest;

// What may come with one read; a reply has two.
constexpr size_t kMaxDescriptorsPerRead = 8;
// How long the rest of a frame may take whose start is there.
constexpr absl::Duration kRestOfFrame = absl::Seconds(1);
// Wake bytes that one Check swallows.
constexpr int kMaxWakeBytes = 4096;
// Two readings of one clock, with a conversation between them, differ by less.
constexpr int64_t kSameClockNs = 60'000'000'000;

absl::Status HungUp() {
  return absl::UnavailableError("the daemon closed the connection");
}

absl::Status Broken(std::string_view what) {
  return absl::InternalError(Cat("the daemon's answer to an attach is broken: ", what));
}

template <typename T>
std::string_view BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

absl::Status SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent < 0) {
      return errno == EPIPE || errno == ECONNRESET ? HungUp() : ErrnoStatus(errno, "cannot attach");
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

// Takes over whatever descriptors came with a message.
void Collect(msghdr& message, std::vector<Fd>& descriptors) {
  for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr;
       entry = CMSG_NXTHDR(&message, entry)) {
    if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(entry) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(received);
    }
  }
}

// Fills `to`. `descriptors` null: none may come, and those that do are closed.
absl::Status ReadBytes(int socket, char* to, size_t size, std::vector<Fd>* descriptors,
                       absl::Time deadline) {
  while (size > 0) {
    if (WaitFor(socket, POLLIN, -1, deadline) == Ready::kDeadline) {
      return absl::DeadlineExceededError("the daemon does not answer");
    }
    iovec part{to, size};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxDescriptorsPerRead)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) {
      return HungUp();
    }
    if (got < 0) {
      if (errno == EINTR || errno == EAGAIN) {
        continue;
      }
      return ErrnoStatus(errno, "cannot read from the daemon");
    }
    std::vector<Fd> received;
    Collect(message, received);
    if (!received.empty() || (message.msg_flags & MSG_CTRUNC) != 0) {
      if (descriptors == nullptr || (message.msg_flags & MSG_CTRUNC) != 0 ||
          descriptors->size() + received.size() > ring::kAttachDescriptors) {
        return Broken("another number of descriptors");
      }
      std::ranges::move(received, std::back_inserter(*descriptors));
    }
    to += got;
    size -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

struct Frame {
  uint16_t type = 0;
  std::string payload;
};

absl::StatusOr<Frame> ReadFrame(int socket, std::vector<Fd>* descriptors, absl::Time deadline) {
  AttachFrameHeader header;
  absl::Status status =
      ReadBytes(socket, reinterpret_cast<char*>(&header), sizeof(header), descriptors, deadline);
  if (!status.ok()) {
    return status;
  }
  if (std::memcmp(header.magic.data(), ring::kAttachMagic, header.magic.size()) != 0) {
    return absl::UnimplementedError("the daemon does not take an attach");
  }
  if (header.version != ring::kAttachVersion) {
    return absl::UnimplementedError(Cat("the daemon attaches by version ", header.version));
  }
  if (header.payload_bytes > ring::kMaxAttachPayloadBytes) {
    return Broken("a frame that is too long");
  }
  Frame frame{.type = header.type, .payload = std::string(header.payload_bytes, '\0')};
  status = ReadBytes(socket, frame.payload.data(), frame.payload.size(), descriptors, deadline);
  if (!status.ok()) {
    return status;
  }
  return frame;
}

absl::Status CheckSegment(int fd, uint64_t segment_bytes) {
  struct stat info{};
  if (fstat(fd, &info) != 0) {
    return ErrnoStatus(errno, "the daemon's segment");
  }
  constexpr int kNeeded = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const int seals = fcntl(fd, F_GET_SEALS);
  // Without the seals the daemon could cut the file, and this process would die of reading it.
  if (seals < 0 || (seals & kNeeded) != kNeeded) {
    return Broken("the segment is not sealed");
  }
  if (!S_ISREG(info.st_mode) || info.st_size < 0 ||
      static_cast<uint64_t>(info.st_size) != segment_bytes) {
    return Broken(Cat("the segment has ", info.st_size, " bytes, not ", segment_bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckDoorbell(int fd) {
  struct stat info{};
  // An eventfd is of no type of file at all.
  if (fstat(fd, &info) != 0 || (info.st_mode & S_IFMT) != 0) {
    return Broken("the doorbell is no eventfd");
  }
  // A bell that nobody answers must not keep the ringer.
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "the daemon's doorbell");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RingConnection>> RingConnection::Attach(Fd socket,
                                                                       std::string_view token,
                                                                       const RingOptions& options,
                                                                       absl::Time deadline) {
  AttachRequest request;
  if (token.size() != request.session_token.size()) {
    return absl::InvalidArgumentError("the session's token is of another length");
  }
  RingOptions asked = options;
  ring::Geometry geometry;
  if (asked.slots != 0) {
    geometry.slots = asked.slots;
  }
  if (asked.arena_bytes > ring::kMaxArenaBytes) {
    return absl::InvalidArgumentError(
        Cat("an arena of ", asked.arena_bytes, " bytes; at most ", ring::kMaxArenaBytes));
  }
  asked.arena_bytes =
      (asked.arena_bytes + ring::kHeaderBytes - 1) / ring::kHeaderBytes * ring::kHeaderBytes;
  if (!geometry.IsValid()) {
    return absl::InvalidArgumentError(
        Cat(asked.slots, " slots; a power of two from ", ring::kMinSlots, " to ", ring::kMaxSlots));
  }
  std::memcpy(request.session_token.data(), token.data(), token.size());
  request.layout_version = ring::kLayoutVersion;
  request.slots = asked.slots;
  request.arena_bytes = asked.arena_bytes;
  request.features = ring::kFeatureBytes;
  AttachFrameHeader header;
  std::ranges::copy(ring::kAttachMagic, header.magic.begin());
  header.version = ring::kAttachVersion;
  header.type = static_cast<uint16_t>(AttachFrameType::kAttach);
  header.payload_bytes = sizeof(request);

  std::unique_ptr<RingConnection> self(new RingConnection(std::move(socket)));
  const int fd = self->socket_.get();
  if (absl::Status status = SendAll(fd, Cat(BytesOf(header), BytesOf(request))); !status.ok()) {
    return status;
  }
  std::vector<Fd> descriptors;
  const absl::StatusOr<Frame> frame = ReadFrame(fd, &descriptors, deadline);
  if (!frame.ok()) {
    return frame.status();
  }
  if (frame->type == static_cast<uint16_t>(AttachFrameType::kError)) {
    return absl::UnavailableError(Cat("the daemon gives no channel: ", OneLine(frame->payload)));
  }
  if (frame->type != static_cast<uint16_t>(AttachFrameType::kAttached)) {
    return Broken("a frame of another type");
  }
  if (absl::Status status = self->Accept(frame->payload, std::move(descriptors), asked);
      !status.ok()) {
    return status;
  }
  return self;
}

absl::Status RingConnection::Accept(std::string_view payload, std::vector<Fd> descriptors,
                                    const RingOptions& asked) {
  AttachReply reply;
  if (payload.size() != sizeof(reply)) {
    return Broken("a reply of another length");
  }
  std::memcpy(&reply, payload.data(), sizeof(reply));
  const uint64_t now_ns = ring::MonotonicNs();
  if (descriptors.size() != ring::kAttachDescriptors) {
    return Broken("another number of descriptors");
  }
  if (reply.layout_version != ring::kLayoutVersion) {
    return Broken(Cat("layout version ", reply.layout_version));
  }
  const ring::Geometry geometry{.slots = reply.slots, .arena_bytes = reply.arena_bytes};
  if (!geometry.IsValid() || reply.segment_bytes != geometry.segment_bytes() ||
      (asked.slots != 0 && reply.slots > asked.slots) ||
      (asked.arena_bytes != 0 && reply.arena_bytes > asked.arena_bytes)) {
    return Broken(Cat(reply.slots, " slots, an arena of ", reply.arena_bytes,
                      " bytes and a segment of ", reply.segment_bytes));
  }
  if ((reply.features & ~uint64_t{ring::kFeatureBytes}) != 0) {
    return Broken("features that nobody asked for");
  }
  segment_ = std::move(descriptors[ring::kSegmentDescriptor]);
  doorbell_ = std::move(descriptors[ring::kDoorbellDescriptor]);
  absl::Status status = CheckSegment(segment_.get(), reply.segment_bytes);
  if (status.ok()) {
    status = CheckDoorbell(doorbell_.get());
  }
  if (status.ok()) {
    status = Map(geometry);
  }
  channel_ = reply.channel;
  features_ = reply.features;
  const auto offset = static_cast<int64_t>(reply.clock_ns - now_ns);
  clock_offset_ns_ = offset > -kSameClockNs && offset < kSameClockNs ? 0 : offset;
  return status;
}

absl::Status RingConnection::Map(const ring::Geometry& geometry) {
  void* base = mmap(nullptr, geometry.segment_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
                    segment_.get(), 0);
  if (base == MAP_FAILED) {
    return ErrnoStatus(errno, "cannot map the daemon's segment");
  }
  // So that no call takes a page fault for its slots. The arena's pages come with the first bytes:
  // all of them are as much work as all the rest of attaching. Kernels before 5.14 do not know it.
  static_cast<void>(madvise(base, geometry.arena_offset(), MADV_POPULATE_WRITE));
  base_ = static_cast<std::byte*>(base);
  view_ = ring::SegmentView(base_, geometry);
  return absl::OkStatus();
}

RingConnection::~RingConnection() {
  if (base_ != nullptr) {
    munmap(base_, view_.geometry().segment_bytes());
  }
}

void RingConnection::HangUp() {
  shutdown(socket_.get(), SHUT_RDWR);
}

absl::Status RingConnection::Check() {
  for (int i = 0; i < kMaxWakeBytes; ++i) {
    uint8_t first = 0;
    const ssize_t got = recv(socket_.get(), &first, 1, MSG_DONTWAIT | MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      return absl::OkStatus();
    }
    if (got <= 0) {
      return HungUp();
    }
    if (first == ring::kWakeByte) {
      static_cast<void>(recv(socket_.get(), &first, 1, MSG_DONTWAIT));
      continue;
    }
    const absl::StatusOr<Frame> frame =
        ReadFrame(socket_.get(), nullptr, absl::Now() + kRestOfFrame);
    if (!frame.ok() && absl::IsUnavailable(frame.status())) {
      return frame.status();
    }
    if (!frame.ok() || frame->type != static_cast<uint16_t>(AttachFrameType::kError)) {
      return absl::InternalError("the daemon sent something on a channel that is no frame of it");
    }
    return absl::UnavailableError(Cat("the daemon closed the channel: ", OneLine(frame->payload)));
  }
  return absl::OkStatus();
}

}  // namespace wasmd::client
