#include "daemon/scheduler/scheduler.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/pool/task_runner.h"
#include "daemon/pool/thread_pool.h"
#include "daemon/pool/watchdog.h"
#include "daemon/pool/worker_pool.h"

namespace wasmd::daemon {
namespace {

// Beside the wasm stack: what host functions and our own frames take.
constexpr size_t kHostStackBytes = size_t{1} << 20;
// Idle run threads that are kept: enough that a client which runs one program after another starts
// none.
constexpr uint32_t kKeptRunThreads = 8;

constexpr absl::Duration kRingCallsAgain = absl::Milliseconds(5);

uint32_t CoresOr(uint32_t given) {
  return given != 0 ? given : std::max(1u, std::thread::hardware_concurrency());
}

WorkerPoolOptions CallPool(const Options& options) {
  WorkerPoolOptions pool;
  pool.limit_name = "--max-queued-calls";
  pool.workers = CoresOr(options.workers);
  pool.max_workers = std::max(pool.workers, options.max_workers);
  pool.max_queued = options.max_queued_calls;
  pool.stack_bytes = options.wasm_stack_bytes + kHostStackBytes;
  pool.pin = options.pin;
  pool.max_spin = options.max_spin;
  pool.max_call_time = options.max_call_time;
  pool.max_cpu_time = options.max_cpu_time;
  pool.on_thread_start = &engine::Engine::PrepareThread;
  return pool;
}

ThreadPoolOptions RunPool(const Options& options) {
  ThreadPoolOptions pool;
  pool.name = "wasmd-run";
  pool.limit_name = "--max-runs";
  pool.threads = options.max_runs;
  pool.max_threads = options.max_runs;
  pool.kept_threads = kKeptRunThreads;
  pool.max_queued = 0;
  pool.stack_bytes = options.wasm_stack_bytes + kHostStackBytes;
  pool.on_thread_start = &engine::Engine::PrepareThread;
  return pool;
}

}  // namespace

absl::Duration ReplyMargin(absl::Duration remaining) {
  return std::min(absl::Milliseconds(5), remaining / 10);
}

class Scheduler::Task {
 public:
  explicit Task(Work work) : work_(std::move(work)) {}
  Work& work() { return work_; }

 private:
  Work work_;
};

Scheduler::Scheduler(const Options& options)
    : workers_(CoresOr(options.workers)),
      max_waiting_per_group_(options.max_calls_per_session),
      calls_(CallPool(options)),
      runs_(RunPool(options)) {}

absl::Status Scheduler::Start(TaskRunner& pool, Work work) {
  const auto task = std::make_shared<Task>(std::move(work));
  const std::shared_ptr<Invocation> invocation = task->work().invocation;
  invocation->set_on_dropped([this, task] {
    Unregister(*task->work().invocation);
    const std::function<void()> dropped = std::move(task->work().dropped);
    dropped();
  });
  absl::Status placed = absl::UnavailableError("wasmd is shutting down");
  if (Register(invocation, task->work().deadline, task->work().limits)) {
    placed = Place(pool, task);
  }
  if (placed.ok()) {
    return placed;
  }
  // Interrupted in the meantime: that has been told already.
  if (!invocation->Begin()) {
    return absl::OkStatus();
  }
  invocation->End();
  invocation->ReturnPriority();
  Unregister(*invocation);
  return placed;
}

absl::Status Scheduler::Place(TaskRunner& pool, const std::shared_ptr<Task>& task) {
  auto execute = [this, &pool, task] { Execute(pool, *task); };
  InstanceGroup* const group = task->work().group.get();
  if (group == nullptr) {
    return pool.Submit(execute);
  }
  auto is_dead = [invocation = task->work().invocation] {
    return invocation->reason() != engine::InterruptReason::kNone;
  };
  switch (group->Enter({execute, is_dead}, max_waiting_per_group_)) {
    case InstanceGroup::Turn::kLater:
      return absl::OkStatus();
    case InstanceGroup::Turn::kFull:
      return absl::ResourceExhaustedError(
          StrCat("no more than ", max_waiting_per_group_,
                 " invocations may wait for one instance (--max-session-calls)"));
    case InstanceGroup::Turn::kNow:
      break;
  }
  const absl::Status submitted = pool.Submit(execute);
  if (!submitted.ok()) {
    PassTurn(pool, group);
  }
  return submitted;
}

void Scheduler::Execute(TaskRunner& pool, Task& task) {
  Work& work = task.work();
  const std::shared_ptr<InstanceGroup> group = work.group;
  std::function<void()> complete;
  if (work.invocation->Begin()) {
    const Watchdog::Entry cpu_limit = LimitCpuTime(work.invocation, work.limits.cpu_time);
    complete = work.run();
    calls_.watchdog().Remove(cpu_limit);
    work.run = nullptr;
    work.invocation->End();
    Unregister(*work.invocation);
  }
  PassTurn(pool, group.get());
  if (complete) {
    complete();
  }
  work.invocation->ReturnPriority();
}

void Scheduler::PassTurn(TaskRunner& pool, InstanceGroup* group) {
  if (group == nullptr) {
    return;
  }
  if (std::function<void()> next = group->Leave()) {
    pool.SubmitAdmitted(std::move(next));
  }
}

Watchdog::Entry Scheduler::LimitWallTime(const std::shared_ptr<Invocation>& invocation,
                                         const TimeLimits& limits) {
  if (limits.wall_time == absl::ZeroDuration()) {
    return 0;
  }
  const std::string limit =
      StrCat(absl::FormatDuration(limits.wall_time), " (", limits.wall_option, ")");
  return calls_.watchdog().Add(limits.wall_time,
                               [invocation, limit]() -> std::optional<absl::Duration> {
                                 invocation->Interrupt(engine::InterruptReason::kDeadline, limit);
                                 return std::nullopt;
                               });
}

Watchdog::Entry Scheduler::LimitCpuTime(const std::shared_ptr<Invocation>& invocation,
                                        absl::Duration limit) {
  if (limit == absl::ZeroDuration()) {
    return 0;
  }
  // One thread uses no more CPU time than passes.
  return calls_.watchdog().Add(limit, [invocation, limit]() -> std::optional<absl::Duration> {
    const absl::Duration left = limit - invocation->cpu_time();
    if (left > absl::ZeroDuration()) {
      return left;
    }
    invocation->Interrupt(engine::InterruptReason::kDeadline,
                          StrCat(absl::FormatDuration(limit), " of CPU time (--max-cpu-time)"));
    return std::nullopt;
  });
}

bool Scheduler::Register(const std::shared_ptr<Invocation>& invocation, absl::Time deadline,
                         const TimeLimits& limits) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!admits_) {
      return false;
    }
    active_[invocation.get()].invocation = invocation;
  }
  if (deadline != absl::InfiniteFuture()) {
    const absl::Duration remaining = std::max(deadline - absl::Now(), absl::ZeroDuration());
    // A clock that is set changes nothing for what has begun.
    const Watchdog::Entry entry =
        calls_.watchdog().Add(remaining - ReplyMargin(remaining), invocation);
    const absl::MutexLock lock(&mutex_);
    // Gone already where the deadline has passed, or somebody has cancelled it.
    if (const auto found = active_.find(invocation.get()); found != active_.end()) {
      found->second.deadline = entry;
    } else {
      calls_.watchdog().Remove(entry);
    }
  }
  if (const Watchdog::Entry entry = LimitWallTime(invocation, limits); entry != 0) {
    const absl::MutexLock lock(&mutex_);
    if (const auto found = active_.find(invocation.get()); found != active_.end()) {
      found->second.wall_limit = entry;
    } else {
      calls_.watchdog().Remove(entry);
    }
  }
  return true;
}

void Scheduler::Unregister(const Invocation& invocation) {
  Watchdog::Entry deadline = 0;
  Watchdog::Entry wall_limit = 0;
  std::shared_ptr<Invocation> kept;  // Released without the lock.
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = active_.find(&invocation);
    if (found == active_.end()) {
      return;
    }
    deadline = found->second.deadline;
    wall_limit = found->second.wall_limit;
    kept = std::move(found->second.invocation);
    active_.erase(found);
    if (active_.empty()) {
      ended_.SignalAll();
    }
  }
  calls_.watchdog().Remove(deadline);
  calls_.watchdog().Remove(wall_limit);
}

void Scheduler::StopAdmission() {
  const absl::MutexLock lock(&mutex_);
  admits_ = false;
}

bool Scheduler::WaitUntilIdle(absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  // Nobody tells us when a call over a ring ends.
  while (!active_.empty() || calls_.InRingCall()) {
    const absl::Time look_again = active_.empty() ? absl::Now() + kRingCallsAgain : deadline;
    if (ended_.WaitWithDeadline(&mutex_, std::min(deadline, look_again)) &&
        absl::Now() >= deadline) {
      return active_.empty() && !calls_.InRingCall();
    }
  }
  return true;
}

void Scheduler::InterruptAll(engine::InterruptReason reason) {
  std::vector<std::shared_ptr<Invocation>> all;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [key, active] : active_) {
      all.push_back(active.invocation);
    }
  }
  for (const std::shared_ptr<Invocation>& invocation : all) {
    invocation->Interrupt(reason);
  }
  calls_.InterruptAll(reason);
}

void Scheduler::Shutdown() {
  StopAdmission();
  InterruptAll(engine::InterruptReason::kShutdown);
  calls_.Shutdown();
  runs_.Shutdown();
}

std::vector<ActivityInfo> Scheduler::Activities(std::string_view principal) const {
  std::vector<std::shared_ptr<Invocation>> found;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [key, active] : active_) {
      if (active.invocation->info().principal == principal) {
        found.push_back(active.invocation);
      }
    }
  }
  std::vector<ActivityInfo> activities;
  activities.reserve(found.size());
  for (const std::shared_ptr<Invocation>& invocation : found) {
    activities.push_back(invocation->activity());
  }
  std::ranges::sort(activities, std::ranges::greater{}, &ActivityInfo::elapsed);
  return activities;
}

uint32_t Scheduler::active() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<uint32_t>(active_.size());
}

}  // namespace wasmd::daemon
