// Vector instructions that move lanes: constants, splats, single lanes, shuffles, loads and stores.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "engine/compile/baseline/function_compiler_inl.h"
#include "engine/compile/baseline/vector_instructions.h"

namespace wasmd::engine::baseline {
namespace {

// A lane of 2^log2_bytes bytes, in the order of both lists below.
constexpr InstId kInsert[] = {Inst::kIdPinsrb, Inst::kIdPinsrw, Inst::kIdPinsrd, Inst::kIdPinsrq};
constexpr InstId kInsertVex[] = {Inst::kIdVpinsrb, Inst::kIdVpinsrw, Inst::kIdVpinsrd,
                                 Inst::kIdVpinsrq};
constexpr InstId kExtract[] = {Inst::kIdPextrb, Inst::kIdPextrw, Inst::kIdPextrd, Inst::kIdPextrq};
constexpr InstId kExtractVex[] = {Inst::kIdVpextrb, Inst::kIdVpextrw, Inst::kIdVpextrd,
                                  Inst::kIdVpextrq};

// Opcodes of loads that extend to 32 bits.
constexpr uint32_t kMovzx8 = 0x0fb6;
constexpr uint32_t kMovzx16 = 0x0fb7;

// `lane_bytes` of `bits`, in every lane.
V128 Replicate(uint64_t bits, uint32_t lane_bytes) {
  uint64_t word = bits;
  for (uint32_t size = lane_bytes; size < 8; size *= 2) {
    word &= ~uint64_t{0} >> (64 - size * 8);
    word |= word << size * 8;
  }
  return {word, word};
}

V128 VectorOf(const uint8_t* bytes) {
  V128 value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

}  // namespace

void FunctionCompiler::OnV128Const(V128 value) {
  PushConst(Kind::kV128, static_cast<uint64_t>(asm_.Constant128(value.lo, value.hi)));
}

// --- Splats.

// In place, from the lowest lane of 1, 2, 4 or 8 bytes. May use kScratchXmm.
void FunctionCompiler::BroadcastLow(uint32_t lane_bytes, Reg reg) {
  switch (lane_bytes) {
    case 1:
      if (asm_.features().avx2) {
        asm_.Op(Inst::kIdVpbroadcastb, Assembler::X(reg), Assembler::X(reg));
      } else {
        asm_.LoadConstant(Kind::kF64, kScratchXmm, 0);
        asm_.Float3(kPshufb, reg, reg, kScratchXmm);
      }
      break;
    case 2:
      if (asm_.features().avx2) {
        asm_.Op(Inst::kIdVpbroadcastw, Assembler::X(reg), Assembler::X(reg));
      } else {
        asm_.Float2(kPshuflw, reg, reg, 0);
        asm_.Float2(kPshufd, reg, reg, 0);
      }
      break;
    case 4:
      asm_.Float2(kPshufd, reg, reg, 0);
      break;
    default:
      asm_.Float3(kPunpcklqdq, reg, reg, reg);
      break;
  }
}

void FunctionCompiler::VectorSplat(Opcode op) {
  Value value = Pop();
  uint32_t lane_bytes = 4;
  switch (op) {
    case Opcode::kI8x16Splat:
      lane_bytes = 1;
      break;
    case Opcode::kI16x8Splat:
      lane_bytes = 2;
      break;
    case Opcode::kI64x2Splat:
    case Opcode::kF64x2Splat:
      lane_bytes = 8;
      break;
    default:
      break;
  }
  if (value.is_const()) {
    OnV128Const(Replicate(value.bits, lane_bytes));
    return;
  }
  const bool is_float = IsFloat(value.kind);
  const Reg src = ToReg(value);
  const Reg dst =
      is_float && value.is_dying ? src : AllocFor(Kind::kV128, Hint(Kind::kV128, AfterVector()));
  if (!is_float) {
    asm_.MoveToVector(dst, src, lane_bytes == 8);
    BroadcastLow(lane_bytes, dst);
  } else if (lane_bytes == 8) {
    asm_.Float2(kMovddup, dst, src);
  } else {
    asm_.Float3(kShufps, dst, src, src, 0);
  }
  PushVector(dst);
}

// --- Single lanes.

void FunctionCompiler::OnVectorLane(Opcode op, uint8_t lane) {
  const bool avx = asm_.has_avx();
  const uint32_t next = AfterVector(1);
  const auto extract = [&](uint32_t log2_bytes, Kind kind) {
    Value value = Pop();
    const Reg src = ToReg(value);
    const Reg dst = AllocFor(kind, Hint(kind, next));
    if (lane == 0 && log2_bytes >= 2) {
      const bool wide = log2_bytes == 3;
      asm_.Op(
          wide ? (avx ? Inst::kIdVmovq : Inst::kIdMovq) : (avx ? Inst::kIdVmovd : Inst::kIdMovd),
          Assembler::R(dst, wide), Assembler::X(src));
    } else {
      asm_.Op(avx ? kExtractVex[log2_bytes] : kExtract[log2_bytes],
              Assembler::R(dst, log2_bytes == 3), Assembler::X(src), Assembler::I(lane));
    }
    return dst;
  };
  // A float's register may hold anything above it.
  const auto extract_float = [&](Kind kind, int lanes) {
    Value value = Pop();
    const Reg hint = Hint(kind, next, &value);
    const Reg src = ToReg(value);
    const Reg dst = value.is_dying ? src : AllocFor(kind, hint);
    if (lane == 0) {
      asm_.MoveFloat(dst, src);
    } else {
      asm_.Float2(kPshufd, dst, src, lanes);
    }
    PushReg(kind, dst);
  };
  const auto insert = [&](uint32_t log2_bytes) {
    Value lane_value = Pop();
    Value value = Pop();
    const asmjit::x86::Gp src = Assembler::R(ToReg(lane_value), log2_bytes == 3);
    const Reg hint = Hint(Kind::kV128, next, &value);
    const Reg vector = ToReg(value);
    const Reg dst = value.is_dying ? vector : AllocFor(Kind::kV128, hint);
    if (avx) {
      asm_.Op(kInsertVex[log2_bytes], Assembler::X(dst), Assembler::X(vector), src,
              Assembler::I(lane));
    } else {
      asm_.MoveFloat(dst, vector);
      asm_.Op(kInsert[log2_bytes], Assembler::X(dst), src, Assembler::I(lane));
    }
    PushVector(dst);
  };
  switch (op) {
    case Opcode::kI8x16ExtractLaneS: {
      const Reg dst = extract(0, Kind::kI32);
      asm_.Op(Inst::kIdMovsx, Assembler::R32(dst), Assembler::R8(dst));
      PushReg(Kind::kI32, dst);
      break;
    }
    case Opcode::kI8x16ExtractLaneU:
      PushReg(Kind::kI32, extract(0, Kind::kI32));
      break;
    case Opcode::kI16x8ExtractLaneS: {
      const Reg dst = extract(1, Kind::kI32);
      asm_.Op(Inst::kIdMovsx, Assembler::R32(dst), Assembler::R16(dst));
      PushReg(Kind::kI32, dst);
      break;
    }
    case Opcode::kI16x8ExtractLaneU:
      PushReg(Kind::kI32, extract(1, Kind::kI32));
      break;
    case Opcode::kI32x4ExtractLane:
      PushReg(Kind::kI32, extract(2, Kind::kI32));
      break;
    case Opcode::kI64x2ExtractLane:
      PushReg(Kind::kI64, extract(3, Kind::kI64));
      break;
    case Opcode::kF32x4ExtractLane:
      extract_float(Kind::kF32, lane);
      break;
    case Opcode::kF64x2ExtractLane:
      extract_float(Kind::kF64, 0xee);
      break;
    case Opcode::kI8x16ReplaceLane:
      insert(0);
      break;
    case Opcode::kI16x8ReplaceLane:
      insert(1);
      break;
    case Opcode::kI32x4ReplaceLane:
      insert(2);
      break;
    case Opcode::kI64x2ReplaceLane:
      insert(3);
      break;
    case Opcode::kF32x4ReplaceLane: {
      const auto [vector, scalar, dst] = PopVectorsOnce(1);
      asm_.Float3({Inst::kIdInsertps, Inst::kIdVinsertps}, dst, vector, scalar, lane << 4);
      PushVector(dst);
      break;
    }
    case Opcode::kF64x2ReplaceLane: {
      const auto [vector, scalar, dst] = PopVectorsOnce(1);
      if (lane == 0) {
        asm_.Float3({Inst::kIdMovsd, Inst::kIdVmovsd}, dst, vector, scalar);
      } else {
        asm_.Float3(kPunpcklqdq, dst, vector, scalar);
      }
      PushVector(dst);
      break;
    }
    default:
      WASMD_UNREACHABLE();
  }
}

// --- Shuffles. Lanes are bytes, but most of those that programs ask for move wider ones.

namespace {

using Lanes = std::array<uint8_t, 16>;

// Whether the bytes move in groups of `width`; then `groups` says which group goes where.
bool MovesGroups(const uint8_t* lanes, uint32_t width, uint8_t* groups) {
  for (uint32_t i = 0; i < 16; i += width) {
    if (lanes[i] % width != 0) {
      return false;
    }
    for (uint32_t j = 1; j < width; ++j) {
      if (lanes[i + j] != lanes[i] + j) {
        return false;
      }
    }
    groups[i / width] = static_cast<uint8_t>(lanes[i] / width);
  }
  return true;
}

// Two bits for each of four.
int FourLanes(const uint8_t* groups) {
  return (groups[0] & 3) | (groups[1] & 3) << 2 | (groups[2] & 3) << 4 | (groups[3] & 3) << 6;
}

// Interleaves the low or high lanes of two vectors.
struct Unpack {
  uint32_t width;
  bool is_high;
  VectorOp op;
};
constexpr Unpack kUnpacks[] = {
    {8, false, kPunpcklqdq}, {8, true, kPunpckhqdq}, {4, false, kPunpckldq}, {4, true, kPunpckhdq},
    {2, false, kPunpcklwd},  {2, true, kPunpckhwd},  {1, false, kPunpcklbw}, {1, true, kPunpckhbw}};

Lanes LanesOf(const Unpack& unpack) {
  Lanes lanes{};
  const uint32_t begin = unpack.is_high ? 8 : 0;
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t group = i / unpack.width;
    lanes[i] = static_cast<uint8_t>((group % 2 == 0 ? 0 : 16) + begin + group / 2 * unpack.width +
                                    i % unpack.width);
  }
  return lanes;
}

}  // namespace

void FunctionCompiler::OnShuffle(std::span<const uint8_t, 16> wanted) {
  Value b_value = Pop();
  Value a_value = Pop();
  Lanes lanes;
  std::ranges::copy(wanted, lanes.begin());
  // A load that is pending traps, used or not.
  const Reg b = ToReg(b_value);
  const Reg a = ToReg(a_value);
  const bool all_a = std::ranges::all_of(lanes, [](uint8_t lane) { return lane < 16; });
  const bool all_b = std::ranges::all_of(lanes, [](uint8_t lane) { return lane >= 16; });
  if (a == b || all_a || all_b) {
    for (uint8_t& lane : lanes) {
      lane &= 15;
    }
    // Where both are the same register, the one popped last knows whether it dies.
    ShuffleOne(all_b && a != b ? b_value : a_value, lanes.data());
    return;
  }
  // Both are read by one instruction; of two, b by the first.
  const Reg dst = ResultOf(a_value, b_value, 16);
  if (ShuffleTwo(a, b, dst, lanes.data())) {
    PushVector(dst);
    return;
  }
  Lanes swapped = lanes;
  for (uint8_t& lane : swapped) {
    lane ^= 16;
  }
  if (!ShuffleTwo(b, a, dst, swapped.data())) {
    // Each by itself, with zeros where the other's bytes go.
    Lanes from_a = lanes;
    Lanes from_b = swapped;
    for (uint32_t i = 0; i < 16; ++i) {
      (lanes[i] < 16 ? from_b : from_a)[i] = 0x80;
    }
    asm_.Float3Constant(kPshufb, kScratchXmm, b, VectorOf(from_b.data()));
    asm_.Float3Constant(kPshufb, dst, a, VectorOf(from_a.data()));
    asm_.Float3(kPor, dst, dst, kScratchXmm);
  }
  PushVector(dst);
}

// Of one vector, which is in a register.
void FunctionCompiler::ShuffleOne(Value& value, const uint8_t* lanes) {
  uint8_t groups[16];
  if (MovesGroups(lanes, 16, groups)) {
    PushVector(ToWritable(value));
    return;
  }
  const Reg hint = Hint(Kind::kV128, AfterVector(16), &value);
  const Reg src = value.reg;
  const Reg dst = value.is_dying ? src : AllocFor(Kind::kV128, hint);
  if (MovesGroups(lanes, 4, groups)) {
    asm_.Float2(kPshufd, dst, src, FourLanes(groups));
  } else if (MovesGroups(lanes, 2, groups) &&
             std::all_of(groups, groups + 4, [](uint8_t group) { return group < 4; }) &&
             std::all_of(groups + 4, groups + 8, [](uint8_t group) { return group >= 4; })) {
    asm_.Float2(kPshuflw, dst, src, FourLanes(groups));
    asm_.Float2(kPshufhw, dst, dst, FourLanes(groups + 4));
  } else {
    asm_.Float3Constant(kPshufb, dst, src, VectorOf(lanes));
  }
  PushVector(dst);
}

// By one instruction, if there is one.
bool FunctionCompiler::ShuffleTwo(Reg a, Reg b, Reg dst, const uint8_t* lanes) {
  uint8_t groups[16];
  for (const Unpack& unpack : kUnpacks) {
    if (std::ranges::equal(LanesOf(unpack), std::span(lanes, 16))) {
      asm_.Float3(unpack.op, dst, a, b);
      return true;
    }
  }
  if (MovesGroups(lanes, 2, groups)) {
    int from_b = 0;
    bool stays = true;
    for (uint32_t i = 0; i < 8; ++i) {
      stays &= groups[i] % 8 == i;
      from_b |= groups[i] >= 8 ? 1 << i : 0;
    }
    if (stays) {
      asm_.Float3(kPblendw, dst, a, b, from_b);
      return true;
    }
  }
  if (MovesGroups(lanes, 4, groups) && groups[0] < 4 && groups[1] < 4 && groups[2] >= 4 &&
      groups[3] >= 4) {
    asm_.Float3(kShufps, dst, a, b, FourLanes(groups));
    return true;
  }
  // Sixteen bytes in a row of b above a.
  const uint32_t first = lanes[0];
  for (uint32_t i = 0; i < 16; ++i) {
    if (lanes[i] != first + i) {
      return false;
    }
  }
  asm_.Float3(kPalignr, dst, b, a, static_cast<int>(first));
  return true;
}

// --- Memory.

void FunctionCompiler::LoadVector(Opcode op, const MemArg& memarg) {
  const uint32_t next = AfterMemArg(AfterVector());
  Value index = Pop();
  const Mem mem = AccessOperand(index, memarg);
  if (op == Opcode::kV128Load && FoldsVectorLoad(next)) {
    PushPendingLoad(Kind::kV128, mem, memarg.memory_index);
    return;
  }
  const bool avx = asm_.has_avx();
  const Reg dst = AllocFor(Kind::kV128, Hint(Kind::kV128, next));
  const auto load = [&](const VectorOp& how, uint32_t size) {
    asm_.Op(avx ? how.vex : how.sse, Assembler::X(dst), Assembler::M(mem, size));
  };
  AccessSite(memarg.memory_index);
  switch (op) {
    case Opcode::kV128Load:
      asm_.Load(Kind::kV128, dst, mem);
      break;
    case Opcode::kV128Load8x8S:
      load(kPmovsxbw, 8);
      break;
    case Opcode::kV128Load8x8U:
      load(kPmovzxbw, 8);
      break;
    case Opcode::kV128Load16x4S:
      load(kPmovsxwd, 8);
      break;
    case Opcode::kV128Load16x4U:
      load(kPmovzxwd, 8);
      break;
    case Opcode::kV128Load32x2S:
      load(kPmovsxdq, 8);
      break;
    case Opcode::kV128Load32x2U:
      load(kPmovzxdq, 8);
      break;
    case Opcode::kV128Load8Splat:
    case Opcode::kV128Load16Splat: {
      const bool is_byte = op == Opcode::kV128Load8Splat;
      if (asm_.features().avx2) {
        asm_.Op(is_byte ? Inst::kIdVpbroadcastb : Inst::kIdVpbroadcastw, Assembler::X(dst),
                Assembler::M(mem, is_byte ? 1 : 2));
        break;
      }
      asm_.LoadExtending(is_byte ? kMovzx8 : kMovzx16, false, kScratch, mem);
      asm_.MoveToVector(dst, kScratch, false);
      BroadcastLow(is_byte ? 1 : 2, dst);
      break;
    }
    case Opcode::kV128Load32Splat:
      if (avx) {
        asm_.Op(Inst::kIdVbroadcastss, Assembler::X(dst), Assembler::M(mem, 4));
        break;
      }
      asm_.Load(Kind::kF32, dst, mem);
      BroadcastLow(4, dst);
      break;
    case Opcode::kV128Load64Splat:
      load(kMovddup, 8);
      break;
    case Opcode::kV128Load32Zero:
      asm_.Load(Kind::kF32, dst, mem);
      break;
    case Opcode::kV128Load64Zero:
      asm_.Load(Kind::kF64, dst, mem);
      break;
    default:
      WASMD_UNREACHABLE();
  }
  PushVector(dst);
}

void FunctionCompiler::StoreVector(const MemArg& memarg) {
  Value value = Pop();
  Value index = Pop();
  const Reg reg = ToReg(value);
  const Mem mem = AccessOperand(index, memarg);
  AccessSite(memarg.memory_index);
  asm_.Store(Kind::kV128, mem, reg);
}

void FunctionCompiler::OnLoadLane(Opcode /*op*/, const MemArg& memarg, uint8_t lane) {
  const auto log2_bytes = static_cast<uint32_t>(std::countr_zero(memarg.access_bytes));
  Value value = Pop();
  Value index = Pop();
  const Mem mem = AccessOperand(index, memarg);
  const Reg dst = ToWritable(value);
  const asmjit::x86::Mem from = Assembler::M(mem, memarg.access_bytes);
  AccessSite(memarg.memory_index);
  if (asm_.has_avx()) {
    asm_.Op(kInsertVex[log2_bytes], Assembler::X(dst), Assembler::X(dst), from, Assembler::I(lane));
  } else {
    asm_.Op(kInsert[log2_bytes], Assembler::X(dst), from, Assembler::I(lane));
  }
  PushVector(dst);
}

void FunctionCompiler::OnStoreLane(Opcode /*op*/, const MemArg& memarg, uint8_t lane) {
  const auto log2_bytes = static_cast<uint32_t>(std::countr_zero(memarg.access_bytes));
  Value value = Pop();
  Value index = Pop();
  const Reg reg = ToReg(value);
  const Mem mem = AccessOperand(index, memarg);
  AccessSite(memarg.memory_index);
  if (lane == 0 && log2_bytes >= 2) {
    asm_.Store(log2_bytes == 2 ? Kind::kF32 : Kind::kF64, mem, reg);
    return;
  }
  asm_.Op(asm_.has_avx() ? kExtractVex[log2_bytes] : kExtract[log2_bytes],
          Assembler::M(mem, memarg.access_bytes), Assembler::X(reg), Assembler::I(lane));
}

}  // namespace wasmd::engine::baseline
