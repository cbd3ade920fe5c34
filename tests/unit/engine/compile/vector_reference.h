// What each vector instruction gives, lane by lane, in plain C++.
#ifndef WASMD_TESTS_UNIT_ENGINE_COMPILE_VECTOR_REFERENCE_H_
#define WASMD_TESTS_UNIT_ENGINE_COMPILE_VECTOR_REFERENCE_H_

#include <cstdint>
#include <iosfwd>
#include <span>
#include <vector>

#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// For GoogleTest: the upper half first.
void PrintTo(const V128& value, std::ostream* out);

struct VectorExpectation {
  // What the spec allows, each lane by itself; the deterministic profile's first.
  std::vector<V128> allowed;
  uint32_t lane_bytes = 16;
  // A lane that is NaN stands for every quiet NaN.
  bool has_nans = false;
};

// Of an instruction with prefix 0xfd that touches no memory. Scalars are in the low bits of an
// operand, and of the result. `lanes`: its lane index, or the 16 of a shuffle.
VectorExpectation ExpectVector(Opcode op, std::span<const V128> operands,
                               std::span<const uint8_t> lanes);

bool Matches(const VectorExpectation& expected, V128 actual, bool is_deterministic);

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_COMPILE_VECTOR_REFERENCE_H_
