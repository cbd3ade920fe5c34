// Watchdog: the thread that ends what is overdue: the one place in the daemon that knows deadlines,
// of calls that come over rings as of those that come by gRPC, and of programs, and the limits that
// time runs into.
//
//   Add(after, invocation)      an invocation that was queued, until Remove
//   Add(after, check)           whatever else is to be looked at then, and maybe again
//   alarm().Expect(deadline)    a call over a ring, whose deadline its visit tells (visit.h)
//   StartTicking()              a worker is awake: from now on there is a tick as well
//
// It sleeps until the earliest of these, by a timer with an absolute time (alarm.h), not from tick
// to tick; what has no deadline costs nothing, and a call over a ring that has one costs a compare.
// Ticks are for what has no time: lanes that are held up, and clients that cancel in shared memory
// without a bell. Where the process may, the thread has real-time priority: a busy machine must not
// keep it from what is overdue.
//
// Thread-safe. Stop() comes before the destructor.
#ifndef WASMD_DAEMON_POOL_WATCHDOG_H_
#define WASMD_DAEMON_POOL_WATCHDOG_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

#include "daemon/pool/alarm.h"
#include "daemon/pool/invocation.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

class Watchdog {
 public:
  // Why it looks.
  struct Look {
    uint64_t now_ns = 0;
    bool is_tick = false;
    bool is_bell = false;  // One of the bells that it listens to has rung.
  };
  // What it looks at, on its thread.
  class Subject {
   public:
    virtual ~Subject() = default;
    // Ends what is overdue. The earliest deadline of what goes on, or Alarm::kNever.
    virtual uint64_t LookAround(const Look& look) = 0;
    // Something would miss the ticks.
    virtual bool AnyAwake() = 0;
  };
  // Called on its thread, one at a time; must not block. Returns how long to wait before it is
  // called again (a millisecond at least); nullopt: never.
  using Check = std::function<std::optional<absl::Duration>()>;
  using Entry = uint64_t;  // 0: none.

  // `subject` outlives it.
  Watchdog(Subject& subject, uint64_t tick_ns);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  // False: the system gives no thread. Idempotent; Add does it too.
  bool Start();
  // Ends the thread. Deadlines that are left, and those that come afterwards, are forgotten.
  void Stop();

  // `check` is called when `after` has passed, unless Remove comes first. After Stop, and where
  // there is no thread to be had, nothing happens.
  Entry Add(absl::Duration after, Check check);
  // Interrupts `invocation` with kDeadline.
  Entry Add(absl::Duration after, std::shared_ptr<Invocation> invocation);
  // The check may be running, and end after this; it is not called any more. 0 does nothing.
  void Remove(Entry entry);

  Alarm& alarm() { return alarm_; }
  // Ticks until nothing has been awake for a while.
  void StartTicking();
  bool is_ticking() const { return ticking_.load(std::memory_order_relaxed); }

  // ---- On its thread

  // It looks when `eventfd` is written to, until Forget. The descriptor is the caller's, and its
  // description may be others' too.
  void Listen(int eventfd);
  void Forget(int eventfd);

 private:
  static void* Main(void* watchdog);
  void Run();
  // Calls the checks whose time has come. The earliest of the rest.
  uint64_t CheckDue(uint64_t now_ns);
  void StopTickingIfQuiet();

  Subject& subject_;
  const uint64_t tick_ns_;
  Alarm alarm_;
  const engine::UniqueFd epoll_;
  std::atomic<bool> ticking_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> next_tick_ns_{0};
  uint32_t quiet_ticks_ = 0;  // The thread's own.

  engine::Mutex mutex_;
  std::map<std::pair<uint64_t, Entry>, Check> waiting_ ABSL_GUARDED_BY(mutex_);  // By their time.
  // When each is due, or was when it is being called.
  std::unordered_map<Entry, uint64_t> due_ns_ ABSL_GUARDED_BY(mutex_);
  Entry next_ ABSL_GUARDED_BY(mutex_) = 1;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  pthread_t thread_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_WATCHDOG_H_
