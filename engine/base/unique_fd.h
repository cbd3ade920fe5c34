// UniqueFd: a file descriptor with one owner, closed when that goes.
//
// Movable, not copyable; empty (-1) when default-made or moved from. Thread-compatible.
#ifndef WASMD_ENGINE_BASE_UNIQUE_FD_H_
#define WASMD_ENGINE_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace wasmd::engine {

class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes over `fd`; a negative one makes an empty UniqueFd.
  explicit UniqueFd(int fd) : fd_(fd < 0 ? -1 : fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Gives the descriptor to the caller, who closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  // Closes what is owned and takes over `fd`.
  void reset(int fd = -1) {
    const int old = std::exchange(fd_, fd < 0 ? -1 : fd);
    if (old >= 0) {
      // On Linux the descriptor is gone whatever close says; a second try could hit another's.
      static_cast<void>(::close(old));
    }
  }

 private:
  int fd_ = -1;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BASE_UNIQUE_FD_H_
