// InterruptGate: how a call that runs over a ring is stopped: the interrupt handle of its store,
// and what was asked before the store had one.
//
// Arm and Settle: by the thread that calls. Interrupt: by who has a claim on that call (visit.h).
#ifndef WASMD_DAEMON_POOL_INTERRUPT_GATE_H_
#define WASMD_DAEMON_POOL_INTERRUPT_GATE_H_

#include <utility>

#include "absl/base/thread_annotations.h"

#include "daemon/pool/engine_types.h"
#include "engine/base/mutex.h"

namespace wasmd::daemon {

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
    if (reason_ != engine::InterruptReason::kNone) {
      handle_.Interrupt(reason_);
    }
  }
  // The first reason stays.
  void Interrupt(engine::InterruptReason reason) {
    const engine::MutexLock lock(mutex_);
    if (reason_ == engine::InterruptReason::kNone) {
      reason_ = reason;
      handle_.Interrupt(reason);
    }
  }
  // The call is over. kNone: nobody interrupted it. Otherwise the store is to be armed again before
  // its next call, which this interrupt must not hit.
  engine::InterruptReason Settle() {
    const engine::MutexLock lock(mutex_);
    return std::exchange(reason_, engine::InterruptReason::kNone);
  }

 private:
  engine::Mutex mutex_;
  engine::InterruptHandle handle_ ABSL_GUARDED_BY(mutex_);
  engine::InterruptReason reason_ ABSL_GUARDED_BY(mutex_) = engine::InterruptReason::kNone;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_INTERRUPT_GATE_H_
