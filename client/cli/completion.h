// Completion scripts for shells, made from the commands that wasmctl has.
#ifndef WASMD_CLIENT_CLI_COMPLETION_H_
#define WASMD_CLIENT_CLI_COMPLETION_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace wasmd::cli {

struct OptionSpec {
  std::vector<std::string> names;  // "-o", "--output"
  std::string description;
  bool takes_value = false;
  std::vector<std::string> choices;  // Of the value, where they are known.
};

// What completes an operand.
enum class Operand { kNone, kFile, kDigest, kShell };

struct CommandSpec {
  std::string name;  // "ls"
  std::string description;
  Operand operand = Operand::kNone;
  std::vector<OptionSpec> options;
  std::vector<CommandSpec> commands;
};

// kInvalidArgument: a shell other than bash, zsh and fish.
absl::StatusOr<std::string> CompletionScript(const CommandSpec& root, std::string_view shell);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_COMPLETION_H_
