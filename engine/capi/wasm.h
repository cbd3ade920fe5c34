/* The WebAssembly C API: the standard C interface of wasm engines, as wasmd implements it.
 *
 *   wasm_engine_t* engine = wasm_engine_new();
 *   wasm_store_t* store = wasm_store_new(engine);
 *   wasm_module_t* module = wasm_module_new(store, &bytes);
 *   wasm_instance_t* instance = wasm_instance_new(store, module, &imports, &trap);
 *   wasm_instance_exports(instance, &exports);
 *   trap = wasm_func_call(wasm_extern_as_func(exports.data[0]), &args, &results);
 *
 * Types, names, layouts and numbers are the standard's, so that programs written for another engine
 * compile and link unchanged. docs/c-api.md says what wasmd decides where the standard leaves it to
 * the engine.
 *
 * Ownership. Every `_new` and `_copy` hands its caller an object to be given to `_delete` (null is
 * allowed there). What else passes ownership says WASMD_C_OWN: of a parameter, the callee takes the
 * object over; of a result, the caller gets it. An `out` parameter is written without looking at
 * what was there and then belongs to the caller. Owning a vector is owning its elements. Deleting
 * gives up one owner's reference; the object goes when nobody needs it.
 *
 * Threads. Engines, shared modules and types are thread-safe; a store and all that was made with it
 * are used by one thread at a time, which may change between any two calls. `_delete` of an object
 * whose store another thread uses is allowed (finalizers of garbage-collected languages do that),
 * other than of the store itself.
 *
 * Errors are null, false or a trap; nothing aborts because of a module or of arguments. */
#ifndef WASM_H
#define WASM_H

/* C, and the standard's names. */
/* NOLINTBEGIN(modernize-use-using, readability-identifier-naming) */
/* NOLINTBEGIN(bugprone-multi-level-implicit-pointer-conversion) */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef WASM_API_EXTERN
#define WASM_API_EXTERN
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Marks ownership that passes; see above. Means nothing to the compiler. */
#define WASMD_C_OWN

typedef char byte_t;
typedef float float32_t;
typedef double float64_t;

/* A type with a destructor. */
#define WASMD_C_OBJECT(name)                      \
  typedef struct wasm_##name##_t wasm_##name##_t; \
  WASM_API_EXTERN void wasm_##name##_delete(WASMD_C_OWN wasm_##name##_t*);

/* A counted array of `star` (nothing or *) elements. `new_uninitialized` makes `size` zero
 * elements, `new` takes the given ones over, `copy` copies every element. `data` may be null if
 * `size` is 0. */
#define WASMD_C_VEC(name, star)                                                                  \
  typedef struct wasm_##name##_vec_t {                                                           \
    size_t size;                                                                                 \
    wasm_##name##_t star* data;                                                                  \
  } wasm_##name##_vec_t;                                                                         \
  WASM_API_EXTERN void wasm_##name##_vec_new_empty(WASMD_C_OWN wasm_##name##_vec_t* out);        \
  WASM_API_EXTERN void wasm_##name##_vec_new_uninitialized(WASMD_C_OWN wasm_##name##_vec_t* out, \
                                                           size_t size);                         \
  WASM_API_EXTERN void wasm_##name##_vec_new(WASMD_C_OWN wasm_##name##_vec_t* out, size_t size,  \
                                             WASMD_C_OWN wasm_##name##_t star const data[]);     \
  WASM_API_EXTERN void wasm_##name##_vec_copy(WASMD_C_OWN wasm_##name##_vec_t* out,              \
                                              const wasm_##name##_vec_t* from);                  \
  WASM_API_EXTERN void wasm_##name##_vec_delete(WASMD_C_OWN wasm_##name##_vec_t*);

/* A type of wasm: a plain description that can be copied. */
#define WASMD_C_TYPE(name) \
  WASMD_C_OBJECT(name)     \
  WASMD_C_VEC(name, *)     \
  WASM_API_EXTERN WASMD_C_OWN wasm_##name##_t* wasm_##name##_copy(const wasm_##name##_t*);

/* A reference to an object of a store. `same`: both refer to one object. The host info is one
 * pointer for the embedder's use, kept with the object and seen through all references to it; its
 * finalizer runs when the object goes or the info is replaced. */
#define WASMD_C_REF_BASE(name)                                                                  \
  WASMD_C_OBJECT(name)                                                                          \
  WASM_API_EXTERN WASMD_C_OWN wasm_##name##_t* wasm_##name##_copy(const wasm_##name##_t*);      \
  WASM_API_EXTERN bool wasm_##name##_same(const wasm_##name##_t*, const wasm_##name##_t*);      \
  WASM_API_EXTERN void* wasm_##name##_get_host_info(const wasm_##name##_t*);                    \
  WASM_API_EXTERN void wasm_##name##_set_host_info(wasm_##name##_t*, void* info);               \
  WASM_API_EXTERN void wasm_##name##_set_host_info_with_finalizer(wasm_##name##_t*, void* info, \
                                                                  void (*finalizer)(void*));

/* The conversions pass no ownership: both pointers are one reference. `ref_as_` gives null for an
 * object of another kind. */
#define WASMD_C_REF(name)                                                               \
  WASMD_C_REF_BASE(name)                                                                \
  WASM_API_EXTERN wasm_ref_t* wasm_##name##_as_ref(wasm_##name##_t*);                   \
  WASM_API_EXTERN wasm_##name##_t* wasm_ref_as_##name(wasm_ref_t*);                     \
  WASM_API_EXTERN const wasm_ref_t* wasm_##name##_as_ref_const(const wasm_##name##_t*); \
  WASM_API_EXTERN const wasm_##name##_t* wasm_ref_as_##name##_const(const wasm_ref_t*);

/* ---- Bytes and names ---- */

typedef byte_t wasm_byte_t;
WASMD_C_VEC(byte, )

/* UTF-8. Names of modules are not terminated by a zero byte. */
typedef wasm_byte_vec_t wasm_name_t;

#define wasm_name wasm_byte_vec
#define wasm_name_new wasm_byte_vec_new
#define wasm_name_new_empty wasm_byte_vec_new_empty
#define wasm_name_new_uninitialized wasm_byte_vec_new_uninitialized
#define wasm_name_new_new_uninitialized wasm_byte_vec_new_uninitialized
#define wasm_name_copy wasm_byte_vec_copy
#define wasm_name_delete wasm_byte_vec_delete

static inline void wasm_name_new_from_string(WASMD_C_OWN wasm_name_t* out, const char* string) {
  wasm_byte_vec_new(out, strlen(string), string);
}

/* With the zero byte that ends the string. */
static inline void wasm_name_new_from_string_nt(WASMD_C_OWN wasm_name_t* out, const char* string) {
  wasm_byte_vec_new(out, strlen(string) + 1, string);
}

/* ---- Configuration, engine, store ---- */

WASMD_C_OBJECT(config)
WASM_API_EXTERN WASMD_C_OWN wasm_config_t* wasm_config_new(void);

/* Null: the system refuses address space or executable memory. */
WASMD_C_OBJECT(engine)
WASM_API_EXTERN WASMD_C_OWN wasm_engine_t* wasm_engine_new(void);
WASM_API_EXTERN WASMD_C_OWN wasm_engine_t* wasm_engine_new_with_config(WASMD_C_OWN wasm_config_t*);

/* Deleting a store frees its instances, memories, tables, globals and functions and runs their
 * finalizers. References that are left can still be deleted; any other use of them is answered with
 * null, zero, false or a trap. Not to be deleted while one of its functions runs. */
WASMD_C_OBJECT(store)
WASM_API_EXTERN WASMD_C_OWN wasm_store_t* wasm_store_new(wasm_engine_t*);

/* ---- Types ---- */

typedef uint8_t wasm_mutability_t;
enum wasm_mutability_enum { WASM_CONST, WASM_VAR };

/* Pages of 64 KiB or elements. */
typedef struct wasm_limits_t {
  uint32_t min;
  uint32_t max;
} wasm_limits_t;

/* No maximum. */
static const uint32_t wasm_limits_max_default = 0xffffffff;

WASMD_C_TYPE(valtype)

typedef uint8_t wasm_valkind_t;
enum wasm_valkind_enum {
  WASM_I32,
  WASM_I64,
  WASM_F32,
  WASM_F64,
  WASM_EXTERNREF = 128,
  WASM_FUNCREF,
};

/* Null: no such kind. */
WASM_API_EXTERN WASMD_C_OWN wasm_valtype_t* wasm_valtype_new(wasm_valkind_t);
WASM_API_EXTERN wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t*);

static inline bool wasm_valkind_is_num(wasm_valkind_t kind) {
  return kind < WASM_EXTERNREF;
}
static inline bool wasm_valkind_is_ref(wasm_valkind_t kind) {
  return kind >= WASM_EXTERNREF;
}
static inline bool wasm_valtype_is_num(const wasm_valtype_t* type) {
  return wasm_valkind_is_num(wasm_valtype_kind(type));
}
static inline bool wasm_valtype_is_ref(const wasm_valtype_t* type) {
  return wasm_valkind_is_ref(wasm_valtype_kind(type));
}

WASMD_C_TYPE(functype)
WASM_API_EXTERN WASMD_C_OWN wasm_functype_t* wasm_functype_new(
    WASMD_C_OWN wasm_valtype_vec_t* params, WASMD_C_OWN wasm_valtype_vec_t* results);
WASM_API_EXTERN const wasm_valtype_vec_t* wasm_functype_params(const wasm_functype_t*);
WASM_API_EXTERN const wasm_valtype_vec_t* wasm_functype_results(const wasm_functype_t*);

WASMD_C_TYPE(globaltype)
WASM_API_EXTERN WASMD_C_OWN wasm_globaltype_t* wasm_globaltype_new(WASMD_C_OWN wasm_valtype_t*,
                                                                   wasm_mutability_t);
WASM_API_EXTERN const wasm_valtype_t* wasm_globaltype_content(const wasm_globaltype_t*);
WASM_API_EXTERN wasm_mutability_t wasm_globaltype_mutability(const wasm_globaltype_t*);

WASMD_C_TYPE(tabletype)
WASM_API_EXTERN WASMD_C_OWN wasm_tabletype_t* wasm_tabletype_new(WASMD_C_OWN wasm_valtype_t*,
                                                                 const wasm_limits_t*);
WASM_API_EXTERN const wasm_valtype_t* wasm_tabletype_element(const wasm_tabletype_t*);
WASM_API_EXTERN const wasm_limits_t* wasm_tabletype_limits(const wasm_tabletype_t*);

WASMD_C_TYPE(memorytype)
WASM_API_EXTERN WASMD_C_OWN wasm_memorytype_t* wasm_memorytype_new(const wasm_limits_t*);
WASM_API_EXTERN const wasm_limits_t* wasm_memorytype_limits(const wasm_memorytype_t*);

WASMD_C_TYPE(externtype)

typedef uint8_t wasm_externkind_t;
enum wasm_externkind_enum {
  WASM_EXTERN_FUNC,
  WASM_EXTERN_GLOBAL,
  WASM_EXTERN_TABLE,
  WASM_EXTERN_MEMORY,
};

WASM_API_EXTERN wasm_externkind_t wasm_externtype_kind(const wasm_externtype_t*);

/* No ownership passes; null for another kind. */
#define WASMD_C_EXTERNTYPE(name)                                                    \
  WASM_API_EXTERN wasm_externtype_t* wasm_##name##_as_externtype(wasm_##name##_t*); \
  WASM_API_EXTERN wasm_##name##_t* wasm_externtype_as_##name(wasm_externtype_t*);   \
  WASM_API_EXTERN const wasm_externtype_t* wasm_##name##_as_externtype_const(       \
      const wasm_##name##_t*);                                                      \
  WASM_API_EXTERN const wasm_##name##_t* wasm_externtype_as_##name##_const(         \
      const wasm_externtype_t*);

WASMD_C_EXTERNTYPE(functype)
WASMD_C_EXTERNTYPE(globaltype)
WASMD_C_EXTERNTYPE(tabletype)
WASMD_C_EXTERNTYPE(memorytype)

WASMD_C_TYPE(importtype)
WASM_API_EXTERN WASMD_C_OWN wasm_importtype_t* wasm_importtype_new(WASMD_C_OWN wasm_name_t* module,
                                                                   WASMD_C_OWN wasm_name_t* name,
                                                                   WASMD_C_OWN wasm_externtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_importtype_module(const wasm_importtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_importtype_name(const wasm_importtype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_importtype_type(const wasm_importtype_t*);

WASMD_C_TYPE(exporttype)
WASM_API_EXTERN WASMD_C_OWN wasm_exporttype_t* wasm_exporttype_new(WASMD_C_OWN wasm_name_t*,
                                                                   WASMD_C_OWN wasm_externtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_exporttype_name(const wasm_exporttype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_exporttype_type(const wasm_exporttype_t*);

/* ---- Values and references ---- */

struct wasm_ref_t;

/* `of.ref`, null or not, for both kinds of references. */
typedef struct wasm_val_t {
  wasm_valkind_t kind;
  union {
    int32_t i32;
    int64_t i64;
    float32_t f32;
    float64_t f64;
    struct wasm_ref_t* ref;
  } of;
} wasm_val_t;

/* Deletes the reference that the value holds, if it holds one; the struct is the caller's. */
WASM_API_EXTERN void wasm_val_delete(WASMD_C_OWN wasm_val_t*);
WASM_API_EXTERN void wasm_val_copy(WASMD_C_OWN wasm_val_t* out, const wasm_val_t*);
WASMD_C_VEC(val, )

WASMD_C_REF_BASE(ref)

/* ---- Traps ---- */

/* One active wasm function, with the offset of its instruction from the function's body and from
 * the module's first byte. wasm_frame_instance is null where more than one instance fits the frame.
 */
WASMD_C_OBJECT(frame)
WASMD_C_VEC(frame, *)
WASM_API_EXTERN WASMD_C_OWN wasm_frame_t* wasm_frame_copy(const wasm_frame_t*);
WASM_API_EXTERN struct wasm_instance_t* wasm_frame_instance(const wasm_frame_t*);
WASM_API_EXTERN uint32_t wasm_frame_func_index(const wasm_frame_t*);
WASM_API_EXTERN size_t wasm_frame_func_offset(const wasm_frame_t*);
WASM_API_EXTERN size_t wasm_frame_module_offset(const wasm_frame_t*);

/* Ends with a zero byte, which counts. */
typedef wasm_name_t wasm_message_t;

WASMD_C_REF(trap)
WASM_API_EXTERN WASMD_C_OWN wasm_trap_t* wasm_trap_new(wasm_store_t*, const wasm_message_t*);
WASM_API_EXTERN void wasm_trap_message(const wasm_trap_t*, WASMD_C_OWN wasm_message_t* out);
/* The innermost frame, or null: no wasm function was active. */
WASM_API_EXTERN WASMD_C_OWN wasm_frame_t* wasm_trap_origin(const wasm_trap_t*);
/* Innermost first, at most 64. */
WASM_API_EXTERN void wasm_trap_trace(const wasm_trap_t*, WASMD_C_OWN wasm_frame_vec_t* out);

/* ---- Foreign objects ---- */

/* An object without meaning to wasm, to be passed as an externref. */
WASMD_C_REF(foreign)
WASM_API_EXTERN WASMD_C_OWN wasm_foreign_t* wasm_foreign_new(wasm_store_t*);

/* ---- Modules ---- */

WASMD_C_REF(module)
WASMD_C_OBJECT(shared_module)

/* Null: the bytes are no valid module, or use a feature that the engine lacks. */
WASM_API_EXTERN WASMD_C_OWN wasm_module_t* wasm_module_new(wasm_store_t*,
                                                           const wasm_byte_vec_t* binary);
WASM_API_EXTERN bool wasm_module_validate(wasm_store_t*, const wasm_byte_vec_t* binary);
WASM_API_EXTERN void wasm_module_imports(const wasm_module_t*,
                                         WASMD_C_OWN wasm_importtype_vec_t* out);
WASM_API_EXTERN void wasm_module_exports(const wasm_module_t*,
                                         WASMD_C_OWN wasm_exporttype_vec_t* out);
/* For this version of wasmd to deserialize, which checks it as it checks any module. */
WASM_API_EXTERN void wasm_module_serialize(const wasm_module_t*, WASMD_C_OWN wasm_byte_vec_t* out);
WASM_API_EXTERN WASMD_C_OWN wasm_module_t* wasm_module_deserialize(wasm_store_t*,
                                                                   const wasm_byte_vec_t*);
/* A module for other threads' stores: thread-safe, and one copy of the code. */
WASM_API_EXTERN WASMD_C_OWN wasm_shared_module_t* wasm_module_share(const wasm_module_t*);
WASM_API_EXTERN WASMD_C_OWN wasm_module_t* wasm_module_obtain(wasm_store_t*,
                                                              const wasm_shared_module_t*);

/* ---- Functions ---- */

WASMD_C_REF(func)

/* A host function. Writes one value for each result, whose references it owns until then; the
 * arguments' references are the caller's. A trap that it returns is what wasm_func_call returns.
 * Must leave by returning: no longjmp, no exception. */
typedef WASMD_C_OWN wasm_trap_t* (*wasm_func_callback_t)(const wasm_val_vec_t* args,
                                                         WASMD_C_OWN wasm_val_vec_t* results);
typedef WASMD_C_OWN wasm_trap_t* (*wasm_func_callback_with_env_t)(void* env,
                                                                  const wasm_val_vec_t* args,
                                                                  wasm_val_vec_t* results);

WASM_API_EXTERN WASMD_C_OWN wasm_func_t* wasm_func_new(wasm_store_t*, const wasm_functype_t*,
                                                       wasm_func_callback_t);
/* `finalizer`, if not null, gets `env` when the function goes: with its store. */
WASM_API_EXTERN WASMD_C_OWN wasm_func_t* wasm_func_new_with_env(wasm_store_t*,
                                                                const wasm_functype_t*,
                                                                wasm_func_callback_with_env_t,
                                                                void* env,
                                                                void (*finalizer)(void*));
WASM_API_EXTERN WASMD_C_OWN wasm_functype_t* wasm_func_type(const wasm_func_t*);
WASM_API_EXTERN size_t wasm_func_param_arity(const wasm_func_t*);
WASM_API_EXTERN size_t wasm_func_result_arity(const wasm_func_t*);
/* Null: it returned, and `results` are written, as far as there is room for them. Otherwise a trap,
 * and they are not; so too for arguments of another number or type. */
WASM_API_EXTERN WASMD_C_OWN wasm_trap_t* wasm_func_call(const wasm_func_t*,
                                                        const wasm_val_vec_t* args,
                                                        wasm_val_vec_t* results);

/* ---- Globals ---- */

WASMD_C_REF(global)
/* Null: the value is of another type. */
WASM_API_EXTERN WASMD_C_OWN wasm_global_t* wasm_global_new(wasm_store_t*, const wasm_globaltype_t*,
                                                           const wasm_val_t*);
WASM_API_EXTERN WASMD_C_OWN wasm_globaltype_t* wasm_global_type(const wasm_global_t*);
WASM_API_EXTERN void wasm_global_get(const wasm_global_t*, WASMD_C_OWN wasm_val_t* out);
/* Does nothing if the global is immutable or of another type. */
WASM_API_EXTERN void wasm_global_set(wasm_global_t*, const wasm_val_t*);

/* ---- Tables ---- */

WASMD_C_REF(table)
typedef uint32_t wasm_table_size_t;
WASM_API_EXTERN WASMD_C_OWN wasm_table_t* wasm_table_new(wasm_store_t*, const wasm_tabletype_t*,
                                                         wasm_ref_t* init);
WASM_API_EXTERN WASMD_C_OWN wasm_tabletype_t* wasm_table_type(const wasm_table_t*);
/* Null: a null element, or none there. */
WASM_API_EXTERN WASMD_C_OWN wasm_ref_t* wasm_table_get(const wasm_table_t*,
                                                       wasm_table_size_t index);
WASM_API_EXTERN bool wasm_table_set(wasm_table_t*, wasm_table_size_t index, wasm_ref_t*);
WASM_API_EXTERN wasm_table_size_t wasm_table_size(const wasm_table_t*);
WASM_API_EXTERN bool wasm_table_grow(wasm_table_t*, wasm_table_size_t delta, wasm_ref_t* init);

/* ---- Memories ---- */

WASMD_C_REF(memory)
typedef uint32_t wasm_memory_pages_t;
static const size_t MEMORY_PAGE_SIZE = 0x10000;
WASM_API_EXTERN WASMD_C_OWN wasm_memory_t* wasm_memory_new(wasm_store_t*, const wasm_memorytype_t*);
WASM_API_EXTERN WASMD_C_OWN wasm_memorytype_t* wasm_memory_type(const wasm_memory_t*);
/* Never moves while the store lives, not by growing either. */
WASM_API_EXTERN byte_t* wasm_memory_data(wasm_memory_t*);
WASM_API_EXTERN size_t wasm_memory_data_size(const wasm_memory_t*);
WASM_API_EXTERN wasm_memory_pages_t wasm_memory_size(const wasm_memory_t*);
WASM_API_EXTERN bool wasm_memory_grow(wasm_memory_t*, wasm_memory_pages_t delta);

/* ---- Externals: functions, globals, tables and memories ---- */

WASMD_C_REF(extern)
WASMD_C_VEC(extern, *)
WASM_API_EXTERN wasm_externkind_t wasm_extern_kind(const wasm_extern_t*);
WASM_API_EXTERN WASMD_C_OWN wasm_externtype_t* wasm_extern_type(const wasm_extern_t*);

/* No ownership passes; null for another kind. */
#define WASMD_C_EXTERN(name)                                                                  \
  WASM_API_EXTERN wasm_extern_t* wasm_##name##_as_extern(wasm_##name##_t*);                   \
  WASM_API_EXTERN wasm_##name##_t* wasm_extern_as_##name(wasm_extern_t*);                     \
  WASM_API_EXTERN const wasm_extern_t* wasm_##name##_as_extern_const(const wasm_##name##_t*); \
  WASM_API_EXTERN const wasm_##name##_t* wasm_extern_as_##name##_const(const wasm_extern_t*);

WASMD_C_EXTERN(func)
WASMD_C_EXTERN(global)
WASMD_C_EXTERN(table)
WASMD_C_EXTERN(memory)

/* ---- Instances ---- */

WASMD_C_REF(instance)
/* `imports` in the order of wasm_module_imports. Null: an import does not fit, a limit of the
 * system is reached, or a segment or the start function trapped; `*trap`, if `trap` is not null,
 * says which and is null otherwise. */
WASM_API_EXTERN WASMD_C_OWN wasm_instance_t* wasm_instance_new(wasm_store_t*, const wasm_module_t*,
                                                               const wasm_extern_vec_t* imports,
                                                               WASMD_C_OWN wasm_trap_t** trap);
/* In the order of wasm_module_exports. */
WASM_API_EXTERN void wasm_instance_exports(const wasm_instance_t*,
                                           WASMD_C_OWN wasm_extern_vec_t* out);

/* ---- Shorthands ---- */

#define WASM_EMPTY_VEC {0, NULL}
#define WASM_ARRAY_VEC(array) {sizeof(array) / sizeof(*(array)), array}

#define WASM_I32_VAL(i)                 \
  {                                     \
    .kind = WASM_I32, .of = {.i32 = i } \
  }
#define WASM_I64_VAL(i)                 \
  {                                     \
    .kind = WASM_I64, .of = {.i64 = i } \
  }
#define WASM_F32_VAL(z)                 \
  {                                     \
    .kind = WASM_F32, .of = {.f32 = z } \
  }
#define WASM_F64_VAL(z)                 \
  {                                     \
    .kind = WASM_F64, .of = {.f64 = z } \
  }
#define WASM_REF_VAL(r)                       \
  {                                           \
    .kind = WASM_EXTERNREF, .of = {.ref = r } \
  }
#define WASM_INIT_VAL                            \
  {                                              \
    .kind = WASM_EXTERNREF, .of = {.ref = NULL } \
  }

static inline WASMD_C_OWN wasm_valtype_t* wasm_valtype_new_i32(void) {
  return wasm_valtype_new(WASM_I32);
}
static inline WASMD_C_OWN wasm_valtype_t* wasm_valtype_new_i64(void) {
  return wasm_valtype_new(WASM_I64);
}
static inline WASMD_C_OWN wasm_valtype_t* wasm_valtype_new_f32(void) {
  return wasm_valtype_new(WASM_F32);
}
static inline WASMD_C_OWN wasm_valtype_t* wasm_valtype_new_f64(void) {
  return wasm_valtype_new(WASM_F64);
}
static inline WASMD_C_OWN wasm_valtype_t* wasm_valtype_new_externref(void) {
  return wasm_valtype_new(WASM_EXTERNREF);
}
static inline WASMD_C_OWN wasm_valtype_t* wasm_valtype_new_funcref(void) {
  return wasm_valtype_new(WASM_FUNCREF);
}

/* wasm_functype_new_P_R for up to three parameters and two results goes through this. */
static inline WASMD_C_OWN wasm_functype_t* wasmd_functype_of(size_t param_count, wasm_valtype_t* p1,
                                                             wasm_valtype_t* p2, wasm_valtype_t* p3,
                                                             size_t result_count,
                                                             wasm_valtype_t* r1,
                                                             wasm_valtype_t* r2) {
  wasm_valtype_t* param_types[3];
  wasm_valtype_t* result_types[2];
  wasm_valtype_vec_t params;
  wasm_valtype_vec_t results;
  param_types[0] = p1;
  param_types[1] = p2;
  param_types[2] = p3;
  result_types[0] = r1;
  result_types[1] = r2;
  wasm_valtype_vec_new(&params, param_count, param_types);
  wasm_valtype_vec_new(&results, result_count, result_types);
  return wasm_functype_new(&params, &results);
}

static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_0_0(void) {
  return wasmd_functype_of(0, NULL, NULL, NULL, 0, NULL, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_1_0(WASMD_C_OWN wasm_valtype_t* p) {
  return wasmd_functype_of(1, p, NULL, NULL, 0, NULL, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_2_0(WASMD_C_OWN wasm_valtype_t* p1,
                                                                 WASMD_C_OWN wasm_valtype_t* p2) {
  return wasmd_functype_of(2, p1, p2, NULL, 0, NULL, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_3_0(WASMD_C_OWN wasm_valtype_t* p1,
                                                                 WASMD_C_OWN wasm_valtype_t* p2,
                                                                 WASMD_C_OWN wasm_valtype_t* p3) {
  return wasmd_functype_of(3, p1, p2, p3, 0, NULL, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_0_1(WASMD_C_OWN wasm_valtype_t* r) {
  return wasmd_functype_of(0, NULL, NULL, NULL, 1, r, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_1_1(WASMD_C_OWN wasm_valtype_t* p,
                                                                 WASMD_C_OWN wasm_valtype_t* r) {
  return wasmd_functype_of(1, p, NULL, NULL, 1, r, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_2_1(WASMD_C_OWN wasm_valtype_t* p1,
                                                                 WASMD_C_OWN wasm_valtype_t* p2,
                                                                 WASMD_C_OWN wasm_valtype_t* r) {
  return wasmd_functype_of(2, p1, p2, NULL, 1, r, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_3_1(WASMD_C_OWN wasm_valtype_t* p1,
                                                                 WASMD_C_OWN wasm_valtype_t* p2,
                                                                 WASMD_C_OWN wasm_valtype_t* p3,
                                                                 WASMD_C_OWN wasm_valtype_t* r) {
  return wasmd_functype_of(3, p1, p2, p3, 1, r, NULL);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_0_2(WASMD_C_OWN wasm_valtype_t* r1,
                                                                 WASMD_C_OWN wasm_valtype_t* r2) {
  return wasmd_functype_of(0, NULL, NULL, NULL, 2, r1, r2);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_1_2(WASMD_C_OWN wasm_valtype_t* p,
                                                                 WASMD_C_OWN wasm_valtype_t* r1,
                                                                 WASMD_C_OWN wasm_valtype_t* r2) {
  return wasmd_functype_of(1, p, NULL, NULL, 2, r1, r2);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_2_2(WASMD_C_OWN wasm_valtype_t* p1,
                                                                 WASMD_C_OWN wasm_valtype_t* p2,
                                                                 WASMD_C_OWN wasm_valtype_t* r1,
                                                                 WASMD_C_OWN wasm_valtype_t* r2) {
  return wasmd_functype_of(2, p1, p2, NULL, 2, r1, r2);
}
static inline WASMD_C_OWN wasm_functype_t* wasm_functype_new_3_2(WASMD_C_OWN wasm_valtype_t* p1,
                                                                 WASMD_C_OWN wasm_valtype_t* p2,
                                                                 WASMD_C_OWN wasm_valtype_t* p3,
                                                                 WASMD_C_OWN wasm_valtype_t* r1,
                                                                 WASMD_C_OWN wasm_valtype_t* r2) {
  return wasmd_functype_of(3, p1, p2, p3, 2, r1, r2);
}

/* A host's pointer as an i64 and back. */
static inline void wasm_val_init_ptr(WASMD_C_OWN wasm_val_t* out, void* pointer) {
  out->kind = WASM_I64;
  memcpy(&out->of.i64, &pointer, sizeof(pointer));
}
static inline void* wasm_val_ptr(const wasm_val_t* value) {
  void* pointer;
  memcpy(&pointer, &value->of.i64, sizeof(pointer));
  return pointer;
}

#undef WASMD_C_OWN
#undef WASMD_C_OBJECT
#undef WASMD_C_VEC
#undef WASMD_C_TYPE
#undef WASMD_C_REF_BASE
#undef WASMD_C_REF
#undef WASMD_C_EXTERNTYPE
#undef WASMD_C_EXTERN

#ifdef __cplusplus
}
#endif

/* NOLINTEND(modernize-use-using, readability-identifier-naming) */
/* NOLINTEND(bugprone-multi-level-implicit-pointer-conversion) */
#endif /* WASM_H */
