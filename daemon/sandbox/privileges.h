// What a process may give up of itself, besides system calls and files.
#ifndef WASMD_DAEMON_SANDBOX_PRIVILEGES_H_
#define WASMD_DAEMON_SANDBOX_PRIVILEGES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wasmd::daemon {

// No program that is executed gains anything by it (set-user-ID bits, file capabilities), which
// seccomp and Landlock ask for. Of the calling thread and those that it starts.
absl::Status SetNoNewPrivileges();

enum class KeptCapabilities : bool {
  kNone,
  // CAP_DAC_OVERRIDE and CAP_FOWNER, where the process has them: root serves directories of other
  // users, as it does without a sandbox.
  kFiles,
};
// Drops all others from every set, the bounding set included. Of the calling thread and those that
// it starts. A process with CAP_SYS_NICE sets RLIMIT_RTPRIO to 2 first, so that its watchdogs keep
// their priority; where it may not (no CAP_SYS_RESOURCE), it keeps CAP_SYS_NICE. Returns the names
// of what is left: "dac_override".
absl::StatusOr<std::vector<std::string>> DropCapabilities(KeptCapabilities kept);

// Memory is never both writable and executable, nor one after the other: PR_SET_MDWE, of the whole
// process. kUnavailable: the kernel has none (before 6.3).
absl::Status DenyWritableCode();

// No core dumps, and no process of the same user attaches to this one or reads its memory; files in
// /proc/self become root's. Of the whole process.
absl::Status SetNotDumpable();

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SANDBOX_PRIVILEGES_H_
