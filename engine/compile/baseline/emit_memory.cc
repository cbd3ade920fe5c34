// Locals, globals, memories, tables and references.
#include <algorithm>

#include "engine/compile/baseline/function_compiler_inl.h"

namespace wasmd::engine::baseline {
namespace {

// Opcodes of loads that extend.
constexpr uint32_t kMovzx8 = 0x0fb6;
constexpr uint32_t kMovzx16 = 0x0fb7;
constexpr uint32_t kMovsx8 = 0x0fbe;
constexpr uint32_t kMovsx16 = 0x0fbf;
constexpr uint32_t kMovsxd = 0x63;

// Instructions that take their second operand from memory.
constexpr bool FoldsLoad(uint8_t opcode, Kind kind) {
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kI32Add:
    case Opcode::kI32Sub:
    case Opcode::kI32And:
    case Opcode::kI32Or:
    case Opcode::kI32Xor:
    case Opcode::kI32Mul:
    case Opcode::kI32Eq:
    case Opcode::kI32Ne:
    case Opcode::kI32LtS:
    case Opcode::kI32LtU:
    case Opcode::kI32GtS:
    case Opcode::kI32GtU:
    case Opcode::kI32LeS:
    case Opcode::kI32LeU:
    case Opcode::kI32GeS:
    case Opcode::kI32GeU:
      return kind == Kind::kI32;
    case Opcode::kI64Add:
    case Opcode::kI64Sub:
    case Opcode::kI64And:
    case Opcode::kI64Or:
    case Opcode::kI64Xor:
    case Opcode::kI64Mul:
    case Opcode::kI64Eq:
    case Opcode::kI64Ne:
    case Opcode::kI64LtS:
    case Opcode::kI64LtU:
    case Opcode::kI64GtS:
    case Opcode::kI64GtU:
    case Opcode::kI64LeS:
    case Opcode::kI64LeU:
    case Opcode::kI64GeS:
    case Opcode::kI64GeU:
      return kind == Kind::kI64;
    case Opcode::kF32Add:
    case Opcode::kF32Sub:
    case Opcode::kF32Mul:
    case Opcode::kF32Div:
      return kind == Kind::kF32;
    case Opcode::kF64Add:
    case Opcode::kF64Sub:
    case Opcode::kF64Mul:
    case Opcode::kF64Div:
      return kind == Kind::kF64;
    default:
      return false;
  }
}

}  // namespace

// --- Locals and globals.

void FunctionCompiler::OnLocalGet(uint32_t index, ValType type) {
  index = analysis_.NumberOf(index);
  const Kind kind = KindOf(type);
  const bool is_last = (analysis_.flags(offset_ - body_offset_) & FunctionAnalysis::kLastUse) != 0;
  Local& local = locals_[index];
  if (!is_last || local.reg == kNoReg) {
    PushLocal(index, kind, is_last);
    return;
  }
  // The register becomes the operand's own, and that of any other operand that refers to the local.
  const Reg reg = local.reg;
  DetachEntries(index);
  if (local.reg != kNoReg) {
    local.reg = kNoReg;
    Free(reg);
    PushReg(kind, reg);
  } else {
    stack_.push_back({.where = EntryKind::kReg, .kind = kind, .reg = reg, .next = owner_[reg]});
    owner_[reg] = height() - 1;
  }
}

void FunctionCompiler::OnLocalSet(uint32_t index, ValType type) {
  index = analysis_.NumberOf(index);
  Value value = Pop();
  if (value.where == EntryKind::kLoad) {
    ToReg(value);
  }
  if ((analysis_.flags(offset_ - body_offset_) & FunctionAnalysis::kDeadStore) != 0) {
    return;
  }
  static_cast<void>(type);
  SetLocal(index, value);
}

void FunctionCompiler::OnLocalTee(uint32_t index, ValType type) {
  index = analysis_.NumberOf(index);
  if ((analysis_.flags(offset_ - body_offset_) & FunctionAnalysis::kDeadStore) != 0) {
    return;
  }
  Value value = Pop();
  SetLocal(index, value);
  PushLocal(index, KindOf(type), false);
}

Mem FunctionCompiler::GlobalCell(uint32_t index) {
  const Reg context = ContextReg();
  const Mem mem = Mem::At(context, static_cast<int32_t>(layout_.global(index)));
  if (!layout_.global_is_pointer(index)) {
    return mem;
  }
  asm_.Load(Kind::kI64, kScratch, mem);
  return Mem::At(kScratch, 0);
}

void FunctionCompiler::OnGlobalGet(uint32_t index, const GlobalType& type) {
  const Kind kind = KindOf(type.type);
  uint32_t next = offset_ + 1;
  while ((ByteAt(next) & 0x80) != 0) {
    ++next;
  }
  const Mem mem = GlobalCell(index);
  const Reg reg = AllocFor(kind, Hint(kind, next + 1));
  asm_.Load(kind, reg, mem);
  PushReg(kind, reg);
}

// A cell's upper half is zero for narrow types, so narrow stores keep it so.
void FunctionCompiler::OnGlobalSet(uint32_t index, const GlobalType& type) {
  Value value = Pop();
  const Kind kind = KindOf(type.type);
  if (value.is_const() && kind == Kind::kI32) {
    asm_.Op(Inst::kIdMov, Assembler::M(GlobalCell(index), 4),
            Assembler::I(static_cast<int32_t>(value.bits)));
    return;
  }
  const Reg reg = ToReg(value);
  asm_.Store(kind, GlobalCell(index), reg);
}

void FunctionCompiler::OnDrop(ValType /*type*/) {
  Value value = Pop();
  if (value.where == EntryKind::kLoad) {
    ToReg(value);
  }
}

// --- Memory.

Reg FunctionCompiler::MemoryBase(uint32_t memory_index) {
  if (memory_index == 0) {
    return LocalReg(memory_local());
  }
  const Reg context = ContextReg();
  const Reg base = Alloc(kGeneralRegs);
  asm_.Load(Kind::kI64, base,
            Mem::At(context, static_cast<int32_t>(layout_.memory_pointer(memory_index))));
  asm_.Load(Kind::kI64, base, Mem::At(base, kMemoryBase));
  return base;
}

Mem FunctionCompiler::MemorySize(uint32_t memory_index) {
  if (memory_index == 0) {
    return Mem::At(LocalReg(memory_context_local()), kMemorySizeBytes);
  }
  const Reg context = ContextReg();
  const Reg memory = Alloc(kGeneralRegs);
  asm_.Load(Kind::kI64, memory,
            Mem::At(context, static_cast<int32_t>(layout_.memory_pointer(memory_index))));
  return Mem::At(memory, kMemorySizeBytes);
}

Mem FunctionCompiler::OperandAt(uint32_t memory_index, uint64_t address) {
  const Reg base = MemoryBase(memory_index);
  if (address <= kMaxDisplacement) {
    return Mem::At(base, static_cast<int32_t>(address));
  }
  const Reg reg = Alloc(kGeneralRegs);
  asm_.MoveImmediate(reg, address);
  return {.base = base, .index = reg};
}

Mem FunctionCompiler::AccessOperand(Value& index, const MemArg& memarg) {
  if (!HasGuard(memarg.memory_index)) {
    return index.is_const() ? CheckedConstant(index.bits, memarg) : CheckedOperand(index, memarg);
  }
  const uint64_t offset = memarg.offset;
  if (index.is_const()) {
    return OperandAt(memarg.memory_index, static_cast<uint32_t>(index.bits) + offset);
  }
  const Reg base = MemoryBase(memarg.memory_index);
  if (offset <= kMaxDisplacement) {
    return {.base = base, .index = ToReg(index), .disp = static_cast<int32_t>(offset)};
  }
  const Reg reg = ToWritable(index);
  asm_.MoveImmediate(kScratch, offset);
  asm_.Op(Inst::kIdAdd, Assembler::R64(reg), Assembler::R64(kScratch));
  return {.base = base, .index = reg};
}

namespace {
constexpr uint8_t kHasMemoryIndex = 0x40;
}  // namespace

uint32_t FunctionCompiler::AfterMemArg(uint32_t offset) const {
  const bool has_index = (ByteAt(offset) & kHasMemoryIndex) != 0;
  offset = AfterLeb(AfterLeb(offset));
  return has_index ? AfterLeb(offset) : offset;
}

MemArg FunctionCompiler::ReadMemArg(uint32_t& at, uint32_t access_bytes) const {
  MemArg memarg{.access_bytes = access_bytes};
  const bool has_index = (ByteAt(at) & kHasMemoryIndex) != 0;
  at = AfterLeb(at);
  if (has_index) {
    memarg.memory_index = static_cast<uint32_t>(LebAt(at));
    at = AfterLeb(at);
  }
  memarg.offset = LebAt(at);
  at = AfterLeb(at);
  return memarg;
}

void FunctionCompiler::PushPendingLoad(Kind kind, const Mem& mem, uint32_t memory_index) {
  pending_load_ = {mem, offset_ - body_offset_, HasGuard(memory_index)};
  pending_pins_ = Bit(mem.base) | (mem.index != kNoReg ? Bit(mem.index) : 0);
  PushPending(EntryKind::kLoad, kind);
}

void FunctionCompiler::EmitLoad(Opcode op, Reg dst, const Mem& mem) {
  switch (op) {
    case Opcode::kI32Load:
    case Opcode::kI64Load32U:
      asm_.Load(Kind::kI32, dst, mem);
      break;
    case Opcode::kI64Load:
      asm_.Load(Kind::kI64, dst, mem);
      break;
    case Opcode::kF32Load:
      asm_.Load(Kind::kF32, dst, mem);
      break;
    case Opcode::kF64Load:
      asm_.Load(Kind::kF64, dst, mem);
      break;
    case Opcode::kI32Load8S:
      asm_.LoadExtending(kMovsx8, false, dst, mem);
      break;
    case Opcode::kI64Load8S:
      asm_.LoadExtending(kMovsx8, true, dst, mem);
      break;
    case Opcode::kI32Load8U:
    case Opcode::kI64Load8U:
      asm_.LoadExtending(kMovzx8, false, dst, mem);
      break;
    case Opcode::kI32Load16S:
      asm_.LoadExtending(kMovsx16, false, dst, mem);
      break;
    case Opcode::kI64Load16S:
      asm_.LoadExtending(kMovsx16, true, dst, mem);
      break;
    case Opcode::kI32Load16U:
    case Opcode::kI64Load16U:
      asm_.LoadExtending(kMovzx16, false, dst, mem);
      break;
    case Opcode::kI64Load32S:
      asm_.LoadExtending(kMovsxd, true, dst, mem);
      break;
    default:
      WASMD_UNREACHABLE();
  }
}

void FunctionCompiler::OnLoad(Opcode op, ValType type, const MemArg& memarg) {
  if (type == ValType::kV128) {
    LoadVector(op, memarg);
    return;
  }
  const Kind kind = KindOf(type);
  const uint32_t next = AfterMemArg(offset_ + 1);
  Value index = Pop();
  const Mem mem = AccessOperand(index, memarg);
  const bool is_plain = op == Opcode::kI32Load || op == Opcode::kI64Load ||
                        op == Opcode::kF32Load || op == Opcode::kF64Load;
  // The next instruction can do the access itself. Only if another operand is below: it is the
  // second one then.
  if (is_plain && FoldsLoad(ByteAt(next), kind)) {
    PushPendingLoad(kind, mem, memarg.memory_index);
    return;
  }
  // The index register serves again if nothing else needs it, unless the value is a local's.
  Reg reg = Hint(kind, next, &index);
  if (reg == kNoReg && !IsFloat(kind) && index.is_reg() && index.is_dying) {
    reg = index.reg;
  } else {
    reg = AllocFor(kind, reg);
  }
  AccessSite(memarg.memory_index);
  EmitLoad(op, reg, mem);
  PushReg(kind, reg);
}

void FunctionCompiler::OnStore(Opcode /*op*/, ValType type, const MemArg& memarg) {
  if (type == ValType::kV128) {
    StoreVector(memarg);
    return;
  }
  Value value = Pop();
  Value index = Pop();
  const Kind kind = KindOf(type);
  // What is in the frame and not worth a register goes through the scratch register; AccessOperand
  // may need that one first.
  const bool through_scratch =
      value.in_memory() && PrefersMemory(value) && memarg.offset <= kMaxDisplacement;
  const uint32_t size = memarg.access_bytes;
  const Mem mem = AccessOperand(index, memarg);
  if (value.is_const() &&
      (size < 8 || static_cast<int64_t>(value.bits) == static_cast<int32_t>(value.bits))) {
    const auto immediate = size == 1   ? int64_t{static_cast<int8_t>(value.bits)}
                           : size == 2 ? int64_t{static_cast<int16_t>(value.bits)}
                                       : int64_t{static_cast<int32_t>(value.bits)};
    AccessSite(memarg.memory_index);
    asm_.Op(Inst::kIdMov, Assembler::M(mem, size), Assembler::I(immediate));
    return;
  }
  Reg reg = kScratch;
  if (value.is_const()) {
    asm_.MoveImmediate(kScratch, value.bits);
  } else if (through_scratch) {
    asm_.Load(Kind::kI64, kScratch, MemOf(value));
  } else {
    reg = ToReg(value);
  }
  AccessSite(memarg.memory_index);
  if (IsFloatReg(reg)) {
    asm_.Store(kind, mem, reg);
    return;
  }
  asm_.StoreLow(size, mem, reg);
}

void FunctionCompiler::OnMemorySize(uint32_t memory_index) {
  const Kind kind = MemoryAddressKind(memory_index);
  const uint32_t next = AfterLeb(offset_ + 1);
  const Reg context = ContextReg();
  const Reg reg = Alloc(kGeneralRegs, Hint(kind, next));
  asm_.Load(Kind::kI64, reg,
            Mem::At(context, static_cast<int32_t>(layout_.memory_pointer(memory_index))));
  asm_.Load(Kind::kI64, reg, Mem::At(reg, kMemorySizeBytes));
  if (const uint8_t shift = module_.memories[memory_index].type.page_shift; shift != 0) {
    asm_.Op(Inst::kIdShr, Assembler::R64(reg), Assembler::I(shift));
  }
  PushReg(kind, reg);
}

void FunctionCompiler::OnMemoryGrow(uint32_t memory_index) {
  const BuiltinArg args[] = {Imm(memory_index), Arg(Pop())};
  CallBuiltin(BuiltinId::kMemoryGrow, args, TrapCode::kNone);
  PushReg(MemoryAddressKind(memory_index), kRax);
}

void FunctionCompiler::OnMemoryInit(uint32_t data_index, uint32_t memory_index) {
  const Value count = Pop();
  const Value from = Pop();
  const Value to = Pop();
  const BuiltinArg args[] = {Imm(memory_index), Imm(data_index), Arg(to), Arg(from), Arg(count)};
  CallBuiltin(BuiltinId::kMemoryInit, args, TrapCode::kMemoryOutOfBounds);
}

void FunctionCompiler::OnDataDrop(uint32_t data_index) {
  const BuiltinArg args[] = {Imm(data_index)};
  CallBuiltin(BuiltinId::kDataDrop, args, TrapCode::kNone);
}

void FunctionCompiler::OnMemoryCopy(uint32_t to_memory, uint32_t from_memory) {
  const Value count = Pop();
  const Value from = Pop();
  const Value to = Pop();
  const BuiltinArg args[] = {Imm(to_memory), Imm(from_memory), Arg(to), Arg(from), Arg(count)};
  CallBuiltin(BuiltinId::kMemoryCopy, args, TrapCode::kMemoryOutOfBounds);
}

void FunctionCompiler::OnMemoryFill(uint32_t memory_index) {
  const Value count = Pop();
  const Value value = Pop();
  const Value to = Pop();
  const BuiltinArg args[] = {Imm(memory_index), Arg(to), Arg(value), Arg(count)};
  CallBuiltin(BuiltinId::kMemoryFill, args, TrapCode::kMemoryOutOfBounds);
}

// --- Tables and references.

// Checked against the table's size. The table's elements are in the scratch register.
Mem FunctionCompiler::PopTableElement(uint32_t table_index, Value& index) {
  const Reg reg = ToReg(index);
  const Reg context = ContextReg();
  asm_.Load(Kind::kI64, kScratch,
            Mem::At(context, static_cast<int32_t>(layout_.table_pointer(table_index))));
  asm_.Op(Inst::kIdCmp, Assembler::R64(reg), Assembler::M(Mem::At(kScratch, kTableElementCount)));
  TrapIf(Cond::kAE, TrapCode::kTableOutOfBounds);
  asm_.Load(Kind::kI64, kScratch, Mem::At(kScratch, kTableElements));
  return {.base = kScratch, .index = reg, .shift = 3};
}

void FunctionCompiler::OnTableGet(uint32_t table_index, ValType /*element*/) {
  Value index = Pop();
  const Mem element = PopTableElement(table_index, index);
  const Reg reg = Alloc(kGeneralRegs);
  asm_.Load(Kind::kI64, reg, element);
  PushReg(Kind::kI64, reg);
}

void FunctionCompiler::OnTableSet(uint32_t table_index, ValType /*element*/) {
  Value value = Pop();
  Value index = Pop();
  const Reg reg = ToReg(value);
  asm_.Store(Kind::kI64, PopTableElement(table_index, index), reg);
}

void FunctionCompiler::OnTableSize(uint32_t table_index) {
  const Reg context = ContextReg();
  const Reg reg = Alloc(kGeneralRegs);
  asm_.Load(Kind::kI64, reg,
            Mem::At(context, static_cast<int32_t>(layout_.table_pointer(table_index))));
  const Kind kind = TableAddressKind(table_index);
  asm_.Load(kind, reg, Mem::At(reg, kTableElementCount));
  PushReg(kind, reg);
}

void FunctionCompiler::OnTableGrow(uint32_t table_index, ValType /*element*/) {
  const Value delta = Pop();
  const Value init = Pop();
  const BuiltinArg args[] = {Imm(table_index), Arg(init), Arg(delta)};
  CallBuiltin(BuiltinId::kTableGrow, args, TrapCode::kNone);
  PushReg(TableAddressKind(table_index), kRax);
}

void FunctionCompiler::OnTableFill(uint32_t table_index, ValType /*element*/) {
  const Value count = Pop();
  const Value value = Pop();
  const Value to = Pop();
  const BuiltinArg args[] = {Imm(table_index), Arg(to), Arg(value), Arg(count)};
  CallBuiltin(BuiltinId::kTableFill, args, TrapCode::kTableOutOfBounds);
}

void FunctionCompiler::OnTableCopy(uint32_t to_table, uint32_t from_table) {
  const Value count = Pop();
  const Value from = Pop();
  const Value to = Pop();
  const BuiltinArg args[] = {Imm(to_table), Imm(from_table), Arg(to), Arg(from), Arg(count)};
  CallBuiltin(BuiltinId::kTableCopy, args, TrapCode::kTableOutOfBounds);
}

void FunctionCompiler::OnTableInit(uint32_t elem_index, uint32_t table_index) {
  const Value count = Pop();
  const Value from = Pop();
  const Value to = Pop();
  const BuiltinArg args[] = {Imm(table_index), Imm(elem_index), Arg(to), Arg(from), Arg(count)};
  CallBuiltin(BuiltinId::kTableInit, args, TrapCode::kTableOutOfBounds);
}

void FunctionCompiler::OnElemDrop(uint32_t elem_index) {
  const BuiltinArg args[] = {Imm(elem_index)};
  CallBuiltin(BuiltinId::kElemDrop, args, TrapCode::kNone);
}

void FunctionCompiler::OnRefIsNull(ValType /*type*/) {
  Value value = Pop();
  const Reg reg = ToReg(value);
  asm_.Op(Inst::kIdTest, Assembler::R64(reg), Assembler::R64(reg));
  PushCondition(Cond::kE);
}

void FunctionCompiler::OnRefFunc(uint32_t func_index) {
  const BuiltinArg args[] = {Imm(func_index)};
  CallBuiltin(BuiltinId::kRefFunc, args, TrapCode::kNone);
  PushReg(Kind::kI64, kRax);
}

}  // namespace wasmd::engine::baseline
