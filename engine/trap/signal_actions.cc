#include "engine/trap/signal_actions.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"

#include "engine/base/mutex.h"
#include "engine/platform/signal_action.h"
#include "engine/platform/thread.h"
#include "engine/trap/handler_inside.h"

namespace wasmd::engine {
namespace {

absl::Status Install(int signal, void (*handler)(int, siginfo_t*, void*),
                     struct sigaction& previous) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  // SA_ONSTACK: a host's threads may have small stacks and their own alternate ones (Go demands
  // it). No SA_RESTART: host functions that wait in system calls wake up.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  // The previous action is known before ours can run.
  if (!ReadSignalAction(signal, previous) || !SetSignalAction(signal, action)) {
    return absl::UnavailableError(
        absl::StrCat("cannot install the action of signal ", signal, ": ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InstallSignalActions() {
  static Mutex& mutex = *new Mutex;  // Never destroyed.
  static constinit bool installed = false;
  const MutexLock lock(mutex);
  if (installed) {
    return absl::OkStatus();
  }
  absl::Status status = Install(SIGSEGV, &wasmd_fault_handler, g_previous_actions.segv);
  if (status.ok()) {
    status = Install(SIGBUS, &wasmd_fault_handler, g_previous_actions.bus);
  }
  if (status.ok()) {
    status = Install(kInterruptSignal, &wasmd_interrupt_handler, g_previous_actions.interrupt);
  }
  installed = status.ok();
  return status;
}

bool SendInterruptSignal(const StoreContext& store) {
  return SignalThread(store.running_thread.load(std::memory_order_relaxed), kInterruptSignal,
                      reinterpret_cast<void*>(kInterruptToken | store.pool_index));
}

}  // namespace wasmd::engine
