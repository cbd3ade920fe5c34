/* What a call through wasm.h costs, in whichever library implements it:
 *   capi_probe LIBRARY PREFIX SAMPLES
 * One flat JSON object on stdout: "<PREFIX>capi_add_ns" is the minimum of the samples,
 * "<PREFIX>capi_add_median_ns" their median. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/capi/wasm.h"

enum { kCalls = 200000, kMaxSamples = 1000 };

/* (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)) */
static const unsigned char kModule[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7f,
    0x7f, 0x01, 0x7f, 0x03, 0x02, 0x01, 0x00, 0x07, 0x07, 0x01, 0x03, 'a',  'd',  'd',
    0x00, 0x00, 0x0a, 0x09, 0x01, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x0b};

static void Die(const char* what) {
  fprintf(stderr, "capi_probe: %s\n", what);
  exit(1);
}

static void* g_library;

static void* Find(const char* name) {
  void* const symbol = dlsym(g_library, name);
  if (symbol == NULL) {
    Die(name);
  }
  return symbol;
}

/* Declares a pointer called `name` to the library's function of that name. */
#define LOAD(name) __typeof__(&wasm_##name) name = (__typeof__(&wasm_##name))Find("wasm_" #name)

static double NowNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int Compare(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

int main(int argc, char** argv) {
  static double samples[kMaxSamples];
  const int count = argc == 4 ? atoi(argv[3]) : 0;
  if (count < 1 || count > kMaxSamples) {
    Die("usage: capi_probe LIBRARY PREFIX SAMPLES");
  }
  g_library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (g_library == NULL) {
    Die(dlerror());
  }
  LOAD(engine_new);
  LOAD(store_new);
  LOAD(byte_vec_new);
  LOAD(module_new);
  LOAD(instance_new);
  LOAD(instance_exports);
  LOAD(extern_as_func);
  LOAD(func_call);

  wasm_store_t* const store = store_new(engine_new());
  wasm_byte_vec_t bytes;
  byte_vec_new(&bytes, sizeof(kModule), (const char*)kModule);
  wasm_module_t* const module = module_new(store, &bytes);
  const wasm_extern_vec_t imports = WASM_EMPTY_VEC;
  wasm_instance_t* const instance =
      module == NULL ? NULL : instance_new(store, module, &imports, NULL);
  if (instance == NULL) {
    Die("no instance");
  }
  wasm_extern_vec_t exports;
  instance_exports(instance, &exports);
  const wasm_func_t* const add = extern_as_func(exports.data[0]);

  wasm_val_t arg_data[2] = {WASM_I32_VAL(0), WASM_I32_VAL(3)};
  wasm_val_t result_data[1] = {WASM_INIT_VAL};
  const wasm_val_vec_t args = WASM_ARRAY_VEC(arg_data);
  wasm_val_vec_t results = WASM_ARRAY_VEC(result_data);
  for (int sample = -1; sample < count; ++sample) { /* The first warms up. */
    const double start = NowNs();
    for (int i = 0; i < kCalls; ++i) {
      arg_data[0].of.i32 = i;
      if (func_call(add, &args, &results) != NULL || result_data[0].of.i32 != i + 3) {
        Die("add went wrong");
      }
    }
    if (sample >= 0) {
      samples[sample] = (NowNs() - start) / kCalls;
    }
  }
  qsort(samples, (size_t)count, sizeof(samples[0]), Compare);
  printf("{\"%scapi_add_ns\": %.3f, \"%scapi_add_median_ns\": %.3f}\n", argv[2], samples[0],
         argv[2], samples[count / 2]);
  return 0;
}
