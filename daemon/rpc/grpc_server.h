// GrpcServer: gRPC on connections that somebody else accepted.
//
// Thread-safe. Shutdown() comes before the destructor.
#ifndef WASMD_DAEMON_RPC_GRPC_SERVER_H_
#define WASMD_DAEMON_RPC_GRPC_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

struct RpcContext;

class GrpcServer {
 public:
  // `rpc` outlives it.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Create(const RpcContext& rpc);
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;
  ~GrpcServer();

  // Serves a connection that begins with HTTP/2's preface, none of which has been read.
  void AddConnection(engine::UniqueFd connection);
  // What grpc.health.v1 answers.
  void SetServing(bool serving);
  // Takes no more RPCs, waits until `deadline` for those that run, cancels the rest.
  void Shutdown(absl::Time deadline);

 private:
  class Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_RPC_GRPC_SERVER_H_
