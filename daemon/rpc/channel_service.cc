#include <memory>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"

#include "daemon/channel/channel.h"
#include "daemon/channel/channel_manager.h"
#include "daemon/config/text.h"
#include "daemon/pool/bound_func.h"
#include "daemon/pool/guest.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/translate.h"
#include "daemon/rpc/unary_operation.h"
#include "daemon/session/session_manager.h"
#include "engine/base/status_macros.h"
#include "proto/wasmd/v1/channel.grpc.pb.h"

namespace wasmd::daemon {
namespace {

absl::StatusOr<BindSpec> SpecOf(const v1::BindRequest& request) {
  BindSpec spec;
  spec.func = request.func();
  spec.bytes = request.bytes();
  switch (request.policy()) {
    case v1::INSTANCE_POLICY_CHANNEL:
      spec.policy = InstancePolicy::kChannel;
      break;
    case v1::INSTANCE_POLICY_FRESH:
      spec.policy = InstancePolicy::kFresh;
      break;
    case v1::INSTANCE_POLICY_SHARED:
      spec.policy = InstancePolicy::kShared;
      break;
    default:
      return absl::InvalidArgumentError("policy must be CHANNEL, FRESH or SHARED");
  }
  const bool by_instance = spec.policy == InstancePolicy::kShared;
  if (by_instance != (request.target_case() == v1::BindRequest::kInstance)) {
    return absl::InvalidArgumentError(
        "policies CHANNEL and FRESH go with a module, SHARED with an instance");
  }
  spec.module = request.module();
  spec.instance = request.instance();
  spec.limits = FromWire(request.limits());
  return spec;
}

class ChannelService final : public v1::ChannelService::CallbackService {
 public:
  explicit ChannelService(const RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* Bind(grpc::CallbackServerContext* context,
                                 const v1::BindRequest* request,
                                 v1::BindResponse* response) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    if (!session.ok()) {
      return Answer(*context, session.status());
    }
    absl::StatusOr<BindSpec> spec = SpecOf(*request);
    if (!spec.ok()) {
      return Answer(*context, spec.status());
    }
    spec->deadline = DeadlineOf(*context);
    return UnaryOperation::Start(*context, [&](const UnaryOperation::Pointer& operation) {
      return rpc_.channels.Bind(*session, request->channel(), *std::move(spec),
                                [operation, response](absl::StatusOr<BindResult> bound) {
                                  if (bound.ok() && bound->result.stop.has_value()) {
                                    ToWire(bound->result, {}, *response->mutable_outcome());
                                  } else if (bound.ok()) {
                                    response->set_func(bound->func);
                                    ToWire(bound->type, *response->mutable_type());
                                  }
                                  operation->End(bound.status());
                                });
    });
  }

  grpc::ServerUnaryReactor* GetReport(grpc::CallbackServerContext* context,
                                      const v1::GetReportRequest* request,
                                      v1::GetReportResponse* response) override {
    return Answer(*context, Report(*context, *request, *response));
  }

 private:
  absl::Status Report(const grpc::CallbackServerContext& context,
                      const v1::GetReportRequest& request, v1::GetReportResponse& response) const {
    WASMD_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, SessionOf(rpc_, context));
    WASMD_ASSIGN_OR_RETURN(const std::shared_ptr<Channel> channel,
                           rpc_.channels.Find(*session, request.channel()));
    WASMD_ASSIGN_OR_RETURN(Channel::Report report, channel->FindReport(request.report()));
    if (const auto* status = std::get_if<absl::Status>(&report)) {
      response.set_error(WireText(StdView(status->message())));
      return absl::OkStatus();
    }
    GuestResult result;
    result.stop = std::get<engine::Stop>(std::move(report));
    ToWire(result, {}, *response.mutable_outcome());
    return absl::OkStatus();
  }

  const RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewChannelService(const RpcContext& rpc) {
  return std::make_unique<ChannelService>(rpc);
}

}  // namespace wasmd::daemon
