// Reference: the numeric instructions in plain C++, by the spec's definitions, for comparison.
// Spec: exec-numeric
#ifndef WASMD_TESTS_UNIT_ENGINE_COMPILE_REFERENCE_H_
#define WASMD_TESTS_UNIT_ENGINE_COMPILE_REFERENCE_H_

#include <cstdint>

#include "engine/wasm/opcodes.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

struct Reference {
  TrapCode trap = TrapCode::kNone;
  uint64_t bits = 0;
  bool is_nan = false;  // Any arithmetic NaN will do.
};

// `b` is ignored by unary ones. Operands as in registers, narrow ones zero-extended.
Reference EvaluateReference(Opcode op, uint64_t a, uint64_t b);

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_COMPILE_REFERENCE_H_
