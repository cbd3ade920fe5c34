// Fuel: what a metered instance may do, counted in wasm instructions.
//
// Each instruction that is executed costs one unit; block, loop, try_table, else, end and nop,
// which are structure, cost nothing. Instructions that go over memory or tables cost one more for
// each kFuelBytes or kFuelElements of their length; memory.grow and table.grow do not. Host
// functions cost what their call costs.
//
// The code counts in advance: where control enters a straight line of instructions (a function, a
// loop's round, an arm, what follows a label or a conditional branch), the whole line is taken from
// the instance's fuel, and if that is not enough, the line is not begun: TrapCode::kOutOfFuel. So
// no instruction is executed that has not been paid; a line that another trap, an exception or an
// exit ends in the middle has been paid for to its end. What is taken depends on the module and its
// inputs alone: not on the machine, the bounds checks, or what was compiled before.
#ifndef WASMD_ENGINE_ABI_FUEL_H_
#define WASMD_ENGINE_ABI_FUEL_H_

#include <cstdint>

#include "engine/wasm/opcodes.h"

namespace wasmd::engine {

// memory.fill, memory.copy, memory.init.
inline constexpr uint64_t kFuelBytes = 64;
// table.fill, table.copy, table.init.
inline constexpr uint64_t kFuelElements = 8;
// More than anybody can use: an instance that was given none in particular.
inline constexpr uint64_t kUnlimitedFuel = INT64_MAX;

// Of an instruction, without what its length costs.
constexpr uint32_t FuelOf(Opcode op) {
  switch (op) {
    case Opcode::kBlock:
    case Opcode::kLoop:
    case Opcode::kTryTable:
    case Opcode::kElse:
    case Opcode::kEnd:
    case Opcode::kNop:
      return 0;
    default:
      return 1;
  }
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_FUEL_H_
