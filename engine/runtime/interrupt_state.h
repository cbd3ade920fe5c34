// InterruptState: what a store and its interrupt handles share. Private to engine/runtime.
#ifndef WASMD_ENGINE_RUNTIME_INTERRUPT_STATE_H_
#define WASMD_ENGINE_RUNTIME_INTERRUPT_STATE_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"

#include "engine/abi/instance_context.h"
#include "engine/base/mutex.h"
#include "engine/platform/event_fd.h"
#include "engine/runtime/outcome.h"
#include "engine/runtime/watchdog.h"

namespace wasmd::engine {

// Thread-safe.
class InterruptState : public std::enable_shared_from_this<InterruptState> {
 public:
  InterruptState(StoreContext& context, std::shared_ptr<Watchdog> watchdog)
      : context_(&context), watchdog_(std::move(watchdog)) {}

  // The store goes.
  void Detach();
  // Returns the new epoch.
  uint64_t Arm();
  bool Interrupt(uint64_t epoch, InterruptReason reason);
  // The store's outermost activation ended as interrupted.
  void Acknowledge();
  // Made when it is first asked for.
  int fd();

  enum class Pending : uint8_t { kNo, kRunning, kIdle };
  // Sends the signal again where the store has an activation.
  Pending Resend();

 private:
  Mutex mutex_;
  StoreContext* context_ ABSL_GUARDED_BY(mutex_);  // Null once the store is gone.
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  bool has_fd_ ABSL_GUARDED_BY(mutex_) = false;
  EventFd event_ ABSL_GUARDED_BY(mutex_);
  const std::shared_ptr<Watchdog> watchdog_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_INTERRUPT_STATE_H_
