// Engine, store, references and values of wasm.h.
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"

#include "engine/base/check.h"
#include "engine/capi/objects.h"
#include "engine/capi/vec.h"
#include "engine/wasm/types.h"

using wasmd::engine::AddRef;
using wasmd::engine::RefKind;
using wasmd::engine::Unref;

wasm_ref_t::wasm_ref_t(RefKind kind_in, wasm_store_t* store_in) : kind(kind_in), store(store_in) {
  store->refs.fetch_add(1, std::memory_order_relaxed);
}

namespace wasmd::engine {
namespace {

void Destroy(wasm_ref_t* ref) {
  switch (ref->kind) {
    case RefKind::kFunc:
      delete static_cast<wasm_func_t*>(ref);
      return;
    case RefKind::kGlobal:
      delete static_cast<wasm_global_t*>(ref);
      return;
    case RefKind::kTable:
      delete static_cast<wasm_table_t*>(ref);
      return;
    case RefKind::kMemory:
      delete static_cast<wasm_memory_t*>(ref);
      return;
    case RefKind::kTag:
      delete static_cast<wasm_tag_t*>(ref);
      return;
    case RefKind::kInstance:
      delete static_cast<wasm_instance_t*>(ref);
      return;
    case RefKind::kModule:
      delete static_cast<wasm_module_t*>(ref);
      return;
    case RefKind::kTrap:
      delete static_cast<wasm_trap_t*>(ref);
      return;
    case RefKind::kForeign:
      delete static_cast<wasm_foreign_t*>(ref);
      return;
  }
}

template <typename Ref, typename Handle>
Ref* EntityRef(wasm_store_t* store, const void* key, Handle& handle) {
  wasm_ref_t*& ref = store->entities[key];
  if (ref == nullptr) {
    ref = new Ref(store, handle);
  }
  return AddRef(static_cast<Ref*>(ref));
}

}  // namespace

void UnrefStore(wasm_store_t* store) {
  // acq_rel: what other owners did happens before the last one deletes.
  if (store->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete store;
  }
}

void Unref(wasm_ref_t* ref) {
  if (ref == nullptr || ref->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return;
  }
  wasm_store_t* const store = ref->store;
  if (ref->finalizer != nullptr) {
    ref->finalizer(ref->host_info);
  }
  Destroy(ref);
  UnrefStore(store);
}

wasm_func_t* RefTo(wasm_store_t* store, const FuncHandle& handle) {
  return EntityRef<wasm_func_t>(store, handle.ref(), handle);
}
wasm_global_t* RefTo(wasm_store_t* store, const GlobalHandle& handle) {
  return EntityRef<wasm_global_t>(store, &handle.global(), handle);
}
wasm_table_t* RefTo(wasm_store_t* store, const TableHandle& handle) {
  return EntityRef<wasm_table_t>(store, &handle.table(), handle);
}
wasm_memory_t* RefTo(wasm_store_t* store, const MemoryHandle& handle) {
  return EntityRef<wasm_memory_t>(store, &handle.memory(), handle);
}
wasm_tag_t* RefTo(wasm_store_t* store, const TagHandle& handle) {
  return EntityRef<wasm_tag_t>(store, &handle.tag(), handle);
}
wasm_instance_t* RefTo(wasm_store_t* store, Instance& instance) {
  return EntityRef<wasm_instance_t>(store, &instance, instance);
}
wasm_extern_t* RefTo(wasm_store_t* store, const Extern& value) {
  return std::visit([store](const auto& handle) -> wasm_extern_t* { return RefTo(store, handle); },
                    value);
}

Extern ExternOf(const wasm_extern_t& value) {
  switch (value.kind) {
    case RefKind::kFunc:
      return static_cast<const wasm_func_t&>(value).handle;
    case RefKind::kGlobal:
      return static_cast<const wasm_global_t&>(value).handle;
    case RefKind::kTable:
      return static_cast<const wasm_table_t&>(value).handle;
    case RefKind::kMemory:
      return static_cast<const wasm_memory_t&>(value).handle;
    case RefKind::kTag:
      return static_cast<const wasm_tag_t&>(value).handle;
    case RefKind::kInstance:
    case RefKind::kModule:
    case RefKind::kTrap:
    case RefKind::kForeign:
      break;
  }
  WASMD_UNREACHABLE();
}

std::optional<Value> ToValue(wasm_store_t* store, wasm_ref_t* ref, ValType type) {
  if (ref == nullptr) {
    return Value::Null(type);
  }
  if (type == ValType::kFuncRef) {
    if (ref->kind != RefKind::kFunc || ref->store != store) {
      return std::nullopt;
    }
    return static_cast<wasm_func_t*>(ref)->handle.AsValue();
  }
  if (store->pinned.insert(ref).second) {
    AddRef(ref);
  }
  return Value::ExternRef(reinterpret_cast<uint64_t>(ref));
}

std::optional<Value> ToValue(wasm_store_t* store, const wasm_val_t& value, ValType type) {
  if (Value number; NumberToValue(value, type, number)) {
    return number;
  }
  // WASM_REF_VAL says externref of a function too.
  if (IsRef(type) && (value.kind == WASM_FUNCREF || value.kind == WASM_EXTERNREF)) {
    return ToValue(store, value.of.ref, type);
  }
  return std::nullopt;
}

wasm_ref_t* RefFromValue(wasm_store_t* store, const Value& value) {
  if (value.bits == 0) {
    return nullptr;
  }
  if (value.type == ValType::kExternRef) {
    return AddRef(reinterpret_cast<wasm_ref_t*>(value.bits));
  }
  const auto found = store->entities.find(reinterpret_cast<const void*>(value.bits));
  if (found != store->entities.end()) {
    return AddRef(found->second);
  }
  const absl::StatusOr<FuncHandle> func = store->store->FuncOf(value);
  return func.ok() ? RefTo(store, *func) : nullptr;
}

wasm_val_t FromValue(wasm_store_t* store, const Value& value) {
  wasm_val_t result = {.kind = KindOf(value.type), .of = {.i64 = 0}};
  if (!NumberFromValue(value, result) && IsRef(value.type)) {
    result.of.ref = RefFromValue(store, value);
  }
  return result;
}

namespace {

void SetHostInfo(wasm_ref_t* ref, void* info, void (*finalizer)(void*)) {
  void* const old_info = std::exchange(ref->host_info, info);
  const auto old_finalizer = std::exchange(ref->finalizer, finalizer);
  if (old_finalizer != nullptr) {
    old_finalizer(old_info);
  }
}

bool IsExtern(RefKind kind) {
  return kind <= RefKind::kTag;
}

}  // namespace
}  // namespace wasmd::engine

extern "C" {

wasm_config_t* wasm_config_new(void) {
  return new wasm_config_t();
}
void wasm_config_delete(wasm_config_t* config) {
  delete config;
}

wasm_engine_t* wasm_engine_new(void) {
  absl::StatusOr<std::unique_ptr<wasmd::engine::Engine>> engine = wasmd::engine::Engine::Create({});
  return engine.ok() ? new wasm_engine_t{std::move(*engine)} : nullptr;
}
wasm_engine_t* wasm_engine_new_with_config(wasm_config_t* config) {
  delete config;
  return wasm_engine_new();
}
void wasm_engine_delete(wasm_engine_t* engine) {
  delete engine;
}

wasm_store_t* wasm_store_new(wasm_engine_t* engine) {
  // What the system has is the limit. Halves, so that no sum of two limits overflows.
  const wasmd::engine::StoreOptions unlimited = {.memory_bytes = UINT64_MAX / 2,
                                                 .table_elements = UINT64_MAX / 2,
                                                 .instances = UINT32_MAX / 2};
  if (engine == nullptr) {
    return nullptr;
  }
  auto* const store = new wasm_store_t();
  store->engine = engine->engine;
  store->store = std::make_unique<wasmd::engine::Store>(engine->engine->runtime(), unlimited);
  return store;
}

void wasm_store_delete(wasm_store_t* store) {
  if (store == nullptr) {
    return;
  }
  // Finalizers run below, and what they call sees a store that is deleted.
  std::exchange(store->store, nullptr).reset();
  Unref(std::exchange(store->pending_trap, nullptr));
  store->modules.clear();
  for (const auto& [key, ref] : std::exchange(store->entities, {})) {
    Unref(ref);
  }
  for (wasm_ref_t* const ref : std::exchange(store->pinned, {})) {
    Unref(ref);
  }
  wasmd::engine::UnrefStore(store);
}

#define WASMD_DEFINE_REF_BASE(name)                                                 \
  void wasm_##name##_delete(wasm_##name##_t* ref) {                                 \
    Unref(ref);                                                                     \
  }                                                                                 \
  wasm_##name##_t* wasm_##name##_copy(const wasm_##name##_t* ref) {                 \
    return AddRef(ref);                                                             \
  }                                                                                 \
  bool wasm_##name##_same(const wasm_##name##_t* a, const wasm_##name##_t* b) {     \
    return a == b;                                                                  \
  }                                                                                 \
  void* wasm_##name##_get_host_info(const wasm_##name##_t* ref) {                   \
    return ref->host_info;                                                          \
  }                                                                                 \
  void wasm_##name##_set_host_info(wasm_##name##_t* ref, void* info) {              \
    wasmd::engine::SetHostInfo(ref, info, nullptr);                                 \
  }                                                                                 \
  void wasm_##name##_set_host_info_with_finalizer(wasm_##name##_t* ref, void* info, \
                                                  void (*finalizer)(void*)) {       \
    wasmd::engine::SetHostInfo(ref, info, finalizer);                               \
  }

// `is` says of a ref that is not null whether it is one.
#define WASMD_DEFINE_REF(name, is)                                                      \
  WASMD_DEFINE_REF_BASE(name)                                                           \
  wasm_ref_t* wasm_##name##_as_ref(wasm_##name##_t* ref) {                              \
    return ref;                                                                         \
  }                                                                                     \
  const wasm_ref_t* wasm_##name##_as_ref_const(const wasm_##name##_t* ref) {            \
    return ref;                                                                         \
  }                                                                                     \
  wasm_##name##_t* wasm_ref_as_##name(wasm_ref_t* ref) {                                \
    return ref != nullptr && (is) ? static_cast<wasm_##name##_t*>(ref) : nullptr;       \
  }                                                                                     \
  const wasm_##name##_t* wasm_ref_as_##name##_const(const wasm_ref_t* ref) {            \
    return ref != nullptr && (is) ? static_cast<const wasm_##name##_t*>(ref) : nullptr; \
  }

#define WASMD_DEFINE_EXTERN(name, kind_of)                                         \
  WASMD_DEFINE_REF(name, ref->kind == (kind_of))                                   \
  wasm_extern_t* wasm_##name##_as_extern(wasm_##name##_t* ref) {                   \
    return ref;                                                                    \
  }                                                                                \
  const wasm_extern_t* wasm_##name##_as_extern_const(const wasm_##name##_t* ref) { \
    return ref;                                                                    \
  }                                                                                \
  wasm_##name##_t* wasm_extern_as_##name(wasm_extern_t* ref) {                     \
    return wasm_ref_as_##name(ref);                                                \
  }                                                                                \
  const wasm_##name##_t* wasm_extern_as_##name##_const(const wasm_extern_t* ref) { \
    return wasm_ref_as_##name##_const(ref);                                        \
  }

WASMD_DEFINE_REF_BASE(ref)
WASMD_DEFINE_REF(trap, ref->kind == RefKind::kTrap)
WASMD_DEFINE_REF(foreign, ref->kind == RefKind::kForeign)
WASMD_DEFINE_REF(module, ref->kind == RefKind::kModule)
WASMD_DEFINE_REF(instance, ref->kind == RefKind::kInstance)
WASMD_DEFINE_REF(extern, wasmd::engine::IsExtern(ref->kind))
WASMD_DEFINE_EXTERN(func, RefKind::kFunc)
WASMD_DEFINE_EXTERN(global, RefKind::kGlobal)
WASMD_DEFINE_EXTERN(table, RefKind::kTable)
WASMD_DEFINE_EXTERN(memory, RefKind::kMemory)
WASMD_DEFINE_POINTER_VEC(extern)

wasm_foreign_t* wasm_foreign_new(wasm_store_t* store) {
  return new wasm_foreign_t(store);
}

void wasm_val_delete(wasm_val_t* value) {
  if (value != nullptr && wasm_valkind_is_ref(value->kind)) {
    Unref(std::exchange(value->of.ref, nullptr));
  }
}
void wasm_val_copy(wasm_val_t* out, const wasm_val_t* value) {
  *out = *value;
  if (wasm_valkind_is_ref(value->kind)) {
    AddRef(value->of.ref);
  }
}

WASMD_DEFINE_VEC(
    val, wasm_val_t, [](wasm_val_t& to, const wasm_val_t& from) { wasm_val_copy(&to, &from); },
    [](wasm_val_t& value) { wasm_val_delete(&value); })

}  // extern "C"
