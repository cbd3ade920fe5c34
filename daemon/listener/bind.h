// Bind: listening sockets, and clear errors where there can be none.
#ifndef WASMD_DAEMON_LISTENER_BIND_H_
#define WASMD_DAEMON_LISTENER_BIND_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/options.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

// A socket that listens, non-blocking. When it goes, a unix socket's file goes too.
class BoundSocket {
 public:
  // Unix sockets: a lock on "<path>.lock" keeps two daemons apart, so that a socket file that
  // nobody answers on is known to be stale and is replaced; everything else that is at `path`
  // stays. `mode` are the file's permissions. kAlreadyExists: in use by a live process.
  // kFailedPrecondition, kPermissionDenied, kNotFound, kInvalidArgument: one line that says what is
  // wrong with the address.
  static absl::StatusOr<BoundSocket> Bind(const ListenAddress& address, uint32_t mode);
  BoundSocket(BoundSocket&&) noexcept = default;
  BoundSocket& operator=(BoundSocket&&) = delete;
  ~BoundSocket();

  int fd() const { return fd_.get(); }
  // With the port that the kernel chose, where it was to.
  const ListenAddress& address() const { return address_; }

 private:
  BoundSocket(ListenAddress address, engine::UniqueFd fd, engine::UniqueFd lock)
      : address_(std::move(address)), fd_(std::move(fd)), lock_(std::move(lock)) {}

  ListenAddress address_;
  engine::UniqueFd fd_;
  engine::UniqueFd lock_;  // Unix sockets: of the lock file, locked.
};

// The directory that a unix socket's file is in: "." for a path without one.
std::string ParentOf(const std::string& path);

// Makes the folder of the default address under /tmp, for this user alone. kFailedPrecondition:
// somebody else has made it.
absl::Status MakePrivateFolder(const std::string& folder);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_LISTENER_BIND_H_
