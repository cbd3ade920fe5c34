// Compiler: one function body → position-independent machine code with its sites. Tiers implement
// it.
//
// The code reaches the runtime through its context pointer alone (engine/abi): it holds no process
// address and no relocation.
#ifndef WASMD_ENGINE_COMPILE_COMPILER_H_
#define WASMD_ENGINE_COMPILE_COMPILER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"

#include "engine/abi/bounds_checks.h"
#include "engine/abi/code_site.h"
#include "engine/abi/exception.h"
#include "engine/abi/instance_context.h"
#include "engine/base/cancel_flag.h"
#include "engine/wasm/module.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

enum class Tier : uint8_t { kBaseline };

// What the code of all modules of an engine has in common, but for is_metered.
struct CompilerOptions {
  // A module's own: its code counts fuel. See engine/abi/fuel.h.
  bool is_metered = false;
  BoundsChecks bounds_checks = BoundsChecks::kGuardPages;
  // Relaxed SIMD instructions give what the spec's deterministic profile says, on every machine:
  // what their fixed-width counterparts give, products rounded before they are added, bytes signed
  // in dot products and their sums saturated. Otherwise each is what the machine does best.
  bool deterministic_relaxed_simd = false;
  // False: no more of vectors than SSE4.1, as on an old machine. For tests.
  bool use_avx = true;
};

struct CompiledFunction {
  std::vector<uint8_t> code;  // Entry at offset 0. Constants stand behind it, addressed relative to
                              // rip; aligned to 16 from the start.
  std::vector<CodeSite> sites;
  HandlerTable handlers;
  uint32_t frame_bytes = 0;
  uint64_t work = 0;  // See CompileWorkLimit in engine/wasm/limits.h.
  void Clear() {
    code.clear();
    sites.clear();
    handlers.Clear();
    frame_bytes = 0;
    work = 0;
  }
};

// Single-thread: one compiler a thread; it keeps scratch memory between functions.
class Compiler {
 public:
  virtual ~Compiler() = default;
  // Compiles a defined function, validating it on the way. `out` is cleared first.
  // kInvalidArgument: the body is invalid. kResourceExhausted: a named limit. kCancelled.
  virtual absl::Status CompileFunction(uint32_t func_index, CompiledFunction& out) = 0;
  // Looked at every 64 KiB of a body, from the next function on; null: never. Set, it ends the
  // compilation with kCancelled.
  virtual void set_cancel(CancelFlag cancel) = 0;
};

// Module and layout outlive the compiler.
std::unique_ptr<Compiler> NewBaselineCompiler(const Module& module, const ContextLayout& layout,
                                              const CompilerOptions& options = {});

// The code of the call stub for a type (engine/abi/call_stub.h). kResourceExhausted: memory.
absl::Status CompileCallStub(const FuncType& type, std::vector<uint8_t>& out);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_COMPILE_COMPILER_H_
