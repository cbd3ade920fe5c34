// Every group of functions of wasm.h, with what goes wrong beside what goes right. Under
// AddressSanitizer the ownership rules are tested too: whatever is not deleted here is the
// library's to delete.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/engine/capi/wat_bytes.h"

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

static wasm_engine_t* g_engine;

static wasm_module_t* LoadWat(wasm_store_t* store, const char* text) {
  wasm_byte_vec_t bytes;
  WatBytes(text, &bytes);
  wasm_module_t* const module = wasm_module_new(store, &bytes);
  wasm_byte_vec_delete(&bytes);
  return module;
}

// An instance of `text` that imports `imports`, and what it exports.
static void MustInstantiate(wasm_store_t* store, const char* text, const wasm_extern_vec_t* imports,
                            wasm_extern_vec_t* exports) {
  wasm_module_t* const module = LoadWat(store, text);
  CHECK(module != NULL);
  wasm_trap_t* trap = NULL;
  wasm_instance_t* const instance = wasm_instance_new(store, module, imports, &trap);
  CHECK(instance != NULL && trap == NULL);
  wasm_instance_exports(instance, exports);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
}

static const wasm_extern_vec_t kNoImports = WASM_EMPTY_VEC;

static wasm_func_t* FuncAt(const wasm_extern_vec_t* exports, size_t index) {
  CHECK(index < exports->size);
  wasm_func_t* const func = wasm_extern_as_func(exports->data[index]);
  CHECK(func != NULL);
  return func;
}

static wasm_trap_t* Call(const wasm_func_t* func, wasm_val_t* args, size_t arg_count,
                         wasm_val_t* results, size_t result_count) {
  const wasm_val_vec_t arg_vec = {arg_count, args};
  wasm_val_vec_t result_vec = {result_count, results};
  return wasm_func_call(func, &arg_vec, &result_vec);
}

static void CheckMessageAt(int line, const wasm_trap_t* trap, const char* expected) {
  if (trap == NULL) {
    fprintf(stderr, "line %d: no trap, where \"%s\" is expected\n", line, expected);
    exit(1);
  }
  wasm_message_t message;
  wasm_trap_message(trap, &message);
  CHECK(message.size == strlen(message.data) + 1);
  if (strstr(message.data, expected) == NULL) {
    fprintf(stderr, "line %d: the message is \"%s\", not \"%s\"\n", line, message.data, expected);
    exit(1);
  }
  wasm_byte_vec_delete(&message);
}

static void MustTrapAt(int line, wasm_trap_t* trap, const char* expected) {
  CheckMessageAt(line, trap, expected);
  wasm_trap_delete(trap);
}

#define CheckMessage(trap, expected) CheckMessageAt(__LINE__, trap, expected)
#define MustTrap(trap, expected) MustTrapAt(__LINE__, trap, expected)

static int g_finalized;
static void CountFinalized(void* info) {
  g_finalized += info == NULL ? 0 : *(int*)info;
}

// ---- vectors, names, types ----

static void TestVectors(void) {
  wasm_name_t name;
  wasm_name_new_from_string(&name, "abc");
  CHECK(name.size == 3 && memcmp(name.data, "abc", 3) == 0);
  wasm_name_t copy;
  wasm_name_copy(&copy, &name);
  CHECK(copy.size == 3 && copy.data != name.data && memcmp(copy.data, "abc", 3) == 0);
  wasm_name_delete(&name);
  wasm_name_delete(&copy);
  CHECK(copy.data == NULL);
  wasm_name_new_from_string_nt(&name, "abc");
  CHECK(name.size == 4 && name.data[3] == '\0');
  wasm_name_delete(&name);
  wasm_byte_vec_new_empty(&name);
  CHECK(name.size == 0);
  wasm_byte_vec_copy(&copy, &name);
  wasm_byte_vec_delete(&copy);
  wasm_byte_vec_delete(&name);

  // Elements that were never written can be deleted.
  wasm_valtype_vec_t types;
  wasm_valtype_vec_new_uninitialized(&types, 3);
  CHECK(types.size == 3 && types.data[0] == NULL);
  types.data[1] = wasm_valtype_new_i64();
  wasm_valtype_vec_t types_copy;
  wasm_valtype_vec_copy(&types_copy, &types);
  CHECK(types_copy.size == 3 && types_copy.data[0] == NULL && types_copy.data[1] != types.data[1]);
  CHECK(wasm_valtype_kind(types_copy.data[1]) == WASM_I64);
  wasm_valtype_vec_delete(&types);
  wasm_valtype_vec_delete(&types_copy);

  wasm_extern_vec_t externs;
  wasm_extern_vec_new_empty(&externs);
  wasm_extern_vec_delete(&externs);
  // No memory for it: empty, not an overflow.
  wasm_val_vec_t huge;
  wasm_val_vec_new_uninitialized(&huge, SIZE_MAX / 2);
  CHECK(huge.size == 0 && huge.data == NULL);
  wasm_val_vec_delete(&huge);
}

static void TestTypes(void) {
  const wasm_valkind_t kinds[] = {WASM_I32, WASM_I64,       WASM_F32,
                                  WASM_F64, WASM_EXTERNREF, WASM_FUNCREF};
  for (size_t i = 0; i < sizeof(kinds); ++i) {
    wasm_valtype_t* const type = wasm_valtype_new(kinds[i]);
    CHECK(wasm_valtype_kind(type) == kinds[i]);
    CHECK(wasm_valtype_is_ref(type) == (i >= 4) && wasm_valtype_is_num(type) == (i < 4));
    wasm_valtype_delete(type);
  }
  CHECK(wasm_valtype_new(77) == NULL);
  CHECK(WASM_EXTERNREF == 128 && WASM_FUNCREF == 129 && sizeof(wasm_val_t) == 16);

  wasm_functype_t* const func =
      wasm_functype_new_3_2(wasm_valtype_new_i32(), wasm_valtype_new_i64(), wasm_valtype_new_f32(),
                            wasm_valtype_new_f64(), wasm_valtype_new_externref());
  wasm_functype_t* const func_copy = wasm_functype_copy(func);
  wasm_functype_delete(func);
  CHECK(wasm_functype_params(func_copy)->size == 3 && wasm_functype_results(func_copy)->size == 2);
  CHECK(wasm_valtype_kind(wasm_functype_params(func_copy)->data[2]) == WASM_F32);
  CHECK(wasm_valtype_kind(wasm_functype_results(func_copy)->data[1]) == WASM_EXTERNREF);

  const wasm_limits_t limits = {1, 7};
  wasm_externtype_t* const types[] = {
      wasm_functype_as_externtype(func_copy),
      wasm_globaltype_as_externtype(wasm_globaltype_new(wasm_valtype_new_f32(), WASM_VAR)),
      wasm_tabletype_as_externtype(wasm_tabletype_new(wasm_valtype_new_funcref(), &limits)),
      wasm_memorytype_as_externtype(wasm_memorytype_new(&limits)),
  };
  for (size_t i = 0; i < 4; ++i) {
    CHECK(wasm_externtype_kind(types[i]) == i);
    wasm_externtype_t* const copy = wasm_externtype_copy(types[i]);
    CHECK((wasm_externtype_as_functype(copy) != NULL) == (i == WASM_EXTERN_FUNC));
    CHECK((wasm_externtype_as_globaltype(copy) != NULL) == (i == WASM_EXTERN_GLOBAL));
    CHECK((wasm_externtype_as_tabletype_const(copy) != NULL) == (i == WASM_EXTERN_TABLE));
    CHECK((wasm_externtype_as_memorytype_const(copy) != NULL) == (i == WASM_EXTERN_MEMORY));
    if (i == WASM_EXTERN_GLOBAL) {
      const wasm_globaltype_t* const global = wasm_externtype_as_globaltype_const(copy);
      CHECK(wasm_globaltype_mutability(global) == WASM_VAR);
      CHECK(wasm_valtype_kind(wasm_globaltype_content(global)) == WASM_F32);
    } else if (i == WASM_EXTERN_TABLE) {
      const wasm_tabletype_t* const table = wasm_externtype_as_tabletype(copy);
      CHECK(wasm_tabletype_limits(table)->max == 7);
      CHECK(wasm_valtype_kind(wasm_tabletype_element(table)) == WASM_FUNCREF);
    } else if (i == WASM_EXTERN_MEMORY) {
      CHECK(wasm_memorytype_limits(wasm_externtype_as_memorytype(copy))->min == 1);
    }
    wasm_externtype_delete(copy);
  }
  CHECK(wasm_externtype_as_functype(NULL) == NULL);

  wasm_name_t module_name;
  wasm_name_t name;
  wasm_name_new_from_string(&module_name, "env");
  wasm_name_new_from_string(&name, "f");
  wasm_importtype_t* const import = wasm_importtype_new(&module_name, &name, types[0]);
  wasm_importtype_t* const import_copy = wasm_importtype_copy(import);
  wasm_importtype_delete(import);
  CHECK(wasm_importtype_module(import_copy)->size == 3 &&
        wasm_importtype_name(import_copy)->data[0] == 'f');
  CHECK(wasm_externtype_kind(wasm_importtype_type(import_copy)) == WASM_EXTERN_FUNC);
  wasm_importtype_delete(import_copy);
  wasm_name_new_from_string(&name, "g");
  wasm_exporttype_t* const export_type = wasm_exporttype_new(&name, types[1]);
  wasm_exporttype_t* const export_copy = wasm_exporttype_copy(export_type);
  wasm_exporttype_delete(export_type);
  CHECK(wasm_exporttype_name(export_copy)->data[0] == 'g');
  CHECK(wasm_externtype_kind(wasm_exporttype_type(export_copy)) == WASM_EXTERN_GLOBAL);
  wasm_exporttype_delete(export_copy);
  wasm_externtype_delete(types[2]);
  wasm_externtype_delete(types[3]);
}

// ---- modules ----

static const char kTypesWat[] =
    "(module $named"
    " (import \"env\" \"f\" (func (param i32 f64) (result i64)))"
    " (import \"env\" \"g\" (global (mut f32)))"
    " (import \"env\" \"t\" (table 1 9 externref))"
    " (import \"env\" \"m\" (memory 2))"
    " (func (export \"out f\") (param externref))"
    " (export \"out m\" (memory 0)))";

static void CheckTypesModule(const wasm_module_t* module) {
  wasm_importtype_vec_t imports;
  wasm_module_imports(module, &imports);
  CHECK(imports.size == 4);
  const wasm_externkind_t kinds[] = {WASM_EXTERN_FUNC, WASM_EXTERN_GLOBAL, WASM_EXTERN_TABLE,
                                     WASM_EXTERN_MEMORY};
  for (size_t i = 0; i < 4; ++i) {
    CHECK(wasm_importtype_module(imports.data[i])->size == 3);
    CHECK(wasm_externtype_kind(wasm_importtype_type(imports.data[i])) == kinds[i]);
  }
  const wasm_functype_t* const func =
      wasm_externtype_as_functype_const(wasm_importtype_type(imports.data[0]));
  CHECK(wasm_valtype_kind(wasm_functype_params(func)->data[1]) == WASM_F64);
  const wasm_tabletype_t* const table =
      wasm_externtype_as_tabletype_const(wasm_importtype_type(imports.data[2]));
  CHECK(wasm_tabletype_limits(table)->max == 9);
  const wasm_memorytype_t* const memory =
      wasm_externtype_as_memorytype_const(wasm_importtype_type(imports.data[3]));
  CHECK(wasm_memorytype_limits(memory)->max == wasm_limits_max_default);
  wasm_importtype_vec_delete(&imports);

  wasm_exporttype_vec_t exports;
  wasm_module_exports(module, &exports);
  CHECK(exports.size == 2 && wasm_exporttype_name(exports.data[0])->size == 5);
  CHECK(wasm_externtype_kind(wasm_exporttype_type(exports.data[1])) == WASM_EXTERN_MEMORY);
  wasm_exporttype_vec_delete(&exports);
}

static void TestModules(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  wasm_byte_vec_t bytes;
  WatBytes(kTypesWat, &bytes);
  CHECK(wasm_module_validate(store, &bytes));
  wasm_module_t* const module = wasm_module_new(store, &bytes);
  CheckTypesModule(module);
  // Cut short; empty; a body that does not validate.
  const wasm_byte_vec_t cut = {bytes.size - 3, bytes.data};
  CHECK(!wasm_module_validate(store, &cut) && wasm_module_new(store, &cut) == NULL);
  const wasm_byte_vec_t empty = WASM_EMPTY_VEC;
  CHECK(!wasm_module_validate(store, &empty) && wasm_module_new(store, &empty) == NULL);
  wasm_byte_vec_t invalid;
  WatBytes("(module (func (result i32)))", &invalid);
  CHECK(!wasm_module_validate(store, &invalid) && wasm_module_new(store, &invalid) == NULL);
  wasm_byte_vec_delete(&invalid);

  wasm_byte_vec_t serialized;
  wasm_module_serialize(module, &serialized);
  wasm_module_t* const again = wasm_module_deserialize(store, &serialized);
  CheckTypesModule(again);
  wasm_module_delete(again);
  CHECK(wasm_module_deserialize(store, &empty) == NULL);
  CHECK(wasm_module_deserialize(store, &bytes) == NULL);  // Plain wasm is not what serialize makes.
  serialized.data[serialized.size - 1] ^= 0x55;
  serialized.data[40] ^= 0x55;
  CHECK(wasm_module_deserialize(store, &serialized) == NULL);
  wasm_byte_vec_delete(&serialized);

  // To another store, of this engine and of another one; the first is gone by then.
  wasm_shared_module_t* const shared = wasm_module_share(module);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_t* const engine = wasm_engine_new_with_config(wasm_config_new());
  wasm_store_t* const stores[] = {wasm_store_new(g_engine), wasm_store_new(engine)};
  for (size_t i = 0; i < 2; ++i) {
    wasm_module_t* const obtained = wasm_module_obtain(stores[i], shared);
    CheckTypesModule(obtained);
    wasm_module_delete(obtained);
    wasm_store_delete(stores[i]);
  }
  wasm_shared_module_delete(shared);
  wasm_engine_delete(engine);
  wasm_byte_vec_delete(&bytes);
  wasm_config_delete(wasm_config_new());
}

// ---- functions ----

static wasm_trap_t* Swap(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  CHECK(args->size == 2 && results->size == 2);
  wasm_val_copy(&results->data[0], &args->data[1]);
  wasm_val_copy(&results->data[1], &args->data[0]);
  return NULL;
}

struct Env {
  wasm_store_t* store;
  wasm_func_t* inner;     // Called from the host function, if not null.
  wasm_memory_t* memory;  // Owned.
  wasm_trap_t* returned;  // A copy of the trap that Fail returned.
  int calls;
  int finalized;
};

static wasm_trap_t* AddOne(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  ++((struct Env*)env)->calls;
  results->data[0].of.i32 = args->data[0].of.i32 + 1;
  return NULL;
}

static wasm_trap_t* WrongType(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  results->data[0] = (wasm_val_t)WASM_I64_VAL(1);
  return NULL;
}

static wasm_trap_t* Fail(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  struct Env* const self = env;
  wasm_message_t message;
  wasm_name_new_from_string_nt(&message, "the host says no");
  wasm_trap_t* const trap = wasm_trap_new(self->store, &message);
  wasm_byte_vec_delete(&message);
  self->returned = wasm_trap_copy(trap);
  return trap;
}

// Calls back into wasm, and swallows or passes on the trap.
static wasm_trap_t* Nest(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  struct Env* const self = env;
  wasm_val_t inner_args[] = {args->data[0]};
  wasm_trap_t* const trap = Call(self->inner, inner_args, 1, results->data, 1);
  if (trap != NULL && args->data[0].of.i32 < 0) {
    wasm_trap_delete(trap);
    results->data[0] = (wasm_val_t)WASM_I32_VAL(-1);
    return NULL;
  }
  return trap;
}

static void FinalizeEnv(void* env) {
  struct Env* const self = env;
  ++self->finalized;
  // A deleted store: nothing but deleting does anything.
  CHECK(wasm_memory_data(self->memory) == NULL && wasm_memory_data_size(self->memory) == 0);
  wasm_memory_delete(self->memory);
}

static const char kFuncsWat[] =
    "(module"
    " (import \"\" \"add_one\" (func $add_one (param i32) (result i32)))"
    " (import \"\" \"swap\" (func $swap (param i64 f64) (result f64 i64)))"
    " (import \"\" \"fail\" (func $fail))"
    " (import \"\" \"wrong\" (func $wrong (result i32)))"
    " (import \"\" \"nest\" (func $nest (param i32) (result i32)))"
    " (func $div (export \"div\") (param i32 i32) (result i32)"
    "  (i32.div_s (local.get 0) (local.get 1)))"
    " (func (export \"add_two\") (param i32) (result i32)"
    "  (call $add_one (call $add_one (local.get 0))))"
    " (func (export \"swap\") (param i64 f64) (result f64 i64)"
    "  (call $swap (local.get 0) (local.get 1)))"
    " (func (export \"fail\") (call $fail))"
    " (func (export \"wrong\") (result i32) (call $wrong))"
    " (func (export \"inverse\") (param i32) (result i32) (call $div (i32.const 100) (local.get "
    "0)))"
    " (func (export \"nest\") (param i32) (result i32) (call $nest (local.get 0)))"
    " (func $deep (export \"deep\") (result i32) (i32.add (call $deep) (i32.const 1)))"
    " (memory 1)"
    " (func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"
    " (func (export \"f32\") (param f32) (result f32) (f32.neg (local.get 0)))"
    " (func (export \"many\") (result i32 i32 i32 i32 i32) i32.const 1 i32.const 2 i32.const 3 "
    "i32.const 4"
    "  i32.const 5))";

static wasm_functype_t* TypeI32I32(void) {
  return wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
}

static void TestFuncs(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  const wasm_limits_t limits = {1, 1};
  wasm_memorytype_t* const memory_type = wasm_memorytype_new(&limits);
  struct Env env = {.store = store, .memory = wasm_memory_new(store, memory_type)};
  wasm_memorytype_delete(memory_type);

  wasm_functype_t* const types[] = {
      TypeI32I32(),
      wasm_functype_new_2_2(wasm_valtype_new_i64(), wasm_valtype_new_f64(), wasm_valtype_new_f64(),
                            wasm_valtype_new_i64()),
      wasm_functype_new_0_0(), wasm_functype_new_0_1(wasm_valtype_new_i32()), TypeI32I32()};
  wasm_func_t* const hosts[] = {wasm_func_new_with_env(store, types[0], AddOne, &env, FinalizeEnv),
                                wasm_func_new(store, types[1], Swap),
                                wasm_func_new_with_env(store, types[2], Fail, &env, NULL),
                                wasm_func_new_with_env(store, types[3], WrongType, NULL, NULL),
                                wasm_func_new_with_env(store, types[4], Nest, &env, NULL)};
  wasm_extern_t* import_data[5];
  for (size_t i = 0; i < 5; ++i) {
    wasm_functype_delete(types[i]);
    import_data[i] = wasm_func_as_extern(hosts[i]);
  }
  const wasm_extern_vec_t imports = WASM_ARRAY_VEC(import_data);
  wasm_extern_vec_t exports;
  MustInstantiate(store, kFuncsWat, &imports, &exports);

  // A host function called without any wasm.
  wasm_val_t results[5] = {WASM_INIT_VAL};
  wasm_val_t seven[] = {WASM_I32_VAL(7)};
  CHECK(Call(hosts[0], seven, 1, results, 1) == NULL && results[0].of.i32 == 8 && env.calls == 1);
  for (size_t i = 0; i < 5; ++i) {
    wasm_func_delete(hosts[i]);
  }

  const wasm_func_t* const div = FuncAt(&exports, 0);
  CHECK(wasm_func_param_arity(div) == 2 && wasm_func_result_arity(div) == 1);
  wasm_functype_t* const type = wasm_func_type(div);
  CHECK(wasm_functype_params(type)->size == 2);
  wasm_functype_delete(type);
  wasm_val_t pair[] = {WASM_I32_VAL(-12), WASM_I32_VAL(4)};
  CHECK(Call(div, pair, 2, results, 1) == NULL);
  CHECK(results[0].kind == WASM_I32 && results[0].of.i32 == -3);
  CHECK(Call(div, pair, 2, NULL, 0) == NULL);  // No room: dropped.
  pair[1].of.i32 = 0;
  MustTrap(Call(div, pair, 2, results, 1), "integer divide by zero");
  // What does not fit the type.
  MustTrap(Call(div, pair, 1, results, 1), "1 arguments");
  pair[0].kind = WASM_I64;
  MustTrap(Call(div, pair, 2, results, 1), "argument 0");
  MustTrap(wasm_func_call(div, NULL, NULL), "0 arguments");

  CHECK(Call(FuncAt(&exports, 1), seven, 1, results, 1) == NULL && results[0].of.i32 == 9);
  wasm_val_t mixed[] = {WASM_I64_VAL(INT64_MIN), WASM_F64_VAL(0.5)};
  CHECK(Call(FuncAt(&exports, 2), mixed, 2, results, 2) == NULL);
  CHECK(results[0].kind == WASM_F64 && results[0].of.f64 == 0.5);
  CHECK(results[1].kind == WASM_I64 && results[1].of.i64 == INT64_MIN);

  // The caller gets the very trap that the host function returned, with wasm's frames.
  wasm_trap_t* trap = Call(FuncAt(&exports, 3), NULL, 0, NULL, 0);
  CheckMessage(trap, "the host says no");
  CHECK(wasm_trap_same(trap, env.returned));
  wasm_frame_t* const origin = wasm_trap_origin(trap);
  CHECK(origin != NULL && wasm_frame_func_index(origin) == 8);
  wasm_frame_delete(origin);
  wasm_trap_delete(trap);
  wasm_trap_delete(env.returned);
  MustTrap(Call(FuncAt(&exports, 4), NULL, 0, results, 1), "another type");

  // wasm → host → wasm: an inner trap that the host swallows, and one that it passes on.
  env.inner = FuncAt(&exports, 5);
  wasm_val_t number[] = {WASM_I32_VAL(20)};
  CHECK(Call(FuncAt(&exports, 6), number, 1, results, 1) == NULL && results[0].of.i32 == 5);
  number[0].of.i32 = 0;
  trap = Call(FuncAt(&exports, 6), number, 1, results, 1);
  CheckMessage(trap, "integer divide by zero");
  wasm_frame_vec_t trace;
  wasm_trap_trace(trap, &trace);
  CHECK(trace.size == 2 && wasm_frame_func_index(trace.data[1]) == 10);
  wasm_frame_vec_delete(&trace);
  wasm_trap_delete(trap);
  env.inner = FuncAt(&exports, 3);
  number[0].of.i32 = 1;
  MustTrap(Call(FuncAt(&exports, 6), number, 1, results, 1), "1 arguments for");
  env.inner = FuncAt(&exports, 8);
  number[0].of.i32 = -4;
  CHECK(Call(FuncAt(&exports, 6), number, 1, results, 1) == NULL && results[0].of.i32 == -1);

  for (int i = 0; i < 3; ++i) {
    MustTrap(Call(FuncAt(&exports, 7), NULL, 0, results, 1), "stack");
    number[0].of.i32 = 65536;
    MustTrap(Call(FuncAt(&exports, 8), number, 1, results, 1), "out of bounds memory access");
  }
  wasm_val_t single[] = {WASM_F32_VAL(1.5f)};
  CHECK(Call(FuncAt(&exports, 9), single, 1, results, 1) == NULL && results[0].of.f32 == -1.5f);
  CHECK(Call(FuncAt(&exports, 10), NULL, 0, results, 5) == NULL && results[4].of.i32 == 5);

  // More parameters than the engine takes.
  wasm_valtype_vec_t params;
  wasm_valtype_vec_t no_results;
  wasm_valtype_vec_new_uninitialized(&params, 1001);
  for (size_t i = 0; i < params.size; ++i) {
    params.data[i] = wasm_valtype_new_i32();
  }
  wasm_valtype_vec_new_empty(&no_results);
  wasm_functype_t* const wide = wasm_functype_new(&params, &no_results);
  CHECK(wasm_func_new(store, wide, Swap) == NULL);
  wasm_functype_delete(wide);

  // What is left of a deleted store can be deleted, and does nothing else.
  wasm_func_t* const left = wasm_func_copy(FuncAt(&exports, 0));
  wasm_extern_vec_delete(&exports);
  CHECK(env.finalized == 0);
  wasm_store_delete(store);
  CHECK(env.finalized == 1);
  pair[0].kind = WASM_I32;
  MustTrap(Call(left, pair, 2, results, 1), "deleted");
  CHECK(wasm_func_type(left) == NULL && wasm_func_param_arity(left) == 0);
  wasm_func_delete(left);
}

// ---- traps ----

static void TestTraps(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  // With a zero byte and without; empty.
  const wasm_message_t texts[] = {{4, (char*)"abc"}, {3, (char*)"abc"}, {0, NULL}};
  for (size_t i = 0; i < 3; ++i) {
    wasm_trap_t* const trap = wasm_trap_new(store, &texts[i]);
    wasm_message_t message;
    wasm_trap_message(trap, &message);
    CHECK(strcmp(message.data, i == 2 ? "" : "abc") == 0 && message.size == (i == 2 ? 1u : 4u));
    wasm_byte_vec_delete(&message);
    CHECK(wasm_trap_origin(trap) == NULL);
    wasm_frame_vec_t trace;
    wasm_trap_trace(trap, &trace);
    CHECK(trace.size == 0);
    wasm_frame_vec_delete(&trace);
    CHECK(wasm_ref_as_trap(wasm_trap_as_ref(trap)) == trap);
    CHECK(wasm_ref_as_func(wasm_trap_as_ref(trap)) == NULL);
    wasm_trap_delete(trap);
  }

  const char text[] =
      "(module (func $inner (unreachable)) (func (export \"outer\") (nop) (nop) (call $inner)))";
  wasm_module_t* const module = LoadWat(store, text);
  wasm_instance_t* const instance = wasm_instance_new(store, module, &kNoImports, NULL);
  wasm_extern_vec_t exports;
  wasm_instance_exports(instance, &exports);
  wasm_trap_t* trap = Call(FuncAt(&exports, 0), NULL, 0, NULL, 0);
  CheckMessage(trap, "unreachable");
  wasm_frame_vec_t trace;
  wasm_trap_trace(trap, &trace);
  CHECK(trace.size == 2);
  CHECK(wasm_frame_func_index(trace.data[0]) == 0 && wasm_frame_func_index(trace.data[1]) == 1);
  // A byte of local declarations; then two instructions of a byte each in the caller.
  CHECK(wasm_frame_func_offset(trace.data[0]) == 1 && wasm_frame_func_offset(trace.data[1]) == 3);
  CHECK(wasm_frame_module_offset(trace.data[0]) < wasm_frame_module_offset(trace.data[1]));
  CHECK(wasm_frame_instance(trace.data[0]) == instance);
  wasm_frame_vec_t copy;
  wasm_frame_vec_copy(&copy, &trace);
  CHECK(wasm_frame_func_offset(copy.data[1]) == 3);
  wasm_frame_vec_delete(&trace);
  wasm_frame_vec_delete(&copy);
  wasm_trap_delete(trap);

  // Two instances of it: which one a frame belongs to is not told rather than guessed.
  wasm_instance_t* const second = wasm_instance_new(store, module, &kNoImports, NULL);
  trap = Call(FuncAt(&exports, 0), NULL, 0, NULL, 0);
  wasm_frame_t* const frame = wasm_trap_origin(trap);
  CHECK(wasm_frame_instance(frame) == NULL && wasm_frame_func_offset(frame) == 1);
  wasm_frame_t* const frame_copy = wasm_frame_copy(frame);
  wasm_frame_delete(frame);
  wasm_instance_delete(second);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_extern_vec_delete(&exports);
  wasm_store_delete(store);
  // After the store.
  CHECK(wasm_frame_func_index(frame_copy) == 0);
  wasm_frame_delete(frame_copy);
  MustTrap(trap, "unreachable");
}

// ---- references ----

static wasm_trap_t* Identity(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  wasm_val_copy(&results->data[0], &args->data[0]);
  return NULL;
}

static void TestRefs(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  wasm_functype_t* const type =
      wasm_functype_new_1_1(wasm_valtype_new_externref(), wasm_valtype_new_externref());
  wasm_func_t* const host = wasm_func_new(store, type, Identity);
  wasm_functype_delete(type);
  wasm_extern_t* import_data[] = {wasm_func_as_extern(host)};
  const wasm_extern_vec_t imports = WASM_ARRAY_VEC(import_data);
  wasm_extern_vec_t exports;
  MustInstantiate(
      store,
      "(module (import \"\" \"id\" (func $id (param externref) (result externref)))"
      " (global $g (mut externref) (ref.null extern))"
      " (func (export \"id\") (param externref) (result externref) (call $id (local.get 0)))"
      " (func (export \"set\") (param externref) (global.set $g (local.get 0)))"
      " (func (export \"get\") (result externref) (global.get $g))"
      " (func $self (export \"self\") (result funcref) (ref.func $self))"
      " (func (export \"same\") (param funcref) (result funcref) (local.get 0)))",
      &imports, &exports);

  int one = 1;
  g_finalized = 0;
  wasm_foreign_t* const foreign = wasm_foreign_new(store);
  wasm_foreign_set_host_info_with_finalizer(foreign, &one, CountFinalized);
  wasm_ref_t* const ref = wasm_foreign_as_ref(foreign);
  wasm_val_t args[] = {WASM_REF_VAL(ref)};
  wasm_val_t results[] = {WASM_INIT_VAL};
  CHECK(Call(FuncAt(&exports, 0), args, 1, results, 1) == NULL);
  CHECK(results[0].kind == WASM_EXTERNREF && wasm_ref_same(results[0].of.ref, ref));
  CHECK(wasm_ref_get_host_info(results[0].of.ref) == &one);
  CHECK(wasm_ref_as_foreign(results[0].of.ref) == foreign);
  wasm_val_delete(&results[0]);
  CHECK(results[0].of.ref == NULL);

  // wasm keeps it beyond the embedder's last reference.
  CHECK(Call(FuncAt(&exports, 1), args, 1, NULL, 0) == NULL);
  wasm_foreign_delete(foreign);
  CHECK(g_finalized == 0);
  CHECK(Call(FuncAt(&exports, 2), NULL, 0, results, 1) == NULL);
  CHECK(wasm_ref_get_host_info(results[0].of.ref) == &one);
  wasm_val_t copy;
  wasm_val_copy(&copy, &results[0]);
  wasm_val_delete(&results[0]);
  wasm_val_delete(&copy);
  // Null, and any other reference as an externref.
  args[0].of.ref = NULL;
  CHECK(Call(FuncAt(&exports, 0), args, 1, results, 1) == NULL && results[0].of.ref == NULL);
  args[0].of.ref = wasm_func_as_ref(host);
  CHECK(Call(FuncAt(&exports, 0), args, 1, results, 1) == NULL);
  CHECK(wasm_func_same(wasm_ref_as_func(results[0].of.ref), host));
  wasm_val_delete(&results[0]);

  // funcref: an export, a host function, null; an object that is no function, one of another store.
  CHECK(Call(FuncAt(&exports, 3), NULL, 0, results, 1) == NULL && results[0].kind == WASM_FUNCREF);
  CHECK(wasm_ref_same(results[0].of.ref, wasm_func_as_ref(FuncAt(&exports, 3))));
  wasm_val_delete(&results[0]);
  args[0].kind = WASM_FUNCREF;
  CHECK(Call(FuncAt(&exports, 4), args, 1, results, 1) == NULL);
  CHECK(wasm_ref_same(results[0].of.ref, wasm_func_as_ref(host)));
  wasm_val_delete(&results[0]);
  args[0].of.ref = NULL;
  CHECK(Call(FuncAt(&exports, 4), args, 1, results, 1) == NULL && results[0].of.ref == NULL);
  wasm_foreign_t* const unused = wasm_foreign_new(store);
  args[0].of.ref = wasm_foreign_as_ref(unused);
  MustTrap(Call(FuncAt(&exports, 4), args, 1, results, 1), "argument 0");
  wasm_store_t* const other = wasm_store_new(g_engine);
  wasm_functype_t* const nothing = wasm_functype_new_0_0();
  wasm_func_t* const stranger = wasm_func_new(other, nothing, Identity);
  wasm_functype_delete(nothing);
  args[0].of.ref = wasm_func_as_ref(stranger);
  MustTrap(Call(FuncAt(&exports, 4), args, 1, results, 1), "argument 0");
  wasm_func_delete(stranger);
  wasm_store_delete(other);

  // Not passed to wasm: it goes with its last reference. Info that is replaced is finalized.
  wasm_foreign_set_host_info_with_finalizer(unused, &one, CountFinalized);
  wasm_foreign_set_host_info(unused, NULL);
  CHECK(g_finalized == 1);
  int ten = 10;
  wasm_foreign_set_host_info_with_finalizer(unused, &ten, CountFinalized);
  wasm_foreign_delete(wasm_foreign_copy(unused));
  CHECK(g_finalized == 1);
  wasm_foreign_delete(unused);
  CHECK(g_finalized == 11);
  g_finalized = 0;

  // Host info belongs to the object: to be found through another reference, until the store goes.
  wasm_func_set_host_info_with_finalizer(FuncAt(&exports, 3), &ten, CountFinalized);
  CHECK(Call(FuncAt(&exports, 3), NULL, 0, results, 1) == NULL);
  wasm_extern_vec_delete(&exports);
  CHECK(wasm_ref_get_host_info(results[0].of.ref) == &ten);
  wasm_val_delete(&results[0]);
  wasm_func_delete(host);
  CHECK(g_finalized == 0);
  wasm_store_delete(store);
  CHECK(g_finalized == 11);
  wasm_ref_delete(NULL);
  wasm_func_delete(NULL);
  wasm_store_delete(NULL);
}

// ---- globals, tables, memories ----

static void TestGlobals(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  wasm_globaltype_t* const type = wasm_globaltype_new(wasm_valtype_new_i64(), WASM_VAR);
  const wasm_val_t big = WASM_I64_VAL(INT64_MAX);
  const wasm_val_t wrong = WASM_F32_VAL(1.0f);
  CHECK(wasm_global_new(store, type, &wrong) == NULL);
  wasm_global_t* const global = wasm_global_new(store, type, &big);
  wasm_globaltype_delete(type);
  wasm_extern_t* import_data[] = {wasm_global_as_extern(global)};
  const wasm_extern_vec_t imports = WASM_ARRAY_VEC(import_data);
  wasm_extern_vec_t exports;
  MustInstantiate(store,
                  "(module (import \"\" \"g\" (global $g (mut i64)))"
                  " (global (export \"const\") f32 (f32.const 2.5)) (export \"var\" (global $g))"
                  " (func (export \"get\") (result i64) (global.get $g)))",
                  &imports, &exports);
  wasm_val_t value;
  const wasm_val_t minus = WASM_I64_VAL(-5);
  wasm_global_set(global, &minus);
  CHECK(Call(FuncAt(&exports, 2), NULL, 0, &value, 1) == NULL && value.of.i64 == -5);
  wasm_global_set(global, &wrong);  // Does nothing.
  wasm_global_get(global, &value);
  CHECK(value.kind == WASM_I64 && value.of.i64 == -5);
  CHECK(wasm_global_same(wasm_extern_as_global(exports.data[1]), global));
  wasm_global_t* const constant = wasm_extern_as_global(exports.data[0]);
  wasm_global_set(constant, &wrong);  // Immutable.
  wasm_global_get(constant, &value);
  CHECK(value.of.f32 == 2.5f);
  wasm_globaltype_t* const constant_type = wasm_global_type(constant);
  CHECK(wasm_globaltype_mutability(constant_type) == WASM_CONST);
  wasm_globaltype_delete(constant_type);
  CHECK(wasm_extern_as_memory(exports.data[0]) == NULL);
  wasm_extern_vec_delete(&exports);
  wasm_store_delete(store);
  wasm_global_get(global, &value);
  wasm_global_set(global, &big);
  CHECK(wasm_global_type(global) == NULL);
  wasm_global_delete(global);
}

static void TestTables(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  wasm_extern_vec_t exports;
  MustInstantiate(store,
                  "(module (table (export \"t\") 2 4 funcref) (elem (i32.const 0) $f)"
                  " (func $f (export \"f\") (result i32) (i32.const 42))"
                  " (func (export \"call\") (param i32) (result i32)"
                  "  (call_indirect (result i32) (local.get 0))))",
                  &kNoImports, &exports);
  wasm_table_t* const table = wasm_extern_as_table(exports.data[0]);
  wasm_func_t* const func = FuncAt(&exports, 1);
  wasm_val_t args[] = {WASM_I32_VAL(1)};
  wasm_val_t result;
  MustTrap(Call(FuncAt(&exports, 2), args, 1, &result, 1), "uninitialized element");
  CHECK(wasm_table_set(table, 1, wasm_func_as_ref(func)));
  CHECK(Call(FuncAt(&exports, 2), args, 1, &result, 1) == NULL && result.of.i32 == 42);
  wasm_ref_t* const element = wasm_table_get(table, 0);
  CHECK(wasm_ref_same(element, wasm_func_as_ref(func)));
  wasm_ref_delete(element);
  CHECK(wasm_table_size(table) == 2 && wasm_table_get(table, 2) == NULL);
  CHECK(!wasm_table_set(table, 2, NULL) && !wasm_table_grow(table, 3, NULL));
  CHECK(wasm_table_grow(table, 2, wasm_func_as_ref(func)) && wasm_table_size(table) == 4);
  args[0].of.i32 = 3;
  CHECK(Call(FuncAt(&exports, 2), args, 1, &result, 1) == NULL && result.of.i32 == 42);
  wasm_tabletype_t* const type = wasm_table_type(table);
  CHECK(wasm_tabletype_limits(type)->min == 4 && wasm_tabletype_limits(type)->max == 4);

  // A table of the embedder's own; an element of another kind; bad limits.
  wasm_foreign_t* const foreign = wasm_foreign_new(store);
  CHECK(!wasm_table_set(table, 0, wasm_foreign_as_ref(foreign)));
  CHECK(wasm_table_new(store, type, wasm_foreign_as_ref(foreign)) == NULL);
  wasm_table_t* const own_table = wasm_table_new(store, type, wasm_func_as_ref(func));
  CHECK(wasm_table_size(own_table) == 4);
  wasm_table_delete(own_table);
  wasm_foreign_delete(foreign);
  wasm_tabletype_delete(type);
  const wasm_limits_t reversed = {2, 1};
  wasm_tabletype_t* const bad = wasm_tabletype_new(wasm_valtype_new_externref(), &reversed);
  CHECK(wasm_table_new(store, bad, NULL) == NULL);
  wasm_tabletype_delete(bad);
  wasm_table_t* const left = wasm_table_copy(table);
  wasm_extern_vec_delete(&exports);
  wasm_store_delete(store);
  CHECK(wasm_table_size(left) == 0 && wasm_table_get(left, 0) == NULL &&
        wasm_table_type(left) == NULL);
  CHECK(!wasm_table_set(left, 0, NULL) && !wasm_table_grow(left, 1, NULL));
  wasm_table_delete(left);
}

static void TestMemories(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  const wasm_limits_t limits = {1, 3};
  wasm_memorytype_t* const type = wasm_memorytype_new(&limits);
  wasm_memory_t* const memory = wasm_memory_new(store, type);
  wasm_memorytype_delete(type);
  wasm_extern_t* import_data[] = {wasm_memory_as_extern(memory)};
  const wasm_extern_vec_t imports = WASM_ARRAY_VEC(import_data);
  wasm_extern_vec_t exports;
  MustInstantiate(store,
                  "(module (import \"\" \"m\" (memory 1 3)) (data (i32.const 8) \"hello\")"
                  " (func (export \"load\") (param i32) (result i32) (i32.load8_u (local.get 0))))",
                  &imports, &exports);
  byte_t* const data = wasm_memory_data(memory);
  CHECK(wasm_memory_data_size(memory) == MEMORY_PAGE_SIZE && memcmp(data + 8, "hello", 5) == 0);
  data[MEMORY_PAGE_SIZE - 1] = 99;
  wasm_val_t args[] = {WASM_I32_VAL(65535)};
  wasm_val_t result;
  CHECK(Call(FuncAt(&exports, 0), args, 1, &result, 1) == NULL && result.of.i32 == 99);
  args[0].of.i32 = 65536;
  MustTrap(Call(FuncAt(&exports, 0), args, 1, &result, 1), "out of bounds");
  CHECK(wasm_memory_grow(memory, 2) && wasm_memory_size(memory) == 3 &&
        !wasm_memory_grow(memory, 1));
  CHECK(wasm_memory_data(memory) == data);
  CHECK(Call(FuncAt(&exports, 0), args, 1, &result, 1) == NULL && result.of.i32 == 0);
  wasm_externtype_t* const extern_type = wasm_extern_type(import_data[0]);
  CHECK(wasm_memorytype_limits(wasm_externtype_as_memorytype(extern_type))->min == 3);
  wasm_externtype_delete(extern_type);
  CHECK(wasm_extern_kind(import_data[0]) == WASM_EXTERN_MEMORY);
  const wasm_limits_t bad[] = {{2, 1}, {65537, wasm_limits_max_default}, {0, 65537}};
  for (size_t i = 0; i < 3; ++i) {
    wasm_memorytype_t* const bad_type = wasm_memorytype_new(&bad[i]);
    CHECK(wasm_memory_new(store, bad_type) == NULL);
    wasm_memorytype_delete(bad_type);
  }
  wasm_extern_vec_delete(&exports);
  wasm_store_delete(store);
  CHECK(wasm_memory_data(memory) == NULL && wasm_memory_size(memory) == 0 &&
        !wasm_memory_grow(memory, 0));
  wasm_memory_delete(memory);
}

// ---- instances ----

static wasm_trap_t* InstantiateTrap(wasm_store_t* store, const char* text,
                                    const wasm_extern_vec_t* imports) {
  wasm_module_t* const module = LoadWat(store, text);
  CHECK(module != NULL);
  wasm_trap_t* trap = NULL;
  CHECK(wasm_instance_new(store, module, imports, &trap) == NULL);
  CHECK(wasm_instance_new(store, module, imports, NULL) == NULL);  // And nobody asks why.
  wasm_module_delete(module);
  return trap;
}

static void TestInstances(void) {
  wasm_store_t* const store = wasm_store_new(g_engine);
  wasm_store_t* const other = wasm_store_new(g_engine);
  wasm_functype_t* const type = TypeI32I32();
  wasm_func_t* const func = wasm_func_new_with_env(store, type, AddOne, NULL, NULL);
  wasm_func_t* const second = wasm_func_new_with_env(store, type, AddOne, NULL, NULL);
  wasm_func_t* const stranger = wasm_func_new_with_env(other, type, AddOne, NULL, NULL);
  wasm_functype_delete(type);

  const char start[] = "(module (func $f (unreachable)) (start $f))";
  MustTrap(InstantiateTrap(store, start, &kNoImports), "unreachable");
  MustTrap(InstantiateTrap(store, "(module (memory 0) (data (i32.const 0) \"x\"))", &kNoImports),
           "out of bounds memory access");
  const char one[] = "(module (import \"a\" \"b\" (func (param i32) (result i32))))";
  MustTrap(InstantiateTrap(store, one, &kNoImports), "wants 1 imports and gets 0");
  MustTrap(InstantiateTrap(store, one, NULL), "wants 1 imports and gets 0");
  wasm_extern_t* data[] = {NULL, NULL};
  const wasm_extern_vec_t imports = WASM_ARRAY_VEC(data);
  MustTrap(InstantiateTrap(store, one, &imports), "null");
  data[0] = wasm_func_as_extern(stranger);
  MustTrap(InstantiateTrap(store, one, &imports), "another store");
  data[0] = wasm_func_as_extern(func);
  MustTrap(InstantiateTrap(store, "(module (import \"a\" \"b\" (func)))", &imports),
           "incompatible");
  MustTrap(InstantiateTrap(store, "(module (import \"a\" \"b\" (memory 1)))", &imports),
           "incompatible");

  // Imports go by their place: one name may stand for two functions, and even for two kinds.
  const char twice[] =
      "(module (import \"a\" \"b\" (func $first (param i32) (result i32)))"
      " (import \"a\" \"b\" (func $second (param i32) (result i32)))"
      " (export \"first\" (func $first)) (export \"second\" (func $second)))";
  wasm_extern_vec_t exports;
  data[1] = wasm_func_as_extern(second);
  MustInstantiate(store, twice, &imports, &exports);
  CHECK(exports.size == 2 && exports.data[0] == data[0] && exports.data[1] == data[1]);
  wasm_extern_vec_delete(&exports);
  const wasm_limits_t limits = {1, wasm_limits_max_default};
  wasm_memorytype_t* const memory_type = wasm_memorytype_new(&limits);
  wasm_memory_t* const memory = wasm_memory_new(store, memory_type);
  wasm_memorytype_delete(memory_type);
  const char kinds[] =
      "(module (import \"a\" \"b\" (func (param i32) (result i32))) (import \"a\" \"b\" (memory "
      "1)))";
  data[1] = wasm_memory_as_extern(memory);
  MustInstantiate(store, kinds, &imports, &exports);
  wasm_extern_vec_delete(&exports);
  data[1] = data[0];
  data[0] = wasm_memory_as_extern(memory);
  MustTrap(InstantiateTrap(store, kinds, &imports), "incompatible");
  data[0] = data[1];
  wasm_memory_delete(memory);

  // An imported function that is exported again is the same function.
  MustInstantiate(
      store,
      "(module (import \"a\" \"b\" (func $f (param i32) (result i32))) (export \"f\" (func $f)))",
      &imports, &exports);
  CHECK(exports.size == 1 && wasm_extern_same(exports.data[0], data[0]));
  wasm_extern_vec_t copy;
  wasm_extern_vec_copy(&copy, &exports);
  CHECK(copy.data[0] == exports.data[0]);
  wasm_extern_vec_delete(&exports);
  wasm_extern_vec_delete(&copy);

  // Instances keep their host info when no reference is left.
  g_finalized = 0;
  int one_count = 1;
  wasm_module_t* const module = LoadWat(store, "(module (func (export \"f\")))");
  for (int i = 0; i < 100; ++i) {
    wasm_instance_t* const instance = wasm_instance_new(store, module, &kNoImports, NULL);
    wasm_instance_set_host_info_with_finalizer(instance, &one_count, CountFinalized);
    CHECK(wasm_ref_as_instance(wasm_instance_as_ref(instance)) == instance);
    wasm_instance_delete(instance);
  }
  wasm_module_delete(module);
  wasm_func_delete(func);
  wasm_func_delete(second);
  wasm_func_delete(stranger);
  wasm_store_delete(other);
  wasm_store_delete(store);
  CHECK(g_finalized == 100);
}

int main(void) {
  TestVectors();
  TestTypes();
  g_engine = wasm_engine_new();
  CHECK(g_engine != NULL);
  TestModules();
  TestFuncs();
  TestTraps();
  TestRefs();
  TestGlobals();
  TestTables();
  TestMemories();
  TestInstances();
  // A store may outlive its engine's handle.
  wasm_store_t* const store = wasm_store_new(g_engine);
  wasm_engine_delete(g_engine);
  wasm_module_t* const module = LoadWat(store, kTypesWat);
  CheckTypesModule(module);
  wasm_module_delete(module);
  wasm_store_delete(store);
  puts("capi_test: passed");
  return 0;
}
