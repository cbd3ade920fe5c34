// The builtins' bodies. All bounds are checked in 64 bits before anything is written. No C++ scope
// is left by a trap: the codes go back to generated code, which raises them.
//
// A guest can spend nearly all of its time in builtins, where the interrupt signal finds nothing to
// stop. So each that can take longer than the few instructions around its call looks at the flag
// when it is done, and copies and fills now and then. Where the result is no TrapCode, a stub
// of asm does it.
#include "engine/abi/builtins.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "engine/abi/fuel.h"
#include "engine/runtime/instance_access.h"
#include "engine/runtime/linear_memory.h"
#include "engine/runtime/loaded_module.h"
#include "engine/runtime/store_impl.h"
#include "engine/runtime/table_instance.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {
namespace {

// −1 of the address type, an i32 zero-extended.
constexpr uint64_t GrowFailed(AddressType address) {
  return address == AddressType::kI64 ? UINT64_MAX : UINT32_MAX;
}

constexpr auto kMemoryTrap = static_cast<uint32_t>(TrapCode::kMemoryOutOfBounds);
constexpr auto kTableTrap = static_cast<uint32_t>(TrapCode::kTableOutOfBounds);

// Between two looks at the flag: a tenth of a millisecond, or some of them where pages are touched
// for the first time.
constexpr uint64_t kPieceBytes = 1 << 20;
constexpr uint64_t kPieceElements = kPieceBytes / sizeof(uint64_t);

bool IsInterrupted(const InstanceContext* context) {
  return context->store->interrupt_requested.load(std::memory_order_relaxed) != 0;
}

uint32_t Done(const InstanceContext* context) {
  return static_cast<uint32_t>(IsInterrupted(context) ? TrapCode::kInterrupt : TrapCode::kNone);
}

// Does `count` of something, `piece_count` at a time: step(first, how many of them). Stops where
// the store is interrupted: it is abandoned then, half done. The trap, or none.
template <typename Step>
uint32_t InPieces(const InstanceContext* context, uint64_t count, uint64_t piece_count, Step step) {
  for (uint64_t done = 0; done < count && !IsInterrupted(context);) {
    const uint64_t piece = std::min(piece_count, count - done);
    step(done, piece);
    done += piece;
  }
  return Done(context);
}

// Takes what an operation costs for its length. False: that is not there.
bool Pay(InstanceContext* context, uint64_t count, uint64_t per_unit) {
  int64_t* const fuel = InstanceAccess::FuelOf(context);
  if (fuel == nullptr) {
    return true;
  }
  const auto price = static_cast<int64_t>(count / per_unit);
  const bool is_enough = *fuel >= price;
  *fuel -= price;
  return is_enough;
}

constexpr auto kOutOfFuel = static_cast<uint32_t>(TrapCode::kOutOfFuel);

bool Fits(uint64_t offset, uint64_t count, uint64_t size) {
  return offset <= size && count <= size - offset;
}

}  // namespace

uint64_t BuiltinMemoryGrow(InstanceContext* context, uint32_t memory_index,
                           uint64_t delta_pages) noexcept {
  LinearMemory& memory = InstanceAccess::Memory(context, memory_index);
  return memory.Grow(delta_pages).value_or(GrowFailed(memory.type().address));
}

// Spec: exec-memory.init
uint32_t BuiltinMemoryInit(InstanceContext* context, uint32_t memory_index, uint32_t data_index,
                           uint64_t to, uint32_t from, uint32_t count) noexcept {
  LinearMemory& memory = InstanceAccess::Memory(context, memory_index);
  const Module& module = InstanceAccess::Of(context).module().module();
  const DataSegment& segment = module.datas[data_index];
  const uint64_t segment_size =
      InstanceAccess::DataDropped(context)[data_index] ? 0 : segment.bytes_size;
  if (!Fits(to, count, memory.size_bytes()) || !Fits(from, count, segment_size)) {
    return kMemoryTrap;
  }
  if (!Pay(context, count, kFuelBytes)) {
    return kOutOfFuel;
  }
  const std::byte* const bytes = module.bytes.data() + segment.bytes_offset + from;
  return InPieces(context, count, kPieceBytes, [&](uint64_t at, uint64_t piece) {
    std::memcpy(memory.base() + to + at, bytes + at, piece);
  });
}

// Spec: exec-memory.copy
uint32_t BuiltinMemoryCopy(InstanceContext* context, uint32_t to_memory, uint32_t from_memory,
                           uint64_t to, uint64_t from, uint64_t count) noexcept {
  LinearMemory& target = InstanceAccess::Memory(context, to_memory);
  const LinearMemory& source = InstanceAccess::Memory(context, from_memory);
  if (!Fits(to, count, target.size_bytes()) || !Fits(from, count, source.size_bytes())) {
    return kMemoryTrap;
  }
  if (!Pay(context, count, kFuelBytes)) {
    return kOutOfFuel;
  }
  // Where they overlap, from the end that the other does not reach first.
  const bool backward = target.base() + to > source.base() + from;
  return InPieces(context, count, kPieceBytes, [&](uint64_t done, uint64_t piece) {
    const uint64_t at = backward ? count - done - piece : done;
    std::memmove(target.base() + to + at, source.base() + from + at, piece);
  });
}

// Spec: exec-memory.fill
uint32_t BuiltinMemoryFill(InstanceContext* context, uint32_t memory_index, uint64_t to,
                           uint32_t value, uint64_t count) noexcept {
  LinearMemory& memory = InstanceAccess::Memory(context, memory_index);
  if (!Fits(to, count, memory.size_bytes())) {
    return kMemoryTrap;
  }
  if (!Pay(context, count, kFuelBytes)) {
    return kOutOfFuel;
  }
  return InPieces(context, count, kPieceBytes, [&](uint64_t at, uint64_t piece) {
    std::memset(memory.base() + to + at, static_cast<int>(value & 0xff), piece);
  });
}

// Spec: exec-data.drop
uint32_t BuiltinDataDrop(InstanceContext* context, uint32_t data_index) noexcept {
  InstanceAccess::DataDropped(context)[data_index] = true;
  return Done(context);
}

// Spec: exec-table.grow
uint64_t BuiltinTableGrow(InstanceContext* context, uint32_t table_index, uint64_t init,
                          uint64_t delta) noexcept {
  TableInstance& table = InstanceAccess::Table(context, table_index);
  return table.Grow(delta, init).value_or(GrowFailed(table.type().address));
}

// Spec: exec-table.fill
uint32_t BuiltinTableFill(InstanceContext* context, uint32_t table_index, uint64_t to,
                          uint64_t value, uint64_t count) noexcept {
  TableInstance& table = InstanceAccess::Table(context, table_index);
  if (!Fits(to, count, table.size())) {
    return kTableTrap;
  }
  if (!Pay(context, count, kFuelElements)) {
    return kOutOfFuel;
  }
  return InPieces(context, count, kPieceElements, [&](uint64_t at, uint64_t piece) {
    std::fill_n(table.elements() + to + at, piece, value);
  });
}

// Spec: exec-table.copy
uint32_t BuiltinTableCopy(InstanceContext* context, uint32_t to_table, uint32_t from_table,
                          uint64_t to, uint64_t from, uint64_t count) noexcept {
  TableInstance& target = InstanceAccess::Table(context, to_table);
  TableInstance& source = InstanceAccess::Table(context, from_table);
  if (!Fits(to, count, target.size()) || !Fits(from, count, source.size())) {
    return kTableTrap;
  }
  if (!Pay(context, count, kFuelElements)) {
    return kOutOfFuel;
  }
  const bool backward = target.elements() + to > source.elements() + from;
  return InPieces(context, count, kPieceElements, [&](uint64_t done, uint64_t piece) {
    const uint64_t at = backward ? count - done - piece : done;
    std::memmove(target.elements() + to + at, source.elements() + from + at,
                 piece * sizeof(uint64_t));
  });
}

// Spec: exec-table.init
uint32_t BuiltinTableInit(InstanceContext* context, uint32_t table_index, uint32_t elem_index,
                          uint64_t to, uint32_t from, uint32_t count) noexcept {
  TableInstance& table = InstanceAccess::Table(context, table_index);
  const std::vector<uint64_t>& elems = InstanceAccess::Elems(context, elem_index);
  if (!Fits(to, count, table.size()) || !Fits(from, count, elems.size())) {
    return kTableTrap;
  }
  if (!Pay(context, count, kFuelElements)) {
    return kOutOfFuel;
  }
  return InPieces(context, count, kPieceElements, [&](uint64_t at, uint64_t piece) {
    std::copy_n(elems.data() + from + at, piece, table.elements() + to + at);
  });
}

// Spec: exec-elem.drop
uint32_t BuiltinElemDrop(InstanceContext* context, uint32_t elem_index) noexcept {
  std::vector<uint64_t>().swap(InstanceAccess::Elems(context, elem_index));
  return Done(context);
}

// Spec: exec-throw
uint32_t BuiltinThrow(InstanceContext* context, uint32_t tag_index) noexcept {
  if (IsInterrupted(context)) {
    return static_cast<uint32_t>(TrapCode::kInterrupt);
  }
  const TagInstance& tag = InstanceAccess::Tag(context, tag_index);
  ExceptionHeap& exceptions = InstanceAccess::Of(context).store().impl().exceptions;
  ExceptionObject* const exception =
      exceptions.New(tag, std::span(context->store->overflow, tag.type->params.size()));
  if (exception == nullptr) {
    return static_cast<uint32_t>(TrapCode::kExceptionLimit);
  }
  exceptions.SetPending(exception);
  return static_cast<uint32_t>(TrapCode::kException);
}

// Spec: exec-throw_ref
uint32_t BuiltinThrowRef(InstanceContext* context, uint64_t exnref) noexcept {
  if (IsInterrupted(context)) {
    return static_cast<uint32_t>(TrapCode::kInterrupt);
  }
  if (exnref == 0) {
    return static_cast<uint32_t>(TrapCode::kNullExceptionReference);
  }
  Store::Impl& store = InstanceAccess::Of(context).store().impl();
  auto* const exception = reinterpret_cast<ExceptionObject*>(exnref);
  if (!store.exceptions.Has(exception)) {
    store.stop_message = "an exnref from the host refers to an exception that has gone";
    return static_cast<uint32_t>(TrapCode::kHostError);
  }
  store.exceptions.SetPending(exception);
  return static_cast<uint32_t>(TrapCode::kException);
}

uint64_t BuiltinRefFunc(InstanceContext* context, uint32_t func_index) noexcept {
  return reinterpret_cast<uint64_t>(&InstanceAccess::FuncRefOf(context, func_index));
}

// Stubs for builtins that return a value: they call the body and raise kInterrupt where the flag is
// set, from the place where generated code called. rdi is the context.
#define WASMD_CTX_STORE 0
#define WASMD_STORE_INTERRUPT 8
#define WASMD_TRAP_INTERRUPT 10
static_assert(WASMD_CTX_STORE == kCtxStore);
static_assert(WASMD_STORE_INTERRUPT == offsetof(StoreContext, interrupt_requested));
static_assert(WASMD_TRAP_INTERRUPT == static_cast<int>(TrapCode::kInterrupt));

#define WASMD_STRING_(x) #x
#define WASMD_STRING(x) WASMD_STRING_(x)
#define INTERRUPTIBLE(stub, body)                                                    \
  extern "C" void stub();                                                            \
  extern "C" uint64_t body(InstanceContext*, uint32_t, uint64_t, uint64_t) noexcept; \
  asm(".text\n.p2align 4\n.globl " #stub "\n.hidden " #stub "\n.type " #stub ", @function\n" #stub \
      ":\n"                                                                                  \
      ".cfi_startproc\n"                                                                     \
      "pushq %rbp\n"                                                                         \
      ".cfi_def_cfa_offset 16\n"                                                             \
      ".cfi_offset %rbp, -16\n"                                                              \
      "movq %rsp, %rbp\n"                                                                    \
      ".cfi_def_cfa_register %rbp\n"                                                         \
      "pushq %rdi\n"                                                                         \
      "pushq %rdi\n"                                                                         \
      "callq " #body "\n"                                                                    \
      "movq -8(%rbp), %rdi\n"                                                                \
      "leave\n"                                                                              \
      ".cfi_def_cfa %rsp, 8\n"                                                               \
      "movq " WASMD_STRING(WASMD_CTX_STORE) "(%rdi), %rdi\n"                                 \
      "cmpl $0, " WASMD_STRING(WASMD_STORE_INTERRUPT) "(%rdi)\n"                             \
      "jne 1f\n"                                                                             \
      "retq\n"                                                                               \
      "1: movl $" WASMD_STRING(WASMD_TRAP_INTERRUPT) ", %edi\n"                              \
      "jmp wasmd_raise_trap\n"                                                               \
      ".cfi_endproc\n"                                                                       \
      ".size " #stub ", .-" #stub "\n")

INTERRUPTIBLE(wasmd_builtin_memory_grow, wasmd_memory_grow);
INTERRUPTIBLE(wasmd_builtin_table_grow, wasmd_table_grow);

uint64_t wasmd_memory_grow(InstanceContext* context, uint32_t memory_index, uint64_t delta_pages,
                           uint64_t) noexcept {
  return BuiltinMemoryGrow(context, memory_index, delta_pages);
}

uint64_t wasmd_table_grow(InstanceContext* context, uint32_t table_index, uint64_t init,
                          uint64_t delta) noexcept {
  return BuiltinTableGrow(context, table_index, init, delta);
}

// In the table, the stubs stand for the bodies. By macro: a table that a function computes needs a
// constructor at start-up.
#define BuiltinMemoryGrow wasmd_builtin_memory_grow
#define BuiltinTableGrow wasmd_builtin_table_grow
const void* const kBuiltinTable[] = {
#define BUILTIN(name, ret, ...) reinterpret_cast<const void*>(&Builtin##name),
#include "engine/abi/builtins.def"
#undef BUILTIN
};
#undef BuiltinMemoryGrow
#undef BuiltinTableGrow

}  // namespace wasmd::engine
