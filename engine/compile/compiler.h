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
#include "engine/wasm/module.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

enum class Tier : uint8_t { kBaseline };

// What the code of all modules of an engine has in common.
struct CompilerOptions {
  BoundsChecks bounds_checks = BoundsChecks::kGuardPages;
};

struct CompiledFunction {
  std::vector<uint8_t> code;  // Entry at offset 0. Constants stand behind it, addressed relative to
                              // rip; aligned to 16 from the start.
  std::vector<CodeSite> sites;
  HandlerTable handlers;
  uint32_t frame_bytes = 0;
  void Clear() {
    code.clear();
    sites.clear();
    handlers.Clear();
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

// Module and layout outlive the compiler.
std::unique_ptr<Compiler> NewBaselineCompiler(const Module& module, const ContextLayout& layout,
                                              const CompilerOptions& options = {});

// The code of the call stub for a type (engine/abi/call_stub.h). kResourceExhausted: memory.
absl::Status CompileCallStub(const FuncType& type, std::vector<uint8_t>& out);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_COMPILE_COMPILER_H_
