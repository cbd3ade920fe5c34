#include "tests/unit/engine/compile/reference.h"

#include <bit>
#include <cmath>
#include <concepts>
#include <limits>
#include <type_traits>

#include "engine/base/check.h"

namespace wasmd::engine {
namespace {

template <typename T>
uint64_t BitsOf(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<uint32_t>(value);
  } else if constexpr (std::is_same_v<T, double>) {
    return std::bit_cast<uint64_t>(value);
  } else {
    return static_cast<uint64_t>(static_cast<std::make_unsigned_t<T>>(value));
  }
}

template <typename T>
T ValueOf(uint64_t bits) {
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits));
  } else if constexpr (std::is_same_v<T, double>) {
    return std::bit_cast<double>(bits);
  } else {
    return static_cast<T>(bits);
  }
}

template <typename T>
Reference Result(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    return {TrapCode::kNone, BitsOf(value), std::isnan(value)};
  } else {
    return {TrapCode::kNone, BitsOf(value), false};
  }
}
Reference Trap(TrapCode code) {
  return {code, 0, false};
}

enum class IntOp {
  kEqz,
  kEq,
  kNe,
  kLtS,
  kLtU,
  kGtS,
  kGtU,
  kLeS,
  kLeU,
  kGeS,
  kGeU,
  kClz,
  kCtz,
  kPopcnt,
  kAdd,
  kSub,
  kMul,
  kDivS,
  kDivU,
  kRemS,
  kRemU,
  kAnd,
  kOr,
  kXor,
  kShl,
  kShrS,
  kShrU,
  kRotl,
  kRotr
};

template <std::unsigned_integral U>
Reference Integer(IntOp op, U a, U b) {
  using S = std::make_signed_t<U>;
  const S sa = static_cast<S>(a);
  const S sb = static_cast<S>(b);
  const int width = sizeof(U) * 8;
  const auto count = static_cast<int>(b % static_cast<U>(width));
  const auto boolean = [](bool value) { return Result(uint32_t{value}); };
  switch (op) {
    case IntOp::kEqz:
      return boolean(a == 0);
    case IntOp::kEq:
      return boolean(a == b);
    case IntOp::kNe:
      return boolean(a != b);
    case IntOp::kLtS:
      return boolean(sa < sb);
    case IntOp::kLtU:
      return boolean(a < b);
    case IntOp::kGtS:
      return boolean(sa > sb);
    case IntOp::kGtU:
      return boolean(a > b);
    case IntOp::kLeS:
      return boolean(sa <= sb);
    case IntOp::kLeU:
      return boolean(a <= b);
    case IntOp::kGeS:
      return boolean(sa >= sb);
    case IntOp::kGeU:
      return boolean(a >= b);
    case IntOp::kClz:
      return Result(static_cast<U>(std::countl_zero(a)));
    case IntOp::kCtz:
      return Result(static_cast<U>(std::countr_zero(a)));
    case IntOp::kPopcnt:
      return Result(static_cast<U>(std::popcount(a)));
    case IntOp::kAdd:
      return Result(static_cast<U>(a + b));
    case IntOp::kSub:
      return Result(static_cast<U>(a - b));
    case IntOp::kMul:
      return Result(static_cast<U>(a * b));
    case IntOp::kDivS:
      if (b == 0) {
        return Trap(TrapCode::kDivideByZero);
      }
      if (sb == -1 && sa == std::numeric_limits<S>::min()) {
        return Trap(TrapCode::kIntegerOverflow);
      }
      return Result(static_cast<U>(sa / sb));
    case IntOp::kDivU:
      return b == 0 ? Trap(TrapCode::kDivideByZero) : Result(static_cast<U>(a / b));
    case IntOp::kRemS:
      if (b == 0) {
        return Trap(TrapCode::kDivideByZero);
      }
      return Result(sb == -1 ? U{0} : static_cast<U>(sa % sb));
    case IntOp::kRemU:
      return b == 0 ? Trap(TrapCode::kDivideByZero) : Result(static_cast<U>(a % b));
    case IntOp::kAnd:
      return Result(static_cast<U>(a & b));
    case IntOp::kOr:
      return Result(static_cast<U>(a | b));
    case IntOp::kXor:
      return Result(static_cast<U>(a ^ b));
    case IntOp::kShl:
      return Result(static_cast<U>(a << count));
    case IntOp::kShrS:
      return Result(static_cast<U>(sa >> count));
    case IntOp::kShrU:
      return Result(static_cast<U>(a >> count));
    case IntOp::kRotl:
      return Result(std::rotl(a, count));
    case IntOp::kRotr:
      return Result(std::rotr(a, count));
  }
  WASMD_UNREACHABLE();
}

enum class FloatOp {
  kEq,
  kNe,
  kLt,
  kGt,
  kLe,
  kGe,
  kAbs,
  kNeg,
  kCeil,
  kFloor,
  kTrunc,
  kNearest,
  kSqrt,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,
  kMax,
  kCopysign
};

template <std::floating_point F>
Reference Float(FloatOp op, uint64_t a_bits, uint64_t b_bits) {
  const F a = ValueOf<F>(a_bits);
  const F b = ValueOf<F>(b_bits);
  const uint64_t sign = sizeof(F) == 8 ? uint64_t{1} << 63 : uint64_t{1} << 31;
  const auto boolean = [](bool value) { return Result(uint32_t{value}); };
  const auto exact = [](uint64_t bits) { return Reference{TrapCode::kNone, bits, false}; };
  switch (op) {
    case FloatOp::kEq:
      return boolean(a == b);
    case FloatOp::kNe:
      return boolean(a != b);
    case FloatOp::kLt:
      return boolean(a < b);
    case FloatOp::kGt:
      return boolean(a > b);
    case FloatOp::kLe:
      return boolean(a <= b);
    case FloatOp::kGe:
      return boolean(a >= b);
    case FloatOp::kAbs:
      return exact(a_bits & ~sign);
    case FloatOp::kNeg:
      return exact(a_bits ^ sign);
    case FloatOp::kCopysign:
      return exact((a_bits & ~sign) | (b_bits & sign));
    case FloatOp::kCeil:
      return Result(std::ceil(a));
    case FloatOp::kFloor:
      return Result(std::floor(a));
    case FloatOp::kTrunc:
      return Result(std::trunc(a));
    case FloatOp::kNearest:
      return Result(std::nearbyint(a));
    case FloatOp::kSqrt:
      return Result(std::sqrt(a));
    case FloatOp::kAdd:
      return Result(a + b);
    case FloatOp::kSub:
      return Result(a - b);
    case FloatOp::kMul:
      return Result(a * b);
    case FloatOp::kDiv:
      return Result(a / b);
    case FloatOp::kMin:
    case FloatOp::kMax: {
      if (std::isnan(a) || std::isnan(b)) {
        return Result(std::numeric_limits<F>::quiet_NaN());
      }
      const bool is_min = op == FloatOp::kMin;
      if (a == b) {
        return Result(std::signbit(a) == is_min ? a : b);
      }
      return Result((a < b) == is_min ? a : b);
    }
  }
  WASMD_UNREACHABLE();
}

template <typename I, typename F>
Reference Truncate(uint64_t bits, bool saturates) {
  const F value = ValueOf<F>(bits);
  if (std::isnan(value)) {
    return saturates ? Result(I{0}) : Trap(TrapCode::kInvalidConversion);
  }
  const F whole = std::trunc(value);
  // The range's ends, exactly: −2^n or 0, and 2^n.
  const F low = std::is_signed_v<I> ? -std::ldexp(F{1}, sizeof(I) * 8 - 1) : F{0};
  const F high = std::ldexp(F{1}, std::is_signed_v<I> ? sizeof(I) * 8 - 1 : sizeof(I) * 8);
  if (whole < low) {
    return saturates ? Result(std::numeric_limits<I>::min()) : Trap(TrapCode::kIntegerOverflow);
  }
  if (whole >= high) {
    return saturates ? Result(std::numeric_limits<I>::max()) : Trap(TrapCode::kIntegerOverflow);
  }
  return Result(static_cast<I>(whole));
}

}  // namespace

Reference EvaluateReference(Opcode op, uint64_t a, uint64_t b) {
  switch (op) {
#define INT_CASE(name)                                                                            \
  case Opcode::kI32##name:                                                                        \
    return Integer<uint32_t>(IntOp::k##name, static_cast<uint32_t>(a), static_cast<uint32_t>(b)); \
  case Opcode::kI64##name:                                                                        \
    return Integer<uint64_t>(IntOp::k##name, a, b);
    INT_CASE(Eqz)
    INT_CASE(Eq)
    INT_CASE(Ne)
    INT_CASE(LtS)
    INT_CASE(LtU)
    INT_CASE(GtS)
    INT_CASE(GtU)
    INT_CASE(LeS)
    INT_CASE(LeU)
    INT_CASE(GeS)
    INT_CASE(GeU)
    INT_CASE(Clz)
    INT_CASE(Ctz)
    INT_CASE(Popcnt)
    INT_CASE(Add)
    INT_CASE(Sub)
    INT_CASE(Mul)
    INT_CASE(DivS)
    INT_CASE(DivU)
    INT_CASE(RemS)
    INT_CASE(RemU)
    INT_CASE(And)
    INT_CASE(Or)
    INT_CASE(Xor)
    INT_CASE(Shl)
    INT_CASE(ShrS)
    INT_CASE(ShrU)
    INT_CASE(Rotl)
    INT_CASE(Rotr)
#undef INT_CASE
#define FLOAT_CASE(name)                         \
  case Opcode::kF32##name:                       \
    return Float<float>(FloatOp::k##name, a, b); \
  case Opcode::kF64##name:                       \
    return Float<double>(FloatOp::k##name, a, b);
    FLOAT_CASE(Eq)
    FLOAT_CASE(Ne)
    FLOAT_CASE(Lt)
    FLOAT_CASE(Gt)
    FLOAT_CASE(Le)
    FLOAT_CASE(Ge)
    FLOAT_CASE(Abs)
    FLOAT_CASE(Neg)
    FLOAT_CASE(Ceil)
    FLOAT_CASE(Floor)
    FLOAT_CASE(Trunc)
    FLOAT_CASE(Nearest)
    FLOAT_CASE(Sqrt)
    FLOAT_CASE(Add)
    FLOAT_CASE(Sub)
    FLOAT_CASE(Mul)
    FLOAT_CASE(Div)
    FLOAT_CASE(Min)
    FLOAT_CASE(Max)
    FLOAT_CASE(Copysign)
#undef FLOAT_CASE
#define TRUNCATE_CASE(from, F)              \
  case Opcode::kI32Trunc##from##S:          \
    return Truncate<int32_t, F>(a, false);  \
  case Opcode::kI32Trunc##from##U:          \
    return Truncate<uint32_t, F>(a, false); \
  case Opcode::kI64Trunc##from##S:          \
    return Truncate<int64_t, F>(a, false);  \
  case Opcode::kI64Trunc##from##U:          \
    return Truncate<uint64_t, F>(a, false); \
  case Opcode::kI32TruncSat##from##S:       \
    return Truncate<int32_t, F>(a, true);   \
  case Opcode::kI32TruncSat##from##U:       \
    return Truncate<uint32_t, F>(a, true);  \
  case Opcode::kI64TruncSat##from##S:       \
    return Truncate<int64_t, F>(a, true);   \
  case Opcode::kI64TruncSat##from##U:       \
    return Truncate<uint64_t, F>(a, true);
    TRUNCATE_CASE(F32, float)
    TRUNCATE_CASE(F64, double)
#undef TRUNCATE_CASE
#define CONVERT_CASE(to, F)                                  \
  case Opcode::k##to##ConvertI32S:                           \
    return Result(static_cast<F>(static_cast<int32_t>(a)));  \
  case Opcode::k##to##ConvertI32U:                           \
    return Result(static_cast<F>(static_cast<uint32_t>(a))); \
  case Opcode::k##to##ConvertI64S:                           \
    return Result(static_cast<F>(static_cast<int64_t>(a)));  \
  case Opcode::k##to##ConvertI64U:                           \
    return Result(static_cast<F>(a));
    CONVERT_CASE(F32, float)
    CONVERT_CASE(F64, double)
#undef CONVERT_CASE
    case Opcode::kI32WrapI64:
      return Result(static_cast<uint32_t>(a));
    case Opcode::kI64ExtendI32S:
    case Opcode::kI64Extend32S:
      return Result(int64_t{static_cast<int32_t>(a)});
    case Opcode::kI64ExtendI32U:
      return Result(uint64_t{static_cast<uint32_t>(a)});
    case Opcode::kI32Extend8S:
      return Result(int32_t{static_cast<int8_t>(a)});
    case Opcode::kI32Extend16S:
      return Result(int32_t{static_cast<int16_t>(a)});
    case Opcode::kI64Extend8S:
      return Result(int64_t{static_cast<int8_t>(a)});
    case Opcode::kI64Extend16S:
      return Result(int64_t{static_cast<int16_t>(a)});
    case Opcode::kF32DemoteF64:
      return Result(static_cast<float>(ValueOf<double>(a)));
    case Opcode::kF64PromoteF32:
      return Result(static_cast<double>(ValueOf<float>(a)));
    case Opcode::kI32ReinterpretF32:
    case Opcode::kF32ReinterpretI32:
      return {TrapCode::kNone, static_cast<uint32_t>(a), false};
    case Opcode::kI64ReinterpretF64:
    case Opcode::kF64ReinterpretI64:
      return {TrapCode::kNone, a, false};
    default:
      WASMD_UNREACHABLE();
  }
}

}  // namespace wasmd::engine
