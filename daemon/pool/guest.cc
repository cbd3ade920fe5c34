#include "daemon/pool/guest.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "daemon/config/steady_time.h"
#include "daemon/config/text.h"
#include "daemon/pool/bytes_call.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/invocation.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

// References that one group gives out. A client that asks for more drops its instances.
constexpr size_t kMaxReferences = 10'000;
constexpr std::string_view kInitialize = "_initialize";
constexpr std::string_view kStart = "_start";

// Adds the time inside the guest to `result`.
class GuestTimer {
 public:
  explicit GuestTimer(GuestResult& result) : result_(result), start_(SteadyNow()) {}
  GuestTimer(const GuestTimer&) = delete;
  GuestTimer& operator=(const GuestTimer&) = delete;
  ~GuestTimer() {
    result_.duration_ns += static_cast<uint64_t>(absl::ToInt64Nanoseconds(SteadyNow() - start_));
  }

 private:
  GuestResult& result_;
  const absl::Time start_;
};

// Calls `func` and keeps how it ended.
absl::Status Call(const engine::FuncHandle& func, std::span<const engine::Value> args,
                  GuestResult& result) {
  result.values.resize(func.type().results.size());
  const GuestTimer timer(result);
  WASMD_ASSIGN_OR_RETURN(engine::Outcome<void> outcome, func.Call(args, result.values));
  if (!outcome.ok()) {
    result.values.clear();
    result.stop = OutlivingStop(std::move(outcome).stop());
  }
  return absl::OkStatus();
}

// What the guest took.
void Measure(const engine::Store& store, GuestResult& result) {
  result.peak_memory_bytes = store.memory_bytes();
  result.refused_by = store.refused_by();
}

absl::StatusOr<engine::Instance*> Instantiate(engine::Store& store, const engine::Linker& linker,
                                              std::shared_ptr<engine::LoadedModule> module,
                                              GuestResult& result) {
  const GuestTimer timer(result);
  WASMD_ASSIGN_OR_RETURN(engine::Instantiation made, linker.Instantiate(store, std::move(module)));
  if (!made.outcome.ok()) {
    result.stop = OutlivingStop(std::move(made.outcome).stop());
    return nullptr;
  }
  return made.instance;
}

absl::StatusOr<std::vector<engine::Value>> ArgumentsFor(const InstanceGroup* group,
                                                        std::string_view name,
                                                        const engine::FuncType& type,
                                                        std::span<const GuestArgument> args) {
  const std::string signature = StrCat("\"", name, "\" is ", engine::ToString(type));
  if (args.size() != type.params.size()) {
    return absl::InvalidArgumentError(StrCat(signature, ": it takes ", type.params.size(),
                                             " arguments, and ", args.size(), " were given"));
  }
  std::vector<engine::Value> values;
  for (size_t i = 0; i < args.size(); ++i) {
    engine::Value value = args[i].value;
    if (args[i].reference_handle != 0) {
      if (group == nullptr) {
        return absl::InvalidArgumentError(
            StrCat(signature, ": argument ", i,
                   " is a reference, and a fresh instance knows none; call an instance"));
      }
      WASMD_ASSIGN_OR_RETURN(value, group->Reference(args[i].reference_handle));
    }
    if (value.type != type.params[i]) {
      return absl::InvalidArgumentError(StrCat(signature, ": argument ", i, " must be ",
                                               engine::ToString(type.params[i]), " and is ",
                                               engine::ToString(value.type)));
    }
    values.push_back(value);
  }
  return values;
}

// Ends the invocation's guest time, whatever happens in between.
class Armed {
 public:
  Armed(Invocation& invocation, engine::Store& store) : invocation_(invocation) {
    invocation_.Arm(store);
  }
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
  ~Armed() { invocation_.End(); }

 private:
  Invocation& invocation_;
};

// The module with the code that the limits want.
std::shared_ptr<engine::LoadedModule> CodeFor(const GuestLimits& limits,
                                              std::shared_ptr<engine::LoadedModule> module) {
  return limits.fuel.has_value() ? module->Metered() : module;
}

// Makes an instance with a store of its own, has `use` do something with it, and drops it. WASI is
// there if the module imports it. Where a start function stopped, that is in `result`, and `use` is
// not called.
absl::Status WithFreshInstance(const std::shared_ptr<engine::RuntimeEnv>& env,
                               const GuestLimits& limits,
                               std::shared_ptr<engine::LoadedModule> module, Invocation& invocation,
                               GuestResult& result,
                               const std::function<absl::Status(engine::Instance&)>& use) {
  engine::Linker linker;
  std::unique_ptr<engine::Wasi> wasi;  // Outlives the store.
  if (ImportsWasi(*module)) {
    WASMD_ASSIGN_OR_RETURN(wasi, engine::Wasi::Create({}));
    wasi->AddTo(linker);
  }
  WASMD_RETURN_IF_ERROR(linker.CheckImports(*module));
  engine::Store store(env, StoreOptionsOf(limits));
  const Armed armed(invocation, store);
  WASMD_ASSIGN_OR_RETURN(engine::Instance* const instance,
                         Instantiate(store, linker, CodeFor(limits, std::move(module)), result));
  if (instance == nullptr) {
    Measure(store, result);
    return absl::OkStatus();
  }
  if (wasi != nullptr) {
    WASMD_RETURN_IF_ERROR(InitializeReactor(*instance, result));
  }
  if (!result.stop.has_value()) {
    WASMD_RETURN_IF_ERROR(use(*instance));
  }
  result.fuel_left = instance->fuel();
  Measure(store, result);
  return absl::OkStatus();
}

// Calls a function on byte strings and keeps how it ended.
absl::Status CallBytes(engine::Instance& instance, const BytesCallSpec& spec,
                       BytesGuestResult& called) {
  WASMD_ASSIGN_OR_RETURN(const BytesCall bytes, BytesCall::Resolve(instance, spec.func));
  const GuestTimer timer(called.result);
  engine::Outcome<uint64_t> size = bytes.CallAndTake(
      std::as_bytes(std::span(spec.input)), [&](std::span<const std::byte> output) {
        if (output.size() <= spec.max_output_bytes) {
          called.output.assign(reinterpret_cast<const char*>(output.data()), output.size());
        }
      });
  if (!size.ok()) {
    called.output.clear();
    called.result.stop = OutlivingStop(std::move(size).stop());
    return absl::OkStatus();
  }
  if (*size > spec.max_output_bytes) {
    return absl::OutOfRangeError(StrCat("the output of \"", spec.func, "\" has ", *size,
                                        " bytes, and no more than ", spec.max_output_bytes,
                                        " can be taken"));
  }
  return absl::OkStatus();
}

}  // namespace

engine::StoreOptions StoreOptionsOf(const GuestLimits& limits) {
  engine::StoreOptions options;
  options.memory_bytes = limits.memory_bytes;
  options.table_elements = limits.table_elements;
  options.heap_bytes = limits.heap_bytes;
  options.wasm_stack_bytes = limits.wasm_stack_bytes;
  if (limits.fuel.has_value()) {
    options.fuel = *limits.fuel;
  }
  options.memory_limit_name = "--max-memory";
  options.table_limit_name = "--max-table-elements";
  options.heap_limit_name = "--max-heap";
  options.accountant = limits.memory;
  return options;
}

engine::Stop OutlivingStop(engine::Stop stop) {
  if (auto* exception = std::get_if<engine::Exception>(&stop)) {
    return engine::Trap{engine::TrapCode::kException, engine::ToString(stop),
                        std::move(exception->backtrace)};
  }
  return stop;
}

void NameFrames(std::string_view module_name, engine::Backtrace& backtrace) {
  if (module_name.empty()) {
    return;
  }
  std::vector<engine::BacktraceFrame> frames = backtrace.frames();
  for (engine::BacktraceFrame& frame : frames) {
    if (frame.module_name.empty()) {
      frame.module_name = module_name;
    }
  }
  backtrace = engine::Backtrace(std::move(frames), backtrace.omitted_frames());
}

bool ImportsWasi(const engine::LoadedModule& module) {
  return std::ranges::any_of(module.module().imports, [](const engine::Import& import) {
    return import.module == engine::kWasiModuleName;
  });
}

absl::StatusOr<const engine::FuncType*> FuncTypeOf(const engine::LoadedModule& loaded,
                                                   std::string_view name) {
  const engine::Module& module = loaded.module();
  const auto found = std::ranges::find(module.exports, name, &engine::Export::name);
  if (found == module.exports.end()) {
    return absl::NotFoundError(StrCat("the module exports no \"", name, "\""));
  }
  if (found->kind != engine::ExternKind::kFunc) {
    return absl::InvalidArgumentError(
        StrCat("\"", name, "\" is no function but a ", engine::ToString(found->kind)));
  }
  return &module.func_type(found->index);
}

absl::Status InitializeReactor(engine::Instance& instance, GuestResult& result) {
  const std::optional<engine::Extern> initialize = instance.FindExport(kInitialize);
  if (!initialize.has_value()) {
    return absl::OkStatus();
  }
  const auto* func = std::get_if<engine::FuncHandle>(&*initialize);
  if (func == nullptr || !func->type().params.empty() || !func->type().results.empty()) {
    return absl::OkStatus();
  }
  return Call(*func, {}, result);
}

absl::Status AbandonedError() {
  return absl::FailedPreconditionError(
      "the instance was stopped in the middle of an invocation and can only be dropped");
}

InstanceGroup::InstanceGroup(std::shared_ptr<engine::RuntimeEnv> env, const GuestLimits& limits)
    : store_(std::make_unique<engine::Store>(std::move(env), StoreOptionsOf(limits))) {}

InstanceGroup::Turn InstanceGroup::Enter(Waiting waiting, size_t max_waiting) {
  std::vector<Waiting> dead;  // Destroyed without the lock.
  const engine::MutexLock lock(mutex_);
  if (!taken_) {
    taken_ = true;
    return Turn::kNow;
  }
  if (waiting_.size() >= max_waiting) {
    std::deque<Waiting> alive;
    for (Waiting& old : waiting_) {
      if (old.is_dead()) {
        dead.push_back(std::move(old));
      } else {
        alive.push_back(std::move(old));
      }
    }
    waiting_ = std::move(alive);
    if (waiting_.size() >= max_waiting) {
      return Turn::kFull;
    }
  }
  waiting_.push_back(std::move(waiting));
  return Turn::kLater;
}

bool InstanceGroup::TryEnter() {
  const engine::MutexLock lock(mutex_);
  return !std::exchange(taken_, true);
}

std::function<void()> InstanceGroup::Leave() {
  const engine::MutexLock lock(mutex_);
  if (waiting_.empty()) {
    taken_ = false;
    return nullptr;
  }
  std::function<void()> next = std::move(waiting_.front().task);
  waiting_.pop_front();
  return next;
}

absl::StatusOr<engine::Value> InstanceGroup::Reference(uint64_t handle) const {
  const auto found =
      std::ranges::find(references_, handle, &std::pair<uint64_t, engine::Value>::first);
  if (found == references_.end()) {
    return absl::InvalidArgumentError(
        StrCat("reference ", handle, " is none that this instance gave out"));
  }
  return found->second;
}

absl::StatusOr<uint64_t> InstanceGroup::HandleOf(const engine::Value& reference,
                                                 const std::function<uint64_t()>& next_handle) {
  const auto found =
      std::ranges::find(references_, reference, &std::pair<uint64_t, engine::Value>::second);
  if (found != references_.end()) {
    return found->first;
  }
  if (references_.size() >= kMaxReferences) {
    return absl::ResourceExhaustedError(
        StrCat("the instance has given out ", kMaxReferences, " references"));
  }
  return references_.emplace_back(next_handle(), reference).first;
}

absl::StatusOr<InstantiateResult> InstantiateGuest(InstanceGroup& group,
                                                   const InstantiateSpec& spec,
                                                   Invocation& invocation) {
  if (group.store().is_abandoned()) {
    return AbandonedError();
  }
  engine::Linker linker;
  std::unique_ptr<engine::Wasi> wasi;
  if (spec.wasi) {
    WASMD_ASSIGN_OR_RETURN(wasi, engine::Wasi::Create({}));
    wasi->AddTo(linker);
  }
  for (const auto& [name, instance] : spec.imports) {
    linker.DefineInstance(name, *instance);
  }
  WASMD_RETURN_IF_ERROR(linker.CheckImports(*spec.module));
  if (wasi != nullptr) {
    group.Keep(std::move(wasi));
  }
  InstantiateResult made;
  const Armed armed(invocation, group.store());
  WASMD_ASSIGN_OR_RETURN(made.instance,
                         Instantiate(group.store(), linker, spec.module, made.result));
  if (made.instance != nullptr && spec.wasi) {
    WASMD_RETURN_IF_ERROR(InitializeReactor(*made.instance, made.result));
    if (made.result.stop.has_value()) {
      made.instance = nullptr;
    }
  }
  Measure(group.store(), made.result);
  return made;
}

absl::StatusOr<CallGuestResult> CallGuest(InstanceGroup& group, engine::Instance& instance,
                                          const CallSpec& spec, Invocation& invocation,
                                          const std::function<uint64_t()>& next_handle) {
  if (group.store().is_abandoned()) {
    return AbandonedError();
  }
  WASMD_ASSIGN_OR_RETURN(const engine::FuncType* const type,
                         FuncTypeOf(instance.module(), spec.func));
  WASMD_ASSIGN_OR_RETURN(const std::vector<engine::Value> args,
                         ArgumentsFor(&group, spec.func, *type, spec.args));
  WASMD_ASSIGN_OR_RETURN(const engine::FuncHandle func, instance.Func(spec.func));
  CallGuestResult called;
  {
    const Armed armed(invocation, group.store());
    WASMD_RETURN_IF_ERROR(Call(func, args, called.result));
  }
  for (const engine::Value& value : called.result.values) {
    GuestValue out{value, 0};
    if (engine::IsRef(value.type) && !value.is_null_ref()) {
      if (value.type == engine::ValType::kExnRef) {
        return absl::FailedPreconditionError(
            StrCat("\"", spec.func, "\" returned an exnref, which does not leave its instance"));
      }
      WASMD_ASSIGN_OR_RETURN(out.reference_handle, group.HandleOf(value, next_handle));
      out.value = engine::Value::Null(value.type);
    }
    called.values.push_back(out);
  }
  called.result.values.clear();
  Measure(group.store(), called.result);
  return called;
}

absl::StatusOr<CallGuestResult> CallFreshGuest(const std::shared_ptr<engine::RuntimeEnv>& env,
                                               const GuestLimits& limits,
                                               std::shared_ptr<engine::LoadedModule> module,
                                               const CallSpec& spec, Invocation& invocation) {
  WASMD_ASSIGN_OR_RETURN(const engine::FuncType* const type, FuncTypeOf(*module, spec.func));
  WASMD_ASSIGN_OR_RETURN(const std::vector<engine::Value> args,
                         ArgumentsFor(nullptr, spec.func, *type, spec.args));
  CallGuestResult called;
  const auto call = [&](engine::Instance& instance) -> absl::Status {
    WASMD_ASSIGN_OR_RETURN(const engine::FuncHandle func, instance.Func(spec.func));
    WASMD_RETURN_IF_ERROR(Call(func, args, called.result));
    for (const engine::Value& value : called.result.values) {
      if (engine::IsRef(value.type) && !value.is_null_ref()) {
        return absl::FailedPreconditionError(
            StrCat("\"", spec.func,
                   "\" returned a reference, which does not outlive its instance; create an "
                   "instance and call that"));
      }
      called.values.push_back({value, 0});
    }
    return absl::OkStatus();
  };
  WASMD_RETURN_IF_ERROR(
      WithFreshInstance(env, limits, std::move(module), invocation, called.result, call));
  called.result.values.clear();
  return called;
}

absl::StatusOr<BytesGuestResult> CallBytesGuest(InstanceGroup& group, engine::Instance& instance,
                                                const BytesCallSpec& spec, Invocation& invocation) {
  if (group.store().is_abandoned()) {
    return AbandonedError();
  }
  BytesGuestResult called;
  {
    const Armed armed(invocation, group.store());
    WASMD_RETURN_IF_ERROR(CallBytes(instance, spec, called));
  }
  Measure(group.store(), called.result);
  return called;
}

absl::StatusOr<BytesGuestResult> CallFreshBytesGuest(const std::shared_ptr<engine::RuntimeEnv>& env,
                                                     const GuestLimits& limits,
                                                     std::shared_ptr<engine::LoadedModule> module,
                                                     const BytesCallSpec& spec,
                                                     Invocation& invocation) {
  // Before any guest code runs.
  WASMD_RETURN_IF_ERROR(BytesCall::Check(*module, spec.func));
  BytesGuestResult called;
  WASMD_RETURN_IF_ERROR(WithFreshInstance(
      env, limits, std::move(module), invocation, called.result,
      [&](engine::Instance& instance) { return CallBytes(instance, spec, called); }));
  return called;
}

absl::StatusOr<GuestResult> RunGuest(const std::shared_ptr<engine::RuntimeEnv>& env,
                                     const GuestLimits& limits,
                                     std::shared_ptr<engine::LoadedModule> module,
                                     engine::WasiOptions options, Invocation& invocation) {
  const absl::StatusOr<const engine::FuncType*> type = FuncTypeOf(*module, kStart);
  if (!type.ok()) {
    return absl::NotFoundError(
        "the module exports no function \"_start\": it is no program; call its functions instead");
  }
  if (!(*type)->params.empty() || !(*type)->results.empty()) {
    return absl::InvalidArgumentError(
        StrCat("\"_start\" must be (func) and is ", engine::ToString(**type)));
  }
  options.limits.max_open_files = limits.open_files;
  options.limits.open_files = limits.files;
  WASMD_ASSIGN_OR_RETURN(const std::unique_ptr<engine::Wasi> wasi,
                         engine::Wasi::Create(std::move(options)));
  engine::Linker linker;
  wasi->AddTo(linker);
  WASMD_RETURN_IF_ERROR(linker.CheckImports(*module));
  GuestResult result;
  engine::Store store(env, StoreOptionsOf(limits));
  const Armed armed(invocation, store);
  WASMD_ASSIGN_OR_RETURN(engine::Instance* const instance,
                         Instantiate(store, linker, CodeFor(limits, std::move(module)), result));
  if (instance != nullptr) {
    WASMD_ASSIGN_OR_RETURN(const engine::FuncHandle start, instance->Func(kStart));
    WASMD_RETURN_IF_ERROR(Call(start, {}, result));
    result.fuel_left = instance->fuel();
  }
  Measure(store, result);
  return result;
}

absl::StatusOr<engine::MemoryHandle> FindMemory(engine::Instance& instance, std::string_view name) {
  std::string only(name);
  if (name.empty()) {
    for (const engine::ExportType& candidate : instance.module().exports()) {
      if (engine::KindOf(candidate.type) == engine::ExternKind::kMemory) {
        if (!only.empty()) {
          return absl::InvalidArgumentError("the instance exports several memories; name one");
        }
        only = candidate.name;
      }
    }
  }
  if (only.empty()) {
    return absl::NotFoundError("the instance exports no memory");
  }
  return instance.Memory(only);
}

}  // namespace wasmd::daemon
