#include "engine/runtime/lazy_entry.h"

#include <string>

#include "absl/status/statusor.h"

#include "engine/abi/instance_context.h"
#include "engine/base/cancel_flag.h"
#include "engine/runtime/instance_access.h"
#include "engine/runtime/loaded_module_impl.h"
#include "engine/runtime/store_impl.h"
#include "engine/trap/entry.h"

namespace wasmd::engine {

// In rax and rdx.
struct LazyResult {
  const void* code;  // Null: a trap is to be raised.
  uint64_t trap;
};
extern "C" LazyResult wasmd_lazy_compile(InstanceContext* context, uint32_t func_index) noexcept;

// Also where calls arrive by a stub's address that was copied before another store compiled the
// function; they find the copies corrected the next time. All argument registers are kept; the
// overflow cells nobody touches.
asm(R"(
  .text
  .p2align 5
  .globl wasmd_lazy_entry
  .hidden wasmd_lazy_entry
  .type wasmd_lazy_entry, @function
wasmd_lazy_entry:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  subq $176, %rsp
  movq %rdi, 0(%rsp)
  movq %rsi, 8(%rsp)
  movq %rdx, 16(%rsp)
  movq %rcx, 24(%rsp)
  movq %r8, 32(%rsp)
  movq %r9, 40(%rsp)
  movups %xmm0, 48(%rsp)
  movups %xmm1, 64(%rsp)
  movups %xmm2, 80(%rsp)
  movups %xmm3, 96(%rsp)
  movups %xmm4, 112(%rsp)
  movups %xmm5, 128(%rsp)
  movups %xmm6, 144(%rsp)
  movups %xmm7, 160(%rsp)
  movl %eax, %esi
  callq wasmd_lazy_compile
  testq %rax, %rax
  jz 1f
  movq 0(%rsp), %rdi
  movq 8(%rsp), %rsi
  movq 16(%rsp), %rdx
  movq 24(%rsp), %rcx
  movq 32(%rsp), %r8
  movq 40(%rsp), %r9
  movups 48(%rsp), %xmm0
  movups 64(%rsp), %xmm1
  movups 80(%rsp), %xmm2
  movups 96(%rsp), %xmm3
  movups 112(%rsp), %xmm4
  movups 128(%rsp), %xmm5
  movups 144(%rsp), %xmm6
  movups 160(%rsp), %xmm7
  leave
  .cfi_remember_state
  .cfi_def_cfa %rsp, 8
  jmpq *%rax
1:
  .cfi_restore_state
  movl %edx, %edi
  leave
  .cfi_def_cfa %rsp, 8
  jmp wasmd_raise_trap
  .cfi_endproc
  .size wasmd_lazy_entry, .-wasmd_lazy_entry
)");

// An interrupt of the store ends it; the signal finds nothing to stop here. Otherwise, where it
// failed, the store has the message.
LazyResult wasmd_lazy_compile(InstanceContext* context, uint32_t func_index) noexcept {
  Instance& instance = InstanceAccess::Of(context);
  const CancelFlag interrupt(context->store->interrupt_requested);
  const absl::StatusOr<const void*> code =
      instance.module().impl().EnsureCompiled(func_index, interrupt);
  if (absl::IsCancelled(code.status()) || interrupt.IsSet()) {
    return {nullptr, static_cast<uint64_t>(TrapCode::kInterrupt)};
  }
  if (!code.ok()) {
    instance.store().impl().stop_message = std::string(code.status().message());
    return {nullptr, static_cast<uint64_t>(TrapCode::kCompileError)};
  }
  InstanceAccess::SetCode(context, func_index, *code);
  return {*code, 0};
}

}  // namespace wasmd::engine
