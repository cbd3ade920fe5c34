// RuntimeEnv: what modules and stores of one engine share. Made by Engine::Create. Thread-safe.
#ifndef WASMD_ENGINE_RUNTIME_RUNTIME_ENV_H_
#define WASMD_ENGINE_RUNTIME_RUNTIME_ENV_H_

#include <memory>

#include "absl/status/statusor.h"

#include "engine/code/call_stub_code.h"
#include "engine/code/code_arena.h"
#include "engine/code/module_code.h"
#include "engine/compile/compiler.h"
#include "engine/runtime/memory_slots.h"
#include "engine/runtime/type_registry.h"
#include "engine/runtime/watchdog.h"

namespace wasmd::engine {

// Which compiler a tier is; only engine/api knows them.
using CompilerFactory = std::unique_ptr<Compiler> (*)(Tier tier, const Module& module,
                                                      const ContextLayout& layout,
                                                      const CompilerOptions& options);

class RuntimeEnv {
 public:
  // Installs the signal actions and makes the code arena where that has not been done in this
  // process.
  static absl::StatusOr<std::shared_ptr<RuntimeEnv>> Create(uint64_t code_bytes,
                                                            CompilerFactory compilers,
                                                            const CompilerOptions& options,
                                                            CallStubCompiler call_stubs);
  RuntimeEnv(const RuntimeEnv&) = delete;
  RuntimeEnv& operator=(const RuntimeEnv&) = delete;
  // Ends the watchdog's thread here: what is watched holds the watchdog too, and its last holder
  // may be that very thread, which cannot join itself.
  ~RuntimeEnv() { watchdog_->Shutdown(); }

  CodeArena& arena() { return arena_; }
  CodeQuota& quota() { return quota_; }
  TypeRegistry& types() { return types_; }
  MemorySlots& memory_slots() { return memory_slots_; }
  const std::shared_ptr<Watchdog>& watchdog() const { return watchdog_; }
  CompilerFactory compilers() const { return compilers_; }
  const CompilerOptions& compiler_options() const { return compiler_options_; }

 private:
  RuntimeEnv(CodeArena& arena, uint64_t code_bytes, std::shared_ptr<Watchdog> watchdog,
             CompilerFactory factory, const CompilerOptions& options, CallStubCompiler call_stubs);
  CodeArena& arena_;
  CodeQuota quota_;
  CallStubCode call_stub_code_;
  TypeRegistry types_;
  MemorySlots memory_slots_;
  const std::shared_ptr<Watchdog>
      watchdog_;  // Shared with interrupt handles, which may outlive us.
  const CompilerFactory compilers_;
  const CompilerOptions compiler_options_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_RUNTIME_ENV_H_
