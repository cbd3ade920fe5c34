// TypedFunc: an exported function that C++ calls with its own types.
//
//   auto add = instance.TypedFunc<int32_t(int32_t, int32_t)>("add");   // Checked once, here.
//   Outcome<int32_t> sum = (*add)(1, 2);
//   auto div_rem = instance.TypedFunc<std::tuple<int32_t, int32_t>(int32_t, int32_t)>("div_rem");
//
//   C++                        wasm
//   int32_t uint32_t           i32
//   int64_t uint64_t           i64
//   float, double              f32, f64
//   V128                       v128
//   FuncRef*, ExternRefWord    funcref, externref
//   void, T, std::tuple<T…>    no result, one, any number
//
// A call goes straight into generated code, from the caller's own function: the arguments are put
// in the registers of engine/abi/calling_convention.h, and nothing is published for a trap, which
// finds its way back by the frames (engine/trap/activation.h). That holds where the store is
// bound to the calling thread and stack (StoreContext::window); the first call on a thread, a
// nested one, the first far up or down the stack, and those on a stack that is not the thread's own
// go through CallPrepared instead, which is slower and does the same.
//
// A handle, dead with its store, used by the store's thread. Where nothing can be called, the
// outcome is a trap with kHostError: the store was abandoned, or the caller's stack is not its
// thread's own and there is none of ours (engine/trap/owned_stack.h).
#ifndef WASMD_ENGINE_RUNTIME_TYPED_FUNC_H_
#define WASMD_ENGINE_RUNTIME_TYPED_FUNC_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/runtime/fast_entry.h"
#include "engine/runtime/instance.h"
#include "engine/runtime/outcome.h"
#include "engine/trap/activation.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// An externref: any word that the embedder chose, 0 being null.
struct ExternRefWord {
  uint64_t word = 0;
  friend bool operator==(ExternRefWord, ExternRefWord) = default;
};

namespace typed_func_internal {

// In call.cc. Null: it returned, and the results are in the frame. The caller's, for a StopHolder;
// a raw pointer, since that travels in a register.
const Stop* CallPrepared(EntryFrame& frame, Store& store);
StoreContext& ContextOf(Store& store);
absl::Status WrongType(const FuncType& actual, const FuncType& wanted);

// How a C++ type travels.
template <typename T>
struct WasmType;

template <typename T, ValType kVal>
struct GeneralType {
  static constexpr ValType kType = kVal;
  static uint64_t ToBits(T value) {
    if constexpr (sizeof(T) == sizeof(uint32_t)) {
      return static_cast<uint32_t>(value);
    } else {
      return static_cast<uint64_t>(value);
    }
  }
  static T FromBits(uint64_t bits) { return static_cast<T>(bits); }
};
template <>
struct WasmType<int32_t> : GeneralType<int32_t, ValType::kI32> {};
template <>
struct WasmType<uint32_t> : GeneralType<uint32_t, ValType::kI32> {};
template <>
struct WasmType<int64_t> : GeneralType<int64_t, ValType::kI64> {};
template <>
struct WasmType<uint64_t> : GeneralType<uint64_t, ValType::kI64> {};
template <>
struct WasmType<FuncRef*> {
  static constexpr ValType kType = ValType::kFuncRef;
  static uint64_t ToBits(FuncRef* value) { return reinterpret_cast<uint64_t>(value); }
  static FuncRef* FromBits(uint64_t bits) { return reinterpret_cast<FuncRef*>(bits); }
};
template <>
struct WasmType<ExternRefWord> {
  static constexpr ValType kType = ValType::kExternRef;
  static uint64_t ToBits(ExternRefWord value) { return value.word; }
  static ExternRefWord FromBits(uint64_t bits) { return {bits}; }
};
template <>
struct WasmType<float> {
  static constexpr ValType kType = ValType::kF32;
  static uint64_t ToBits(float value) { return std::bit_cast<uint32_t>(value); }
  static float FromBits(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }
  static fast_entry::FloatReg ToReg(float value) { return fast_entry::FloatReg{value, 0, 0, 0}; }
  static float FromReg(fast_entry::FloatReg reg) { return reg[0]; }
};
template <>
struct WasmType<double> {
  static constexpr ValType kType = ValType::kF64;
  using Lanes = double __attribute__((vector_size(16)));
  static uint64_t ToBits(double value) { return std::bit_cast<uint64_t>(value); }
  static double FromBits(uint64_t bits) { return std::bit_cast<double>(bits); }
  static fast_entry::FloatReg ToReg(double value) {
    return reinterpret_cast<fast_entry::FloatReg>(Lanes{value, 0});
  }
  static double FromReg(fast_entry::FloatReg reg) { return reinterpret_cast<Lanes>(reg)[0]; }
};

template <>
struct WasmType<V128> {
  static constexpr ValType kType = ValType::kV128;
  static fast_entry::FloatReg ToReg(V128 value) {
    return std::bit_cast<fast_entry::FloatReg>(value);
  }
  static V128 FromReg(fast_entry::FloatReg reg) { return std::bit_cast<V128>(reg); }
};

// In an overflow cell.
template <typename T>
Cell ToCell(T value) {
  if constexpr (std::is_same_v<T, V128>) {
    return {value.lo, value.hi};
  } else {
    return {WasmType<T>::ToBits(value), 0};
  }
}
template <typename T>
T FromCell(const Cell& cell) {
  if constexpr (std::is_same_v<T, V128>) {
    return {cell.lo, cell.hi};
  } else {
    return WasmType<T>::FromBits(cell.lo);
  }
}

template <typename... T>
struct TypeList {
  static constexpr size_t kCount = sizeof...(T);
  static std::vector<ValType> Types() { return {WasmType<T>::kType...}; }

  // Where each travels.
  static constexpr std::array<ValueLocation, kCount> Locations(
      [[maybe_unused]] LocationAssigner assigner) {
    return {assigner.Next(WasmType<T>::kType)...};
  }
  // Of one class.
  static constexpr uint32_t Count(const std::array<ValueLocation, kCount>& locations,
                                  ValueLocation::Kind kind) {
    uint32_t count = 0;
    for (const ValueLocation& at : locations) {
      count += at.kind == kind ? 1 : 0;
    }
    return count;
  }
};

template <typename R>
struct ResultList : TypeList<R> {};
template <>
struct ResultList<void> : TypeList<> {};
template <typename... T>
struct ResultList<std::tuple<T...>> : TypeList<T...> {};

}  // namespace typed_func_internal

template <typename R, typename... Args>
class TypedFunc<R(Args...)> {
  using Params = typed_func_internal::TypeList<Args...>;
  using Results = typed_func_internal::ResultList<R>;
  using Kind = ValueLocation::Kind;
  using Registers = fast_entry::Registers;
  // What a call without a result gives.
  struct Nothing {};
  using Held = std::conditional_t<std::is_void_v<R>, Nothing, R>;

 public:
  static FuncType type() { return {Params::Types(), Results::Types()}; }

  // Invokes it. Spec: exec-invocation
  [[gnu::always_inline]] Outcome<R> operator()(Args... args) const {
    // What does not depend on the way taken is put together at the end, and nothing has its address
    // taken on the short way: all of it stays in registers.
    StoreContext* store = context_;
    FuncRef* const ref = ref_;
    const Stop* stop = nullptr;
    Held value;
    if (fast_entry::Activate(*store)) [[likely]] {
      Registers registers;
      PlaceAll(registers, *store, args...);
      const bool trapped = fast_entry::Enter<kGeneralParams, kFloatParams, kFloatResults>(
          ref->code.load(std::memory_order_acquire), ref->context, store, registers);
      fast_entry::Deactivate(*store);
      if (trapped) [[unlikely]] {
        stop = fast_entry::TakeTrap(*store_);
        value = Held();
      } else {
        value = Take(registers, *store);
      }
    } else {
      Held slow;
      stop = CallSlowly(slow, args...);
      value = slow;
    }
    if constexpr (std::is_void_v<R>) {
      return Outcome<void>(outcome_internal::StopHolder(stop));
    } else {
      return Outcome<R>(outcome_internal::StopHolder(stop), value);
    }
  }

 private:
  friend class FuncHandle;
  TypedFunc(Store& store, FuncRef& ref)
      : context_(&typed_func_internal::ContextOf(store)), ref_(&ref), store_(&store) {}

  static constexpr auto kParams = Params::Locations(LocationAssigner::Params());
  static constexpr auto kResults = Results::Locations(LocationAssigner::Results());
  static constexpr uint32_t kGeneralParams = Params::Count(kParams, Kind::kGeneralReg);
  static constexpr uint32_t kFloatParams = Params::Count(kParams, Kind::kFloatReg);
  static constexpr uint32_t kFloatResults = Results::Count(kResults, Kind::kFloatReg);

  [[gnu::always_inline]] static void PlaceAll(Registers& registers, StoreContext& store,
                                              Args... args) {
    [&]<size_t... kIndex>(std::index_sequence<kIndex...>) __attribute__((always_inline)) {
      (Place<kIndex>(registers, store, args), ...);
    }(std::index_sequence_for<Args...>());
  }

  template <size_t kIndex, typename T>
  [[gnu::always_inline]] static void Place(Registers& registers, StoreContext& store, T value) {
    using Type = typed_func_internal::WasmType<T>;
    constexpr ValueLocation kAt = kParams[kIndex];
    if constexpr (kAt.kind == Kind::kGeneralReg) {
      registers.general[kAt.index] = Type::ToBits(value);
    } else if constexpr (kAt.kind == Kind::kFloatReg) {
      registers.floats[kAt.index] = Type::ToReg(value);
    } else {
      store.overflow[kAt.index] = typed_func_internal::ToCell(value);
    }
  }

  template <size_t kIndex, typename T>
  [[gnu::always_inline]] static T Result(const Registers& registers, const StoreContext& store) {
    using Type = typed_func_internal::WasmType<T>;
    constexpr ValueLocation kAt = kResults[kIndex];
    if constexpr (kAt.kind == Kind::kGeneralReg) {
      return Type::FromBits(registers.general_results[kAt.index]);
    } else if constexpr (kAt.kind == Kind::kFloatReg) {
      return Type::FromReg(registers.float_results[kAt.index]);
    } else {
      return typed_func_internal::FromCell<T>(store.overflow[kAt.index]);
    }
  }

  [[gnu::always_inline]] static Held Take(const Registers& registers, const StoreContext& store) {
    if constexpr (std::is_void_v<R>) {
      return {};
    } else if constexpr (requires { typename std::tuple_size<R>::type; }) {
      return [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
        return R{Result<kIndex, std::tuple_element_t<kIndex, R>>(registers, store)...};
      }(std::make_index_sequence<Results::kCount>());
    } else {
      return Result<0, R>(registers, store);
    }
  }

  [[gnu::noinline, gnu::cold]] const Stop* CallSlowly(Held& result, Args... args) const {
    StoreContext& store = *context_;
    Registers registers = {};
    PlaceAll(registers, store, args...);
    EntryFrame frame;
    frame.code = ref_->code.load(std::memory_order_acquire);
    frame.context = ref_->context;
    for (uint32_t i = 0; i < kGeneralParams; ++i) {
      frame.general[i] = registers.general[i];
    }
    for (uint32_t i = 0; i < kFloatParams; ++i) {
      frame.floats[i] = std::bit_cast<Cell>(registers.floats[i]);
    }
    if (const Stop* stop = typed_func_internal::CallPrepared(frame, *store_)) [[unlikely]] {
      return stop;
    }
    for (uint32_t i = 0; i < kGeneralResultRegs; ++i) {
      registers.general_results[i] = frame.general_results[i];
    }
    for (uint32_t i = 0; i < kFloatResultRegs; ++i) {
      registers.float_results[i] = std::bit_cast<fast_entry::FloatReg>(frame.float_results[i]);
    }
    result = Take(registers, store);
    return nullptr;
  }

  StoreContext* context_;
  FuncRef* ref_;
  Store* store_;
};

template <typename Signature>
absl::StatusOr<TypedFunc<Signature>> FuncHandle::Typed() const {
  if (FuncType wanted = TypedFunc<Signature>::type(); wanted != type()) {
    return typed_func_internal::WrongType(type(), wanted);
  }
  return TypedFunc<Signature>(*store_, *ref_);
}

template <typename Signature>
absl::StatusOr<TypedFunc<Signature>> Instance::TypedFunc(std::string_view name) {
  absl::StatusOr<FuncHandle> func = Func(name);
  if (!func.ok()) {
    return std::move(func).status();
  }
  return func->Typed<Signature>();
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_TYPED_FUNC_H_
