// Wat: the text format to a wasm binary, by wabt. For tests.
//
// wabt does not validate here, so that invalid modules can be written as text too; it knows
// wasm 2.0 and the proposals of 2022. Names in the text become a name section.
#ifndef WASMD_TESTS_SUPPORT_WAT_H_
#define WASMD_TESTS_SUPPORT_WAT_H_

#include <string_view>

#include "tests/support/wasm_builder.h"

namespace wasmd::engine {

// Aborts, with wabt's message, where `text` does not parse. Thread-safe.
Bytes Wat(std::string_view text);

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_SUPPORT_WAT_H_
