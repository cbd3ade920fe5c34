// TaskRunner: where tasks are posted to: threads that calls share (WorkerPool), or threads that
// each program has for itself (ThreadPool). Thread-safe.
#ifndef WASMD_DAEMON_POOL_TASK_RUNNER_H_
#define WASMD_DAEMON_POOL_TASK_RUNNER_H_

#include <functional>

#include "absl/status/status.h"

namespace wasmd::daemon {

class TaskRunner {
 public:
  virtual ~TaskRunner() = default;
  // kResourceExhausted: every thread is busy and the queue is full, or the system gives no thread.
  // kUnavailable: shut down. Tasks must not throw.
  virtual absl::Status Submit(std::function<void()> task) = 0;
  // Queues it whatever the queue's length: for a task whose place was counted elsewhere.
  virtual void SubmitAdmitted(std::function<void()> task) = 0;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_TASK_RUNNER_H_
