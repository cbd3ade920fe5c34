#include "engine/runtime/store.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"
#include "engine/runtime/instance_access.h"
#include "engine/runtime/loaded_module.h"
#include "engine/runtime/store_impl.h"

namespace wasmd::engine {
namespace {

// A table's elements double where they are as it grows.
constexpr uint64_t kTableElementBytes = 2 * sizeof(uint64_t);

StoreOptions Bounded(StoreOptions options) {
  options.table_elements = std::min<uint64_t>(options.table_elements, kMaxTableElements);
  options.backtrace_frames = std::min(options.backtrace_frames, kMaxBacktraceFrames);
  return options;
}

}  // namespace

Store::Impl::Impl(Store& store_in, std::shared_ptr<RuntimeEnv> env_in,
                  const StoreOptions& options_in)
    : store(store_in),
      env(std::move(env_in)),
      options(Bounded(options_in)),
      pooled_context(AcquireStoreContext(trap_record)),
      context(*pooled_context),
      charge(options.accountant),
      memory_quota({options.memory_limit_name, options.memory_bytes}, charge),
      table_quota({options.table_limit_name, options.table_elements}, charge, kTableElementBytes),
      heap_quota({options.heap_limit_name, options.heap_bytes}, charge, 0),
      instance_quota({"", UINT64_MAX}, charge),
      interrupt(std::make_shared<InterruptState>(context, env->watchdog())) {}

Store::Impl::~Impl() {
  WASMD_CHECK(context.window.load(std::memory_order_relaxed) != kStoreActive,
              "nothing runs in a store that is destroyed");
  interrupt->Detach();
}

bool Store::Impl::OwnsMemoryAt(uint64_t address) const {
  return std::ranges::any_of(memories,
                             [address](const auto& memory) { return memory->Reserves(address); });
}

void Store::Impl::ForEachExnRef(const std::function<void(uint64_t)>& visit) const {
  for (const auto& owned : globals) {
    if (owned->global.type.type == ValType::kExnRef) {
      visit(owned->cell.lo);
    }
  }
  for (const auto& table : tables) {
    if (table->type().element == ValType::kExnRef) {
      std::for_each_n(table->elements(), table->size(), visit);
    }
  }
  for (const auto& instance : instances) {
    InstanceAccess::ForEachExnRef(*instance, visit);
  }
}

Store::Store(std::shared_ptr<RuntimeEnv> env, const StoreOptions& options)
    : impl_(std::make_unique<Impl>(*this, std::move(env), options)) {}
Store::~Store() = default;

const StoreOptions& Store::options() const {
  return impl_->options;
}
InterruptHandle Store::ArmInterrupt() {
  for (Quota* quota : {&impl_->memory_quota, &impl_->table_quota, &impl_->heap_quota}) {
    quota->ForgetRefusal();
  }
  return {impl_->interrupt, impl_->interrupt->Arm()};
}
bool Store::is_abandoned() const {
  return impl_->abandoned;
}

absl::StatusOr<MemoryHandle> Store::CreateMemory(const MemoryType& type) {
  WASMD_ASSIGN_OR_RETURN(
      std::unique_ptr<LinearMemory> memory,
      LinearMemory::Create(type, impl_->env->memory_slots(), impl_->memory_quota));
  impl_->memories.push_back(std::move(memory));
  return MemoryHandle(*this, *impl_->memories.back());
}

absl::StatusOr<TableHandle> Store::CreateTable(const TableType& type, const Value& init) {
  if (init.type != type.element) {
    return absl::InvalidArgumentError(
        StrCat("a table of ", ToString(type.element), " cannot hold ", ToString(init)));
  }
  WASMD_ASSIGN_OR_RETURN(std::unique_ptr<TableInstance> table,
                         TableInstance::Create(type, init.bits, impl_->table_quota));
  impl_->tables.push_back(std::move(table));
  return TableHandle(*this, *impl_->tables.back());
}

absl::StatusOr<GlobalHandle> Store::CreateGlobal(const GlobalType& type, const Value& init) {
  if (init.type != type.type) {
    return absl::InvalidArgumentError(
        StrCat("a global of ", ToString(type.type), " cannot hold ", ToString(init)));
  }
  auto owned = std::make_unique<Impl::OwnedGlobal>();
  owned->global = {type, &owned->cell};
  WriteCell(owned->cell, init);
  impl_->globals.push_back(std::move(owned));
  return GlobalHandle(*this, impl_->globals.back()->global);
}

absl::StatusOr<TagHandle> Store::CreateTag(const FuncType& type) {
  if (!type.results.empty()) {
    return absl::InvalidArgumentError(StrCat("a tag of type ", ToString(type), " has results"));
  }
  auto owned = std::make_unique<Impl::OwnedTag>(Impl::OwnedTag{.type = type, .tag = {}});
  owned->tag.type = &owned->type;
  impl_->tags.push_back(std::move(owned));
  return TagHandle(*this, impl_->tags.back()->tag);
}

absl::StatusOr<Exception> Store::ExceptionOf(const Value& ref) {
  if (ref.type != ValType::kExnRef || ref.bits == 0) {
    return absl::InvalidArgumentError(StrCat(ToString(ref), " is no exception"));
  }
  std::optional<Exception> exception = impl_->exceptions.Describe(ref.bits);
  if (!exception.has_value()) {
    return absl::NotFoundError("the exception has gone");
  }
  return *std::move(exception);
}

FuncHandle Store::CreateFunc(FuncType type, HostCallback callback) {
  return CreateHostFunc(HostBinding::Define(std::move(type), std::move(callback)));
}

FuncHandle Store::CreateHostFunc(const HostDefinition& definition) {
  impl_->bindings.push_back(std::make_unique<HostBinding>(*this, nullptr, definition));
  HostBinding& binding = *impl_->bindings.back();
  return {*this, binding.ref(), binding.type()};
}

absl::StatusOr<FuncHandle> Store::FuncOf(const Value& ref) {
  if (ref.type != ValType::kFuncRef || ref.bits == 0) {
    return absl::InvalidArgumentError(StrCat(ToString(ref), " is no function"));
  }
  auto* const func = reinterpret_cast<FuncRef*>(ref.bits);
  return FuncHandle(*this, *func, impl_->env->types().TypeOf(func->type_id));
}

uint64_t Store::memory_bytes() const {
  return impl_->memory_quota.used();
}
std::optional<NamedLimit> Store::refused_by() const {
  for (const Quota* quota : {&impl_->memory_quota, &impl_->table_quota, &impl_->heap_quota}) {
    if (quota->refused_by().has_value()) {
      return quota->refused_by();
    }
  }
  return std::nullopt;
}
int Store::interrupt_fd() const {
  return impl_->interrupt->fd();
}
bool Store::interrupt_requested() const {
  return impl_->context.interrupt_requested.load(std::memory_order_relaxed) != 0;
}

}  // namespace wasmd::engine
