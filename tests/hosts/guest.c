#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <wasm.h>

struct Guest {
  wasm_engine_t* engine;
  wasm_store_t* store;
  wasm_extern_vec_t exports;
  int32_t (*on_call)(int64_t env, int32_t argument);
  int64_t env;
};

static wasm_trap_t* OnCall(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  const Guest* const guest = env;
  results->data[0].of.i32 = guest->on_call(guest->env, args->data[0].of.i32);
  return NULL;
}

static wasm_module_t* Load(wasm_store_t* store, const char* file) {
  char bytes[4096];
  FILE* const stream = fopen(file, "rb");
  if (stream == NULL) {
    return NULL;
  }
  const wasm_byte_vec_t binary = {fread(bytes, 1, sizeof(bytes), stream), bytes};
  fclose(stream);
  return wasm_module_new(store, &binary);
}

Guest* GuestNew(const char* file, int32_t (*on_call)(int64_t env, int32_t argument), int64_t env,
                const char** why) {
  Guest* const guest = calloc(1, sizeof(*guest));
  guest->on_call = on_call;
  guest->env = env;
  guest->engine = wasm_engine_new();
  guest->store = wasm_store_new(guest->engine);
  wasm_module_t* const module = Load(guest->store, file);
  wasm_functype_t* const type =
      wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
  wasm_func_t* const func = wasm_func_new_with_env(guest->store, type, OnCall, guest, NULL);
  wasm_functype_delete(type);
  wasm_extern_t* import_data[] = {wasm_func_as_extern(func)};
  const wasm_extern_vec_t imports = WASM_ARRAY_VEC(import_data);
  wasm_instance_t* const instance =
      module == NULL ? NULL : wasm_instance_new(guest->store, module, &imports, NULL);
  wasm_func_delete(func);
  wasm_module_delete(module);
  if (instance == NULL) {
    *why = module == NULL ? "no module" : "no instance";
    GuestDelete(guest);
    return NULL;
  }
  wasm_instance_exports(instance, &guest->exports);
  wasm_instance_delete(instance);
  return guest;
}

void GuestDelete(Guest* guest) {
  wasm_extern_vec_delete(&guest->exports);
  wasm_store_delete(guest->store);
  wasm_engine_delete(guest->engine);
  free(guest);
}

int GuestCall(Guest* guest, int index, int32_t first, int32_t second, int32_t* result,
              char* message) {
  const wasm_func_t* const func = wasm_extern_as_func(guest->exports.data[index]);
  wasm_val_t arg_values[] = {WASM_I32_VAL(first), WASM_I32_VAL(second)};
  wasm_val_t result_values[] = {WASM_INIT_VAL};
  const wasm_val_vec_t args = {wasm_func_param_arity(func), arg_values};
  wasm_val_vec_t results = WASM_ARRAY_VEC(result_values);
  wasm_trap_t* const trap = wasm_func_call(func, &args, &results);
  if (trap == NULL) {
    *result = result_values[0].of.i32;
    return 0;
  }
  wasm_message_t text;
  wasm_trap_message(trap, &text);
  snprintf(message, 128, "%s", text.data);
  wasm_byte_vec_delete(&text);
  wasm_trap_delete(trap);
  return 1;
}
