// The entry and the exits. One stub serves every signature: it loads all argument registers from
// the frame, used or not.
//
//   EnterWasm            computes the stack limit, calls
//   wasmd_enter          which saves the callee-saved registers and calls the code;
//   wasmd_raise_trap     is called by generated code (rsp of any alignment), and jumped to by the
//                        host thunk and the lazy entry with their caller's return address on top of
//                        the stack; an exception goes to engine/trap/throw.cc first, and comes back
//                        if nobody catches it;
//   wasmd_fault_exit     is where the signal handlers let the thread continue: edi = trap code, rsi
//   = pc, rdx = rbp, ecx = ExitKind, r8 = the address touched, or the reason of the interrupt.
//
// Both exits call wasmd_record_trap on the stack that they find, below the frames of wasm, which
// goes along the frame pointers to the entry and writes down the addresses; then they go on in the
// entry, as engine/trap/activation.h says.
#include "engine/trap/entry.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "engine/base/check.h"
#include "engine/code/code_map.h"
#include "engine/platform/thread.h"
#include "engine/trap/handler_inside.h"
#include "engine/trap/owned_stack.h"
#include "engine/trap/thread_record.h"

namespace wasmd::engine {

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
  movq )" FRAME(STACK_TOP) R"((%r10), %rax
  pushq %rbp
  movq %rsp, %rbp
  .cfi_def_cfa %rbp, 72
  testq %rax, %rax
  cmovnzq %rax, %rsp
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
  cmpl $15, %edi
  je wasmd_throw
  .globl wasmd_raise_uncaught
  .hidden wasmd_raise_uncaught
wasmd_raise_uncaught:
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

static_assert(static_cast<int>(TrapCode::kException) == 15);

namespace {

// Calls visit(return address) for each caller that is a function of wasm, innermost first. Returns
// where the entry's return address stands. The chain is our own compilers', but a bug in one must
// not send us through all of memory: every frame lies above the one before, and what stands behind
// the last return address is an entry's instruction.
template <typename Visit>
__attribute__((no_sanitize("address"))) const uint64_t* WalkFrames(uint64_t frame_pointer,
                                                                   uint64_t below, Visit visit) {
  while (true) {
    WASMD_CHECK(frame_pointer > below && frame_pointer % 8 == 0, "frames of wasm ascend");
    const auto* frame = reinterpret_cast<const WasmFrame*>(frame_pointer);
    if (!IsGeneratedCode(frame->return_address)) {
      return &frame->return_address;
    }
    if (CodeOwner(frame->return_address) != nullptr) {
      visit(frame->return_address);
    }
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
  const bool is_entrys = kind == ExitKind::kRaise && !IsGeneratedCode(pc);
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

// What an entry changes in its store, and how it is left: to the activation around it, or unbound.
// (Its window may not be opened again as it was: the thread to which the store was bound may have
// ended, and found it active.)
class Outer {
 public:
  explicit Outer(StoreContext& store)
      : store_(store),
        window_(store.window.load(std::memory_order_relaxed)),
        stack_limit_(store.stack_limit),
        running_thread_(store.running_thread.load(std::memory_order_relaxed)),
        stack_low_(store.stack_low.load(std::memory_order_relaxed)),
        stack_high_(store.stack_high.load(std::memory_order_relaxed)),
        activations_elsewhere_(store.activations_elsewhere) {}
  bool is_active() const { return window_ == kStoreActive; }
  uint64_t stack_limit() const { return stack_limit_; }
  uint64_t stack_low() const { return stack_low_; }

  void Leave() const {
    if (!is_active()) {
      store_.window.store(kStoreUnbound, std::memory_order_relaxed);
      return;
    }
    store_.stack_limit = stack_limit_;
    store_.running_thread.store(running_thread_, std::memory_order_relaxed);
    store_.stack_low.store(stack_low_, std::memory_order_relaxed);
    store_.stack_high.store(stack_high_, std::memory_order_relaxed);
    store_.activations_elsewhere = activations_elsewhere_;
  }

 private:
  StoreContext& store_;
  const uint64_t window_;
  const uint64_t stack_limit_;
  const int32_t running_thread_;
  const uint64_t stack_low_;
  const uint64_t stack_high_;
  const uint32_t activations_elsewhere_;
};

}  // namespace

EntryResult EnterWasm(EntryFrame& frame, uint64_t wasm_stack_bytes) {
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  StoreContext& store = *frame.store;
  ThreadRecord* const thread = PreparedThread(here);
  HeldOwnedStack owned;
  StackBounds stack;
  uint64_t top = here;  // Of what the guest's frames get.
  if (thread != nullptr) {
    stack = thread->stack;
  } else if (const std::optional<StackBounds> outer = OwnedStackAround(here)) {
    stack = *outer;
  } else if (owned = AcquireOwnedStack(wasm_stack_bytes); owned != nullptr) {
    stack = BoundsOf(*owned);
    top = stack.high;
    frame.stack_top = reinterpret_cast<void*>(top);
  } else {
    return EntryResult::kNoStack;
  }
  const int32_t thread_id = thread != nullptr ? thread->thread_id : PrepareUnknownThread();

  const Outer outer(store);
  // A bound store's next call may come from higher up or further down, in a window that has to lie
  // in the stack with what BindStore rounds up.
  constexpr uint64_t kRounding = 32;
  const uint64_t window_low = std::min(top - std::min(top, kStoreWindowBytes / 2),
                                       stack.high - kStoreWindowBytes - kRounding);
  uint64_t limit = std::max(stack.low + kHostStackReserveBytes,
                            window_low - std::min(window_low, wasm_stack_bytes));
  const bool is_elsewhere = outer.is_active() && outer.stack_low() != stack.low;
  if (outer.is_active() && !is_elsewhere) {
    limit = std::max(limit, outer.stack_limit());
  }
  if (top <= limit) [[unlikely]] {
    return NotEntered(frame, TrapCode::kStackOverflow);
  }
  store.running_thread.store(thread_id, std::memory_order_relaxed);
  store.stack_low.store(stack.low, std::memory_order_relaxed);
  store.stack_high.store(stack.high, std::memory_order_relaxed);
  store.activations_elsewhere += is_elsewhere ? 1 : 0;
  store.window.store(kStoreActive, std::memory_order_relaxed);
  // The watchdog (engine/runtime/watchdog.h) looks at the window until its interrupt is
  // acknowledged, so the order in which others see these does not matter; that the flag is read
  // last does.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (store.interrupt_requested.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    outer.Leave();
    return NotEntered(frame, TrapCode::kInterrupt);
  }
  store.stack_limit = limit;
  const uint32_t trapped = wasmd_enter(&frame);
  WASMD_CHECK(store.stack_limit == limit, "activations of a store end in reverse order");
  outer.Leave();
  // Deep in the stack there is no room for both.
  if (!outer.is_active() && thread != nullptr && thread->may_bind && window_low >= limit) {
    BindStore(store, *thread, window_low);
  }
  return trapped == 0 ? EntryResult::kReturned : EntryResult::kTrapped;
}

}  // namespace wasmd::engine
