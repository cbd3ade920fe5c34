#include "engine/runtime/instance.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/str_cat.h"
#include "engine/runtime/instance_access.h"
#include "engine/runtime/linear_memory.h"
#include "engine/runtime/loaded_module_impl.h"
#include "engine/runtime/store_impl.h"
#include "engine/runtime/table_instance.h"

namespace wasmd::engine {

void WriteCell(Cell& cell, const Value& value) {
  cell = {value.bits, value.hi};
}

Value ReadCell(const Cell& cell, ValType type) {
  switch (type) {
    case ValType::kI32:
    case ValType::kF32:
      return {type, cell.lo & 0xffff'ffff};
    case ValType::kV128:
      return {type, cell.lo, cell.hi};
    case ValType::kI64:
    case ValType::kF64:
    case ValType::kFuncRef:
    case ValType::kExternRef:
    case ValType::kExnRef:
    case ValType::kBottom:
      return {type, cell.lo};
  }
  return {type, cell.lo};
}

namespace {

absl::Status RangeError(std::string_view what, uint64_t offset, uint64_t size, uint64_t limit) {
  return absl::OutOfRangeError(
      StrCat(what, ": ", size, " at ", offset, " do not lie inside of ", limit));
}

absl::Status TypeError(std::string_view what, ValType type, const Value& value) {
  return absl::InvalidArgumentError(
      StrCat("a ", what, " of ", ToString(type), " cannot hold ", ToString(value)));
}

}  // namespace

const MemoryType& MemoryHandle::type() const {
  return memory_->type();
}
uint64_t MemoryHandle::size_bytes() const {
  return memory_->size_bytes();
}
std::span<std::byte> MemoryHandle::bytes() const {
  return {memory_->base(), memory_->size_bytes()};
}

absl::Status MemoryHandle::Read(uint64_t offset, std::span<std::byte> to) const {
  const std::span<const std::byte> all = bytes();
  if (offset > all.size() || to.size() > all.size() - offset) {
    return RangeError("memory read", offset, to.size(), all.size());
  }
  std::ranges::copy(all.subspan(offset, to.size()), to.begin());
  return absl::OkStatus();
}

absl::Status MemoryHandle::Write(uint64_t offset, std::span<const std::byte> from) const {
  const std::span<std::byte> all = bytes();
  if (offset > all.size() || from.size() > all.size() - offset) {
    return RangeError("memory write", offset, from.size(), all.size());
  }
  std::ranges::copy(from, all.begin() + static_cast<std::ptrdiff_t>(offset));
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> MemoryHandle::Grow(uint64_t delta_pages) const {
  const std::optional<uint64_t> old_pages = memory_->Grow(delta_pages);
  if (!old_pages.has_value()) {
    return absl::ResourceExhaustedError(
        StrCat("the memory cannot grow by ", delta_pages, " pages"));
  }
  return *old_pages;
}

const TableType& TableHandle::type() const {
  return table_->type();
}
uint64_t TableHandle::size() const {
  return table_->size();
}

absl::StatusOr<Value> TableHandle::Get(uint64_t index) const {
  if (index >= table_->size()) {
    return RangeError("table read", index, 1, table_->size());
  }
  const Value value{table_->type().element, table_->elements()[index]};
  store_->impl().exceptions.KeepForHost(value);
  return value;
}

absl::Status TableHandle::Set(uint64_t index, const Value& value) const {
  if (value.type != table_->type().element) {
    return TypeError("table", table_->type().element, value);
  }
  if (index >= table_->size()) {
    return RangeError("table write", index, 1, table_->size());
  }
  table_->elements()[index] = value.bits;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> TableHandle::Grow(uint64_t delta, const Value& init) const {
  if (init.type != table_->type().element) {
    return TypeError("table", table_->type().element, init);
  }
  const std::optional<uint64_t> old_size = table_->Grow(delta, init.bits);
  if (!old_size.has_value()) {
    return absl::ResourceExhaustedError(StrCat("the table cannot grow by ", delta));
  }
  return *old_size;
}

Value GlobalHandle::Get() const {
  const Value value = ReadCell(*global_->cell, global_->type.type);
  store_->impl().exceptions.KeepForHost(value);
  return value;
}

absl::Status GlobalHandle::Set(const Value& value) const {
  if (!global_->type.is_mutable) {
    return absl::FailedPreconditionError("the global is immutable");
  }
  if (value.type != global_->type.type) {
    return TypeError("global", global_->type.type, value);
  }
  WriteCell(*global_->cell, value);
  return absl::OkStatus();
}

ExternType TypeOf(const Extern& value) {
  return std::visit(
      [](const auto& handle) -> ExternType {
        using Handle = std::decay_t<decltype(handle)>;
        if constexpr (std::is_same_v<Handle, MemoryHandle>) {
          return handle.memory().current_type();
        } else if constexpr (std::is_same_v<Handle, TableHandle>) {
          return handle.table().current_type();
        } else {
          return handle.type();
        }
      },
      value);
}

void Instance::FreeMemory::operator()(void* memory) const {
  std::free(memory);
}

Instance::Instance(Store& store, std::shared_ptr<LoadedModule> module)
    : store_(store), module_(std::move(module)) {}
Instance::~Instance() = default;

FuncRef& Instance::FuncRefOf(uint32_t func_index) {
  if (func_index < imported_funcs_.size()) {
    return *imported_funcs_[func_index];
  }
  std::unique_ptr<FuncRef[]>& chunk = func_refs_[func_index / kFuncRefChunk];
  if (chunk == nullptr) {
    chunk = std::make_unique<FuncRef[]>(kFuncRefChunk);
  }
  FuncRef& ref = chunk[func_index % kFuncRefChunk];
  if (ref.context == nullptr) {
    const LoadedModule::Impl& module = module_->impl();
    ref.context = context_.get();
    ref.type_id = module.type_of_func(func_index).id;
    ref.func_index = func_index;
    ref.code.store(module.func_table()[func_index].load(std::memory_order_acquire),
                   std::memory_order_relaxed);
  }
  return ref;
}

void InstanceAccess::SetCode(InstanceContext* context, uint32_t func_index, const void* code) {
  if (auto importers = Of(context).importers_.extract(func_index)) {
    for (ImportedFunc* cell : importers.mapped()) {
      cell->code = code;
    }
  }
  FuncRef* const chunk = Of(context).func_refs_[func_index / Instance::kFuncRefChunk].get();
  if (chunk == nullptr) {
    return;
  }
  FuncRef& ref = chunk[func_index % Instance::kFuncRefChunk];
  if (ref.context != nullptr) {
    ref.code.store(code, std::memory_order_relaxed);
  }
}

Extern Instance::ExternOf(ExternKind kind, uint32_t index) {
  switch (kind) {
    case ExternKind::kFunc:
      return FuncHandle(store_, FuncRefOf(index), module_->impl().type_of_func(index));
    case ExternKind::kTable:
      return TableHandle(store_, *tables_[index]);
    case ExternKind::kMemory:
      return MemoryHandle(store_, *memories_[index]);
    case ExternKind::kGlobal:
      return GlobalHandle(store_, *globals_[index]);
    case ExternKind::kTag:
      return TagHandle(store_, *tags_[index]);
  }
  WASMD_UNREACHABLE();
}

std::optional<Extern> Instance::FindExport(std::string_view name) {
  const Export* found = module_->impl().FindExport(name);
  return found == nullptr ? std::nullopt
                          : std::optional<Extern>(ExternOf(found->kind, found->index));
}

namespace {

template <typename Handle>
absl::StatusOr<Handle> ExportAs(Instance& instance, std::string_view name, ExternKind kind) {
  const std::optional<Extern> found = instance.FindExport(name);
  if (!found.has_value()) {
    return absl::NotFoundError(StrCat("no export is called \"", name, "\""));
  }
  if (const Handle* handle = std::get_if<Handle>(&*found)) {
    return *handle;
  }
  return absl::InvalidArgumentError(StrCat("export \"", name, "\" is a ",
                                           ToString(static_cast<ExternKind>(found->index())),
                                           ", not a ", ToString(kind)));
}

}  // namespace

absl::StatusOr<FuncHandle> Instance::Func(std::string_view name) {
  return ExportAs<FuncHandle>(*this, name, ExternKind::kFunc);
}
absl::StatusOr<MemoryHandle> Instance::Memory(std::string_view name) {
  return ExportAs<MemoryHandle>(*this, name, ExternKind::kMemory);
}
absl::StatusOr<TableHandle> Instance::Table(std::string_view name) {
  return ExportAs<TableHandle>(*this, name, ExternKind::kTable);
}
absl::StatusOr<GlobalHandle> Instance::Global(std::string_view name) {
  return ExportAs<GlobalHandle>(*this, name, ExternKind::kGlobal);
}
absl::StatusOr<TagHandle> Instance::Tag(std::string_view name) {
  return ExportAs<TagHandle>(*this, name, ExternKind::kTag);
}

std::optional<uint64_t> Instance::fuel() const {
  const int64_t* const fuel = InstanceAccess::FuelOf(context_.get());
  if (fuel == nullptr) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(std::max<int64_t>(*fuel, 0));
}

void Instance::set_fuel(uint64_t fuel) {
  if (int64_t* const cell = InstanceAccess::FuelOf(context_.get()); cell != nullptr) {
    *cell = static_cast<int64_t>(std::min(fuel, kUnlimitedFuel));
  }
}

std::optional<MemoryHandle> Instance::DefaultMemory() {
  return memories_.empty() ? std::nullopt
                           : std::optional<MemoryHandle>(MemoryHandle(store_, *memories_[0]));
}

}  // namespace wasmd::engine
