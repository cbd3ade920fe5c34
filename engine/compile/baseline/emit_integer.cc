// Integer arithmetic, comparisons and select.
#include <bit>
#include <optional>

#include "engine/compile/baseline/function_compiler_inl.h"

namespace wasmd::engine::baseline {
namespace {

constexpr bool FitsImmediate(uint64_t bits, bool wide) {
  return !wide || static_cast<int64_t>(bits) == static_cast<int32_t>(bits);
}

asmjit::Imm ImmediateOf(uint64_t bits) {
  return Assembler::I(static_cast<int32_t>(bits));
}

// The condition of a comparison, in the order of the opcodes: eq ne lt_s lt_u gt_s gt_u le_s le_u
// ge_s ge_u.
constexpr Cond kComparisons[] = {Cond::kE, Cond::kNE, Cond::kL,  Cond::kB,  Cond::kG,
                                 Cond::kA, Cond::kLE, Cond::kBE, Cond::kGE, Cond::kAE};

}  // namespace

void FunctionCompiler::OnBinary(Opcode op, ValType from, ValType /*to*/) {
  const Kind kind = KindOf(from);
  switch (kind) {
    case Kind::kI32:
    case Kind::kI64:
      IntegerBinary(op, kind == Kind::kI64);
      break;
    case Kind::kF32:
    case Kind::kF64:
      FloatBinary(op, kind);
      break;
    case Kind::kV128:
      WASMD_UNREACHABLE();
  }
}

void FunctionCompiler::OnUnary(Opcode op, ValType from, ValType /*to*/) {
  const Kind kind = KindOf(from);
  IsFloat(kind) ? FloatUnary(op, kind) : IntegerUnary(op, from);
}

bool FunctionCompiler::NextTakesCondition(uint32_t next_offset) const {
  switch (static_cast<Opcode>(ByteAt(next_offset))) {
    case Opcode::kBrIf:
    case Opcode::kIf:
    case Opcode::kSelect:
    case Opcode::kI32Eqz:
      return true;
    default:
      return false;
  }
}

void FunctionCompiler::PushCondition(Cond cond, uint32_t next_offset) {
  if (NextTakesCondition(next_offset)) {
    pending_cond_ = cond;
    PushPending(EntryKind::kFlags, Kind::kI32);
    return;
  }
  const Reg reg = Alloc(kGeneralRegs, Hint(Kind::kI32, next_offset));
  const auto set = [this](Cond flag, Reg to) {
    static constexpr InstId kSet[] = {Inst::kIdSeto, Inst::kIdSetno, Inst::kIdSetb,  Inst::kIdSetae,
                                      Inst::kIdSete, Inst::kIdSetne, Inst::kIdSetbe, Inst::kIdSeta,
                                      Inst::kIdSets, Inst::kIdSetns, Inst::kIdSetp,  Inst::kIdSetnp,
                                      Inst::kIdSetl, Inst::kIdSetge, Inst::kIdSetle, Inst::kIdSetg};
    asm_.Op(kSet[static_cast<uint8_t>(flag)], Assembler::R8(to));
  };
  if (cond == Cond::kFloatEq || cond == Cond::kFloatNe) {
    const bool is_eq = cond == Cond::kFloatEq;
    set(is_eq ? Cond::kNP : Cond::kP, kScratch);
    set(is_eq ? Cond::kE : Cond::kNE, reg);
    asm_.Op(is_eq ? Inst::kIdAnd : Inst::kIdOr, Assembler::R32(reg), Assembler::R32(kScratch));
  } else {
    set(cond, reg);
  }
  asm_.Op(Inst::kIdMovzx, Assembler::R32(reg), Assembler::R8(reg));
  PushReg(Kind::kI32, reg);
}

void FunctionCompiler::IntegerBinary(Opcode op, bool wide) {
  // Both widths' opcodes stand in the same order.
  uint32_t index = static_cast<uint32_t>(op);
  const uint32_t first_compare = static_cast<uint32_t>(wide ? Opcode::kI64Eq : Opcode::kI32Eq);
  if (index - first_compare < std::size(kComparisons)) {
    IntegerCompare(kComparisons[index - first_compare], wide);
    return;
  }
  if (wide) {
    op = static_cast<Opcode>(index - static_cast<uint32_t>(Opcode::kI64Add) +
                             static_cast<uint32_t>(Opcode::kI32Add));
  }
  switch (op) {
    case Opcode::kI32Add:
      EmitAdd(wide);
      break;
    case Opcode::kI32Sub: {
      Value rhs = Pop();
      Value lhs = Pop();
      if (rhs.is_const() && FitsImmediate(0 - rhs.bits, wide)) {
        rhs.bits = 0 - rhs.bits;
        rhs.bits = wide ? rhs.bits : static_cast<uint32_t>(rhs.bits);
        AddImmediate(wide, lhs, rhs.bits);
        break;
      }
      EmitAlu(Alu::kSub, wide, false, lhs, rhs);
      break;
    }
    case Opcode::kI32Mul:
      EmitMul(wide);
      break;
    case Opcode::kI32DivS:
      EmitDivide(wide, true, false);
      break;
    case Opcode::kI32DivU:
      EmitDivide(wide, false, false);
      break;
    case Opcode::kI32RemS:
      EmitDivide(wide, true, true);
      break;
    case Opcode::kI32RemU:
      EmitDivide(wide, false, true);
      break;
    case Opcode::kI32And:
      EmitAnd(wide);
      break;
    case Opcode::kI32Or: {
      Value rhs = Pop();
      Value lhs = Pop();
      EmitAlu(Alu::kOr, wide, true, lhs, rhs);
      break;
    }
    case Opcode::kI32Xor: {
      Value rhs = Pop();
      Value lhs = Pop();
      EmitAlu(Alu::kXor, wide, true, lhs, rhs);
      break;
    }
    case Opcode::kI32Shl:
    case Opcode::kI32ShrS:
    case Opcode::kI32ShrU:
    case Opcode::kI32Rotl:
    case Opcode::kI32Rotr:
      EmitShift(op, wide);
      break;
    default:
      WASMD_UNREACHABLE();
  }
}

// dst op= rhs, whatever rhs is.
void FunctionCompiler::AluOperand(Alu op, bool wide, Reg dst, Value& rhs) {
  switch (rhs.where) {
    case EntryKind::kConst:
      if (FitsImmediate(rhs.bits, wide)) {
        asm_.AluImmediate(op, wide, dst, static_cast<int32_t>(rhs.bits));
      } else {
        asm_.MoveImmediate(kScratch, rhs.bits);
        asm_.AluReg(op, wide, dst, kScratch);
      }
      return;
    case EntryKind::kLoad:
      PendingLoadSite();
      asm_.AluMem(op, wide, dst, pending_load_.mem);
      return;
    case EntryKind::kSlot:
    case EntryKind::kLocal:
      if (PrefersMemory(rhs)) {
        asm_.AluMem(op, wide, dst, MemOf(rhs));
        return;
      }
      break;
    case EntryKind::kReg:
    case EntryKind::kFlags:
    case EntryKind::kScaled:
      break;
  }
  asm_.AluReg(op, wide, dst, ToReg(rhs));
}

void FunctionCompiler::EmitAlu(Alu op, bool wide, bool commutes, Value& lhs, Value& rhs) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  const Reg hint = Hint(kind, offset_ + 1, &lhs, &rhs);
  if (commutes && !(lhs.is_reg() && lhs.is_dying) &&
      ((rhs.is_reg() && rhs.is_dying) || lhs.is_const())) {
    std::swap(lhs, rhs);
  }
  if (rhs.in_memory() && !PrefersMemory(rhs)) {
    ToReg(rhs);
  }
  if (!lhs.is_reg() && !lhs.is_const() && lhs.in_memory() && !PrefersMemory(lhs)) {
    ToReg(lhs);
  }
  const Reg dst = ToWritable(lhs, hint);
  AluOperand(op, wide, dst, rhs);
  if (op != Alu::kImul) {
    NoteZeroFlag(wide, dst);
  }
  PushReg(kind, dst);
}

void FunctionCompiler::AddImmediate(bool wide, Value& lhs, uint64_t bits) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  const Reg hint = Hint(kind, offset_ + 1, &lhs);
  if (lhs.in_memory() && !PrefersMemory(lhs)) {
    ToReg(lhs);
  }
  if (lhs.is_reg() && !lhs.is_dying && FitsImmediate(bits, wide)) {
    const Reg dst = AllocFor(kind, hint);
    asm_.Lea(wide, dst, Mem::At(lhs.reg, static_cast<int32_t>(bits)));
    PushReg(kind, dst);
    return;
  }
  const Reg dst = ToWritable(lhs, hint);
  Value rhs{.where = EntryKind::kConst, .kind = kind, .bits = bits};
  AluOperand(Alu::kAdd, wide, dst, rhs);
  NoteZeroFlag(wide, dst);
  PushReg(kind, dst);
}

void FunctionCompiler::EmitAdd(bool wide) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  Value rhs = Pop();
  Value lhs = Pop();
  if (rhs.where == EntryKind::kScaled) {
    // lhs + (index << shift), in one lea where lhs is a register.
    const Reg hint = Hint(kind, offset_ + 1, &lhs);
    if (lhs.is_const() && lhs.bits <= INT32_MAX) {
      const Mem address{.index = pending_scaled_.reg,
                        .shift = pending_scaled_.shift,
                        .disp = static_cast<int32_t>(lhs.bits)};
      const Reg sum = pending_scaled_.is_dying ? pending_scaled_.reg : AllocFor(kind, hint);
      asm_.Lea(wide, sum, address);
      PushReg(kind, sum);
      return;
    }
    const Reg base = ToReg(lhs);
    const Mem sum{.base = base, .index = pending_scaled_.reg, .shift = pending_scaled_.shift};
    Reg dst = hint;
    if (lhs.is_dying) {
      dst = base;
    } else if (pending_scaled_.is_dying && hint == kNoReg) {
      dst = pending_scaled_.reg;
    } else {
      dst = AllocFor(kind, hint);
    }
    asm_.Lea(wide, dst, sum);
    PushReg(kind, dst);
    return;
  }
  if (lhs.is_const()) {
    std::swap(lhs, rhs);
  }
  if (rhs.is_const()) {
    AddImmediate(wide, lhs, rhs.bits);
    return;
  }
  if (lhs.in_memory() && !PrefersMemory(lhs)) {
    ToReg(lhs);
  }
  if (rhs.in_memory() && !PrefersMemory(rhs)) {
    ToReg(rhs);
  }
  const Reg hint = Hint(kind, offset_ + 1, &lhs, &rhs);
  if (lhs.is_reg() && rhs.is_reg() && !lhs.is_dying && !rhs.is_dying) {
    const Reg dst = AllocFor(kind, hint);
    asm_.Lea(wide, dst, {.base = lhs.reg, .index = rhs.reg});
    PushReg(kind, dst);
    return;
  }
  if (!(lhs.is_reg() && lhs.is_dying) && rhs.is_reg() && (rhs.is_dying || !lhs.is_reg())) {
    std::swap(lhs, rhs);
  }
  const Reg dst = ToWritable(lhs, hint);
  AluOperand(Alu::kAdd, wide, dst, rhs);
  NoteZeroFlag(wide, dst);
  PushReg(kind, dst);
}

void FunctionCompiler::EmitAnd(bool wide) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  Value rhs = Pop();
  Value lhs = Pop();
  if (lhs.is_const()) {
    std::swap(lhs, rhs);
  }
  // x & y where only zero or not matters: no result.
  const auto next = static_cast<Opcode>(ByteAt(offset_ + 1));
  const bool is_condition = wide ? next == Opcode::kI64Eqz
                                 : next == Opcode::kBrIf || next == Opcode::kIf ||
                                       next == Opcode::kSelect || next == Opcode::kI32Eqz;
  if (is_condition) {
    EmitTest(wide, lhs, rhs);
    pending_cond_ = Cond::kNE;
    PushPending(EntryKind::kFlags, kind);
    return;
  }
  if (rhs.is_const() &&
      (rhs.bits == 0xff || rhs.bits == 0xffff || (wide && rhs.bits == 0xffff'ffff))) {
    const Reg hint = Hint(kind, offset_ + 1, &lhs);
    const Reg src = ToReg(lhs);
    const Reg dst = lhs.is_dying ? src : AllocFor(kind, hint);
    if (rhs.bits == 0xff) {
      asm_.Op(Inst::kIdMovzx, Assembler::R32(dst), Assembler::R8(src));
    } else if (rhs.bits == 0xffff) {
      asm_.Op(Inst::kIdMovzx, Assembler::R32(dst), Assembler::R16(src));
    } else {
      asm_.ZeroExtend(dst, src);
    }
    PushReg(kind, dst);
    return;
  }
  EmitAlu(Alu::kAnd, wide, true, lhs, rhs);
}

void FunctionCompiler::EmitTest(bool wide, Value& lhs, Value& rhs) {
  if (lhs.is_const() || (lhs.where == EntryKind::kLoad)) {
    std::swap(lhs, rhs);
  }
  const Reg reg = ToReg(lhs);
  switch (rhs.where) {
    case EntryKind::kConst:
      if (!FitsImmediate(rhs.bits, wide)) {
        asm_.MoveImmediate(kScratch, rhs.bits);
        asm_.Op(Inst::kIdTest, Assembler::R(reg, wide), Assembler::R(kScratch, wide));
      } else if (rhs.bits <= 0xff) {
        asm_.Op(Inst::kIdTest, Assembler::R8(reg), Assembler::I(static_cast<int8_t>(rhs.bits)));
      } else {
        asm_.Op(Inst::kIdTest, Assembler::R(reg, wide && static_cast<int64_t>(rhs.bits) < 0),
                ImmediateOf(rhs.bits));
      }
      return;
    case EntryKind::kLoad:
      PendingLoadSite();
      asm_.Op(Inst::kIdTest, Assembler::M(pending_load_.mem), Assembler::R(reg, wide));
      return;
    case EntryKind::kSlot:
    case EntryKind::kLocal:
      if (PrefersMemory(rhs)) {
        asm_.Op(Inst::kIdTest, Assembler::M(MemOf(rhs)), Assembler::R(reg, wide));
        return;
      }
      break;
    case EntryKind::kReg:
    case EntryKind::kFlags:
    case EntryKind::kScaled:
      break;
  }
  const Reg other = ToReg(rhs);
  asm_.Test(wide, reg, other);
}

void FunctionCompiler::IntegerCompare(Cond cond, bool wide) {
  Value rhs = Pop();
  Value lhs = Pop();
  if (lhs.is_const() && !rhs.is_const()) {
    std::swap(lhs, rhs);
    cond = SwapOperands(cond);
  }
  if (rhs.is_const() && FitsImmediate(rhs.bits, wide)) {
    if (lhs.where == EntryKind::kLoad) {
      PendingLoadSite();
      asm_.CompareMem(wide, pending_load_.mem, static_cast<int32_t>(rhs.bits));
    } else if (lhs.in_memory() && PrefersMemory(lhs)) {
      asm_.CompareMem(wide, MemOf(lhs), static_cast<int32_t>(rhs.bits));
    } else {
      const Reg reg = ToReg(lhs);
      if (rhs.bits == 0 && (cond == Cond::kE || cond == Cond::kNE)) {
        TestZero(wide, reg);
      } else if (rhs.bits == 0) {
        asm_.Test(wide, reg, reg);
      } else {
        asm_.AluImmediate(Alu::kCmp, wide, reg, static_cast<int32_t>(rhs.bits));
      }
    }
    PushCondition(cond);
    return;
  }
  // A register on the left, anything on the right.
  if (lhs.in_memory() && rhs.is_reg() && PrefersMemory(lhs)) {
    std::swap(lhs, rhs);
    cond = SwapOperands(cond);
  }
  const Reg reg = ToReg(lhs);
  AluOperand(Alu::kCmp, wide, reg, rhs);
  PushCondition(cond);
}

void FunctionCompiler::EmitMul(bool wide) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  Value rhs = Pop();
  Value lhs = Pop();
  if (lhs.is_const()) {
    std::swap(lhs, rhs);
  }
  if (!rhs.is_const() || !FitsImmediate(rhs.bits, wide) || lhs.is_const()) {
    EmitAlu(Alu::kImul, wide, true, lhs, rhs);
    return;
  }
  const Reg hint = Hint(kind, offset_ + 1, &lhs);
  if (std::has_single_bit(rhs.bits)) {
    if (lhs.in_memory() && !PrefersMemory(lhs)) {
      ToReg(lhs);
    }
    const Reg dst = ToWritable(lhs, hint);
    if (rhs.bits != 1) {
      asm_.Op(Inst::kIdShl, Assembler::R(dst, wide), Assembler::I(std::countr_zero(rhs.bits)));
    }
    PushReg(kind, dst);
    return;
  }
  const Reg src = ToReg(lhs);
  const Reg dst = lhs.is_dying ? src : AllocFor(kind, hint);
  if (rhs.bits == 3 || rhs.bits == 5 || rhs.bits == 9) {
    const auto shift = static_cast<uint8_t>(std::countr_zero(rhs.bits - 1));
    asm_.Lea(wide, dst, {.base = src, .index = src, .shift = shift});
  } else {
    asm_.Op(Inst::kIdImul, Assembler::R(dst, wide), Assembler::R(src, wide), ImmediateOf(rhs.bits));
  }
  PushReg(kind, dst);
}

void FunctionCompiler::EmitShift(Opcode op, bool wide) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  Value count = Pop();
  Value lhs = Pop();
  InstId inst = Inst::kIdShl;
  InstId bmi2 = Inst::kIdShlx;
  switch (op) {
    case Opcode::kI32ShrS:
      inst = Inst::kIdSar;
      bmi2 = Inst::kIdSarx;
      break;
    case Opcode::kI32ShrU:
      inst = Inst::kIdShr;
      bmi2 = Inst::kIdShrx;
      break;
    case Opcode::kI32Rotl:
      inst = Inst::kIdRol;
      bmi2 = Inst::kIdNone;
      break;
    case Opcode::kI32Rotr:
      inst = Inst::kIdRor;
      bmi2 = Inst::kIdNone;
      break;
    default:
      break;
  }
  if (count.is_const()) {
    const auto bits = static_cast<uint8_t>(count.bits & (wide ? 63 : 31));
    const auto next = static_cast<Opcode>(ByteAt(offset_ + 1));
    if (inst == Inst::kIdShl && bits >= 1 && bits <= 3 &&
        next == (wide ? Opcode::kI64Add : Opcode::kI32Add)) {
      // The addition that follows makes it one lea.
      const Reg reg = ToReg(lhs);
      pending_scaled_ = {reg, bits, lhs.is_dying};
      pending_pins_ = Bit(reg);
      PushPending(EntryKind::kScaled, kind);
      return;
    }
    const Reg hint = Hint(kind, offset_ + 1, &lhs);
    if (lhs.in_memory() && !PrefersMemory(lhs)) {
      ToReg(lhs);
    }
    if (bmi2 == Inst::kIdNone && asm_.features().bmi2 && bits != 0 && lhs.is_reg() &&
        !lhs.is_dying) {
      const Reg dst = AllocFor(kind, hint);
      const int right = inst == Inst::kIdRor ? bits : (wide ? 64 : 32) - bits;
      asm_.Op(Inst::kIdRorx, Assembler::R(dst, wide), Assembler::R(lhs.reg, wide),
              Assembler::I(right));
      PushReg(kind, dst);
      return;
    }
    const Reg dst = ToWritable(lhs, hint);
    if (bits != 0) {
      asm_.Op(inst, Assembler::R(dst, wide), Assembler::I(bits));
    }
    PushReg(kind, dst);
    return;
  }
  if (bmi2 != Inst::kIdNone && asm_.features().bmi2) {
    const Reg by = ToReg(count);
    const Reg hint = Hint(kind, offset_ + 1, &lhs, &count);
    if (lhs.in_memory() && PrefersMemory(lhs)) {
      const Reg dst = count.is_dying ? by : AllocFor(kind, hint);
      asm_.Op(bmi2, Assembler::R(dst, wide), Assembler::M(MemOf(lhs)), Assembler::R(by, wide));
      PushReg(kind, dst);
      return;
    }
    const Reg src = ToReg(lhs);
    const Reg dst = lhs.is_dying ? src : count.is_dying ? by : AllocFor(kind, hint);
    asm_.Op(bmi2, Assembler::R(dst, wide), Assembler::R(src, wide), Assembler::R(by, wide));
    PushReg(kind, dst);
    return;
  }
  // The count goes to rcx, the value elsewhere.
  Pin(kRcx);
  Reg dst = kNoReg;
  if (lhs.is_reg() && lhs.is_dying && lhs.reg != kRcx) {
    dst = lhs.reg;
  } else {
    dst = AllocFor(kind);
    MoveTo(dst, lhs);
  }
  if (!count.is_reg() || count.reg != kRcx) {
    Take(kRcx);
    MoveTo(kRcx, count);
  }
  asm_.Op(inst, Assembler::R(dst, wide), Assembler::R8(kRcx));
  PushReg(kind, dst);
}

// dst = src / divisor for 32 bits, by a multiplication; the divisor is no power of two, and
// above 2. dst may be src.
//
// floor(x · m / 2^(32+s)) with m = ceil(2^(32+s) / d) and s = ceil(log2 d) is right for all x below
// 2^32 (Granlund and Montgomery, "Division by invariant integers using multiplication"); m has 33
// bits, so its top one is added by hand. For signed x, 31 bits are enough, m has 32, and negative
// quotients are one too small.
void FunctionCompiler::MultiplyHigh32(bool is_signed, Reg dst, Reg src, uint32_t divisor) {
  const auto s = static_cast<int>(std::bit_width(divisor - 1));
  const auto d64 = Assembler::R64(dst);
  const auto t64 = Assembler::R64(kScratch);
  if (is_signed) {
    // m = ceil(2^(31+s) / d) < 2^32, as s = ceil(log2 d).
    const uint64_t m = ((uint64_t{1} << (31 + s)) + divisor - 1) / divisor;
    const Reg sign = Alloc(kGeneralRegs);
    asm_.Op(Inst::kIdMovsxd, d64, Assembler::R32(src));
    asm_.MoveImmediate(kScratch, m);
    asm_.Op(Inst::kIdMov, Assembler::R64(sign), d64);
    asm_.Op(Inst::kIdImul, d64, t64);
    asm_.Op(Inst::kIdSar, d64, Assembler::I(31 + s));
    asm_.Op(Inst::kIdSar, Assembler::R64(sign), Assembler::I(63));
    asm_.Op(Inst::kIdSub, Assembler::R32(dst), Assembler::R32(sign));
    return;
  }
  const auto low = static_cast<uint32_t>((((uint64_t{1} << s) - divisor) << 32) / divisor + 1);
  // t = low · x >> 32; q = (((x − t) >> 1) + t) >> (s − 1).
  const Reg x = Alloc(kGeneralRegs);
  asm_.Move(x, src, false);
  asm_.MoveImmediate(kScratch, low);
  asm_.Op(Inst::kIdImul, t64, Assembler::R64(x));
  asm_.Op(Inst::kIdShr, t64, Assembler::I(32));
  asm_.Op(Inst::kIdSub, Assembler::R32(x), Assembler::R32(kScratch));
  asm_.Op(Inst::kIdShr, Assembler::R32(x), Assembler::I(1));
  asm_.Op(Inst::kIdAdd, Assembler::R32(x), Assembler::R32(kScratch));
  asm_.Op(Inst::kIdShr, Assembler::R32(x), Assembler::I(s - 1));
  asm_.Move(dst, x, false);
}

// Divisors that need no division. True: done.
bool FunctionCompiler::DivideByConstant(bool wide, bool is_signed, bool is_rem, Value& lhs,
                                        uint64_t divisor) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  if (divisor == 0) {
    return false;
  }
  if (!is_signed && std::has_single_bit(divisor)) {
    const int shift = std::countr_zero(divisor);
    if (is_rem) {
      Value mask{.where = EntryKind::kConst, .kind = kind, .bits = divisor - 1};
      EmitAlu(Alu::kAnd, wide, true, lhs, mask);
      return true;
    }
    const Reg hint = Hint(kind, offset_ + 1, &lhs);
    const Reg dst = ToWritable(lhs, hint);
    if (shift != 0) {
      asm_.Op(Inst::kIdShr, Assembler::R(dst, wide), Assembler::I(shift));
    }
    PushReg(kind, dst);
    return true;
  }
  // Of signed divisors the positive ones from 2 on.
  const uint64_t limit = wide ? uint64_t{INT64_MAX} : uint64_t{INT32_MAX};
  if (is_signed && (divisor < 2 || divisor > limit)) {
    return false;
  }
  const bool is_power = std::has_single_bit(divisor);
  if (wide && !is_power) {
    return false;
  }
  const Reg x = ToReg(lhs);
  const Reg dst = AllocFor(kind, is_rem ? kNoReg : Hint(kind, offset_ + 1));
  const auto q = Assembler::R(dst, wide);
  if (is_power) {
    // Rounds towards zero: a negative x gets divisor − 1 first.
    const int shift = std::countr_zero(divisor);
    const int width = wide ? 64 : 32;
    asm_.Move(dst, x, wide);
    if (shift > 1) {
      asm_.Op(Inst::kIdSar, q, Assembler::I(width - 1));
    }
    asm_.Op(Inst::kIdShr, q, Assembler::I(width - shift));
    asm_.Op(Inst::kIdAdd, q, Assembler::R(x, wide));
    if (is_rem) {
      // x − (x + bias with the low bits cleared).
      if (shift < 32) {
        asm_.Op(Inst::kIdAnd, q, Assembler::I(static_cast<int32_t>(-(int64_t{1} << shift))));
      } else {
        asm_.Op(Inst::kIdShr, q, Assembler::I(shift));
        asm_.Op(Inst::kIdShl, q, Assembler::I(shift));
      }
    } else {
      asm_.Op(Inst::kIdSar, q, Assembler::I(shift));
    }
  } else {
    MultiplyHigh32(is_signed, dst, x, static_cast<uint32_t>(divisor));
    if (is_rem) {
      asm_.Op(Inst::kIdImul, q, q, Assembler::I(static_cast<int32_t>(divisor)));
    }
  }
  if (!is_rem) {
    PushReg(kind, dst);
    return true;
  }
  const Reg rest = ToWritable(lhs);
  asm_.Op(Inst::kIdSub, Assembler::R(rest, wide), q);
  NoteZeroFlag(wide, rest);
  PushReg(kind, rest);
  return true;
}

Reg FunctionCompiler::TakeRaxRdx(Value& lhs, Value& rhs) {
  Pin(kRax);
  Pin(kRdx);
  Reg other = kScratch;
  if (rhs.is_reg() && rhs.reg != kRax && rhs.reg != kRdx) {
    other = rhs.reg;
  } else {
    MoveTo(kScratch, rhs);
  }
  Take(kRax);
  if (!lhs.is_reg() || lhs.reg != kRax) {
    MoveTo(kRax, lhs);
  }
  Take(kRdx);
  return other;
}

void FunctionCompiler::EmitDivide(bool wide, bool is_signed, bool is_rem) {
  const Kind kind = wide ? Kind::kI64 : Kind::kI32;
  Value rhs = Pop();
  Value lhs = Pop();
  bool may_be_zero = true;
  bool may_be_minus_one = is_signed;
  if (rhs.is_const()) {
    if (DivideByConstant(wide, is_signed, is_rem, lhs, rhs.bits)) {
      return;
    }
    may_be_zero = rhs.bits == 0;
    may_be_minus_one = is_signed && rhs.bits == (wide ? UINT64_MAX : UINT32_MAX);
  }
  const Reg divisor = TakeRaxRdx(lhs, rhs);
  const auto by = Assembler::R(divisor, wide);
  if (may_be_zero) {
    asm_.Op(Inst::kIdTest, by, by);
    TrapIf(Cond::kE, TrapCode::kDivideByZero);
  }
  Label done;
  if (may_be_minus_one) {
    Label ordinary;
    asm_.Op(Inst::kIdCmp, by, Assembler::I(-1));
    asm_.JumpIf(Cond::kNE, ordinary);
    if (is_rem) {
      asm_.Zero(kRdx);
      asm_.Jump(done);
    } else {
      // Subtracting 1 overflows for the least integer alone.
      asm_.Op(Inst::kIdCmp, Assembler::R(kRax, wide), Assembler::I(1));
      TrapIf(Cond::kO, TrapCode::kIntegerOverflow);
    }
    asm_.Bind(ordinary);
  }
  if (is_signed) {
    asm_.Op(wide ? Inst::kIdCqo : Inst::kIdCdq);
    asm_.Op(Inst::kIdIdiv, by);
  } else {
    asm_.Zero(kRdx);
    asm_.Op(Inst::kIdDiv, by);
  }
  if (may_be_minus_one && is_rem) {
    asm_.Bind(done);
  }
  PushReg(kind, is_rem ? kRdx : kRax);
}

// --- Wide arithmetic.

void FunctionCompiler::OnWideArithmetic(Opcode op) {
  switch (op) {
    case Opcode::kI64Add128:
    case Opcode::kI64Sub128:
      return AddWide(op == Opcode::kI64Sub128);
    case Opcode::kI64MulWideS:
    case Opcode::kI64MulWideU:
      return MultiplyWide(op == Opcode::kI64MulWideS);
    default:
      WASMD_UNREACHABLE();
  }
}

// Everything is in registers before the first instruction: nothing comes between it and the second,
// which takes the carry.
void FunctionCompiler::AddWide(bool is_sub) {
  Value rhs_high = Pop();
  Value rhs_low = Pop();
  Value lhs_high = Pop();
  Value lhs_low = Pop();
  // An operand's own register can be the result's if no other operand that is needed later is in
  // it.
  const auto writable = [this](Value& value, const Value& a, const Value& b) {
    const bool is_alone = value.is_reg() && value.is_dying && !(a.is_reg() && a.reg == value.reg) &&
                          !(b.is_reg() && b.reg == value.reg);
    if (is_alone) {
      return value.reg;
    }
    const Reg reg = AllocFor(Kind::kI64);
    MoveTo(reg, value);
    return reg;
  };
  const Reg low = writable(lhs_low, lhs_high, rhs_high);
  const Reg high = writable(lhs_high, rhs_high, rhs_low);
  const auto operand = [this](Value& value) {
    const bool is_immediate =
        value.is_const() && static_cast<int64_t>(value.bits) == static_cast<int32_t>(value.bits);
    return is_immediate ? std::optional<int32_t>(static_cast<int32_t>(value.bits))
                        : (ToReg(value), std::nullopt);
  };
  const std::optional<int32_t> low_immediate = operand(rhs_low);
  const std::optional<int32_t> high_immediate = operand(rhs_high);
  const auto emit = [this](InstId op, Reg dst, std::optional<int32_t> immediate, const Value& rhs) {
    if (immediate.has_value()) {
      asm_.Op(op, Assembler::R64(dst), Assembler::I(*immediate));
    } else {
      asm_.Op(op, Assembler::R64(dst), Assembler::R64(rhs.reg));
    }
  };
  emit(is_sub ? Inst::kIdSub : Inst::kIdAdd, low, low_immediate, rhs_low);
  emit(is_sub ? Inst::kIdSbb : Inst::kIdAdc, high, high_immediate, rhs_high);
  PushReg(Kind::kI64, low);
  PushReg(Kind::kI64, high);
}

void FunctionCompiler::MultiplyWide(bool is_signed) {
  Value rhs = Pop();
  Value lhs = Pop();
  const Reg by = TakeRaxRdx(lhs, rhs);
  asm_.Op(is_signed ? Inst::kIdImul : Inst::kIdMul, Assembler::R64(by));
  PushReg(Kind::kI64, kRax);
  PushReg(Kind::kI64, kRdx);
}

void FunctionCompiler::IntegerUnary(Opcode op, ValType from) {
  Value value = Pop();
  switch (op) {
    case Opcode::kI32Eqz:
    case Opcode::kI64Eqz: {
      if (value.where == EntryKind::kFlags) {
        PushCondition(Negate(pending_cond_));
        return;
      }
      const bool wide = op == Opcode::kI64Eqz;
      if (value.in_memory() && PrefersMemory(value)) {
        asm_.CompareMem(wide, MemOf(value), 0);
      } else {
        TestZero(wide, ToReg(value));
      }
      PushCondition(Cond::kE);
      return;
    }
    case Opcode::kI64ExtendI32U:
      // Registers and slots hold i32 zero-extended.
      switch (value.where) {
        case EntryKind::kConst:
          PushConst(Kind::kI64, value.bits);
          return;
        case EntryKind::kReg:
          if (value.is_dying) {
            PushReg(Kind::kI64, value.reg);
            return;
          }
          break;
        case EntryKind::kLocal:
        case EntryKind::kSlot:
        case EntryKind::kFlags:
        case EntryKind::kLoad:
        case EntryKind::kScaled:
          break;
      }
      if (value.local != kNone) {
        PushLocal(value.local, Kind::kI64, value.is_last);
      } else {
        PushReg(Kind::kI64, ToWritable(value));
      }
      return;
    default:
      break;
  }
  if (from == ValType::kI32 || from == ValType::kI64) {
    switch (op) {
      case Opcode::kF32ConvertI32S:
      case Opcode::kF32ConvertI32U:
      case Opcode::kF32ConvertI64S:
      case Opcode::kF32ConvertI64U:
      case Opcode::kF64ConvertI32S:
      case Opcode::kF64ConvertI32U:
      case Opcode::kF64ConvertI64S:
      case Opcode::kF64ConvertI64U:
      case Opcode::kF32ReinterpretI32:
      case Opcode::kF64ReinterpretI64:
        ConvertInteger(op, value);
        return;
      default:
        break;
    }
  }
  const bool from_wide = from == ValType::kI64;
  const bool to_wide = (from_wide && op != Opcode::kI32WrapI64) || op == Opcode::kI64ExtendI32S;
  const Kind to = to_wide ? Kind::kI64 : Kind::kI32;
  if (op == Opcode::kI32WrapI64 && (value.in_memory() || value.is_const())) {
    if (value.is_const()) {
      PushConst(Kind::kI32, static_cast<uint32_t>(value.bits));
      return;
    }
    if (PrefersMemory(value)) {
      const Reg dst = AllocFor(to, Hint(to, offset_ + 1));
      asm_.Load(Kind::kI32, dst, MemOf(value));
      PushReg(to, dst);
      return;
    }
  }
  const Reg hint = Hint(to, offset_ + 1, &value);
  const Reg src = ToReg(value);
  const Reg dst = value.is_dying ? src : AllocFor(to, hint);
  const auto to_reg = Assembler::R(dst, to_wide);
  switch (op) {
    case Opcode::kI32WrapI64:
      asm_.ZeroExtend(dst, src);
      break;
    case Opcode::kI64ExtendI32S:
    case Opcode::kI64Extend32S:
      asm_.Op(Inst::kIdMovsxd, Assembler::R64(dst), Assembler::R32(src));
      break;
    case Opcode::kI32Extend8S:
    case Opcode::kI64Extend8S:
      asm_.Op(Inst::kIdMovsx, to_reg, Assembler::R8(src));
      break;
    case Opcode::kI32Extend16S:
    case Opcode::kI64Extend16S:
      asm_.Op(Inst::kIdMovsx, to_reg, Assembler::R16(src));
      break;
    case Opcode::kI32Clz:
    case Opcode::kI64Clz:
      EmitClz(from_wide, dst, src);
      break;
    case Opcode::kI32Ctz:
    case Opcode::kI64Ctz:
      EmitCtz(from_wide, dst, src);
      break;
    case Opcode::kI32Popcnt:
    case Opcode::kI64Popcnt:
      EmitPopcnt(from_wide, dst, src);
      break;
    default:
      WASMD_UNREACHABLE();
  }
  PushReg(to, dst);
}

void FunctionCompiler::EmitClz(bool wide, Reg dst, Reg src) {
  if (asm_.features().lzcnt) {
    asm_.Op(Inst::kIdLzcnt, Assembler::R(dst, wide), Assembler::R(src, wide));
    return;
  }
  // The highest bit's index, or for zero 2·width − 1, subtracted from width − 1.
  const int last = wide ? 63 : 31;
  asm_.MoveImmediate(kScratch, static_cast<uint64_t>(last * 2 + 1));
  asm_.Op(Inst::kIdBsr, Assembler::R(dst, wide), Assembler::R(src, wide));
  asm_.Op(Inst::kIdCmovz, Assembler::R(dst, wide), Assembler::R(kScratch, wide));
  asm_.Op(Inst::kIdXor, Assembler::R32(dst), Assembler::I(last));
}

void FunctionCompiler::EmitCtz(bool wide, Reg dst, Reg src) {
  if (asm_.features().bmi1) {
    asm_.Op(Inst::kIdTzcnt, Assembler::R(dst, wide), Assembler::R(src, wide));
    return;
  }
  asm_.MoveImmediate(kScratch, wide ? 64 : 32);
  asm_.Op(Inst::kIdBsf, Assembler::R(dst, wide), Assembler::R(src, wide));
  asm_.Op(Inst::kIdCmovz, Assembler::R(dst, wide), Assembler::R(kScratch, wide));
}

void FunctionCompiler::EmitPopcnt(bool wide, Reg dst, Reg src) {
  if (asm_.features().popcnt) {
    asm_.Op(Inst::kIdPopcnt, Assembler::R(dst, wide), Assembler::R(src, wide));
    return;
  }
  // Sums of pairs, of nibbles, of bytes; a multiplication adds the bytes up.
  const auto r = Assembler::R(dst, wide);
  const auto t = Assembler::R(kScratch, wide);
  const Reg mask_reg = Alloc(kGeneralRegs);
  const auto m = Assembler::R(mask_reg, wide);
  const auto mask = [&](uint64_t bits) {
    asm_.MoveImmediate(mask_reg, wide ? bits : static_cast<uint32_t>(bits));
  };
  asm_.Move(dst, src, wide);
  asm_.Move(kScratch, dst, wide);
  asm_.Op(Inst::kIdShr, t, Assembler::I(1));
  mask(0x5555'5555'5555'5555);
  asm_.Op(Inst::kIdAnd, t, m);
  asm_.Op(Inst::kIdSub, r, t);
  mask(0x3333'3333'3333'3333);
  asm_.Move(kScratch, dst, wide);
  asm_.Op(Inst::kIdShr, t, Assembler::I(2));
  asm_.Op(Inst::kIdAnd, t, m);
  asm_.Op(Inst::kIdAnd, r, m);
  asm_.Op(Inst::kIdAdd, r, t);
  asm_.Move(kScratch, dst, wide);
  asm_.Op(Inst::kIdShr, t, Assembler::I(4));
  asm_.Op(Inst::kIdAdd, r, t);
  mask(0x0f0f'0f0f'0f0f'0f0f);
  asm_.Op(Inst::kIdAnd, r, m);
  mask(0x0101'0101'0101'0101);
  asm_.Op(Inst::kIdImul, r, m);
  asm_.Op(Inst::kIdShr, r, Assembler::I(wide ? 56 : 24));
}

void FunctionCompiler::OnSelect(ValType type) {
  const Kind kind = KindOf(type);
  Value condition = Pop();
  Value if_false = Pop();
  Value if_true = Pop();
  Cond cond = Cond::kNE;
  if (condition.where == EntryKind::kFlags) {
    cond = pending_cond_;
  } else {
    TestZero(false, ToReg(condition));
  }
  // From here on only moves, until the flags have been used.
  if (IsFloat(kind)) {
    const Reg other = ToReg(if_false);
    const Reg dst = ToWritable(if_true);
    Label keep;
    asm_.JumpIf(cond, keep);
    asm_.MoveFloat(dst, other);
    asm_.Bind(keep);
    PushReg(kind, dst);
    return;
  }
  // dst has one value and takes the other.
  if (!(if_true.is_reg() && if_true.is_dying) && if_false.is_reg() && if_false.is_dying) {
    std::swap(if_true, if_false);
    cond = Negate(cond);
  }
  static constexpr InstId kMove[] = {
      Inst::kIdCmovo, Inst::kIdCmovno, Inst::kIdCmovb,  Inst::kIdCmovae,
      Inst::kIdCmove, Inst::kIdCmovne, Inst::kIdCmovbe, Inst::kIdCmova,
      Inst::kIdCmovs, Inst::kIdCmovns, Inst::kIdCmovp,  Inst::kIdCmovnp,
      Inst::kIdCmovl, Inst::kIdCmovge, Inst::kIdCmovle, Inst::kIdCmovg};
  const bool wide = IsWide(kind);
  if (cond == Cond::kFloatNe) {
    // Taken if either flag says so: start from the other value.
    std::swap(if_true, if_false);
  }
  const Reg other = ToReg(if_false);
  const Reg dst = ToWritable(if_true);
  const auto move = [&](Cond when) {
    asm_.Op(kMove[static_cast<uint8_t>(when)], Assembler::R(dst, wide), Assembler::R(other, wide));
  };
  if (cond == Cond::kFloatEq || cond == Cond::kFloatNe) {
    move(Cond::kNE);
    move(Cond::kP);
  } else {
    move(Negate(cond));
  }
  PushReg(kind, dst);
}

}  // namespace wasmd::engine::baseline
