// WorkerPool: the threads that run calls: those that come over rings, and those that are posted.
//
//   lane 0 ── worker ──► sweep: ring, ring, ring, … one posted task ── nothing? spin, then sleep
//   lane 1 ── worker ──► …
//   watchdog ── at a call's deadline: ends it; every millisecond while a worker is awake: cancelled
//               calls; lanes of workers that are held by one visit go to another thread
//
// There are as many lanes as `workers`. A channel belongs to a lane, whose worker polls its ring
// and runs its calls on the spot. A visit takes a bounded number of calls from a ring, so that one
// busy client does not hold up the others. Posted tasks wait in one queue; each worker takes one of
// them a sweep.
//
// **Hand-over.** A worker that is inside the same visit at two ticks of the watchdog is stuck: it
// keeps the ring (or the task) that it is in, and its lane goes to a spare thread, or a new one, up
// to `max_workers`. When it comes back it returns the ring and becomes a spare. So a call that
// takes long delays the other rings of its lane by two ticks once. Who serves a lane, and which of
// its rings are held elsewhere, changes under the pool's lock only; the hot path takes no lock
// (visit.h).
//
// **Sleep.** A worker that finds nothing spins as long as has paid off lately, at most
// `max_spin`: not at all where it shares its CPU with a client, or has only one. Then it says in
// its rings' headers that it sleeps, looks once more, and waits for doorbells. Rings that were not
// used since stay marked, so that one busy ring among many idle ones costs no more than itself. An
// idle pool uses no CPU; its watchdog stops too.
//
// **Cancel.** A client cancels in shared memory, and may ring its doorbell. The watchdog listens to
// the bells of channels whose call it has found stuck, and looks at once; the others are seen by
// its ticks.
//
// Thread-safe. Tasks must not throw. Shutdown() comes before the destructor.
#ifndef WASMD_DAEMON_POOL_WORKER_POOL_H_
#define WASMD_DAEMON_POOL_WORKER_POOL_H_

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "daemon/pool/asymmetric_fence.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/interrupt_gate.h"
#include "daemon/pool/ring_source.h"
#include "daemon/pool/task_runner.h"
#include "daemon/pool/visit.h"
#include "daemon/pool/watchdog.h"
#include "engine/base/mutex.h"

namespace wasmd::daemon {

struct WorkerPoolOptions {
  std::string limit_name;  // The option that a refused task is told: "--max-queued-calls".
  uint32_t workers = 1;
  uint32_t max_workers = 1;  // Threads in all: at least `workers`.
  uint32_t max_queued = 0;   // Tasks that wait for a worker.
  size_t stack_bytes = size_t{1} << 20;
  bool pin = false;  // Worker i stays on the i-th CPU that this process may use.
  // How long a visit may take before the worker's other rings go elsewhere: one to two of these.
  absl::Duration tick = absl::Milliseconds(1);
  absl::Duration max_spin = absl::Microseconds(50);
  uint32_t calls_per_visit = 8;
  absl::Duration spare_timeout = absl::Seconds(10);  // Spare threads end after so long.
  // What a call over a ring may take, by the clock and of its thread's CPU time; kept to one or two
  // ticks. Zero: whatever its client lets it.
  absl::Duration max_call_time = absl::ZeroDuration();
  absl::Duration max_cpu_time = absl::ZeroDuration();
  std::function<void()> on_thread_start;  // May be null.
};

class Lane;  // worker_pool.cc

class WorkerPool : public TaskRunner, private Watchdog::Subject {
 public:
  explicit WorkerPool(WorkerPoolOptions options);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool() override;

  // Starts the workers, so that the first call does not pay for them. Idempotent; Submit and Attach
  // do it too.
  void Prestart();
  // Ends what runs (InterruptAll comes first, for calls that would go on for ever), runs the tasks
  // that are queued, and waits for all threads. Sources are detached.
  void Shutdown();

  // ---- Tasks

  absl::Status Submit(std::function<void()> task) override;
  void SubmitAdmitted(std::function<void()> task) override;

  // ---- Rings

  // Serves it from now on, on the lane with the fewest. kResourceExhausted, kUnavailable.
  absl::Status Attach(std::shared_ptr<RingSource> source);
  // Serves it no more; a call that runs is interrupted with `reason`. References are released soon
  // afterwards: when that call has ended, and the lane's worker has looked around.
  void Detach(const std::shared_ptr<RingSource>& source, engine::InterruptReason reason);
  // Takes back a source whose Visit returned false.
  void Unpark(RingSource& source);
  // Interrupts every call that runs in a ring's visit.
  void InterruptAll(engine::InterruptReason reason);
  // Knows the deadlines of invocations too. Shutdown stops it.
  Watchdog& watchdog() { return watchdog_; }

  // ---- For statistics

  uint32_t workers() const { return options_.workers; }
  uint32_t threads() const;
  uint32_t queued() const;
  uint32_t sources() const;
  // A call that came over a ring runs.
  bool InRingCall() const;
  // Lanes that were taken from a worker that was held up, so far.
  uint64_t hand_overs() const { return hand_overs_.load(std::memory_order_relaxed); }

 private:
  struct Worker;

  static void* WorkerMain(void* worker);

  // ---- A worker
  void Run(Worker& worker);
  // Serves worker.lane until it is taken away, or the pool shuts down.
  void Serve(Worker& worker);
  // False: there was nothing to do.
  bool Sweep(Worker& worker);
  void VisitSource(Worker& worker, RingSource& source);
  static void Rouse(RingSource& source);
  bool RunTask(Worker& worker);
  void RefreshSources(Worker& worker);
  bool HasWork(const Worker& worker) const;
  // Looks for work for a while. True: there is some.
  bool Spin(Worker& worker) const;
  void Sleep(Worker& worker);
  static bool SharesCpu(const Worker& worker);
  void Park(RingSource& source);
  // After a visit whose lane was taken.
  void ReturnSource(RingSource& source);
  bool WaitForLane(Worker& worker);

  // ---- The watchdog's thread
  uint64_t LookAround(const Watchdog::Look& look) override;
  bool AnyAwake() override;
  // The deadline of the call that the worker is in and may go on with, or Alarm::kNever.
  uint64_t Inspect(Worker& worker, const Watchdog::Look& look);
  // Under a claim that holds the worker's visit of `source`.
  void EndIfDue(Worker& worker, RingSource& source, const VisitClaim& claim, uint64_t now_ns);
  // Under a claim that holds the call.
  static void InterruptCall(const Worker& worker, RingSource& source, const VisitClaim& claim,
                            const Interruption& why);
  // The limit that the call which two ticks have met has passed by now; empty: none.
  std::string_view LimitPassed(Worker& worker, const Visit::Seen& seen, uint64_t now_ns) const;
  void ListenToBell(Worker& worker, const RingSource& source);
  void ForgetBell(Worker& worker);
  // Under a claim that holds the worker's visit.
  void HandOver(Worker& worker);
  void RefreshWatched();

  bool StartWorker(Lane* lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool StartAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enqueue(std::function<void()> task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void WakeLane(Lane& lane);
  // What it serves has changed.
  static void Tell(Lane& lane);
  // The first that sleeps, if there is one.
  void WakeALane() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void JoinEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::shared_ptr<Worker>> AllWorkers() const;
  // Of one source, or of all (null).
  void InterruptVisits(const RingSource* only, engine::InterruptReason reason);

  const WorkerPoolOptions options_;
  // For people; empty where there is no limit.
  const std::string call_time_limit_;
  const std::string cpu_time_limit_;
  const AsymmetricFence fence_;
  const std::vector<uint32_t> cpus_;  // That this process may use.
  Watchdog watchdog_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> tasks_waiting_{0};
  std::atomic<uint64_t> hand_overs_{0};
  // Of workers_ and lanes_: so that the watchdog, on its usual round, waits for nobody's lock.
  std::atomic<uint64_t> threads_version_{1};

  mutable engine::Mutex mutex_;
  engine::CondVar spare_ready_ ABSL_GUARDED_BY(mutex_);
  engine::CondVar thread_ended_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  bool told_full_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Lane>> lanes_ ABSL_GUARDED_BY(mutex_);  // Constant once started.
  std::vector<std::shared_ptr<Worker>> workers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Worker*> spares_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Worker>> ended_ ABSL_GUARDED_BY(mutex_);  // To be joined.
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);

  // The watchdog's own: copies, as of `watched_version_`.
  std::vector<std::shared_ptr<Worker>> watched_;
  std::vector<Lane*> watched_lanes_;
  uint64_t watched_version_ = 0;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_WORKER_POOL_H_
