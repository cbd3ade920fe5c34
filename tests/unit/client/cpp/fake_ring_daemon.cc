#include "tests/unit/client/cpp/fake_ring_daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "client/cpp/text.h"
#include "proto/ring/wait.h"

namespace wasmd::client {

namespace {

using ring::AttachFrameHeader;
using ring::AttachFrameType;
using ring::AttachReply;
using ring::AttachRequest;
using ring::Completion;
using ring::CompletionKind;
using ring::Submission;

std::string FrameOf(AttachFrameType type, std::string_view payload) {
  AttachFrameHeader header;
  std::ranges::copy(ring::kAttachMagic, header.magic.begin());
  header.version = ring::kAttachVersion;
  header.type = static_cast<uint16_t>(type);
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + std::string(payload);
}

void Send(int socket, std::string_view bytes, const std::vector<int>& descriptors = {}) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 32)> control{};
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(int) * descriptors.size());
  }
  static_cast<void>(!sendmsg(socket, &message, MSG_NOSIGNAL));
}

bool IsReadable(int fd) {
  pollfd polled{fd, POLLIN, 0};
  return poll(&polled, 1, 0) > 0;
}

}  // namespace

struct FakeRingDaemon::Link {
  Fd socket;
  Fd segment;
  Fd doorbell;
  std::byte* base = nullptr;
  uint64_t mapped_bytes = 0;
  ring::DaemonEnd end;

  ~Link() {
    if (base != nullptr) {
      munmap(base, mapped_bytes);
    }
  }
};

FakeRingDaemon::FakeRingDaemon(const Options& options) : options_(options) {
  std::array<char, 32> folder{"/tmp/wasmd-ring-XXXXXX"};
  folder_ = mkdtemp(folder.data());
  listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  const std::string path = folder_ + "/s";
  std::memcpy(where.sun_path, path.data(), path.size());
  if (!listener_.valid() ||
      bind(listener_.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)) != 0 ||
      listen(listener_.get(), 16) != 0) {
    std::abort();
  }
  acceptor_ = std::thread([this] { Accept(); });
}

FakeRingDaemon::~FakeRingDaemon() {
  stopping_ = true;
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (std::thread& server : servers_) {
    server.join();
  }
  unlink((folder_ + "/s").c_str());
  rmdir(folder_.c_str());
}

std::string FakeRingDaemon::Token() {
  return std::string(64, 'a');
}

Fd FakeRingDaemon::Connect() const {
  Address address;
  address.path = folder_ + "/s";
  absl::StatusOr<Fd> socket = ConnectSocket(address, absl::Now() + absl::Seconds(30));
  return socket.ok() ? *std::move(socket) : Fd();
}

void FakeRingDaemon::Accept() {
  for (;;) {
    Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.valid() || stopping_) {
      return;
    }
    servers_.emplace_back([this, fd = socket.release()] { Serve(Fd(fd)); });
  }
}

bool FakeRingDaemon::IsOver(const Link& link) const {
  return stopping_ || IsReadable(link.socket.get());
}

void FakeRingDaemon::Serve(Fd socket) {
  Link link;
  link.socket = std::move(socket);
  if (Attach(link)) {
    ++attached_;
    Run(link);
    ++ended_;
  }
}

bool FakeRingDaemon::Attach(Link& link) {
  struct {
    AttachFrameHeader header;
    AttachRequest request;
  } asked;
  static_assert(sizeof(asked) == sizeof(AttachFrameHeader) + sizeof(AttachRequest));
  if (recv(link.socket.get(), &asked, sizeof(asked), MSG_WAITALL) != sizeof(asked) ||
      std::string_view(asked.request.session_token.data(), 64) != Token()) {
    return false;
  }
  AttachReply reply;
  reply.channel = 77;
  reply.layout_version = ring::kLayoutVersion;
  reply.slots = asked.request.slots != 0 ? asked.request.slots : options_.slots;
  reply.arena_bytes =
      asked.request.arena_bytes != 0 ? asked.request.arena_bytes : options_.arena_bytes;
  reply.features = asked.request.features & options_.features;
  reply.clock_ns = ring::MonotonicNs() + static_cast<uint64_t>(options_.clock_ahead_ns);
  const ring::Geometry geometry{.slots = reply.slots, .arena_bytes = reply.arena_bytes};
  reply.segment_bytes = geometry.segment_bytes();

  link.segment = Fd(memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  link.mapped_bytes = reply.segment_bytes;
  off_t size = static_cast<off_t>(link.mapped_bytes);
  if (options_.fault == AttachFault::kShortSegment) {
    size -= 4096;
  } else if (options_.fault == AttachFault::kLongSegment) {
    size += 4096;
  }
  static_cast<void>(!ftruncate(link.segment.get(), size));
  if (options_.fault == AttachFault::kHalfSealed) {
    fcntl(link.segment.get(), F_ADD_SEALS, F_SEAL_GROW);
  } else if (options_.fault != AttachFault::kUnsealed) {
    fcntl(link.segment.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  }
  link.base = static_cast<std::byte*>(
      mmap(nullptr, link.mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, link.segment.get(), 0));
  link.doorbell = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const ring::SegmentView view(link.base, geometry);
  if (options_.fault == AttachFault::kNone) {
    ring::FormatSegment(view, reply.features);
    link.end = ring::DaemonEnd(view);
  }
  return SendReply(link, reply);
}

bool FakeRingDaemon::SendReply(Link& link, AttachReply reply) {
  const int socket = link.socket.get();
  std::vector<int> descriptors = {link.segment.get(), link.doorbell.get()};
  std::array<int, 2> pipe_ends = {-1, -1};
  AttachFrameType type = AttachFrameType::kAttached;
  uint16_t version = ring::kAttachVersion;
  size_t payload_bytes = sizeof(reply);
  size_t sent_bytes = sizeof(AttachFrameHeader) + sizeof(reply);
  switch (options_.fault) {
    case AttachFault::kNone:
    case AttachFault::kUnsealed:
    case AttachFault::kHalfSealed:
    case AttachFault::kShortSegment:
    case AttachFault::kLongSegment:
      break;
    case AttachFault::kRefuse:
      Send(socket, FrameOf(AttachFrameType::kError, "no channels\nleft"));
      return false;
    case AttachFault::kSilent:
      WaitUntil([&] { return IsOver(link); });
      return false;
    case AttachFault::kHangUp:
      return false;
    case AttachFault::kHangUpInFrame:
      sent_bytes = 7;
      break;
    case AttachFault::kHangUpInPayload:
      sent_bytes -= 5;
      break;
    case AttachFault::kGarbage:
      Send(socket, std::string(64, 'x'));
      return false;
    case AttachFault::kWrongVersion:
      version = 2;
      break;
    case AttachFault::kTooLongPayload:
      payload_bytes = ring::kMaxAttachPayloadBytes + 1;
      break;
    case AttachFault::kShortReply:
      payload_bytes -= 8;
      sent_bytes -= 8;
      break;
    case AttachFault::kWrongType:
      type = AttachFrameType::kAttach;
      break;
    case AttachFault::kNoDescriptors:
      descriptors.clear();
      break;
    case AttachFault::kOneDescriptor:
      descriptors.pop_back();
      break;
    case AttachFault::kThreeDescriptors:
      descriptors.push_back(link.doorbell.get());
      break;
    case AttachFault::kManyDescriptors:
      descriptors.resize(30, link.doorbell.get());
      break;
    case AttachFault::kSwappedDescriptors:
      std::swap(descriptors[0], descriptors[1]);
      break;
    case AttachFault::kWrongSegmentBytes:
      reply.segment_bytes += 4096;
      break;
    case AttachFault::kThreeSlots:
      reply.slots = 3;
      break;
    case AttachFault::kMoreSlots:
      reply.slots *= 2;
      reply.segment_bytes =
          ring::Geometry{.slots = reply.slots, .arena_bytes = reply.arena_bytes}.segment_bytes();
      break;
    case AttachFault::kHugeArena:
      reply.arena_bytes = ~uint64_t{4095};
      reply.segment_bytes =
          ring::Geometry{.slots = reply.slots, .arena_bytes = reply.arena_bytes}.segment_bytes();
      break;
    case AttachFault::kUnevenArena:
      reply.arena_bytes -= 8;
      reply.segment_bytes -= 8;
      break;
    case AttachFault::kUnknownFeatures:
      reply.features |= uint64_t{1} << 40;
      break;
    case AttachFault::kWrongLayout:
      reply.layout_version = 2;
      break;
    case AttachFault::kPipeForBell:
      static_cast<void>(!pipe2(pipe_ends.data(), O_CLOEXEC));
      descriptors[1] = pipe_ends[1];
      break;
  }
  std::string frame =
      FrameOf(type, {reinterpret_cast<const char*>(&reply), sizeof(reply)}).substr(0, sent_bytes);
  AttachFrameHeader header;
  const size_t header_bytes = std::min(frame.size(), sizeof(header));
  std::memcpy(&header, frame.data(), header_bytes);
  header.version = version;
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  std::memcpy(frame.data(), &header, header_bytes);
  Send(socket, frame, descriptors);
  for (const int end : pipe_ends) {
    if (end >= 0) {
      close(end);
    }
  }
  return options_.fault == AttachFault::kNone;
}

void FakeRingDaemon::Run(Link& link) {
  while (!stopping_ && link.socket.valid()) {
    Submission message;
    if (link.end.Take(message)) {
      last_deadline_ns_ = message.deadline_ns;
      Answer(link, message);
      continue;
    }
    if (options_.never_sleeps) {
      if (IsOver(link)) {
        return;
      }
      continue;
    }
    link.end.MarkAsleep();
    ring::StoreLoadFence();
    if (link.end.HasSubmission()) {
      link.end.MarkAwake();
      continue;
    }
    std::array<pollfd, 2> polled = {pollfd{link.doorbell.get(), POLLIN, 0},
                                    pollfd{link.socket.get(), POLLIN, 0}};
    // The bell alone wakes it: who forgets to ring is not answered.
    while (!stopping_ && poll(polled.data(), polled.size(), 20) <= 0) {
    }
    uint64_t rings = 0;
    static_cast<void>(!read(link.doorbell.get(), &rings, sizeof(rings)));
    link.end.MarkAwake();
    if (polled[1].revents != 0) {
      return;
    }
  }
}

void FakeRingDaemon::Complete(Link& link, const Submission& message, Completion completion) {
  completion.tag += message.tag;
  link.end.Complete(completion);
  if (link.end.TakeSleeper() == ring::kAsleepFutex) {
    ring::FutexWake(link.end.client_wait_word());
  }
}

void FakeRingDaemon::Answer(Link& link, const Submission& message) {
  Completion completion;
  completion.kind = CompletionKind::kReturned;
  if ((message.flags & ring::kFlagArena) != 0 &&
      (message.words != ring::kInlineWords || message.payload[0] % 8 != 0 ||
       message.payload[2] % 8 != 0)) {
    completion.kind = CompletionKind::kFailed;
    completion.code = static_cast<uint16_t>(absl::StatusCode::kInvalidArgument);
    Complete(link, message, completion);
    return;
  }
  std::byte* arena = link.end.view().arena();
  const auto number = link.end.taken() - 1;
  switch (message.func) {
    case kAdd:
      completion.words = 1;
      completion.payload[0] =
          static_cast<uint32_t>(message.payload[0]) + static_cast<uint32_t>(message.payload[1]);
      break;
    case kEcho:
      if ((message.flags & ring::kFlagArena) != 0) {
        const uint64_t bytes = std::min(message.payload[1], message.payload[3]);
        std::memmove(arena + message.payload[2], arena + message.payload[0], bytes);
        completion.detail = bytes;
      } else {
        completion.words = message.words;
        completion.payload = message.payload;
      }
      break;
    case kNothing:
      break;
    case kSpread:
      for (uint64_t at = 0; at + 8 <= message.payload[3]; at += 8) {
        std::memcpy(arena + message.payload[2] + at, arena + message.payload[0], 8);
      }
      completion.detail = message.payload[3];
      break;
    case kTrap:
    case kTrapBare:
      completion.kind = CompletionKind::kTrapped;
      completion.code = static_cast<uint16_t>(TrapCode::kDivideByZero);
      completion.detail = message.func == kTrap ? 1 : 0;
      completion.payload = {4, 0x1a2};
      break;
    case kExit:
      completion.kind = CompletionKind::kExited;
      completion.payload[0] = 7;
      break;
    case kFail:
      completion.kind = CompletionKind::kFailed;
      completion.code = static_cast<uint16_t>(absl::StatusCode::kNotFound);
      completion.detail = 2;
      break;
    case kHang:
      WaitUntil([&] {
        return IsOver(link) || link.end.IsCancelled(number) ||
               (message.deadline_ns != 0 && ring::MonotonicNs() >= message.deadline_ns);
      });
      completion.kind = CompletionKind::kFailed;
      completion.code =
          static_cast<uint16_t>(link.end.IsCancelled(number) ? absl::StatusCode::kCancelled
                                                             : absl::StatusCode::kDeadlineExceeded);
      break;
    case kStubborn:
      WaitUntil([&] { return IsOver(link); });
      return;
    case kWhenAsleep:
      WaitUntil([&] {
        return IsOver(link) ||
               link.end.client_wait_word().load(std::memory_order_relaxed) == ring::kAsleepFutex;
      });
      break;
    case kReverse: {
      if (message.payload[1] > message.payload[3]) {
        completion.kind = CompletionKind::kFailed;
        completion.code = static_cast<uint16_t>(absl::StatusCode::kOutOfRange);
        completion.payload[0] = message.payload[1];
        break;
      }
      const auto* input = reinterpret_cast<const char*>(arena) + message.payload[0];
      std::reverse_copy(input, input + message.payload[1],
                        reinterpret_cast<char*>(arena) + message.payload[2]);
      completion.detail = message.payload[1];
      break;
    }
    case kDie:
      link.socket = Fd();
      return;
    case kSayWhy:
      Send(link.socket.get(), FrameOf(AttachFrameType::kError, "it is raining"));
      link.socket = Fd();
      return;
    case kSayNonsense:
      Send(link.socket.get(), std::string(40, 'z'));
      WaitUntil([&] { return IsOver(link); });
      return;
    case kWake:
      Send(link.socket.get(), std::string(3, static_cast<char>(ring::kWakeByte)));
      break;
    case kWrongTag:
      completion.tag = 1;
      break;
    case kUnknownKind:
      completion.kind = static_cast<CompletionKind>(9);
      break;
    case kWrongWords:
      completion.words = 3;
      break;
    case kWrongBytes:
      completion.detail = message.payload[3] + 1;
      break;
    case kAnswerTwice:
      Complete(link, message, completion);
      break;
    case kUnknownCode:
      completion.kind = CompletionKind::kFailed;
      completion.code = 999;
      break;
    case kDropTheRest:
      completion.words = 0;
      Complete(link, message, completion);
      link.socket = Fd();
      return;
    default:
      completion.kind = CompletionKind::kFailed;
      completion.code = static_cast<uint16_t>(absl::StatusCode::kInvalidArgument);
      break;
  }
  Complete(link, message, completion);
}

// ---- The RPCs

namespace {

struct KnownFunc {
  FakeFunc number;
  FuncType type;
};

const std::map<std::string, KnownFunc, std::less<>>& KnownFuncs() {
  using enum ValType;
  static const auto* const known = new std::map<std::string, KnownFunc, std::less<>>{
      {"add", {kAdd, {{kI32, kI32}, {kI32}}}},
      {"echo_all", {kEcho, {{kI32, kI64, kF32, kF64}, {kI32, kI64, kF32, kF64}}}},
      {"echo_i32", {kEcho, {{kI32}, {kI32}}}},
      {"echo_v128", {kEcho, {{kV128}, {kV128}}}},
      {"echo_f64", {kEcho, {{kF64}, {kF64}}}},
      {"echo_six",
       {kEcho, {{kI32, kI64, kF32, kF64, kV128, kI32}, {kI32, kI64, kF32, kF64, kV128, kI32}}}},
      {"echo_hundred", {kEcho, {std::vector<ValType>(100, kI64), std::vector<ValType>(100, kI64)}}},
      {"echo_thousand",
       {kEcho, {std::vector<ValType>(1000, kI64), std::vector<ValType>(1000, kI64)}}},
      {"nothing", {kNothing, {{}, {}}}},
      {"spread", {kSpread, {{kI64}, {kI64, kI64, kI64, kI64, kI64}}}},
      {"trap", {kTrap, {{kI32}, {kI32}}}},
      {"trap_bare", {kTrapBare, {{kI32}, {kI32}}}},
      {"exit", {kExit, {{}, {}}}},
      {"fail", {kFail, {{}, {}}}},
      {"hang", {kHang, {{}, {}}}},
      {"stubborn", {kStubborn, {{}, {}}}},
      {"when_asleep", {kWhenAsleep, {{}, {}}}},
      {"reverse", {kReverse, {{}, {}}}},
      {"die", {kDie, {{}, {}}}},
      {"say_why", {kSayWhy, {{}, {}}}},
      {"say_nonsense", {kSayNonsense, {{}, {}}}},
      {"wake", {kWake, {{}, {}}}},
      {"wrong_tag", {kWrongTag, {{}, {}}}},
      {"unknown_kind", {kUnknownKind, {{}, {}}}},
      {"wrong_words", {kWrongWords, {{}, {}}}},
      {"wrong_bytes", {kWrongBytes, {{}, {}}}},
      {"answer_twice", {kAnswerTwice, {{}, {}}}},
      {"unknown_code", {kUnknownCode, {{}, {}}}},
      {"drop_the_rest", {kDropTheRest, {{}, {}}}},
      {"reference", {kNothing, {{kExternRef}, {}}}},
      {"unknown_type", {kNothing, {{kUnknown}, {}}}},
  };
  return *known;
}

Trap Division() {
  return {.code = TrapCode::kDivideByZero,
          .message = "integer divide by zero",
          .frames = {{"math", 4, "divide", 0x1a2}},
          .frames_omitted = 0};
}

}  // namespace

absl::StatusOr<std::unique_ptr<RingConnection>> FakeBackend::Attach(const RingOptions& options) {
  if (daemon_ == nullptr) {
    return absl::UnimplementedError("there are no rings here");
  }
  return RingConnection::Attach(daemon_->Connect(), FakeRingDaemon::Token(), options,
                                absl::Now() + absl::Seconds(30));
}

absl::StatusOr<FuncType> FakeBackend::FindFunc(const CallTarget& target, std::string_view func,
                                               const Control&) {
  if (target.module != "sha256:1" && (!target.module.empty() || target.instance != 1)) {
    return absl::NotFoundError("no such module or instance");
  }
  const auto known = KnownFuncs().find(func);
  if (known == KnownFuncs().end()) {
    return absl::NotFoundError("no such function");
  }
  return known->second.type;
}

absl::StatusOr<ChannelBackend::Binding> FakeBackend::Bind(uint64_t channel,
                                                          const CallTarget& target, InstancePolicy,
                                                          std::string_view func, bool,
                                                          const Control& control) {
  ++seen_->binds;
  if (channel != 77) {
    return absl::NotFoundError("no such channel");
  }
  if (func == "bad_start") {
    return Binding{.func = 0, .type = {}, .outcome = Division()};
  }
  if (func == "one_too_many") {
    return absl::ResourceExhaustedError("--max-channel-functions");
  }
  absl::StatusOr<FuncType> type = FindFunc(target, func, control);
  if (!type.ok()) {
    return type.status();
  }
  return Binding{
      .func = KnownFuncs().find(func)->second.number, .type = *std::move(type), .outcome = {}};
}

absl::StatusOr<ChannelBackend::Report> FakeBackend::GetReport(uint64_t channel, uint64_t report,
                                                              const Control&) {
  ++seen_->reports;
  if (channel == 77 && report == 1) {
    return Report{.outcome = Division(), .error = {}};
  }
  if (channel == 77 && report == 2) {
    return Report{.outcome = {}, .error = "the instance is\ngone"};
  }
  return absl::NotFoundError("no such report");
}

absl::StatusOr<uint64_t> FakeBackend::Instantiate(std::string_view, const Control&) {
  ++seen_->instantiated;
  return 1;
}

void FakeBackend::Drop(uint64_t) {
  ++seen_->dropped;
}

absl::StatusOr<CallResult> FakeBackend::Call(const CallTarget& target, std::string_view func,
                                             std::span<const Value> args, const Control& control) {
  ++seen_->calls;
  if (func == "one_too_many") {
    return CallResult{.outcome = Values{int32_t{1}}, .duration = {}};
  }
  const absl::StatusOr<FuncType> type = FindFunc(target, func, control);
  if (!type.ok()) {
    return type.status();
  }
  switch (KnownFuncs().find(func)->second.number) {
    case kAdd:
      return CallResult{.outcome = Values{std::get<int32_t>(args[0]) + std::get<int32_t>(args[1])},
                        .duration = {}};
    case kTrap:
    case kTrapBare:
      return CallResult{.outcome = Division(), .duration = {}};
    case kSpread:
      return CallResult{.outcome = Values(5, args[0]), .duration = {}};
    case kExit:
      return CallResult{.outcome = Exit{7}, .duration = {}};
    case kFail:
      return absl::NotFoundError("the instance is gone");
    case kWrongWords:
      return CallResult{.outcome = Values{int32_t{1}}, .duration = {}};
    case kHang:
      FakeRingDaemon::WaitUntil([start = absl::Now(), &control] {
        return control.stop.stop_requested() || absl::Now() - start >= control.timeout;
      });
      return control.stop.stop_requested() ? absl::CancelledError("cancelled")
                                           : NotDoneWithin(control.timeout);
    default:
      return CallResult{.outcome = Values(args.begin(), args.end()), .duration = {}};
  }
}

absl::StatusOr<BytesResult> FakeBackend::CallBytes(const CallTarget&, std::string_view func,
                                                   std::string_view input, const Control&) {
  ++seen_->calls;
  if (func == "trap") {
    return BytesResult{.outcome = Division()};
  }
  if (func == "exit") {
    return BytesResult{.outcome = Exit{7}};
  }
  if (func == "fail") {
    return absl::NotFoundError("the instance is gone");
  }
  return BytesResult{.outcome = std::string(input.rbegin(), input.rend())};
}

}  // namespace wasmd::client
