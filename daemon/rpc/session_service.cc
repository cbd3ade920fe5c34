#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"

#include "daemon/config/options.h"
#include "daemon/pool/engine_types.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/translate.h"
#include "daemon/rpc/unary_operation.h"
#include "daemon/session/session_manager.h"
#include "engine/base/status_macros.h"
#include "proto/wasmd/v1/session.grpc.pb.h"

namespace wasmd::daemon {
namespace {

constexpr size_t kMaxClientNameBytes = 255;

class SessionService final : public v1::SessionService::CallbackService {
 public:
  explicit SessionService(const RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* Initialize(grpc::CallbackServerContext* context,
                                       const v1::InitializeRequest* request,
                                       v1::InitializeResponse* response) override {
    return Answer(*context, Welcome(*context, *request, *response));
  }

  grpc::ServerUnaryReactor* Close(grpc::CallbackServerContext* context,
                                  const v1::CloseRequest* /*request*/,
                                  v1::CloseResponse* /*response*/) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    if (session.ok()) {
      rpc_.sessions.Close(*session, engine::InterruptReason::kCancel);
    }
    return Answer(*context, session.status());
  }

 private:
  absl::Status Welcome(const grpc::CallbackServerContext& context,
                       const v1::InitializeRequest& request,
                       v1::InitializeResponse& response) const {
    if (request.protocol_version() == 0) {
      return absl::InvalidArgumentError("protocol_version must be set: the highest one you speak");
    }
    absl::StatusOr<std::shared_ptr<Session>> session =
        request.session_token().empty() ? rpc_.sessions.Open(PrincipalOf(rpc_, context), false)
                                        : rpc_.sessions.Find(request.session_token());
    WASMD_RETURN_IF_ERROR(session.status());
    (*session)->Introduce(WireText(request.client_name(), kMaxClientNameBytes),
                          WireText(request.client_version(), kMaxClientNameBytes));
    response.set_server_name("wasmd");
    response.set_server_version(rpc_.version);
    response.set_protocol_version(std::min(request.protocol_version(), kProtocolVersion));
    response.set_session_token((*session)->identity().token);
    v1::Capabilities& capabilities = *response.mutable_capabilities();
#define FEATURE(name, text, supported)                \
  ((supported) ? capabilities.add_wasm_features(text) \
               : capabilities.add_missing_wasm_features(text));
    WASMD_FEATURES(FEATURE)
#undef FEATURE
    capabilities.add_host_modules(std::string(engine::kWasiModuleName));
    const bool is_unix = context.peer().starts_with("unix");
    capabilities.set_descriptor_passing(is_unix);
    capabilities.set_channels(is_unix);
    const SessionServices& services = rpc_.sessions.services();
    for (const auto& [name, directory] : services.roots) {
      capabilities.add_roots(name);
    }
    const Options& options = services.options;
    v1::SessionLimits& limits = *response.mutable_limits();
    limits.set_max_module_bytes(options.max_module_bytes);
    limits.set_max_instances(options.max_instances_per_session);
    limits.set_max_concurrent_runs(std::min(options.max_runs_per_session, options.max_runs));
    limits.set_max_concurrent_calls(options.max_calls_per_session);
    limits.set_max_memory_bytes(options.max_memory_bytes);
    limits.set_max_scratch_bytes(options.max_scratch_bytes);
    limits.set_idle_timeout_seconds(
        static_cast<uint32_t>(absl::ToInt64Seconds(options.session_idle_timeout)));
    return absl::OkStatus();
  }

  const RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewSessionService(const RpcContext& rpc) {
  return std::make_unique<SessionService>(rpc);
}

}  // namespace wasmd::daemon
