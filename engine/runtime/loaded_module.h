// LoadedModule: a validated module with its code, ready to be instantiated by any store of its
// engine.
//
// Made by Engine::Load. Functions are compiled when first called, on the caller's thread; two
// threads that call the same one wait for one compilation. Thread-safe. Shared by its instances
// and by the backtraces that it is in: the last one frees the code.
#ifndef WASMD_ENGINE_RUNTIME_LOADED_MODULE_H_
#define WASMD_ENGINE_RUNTIME_LOADED_MODULE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/base/accountant.h"
#include "engine/compile/compiler.h"
#include "engine/runtime/extern_type.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

class ModuleCode;
class RuntimeEnv;

struct CodeStats {
  uint32_t functions = 0;  // Defined ones.
  uint32_t functions_compiled = 0;
  uint64_t wasm_bytes = 0;    // Of the code section.
  uint64_t code_bytes = 0;    // Machine code made so far.
  uint64_t arena_bytes = 0;   // What that takes of the process's code arena.
  uint64_t compile_work = 0;  // See CompileWorkLimit in engine/wasm/limits.h.
  uint64_t compile_ns = 0;    // CPU-independent: summed wall time of the threads that compiled.
};

// For long work: `cancel`, if set, is looked at between functions and every 64 KiB of one;
// `progress` is called from any of the threads, one at a time, with ascending `done`.
struct CompileOptions {
  int threads = 1;  // At least 1: the caller's.
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(uint64_t done, uint64_t total)> progress =
      nullptr;  // Bytes of function bodies.
};

class LoadedModule : public std::enable_shared_from_this<LoadedModule> {
 public:
  class Impl;
  // For Engine::Load. `module` is validated and refers into `bytes`. `code_accountant`: as
  // LoadOptions'.
  static absl::StatusOr<std::shared_ptr<LoadedModule>> Create(
      std::shared_ptr<RuntimeEnv> env, std::shared_ptr<const std::vector<std::byte>> bytes,
      Module module, Tier tier, bool is_metered, std::shared_ptr<Accountant> code_accountant);
  LoadedModule(const LoadedModule&) = delete;
  LoadedModule& operator=(const LoadedModule&) = delete;
  ~LoadedModule();

  const Module& module() const;
  // The name section's module name, or empty.
  std::string_view name() const;
  std::vector<ImportType> imports() const;
  std::vector<ExportType> exports() const;
  // What a person would call the function: the name section's, else the first export's, else empty.
  std::string func_name(uint32_t func_index) const;
  CodeStats stats() const;
  // Its code counts fuel (engine/abi/fuel.h).
  bool is_metered() const;
  // The same module with code that does; itself if its own does. Made when first asked for, and
  // kept: its code is compiled beside the other.
  std::shared_ptr<LoadedModule> Metered();

  // Compiles what is not compiled yet. kCancelled: `cancel` was set. kResourceExhausted: the code
  // arena is full, or the accountant refuses; what is compiled stays. May run while instances run.
  absl::Status CompileAll(const CompileOptions& options);

  Impl& impl() const { return *impl_; }

 private:
  explicit LoadedModule(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // Shared with backtraces.
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_LOADED_MODULE_H_
