#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"

#include "daemon/config/text.h"
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

// Of an input, and of an output. With what is around it a request stays below kMaxReceiveBytes
// (grpc_server.cc).
constexpr uint64_t kMaxCallBytes = uint64_t{4} << 20;

// Of a CallRequest or a CallBytesRequest.
template <typename Request>
absl::StatusOr<CallTarget> TargetOf(const Request& request,
                                    const grpc::CallbackServerContext& context) {
  CallTarget target;
  switch (request.target_case()) {
    case Request::kModule:
      target.module = request.module();
      break;
    case Request::kInstance:
      target.instance = request.instance();
      break;
    case Request::TARGET_NOT_SET:
      break;
  }
  if (target.module.empty() && target.instance == 0) {
    return absl::InvalidArgumentError("a call needs a module or an instance");
  }
  target.invocation_id = request.invocation_id();
  target.deadline = DeadlineOf(context);
  if (request.has_fuel()) {
    target.fuel = request.fuel();
  }
  target.limits = FromWire(request.limits());
  return target;
}

absl::StatusOr<CallRequestSpec> SpecOf(const v1::CallRequest& request,
                                       const grpc::CallbackServerContext& context) {
  CallRequestSpec spec;
  WASMD_ASSIGN_OR_RETURN(static_cast<CallTarget&>(spec), TargetOf(request, context));
  spec.call.func = request.func();
  for (const v1::Value& value : request.args()) {
    WASMD_ASSIGN_OR_RETURN(GuestArgument arg, FromWire(value));
    spec.call.args.push_back(std::move(arg));
  }
  return spec;
}

// Refers to the request, which gRPC keeps until the RPC has ended.
absl::StatusOr<BytesCallRequestSpec> SpecOf(const v1::CallBytesRequest& request,
                                            const grpc::CallbackServerContext& context) {
  BytesCallRequestSpec spec;
  WASMD_ASSIGN_OR_RETURN(static_cast<CallTarget&>(spec), TargetOf(request, context));
  if (request.input().size() > kMaxCallBytes) {
    return absl::ResourceExhaustedError(StrCat("the input has ", request.input().size(),
                                               " bytes; one call takes no more than ",
                                               kMaxCallBytes));
  }
  spec.call.func = request.func();
  spec.call.input = request.input();
  spec.call.max_output_bytes = kMaxCallBytes;
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
    absl::StatusOr<CallRequestSpec> spec = SpecOf(*request, *context);
    if (!spec.ok()) {
      return Answer(*context, spec.status());
    }
    return UnaryOperation::Start(*context, [&](const UnaryOperation::Pointer& operation) {
      return (*session)->Call(
          *std::move(spec), [operation, response](absl::StatusOr<CallGuestResult> called) {
            if (called.ok()) {
              ToWire(called->result, called->values, *response->mutable_outcome());
              response->set_duration_ns(called->result.duration_ns);
              if (called->result.fuel_left.has_value()) {
                response->set_fuel_left(*called->result.fuel_left);
              }
            }
            operation->End(called.status());
          });
    });
  }

  grpc::ServerUnaryReactor* CallBytes(grpc::CallbackServerContext* context,
                                      const v1::CallBytesRequest* request,
                                      v1::CallBytesResponse* response) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    if (!session.ok()) {
      return Answer(*context, session.status());
    }
    absl::StatusOr<BytesCallRequestSpec> spec = SpecOf(*request, *context);
    if (!spec.ok()) {
      return Answer(*context, spec.status());
    }
    return UnaryOperation::Start(*context, [&](const UnaryOperation::Pointer& operation) {
      return (*session)->CallBytes(*std::move(spec),
                                   [operation, response](absl::StatusOr<BytesGuestResult> called) {
                                     if (called.ok()) {
                                       if (called->result.stop.has_value()) {
                                         ToWire(called->result, {}, *response->mutable_outcome());
                                       } else {
                                         response->set_output(std::move(called->output));
                                       }
                                       response->set_duration_ns(called->result.duration_ns);
                                       if (called->result.fuel_left.has_value()) {
                                         response->set_fuel_left(*called->result.fuel_left);
                                       }
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
