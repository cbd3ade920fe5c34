// CodeSite: the trap-site format, which both compilers write and the code map keeps.
#ifndef WASMD_ENGINE_ABI_CODE_SITE_H_
#define WASMD_ENGINE_ABI_CODE_SITE_H_

#include <cstdint>

namespace wasmd::engine {

// A place in the code that the runtime may find a pc at. Ascending by pc_offset.
//  - A memory access: pc_offset of the instruction that faults; trap is kMemoryOutOfBounds.
//  - A call of any kind, a branch to a trap stub: pc_offset of the return address, i.e. the byte
//  after the call
//    instruction. For trap stubs `trap` is the code raised there; for calls it is kNone.
struct CodeSite {
  uint32_t pc_offset = 0;
  uint32_t wasm_offset : 24 =
      0;  // From the function body's start (its local declarations): bodies are below 2^23 bytes.
  uint32_t trap : 8 = 0;  // TrapCode.
};
static_assert(sizeof(CodeSite) == 8);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_CODE_SITE_H_
