// The signal handlers, and what they read. Private to engine/trap.
#ifndef WASMD_ENGINE_TRAP_HANDLER_INSIDE_H_
#define WASMD_ENGINE_TRAP_HANDLER_INSIDE_H_

#include <signal.h>

#include <array>
#include <cstdint>

#include "engine/trap/chain_inside.h"

namespace wasmd::engine {

// Linux has never sent it (it was for a coprocessor), so hosts don't use it; being no real-time
// signal, a second one merges with a pending first.
inline constexpr int kInterruptSignal = SIGSTKFLT;

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): signal actions.
extern PreviousActions g_previous_segv;
extern PreviousActions g_previous_bus;
extern PreviousActions g_previous_interrupt;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

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

using Handlers =
    std::array<void (*)(int signal, siginfo_t* info, void* context), kHandlerGenerations>;
extern const Handlers kFaultHandlers;
extern const Handlers kInterruptHandlers;

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_HANDLER_INSIDE_H_
