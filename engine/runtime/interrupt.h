// InterruptHandle: stops the guest of one invocation, from any thread.
//
//   InterruptHandle handle = store.ArmInterrupt();      // on the store's thread, before the
//   invocation … other thread: handle.Interrupt(InterruptReason::kDeadline); outcome =
//   func.Call(…);                             // outcome.interrupt()->reason
//
// A guest inside wasm is stopped by a signal to its thread, at whatever instruction it is; one
// inside a host function stops when that returns, and blocking ones wake up by the eventfd. The
// signal is sent again every few milliseconds until the guest has stopped, so no interrupt is lost.
// Arming again ends the earlier handles' reach: an interrupt that comes late never hits another
// invocation, nor any other store's.
//
// Thread-safe. A handle may outlive the store, and then does nothing. Copies are the same handle.
#ifndef WASMD_ENGINE_RUNTIME_INTERRUPT_H_
#define WASMD_ENGINE_RUNTIME_INTERRUPT_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "engine/runtime/outcome.h"

namespace wasmd::engine {

class InterruptState;

class InterruptHandle {
 public:
  // Does nothing when interrupted.
  InterruptHandle() = default;
  InterruptHandle(std::shared_ptr<InterruptState> state, uint64_t epoch)
      : state_(std::move(state)), epoch_(epoch) {}

  // Stops the store's current activation, or the next one if none is running. The first reason
  // stays. Returns false if this handle's time is over (armed again, store gone). Never blocks for
  // longer than a system call; allocates a little.
  bool Interrupt(InterruptReason reason) const;

 private:
  std::shared_ptr<InterruptState> state_;  // Shared with the store: handles outlive it.
  uint64_t epoch_ = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_INTERRUPT_H_
