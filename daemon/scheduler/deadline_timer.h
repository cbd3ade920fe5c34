// DeadlineTimer: interrupts invocations when their time is over.
//
// One thread, started with the first deadline. Thread-safe.
#ifndef WASMD_DAEMON_SCHEDULER_DEADLINE_TIMER_H_
#define WASMD_DAEMON_SCHEDULER_DEADLINE_TIMER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/pool/invocation.h"

namespace wasmd::daemon {

class DeadlineTimer {
 public:
  // Names an entry. Default-made: none.
  using Entry = std::pair<absl::Time, uint64_t>;

  DeadlineTimer() = default;
  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;
  // Shutdown() has been called.
  ~DeadlineTimer() = default;

  // `invocation` is interrupted with kDeadline at `deadline`, unless Remove comes first.
  Entry Add(absl::Time deadline, std::shared_ptr<Invocation> invocation);
  void Remove(const Entry& entry);
  void Shutdown();

 private:
  void Main();

  absl::Mutex mutex_;
  absl::CondVar changed_ ABSL_GUARDED_BY(mutex_);
  std::map<Entry, std::shared_ptr<Invocation>> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SCHEDULER_DEADLINE_TIMER_H_
