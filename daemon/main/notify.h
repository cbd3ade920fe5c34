// Tells the service manager how we are, by systemd's documented protocol: a datagram to
// $NOTIFY_SOCKET.
#ifndef WASMD_DAEMON_MAIN_NOTIFY_H_
#define WASMD_DAEMON_MAIN_NOTIFY_H_

#include <string_view>

namespace wasmd::daemon {

// "READY=1", "STOPPING=1". Nothing happens where no manager listens; never blocks.
void NotifyServiceManager(std::string_view state);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_MAIN_NOTIFY_H_
