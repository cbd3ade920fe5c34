#include "daemon/pool/alarm.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>

#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "proto/ring/ring.h"

namespace wasmd::daemon {

using engine::MutexLock;

Alarm::Alarm() : timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  WASMD_CHECK(static_cast<bool>(timer_), "no timer for the watchdog");
}

void Alarm::Set(uint64_t at_ns) {
  itimerspec times{};
  if (at_ns != kNever) {
    // 0 would stop it.
    const uint64_t at = std::max(at_ns, uint64_t{1});
    times.it_value.tv_sec = static_cast<time_t>(at / 1'000'000'000);
    times.it_value.tv_nsec = static_cast<long>(at % 1'000'000'000);
  }
  static_cast<void>(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &times, nullptr));
  armed_ns_.store(at_ns, std::memory_order_relaxed);
}

void Alarm::Open(uint64_t latest_ns) {
  {
    const MutexLock lock(mutex_);
    Set(latest_ns);
  }
  ring::StoreLoadFence();
}

void Alarm::BringForward(uint64_t at_ns) {
  const MutexLock lock(mutex_);
  if (at_ns < armed_ns_.load(std::memory_order_relaxed)) {
    Set(at_ns);
  }
}

}  // namespace wasmd::daemon
