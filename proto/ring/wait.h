// Waiting for the other side of a channel, and waking it: futex, doorbell, where this thread runs.
// Linux only. See futex(2), eventfd(2).
#ifndef WASMD_PROTO_RING_WAIT_H_
#define WASMD_PROTO_RING_WAIT_H_

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

#include "proto/ring/layout.h"

namespace wasmd::ring {

// Sleeps while `word` has the value `expected`, at most `timeout_ns`; may return early. The word
// lies in memory that other processes share.
inline void FutexWait(const std::atomic<uint32_t>& word, uint32_t expected, uint64_t timeout_ns) {
  const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                         static_cast<long>(timeout_ns % 1'000'000'000)};
  static_cast<void>(::syscall(SYS_futex, &word, FUTEX_WAIT, expected, &timeout, nullptr, 0));
}

inline void FutexWake(const std::atomic<uint32_t>& word) {
  static_cast<void>(::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0));
}

// Wakes whoever polls the eventfd.
inline void RingDoorbell(int eventfd) {
  const uint64_t one = 1;
  // Full only if somebody has written 2^64 - 2 to it; who polls it has been woken up then.
  static_cast<void>(!::write(eventfd, &one, sizeof(one)));
}

// The CPU that this thread runs on; kNoCpu: not known. A few nanoseconds (rseq).
inline uint32_t CurrentCpu() {
  const int cpu = ::sched_getcpu();
  return cpu < 0 ? kNoCpu : static_cast<uint32_t>(cpu);
}

// CLOCK_MONOTONIC.
inline uint64_t MonotonicNs() {
  timespec now{};
  static_cast<void>(::clock_gettime(CLOCK_MONOTONIC, &now));
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace wasmd::ring

#endif  // WASMD_PROTO_RING_WAIT_H_
