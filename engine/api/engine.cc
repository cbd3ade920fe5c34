#include "engine/api/engine.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"

#include "engine/base/status_macros.h"
#include "engine/binary/decode_module.h"
#include "engine/runtime/runtime_env.h"
#include "engine/trap/signal_actions.h"
#include "engine/trap/thread_record.h"
#include "engine/validate/validate.h"

namespace wasmd::engine {
namespace {

std::unique_ptr<Compiler> NewCompiler(Tier tier, const Module& module, const ContextLayout& layout,
                                      const CompilerOptions& options) {
  switch (tier) {
    case Tier::kBaseline:
      return NewBaselineCompiler(module, layout, options);
  }
  WASMD_UNREACHABLE();
}

absl::Status CheckCancel(const LoadOptions& options) {
  return options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)
             ? absl::CancelledError("loading was cancelled")
             : absl::OkStatus();
}

}  // namespace

Engine::Engine(std::shared_ptr<RuntimeEnv> env, const FeatureSet& features)
    : features_(features), env_(std::move(env)) {}
Engine::~Engine() = default;

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options) {
  CompilerOptions compiler_options{.bounds_checks = options.bounds_checks,
                                   .deterministic_relaxed_simd = options.deterministic_relaxed_simd,
                                   .use_avx = options.use_avx};
  if (options.bounds_checks == BoundsChecks::kGuardPages && !MemorySlots::CanReserve()) {
    compiler_options.bounds_checks = BoundsChecks::kExplicit;
  }
  WASMD_ASSIGN_OR_RETURN(std::shared_ptr<RuntimeEnv> env,
                         RuntimeEnv::Create(std::min(options.code_bytes, kCodeArenaBytes),
                                            &NewCompiler, compiler_options, &CompileCallStub));
  return std::unique_ptr<Engine>(new Engine(std::move(env), options.features));
}

absl::StatusOr<std::shared_ptr<LoadedModule>> Engine::Load(
    std::shared_ptr<const std::vector<std::byte>> bytes, const LoadOptions& options) const {
  WASMD_RETURN_IF_ERROR(CheckCancel(options));
  WASMD_ASSIGN_OR_RETURN(Module module, DecodeModule(*bytes, features_, options.cancel));
  WASMD_RETURN_IF_ERROR(CheckCancel(options));
  const int threads = std::max(options.threads, 1);
  WASMD_RETURN_IF_ERROR(ValidateModule(module, threads, options.cancel));
  WASMD_RETURN_IF_ERROR(CheckCancel(options));
  WASMD_ASSIGN_OR_RETURN(
      std::shared_ptr<LoadedModule> loaded,
      LoadedModule::Create(env_, std::move(bytes), std::move(module), options.tier,
                           options.is_metered, options.code_accountant));
  if (options.mode == CompileMode::kEager) {
    WASMD_RETURN_IF_ERROR(loaded->CompileAll(
        {.threads = threads, .cancel = options.cancel, .progress = options.progress}));
  }
  return loaded;
}

absl::StatusOr<std::shared_ptr<LoadedModule>> Engine::Load(std::vector<std::byte> bytes,
                                                           const LoadOptions& options) const {
  return Load(std::make_shared<const std::vector<std::byte>>(std::move(bytes)), options);
}

absl::Status Engine::ReinstallSignalHandlers() {
  return InstallSignalActions();
}

BoundsChecks Engine::bounds_checks() const {
  return env_->compiler_options().bounds_checks;
}

void Engine::PrepareThread() {
  static_cast<void>(PreparedThread(reinterpret_cast<uint64_t>(__builtin_frame_address(0))));
}

}  // namespace wasmd::engine
