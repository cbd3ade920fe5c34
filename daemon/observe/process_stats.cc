#include "daemon/observe/process_stats.h"

#include <sys/resource.h>
#include <sys/time.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace wasmd::daemon {
namespace {

// "VmHWM:\t  1234 kB" → bytes.
uint64_t Kilobytes(const std::string& line) {
  absl::string_view number = absl::string_view(line).substr(line.find(':') + 1);
  absl::ConsumeSuffix(&number, "kB");
  uint64_t kilobytes = 0;
  return absl::SimpleAtoi(number, &kilobytes) ? kilobytes * 1024 : 0;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (absl::StartsWith(line, "VmRSS:")) {
      stats.resident_bytes = Kilobytes(line);
    } else if (absl::StartsWith(line, "VmHWM:")) {
      stats.peak_resident_bytes = Kilobytes(line);
    }
  }
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  }
  return stats;
}

}  // namespace wasmd::daemon
