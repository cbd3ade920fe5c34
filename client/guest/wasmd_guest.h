/* Functions on byte strings for guests in C and C++: bytes in, bytes out (docs/bytes.md).
 *
 *   #include "wasmd_guest.h"
 *
 *   WASMD_BYTES_FUNCTION(upper) {              // exports "upper"; `input` is its argument
 *     for (size_t i = 0; i < input.size; ++i) {
 *       if (input.data[i] >= 'a' && input.data[i] <= 'z') input.data[i] -= 32;
 *     }
 *     return input;                            // or wasmd_allocate(n) filled in
 *   }
 *
 *   clang --target=wasm32 -O2 -mbulk-memory -nostdlib -Wl,--no-entry upper.c -o upper.wasm
 *   wasmctl call --bytes 'hello' upper.wasm upper
 *
 * The Canonical ABI of the Component Model for func(list<u8>) -> list<u8>: cabi_realloc, NAME and
 * cabi_post_NAME are exported, and the linker exports the memory.
 *
 * Memory: what wasmd_allocate gives, and the input, last until the output has been read; then all
 * of it is free at once. No libc is needed. A guest of several files defines
 * WASMD_GUEST_NO_ALLOCATOR in all but one of them. With a libc's malloc in the same guest, define
 * it in all, and export a cabi_realloc and a wasmd_free_all of your own: malloc takes the memory
 * behind __heap_base for itself. One thread.
 */
#ifndef WASMD_CLIENT_GUEST_WASMD_GUEST_H_
#define WASMD_CLIENT_GUEST_WASMD_GUEST_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WASMD_EXTERN_C extern "C"
#else
#define WASMD_EXTERN_C
#endif

typedef struct wasmd_bytes {
  uint8_t* data;
  size_t size;
} wasmd_bytes;

/* `size` bytes, 16-aligned, until the output has been read. Traps if there is no more memory. */
WASMD_EXTERN_C void* wasmd_allocate(size_t size);
/* Frees all that was allocated. */
WASMD_EXTERN_C void wasmd_free_all(void);

#ifndef WASMD_GUEST_NO_ALLOCATOR

extern unsigned char __heap_base; /* The linker's: where nothing lies any more. */
static uintptr_t wasmd_next;

WASMD_EXTERN_C void* wasmd_allocate(size_t size) {
  if (wasmd_next == 0) {
    wasmd_next = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
  }
  const uintptr_t place = wasmd_next;
  const uint64_t end = ((uint64_t)place + size + 15) & ~(uint64_t)15;
  const uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
  if (end > UINT32_MAX) {
    __builtin_trap(); /* The last bytes are never given: the next place would be 0. */
  }
  if (end > have) {
    const uint64_t pages = (end - have + 65535) >> 16;
    if (__builtin_wasm_memory_grow(0, (size_t)pages) == (size_t)-1) {
      __builtin_trap();
    }
  }
  wasmd_next = (uintptr_t)end;
  return (void*)place;
}

WASMD_EXTERN_C void wasmd_free_all(void) {
  wasmd_next = 0;
}

WASMD_EXTERN_C __attribute__((export_name("cabi_realloc"))) void* wasmd_cabi_realloc(
    void* old, size_t old_size, size_t align, size_t size) {
  uint8_t* place;
  if (old == 0) {
    wasmd_free_all(); /* An input: a call begins. The one before it may have trapped. */
  }
  place = (uint8_t*)wasmd_allocate(size);
  (void)align; /* At most 8, and ours is 16. */
  for (size_t i = 0; i < old_size && i < size; ++i) {
    place[i] = ((const uint8_t*)old)[i];
  }
  return place;
}

#endif /* WASMD_GUEST_NO_ALLOCATOR */

/* Before a function's body, which has `input` and returns a wasmd_bytes. */
#define WASMD_BYTES_FUNCTION(name)                                                        \
  static wasmd_bytes wasmd_body_##name(wasmd_bytes input);                                \
  WASMD_EXTERN_C __attribute__((export_name(#name)))                                      \
  wasmd_bytes* wasmd_export_##name(uint8_t* data, size_t size) {                          \
    static wasmd_bytes output;                                                            \
    wasmd_bytes input;                                                                    \
    input.data = data;                                                                    \
    input.size = size;                                                                    \
    output = wasmd_body_##name(input);                                                    \
    return &output;                                                                       \
  }                                                                                       \
  WASMD_EXTERN_C __attribute__((export_name("cabi_post_" #name))) void wasmd_post_##name( \
      wasmd_bytes* output) {                                                              \
    (void)output;                                                                         \
    wasmd_free_all();                                                                     \
  }                                                                                       \
  static wasmd_bytes wasmd_body_##name(wasmd_bytes input)

#endif /* WASMD_CLIENT_GUEST_WASMD_GUEST_H_ */
