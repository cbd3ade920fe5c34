// The five functions of every vector type of wasm.h. Private to engine/capi.
//
// Memory comes from calloc, so that elements which were never written are null and can be deleted.
// Where there is none, the vector is empty.
#ifndef WASMD_ENGINE_CAPI_VEC_H_
#define WASMD_ENGINE_CAPI_VEC_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/capi/wasm.h"

namespace wasmd::engine {

template <typename Vec>
void VecNew(Vec* out, size_t size) {
  using Element = decltype(*out->data);
  out->data = nullptr;
  out->size = 0;
  if (size != 0 && size <= PTRDIFF_MAX / sizeof(Element)) {
    void* const data = std::calloc(size, sizeof(Element));
    out->data = static_cast<decltype(out->data)>(data);
    out->size = data == nullptr ? 0 : size;
  }
}

template <typename Vec, typename Data>
void VecNewFrom(Vec* out, size_t size, const Data* data) {
  VecNew(out, size);
  if (out->size != 0 && data != nullptr) {
    std::memcpy(static_cast<void*>(out->data), static_cast<const void*>(data),
                size * sizeof(*data));
  }
}

template <typename Vec, typename CopyElement>
void VecCopy(Vec* out, const Vec* from, CopyElement copy) {
  VecNew(out, from->size);
  for (size_t i = 0; i < out->size; ++i) {
    copy(out->data[i], from->data[i]);
  }
}

template <typename Vec, typename DeleteElement>
void VecDelete(Vec* vec, DeleteElement delete_element) {
  if (vec == nullptr) {
    return;
  }
  if (vec->data != nullptr) {
    for (size_t i = 0; i < vec->size; ++i) {
      delete_element(vec->data[i]);
    }
    std::free(static_cast<void*>(vec->data));
  }
  vec->data = nullptr;
  vec->size = 0;
}

}  // namespace wasmd::engine

// Defines them for wasm_`name`_vec_t of `element`; `copy` and `remove` are called as copy(to, from)
// and remove(element).
#define WASMD_DEFINE_VEC(name, element, copy, remove)                                        \
  void wasm_##name##_vec_new_empty(wasm_##name##_vec_t* out) {                               \
    ::wasmd::engine::VecNew(out, 0);                                                         \
  }                                                                                          \
  void wasm_##name##_vec_new_uninitialized(wasm_##name##_vec_t* out, size_t size) {          \
    ::wasmd::engine::VecNew(out, size);                                                      \
  }                                                                                          \
  void wasm_##name##_vec_new(wasm_##name##_vec_t* out, size_t size, element const data[]) {  \
    ::wasmd::engine::VecNewFrom(out, size, data);                                            \
  }                                                                                          \
  void wasm_##name##_vec_copy(wasm_##name##_vec_t* out, const wasm_##name##_vec_t* source) { \
    ::wasmd::engine::VecCopy(out, source, copy);                                             \
  }                                                                                          \
  void wasm_##name##_vec_delete(wasm_##name##_vec_t* vec) {                                  \
    ::wasmd::engine::VecDelete(vec, remove);                                                 \
  }

// For elements that are pointers with a wasm_`name`_copy and a wasm_`name`_delete.
#define WASMD_DEFINE_POINTER_VEC(name)                             \
  WASMD_DEFINE_VEC(                                                \
      name, wasm_##name##_t*,                                      \
      [](wasm_##name##_t*& to, const wasm_##name##_t* from) {      \
        to = from == nullptr ? nullptr : wasm_##name##_copy(from); \
      },                                                           \
      wasm_##name##_delete)

#endif  // WASMD_ENGINE_CAPI_VEC_H_
