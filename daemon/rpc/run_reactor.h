// The Run RPC: a program's streams over one bidirectional stream.
//
//   client ──stdin_data──► at most one request read ahead ──► ByteQueue ──► guest
//   client ◄──stdout_data, stderr_data── one message in flight ◄── ByteQueues ◄── guest
//
// Nothing is buffered beyond that: the next request is read when the guest has made room for it, so
// HTTP/2's flow control holds the client back; the guest waits while its output queue is full.
#ifndef WASMD_DAEMON_RPC_RUN_REACTOR_H_
#define WASMD_DAEMON_RPC_RUN_REACTOR_H_

#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

#include "proto/wasmd/v1/invocation.pb.h"

namespace wasmd::daemon {

struct RpcContext;

// Owns itself until gRPC has done with it. `rpc` outlives it.
grpc::ServerBidiReactor<v1::RunRequest, v1::RunResponse>* StartRunReactor(
    const RpcContext& rpc, const grpc::CallbackServerContext& context);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_RPC_RUN_REACTOR_H_
