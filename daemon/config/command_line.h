// From argv and the configuration file to Options: defaults, then the file, then the flags.
#ifndef WASMD_DAEMON_CONFIG_COMMAND_LINE_H_
#define WASMD_DAEMON_CONFIG_COMMAND_LINE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {

struct CommandLine {
  Options options;
  // --help or --version was asked for: print this to stdout and end with success.
  std::string text;
};

// kInvalidArgument: an unknown flag or key, a value that cannot be read or is out of bounds; one
// line that says which and what is right. kNotFound and others: the configuration file cannot be
// read.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv,
                                             std::string_view version);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CONFIG_COMMAND_LINE_H_
