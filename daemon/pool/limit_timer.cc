#include "daemon/pool/limit_timer.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/time.h"

#include "engine/base/mutex.h"

namespace wasmd::daemon {
namespace {

using engine::MutexLock;

// Checks that ask for less would keep a CPU busy.
constexpr absl::Duration kSoonest = absl::Milliseconds(1);
// A clock's arithmetic stays far from its end.
constexpr absl::Duration kLatest = absl::Hours(24 * 365);

std::chrono::nanoseconds Bounded(absl::Duration duration) {
  return absl::ToChronoNanoseconds(std::clamp(duration, absl::ZeroDuration(), kLatest));
}

}  // namespace

LimitTimer::Entry LimitTimer::Add(absl::Duration after, Check check) {
  const MutexLock lock(mutex_);
  const Entry entry = next_++;
  if (shutdown_) {
    return entry;
  }
  waiting_.emplace(Clock::now() + Bounded(after), Waiting{entry, std::move(check)});
  changed_.NotifyAll();
  return entry;
}

void LimitTimer::Remove(Entry entry) {
  if (entry == 0) {
    return;
  }
  Waiting removed;  // Destroyed without the lock.
  const MutexLock lock(mutex_);
  if (checked_ == entry) {
    checked_ = 0;
    return;
  }
  // As many as there are programs and calls with limits.
  const auto found =
      std::ranges::find_if(waiting_, [&](const auto& each) { return each.second.entry == entry; });
  if (found != waiting_.end()) {
    removed = std::move(found->second);
    waiting_.erase(found);
  }
}

void LimitTimer::Main() {
  mutex_.Lock();
  while (!shutdown_) {
    if (waiting_.empty()) {
      changed_.Wait(mutex_);
      continue;
    }
    const Clock::time_point now = Clock::now();
    if (const Clock::time_point next = waiting_.begin()->first; next > now) {
      changed_.WaitFor(mutex_, next - now);
      continue;
    }
    Waiting due = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    checked_ = due.entry;
    mutex_.Unlock();
    const std::optional<absl::Duration> again = due.check();
    mutex_.Lock();
    if (again.has_value() && checked_ == due.entry) {
      waiting_.emplace(Clock::now() + Bounded(std::max(*again, kSoonest)), std::move(due));
    }
    checked_ = 0;
    mutex_.Unlock();
    due = {};
    mutex_.Lock();
  }
  mutex_.Unlock();
}

void LimitTimer::Shutdown() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    shutdown_ = true;
    changed_.NotifyAll();
    thread.swap(thread_);
  }
  if (thread.joinable()) {
    thread.join();
  }
}

}  // namespace wasmd::daemon
