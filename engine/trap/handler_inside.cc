// Signal context: no locks, no allocation, no calls but those on the list in
// tests/unit/engine/trap.
//
// A fault or interrupt of a guest: the handler writes the reason into registers of the interrupted
// context and points its rip at wasmd_fault_exit (entry.cc). Returning from the handler restores
// the signal mask and the stack, and the thread goes on there, in normal context. Nothing is
// unwound here.
#include "engine/trap/handler_inside.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "engine/code/code_map.h"
#include "engine/trap/activation.h"

// TSan's run-time must not be entered from here: the signal may have interrupted it. (It is told
// nothing of generated code anyway.) ASan and UBSan checks are harmless.
#if defined(__clang__)
#define WASMD_SIGNAL_CONTEXT __attribute__((disable_sanitizer_instrumentation))
#elif defined(__SANITIZE_THREAD__)
#define WASMD_SIGNAL_CONTEXT __attribute__((no_sanitize_thread))
#else
#define WASMD_SIGNAL_CONTEXT
#endif

namespace wasmd::engine {

constinit PreviousActions g_previous_actions = {};
constinit char g_interrupt_token = 0;

extern "C" void wasmd_fault_exit();

namespace {

WASMD_SIGNAL_CONTEXT void LeaveWasm(ucontext_t* context, TrapCode code) {
  greg_t* registers = context->uc_mcontext.gregs;
  registers[REG_RDI] = static_cast<greg_t>(code);
  registers[REG_RSI] = registers[REG_RIP];
  registers[REG_RDX] = registers[REG_RBP];
  registers[REG_RIP] = reinterpret_cast<greg_t>(&wasmd_fault_exit);
}

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

WASMD_SIGNAL_CONTEXT void CallPrevious(const struct sigaction& previous, int signal,
                                       siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_DFL ||
             (previous.sa_handler == SIG_IGN && info->si_code > 0)) {
    // A fault cannot be ignored: the kernel would end the process too.
    DoDefault(signal, info);
  } else if (previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  }
}

}  // namespace

WASMD_SIGNAL_CONTEXT void wasmd_fault_handler(int signal, siginfo_t* info, void* context) {
  auto* const machine = static_cast<ucontext_t*>(context);
  ThreadRecord& thread = t_thread;
  const auto pc = static_cast<uint64_t>(machine->uc_mcontext.gregs[REG_RIP]);
  // si_code: one that a process sent is not the guest's, whatever it interrupts.
  if (thread.activation != nullptr && info->si_code > 0 && CodeOwner(pc) != nullptr) {
    thread.trap.is_fault = true;
    thread.trap.fault_address = reinterpret_cast<uint64_t>(info->si_addr);
    LeaveWasm(machine, TrapCode::kMemoryOutOfBounds);
    return;
  }
  CallPrevious(signal == SIGBUS ? g_previous_actions.bus : g_previous_actions.segv, signal, info,
               context);
}

WASMD_SIGNAL_CONTEXT void wasmd_interrupt_handler(int signal, siginfo_t* info, void* context) {
  if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &g_interrupt_token ||
      info->si_pid != getpid()) {
    CallPrevious(g_previous_actions.interrupt, signal, info, context);
    return;
  }
  auto* const machine = static_cast<ucontext_t*>(context);
  ThreadRecord& thread = t_thread;
  if (thread.activation == nullptr ||
      CodeOwner(static_cast<uint64_t>(machine->uc_mcontext.gregs[REG_RIP])) == nullptr) {
    return;  // In host code: the host thunk looks when it returns to wasm.
  }
  // An outer activation's store counts as well: its host function waits for the inner one.
  for (const Activation* activation = thread.activation; activation != nullptr;
       activation = activation->previous) {
    if (activation->store->interrupt_requested.load(std::memory_order_relaxed) != 0) {
      thread.trap.is_fault = false;
      LeaveWasm(machine, TrapCode::kInterrupt);
      return;
    }
  }
}

}  // namespace wasmd::engine
