// Numbers of system calls that are younger than Debian 12's headers, and where the numbers that are
// known here end.
#ifndef WASMD_DAEMON_SANDBOX_SYSCALL_NUMBERS_H_
#define WASMD_DAEMON_SANDBOX_SYSCALL_NUMBERS_H_

#include <sys/syscall.h>

#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467  // Linux 6.15.
#endif

namespace wasmd::daemon {

// The youngest system call when syscalls.def was made: file_setattr, Linux 6.17. What comes behind
// it does not exist for the daemon (ENOSYS), as on an older kernel: a newer C library tries such a
// call and does without, which it would not after EPERM.
inline constexpr int kLastKnownSyscall = 469;
// So far: later ones are refused with EPERM in strict mode.
inline constexpr int kLastAbsentSyscall = 600;

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SANDBOX_SYSCALL_NUMBERS_H_
