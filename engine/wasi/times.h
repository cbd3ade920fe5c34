// WASI's timestamps (nanoseconds since 1970, unsigned) and Linux's timespecs. Thread-safe: no
// state.
#ifndef WASMD_ENGINE_WASI_TIMES_H_
#define WASMD_ENGINE_WASI_TIMES_H_

#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <limits>

#include "engine/wasi/abi.h"

namespace wasmd::engine {

// Before 1970 is 0. False: past what 64 bits of nanoseconds can say (the year 2554).
inline bool TimestampOf(const timespec& time, uint64_t& timestamp_ns) {
  constexpr uint64_t kNsPerSecond = 1'000'000'000;
  if (time.tv_sec < 0) {
    timestamp_ns = 0;
    return true;
  }
  const uint64_t seconds = static_cast<uint64_t>(time.tv_sec);
  const uint64_t rest = static_cast<uint64_t>(time.tv_nsec);
  if (seconds > (std::numeric_limits<uint64_t>::max() - rest) / kNsPerSecond) {
    return false;
  }
  timestamp_ns = seconds * kNsPerSecond + rest;
  return true;
}

inline timespec TimespecOf(uint64_t timestamp_ns) {
  constexpr uint64_t kNsPerSecond = 1'000'000'000;
  return {static_cast<time_t>(timestamp_ns / kNsPerSecond),
          static_cast<long>(timestamp_ns % kNsPerSecond)};
}

// utimensat's pair of times from a *_set_times function's arguments. False: unknown flags, or a
// time that shall be two things.
inline bool TimesOf(uint64_t atim, uint64_t mtim, uint32_t flags, timespec (&times)[2]) {
  if ((flags & ~abi::kSetFlags) != 0) {
    return false;
  }
  const auto one = [flags](uint64_t value, uint32_t set, uint32_t now, timespec& time) {
    if ((flags & set) != 0 && (flags & now) != 0) {
      return false;
    }
    time = (flags & set) != 0 ? TimespecOf(value)
                              : timespec{0, (flags & now) != 0 ? UTIME_NOW : UTIME_OMIT};
    return true;
  };
  return one(atim, abi::kSetAtim, abi::kSetAtimNow, times[0]) &&
         one(mtim, abi::kSetMtim, abi::kSetMtimNow, times[1]);
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_TIMES_H_
