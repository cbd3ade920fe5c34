// Listener: accepts connections, finds out what each speaks, and passes it on.
//
// The first four bytes decide, looked at without being taken: HTTP/2 goes to gRPC, our magics are
// the descriptor handshake (handshake_connection.h) and the attaching of a channel
// (channel_connection.h), and whatever else it is, or says nothing in time, is closed. One thread
// does all of it.
//
// Thread-safe. Shutdown() comes before the destructor.
#ifndef WASMD_DAEMON_LISTENER_LISTENER_H_
#define WASMD_DAEMON_LISTENER_LISTENER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "daemon/channel/channel_manager.h"
#include "daemon/listener/bind.h"
#include "daemon/session/session_manager.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

class Listener {
 public:
  // Takes over an HTTP/2 connection. Called on the listener's thread.
  using OnHttp2 = std::function<void(engine::UniqueFd)>;

  // `sessions` and `channels` outlive it.
  Listener(SessionManager& sessions, ChannelManager& channels, std::vector<BoundSocket> sockets,
           OnHttp2 on_http2);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  void Start();
  // Connections that are open, of both kinds.
  uint32_t connection_count() const;
  // Closes the sockets and removes their files. Connections stay.
  void StopAccepting();
  // Closes handshake connections, and with them their sessions, and ends the thread.
  void Shutdown();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_LISTENER_LISTENER_H_
