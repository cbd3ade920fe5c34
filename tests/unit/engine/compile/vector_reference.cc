#include "tests/unit/engine/compile/vector_reference.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <ostream>
#include <type_traits>

#include "engine/base/check.h"

namespace wasmd::engine {
namespace {

using S8 = int8_t;
using U8 = uint8_t;
using S16 = int16_t;
using U16 = uint16_t;
using S32 = int32_t;
using U32 = uint32_t;
using S64 = int64_t;
using U64 = uint64_t;
using F32 = float;
using F64 = double;

template <typename T>
constexpr size_t kLanes = 16 / sizeof(T);
template <typename T>
using Lanes = std::array<T, kLanes<T>>;

template <typename T>
Lanes<T> Split(V128 value) {
  return std::bit_cast<Lanes<T>>(value);
}
template <typename T>
V128 Join(const Lanes<T>& lanes) {
  return std::bit_cast<V128>(lanes);
}

template <typename T, typename F>
V128 Map(V128 a, F f) {
  Lanes<T> lanes = Split<T>(a);
  for (T& lane : lanes) {
    lane = static_cast<T>(f(lane));
  }
  return Join<T>(lanes);
}
template <typename T, typename F>
V128 Map(V128 a, V128 b, F f) {
  Lanes<T> lanes = Split<T>(a);
  const Lanes<T> others = Split<T>(b);
  for (size_t i = 0; i < lanes.size(); ++i) {
    lanes[i] = static_cast<T>(f(lanes[i], others[i]));
  }
  return Join<T>(lanes);
}
template <typename T>
struct MaskOf {
  using Type = std::make_unsigned_t<T>;
};
template <>
struct MaskOf<float> {
  using Type = U32;
};
template <>
struct MaskOf<double> {
  using Type = U64;
};
template <typename T, typename F>
V128 Compare(V128 a, V128 b, F f) {
  using Mask = typename MaskOf<T>::Type;
  const Lanes<T> x = Split<T>(a);
  const Lanes<T> y = Split<T>(b);
  Lanes<Mask> lanes;
  for (size_t i = 0; i < lanes.size(); ++i) {
    lanes[i] = f(x[i], y[i]) ? static_cast<Mask>(~Mask{0}) : Mask{0};
  }
  return Join<Mask>(lanes);
}
template <typename To>
To Clamp(S64 value) {
  return static_cast<To>(
      std::clamp<S64>(value, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
}
// f of lanes of `From`, from one half, gives lanes of twice the width.
template <typename From, typename To>
V128 Extend(V128 a, bool is_high) {
  const Lanes<From> from = Split<From>(a);
  Lanes<To> to;
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = static_cast<To>(from[i + (is_high ? to.size() : 0)]);
  }
  return Join<To>(to);
}
template <typename From, typename To>
V128 ExtendMultiply(V128 a, V128 b, bool is_high) {
  using Unsigned = std::make_unsigned_t<To>;
  return Map<Unsigned>(Extend<From, To>(a, is_high), Extend<From, To>(b, is_high),
                       [](U64 x, U64 y) { return x * y; });
}
template <typename From, typename To>
V128 ExtendAdd(V128 a) {
  const Lanes<From> from = Split<From>(a);
  Lanes<To> to;
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = static_cast<To>(To{from[2 * i]} + To{from[2 * i + 1]});
  }
  return Join<To>(to);
}
template <typename From, typename To>
V128 Narrow(V128 a, V128 b) {
  const Lanes<From> x = Split<From>(a);
  const Lanes<From> y = Split<From>(b);
  Lanes<To> to;
  for (size_t i = 0; i < x.size(); ++i) {
    to[i] = Clamp<To>(x[i]);
    to[i + x.size()] = Clamp<To>(y[i]);
  }
  return Join<To>(to);
}
template <typename T>
V128 Splat(V128 a) {
  Lanes<T> lanes;
  lanes.fill(Split<T>(a)[0]);
  return Join<T>(lanes);
}
V128 Scalar(U64 bits) {
  return {bits, 0};
}
V128 SignedScalar(S32 value) {
  return Scalar(static_cast<U32>(value));
}
template <typename T>
V128 AllTrue(V128 a) {
  const Lanes<T> lanes = Split<T>(a);
  return Scalar(std::ranges::none_of(lanes, [](T lane) { return lane == 0; }) ? 1 : 0);
}
template <typename T>
V128 Bitmask(V128 a) {
  U64 bits = 0;
  const Lanes<T> lanes = Split<T>(a);
  for (size_t i = 0; i < lanes.size(); ++i) {
    bits |= lanes[i] < 0 ? U64{1} << i : 0;
  }
  return Scalar(bits);
}
template <typename T>
V128 ReplaceLane(V128 a, V128 b, size_t lane) {
  Lanes<T> lanes = Split<T>(a);
  lanes[lane] = Split<T>(b)[0];
  return Join<T>(lanes);
}

// Spec: op-trunc_sat_u, op-trunc_sat_s
template <typename To>
To TruncateSaturating(double value) {
  if (std::isnan(value)) {
    return 0;
  }
  if (value <= static_cast<double>(std::numeric_limits<To>::min())) {
    return std::numeric_limits<To>::min();
  }
  if (value >= static_cast<double>(std::numeric_limits<To>::max())) {
    return std::numeric_limits<To>::max();
  }
  return static_cast<To>(value);
}
template <typename From, typename To>
V128 Truncate(V128 a) {
  const Lanes<From> from = Split<From>(a);
  Lanes<To> to = {};
  for (size_t i = 0; i < from.size(); ++i) {
    to[i] = TruncateSaturating<To>(static_cast<double>(from[i]));
  }
  return Join<To>(to);
}
// With another value for what is no number or out of range.
template <typename From, typename To>
V128 TruncateOr(V128 a, To other) {
  const Lanes<From> from = Split<From>(a);
  Lanes<To> to = Split<To>(Truncate<From, To>(a));
  for (size_t i = 0; i < from.size(); ++i) {
    const double whole = std::trunc(static_cast<double>(from[i]));
    if (!(whole >= static_cast<double>(std::numeric_limits<To>::min()) &&
          whole <= static_cast<double>(std::numeric_limits<To>::max()))) {
      to[i] = other;
    }
  }
  return Join<To>(to);
}

template <typename T>
T Min(T a, T b) {
  if (std::isnan(a) || std::isnan(b)) {
    return std::numeric_limits<T>::quiet_NaN();
  }
  return a == b ? (std::signbit(a) ? a : b) : (a < b ? a : b);
}
template <typename T>
T Max(T a, T b) {
  if (std::isnan(a) || std::isnan(b)) {
    return std::numeric_limits<T>::quiet_NaN();
  }
  return a == b ? (std::signbit(a) ? b : a) : (a > b ? a : b);
}

// Sums of two products, and of four. Spec: op-irelaxed_dot_product
template <typename Second>
V128 Dot(V128 a, V128 b) {
  const Lanes<S8> x = Split<S8>(a);
  const Lanes<Second> y = Split<Second>(b);
  Lanes<S16> to;
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = Clamp<S16>(S64{x[2 * i]} * y[2 * i] + S64{x[2 * i + 1]} * y[2 * i + 1]);
  }
  return Join<S16>(to);
}
V128 AddI32(V128 a, V128 b) {
  return Map<U32>(a, b, [](U64 x, U64 y) { return x + y; });
}

V128 Swizzle(V128 a, V128 indices, bool wraps) {
  const Lanes<U8> from = Split<U8>(a);
  return Map<U8>(indices, [&](U8 index) {
    return index < 16 || (wraps && index < 128) ? from[index % 16] : U8{0};
  });
}
V128 Select(V128 a, V128 b, V128 mask) {
  return {(a.lo & mask.lo) | (b.lo & ~mask.lo), (a.hi & mask.hi) | (b.hi & ~mask.hi)};
}
template <typename T>
V128 SelectByTop(V128 a, V128 b, V128 mask) {
  return Select(a, b, Compare<T>(mask, {}, [](T lane, T) { return lane < 0; }));
}
template <typename T>
V128 MultiplyAdd(V128 a, V128 b, V128 c, T sign, bool fuses) {
  const Lanes<T> x = Split<T>(a);
  const Lanes<T> y = Split<T>(b);
  Lanes<T> z = Split<T>(c);
  for (size_t i = 0; i < z.size(); ++i) {
    const volatile T product = sign * x[i] * y[i];
    z[i] = fuses ? std::fma(sign * x[i], y[i], z[i]) : product + z[i];
  }
  return Join<T>(z);
}

// The comparisons and the arithmetic that all integer shapes have.
#define WASMD_SHAPE_CASES(Shape, S, U)                                       \
  case Opcode::k##Shape##Eq:                                                 \
    return Compare<S>(a, b, [](S x, S y) { return x == y; });                \
  case Opcode::k##Shape##Ne:                                                 \
    return Compare<S>(a, b, [](S x, S y) { return x != y; });                \
  case Opcode::k##Shape##LtS:                                                \
    return Compare<S>(a, b, [](S x, S y) { return x < y; });                 \
  case Opcode::k##Shape##GtS:                                                \
    return Compare<S>(a, b, [](S x, S y) { return x > y; });                 \
  case Opcode::k##Shape##LeS:                                                \
    return Compare<S>(a, b, [](S x, S y) { return x <= y; });                \
  case Opcode::k##Shape##GeS:                                                \
    return Compare<S>(a, b, [](S x, S y) { return x >= y; });                \
  case Opcode::k##Shape##Abs:                                                \
    return Map<U>(a, [](U x) { return static_cast<S>(x) < 0 ? 0 - x : x; }); \
  case Opcode::k##Shape##Neg:                                                \
    return Map<U>(a, [](U x) { return 0 - x; });                             \
  case Opcode::k##Shape##AllTrue:                                            \
    return AllTrue<S>(a);                                                    \
  case Opcode::k##Shape##Bitmask:                                            \
    return Bitmask<S>(a);                                                    \
  case Opcode::k##Shape##Shl:                                                \
    return Map<U>(a, [&](U x) { return U64{x} << b.lo % (sizeof(U) * 8); }); \
  case Opcode::k##Shape##ShrS:                                               \
    return Map<S>(a, [&](S x) { return x >> b.lo % (sizeof(U) * 8); });      \
  case Opcode::k##Shape##ShrU:                                               \
    return Map<U>(a, [&](U x) { return x >> b.lo % (sizeof(U) * 8); });      \
  case Opcode::k##Shape##Add:                                                \
    return Map<U>(a, b, [](U64 x, U64 y) { return x + y; });                 \
  case Opcode::k##Shape##Sub:                                                \
    return Map<U>(a, b, [](U64 x, U64 y) { return x - y; });                 \
  case Opcode::k##Shape##Splat:                                              \
    return Splat<U>(a);                                                      \
  case Opcode::k##Shape##ReplaceLane:                                        \
    return ReplaceLane<U>(a, b, lanes[0]);

// What those of 8, 16 and 32 bits have besides.
#define WASMD_NARROW_CASES(Shape, S, U)                           \
  case Opcode::k##Shape##LtU:                                     \
    return Compare<U>(a, b, [](U x, U y) { return x < y; });      \
  case Opcode::k##Shape##GtU:                                     \
    return Compare<U>(a, b, [](U x, U y) { return x > y; });      \
  case Opcode::k##Shape##LeU:                                     \
    return Compare<U>(a, b, [](U x, U y) { return x <= y; });     \
  case Opcode::k##Shape##GeU:                                     \
    return Compare<U>(a, b, [](U x, U y) { return x >= y; });     \
  case Opcode::k##Shape##MinS:                                    \
    return Map<S>(a, b, [](S x, S y) { return std::min(x, y); }); \
  case Opcode::k##Shape##MinU:                                    \
    return Map<U>(a, b, [](U x, U y) { return std::min(x, y); }); \
  case Opcode::k##Shape##MaxS:                                    \
    return Map<S>(a, b, [](S x, S y) { return std::max(x, y); }); \
  case Opcode::k##Shape##MaxU:                                    \
    return Map<U>(a, b, [](U x, U y) { return std::max(x, y); });

// And what those of 8 and 16 have.
#define WASMD_SATURATING_CASES(Shape, S, U)                            \
  case Opcode::k##Shape##AddSatS:                                      \
    return Map<S>(a, b, [](S64 x, S64 y) { return Clamp<S>(x + y); }); \
  case Opcode::k##Shape##AddSatU:                                      \
    return Map<U>(a, b, [](S64 x, S64 y) { return Clamp<U>(x + y); }); \
  case Opcode::k##Shape##SubSatS:                                      \
    return Map<S>(a, b, [](S64 x, S64 y) { return Clamp<S>(x - y); }); \
  case Opcode::k##Shape##SubSatU:                                      \
    return Map<U>(a, b, [](S64 x, S64 y) { return Clamp<U>(x - y); }); \
  case Opcode::k##Shape##AvgrU:                                        \
    return Map<U>(a, b, [](U64 x, U64 y) { return (x + y + 1) / 2; }); \
  case Opcode::k##Shape##ExtractLaneS:                                 \
    return SignedScalar(Split<S>(a)[lanes[0]]);                        \
  case Opcode::k##Shape##ExtractLaneU:                                 \
    return Scalar(Split<U>(a)[lanes[0]]);

#define WASMD_WIDENING_CASES(To, From, SNarrow, UNarrow, SWide, UWide) \
  case Opcode::k##To##ExtendLow##From##S:                              \
    return Extend<SNarrow, SWide>(a, false);                           \
  case Opcode::k##To##ExtendHigh##From##S:                             \
    return Extend<SNarrow, SWide>(a, true);                            \
  case Opcode::k##To##ExtendLow##From##U:                              \
    return Extend<UNarrow, UWide>(a, false);                           \
  case Opcode::k##To##ExtendHigh##From##U:                             \
    return Extend<UNarrow, UWide>(a, true);                            \
  case Opcode::k##To##ExtmulLow##From##S:                              \
    return ExtendMultiply<SNarrow, SWide>(a, b, false);                \
  case Opcode::k##To##ExtmulHigh##From##S:                             \
    return ExtendMultiply<SNarrow, SWide>(a, b, true);                 \
  case Opcode::k##To##ExtmulLow##From##U:                              \
    return ExtendMultiply<UNarrow, UWide>(a, b, false);                \
  case Opcode::k##To##ExtmulHigh##From##U:                             \
    return ExtendMultiply<UNarrow, UWide>(a, b, true);

// The machine's float arithmetic is IEEE 754's, in C++ too.
#define WASMD_FLOAT_CASES(Shape, F, U)                                        \
  case Opcode::k##Shape##Eq:                                                  \
    return Compare<F>(a, b, [](F x, F y) { return x == y; });                 \
  case Opcode::k##Shape##Ne:                                                  \
    return Compare<F>(a, b, [](F x, F y) { return x != y; });                 \
  case Opcode::k##Shape##Lt:                                                  \
    return Compare<F>(a, b, [](F x, F y) { return x < y; });                  \
  case Opcode::k##Shape##Gt:                                                  \
    return Compare<F>(a, b, [](F x, F y) { return x > y; });                  \
  case Opcode::k##Shape##Le:                                                  \
    return Compare<F>(a, b, [](F x, F y) { return x <= y; });                 \
  case Opcode::k##Shape##Ge:                                                  \
    return Compare<F>(a, b, [](F x, F y) { return x >= y; });                 \
  case Opcode::k##Shape##Abs:                                                 \
    return Map<U>(a, [](U x) { return x & ~(U{1} << (sizeof(U) * 8 - 1)); }); \
  case Opcode::k##Shape##Neg:                                                 \
    return Map<U>(a, [](U x) { return x ^ U { 1 } << (sizeof(U) * 8 - 1); }); \
  case Opcode::k##Shape##Sqrt:                                                \
    return Map<F>(a, [](F x) { return std::sqrt(x); });                       \
  case Opcode::k##Shape##Ceil:                                                \
    return Map<F>(a, [](F x) { return std::ceil(x); });                       \
  case Opcode::k##Shape##Floor:                                               \
    return Map<F>(a, [](F x) { return std::floor(x); });                      \
  case Opcode::k##Shape##Trunc:                                               \
    return Map<F>(a, [](F x) { return std::trunc(x); });                      \
  case Opcode::k##Shape##Nearest:                                             \
    return Map<F>(a, [](F x) { return std::nearbyint(x); });                  \
  case Opcode::k##Shape##Add:                                                 \
    return Map<F>(a, b, [](F x, F y) { return x + y; });                      \
  case Opcode::k##Shape##Sub:                                                 \
    return Map<F>(a, b, [](F x, F y) { return x - y; });                      \
  case Opcode::k##Shape##Mul:                                                 \
    return Map<F>(a, b, [](F x, F y) { return x * y; });                      \
  case Opcode::k##Shape##Div:                                                 \
    return Map<F>(a, b, [](F x, F y) { return x / y; });                      \
  case Opcode::k##Shape##Min:                                                 \
  case Opcode::k##Shape##RelaxedMin:                                          \
    return Map<F>(a, b, Min<F>);                                              \
  case Opcode::k##Shape##Max:                                                 \
  case Opcode::k##Shape##RelaxedMax:                                          \
    return Map<F>(a, b, Max<F>);                                              \
  case Opcode::k##Shape##Pmin:                                                \
    return Map<F>(a, b, [](F x, F y) { return y < x ? y : x; });              \
  case Opcode::k##Shape##Pmax:                                                \
    return Map<F>(a, b, [](F x, F y) { return x < y ? y : x; });              \
  case Opcode::k##Shape##RelaxedMadd:                                         \
    return MultiplyAdd<F>(a, b, c, 1, false);                                 \
  case Opcode::k##Shape##RelaxedNmadd:                                        \
    return MultiplyAdd<F>(a, b, c, -1, false);                                \
  case Opcode::k##Shape##Splat:                                               \
    return Splat<U>(a);                                                       \
  case Opcode::k##Shape##ExtractLane:                                         \
    return Scalar(Split<U>(a)[lanes[0]]);                                     \
  case Opcode::k##Shape##ReplaceLane:                                         \
    return ReplaceLane<U>(a, b, lanes[0]);

// By the deterministic profile.
V128 Evaluate(Opcode op, std::span<const V128> operands, std::span<const uint8_t> lanes) {
  const V128 a = operands[0];
  const V128 b = operands.size() > 1 ? operands[1] : V128{};
  const V128 c = operands.size() > 2 ? operands[2] : V128{};
  switch (op) {
    WASMD_SHAPE_CASES(I8x16, S8, U8)
    WASMD_SHAPE_CASES(I16x8, S16, U16)
    WASMD_SHAPE_CASES(I32x4, S32, U32)
    WASMD_SHAPE_CASES(I64x2, S64, U64)
    WASMD_NARROW_CASES(I8x16, S8, U8)
    WASMD_NARROW_CASES(I16x8, S16, U16)
    WASMD_NARROW_CASES(I32x4, S32, U32)
    WASMD_SATURATING_CASES(I8x16, S8, U8)
    WASMD_SATURATING_CASES(I16x8, S16, U16)
    WASMD_WIDENING_CASES(I16x8, I8x16, S8, U8, S16, U16)
    WASMD_WIDENING_CASES(I32x4, I16x8, S16, U16, S32, U32)
    WASMD_WIDENING_CASES(I64x2, I32x4, S32, U32, S64, U64)
    WASMD_FLOAT_CASES(F32x4, F32, U32)
    WASMD_FLOAT_CASES(F64x2, F64, U64)
    case Opcode::kI16x8Mul:
      return Map<U16>(a, b, [](U64 x, U64 y) { return x * y; });
    case Opcode::kI32x4Mul:
      return Map<U32>(a, b, [](U64 x, U64 y) { return x * y; });
    case Opcode::kI64x2Mul:
      return Map<U64>(a, b, [](U64 x, U64 y) { return x * y; });
    case Opcode::kI32x4ExtractLane:
      return Scalar(Split<U32>(a)[lanes[0]]);
    case Opcode::kI64x2ExtractLane:
      return Scalar(Split<U64>(a)[lanes[0]]);
    case Opcode::kI8x16Popcnt:
      return Map<U8>(a, [](U8 x) { return std::popcount(x); });
    case Opcode::kI16x8Q15mulrSatS:
    case Opcode::kI16x8RelaxedQ15mulrS:
      return Map<S16>(a, b, [](S64 x, S64 y) { return Clamp<S16>((x * y + 0x4000) >> 15); });
    case Opcode::kI32x4DotI16x8S: {
      const Lanes<S16> x = Split<S16>(a);
      const Lanes<S16> y = Split<S16>(b);
      Lanes<U32> to;
      for (size_t i = 0; i < to.size(); ++i) {
        to[i] = static_cast<U32>(S64{x[2 * i]} * y[2 * i] + S64{x[2 * i + 1]} * y[2 * i + 1]);
      }
      return Join<U32>(to);
    }
    case Opcode::kI16x8ExtaddPairwiseI8x16S:
      return ExtendAdd<S8, S16>(a);
    case Opcode::kI16x8ExtaddPairwiseI8x16U:
      return ExtendAdd<U8, U16>(a);
    case Opcode::kI32x4ExtaddPairwiseI16x8S:
      return ExtendAdd<S16, S32>(a);
    case Opcode::kI32x4ExtaddPairwiseI16x8U:
      return ExtendAdd<U16, U32>(a);
    case Opcode::kI8x16NarrowI16x8S:
      return Narrow<S16, S8>(a, b);
    case Opcode::kI8x16NarrowI16x8U:
      return Narrow<S16, U8>(a, b);
    case Opcode::kI16x8NarrowI32x4S:
      return Narrow<S32, S16>(a, b);
    case Opcode::kI16x8NarrowI32x4U:
      return Narrow<S32, U16>(a, b);
    case Opcode::kV128Not:
      return {~a.lo, ~a.hi};
    case Opcode::kV128And:
      return {a.lo & b.lo, a.hi & b.hi};
    case Opcode::kV128Andnot:
      return {a.lo & ~b.lo, a.hi & ~b.hi};
    case Opcode::kV128Or:
      return {a.lo | b.lo, a.hi | b.hi};
    case Opcode::kV128Xor:
      return {a.lo ^ b.lo, a.hi ^ b.hi};
    case Opcode::kV128Bitselect:
    case Opcode::kI8x16RelaxedLaneselect:
    case Opcode::kI16x8RelaxedLaneselect:
    case Opcode::kI32x4RelaxedLaneselect:
    case Opcode::kI64x2RelaxedLaneselect:
      return Select(a, b, c);
    case Opcode::kV128AnyTrue:
      return Scalar((a.lo | a.hi) != 0 ? 1 : 0);
    case Opcode::kI8x16Swizzle:
    case Opcode::kI8x16RelaxedSwizzle:
      return Swizzle(a, b, false);
    case Opcode::kI8x16Shuffle: {
      Lanes<U8> to;
      for (size_t i = 0; i < to.size(); ++i) {
        to[i] = lanes[i] < 16 ? Split<U8>(a)[lanes[i]] : Split<U8>(b)[lanes[i] - 16u];
      }
      return Join<U8>(to);
    }
    case Opcode::kI32x4TruncSatF32x4S:
    case Opcode::kI32x4RelaxedTruncF32x4S:
      return Truncate<F32, S32>(a);
    case Opcode::kI32x4TruncSatF32x4U:
    case Opcode::kI32x4RelaxedTruncF32x4U:
      return Truncate<F32, U32>(a);
    case Opcode::kI32x4TruncSatF64x2SZero:
    case Opcode::kI32x4RelaxedTruncF64x2SZero:
      return Truncate<F64, S32>(a);
    case Opcode::kI32x4TruncSatF64x2UZero:
    case Opcode::kI32x4RelaxedTruncF64x2UZero:
      return Truncate<F64, U32>(a);
    case Opcode::kF32x4ConvertI32x4S:
    case Opcode::kF32x4ConvertI32x4U: {
      Lanes<F32> to;
      for (size_t i = 0; i < to.size(); ++i) {
        to[i] = op == Opcode::kF32x4ConvertI32x4S ? static_cast<F32>(Split<S32>(a)[i])
                                                  : static_cast<F32>(Split<U32>(a)[i]);
      }
      return Join<F32>(to);
    }
    case Opcode::kF64x2ConvertLowI32x4S:
      return Join<F64>({static_cast<F64>(Split<S32>(a)[0]), static_cast<F64>(Split<S32>(a)[1])});
    case Opcode::kF64x2ConvertLowI32x4U:
      return Join<F64>({static_cast<F64>(Split<U32>(a)[0]), static_cast<F64>(Split<U32>(a)[1])});
    case Opcode::kF64x2PromoteLowF32x4:
      return Join<F64>({static_cast<F64>(Split<F32>(a)[0]), static_cast<F64>(Split<F32>(a)[1])});
    case Opcode::kF32x4DemoteF64x2Zero:
      return Join<F32>(
          {static_cast<F32>(Split<F64>(a)[0]), static_cast<F32>(Split<F64>(a)[1]), 0, 0});
    case Opcode::kI16x8RelaxedDotI8x16I7x16S:
      return Dot<S8>(a, b);
    case Opcode::kI32x4RelaxedDotI8x16I7x16AddS:
      return AddI32(ExtendAdd<S16, S32>(Dot<S8>(a, b)), c);
    default:
      WASMD_UNREACHABLE();
  }
}

// What else a relaxed instruction may give. Spec: exec-numerics, relaxed operations
void AddRelaxed(Opcode op, std::span<const V128> operands, std::vector<V128>& allowed) {
  const V128 a = operands[0];
  const V128 b = operands.size() > 1 ? operands[1] : V128{};
  const V128 c = operands.size() > 2 ? operands[2] : V128{};
  switch (op) {
    case Opcode::kI8x16RelaxedSwizzle:
      allowed.push_back(Swizzle(a, b, true));
      break;
    case Opcode::kI32x4RelaxedTruncF32x4S:
      allowed.push_back(TruncateOr<F32, S32>(a, std::numeric_limits<S32>::min()));
      break;
    case Opcode::kI32x4RelaxedTruncF64x2SZero:
      allowed.push_back(TruncateOr<F64, S32>(a, std::numeric_limits<S32>::min()));
      break;
    case Opcode::kI32x4RelaxedTruncF32x4U:
      allowed.push_back(TruncateOr<F32, U32>(a, std::numeric_limits<U32>::max()));
      break;
    case Opcode::kI32x4RelaxedTruncF64x2UZero:
      allowed.push_back(TruncateOr<F64, U32>(a, std::numeric_limits<U32>::max()));
      break;
    case Opcode::kF32x4RelaxedMadd:
      allowed.push_back(MultiplyAdd<F32>(a, b, c, 1, true));
      break;
    case Opcode::kF32x4RelaxedNmadd:
      allowed.push_back(MultiplyAdd<F32>(a, b, c, -1, true));
      break;
    case Opcode::kF64x2RelaxedMadd:
      allowed.push_back(MultiplyAdd<F64>(a, b, c, 1, true));
      break;
    case Opcode::kF64x2RelaxedNmadd:
      allowed.push_back(MultiplyAdd<F64>(a, b, c, -1, true));
      break;
    case Opcode::kI8x16RelaxedLaneselect:
      allowed.push_back(SelectByTop<S8>(a, b, c));
      break;
    case Opcode::kI16x8RelaxedLaneselect:
      allowed.push_back(SelectByTop<S16>(a, b, c));
      break;
    case Opcode::kI32x4RelaxedLaneselect:
      allowed.push_back(SelectByTop<S32>(a, b, c));
      break;
    case Opcode::kI64x2RelaxedLaneselect:
      allowed.push_back(SelectByTop<S64>(a, b, c));
      break;
    // Of NaN and a number, and of zeros, either.
    case Opcode::kF32x4RelaxedMin:
    case Opcode::kF32x4RelaxedMax:
      for (const V128 either : {a, b}) {
        allowed.push_back(Map<F32>(allowed[0], either, [](F32 x, F32 y) {
          return std::isnan(x) || (x == 0 && y == 0) ? y : x;
        }));
      }
      break;
    case Opcode::kF64x2RelaxedMin:
    case Opcode::kF64x2RelaxedMax:
      for (const V128 either : {a, b}) {
        allowed.push_back(Map<F64>(allowed[0], either, [](F64 x, F64 y) {
          return std::isnan(x) || (x == 0 && y == 0) ? y : x;
        }));
      }
      break;
    case Opcode::kI16x8RelaxedQ15mulrS:
      allowed.push_back(
          Map<S16>(a, b, [](S64 x, S64 y) { return static_cast<S16>((x * y + 0x4000) >> 15); }));
      break;
    case Opcode::kI16x8RelaxedDotI8x16I7x16S:
      allowed.push_back(Dot<U8>(a, b));
      break;
    case Opcode::kI32x4RelaxedDotI8x16I7x16AddS:
      allowed.push_back(AddI32(ExtendAdd<S16, S32>(Dot<U8>(a, b)), c));
      break;
    default:
      break;
  }
}

uint32_t LaneBytes(const OpcodeInfo& info) {
  if (!info.sig.ends_with('v') || info.text.starts_with("v128")) {
    return 16;
  }
  switch (info.text[1]) {
    case '8':
      return 1;
    case '1':
      return 2;
    case '3':
      return 4;
    default:
      return 8;
  }
}

template <typename T, typename Bits>
bool LanesMatch(const VectorExpectation& expected, size_t count, V128 actual) {
  const Lanes<Bits> lanes = Split<Bits>(actual);
  for (size_t i = 0; i < lanes.size(); ++i) {
    bool matches = false;
    for (size_t k = 0; k < count && !matches; ++k) {
      const Bits wanted = Split<Bits>(expected.allowed[k])[i];
      matches = wanted == lanes[i];
      if constexpr (std::is_floating_point_v<T>) {
        constexpr Bits kQuiet = std::bit_cast<Bits>(std::numeric_limits<T>::quiet_NaN());
        if (expected.has_nans && std::isnan(std::bit_cast<T>(wanted))) {
          matches |= (lanes[i] & kQuiet) == kQuiet;
        }
      }
    }
    if (!matches) {
      return false;
    }
  }
  return true;
}

}  // namespace

void PrintTo(const V128& value, std::ostream* out) {
  *out << std::hex << value.hi << ":" << value.lo << std::dec;
}

VectorExpectation ExpectVector(Opcode op, std::span<const V128> operands,
                               std::span<const uint8_t> lanes) {
  const OpcodeInfo& info = *FindOpcode(op);
  VectorExpectation expected{.allowed = {Evaluate(op, operands, lanes)},
                             .lane_bytes = LaneBytes(info)};
  if (info.feature == Feature::kRelaxedSimd) {
    AddRelaxed(op, operands, expected.allowed);
  }
  // Arithmetic makes NaNs of its own; what moves and masks bits, and the pseudo-minima, do not.
  const std::string_view name = info.text.substr(info.text.find('.') + 1);
  const bool compares = name.size() == 2;  // "eq" and the like
  const bool moves = compares || name == "abs" || name == "neg" || name.starts_with("p") ||
                     name == "splat" || name.ends_with("lane");
  expected.has_nans = info.text.starts_with('f') && (!moves || name.starts_with("promote"));
  return expected;
}

bool Matches(const VectorExpectation& expected, V128 actual, bool is_deterministic) {
  const size_t count = is_deterministic ? 1 : expected.allowed.size();
  switch (expected.lane_bytes) {
    case 1:
      return LanesMatch<U8, U8>(expected, count, actual);
    case 2:
      return LanesMatch<U16, U16>(expected, count, actual);
    case 4:
      return LanesMatch<F32, U32>(expected, count, actual);
    case 8:
      return LanesMatch<F64, U64>(expected, count, actual);
    default:
      return expected.allowed[0] == actual;
  }
}

}  // namespace wasmd::engine
