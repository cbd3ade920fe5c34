// Alarm: the time at which one thread wakes up, which any thread may bring forward.
//
//   waiter                               whoever begins something with a deadline
//     epoll_wait(fd) …                     publish the deadline
//     Open(latest)                         Expect(deadline)  ── a compare, if it rings by then
//     anyway look at what was published Expect(the earliest that goes on)
//
// Whoever publishes before Expect, and reads before Open has stored, is seen by the look that
// follows Open; whoever reads afterwards brings the alarm forward himself. Between his store and
// his load lies no fence, so that the look may miss a store that is still in his CPU's buffer: some
// nanoseconds, once. What must not be missed at all is published under a lock that the look takes
// too; what need not be is found by the waiter's next look.
//
// Thread-safe; Open: the waiter alone. See timerfd_create(2): absolute, CLOCK_MONOTONIC, without
// timer slack.
#ifndef WASMD_DAEMON_POOL_ALARM_H_
#define WASMD_DAEMON_POOL_ALARM_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"

#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

class Alarm {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};

  Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  // Becomes readable when it rings; an edge for each time.
  int fd() const { return timer_.get(); }
  // It rings at `at_ns` (CLOCK_MONOTONIC) or before. kNever: nothing is expected.
  void Expect(uint64_t at_ns) {
    if (at_ns < armed_ns_.load(std::memory_order_relaxed)) [[unlikely]] {
      BringForward(at_ns);
    }
  }
  // Forgets what was expected: from here on it rings at `latest_ns`, unless that is brought
  // forward.
  void Open(uint64_t latest_ns);

 private:
  void BringForward(uint64_t at_ns);
  void Set(uint64_t at_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const engine::UniqueFd timer_;
  engine::Mutex mutex_;  // Orders what the timer is told.
  // Never before the timer's own time. Written under the lock.
  std::atomic<uint64_t> armed_ns_{kNever};
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_ALARM_H_
