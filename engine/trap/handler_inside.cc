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
#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/abi/calling_convention.h"
#include "engine/code/code_map.h"
#include "engine/trap/activation.h"
#include "engine/trap/signal_context.h"
#include "engine/trap/store_context_pool.h"

namespace wasmd::engine {

constinit PreviousActions g_previous_segv = {};
constinit PreviousActions g_previous_bus = {};
constinit PreviousActions g_previous_interrupt = {};

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
// with `push rbp; mov rbp, rsp`) or no longer has one (it ends with `leave; ret`, or `leave` and
// kTailJump). Everywhere else rbp is it. The pc is at an instruction's start, so its bytes say
// which one it is.
__attribute__((no_sanitize("address"))) WASMD_SIGNAL_CONTEXT void SetUpFrame(ucontext_t* context) {
  constexpr uint8_t kPushRbp = 0x55;
  constexpr uint8_t kMovRbpRsp[] = {0x48, 0x89, 0xe5};
  constexpr uint8_t kRet = 0xc3;
  greg_t* registers = context->uc_mcontext.gregs;
  const auto* pc = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  if (*pc == kPushRbp || *pc == kRet || *pc == kTailJump[0]) {
    registers[REG_RSP] -= 8;
    *reinterpret_cast<uint64_t*>(registers[REG_RSP]) = static_cast<uint64_t>(registers[REG_RBP]);
    registers[REG_RBP] = registers[REG_RSP];
  } else if (pc[0] == kMovRbpRsp[0] && pc[1] == kMovRbpRsp[1] && pc[2] == kMovRbpRsp[2]) {
    registers[REG_RBP] = registers[REG_RSP];
  }
}

WASMD_SIGNAL_CONTEXT inline void HandleFault(size_t generation, int signal, siginfo_t* info,
                                             void* context) {
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
  CallPrevious(signal == SIGBUS ? g_previous_bus : g_previous_segv, generation, signal, info,
               context);
}

WASMD_SIGNAL_CONTEXT inline void HandleInterrupt(size_t generation, int signal, siginfo_t* info,
                                                 void* context) {
  const auto value = reinterpret_cast<uint64_t>(info->si_value.sival_ptr);
  if (info->si_code != SI_QUEUE || (value & kInterruptTokenMask) != kInterruptToken ||
      info->si_pid != getpid()) {
    CallPrevious(g_previous_interrupt, generation, signal, info, context);
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

// A function for each generation, so that what a host's handler hands on to says whom to ask next.
template <size_t kGeneration>
WASMD_SIGNAL_CONTEXT void FaultHandler(int signal, siginfo_t* info, void* context) {
  HandleFault(kGeneration, signal, info, context);
}
template <size_t kGeneration>
WASMD_SIGNAL_CONTEXT void InterruptHandler(int signal, siginfo_t* info, void* context) {
  HandleInterrupt(kGeneration, signal, info, context);
}

template <size_t... kGenerations>
constexpr Handlers FaultHandlers(std::index_sequence<kGenerations...>) {
  return {&FaultHandler<kGenerations>...};
}
template <size_t... kGenerations>
constexpr Handlers InterruptHandlers(std::index_sequence<kGenerations...>) {
  return {&InterruptHandler<kGenerations>...};
}

}  // namespace

constinit const Handlers kFaultHandlers =
    FaultHandlers(std::make_index_sequence<kHandlerGenerations>());
constinit const Handlers kInterruptHandlers =
    InterruptHandlers(std::make_index_sequence<kHandlerGenerations>());

}  // namespace wasmd::engine
