// Any bytes at all through decoder, validator and printers: refused or accepted, never a crash, and
// every sink gets the same verdict on a body.

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/base/check.h"
#include "engine/binary/decode_module.h"
#include "engine/text/disassembler.h"
#include "engine/text/print.h"
#include "engine/validate/function_walker.h"
#include "engine/validate/validate.h"
#include "engine/wasm/module.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wasmd::engine;  // NOLINT(google-build-using-namespace)
  const absl::StatusOr<Module> module = DecodeModule(std::as_bytes(std::span(data, size)));
  if (!module.ok()) {
    return 0;
  }
  (void)PrintModule(*module);
  const absl::Status verdict = ValidateModule(*module, 1);
  WalkerScratch scratch;
  bool is_valid = true;
  for (uint32_t i = module->imported_funcs; i < module->funcs.size(); ++i) {
    const bool ok = ValidateFunction(*module, i, scratch).ok();
    WASMD_CHECK(DisassembleFunction(*module, i).ok() == ok);
    is_valid = is_valid && ok;
  }
  WASMD_CHECK(verdict.ok() == is_valid);
  return 0;
}
