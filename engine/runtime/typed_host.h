// Host functions with C++ types, which wasm calls directly.
//
//   C++ callable                          wasm
//   int32_t(uint32_t, double)             (param i32 f64) (result i32)
//   void(HostContext&, int64_t)           (param i64); the first parameter is no parameter of wasm
//   std::tuple<float, uint64_t>()         (result f32 i64)
//   HostResult(int32_t)                   (param i32); may fail
//   HostResultOr<int32_t>(int32_t)        (param i32) (result i32); may fail
//
// Types of values are those of engine/runtime/typed_func.h but V128. A callable is a function
// pointer, a lambda, a std::function, or any object whose operator() is const and neither a
// template nor overloaded; for others the signature is given: DefineTyped<int32_t(int32_t)>(…). It
// is shared by all stores that import it and called from each one's thread: thread-safe in what it
// captures.
//
// What wasm calls is an instantiation of an adapter, whose own C++ signature is the calling
// convention of generated code: the target in rdi, arguments in the System V registers and in
// overflow cells. The callable is usually inlined there. Behind it stands a test of the store's
// interrupt flag. A failure leaves when the callable's scopes are closed: the adapter's frame says
// where its caller's is.
#ifndef WASMD_ENGINE_RUNTIME_TYPED_HOST_H_
#define WASMD_ENGINE_RUNTIME_TYPED_HOST_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/runtime/host_func.h"
#include "engine/runtime/host_target.h"
#include "engine/runtime/typed_func.h"
#include "engine/wasm/trap_code.h"

// An adapter is left without returning, which sanitizers' notes of frames and stacks would not
// survive. What it calls is instrumented.
#ifdef __clang__
#define WASMD_HOST_ADAPTER __attribute__((disable_sanitizer_instrumentation))
#else
#define WASMD_HOST_ADAPTER __attribute__((no_sanitize("address", "thread")))
#endif

namespace wasmd::engine {
namespace host_internal {

// R(Args...) of a callable.
template <typename Member>
struct SignatureOfMember {
  static_assert(!sizeof(Member), "operator() of a typed host function is const");
};
template <typename R, typename C, typename... Args>
struct SignatureOfMember<R (C::*)(Args...) const> {
  using Type = R(Args...);
};
template <typename R, typename C, typename... Args>
struct SignatureOfMember<R (C::*)(Args...) const noexcept> {
  using Type = R(Args...);
};
template <typename Callable>
struct SignatureOf : SignatureOfMember<decltype(&Callable::operator())> {};
template <typename R, typename... Args>
struct SignatureOf<R (*)(Args...)> {
  using Type = R(Args...);
};
template <typename R, typename... Args>
struct SignatureOf<R (*)(Args...) noexcept> {
  using Type = R(Args...);
};

// What the callable returns: the results, and whether it may fail.
template <typename R>
struct Returned {
  using Results = R;
  static constexpr bool kMayFail = false;
};
template <>
struct Returned<HostResult> {
  using Results = void;
  static constexpr bool kMayFail = true;
};
template <typename T>
struct Returned<HostResultOr<T>> {
  using Results = T;
  static constexpr bool kMayFail = true;
};

template <typename T>
inline constexpr bool kIsFloat = std::is_same_v<T, float> || std::is_same_v<T, double>;
// As what a value travels in a register.
template <typename T>
using InRegister = std::conditional_t<kIsFloat<T>, T, uint64_t>;

// Two results. Each is an eightbyte of its own, and so finds its own register.
template <typename First, typename Second>
struct RegisterPair {
  First first;
  alignas(8) Second second;
};

template <typename... T>
struct RegisterResult;
template <>
struct RegisterResult<> {
  using Type = void;
};
template <typename T>
struct RegisterResult<T> {
  using Type = InRegister<T>;
};
template <typename First, typename Second>
struct RegisterResult<First, Second> {
  using Type = RegisterPair<InRegister<First>, InRegister<Second>>;
};

// Which of `locations` are registers: kCount of them.
template <size_t kCount, size_t kAll>
constexpr std::array<size_t, kCount> RegistersAmong(
    const std::array<ValueLocation, kAll>& locations) {
  std::array<size_t, kCount> found{};
  [[maybe_unused]] size_t count = 0;
  for (size_t i = 0; i < kAll; ++i) {
    if (locations[i].kind != ValueLocation::Kind::kOverflow) {
      found[count++] = i;
    }
  }
  return found;
}

// The code for one callable type. kCatches: see Catch.
template <bool kCatches, typename Callable, bool kTakesContext, typename R, typename... Args>
class Adapter {
  using Kind = ValueLocation::Kind;
  using Value = typename Returned<R>::Results;
  struct Nothing {};
  using Held = std::conditional_t<std::is_void_v<Value>, Nothing, Value>;
  using Params = typed_func_internal::TypeList<Args...>;
  using Results = typed_func_internal::ResultList<Value>;
  static constexpr bool kIsTuple = requires { typename std::tuple_size<Held>::type; };

  template <size_t kIndex>
  using Arg = std::tuple_element_t<kIndex, std::tuple<Args...>>;
  template <size_t kIndex>
  static decltype(auto) ResultAt(const Held& value) {
    if constexpr (kIsTuple) {
      return std::get<kIndex>(value);
    } else {
      return (value);
    }
  }
  template <size_t kIndex>
  using Result = std::remove_cvref_t<decltype(ResultAt<kIndex>(std::declval<const Held&>()))>;

  static constexpr auto kParams = Params::Locations(LocationAssigner::Params());
  static constexpr auto kResults = Results::Locations(LocationAssigner::Results());
  static constexpr size_t kParamsInRegisters =
      Params::kCount - Params::Count(kParams, Kind::kOverflow);
  static constexpr size_t kResultsInRegisters =
      Results::kCount - Results::Count(kResults, Kind::kOverflow);
  static constexpr auto kRegisterParams = RegistersAmong<kParamsInRegisters>(kParams);
  static constexpr auto kRegisterResults = RegistersAmong<kResultsInRegisters>(kResults);
  // C++ returns two eightbytes in registers; more have a thunk.
  static constexpr bool kIsWide = kResultsInRegisters > 2;

  template <size_t kIndex, typename Registers>
  [[gnu::always_inline]] static Arg<kIndex> ArgAt(const StoreContext& store,
                                                  [[maybe_unused]] const Registers& registers) {
    using Type = typed_func_internal::WasmType<Arg<kIndex>>;
    if constexpr (kParams[kIndex].kind == Kind::kOverflow) {
      return Type::FromBits(store.overflow[kParams[kIndex].index].lo);
    } else {
      constexpr size_t kPosition = [] {
        size_t position = 0;
        while (kRegisterParams[position] != kIndex) {
          ++position;
        }
        return position;
      }();
      if constexpr (kIsFloat<Arg<kIndex>>) {
        return std::get<kPosition>(registers);
      } else {
        return Type::FromBits(std::get<kPosition>(registers));
      }
    }
  }

  // Calls the callable. A TrapCode: kNone, and `value` is what it gave.
  template <typename Registers, size_t... kIndex>
  [[gnu::always_inline]] static uint32_t Run(HostTarget& target, Held& value,
                                             const Registers& registers,
                                             std::index_sequence<kIndex...>) {
    const auto call = [&]() __attribute__((always_inline)) -> R {
      const Callable& callable = *static_cast<const Callable*>(target.callable);
      if constexpr (kTakesContext) {
        return std::invoke(callable, target.context, ArgAt<kIndex>(*target.store, registers)...);
      } else {
        return std::invoke(callable, ArgAt<kIndex>(*target.store, registers)...);
      }
    };
    uint32_t code = 0;
    Catch<kCatches>(
        [&]() __attribute__((always_inline)) {
          if constexpr (std::is_void_v<R>) {
            call();
          } else if constexpr (!Returned<R>::kMayFail) {
            value = call();
          } else if (R result = call(); !result.ok()) [[unlikely]] {
            if constexpr (std::is_void_v<Value>) {
              code = NoteFailure(target, std::move(result));
            } else {
              code = NoteFailure(target, std::move(result).result());
            }
          } else if constexpr (!std::is_void_v<Value>) {
            value = *result;
          }
        },
        [&](const char* what) { code = NoteException(target, what); });
    // Whatever it has come to: an interrupt comes first, and only an exit before that.
    if (target.store->interrupt_requested.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      if (code != static_cast<uint32_t>(TrapCode::kExit)) {
        code = static_cast<uint32_t>(TrapCode::kInterrupt);
      }
    }
    return code;
  }

  template <size_t kIndex>
  [[gnu::always_inline]] static auto ToRegister(const Held& value) {
    if constexpr (kIsFloat<Result<kIndex>>) {
      return ResultAt<kIndex>(value);
    } else {
      return typed_func_internal::WasmType<Result<kIndex>>::ToBits(ResultAt<kIndex>(value));
    }
  }

  template <size_t kIndex>
  [[gnu::always_inline]] static uint64_t ToBits(const Held& value) {
    return typed_func_internal::WasmType<Result<kIndex>>::ToBits(ResultAt<kIndex>(value));
  }

  // Results that find no register.
  [[gnu::always_inline]] static void WriteOverflow([[maybe_unused]] StoreContext& store,
                                                   [[maybe_unused]] const Held& value) {
    [&]<size_t... kIndex>(std::index_sequence<kIndex...>) __attribute__((always_inline)) {
      (
          [&]() __attribute__((always_inline)) {
            if constexpr (kResults[kIndex].kind == Kind::kOverflow) {
              store.overflow[kResults[kIndex].index] = {ToBits<kIndex>(value), 0};
            }
          }(),
          ...);
    }(std::make_index_sequence<Results::kCount>());
  }

  // By the calling convention. kParam and kResult: those that travel in registers.
  template <typename ParamIndices, typename ResultIndices>
  struct Direct;
  template <size_t... kParam, size_t... kResult>
  struct Direct<std::index_sequence<kParam...>, std::index_sequence<kResult...>> {
    using Returns = typename RegisterResult<Result<kRegisterResults[kResult]>...>::Type;

    WASMD_HOST_ADAPTER static Returns Call(HostTarget* target,
                                           InRegister<Arg<kRegisterParams[kParam]>>... registers) {
      Held value{};
      const uint32_t code =
          Run(*target, value, std::make_tuple(registers...), std::index_sequence_for<Args...>());
      if (code != 0) [[unlikely]] {
        wasmd_raise_from_host(code, __builtin_frame_address(0), target->store);
      }
      WriteOverflow(*target->store, value);
      if constexpr (!std::is_void_v<Returns>) {
        return Returns{ToRegister<kRegisterResults[kResult]>(value)...};
      }
    }
  };

  // For wasmd_wide_host_thunk.
  template <typename ParamIndices, typename ResultIndices>
  struct Wide;
  template <size_t... kParam, size_t... kResult>
  struct Wide<std::index_sequence<kParam...>, std::index_sequence<kResult...>> {
    static uint32_t Call(HostTarget* target,
                         InRegister<Arg<kRegisterParams[kParam]>>... registers) {
      Held value{};
      const uint32_t code =
          Run(*target, value, std::make_tuple(registers...), std::index_sequence_for<Args...>());
      if (code == 0) [[likely]] {
        WriteOverflow(*target->store, value);
        (Keep<kRegisterResults[kResult]>(*target, value), ...);
      }
      return code;
    }
  };

  template <size_t kIndex>
  static void Keep(HostTarget& target, const Held& value) {
    constexpr ValueLocation kAt = kResults[kIndex];
    if constexpr (kAt.kind == Kind::kGeneralReg) {
      target.general_results[kAt.index] = ToBits<kIndex>(value);
    } else {
      target.float_results[kAt.index] = {ToBits<kIndex>(value), 0};
    }
  }

 public:
  static HostDefinition Define(Callable callable) {
    using ParamIndices = std::make_index_sequence<kParamsInRegisters>;
    using ResultIndices = std::make_index_sequence<kResultsInRegisters>;
    HostDefinition definition;
    definition.type = {Params::Types(), Results::Types()};
    definition.callable = std::make_shared<const Callable>(std::move(callable));
    if constexpr (kIsWide) {
      definition.code = reinterpret_cast<const void*>(&wasmd_wide_host_thunk);
      definition.dispatch = reinterpret_cast<const void*>(&Wide<ParamIndices, ResultIndices>::Call);
    } else {
      definition.code = reinterpret_cast<const void*>(&Direct<ParamIndices, ResultIndices>::Call);
    }
    return definition;
  }
};

template <typename Callable, typename Signature>
struct AdapterFor;
template <typename Callable, typename R, typename... Args>
struct AdapterFor<Callable, R(Args...)> {
  using Type = Adapter<kHasExceptions, Callable, false, R, Args...>;
};
template <typename Callable, typename R, typename... Args>
struct AdapterFor<Callable, R(HostContext&, Args...)> {
  using Type = Adapter<kHasExceptions, Callable, true, R, Args...>;
};

}  // namespace host_internal

// What Linker::DefineTyped and Store::CreateTypedFunc make of a callable.
template <typename Signature, typename Callable>
  requires std::is_function_v<Signature>
HostDefinition DefineTypedHost(Callable callable) {
  return host_internal::AdapterFor<Callable, Signature>::Type::Define(std::move(callable));
}
template <typename Callable>
  requires(!std::is_function_v<Callable>)
HostDefinition DefineTypedHost(Callable callable) {
  return DefineTypedHost<typename host_internal::SignatureOf<Callable>::Type>(std::move(callable));
}

}  // namespace wasmd::engine

#undef WASMD_HOST_ADAPTER

#endif  // WASMD_ENGINE_RUNTIME_TYPED_HOST_H_
