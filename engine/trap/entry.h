// Entering wasm, and leaving it by a trap.
#ifndef WASMD_ENGINE_TRAP_ENTRY_H_
#define WASMD_ENGINE_TRAP_ENTRY_H_

#include <cstdint>

#include "engine/trap/activation.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

enum class EntryResult : uint8_t {
  kReturned,  // Results are in the frame.
  kTrapped,   // The store's trap record says how and where.
  kNoStack,   // Not entered: the stack in use is not the thread's own, and there is none of ours.
};

// Calls frame.code with frame.context and the arguments in the frame, as an activation of its
// store. The stack limit is the store's for the time: the thread's stack without
// kHostStackReserveBytes, at most `wasm_stack_bytes` from here, and no more than an outer
// activation of the store has left on the same stack, and up to kStoreWindowBytes more. Where that
// leaves nothing, it is a kStackOverflow; where the store has been interrupted, a kInterrupt; both
// with TrapRecord::pc 0, and nothing was called. An outermost activation leaves the store bound to
// the thread and to this part of its stack: see StoreContext::window.
//
// On any thread; a thread's first call asks the system for its stack. Where the stack in use is
// another one (raw clone, makecontext, coroutines), the call is made on a stack of ours
// (engine/trap/owned_stack.h), and frame.stack_top is written. The store's activations end in
// reverse order. The signal actions have been installed (engine/trap/signal_actions.h).
EntryResult EnterWasm(EntryFrame& frame, uint64_t wasm_stack_bytes);

// By the convention of InstanceContext::raise_trap. TrapCode::kException throws the store's pending
// exception: if wasm of this activation catches it, it is no trap.
extern "C" void wasmd_raise_trap();

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_ENTRY_H_
