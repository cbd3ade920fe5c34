// SyscallFilter: which system calls the daemon's threads may make, as syscalls.def says, by
// seccomp.
//
//   strict: what the table names; everything else fails with EPERM, or ENOSYS where it is younger
//           than the table
//   basic:  everything but what no daemon of ours ever needs
//
// In both, calls that only an intruder makes end the process. One refused call must not: a client
// that finds a way to have it made could end all others' guests. The kernel's log tells of refused
// calls and of the end (audit, type 1326).
#ifndef WASMD_DAEMON_SANDBOX_SYSCALL_FILTER_H_
#define WASMD_DAEMON_SANDBOX_SYSCALL_FILTER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {

// What the arguments of a call must be for its row to hold.
enum class SyscallCondition : uint8_t {
  kAlways,
  // Allowed in strict mode.
  kFcntl,              // Flags, duplicates, seals; no locks, owners, leases, notifications.
  kIoctl,              // FIONBIO, FIONREAD, TCGETS, PAGEMAP_SCAN.
  kNotExecutable,      // mmap, mprotect without PROT_EXEC: code's mapping exists since the start.
  kNoExecutableMemfd,  // Without MFD_EXEC.
  kThread,             // clone: a thread of this process, in its namespaces.
  kPriorityLoan,       // SCHED_FIFO or SCHED_OTHER, not handed on to threads; of any thread.
  kOneThread,          // setpriority: one thread's, not a group's or user's.
  kThisProcess,        // The first argument is this process.
  kThreadName,         // PR_SET_NAME.
  kReadOwnLimits,      // prlimit64 of this process that sets nothing.
  kNarrower,           // SECCOMP_SET_MODE_FILTER: can only forbid more.
  // Refused in basic mode.
  kWritableAndExecutable,  // mmap with PROT_WRITE and PROT_EXEC.
  kExecutable,             // mprotect with PROT_EXEC.
  kShmExecutable,          // shmat with SHM_EXEC.
  kNoThread,               // clone of a process.
  kNewNamespace,           // clone with any CLONE_NEW flag.
};

struct SyscallRow {
  enum class Kind : uint8_t { kAllow, kLimit, kKill, kRefuse };
  Kind kind;
  int number;
  std::string_view name;
  SyscallCondition condition;
  std::string_view reason;
};
// syscalls.def, in its order.
std::span<const SyscallRow> SyscallTable();

// What happens to a call. Those with a condition: kDepends.
enum class SyscallFate : uint8_t { kAllowed, kDepends, kRefused, kAbsent, kKilled };
SyscallFate FateOf(int number, SandboxMode mode);

class SyscallFilter {
 public:
  // Basic or strict. The conditions that name this process mean the one that calls.
  // kUnavailable: the kernel has no seccomp. kInternal: libseccomp has no memory.
  static absl::StatusOr<SyscallFilter> Build(SandboxMode mode);
  SyscallFilter(SyscallFilter&&) noexcept;
  SyscallFilter& operator=(SyscallFilter&&) noexcept;
  ~SyscallFilter();

  // For all threads of the process, for good. Needs no_new_privs. kInternal: the kernel refuses;
  // then nothing or a part is in force, and the process should end.
  absl::Status Load() const;

 private:
  struct Impl;
  explicit SyscallFilter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SANDBOX_SYSCALL_FILTER_H_
