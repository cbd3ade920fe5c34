// Server: the daemon's parts put together, and their life.
//
//   Create: directories, sockets bound, confined, engine, threads started
//   Drain:  nothing new, what runs may end
//   ~Server
//
// Create fails with one line for the user. Single-thread: main's.
#ifndef WASMD_DAEMON_MAIN_SERVER_H_
#define WASMD_DAEMON_MAIN_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {

class Server {
 public:
  // From here on the process is confined as options.sandbox says (daemon/sandbox/sandbox.h).
  static absl::StatusOr<std::unique_ptr<Server>> Create(Options options, std::string_view version);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Stops whatever still runs.
  ~Server();

  // "unix:/run/wasmd.sock", with the ports that the kernel chose.
  const std::vector<std::string>& addresses() const;

  // Refuses new work. Then waits until nothing runs; gives up at `deadline`, or when `hurry` says
  // so (it is asked often). What runs then is interrupted.
  void Drain(absl::Time deadline, const std::function<bool()>& hurry);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_MAIN_SERVER_H_
