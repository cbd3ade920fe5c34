// What all services need: the daemon's parts, the asking client's session, deadlines and statuses
// in gRPC's terms.
#ifndef WASMD_DAEMON_RPC_RPC_CONTEXT_H_
#define WASMD_DAEMON_RPC_RPC_CONTEXT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

#include "daemon/sandbox/sandbox.h"
#include "daemon/session/session_manager.h"

namespace grpc {
class CallbackServerContext;
}  // namespace grpc

namespace wasmd::daemon {

class ChannelManager;

// Outlives the server.
struct RpcContext {
  SessionManager& sessions;
  ChannelManager& channels;
  std::string version;
  absl::Time started_at;
  std::function<uint32_t()> connection_count;
  SandboxReport sandbox;  // Complete before the first request.
};

inline constexpr uint32_t kProtocolVersion = 1;

// The session that the request's metadata names. kUnauthenticated.
absl::StatusOr<std::shared_ptr<Session>> SessionOf(const RpcContext& rpc,
                                                   const grpc::CallbackServerContext& context);

// Whose modules a client sees whose user is not known by handshake. gRPC does not say which
// connection an RPC came by, so all such clients of a kind are one: those of a unix socket that
// only one user can open are that user.
std::string PrincipalOf(const RpcContext& rpc, const grpc::CallbackServerContext& context);

// absl::InfiniteFuture() if the client set none.
absl::Time DeadlineOf(const grpc::CallbackServerContext& context);
// Why gRPC has cancelled it: the deadline, or the client.
engine::InterruptReason CancelReason(const grpc::CallbackServerContext& context);

// The same code; the message bounded, since it travels in trailers, of which peers take 8 KiB by
// default.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_RPC_RPC_CONTEXT_H_
