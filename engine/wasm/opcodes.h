// Opcode: every instruction that we know, and OpcodeInfo: its row in opcodes.def.
#ifndef WASMD_ENGINE_WASM_OPCODES_H_
#define WASMD_ENGINE_WASM_OPCODES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string_view>

#include "engine/wasm/features.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

// prefix << 16 | code; SIMD codes exceed one byte.
enum class Opcode : uint32_t {
#define OP(name, prefix, code, text, imm, sig, feature, traps) k##name = (prefix) << 16 | (code),
#include "engine/wasm/opcodes.def"
#undef OP
};

// What follows the opcode in the binary format. Spec: binary-instr
enum class Immediate : uint8_t {
  kNone,
  kBlockType,
  kLabelIndex,
  kBrTable,  // vec(labelidx) labelidx
  kFuncIndex,
  kCallIndirect,  // typeidx tableidx
  kSelectTypes,   // vec(valtype)
  kLocalIndex,
  kGlobalIndex,
  kTableIndex,
  kMemArg,
  kMemArgLane,  // memarg laneidx
  kLane,        // laneidx, one byte
  kLanes,       // 16 of them
  kMemoryIndex,
  kI32,
  kI64,
  kF32,
  kF64,
  kV128,  // 16 bytes
  kRefType,
  kMemoryInit,  // dataidx memidx
  kDataIndex,
  kMemoryCopy,  // destination memidx, source memidx
  kTableInit,   // elemidx tableidx
  kElemIndex,
  kTagIndex,
  kTryTable,   // blocktype vec(catch)
  kTableCopy,  // destination tableidx, source tableidx
};

// In the order of the table's columns. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct OpcodeInfo {
  Opcode op;
  std::string_view text;
  Immediate immediate;
  std::string_view sig;
  Feature feature;
  TrapMask traps;
};

inline constexpr TrapMask kNoTrap = 0;
inline constexpr OpcodeInfo kOpcodes[] = {
#define OP(name, prefix, code, text, imm, sig, feature, traps) \
  {Opcode::k##name, text, Immediate::k##imm, sig, Feature::k##feature, traps},
#include "engine/wasm/opcodes.def"
#undef OP
};
static_assert(std::ranges::adjacent_find(kOpcodes, std::ranges::greater_equal{}, &OpcodeInfo::op) ==
                  std::ranges::end(kOpcodes),
              "opcodes.def must ascend by (prefix, code)");

inline constexpr uint32_t kOpcodeCount = std::size(kOpcodes);

// The row of `op`, or nullptr for a number that is no instruction. O(log n): for printing and
// errors; the walker has its own dense dispatch.
constexpr const OpcodeInfo* FindOpcode(Opcode op) {
  const auto* row = std::ranges::lower_bound(kOpcodes, op, std::ranges::less{}, &OpcodeInfo::op);
  return row != std::ranges::end(kOpcodes) && row->op == op ? row : nullptr;
}

// The exponent of an access's width: of the digits after "load" or "store", else of the type's.
// "v128.load8x8_s" and the like access 8 bytes. Spec: valid-memarg
constexpr uint8_t NaturalAlign(std::string_view text) {
  const size_t dot = text.find('.');
  const size_t digits = text.find_first_of("0123456789", dot);
  if (digits == std::string_view::npos && text[0] == 'v') {
    return 4;
  }
  if (text.find('x', dot) != std::string_view::npos) {
    return 3;
  }
  const std::string_view width =
      digits == std::string_view::npos ? text.substr(1, 2) : text.substr(digits);
  switch (width[0]) {
    case '8':
      return 0;
    case '1':
      return 1;
    case '3':
      return 2;
    default:
      return 3;
  }
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASM_OPCODES_H_
