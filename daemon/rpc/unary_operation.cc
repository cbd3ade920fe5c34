#include "daemon/rpc/unary_operation.h"

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

#include "daemon/pool/engine_types.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/session/session.h"

namespace wasmd::daemon {

UnaryOperation* UnaryOperation::Start(
    const grpc::CallbackServerContext& context,
    const std::function<Session::Started(const Pointer&)>& start) {
  // OnDone may come before `start` returns.
  const auto operation = std::make_shared<UnaryOperation>(context);
  operation->self_ = operation;
  Session::Started invocation = start(operation);
  if (invocation != nullptr) {
    bool cancelled = false;
    {
      const absl::MutexLock lock(&operation->mutex_);
      operation->invocation_ = invocation;
      cancelled = operation->cancelled_;
    }
    if (cancelled) {
      invocation->Interrupt(engine::InterruptReason::kClientGone);
    }
  }
  return operation.get();
}

void UnaryOperation::End(const absl::Status& status) {
  Finish(ToGrpc(status));
}

void UnaryOperation::OnCancel() {
  Session::Started invocation;
  {
    const absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    invocation = invocation_;
  }
  if (invocation != nullptr) {
    invocation->Interrupt(CancelReason(context_));
  }
}

void UnaryOperation::OnDone() {
  // May be the last reference: nothing is touched afterwards.
  const Pointer self = std::move(self_);
}

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext& context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context.DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

}  // namespace wasmd::daemon
