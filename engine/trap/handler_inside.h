// The signal handlers, and what they read. Private to engine/trap.
#ifndef WASMD_ENGINE_TRAP_HANDLER_INSIDE_H_
#define WASMD_ENGINE_TRAP_HANDLER_INSIDE_H_

#include <signal.h>

#include <cstdint>

namespace wasmd::engine {

// Linux has never sent it (it was for a coprocessor), so hosts don't use it; being no real-time
// signal, a second one merges with a pending first.
inline constexpr int kInterruptSignal = SIGSTKFLT;

// Set before the handlers are installed, constant then.
struct PreviousActions {
  struct sigaction segv;
  struct sigaction bus;
  struct sigaction interrupt;
};
extern PreviousActions
    g_previous_actions;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables):
                         // signal actions.

// siginfo_t::si_value of the interrupt signals that we send: a store's index in the pool of
// contexts, in the low half of this.
inline constexpr uint64_t kInterruptToken = 0x7761'736d'0000'0000;
inline constexpr uint64_t kInterruptTokenMask = 0xffff'ffff'0000'0000;

// How wasm is left.
enum class ExitKind : uint32_t {
  kRaise = 0,  // entry.cc's asm knows it.
  kFault = 1,
  kInterrupt = 2,
};

extern "C" void wasmd_fault_handler(int signal, siginfo_t* info, void* context);
extern "C" void wasmd_interrupt_handler(int signal, siginfo_t* info, void* context);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_HANDLER_INSIDE_H_
