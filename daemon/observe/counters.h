// Counters: what has happened since the daemon started. Written by whoever does it, read by
// GetStats.
//
// Thread-safe. Each is a relaxed atomic: a reader gets no consistent cut, and needs none.
#ifndef WASMD_DAEMON_OBSERVE_COUNTERS_H_
#define WASMD_DAEMON_OBSERVE_COUNTERS_H_

#include <atomic>
#include <cstdint>

namespace wasmd::daemon {

class Counter {
 public:
  void Add(uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct Counters {
  Counter calls;
  Counter runs;
  Counter traps;
  Counter cancelled;
  Counter deadline_exceeded;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_OBSERVE_COUNTERS_H_
