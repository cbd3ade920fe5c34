#include "daemon/pool/invocation.h"

#include <pthread.h>

#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "daemon/config/steady_time.h"
#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "engine/base/mutex.h"
#include "engine/base/thread_priority.h"

namespace wasmd::daemon {
namespace {

double CpuSeconds(clockid_t clock) {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) {
    return 0;
  }
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

std::string_view ToString(InvocationKind kind) {
  switch (kind) {
    case InvocationKind::kCall:
      return "call";
    case InvocationKind::kRun:
      return "run";
    case InvocationKind::kInstantiate:
      return "instantiate";
    case InvocationKind::kAccess:
      return "access";
  }
  return "?";
}

absl::Status InterruptedStatus(engine::InterruptReason reason, std::string_view what) {
  switch (reason) {
    case engine::InterruptReason::kNone:
      break;
    case engine::InterruptReason::kDeadline:
      return absl::DeadlineExceededError(StrCat(what, " was stopped at its deadline"));
    case engine::InterruptReason::kCancel:
      return absl::CancelledError(StrCat(what, " was cancelled"));
    case engine::InterruptReason::kClientGone:
      return absl::CancelledError(StrCat(what, " was cancelled: its client has gone"));
    case engine::InterruptReason::kShutdown:
      return absl::UnavailableError(StrCat(what, " was stopped: wasmd is shutting down"));
  }
  return absl::InternalError(StrCat(what, " was stopped for no reason"));
}

Invocation::Invocation(InvocationInfo info) : info_(std::move(info)), created_(SteadyNow()) {}

void Invocation::set_on_dropped(std::function<void()> on_dropped) {
  const engine::MutexLock lock(mutex_);
  on_dropped_ = std::move(on_dropped);
}

bool Invocation::Begin() {
  std::function<void()> on_dropped;
  const engine::MutexLock lock(mutex_);
  if (state_ != State::kQueued) {
    return false;
  }
  state_ = State::kRunning;
  on_dropped.swap(on_dropped_);
  thread_ = ::pthread_self();
  if (::pthread_getcpuclockid(thread_, &cpu_clock_) == 0) {
    cpu_at_begin_ = CpuSeconds(cpu_clock_);
  }
  return true;
}

void Invocation::Arm(engine::Store& store) {
  const engine::MutexLock lock(mutex_);
  handle_ = store.ArmInterrupt();
  store_ = &store;
  if (reason_ != engine::InterruptReason::kNone) {
    handle_.Interrupt(reason_);
  }
}

void Invocation::End() {
  const engine::MutexLock lock(mutex_);
  state_ = State::kOver;
  store_ = nullptr;
  handle_ = {};
}

void Invocation::ReturnPriority() {
  const engine::MutexLock lock(mutex_);
  if (std::exchange(lent_, false)) {
    engine::ReturnRealTime(thread_);
  }
}

void Invocation::Interrupt(engine::InterruptReason reason, std::string limit) {
  std::function<void()> on_dropped;
  {
    const engine::MutexLock lock(mutex_);
    if (state_ == State::kOver || reason_ != engine::InterruptReason::kNone) {
      return;
    }
    reason_ = reason;
    limit_ = std::move(limit);
    if (state_ == State::kQueued) {
      state_ = State::kOver;
      on_dropped.swap(on_dropped_);
    } else {
      // Under the lock, so that End() means that no signal of ours is still to be sent.
      lent_ = engine::LendRealTime(thread_);
      if (store_ != nullptr) {
        handle_.Interrupt(reason);
      }
    }
  }
  if (on_dropped) {
    on_dropped();
  }
}

engine::InterruptReason Invocation::reason() const {
  const engine::MutexLock lock(mutex_);
  return reason_;
}

std::string Invocation::limit() const {
  const engine::MutexLock lock(mutex_);
  return limit_;
}

absl::Duration Invocation::cpu_time() const {
  const engine::MutexLock lock(mutex_);
  return state_ == State::kRunning ? absl::Seconds(CpuSeconds(cpu_clock_) - cpu_at_begin_)
                                   : absl::ZeroDuration();
}

ActivityInfo Invocation::activity() const {
  ActivityInfo activity;
  activity.info = info_;
  activity.elapsed = SteadyNow() - created_;
  const engine::MutexLock lock(mutex_);
  if (store_ != nullptr) {
    activity.memory_bytes = store_->memory_bytes();
  }
  if (state_ == State::kRunning) {
    activity.cpu_seconds = CpuSeconds(cpu_clock_) - cpu_at_begin_;
  }
  return activity;
}

}  // namespace wasmd::daemon
