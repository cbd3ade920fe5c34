// The configuration file: TOML, with the flags' names as keys.
//
//   listen = ["unix:/run/wasmd.sock", "tcp:127.0.0.1:7070"]
//   max-runs = 16
//   module-store-size = "512MiB"
//   [root]
//   data = "/srv/data"
#ifndef WASMD_DAEMON_CONFIG_CONFIG_FILE_H_
#define WASMD_DAEMON_CONFIG_CONFIG_FILE_H_

#include <string>

#include "absl/status/status.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {

// Sets in `options` what the file says. kNotFound, kPermissionDenied, kInvalidArgument:
// "<path>:<line>: …".
absl::Status LoadConfigFile(const std::string& path, Options& options);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CONFIG_CONFIG_FILE_H_
