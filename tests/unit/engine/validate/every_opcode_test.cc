// Every row of the opcode table reaches the walker: accepted with the operands that its signature
// says, refused with any other, told to the sink under its own opcode.
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/validate/function_sink.h"
#include "engine/validate/function_walker.h"
#include "engine/wasm/module.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// What the sink was told of numeric and memory instructions.
struct Told {
  Opcode op;
  std::vector<ValType> types;
};

class RecordingSink : public NullSink {
 public:
  static constexpr bool kWantsUnreachable = true;

  void OnInstruction(Opcode op, uint32_t /*offset*/) { opcodes.push_back(op); }
  void OnConst(ValType type, uint64_t /*bits*/) { told.push_back({opcodes.back(), {type}}); }
  void OnUnary(Opcode op, ValType from, ValType to) { told.push_back({op, {from, to}}); }
  void OnBinary(Opcode op, ValType from, ValType to) { told.push_back({op, {from, from, to}}); }
  void OnLoad(Opcode op, ValType type, const MemArg& /*memarg*/) {
    told.push_back({op, {ValType::kI32, type}});
  }
  void OnStore(Opcode op, ValType type, const MemArg& /*memarg*/) {
    told.push_back({op, {ValType::kI32, type}});
  }

  std::vector<Opcode> opcodes;
  std::vector<Told> told;
};

Bytes Encode(Opcode op) {
  const auto number = static_cast<uint32_t>(op);
  return number >> 16 == 0 ? Bytes{static_cast<uint8_t>(number)}
                           : Concat({{static_cast<uint8_t>(number >> 16)}, Leb(number & 0xffff)});
}

// Immediates that are valid in Walk's module, and what closes the instruction if it opens a block.
Bytes EncodeImmediates(Immediate immediate) {
  switch (immediate) {
    case Immediate::kNone:
      return {};
    case Immediate::kBlockType:
      return {0x40};
    case Immediate::kLabelIndex:
    case Immediate::kFuncIndex:
    case Immediate::kLocalIndex:
    case Immediate::kGlobalIndex:
    case Immediate::kTableIndex:
    case Immediate::kMemoryIndex:
    case Immediate::kDataIndex:
    case Immediate::kElemIndex:
    case Immediate::kTagIndex:
    case Immediate::kI32:
    case Immediate::kI64:
      return {0x00};
    case Immediate::kBrTable:
    case Immediate::kMemArg:
    case Immediate::kCallIndirect:
    case Immediate::kMemoryInit:
    case Immediate::kMemoryCopy:
    case Immediate::kTableInit:
    case Immediate::kTableCopy:
      return {0x00, 0x00};
    case Immediate::kSelectTypes:
      return {0x01, 0x7f};
    case Immediate::kF32:
      return Bytes(4, 0);
    case Immediate::kF64:
      return Bytes(8, 0);
    case Immediate::kRefType:
      return {0x70};
    case Immediate::kTryTable:
      return {0x40, 0x01, 0x00, 0x00, 0x00};  // catch 0 0
  }
  return {};
}

// Walks `code` as the body of a function [] -> [] with one i32 local. Empty: accepted.
std::string Walk(const Bytes& code, RecordingSink& sink) {
  const Bytes bytes = WasmModule({
      Section(1, Vec({FuncTypeBytes({}, {})})),
      Section(3, Vec({Leb(0)})),
      Section(4, Vec({{0x70, 0x00, 0x00}})),
      Section(5, Vec({{0x00, 0x00}})),
      Section(13, Vec({{0x00, 0x00}})),
      Section(6, Vec({{0x7f, 0x01, 0x41, 0x00, 0x0b}})),
      Section(9, Vec({{0x01, 0x00, 0x01, 0x00}})),
      Section(12, Leb(1)),
      Section(10, Vec({Body({{0x01, 0x7f}}, code)})),
      Section(11, Vec({{0x01, 0x00}})),
  });
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  EXPECT_TRUE(module.ok()) << module.status();
  WalkerScratch scratch;
  FunctionWalker<RecordingSink> walker(*module, 0, sink, scratch);
  return walker.Run() ? "" : std::string(walker.error().message());
}

TEST(EveryOpcodeTest, IsAcceptedInUnreachableCode) {
  for (const OpcodeInfo& info : kOpcodes) {
    if (info.op == Opcode::kEnd || info.op == Opcode::kElse) {
      continue;  // In every other test.
    }
    Bytes code = Concat({{0x00}, Encode(info.op), EncodeImmediates(info.immediate)});
    if (info.immediate == Immediate::kBlockType || info.immediate == Immediate::kTryTable) {
      code.push_back(0x0b);
    }
    Append(code, {0x00, 0x0b});
    RecordingSink sink;
    EXPECT_EQ(Walk(code, sink), "") << info.text;
    EXPECT_THAT(sink.opcodes, Contains(info.op)) << info.text;
  }
}

// A constant of the type that a signature's letter stands for.
Bytes Operand(char letter) {
  switch (letter) {
    case 'l':
      return {0x42, 0x00};
    case 'f':
      return Concat({{0x43}, Bytes(4, 0)});
    case 'd':
      return Concat({{0x44}, Bytes(8, 0)});
    default:
      return {0x41, 0x00};
  }
}

Bytes Operands(std::string_view params) {
  Bytes code;
  for (const char letter : params) {
    Append(code, Operand(letter));
  }
  return code;
}

std::pair<std::string, std::string> SplitSignature(std::string_view sig) {
  const size_t colon = sig.find(':');
  return {std::string(sig.substr(0, colon)), std::string(sig.substr(colon + 1))};
}

TEST(EveryOpcodeTest, TakesTheOperandsOfItsSignature) {
  int count = 0;
  for (const OpcodeInfo& info : kOpcodes) {
    if (info.sig.empty()) {
      continue;
    }
    ++count;
    const auto [params, results] = SplitSignature(info.sig);
    const Bytes instruction = Concat({Encode(info.op), EncodeImmediates(info.immediate)});
    // drop, for its result, and end.
    const Bytes rest = Concat({Bytes(results.size(), 0x1a), {0x0b}});
    RecordingSink sink;
    EXPECT_EQ(Walk(Concat({Operands(params), instruction, rest}), sink), "") << info.text;
    EXPECT_THAT(sink.opcodes, Contains(info.op)) << info.text;
    // One operand at a time of another type.
    for (size_t i = 0; i < params.size(); ++i) {
      std::string wrong = params;
      wrong[i] = wrong[i] == 'd' ? 'f' : 'd';
      RecordingSink ignored;
      EXPECT_THAT(Walk(Concat({Operands(wrong), instruction, rest}), ignored),
                  HasSubstr("type mismatch"))
          << info.text << " with " << wrong;
      EXPECT_THAT(ignored.opcodes, Not(Contains(info.op))) << info.text;
    }
    if (!params.empty()) {
      RecordingSink ignored;
      EXPECT_THAT(Walk(Concat({Operands(params.substr(1)), instruction, rest}), ignored),
                  HasSubstr("type mismatch"))
          << info.text << " with too few";
    }
    // The result is of the type that the signature says: the other float or integer does not fit.
    if (!results.empty()) {
      const Bytes consumer = results == "d" ? Bytes{0x8c} : Bytes{0x9a};  // f32.neg, f64.neg
      RecordingSink ignored;
      EXPECT_THAT(Walk(Concat({Operands(params), instruction, consumer, {0x1a, 0x0b}}), ignored),
                  HasSubstr("type mismatch"))
          << info.text << "'s result";
    }
  }
  EXPECT_GT(count, 150);
}

ValType TypeOf(char letter) {
  switch (letter) {
    case 'l':
      return ValType::kI64;
    case 'f':
      return ValType::kF32;
    case 'd':
      return ValType::kF64;
    default:
      return ValType::kI32;
  }
}

TEST(EveryOpcodeTest, SinkIsToldTheTypes) {
  for (const OpcodeInfo& info : kOpcodes) {
    const bool is_numeric = info.immediate == Immediate::kNone && !info.sig.empty();
    if (!is_numeric && info.immediate != Immediate::kMemArg) {
      continue;
    }
    const auto [params, results] = SplitSignature(info.sig);
    RecordingSink sink;
    ASSERT_EQ(Walk(Concat({Operands(params),
                           Encode(info.op),
                           EncodeImmediates(info.immediate),
                           Bytes(results.size(), 0x1a),
                           {0x0b}}),
                   sink),
              "")
        << info.text;
    std::vector<ValType> expected;
    for (const char letter : params + results) {
      expected.push_back(TypeOf(letter));
    }
    ASSERT_FALSE(sink.told.empty());
    EXPECT_EQ(sink.told.back().op, info.op);
    EXPECT_EQ(sink.told.back().types, expected) << info.text;
  }
}

// The widest alignment that each access takes is its width, which its name says.
TEST(EveryOpcodeTest, NaturalAlignment) {
  for (const OpcodeInfo& info : kOpcodes) {
    if (info.immediate != Immediate::kMemArg) {
      continue;
    }
    std::string digits;
    for (const char c : info.text.substr(info.text.find('.'))) {
      if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
        digits += c;
      }
    }
    const int bits = std::stoi(digits.empty() ? std::string(info.text.substr(1, 2)) : digits);
    const auto [params, results] = SplitSignature(info.sig);
    for (uint8_t align = 0; align < 6; ++align) {
      RecordingSink sink;
      const std::string error = Walk(Concat({Operands(params),
                                             Encode(info.op),
                                             {align, 0x00},
                                             Bytes(results.size(), 0x1a),
                                             {0x0b}}),
                                     sink);
      if ((8 << align) <= bits) {
        EXPECT_EQ(error, "") << info.text << " align " << int{align};
      } else {
        EXPECT_THAT(error, HasSubstr("alignment must not be larger than natural"))
            << info.text << " align " << int{align};
      }
    }
  }
}

}  // namespace
}  // namespace wasmd::engine
