#include "daemon/scheduler/deadline_timer.h"

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "daemon/pool/engine_types.h"
#include "daemon/pool/invocation.h"

namespace wasmd::daemon {

DeadlineTimer::Entry DeadlineTimer::Add(absl::Time deadline,
                                        std::shared_ptr<Invocation> invocation) {
  const absl::MutexLock lock(&mutex_);
  const Entry entry{deadline, next_++};
  const auto at = entries_.emplace(entry, std::move(invocation)).first;
  if (!thread_.joinable() && !shutdown_) {
    thread_ = std::thread([this] { Main(); });
  } else if (at == entries_.begin()) {
    changed_.Signal();
  }
  return entry;
}

void DeadlineTimer::Remove(const Entry& entry) {
  std::shared_ptr<Invocation> removed;  // Released without the lock.
  const absl::MutexLock lock(&mutex_);
  if (const auto found = entries_.find(entry); found != entries_.end()) {
    removed = std::move(found->second);
    entries_.erase(found);
  }
}

void DeadlineTimer::Main() {
  mutex_.Lock();
  while (!shutdown_) {
    const absl::Time now = absl::Now();
    std::vector<std::shared_ptr<Invocation>> due;
    while (!entries_.empty() && entries_.begin()->first.first <= now) {
      due.push_back(std::move(entries_.begin()->second));
      entries_.erase(entries_.begin());
    }
    if (due.empty()) {
      changed_.WaitWithDeadline(
          &mutex_, entries_.empty() ? absl::InfiniteFuture() : entries_.begin()->first.first);
      continue;
    }
    mutex_.Unlock();
    for (const std::shared_ptr<Invocation>& invocation : due) {
      invocation->Interrupt(engine::InterruptReason::kDeadline);
    }
    due.clear();
    mutex_.Lock();
  }
  mutex_.Unlock();
}

void DeadlineTimer::Shutdown() {
  std::thread thread;
  {
    const absl::MutexLock lock(&mutex_);
    shutdown_ = true;
    changed_.Signal();
    thread.swap(thread_);
  }
  if (thread.joinable()) {
    thread.join();
  }
}

}  // namespace wasmd::daemon
