// What an embedder's first program looks like: adds two numbers in wasm and says what a trap says.
#include <stdio.h>
#include <wasm.h>

// (module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
//         (func (export "stop") unreachable))
static const char kModule[] =
    "\0asm\1\0\0\0\1\x0a\2\x60\2\x7f\x7f\1\x7f\x60\0\0\3\3\2\0\1\7\x0e\2\3add\0\0\4stop\0\1"
    "\x0a\x0d\2\7\0\x20\0\x20\1\x6a\x0b\3\0\0\x0b";

int main(void) {
  wasm_engine_t* const engine = wasm_engine_new();
  wasm_store_t* const store = wasm_store_new(engine);
  wasm_byte_vec_t bytes;
  wasm_byte_vec_new(&bytes, sizeof(kModule) - 1, kModule);
  wasm_module_t* const module = wasm_module_new(store, &bytes);
  wasm_byte_vec_delete(&bytes);
  if (module == NULL) {
    fputs("no module\n", stderr);
    return 1;
  }
  const wasm_extern_vec_t imports = WASM_EMPTY_VEC;
  wasm_instance_t* const instance = wasm_instance_new(store, module, &imports, NULL);
  wasm_extern_vec_t exports;
  wasm_instance_exports(instance, &exports);

  wasm_val_t arg_values[] = {WASM_I32_VAL(40), WASM_I32_VAL(2)};
  wasm_val_t result_values[] = {WASM_INIT_VAL};
  const wasm_val_vec_t args = WASM_ARRAY_VEC(arg_values);
  wasm_val_vec_t results = WASM_ARRAY_VEC(result_values);
  wasm_val_vec_t none = WASM_EMPTY_VEC;
  wasm_trap_t* trap = wasm_func_call(wasm_extern_as_func(exports.data[0]), &args, &results);
  printf("40 + 2 = %d\n", trap == NULL ? (int)result_values[0].of.i32 : -1);
  trap = wasm_func_call(wasm_extern_as_func(exports.data[1]), &none, &none);
  wasm_message_t message;
  wasm_trap_message(trap, &message);
  printf("trap: %s\n", message.data);
  wasm_byte_vec_delete(&message);
  wasm_trap_delete(trap);

  wasm_extern_vec_delete(&exports);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return 0;
}
