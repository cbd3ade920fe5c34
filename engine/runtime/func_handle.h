// FuncHandle: a function of a store, called with values.
//
//   std::array args = {Value::I32(1), Value::I32(2)};
//   std::array<Value, 1> sum;
//   absl::StatusOr<Outcome<void>> outcome = add.Call(args, sum);
//
// A call costs little more than a typed one (engine/runtime/typed_func.h) and allocates nothing: it
// enters wasm in the caller's own function, through a stub that was generated for the function's
// type (engine/abi/call_stub.h). The first call of a type makes the stub.
#ifndef WASMD_ENGINE_RUNTIME_FUNC_HANDLE_H_
#define WASMD_ENGINE_RUNTIME_FUNC_HANDLE_H_

#include <atomic>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

#include "engine/abi/call_stub.h"
#include "engine/abi/instance_context.h"
#include "engine/runtime/fast_entry.h"
#include "engine/runtime/outcome.h"
#include "engine/runtime/registered_type.h"
#include "engine/runtime/value.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

class Store;

template <typename Signature>
class TypedFunc;  // engine/runtime/typed_func.h

// A small value, dead with its store, used by the store's thread. Spec: syntax-funcinst
class FuncHandle {
 public:
  FuncHandle(Store& store, FuncRef& ref, const RegisteredType& type);

  const FuncType& type() const { return type_->type; }
  const RegisteredType& registered_type() const { return *type_; }

  // Invokes it. `args` must match the parameters and `results` have room for the results, neither
  // more nor less: kInvalidArgument says what doesn't fit, and nothing was called. `results` hold
  // the results if the outcome is ok, otherwise anything; they may be the same memory as `args`.
  // kFailedPrecondition: the store was abandoned by an interrupt. kResourceExhausted: the caller's
  // stack is not its thread's own, and there is no other; or code memory is spent. May be called
  // from inside a host function. Spec: exec-invocation
  [[gnu::always_inline]] absl::StatusOr<Outcome<void>> Call(std::span<const Value> args,
                                                            std::span<Value> results) const;

  // The same function for calls with C++ types: Typed<int32_t(int32_t, double)>().
  // kInvalidArgument, naming both types: it is of another type.
  template <typename Signature>
  absl::StatusOr<TypedFunc<Signature>> Typed() const;

  Value AsValue() const { return Value::OfFuncRef(ref_); }
  Store& store() const { return *store_; }
  FuncRef* ref() const { return ref_; }

 private:
  // In call.cc. The call with everything that the short way leaves out.
  absl::StatusOr<Outcome<void>> CallSlowly(std::span<const Value> args,
                                           std::span<Value> results) const;
  absl::Status WrongArguments(std::span<const Value> args, std::span<Value> results) const;

  StoreContext* context_;
  FuncRef* ref_;
  const RegisteredType* type_;
  Store* store_;
};

inline absl::StatusOr<Outcome<void>> FuncHandle::Call(std::span<const Value> args,
                                                      std::span<Value> results) const {
  StoreContext* store = context_;
  FuncRef* const ref = ref_;
  const void* const stub = type_->call_stub.load(std::memory_order_acquire);
  if (stub == nullptr || args.size() != type_->param_count ||
      results.size() != type_->result_count || !fast_entry::Activate(*store)) [[unlikely]] {
    return CallSlowly(args, results);
  }
  fast_entry::Registers registers;
  registers.general[0] = reinterpret_cast<uint64_t>(ref->code.load(std::memory_order_acquire));
  registers.general[1] = reinterpret_cast<uint64_t>(args.data());
  registers.general[2] = reinterpret_cast<uint64_t>(results.data());
  registers.general[3] = reinterpret_cast<uint64_t>(store);
  const bool trapped = fast_entry::Enter<4, 0, 0>(stub, ref->context, store, registers);
  fast_entry::Deactivate(*store);
  if (trapped) [[unlikely]] {
    return Outcome<void>(outcome_internal::StopHolder(fast_entry::TakeTrap(*store_)));
  }
  if (registers.general_results[0] != kStubCalled) [[unlikely]] {
    return WrongArguments(args, results);
  }
  return Outcome<void>();
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_FUNC_HANDLE_H_
