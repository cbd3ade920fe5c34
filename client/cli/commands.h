// What each command does, once its arguments are known. All return the exit code (exit_code.h),
// having said what is to be said.
#ifndef WASMD_CLIENT_CLI_COMMANDS_H_
#define WASMD_CLIENT_CLI_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "client/cli/arguments.h"
#include "client/cli/report.h"
#include "client/cpp/client.h"

namespace wasmd::cli {

// What every command takes.
struct Common {
  std::string address;  // Empty: the default one.
  OutputFormat format = OutputFormat::kTable;
  bool spawn = false;
  // Of the request; for `run` and `call`, of the guest.
  absl::Duration timeout = absl::InfiniteDuration();
  std::stop_token stop;
};

struct RunArguments {
  std::string module;
  std::vector<std::string> args;  // Without argv[0].
  std::vector<DirSpec> dirs;
  std::vector<DirSpec> roots;
  std::vector<ScratchSpec> scratches;
  std::vector<ListenSpec> sockets;  // As the program sees them: those of --tcplisten first.
  std::vector<std::pair<std::string, std::string>> env;
  std::optional<std::string> argv0;
  std::optional<uint64_t> fuel = std::nullopt;
  client::InvocationLimits limits;
  std::string stdin_path;  // Empty: our own standard input.
  bool pass_descriptors = true;
  bool eager = false;
};
int Run(const Common& common, const RunArguments& arguments);

struct CallArguments {
  std::string module;
  std::string func;
  std::vector<std::string> args;
  // The input of a function on byte strings: the bytes themselves, "@FILE", or "-".
  std::optional<std::string> bytes;
  std::optional<uint64_t> fuel = std::nullopt;
  client::InvocationLimits limits;
};
int Call(const Common& common, const CallArguments& arguments);

int ModuleLoad(const Common& common, const std::vector<std::string>& files, bool eager);
int ModuleList(const Common& common, bool quiet);
int ModuleInspect(const Common& common, const std::string& module);
int ModuleRemove(const Common& common, const std::vector<std::string>& modules);

int Health(const Common& common);
int Info(const Common& common);
// WebAssembly's features by their proposals' names, and whether the daemon takes them.
int Features(const Common& common);

// Every limit in force, and what is used of it.
int Limits(const Common& common);

struct TopArguments {
  std::optional<uint32_t> count;  // None: for ever on a terminal, else once.
  absl::Duration interval = absl::Seconds(1);
};
int Top(const Common& common, const TopArguments& arguments);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_COMMANDS_H_
