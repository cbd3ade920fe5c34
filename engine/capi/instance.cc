// Functions, globals, tables, memories and instances of wasm.h.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"

#include "engine/base/str_cat.h"
#include "engine/capi/objects.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/module.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

// Usual signatures need no allocation.
constexpr size_t kInlineValues = 16;

// A host function with what it was made of. Goes with the engine's store.
class HostFunc {
 public:
  HostFunc(wasm_store_t* store, wasm_func_callback_t callback,
           wasm_func_callback_with_env_t callback_with_env, void* env, void (*finalizer)(void*))
      : store_(store),
        callback_(callback),
        callback_with_env_(callback_with_env),
        env_(env),
        finalizer_(finalizer) {}
  HostFunc(const HostFunc&) = delete;
  HostFunc& operator=(const HostFunc&) = delete;
  ~HostFunc() {
    if (finalizer_ != nullptr) {
      finalizer_(env_);
    }
  }

  HostResult Call(std::span<const Value> args, std::span<Value> results) const;

 private:
  wasm_store_t* const store_;
  const wasm_func_callback_t callback_;  // Null if the other is not.
  const wasm_func_callback_with_env_t callback_with_env_;
  void* const env_;
  void (*const finalizer_)(void*);
};

HostResult HostFunc::Call(std::span<const Value> args, std::span<Value> results) const {
  absl::InlinedVector<wasm_val_t, kInlineValues> arg_values;
  arg_values.resize(args.size());
  for (size_t i = 0; i < args.size(); ++i) {
    if (!NumberFromValue(args[i], arg_values[i])) {
      arg_values[i] = FromValue(store_, args[i]);
    }
  }
  absl::InlinedVector<wasm_val_t, kInlineValues> result_values;
  result_values.resize(results.size());
  for (size_t i = 0; i < results.size(); ++i) {
    // No bits are set yet: zero, or null.
    if (!NumberFromValue(results[i], result_values[i])) {
      result_values[i].kind = KindOf(results[i].type);
    }
  }
  const wasm_val_vec_t arg_vec = {arg_values.size(), arg_values.data()};
  wasm_val_vec_t result_vec = {result_values.size(), result_values.data()};
  wasm_trap_t* const trap = callback_ != nullptr ? callback_(&arg_vec, &result_vec)
                                                 : callback_with_env_(env_, &arg_vec, &result_vec);
  for (wasm_val_t& value : arg_values) {
    wasm_val_delete(&value);
  }
  if (trap != nullptr) {
    Unref(std::exchange(store_->pending_trap, trap));
    return HostResult::Error(trap->message);
  }
  bool fits = true;
  for (size_t i = 0; i < results.size(); ++i) {
    if (NumberToValue(result_values[i], results[i].type, results[i])) {
      continue;
    }
    const std::optional<Value> value = ToValue(store_, result_values[i], results[i].type);
    if (value.has_value()) {
      results[i] = *value;
    }
    fits &= value.has_value();
    wasm_val_delete(&result_values[i]);
  }
  return fits ? HostResult::Ok()
              : HostResult::Error("a host function returned a value of another type");
}

wasm_func_t* NewFunc(wasm_store_t* store, const wasm_functype_t* type,
                     wasm_func_callback_t callback, wasm_func_callback_with_env_t callback_with_env,
                     void* env, void (*finalizer)(void*)) {
  const std::optional<FuncType> func_type = FuncTypeOf(*type);
  if (store->store == nullptr || !func_type.has_value()) {
    return nullptr;
  }
  auto host = std::make_shared<const HostFunc>(store, callback, callback_with_env, env, finalizer);
  return RefTo(
      store, store->store->CreateFunc(
                 *func_type, [host = std::move(host)](
                                 HostContext& /*context*/, std::span<const Value> args,
                                 std::span<Value> results) { return host->Call(args, results); }));
}

bool IsAlive(const wasm_ref_t* ref) {
  return ref->store->store != nullptr;
}

constexpr const char kDeletedStore[] = "the store has been deleted";

// Null, and `to` has the imports in the module's order; or why they cannot be those.
wasm_trap_t* TakeImports(wasm_store_t* store, const LoadedModule& module,
                         const wasm_extern_vec_t* imports, std::vector<Extern>& to) {
  const std::vector<Import>& wanted = module.module().imports;
  const size_t count = imports == nullptr ? 0 : imports->size;
  if (count < wanted.size()) {
    return NewTrap(store, StrCat("the module wants ", wanted.size(), " imports and gets ", count));
  }
  to.reserve(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const wasm_extern_t* const given = imports->data[i];
    if (given == nullptr || given->store != store) {
      return NewTrap(store, StrCat("import ", wanted[i].module, ".", wanted[i].name,
                                   given == nullptr ? " is null" : " belongs to another store"));
    }
    to.push_back(ExternOf(*given));
  }
  return nullptr;
}

// Null, and `trap` set, where it fails.
wasm_instance_t* Instantiate(wasm_store_t* store, const wasm_module_t* module,
                             const wasm_extern_vec_t* imports, wasm_trap_t** trap) {
  if (store->store == nullptr) {
    *trap = NewTrap(store, kDeletedStore);
    return nullptr;
  }
  const std::shared_ptr<LoadedModule> loaded = module->module;
  if (module->store->engine != store->engine) {
    *trap = NewTrap(store, "the module belongs to another engine: share it and obtain it here");
    return nullptr;
  }
  std::vector<Extern> externs;
  *trap = TakeImports(store, *loaded, imports, externs);
  if (*trap != nullptr) {
    return nullptr;
  }
  // Before it runs: the start function's frames are looked up too.
  wasm_store_t::ModuleUse& use = store->modules[loaded.get()];
  use.module = loaded;
  ++use.instances;
  use.last = nullptr;
  absl::StatusOr<Instantiation> made = Linker::Instantiate(*store->store, loaded, externs);
  if (!made.ok()) {
    *trap = NewTrap(store, std::string(made.status().message()));
    return nullptr;
  }
  if (made->instance == nullptr) {
    *trap = TrapOf(store, made->outcome.stop());
    return nullptr;
  }
  wasm_instance_t* const instance = RefTo(store, *made->instance);
  // Looked up again: the start function may have instantiated others through the host.
  store->modules[loaded.get()].last = instance;
  return instance;
}

}  // namespace
}  // namespace wasmd::engine

using wasmd::engine::IsAlive;
using wasmd::engine::NewTrap;
using wasmd::engine::NewType;
using wasmd::engine::Value;

extern "C" {

// ---- functions ----

wasm_func_t* wasm_func_new(wasm_store_t* store, const wasm_functype_t* type,
                           wasm_func_callback_t callback) {
  return wasmd::engine::NewFunc(store, type, callback, nullptr, nullptr, nullptr);
}
wasm_func_t* wasm_func_new_with_env(wasm_store_t* store, const wasm_functype_t* type,
                                    wasm_func_callback_with_env_t callback, void* env,
                                    void (*finalizer)(void*)) {
  return wasmd::engine::NewFunc(store, type, nullptr, callback, env, finalizer);
}
wasm_functype_t* wasm_func_type(const wasm_func_t* func) {
  return IsAlive(func) ? NewType(func->handle.type()) : nullptr;
}
size_t wasm_func_param_arity(const wasm_func_t* func) {
  return IsAlive(func) ? func->handle.type().params.size() : 0;
}
size_t wasm_func_result_arity(const wasm_func_t* func) {
  return IsAlive(func) ? func->handle.type().results.size() : 0;
}

wasm_trap_t* wasm_func_call(const wasm_func_t* func, const wasm_val_vec_t* args,
                            wasm_val_vec_t* results) {
  wasm_store_t* const store = func->store;
  if (!IsAlive(func)) {
    return NewTrap(store, wasmd::engine::kDeletedStore);
  }
  const wasmd::engine::FuncType& type = func->handle.type();
  const size_t arg_count = args == nullptr ? 0 : args->size;
  if (arg_count != type.params.size()) {
    return NewTrap(store, wasmd::engine::StrCat(arg_count, " arguments for a function of type ",
                                                wasmd::engine::ToString(type)));
  }
  absl::InlinedVector<Value, wasmd::engine::kInlineValues> values(arg_count);
  for (size_t i = 0; i < arg_count; ++i) {
    if (wasmd::engine::NumberToValue(args->data[i], type.params[i], values[i])) {
      continue;
    }
    const std::optional<Value> value = wasmd::engine::ToValue(store, args->data[i], type.params[i]);
    if (!value.has_value()) {
      return NewTrap(store,
                     wasmd::engine::StrCat("argument ", i, " does not fit, for a function of type ",
                                           wasmd::engine::ToString(type)));
    }
    values[i] = *value;
  }
  absl::InlinedVector<Value, wasmd::engine::kInlineValues> returned(type.results.size());
  absl::StatusOr<wasmd::engine::Outcome<void>> outcome =
      func->handle.Call(std::span<const Value>(values.data(), values.size()),
                        std::span<Value>(returned.data(), returned.size()));
  wasm_trap_t* trap = nullptr;
  if (!outcome.ok()) {
    trap = NewTrap(store, std::string(outcome.status().message()));
  } else if (!outcome->ok()) {
    trap = wasmd::engine::TrapOf(store, outcome->stop());
  } else {
    const size_t room = results == nullptr ? 0 : results->size;
    for (size_t i = 0; i < std::min(room, returned.size()); ++i) {
      if (!wasmd::engine::NumberFromValue(returned[i], results->data[i])) {
        results->data[i] = wasmd::engine::FromValue(store, returned[i]);
      }
    }
  }
  return trap;
}

// ---- globals ----

wasm_global_t* wasm_global_new(wasm_store_t* store, const wasm_globaltype_t* type,
                               const wasm_val_t* init) {
  if (store->store == nullptr) {
    return nullptr;
  }
  const wasmd::engine::GlobalType global_type = {wasmd::engine::ValTypeOf(type->content->kind),
                                                 type->mutability == WASM_VAR};
  const std::optional<Value> value = wasmd::engine::ToValue(store, *init, global_type.type);
  if (!value.has_value()) {
    return nullptr;
  }
  const absl::StatusOr<wasmd::engine::GlobalHandle> global =
      store->store->CreateGlobal(global_type, *value);
  return global.ok() ? wasmd::engine::RefTo(store, *global) : nullptr;
}
wasm_globaltype_t* wasm_global_type(const wasm_global_t* global) {
  return IsAlive(global) ? NewType(global->handle.type()) : nullptr;
}
void wasm_global_get(const wasm_global_t* global, wasm_val_t* out) {
  *out = IsAlive(global) ? wasmd::engine::FromValue(global->store, global->handle.Get())
                         : wasm_val_t{.kind = WASM_I32, .of = {.i64 = 0}};
}
void wasm_global_set(wasm_global_t* global, const wasm_val_t* value) {
  if (!IsAlive(global)) {
    return;
  }
  const std::optional<Value> to =
      wasmd::engine::ToValue(global->store, *value, global->handle.type().type);
  if (to.has_value()) {
    global->handle.Set(*to).IgnoreError();  // Immutable: nothing happens.
  }
}

// ---- tables ----

wasm_table_t* wasm_table_new(wasm_store_t* store, const wasm_tabletype_t* type, wasm_ref_t* init) {
  const wasmd::engine::ValType element = wasmd::engine::ValTypeOf(type->element->kind);
  const std::optional<wasmd::engine::Limits> limits =
      wasmd::engine::LimitsOf(type->limits, UINT32_MAX);
  if (store->store == nullptr || !wasmd::engine::IsRef(element) || !limits.has_value()) {
    return nullptr;
  }
  const std::optional<Value> value = wasmd::engine::ToValue(store, init, element);
  if (!value.has_value()) {
    return nullptr;
  }
  const absl::StatusOr<wasmd::engine::TableHandle> table =
      store->store->CreateTable({element, *limits}, *value);
  return table.ok() ? wasmd::engine::RefTo(store, *table) : nullptr;
}
wasm_tabletype_t* wasm_table_type(const wasm_table_t* table) {
  if (!IsAlive(table)) {
    return nullptr;
  }
  return NewType(std::get<wasmd::engine::TableType>(wasmd::engine::TypeOf(table->handle)));
}
wasm_ref_t* wasm_table_get(const wasm_table_t* table, wasm_table_size_t index) {
  if (!IsAlive(table)) {
    return nullptr;
  }
  const absl::StatusOr<Value> value = table->handle.Get(index);
  return value.ok() ? wasmd::engine::RefFromValue(table->store, *value) : nullptr;
}
bool wasm_table_set(wasm_table_t* table, wasm_table_size_t index, wasm_ref_t* ref) {
  if (!IsAlive(table)) {
    return false;
  }
  const std::optional<Value> value =
      wasmd::engine::ToValue(table->store, ref, table->handle.type().element);
  return value.has_value() && table->handle.Set(index, *value).ok();
}
wasm_table_size_t wasm_table_size(const wasm_table_t* table) {
  return IsAlive(table) ? static_cast<wasm_table_size_t>(table->handle.size()) : 0;
}
bool wasm_table_grow(wasm_table_t* table, wasm_table_size_t delta, wasm_ref_t* init) {
  if (!IsAlive(table)) {
    return false;
  }
  const std::optional<Value> value =
      wasmd::engine::ToValue(table->store, init, table->handle.type().element);
  return value.has_value() && table->handle.Grow(delta, *value).ok();
}

// ---- memories ----

wasm_memory_t* wasm_memory_new(wasm_store_t* store, const wasm_memorytype_t* type) {
  const std::optional<wasmd::engine::Limits> limits =
      wasmd::engine::LimitsOf(type->limits, wasmd::engine::kMaxMemory32Pages);
  if (store->store == nullptr || !limits.has_value()) {
    return nullptr;
  }
  const absl::StatusOr<wasmd::engine::MemoryHandle> memory = store->store->CreateMemory({*limits});
  return memory.ok() ? wasmd::engine::RefTo(store, *memory) : nullptr;
}
wasm_memorytype_t* wasm_memory_type(const wasm_memory_t* memory) {
  if (!IsAlive(memory)) {
    return nullptr;
  }
  return NewType(std::get<wasmd::engine::MemoryType>(wasmd::engine::TypeOf(memory->handle)));
}
byte_t* wasm_memory_data(wasm_memory_t* memory) {
  return IsAlive(memory) ? reinterpret_cast<byte_t*>(memory->handle.bytes().data()) : nullptr;
}
size_t wasm_memory_data_size(const wasm_memory_t* memory) {
  return IsAlive(memory) ? memory->handle.size_bytes() : 0;
}
wasm_memory_pages_t wasm_memory_size(const wasm_memory_t* memory) {
  return IsAlive(memory) ? static_cast<wasm_memory_pages_t>(memory->handle.size_pages()) : 0;
}
bool wasm_memory_grow(wasm_memory_t* memory, wasm_memory_pages_t delta) {
  return IsAlive(memory) && memory->handle.Grow(delta).ok();
}

// ---- externals ----

wasm_externkind_t wasm_extern_kind(const wasm_extern_t* value) {
  switch (value->kind) {
    case wasmd::engine::RefKind::kGlobal:
      return WASM_EXTERN_GLOBAL;
    case wasmd::engine::RefKind::kTable:
      return WASM_EXTERN_TABLE;
    case wasmd::engine::RefKind::kMemory:
      return WASM_EXTERN_MEMORY;
    case wasmd::engine::RefKind::kTag:
      return wasmd::engine::kTagExternKind;
    case wasmd::engine::RefKind::kFunc:
    case wasmd::engine::RefKind::kInstance:
    case wasmd::engine::RefKind::kModule:
    case wasmd::engine::RefKind::kTrap:
    case wasmd::engine::RefKind::kForeign:
      break;
  }
  return WASM_EXTERN_FUNC;
}
wasm_externtype_t* wasm_extern_type(const wasm_extern_t* value) {
  if (!IsAlive(value)) {
    return nullptr;
  }
  return NewType(wasmd::engine::TypeOf(wasmd::engine::ExternOf(*value)));
}

// ---- instances ----

wasm_instance_t* wasm_instance_new(wasm_store_t* store, const wasm_module_t* module,
                                   const wasm_extern_vec_t* imports, wasm_trap_t** trap) {
  wasm_trap_t* failure = nullptr;
  wasm_instance_t* const instance = wasmd::engine::Instantiate(store, module, imports, &failure);
  if (trap != nullptr) {
    *trap = failure;
  } else {
    wasmd::engine::Unref(failure);
  }
  return instance;
}

void wasm_instance_exports(const wasm_instance_t* instance, wasm_extern_vec_t* out) {
  if (!IsAlive(instance)) {
    wasm_extern_vec_new_empty(out);
    return;
  }
  const std::vector<wasmd::engine::Export>& exports = instance->instance.module().module().exports;
  wasm_extern_vec_new_uninitialized(out, exports.size());
  for (size_t i = 0; i < out->size; ++i) {
    const std::optional<wasmd::engine::Extern> found =
        instance->instance.FindExport(exports[i].name);
    out->data[i] = found.has_value() ? wasmd::engine::RefTo(instance->store, *found) : nullptr;
  }
}

}  // extern "C"
