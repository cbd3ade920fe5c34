// Runs one converted script of the official test suite through the engine.
//
// The format is `wasm-tools json-from-wast`'s: a JSON file of commands, the modules beside it.
// Single-thread; a script is self-contained, so scripts may run in as many processes as there are.
#ifndef WASMD_TESTS_SPEC_SCRIPT_RUNNER_H_
#define WASMD_TESTS_SPEC_SCRIPT_RUNNER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/api/engine.h"

namespace wasmd::tests {

struct ScriptResult {
  uint32_t passed = 0;
  uint32_t failed = 0;
  // About the text format or custom sections only: a binary engine has nothing to say.
  uint32_t not_applicable = 0;
  // By their places in the script.
  std::vector<uint32_t> failed_commands;
  // "line 12: assert_return: expected i32:1, got i32:2". At most kMaxFailureMessages.
  std::vector<std::string> failures;
  bool ok() const { return failed == 0; }
};

inline constexpr size_t kMaxFailureMessages = 20;

// Never fails as a whole: a script that cannot be read is one failure.
ScriptResult RunScript(const engine::Engine& engine, const std::filesystem::path& script,
                       const engine::LoadOptions& options);

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SPEC_SCRIPT_RUNNER_H_
