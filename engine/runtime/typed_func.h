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
//   FuncRef*, ExternRefWord    funcref, externref
//   void, T, std::tuple<T…>    no result, one, any number
//
// A call goes straight into generated code, from the caller's own function: the arguments are put
// in the registers of engine/abi/calling_convention.h, and nothing is published for a trap, which
// finds its way back by the frames (engine/trap/activation.h). That holds where the store is
// bound to the calling thread and stack (StoreContext::key); the first call on a thread, a nested
// one and the first far up or down the stack go through CallPrepared instead, which is slower and
// does the same.
//
// A handle, dead with its store, used by the store's thread. Where nothing can be called, the
// outcome is a trap with kHostError: the store was abandoned, or the caller's stack is none that we
// know.
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

// In call.cc.
outcome_internal::StopHolder TakeTrap(Store& store);
// ok(): it returned, and the results are in the frame.
outcome_internal::StopHolder CallPrepared(EntryFrame& frame, Store& store);
StoreContext& ContextOf(Store& store);
absl::Status WrongType(const FuncType& actual, const FuncType& wanted);

// What an SSE register holds; the arguments' lanes above the value are zeros.
using FloatReg = float __attribute__((vector_size(16)));

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
  static FloatReg ToReg(float value) { return FloatReg{value, 0, 0, 0}; }
  static float FromReg(FloatReg reg) { return reg[0]; }
};
template <>
struct WasmType<double> {
  static constexpr ValType kType = ValType::kF64;
  using Lanes = double __attribute__((vector_size(16)));
  static uint64_t ToBits(double value) { return std::bit_cast<uint64_t>(value); }
  static double FromBits(uint64_t bits) { return std::bit_cast<double>(bits); }
  static FloatReg ToReg(double value) { return reinterpret_cast<FloatReg>(Lanes{value, 0}); }
  static double FromReg(FloatReg reg) { return reinterpret_cast<Lanes>(reg)[0]; }
};

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

// The registers of a call.
struct Registers {
  uint64_t general[kGeneralParamRegs];
  FloatReg floats[kFloatParamRegs];
  uint64_t general_results[kGeneralResultRegs];
  FloatReg float_results[kFloatResultRegs];
};

// What a function of a store that never heard of the caller may change. x87's and MMX's registers
// are empty at calls.
#define WASMD_TYPED_CALL_CLOBBERS                                                                  \
  "memory", "cc", "rbx", "r11", "r12", "r13", "r14", "r15", "st", "st(1)", "st(2)", "st(3)",       \
      "st(4)", "st(5)", "st(6)", "st(7)", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" WASMD_TYPED_CALL_AVX512_CLOBBERS
#ifdef __AVX512F__
#define WASMD_TYPED_CALL_AVX512_CLOBBERS                                                        \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",   \
      "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", \
      "k7"
#else
#define WASMD_TYPED_CALL_AVX512_CLOBBERS
#endif

// rbp is the one register that is kept here: compilers let nobody clobber it. The red zone stays
// untouched. The last instruction makes r10 all ones where a trap was raised, else 0; the carry
// flag is no output, since clang finds no register for it.
#define WASMD_TYPED_CALL        \
  "leaq -128(%%rsp), %%rsp\n\t" \
  "pushq %%rbp\n\t"             \
  "movq %%rsp, %%rbp\n\t"       \
  "andq $-16, %%rsp\n\t"        \
  "pushq %%rbp\n\t"             \
  "pushq %[store]\n\t"          \
  "callq *%%rax\n\t"            \
  "clc\n\t"                     \
  "leave\n\t"                   \
  "leaq 128(%%rsp), %%rsp\n\t"  \
  "sbbq %[store], %[store]"

// Calls `code`. Whether a trap was raised. Registers beyond the signature's hold anything.
template <uint32_t kGeneral, uint32_t kFloat, uint32_t kFloatResults>
[[gnu::always_inline]] inline bool EnterInline(const void* code, void* context, StoreContext& store,
                                               Registers& registers) {
  auto rax = reinterpret_cast<uint64_t>(code);
  // Plain scalars first: nothing that needs a register of its own may stand between the variables
  // below and the asm.
  const auto store_word = reinterpret_cast<uint64_t>(&store);
  const auto context_word = reinterpret_cast<uint64_t>(context);
  const uint64_t g0 = registers.general[0];
  const uint64_t g1 = registers.general[1];
  const uint64_t g2 = registers.general[2];
  const uint64_t g3 = registers.general[3];
  const uint64_t g4 = registers.general[4];
  if constexpr (kFloat == 0 && kFloatResults == 0) {
    register uint64_t r10 asm("r10") = store_word;
    register uint64_t rdi asm("rdi") = context_word;
    register uint64_t rsi asm("rsi") = g0;
    register uint64_t rdx asm("rdx") = g1;
    register uint64_t rcx asm("rcx") = g2;
    register uint64_t r8 asm("r8") = g3;
    register uint64_t r9 asm("r9") = g4;
    asm volatile(WASMD_TYPED_CALL
                 : "+a"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(rcx), "+r"(r8),
                   "+r"(r9), [store] "+r"(r10)
                 :
                 : "xmm0", "xmm1", "xmm2", "xmm3", WASMD_TYPED_CALL_CLOBBERS);
    registers.general_results[0] = rax;
    registers.general_results[1] = rdx;
    return r10 != 0;
  } else {
    const FloatReg f0 = registers.floats[0];
    const FloatReg f1 = registers.floats[1];
    const FloatReg f2 = registers.floats[2];
    const FloatReg f3 = registers.floats[3];
    register uint64_t r10 asm("r10") = store_word;
    register uint64_t rdi asm("rdi") = context_word;
    register uint64_t rsi asm("rsi") = g0;
    register uint64_t rdx asm("rdx") = g1;
    register uint64_t rcx asm("rcx") = g2;
    register uint64_t r8 asm("r8") = g3;
    register uint64_t r9 asm("r9") = g4;
    register FloatReg xmm0 asm("xmm0") = f0;
    register FloatReg xmm1 asm("xmm1") = f1;
    register FloatReg xmm2 asm("xmm2") = f2;
    register FloatReg xmm3 asm("xmm3") = f3;
    if constexpr (kFloat <= 4) {
      asm volatile(WASMD_TYPED_CALL
                   : "+a"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(rcx), "+r"(r8),
                     "+r"(r9), [store] "+r"(r10), "+x"(xmm0), "+x"(xmm1), "+x"(xmm2), "+x"(xmm3)
                   :
                   : WASMD_TYPED_CALL_CLOBBERS);
    } else {
      // An asm has 30 operands at most. r11 is free before the call.
      register uint64_t r11 asm("r11") = reinterpret_cast<uint64_t>(&registers.floats[4]);
      asm volatile(
          "movaps 0(%[more]), %%xmm4\n\t"
          "movaps 16(%[more]), %%xmm5\n\t"
          "movaps 32(%[more]), %%xmm6\n\t"
          "movaps 48(%[more]), %%xmm7\n\t" WASMD_TYPED_CALL
          : "+a"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(rcx), "+r"(r8),
            "+r"(r9), [store] "+r"(r10), "+x"(xmm0), "+x"(xmm1), "+x"(xmm2),
            "+x"(xmm3), [more] "+r"(r11)
          :
          : "memory", "cc", "rbx", "r12", "r13", "r14", "r15", "st", "st(1)", "st(2)", "st(3)",
            "st(4)", "st(5)", "st(6)", "st(7)", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
            "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" WASMD_TYPED_CALL_AVX512_CLOBBERS);
    }
    registers.general_results[0] = rax;
    registers.general_results[1] = rdx;
    registers.float_results[0] = xmm0;
    registers.float_results[1] = xmm1;
    return r10 != 0;
  }
}

#undef WASMD_TYPED_CALL
#undef WASMD_TYPED_CALL_CLOBBERS
#undef WASMD_TYPED_CALL_AVX512_CLOBBERS

}  // namespace typed_func_internal

template <typename R, typename... Args>
class TypedFunc<R(Args...)> {
  using Params = typed_func_internal::TypeList<Args...>;
  using Results = typed_func_internal::ResultList<R>;
  using Kind = ValueLocation::Kind;
  using Registers = typed_func_internal::Registers;

 public:
  static FuncType type() { return {Params::Types(), Results::Types()}; }

  // Invokes it. Spec: exec-invocation
  [[gnu::always_inline]] Outcome<R> operator()(Args... args) const {
    StoreContext& store = *context_;
    const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
    const uint64_t serial = t_thread.serial;
    if (store.key.load(std::memory_order_relaxed) != serial ||
        here - store.window_low >= store.window_bytes) [[unlikely]] {
      return CallSlowly(args...);
    }
    store.key.store(kStoreActive, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (store.interrupt_requested.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      store.key.store(serial, std::memory_order_relaxed);
      return CallSlowly(args...);
    }
    Registers registers;
    Clear(registers);
    PlaceAll(registers, store, args...);
    const bool trapped =
        typed_func_internal::EnterInline<kGeneralParams, kFloatParams, kFloatResults>(
            ref_->code.load(std::memory_order_acquire), ref_->context, store, registers);
    store.key.store(serial, std::memory_order_relaxed);
    if (trapped) [[unlikely]] {
      return Outcome<R>(typed_func_internal::TakeTrap(*store_));
    }
    return Take(registers, store);
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

  // An argument register that the signature does not use keeps what is in it: no instruction.
  [[gnu::always_inline]] static void Clear(Registers& registers) {
    for (uint32_t i = kGeneralParams; i < kGeneralParamRegs; ++i) {
      asm("" : "=r"(registers.general[i]));
    }
    for (uint32_t i = kFloatParams; i < kFloatParamRegs; ++i) {
      asm("" : "=x"(registers.floats[i]));
    }
  }

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
      store.overflow[kAt.index] = {Type::ToBits(value), 0};
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
      return Type::FromBits(store.overflow[kAt.index].lo);
    }
  }

  [[gnu::always_inline]] static Outcome<R> Take(const Registers& registers,
                                                const StoreContext& store) {
    if constexpr (std::is_void_v<R>) {
      return Outcome<void>();
    } else if constexpr (requires { typename std::tuple_size<R>::type; }) {
      return [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
        return Outcome<R>(R{Result<kIndex, std::tuple_element_t<kIndex, R>>(registers, store)...});
      }(std::make_index_sequence<Results::kCount>());
    } else {
      return Outcome<R>(Result<0, R>(registers, store));
    }
  }

  [[gnu::noinline, gnu::cold]] Outcome<R> CallSlowly(Args... args) const {
    StoreContext& store = *context_;
    Registers registers = {};
    PlaceAll(registers, store, args...);
    EntryFrame frame;
    frame.code = ref_->code.load(std::memory_order_acquire);
    frame.context = ref_->context;
    frame.store = &store;
    for (uint32_t i = 0; i < kGeneralParams; ++i) {
      frame.general[i] = registers.general[i];
    }
    for (uint32_t i = 0; i < kFloatParams; ++i) {
      frame.floats[i] = std::bit_cast<Cell>(registers.floats[i]);
    }
    if (auto stop = typed_func_internal::CallPrepared(frame, *store_); !stop.ok()) [[unlikely]] {
      return Outcome<R>(std::move(stop));
    }
    for (uint32_t i = 0; i < kGeneralResultRegs; ++i) {
      registers.general_results[i] = frame.general_results[i];
    }
    for (uint32_t i = 0; i < kFloatResultRegs; ++i) {
      registers.float_results[i] =
          std::bit_cast<typed_func_internal::FloatReg>(frame.float_results[i]);
    }
    return Take(registers, store);
  }

  StoreContext* context_;
  FuncRef* ref_;
  Store* store_;
};

template <typename Signature>
absl::StatusOr<TypedFunc<Signature>> FuncHandle::Typed() const {
  if (FuncType wanted = TypedFunc<Signature>::type(); wanted != *type_) {
    return typed_func_internal::WrongType(*type_, wanted);
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
