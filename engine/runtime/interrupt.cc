// How an interrupt reaches its guest.
//
//   InterruptHandle::Interrupt   sets StoreContext::interrupt_requested and the eventfd, signals
//   the running thread once,
//                                and gives the state to the watchdog;
//   the handler                  (engine/trap/handler_inside.cc) leaves wasm if the pc is in it and
//   the flag is set; entry and host thunk         test the flag before wasm goes on;
//   FuncHandle::Call             acknowledges when the outermost activation has ended: the flag is
//   cleared.
//
// The flag and the window are relaxed on the guest's side: its entry writes the window and reads
// the flag without a fence, so it can miss a flag while the interrupter misses the activation. Each
// becomes visible to the other side within a store buffer's time, and the watchdog looks again and
// again for much longer than that.
#include "engine/runtime/interrupt.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "engine/base/mutex.h"
#include "engine/base/thread_priority.h"
#include "engine/runtime/interrupt_state.h"
#include "engine/runtime/watchdog.h"
#include "engine/trap/signal_actions.h"

namespace wasmd::engine {
namespace {

// The first repeats come soon: a signal that found the thread in a builtin finds it in wasm next
// time. Each wait is twice as long as the one before, up to kShortTick.
constexpr std::chrono::microseconds kFirstTick(50);
constexpr int kDoublings = 5;
constexpr std::chrono::microseconds kShortTick(1'000);
// What was not acknowledged in kShortTicks is inside something long.
constexpr std::chrono::microseconds kLongTick(10'000);
constexpr int kShortTicks = 50;
// When a store has had no activation for so long, its next entry sees the flag for sure.
constexpr std::chrono::microseconds kIdle(5'000);

// Before the look after `looks` of them.
std::chrono::microseconds WaitAfter(int looks) {
  if (looks < kDoublings) {
    return std::min(kFirstTick * (1 << looks), kShortTick);
  }
  return looks < kShortTicks ? kShortTick : kLongTick;
}

bool IsActive(const StoreContext& context) {
  return context.window.load(std::memory_order_relaxed) == kStoreActive;
}

}  // namespace

bool InterruptHandle::Interrupt(InterruptReason reason) const {
  return state_ != nullptr && state_->Interrupt(epoch_, reason);
}

void InterruptState::Detach() {
  const MutexLock lock(mutex_);
  context_ = nullptr;
}

uint64_t InterruptState::Arm() {
  const MutexLock lock(mutex_);
  context_->interrupt_requested.store(0, std::memory_order_relaxed);
  event_.Clear();
  return ++epoch_;
}

bool InterruptState::Interrupt(uint64_t epoch, InterruptReason reason) {
  WASMD_CHECK(reason != InterruptReason::kNone);
  {
    const MutexLock lock(mutex_);
    if (context_ == nullptr || epoch != epoch_) {
      return false;
    }
    if (context_->interrupt_requested.load(std::memory_order_relaxed) != 0) {
      return true;  // The first reason stays, and is being watched.
    }
    context_->interrupt_requested.store(static_cast<uint32_t>(reason), std::memory_order_relaxed);
    event_.Set();
    if (IsActive(*context_)) {
      SendInterruptSignal(*context_);
    }
  }
  watchdog_->Watch(shared_from_this());
  return true;
}

void InterruptState::Acknowledge() {
  const MutexLock lock(mutex_);
  context_->interrupt_requested.store(0, std::memory_order_relaxed);
  event_.Clear();
}

int InterruptState::fd() {
  const MutexLock lock(mutex_);
  if (!has_fd_) {
    if (absl::StatusOr<EventFd> made = EventFd::Create(); made.ok()) {
      event_ = *std::move(made);
      has_fd_ = true;
      if (context_ != nullptr &&
          context_->interrupt_requested.load(std::memory_order_relaxed) != 0) {
        event_.Set();
      }
    }
  }
  return event_.fd();
}

InterruptState::Pending InterruptState::Resend() {
  const MutexLock lock(mutex_);
  if (context_ == nullptr || context_->interrupt_requested.load(std::memory_order_relaxed) == 0) {
    return Pending::kNo;
  }
  if (!IsActive(*context_)) {
    return Pending::kIdle;
  }
  // Under the lock: the store cannot go. Should the activation and its thread end meanwhile, the
  // signal finds nobody, or a thread that ignores it.
  SendInterruptSignal(*context_);
  return Pending::kRunning;
}

absl::StatusOr<std::shared_ptr<Watchdog>> Watchdog::Start() {
  auto watchdog = std::make_shared<Watchdog>();
  watchdog->thread_ = Thread::Start([raw = watchdog.get()] { raw->Run(); });
  if (!watchdog->thread_.has_value()) {
    return absl::ResourceExhaustedError("cannot start the interrupt watchdog's thread");
  }
  return watchdog;
}

Watchdog::~Watchdog() {
  Shutdown();
}

void Watchdog::Shutdown() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  if (thread_.has_value()) {
    thread_->Join();
  }
  // States refer to us: what is left would keep itself alive for ever.
  std::vector<Watched> left;
  const MutexLock lock(mutex_);
  left.swap(watched_);
}

void Watchdog::Watch(std::shared_ptr<InterruptState> state) {
  const MutexLock lock(mutex_);
  if (stop_) {
    return;  // No store is left: `state` is a handle's.
  }
  watched_.push_back({std::move(state), {}});
  changed_.NotifyAll();
}

void Watchdog::Run() {
  // Where it may: what is overdue on a busy machine is what it is for.
  static_cast<void>(RaiseThreadToRealTime());
  int ticks = 0;
  std::vector<Watched> round;
  while (true) {
    {
      const MutexLock lock(mutex_);
      // What is left of the last round goes on being watched.
      watched_.insert(watched_.end(), std::make_move_iterator(round.begin()),
                      std::make_move_iterator(round.end()));
      round.clear();
      ticks = watched_.empty() ? 0 : ticks + 1;
      while (!stop_ && watched_.empty()) {
        changed_.Wait(mutex_);
      }
      const size_t before = watched_.size();
      if (!stop_ && changed_.WaitFor(mutex_, WaitAfter(ticks)) && watched_.size() != before) {
        ticks = 0;
      }
      if (stop_) {
        return;
      }
      round.swap(watched_);
    }
    const auto now = std::chrono::steady_clock::now();
    // Outside of our lock: a state's last reference, and with it the store's descriptor, may go
    // here.
    std::erase_if(round, [now](Watched& watched) {
      switch (watched.state->Resend()) {
        case InterruptState::Pending::kNo:
          return true;
        case InterruptState::Pending::kRunning:
          watched.idle_since.reset();
          return false;
        case InterruptState::Pending::kIdle:
          if (!watched.idle_since.has_value()) {
            watched.idle_since = now;
          }
          return now - *watched.idle_since > kIdle;
      }
      return true;
    });
  }
}

}  // namespace wasmd::engine
