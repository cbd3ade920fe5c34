#include "engine/runtime/host_binding.h"

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"

#include "engine/base/check.h"
#include "engine/base/str_cat.h"
#include "engine/code/code_map.h"
#include "engine/runtime/store_impl.h"
#include "engine/trap/entry.h"

namespace wasmd::engine {

#define WASMD_HOST_FRAME_BYTES 176
#define WASMD_HOST_FRAME_FLOATS 48
static_assert(sizeof(HostCallFrame) == WASMD_HOST_FRAME_BYTES && WASMD_HOST_FRAME_BYTES % 16 == 0);
#define WASMD_TARGET_GENERAL_RESULTS 40
#define WASMD_TARGET_FLOAT_RESULTS 64
static_assert(offsetof(HostTarget, dispatch) == 0);
static_assert(offsetof(HostTarget, general_results) == WASMD_TARGET_GENERAL_RESULTS);
static_assert(offsetof(HostTarget, float_results) == WASMD_TARGET_FLOAT_RESULTS);
static_assert(offsetof(HostCallFrame, floats) == WASMD_HOST_FRAME_FLOATS);

#define WASMD_STRING_(x) #x
#define WASMD_STRING(x) WASMD_STRING_(x)
#define FLOATS WASMD_STRING(WASMD_HOST_FRAME_FLOATS)
#define GENERAL_RESULTS WASMD_STRING(WASMD_TARGET_GENERAL_RESULTS)
#define FLOAT_RESULTS WASMD_STRING(WASMD_TARGET_FLOAT_RESULTS)

// rdi: the target. Where the function fails, the frame is gone before the trap is raised, as if
// the caller had raised it. rbx and r12 are nobody's: wasm and its entries keep nothing there.
asm(R"(
  .text
  .p2align 5
  .globl wasmd_host_thunk
  .hidden wasmd_host_thunk
  .type wasmd_host_thunk, @function
wasmd_host_thunk:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  subq $)" WASMD_STRING(WASMD_HOST_FRAME_BYTES) R"(, %rsp
  movq %rsi, 0(%rsp)
  movq %rdx, 8(%rsp)
  movq %rcx, 16(%rsp)
  movq %r8, 24(%rsp)
  movq %r9, 32(%rsp)
  movups %xmm0, )" FLOATS R"(+0(%rsp)
  movups %xmm1, )" FLOATS R"(+16(%rsp)
  movups %xmm2, )" FLOATS R"(+32(%rsp)
  movups %xmm3, )" FLOATS R"(+48(%rsp)
  movups %xmm4, )" FLOATS R"(+64(%rsp)
  movups %xmm5, )" FLOATS R"(+80(%rsp)
  movups %xmm6, )" FLOATS R"(+96(%rsp)
  movups %xmm7, )" FLOATS R"(+112(%rsp)
  movq %rsp, %rsi
  callq *(%rdi)
  testl %eax, %eax
  jnz 1f
  movq 0(%rsp), %rax
  movq 8(%rsp), %rdx
  movups )" FLOATS R"(+0(%rsp), %xmm0
  movups )" FLOATS R"(+16(%rsp), %xmm1
  leave
  .cfi_def_cfa %rsp, 8
  retq
1:
  .cfi_def_cfa %rbp, 16
  movl %eax, %edi
  leave
  .cfi_def_cfa %rsp, 8
  jmp wasmd_raise_trap
  .cfi_endproc
  .size wasmd_host_thunk, .-wasmd_host_thunk

  .p2align 5
  .globl wasmd_wide_host_thunk
  .hidden wasmd_wide_host_thunk
  .type wasmd_wide_host_thunk, @function
wasmd_wide_host_thunk:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  movq %rdi, %rbx
  callq *(%rdi)
  testl %eax, %eax
  jnz 1f
  movq )" GENERAL_RESULTS R"(+0(%rbx), %rax
  movq )" GENERAL_RESULTS R"(+8(%rbx), %rdx
  movups )" FLOAT_RESULTS R"(+0(%rbx), %xmm0
  movups )" FLOAT_RESULTS R"(+16(%rbx), %xmm1
  popq %rbp
  .cfi_def_cfa %rsp, 8
  retq
1:
  .cfi_def_cfa %rbp, 16
  movl %eax, %edi
  popq %rbp
  .cfi_def_cfa %rsp, 8
  jmp wasmd_raise_trap
  .cfi_endproc
  .size wasmd_wide_host_thunk, .-wasmd_wide_host_thunk

  .p2align 4
  .globl wasmd_raise_from_host
  .hidden wasmd_raise_from_host
  .type wasmd_raise_from_host, @function
wasmd_raise_from_host:
  .cfi_startproc
  .cfi_undefined %rip
  movl %edi, %ebx
  movq (%rsi), %r12
  leaq 8(%rsi), %rdi
  movq %r12, %rsi
  andq $-16, %rsp
  callq wasmd_return_slot
  movl %ebx, %edi
  movq %r12, %rbp
  movq %rax, %rsp
  jmp wasmd_raise_trap
  .cfi_endproc
  .size wasmd_raise_from_host, .-wasmd_raise_from_host
)");

#undef FLOATS
#undef GENERAL_RESULTS
#undef FLOAT_RESULTS

// Where the address stands to which a typed adapter returns, whose frame says that it is `found`.
// g++ copies it where it aligns a frame. For functions of wasm the copy is as good; an entry has
// its store and its rbp behind the address itself (engine/trap/activation.h).
extern "C" const uint64_t* wasmd_return_slot(const uint64_t* found, uint64_t caller_rbp,
                                             const StoreContext* store);
__attribute__((no_sanitize("address"))) const uint64_t* wasmd_return_slot(
    const uint64_t* found, uint64_t caller_rbp, const StoreContext* store) {
  const uint64_t return_address = *found;
  if (IsGeneratedCode(return_address)) {
    return found;
  }
  const auto store_word = reinterpret_cast<uint64_t>(store);
  while (found[0] != return_address || found[1] != store_word || found[2] != caller_rbp) {
    ++found;
  }
  return found;
}

HostDefinition HostBinding::Define(FuncType type, HostCallback callback) {
  HostDefinition definition;
  definition.type = std::move(type);
  definition.code = reinterpret_cast<const void*>(&host_internal::wasmd_host_thunk);
  definition.dispatch = reinterpret_cast<const void*>(&Dispatch);
  definition.callable = std::make_shared<const HostCallback>(std::move(callback));
  return definition;
}

HostBinding::HostBinding(Store& owner, Instance* instance, const HostDefinition& definition)
    : HostTarget{.dispatch = definition.dispatch,
                 .store = &owner.impl().context,
                 .callable = definition.callable.get(),
                 .context = {owner, instance}},
      type_(owner.impl().env->types().Acquire(definition.type)),
      callable_(definition.callable) {
  ref_.code.store(definition.code, std::memory_order_relaxed);
  ref_.context = static_cast<HostTarget*>(this);
  ref_.type_id = type_.id;
}

HostBinding::~HostBinding() {
  context.store().impl().env->types().Release(type_);
}

uint32_t HostBinding::Dispatch(HostTarget* target, HostCallFrame* frame) noexcept {
  const HostBinding& binding = *static_cast<const HostBinding*>(target);
  // Usual signatures need no allocation.
  constexpr size_t kInlineValues = 16;
  const FuncType& type = binding.type_.type;
  Cell* const overflow = target->store->overflow;
  absl::InlinedVector<Value, kInlineValues> args;
  LocationAssigner params = LocationAssigner::Params();
  for (const ValType param : type.params) {
    const ValueLocation at = params.Next(param);
    switch (at.kind) {
      case ValueLocation::Kind::kGeneralReg:
        args.push_back({param, frame->general[at.index]});
        break;
      case ValueLocation::Kind::kFloatReg:
        args.push_back(ReadCell(frame->floats[at.index], param));
        break;
      case ValueLocation::Kind::kOverflow:
        args.push_back(ReadCell(overflow[at.index], param));
        break;
    }
    if (param == ValType::kI32 || param == ValType::kF32) {
      args.back().bits &= 0xffff'ffff;  // An f32's lane has anything above it.
    } else if (param == ValType::kExnRef) {
      target->context.store().impl().exceptions.KeepForHost(args.back());
    }
  }
  absl::InlinedVector<Value, kInlineValues> results;
  for (const ValType result : type.results) {
    results.push_back({result, 0});
  }

  HostResult result = (*static_cast<const HostCallback*>(target->callable))(
      target->context, std::span<const Value>(args.data(), args.size()),
      std::span<Value>(results.data(), results.size()));

  if (target->store->interrupt_requested.load(std::memory_order_relaxed) != 0 &&
      result.code() != TrapCode::kExit) {
    return static_cast<uint32_t>(TrapCode::kInterrupt);
  }
  if (!result.ok()) {
    return host_internal::NoteFailure(*target, std::move(result));
  }
  LocationAssigner locations = LocationAssigner::Results();
  for (size_t i = 0; i < type.results.size(); ++i) {
    WASMD_CHECK(results[i].type == type.results[i],
                "a host function's results have its signature's types");
    const ValueLocation at = locations.Next(type.results[i]);
    switch (at.kind) {
      case ValueLocation::Kind::kGeneralReg:
        frame->general[at.index] = results[i].bits;
        break;
      case ValueLocation::Kind::kFloatReg:
        WriteCell(frame->floats[at.index], results[i]);
        break;
      case ValueLocation::Kind::kOverflow:
        WriteCell(overflow[at.index], results[i]);
        break;
    }
  }
  return static_cast<uint32_t>(TrapCode::kNone);
}

namespace host_internal {

uint32_t NoteFailure(HostTarget& target, HostResult result) {
  Store::Impl& store = target.context.store().impl();
  if (result.code() == TrapCode::kException) {
    if (store.exceptions.Has(result.exception())) {
      store.exceptions.SetPending(result.exception());
      return static_cast<uint32_t>(TrapCode::kException);
    }
    store.stop_message = "a host function throws an exception that it did not get from Throw";
    return static_cast<uint32_t>(TrapCode::kHostError);
  }
  store.exit_code = result.exit_code();
  const TrapCode code = result.code();
  store.stop_message = std::move(result).message();
  return static_cast<uint32_t>(code);
}

uint32_t NoteException(HostTarget& target, const char* what) {
  return NoteFailure(target, HostResult::Error(what));
}

}  // namespace host_internal

std::span<std::byte> HostContext::memory() const {
  if (instance_ == nullptr) {
    return {};
  }
  const std::optional<MemoryHandle> memory = instance_->DefaultMemory();
  return memory.has_value() ? memory->bytes() : std::span<std::byte>();
}

absl::StatusOr<std::span<std::byte>> HostContext::MemoryRange(uint64_t offset,
                                                              uint64_t size) const {
  const std::span<std::byte> all = memory();
  if (offset > all.size() || size > all.size() - offset) {
    return absl::OutOfRangeError(
        StrCat(size, " bytes at ", offset, " do not lie in a memory of ", all.size(), " bytes"));
  }
  return all.subspan(offset, size);
}

HostResult HostContext::Throw(const TagHandle& tag, std::span<const Value> values) const {
  if (&tag.store() != store_) {
    return HostResult::Error("a host function throws a tag of another store");
  }
  const std::vector<ValType>& types = tag.params();
  absl::InlinedVector<Cell, 8> cells(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (i >= types.size() || values[i].type != types[i]) {
      break;
    }
    WriteCell(cells[i], values[i]);
  }
  if (!std::ranges::equal(values, types, {}, &Value::type)) {
    return HostResult::Error(StrCat("a host function throws ", values.size(),
                                    " values with a tag of type ", ToString(*tag.tag().type)));
  }
  ExceptionObject* const exception =
      store_->impl().exceptions.New(tag.tag(), std::span<const Cell>(cells.data(), cells.size()));
  if (exception == nullptr) {
    return HostResult::Trap(TrapCode::kExceptionLimit);
  }
  HostResult result(TrapCode::kException, 0, {});
  result.exception_ = exception;
  return result;
}

HostResult HostContext::Throw(const Exception& exception) const {
  return Throw(exception.tag, exception.values);
}

int HostContext::interrupt_fd() const {
  return store_->interrupt_fd();
}
bool HostContext::interrupt_requested() const {
  return store_->interrupt_requested();
}

}  // namespace wasmd::engine
