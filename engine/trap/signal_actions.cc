#include "engine/trap/signal_actions.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"

#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/platform/signal_action.h"
#include "engine/platform/thread.h"
#include "engine/trap/handler_inside.h"

namespace wasmd::engine {
namespace {

struct OurSignal {
  int signal = 0;
  const Handlers& handlers;
  PreviousActions& previous;
  size_t generations = 0;  // How many handlers of ours have been installed.
};

absl::Status Unavailable(const OurSignal& ours) {
  return absl::UnavailableError(absl::StrCat("cannot install the action of signal ", ours.signal,
                                             ": ", std::strerror(errno)));
}

absl::Status PutInFront(OurSignal& ours) {
  void (*const first)(int, siginfo_t*, void*) = InstalledSignalHandler(ours.signal);
  // An older one of ours is in front where a host's handler has put back what it found.
  const auto* const end = ours.handlers.data() + ours.generations;
  if (std::find(ours.handlers.data(), end, first) != end) {
    return absl::OkStatus();
  }
  if (ours.generations == ours.handlers.size()) {
    return absl::ResourceExhaustedError(absl::StrCat("handlers of signal ", ours.signal,
                                                     " have been installed in front of ours ",
                                                     ours.generations, " times"));
  }
  struct sigaction action = {};
  action.sa_sigaction = ours.handlers[ours.generations];
  // SA_ONSTACK: a host's threads may have small stacks and their own alternate ones (Go demands
  // it). No SA_RESTART: host functions that wait in system calls wake up.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  // The previous action is known before ours can run.
  if (!ReadSignalAction(ours.signal, ours.previous.actions[ours.generations]) ||
      !SetSignalAction(ours.signal, action)) {
    return Unavailable(ours);
  }
  ++ours.generations;
  return absl::OkStatus();
}

}  // namespace

absl::Status InstallSignalActions() {
  static Mutex& mutex = *new Mutex;  // Never destroyed.
  static OurSignal signals[] = {{SIGSEGV, kFaultHandlers, g_previous_segv},
                                {SIGBUS, kFaultHandlers, g_previous_bus},
                                {kInterruptSignal, kInterruptHandlers, g_previous_interrupt}};
  const MutexLock lock(mutex);
  for (OurSignal& ours : signals) {
    WASMD_RETURN_IF_ERROR(PutInFront(ours));
  }
  return absl::OkStatus();
}

bool SendInterruptSignal(const StoreContext& store) {
  return SignalThread(store.running_thread.load(std::memory_order_relaxed), kInterruptSignal,
                      reinterpret_cast<void*>(kInterruptToken | store.pool_index));
}

}  // namespace wasmd::engine
