// The instructions with prefix 0xfd: fixed-width and relaxed SIMD. Spec: valid-instr-vec
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/strings/str_format.h"

#include "engine/binary/leb128.h"
#include "engine/validate/function_walker.h"
#include "engine/wasm/features.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

using walker_internal::VectorInstruction;
using walker_internal::VectorShape;

constexpr uint32_t kVectorPrefix = 0xfd;
constexpr uint32_t kVectorBytes = 16;

// A row of the opcode table, read at compile time.
struct VectorRow {
  bool exists = false;
  Opcode op = {};
  VectorShape shape = VectorShape::kPlain;
  uint8_t align = 0;       // Accesses to memory: the exponent of the width.
  uint8_t lane_count = 0;  // Where a lane index follows.
  Feature feature = Feature::kSimd;
  walker_internal::Signature signature;
};

constexpr VectorShape ShapeOf(const OpcodeInfo& info) {
  const bool is_store = info.sig.ends_with(':');
  switch (info.immediate) {
    case Immediate::kV128:
      return VectorShape::kConst;
    case Immediate::kLanes:
      return VectorShape::kShuffle;
    case Immediate::kLane:
      return VectorShape::kLane;
    case Immediate::kMemArg:
      return is_store ? VectorShape::kStore : VectorShape::kLoad;
    case Immediate::kMemArgLane:
      return is_store ? VectorShape::kStoreLane : VectorShape::kLoadLane;
    default:
      return VectorShape::kPlain;
  }
}

// "i8x16.extract_lane_s" has 16 lanes.
constexpr uint8_t LanesOfShape(std::string_view text) {
  switch (text[text.find('x') + 1]) {
    case '1':
      return 16;
    case '8':
      return 8;
    case '4':
      return 4;
    default:
      return 2;
  }
}

constexpr uint32_t CountRows() {
  uint32_t count = 0;
  for (const OpcodeInfo& info : kOpcodes) {
    const auto number = static_cast<uint32_t>(info.op);
    if (number >> 16 == kVectorPrefix) {
      count = (number & 0xffff) + 1;
    }
  }
  return count;
}

constexpr auto kRows = [] {
  std::array<VectorRow, CountRows()> rows{};
  for (const OpcodeInfo& info : kOpcodes) {
    const auto number = static_cast<uint32_t>(info.op);
    if (number >> 16 != kVectorPrefix) {
      continue;
    }
    VectorRow& row = rows[number & 0xffff];
    row.exists = true;
    row.op = info.op;
    row.feature = info.feature;
    row.shape = ShapeOf(info);
    row.signature = walker_internal::ParseSignature(info.sig);
    if (info.immediate == Immediate::kMemArg || info.immediate == Immediate::kMemArgLane) {
      row.align = NaturalAlign(info.text);
      row.lane_count = static_cast<uint8_t>(kVectorBytes >> row.align);
    } else if (info.immediate == Immediate::kLane) {
      row.lane_count = LanesOfShape(info.text);
    } else if (info.immediate == Immediate::kLanes) {
      row.lane_count = 2 * kVectorBytes;
    }
  }
  return rows;
}();

}  // namespace

bool FunctionWalkerBase::ReadLane(uint32_t lane_count, uint8_t& lane) {
  const uint8_t* const at = pos_;
  if (!ReadFixed(lane)) {
    return false;
  }
  return lane < lane_count || FailAt(at, absl::StrFormat("invalid lane index %d", lane));
}

bool FunctionWalkerBase::ApplyVector(VectorInstruction& instruction) {
  uint32_t sub = 0;
  if (!ReadU32(sub)) {
    return false;
  }
  if (sub >= kRows.size() || !kRows[sub].exists) {
    return FailOpcode(kVectorPrefix, sub);
  }
  const VectorRow& row = kRows[sub];
  if (!module_.features.Has(row.feature)) {
    return FailFeature(row.op);
  }
  instruction.op = row.op;
  instruction.shape = row.shape;
  switch (row.shape) {
    case VectorShape::kPlain:
      break;
    case VectorShape::kConst:
    case VectorShape::kShuffle:
      if (static_cast<size_t>(end_ - pos_) < kVectorBytes) {
        return FailLeb(LebError::kUnexpectedEnd);
      }
      instruction.bytes = pos_;
      if (row.shape == VectorShape::kConst) {
        pos_ += kVectorBytes;
        break;
      }
      for (uint32_t i = 0; i < kVectorBytes; ++i) {
        uint8_t lane = 0;
        if (!ReadLane(row.lane_count, lane)) {
          return false;
        }
      }
      break;
    case VectorShape::kLane:
      if (!ReadLane(row.lane_count, instruction.lane)) {
        return false;
      }
      break;
    case VectorShape::kLoad:
    case VectorShape::kStore:
      if (!ReadMemArg(row.align, instruction.memarg)) {
        return false;
      }
      break;
    case VectorShape::kLoadLane:
    case VectorShape::kStoreLane:
      if (!ReadMemArg(row.align, instruction.memarg) ||
          !ReadLane(row.lane_count, instruction.lane)) {
        return false;
      }
      break;
  }
  // Of an access, the first parameter is the address.
  const bool is_access = row.shape >= VectorShape::kLoad;
  for (uint32_t i = row.signature.param_count; i-- > 0;) {
    if (!Pop(i == 0 && is_access ? MemoryAddress(instruction.memarg.memory_index)
                                 : row.signature.params[i])) {
      return false;
    }
  }
  return row.signature.result == ValType::kBottom || Push(row.signature.result);
}

}  // namespace wasmd::engine
