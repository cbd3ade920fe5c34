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
#include "engine/trap/store_context_pool.h"

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

extern "C" void wasmd_fault_exit();

namespace {

WASMD_SIGNAL_CONTEXT void LeaveWasm(ucontext_t* context, TrapCode code, ExitKind kind,
                                    uint64_t detail) {
  greg_t* registers = context->uc_mcontext.gregs;
  registers[REG_RDI] = static_cast<greg_t>(code);
  registers[REG_RSI] = registers[REG_RIP];
  registers[REG_RDX] = registers[REG_RBP];
  registers[REG_RCX] = static_cast<greg_t>(kind);
  registers[REG_R8] = static_cast<greg_t>(detail);
  registers[REG_RIP] = reinterpret_cast<greg_t>(&wasmd_fault_exit);
}

// Makes rbp the frame of the function at the pc, where the function has not done so yet (it begins
// with `push rbp; mov rbp, rsp`) or no longer has one (it ends with `leave; ret`). Everywhere else
// rbp is it. The pc is at an instruction's start, so its bytes say which one it is.
__attribute__((no_sanitize("address"))) WASMD_SIGNAL_CONTEXT void SetUpFrame(ucontext_t* context) {
  constexpr uint8_t kPushRbp = 0x55;
  constexpr uint8_t kMovRbpRsp[] = {0x48, 0x89, 0xe5};
  constexpr uint8_t kRet = 0xc3;
  greg_t* registers = context->uc_mcontext.gregs;
  const auto* pc = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  if (*pc == kPushRbp || *pc == kRet) {
    registers[REG_RSP] -= 8;
    *reinterpret_cast<uint64_t*>(registers[REG_RSP]) = static_cast<uint64_t>(registers[REG_RBP]);
    registers[REG_RBP] = registers[REG_RSP];
  } else if (pc[0] == kMovRbpRsp[0] && pc[1] == kMovRbpRsp[1] && pc[2] == kMovRbpRsp[2]) {
    registers[REG_RBP] = registers[REG_RSP];
  }
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
  const auto pc = static_cast<uint64_t>(machine->uc_mcontext.gregs[REG_RIP]);
  // si_code: one that a process sent is not the guest's, whatever it interrupts. Nor is a call
  // stub's, which touches what its caller has pointed at. An instruction that may fault has its
  // function's frame set up.
  if (info->si_code > 0 && CodeOwner(pc) != nullptr) {
    LeaveWasm(machine, TrapCode::kMemoryOutOfBounds, ExitKind::kFault,
              reinterpret_cast<uint64_t>(info->si_addr));
    return;
  }
  CallPrevious(signal == SIGBUS ? g_previous_actions.bus : g_previous_actions.segv, signal, info,
               context);
}

WASMD_SIGNAL_CONTEXT void wasmd_interrupt_handler(int signal, siginfo_t* info, void* context) {
  const auto value = reinterpret_cast<uint64_t>(info->si_value.sival_ptr);
  if (info->si_code != SI_QUEUE || (value & kInterruptTokenMask) != kInterruptToken ||
      info->si_pid != getpid()) {
    CallPrevious(g_previous_actions.interrupt, signal, info, context);
    return;
  }
  auto* const machine = static_cast<ucontext_t*>(context);
  if (!IsGeneratedCode(static_cast<uint64_t>(machine->uc_mcontext.gregs[REG_RIP]))) {
    return;  // In host code: the host thunk looks when it returns to wasm.
  }
  // On its stack the store is the innermost activation's or an outer one's, whose host function
  // waits for the inner ones. On another stack wasm of another store is running, while the store
  // waits in a coroutine, or in a host function that has switched stacks: the thunk will look. A
  // late signal may find another store in the same place, which it does no harm.
  const StoreContext* const store = StoreContextAt(static_cast<uint32_t>(value));
  const auto rsp = static_cast<uint64_t>(machine->uc_mcontext.gregs[REG_RSP]);
  if (store == nullptr || store->window.load(std::memory_order_relaxed) != kStoreActive ||
      store->running_thread.load(std::memory_order_relaxed) != gettid() ||
      rsp < store->stack_low.load(std::memory_order_relaxed) ||
      rsp >= store->stack_high.load(std::memory_order_relaxed)) {
    return;
  }
  const uint32_t reason = store->interrupt_requested.load(std::memory_order_relaxed);
  if (reason == 0) {
    return;
  }
  SetUpFrame(machine);
  LeaveWasm(machine, TrapCode::kInterrupt, ExitKind::kInterrupt, reason);
}

}  // namespace wasmd::engine
