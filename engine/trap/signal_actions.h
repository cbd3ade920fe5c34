// The process's signal actions: SIGSEGV and SIGBUS for faults of guests, one more signal for
// interrupts.
#ifndef WASMD_ENGINE_TRAP_SIGNAL_ACTIONS_H_
#define WASMD_ENGINE_TRAP_SIGNAL_ACTIONS_H_

#include "absl/status/status.h"

#include "engine/abi/instance_context.h"

namespace wasmd::engine {

// Installs them. A later call looks whether they are still the first, and puts them in front of
// what was installed meanwhile. A signal that is not ours (the pc is not in generated code, or it
// was sent by somebody) goes to the action that was found, with the same arguments and its signal
// mask, and ours stays; where that was the default, the default happens. kUnavailable: the kernel
// refuses. kResourceExhausted: that was the 16th time (engine/trap/chain_inside.h).
absl::Status InstallSignalActions();

// Lets the handler look at the store's thread: if its pc is in generated code and the store is
// active there, with an interrupt requested, the innermost guest traps with kInterrupt. Otherwise
// nothing happens. The store is one of the pool. False: there is no such thread.
bool SendInterruptSignal(const StoreContext& store);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_SIGNAL_ACTIONS_H_
