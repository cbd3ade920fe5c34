// ServiceManager: told how we are, by systemd's documented protocol: datagrams to $NOTIFY_SOCKET.
#ifndef WASMD_DAEMON_MAIN_NOTIFY_H_
#define WASMD_DAEMON_MAIN_NOTIFY_H_

#include <string_view>

#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

// Thread-safe.
class ServiceManager {
 public:
  // Connects. Before the daemon confines itself, which makes no sockets afterwards.
  ServiceManager();

  // "READY=1", "STOPPING=1". Nothing happens where no manager listens; never blocks.
  void Notify(std::string_view state) const;

 private:
  engine::UniqueFd socket_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_MAIN_NOTIFY_H_
