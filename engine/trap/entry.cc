// The entry and the exits. One stub serves every signature: it loads all argument registers from
// the frame, used or not.
//
//   EnterWasm            computes the stack limit, calls
//   wasmd_enter          which saves the callee-saved registers and calls the code;
//   wasmd_raise_trap     is called by generated code (rsp of any alignment), and jumped to by the
//                        host thunk and the lazy entry with their caller's return address on top of
//                        the stack;
//   wasmd_fault_exit     is where the signal handlers let the thread continue: edi = trap code, rsi
//   = pc, rdx = rbp, ecx = ExitKind, r8 = the address touched, or the reason of the interrupt.
//
// Both exits call wasmd_record_trap on the stack that they find, below the frames of wasm, which
// goes along the frame pointers to the entry and writes down the addresses; then they go on in the
// entry, as engine/trap/activation.h says.
#include "engine/trap/entry.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>

#include "engine/base/check.h"
#include "engine/code/code_map.h"
#include "engine/platform/thread.h"
#include "engine/trap/handler_inside.h"

namespace wasmd::engine {

thread_local constinit ThreadRecord t_thread __attribute__((tls_model("initial-exec")));

extern "C" {
// Other than 0: a trap was raised.
uint32_t wasmd_enter(EntryFrame* frame);
const uint64_t* wasmd_record_trap(uint32_t trap_code, uint64_t pc, uint64_t frame_pointer,
                                  ExitKind kind, uint64_t detail, const uint64_t* pc_slot);
}

#define WASMD_STRING_(x) #x
#define WASMD_STRING(x) WASMD_STRING_(x)
#define FRAME(field) WASMD_STRING(WASMD_FRAME_##field)

// The CFI lets debuggers and profilers walk through; nothing unwinds across by it.
asm(R"(
  .text
  .p2align 5
  .globl wasmd_enter
  .hidden wasmd_enter
  .type wasmd_enter, @function
wasmd_enter:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  pushq %rdi
  .cfi_offset %rbx, -24
  .cfi_offset %r12, -32
  .cfi_offset %r13, -40
  .cfi_offset %r14, -48
  .cfi_offset %r15, -56
  movq %rdi, %r10
  movups )" FRAME(FLOATS) R"(+0(%r10), %xmm0
  movups )" FRAME(FLOATS) R"(+16(%r10), %xmm1
  movups )" FRAME(FLOATS) R"(+32(%r10), %xmm2
  movups )" FRAME(FLOATS) R"(+48(%r10), %xmm3
  movups )" FRAME(FLOATS) R"(+64(%r10), %xmm4
  movups )" FRAME(FLOATS) R"(+80(%r10), %xmm5
  movups )" FRAME(FLOATS) R"(+96(%r10), %xmm6
  movups )" FRAME(FLOATS) R"(+112(%r10), %xmm7
  movq )" FRAME(GENERAL) R"(+0(%r10), %rsi
  movq )" FRAME(GENERAL) R"(+8(%r10), %rdx
  movq )" FRAME(GENERAL) R"(+16(%r10), %rcx
  movq )" FRAME(GENERAL) R"(+24(%r10), %r8
  movq )" FRAME(GENERAL) R"(+32(%r10), %r9
  movq )" FRAME(CONTEXT) R"((%r10), %rdi
  movq )" FRAME(STORE) R"((%r10), %r11
  pushq %rbp
  movq %rsp, %rbp
  .cfi_def_cfa %rbp, 72
  andq $-16, %rsp
  pushq %rbp
  pushq %r11
  callq *)" FRAME(CODE) R"((%r10)
  clc
  leave
  .cfi_def_cfa %rbp, 16
  popq %r10
  jc 1f
  movq %rax, )" FRAME(GENERAL_RESULTS) R"(+0(%r10)
  movq %rdx, )" FRAME(GENERAL_RESULTS) R"(+8(%r10)
  movups %xmm0, )" FRAME(FLOAT_RESULTS) R"(+0(%r10)
  movups %xmm1, )" FRAME(FLOAT_RESULTS) R"(+16(%r10)
1:
  sbbl %eax, %eax
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  .cfi_def_cfa %rsp, 8
  retq
  .cfi_endproc
  .size wasmd_enter, .-wasmd_enter

  .p2align 4
  .globl wasmd_raise_trap
  .hidden wasmd_raise_trap
  .type wasmd_raise_trap, @function
wasmd_raise_trap:
  .cfi_startproc
  movq (%rsp), %rsi
  movq %rbp, %rdx
  xorl %ecx, %ecx
  movq %rsp, %r9
  jmp .Lwasmd_exit
  .cfi_endproc
  .size wasmd_raise_trap, .-wasmd_raise_trap

  .p2align 4
  .globl wasmd_fault_exit
  .hidden wasmd_fault_exit
  .type wasmd_fault_exit, @function
wasmd_fault_exit:
  .cfi_startproc
.Lwasmd_exit:
  andq $-16, %rsp
  callq wasmd_record_trap
  movq (%rax), %rcx
  leaq 8(%rax), %rsp
  movq 8(%rsp), %rbp
  incq %rcx
  stc
  jmp *%rcx
  .cfi_endproc
  .size wasmd_fault_exit, .-wasmd_fault_exit
)");

#undef FRAME

namespace {

std::atomic<uint64_t> g_next_serial{1};

// How far rsp may be from where it was when the store was bound to its thread, up and down. The
// stack that the guest has is by so much more than what was asked for.
constexpr uint64_t kWindowBytes = 64 << 10;

// A frame of generated code, by its rbp: the caller's rbp, and the return address.
struct WasmFrame {
  uint64_t caller;
  uint64_t return_address;
};

// Calls visit(return address) for each caller that is generated code, innermost first. Returns
// where the entry's return address stands. The chain is our own compilers', but a bug in one must
// not send us through all of memory: every frame lies above the one before, and what stands behind
// the last return address is an entry's instruction.
template <typename Visit>
__attribute__((no_sanitize("address"))) const uint64_t* WalkFrames(uint64_t frame_pointer,
                                                                   uint64_t below, Visit visit) {
  while (true) {
    WASMD_CHECK(frame_pointer > below && frame_pointer % 8 == 0, "frames of wasm ascend");
    const auto* frame = reinterpret_cast<const WasmFrame*>(frame_pointer);
    if (CodeOwner(frame->return_address) == nullptr) {
      return &frame->return_address;
    }
    visit(frame->return_address);
    below = frame_pointer;
    frame_pointer = frame->caller;
  }
}

constexpr uint8_t kClc = 0xf8;

}  // namespace

// In normal context, on the guest's stack. `pc_slot`: where the pc of a call to raise stands.
// Returns where the return address into the entry stands.
__attribute__((no_sanitize("address"))) const uint64_t* wasmd_record_trap(
    uint32_t trap_code, uint64_t pc, uint64_t frame_pointer, ExitKind kind, uint64_t detail,
    const uint64_t* pc_slot) {
  // A stub that the entry has called itself raises as if the entry had.
  const bool is_entrys = kind == ExitKind::kRaise && CodeOwner(pc) == nullptr;
  const auto lowest = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  // Whose record it is stands behind the last frame, so they wait here.
  uint64_t callers[kMaxBacktraceFrames];
  uint64_t count = 0;
  const auto note = [&](uint64_t return_address) {
    if (count < kMaxBacktraceFrames) {
      callers[count] = return_address;
    }
    ++count;
  };
  const uint64_t* const slot = is_entrys ? pc_slot : WalkFrames(frame_pointer, lowest, note);
  WASMD_CHECK(*reinterpret_cast<const uint8_t*>(*slot) == kClc, "a trap is raised by wasm");
  TrapRecord& record = *reinterpret_cast<const StoreContext*>(slot[1])->trap_record;
  record.code = static_cast<TrapCode>(trap_code);
  record.pc = pc;
  record.is_return_address = kind == ExitKind::kRaise;
  record.is_fault = kind == ExitKind::kFault;
  record.fault_address = record.is_fault ? detail : 0;
  record.interrupt_reason = kind == ExitKind::kInterrupt ? static_cast<uint32_t>(detail) : 0;
  record.caller_count = static_cast<uint32_t>(std::min<uint64_t>(count, kMaxBacktraceFrames));
  record.omitted_callers = count - record.caller_count;
  std::copy_n(callers, record.caller_count, record.callers);
  return slot;
}

void PrepareThread() {
  if (t_thread.stack_high != 0) {
    return;
  }
  const StackBounds stack = CurrentThreadStack();
  // A host may have blocked all signals in its threads. A fault that is blocked ends the process,
  // so nobody can want that; the interrupt's signal nobody else uses.
  UnblockSignals(std::array{SIGSEGV, SIGBUS, kInterruptSignal});
  t_thread.thread_id = CurrentThreadId();
  t_thread.serial = g_next_serial.fetch_add(1, std::memory_order_relaxed);
  t_thread.stack_low = stack.low;
  t_thread.stack_high = stack.high;
}

namespace {

EntryResult NotEntered(const EntryFrame& frame, TrapCode code) {
  TrapRecord& record = *frame.store->trap_record;
  record.code = code;
  record.interrupt_reason = 0;
  record.pc = 0;
  record.is_fault = false;
  record.caller_count = 0;
  record.omitted_callers = 0;
  return EntryResult::kTrapped;
}

}  // namespace

EntryResult EnterWasm(EntryFrame& frame, uint64_t wasm_stack_bytes) {
  ThreadRecord& thread = t_thread;
  if (thread.stack_high == 0) [[unlikely]] {
    PrepareThread();
  }
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  if (here < thread.stack_low || here >= thread.stack_high) [[unlikely]] {
    return EntryResult::kUnknownStack;
  }
  StoreContext& store = *frame.store;
  const uint64_t outer_key = store.key.load(std::memory_order_relaxed);
  const bool is_nested = outer_key == kStoreActive;
  const uint64_t outer_limit = is_nested ? store.stack_limit : 0;
  const uint64_t below = here - std::min(here, kWindowBytes / 2);
  const uint64_t limit = std::max({thread.stack_low + kHostStackReserveBytes,
                                   below - std::min(below, wasm_stack_bytes), outer_limit});
  if (here <= limit) [[unlikely]] {
    return NotEntered(frame, TrapCode::kStackOverflow);
  }
  const int32_t outer_thread = store.running_thread.load(std::memory_order_relaxed);
  store.running_thread.store(thread.thread_id, std::memory_order_relaxed);
  store.key.store(kStoreActive, std::memory_order_relaxed);
  // The watchdog (engine/runtime/watchdog.h) looks at the key until its interrupt is acknowledged,
  // so the order in which others see these does not matter; that the flag is read last does.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (store.interrupt_requested.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    store.running_thread.store(outer_thread, std::memory_order_relaxed);
    store.key.store(outer_key, std::memory_order_relaxed);
    return NotEntered(frame, TrapCode::kInterrupt);
  }
  store.stack_limit = limit;
  const uint32_t trapped = wasmd_enter(&frame);
  if (is_nested) {
    store.stack_limit = outer_limit;
    store.running_thread.store(outer_thread, std::memory_order_relaxed);
  } else {
    store.window_low = std::max(below, limit);
    store.window_bytes = std::min(below + kWindowBytes, thread.stack_high) - store.window_low;
    store.key.store(thread.serial, std::memory_order_relaxed);
  }
  return trapped == 0 ? EntryResult::kReturned : EntryResult::kTrapped;
}

}  // namespace wasmd::engine
