// The opcode table: every row can be found, and numbers between rows cannot.
#include "engine/wasm/opcodes.h"

#include <cstdint>
#include <ios>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/wasm/features.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {
namespace {

TEST(OpcodesTest, FindsEveryRow) {
  for (const OpcodeInfo& info : kOpcodes) {
    EXPECT_EQ(FindOpcode(info.op), &info) << info.text;
  }
}

TEST(OpcodesTest, FindsNoOther) {
  std::set<uint32_t> known;
  for (const OpcodeInfo& info : kOpcodes) {
    known.insert(static_cast<uint32_t>(info.op));
  }
  for (const uint32_t prefix : {0x00u, 0xfbu, 0xfcu, 0xfdu, 0xfeu}) {
    for (uint32_t code = 0; code < 0x200; ++code) {
      const uint32_t number = prefix << 16 | code;
      EXPECT_EQ(FindOpcode(static_cast<Opcode>(number)) != nullptr, known.contains(number))
          << std::hex << number;
    }
  }
}

// "select" is two opcodes; every other name is one.
TEST(OpcodesTest, NamesAreUnique) {
  std::set<std::string> names;
  for (const OpcodeInfo& info : kOpcodes) {
    EXPECT_TRUE(names.insert(std::string(info.text)).second || info.op == Opcode::kSelectT)
        << info.text;
  }
}

TEST(OpcodesTest, EveryFeatureInTheTableIsSupported) {
  for (const OpcodeInfo& info : kOpcodes) {
    EXPECT_TRUE(IsSupported(info.feature)) << info.text << " needs " << ToString(info.feature);
  }
  EXPECT_FALSE(IsSupported(Feature::kGc));
  EXPECT_EQ(ToString(Feature::kSimd), "simd");
}

TEST(OpcodesTest, TrapsOfDivision) {
  EXPECT_EQ(FindOpcode(Opcode::kI32DivS)->traps, kMaskDivideByZero | kMaskIntegerOverflow);
  EXPECT_EQ(FindOpcode(Opcode::kI32Add)->traps, kNoTrap);
  EXPECT_EQ(ToString(TrapCode::kDivideByZero), "integer divide by zero");
}

}  // namespace
}  // namespace wasmd::engine
