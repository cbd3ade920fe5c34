#include "daemon/rpc/rpc_context.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"

#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/rpc/translate.h"
#include "daemon/session/session_manager.h"
#include "proto/handshake/handshake.h"

namespace wasmd::daemon {
namespace {

constexpr size_t kMaxStatusMessageBytes = 4096;
// gRPC's "no deadline" is a time far away, and not the same one everywhere.
constexpr absl::Duration kNoDeadline = absl::Hours(24 * 365 * 10);

}  // namespace

absl::StatusOr<std::shared_ptr<Session>> SessionOf(const RpcContext& rpc,
                                                   const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(handshake::kSessionMetadataKey);
  if (found == metadata.end()) {
    return rpc.sessions.Find("");
  }
  return rpc.sessions.Find({found->second.data(), found->second.size()});
}

std::string PrincipalOf(const RpcContext& rpc, const grpc::CallbackServerContext& context) {
  if (!context.peer().starts_with("unix")) {
    return "tcp";
  }
  if ((rpc.sessions.services().options.socket_mode & 077) == 0) {
    return StrCat("uid:", ::geteuid());
  }
  return "unix";
}

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const absl::Time deadline = absl::FromChrono(context.deadline());
  return deadline - absl::Now() > kNoDeadline ? absl::InfiniteFuture() : deadline;
}

engine::InterruptReason CancelReason(const grpc::CallbackServerContext& context) {
  return DeadlineOf(context) <= absl::Now() ? engine::InterruptReason::kDeadline
                                            : engine::InterruptReason::kClientGone;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  return {static_cast<grpc::StatusCode>(status.code()),
          WireText({status.message().data(), status.message().size()}, kMaxStatusMessageBytes)};
}

}  // namespace wasmd::daemon
