// The options by name: one table for the command line, the configuration file and --help.
#ifndef WASMD_DAEMON_CONFIG_OPTION_TABLE_H_
#define WASMD_DAEMON_CONFIG_OPTION_TABLE_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {

// One option: flag --name, key "name" of the configuration file.
struct OptionRow {
  std::string name;
  std::string group;        // Heading in --help.
  std::string placeholder;  // "SIZE".
  std::string help;
  std::string default_text;  // Empty: none to show.
  bool repeatable = false;   // Each occurrence adds one; a file's list is replaced by the flags'.
  // Reads one value. kInvalidArgument says what is wrong with the value, without the option's name.
  std::function<absl::Status(std::string_view value, Options& options)> set;
  std::function<void(Options& options)> clear;  // Repeatable ones.
};

std::vector<OptionRow> OptionTable();

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CONFIG_OPTION_TABLE_H_
