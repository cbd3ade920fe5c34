// A pair of fences for a protocol in which one side is hot and the other is rare.
//
//   hot side, per call            rare side, now and then
//     store A                       store B
//     LightFence()                  HeavyFence()
//     load B                        load A
//
// At least one of the two sees the other's store. The light fence keeps only the compiler from
// reordering; the heavy one makes the kernel execute a full fence on every thread of the process
// that runs. Where the kernel does not (seccomp, before 4.14), both are ordinary fences, and the
// hot side pays some nanoseconds. See membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.
//
// Thread-safe.
#ifndef WASMD_DAEMON_POOL_ASYMMETRIC_FENCE_H_
#define WASMD_DAEMON_POOL_ASYMMETRIC_FENCE_H_

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "proto/ring/ring.h"

namespace wasmd::daemon {

class AsymmetricFence {
 public:
  // Asks the kernel once in a process.
  AsymmetricFence() : by_kernel_(Register()) {}

  bool by_kernel() const { return by_kernel_; }

  void Light() const {
    if (by_kernel_) [[likely]] {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      ring::StoreLoadFence();
    }
  }
  void Heavy() const {
    ring::StoreLoadFence();
    if (by_kernel_) {
      static_cast<void>(::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    }
  }

 private:
  static bool Register() {
    return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  }

  const bool by_kernel_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_ASYMMETRIC_FENCE_H_
