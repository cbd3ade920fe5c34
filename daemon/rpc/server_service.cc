#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"

#include "daemon/account/account.h"
#include "daemon/channel/channel_manager.h"
#include "daemon/config/options.h"
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

// Limits of each invocation, by the options' names.
struct InvocationLimit {
  std::string_view resource;
  std::string_view option;
  v1::LimitUnit unit;
  uint64_t limit = 0;  // 0: none.
};

std::vector<InvocationLimit> InvocationLimitsOf(const Options& options) {
  const auto millis = [](absl::Duration time) {
    return static_cast<uint64_t>(absl::ToInt64Milliseconds(time));
  };
  std::vector<InvocationLimit> limits = {
      {"memory", "--max-memory", v1::LIMIT_UNIT_BYTES, options.max_memory_bytes},
      {"table elements", "--max-table-elements", v1::LIMIT_UNIT_COUNT, options.max_table_elements},
      {"heap", "--max-heap", v1::LIMIT_UNIT_BYTES, options.max_heap_bytes},
      {"stack", "--wasm-stack", v1::LIMIT_UNIT_BYTES, options.wasm_stack_bytes},
      {"open files", "--max-open-files", v1::LIMIT_UNIT_COUNT, options.max_open_files},
      {"output buffer", "--max-output-buffer", v1::LIMIT_UNIT_BYTES,
       options.max_output_buffer_bytes},
      {"time of a program", "--max-run-time", v1::LIMIT_UNIT_MILLISECONDS,
       millis(options.max_run_time)},
      {"time of a call", "--max-call-time", v1::LIMIT_UNIT_MILLISECONDS,
       millis(options.max_call_time)},
      {"CPU time", "--max-cpu-time", v1::LIMIT_UNIT_MILLISECONDS, millis(options.max_cpu_time)},
      {"module size", "--max-module-size", v1::LIMIT_UNIT_BYTES, options.max_module_bytes},
      {"load time", "--max-load-time", v1::LIMIT_UNIT_MILLISECONDS, millis(options.max_load_time)},
  };
  if (options.max_scratch_bytes != 0) {  // Otherwise there are none, which is not "no limit".
    limits.push_back(
        {"scratch directories", "--max-scratch", v1::LIMIT_UNIT_BYTES, options.max_scratch_bytes});
  }
  return limits;
}

void ToWire(const Account& account, v1::LimitScope scope, v1::GetLimitsResponse& response) {
  for (size_t i = 0; i < kResourceCount; ++i) {
    const auto resource = static_cast<Resource>(i);
    const std::shared_ptr<ResourceAccount> of = account.of(resource);
    const bool has_limit = of->limit().amount != kUnlimited;
    // What a session cannot be charged with, its user is.
    if (of->limit().name.empty() && of->peak() == 0) {
      continue;
    }
    v1::LimitUse& use = *response.add_limits();
    use.set_scope(scope);
    use.set_holder(WireText(account.name()));
    use.set_resource(std::string(ToString(resource)));
    use.set_unit(IsBytes(resource) ? v1::LIMIT_UNIT_BYTES : v1::LIMIT_UNIT_COUNT);
    use.set_used(of->used());
    use.set_peak(of->peak());
    use.set_option(std::string(of->limit().name));
    if (has_limit) {
      use.set_limit(of->limit().amount);
    }
  }
}

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
    for (const ActivityInfo& activity : services.scheduler.Activities(AskingUser(*context))) {
      ToWire(activity, *response->add_activities());
    }
    return Answer(*context, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* GetLimits(grpc::CallbackServerContext* context,
                                      const v1::GetLimitsRequest* /*request*/,
                                      v1::GetLimitsResponse* response) override {
    const SessionServices& services = rpc_.sessions.services();
    for (const InvocationLimit& each : InvocationLimitsOf(services.options)) {
      v1::LimitUse& use = *response->add_limits();
      use.set_scope(v1::LIMIT_SCOPE_INVOCATION);
      use.set_resource(std::string(each.resource));
      use.set_unit(each.unit);
      use.set_option(std::string(each.option));
      if (each.limit != 0) {
        use.set_limit(each.limit);
      }
    }
    const std::string user = AskingUser(*context);
    for (const std::shared_ptr<Account>& session : services.accounts.SessionsOf(user)) {
      ToWire(*session, v1::LIMIT_SCOPE_SESSION, *response);
    }
    ToWire(*services.accounts.User(user), v1::LIMIT_SCOPE_USER, *response);
    ToWire(*services.accounts.daemon(), v1::LIMIT_SCOPE_DAEMON, *response);
    return Answer(*context, absl::OkStatus());
  }

 private:
  // A session's user where one is named; else the one that its connection may stand for.
  std::string AskingUser(const grpc::CallbackServerContext& context) const {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, context);
    return session.ok() ? (*session)->identity().principal : PrincipalOf(rpc_, context);
  }

  const RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewServerService(const RpcContext& rpc) {
  return std::make_unique<ServerService>(rpc);
}

}  // namespace wasmd::daemon
