// InterruptGate: how a call that runs over a ring is stopped: the interrupt handle of its store,
// and what was asked before the store had one.
//
// Arm and Settle: by the thread that calls. Interrupt: by who has a claim on that call (visit.h).
#ifndef WASMD_DAEMON_POOL_INTERRUPT_GATE_H_
#define WASMD_DAEMON_POOL_INTERRUPT_GATE_H_

#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"

#include "daemon/pool/engine_types.h"
#include "engine/base/mutex.h"

namespace wasmd::daemon {

// Why a call over a ring is ended.
struct Interruption {
  engine::InterruptReason reason = engine::InterruptReason::kNone;
  // A limit of the daemon's that it met, for people: "5s (--max-call-time)". The pool's. Empty:
  // none.
  std::string_view limit = {};
};

class InterruptGate {
 public:
  InterruptGate() = default;
  InterruptGate(const InterruptGate&) = delete;
  InterruptGate& operator=(const InterruptGate&) = delete;

  // From here on `store` is what an interrupt stops; one that came since the last Settle does so
  // at once.
  void Arm(engine::Store& store) {
    const engine::MutexLock lock(mutex_);
    handle_ = store.ArmInterrupt();
    if (interruption_.reason != engine::InterruptReason::kNone) {
      handle_.Interrupt(interruption_.reason);
    }
  }
  // The first reason stays.
  void Interrupt(const Interruption& why) {
    const engine::MutexLock lock(mutex_);
    if (interruption_.reason == engine::InterruptReason::kNone) {
      interruption_ = why;
      handle_.Interrupt(why.reason);
    }
  }
  // The call is over. kNone: nobody interrupted it. Otherwise the store is to be armed again before
  // its next call, which this interrupt must not hit.
  Interruption Settle() {
    const engine::MutexLock lock(mutex_);
    return std::exchange(interruption_, {});
  }

 private:
  engine::Mutex mutex_;
  engine::InterruptHandle handle_ ABSL_GUARDED_BY(mutex_);
  Interruption interruption_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_INTERRUPT_GATE_H_
