#include "daemon/pool/bound_func.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

bool Is32Bit(engine::ValType type) {
  return type == engine::ValType::kI32 || type == engine::ValType::kF32;
}

}  // namespace

// ---- Fresh instances

absl::StatusOr<std::unique_ptr<FreshInstances>> FreshInstances::Create(
    std::shared_ptr<engine::RuntimeEnv> env, const GuestLimits& limits,
    std::shared_ptr<engine::LoadedModule> module) {
  std::unique_ptr<FreshInstances> self(new FreshInstances);
  self->env_ = std::move(env);
  self->limits_ = limits;
  self->module_ = std::move(module);
  self->imports_wasi_ = ImportsWasi(*self->module_);
  self->is_passive_ = !self->imports_wasi_ && !self->module_->module().start.has_value();
  engine::Linker linker;
  std::unique_ptr<engine::Wasi> wasi;
  if (self->imports_wasi_) {
    WASMD_ASSIGN_OR_RETURN(wasi, engine::Wasi::Create({}));
    wasi->AddTo(linker);
  }
  WASMD_RETURN_IF_ERROR(linker.CheckImports(*self->module_));
  return self;
}

absl::StatusOr<engine::Instance*> FreshInstances::Next(
    const std::function<void(engine::Store&)>& armed, std::optional<engine::Stop>& stop) {
  Drop();
  engine::Linker wasi_linker;
  if (imports_wasi_) {
    WASMD_ASSIGN_OR_RETURN(wasi_, engine::Wasi::Create({}));
    wasi_->AddTo(wasi_linker);
  }
  store_ = std::make_unique<engine::Store>(env_, StoreOptionsOf(limits_));
  armed(*store_);
  const engine::Linker& linker = imports_wasi_ ? wasi_linker : linker_;
  WASMD_ASSIGN_OR_RETURN(engine::Instantiation made, linker.Instantiate(*store_, module_));
  if (!made.outcome.ok()) {
    stop = OutlivingStop(std::move(made.outcome).stop());
    return nullptr;
  }
  if (imports_wasi_) {
    GuestResult result;
    WASMD_RETURN_IF_ERROR(InitializeReactor(*made.instance, result));
    if (result.stop.has_value()) {
      stop = std::move(result.stop);
      return nullptr;
    }
  }
  return made.instance;
}

void FreshInstances::Drop() {
  store_ = nullptr;
  wasi_ = nullptr;  // After the store, whose instances import its functions.
}

// ---- Binding

BoundFunc::BoundFunc(InstancePolicy policy, std::string_view name, const engine::FuncType& type,
                     bool bytes)
    : policy_(policy), is_bytes_(bytes), name_(name), type_(type) {
  for (const engine::ValType param : type.params) {
    args_.push_back(engine::Value{param, 0, 0});
    param_words_ += param == engine::ValType::kV128 ? 2 : 1;
  }
  for (const engine::ValType result : type.results) {
    results_.push_back(engine::Value{result, 0, 0});
    result_words_ += result == engine::ValType::kV128 ? 2 : 1;
  }
}

absl::Status BoundFunc::CheckTravels(std::string_view name, const engine::FuncType& type) {
  for (const auto& types : {type.params, type.results}) {
    for (const engine::ValType each : types) {
      if (engine::IsRef(each)) {
        return absl::InvalidArgumentError(
            StrCat("\"", name, "\" is ", engine::ToString(type),
                   ": references do not travel over a channel; call it by InvocationService"));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BoundFunc>> BoundFunc::OfInstance(InstancePolicy policy,
                                                                 std::shared_ptr<KeptInstance> kept,
                                                                 std::string_view func,
                                                                 bool bytes) {
  WASMD_ASSIGN_OR_RETURN(const engine::FuncType* const type,
                         FuncTypeOf(kept->instance->module(), func));
  WASMD_RETURN_IF_ERROR(bytes ? BytesCall::Check(kept->instance->module(), func)
                              : CheckTravels(func, *type));
  std::unique_ptr<BoundFunc> self(new BoundFunc(policy, func, *type, bytes));
  self->kept_ = std::move(kept);
  return self;
}

absl::StatusOr<std::unique_ptr<BoundFunc>> BoundFunc::OfFresh(
    std::unique_ptr<FreshInstances> instances, std::shared_ptr<const void> place,
    std::string module_name, std::string_view func, bool bytes) {
  WASMD_ASSIGN_OR_RETURN(const engine::FuncType* const type, FuncTypeOf(instances->module(), func));
  WASMD_RETURN_IF_ERROR(bytes ? BytesCall::Check(instances->module(), func)
                              : CheckTravels(func, *type));
  std::unique_ptr<BoundFunc> self(new BoundFunc(InstancePolicy::kFresh, func, *type, bytes));
  self->place_ = std::move(place);
  self->fresh_ = std::move(instances);
  self->module_name_ = std::move(module_name);
  return self;
}

absl::Status BoundFunc::Resolve(engine::Instance& instance) {
  if (is_bytes_) {
    WASMD_ASSIGN_OR_RETURN(bytes_, BytesCall::Resolve(instance, name_));
  }
  WASMD_ASSIGN_OR_RETURN(func_, instance.Func(name_));
  return absl::OkStatus();
}

// ---- Calling

absl::StatusOr<engine::Outcome<void>> BoundFunc::CallBytes() {
  if (func_->store().is_abandoned()) {
    return AbandonedError();
  }
  engine::Outcome<uint64_t> outcome = bytes_->Call(input_, output_);
  if (!outcome.ok()) [[unlikely]] {
    return engine::Outcome<void>(std::move(outcome).stop());
  }
  output_bytes_ = *outcome;
  return engine::Outcome<void>();
}

void BoundFunc::SetArguments(const uint64_t* words) {
  for (engine::Value& arg : args_) {
    arg.bits = Is32Bit(arg.type) ? static_cast<uint32_t>(*words) : *words;
    ++words;
    if (arg.type == engine::ValType::kV128) {
      arg.hi = *words++;
    }
  }
}

void BoundFunc::GetResults(uint64_t* words) const {
  for (const engine::Value& result : results_) {
    *words++ = result.bits;
    if (result.type == engine::ValType::kV128) {
      *words++ = result.hi;
    }
  }
}

absl::StatusOr<engine::Outcome<void>> BoundFunc::CallOther() {
  if (policy_ != InstancePolicy::kFresh) {
    engine::Store& store = kept_->group->store();
    if (store.is_abandoned()) {
      return AbandonedError();
    }
    if (policy_ == InstancePolicy::kShared) {
      gate().Arm(store);
    }
    if (!func_.has_value()) {
      WASMD_RETURN_IF_ERROR(Resolve(*kept_->instance));
    }
    return CallReady();
  }
  if (!func_.has_value()) {
    std::optional<engine::Stop> stop;
    WASMD_ASSIGN_OR_RETURN(engine::Instance* const instance,
                           fresh_->Next([this](engine::Store& store) { gate().Arm(store); }, stop));
    if (instance == nullptr) {
      return engine::Outcome<void>(*std::move(stop));
    }
    WASMD_RETURN_IF_ERROR(Resolve(*instance));
  }
  return CallReady();
}

void BoundFunc::Finish(bool interrupted) {
  switch (policy_) {
    case InstancePolicy::kChannel:
      if (interrupted && kept_->group->store().is_abandoned()) {
        kept_->abandoned.store(true, std::memory_order_relaxed);
      } else if (interrupted) {
        kept_->gate.Arm(kept_->group->store());
      }
      break;
    case InstancePolicy::kShared:
      break;
    case InstancePolicy::kFresh: {
      func_.reset();
      fresh_->Drop();
      if (!fresh_->is_passive()) {
        break;
      }
      // The next call finds its instance ready. One that cannot be made is told to that call, which
      // tries again.
      std::optional<engine::Stop> stop;
      const absl::StatusOr<engine::Instance*> next =
          fresh_->Next([this](engine::Store& store) { gate().Arm(store); }, stop);
      if (next.ok() && *next != nullptr) {
        static_cast<void>(Resolve(**next));
      } else {
        fresh_->Drop();
      }
      break;
    }
  }
}

}  // namespace wasmd::daemon
