// Throwing: from TrapCode::kException raised anywhere in wasm to the landing pad of the clause that
// catches, or to the entry like a trap.
//
//   wasmd_raise_trap   jumps here for kException, with the stack as it found it;
//   wasmd_throw        asks wasmd_find_handler, and goes on at the pad or in wasmd_raise_uncaught
//
// Frames of generated code own nothing, so nothing is unwound: one walk finds the frame, and rbp
// and rsp are set. The walk ends at the entry; a host function outside of it decides for itself.
// Time is linear in the frames that are left. Spec: exec-throw_ref
#include <cstddef>
#include <cstdint>

#include "engine/abi/exception.h"
#include "engine/abi/instance_context.h"
#include "engine/base/check.h"
#include "engine/code/code_map.h"
#include "engine/code/module_code.h"
#include "engine/trap/activation.h"
#include "engine/trap/entry.h"

namespace wasmd::engine {

// Where a caught exception goes on. The asm knows the offsets.
struct Landing {
  uint64_t pc = 0;
  uint64_t frame_pointer = 0;
  ExceptionObject* exception = nullptr;
};

extern "C" {
void wasmd_throw();
// 1: caught, and `landing` says where.
uint32_t wasmd_find_handler(uint64_t pc, uint64_t frame_pointer, Landing* landing);
}

#define WASMD_EXCEPTION 15
static_assert(WASMD_EXCEPTION == static_cast<int>(TrapCode::kException));
static_assert(offsetof(Landing, pc) == 0 && offsetof(Landing, frame_pointer) == 8 &&
              offsetof(Landing, exception) == 16 && sizeof(Landing) <= 32);

#define WASMD_STRING_(x) #x
#define WASMD_STRING(x) WASMD_STRING_(x)

// (%rsp) is the return address of the call that throws and rbp its frame. rbx is nobody's: wasm
// preserves nothing.
asm(R"(
  .text
  .p2align 4
  .globl wasmd_throw
  .hidden wasmd_throw
  .type wasmd_throw, @function
wasmd_throw:
  .cfi_startproc
  movq (%rsp), %rdi
  movq %rbp, %rsi
  movq %rsp, %rbx
  subq $32, %rsp
  andq $-16, %rsp
  movq %rsp, %rdx
  callq wasmd_find_handler
  testl %eax, %eax
  jz 1f
  movq 0(%rsp), %rcx
  movq 8(%rsp), %rbp
  movq 16(%rsp), %rax
  jmp *%rcx
1:
  movq %rbx, %rsp
  movl $)" WASMD_STRING(WASMD_EXCEPTION) R"(, %edi
  jmp wasmd_raise_uncaught
  .cfi_endproc
  .size wasmd_throw, .-wasmd_throw
)");

namespace {

InstanceContext* ContextOf(uint64_t frame_pointer) {
  return *reinterpret_cast<InstanceContext* const*>(frame_pointer - sizeof(uint64_t));
}

// The clause of the function's that catches, innermost try_table first, or null.
const HandlerTable::Clause* FindClause(const HandlerTable& table, uint32_t return_offset,
                                       const InstanceContext& context, const void* tag) {
  for (uint32_t index = table.TryOf(return_offset); index != HandlerTable::kNoTry;) {
    const HandlerTable::Try& entry = table.tries[index];
    for (uint32_t i = 0; i < entry.clause_count; ++i) {
      const HandlerTable::Clause& clause = table.clauses[entry.first_clause + i];
      if (clause.tag_offset == HandlerTable::kAnyTag ||
          *reinterpret_cast<const void* const*>(reinterpret_cast<const std::byte*>(&context) +
                                                clause.tag_offset) == tag) {
        return &clause;
      }
    }
    index = entry.outer;
  }
  return nullptr;
}

}  // namespace

__attribute__((no_sanitize("address"))) uint32_t wasmd_find_handler(uint64_t pc,
                                                                    uint64_t frame_pointer,
                                                                    Landing* landing) {
  const ModuleCode* code = CodeOwner(pc);
  if (code == nullptr) {
    return 0;  // A host function that the entry, or its stub, has called itself.
  }
  ExceptionObject* const exception = ContextOf(frame_pointer)->store->pending_exception;
  WASMD_CHECK(exception != nullptr, "an exception that is thrown is pending");
  auto below = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  // Of the function before: a recursion asks once.
  ModuleCode::Handlers function;
  for (; code != nullptr; code = CodeOwner(pc)) {
    WASMD_CHECK(frame_pointer > below && frame_pointer % 8 == 0, "frames of wasm ascend");
    if (pc - 1 - function.begin >= function.code_bytes) {
      function = code->HandlersAt(pc);
    }
    if (function.table != nullptr) {
      const HandlerTable::Clause* const clause =
          FindClause(*function.table, static_cast<uint32_t>(pc - function.begin),
                     *ContextOf(frame_pointer), exception->tag);
      if (clause != nullptr) {
        exception->is_referenced |= clause->has_ref;
        *landing = {function.begin + clause->pad_offset, frame_pointer, exception};
        return 1;
      }
    }
    const auto* const frame = reinterpret_cast<const WasmFrame*>(frame_pointer);
    pc = frame->return_address;
    below = frame_pointer;
    frame_pointer = frame->caller;
  }
  return 0;
}

}  // namespace wasmd::engine
