// Engine: the façade. Include this header alone; it exports the ones of engine/runtime that an
// embedder needs.
//
//   absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create({});
//   absl::StatusOr<std::shared_ptr<LoadedModule>> module = (*engine)->Load(bytes, {});
//   Linker linker;
//   linker.DefineTyped("env", "print", [](int32_t n) { std::printf("%d\n", n); });
//   Store store((*engine)->runtime());
//   absl::StatusOr<Instantiation> made = linker.Instantiate(store, *module);
//   auto add = made->instance->TypedFunc<int32_t(int32_t, int32_t)>("add");
//   Outcome<int32_t> sum = (*add)(1, 2);
//
// Where types are known at run time only, Linker::DefineFunc and FuncHandle::Call take values.
//
// Four kinds of results, never mixed: absl::Status for bad input and environment, Outcome for what
// the guest did, aborts for our bugs, and nothing throws. What host functions throw is a trap.
//
// Process-wide are the code arena, the actions for SIGSEGV, SIGBUS and the interrupt signal
// (installed by the first engine, kept for the process's life; whatever is not ours goes to the
// action that was there before) and what is known of each thread. Threads need no preparation.
// Modules, stores and handles keep what they need of their engine alive.
#ifndef WASMD_ENGINE_API_ENGINE_H_
#define WASMD_ENGINE_API_ENGINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/abi/bounds_checks.h"      // IWYU pragma: export
#include "engine/base/accountant.h"        // IWYU pragma: export
#include "engine/code/code_memory.h"       // IWYU pragma: export
#include "engine/compile/compiler.h"       // IWYU pragma: export
#include "engine/runtime/extern_type.h"    // IWYU pragma: export
#include "engine/runtime/func_handle.h"    // IWYU pragma: export
#include "engine/runtime/host_func.h"      // IWYU pragma: export
#include "engine/runtime/instance.h"       // IWYU pragma: export
#include "engine/runtime/interrupt.h"      // IWYU pragma: export
#include "engine/runtime/linker.h"         // IWYU pragma: export
#include "engine/runtime/loaded_module.h"  // IWYU pragma: export
#include "engine/runtime/outcome.h"        // IWYU pragma: export
#include "engine/runtime/store.h"          // IWYU pragma: export
#include "engine/runtime/typed_func.h"     // IWYU pragma: export
#include "engine/runtime/typed_host.h"     // IWYU pragma: export
#include "engine/runtime/value.h"          // IWYU pragma: export
#include "engine/wasm/features.h"          // IWYU pragma: export

namespace wasmd::engine {

struct EngineOptions {
  // Machine code of all this engine's modules together, and of the stubs of untyped calls (64 KiB,
  // rarely more); at most kCodeArenaBytes, which the process's engines share.
  uint64_t code_bytes = uint64_t{1} << 30;
  // Guard pages need 8 GiB of address space for each memory. Where the system does not give the
  // first of them, or where this says so, all code checks its accesses; memories with 64-bit
  // addresses or small pages are always checked.
  BoundsChecks bounds_checks = BoundsChecks::kGuardPages;
  // What modules may use. A module that uses another feature is refused by name.
  FeatureSet features = {};
  // See CompilerOptions.
  bool deterministic_relaxed_simd = false;
  bool use_avx = true;
};

enum class CompileMode : uint8_t {
  kLazy,   // Each function on its first call.
  kEager,  // All of them in Load.
};

struct LoadOptions {
  CompileMode mode = CompileMode::kLazy;
  Tier tier = Tier::kBaseline;
  // The code counts fuel (engine/abi/fuel.h). See LoadedModule::Metered too.
  bool is_metered = false;
  // For validation and eager compilation. At least 1: the caller's.
  int threads = 1;
  // Looked at in bounded steps, well below a millisecond of work apart except where an instruction
  // has hundreds of thousands of targets: Load then returns kCancelled.
  const std::atomic<bool>* cancel = nullptr;
  // Eager compilation only; see CompileOptions::progress.
  std::function<void(uint64_t done, uint64_t total)> progress = nullptr;
  // Is charged for the bytes of machine code, whenever they are made, until the module has gone.
  // Where it refuses, a load fails with kResourceExhausted, and a call of a function that would
  // have to be compiled traps (kCompileError). Null: nobody. Shared: with the module.
  std::shared_ptr<Accountant> code_accountant = nullptr;
};

// Thread-safe.
class Engine {
 public:
  // kResourceExhausted, kUnavailable: the system refuses address space, a memfd or executable
  // memory, or see ReinstallSignalHandlers.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const EngineOptions& options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  // Decodes, validates and prepares a module. Errors as DecodeModule, ValidateModule and
  // LoadedModule::CompileAll.
  absl::StatusOr<std::shared_ptr<LoadedModule>> Load(
      std::shared_ptr<const std::vector<std::byte>> bytes, const LoadOptions& options) const;
  absl::StatusOr<std::shared_ptr<LoadedModule>> Load(std::vector<std::byte> bytes,
                                                     const LoadOptions& options) const;

  // What it came to: see EngineOptions.
  BoundsChecks bounds_checks() const;

  // What stores are made with.
  const std::shared_ptr<RuntimeEnv>& runtime() const { return env_; }

  // Signal handlers that the host has installed since the first engine see guests' faults before
  // ours do. If they hand on what is not theirs, all is well. If not, this puts ours in front of
  // them again, as Create does too; what is not a guest's then goes to them as before, and whatever
  // they hand on to still comes after them. Not while other threads change the actions of SIGSEGV,
  // SIGBUS or SIGSTKFLT. kResourceExhausted: for the 16th time. Does nothing where ours are first.
  static absl::Status ReinstallSignalHandlers();

  // Gets this thread ready to run guests, so that its first call doesn't pay for it. Never needed.
  static void PrepareThread();

 private:
  Engine(std::shared_ptr<RuntimeEnv> env, const FeatureSet& features);
  const FeatureSet features_;
  std::shared_ptr<RuntimeEnv>
      env_;  // Shared with modules and stores, which may outlive the engine.
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_API_ENGINE_H_
