#include "client/cli/listen.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"

#include "client/cli/arguments.h"
#include "client/cpp/text.h"

namespace wasmd::cli {
namespace {

using client::Cat;

std::string Bracketed(const std::string& host, const std::string& port) {
  return absl::StrContains(host, ':') ? Cat("[", host, "]:", port) : Cat(host, ":", port);
}

std::string BoundAddress(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "";
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof(host), port,
                  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "?";
  }
  return Bracketed(host, port);
}

}  // namespace

absl::StatusOr<Listening> ListenTcp(const TcpListenSpec& spec) {
  const std::string where = Bracketed(spec.host, spec.port);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(spec.host.c_str(), spec.port.c_str(), &hints, &found);
      error != 0) {
    return absl::InvalidArgumentError(Cat("--tcplisten ", where, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  const int fd = socket(addresses->ai_family, addresses->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                        addresses->ai_protocol);
  const int yes = 1;
  // Without it, a program that is started again at once finds its address taken.
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
      bind(fd, addresses->ai_addr, addresses->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    if (fd >= 0) {
      close(fd);
    }
    return absl::Status(absl::ErrnoToStatusCode(error),
                        Cat("--tcplisten ", where, ": ", strerror(error)));
  }
  return Listening{.fd = fd, .address = BoundAddress(fd)};
}

absl::Status CheckStreamSocket(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return absl::InvalidArgumentError(Cat("--listen-fd ", fd, ": ", strerror(errno)));
  }
  if (type != SOCK_STREAM) {
    return absl::InvalidArgumentError(Cat("--listen-fd ", fd, ": not a stream socket"));
  }
  return absl::OkStatus();
}

}  // namespace wasmd::cli
