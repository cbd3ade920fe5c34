// What stands behind the opaque types of wasm.h. Private to engine/capi.
//
// A reference (wasm_ref_t and what derives from it) is the object itself, counted: a copy is the
// same pointer. Functions, globals, tables, memories and instances are entities of the engine's
// store and have one object each, which the wasm_store_t keeps until the store goes; so host info
// and identity last as long as what they belong to. Modules, traps and foreign objects go with
// their last reference, unless they were passed to wasm as an externref: then the store keeps them,
// as it cannot know where wasm has put them.
//
// A wasm_store_t outlives wasm_store_delete as a shell without an engine's store, for as long as
// references to its objects are left: deleting them late is safe, and using them gives an error.
#ifndef WASMD_ENGINE_CAPI_OBJECTS_H_
#define WASMD_ENGINE_CAPI_OBJECTS_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

#include "engine/api/engine.h"  // IWYU pragma: export
#include "engine/capi/wasm.h"   // IWYU pragma: export

// ---- types: plain descriptions ----

struct wasm_valtype_t {
  wasm_valkind_t kind;
};

struct wasm_externtype_t {
  wasm_externkind_t kind;
};
struct wasm_functype_t : wasm_externtype_t {
  wasm_valtype_vec_t params;
  wasm_valtype_vec_t results;
};
struct wasm_globaltype_t : wasm_externtype_t {
  wasm_valtype_t* content;
  wasm_mutability_t mutability;
};
struct wasm_tabletype_t : wasm_externtype_t {
  wasm_valtype_t* element;
  wasm_limits_t limits;
};
struct wasm_memorytype_t : wasm_externtype_t {
  wasm_limits_t limits;
};
// The standard has none: its kind is all that can be asked of it.
struct wasm_tagtype_t : wasm_externtype_t {};
struct wasm_importtype_t {
  wasm_name_t module;
  wasm_name_t name;
  wasm_externtype_t* type;
};
struct wasm_exporttype_t {
  wasm_name_t name;
  wasm_externtype_t* type;
};

// ---- engine, store ----

struct wasm_config_t {};

struct wasm_engine_t {
  std::shared_ptr<wasmd::engine::Engine> engine;  // Shared with its stores, which may outlive it.
};

struct wasm_store_t {
  std::shared_ptr<wasmd::engine::Engine> engine;
  std::unique_ptr<wasmd::engine::Store> store;  // Null once deleted.
  std::atomic<size_t> refs{1};                  // The owner's, and one of each object.

  // By FuncRef, GlobalInstance, TableInstance, LinearMemory or Instance. Holds a reference to each.
  absl::flat_hash_map<const void*, wasm_ref_t*> entities;
  // Holds a reference to each.
  absl::flat_hash_set<wasm_ref_t*> pinned;
  // What has been instantiated here, to find the instance that a frame belongs to.
  struct ModuleUse {
    std::shared_ptr<wasmd::engine::LoadedModule> module;  // Kept: the key is its address.
    size_t instances = 0;
    wasm_instance_t* last = nullptr;
  };
  absl::flat_hash_map<const wasmd::engine::LoadedModule*, ModuleUse> modules;
  // The trap that a host function returned, on its way to the call that it ends.
  wasm_trap_t* pending_trap = nullptr;
};

struct wasm_shared_module_t {
  std::shared_ptr<wasmd::engine::LoadedModule> module;
  std::shared_ptr<wasmd::engine::Engine> engine;
};

// ---- references ----

namespace wasmd::engine {
enum class RefKind : uint8_t {
  kFunc,
  kGlobal,
  kTable,
  kMemory,
  kTag,
  kInstance,
  kModule,
  kTrap,
  kForeign
};
}  // namespace wasmd::engine

struct wasm_ref_t {
  wasm_ref_t(wasmd::engine::RefKind kind_in, wasm_store_t* store_in);
  const wasmd::engine::RefKind kind;
  wasm_store_t* const store;
  std::atomic<size_t> refs{1};
  void* host_info = nullptr;
  void (*finalizer)(void*) = nullptr;
};

struct wasm_extern_t : wasm_ref_t {
  using wasm_ref_t::wasm_ref_t;
};
struct wasm_func_t : wasm_extern_t {
  wasm_func_t(wasm_store_t* store_in, const wasmd::engine::FuncHandle& handle_in)
      : wasm_extern_t(wasmd::engine::RefKind::kFunc, store_in), handle(handle_in) {}
  const wasmd::engine::FuncHandle handle;
};
struct wasm_global_t : wasm_extern_t {
  wasm_global_t(wasm_store_t* store_in, const wasmd::engine::GlobalHandle& handle_in)
      : wasm_extern_t(wasmd::engine::RefKind::kGlobal, store_in), handle(handle_in) {}
  const wasmd::engine::GlobalHandle handle;
};
struct wasm_table_t : wasm_extern_t {
  wasm_table_t(wasm_store_t* store_in, const wasmd::engine::TableHandle& handle_in)
      : wasm_extern_t(wasmd::engine::RefKind::kTable, store_in), handle(handle_in) {}
  const wasmd::engine::TableHandle handle;
};
struct wasm_memory_t : wasm_extern_t {
  wasm_memory_t(wasm_store_t* store_in, const wasmd::engine::MemoryHandle& handle_in)
      : wasm_extern_t(wasmd::engine::RefKind::kMemory, store_in), handle(handle_in) {}
  const wasmd::engine::MemoryHandle handle;
};
struct wasm_tag_t : wasm_extern_t {
  wasm_tag_t(wasm_store_t* store_in, const wasmd::engine::TagHandle& handle_in)
      : wasm_extern_t(wasmd::engine::RefKind::kTag, store_in), handle(handle_in) {}
  const wasmd::engine::TagHandle handle;
};
struct wasm_instance_t : wasm_ref_t {
  wasm_instance_t(wasm_store_t* store_in, wasmd::engine::Instance& instance_in)
      : wasm_ref_t(wasmd::engine::RefKind::kInstance, store_in), instance(instance_in) {}
  wasmd::engine::Instance& instance;
};
struct wasm_module_t : wasm_ref_t {
  wasm_module_t(wasm_store_t* store_in, std::shared_ptr<wasmd::engine::LoadedModule> module_in)
      : wasm_ref_t(wasmd::engine::RefKind::kModule, store_in), module(std::move(module_in)) {}
  // Shared with its instances, which may outlive it.
  const std::shared_ptr<wasmd::engine::LoadedModule> module;
};
struct wasm_foreign_t : wasm_ref_t {
  explicit wasm_foreign_t(wasm_store_t* store_in)
      : wasm_ref_t(wasmd::engine::RefKind::kForeign, store_in) {}
};

struct wasm_frame_t {
  wasm_instance_t* instance;  // A reference, or null.
  uint32_t func_index;
  size_t func_offset;
  size_t module_offset;
};

struct wasm_trap_t : wasm_ref_t {
  wasm_trap_t(wasm_store_t* store_in, std::string message_in)
      : wasm_ref_t(wasmd::engine::RefKind::kTrap, store_in), message(std::move(message_in)) {}
  const std::string message;         // Without the zero byte.
  std::vector<wasm_frame_t> frames;  // Their instances are not references: the store keeps them.
};

namespace wasmd::engine {

// ---- references (store.cc) ----

template <typename Ref>
Ref* AddRef(const Ref* ref) {
  if (ref != nullptr) {
    const_cast<Ref*>(ref)->refs.fetch_add(1, std::memory_order_relaxed);
  }
  return const_cast<Ref*>(ref);
}
void Unref(wasm_ref_t* ref);  // Null is allowed.
void UnrefStore(wasm_store_t* store);

// The object of a store's entity, with a reference for the caller. `store` is alive.
wasm_func_t* RefTo(wasm_store_t* store, const FuncHandle& handle);
wasm_global_t* RefTo(wasm_store_t* store, const GlobalHandle& handle);
wasm_table_t* RefTo(wasm_store_t* store, const TableHandle& handle);
wasm_memory_t* RefTo(wasm_store_t* store, const MemoryHandle& handle);
wasm_tag_t* RefTo(wasm_store_t* store, const TagHandle& handle);
wasm_instance_t* RefTo(wasm_store_t* store, Instance& instance);
wasm_extern_t* RefTo(wasm_store_t* store, const Extern& value);
Extern ExternOf(const wasm_extern_t& value);

// ---- values (store.cc) ----

// `value` as a value of `type`. nullopt: it is another type's, or a function of another store.
// Keeps the object of an externref for as long as the store lives. `store` is alive.
std::optional<Value> ToValue(wasm_store_t* store, const wasm_val_t& value, ValType type);
std::optional<Value> ToValue(wasm_store_t* store, wasm_ref_t* ref, ValType type);
// The same for numbers alone, inlined into the paths that every call takes. False: no number, or
// not of `type`; ToValue has the last word.
inline bool NumberToValue(const wasm_val_t& value, ValType type, Value& to) {
  const bool is_32_bits = value.kind == WASM_I32 || value.kind == WASM_F32;
  constexpr std::array<ValType, 4> kTypes = {ValType::kI32, ValType::kI64, ValType::kF32,
                                             ValType::kF64};
  if (value.kind >= kTypes.size() || kTypes[value.kind] != type) {
    return false;
  }
  // Bits are copied as bits: NaN payloads survive.
  to.type = type;
  to.bits =
      is_32_bits ? std::bit_cast<uint32_t>(value.of.i32) : std::bit_cast<uint64_t>(value.of.i64);
  return true;
}
// With a reference for the caller, if it is one.
wasm_val_t FromValue(wasm_store_t* store, const Value& value);
wasm_ref_t* RefFromValue(wasm_store_t* store, const Value& value);
// False: no number, and FromValue has to do it.
inline bool NumberFromValue(const Value& value, wasm_val_t& to) {
  switch (value.type) {
    case ValType::kI32:
      to.kind = WASM_I32;
      break;
    case ValType::kI64:
      to.kind = WASM_I64;
      break;
    case ValType::kF32:
      to.kind = WASM_F32;
      break;
    case ValType::kF64:
      to.kind = WASM_F64;
      break;
    case ValType::kFuncRef:
    case ValType::kExternRef:
    case ValType::kExnRef:
    case ValType::kV128:
    case ValType::kBottom:
      return false;
  }
  to.of.i64 = std::bit_cast<int64_t>(value.bits);
  return true;
}

// ---- traps (trap.cc) ----

wasm_trap_t* NewTrap(wasm_store_t* store, std::string message);
// Why a guest stopped, as the trap that a caller gets.
wasm_trap_t* TrapOf(wasm_store_t* store, const Stop& stop);

// ---- types (types.cc) ----

// Kinds that the standard has no number for appear with this one, and values of them cannot pass.
inline constexpr wasm_valkind_t kV128Kind = 4;
// The kind of tags, which can be exported from one instance and imported into another, no more.
inline constexpr wasm_externkind_t kTagExternKind = 4;

wasm_valkind_t KindOf(ValType type);
ValType ValTypeOf(wasm_valkind_t kind);
// nullopt: more parameters or results than the engine takes, or types that cannot pass.
std::optional<FuncType> FuncTypeOf(const wasm_functype_t& type);
// nullopt: a minimum over the maximum, or over `most`.
std::optional<Limits> LimitsOf(const wasm_limits_t& limits, uint64_t most);
wasm_functype_t* NewType(const FuncType& type);
wasm_globaltype_t* NewType(const GlobalType& type);
wasm_tabletype_t* NewType(const TableType& type);
wasm_memorytype_t* NewType(const MemoryType& type);
wasm_tagtype_t* NewType(const TagType& type);
wasm_externtype_t* NewType(const ExternType& type);
wasm_name_t NewName(std::string_view text);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_CAPI_OBJECTS_H_
