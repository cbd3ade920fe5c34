// Every row of the opcode table reaches the walker: accepted with the operands that its signature
// says, refused with any other, told to the sink under its own opcode.
#include <cstddef>
#include <cstdint>
#include <regex>
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
  void OnVector(Opcode op) { told.push_back({op, {}}); }
  void OnVectorLane(Opcode op, uint8_t /*lane*/) { told.push_back({op, {}}); }
  void OnLoadLane(Opcode op, const MemArg& /*memarg*/, uint8_t /*lane*/) {
    told.push_back({op, {}});
  }
  void OnStoreLane(Opcode op, const MemArg& /*memarg*/, uint8_t /*lane*/) {
    told.push_back({op, {}});
  }
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
    case Immediate::kLane:
      return {0x01};
    case Immediate::kMemArgLane:
      return {0x00, 0x00, 0x01};
    case Immediate::kV128:
    case Immediate::kLanes:
      return Bytes(16, 0x1f);
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
    case 'v':
      return Concat({{0xfd, 0x0c}, Bytes(16, 0)});
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
  EXPECT_GT(count, 400);
}

ValType TypeOf(char letter) {
  switch (letter) {
    case 'l':
      return ValType::kI64;
    case 'f':
      return ValType::kF32;
    case 'd':
      return ValType::kF64;
    case 'v':
      return ValType::kV128;
    default:
      return ValType::kI32;
  }
}

TEST(EveryOpcodeTest, SinkIsToldTheTypes) {
  for (const OpcodeInfo& info : kOpcodes) {
    const bool is_numeric = info.immediate == Immediate::kNone && !info.sig.empty();
    const bool has_lane =
        info.immediate == Immediate::kLane || info.immediate == Immediate::kMemArgLane;
    if (!is_numeric && !has_lane && info.immediate != Immediate::kMemArg) {
      continue;
    }
    // Of vectors' operands the table tells, but for plain loads and stores.
    const bool is_vector = static_cast<uint32_t>(info.op) >> 16 == 0xfd;
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
    if (!is_vector || info.immediate == Immediate::kMemArg) {
      for (const char letter : params + results) {
        expected.push_back(TypeOf(letter));
      }
    }
    ASSERT_FALSE(sink.told.empty());
    EXPECT_EQ(sink.told.back().op, info.op);
    EXPECT_EQ(sink.told.back().types, expected) << info.text;
  }
}

// The widest alignment that each access takes is its width, which its name says.
TEST(EveryOpcodeTest, NaturalAlignment) {
  for (const OpcodeInfo& info : kOpcodes) {
    const bool has_lane = info.immediate == Immediate::kMemArgLane;
    if (info.immediate != Immediate::kMemArg && !has_lane) {
      continue;
    }
    // "i32.load8_s", "v128.load8x8_s", "v128.load", "f64.store"
    const std::string name(info.text);
    const std::regex widths(R"((?:[if]|v1)(\d\d)\.(?:load|store)(\d*)(?:x(\d))?.*)");
    std::smatch match;
    ASSERT_TRUE(std::regex_match(name, match, widths)) << name;
    int bits = match[2].length() != 0  ? std::stoi(match[2])
               : name.starts_with('v') ? 128
                                       : std::stoi(match[1]);
    bits *= match[3].length() != 0 ? std::stoi(match[3]) : 1;
    const auto [params, results] = SplitSignature(info.sig);
    for (uint8_t align = 0; align < 6; ++align) {
      RecordingSink sink;
      const std::string error = Walk(Concat({Operands(params),
                                             Encode(info.op),
                                             {align, 0x00},
                                             Bytes(has_lane ? 1 : 0, 0x00),
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

// Each lane that there is, and no other.
TEST(EveryOpcodeTest, LaneIndices) {
  for (const OpcodeInfo& info : kOpcodes) {
    const bool has_memarg = info.immediate == Immediate::kMemArgLane;
    if (!has_memarg && info.immediate != Immediate::kLane && info.immediate != Immediate::kLanes) {
      continue;
    }
    // "i16x8.extract_lane_s" has 8, "v128.load16_lane" 128 / 16; i8x16.shuffle takes 32.
    const std::string name(info.text);
    const int lanes = info.immediate == Immediate::kLanes ? 32
                      : has_memarg
                          ? 128 / std::stoi(name.substr(name.find_first_of("0123456789", 4)))
                          : std::stoi(name.substr(name.find('x') + 1));
    const auto [params, results] = SplitSignature(info.sig);
    for (int lane = 0; lane < 256; ++lane) {
      Bytes immediates(has_memarg ? 2 : info.immediate == Immediate::kLanes ? 15 : 0, 0x00);
      immediates.push_back(static_cast<uint8_t>(lane));
      RecordingSink sink;
      const std::string error = Walk(
          Concat(
              {Operands(params), Encode(info.op), immediates, Bytes(results.size(), 0x1a), {0x0b}}),
          sink);
      if (lane < lanes) {
        EXPECT_EQ(error, "") << name << " lane " << lane;
      } else {
        EXPECT_THAT(error, HasSubstr("invalid lane index")) << name << " lane " << lane;
      }
    }
  }
}

}  // namespace
}  // namespace wasmd::engine
