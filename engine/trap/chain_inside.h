// What becomes of a signal that is not ours: it goes to the action that was installed when ours
// came. Private to engine/trap.
//
// A host may install a handler after ours, and ours can go in front of it again. Each time it is
// another function (a *generation*), which has the action that it found for its previous one:
//
//   kernel ─► ours, 1 ─► the host's second ─► ours, 0 ─► the host's first ─► the default
//
// So a handler of the host that hands on to what it found, or that installs it again and returns or
// raises, ends up where it would have without generation 1. Only a host's function that is
// installed twice, and remembers one predecessor, can come back to a generation that has been
// there: each delivery goes through the generations downwards, and a mark in the ucontext says how
// far it is.
#ifndef WASMD_ENGINE_TRAP_CHAIN_INSIDE_H_
#define WASMD_ENGINE_TRAP_CHAIN_INSIDE_H_

#include <signal.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace wasmd::engine {

// How often ours can go in front of a handler that was installed meanwhile.
inline constexpr size_t kHandlerGenerations = 16;

// Of one signal, by generation. An action is set before its generation's handler is installed, and
// constant then.
struct PreviousActions {
  struct sigaction actions[kHandlerGenerations];
  std::atomic<uint32_t> used_up;  // A bit for each SA_RESETHAND action that has run.
};

// Runs the action that `generation` found, as the kernel would have: with its signal mask, once if
// it is SA_RESETHAND; the default where it is that, or where nobody is left to ask.
void CallPrevious(PreviousActions& previous, size_t generation, int signal, siginfo_t* info,
                  void* context);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_CHAIN_INSIDE_H_
