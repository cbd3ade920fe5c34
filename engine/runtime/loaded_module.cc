#include "engine/runtime/loaded_module.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"
#include "engine/platform/thread.h"
#include "engine/runtime/loaded_module_impl.h"
#include "engine/wasm/limits.h"

namespace wasmd::engine {
namespace {

// Compilers kept for the next lazy compilation: their scratch memory is worth keeping, a hundred of
// them is not.
constexpr size_t kMaxIdleCompilers = 4;
// Between two looks at the cancel flag of who waits for another's compilation of the same function.
constexpr std::chrono::milliseconds kCancelTick(1);
constexpr int kMaxCompileThreads = 256;

}  // namespace

// A compiler and its output buffers, for one thread at a time.
class LoadedModule::Impl::CompilerLease {
 public:
  explicit CompilerLease(Impl& impl) : impl_(impl) {
    {
      const MutexLock lock(impl.mutex_);
      if (!impl.idle_compilers_.empty()) {
        compiler_ = std::move(impl.idle_compilers_.back());
        impl.idle_compilers_.pop_back();
      }
    }
    if (compiler_ == nullptr) {
      CompilerOptions options = impl.env_->compiler_options();
      options.is_metered = impl.is_metered_;
      compiler_ = impl.env_->compilers()(impl.tier_, impl.module_, impl.layout_, options);
    }
  }
  CompilerLease(const CompilerLease&) = delete;
  CompilerLease& operator=(const CompilerLease&) = delete;
  ~CompilerLease() {
    const MutexLock lock(impl_.mutex_);
    if (impl_.idle_compilers_.size() < kMaxIdleCompilers) {
      impl_.idle_compilers_.push_back(std::move(compiler_));
    }
  }

  // The caller has claimed the function in compiling_.
  absl::StatusOr<const void*> Compile(uint32_t func_index, CancelFlag cancel) {
    const auto begin = std::chrono::steady_clock::now();
    compiler_->set_cancel(cancel);
    absl::Status status = compiler_->CompileFunction(func_index, output_);
    if (status.ok()) {
      status = impl_.TakeWork(output_.work);
    }
    absl::StatusOr<const void*> code = nullptr;
    if (status.ok()) {
      code = impl_.code_.Append(func_index, output_.code, output_.sites, output_.handlers);
    } else if (absl::IsInvalidArgument(status)) {
      // Bodies are validated before.
      code = absl::InternalError(
          StrCat("the compiler refuses a validated function: ", status.message()));
    } else {
      code = status;
    }
    if (code.ok()) {
      // Pairs with the acquire in is_compiled and in generated code (every load on x86 is one).
      impl_.func_table_[func_index].store(*code, std::memory_order_release);
      impl_.compiled_count_.fetch_add(1, std::memory_order_relaxed);
    }
    const auto took = std::chrono::steady_clock::now() - begin;
    impl_.compile_ns_.fetch_add(
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()),
        std::memory_order_relaxed);
    return code;
  }

 private:
  Impl& impl_;
  std::unique_ptr<Compiler> compiler_;
  CompiledFunction output_;
};

LoadedModule::Impl::Impl(std::shared_ptr<RuntimeEnv> env,
                         std::shared_ptr<const std::vector<std::byte>> bytes, Module module,
                         Tier tier, bool is_metered, std::shared_ptr<Accountant> code_accountant)
    : env_(std::move(env)),
      bytes_(std::move(bytes)),
      module_(std::move(module)),
      tier_(tier),
      is_metered_(is_metered),
      layout_(module_),
      func_table_(new std::atomic<const void*>[module_.funcs.size()]),
      code_(env_->arena(), env_->quota(), this, std::move(code_accountant)) {
  types_.reserve(module_.types.size());
  type_ids_.reserve(module_.types.size());
  for (const FuncType& type : module_.types) {
    types_.push_back(&env_->types().Acquire(type));
    type_ids_.push_back(types_.back()->id);
  }
  exports_.reserve(module_.exports.size());
  for (const Export& item : module_.exports) {
    exports_.emplace(item.name, &item);
    if (item.kind == ExternKind::kFunc) {
      export_of_func_.emplace(item.index, item.name);
    }
  }
  const auto func_count = static_cast<uint32_t>(module_.funcs.size());
  env_->arena().EnsureStubs(func_count);
  for (uint32_t i = 0; i < func_count; ++i) {
    func_table_[i].store(env_->arena().LazyStub(i), std::memory_order_relaxed);
  }
}

LoadedModule::Impl::~Impl() {
  for (const RegisteredType* type : types_) {
    env_->types().Release(*type);
  }
}

absl::Status LoadedModule::Impl::TakeWork(uint64_t work) {
  const uint64_t limit = ModuleCompileWorkLimit(module_.code_section_bytes);
  if (compile_work_.fetch_add(work, std::memory_order_relaxed) + work <= limit) {
    return absl::OkStatus();
  }
  compile_work_.fetch_sub(work, std::memory_order_relaxed);
  return absl::ResourceExhaustedError(
      StrCat("the module's functions become too much machine code: with ",
             module_.code_section_bytes, " bytes of code the limit is ", limit,
             " bytes and operands to move (kModuleCompileWorkBase)"));
}

absl::StatusOr<const void*> LoadedModule::Impl::EnsureCompiled(uint32_t func_index,
                                                               CancelFlag cancel) {
  WASMD_CHECK(func_index < module_.funcs.size() && !module_.is_imported_func(func_index));
  {
    const MutexLock lock(mutex_);
    while (true) {
      if (is_compiled(func_index)) {
        return func_table_[func_index].load(std::memory_order_acquire);
      }
      if (compiling_.insert(func_index).second) {
        break;
      }
      if (cancel.IsSet()) {
        return absl::CancelledError("compilation was cancelled");
      }
      static_cast<void>(compiled_.WaitFor(mutex_, kCancelTick));
    }
  }
  absl::StatusOr<const void*> code = CompilerLease(*this).Compile(func_index, cancel);
  const MutexLock lock(mutex_);
  compiling_.erase(func_index);
  compiled_.NotifyAll();
  return code;
}

absl::Status LoadedModule::Impl::CompileAll(const CompileOptions& options) {
  const auto count = static_cast<uint32_t>(module_.funcs.size());
  uint64_t total = 0;
  for (uint32_t i = module_.imported_funcs; i < count; ++i) {
    total += module_.funcs[i].body_bytes;
  }
  struct Shared {
    std::atomic<uint32_t> next;
    std::atomic<bool> failed{false};
    Mutex mutex;
    absl::Status status ABSL_GUARDED_BY(mutex);
    uint64_t done ABSL_GUARDED_BY(mutex) = 0;
  } shared;
  shared.next = module_.imported_funcs;
  const auto work = [&] {
    // Shows progress at most so often: the mutex is shared, and so is whatever the callback writes
    // to.
    const uint64_t progress_step = total / 200 + 1;
    uint64_t unreported = 0;
    const auto report = [&](bool last) {
      if (options.progress && (unreported >= progress_step || (last && unreported > 0))) {
        const MutexLock lock(shared.mutex);
        shared.done += unreported;
        unreported = 0;
        options.progress(shared.done, total);
      }
    };
    while (!shared.failed.load(std::memory_order_relaxed)) {
      const uint32_t index = shared.next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count) {
        break;
      }
      absl::Status status;
      if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)) {
        status = absl::CancelledError("compilation was cancelled");
      } else if (!is_compiled(index)) {
        status = EnsureCompiled(index, CancelFlag(options.cancel)).status();
      }
      if (!status.ok()) {
        const MutexLock lock(shared.mutex);
        shared.status.Update(status);
        shared.failed.store(true, std::memory_order_relaxed);
        break;
      }
      unreported += module_.funcs[index].body_bytes;
      report(false);
    }
    report(true);
  };
  std::vector<Thread> helpers;
  const int threads = std::clamp(options.threads, 1, kMaxCompileThreads);
  for (int i = 1; i < threads; ++i) {
    std::optional<Thread> helper = Thread::Start(work);
    if (!helper.has_value()) {
      break;  // Fewer threads do the same.
    }
    helpers.push_back(*std::move(helper));
  }
  work();
  for (Thread& helper : helpers) {
    helper.Join();
  }
  const MutexLock lock(shared.mutex);
  return shared.status;
}

const std::vector<std::shared_ptr<const MemoryImage>>& LoadedModule::Impl::memory_images() {
  std::call_once(memory_images_once_,
                 [this] { memory_images_ = MakeMemoryImages(module_, env_->memory_slots()); });
  return memory_images_;
}

CodeStats LoadedModule::Impl::stats() const {
  return {.functions = static_cast<uint32_t>(module_.funcs.size()) - module_.imported_funcs,
          .functions_compiled = compiled_count_.load(std::memory_order_relaxed),
          .wasm_bytes = module_.code_section_bytes,
          .code_bytes = code_.code_bytes(),
          .arena_bytes = code_.arena_bytes(),
          .compile_work = compile_work_.load(std::memory_order_relaxed),
          .compile_ns = compile_ns_.load(std::memory_order_relaxed)};
}

const Export* LoadedModule::Impl::FindExport(std::string_view name) const {
  const auto found = exports_.find(name);
  return found == exports_.end() ? nullptr : found->second;
}

std::string_view LoadedModule::Impl::FirstExportOfFunc(uint32_t func_index) const {
  const auto found = export_of_func_.find(func_index);
  return found == export_of_func_.end() ? std::string_view() : found->second;
}

LoadedModule::LoadedModule(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
LoadedModule::~LoadedModule() = default;

absl::StatusOr<std::shared_ptr<LoadedModule>> LoadedModule::Create(
    std::shared_ptr<RuntimeEnv> env, std::shared_ptr<const std::vector<std::byte>> bytes,
    Module module, Tier tier, bool is_metered, std::shared_ptr<Accountant> code_accountant) {
  WASMD_CHECK(module.bytes.data() == bytes->data() && module.bytes.size() == bytes->size());
  return std::shared_ptr<LoadedModule>(
      new LoadedModule(std::make_shared<Impl>(std::move(env), std::move(bytes), std::move(module),
                                              tier, is_metered, std::move(code_accountant))));
}

std::shared_ptr<LoadedModule> LoadedModule::Impl::Metered() {
  const MutexLock lock(mutex_);
  if (metered_ == nullptr) {
    // Validated already; what refers into the bytes goes on doing so.
    metered_ = *LoadedModule::Create(env_, bytes_, module_, tier_, /*is_metered=*/true,
                                     code_.accountant());
  }
  return metered_;
}

bool LoadedModule::is_metered() const {
  return impl_->is_metered();
}
std::shared_ptr<LoadedModule> LoadedModule::Metered() {
  return is_metered() ? shared_from_this() : impl_->Metered();
}

const Module& LoadedModule::module() const {
  return impl_->module();
}
std::string_view LoadedModule::name() const {
  return module().names.module_name;
}

std::vector<ImportType> LoadedModule::imports() const {
  std::vector<ImportType> types;
  types.reserve(module().imports.size());
  for (const Import& item : module().imports) {
    types.push_back({std::string(item.module), std::string(item.name),
                     ExternTypeOf(module(), item.kind, item.index)});
  }
  return types;
}

std::vector<ExportType> LoadedModule::exports() const {
  std::vector<ExportType> types;
  types.reserve(module().exports.size());
  for (const Export& item : module().exports) {
    types.push_back({std::string(item.name), ExternTypeOf(module(), item.kind, item.index)});
  }
  return types;
}

std::string LoadedModule::func_name(uint32_t func_index) const {
  const std::string_view name = module().func_name(func_index);
  return std::string(name.empty() ? impl_->FirstExportOfFunc(func_index) : name);
}

CodeStats LoadedModule::stats() const {
  return impl_->stats();
}
absl::Status LoadedModule::CompileAll(const CompileOptions& options) {
  return impl_->CompileAll(options);
}

}  // namespace wasmd::engine
