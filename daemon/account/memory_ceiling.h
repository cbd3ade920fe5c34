// What memory the system gives this process at most: its cgroup's limit (version 2 or 1, and those
// of the cgroups around it), or what the machine has.
#ifndef WASMD_DAEMON_ACCOUNT_MEMORY_CEILING_H_
#define WASMD_DAEMON_ACCOUNT_MEMORY_CEILING_H_

#include <cstdint>
#include <string>

namespace wasmd::daemon {

struct MemoryCeiling {
  uint64_t system_bytes = UINT64_MAX;  // UINT64_MAX: nobody knows.
  std::string source;                  // "/sys/fs/cgroup/wasmd/memory.max", "the machine's memory".
  // What is left for guests and clients when the daemon has its own: code, stacks, gRPC, what the
  // allocator keeps. UINT64_MAX where system_bytes is.
  uint64_t guest_bytes = UINT64_MAX;
};

// Reads /proc and what is mounted under it. `root` stands before all paths: for tests. A file that
// is not there, or says nothing that makes sense, limits nothing.
MemoryCeiling ReadMemoryCeiling(const std::string& root = "");

// guest_bytes of a ceiling.
uint64_t GuestShareOf(uint64_t system_bytes);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_ACCOUNT_MEMORY_CEILING_H_
