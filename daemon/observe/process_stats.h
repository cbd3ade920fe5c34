// What the kernel says about this process.
#ifndef WASMD_DAEMON_OBSERVE_PROCESS_STATS_H_
#define WASMD_DAEMON_OBSERVE_PROCESS_STATS_H_

#include <cstdint>

namespace wasmd::daemon {

struct ProcessStats {
  uint64_t resident_bytes = 0;
  uint64_t peak_resident_bytes = 0;  // VmHWM.
  double cpu_seconds = 0;            // User and system, of all threads.
};

// From /proc/self/status and getrusage; zeros where they cannot be read. Thread-safe.
ProcessStats ReadProcessStats();

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_OBSERVE_PROCESS_STATS_H_
