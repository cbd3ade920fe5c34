// Watchdog: a thread that sends interrupt signals again until they have been acknowledged. Private
// to engine/runtime.
//
// One signal is not enough: it does nothing when it finds the guest's thread in a builtin, in the
// lazy compiler, or between two instructions of the entry. The first repeats follow after tens of
// microseconds. The thread has real-time priority where it may.
#ifndef WASMD_ENGINE_RUNTIME_WATCHDOG_H_
#define WASMD_ENGINE_RUNTIME_WATCHDOG_H_

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "engine/base/mutex.h"
#include "engine/platform/thread.h"

namespace wasmd::engine {

class InterruptState;

// Thread-safe.
class Watchdog {
 public:
  // kResourceExhausted: no thread.
  static absl::StatusOr<std::shared_ptr<Watchdog>> Start();
  Watchdog() = default;
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();
  // Ends the thread; what is watched then is forgotten. At most a few milliseconds: it waits for
  // nothing but its own mutex.
  void Shutdown();

  void Watch(std::shared_ptr<InterruptState> state);

 private:
  struct Watched {
    std::shared_ptr<InterruptState>
        state;  // Shared: handles and store may both go while it is here.
    std::optional<std::chrono::steady_clock::time_point> idle_since;
  };
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::vector<Watched> watched_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Thread> thread_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_WATCHDOG_H_
