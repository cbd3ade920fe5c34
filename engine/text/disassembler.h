// DisassembleFunction: a function body as text, an instruction a line with its byte offset.
//
//   func 1 fac (param i64) (result i64)
//   0x000036    local.get 0
//   0x000038    i64.eqz
//   0x000039    if (result i64)
//   0x00003b      i64.const 1
//   ...
//   0x00004a  end
//
// Offsets are those of error messages and backtraces. Unreachable code is shown too.
#ifndef WASMD_ENGINE_TEXT_DISASSEMBLER_H_
#define WASMD_ENGINE_TEXT_DISASSEMBLER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "engine/wasm/module.h"

namespace wasmd::engine {

// A defined function, not an import. Errors: the walker's, where the body is not valid.
absl::StatusOr<std::string> DisassembleFunction(const Module& module, uint32_t func_index);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TEXT_DISASSEMBLER_H_
