// Vector instructions on integer lanes that take several of the machine's: comparisons, shifts,
// tests, arithmetic.
#include <cstdint>
#include <utility>

#include "engine/compile/baseline/function_compiler_inl.h"
#include "engine/compile/baseline/vector_instructions.h"

namespace wasmd::engine::baseline {
namespace {

constexpr V128 Words(uint64_t word) {
  return {word, word};
}
constexpr V128 kAllOnes = Words(UINT64_MAX);

// By lane width: [0] 8 bits, [1] 16, [2] 32, [3] 64. SSE4.1 has no comparison of 64-bit lanes but
// for equality.
constexpr VectorOp kEqual[] = {kPcmpeqb, kPcmpeqw, kPcmpeqd, kPcmpeqq};

}  // namespace

// --- Comparisons. What the machine has not is made of a minimum and an equality, or inverted.

namespace {

// "b <= a" as min(a, b) == b; `swaps` makes it "a <= b", `inverts` the other two.
struct Comparison {
  uint32_t lane;  // Index in kEqual.
  VectorOp minimum = kNoVectorOp;
  bool swaps = false;
  bool inverts = false;
};

constexpr Comparison ComparisonOf(Opcode op) {
  switch (op) {
    case Opcode::kI8x16Ne:
      return {.lane = 0, .inverts = true};
    case Opcode::kI8x16LtU:
      return {.lane = 0, .minimum = kPminub, .inverts = true};
    case Opcode::kI8x16GtU:
      return {.lane = 0, .minimum = kPminub, .swaps = true, .inverts = true};
    case Opcode::kI8x16LeS:
      return {.lane = 0, .minimum = kPminsb, .swaps = true};
    case Opcode::kI8x16LeU:
      return {.lane = 0, .minimum = kPminub, .swaps = true};
    case Opcode::kI8x16GeS:
      return {.lane = 0, .minimum = kPminsb};
    case Opcode::kI8x16GeU:
      return {.lane = 0, .minimum = kPminub};
    case Opcode::kI16x8Ne:
      return {.lane = 1, .inverts = true};
    case Opcode::kI16x8LtU:
      return {.lane = 1, .minimum = kPminuw, .inverts = true};
    case Opcode::kI16x8GtU:
      return {.lane = 1, .minimum = kPminuw, .swaps = true, .inverts = true};
    case Opcode::kI16x8LeS:
      return {.lane = 1, .minimum = kPminsw, .swaps = true};
    case Opcode::kI16x8LeU:
      return {.lane = 1, .minimum = kPminuw, .swaps = true};
    case Opcode::kI16x8GeS:
      return {.lane = 1, .minimum = kPminsw};
    case Opcode::kI16x8GeU:
      return {.lane = 1, .minimum = kPminuw};
    case Opcode::kI32x4Ne:
      return {.lane = 2, .inverts = true};
    case Opcode::kI32x4LtU:
      return {.lane = 2, .minimum = kPminud, .inverts = true};
    case Opcode::kI32x4GtU:
      return {.lane = 2, .minimum = kPminud, .swaps = true, .inverts = true};
    case Opcode::kI32x4LeS:
      return {.lane = 2, .minimum = kPminsd, .swaps = true};
    case Opcode::kI32x4LeU:
      return {.lane = 2, .minimum = kPminud, .swaps = true};
    case Opcode::kI32x4GeS:
      return {.lane = 2, .minimum = kPminsd};
    case Opcode::kI32x4GeU:
      return {.lane = 2, .minimum = kPminud};
    default:
      return {.lane = 3, .inverts = true};  // i64x2.ne
  }
}

}  // namespace

void FunctionCompiler::VectorCompare(Opcode op) {
  auto [a, b, dst] = PopVectors();
  switch (op) {
    case Opcode::kI64x2GtS:
      VectorGreater64(dst, a, b);
      break;
    case Opcode::kI64x2LtS:
      VectorGreater64(dst, b, a);
      break;
    case Opcode::kI64x2LeS:
      VectorGreater64(dst, a, b);
      InvertVector(dst);
      break;
    case Opcode::kI64x2GeS:
      VectorGreater64(dst, b, a);
      InvertVector(dst);
      break;
    default: {
      const Comparison how = ComparisonOf(op);
      if (how.swaps) {
        std::swap(a, b);
      }
      if (how.minimum.sse != Inst::kIdNone) {
        asm_.Float3(how.minimum, dst, a, b);
        a = dst;
      }
      asm_.Float3(kEqual[how.lane], dst, a, b);
      if (how.inverts) {
        InvertVector(dst);
      }
      break;
    }
  }
  PushVector(dst);
}

// dst is neither a nor b.
void FunctionCompiler::VectorGreater64(Reg dst, Reg a, Reg b) {
  if (asm_.has_avx()) {
    asm_.Float3(kPcmpgtq, dst, a, b);
    return;
  }
  // Upper halves that differ decide; where they are equal, the borrow of b - a is in the upper
  // half.
  asm_.Float3(kPsubq, dst, b, a);
  asm_.Float3(kPcmpeqd, kScratchXmm, a, b);
  asm_.Float3(kPand, dst, dst, kScratchXmm);
  asm_.Float3(kPcmpgtd, kScratchXmm, a, b);
  asm_.Float3(kPor, dst, dst, kScratchXmm);
  asm_.Float2(kPshufd, dst, dst, 0xf5);
}

// --- Shifts. Counts are modulo the lane's width, which the machine's are not.

namespace {

struct Shift {
  uint32_t bits;
  VectorOp op;
};

constexpr Shift ShiftOf(Opcode op) {
  switch (op) {
    case Opcode::kI16x8Shl:
      return {16, kPsllw};
    case Opcode::kI16x8ShrS:
      return {16, kPsraw};
    case Opcode::kI16x8ShrU:
      return {16, kPsrlw};
    case Opcode::kI32x4Shl:
      return {32, kPslld};
    case Opcode::kI32x4ShrS:
      return {32, kPsrad};
    case Opcode::kI32x4ShrU:
      return {32, kPsrld};
    case Opcode::kI64x2Shl:
      return {64, kPsllq};
    case Opcode::kI64x2ShrS:
    case Opcode::kI64x2ShrU:
      return {64, kPsrlq};
    default:
      return {8, kNoVectorOp};
  }
}

constexpr V128 Bytes(uint32_t byte) {
  return Words(uint64_t{byte & 0xff} * uint64_t{0x0101'0101'0101'0101});
}

}  // namespace

// Into kScratchXmm.
void FunctionCompiler::LoadShiftCount(Reg count, uint32_t mask, int32_t more) {
  asm_.Move(kScratch, count, false);
  asm_.AluImmediate(Alu::kAnd, false, kScratch, static_cast<int32_t>(mask));
  if (more != 0) {
    asm_.AluImmediate(Alu::kAdd, false, kScratch, more);
  }
  asm_.MoveToVector(kScratchXmm, kScratch, false);
}

void FunctionCompiler::VectorShift(Opcode op) {
  const Shift how = ShiftOf(op);
  Value count = Pop();
  Value vector = Pop();
  const bool is_constant = count.is_const();
  const uint32_t bits = static_cast<uint32_t>(count.bits) & (how.bits - 1);
  if (is_constant && bits == 0) {
    PushVector(ToWritable(vector));
    return;
  }
  const Reg count_reg = is_constant ? kNoReg : ToReg(count);
  if (how.bits == 8) {
    VectorShift8(op, vector, bits, count_reg);
    return;
  }
  const Reg hint = Hint(Kind::kV128, AfterVector(), &vector);
  const Reg src = ToReg(vector);
  const Reg dst = vector.is_dying ? src : AllocFor(Kind::kV128, hint);
  const bool is_arithmetic64 = op == Opcode::kI64x2ShrS;
  constexpr V128 kSign64 = Words(uint64_t{1} << 63);
  if (is_constant) {
    asm_.ShiftLanes(how.op, dst, src, static_cast<int>(bits));
    if (is_arithmetic64) {
      // (x ^ m) - m extends the sign from where m has its bit.
      const V128 sign = Words(kSign64.lo >> bits);
      asm_.Float3Constant(kPxor, dst, dst, sign);
      asm_.Float3Constant(kPsubq, dst, dst, sign);
    }
    PushVector(dst);
    return;
  }
  LoadShiftCount(count_reg, how.bits - 1, 0);
  asm_.Float3(how.op, dst, src, kScratchXmm);
  if (is_arithmetic64) {
    const Reg sign = NewVector();
    asm_.Load(Kind::kV128, sign, Mem::Constant(asm_.Constant128(kSign64.lo, kSign64.hi)));
    asm_.Float3(kPsrlq, sign, sign, kScratchXmm);
    asm_.Float3(kPxor, dst, dst, sign);
    asm_.Float3(kPsubq, dst, dst, sign);
  }
  PushVector(dst);
}

// The machine shifts no bytes. Left: as words, without what comes from the byte below. Right: each
// byte doubled to a word, which is shifted by eight more and packed again. `count` is kNoReg where
// the count is the constant.
void FunctionCompiler::VectorShift8(Opcode op, Value& vector, uint32_t constant_count, Reg count) {
  const bool is_constant = count == kNoReg;
  const auto bits = static_cast<int>(constant_count);
  const Reg src = ToReg(vector);
  const Reg dst = vector.is_dying ? src : NewVector();
  if (op == Opcode::kI8x16Shl) {
    if (is_constant) {
      asm_.ShiftLanes(kPsllw, dst, src, bits);
      asm_.Float3Constant(kPand, dst, dst, Bytes(0xffu << bits));
    } else {
      LoadShiftCount(count, 7, 0);
      asm_.Float3(kPsllw, dst, src, kScratchXmm);
      const Reg mask = NewVector();
      asm_.Load(Kind::kV128, mask, Mem::Constant(asm_.Constant128(kAllOnes.lo, kAllOnes.hi)));
      asm_.Float3(kPsllw, mask, mask, kScratchXmm);
      BroadcastLow(1, mask);
      asm_.Float3(kPand, dst, dst, mask);
    }
    PushVector(dst);
    return;
  }
  if (is_constant && op == Opcode::kI8x16ShrU) {
    asm_.ShiftLanes(kPsrlw, dst, src, bits);
    asm_.Float3Constant(kPand, dst, dst, Bytes(0xffu >> bits));
    PushVector(dst);
    return;
  }
  const bool is_signed = op == Opcode::kI8x16ShrS;
  const Reg high = NewVector();
  asm_.Float3(kPunpckhbw, high, src, src);
  asm_.Float3(kPunpcklbw, dst, src, src);
  const VectorOp& shift = is_signed ? kPsraw : kPsrlw;
  if (is_constant) {
    asm_.ShiftLanes(shift, high, high, 8 + bits);
    asm_.ShiftLanes(shift, dst, dst, 8 + bits);
  } else {
    LoadShiftCount(count, 7, 8);
    asm_.Float3(shift, high, high, kScratchXmm);
    asm_.Float3(shift, dst, dst, kScratchXmm);
  }
  asm_.Float3(is_signed ? kPacksswb : kPackuswb, dst, dst, high);
  PushVector(dst);
}

// --- Tests.

void FunctionCompiler::VectorTest(Opcode op) {
  const bool avx = asm_.has_avx();
  Value value = Pop();
  const Reg src = ToReg(value);
  const uint32_t next = AfterVector();
  const auto test = [&](Reg reg) {
    asm_.Op(avx ? Inst::kIdVptest : Inst::kIdPtest, Assembler::X(reg), Assembler::X(reg));
  };
  const auto all_true = [&](uint32_t lane) {
    const Reg zero = NewVector();
    asm_.LoadConstant(Kind::kF64, zero, 0);
    asm_.Float3(kEqual[lane], zero, zero, src);
    test(zero);
    PushCondition(Cond::kE, next);
  };
  const auto bitmask = [&](InstId sse, InstId vex, Reg reg) {
    const Reg dst = Alloc(kGeneralRegs, Hint(Kind::kI32, next));
    asm_.Op(avx ? vex : sse, Assembler::R32(dst), Assembler::X(reg));
    return dst;
  };
  switch (op) {
    case Opcode::kV128AnyTrue:
      test(src);
      PushCondition(Cond::kNE, next);
      return;
    case Opcode::kI8x16AllTrue:
      all_true(0);
      return;
    case Opcode::kI16x8AllTrue:
      all_true(1);
      return;
    case Opcode::kI32x4AllTrue:
      all_true(2);
      return;
    case Opcode::kI64x2AllTrue:
      all_true(3);
      return;
    case Opcode::kI8x16Bitmask:
      PushReg(Kind::kI32, bitmask(Inst::kIdPmovmskb, Inst::kIdVpmovmskb, src));
      return;
    case Opcode::kI16x8Bitmask: {
      // Signs survive the narrowing; the upper half of the mask is the same again.
      asm_.Float3(kPacksswb, kScratchXmm, src, src);
      const Reg dst = bitmask(Inst::kIdPmovmskb, Inst::kIdVpmovmskb, kScratchXmm);
      asm_.AluImmediate(Alu::kAnd, false, dst, 0xff);
      PushReg(Kind::kI32, dst);
      return;
    }
    case Opcode::kI32x4Bitmask:
      PushReg(Kind::kI32, bitmask(Inst::kIdMovmskps, Inst::kIdVmovmskps, src));
      return;
    case Opcode::kI64x2Bitmask:
      PushReg(Kind::kI32, bitmask(Inst::kIdMovmskpd, Inst::kIdVmovmskpd, src));
      return;
    default:
      WASMD_UNREACHABLE();
  }
}

// --- Arithmetic of several instructions.

void FunctionCompiler::VectorNegate(const VectorOp& subtract) {
  Value value = Pop();
  const Reg src = ToReg(value);
  const Reg dst = AllocFor(Kind::kV128, Hint(Kind::kV128, AfterVector()));
  asm_.LoadConstant(Kind::kF64, dst, 0);
  asm_.Float3(subtract, dst, dst, src);
  PushVector(dst);
}

void FunctionCompiler::VectorAbs64() {
  const auto [src, dst] = PopVector();
  // All ones where it is negative.
  asm_.Float2(kPshufd, kScratchXmm, src, 0xf5);
  asm_.ShiftLanes(kPsrad, kScratchXmm, kScratchXmm, 31);
  asm_.Float3(kPxor, dst, src, kScratchXmm);
  asm_.Float3(kPsubq, dst, dst, kScratchXmm);
  PushVector(dst);
}

// The counts of both halves of each byte, from a table in a register.
void FunctionCompiler::VectorPopcount() {
  constexpr V128 kCounts = {0x0302'0201'0201'0100, 0x0403'0302'0302'0201};
  constexpr V128 kLowHalves = Bytes(0x0f);
  const auto [src, dst] = PopVector();
  const Reg low = NewVector();
  const Reg table = NewVector();
  asm_.Load(Kind::kV128, table, Mem::Constant(asm_.Constant128(kCounts.lo, kCounts.hi)));
  asm_.ShiftLanes(kPsrlw, kScratchXmm, src, 4);
  asm_.Float3Constant(kPand, kScratchXmm, kScratchXmm, kLowHalves);
  asm_.Float3Constant(kPand, dst, src, kLowHalves);
  asm_.Float3(kPshufb, low, table, dst);
  asm_.Float3(kPshufb, table, table, kScratchXmm);
  asm_.Float3(kPaddb, dst, low, table);
  PushVector(dst);
}

void FunctionCompiler::VectorExtend(const VectorOp& op, bool is_high) {
  auto [src, dst] = PopVector();
  if (is_high) {
    asm_.Float2(kPshufd, dst, src, 0xee);
    src = dst;
  }
  asm_.Float2(op, dst, src);
  PushVector(dst);
}

void FunctionCompiler::VectorExtendAdd(Opcode op) {
  constexpr V128 kByteOnes = Bytes(1);
  constexpr V128 kWordOnes = Words(0x0001'0001'0001'0001);
  const auto [src, dst] = PopVector();
  switch (op) {
    case Opcode::kI16x8ExtaddPairwiseI8x16S:
      // pmaddubsw takes its first operand as unsigned.
      asm_.Load(Kind::kV128, kScratchXmm,
                Mem::Constant(asm_.Constant128(kByteOnes.lo, kByteOnes.hi)));
      asm_.Float3(kPmaddubsw, dst, kScratchXmm, src);
      break;
    case Opcode::kI16x8ExtaddPairwiseI8x16U:
      asm_.Float3Constant(kPmaddubsw, dst, src, kByteOnes);
      break;
    case Opcode::kI32x4ExtaddPairwiseI16x8S:
      asm_.Float3Constant(kPmaddwd, dst, src, kWordOnes);
      break;
    default:
      // As signed numbers, less 2^15 each.
      asm_.Float3Constant(kPxor, dst, src, Words(0x8000'8000'8000'8000));
      asm_.Float3Constant(kPmaddwd, dst, dst, kWordOnes);
      asm_.Float3Constant(kPaddd, dst, dst, Words(0x0001'0000'0001'0000));
      break;
  }
  PushVector(dst);
}

void FunctionCompiler::VectorExtendMultiply(Opcode op) {
  const VectorOperands operands = PopVectors();
  const Reg a = operands.a;
  const Reg b = operands.b;
  const Reg dst = operands.dst;
  const auto bytes = [&](const VectorOp& extend, bool is_high) {
    Reg x = a;
    Reg y = b;
    if (is_high) {
      asm_.Float2(kPshufd, dst, a, 0xee);
      asm_.Float2(kPshufd, kScratchXmm, b, 0xee);
      x = dst;
      y = kScratchXmm;
    }
    asm_.Float2(extend, dst, x);
    asm_.Float2(extend, kScratchXmm, y);
    asm_.Float3(kPmullw, dst, dst, kScratchXmm);
  };
  const auto words = [&](const VectorOp& high_half, const VectorOp& unpack) {
    asm_.Float3(high_half, kScratchXmm, a, b);
    asm_.Float3(kPmullw, dst, a, b);
    asm_.Float3(unpack, dst, dst, kScratchXmm);
  };
  // Even lanes are what the machine multiplies.
  const auto doublewords = [&](const VectorOp& multiply, int lanes) {
    asm_.Float2(kPshufd, dst, a, lanes);
    asm_.Float2(kPshufd, kScratchXmm, b, lanes);
    asm_.Float3(multiply, dst, dst, kScratchXmm);
  };
  constexpr int kLowTwo = 0x50;
  constexpr int kHighTwo = 0xfa;
  switch (op) {
    case Opcode::kI16x8ExtmulLowI8x16S:
      bytes(kPmovsxbw, false);
      break;
    case Opcode::kI16x8ExtmulHighI8x16S:
      bytes(kPmovsxbw, true);
      break;
    case Opcode::kI16x8ExtmulLowI8x16U:
      bytes(kPmovzxbw, false);
      break;
    case Opcode::kI16x8ExtmulHighI8x16U:
      bytes(kPmovzxbw, true);
      break;
    case Opcode::kI32x4ExtmulLowI16x8S:
      words(kPmulhw, kPunpcklwd);
      break;
    case Opcode::kI32x4ExtmulHighI16x8S:
      words(kPmulhw, kPunpckhwd);
      break;
    case Opcode::kI32x4ExtmulLowI16x8U:
      words(kPmulhuw, kPunpcklwd);
      break;
    case Opcode::kI32x4ExtmulHighI16x8U:
      words(kPmulhuw, kPunpckhwd);
      break;
    case Opcode::kI64x2ExtmulLowI32x4S:
      doublewords(kPmuldq, kLowTwo);
      break;
    case Opcode::kI64x2ExtmulHighI32x4S:
      doublewords(kPmuldq, kHighTwo);
      break;
    case Opcode::kI64x2ExtmulLowI32x4U:
      doublewords(kPmuludq, kLowTwo);
      break;
    case Opcode::kI64x2ExtmulHighI32x4U:
      doublewords(kPmuludq, kHighTwo);
      break;
    default:
      WASMD_UNREACHABLE();
  }
  PushVector(dst);
}

// Both cross products, in the upper half, and the product of the lower halves.
void FunctionCompiler::VectorMultiply64() {
  const auto [a, b, dst] = PopVectors();
  asm_.ShiftLanes(kPsrlq, dst, a, 32);
  asm_.Float3(kPmuludq, dst, dst, b);
  asm_.ShiftLanes(kPsrlq, kScratchXmm, b, 32);
  asm_.Float3(kPmuludq, kScratchXmm, kScratchXmm, a);
  asm_.Float3(kPaddq, dst, dst, kScratchXmm);
  asm_.ShiftLanes(kPsllq, dst, dst, 32);
  asm_.Float3(kPmuludq, kScratchXmm, a, b);
  asm_.Float3(kPaddq, dst, dst, kScratchXmm);
  PushVector(dst);
}

// pmulhrsw is right but for -1 times -1, for which it gives -1. Spec: op-iq15mulrsat
void FunctionCompiler::VectorQ15(bool is_relaxed) {
  const auto [a, b, dst] = PopVectors();
  asm_.Float3(kPmulhrsw, dst, a, b);
  if (!is_relaxed) {
    asm_.Float3Constant(kPcmpeqw, kScratchXmm, dst, Words(0x8000'8000'8000'8000));
    asm_.Float3(kPxor, dst, dst, kScratchXmm);
  }
  PushVector(dst);
}

// pshufb gives zero where the index's top bit is set, and takes it modulo 16 elsewhere.
void FunctionCompiler::VectorSwizzle(bool is_relaxed) {
  auto [a, indices, dst] = PopVectorsOnce();
  if (!is_relaxed) {
    // From 16 on, the sum is at least 0x80.
    asm_.Float3Constant(kPaddusb, kScratchXmm, indices, Bytes(0x70));
    indices = kScratchXmm;
  }
  asm_.Float3(kPshufb, dst, a, indices);
  PushVector(dst);
}

// ((a ^ b) & mask) ^ b. A relaxed selection may go by the top bit of each lane, as AVX's does.
void FunctionCompiler::VectorSelect(Opcode op) {
  Value mask_value = Pop();
  Value b_value = Pop();
  Value a_value = Pop();
  const Reg mask = ToReg(mask_value);
  const Reg b = ToReg(b_value);
  const Reg a = ToReg(a_value);
  const Reg dst = AllocFor(Kind::kV128, Hint(Kind::kV128, AfterVector()));
  InstId blend = Inst::kIdNone;
  if (asm_.has_avx() && !options_.deterministic_relaxed_simd) {
    if (op == Opcode::kI8x16RelaxedLaneselect) {
      blend = Inst::kIdVpblendvb;
    } else if (op == Opcode::kI32x4RelaxedLaneselect) {
      blend = Inst::kIdVblendvps;
    } else if (op == Opcode::kI64x2RelaxedLaneselect) {
      blend = Inst::kIdVblendvpd;
    }
  }
  if (blend != Inst::kIdNone) {
    asm_.Op(blend, Assembler::X(dst), Assembler::X(b), Assembler::X(a), Assembler::X(mask));
  } else {
    asm_.Float3(kPxor, dst, a, b);
    asm_.Float3(kPand, dst, dst, mask);
    asm_.Float3(kPxor, dst, dst, b);
  }
  PushVector(dst);
}

// Products of signed bytes and bytes that are not negative, added in pairs, in fours where `adds`.
// pmaddubsw takes the second as unsigned; otherwise both are signed, and the sum saturates.
void FunctionCompiler::VectorDot(bool adds) {
  constexpr V128 kWordOnes = Words(0x0001'0001'0001'0001);
  Value sum;
  if (adds) {
    sum = Pop();
    ToReg(sum);
  }
  const auto [a, b, dst] = PopVectors();
  if (!options_.deterministic_relaxed_simd) {
    asm_.Float3(kPmaddubsw, dst, b, a);
  } else {
    const Reg high = NewVector();
    asm_.Float2(kPshufd, high, a, 0xee);
    asm_.Float2(kPshufd, kScratchXmm, b, 0xee);
    asm_.Float2(kPmovsxbw, high, high);
    asm_.Float2(kPmovsxbw, kScratchXmm, kScratchXmm);
    asm_.Float3(kPmaddwd, high, high, kScratchXmm);
    asm_.Float2(kPmovsxbw, dst, a);
    asm_.Float2(kPmovsxbw, kScratchXmm, b);
    asm_.Float3(kPmaddwd, dst, dst, kScratchXmm);
    asm_.Float3(kPackssdw, dst, dst, high);
  }
  if (adds) {
    asm_.Float3Constant(kPmaddwd, dst, dst, kWordOnes);
    asm_.Float3(kPaddd, dst, dst, sum.reg);
  }
  PushVector(dst);
}

}  // namespace wasmd::engine::baseline
