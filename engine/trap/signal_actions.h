// The process's signal actions: SIGSEGV and SIGBUS for faults of guests, one more signal for
// interrupts.
#ifndef WASMD_ENGINE_TRAP_SIGNAL_ACTIONS_H_
#define WASMD_ENGINE_TRAP_SIGNAL_ACTIONS_H_

#include <cstdint>

#include "absl/status/status.h"

namespace wasmd::engine {

// Installs them, once for the process; later calls do nothing. A signal that is not ours (the pc is
// not in generated code, or it was sent by somebody) goes to the action that was installed before,
// with the same arguments, and ours stays; where that was the default, the default happens.
// kUnavailable: the kernel refuses.
absl::Status InstallSignalActions();

// Lets the handler look at the thread: if its pc is in generated code and an activation's store on
// it has an interrupt requested, the guest traps with kInterrupt. Otherwise nothing happens. False:
// there is no such thread.
bool SendInterruptSignal(int32_t thread_id);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_SIGNAL_ACTIONS_H_
