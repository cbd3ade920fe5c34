#include "client/cpp/posix.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <openssl/evp.h>

#include "client/cpp/client.h"
#include "client/cpp/text.h"

namespace wasmd::client {

namespace {

constexpr char kErrnoPayload[] = "wasmd/errno";

std::string ErrnoText(int error) {
  return std::generic_category().message(error);
}

// What stands at the path, if it is no socket.
std::string_view NotASocket(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || S_ISSOCK(info.st_mode)) {
    return "";
  }
  return S_ISDIR(info.st_mode) ? "a directory" : "a file";
}

absl::Status ConnectError(const Address& address, int error) {
  if (address.kind == Address::Kind::kUnix) {
    if (const std::string_view what = NotASocket(address.path); !what.empty()) {
      return WithErrno(
          absl::FailedPreconditionError(Cat(address.ToString(), " is ", what, ", not a socket")),
          error);
    }
  }
  std::string_view why;
  switch (error) {
    case ENOENT:
      why = "no such socket";
      break;
    case ECONNREFUSED:
      why = "nobody listens there";
      break;
    case EACCES:
    case EPERM:
      return WithErrno(
          absl::PermissionDeniedError(Cat("no permission to connect to ", address.ToString())),
          error);
    case EAGAIN:
    case EINPROGRESS:
    case ETIMEDOUT:
      return WithErrno(absl::DeadlineExceededError(
                           Cat("no answer from ", address.ToString(), " within the time limit")),
                       error);
    default:
      break;
  }
  return WithErrno(absl::UnavailableError(Cat("no wasmd at ", address.ToString(), ": ",
                                              why.empty() ? ErrnoText(error) : std::string(why))),
                   error);
}

// The socket's own time limit for connect, send and receive.
void SetSocketTimeout(int fd, absl::Duration timeout) {
  const timeval value = absl::ToTimeval(timeout);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof(value));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value));
}

absl::Duration Remaining(absl::Time deadline) {
  return std::clamp(deadline - absl::Now(), absl::Milliseconds(1), absl::Hours(1));
}

absl::StatusOr<Fd> ConnectUnix(const Address& address, absl::Time deadline) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (address.path.size() >= sizeof(where.sun_path)) {
    return absl::InvalidArgumentError(Cat("the path of ", address.ToString(), " is too long"));
  }
  std::memcpy(where.sun_path, address.path.data(), address.path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    return ErrnoStatus(errno, "socket");
  }
  SetSocketTimeout(fd.get(), Remaining(deadline));
  while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    if (errno != EINTR) {
      return ConnectError(address, errno);
    }
  }
  SetSocketTimeout(fd.get(), absl::ZeroDuration());
  return fd;
}

absl::StatusOr<Fd> ConnectTcp(const Address& address, absl::Time deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(address.host.c_str(), Cat(address.port).c_str(), &hints, &found);
  if (failure != 0) {
    return absl::UnavailableError(
        Cat("no wasmd at ", address.ToString(), ": ", gai_strerror(failure)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  int error = EADDRNOTAVAIL;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    Fd fd(socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, entry->ai_protocol));
    if (!fd.valid()) {
      error = errno;
      continue;
    }
    SetSocketTimeout(fd.get(), Remaining(deadline));
    if (connect(fd.get(), entry->ai_addr, entry->ai_addrlen) == 0) {
      SetSocketTimeout(fd.get(), absl::ZeroDuration());
      const int on = 1;
      setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
      return fd;
    }
    error = errno;
  }
  return ConnectError(address, error);
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

absl::Status WithErrno(absl::Status status, int error) {
  status.SetPayload(kErrnoPayload, absl::Cord(absl::string_view(Cat(error))));
  return status;
}

absl::Status ErrnoStatus(int error, std::string_view what) {
  return WithErrno(absl::Status(absl::ErrnoToStatusCode(error), Cat(what, ": ", ErrnoText(error))),
                   error);
}

std::optional<int> ErrnoOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kErrnoPayload);
  int error = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &error)) {
    return std::nullopt;
  }
  return error;
}

absl::StatusOr<Fd> ConnectSocket(const Address& address, absl::Time deadline) {
  return address.kind == Address::Kind::kUnix ? ConnectUnix(address, deadline)
                                              : ConnectTcp(address, deadline);
}

Ready WaitFor(int fd, short events, int wake_fd, absl::Time deadline) {
  for (;;) {
    std::array<pollfd, 2> polled = {pollfd{fd, events, 0}, pollfd{wake_fd, POLLIN, 0}};
    int timeout_ms = -1;
    if (deadline != absl::InfiniteFuture()) {
      const absl::Duration left = absl::Ceil(deadline - absl::Now(), absl::Milliseconds(1));
      timeout_ms =
          static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(left), 0, 3'600'000));
    }
    const int ready = poll(polled.data(), polled.size(), timeout_ms);
    if (ready == 0 && absl::Now() >= deadline) {
      return Ready::kDeadline;
    }
    if (ready > 0) {
      return polled[1].revents != 0 ? Ready::kWoken : Ready::kFd;
    }
  }
}

Fd MakeEvent() {
  return Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void SetEvent(const Fd& event) {
  eventfd_write(event.get(), 1);
}

absl::StatusOr<Fd> OpenFile(std::string_view path) {
  // Not blocking: a FIFO that nobody writes to must not hang the open. Reads wait by poll.
  Fd fd(open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    return ErrnoStatus(errno, path);
  }
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, path);
  }
  if (S_ISDIR(info.st_mode)) {
    return WithErrno(absl::FailedPreconditionError(Cat(path, ": is a directory")), EISDIR);
  }
  if (S_ISFIFO(info.st_mode)) {
    // Readers of a FIFO see its end only after a writer came: wait for one as usual.
    Fd blocking(open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC));
    if (blocking.valid()) {
      return blocking;
    }
  }
  return fd;
}

std::optional<size_t> RegularFileSize(int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return std::nullopt;
  }
  return static_cast<size_t>(info.st_size);
}

absl::StatusOr<std::string> ReadAll(int fd, size_t limit_bytes, std::string_view name) {
  const auto over_limit = [&] {
    return absl::ResourceExhaustedError(
        Cat(name, ": over the daemon's limit of ", limit_bytes, " bytes for a module"));
  };
  const std::optional<size_t> size = RegularFileSize(fd);
  if (size.has_value() && limit_bytes != 0 && *size > limit_bytes) {
    return over_limit();
  }
  constexpr size_t kStep = size_t{1} << 20;
  std::string bytes;
  size_t used = 0;
  // One more than the size, so that the end of a file is seen without growing the string.
  bytes.resize(size.has_value() ? *size + 1 : kStep);
  for (;;) {
    if (used == bytes.size()) {
      bytes.resize(bytes.size() + std::max(kStep, bytes.size() / 2));
    }
    const ssize_t got = size.has_value() ? pread(fd, bytes.data() + used, bytes.size() - used,
                                                 static_cast<off_t>(used))
                                         : read(fd, bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EAGAIN) {
      WaitFor(fd, POLLIN, -1, absl::InfiniteFuture());
      continue;
    }
    if (got < 0 && errno != EINTR) {
      return ErrnoStatus(errno, name);
    }
    if (got == 0) {
      bytes.resize(used);
      return bytes;
    }
    used += got > 0 ? static_cast<size_t>(got) : 0;
    if (limit_bytes != 0 && used > limit_bytes) {
      return over_limit();
    }
  }
}

std::string Sha256Digest(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr);
  return Cat("sha256:", absl::BytesToHexString(
                            absl::string_view(reinterpret_cast<const char*>(hash.data()), size)));
}

}  // namespace wasmd::client
