#include "engine/platform/event_fd.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace wasmd::engine {

absl::StatusOr<EventFd> EventFd::Create() {
  UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (fd.get() < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot create an eventfd: ", std::strerror(errno)));
  }
  return EventFd(std::move(fd));
}

void EventFd::Set() const {
  if (fd() >= 0) {
    const uint64_t one = 1;
    // Fails only at 2^64 - 1 sets without a clear, and then it is set.
    [[maybe_unused]] const ssize_t written = write(fd(), &one, sizeof(one));
  }
}

void EventFd::Clear() const {
  if (fd() >= 0) {
    uint64_t count = 0;
    // EAGAIN: it was not set.
    [[maybe_unused]] const ssize_t got = read(fd(), &count, sizeof(count));
  }
}

}  // namespace wasmd::engine
