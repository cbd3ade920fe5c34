#include <unistd.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"

#include "daemon/channel/channel_manager.h"
#include "daemon/observe/counters.h"
#include "daemon/observe/process_stats.h"
#include "daemon/pool/invocation.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/translate.h"
#include "daemon/rpc/unary_operation.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/scheduler/scheduler.h"
#include "daemon/session/session_manager.h"
#include "daemon/store/module_store.h"
#include "proto/wasmd/v1/server.grpc.pb.h"

namespace wasmd::daemon {
namespace {

class ServerService final : public v1::ServerService::CallbackService {
 public:
  explicit ServerService(const RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* /*request*/,
                                          v1::GetServerInfoResponse* response) override {
    const SessionServices& services = rpc_.sessions.services();
    response->set_version(rpc_.version);
    response->set_protocol_version(kProtocolVersion);
    response->set_started_at_ms(UnixMillis(rpc_.started_at));
    response->set_pid(::getpid());
    response->set_workers(services.scheduler.workers());
    response->set_max_runs(services.options.max_runs);
    v1::Sandbox& sandbox = *response->mutable_sandbox();
    sandbox.set_mode(std::string(ToString(rpc_.sandbox.mode)));
    sandbox.mutable_in_force()->Assign(rpc_.sandbox.in_force.begin(), rpc_.sandbox.in_force.end());
    sandbox.mutable_lacking()->Assign(rpc_.sandbox.lacking.begin(), rpc_.sandbox.lacking.end());
    return Answer(*context, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* GetStats(grpc::CallbackServerContext* context,
                                     const v1::GetStatsRequest* /*request*/,
                                     v1::GetStatsResponse* response) override {
    const SessionServices& services = rpc_.sessions.services();
    const ProcessStats process = ReadProcessStats();
    response->set_uptime_ms(
        static_cast<uint64_t>(absl::ToInt64Milliseconds(absl::Now() - rpc_.started_at)));
    response->set_resident_bytes(process.resident_bytes);
    response->set_peak_resident_bytes(process.peak_resident_bytes);
    response->set_cpu_seconds(process.cpu_seconds);
    response->set_connections(rpc_.connection_count());
    response->set_sessions(rpc_.sessions.session_count());
    const ModuleStore::Totals totals = services.store.totals();
    response->set_modules(totals.modules);
    response->set_module_bytes(totals.module_bytes);
    response->set_machine_code_bytes(totals.machine_code_bytes);
    response->set_instances(rpc_.sessions.instance_count());
    const Counters& counters = services.counters;
    response->set_calls_total(counters.calls.value());
    response->set_runs_total(counters.runs.value());
    response->set_traps_total(counters.traps.value());
    response->set_cancelled_total(counters.cancelled.value());
    response->set_deadline_exceeded_total(counters.deadline_exceeded.value());
    response->set_channels(rpc_.channels.channel_count());
    response->set_channel_calls_total(rpc_.channels.calls());
    response->set_queued_calls(services.scheduler.queued_calls());
    // A session's user where one is named; else the one that its connection may stand for.
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    const std::string principal =
        session.ok() ? (*session)->identity().principal : PrincipalOf(rpc_, *context);
    for (const ActivityInfo& activity : services.scheduler.Activities(principal)) {
      ToWire(activity, *response->add_activities());
    }
    return Answer(*context, absl::OkStatus());
  }

 private:
  const RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewServerService(const RpcContext& rpc) {
  return std::make_unique<ServerService>(rpc);
}

}  // namespace wasmd::daemon
