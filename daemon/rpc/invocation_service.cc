#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"

#include "daemon/pool/guest.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/run_reactor.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/translate.h"
#include "daemon/rpc/unary_operation.h"
#include "daemon/session/session_manager.h"
#include "engine/base/status_macros.h"
#include "proto/wasmd/v1/invocation.grpc.pb.h"

namespace wasmd::daemon {
namespace {

absl::StatusOr<CallRequestSpec> SpecOf(const v1::CallRequest& request) {
  CallRequestSpec spec;
  switch (request.target_case()) {
    case v1::CallRequest::kModule:
      spec.module = request.module();
      break;
    case v1::CallRequest::kInstance:
      spec.instance = request.instance();
      break;
    case v1::CallRequest::TARGET_NOT_SET:
      break;
  }
  if (spec.module.empty() && spec.instance == 0) {
    return absl::InvalidArgumentError("a call needs a module or an instance");
  }
  spec.call.func = request.func();
  for (const v1::Value& value : request.args()) {
    WASMD_ASSIGN_OR_RETURN(GuestArgument arg, FromWire(value));
    spec.call.args.push_back(std::move(arg));
  }
  spec.invocation_id = request.invocation_id();
  return spec;
}

class InvocationService final : public v1::InvocationService::CallbackService {
 public:
  explicit InvocationService(const RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context,
                                 const v1::CallRequest* request,
                                 v1::CallResponse* response) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    if (!session.ok()) {
      return Answer(*context, session.status());
    }
    absl::StatusOr<CallRequestSpec> spec = SpecOf(*request);
    if (!spec.ok()) {
      return Answer(*context, spec.status());
    }
    spec->deadline = DeadlineOf(*context);
    return UnaryOperation::Start(*context, [&](const UnaryOperation::Pointer& operation) {
      return (*session)->Call(
          *std::move(spec), [operation, response](absl::StatusOr<CallGuestResult> called) {
            if (called.ok()) {
              ToWire(called->result, called->values, *response->mutable_outcome());
              response->set_duration_ns(called->result.duration_ns);
            }
            operation->End(called.status());
          });
    });
  }

  grpc::ServerBidiReactor<v1::RunRequest, v1::RunResponse>* Run(
      grpc::CallbackServerContext* context) override {
    return StartRunReactor(rpc_, *context);
  }

  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context,
                                   const v1::CancelRequest* request,
                                   v1::CancelResponse* /*response*/) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    return Answer(*context,
                  session.ok() ? (*session)->Cancel(request->invocation_id()) : session.status());
  }

 private:
  const RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewInvocationService(const RpcContext& rpc) {
  return std::make_unique<InvocationService>(rpc);
}

}  // namespace wasmd::daemon
