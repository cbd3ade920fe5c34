#include "daemon/listener/bind.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/options.h"
#include "daemon/config/parse.h"
#include "daemon/config/text.h"
#include "engine/base/status_macros.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {
namespace {

using engine::UniqueFd;

std::string Why(int error) {
  return std::strerror(error);
}  // NOLINT(concurrency-mt-unsafe)

absl::Status CannotListen(const ListenAddress& address, std::string_view why,
                          absl::StatusCode code = absl::StatusCode::kFailedPrecondition) {
  return {code, StrCat("cannot listen on ", ToString(address), ": ", why)};
}

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

absl::Status CheckPath(const ListenAddress& address) {
  const std::string& path = address.path;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return CannotListen(address,
                        StrCat("the path has ", path.size(), " bytes and the kernel takes ",
                               sizeof(sockaddr_un::sun_path) - 1),
                        absl::StatusCode::kInvalidArgument);
  }
  const std::string parent = ParentOf(path);
  struct stat folder{};
  if (::stat(parent.c_str(), &folder) != 0) {
    return errno == ENOENT
               ? CannotListen(address, StrCat("the directory ", parent, " does not exist"),
                              absl::StatusCode::kNotFound)
               : CannotListen(address, StrCat(parent, ": ", Why(errno)),
                              absl::StatusCode::kPermissionDenied);
  }
  if (!S_ISDIR(folder.st_mode)) {
    return CannotListen(address, StrCat(parent, " is no directory"));
  }
  return absl::OkStatus();
}

// The lock file is removed when its owner ends, so a lock counts only if it is on the file that is
// there now.
absl::StatusOr<UniqueFd> Lock(const ListenAddress& address) {
  constexpr int kAttempts = 10;
  const std::string path = address.path + ".lock";
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) {
      return CannotListen(address, StrCat("no permission to create ", path, ": ", Why(errno)),
                          absl::StatusCode::kPermissionDenied);
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      return CannotListen(address, "another wasmd is listening there",
                          absl::StatusCode::kAlreadyExists);
    }
    struct stat locked{};
    struct stat there{};
    if (::fstat(lock.get(), &locked) == 0 && ::stat(path.c_str(), &there) == 0 &&
        locked.st_ino == there.st_ino && locked.st_dev == there.st_dev) {
      return lock;
    }
  }
  return CannotListen(address, StrCat(path, " keeps changing"), absl::StatusCode::kAborted);
}

// Removes a socket file that nobody listens on; anything else at the path is an error.
absl::Status RemoveStale(const ListenAddress& address) {
  struct stat there{};
  if (::lstat(address.path.c_str(), &there) != 0) {
    return errno == ENOENT ? absl::OkStatus()
                           : CannotListen(address, Why(errno), absl::StatusCode::kPermissionDenied);
  }
  if (S_ISDIR(there.st_mode)) {
    return CannotListen(address, "it is a directory; name a file in it");
  }
  if (!S_ISSOCK(there.st_mode)) {
    return CannotListen(address, "there is a file that is no socket");
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un name = UnixAddress(address.path);
  if (::connect(probe.get(), Generic(name), sizeof(name)) == 0 || errno == EAGAIN) {
    return CannotListen(address, "a live process is listening there",
                        absl::StatusCode::kAlreadyExists);
  }
  if (errno != ECONNREFUSED) {
    return CannotListen(address,
                        StrCat("a socket is there, and connecting to it says: ", Why(errno)),
                        absl::StatusCode::kPermissionDenied);
  }
  if (::unlink(address.path.c_str()) != 0) {
    return CannotListen(address, StrCat("the stale socket cannot be removed: ", Why(errno)),
                        absl::StatusCode::kPermissionDenied);
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> ListenUnix(const ListenAddress& address, uint32_t mode) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return CannotListen(address, Why(errno), absl::StatusCode::kResourceExhausted);
  }
  const sockaddr_un name = UnixAddress(address.path);
  // Never open to more than `mode`, not even between bind and a chmod. The umask is the process's:
  // no thread runs yet.
  const mode_t old_mask = ::umask(0777 & ~static_cast<mode_t>(mode));
  const int bound = ::bind(fd.get(), Generic(name), sizeof(name));
  const int bind_error = errno;
  ::umask(old_mask);
  if (bound != 0) {
    return CannotListen(address, Why(bind_error),
                        bind_error == EACCES ? absl::StatusCode::kPermissionDenied
                                             : absl::StatusCode::kFailedPrecondition);
  }
  if (::listen(fd.get(), SOMAXCONN) != 0) {
    return CannotListen(address, Why(errno));
  }
  return fd;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

absl::StatusOr<UniqueFd> ListenTcp(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int found =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &raw);
  const std::unique_ptr<addrinfo, FreeAddresses> list(raw);
  if (found != 0) {
    return CannotListen(address, ::gai_strerror(found), absl::StatusCode::kNotFound);
  }
  UniqueFd fd(::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return CannotListen(address, Why(errno), absl::StatusCode::kResourceExhausted);
  }
  if (::bind(fd.get(), list->ai_addr, list->ai_addrlen) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0) {
    return errno == EADDRINUSE
               ? CannotListen(address, "the address is in use", absl::StatusCode::kAlreadyExists)
               : CannotListen(address, Why(errno),
                              errno == EACCES ? absl::StatusCode::kPermissionDenied
                                              : absl::StatusCode::kFailedPrecondition);
  }
  return fd;
}

uint16_t PortOf(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    return 0;
  }
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&name)->sin6_port
                                          : reinterpret_cast<const sockaddr_in*>(&name)->sin_port);
}

}  // namespace

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<BoundSocket> BoundSocket::Bind(const ListenAddress& address, uint32_t mode) {
  if (address.kind == ListenAddress::Kind::kTcp) {
    WASMD_ASSIGN_OR_RETURN(UniqueFd fd, ListenTcp(address));
    ListenAddress actual = address;
    actual.port = PortOf(fd.get());
    return BoundSocket(std::move(actual), std::move(fd), UniqueFd());
  }
  WASMD_RETURN_IF_ERROR(CheckPath(address));
  struct stat there{};
  if (::lstat(address.path.c_str(), &there) == 0 && S_ISDIR(there.st_mode)) {
    return CannotListen(address, "it is a directory; name a file in it");
  }
  WASMD_ASSIGN_OR_RETURN(UniqueFd lock, Lock(address));
  const absl::Status free = RemoveStale(address);
  absl::StatusOr<UniqueFd> fd = free.ok() ? ListenUnix(address, mode) : free;
  if (!fd.ok()) {
    static_cast<void>(::unlink((address.path + ".lock").c_str()));
    return fd.status();
  }
  return BoundSocket(address, *std::move(fd), std::move(lock));
}

BoundSocket::~BoundSocket() {
  if (lock_) {
    // The lock is still held: nobody else has made either file.
    static_cast<void>(::unlink(address_.path.c_str()));
    static_cast<void>(::unlink((address_.path + ".lock").c_str()));
  }
}

absl::Status MakePrivateFolder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::FailedPreconditionError(StrCat("cannot create ", folder, ": ", Why(errno)));
  }
  struct stat made{};
  if (::lstat(folder.c_str(), &made) != 0 || !S_ISDIR(made.st_mode) || made.st_uid != ::geteuid() ||
      (made.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(
        StrCat(folder, " must be a directory that belongs to this user alone (mode 0700)"));
  }
  return absl::OkStatus();
}

}  // namespace wasmd::daemon
