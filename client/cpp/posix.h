// Descriptors, files and sockets, with errors as statuses that carry their errno. Internal to
// client/.
#ifndef WASMD_CLIENT_CPP_POSIX_H_
#define WASMD_CLIENT_CPP_POSIX_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "client/cpp/address.h"

namespace wasmd::client {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// "<what>: No such file or directory", with a code that fits; ErrnoOf() gives the number back.
absl::Status ErrnoStatus(int error, std::string_view what);
// The same number with another code and text.
absl::Status WithErrno(absl::Status status, int error);

// A connected stream socket. kUnavailable: nobody listens there; kFailedPrecondition: it is no
// socket.
absl::StatusOr<Fd> ConnectSocket(const Address& address, absl::Time deadline);

// Waits until `fd` is ready for `events` (POLLIN, POLLOUT), or `wake_fd` (-1: none) is readable, or
// the deadline passes.
enum class Ready { kFd, kWoken, kDeadline };
Ready WaitFor(int fd, short events, int wake_fd, absl::Time deadline);

// An eventfd: a stop that poll can see.
Fd MakeEvent();
void SetEvent(const Fd& event);

// Opens for reading. A directory is an error.
absl::StatusOr<Fd> OpenFile(std::string_view path);
// The size of a regular file; nullopt for anything else.
std::optional<size_t> RegularFileSize(int fd);
// Everything from the file's start (a regular file) or from here to its end. kResourceExhausted:
// over the limit (0: none).
absl::StatusOr<std::string> ReadAll(int fd, size_t limit_bytes, std::string_view name);

// "sha256:<64 hex digits>"
std::string Sha256Digest(std::string_view bytes);

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_POSIX_H_
