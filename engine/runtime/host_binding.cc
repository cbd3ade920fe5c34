#include "engine/runtime/host_binding.h"

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"

#include "engine/base/check.h"
#include "engine/base/str_cat.h"
#include "engine/runtime/store_impl.h"
#include "engine/trap/entry.h"

namespace wasmd::engine {

extern "C" void wasmd_host_thunk();

#define WASMD_HOST_FRAME_BYTES 176
#define WASMD_HOST_FRAME_FLOATS 48
static_assert(sizeof(HostCallFrame) == WASMD_HOST_FRAME_BYTES && WASMD_HOST_FRAME_BYTES % 16 == 0);
static_assert(offsetof(HostThunkTarget, dispatch) == 0);
static_assert(offsetof(HostCallFrame, floats) == WASMD_HOST_FRAME_FLOATS);

#define WASMD_STRING_(x) #x
#define WASMD_STRING(x) WASMD_STRING_(x)
#define FLOATS WASMD_STRING(WASMD_HOST_FRAME_FLOATS)

// rdi: the binding. Where the function fails, the frame is gone before the trap is raised, as if
// the caller had raised it.
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
)");

#undef FLOATS

HostBinding::HostBinding(Store& store, Instance* instance, const FuncType& type,
                         std::shared_ptr<const HostCallback> callback)
    : HostThunkTarget{&Dispatch},
      store_(store),
      instance_(instance),
      type_(store.impl().env->types().Acquire(type)),
      callback_(std::move(callback)) {
  ref_.code.store(reinterpret_cast<const void*>(&wasmd_host_thunk), std::memory_order_relaxed);
  ref_.context = static_cast<HostThunkTarget*>(this);
  ref_.type_id = type_.id;
}

HostBinding::~HostBinding() {
  store_.impl().env->types().Release(type_);
}

namespace {

// What a host function that is not ok leaves in the store, and the code to raise.
TrapCode PrepareStop(Store::Impl& store, HostResult result) {
  if (result.code() == TrapCode::kException) {
    if (store.exceptions.Has(result.exception())) {
      store.exceptions.SetPending(result.exception());
      return TrapCode::kException;
    }
    store.stop_message = "a host function throws an exception that it did not get from Throw";
    return TrapCode::kHostError;
  }
  store.exit_code = result.exit_code();
  const TrapCode code = result.code();
  store.stop_message = std::move(result).message();
  return code;
}

}  // namespace

uint32_t HostBinding::Dispatch(HostThunkTarget* target, HostCallFrame* frame) noexcept {
  HostBinding* const binding = static_cast<HostBinding*>(target);
  // Usual signatures need no allocation.
  constexpr size_t kInlineValues = 16;
  const FuncType& type = binding->type_.type;
  Store::Impl& store = binding->store_.impl();
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
        args.push_back(ReadCell(store.context.overflow[at.index], param));
        break;
    }
    if (param == ValType::kI32 || param == ValType::kF32) {
      args.back().bits &= 0xffff'ffff;  // An f32's lane has anything above it.
    } else if (param == ValType::kExnRef) {
      store.exceptions.KeepForHost(args.back().bits);
    }
  }
  absl::InlinedVector<Value, kInlineValues> results;
  for (const ValType result : type.results) {
    results.push_back({result, 0});
  }

  HostContext context(binding->store_, binding->instance_);
  HostResult result =
      (*binding->callback_)(context, std::span<const Value>(args.data(), args.size()),
                            std::span<Value>(results.data(), results.size()));

  if (store.context.interrupt_requested.load(std::memory_order_relaxed) != 0 &&
      result.code() != TrapCode::kExit) {
    return static_cast<uint32_t>(TrapCode::kInterrupt);
  }
  if (!result.ok()) {
    return static_cast<uint32_t>(PrepareStop(store, std::move(result)));
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
        WriteCell(store.context.overflow[at.index], results[i]);
        break;
    }
  }
  return static_cast<uint32_t>(TrapCode::kNone);
}

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
  if (&tag.store() != &store_) {
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
      store_.impl().exceptions.New(tag.tag(), std::span<const Cell>(cells.data(), cells.size()));
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
  return store_.interrupt_fd();
}
bool HostContext::interrupt_requested() const {
  return store_.interrupt_requested();
}

}  // namespace wasmd::engine
