// wasmctl's command line: what it may say, and what it does say.
#ifndef WASMD_CLIENT_CLI_COMMAND_LINE_H_
#define WASMD_CLIENT_CLI_COMMAND_LINE_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

#include "client/cli/commands.h"
#include "client/cli/completion.h"

namespace wasmd::cli {

struct ModuleLoadArguments {
  std::vector<std::string> files;
  bool eager = false;
};
struct ModuleListArguments {
  bool quiet = false;
};
struct ModuleInspectArguments {
  std::string module;
};
struct ModuleRemoveArguments {
  std::vector<std::string> modules;
};
struct HealthArguments {};
struct InfoArguments {};
struct FeaturesArguments {};
struct LimitsArguments {};
// Prints a text: help, the version, a completion script.
struct PrintArguments {
  std::string text;
};

struct CommandLine {
  Common common;
  std::variant<PrintArguments, RunArguments, CallArguments, ModuleLoadArguments,
               ModuleListArguments, ModuleInspectArguments, ModuleRemoveArguments, HealthArguments,
               InfoArguments, FeaturesArguments, LimitsArguments, TopArguments>
      command;
};

// `words` without the program's name. kInvalidArgument: one line that says what is wrong.
absl::StatusOr<CommandLine> ParseCommandLine(std::vector<std::string> words);

// All commands and options.
CommandSpec Commands();

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_COMMAND_LINE_H_
