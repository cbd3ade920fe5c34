// RandomProgram: a random function as a tree, which can be written as wasm and evaluated directly.
//
// Structured control of every kind, many locals of all types, operands that stay on the stack
// across blocks and calls, loads and stores, traps. Loops end by a fuel local. The same seed gives
// the same program, so a failure is a seed.
#ifndef WASMD_TESTS_UNIT_ENGINE_COMPILE_RANDOM_PROGRAM_H_
#define WASMD_TESTS_UNIT_ENGINE_COMPILE_RANDOM_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "engine/wasm/trap_code.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {

struct RandomProgramOptions {
  uint32_t params = 3;
  uint32_t locals = 8;  // Besides parameters and the fuel.
  uint32_t statements = 40;
  uint32_t max_depth = 4;  // Of expressions and of blocks.
};

class RandomProgram {
 public:
  struct Outcome {
    TrapCode trap = TrapCode::kNone;
    uint64_t result = 0;
  };
  static constexpr uint32_t kMemoryBytes = 65536;

  RandomProgram(uint64_t seed, const RandomProgramOptions& options);
  ~RandomProgram();

  // A module with one import (func (param i64 i64) (result i64)) to call, a memory, and the export
  // "f".
  Bytes Wasm() const;
  std::vector<uint64_t> RandomArguments(uint64_t seed) const;
  // `memory` has kMemoryBytes bytes.
  Outcome Evaluate(const std::vector<uint64_t>& args, std::vector<uint8_t>& memory,
                   uint64_t& global) const;

  // What the import does.
  static uint64_t Import(uint64_t a, uint64_t b) { return (a * 31 + b) ^ (a >> 7); }

 private:
  struct Node;
  class Generator;
  class Evaluator;
  class Writer;

  std::vector<char> types_;  // Locals: parameters, others, the fuel.
  uint32_t params_;
  std::unique_ptr<Node> body_;
};

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_COMPILE_RANDOM_PROGRAM_H_
