// ThreadPool: threads that run tasks from one bounded queue.
//
// Threads are started as tasks come, up to `threads`, and kept while there is use for them. A
// thread that has been held by one task for longer than `stall` no longer counts: while others
// wait, the pool starts one more in its place, up to `max_threads`. So a call that loops for ever
// delays others by `stall` once, not for ever.
//
// Thread-safe. Tasks must not throw. Their destructors run on the pool's threads, or on the
// submitter's where a task is refused.
#ifndef WASMD_DAEMON_POOL_THREAD_POOL_H_
#define WASMD_DAEMON_POOL_THREAD_POOL_H_

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/pool/task_runner.h"

namespace wasmd::daemon {

struct ThreadPoolOptions {
  std::string name;        // Of its threads; at most 15 bytes.
  std::string limit_name;  // The option that a refusal names: "--max-runs".
  uint32_t threads = 1;
  uint32_t max_threads = 1;   // At least `threads`.
  uint32_t kept_threads = 1;  // Idle threads beyond these end after `idle_timeout`.
  uint32_t max_queued = 0;    // Tasks that wait for a thread.
  size_t stack_bytes = size_t{1} << 20;
  absl::Duration stall = absl::Milliseconds(10);
  absl::Duration idle_timeout = absl::Seconds(10);
  std::function<void()> on_thread_start;  // May be null.
};

class ThreadPool : public TaskRunner {
 public:
  explicit ThreadPool(ThreadPoolOptions options);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  // Shutdown() has been called.
  ~ThreadPool() override;

  absl::Status Submit(std::function<void()> task) override;
  void SubmitAdmitted(std::function<void()> task) override;

  // Starts `threads` threads at once, so that the first tasks do not pay for them.
  void Prestart();

  // Takes no more tasks, runs those that are queued, and waits for all threads to end.
  void Shutdown();

  uint32_t threads() const;
  uint32_t queued() const;
  // Tasks that threads run now.
  uint32_t busy() const;

 private:
  struct Worker {
    ThreadPool* pool = nullptr;
    pthread_t thread{};
    bool busy = false;
    absl::Time task_started;
  };
  struct Queued {
    std::function<void()> task;
    absl::Time queued_at;
  };

  static void* ThreadMain(void* worker);
  void Work(Worker& worker);
  // Waits for a task; false: the thread shall end.
  bool WaitForTask(Worker& worker, std::function<void()>& task)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enqueue(std::function<void()> task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Threads that have been held by one task for longer than `stall`.
  uint32_t CountStalled(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void JoinEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void* SupervisorMain(void* pool);
  void Supervise();

  const ThreadPoolOptions options_;
  mutable absl::Mutex mutex_;
  absl::CondVar task_ready_ ABSL_GUARDED_BY(mutex_);
  absl::CondVar supervise_ ABSL_GUARDED_BY(mutex_);
  absl::CondVar thread_ended_ ABSL_GUARDED_BY(mutex_);
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  std::list<Worker> workers_ ABSL_GUARDED_BY(mutex_);
  std::list<Worker> ended_ ABSL_GUARDED_BY(mutex_);  // To be joined.
  uint32_t idle_ ABSL_GUARDED_BY(mutex_) = 0;        // Threads that wait for a task.
  uint32_t busy_ ABSL_GUARDED_BY(mutex_) = 0;        // Threads that run one.
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  bool supervised_ ABSL_GUARDED_BY(mutex_) = false;
  bool supervisor_sleeps_ ABSL_GUARDED_BY(mutex_) = false;  // Until it is signalled.
  pthread_t supervisor_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_THREAD_POOL_H_
