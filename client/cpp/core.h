// What a Client and its Instances share: the channel, the session, and how a request is made.
// Internal; the one header here that includes gRPC's.
#ifndef WASMD_CLIENT_CPP_CORE_H_
#define WASMD_CLIENT_CPP_CORE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "client/cpp/address.h"
#include "client/cpp/client.h"
#include "client/cpp/handshake.h"
#include "client/cpp/outcome.h"
#include "client/cpp/ring_connection.h"
#include "proto/wasmd/v1/channel.grpc.pb.h"
#include "proto/wasmd/v1/instance.grpc.pb.h"
#include "proto/wasmd/v1/invocation.grpc.pb.h"
#include "proto/wasmd/v1/module.grpc.pb.h"
#include "proto/wasmd/v1/server.grpc.pb.h"
#include "proto/wasmd/v1/session.grpc.pb.h"

namespace wasmd::client {

// Thread-safe.
class Core {
 public:
  static absl::StatusOr<std::shared_ptr<Core>> Connect(std::string_view address,
                                                       const ConnectOptions& options);
  ~Core();

  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  const SessionInfo& session() const { return session_; }
  v1::ModuleService::Stub& modules() const { return *modules_; }
  v1::InstanceService::Stub& instances() const { return *instances_; }
  v1::InvocationService::Stub& invocations() const { return *invocations_; }
  v1::ServerService::Stub& server() const { return *server_; }
  v1::ChannelService::Stub& channels() const { return *channels_; }

  uint64_t NextInvocationId() {
    return next_invocation_id_.fetch_add(1, std::memory_order_relaxed);
  }

  // kFailedPrecondition: this session passes none.
  absl::StatusOr<std::vector<uint64_t>> PassDescriptors(std::span<const int> descriptors);

  // A channel's ring, on a connection of its own. kUnimplemented, kFailedPrecondition: none can be
  // had on this one, and why; others as RingConnection::Attach has them.
  absl::StatusOr<std::unique_ptr<RingConnection>> AttachRing(const RingOptions& options) const;

  // The session's metadata and the time limit.
  void Prepare(grpc::ClientContext& context, const Control& control) const;
  absl::Status Convert(const grpc::Status& status, const Control& control) const;

  // One request, one response.
  template <typename Stub, typename Request, typename Response>
  absl::Status Unary(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     Stub& stub, const Request& request, Response* response,
                     const Control& control) const {
    grpc::ClientContext context;
    Prepare(context, control);
    const std::stop_callback cancel(control.stop, [&context] { context.TryCancel(); });
    return Convert((stub.*method)(&context, request, response), control);
  }

  // Drops an instance in the background.
  void DropLater(uint64_t instance);

  absl::Status Close(const Control& control);
  absl::Status CheckHealth(const Control& control) const;

 private:
  Core() = default;

  absl::Status Initialize(const ConnectOptions& options, absl::Time deadline);
  void RunDropper();

  Address where_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SessionService::Stub> sessions_;
  std::unique_ptr<v1::ModuleService::Stub> modules_;
  std::unique_ptr<v1::InstanceService::Stub> instances_;
  std::unique_ptr<v1::InvocationService::Stub> invocations_;
  std::unique_ptr<v1::ServerService::Stub> server_;
  std::unique_ptr<v1::ChannelService::Stub> channels_;
  std::unique_ptr<Handshake> handshake_;  // Null: none.
  std::string token_;
  SessionInfo session_;
  std::atomic<uint64_t> next_invocation_id_{1};
  std::atomic<bool> closed_{false};

  // Instances whose handles are gone; a thread drops them, started with the first.
  absl::Mutex drop_mutex_;
  absl::CondVar drop_wake_;
  std::deque<uint64_t> to_drop_ ABSL_GUARDED_BY(drop_mutex_);
  bool stopping_ ABSL_GUARDED_BY(drop_mutex_) = false;
  std::stop_source drop_stop_;
  std::thread dropper_ ABSL_GUARDED_BY(drop_mutex_);
};

// Fills in and makes an InvocationService.Call whose target is set.
absl::StatusOr<CallResult> MakeCall(Core& core, v1::CallRequest& request, std::string_view func,
                                    std::span<const Value> args, const Control& control);

// Fills in and makes an InvocationService.CallBytes whose target is set.
absl::StatusOr<BytesResult> MakeBytesCall(Core& core, v1::CallBytesRequest& request,
                                          std::string_view func, std::string_view input,
                                          const Control& control);

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_CORE_H_
