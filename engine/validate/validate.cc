#include "engine/validate/validate.h"

#include <cstdint>

#include "absl/status/status.h"

#include "engine/validate/function_sink.h"
#include "engine/validate/function_walker.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

absl::Status ValidateFunction(const Module& module, uint32_t func_index, WalkerScratch& scratch) {
  NullSink sink;
  FunctionWalker<NullSink> walker(module, func_index, sink, scratch);
  return walker.Run() ? absl::OkStatus() : walker.error();
}

absl::Status ValidateModule(const Module& module, int threads) {
  WalkerScratch scratch;
  (void)threads;
  for (auto i = module.imported_funcs; i < module.funcs.size(); ++i) {
    if (absl::Status status = ValidateFunction(module, i, scratch); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace wasmd::engine
