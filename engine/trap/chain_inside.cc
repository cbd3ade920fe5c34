// Signal context, as handler_inside.cc.
#include "engine/trap/chain_inside.h"

#include <ucontext.h>
#include <unistd.h>

#include "engine/trap/signal_context.h"

namespace wasmd::engine {
namespace {

// In uc_link, which the kernel clears at each delivery and nobody reads: no address, and how many
// generations are left in the low bits. In the ucontext rather than in the thread, since a host's
// handler may leave by a jump.
constexpr uint64_t kMark = 0x7761'736d'6368'0000;
constexpr uint64_t kMarkMask = 0xffff'ffff'ffff'0000;

// Kernel's and sender's meaning of a signal that nobody handles.
WASMD_SIGNAL_CONTEXT void DoDefault(int signal, const siginfo_t* info) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  if (info->si_code <= 0) {
    // Sent by a process: it does not happen again by itself when we return. Blocked until then.
    kill(getpid(), signal);
  }
  // A fault happens again, and the process ends with the true address.
}

WASMD_SIGNAL_CONTEXT void Run(const struct sigaction& action, int signal, siginfo_t* info,
                              void* context) {
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else {
    action.sa_handler(signal);
  }
}

}  // namespace

WASMD_SIGNAL_CONTEXT void CallPrevious(PreviousActions& previous, size_t generation, int signal,
                                       siginfo_t* info, void* context) {
  ucontext_t*& link = static_cast<ucontext_t*>(context)->uc_link;
  const auto mark = reinterpret_cast<uint64_t>(link);
  size_t left = generation + 1;
  if ((mark & kMarkMask) == kMark && (mark & ~kMarkMask) < left) {
    left = mark & ~kMarkMask;
  }
  if (left == 0) {
    DoDefault(signal, info);
    return;
  }
  const size_t chosen = left - 1;
  const struct sigaction& action = previous.actions[chosen];
  const bool is_function = (action.sa_flags & SA_SIGINFO) != 0 ||
                           (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
  const uint32_t bit = uint32_t{1} << chosen;
  const bool has_run = is_function &&
                       (static_cast<unsigned>(action.sa_flags) & SA_RESETHAND) != 0 &&
                       (previous.used_up.fetch_or(bit, std::memory_order_relaxed) & bit) != 0;
  if (!is_function || has_run) {
    // A fault cannot be ignored: the kernel would end the process too.
    if (has_run || action.sa_handler == SIG_DFL || info->si_code > 0) {
      DoDefault(signal, info);
    }
    return;
  }
  ucontext_t* const outer = link;
  link = reinterpret_cast<ucontext_t*>(kMark | chosen);
  // The kernel's own words: its signals are 64, and they fill the set's first one.
  uint64_t masked = 0;
  __builtin_memcpy(&masked, &action.sa_mask, sizeof(masked));
  if (masked == 0 && (action.sa_flags & SA_NODEFER) == 0) {
    Run(action, signal, info, context);
  } else {
    sigset_t mask;
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &action.sa_mask, &before);
    if ((action.sa_flags & SA_NODEFER) != 0) {
      mask = {};
      const uint64_t this_signal = uint64_t{1} << (signal - 1);
      __builtin_memcpy(&mask, &this_signal, sizeof(this_signal));
      pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);
    }
    Run(action, signal, info, context);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  link = outer;
}

}  // namespace wasmd::engine
