#include "daemon/rpc/grpc_server.h"

#include <array>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/services.h"

namespace wasmd::daemon {
namespace {

// A chunk of 1 MiB and what is around it; a RunStart's arguments and variables.
constexpr int kMaxReceiveBytes = (4 << 20) + (64 << 10);
// Of one connection: a client that opens more streams waits for its own.
constexpr int kMaxStreams = 1024;

}  // namespace

class GrpcServer::Impl {
 public:
  std::array<std::unique_ptr<grpc::Service>, 6> services;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  std::unique_ptr<grpc::Server> server;
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Create(const RpcContext& rpc) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto impl = std::make_unique<Impl>();
  impl->services = {NewSessionService(rpc),    NewModuleService(rpc),  NewInstanceService(rpc),
                    NewInvocationService(rpc), NewChannelService(rpc), NewServerService(rpc)};
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  // Peers on a unix socket close it when they go; on TCP they may vanish.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  for (const std::unique_ptr<grpc::Service>& service : impl->services) {
    builder.RegisterService(service.get());
  }
  using ConnectionType = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  impl->acceptor = builder.experimental().AddExternalConnectionAcceptor(
      ConnectionType::FROM_FD, grpc::InsecureServerCredentials());
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr) {
    return absl::InternalError("gRPC could not be started");
  }
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcServer::~GrpcServer() = default;

void GrpcServer::AddConnection(engine::UniqueFd connection) {
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = -1;
  parameters.fd = connection.release();
  impl_->acceptor->HandleNewConnection(&parameters);
}

void GrpcServer::SetServing(bool serving) {
  if (grpc::HealthCheckServiceInterface* health = impl_->server->GetHealthCheckService()) {
    health->SetServingStatus(serving);
  }
}

void GrpcServer::Shutdown(absl::Time deadline) {
  impl_->server->Shutdown(absl::ToChronoTime(deadline));
}

}  // namespace wasmd::daemon
