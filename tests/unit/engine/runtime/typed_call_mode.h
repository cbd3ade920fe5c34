// One function that calls wasm, compiled in many modes (CMakeLists.txt): typed_call_mode.cc.
#ifndef WASMD_TESTS_UNIT_ENGINE_RUNTIME_TYPED_CALL_MODE_H_
#define WASMD_TESTS_UNIT_ENGINE_RUNTIME_TYPED_CALL_MODE_H_

#include <cstdint>

#include "engine/runtime/typed_func.h"

namespace wasmd::engine {

// Calls `div`, typed and untyped, with each of 1 … rounds divided by 3 and by 0, and `mix` between,
// with locals alive in every kind of register. Returns what the same sums in C++ give, or -1 where
// they differ or a trap is missing.
using CallInMode = int64_t (*)(const TypedFunc<int32_t(int32_t, int32_t)>& div,
                               const TypedFunc<double(double, float, int64_t)>& mix,
                               const FuncHandle& untyped_div, int32_t rounds);

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_RUNTIME_TYPED_CALL_MODE_H_
