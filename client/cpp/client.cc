#include "client/cpp/client.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cpp/channel.h"
#include "client/cpp/channel_backend.h"
#include "client/cpp/channel_options.h"
#include "client/cpp/convert.h"
#include "client/cpp/core.h"
#include "client/cpp/outcome.h"
#include "client/cpp/text.h"

namespace wasmd::client {

namespace {

// What the daemon takes of a memory at a time.
constexpr uint64_t kMemoryPartBytes = uint64_t{1} << 20;

}  // namespace

absl::StatusOr<CallResult> MakeCall(Core& core, v1::CallRequest& request, std::string_view func,
                                    std::span<const Value> args, const Control& control) {
  request.set_func(std::string(func));
  for (const Value& arg : args) {
    ToProto(arg, request.add_args());
  }
  if (control.fuel.has_value()) {
    request.set_fuel(*control.fuel);
  }
  ToProto(control.limits, request.mutable_limits());
  v1::CallResponse response;
  absl::Status status = core.Unary(&v1::InvocationService::Stub::Call, core.invocations(), request,
                                   &response, control);
  if (!status.ok()) {
    return status;
  }
  absl::StatusOr<Outcome> outcome = FromProto(response.outcome());
  if (!outcome.ok()) {
    return outcome.status();
  }
  CallResult result{.outcome = *std::move(outcome),
                    .duration = absl::Nanoseconds(static_cast<int64_t>(response.duration_ns())),
                    .refused_at = response.outcome().refused_at()};
  if (response.has_fuel_left()) {
    result.fuel_left = response.fuel_left();
  }
  return result;
}

// ---- Client

absl::StatusOr<Client> Client::Connect(std::string_view address, const ConnectOptions& options) {
  absl::StatusOr<std::shared_ptr<Core>> core = Core::Connect(address, options);
  if (!core.ok()) {
    return core.status();
  }
  return Client(*std::move(core));
}

Client::Client(std::shared_ptr<Core> core) : core_(std::move(core)) {}
Client::Client(Client&& other) noexcept = default;
Client& Client::operator=(Client&& other) noexcept = default;
Client::~Client() = default;

const SessionInfo& Client::session() const {
  return core_->session();
}

absl::StatusOr<ModuleDetails> Client::GetModule(std::string_view digest, const Control& control) {
  v1::GetModuleRequest request;
  request.set_digest(std::string(digest));
  request.set_full(true);
  v1::GetModuleResponse response;
  absl::Status status = core_->Unary(&v1::ModuleService::Stub::GetModule, core_->modules(), request,
                                     &response, control);
  if (!status.ok()) {
    return status;
  }
  return FromProto(response);
}

absl::StatusOr<std::vector<ModuleInfo>> Client::ListModules(const Control& control) {
  v1::ListModulesResponse response;
  absl::Status status = core_->Unary(&v1::ModuleService::Stub::ListModules, core_->modules(),
                                     v1::ListModulesRequest(), &response, control);
  if (!status.ok()) {
    return status;
  }
  std::vector<ModuleInfo> modules;
  for (const v1::ModuleInfo& module : response.modules()) {
    modules.push_back(FromProto(module));
  }
  return modules;
}

absl::Status Client::RemoveModule(std::string_view digest, const Control& control) {
  v1::RemoveModuleRequest request;
  request.set_digest(std::string(digest));
  v1::RemoveModuleResponse response;
  return core_->Unary(&v1::ModuleService::Stub::RemoveModule, core_->modules(), request, &response,
                      control);
}

absl::StatusOr<Instance> Client::Instantiate(std::string_view digest,
                                             const InstanceOptions& options) {
  v1::CreateInstanceRequest request;
  request.set_module(std::string(digest));
  request.set_wasi(options.wasi);
  ToProto(options.control.limits, request.mutable_limits());
  for (const auto& [module, instance] : options.imports) {
    v1::ImportBinding* binding = request.add_imports();
    binding->set_module(module);
    binding->set_instance(instance->id());
  }
  v1::CreateInstanceResponse response;
  absl::Status status = core_->Unary(&v1::InstanceService::Stub::CreateInstance, core_->instances(),
                                     request, &response, options.control);
  if (!status.ok()) {
    return status;
  }
  if (response.instance() == 0) {
    absl::StatusOr<Outcome> outcome = FromProto(response.outcome());
    return outcome.ok() ? StartFailed(*outcome) : outcome.status();
  }
  return Instance(core_, response.instance());
}

absl::StatusOr<std::vector<InstanceInfo>> Client::ListInstances(const Control& control) {
  v1::ListInstancesResponse response;
  absl::Status status = core_->Unary(&v1::InstanceService::Stub::ListInstances, core_->instances(),
                                     v1::ListInstancesRequest(), &response, control);
  if (!status.ok()) {
    return status;
  }
  std::vector<InstanceInfo> instances;
  for (const v1::InstanceInfo& instance : response.instances()) {
    instances.push_back(FromProto(instance));
  }
  return instances;
}

absl::StatusOr<CallResult> Client::Call(std::string_view digest, std::string_view func,
                                        std::span<const Value> args, const Control& control) {
  v1::CallRequest request;
  request.set_module(std::string(digest));
  return MakeCall(*core_, request, func, args, control);
}

absl::StatusOr<Channel> Client::OpenChannel(const ChannelOptions& options) {
  return Channel::Open(MakeChannelBackend(core_), options);
}

absl::StatusOr<ServerInfo> Client::GetServerInfo(const Control& control) {
  v1::GetServerInfoResponse response;
  absl::Status status = core_->Unary(&v1::ServerService::Stub::GetServerInfo, core_->server(),
                                     v1::GetServerInfoRequest(), &response, control);
  if (!status.ok()) {
    return status;
  }
  return FromProto(response);
}

absl::StatusOr<ServerStats> Client::GetStats(const Control& control) {
  v1::GetStatsResponse response;
  absl::Status status = core_->Unary(&v1::ServerService::Stub::GetStats, core_->server(),
                                     v1::GetStatsRequest(), &response, control);
  if (!status.ok()) {
    return status;
  }
  return FromProto(response);
}

absl::StatusOr<std::vector<LimitUse>> Client::GetLimits(const Control& control) {
  v1::GetLimitsResponse response;
  absl::Status status = core_->Unary(&v1::ServerService::Stub::GetLimits, core_->server(),
                                     v1::GetLimitsRequest(), &response, control);
  if (!status.ok()) {
    return status;
  }
  return FromProto(response);
}

absl::Status Client::CheckHealth(const Control& control) {
  return core_->CheckHealth(control);
}

absl::Status Client::Close(const Control& control) {
  return core_->Close(control);
}

absl::StatusOr<BytesResult> Client::CallBytes(std::string_view digest, std::string_view func,
                                              std::string_view input, const Control& control) {
  v1::CallBytesRequest request;
  request.set_module(std::string(digest));
  return MakeBytesCall(*core_, request, func, input, control);
}

absl::StatusOr<BytesResult> MakeBytesCall(Core& core, v1::CallBytesRequest& request,
                                          std::string_view func, std::string_view input,
                                          const Control& control) {
  // A request that is much larger would not even be read.
  if (input.size() > kMaxCallBytes) {
    return absl::ResourceExhaustedError(
        Cat("the input has ", input.size(), " bytes; one call takes no more than ", kMaxCallBytes));
  }
  request.set_func(std::string(func));
  request.set_input(std::string(input));
  if (control.fuel.has_value()) {
    request.set_fuel(*control.fuel);
  }
  ToProto(control.limits, request.mutable_limits());
  v1::CallBytesResponse response;
  absl::Status status = core.Unary(&v1::InvocationService::Stub::CallBytes, core.invocations(),
                                   request, &response, control);
  if (!status.ok()) {
    return status;
  }
  return FromProto(std::move(response));
}

// ---- Instance

namespace {

absl::Status Gone() {
  return absl::NotFoundError("the instance was dropped");
}

}  // namespace

Instance::Instance(std::shared_ptr<Core> core, uint64_t id) : core_(std::move(core)), id_(id) {}

Instance::Instance(Instance&& other) noexcept
    : core_(std::move(other.core_)), id_(std::exchange(other.id_, 0)) {}

Instance& Instance::operator=(Instance&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(id_, other.id_);
  return *this;
}

Instance::~Instance() {
  // The last one's session ends with it.
  if (id_ != 0 && core_.use_count() > 1) {
    core_->DropLater(id_);
  }
}

absl::StatusOr<CallResult> Instance::Call(std::string_view func, std::span<const Value> args,
                                          const Control& control) {
  if (id_ == 0) {
    return Gone();
  }
  v1::CallRequest request;
  request.set_instance(id_);
  return MakeCall(*core_, request, func, args, control);
}

absl::StatusOr<BytesResult> Instance::CallBytes(std::string_view func, std::string_view input,
                                                const Control& control) {
  if (id_ == 0) {
    return Gone();
  }
  v1::CallBytesRequest request;
  request.set_instance(id_);
  return MakeBytesCall(*core_, request, func, input, control);
}

absl::StatusOr<std::string> Instance::ReadMemory(std::string_view memory, uint64_t offset,
                                                 uint64_t size_bytes, const Control& control) {
  if (id_ == 0) {
    return Gone();
  }
  v1::ReadMemoryRequest request;
  request.set_instance(id_);
  request.set_memory(std::string(memory));
  std::string data;
  // Once at least: a read of nothing is checked too.
  do {
    const uint64_t part = std::min(size_bytes - data.size(), kMemoryPartBytes);
    request.set_offset(offset + data.size());
    request.set_size_bytes(part);
    v1::ReadMemoryResponse response;
    absl::Status status = core_->Unary(&v1::InstanceService::Stub::ReadMemory, core_->instances(),
                                       request, &response, control);
    if (!status.ok()) {
      return status;
    }
    if (response.data().size() != part) {
      return absl::InternalError("the daemon sent another number of bytes than asked for");
    }
    data.append(response.data());
  } while (data.size() < size_bytes);
  return data;
}

absl::Status Instance::WriteMemory(std::string_view memory, uint64_t offset, std::string_view data,
                                   const Control& control) {
  if (id_ == 0) {
    return Gone();
  }
  v1::WriteMemoryRequest request;
  request.set_instance(id_);
  request.set_memory(std::string(memory));
  do {
    const std::string_view part = data.substr(0, kMemoryPartBytes);
    request.set_offset(offset);
    request.set_data(std::string(part));
    v1::WriteMemoryResponse response;
    absl::Status status = core_->Unary(&v1::InstanceService::Stub::WriteMemory, core_->instances(),
                                       request, &response, control);
    if (!status.ok()) {
      return status;
    }
    offset += part.size();
    data.remove_prefix(part.size());
  } while (!data.empty());
  return absl::OkStatus();
}

absl::StatusOr<Value> Instance::GetGlobal(std::string_view global, const Control& control) {
  if (id_ == 0) {
    return Gone();
  }
  v1::GetGlobalRequest request;
  request.set_instance(id_);
  request.set_global(std::string(global));
  v1::GetGlobalResponse response;
  absl::Status status = core_->Unary(&v1::InstanceService::Stub::GetGlobal, core_->instances(),
                                     request, &response, control);
  if (!status.ok()) {
    return status;
  }
  return FromProto(response.value());
}

absl::Status Instance::SetGlobal(std::string_view global, const Value& value,
                                 const Control& control) {
  if (id_ == 0) {
    return Gone();
  }
  v1::SetGlobalRequest request;
  request.set_instance(id_);
  request.set_global(std::string(global));
  ToProto(value, request.mutable_value());
  v1::SetGlobalResponse response;
  return core_->Unary(&v1::InstanceService::Stub::SetGlobal, core_->instances(), request, &response,
                      control);
}

absl::Status Instance::Drop(const Control& control) {
  if (id_ == 0) {
    return Gone();
  }
  v1::DropInstanceRequest request;
  request.set_instance(std::exchange(id_, 0));
  v1::DropInstanceResponse response;
  return core_->Unary(&v1::InstanceService::Stub::DropInstance, core_->instances(), request,
                      &response, control);
}

}  // namespace wasmd::client
