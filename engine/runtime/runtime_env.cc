#include "engine/runtime/runtime_env.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/trap/signal_actions.h"

namespace wasmd::engine {

RuntimeEnv::RuntimeEnv(CodeArena& arena, uint64_t code_bytes, std::shared_ptr<Watchdog> watchdog,
                       CompilerFactory factory, const CompilerOptions& options,
                       CallStubCompiler call_stubs)
    : arena_(arena),
      quota_(code_bytes),
      call_stub_code_(arena_, quota_),
      types_(call_stub_code_, call_stubs),
      memory_slots_(options.bounds_checks),
      watchdog_(std::move(watchdog)),
      compilers_(factory),
      compiler_options_(options) {}

absl::StatusOr<std::shared_ptr<RuntimeEnv>> RuntimeEnv::Create(uint64_t code_bytes,
                                                               CompilerFactory compilers,
                                                               const CompilerOptions& options,
                                                               CallStubCompiler call_stubs) {
  WASMD_ASSIGN_OR_RETURN(CodeArena * arena, CodeArena::Get());
  WASMD_RETURN_IF_ERROR(InstallSignalActions());
  WASMD_ASSIGN_OR_RETURN(std::shared_ptr<Watchdog> watchdog, Watchdog::Start());
  return std::shared_ptr<RuntimeEnv>(
      new RuntimeEnv(*arena, code_bytes, std::move(watchdog), compilers, options, call_stubs));
}

}  // namespace wasmd::engine
