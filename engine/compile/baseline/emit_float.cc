// Float arithmetic, comparisons and conversions.
#include <bit>

#include "engine/compile/baseline/function_compiler_inl.h"

namespace wasmd::engine::baseline {
namespace {

using FloatOp = Assembler::FloatOp;

// By kind: [0] f32, [1] f64.
constexpr FloatOp kAdd[] = {{Inst::kIdAddss, Inst::kIdVaddss, true},
                            {Inst::kIdAddsd, Inst::kIdVaddsd, true}};
constexpr FloatOp kSub[] = {{Inst::kIdSubss, Inst::kIdVsubss, false},
                            {Inst::kIdSubsd, Inst::kIdVsubsd, false}};
constexpr FloatOp kMul[] = {{Inst::kIdMulss, Inst::kIdVmulss, true},
                            {Inst::kIdMulsd, Inst::kIdVmulsd, true}};
constexpr FloatOp kDiv[] = {{Inst::kIdDivss, Inst::kIdVdivss, false},
                            {Inst::kIdDivsd, Inst::kIdVdivsd, false}};
constexpr FloatOp kMin[] = {{Inst::kIdMinss, Inst::kIdVminss, false},
                            {Inst::kIdMinsd, Inst::kIdVminsd, false}};
constexpr FloatOp kMax[] = {{Inst::kIdMaxss, Inst::kIdVmaxss, false},
                            {Inst::kIdMaxsd, Inst::kIdVmaxsd, false}};
constexpr FloatOp kAnd = {Inst::kIdAndps, Inst::kIdVandps, true};
constexpr FloatOp kOr = {Inst::kIdOrps, Inst::kIdVorps, true};
constexpr FloatOp kXor = {Inst::kIdXorps, Inst::kIdVxorps, true};

constexpr uint32_t IndexOf(Kind kind) {
  return kind == Kind::kF64 ? 1 : 0;
}
constexpr uint32_t SizeOf(Kind kind) {
  return kind == Kind::kF64 ? 8 : 4;
}

// Immediates of roundss: 8 keeps the inexact flag quiet.
constexpr int kNearest = 8;
constexpr int kFloor = 9;
constexpr int kCeil = 10;
constexpr int kTrunc = 11;

constexpr uint64_t BitsOf(Kind kind, double value) {
  return kind == Kind::kF64 ? std::bit_cast<uint64_t>(value)
                            : std::bit_cast<uint32_t>(static_cast<float>(value));
}

}  // namespace

Mem FunctionCompiler::FloatMask(Kind kind, bool sign_only) {
  const uint64_t sign = kind == Kind::kF64 ? uint64_t{1} << 63 : 0x8000'0000'8000'0000;
  const uint64_t bits = sign_only ? sign : ~sign;
  return Mem::Constant(asm_.Constant128(bits, bits));
}

void FunctionCompiler::FloatOperand(const FloatOp& op, Kind kind, Reg dst, Reg a, Value& b) {
  switch (b.where) {
    case EntryKind::kConst:
      if (b.bits != 0) {
        asm_.Float3(op, dst, a, Mem::Constant(asm_.Constant64(b.bits)), SizeOf(kind));
        return;
      }
      break;
    case EntryKind::kLoad:
      if (!asm_.has_avx() && dst != a) {
        asm_.MoveFloat(dst, a);
        a = dst;
      }
      PendingLoadSite();
      asm_.Float3(op, dst, a, pending_load_.mem, SizeOf(kind));
      return;
    case EntryKind::kSlot:
    case EntryKind::kLocal:
      if (PrefersMemory(b)) {
        asm_.Float3(op, dst, a, MemOf(b), SizeOf(kind));
        return;
      }
      break;
    case EntryKind::kReg:
    case EntryKind::kFlags:
    case EntryKind::kScaled:
      break;
  }
  asm_.Float3(op, dst, a, ToReg(b));
}

// lhs op rhs into a register of its own.
void FunctionCompiler::FloatArithmetic(const FloatOp& op, Kind kind) {
  Value rhs = Pop();
  Value lhs = Pop();
  const Reg hint = Hint(kind, offset_ + 1, &lhs, &rhs);
  const Reg a = ToReg(lhs);
  if (rhs.in_memory() && !PrefersMemory(rhs)) {
    ToReg(rhs);
  }
  Reg dst = a;
  if (!lhs.is_dying) {
    dst = rhs.is_reg() && rhs.is_dying && (asm_.has_avx() || op.commutes) ? rhs.reg
                                                                          : AllocFor(kind, hint);
  }
  FloatOperand(op, kind, dst, a, rhs);
  PushReg(kind, dst);
}

void FunctionCompiler::FloatBinary(Opcode op, Kind kind) {
  const uint32_t k = IndexOf(kind);
  switch (op) {
    case Opcode::kF32Add:
    case Opcode::kF64Add:
      FloatArithmetic(kAdd[k], kind);
      break;
    case Opcode::kF32Sub:
    case Opcode::kF64Sub:
      FloatArithmetic(kSub[k], kind);
      break;
    case Opcode::kF32Mul:
    case Opcode::kF64Mul:
      FloatArithmetic(kMul[k], kind);
      break;
    case Opcode::kF32Div:
    case Opcode::kF64Div:
      FloatArithmetic(kDiv[k], kind);
      break;
    case Opcode::kF32Min:
    case Opcode::kF64Min:
      FloatMinMax(true, kind);
      break;
    case Opcode::kF32Max:
    case Opcode::kF64Max:
      FloatMinMax(false, kind);
      break;
    case Opcode::kF32Copysign:
    case Opcode::kF64Copysign:
      FloatCopysign(kind);
      break;
    case Opcode::kF32Eq:
    case Opcode::kF64Eq:
      FloatCompare(Cond::kFloatEq, false, kind);
      break;
    case Opcode::kF32Ne:
    case Opcode::kF64Ne:
      FloatCompare(Cond::kFloatNe, false, kind);
      break;
    // "Above" is false where a NaN is; "below" would be true.
    case Opcode::kF32Lt:
    case Opcode::kF64Lt:
      FloatCompare(Cond::kA, true, kind);
      break;
    case Opcode::kF32Gt:
    case Opcode::kF64Gt:
      FloatCompare(Cond::kA, false, kind);
      break;
    case Opcode::kF32Le:
    case Opcode::kF64Le:
      FloatCompare(Cond::kAE, true, kind);
      break;
    case Opcode::kF32Ge:
    case Opcode::kF64Ge:
      FloatCompare(Cond::kAE, false, kind);
      break;
    default:
      WASMD_UNREACHABLE();
  }
}

void FunctionCompiler::Ucomis(Kind kind, Reg a, Value& b) {
  const bool is_f64 = kind == Kind::kF64;
  const InstId inst = asm_.has_avx() ? (is_f64 ? Inst::kIdVucomisd : Inst::kIdVucomiss)
                                     : (is_f64 ? Inst::kIdUcomisd : Inst::kIdUcomiss);
  Mem mem;
  if (b.is_const() && b.bits != 0) {
    mem = Mem::Constant(asm_.Constant64(b.bits));
  } else if (b.in_memory() && PrefersMemory(b)) {
    mem = MemOf(b);
  } else {
    asm_.Op(inst, Assembler::X(a), Assembler::X(ToReg(b)));
    return;
  }
  asm_.Op(inst, Assembler::X(a), Assembler::M(mem, SizeOf(kind)));
  asm_.NoteConstant(mem);
}

void FunctionCompiler::FloatCompare(Cond cond, bool swaps, Kind kind) {
  Value rhs = Pop();
  Value lhs = Pop();
  if (swaps) {
    std::swap(lhs, rhs);
  }
  const Reg a = ToReg(lhs);
  Ucomis(kind, a, rhs);
  PushCondition(cond);
}

// x86's min and max return the second operand for NaN and for zeros of either sign. Spec: op-fmin,
// op-fmax
void FunctionCompiler::FloatMinMax(bool is_min, Kind kind) {
  const uint32_t k = IndexOf(kind);
  Value rhs = Pop();
  Value lhs = Pop();
  const Reg b = ToReg(rhs);
  const Reg dst = ToWritable(lhs);
  Label differ;
  Label nan;
  Label done;
  Value other = rhs;
  Ucomis(kind, dst, other);
  asm_.JumpIf(Cond::kNE, differ);  // Ordered and different: unordered sets ZF.
  asm_.JumpIf(Cond::kP, nan);
  // Equal: the same, or zeros of two signs.
  asm_.Float3(is_min ? kOr : kAnd, dst, dst, b);
  asm_.Jump(done);
  asm_.Bind(nan);
  asm_.Float3(kAdd[k], dst, dst, b);
  asm_.Jump(done);
  asm_.Bind(differ);
  asm_.Float3(is_min ? kMin[k] : kMax[k], dst, dst, b);
  asm_.Bind(done);
  PushReg(kind, dst);
}

void FunctionCompiler::FloatCopysign(Kind kind) {
  Value rhs = Pop();
  Value lhs = Pop();
  const Reg sign = ToReg(rhs);
  const Reg dst = ToWritable(lhs);
  asm_.Float3(kAnd, kScratchXmm, sign, FloatMask(kind, true), 16);
  asm_.Float3(kAnd, dst, dst, FloatMask(kind, false), 16);
  asm_.Float3(kOr, dst, dst, kScratchXmm);
  PushReg(kind, dst);
}

void FunctionCompiler::FloatUnary(Opcode op, Kind kind) {
  const bool is_f64 = kind == Kind::kF64;
  const bool avx = asm_.has_avx();
  const auto round = [&](int mode) {
    Value value = Pop();
    const Reg hint = Hint(kind, offset_ + 1, &value);
    const Reg src = ToReg(value);
    const Reg dst = value.is_dying ? src : AllocFor(kind, hint);
    if (avx) {
      asm_.Op(is_f64 ? Inst::kIdVroundsd : Inst::kIdVroundss, Assembler::X(dst), Assembler::X(src),
              Assembler::X(src), Assembler::I(mode));
    } else {
      asm_.Op(is_f64 ? Inst::kIdRoundsd : Inst::kIdRoundss, Assembler::X(dst), Assembler::X(src),
              Assembler::I(mode));
    }
    PushReg(kind, dst);
  };
  // From one kind to another or the same, by one instruction whose AVX form merges into its second
  // operand.
  const auto convert = [&](Kind to, InstId sse, InstId vex) {
    Value value = Pop();
    const Reg hint = Hint(to, offset_ + 1, &value);
    const Reg src = ToReg(value);
    const Reg dst = value.is_dying ? src : AllocFor(to, hint);
    avx ? asm_.Op(vex, Assembler::X(dst), Assembler::X(src), Assembler::X(src))
        : asm_.Op(sse, Assembler::X(dst), Assembler::X(src));
    PushReg(to, dst);
  };
  const auto bitwise = [&](const FloatOp& bit_op, bool sign_only) {
    Value value = Pop();
    const Reg hint = Hint(kind, offset_ + 1, &value);
    const Reg src = ToReg(value);
    const Reg dst = value.is_dying ? src : AllocFor(kind, hint);
    asm_.Float3(bit_op, dst, src, FloatMask(kind, sign_only), 16);
    PushReg(kind, dst);
  };
  switch (op) {
    case Opcode::kF32Abs:
    case Opcode::kF64Abs:
      bitwise(kAnd, false);
      break;
    case Opcode::kF32Neg:
    case Opcode::kF64Neg:
      bitwise(kXor, true);
      break;
    case Opcode::kF32Ceil:
    case Opcode::kF64Ceil:
      round(kCeil);
      break;
    case Opcode::kF32Floor:
    case Opcode::kF64Floor:
      round(kFloor);
      break;
    case Opcode::kF32Trunc:
    case Opcode::kF64Trunc:
      round(kTrunc);
      break;
    case Opcode::kF32Nearest:
    case Opcode::kF64Nearest:
      round(kNearest);
      break;
    case Opcode::kF32Sqrt:
      convert(kind, Inst::kIdSqrtss, Inst::kIdVsqrtss);
      break;
    case Opcode::kF64Sqrt:
      convert(kind, Inst::kIdSqrtsd, Inst::kIdVsqrtsd);
      break;
    case Opcode::kF32DemoteF64:
      convert(Kind::kF32, Inst::kIdCvtsd2ss, Inst::kIdVcvtsd2ss);
      break;
    case Opcode::kF64PromoteF32:
      convert(Kind::kF64, Inst::kIdCvtss2sd, Inst::kIdVcvtss2sd);
      break;
    case Opcode::kI32ReinterpretF32:
    case Opcode::kI64ReinterpretF64: {
      Value value = Pop();
      const Kind to = is_f64 ? Kind::kI64 : Kind::kI32;
      if (value.is_const()) {
        PushConst(to, value.bits);
        break;
      }
      const Reg reg = AllocFor(to, Hint(to, offset_ + 1));
      if (value.in_memory()) {
        asm_.Load(to, reg, MemOf(value));
      } else if (is_f64) {
        asm_.Op(avx ? Inst::kIdVmovq : Inst::kIdMovq, Assembler::R64(reg),
                Assembler::X(ToReg(value)));
      } else {
        asm_.Op(avx ? Inst::kIdVmovd : Inst::kIdMovd, Assembler::R32(reg),
                Assembler::X(ToReg(value)));
      }
      PushReg(to, reg);
      break;
    }
    default:
      TruncateFloat(op, kind);
      break;
  }
}

// --- Conversions to integers. Spec: op-trunc_s, op-trunc_u, op-trunc_sat_s, op-trunc_sat_u

namespace {

struct Truncation {
  bool to_wide;
  bool is_signed;
  bool saturates;
};

constexpr Truncation TruncationOf(Opcode op) {
  switch (op) {
    case Opcode::kI32TruncF32S:
    case Opcode::kI32TruncF64S:
      return {false, true, false};
    case Opcode::kI32TruncF32U:
    case Opcode::kI32TruncF64U:
      return {false, false, false};
    case Opcode::kI64TruncF32S:
    case Opcode::kI64TruncF64S:
      return {true, true, false};
    case Opcode::kI64TruncF32U:
    case Opcode::kI64TruncF64U:
      return {true, false, false};
    case Opcode::kI32TruncSatF32S:
    case Opcode::kI32TruncSatF64S:
      return {false, true, true};
    case Opcode::kI32TruncSatF32U:
    case Opcode::kI32TruncSatF64U:
      return {false, false, true};
    case Opcode::kI64TruncSatF32S:
    case Opcode::kI64TruncSatF64S:
      return {true, true, true};
    case Opcode::kI64TruncSatF32U:
    case Opcode::kI64TruncSatF64U:
      return {true, false, true};
    default:
      WASMD_UNREACHABLE();
  }
}

constexpr bool IsF64Source(Opcode op) {
  switch (op) {
    case Opcode::kI32TruncF64S:
    case Opcode::kI32TruncF64U:
    case Opcode::kI64TruncF64S:
    case Opcode::kI64TruncF64U:
    case Opcode::kI32TruncSatF64S:
    case Opcode::kI32TruncSatF64U:
    case Opcode::kI64TruncSatF64S:
    case Opcode::kI64TruncSatF64U:
      return true;
    default:
      return false;
  }
}

}  // namespace

void FunctionCompiler::ConvertToWord(Kind from, Reg dst, Reg src) {
  const bool is_f64 = from == Kind::kF64;
  const InstId inst = asm_.has_avx() ? (is_f64 ? Inst::kIdVcvttsd2si : Inst::kIdVcvttss2si)
                                     : (is_f64 ? Inst::kIdCvttsd2si : Inst::kIdCvttss2si);
  asm_.Op(inst, Assembler::R64(dst), Assembler::X(src));
}

// The 64-bit conversion is right for every input but those beyond its range, for which it gives the
// least integer; what is beyond the type asked for, or the least integer itself, goes to the cold
// path.
void FunctionCompiler::TruncateFloat(Opcode op, Kind from) {
  const Truncation how = TruncationOf(op);
  Value value = Pop();
  const Kind to = how.to_wide ? Kind::kI64 : Kind::kI32;
  const Reg src = ToReg(value);
  const Reg dst = AllocFor(to, Hint(to, offset_ + 1));
  slow_paths_.push_back({.kind = SlowKind::kTruncate,
                         .op = op,
                         .src = src,
                         .dst = dst,
                         .wasm_offset = offset_ - body_offset_,
                         .entry = {},
                         .back = {}});
  SlowPath& path = slow_paths_.back();
  ConvertToWord(from, dst, src);
  if (!how.to_wide) {
    if (how.is_signed) {
      asm_.Op(Inst::kIdMovsxd, Assembler::R64(kScratch), Assembler::R32(dst));
    } else {
      asm_.ZeroExtend(kScratch, dst);
    }
    asm_.Op(Inst::kIdCmp, Assembler::R64(kScratch), Assembler::R64(dst));
    asm_.JumpIf(Cond::kNE, path.entry);
    if (how.is_signed) {
      asm_.ZeroExtend(dst, dst);
    }
  } else if (how.is_signed) {
    asm_.Op(Inst::kIdCmp, Assembler::R64(dst), Assembler::I(1));
    asm_.JumpIf(Cond::kO, path.entry);
  } else {
    // From 2^63 on, and below zero.
    asm_.Op(Inst::kIdTest, Assembler::R64(dst), Assembler::R64(dst));
    asm_.JumpIf(Cond::kS, path.entry);
  }
  asm_.Bind(path.back);
  PushReg(to, dst);
}

// The source is still in its register. The scratch registers are free.
void FunctionCompiler::EmitSlowTruncate(SlowPath& path) {
  const Truncation how = TruncationOf(path.op);
  const Kind from = IsF64Source(path.op) ? Kind::kF64 : Kind::kF32;
  const uint32_t k = IndexOf(from);
  const bool is_f64 = from == Kind::kF64;
  const InstId ucomis = asm_.has_avx() ? (is_f64 ? Inst::kIdVucomisd : Inst::kIdVucomiss)
                                       : (is_f64 ? Inst::kIdUcomisd : Inst::kIdUcomiss);
  const auto compare_with = [&](double limit) {
    const Mem mem = Mem::Constant(asm_.Constant64(BitsOf(from, limit)));
    asm_.Op(ucomis, Assembler::X(path.src), Assembler::M(mem, SizeOf(from)));
    asm_.NoteConstant(mem);
  };
  constexpr double kTwo63 = 9223372036854775808.0;
  asm_.Bind(path.entry);
  asm_.Op(ucomis, Assembler::X(path.src), Assembler::X(path.src));
  if (how.saturates) {
    Label not_nan;
    asm_.JumpIf(Cond::kNP, not_nan);
    asm_.MoveImmediate(path.dst, 0);
    asm_.Jump(path.back);
    asm_.Bind(not_nan);
  } else {
    TrapIf(Cond::kP, TrapCode::kInvalidConversion);
  }
  if (how.to_wide && !how.is_signed) {
    // At least 2^63, or negative: −1 and below, since what truncates to zero has not come here.
    Label too_small;
    Label too_large;
    compare_with(kTwo63);
    asm_.JumpIf(Cond::kB, too_small);
    asm_.Float3(kSub[k], kScratchXmm, path.src,
                Mem::Constant(asm_.Constant64(BitsOf(from, kTwo63))), SizeOf(from));
    ConvertToWord(from, path.dst, kScratchXmm);
    asm_.Op(Inst::kIdTest, Assembler::R64(path.dst), Assembler::R64(path.dst));
    asm_.JumpIf(Cond::kS, too_large);
    asm_.Op(Inst::kIdBtc, Assembler::R64(path.dst), Assembler::I(63));
    asm_.Jump(path.back);
    asm_.Bind(too_large);
    if (how.saturates) {
      asm_.MoveImmediate(path.dst, UINT64_MAX);
      asm_.Jump(path.back);
    } else {
      asm_.Jump(TrapLabel(TrapCode::kIntegerOverflow));
    }
    asm_.Bind(too_small);
    if (how.saturates) {
      asm_.MoveImmediate(path.dst, 0);
      asm_.Jump(path.back);
    } else {
      asm_.Jump(TrapLabel(TrapCode::kIntegerOverflow));
    }
    return;
  }
  if (!how.saturates) {
    if (how.to_wide) {
      // −2^63 itself is in range.
      compare_with(-kTwo63);
      asm_.JumpIf(Cond::kE, path.back);
    }
    asm_.Jump(TrapLabel(TrapCode::kIntegerOverflow));
    return;
  }
  // Saturate by sign.
  Label negative;
  compare_with(0.0);
  asm_.JumpIf(Cond::kB, negative);
  const uint64_t max = how.to_wide     ? uint64_t{INT64_MAX}
                       : how.is_signed ? uint64_t{INT32_MAX}
                                       : uint64_t{UINT32_MAX};
  const uint64_t min = how.to_wide ? uint64_t{1} << 63 : how.is_signed ? uint64_t{0x8000'0000} : 0;
  asm_.MoveImmediate(path.dst, max);
  asm_.Jump(path.back);
  asm_.Bind(negative);
  asm_.MoveImmediate(path.dst, min);
  asm_.Jump(path.back);
}

// --- Conversions from integers.

void FunctionCompiler::ConvertInteger(Opcode op, Value& value) {
  const bool avx = asm_.has_avx();
  Kind to = Kind::kF32;
  bool wide = false;  // Of the conversion instruction's source.
  bool is_u64 = false;
  switch (op) {
    case Opcode::kF32ReinterpretI32:
    case Opcode::kF64ReinterpretI64: {
      to = op == Opcode::kF64ReinterpretI64 ? Kind::kF64 : Kind::kF32;
      if (value.is_const()) {
        PushConst(to, value.bits);
        return;
      }
      const Reg reg = AllocFor(to, Hint(to, offset_ + 1));
      if (value.in_memory()) {
        asm_.Load(to, reg, MemOf(value));
      } else if (to == Kind::kF64) {
        asm_.Op(avx ? Inst::kIdVmovq : Inst::kIdMovq, Assembler::X(reg), Assembler::R64(value.reg));
      } else {
        asm_.Op(avx ? Inst::kIdVmovd : Inst::kIdMovd, Assembler::X(reg), Assembler::R32(value.reg));
      }
      PushReg(to, reg);
      return;
    }
    case Opcode::kF32ConvertI32S:
      break;
    case Opcode::kF32ConvertI32U:
    case Opcode::kF32ConvertI64S:
      wide = true;
      break;
    case Opcode::kF32ConvertI64U:
      wide = is_u64 = true;
      break;
    case Opcode::kF64ConvertI32S:
      to = Kind::kF64;
      break;
    case Opcode::kF64ConvertI32U:
    case Opcode::kF64ConvertI64S:
      to = Kind::kF64;
      wide = true;
      break;
    case Opcode::kF64ConvertI64U:
      to = Kind::kF64;
      wide = is_u64 = true;
      break;
    default:
      WASMD_UNREACHABLE();
  }
  const Reg src = ToReg(value);
  const Reg dst = AllocFor(to, Hint(to, offset_ + 1));
  // The instruction merges: a zero breaks the dependence on what was in the register.
  asm_.LoadConstant(to, dst, 0);
  if (!is_u64) {
    IntegerToFloat(to, dst, src, wide);
    PushReg(to, dst);
    return;
  }
  slow_paths_.push_back({.kind = SlowKind::kConvertU64,
                         .op = op,
                         .src = src,
                         .dst = dst,
                         .wasm_offset = offset_ - body_offset_,
                         .entry = {},
                         .back = {}});
  SlowPath& path = slow_paths_.back();
  asm_.Op(Inst::kIdTest, Assembler::R64(src), Assembler::R64(src));
  asm_.JumpIf(Cond::kS, path.entry);
  IntegerToFloat(to, dst, src, true);
  asm_.Bind(path.back);
  PushReg(to, dst);
}

void FunctionCompiler::IntegerToFloat(Kind to, Reg dst, Reg src, bool wide) {
  const bool is_f64 = to == Kind::kF64;
  if (asm_.has_avx()) {
    asm_.Op(is_f64 ? Inst::kIdVcvtsi2sd : Inst::kIdVcvtsi2ss, Assembler::X(dst), Assembler::X(dst),
            Assembler::R(src, wide));
  } else {
    asm_.Op(is_f64 ? Inst::kIdCvtsi2sd : Inst::kIdCvtsi2ss, Assembler::X(dst),
            Assembler::R(src, wide));
  }
}

// Half of it, the bit that falls out kept for the rounding, twice.
void FunctionCompiler::EmitSlowConvert(SlowPath& path) {
  const Kind to = path.op == Opcode::kF64ConvertI64U ? Kind::kF64 : Kind::kF32;
  Label even;
  asm_.Bind(path.entry);
  asm_.Move(kScratch, path.src);
  asm_.Op(Inst::kIdShr, Assembler::R64(kScratch), Assembler::I(1));
  asm_.JumpIf(Cond::kAE, even);
  asm_.Op(Inst::kIdOr, Assembler::R64(kScratch), Assembler::I(1));
  asm_.Bind(even);
  IntegerToFloat(to, path.dst, kScratch, true);
  asm_.Float3(kAdd[IndexOf(to)], path.dst, path.dst, path.dst);
  asm_.Jump(path.back);
}

}  // namespace wasmd::engine::baseline
