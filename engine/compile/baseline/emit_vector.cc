// Vector instructions: those that are one of the machine's, and where the others are.
//
// Nearly every binary one is an instruction of the machine: SimpleBinary has them. The others are
// short sequences over the operands' registers, kScratchXmm and one or two more.
#include <cstdint>

#include "engine/compile/baseline/function_compiler_inl.h"
#include "engine/compile/baseline/vector_instructions.h"

namespace wasmd::engine::baseline {
namespace {

constexpr V128 Words(uint64_t word) {
  return {word, word};
}
constexpr V128 kAllOnes = Words(UINT64_MAX);

}  // namespace

// --- Binary ones.

FunctionCompiler::VectorBinary FunctionCompiler::SimpleBinary(Opcode op) {
  // Predicates of cmpps.
  constexpr int kEq = 0;
  constexpr int kLt = 1;
  constexpr int kLe = 2;
  constexpr int kNe = 4;
  switch (op) {
    case Opcode::kI8x16Eq:
      return {kPcmpeqb};
    case Opcode::kI8x16GtS:
      return {kPcmpgtb};
    case Opcode::kI8x16LtS:
      return {kPcmpgtb, true};
    case Opcode::kI16x8Eq:
      return {kPcmpeqw};
    case Opcode::kI16x8GtS:
      return {kPcmpgtw};
    case Opcode::kI16x8LtS:
      return {kPcmpgtw, true};
    case Opcode::kI32x4Eq:
      return {kPcmpeqd};
    case Opcode::kI32x4GtS:
      return {kPcmpgtd};
    case Opcode::kI32x4LtS:
      return {kPcmpgtd, true};
    case Opcode::kI64x2Eq:
      return {kPcmpeqq};
    case Opcode::kF32x4Eq:
      return {kCmpps, false, kEq};
    case Opcode::kF32x4Ne:
      return {kCmpps, false, kNe};
    case Opcode::kF32x4Lt:
      return {kCmpps, false, kLt};
    case Opcode::kF32x4Gt:
      return {kCmpps, true, kLt};
    case Opcode::kF32x4Le:
      return {kCmpps, false, kLe};
    case Opcode::kF32x4Ge:
      return {kCmpps, true, kLe};
    case Opcode::kF64x2Eq:
      return {kCmppd, false, kEq};
    case Opcode::kF64x2Ne:
      return {kCmppd, false, kNe};
    case Opcode::kF64x2Lt:
      return {kCmppd, false, kLt};
    case Opcode::kF64x2Gt:
      return {kCmppd, true, kLt};
    case Opcode::kF64x2Le:
      return {kCmppd, false, kLe};
    case Opcode::kF64x2Ge:
      return {kCmppd, true, kLe};
    case Opcode::kV128And:
      return {kPand};
    case Opcode::kV128Andnot:
      return {kPandn, true};
    case Opcode::kV128Or:
      return {kPor};
    case Opcode::kV128Xor:
      return {kPxor};
    case Opcode::kI8x16NarrowI16x8S:
      return {kPacksswb};
    case Opcode::kI8x16NarrowI16x8U:
      return {kPackuswb};
    case Opcode::kI16x8NarrowI32x4S:
      return {kPackssdw};
    case Opcode::kI16x8NarrowI32x4U:
      return {kPackusdw};
    case Opcode::kI8x16Add:
      return {kPaddb};
    case Opcode::kI8x16AddSatS:
      return {kPaddsb};
    case Opcode::kI8x16AddSatU:
      return {kPaddusb};
    case Opcode::kI8x16Sub:
      return {kPsubb};
    case Opcode::kI8x16SubSatS:
      return {kPsubsb};
    case Opcode::kI8x16SubSatU:
      return {kPsubusb};
    case Opcode::kI8x16MinS:
      return {kPminsb};
    case Opcode::kI8x16MinU:
      return {kPminub};
    case Opcode::kI8x16MaxS:
      return {kPmaxsb};
    case Opcode::kI8x16MaxU:
      return {kPmaxub};
    case Opcode::kI8x16AvgrU:
      return {kPavgb};
    case Opcode::kI16x8Add:
      return {kPaddw};
    case Opcode::kI16x8AddSatS:
      return {kPaddsw};
    case Opcode::kI16x8AddSatU:
      return {kPaddusw};
    case Opcode::kI16x8Sub:
      return {kPsubw};
    case Opcode::kI16x8SubSatS:
      return {kPsubsw};
    case Opcode::kI16x8SubSatU:
      return {kPsubusw};
    case Opcode::kI16x8Mul:
      return {kPmullw};
    case Opcode::kI16x8MinS:
      return {kPminsw};
    case Opcode::kI16x8MinU:
      return {kPminuw};
    case Opcode::kI16x8MaxS:
      return {kPmaxsw};
    case Opcode::kI16x8MaxU:
      return {kPmaxuw};
    case Opcode::kI16x8AvgrU:
      return {kPavgw};
    case Opcode::kI32x4Add:
      return {kPaddd};
    case Opcode::kI32x4Sub:
      return {kPsubd};
    case Opcode::kI32x4Mul:
      return {kPmulld};
    case Opcode::kI32x4MinS:
      return {kPminsd};
    case Opcode::kI32x4MinU:
      return {kPminud};
    case Opcode::kI32x4MaxS:
      return {kPmaxsd};
    case Opcode::kI32x4MaxU:
      return {kPmaxud};
    case Opcode::kI32x4DotI16x8S:
      return {kPmaddwd};
    case Opcode::kI64x2Add:
      return {kPaddq};
    case Opcode::kI64x2Sub:
      return {kPsubq};
    case Opcode::kF32x4Add:
      return {kAddps};
    case Opcode::kF32x4Sub:
      return {kSubps};
    case Opcode::kF32x4Mul:
      return {kMulps};
    case Opcode::kF32x4Div:
      return {kDivps};
    case Opcode::kF64x2Add:
      return {kAddpd};
    case Opcode::kF64x2Sub:
      return {kSubpd};
    case Opcode::kF64x2Mul:
      return {kMulpd};
    case Opcode::kF64x2Div:
      return {kDivpd};
    // The machine's give the second operand for NaN and for zeros of two signs.
    case Opcode::kF32x4Pmin:
      return {kMinps, true};
    case Opcode::kF32x4Pmax:
      return {kMaxps, true};
    case Opcode::kF64x2Pmin:
      return {kMinpd, true};
    case Opcode::kF64x2Pmax:
      return {kMaxpd, true};
    default:
      return {kNoVectorOp};
  }
}

bool FunctionCompiler::FoldsVectorLoad(uint32_t next_offset) const {
  // Only AVX takes memory of any alignment.
  if (!asm_.has_avx() || ByteAt(next_offset) != 0xfd) {
    return false;
  }
  uint32_t code = 0;
  for (uint32_t shift = 0; shift < 14; shift += 7) {
    const uint8_t byte = ByteAt(++next_offset);
    code |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      const VectorBinary next = SimpleBinary(static_cast<Opcode>(0xfd'0000 | code));
      return static_cast<bool>(next) && !next.swaps && next.immediate < 0;
    }
  }
  return false;
}

void FunctionCompiler::EmitVectorBinary(const VectorBinary& how) {
  const VectorOp& op = how.op;
  Value rhs = Pop();
  Value lhs = Pop();
  if (how.swaps || (op.commutes && !lhs.is_reg() && rhs.is_reg())) {
    std::swap(lhs, rhs);
  }
  const Reg hint = Hint(Kind::kV128, AfterVector(), &lhs, &rhs);
  const Reg a = ToReg(lhs);
  const bool from_memory =
      how.immediate < 0 && (rhs.is_const() || (rhs.in_memory() && PrefersMemory(rhs)) ||
                            (rhs.where == EntryKind::kLoad && asm_.has_avx()));
  if (!from_memory) {
    ToReg(rhs);
  }
  Reg dst = a;
  if (!lhs.is_dying) {
    dst = rhs.is_reg() && rhs.is_dying && (asm_.has_avx() || op.commutes)
              ? rhs.reg
              : AllocFor(Kind::kV128, hint);
  }
  if (rhs.is_reg()) {
    how.immediate < 0 ? asm_.Float3(op, dst, a, rhs.reg)
                      : asm_.Float3(op, dst, a, rhs.reg, how.immediate);
  } else if (rhs.is_const()) {
    asm_.Float3(op, dst, a, Mem::Constant(static_cast<int32_t>(rhs.bits)), 16);
  } else if (rhs.where == EntryKind::kLoad) {
    PendingLoadSite();
    asm_.Float3(op, dst, a, pending_load_.mem, 16);
  } else {
    asm_.Float3(op, dst, a, MemOf(rhs), 16);
  }
  PushVector(dst);
}

// --- Operands of the others.

FunctionCompiler::VectorOperand FunctionCompiler::PopVector() {
  Value value = Pop();
  const Reg hint = Hint(Kind::kV128, AfterVector(), &value);
  const Reg src = ToReg(value);
  return {src, value.is_dying ? src : AllocFor(Kind::kV128, hint)};
}

FunctionCompiler::VectorOperands FunctionCompiler::PopVectors(uint32_t immediates) {
  Value rhs = Pop();
  Value lhs = Pop();
  const Reg b = ToReg(rhs);
  const Reg a = ToReg(lhs);
  return {a, b, AllocFor(Kind::kV128, Hint(Kind::kV128, AfterVector(immediates)))};
}

// Only AVX has a destination of its own.
Reg FunctionCompiler::ResultOf(Value& a, Value& b, uint32_t immediates) {
  const Reg hint = Hint(Kind::kV128, AfterVector(immediates), &a, &b);
  if (asm_.has_avx() && a.is_dying) {
    return a.reg;
  }
  return asm_.has_avx() && b.is_dying ? b.reg : AllocFor(Kind::kV128, hint);
}

FunctionCompiler::VectorOperands FunctionCompiler::PopVectorsOnce(uint32_t immediates) {
  Value rhs = Pop();
  Value lhs = Pop();
  const Reg b = ToReg(rhs);
  const Reg a = ToReg(lhs);
  // One register twice dies with the one popped last.
  return {a, b, ResultOf(lhs, rhs, immediates)};
}

void FunctionCompiler::EmitVectorUnary(const VectorOp& op, int immediate) {
  const auto [src, dst] = PopVector();
  immediate < 0 ? asm_.Float2(op, dst, src) : asm_.Float2(op, dst, src, immediate);
  PushVector(dst);
}

void FunctionCompiler::InvertVector(Reg reg) {
  asm_.Float3Constant(kPxor, reg, reg, kAllOnes);
}

// --- Dispatch.

void FunctionCompiler::OnVector(Opcode op) {
  if (const VectorBinary simple = SimpleBinary(op)) {
    EmitVectorBinary(simple);
    return;
  }
  if (VectorFloat(op)) {
    return;
  }
  switch (op) {
    case Opcode::kI8x16Splat:
    case Opcode::kI16x8Splat:
    case Opcode::kI32x4Splat:
    case Opcode::kI64x2Splat:
    case Opcode::kF32x4Splat:
    case Opcode::kF64x2Splat:
      VectorSplat(op);
      break;
    case Opcode::kI8x16Swizzle:
      VectorSwizzle(false);
      break;
    case Opcode::kI8x16RelaxedSwizzle:
      VectorSwizzle(!options_.deterministic_relaxed_simd);
      break;
    case Opcode::kI8x16Ne:
    case Opcode::kI8x16LtU:
    case Opcode::kI8x16GtU:
    case Opcode::kI8x16LeS:
    case Opcode::kI8x16LeU:
    case Opcode::kI8x16GeS:
    case Opcode::kI8x16GeU:
    case Opcode::kI16x8Ne:
    case Opcode::kI16x8LtU:
    case Opcode::kI16x8GtU:
    case Opcode::kI16x8LeS:
    case Opcode::kI16x8LeU:
    case Opcode::kI16x8GeS:
    case Opcode::kI16x8GeU:
    case Opcode::kI32x4Ne:
    case Opcode::kI32x4LtU:
    case Opcode::kI32x4GtU:
    case Opcode::kI32x4LeS:
    case Opcode::kI32x4LeU:
    case Opcode::kI32x4GeS:
    case Opcode::kI32x4GeU:
    case Opcode::kI64x2Ne:
    case Opcode::kI64x2LtS:
    case Opcode::kI64x2GtS:
    case Opcode::kI64x2LeS:
    case Opcode::kI64x2GeS:
      VectorCompare(op);
      break;
    case Opcode::kV128Not: {
      const auto [src, dst] = PopVector();
      asm_.Float3Constant(kPxor, dst, src, kAllOnes);
      PushVector(dst);
      break;
    }
    case Opcode::kV128Bitselect:
    case Opcode::kI8x16RelaxedLaneselect:
    case Opcode::kI16x8RelaxedLaneselect:
    case Opcode::kI32x4RelaxedLaneselect:
    case Opcode::kI64x2RelaxedLaneselect:
      VectorSelect(op);
      break;
    case Opcode::kV128AnyTrue:
    case Opcode::kI8x16AllTrue:
    case Opcode::kI16x8AllTrue:
    case Opcode::kI32x4AllTrue:
    case Opcode::kI64x2AllTrue:
    case Opcode::kI8x16Bitmask:
    case Opcode::kI16x8Bitmask:
    case Opcode::kI32x4Bitmask:
    case Opcode::kI64x2Bitmask:
      VectorTest(op);
      break;
    case Opcode::kI8x16Abs:
      EmitVectorUnary(kPabsb);
      break;
    case Opcode::kI16x8Abs:
      EmitVectorUnary(kPabsw);
      break;
    case Opcode::kI32x4Abs:
      EmitVectorUnary(kPabsd);
      break;
    case Opcode::kI64x2Abs:
      VectorAbs64();
      break;
    case Opcode::kI8x16Neg:
      VectorNegate(kPsubb);
      break;
    case Opcode::kI16x8Neg:
      VectorNegate(kPsubw);
      break;
    case Opcode::kI32x4Neg:
      VectorNegate(kPsubd);
      break;
    case Opcode::kI64x2Neg:
      VectorNegate(kPsubq);
      break;
    case Opcode::kI8x16Popcnt:
      VectorPopcount();
      break;
    case Opcode::kI8x16Shl:
    case Opcode::kI8x16ShrS:
    case Opcode::kI8x16ShrU:
    case Opcode::kI16x8Shl:
    case Opcode::kI16x8ShrS:
    case Opcode::kI16x8ShrU:
    case Opcode::kI32x4Shl:
    case Opcode::kI32x4ShrS:
    case Opcode::kI32x4ShrU:
    case Opcode::kI64x2Shl:
    case Opcode::kI64x2ShrS:
    case Opcode::kI64x2ShrU:
      VectorShift(op);
      break;
    case Opcode::kI16x8ExtaddPairwiseI8x16S:
    case Opcode::kI16x8ExtaddPairwiseI8x16U:
    case Opcode::kI32x4ExtaddPairwiseI16x8S:
    case Opcode::kI32x4ExtaddPairwiseI16x8U:
      VectorExtendAdd(op);
      break;
    case Opcode::kI16x8Q15mulrSatS:
      VectorQ15(false);
      break;
    case Opcode::kI16x8RelaxedQ15mulrS:
      VectorQ15(!options_.deterministic_relaxed_simd);
      break;
    case Opcode::kI16x8ExtendLowI8x16S:
      VectorExtend(kPmovsxbw, false);
      break;
    case Opcode::kI16x8ExtendHighI8x16S:
      VectorExtend(kPmovsxbw, true);
      break;
    case Opcode::kI16x8ExtendLowI8x16U:
      VectorExtend(kPmovzxbw, false);
      break;
    case Opcode::kI16x8ExtendHighI8x16U:
      VectorExtend(kPmovzxbw, true);
      break;
    case Opcode::kI32x4ExtendLowI16x8S:
      VectorExtend(kPmovsxwd, false);
      break;
    case Opcode::kI32x4ExtendHighI16x8S:
      VectorExtend(kPmovsxwd, true);
      break;
    case Opcode::kI32x4ExtendLowI16x8U:
      VectorExtend(kPmovzxwd, false);
      break;
    case Opcode::kI32x4ExtendHighI16x8U:
      VectorExtend(kPmovzxwd, true);
      break;
    case Opcode::kI64x2ExtendLowI32x4S:
      VectorExtend(kPmovsxdq, false);
      break;
    case Opcode::kI64x2ExtendHighI32x4S:
      VectorExtend(kPmovsxdq, true);
      break;
    case Opcode::kI64x2ExtendLowI32x4U:
      VectorExtend(kPmovzxdq, false);
      break;
    case Opcode::kI64x2ExtendHighI32x4U:
      VectorExtend(kPmovzxdq, true);
      break;
    case Opcode::kI16x8ExtmulLowI8x16S:
    case Opcode::kI16x8ExtmulHighI8x16S:
    case Opcode::kI16x8ExtmulLowI8x16U:
    case Opcode::kI16x8ExtmulHighI8x16U:
    case Opcode::kI32x4ExtmulLowI16x8S:
    case Opcode::kI32x4ExtmulHighI16x8S:
    case Opcode::kI32x4ExtmulLowI16x8U:
    case Opcode::kI32x4ExtmulHighI16x8U:
    case Opcode::kI64x2ExtmulLowI32x4S:
    case Opcode::kI64x2ExtmulHighI32x4S:
    case Opcode::kI64x2ExtmulLowI32x4U:
    case Opcode::kI64x2ExtmulHighI32x4U:
      VectorExtendMultiply(op);
      break;
    case Opcode::kI64x2Mul:
      VectorMultiply64();
      break;
    case Opcode::kI16x8RelaxedDotI8x16I7x16S:
      VectorDot(false);
      break;
    case Opcode::kI32x4RelaxedDotI8x16I7x16AddS:
      VectorDot(true);
      break;
    default:
      WASMD_UNREACHABLE();
  }
}

}  // namespace wasmd::engine::baseline
