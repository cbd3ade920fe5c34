#include "daemon/main/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

ServiceManager::ServiceManager() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in the process sets variables.
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || (*path != '/' && *path != '@') ||
      std::strlen(path) >= sizeof(address.sun_path)) {
    return;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (*path == '@') {
    address.sun_path[0] = '\0';  // The abstract namespace.
  }
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  engine::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) {
    socket_ = std::move(socket);
  }
}

void ServiceManager::Notify(std::string_view state) const {
  if (socket_) {
    static_cast<void>(
        ::send(socket_.get(), state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }
}

}  // namespace wasmd::daemon
