// Modules that cost as much as a module of their size can: each case spends its bytes on one thing
// (functions, locals, arms, nesting …) in the way that is dearest to decode, validate or compile.
//
// All are well-formed and valid; some are beyond a named limit and refused for that.
// tests/unit/engine/api/bounded_load_test.cc doubles them and compares counted work,
// scripts/bench.sh bounded reports time and memory.
#ifndef WASMD_TESTS_SUPPORT_HOSTILE_MODULES_H_
#define WASMD_TESTS_SUPPORT_HOSTILE_MODULES_H_

#include <cstddef>
#include <ostream>
#include <span>
#include <string_view>

#include "tests/support/wasm_builder.h"

namespace wasmd::engine {

struct HostileCase {
  std::string_view name;
  // Of no more than `size_bytes`, and close to it where nothing else is the limit.
  Bytes (*make)(size_t size_bytes);

  friend void PrintTo(const HostileCase& hostile, std::ostream* out) { *out << hostile.name; }
};

std::span<const HostileCase> HostileCases();

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_SUPPORT_HOSTILE_MODULES_H_
