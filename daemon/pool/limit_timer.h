// LimitTimer: looks after limits that time runs into: CPU time, wall time, the time of a load.
//
//   LimitTimer::Entry entry = timer.Add(limit, [weak] { …; return std::optional(again_after); });
//   …
//   timer.Remove(entry);
//
// Not for clients' deadlines (watchdog.h). Time is CLOCK_MONOTONIC's: the
// wall clock may jump. Its thread starts with it, since later there may be none to be had: the
// constructor throws std::system_error then, while the daemon starts. Thread-safe.
#ifndef WASMD_DAEMON_POOL_LIMIT_TIMER_H_
#define WASMD_DAEMON_POOL_LIMIT_TIMER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

#include "engine/base/mutex.h"

namespace wasmd::daemon {

class LimitTimer {
 public:
  // Called on the timer's thread, one at a time; must not block. Returns how long to wait before it
  // is called again; nullopt: never.
  using Check = std::function<std::optional<absl::Duration>()>;
  using Entry = uint64_t;  // 0: none.

  LimitTimer() : thread_([this] { Main(); }) {}
  LimitTimer(const LimitTimer&) = delete;
  LimitTimer& operator=(const LimitTimer&) = delete;
  ~LimitTimer() { Shutdown(); }

  Entry Add(absl::Duration after, Check check);
  // The check may be running, and end after this; it is not called any more. 0 does nothing.
  void Remove(Entry entry);
  // Ends the thread; nothing is called from here on. Idempotent.
  void Shutdown();

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    Entry entry = 0;
    Check check;
  };
  void Main();

  engine::Mutex mutex_;
  engine::CondVar changed_ ABSL_GUARDED_BY(mutex_);
  std::multimap<Clock::time_point, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  Entry next_ ABSL_GUARDED_BY(mutex_) = 1;
  Entry checked_ ABSL_GUARDED_BY(mutex_) =
      0;  // By the thread, just now. 0: none, or it was removed.
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);  // The last: it uses the others.
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_LIMIT_TIMER_H_
