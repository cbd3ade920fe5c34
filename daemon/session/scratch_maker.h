// ScratchMaker: empty directories in memory, each a file system of its own whose bytes and names
// the kernel bounds.
//
//   daemon ──{bytes, names}──► maker, a process in a user and a mount namespace of its own
//          ◄── descriptor ──   (mounts a tmpfs with these limits, beneath one that only it has)
//
// A directory is attached to no path that others have: it is reached through its descriptor alone,
// and goes, with all that is in it, when it is given back and the last descriptor into it is
// closed. At a limit what would go over it fails with ENOSPC. Its memory is the memory of whoever
// writes to it: the daemon's cgroup counts it.
//
// Mounting takes a namespace in which the daemon may do that. A process with threads cannot go into
// one, and the daemon's sandbox forbids it, so the maker is forked off at the start. It does
// nothing else, and ends with the daemon. All directories lie beneath parent(), for which the
// daemon's Landlock has a rule: it judges a file by what lies above it. Where the system gives no
// such namespace (a container, a service unit with RestrictNamespaces), Make says so.
//
// Thread-safe.
#ifndef WASMD_DAEMON_SESSION_SCRATCH_MAKER_H_
#define WASMD_DAEMON_SESSION_SCRATCH_MAKER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

class ScratchMaker;

// One directory. Its destruction gives it back: when nothing will use it any more. The maker
// outlives it.
class ScratchDirectory {
 public:
  ScratchDirectory(ScratchDirectory&& other) noexcept
      : maker_(std::exchange(other.maker_, nullptr)),
        number_(other.number_),
        directory_(std::move(other.directory_)) {}
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory();

  // O_PATH; to be had once.
  engine::UniqueFd Take() { return std::move(directory_); }

 private:
  friend class ScratchMaker;
  ScratchDirectory(ScratchMaker* maker, uint64_t number, engine::UniqueFd directory)
      : maker_(maker), number_(number), directory_(std::move(directory)) {}

  ScratchMaker* maker_;  // Null: moved from.
  uint64_t number_;
  engine::UniqueFd directory_;
};

class ScratchMaker {
 public:
  // Forks: before the process has other threads. kResourceExhausted: no process, no descriptor.
  static absl::StatusOr<std::unique_ptr<ScratchMaker>> Start();
  ScratchMaker(const ScratchMaker&) = delete;
  ScratchMaker& operator=(const ScratchMaker&) = delete;
  ~ScratchMaker();

  // The directory above them all; negative where they are attached nowhere. Constant.
  int parent() const { return parent_.get(); }

  // A directory that holds at most `size_bytes`, rounded up to OS pages, and MaxNames names. Takes
  // some 100 µs. kFailedPrecondition: the system does not let us. kUnavailable: the maker has gone.
  absl::StatusOr<ScratchDirectory> Make(uint64_t size_bytes);

  // Files, directories, links and further links of a directory of that size. Each costs the kernel
  // about a KiB that the size does not count.
  static uint64_t MaxNames(uint64_t size_bytes);

  // For tests.
  pid_t process() const { return process_; }

 private:
  friend class ScratchDirectory;
  struct Request;
  struct Answer;
  class Process;

  ScratchMaker(pid_t process, engine::UniqueFd socket);
  // The next answer, and the descriptor that comes with it. False: the maker has gone.
  bool Receive(Answer& answer, engine::UniqueFd& descriptor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack(uint64_t number);

  const pid_t process_;
  engine::UniqueFd parent_;
  absl::Mutex mutex_;                                // One question and its answer at a time.
  engine::UniqueFd socket_ ABSL_GUARDED_BY(mutex_);  // Empty: the maker has gone.
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SESSION_SCRATCH_MAKER_H_
