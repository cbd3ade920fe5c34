// LoadedModule's inside, for engine/runtime alone.
#ifndef WASMD_ENGINE_RUNTIME_LOADED_MODULE_IMPL_H_
#define WASMD_ENGINE_RUNTIME_LOADED_MODULE_IMPL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"

#include "engine/abi/instance_context.h"
#include "engine/base/cancel_flag.h"
#include "engine/base/mutex.h"
#include "engine/code/module_code.h"
#include "engine/compile/compiler.h"
#include "engine/runtime/loaded_module.h"
#include "engine/runtime/memory_slots.h"
#include "engine/runtime/runtime_env.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

// Shared with backtraces, which look names up later.
class LoadedModule::Impl : public std::enable_shared_from_this<LoadedModule::Impl> {
 public:
  Impl(std::shared_ptr<RuntimeEnv> env, std::shared_ptr<const std::vector<std::byte>> bytes,
       Module module, Tier tier, bool is_metered, std::shared_ptr<Accountant> code_accountant);
  ~Impl();

  // The function's code, compiled now if it was not. kResourceExhausted: code memory; kInternal:
  // the compiler refused what was validated. May be tried again.
  // kCancelled: `cancel` was set.
  absl::StatusOr<const void*> EnsureCompiled(uint32_t func_index, CancelFlag cancel = {});
  absl::Status CompileAll(const CompileOptions& options);
  CodeStats stats() const;

  const Module& module() const { return module_; }
  const ContextLayout& layout() const { return layout_; }
  const ModuleCode& code() const { return code_; }
  const std::atomic<const void*>* func_table() const { return func_table_.get(); }
  const std::vector<uint32_t>& type_ids() const { return type_ids_; }
  const RegisteredType& type_of_func(uint32_t func_index) const {
    return *types_[module_.funcs[func_index].type_index];
  }
  RuntimeEnv& env() const { return *env_; }
  bool is_metered() const { return is_metered_; }
  std::shared_ptr<LoadedModule> Metered();
  // By memory index, made by the first who asks. Null: that memory has none. See
  // MakeMemoryImages.
  const std::vector<std::shared_ptr<const MemoryImage>>& memory_images();
  // Null: no such export.
  const Export* FindExport(std::string_view name) const;
  std::string_view FirstExportOfFunc(uint32_t func_index) const;

 private:
  class CompilerLease;

  // kResourceExhausted: beyond ModuleCompileWorkLimit.
  absl::Status TakeWork(uint64_t work);
  bool is_compiled(uint32_t func_index) const {
    return !env_->arena().IsLazyStub(func_table_[func_index].load(std::memory_order_acquire));
  }

  const std::shared_ptr<RuntimeEnv>
      env_;  // Shared: the arena's quota and the types outlive the engine with us.
  const std::shared_ptr<const std::vector<std::byte>> bytes_;
  const Module module_;
  const Tier tier_;
  const bool is_metered_;
  const ContextLayout layout_;
  std::vector<const RegisteredType*> types_;  // By type index.
  std::vector<uint32_t> type_ids_;            // Theirs.
  absl::flat_hash_map<std::string_view, const Export*> exports_;
  absl::flat_hash_map<uint32_t, std::string_view> export_of_func_;
  std::unique_ptr<std::atomic<const void*>[]> func_table_;
  ModuleCode code_;
  std::once_flag memory_images_once_;
  std::vector<std::shared_ptr<const MemoryImage>> memory_images_;
  std::atomic<uint32_t> compiled_count_{0};
  std::atomic<uint64_t> compile_ns_{0};
  std::atomic<uint64_t> compile_work_{0};

  Mutex mutex_;
  CondVar compiled_;
  std::shared_ptr<LoadedModule> metered_ ABSL_GUARDED_BY(mutex_);  // Null until it is asked for.
  absl::flat_hash_set<uint32_t> compiling_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Compiler>> idle_compilers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_LOADED_MODULE_IMPL_H_
