#include "daemon/pool/watchdog.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"

#include "daemon/pool/alarm.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/invocation.h"
#include "daemon/pool/pthread_start.h"
#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/thread_priority.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::daemon {

using engine::MutexLock;

namespace {

// Ticks without anything awake before they stop.
constexpr uint32_t kQuietTicks = 16;
constexpr size_t kEventsPerWait = 16;

// Checks that ask for less would keep a CPU busy.
constexpr absl::Duration kSoonestAgain = absl::Milliseconds(1);

// Saturates: what is centuries away does not come.
uint64_t TimeIn(absl::Duration after) {
  return ring::MonotonicNs() +
         static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(after), 0));
}

void Register(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // Edges: neither a timer nor an eventfd need be read.
  event.data.fd = fd;
  static_cast<void>(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

}  // namespace

Watchdog::Watchdog(Subject& subject, uint64_t tick_ns)
    : subject_(subject), tick_ns_(tick_ns), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  WASMD_CHECK(static_cast<bool>(epoll_), "no descriptor for the watchdog");
  Register(epoll_.get(), alarm_.fd());
}

Watchdog::~Watchdog() {
  const MutexLock lock(mutex_);
  WASMD_CHECK(!started_ || stopped_, "Stop comes before the destructor");
}

bool Watchdog::Start() {
  const MutexLock lock(mutex_);
  if (!started_ && !stopped_) {
    started_ = StartPthread(size_t{256} << 10, &Watchdog::Main, this, thread_);
  }
  return started_ && !stopped_;
}

void Watchdog::Stop() {
  std::map<std::pair<uint64_t, Entry>, Check> left;  // Released without the lock.
  pthread_t thread{};
  {
    const MutexLock lock(mutex_);
    left.swap(waiting_);
    due_ns_.clear();
    if (std::exchange(stopped_, true) || !started_) {
      return;
    }
    thread = thread_;
  }
  stopping_.store(true, std::memory_order_relaxed);
  alarm_.Expect(0);
  static_cast<void>(::pthread_join(thread, nullptr));
}

Watchdog::Entry Watchdog::Add(absl::Duration after, Check check) {
  if (!Start()) {
    return 0;
  }
  const uint64_t due_ns = TimeIn(after);
  Entry entry = 0;
  {
    const MutexLock lock(mutex_);
    if (stopped_) {
      return 0;
    }
    entry = next_++;
    due_ns_.emplace(entry, due_ns);
    waiting_.emplace(std::pair(due_ns, entry), std::move(check));
  }
  alarm_.Expect(due_ns);
  return entry;
}

Watchdog::Entry Watchdog::Add(absl::Duration after, std::shared_ptr<Invocation> invocation) {
  return Add(after, [invocation = std::move(invocation)]() -> std::optional<absl::Duration> {
    invocation->Interrupt(engine::InterruptReason::kDeadline);
    return std::nullopt;
  });
}

void Watchdog::Remove(Entry entry) {
  Check removed;  // Released without the lock.
  const MutexLock lock(mutex_);
  const auto found = due_ns_.find(entry);
  if (found == due_ns_.end()) {
    return;
  }
  if (const auto waiting = waiting_.find({found->second, entry}); waiting != waiting_.end()) {
    removed = std::move(waiting->second);
    waiting_.erase(waiting);
  }
  due_ns_.erase(found);
}

uint64_t Watchdog::CheckDue(uint64_t now_ns) {
  while (true) {
    Entry entry = 0;
    Check check;  // Released without the lock.
    {
      const MutexLock lock(mutex_);
      if (waiting_.empty()) {
        return Alarm::kNever;
      }
      const auto first = waiting_.begin();
      if (first->first.first > now_ns) {
        return first->first.first;
      }
      entry = first->first.second;
      check = std::move(first->second);
      waiting_.erase(first);
    }
    const std::optional<absl::Duration> again = check();
    const MutexLock lock(mutex_);
    const auto found = due_ns_.find(entry);
    if (found == due_ns_.end()) {  // Removed meanwhile.
      continue;
    }
    if (!again.has_value() || stopped_) {
      due_ns_.erase(found);
      continue;
    }
    found->second = TimeIn(std::max(*again, kSoonestAgain));
    waiting_.emplace(std::pair(found->second, entry), std::move(check));
  }
}

void Watchdog::StartTicking() {
  const uint64_t next_ns = ring::MonotonicNs() + tick_ns_;
  next_tick_ns_.store(next_ns, std::memory_order_relaxed);
  ticking_.store(true, std::memory_order_release);  // Pairs with the loads in Run.
  // Pairs with the one in Alarm::Open: either Run sees that there are ticks, or this what it has
  // opened the alarm for.
  ring::StoreLoadFence();
  alarm_.Expect(next_ns);
}

void Watchdog::StopTickingIfQuiet() {
  quiet_ticks_ = subject_.AnyAwake() ? 0 : quiet_ticks_ + 1;
  if (quiet_ticks_ < kQuietTicks) {
    return;
  }
  quiet_ticks_ = 0;
  // The alarm has been opened for one more tick: it rings once in vain.
  ticking_.store(false, std::memory_order_relaxed);
  // Pairs with the exchange in WorkerPool::Sleep: a worker that wakes up now sees that nothing
  // ticks, or is seen.
  ring::StoreLoadFence();
  if (subject_.AnyAwake()) {
    StartTicking();
  }
}

void* Watchdog::Main(void* watchdog) {
  static_cast<Watchdog*>(watchdog)->Run();
  return nullptr;
}

void Watchdog::Run() {
  static_cast<void>(::pthread_setname_np(::pthread_self(), "wasmd-watchdog"));
  static_cast<void>(engine::RaiseThreadToRealTime());
  std::array<epoll_event, kEventsPerWait> events{};
  while (!stopping_.load(std::memory_order_relaxed)) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    Look look;
    look.now_ns = ring::MonotonicNs();
    for (int i = 0; i < count; ++i) {
      look.is_bell = look.is_bell || events[static_cast<size_t>(i)].data.fd != alarm_.fd();
    }
    const bool ticks = ticking_.load(std::memory_order_acquire);
    uint64_t next_tick_ns = next_tick_ns_.load(std::memory_order_relaxed);
    if (ticks && look.now_ns >= next_tick_ns) {
      look.is_tick = true;
      next_tick_ns = look.now_ns + tick_ns_;
      next_tick_ns_.store(next_tick_ns, std::memory_order_relaxed);
    }
    alarm_.Open(ticks ? next_tick_ns : Alarm::kNever);
    if (!ticks && ticking_.load(std::memory_order_acquire)) {
      alarm_.Expect(next_tick_ns_.load(std::memory_order_relaxed));
    }
    const uint64_t earliest = CheckDue(look.now_ns);
    alarm_.Expect(std::min(earliest, subject_.LookAround(look)));
    if (look.is_tick) {
      StopTickingIfQuiet();
    }
  }
}

void Watchdog::Listen(int eventfd) {
  Register(epoll_.get(), eventfd);
}

void Watchdog::Forget(int eventfd) {
  epoll_event none{};
  static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, eventfd, &none));
}

}  // namespace wasmd::daemon
