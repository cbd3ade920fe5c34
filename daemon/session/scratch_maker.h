// ScratchMaker: empty directories in memory, each a file system of its own whose bytes and names
// the kernel bounds.
//
//   daemon ──{bytes, names}──► maker, a process in a user and a mount namespace of its own
//          ◄── descriptor ──   (mounts a tmpfs with these limits, attached nowhere)
//
// A directory is attached to no path: it is reached through its descriptor alone, and goes, with
// all that is in it, when the last descriptor into it is closed. At a limit what would go over it
// fails with ENOSPC. Its memory is the memory of whoever writes to it: the daemon's cgroup counts
// it.
//
// Mounting takes a namespace in which the daemon may do that. A process with threads cannot go into
// one, and the daemon may later be forbidden to, so the maker is forked off at the start. It does
// nothing else, and ends with the daemon. Where the system gives no such namespace (a container, a
// service unit with RestrictNamespaces), Make says so.
//
// Thread-safe.
#ifndef WASMD_DAEMON_SESSION_SCRATCH_MAKER_H_
#define WASMD_DAEMON_SESSION_SCRATCH_MAKER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

class ScratchMaker {
 public:
  // Forks: before the process has other threads. kResourceExhausted: no process, no descriptor.
  static absl::StatusOr<std::unique_ptr<ScratchMaker>> Start();
  ScratchMaker(const ScratchMaker&) = delete;
  ScratchMaker& operator=(const ScratchMaker&) = delete;
  ~ScratchMaker();

  // An O_PATH descriptor of a directory that holds at most `size_bytes`, rounded up to OS pages,
  // and MaxNames names. Takes some 100 µs. kFailedPrecondition: the system does not let us.
  // kUnavailable: the maker has gone.
  absl::StatusOr<engine::UniqueFd> Make(uint64_t size_bytes);

  // Files, directories, links and further links of a directory of that size. Each costs the kernel
  // about a KiB that the size does not count.
  static uint64_t MaxNames(uint64_t size_bytes);

  // For tests.
  pid_t process() const { return process_; }

 private:
  ScratchMaker(pid_t process, engine::UniqueFd socket);

  const pid_t process_;
  absl::Mutex mutex_;                                // One question and its answer at a time.
  engine::UniqueFd socket_ ABSL_GUARDED_BY(mutex_);  // Empty: it has gone.
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SESSION_SCRATCH_MAKER_H_
