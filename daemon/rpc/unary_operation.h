// UnaryOperation: a unary RPC that waits for an invocation, which it interrupts when the client
// gives up or the deadline comes.
#ifndef WASMD_DAEMON_RPC_UNARY_OPERATION_H_
#define WASMD_DAEMON_RPC_UNARY_OPERATION_H_

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

#include "daemon/session/session.h"

namespace wasmd::daemon {

// Owns itself until gRPC has done with it; `start` may keep it longer. Thread-safe.
class UnaryOperation : public grpc::ServerUnaryReactor {
 public:
  using Pointer = std::shared_ptr<UnaryOperation>;

  // Calls `start`, which starts an invocation or has End called; returns the reactor for gRPC.
  static UnaryOperation* Start(const grpc::CallbackServerContext& context,
                               const std::function<Session::Started(const Pointer&)>& start);
  explicit UnaryOperation(const grpc::CallbackServerContext& context) : context_(context) {}

  // Ends the RPC; once. The response is not touched afterwards.
  void End(const absl::Status& status);

 private:
  void OnCancel() override;
  void OnDone() override;

  const grpc::CallbackServerContext& context_;
  Pointer self_;
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  Session::Started invocation_ ABSL_GUARDED_BY(mutex_);
};

// A unary RPC that is answered at once.
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext& context, const absl::Status& status);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_RPC_UNARY_OPERATION_H_
