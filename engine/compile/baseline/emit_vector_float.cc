// Vector instructions on float lanes: arithmetic, minima, conversions, and the relaxed ones.
#include <bit>
#include <cstdint>

#include "engine/compile/baseline/function_compiler_inl.h"
#include "engine/compile/baseline/vector_instructions.h"

namespace wasmd::engine::baseline {
namespace {

constexpr V128 Floats(float value) {
  const uint64_t bits = std::bit_cast<uint32_t>(value);
  return {bits << 32 | bits, bits << 32 | bits};
}
constexpr V128 Doubles(double value) {
  return {std::bit_cast<uint64_t>(value), std::bit_cast<uint64_t>(value)};
}
constexpr V128 Words(uint64_t word) {
  return {word, word};
}

constexpr uint64_t kSigns32 = 0x8000'0000'8000'0000;
constexpr uint64_t kSign64 = uint64_t{1} << 63;

// Immediates of roundps: 8 keeps the inexact flag quiet.
constexpr int kNearest = 8;
constexpr int kFloor = 9;
constexpr int kCeil = 10;
constexpr int kTrunc = 11;

// Predicates of cmpps.
constexpr int kCompareEqual = 0;
constexpr int kCompareLessEqual = 2;
constexpr int kCompareUnordered = 3;

}  // namespace

// False: it is none of these.
bool FunctionCompiler::VectorFloat(Opcode op) {
  const auto bitwise = [this](const VectorOp& bit_op, V128 mask) {
    const auto [src, dst] = PopVector();
    asm_.Float3Constant(bit_op, dst, src, mask);
    PushVector(dst);
  };
  switch (op) {
    case Opcode::kF32x4Abs:
      bitwise(kAndps, Words(~kSigns32));
      return true;
    case Opcode::kF64x2Abs:
      bitwise(kAndpd, Words(~kSign64));
      return true;
    case Opcode::kF32x4Neg:
      bitwise(kXorps, Words(kSigns32));
      return true;
    case Opcode::kF64x2Neg:
      bitwise(kXorpd, Words(kSign64));
      return true;
    case Opcode::kF32x4Sqrt:
      EmitVectorUnary(kSqrtps);
      return true;
    case Opcode::kF64x2Sqrt:
      EmitVectorUnary(kSqrtpd);
      return true;
    case Opcode::kF32x4Ceil:
      EmitVectorUnary(kRoundps, kCeil);
      return true;
    case Opcode::kF32x4Floor:
      EmitVectorUnary(kRoundps, kFloor);
      return true;
    case Opcode::kF32x4Trunc:
      EmitVectorUnary(kRoundps, kTrunc);
      return true;
    case Opcode::kF32x4Nearest:
      EmitVectorUnary(kRoundps, kNearest);
      return true;
    case Opcode::kF64x2Ceil:
      EmitVectorUnary(kRoundpd, kCeil);
      return true;
    case Opcode::kF64x2Floor:
      EmitVectorUnary(kRoundpd, kFloor);
      return true;
    case Opcode::kF64x2Trunc:
      EmitVectorUnary(kRoundpd, kTrunc);
      return true;
    case Opcode::kF64x2Nearest:
      EmitVectorUnary(kRoundpd, kNearest);
      return true;
    case Opcode::kF32x4Min:
      VectorMinMax(true, false);
      return true;
    case Opcode::kF32x4Max:
      VectorMinMax(false, false);
      return true;
    case Opcode::kF64x2Min:
      VectorMinMax(true, true);
      return true;
    case Opcode::kF64x2Max:
      VectorMinMax(false, true);
      return true;
    case Opcode::kF32x4RelaxedMin:
      options_.deterministic_relaxed_simd ? VectorMinMax(true, false) : EmitVectorBinary({kMinps});
      return true;
    case Opcode::kF32x4RelaxedMax:
      options_.deterministic_relaxed_simd ? VectorMinMax(false, false) : EmitVectorBinary({kMaxps});
      return true;
    case Opcode::kF64x2RelaxedMin:
      options_.deterministic_relaxed_simd ? VectorMinMax(true, true) : EmitVectorBinary({kMinpd});
      return true;
    case Opcode::kF64x2RelaxedMax:
      options_.deterministic_relaxed_simd ? VectorMinMax(false, true) : EmitVectorBinary({kMaxpd});
      return true;
    case Opcode::kF32x4DemoteF64x2Zero:
      EmitVectorUnary(kCvtpd2ps);
      return true;
    case Opcode::kF64x2PromoteLowF32x4:
      EmitVectorUnary(kCvtps2pd);
      return true;
    case Opcode::kF32x4ConvertI32x4S:
      EmitVectorUnary(kCvtdq2ps);
      return true;
    case Opcode::kF64x2ConvertLowI32x4S:
      EmitVectorUnary(kCvtdq2pd);
      return true;
    case Opcode::kF32x4ConvertI32x4U:
    case Opcode::kF64x2ConvertLowI32x4U:
      VectorConvert(op);
      return true;
    // Relaxed, what is out of range may give the least integer, as the machine has it.
    case Opcode::kI32x4RelaxedTruncF32x4S:
      options_.deterministic_relaxed_simd ? VectorTruncate(Opcode::kI32x4TruncSatF32x4S)
                                          : EmitVectorUnary(kCvttps2dq);
      return true;
    case Opcode::kI32x4RelaxedTruncF64x2SZero:
      options_.deterministic_relaxed_simd ? VectorTruncate(Opcode::kI32x4TruncSatF64x2SZero)
                                          : EmitVectorUnary(kCvttpd2dq);
      return true;
    case Opcode::kI32x4TruncSatF32x4U:
    case Opcode::kI32x4RelaxedTruncF32x4U:
      VectorTruncateF32U();
      return true;
    case Opcode::kI32x4TruncSatF32x4S:
    case Opcode::kI32x4TruncSatF64x2SZero:
    case Opcode::kI32x4TruncSatF64x2UZero:
      VectorTruncate(op);
      return true;
    case Opcode::kI32x4RelaxedTruncF64x2UZero:
      VectorTruncate(Opcode::kI32x4TruncSatF64x2UZero);
      return true;
    case Opcode::kF32x4RelaxedMadd:
      VectorMultiplyAdd(false, false);
      return true;
    case Opcode::kF32x4RelaxedNmadd:
      VectorMultiplyAdd(false, true);
      return true;
    case Opcode::kF64x2RelaxedMadd:
      VectorMultiplyAdd(true, false);
      return true;
    case Opcode::kF64x2RelaxedNmadd:
      VectorMultiplyAdd(true, true);
      return true;
    default:
      return false;
  }
}

// x86's minimum gives its second operand for NaN and for zeros of either sign, so it is taken both
// ways round. Where the two differ one is NaN or both are zero; a canonical NaN comes out of any.
// Spec: op-fmin, op-fmax
void FunctionCompiler::VectorMinMax(bool is_min, bool is_f64) {
  const auto [a, b, dst] = PopVectors();
  const VectorOp& compare = is_f64 ? kCmppd : kCmpps;
  const Reg one = kScratchXmm;
  if (is_min) {
    const VectorOp& minimum = is_f64 ? kMinpd : kMinps;
    asm_.Float3(minimum, one, a, b);
    asm_.Float3(minimum, dst, b, a);
    // Negative if either is; NaN if either is.
    asm_.Float3(kOrps, one, one, dst);
    asm_.Float3(compare, dst, one, one, kCompareUnordered);
    asm_.Float3(kOrps, one, one, dst);
  } else {
    const VectorOp& maximum = is_f64 ? kMaxpd : kMaxps;
    asm_.Float3(maximum, one, a, b);
    asm_.Float3(maximum, dst, b, a);
    // The difference of zeros is their sign bit, which the subtraction takes out again: -0 - -0.
    asm_.Float3(kXorps, dst, dst, one);
    asm_.Float3(kOrps, one, one, dst);
    asm_.Float3(is_f64 ? kSubpd : kSubps, one, one, dst);
    asm_.Float3(compare, dst, one, one, kCompareUnordered);
  }
  // Nothing of a NaN's payload below its quiet bit.
  is_f64 ? asm_.ShiftLanes(kPsrlq, dst, dst, 13) : asm_.ShiftLanes(kPsrld, dst, dst, 10);
  asm_.Float3(kAndnps, dst, dst, one);
  PushVector(dst);
}

// Spec: op-trunc_sat_s, op-trunc_sat_u
void FunctionCompiler::VectorTruncate(Opcode op) {
  const auto [src, dst] = PopVector();
  switch (op) {
    case Opcode::kI32x4TruncSatF32x4S:
      // Zero for NaN; then what the machine makes the least integer, where the sign says no.
      asm_.Float3(kCmpps, kScratchXmm, src, src, kCompareEqual);
      asm_.Float3(kAndps, dst, src, kScratchXmm);
      asm_.Float3(kPxor, kScratchXmm, kScratchXmm, dst);
      asm_.Float2(kCvttps2dq, dst, dst);
      asm_.Float3(kPand, kScratchXmm, kScratchXmm, dst);
      asm_.ShiftLanes(kPsrad, kScratchXmm, kScratchXmm, 31);
      asm_.Float3(kPxor, dst, dst, kScratchXmm);
      break;
    case Opcode::kI32x4TruncSatF64x2SZero:
      // The minimum gives its second operand for NaN: zero there.
      asm_.Float3(kCmppd, kScratchXmm, src, src, kCompareEqual);
      asm_.Float3Constant(kAndpd, kScratchXmm, kScratchXmm, Doubles(2147483647.0));
      asm_.Float3(kMinpd, dst, src, kScratchXmm);
      asm_.Float2(kCvttpd2dq, dst, dst);
      break;
    default:
      // In range, then 2^52 is added: the integer is the lower half of the sum's bits.
      asm_.LoadConstant(Kind::kF64, kScratchXmm, 0);
      asm_.Float3(kMaxpd, dst, src, kScratchXmm);
      asm_.Float3Constant(kMinpd, dst, dst, Doubles(4294967295.0));
      asm_.Float2(kRoundpd, dst, dst, kTrunc);
      asm_.Float3Constant(kAddpd, dst, dst, Doubles(4503599627370496.0));
      asm_.Float3(kShufps, dst, dst, kScratchXmm, 0x88);
      break;
  }
  PushVector(dst);
}

// What is at least 2^31 is converted less 2^31, which makes it positive there and negative
// elsewhere; the machine's least integer, for what is out of range, is that 2^31.
void FunctionCompiler::VectorTruncateF32U() {
  constexpr float kTwo31 = 2147483648.0f;
  const auto [src, dst] = PopVector();
  const Reg rest = NewVector();
  const Reg beyond = NewVector();
  asm_.LoadConstant(Kind::kF64, kScratchXmm, 0);
  asm_.Float3(kMaxps, dst, src, kScratchXmm);
  asm_.Load(Kind::kV128, beyond,
            Mem::Constant(asm_.Constant128(Floats(kTwo31).lo, Floats(kTwo31).hi)));
  asm_.Float3(kSubps, rest, dst, beyond);
  asm_.Float3(kCmpps, beyond, beyond, rest, kCompareLessEqual);
  asm_.Float2(kCvttps2dq, rest, rest);
  // From 2^32 on: 2^31 - 1 instead of the least integer.
  asm_.Float3(kPxor, rest, rest, beyond);
  asm_.Float3(kPmaxsd, rest, rest, kScratchXmm);
  asm_.Float2(kCvttps2dq, dst, dst);
  asm_.Float3(kPaddd, dst, dst, rest);
  PushVector(dst);
}

void FunctionCompiler::VectorConvert(Opcode op) {
  const auto [src, dst] = PopVector();
  if (op == Opcode::kF64x2ConvertLowI32x4U) {
    // The upper half of 2^52 above each: exact, and 2^52 is taken away again.
    asm_.Float3Constant(kPunpckldq, dst, src, Words(0x4330'0000'4330'0000));
    asm_.Float3Constant(kSubpd, dst, dst, Doubles(4503599627370496.0));
    PushVector(dst);
    return;
  }
  // Both halves are exact as floats, so only their sum is rounded. The upper one is halved first:
  // it must not look negative.
  asm_.Float3Constant(kPand, kScratchXmm, src, Words(0x0000'ffff'0000'ffff));
  asm_.Float3(kPsubd, dst, src, kScratchXmm);
  asm_.Float2(kCvtdq2ps, kScratchXmm, kScratchXmm);
  asm_.ShiftLanes(kPsrld, dst, dst, 1);
  asm_.Float2(kCvtdq2ps, dst, dst);
  asm_.Float3(kAddps, dst, dst, dst);
  asm_.Float3(kAddps, dst, dst, kScratchXmm);
  PushVector(dst);
}

// One rounding where the machine can; two where it cannot, and where it shall be the same
// everywhere.
void FunctionCompiler::VectorMultiplyAdd(bool is_f64, bool negates) {
  Value c_value = Pop();
  Value b_value = Pop();
  Value a_value = Pop();
  const Reg c = ToReg(c_value);
  const Reg b = ToReg(b_value);
  const Reg a = ToReg(a_value);
  if (!asm_.features().fma || options_.deterministic_relaxed_simd) {
    const Reg dst = AllocFor(Kind::kV128, Hint(Kind::kV128, AfterVector()));
    asm_.Float3(is_f64 ? kMulpd : kMulps, kScratchXmm, a, b);
    if (negates) {
      asm_.Float3(is_f64 ? kSubpd : kSubps, dst, c, kScratchXmm);
    } else {
      asm_.Float3(is_f64 ? kAddpd : kAddps, dst, kScratchXmm, c);
    }
    PushVector(dst);
    return;
  }
  const Reg hint = Hint(Kind::kV128, AfterVector(), &c_value);
  // a = a * b + c where only a dies, else c = a * b + c.
  if (a_value.is_dying && !c_value.is_dying && a != b && a != c) {
    const InstId inst = is_f64 ? (negates ? Inst::kIdVfnmadd213pd : Inst::kIdVfmadd213pd)
                               : (negates ? Inst::kIdVfnmadd213ps : Inst::kIdVfmadd213ps);
    asm_.Op(inst, Assembler::X(a), Assembler::X(b), Assembler::X(c));
    PushVector(a);
    return;
  }
  Reg dst = c;
  if (!c_value.is_dying) {
    dst = AllocFor(Kind::kV128, hint);
    asm_.MoveFloat(dst, c);
  }
  const InstId inst = is_f64 ? (negates ? Inst::kIdVfnmadd231pd : Inst::kIdVfmadd231pd)
                             : (negates ? Inst::kIdVfnmadd231ps : Inst::kIdVfmadd231ps);
  asm_.Op(inst, Assembler::X(dst), Assembler::X(a), Assembler::X(b));
  PushVector(dst);
}

}  // namespace wasmd::engine::baseline
