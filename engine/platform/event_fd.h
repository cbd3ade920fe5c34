// EventFd: a descriptor that is readable while it is set. Owns it. Thread-safe.
#ifndef WASMD_ENGINE_PLATFORM_EVENT_FD_H_
#define WASMD_ENGINE_PLATFORM_EVENT_FD_H_

#include <utility>

#include "absl/status/statusor.h"

#include "engine/base/unique_fd.h"

namespace wasmd::engine {

class EventFd {
 public:
  EventFd() = default;  // None: Set and Clear do nothing, fd() is -1.
  // kResourceExhausted: no descriptors left.
  static absl::StatusOr<EventFd> Create();

  int fd() const { return fd_.get(); }
  void Set() const;
  void Clear() const;

 private:
  explicit EventFd(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_PLATFORM_EVENT_FD_H_
