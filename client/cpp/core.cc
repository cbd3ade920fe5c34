#include "client/cpp/core.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <grpc/grpc.h>
#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>

#include "client/cpp/address.h"
#include "client/cpp/convert.h"
#include "client/cpp/posix.h"
#include "client/cpp/text.h"

namespace wasmd::client {

namespace {

constexpr uint32_t kProtocolVersion = 1;
// A module's full description may have 100,000 exports.
constexpr int kMaxResponseBytes = 64 << 20;
// What ends a session over TCP may take so long when its Client goes.
constexpr absl::Duration kCloseTimeout = absl::Seconds(1);
constexpr absl::Duration kAttachTimeout = absl::Seconds(10);

// gRPC shuts itself down with its last object, and that waits up to 10 s for a poller in the
// background (1.51, run_poller in tcp_posix.cc; seen in one test of five). A reference that is
// never given back keeps it from doing so.
void KeepGrpcAlive() {
  [[maybe_unused]] static const bool kept = [] {
    grpc_init();
    return true;
  }();
}

// The default address in /tmp can be made by anybody: whoever did so would see our modules and
// files.
absl::Status CheckFallbackOwner(const Address& address) {
  struct stat info{};
  if (address.path != Cat("/tmp/wasmd-", getuid(), ".sock") ||
      lstat(address.path.c_str(), &info) != 0 || info.st_uid == getuid() || info.st_uid == 0) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      Cat(address.ToString(), " belongs to somebody else; name another address"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<Core>> Core::Connect(std::string_view address,
                                                    const ConnectOptions& options) {
  const absl::Time deadline = absl::Now() + options.timeout;
  absl::StatusOr<Address> where =
      ParseAddress(address.empty() ? DefaultAddress() : std::string(address));
  if (!where.ok()) {
    return where.status();
  }
  if (absl::Status status = CheckFallbackOwner(*where); !status.ok()) {
    return status;
  }
  // Connecting here rather than in gRPC has the error at once and in its own words, and spares the
  // resolver, the load balancer and the retries.
  absl::StatusOr<Fd> socket = ConnectSocket(*where, deadline);
  if (!socket.ok()) {
    return socket.status();
  }
  KeepGrpcAlive();
  std::shared_ptr<Core> core(new Core);
  if (where->kind != Address::Kind::kUnix) {
    core->session_.why_not = "descriptors cannot be passed over TCP";
  } else if (!options.pass_descriptors) {
    core->session_.why_not = "passing descriptors is switched off";
  } else {
    absl::StatusOr<std::unique_ptr<Handshake>> handshake =
        Handshake::Open(*std::move(socket), deadline);
    if (handshake.ok()) {
      core->handshake_ = *std::move(handshake);
      core->token_ = core->handshake_->token();
    } else if (absl::IsDeadlineExceeded(handshake.status())) {
      return absl::UnavailableError(
          Cat("what listens at ", where->ToString(), " does not answer; is it wasmd?"));
    } else {
      core->session_.why_not = OneLine(std::string(handshake.status().message()));
    }
    socket = ConnectSocket(*where, deadline);
    if (!socket.ok()) {
      return socket.status();
    }
  }
  core->session_.address = where->ToString();
  core->where_ = *where;

  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxResponseBytes);
  // Of the authority a unix socket's server wants only that it is well-formed.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  core->channel_ = grpc::experimental::CreateCustomInsecureChannelWithInterceptorsFromFd(
      "localhost", socket->release(), arguments, {});
  core->sessions_ = v1::SessionService::NewStub(core->channel_);
  core->modules_ = v1::ModuleService::NewStub(core->channel_);
  core->instances_ = v1::InstanceService::NewStub(core->channel_);
  core->invocations_ = v1::InvocationService::NewStub(core->channel_);
  core->server_ = v1::ServerService::NewStub(core->channel_);
  core->channels_ = v1::ChannelService::NewStub(core->channel_);
  if (absl::Status status = core->Initialize(options, deadline); !status.ok()) {
    return status;
  }
  return core;
}

absl::Status Core::Initialize(const ConnectOptions& options, absl::Time deadline) {
  v1::InitializeRequest request;
  request.set_client_name(options.client_name);
  request.set_client_version(options.client_version);
  request.set_protocol_version(kProtocolVersion);
  request.set_session_token(token_);
  v1::InitializeResponse response;
  Control control;
  control.timeout = deadline - absl::Now();
  absl::Status status =
      Unary(&v1::SessionService::Stub::Initialize, *sessions_, request, &response, control);
  if (absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(
        Cat("what listens at ", session_.address, " does not answer; is it wasmd?"));
  }
  // HTTP/2 that is not spoken, or not for us, or another service: gRPC has a code for each.
  if (absl::IsUnavailable(status) || absl::IsUnimplemented(status) || absl::IsInternal(status) ||
      absl::IsUnknown(status)) {
    return absl::FailedPreconditionError(
        Cat("what listens at ", session_.address, " is no wasmd: ", status.message()));
  }
  if (!status.ok()) {
    return status;
  }
  if (response.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError(Cat(
        "wasmd ", response.server_version(), " at ", session_.address, " speaks protocol version ",
        response.protocol_version(), ", this client ", kProtocolVersion));
  }
  SessionInfo info = FromProto(response);
  info.address = session_.address;
  info.why_not = session_.why_not;
  info.passes_descriptors = handshake_ != nullptr;
  session_ = std::move(info);
  token_ = response.session_token();
  return absl::OkStatus();
}

Core::~Core() {
  std::thread dropper;
  {
    const absl::MutexLock lock(&drop_mutex_);
    stopping_ = true;
    dropper = std::move(dropper_);
  }
  if (dropper.joinable()) {
    drop_stop_.request_stop();
    drop_wake_.Signal();
    dropper.join();
  }
  // With a handshake, its end of file ends the session.
  if (handshake_ == nullptr && !closed_ && !token_.empty()) {
    Control control;
    control.timeout = kCloseTimeout;
    Close(control).IgnoreError();
  }
}

absl::StatusOr<std::vector<uint64_t>> Core::PassDescriptors(std::span<const int> descriptors) {
  if (handshake_ == nullptr) {
    return absl::FailedPreconditionError(session_.why_not);
  }
  return handshake_->Pass(descriptors);
}

absl::StatusOr<std::unique_ptr<RingConnection>> Core::AttachRing(const RingOptions& options) const {
  if (!session_.passes_descriptors) {
    return absl::FailedPreconditionError(session_.why_not);
  }
  if (!session_.channels) {
    return absl::UnimplementedError(Cat("wasmd ", session_.server_version, " at ", session_.address,
                                        " has no channels by shared memory"));
  }
  if (absl::Status status = CheckFallbackOwner(where_); !status.ok()) {
    return status;
  }
  const absl::Time deadline = absl::Now() + kAttachTimeout;
  absl::StatusOr<Fd> socket = ConnectSocket(where_, deadline);
  if (!socket.ok()) {
    return socket.status();
  }
  return RingConnection::Attach(*std::move(socket), token_, options, deadline);
}

void Core::Prepare(grpc::ClientContext& context, const Control& control) const {
  if (!token_.empty()) {
    context.AddMetadata(handshake::kSessionMetadataKey, token_);
  }
  if (control.timeout != absl::InfiniteDuration()) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + control.timeout));
  }
}

absl::Status Core::Convert(const grpc::Status& status, const Control& control) const {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::OkStatus();
    case grpc::StatusCode::UNAVAILABLE:
      return absl::UnavailableError(
          Cat("wasmd at ", session_.address, ": ", OneLine(status.error_message())));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return control.timeout == absl::InfiniteDuration()
                 ? absl::DeadlineExceededError(OneLine(status.error_message()))
                 : NotDoneWithin(control.timeout);
    case grpc::StatusCode::CANCELLED:
      return absl::CancelledError(control.stop.stop_requested() ? "cancelled"
                                                                : OneLine(status.error_message()));
    default:
      return {static_cast<absl::StatusCode>(status.error_code()), OneLine(status.error_message())};
  }
}

void Core::DropLater(uint64_t instance) {
  {
    const absl::MutexLock lock(&drop_mutex_);
    to_drop_.push_back(instance);
    if (!dropper_.joinable()) {
      dropper_ = std::thread([this] { RunDropper(); });
    }
  }
  drop_wake_.Signal();
}

void Core::RunDropper() {
  Control control;
  control.stop = drop_stop_.get_token();
  for (;;) {
    v1::DropInstanceRequest request;
    {
      const absl::MutexLock lock(&drop_mutex_);
      while (to_drop_.empty() && !stopping_) {
        drop_wake_.Wait(&drop_mutex_);
      }
      // What is left goes with the session.
      if (stopping_) {
        return;
      }
      request.set_instance(to_drop_.front());
      to_drop_.pop_front();
    }
    control.timeout = absl::Seconds(10);
    v1::DropInstanceResponse response;
    Unary(&v1::InstanceService::Stub::DropInstance, *instances_, request, &response, control)
        .IgnoreError();
  }
}

absl::Status Core::Close(const Control& control) {
  closed_ = true;
  v1::CloseResponse response;
  return Unary(&v1::SessionService::Stub::Close, *sessions_, v1::CloseRequest(), &response,
               control);
}

absl::Status Core::CheckHealth(const Control& control) const {
  // grpc.health.v1.Health/Check, whose generated code Debian does not package. The request for the
  // whole server is empty; the response {1: 1} is SERVING.
  grpc::ClientContext context;
  Prepare(context, control);
  const std::stop_callback cancel(control.stop, [&context] { context.TryCancel(); });
  grpc::GenericStub stub(channel_);
  grpc::CompletionQueue queue;
  const grpc::Slice empty("", size_t{0});
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (absl::Status converted = Convert(status, control); !converted.ok()) {
    return converted;
  }
  grpc::Slice answer;
  if (!response.TrySingleSlice(&answer).ok() || answer.size() != 2 || answer.begin()[0] != 0x08 ||
      answer.begin()[1] != 1) {
    return absl::UnavailableError(Cat("wasmd at ", session_.address, " does not serve now"));
  }
  return absl::OkStatus();
}

}  // namespace wasmd::client
