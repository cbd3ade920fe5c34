#include "client/cpp/channel_backend.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "client/cpp/channel_options.h"
#include "client/cpp/channel_result.h"
#include "client/cpp/client.h"
#include "client/cpp/convert.h"
#include "client/cpp/core.h"
#include "client/cpp/module.h"
#include "client/cpp/outcome.h"
#include "client/cpp/ring_connection.h"
#include "client/cpp/text.h"
#include "client/cpp/value.h"

namespace wasmd::client {

namespace {

v1::InstancePolicy ToProto(InstancePolicy policy) {
  switch (policy) {
    case InstancePolicy::kChannel:
      return v1::INSTANCE_POLICY_CHANNEL;
    case InstancePolicy::kFresh:
      return v1::INSTANCE_POLICY_FRESH;
    case InstancePolicy::kShared:
      return v1::INSTANCE_POLICY_SHARED;
  }
  return v1::INSTANCE_POLICY_UNSPECIFIED;
}

template <typename Request>
void SetTarget(const CallTarget& target, Request& request) {
  if (target.module.empty()) {
    request.set_instance(target.instance);
  } else {
    request.set_module(target.module);
  }
}

class CoreBackend final : public ChannelBackend {
 public:
  explicit CoreBackend(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  absl::StatusOr<std::unique_ptr<RingConnection>> Attach(const RingOptions& options) override {
    return core_->AttachRing(options);
  }

  absl::StatusOr<Binding> Bind(uint64_t channel, const CallTarget& target, InstancePolicy policy,
                               std::string_view func, bool bytes, const Control& control) override {
    v1::BindRequest request;
    request.set_channel(channel);
    SetTarget(target, request);
    request.set_policy(ToProto(policy));
    request.set_func(std::string(func));
    request.set_bytes(bytes);
    ToProto(control.limits, request.mutable_limits());
    v1::BindResponse response;
    absl::Status status = core_->Unary(&v1::ChannelService::Stub::Bind, core_->channels(), request,
                                       &response, control);
    if (!status.ok()) {
      return status;
    }
    Binding binding{
        .func = response.func(), .type = client::FromProto(response.type()), .outcome = {}};
    if (response.has_outcome()) {
      absl::StatusOr<Outcome> outcome = client::FromProto(response.outcome());
      if (!outcome.ok()) {
        return outcome.status();
      }
      binding.outcome = *std::move(outcome);
    }
    return binding;
  }

  absl::StatusOr<Report> GetReport(uint64_t channel, uint64_t report,
                                   const Control& control) override {
    v1::GetReportRequest request;
    request.set_channel(channel);
    request.set_report(report);
    v1::GetReportResponse response;
    absl::Status status = core_->Unary(&v1::ChannelService::Stub::GetReport, core_->channels(),
                                       request, &response, control);
    if (!status.ok()) {
      return status;
    }
    Report made{.outcome = {}, .error = response.error()};
    if (response.has_outcome()) {
      absl::StatusOr<Outcome> outcome = client::FromProto(response.outcome());
      if (!outcome.ok()) {
        return outcome.status();
      }
      made.outcome = *std::move(outcome);
    }
    return made;
  }

  absl::StatusOr<FuncType> FindFunc(const CallTarget& target, std::string_view func,
                                    const Control& control) override {
    const absl::StatusOr<std::string> digest =
        target.module.empty() ? ModuleOf(target.instance, control) : target.module;
    if (!digest.ok()) {
      return digest.status();
    }
    v1::GetModuleRequest request;
    request.set_digest(*digest);
    request.set_full(true);
    v1::GetModuleResponse response;
    absl::Status status = core_->Unary(&v1::ModuleService::Stub::GetModule, core_->modules(),
                                       request, &response, control);
    if (!status.ok()) {
      return status;
    }
    const ModuleDetails details = client::FromProto(response);
    const FuncType* type = details.FindFunc(func);
    if (type == nullptr) {
      return absl::NotFoundError(Cat("the module exports no function \"", func, "\""));
    }
    return *type;
  }

  absl::StatusOr<uint64_t> Instantiate(std::string_view module, const Control& control) override {
    v1::CreateInstanceRequest request;
    request.set_module(std::string(module));
    request.set_wasi(true);
    v1::CreateInstanceResponse response;
    absl::Status status = core_->Unary(&v1::InstanceService::Stub::CreateInstance,
                                       core_->instances(), request, &response, control);
    if (!status.ok()) {
      return status;
    }
    if (response.instance() == 0) {
      const absl::StatusOr<Outcome> outcome = client::FromProto(response.outcome());
      return outcome.ok() ? StartFailed(*outcome) : outcome.status();
    }
    return response.instance();
  }

  void Drop(uint64_t instance) override {
    // The last one's session ends with it.
    if (core_.use_count() > 1) {
      core_->DropLater(instance);
    }
  }

  absl::StatusOr<CallResult> Call(const CallTarget& target, std::string_view func,
                                  std::span<const Value> args, const Control& control) override {
    v1::CallRequest request;
    SetTarget(target, request);
    return MakeCall(*core_, request, func, args, control);
  }

  absl::StatusOr<BytesResult> CallBytes(const CallTarget& target, std::string_view func,
                                        std::string_view input, const Control& control) override {
    v1::CallBytesRequest request;
    SetTarget(target, request);
    return MakeBytesCall(*core_, request, func, input, control);
  }

 private:
  absl::StatusOr<std::string> ModuleOf(uint64_t instance, const Control& control) {
    v1::ListInstancesResponse response;
    absl::Status status =
        core_->Unary(&v1::InstanceService::Stub::ListInstances, core_->instances(),
                     v1::ListInstancesRequest(), &response, control);
    if (!status.ok()) {
      return status;
    }
    for (const v1::InstanceInfo& info : response.instances()) {
      if (info.instance() == instance) {
        return info.module();
      }
    }
    return absl::NotFoundError(Cat("no instance ", instance, " in this session"));
  }

  std::shared_ptr<Core> core_;
};

}  // namespace

absl::Status StartFailed(const Outcome& outcome) {
  if (const auto* trap = std::get_if<Trap>(&outcome)) {
    return absl::AbortedError(Cat("the start function trapped: ", OneLine(trap->message)));
  }
  if (const auto* exit = std::get_if<Exit>(&outcome)) {
    return absl::AbortedError(Cat("the start function exited with code ", exit->code));
  }
  return absl::AbortedError("the start function did not return");
}

std::unique_ptr<ChannelBackend> MakeChannelBackend(std::shared_ptr<Core> core) {
  return std::make_unique<CoreBackend>(std::move(core));
}

}  // namespace wasmd::client
