// The baseline tier behind the Compiler interface.
#include <memory>

#include "engine/base/status_macros.h"
#include "engine/compile/baseline/function_compiler.h"
#include "engine/compile/compiler.h"
#include "engine/validate/function_walker.h"

namespace wasmd::engine {
namespace {

class BaselineCompiler final : public Compiler {
 public:
  BaselineCompiler(const Module& module, const ContextLayout& layout,
                   const CompilerOptions& options)
      : module_(module), compiler_(module, layout, options) {}

  absl::Status CompileFunction(uint32_t func_index, CompiledFunction& out) override {
    out.Clear();
    compiler_.Begin(func_index);
    FunctionWalker<baseline::FunctionCompiler> walker(module_, func_index, compiler_, scratch_);
    if (!walker.Run() && !compiler_.failed()) {
      return walker.error();
    }
    return compiler_.Finish(out);
  }
  void set_cancel(CancelFlag cancel) override { scratch_.cancel = cancel; }

 private:
  const Module& module_;
  WalkerScratch scratch_;
  baseline::FunctionCompiler compiler_;
};

}  // namespace

std::unique_ptr<Compiler> NewBaselineCompiler(const Module& module, const ContextLayout& layout,
                                              const CompilerOptions& options) {
  return std::make_unique<BaselineCompiler>(module, layout, options);
}

}  // namespace wasmd::engine
