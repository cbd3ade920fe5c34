// A wasmd of our own, for --spawn: on a socket in a private folder, ended and cleaned up with this
// object. The kernel ends it too, should we be killed.
#ifndef WASMD_CLIENT_CLI_SPAWNED_DAEMON_H_
#define WASMD_CLIENT_CLI_SPAWNED_DAEMON_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace wasmd::cli {

class SpawnedDaemon {
 public:
  // Starts `wasmd` from beside our own binary, or from PATH, and waits until it listens. kNotFound:
  // there is no wasmd. kUnavailable: it ended, or does not listen; with what it said.
  static absl::StatusOr<std::unique_ptr<SpawnedDaemon>> Start();
  ~SpawnedDaemon();
  SpawnedDaemon(const SpawnedDaemon&) = delete;
  SpawnedDaemon& operator=(const SpawnedDaemon&) = delete;

  std::string address() const { return "unix:" + socket_path(); }

 private:
  SpawnedDaemon() = default;
  std::string socket_path() const { return folder_ + "/wasmd.sock"; }
  std::string log_path() const { return folder_ + "/log"; }
  absl::Status WaitUntilItListens();

  std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_SPAWNED_DAEMON_H_
