// Random functions, compiled and evaluated: same result or trap, same memory, same global.
// WASMD_RANDOM_PROGRAMS=N runs N of each kind instead of a few hundred; WASMD_RANDOM_SEED=S begins
// with seed S.
#include "tests/unit/engine/compile/random_program.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/engine/compile/code_harness.h"

extern "C" void wasmd_test_import();
// RandomProgram::Import, and then nothing is left of the registers.
asm(R"(
  .text
  .globl wasmd_test_import
wasmd_test_import:
  imul $31, %rsi, %rax
  add %rdx, %rax
  shr $7, %rsi
  xor %rsi, %rax
  push %rax
  push %rax
  call wasmd_test_clobber
  pop %rax
  pop %rax
  ret
)");

namespace wasmd::engine {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

struct Kind {
  const char* name;
  RandomProgramOptions options;
  bool is_old_cpu = false;
};

class RandomProgramTest : public testing::TestWithParam<Kind> {};

TEST_P(RandomProgramTest, CompiledEqualsEvaluated) {
  const uint64_t count = FromEnvironment("WASMD_RANDOM_PROGRAMS", 300);
  const uint64_t first = FromEnvironment("WASMD_RANDOM_SEED", 1);
  int traps = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const RandomProgram program(seed, GetParam().options);
    CodeHarness code(program.Wasm(), GetParam().is_old_cpu ? baseline::CpuFeatures{}
                                                           : baseline::CpuFeatures::Host());
    code.SetImport(0, std::bit_cast<const void*>(&wasmd_test_import), nullptr);
    std::vector<uint8_t> memory(RandomProgram::kMemoryBytes, 0);
    uint64_t global = 0;
    for (uint64_t round = 0; round < 4; ++round) {
      const std::vector<uint64_t> args = program.RandomArguments(seed * 10 + round);
      const RandomProgram::Outcome expected = program.Evaluate(args, memory, global);
      const CallResult got = code.Call("f", args);
      traps += expected.trap != TrapCode::kNone ? 1 : 0;
      if (expected.trap != TrapCode::kNone) {
        ASSERT_EQ(got, TrapsWith(expected.trap)) << "seed " << seed << " round " << round;
      } else {
        ASSERT_EQ(got, Returns({expected.result})) << "seed " << seed << " round " << round;
      }
      ASSERT_TRUE(std::equal(memory.begin(), memory.end(), code.memory()))
          << "seed " << seed << " round " << round;
      ASSERT_EQ(global, code.global(0)) << "seed " << seed << " round " << round;
    }
  }
  // The generator makes programs that mostly run through.
  EXPECT_LT(traps, static_cast<int>(count * 4 * 3 / 5));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, RandomProgramTest,
    testing::Values(
        Kind{"Small", {.params = 2, .locals = 2, .statements = 8, .max_depth = 3}},
        Kind{"Medium", {.params = 3, .locals = 8, .statements = 40, .max_depth = 4}},
        Kind{"ManyLocals", {.params = 16, .locals = 30, .statements = 60, .max_depth = 4}},
        Kind{"HugeLocals", {.params = 5, .locals = 300, .statements = 80, .max_depth = 3}},
        Kind{"DeepExpressions", {.params = 4, .locals = 10, .statements = 12, .max_depth = 7}},
        Kind{"MediumOnOldCpu", {.params = 3, .locals = 8, .statements = 40, .max_depth = 4}, true}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace wasmd::engine
