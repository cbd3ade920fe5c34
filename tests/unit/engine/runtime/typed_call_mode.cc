// Compiled once a mode, with WASMD_MODE its function's name: whatever the compiler keeps in
// registers, in the red zone or below its frame pointer must be there after a call and a trap.
#include "tests/unit/engine/runtime/typed_call_mode.h"

namespace wasmd::engine {

int64_t WASMD_MODE(const TypedFunc<int32_t(int32_t, int32_t)>& div,
                   const TypedFunc<double(double, float, int64_t)>& mix,
                   const FuncHandle& untyped_div, int32_t rounds);

int64_t WASMD_MODE(const TypedFunc<int32_t(int32_t, int32_t)>& div,
                   const TypedFunc<double(double, float, int64_t)>& mix,
                   const FuncHandle& untyped_div, int32_t rounds) {
  int64_t a = 1;
  int64_t b = 2;
  int64_t c = 3;
  int64_t d = 4;
  int64_t e = 5;
  int64_t f = 6;
  double x = 0.5;
  double y = 0.25;
  long double z = 1.0L;
  int64_t sum = 0;
  int64_t expected = 0;
  for (int32_t i = 1; i <= rounds; ++i) {
    const Outcome<int32_t> third = div(i, 3);
    const Outcome<int32_t> by_zero = div(i, 0);
    const Outcome<double> mixed = mix(x, 0.5F, a);
    if (!third.ok() || by_zero.trap() == nullptr || !mixed.ok() ||
        by_zero.trap()->code != TrapCode::kDivideByZero ||
        *mixed != x + 0.5 + static_cast<double>(a)) {
      return -1;
    }
    const Value args[] = {Value::I32(i), Value::I32(3)};
    const Value bad_args[] = {Value::I32(i), Value::I32(0)};
    Value result[1];
    if (const auto outcome = untyped_div.Call(args, result);
        !outcome.ok() || !outcome->ok() || result[0] != Value::I32(*third)) {
      return -1;
    }
    if (const auto outcome = untyped_div.Call(bad_args, result);
        !outcome.ok() || outcome->trap() == nullptr ||
        outcome->trap()->code != TrapCode::kDivideByZero) {
      return -1;
    }
    a += 1;
    b += a;
    c ^= b;
    d += c;
    e ^= d;
    f += e;
    x += 1;
    y += 1;
    z += 1.0L;
    sum += *third;
    expected += i / 3;
  }
  int64_t a2 = 1;
  int64_t b2 = 2;
  int64_t c2 = 3;
  int64_t d2 = 4;
  int64_t e2 = 5;
  int64_t f2 = 6;
  for (int32_t i = 1; i <= rounds; ++i) {
    a2 += 1;
    b2 += a2;
    c2 ^= b2;
    d2 += c2;
    e2 ^= d2;
    f2 += e2;
  }
  const bool kept = a == a2 && b == b2 && c == c2 && d == d2 && e == e2 && f == f2 &&
                    x == 0.5 + rounds && y == 0.25 + rounds && z == 1.0L + rounds;
  return kept && sum == expected ? sum : -1;
}

}  // namespace wasmd::engine
