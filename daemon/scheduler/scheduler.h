// Scheduler: admission, turns, deadlines and the end of invocations.
//
// Calls go to worker threads through one bounded queue, beside those that come over rings and are
// not seen here (daemon/channel); work on an instance waits for the instance's turn without holding
// a thread. Programs ("runs") have threads of their own, so that
// one that waits for its input delays nobody. What has no place is refused with kResourceExhausted;
// nothing waits unboundedly.
//
// Thread-safe. Shutdown() comes before the destructor.
#ifndef WASMD_DAEMON_SCHEDULER_SCHEDULER_H_
#define WASMD_DAEMON_SCHEDULER_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/config/options.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/pool/task_runner.h"
#include "daemon/pool/thread_pool.h"
#include "daemon/pool/watchdog.h"
#include "daemon/pool/worker_pool.h"

namespace wasmd::daemon {

// How much before an invocation's deadline, `remaining` away, its guest is stopped, so that the
// answer which names the invocation reaches the client before its own timer does.
absl::Duration ReplyMargin(absl::Duration remaining);

class Scheduler {
 public:
  // The daemon's own, beside the client's deadline. Zero: none. An invocation that meets one is
  // interrupted with kDeadline, and its limit() says which it was.
  struct TimeLimits {
    absl::Duration wall_time;  // From Start on.
    std::string wall_option;   // "--max-run-time"
    absl::Duration cpu_time;   // Of the guest's thread.
  };

  // What an invocation does. Of `run` and `dropped` exactly one is called once Start has said OK,
  // and none otherwise.
  struct Work {
    std::shared_ptr<Invocation> invocation;
    absl::Time deadline = absl::InfiniteFuture();
    std::shared_ptr<InstanceGroup> group;  // Whose turn it needs; may be null.
    TimeLimits limits;
    // Runs the guest, on a worker or a run's thread. What it returns is called last, when thread
    // and turn are free again.
    std::function<std::function<void()>()> run;
    // It was interrupted before it began; Invocation::reason() says why. On the interrupter's
    // thread.
    std::function<void()> dropped;
  };

  explicit Scheduler(const Options& options);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler() = default;

  // Starts the worker threads.
  void Prestart() { calls_.Prestart(); }

  // kResourceExhausted: no place; names the limit. kUnavailable: draining.
  absl::Status StartCall(Work work) { return Start(calls_, std::move(work)); }
  absl::Status StartRun(Work work) { return Start(runs_, std::move(work)); }

  // The threads that run calls; they serve channels' rings too.
  WorkerPool& workers_pool() { return calls_; }

  // Takes nothing more from here on.
  void StopAdmission();
  // Waits until nothing runs; false if `deadline` came first.
  bool WaitUntilIdle(absl::Time deadline);
  void InterruptAll(engine::InterruptReason reason);
  // Interrupts what runs and ends the threads. The guests must end: they do, unless an interrupt is
  // broken.
  void Shutdown();

  // Running and waiting invocations of `principal`.
  std::vector<ActivityInfo> Activities(std::string_view principal) const;
  uint32_t workers() const { return workers_; }
  uint32_t queued_calls() const { return calls_.queued(); }
  uint32_t active() const;

 private:
  struct Active {
    std::shared_ptr<Invocation> invocation;
    Watchdog::Entry deadline = 0;
    Watchdog::Entry wall_limit = 0;
  };
  class Task;

  absl::Status Start(TaskRunner& pool, Work work);
  absl::Status Place(TaskRunner& pool, const std::shared_ptr<Task>& task);
  bool Register(const std::shared_ptr<Invocation>& invocation, absl::Time deadline,
                const TimeLimits& limits);
  Watchdog::Entry LimitWallTime(const std::shared_ptr<Invocation>& invocation,
                                const TimeLimits& limits);
  Watchdog::Entry LimitCpuTime(const std::shared_ptr<Invocation>& invocation, absl::Duration limit);
  void Unregister(const Invocation& invocation);
  void Execute(TaskRunner& pool, Task& task);
  void PassTurn(TaskRunner& pool, InstanceGroup* group);

  const uint32_t workers_;
  const uint32_t max_waiting_per_group_;
  mutable absl::Mutex mutex_;
  absl::CondVar ended_ ABSL_GUARDED_BY(mutex_);
  bool admits_ ABSL_GUARDED_BY(mutex_) = true;
  std::unordered_map<const Invocation*, Active> active_ ABSL_GUARDED_BY(mutex_);
  WorkerPool calls_;
  ThreadPool runs_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SCHEDULER_SCHEDULER_H_
