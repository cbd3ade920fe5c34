// Instance, and handles to what it exports: FuncHandle, MemoryHandle, TableHandle, GlobalHandle,
// and TagHandle (engine/runtime/tag.h).
//
// Handles are small values (spec: "addresses") that refer into their store and are dead with it.
// All of it is used by one thread at a time, the store's. Spec: syntax-moduleinst
#ifndef WASMD_ENGINE_RUNTIME_INSTANCE_H_
#define WASMD_ENGINE_RUNTIME_INSTANCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/abi/instance_context.h"
#include "engine/runtime/extern_type.h"
#include "engine/runtime/func_handle.h"  // IWYU pragma: export
#include "engine/runtime/outcome.h"
#include "engine/runtime/tag.h"
#include "engine/runtime/value.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

class LinearMemory;
class LoadedModule;
class Store;
class TableInstance;

// Spec: syntax-globalinst. The cell stands in the owner's context, or, for an embedder's global,
// here.
struct GlobalInstance {
  GlobalType type;
  Cell* cell = nullptr;
};

// Spec: syntax-meminst
class MemoryHandle {
 public:
  MemoryHandle(Store& store, LinearMemory& memory) : store_(&store), memory_(&memory) {}

  const MemoryType& type() const;
  uint64_t size_bytes() const;
  uint64_t size_pages() const { return size_bytes() >> type().page_shift; }
  // All of it. Never moves; valid while the store lives, and grows by asking again.
  std::span<std::byte> bytes() const;
  // kOutOfRange, and nothing is copied, where `offset` + size does not lie inside.
  absl::Status Read(uint64_t offset, std::span<std::byte> to) const;
  absl::Status Write(uint64_t offset, std::span<const std::byte> from) const;
  // Returns the old size in wasm pages. kResourceExhausted: the type's maximum, the store's limit
  // or the system forbids it.
  absl::StatusOr<uint64_t> Grow(uint64_t delta_pages) const;

  Store& store() const { return *store_; }
  LinearMemory& memory() const { return *memory_; }

 private:
  Store* store_;
  LinearMemory* memory_;
};

// Spec: syntax-tableinst
class TableHandle {
 public:
  TableHandle(Store& store, TableInstance& table) : store_(&store), table_(&table) {}

  const TableType& type() const;
  uint64_t size() const;
  // kOutOfRange: no such element.
  absl::StatusOr<Value> Get(uint64_t index) const;
  // kInvalidArgument: a value of another type.
  absl::Status Set(uint64_t index, const Value& value) const;
  absl::StatusOr<uint64_t> Grow(uint64_t delta, const Value& init) const;

  Store& store() const { return *store_; }
  TableInstance& table() const { return *table_; }

 private:
  Store* store_;
  TableInstance* table_;
};

class GlobalHandle {
 public:
  GlobalHandle(Store& store, GlobalInstance& global) : store_(&store), global_(&global) {}

  const GlobalType& type() const { return global_->type; }
  Value Get() const;
  // kInvalidArgument: a value of another type. kFailedPrecondition: the global is immutable.
  absl::Status Set(const Value& value) const;

  Store& store() const { return *store_; }
  GlobalInstance& global() const { return *global_; }

 private:
  Store* store_;
  GlobalInstance* global_;
};

// What can be imported and exported. In the order of ExternKind. Spec: syntax-externval
using Extern = std::variant<FuncHandle, TableHandle, MemoryHandle, GlobalHandle, TagHandle>;

ExternType TypeOf(const Extern& value);

// Made by Linker::Instantiate, owned by its store, never moves.
class Instance {
 public:
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance();

  Store& store() const { return store_; }
  const LoadedModule& module() const { return *module_; }

  // nullopt: no such export. O(1).
  std::optional<Extern> FindExport(std::string_view name);
  // kNotFound: no such export. kInvalidArgument: one of another kind.
  absl::StatusOr<FuncHandle> Func(std::string_view name);
  // Func(name), then FuncHandle::Typed.
  template <typename Signature>
  absl::StatusOr<wasmd::engine::TypedFunc<Signature>> TypedFunc(std::string_view name);
  absl::StatusOr<MemoryHandle> Memory(std::string_view name);
  absl::StatusOr<TableHandle> Table(std::string_view name);
  absl::StatusOr<GlobalHandle> Global(std::string_view name);
  absl::StatusOr<TagHandle> Tag(std::string_view name);

  // What is left of a metered instance's fuel; nullopt: its module's code counts none. 0 after
  // TrapCode::kOutOfFuel: the instance is whole, and goes on when it is given more.
  std::optional<uint64_t> fuel() const;
  // From the thread that uses the store. Beyond kUnlimitedFuel is as much as that. Nothing happens
  // if its module is not metered.
  void set_fuel(uint64_t fuel);

  // Memory 0, exported or not; nullopt if it has none.
  std::optional<MemoryHandle> DefaultMemory();

 private:
  friend class Instantiator;
  friend struct InstanceAccess;  // For the builtins, the lazy entry and the store.

  Instance(Store& store, std::shared_ptr<LoadedModule> module);

  FuncRef& FuncRefOf(uint32_t func_index);
  Extern ExternOf(ExternKind kind, uint32_t index);

  struct FreeMemory {
    void operator()(void* memory) const;
  };

  Store& store_;
  std::shared_ptr<LoadedModule> module_;  // Shared: code and names outlive whoever loaded them.
  std::unique_ptr<InstanceContext, FreeMemory> context_;
  std::vector<FuncRef*> imported_funcs_;
  // By function index, in chunks that are made when one of them is asked for; `context` is null
  // until that one is: an instance of many functions costs a word for every kFuncRefChunk of them.
  static constexpr uint32_t kFuncRefChunk = 64;
  std::vector<std::unique_ptr<FuncRef[]>> func_refs_;
  // Cells in other instances, by index of the function of ours that they import, for those that
  // were linked before it was compiled.
  absl::flat_hash_map<uint32_t, std::vector<ImportedFunc*>> importers_;
  std::vector<TableInstance*> tables_;
  std::vector<LinearMemory*> memories_;
  std::vector<GlobalInstance*> globals_;  // Imported ones are the exporter's.
  std::vector<GlobalInstance> own_globals_;
  std::vector<const TagInstance*> tags_;
  std::vector<TagInstance> own_tags_;
  std::vector<std::vector<uint64_t>> elems_;  // Empty once dropped. Spec: syntax-eleminst
  std::vector<bool> data_dropped_;            // Spec: syntax-datainst
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_INSTANCE_H_
