#include "daemon/pool/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <list>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "daemon/config/text.h"
#include "daemon/pool/pthread_start.h"
#include "engine/base/check.h"

namespace wasmd::daemon {
ThreadPool::ThreadPool(ThreadPoolOptions options) : options_(std::move(options)) {
  WASMD_CHECK(options_.threads >= 1 && options_.max_threads >= options_.threads);
}

ThreadPool::~ThreadPool() {
  const absl::MutexLock lock(&mutex_);
  WASMD_CHECK(workers_.empty() && ended_.empty(), "Shutdown comes before the destructor");
}

absl::Status ThreadPool::Submit(std::function<void()> task) {
  const absl::MutexLock lock(&mutex_);
  if (shutdown_) {
    return absl::UnavailableError("wasmd is shutting down");
  }
  // Threads that no task holds, started or not, take queued ones without a wait.
  const size_t free = options_.threads - std::min<size_t>(options_.threads, busy_);
  if (queue_.size() >= free + options_.max_queued) {
    return absl::ResourceExhaustedError(StrCat("no more than ",
                                               options_.threads + options_.max_queued,
                                               " at one time (", options_.limit_name, ")"));
  }
  Enqueue(std::move(task));
  if (workers_.empty()) {
    queue_.pop_back();
    return absl::ResourceExhaustedError("the system gives no more threads");
  }
  return absl::OkStatus();
}

void ThreadPool::Prestart() {
  const absl::MutexLock lock(&mutex_);
  while (workers_.size() < options_.threads && StartThread()) {
  }
}

void ThreadPool::SubmitAdmitted(std::function<void()> task) {
  const absl::MutexLock lock(&mutex_);
  Enqueue(std::move(task));
}

void ThreadPool::Enqueue(std::function<void()> task) {
  queue_.push_back({std::move(task), absl::Now()});
  if (queue_.size() > workers_.size() - busy_ && workers_.size() < options_.threads) {
    StartThread();
  }
  if (idle_ > 0) {
    task_ready_.Signal();
  }
  if (queue_.size() > idle_ && options_.max_threads > options_.threads) {
    if (!supervised_ && !shutdown_) {
      supervised_ = StartPthread(size_t{256} << 10, &ThreadPool::SupervisorMain, this, supervisor_);
    } else if (supervisor_sleeps_) {
      supervise_.Signal();
    }
  }
}

bool ThreadPool::StartThread() {
  JoinEnded();
  Worker& worker = workers_.emplace_back();
  worker.pool = this;
  if (StartPthread(options_.stack_bytes, &ThreadPool::ThreadMain, &worker, worker.thread)) {
    return true;
  }
  workers_.pop_back();
  return false;
}

void* ThreadPool::ThreadMain(void* worker) {
  auto* self = static_cast<Worker*>(worker);
  self->pool->Work(*self);
  return nullptr;
}

void ThreadPool::Work(Worker& worker) {
  static_cast<void>(::pthread_setname_np(::pthread_self(), options_.name.substr(0, 15).c_str()));
  if (options_.on_thread_start) {
    options_.on_thread_start();
  }
  mutex_.Lock();
  std::function<void()> task;
  while (WaitForTask(worker, task)) {
    mutex_.Unlock();
    task();
    task = nullptr;  // What it holds is released without the lock.
    mutex_.Lock();
    worker.busy = false;
    --busy_;
  }
  const auto self = std::ranges::find_if(workers_, [&](const Worker& w) { return &w == &worker; });
  ended_.splice(ended_.end(), workers_, self);
  thread_ended_.SignalAll();
  mutex_.Unlock();
}

bool ThreadPool::WaitForTask(Worker& worker, std::function<void()>& task) {
  while (queue_.empty()) {
    if (shutdown_) {
      return false;
    }
    ++idle_;
    const bool timed_out = task_ready_.WaitWithTimeout(&mutex_, options_.idle_timeout);
    --idle_;
    if (timed_out && queue_.empty() && workers_.size() > options_.kept_threads) {
      return false;
    }
  }
  task = std::move(queue_.front().task);
  queue_.pop_front();
  worker.busy = true;
  ++busy_;
  worker.task_started = absl::Now();
  return true;
}

uint32_t ThreadPool::CountStalled(absl::Time now) const {
  return static_cast<uint32_t>(std::ranges::count_if(workers_, [&](const Worker& worker) {
    return worker.busy && now - worker.task_started >= options_.stall;
  }));
}

void* ThreadPool::SupervisorMain(void* pool) {
  static_cast<ThreadPool*>(pool)->Supervise();
  return nullptr;
}

void ThreadPool::Supervise() {
  static_cast<void>(::pthread_setname_np(::pthread_self(), "supervisor"));
  const absl::MutexLock lock(&mutex_);
  while (!shutdown_) {
    if (queue_.size() <= idle_) {
      // Each queued task has a thread that is about to wake up. Enqueue says when that ends.
      supervisor_sleeps_ = true;
      supervise_.Wait(&mutex_);
      supervisor_sleeps_ = false;
      continue;
    }
    const absl::Time now = absl::Now();
    const size_t wanted =
        std::min<size_t>(options_.max_threads, options_.threads + CountStalled(now));
    while (workers_.size() < wanted && StartThread()) {
    }
    // Again when a task may have become a stalled one.
    supervise_.WaitWithTimeout(&mutex_, options_.stall);
  }
}

void ThreadPool::JoinEnded() {
  // They have left Work's lock for the last time, so joining waits for a few instructions of
  // theirs.
  for (const Worker& worker : ended_) {
    static_cast<void>(::pthread_join(worker.thread, nullptr));
  }
  ended_.clear();
}

void ThreadPool::Shutdown() {
  pthread_t supervisor{};
  {
    const absl::MutexLock lock(&mutex_);
    shutdown_ = true;
    task_ready_.SignalAll();
    supervise_.SignalAll();
    while (!workers_.empty()) {
      thread_ended_.Wait(&mutex_);
    }
    JoinEnded();
    if (!supervised_) {
      return;
    }
    supervised_ = false;
    supervisor = supervisor_;
  }
  static_cast<void>(::pthread_join(supervisor, nullptr));
}

uint32_t ThreadPool::threads() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<uint32_t>(workers_.size());
}

uint32_t ThreadPool::queued() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<uint32_t>(queue_.size());
}

uint32_t ThreadPool::busy() const {
  const absl::MutexLock lock(&mutex_);
  return busy_;
}

}  // namespace wasmd::daemon
