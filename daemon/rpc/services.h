// The services of wasmd.v1. They translate; what is decided is decided in daemon/session and below.
#ifndef WASMD_DAEMON_RPC_SERVICES_H_
#define WASMD_DAEMON_RPC_SERVICES_H_

#include <memory>

namespace grpc {
class Service;
}  // namespace grpc

namespace wasmd::daemon {

struct RpcContext;

// `rpc` outlives them. Thread-safe.
std::unique_ptr<grpc::Service> NewChannelService(const RpcContext& rpc);
std::unique_ptr<grpc::Service> NewSessionService(const RpcContext& rpc);
std::unique_ptr<grpc::Service> NewModuleService(const RpcContext& rpc);
std::unique_ptr<grpc::Service> NewInstanceService(const RpcContext& rpc);
std::unique_ptr<grpc::Service> NewInvocationService(const RpcContext& rpc);
std::unique_ptr<grpc::Service> NewServerService(const RpcContext& rpc);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_RPC_SERVICES_H_
