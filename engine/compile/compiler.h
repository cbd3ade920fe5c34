// Compiler: one function body → position-independent machine code with its sites. Tiers implement it.
//
// The code reaches the runtime through its context pointer alone (engine/abi): it holds no process address and no relocation.
#ifndef WASMD_ENGINE_COMPILE_COMPILER_H_
#define WASMD_ENGINE_COMPILE_COMPILER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/abi/instance_context.h"
#include "engine/wasm/module.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

enum class Tier : uint8_t { kBaseline };

// A place in the code that the runtime may find a pc at. Ascending by pc_offset in CompiledFunction::sites.
//  - A memory access: pc_offset of the instruction that faults; trap is kMemoryOutOfBounds.
//  - A call of any kind, a branch to a trap stub: pc_offset of the return address, i.e. the byte after the call
//    instruction. For trap stubs `trap` is the code raised there; for calls it is kNone.
struct CodeSite {
  uint32_t pc_offset = 0;
  uint32_t wasm_offset : 24 = 0;  // From the function body's start (its local declarations): bodies are below 2^23 bytes.
  uint32_t trap : 8 = 0;          // TrapCode.
};
static_assert(sizeof(CodeSite) == 8);

struct CompiledFunction {
  std::vector<uint8_t> code;  // Entry at offset 0. Constants stand behind it, addressed relative to rip; aligned to 16 from the start.
  std::vector<CodeSite> sites;
  uint32_t frame_bytes = 0;
  void Clear() {
    code.clear();
    sites.clear();
    frame_bytes = 0;
  }
};

// Single-thread: one compiler a thread; it keeps scratch memory between functions.
class Compiler {
 public:
  virtual ~Compiler() = default;
  // Compiles a defined function, validating it on the way. `out` is cleared first.
  // kInvalidArgument: the body is invalid. kResourceExhausted: a named limit.
  virtual absl::Status CompileFunction(uint32_t func_index, CompiledFunction& out) = 0;
};

// Both outlive the compiler.
std::unique_ptr<Compiler> NewBaselineCompiler(const Module& module, const ContextLayout& layout);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_COMPILE_COMPILER_H_
