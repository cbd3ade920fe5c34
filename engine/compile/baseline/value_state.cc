// Registers, locals and the operand stack of FunctionCompiler.
#include <algorithm>

#include "engine/compile/baseline/function_compiler_inl.h"

namespace wasmd::engine::baseline {
namespace {

// 64 MiB: beyond any stack a thread has.
constexpr uint32_t kMaxSlots = 1u << 23;

// Operands that have one register together.
constexpr uint32_t kMaxSharers = 8;

// A dirty local costs a store to evict, so it may be this many instructions older than a clean one.
constexpr uint32_t kDirtyBonus = 24;

}  // namespace

// --- Registers.

Reg FunctionCompiler::Alloc(RegSet candidates, Reg preferred) {
  const RegSet available = free_ & candidates & ~pinned_;
  Reg reg = kNoReg;
  if (preferred != kNoReg && (available & Bit(preferred)) != 0) {
    reg = preferred;
  } else if (available != 0) {
    reg = LowestReg(available);
  } else if (RegSet victims = local_regs_ & candidates & ~pinned_; victims != 0) {
    uint32_t best = UINT32_MAX;
    for (; victims != 0; victims &= victims - 1) {
      const Reg victim = LowestReg(victims);
      const uint32_t age_rank = stamp_[victim] + ((dirty_ & Bit(victim)) != 0 ? kDirtyBonus : 0);
      if (age_rank < best) {
        best = age_rank;
        reg = victim;
      }
    }
    EvictLocal(reg);
  } else {
    // Temporaries only: the one whose entry is deepest in the stack.
    uint32_t deepest = UINT32_MAX;
    for (RegSet temps = candidates & ~pinned_; temps != 0; temps &= temps - 1) {
      const Reg temp = LowestReg(temps);
      if (owner_[temp] < deepest) {
        deepest = owner_[temp];
        reg = temp;
      }
    }
    WASMD_CHECK(reg != kNoReg, "an instruction pins fewer registers than there are");
    SpillTemp(reg);
  }
  Pin(reg);
  stamp_[reg] = tick_;
  return reg;
}

void FunctionCompiler::Take(Reg reg) {
  Pin(reg);
  if ((free_ & Bit(reg)) != 0) {
    return;
  }
  const RegSet same_class = IsFloatReg(reg) ? kFloatRegs : kGeneralRegs;
  const RegSet available = free_ & same_class & ~pinned_;
  const bool is_local = (local_regs_ & Bit(reg)) != 0;
  if (available == 0) {
    is_local ? EvictLocal(reg) : SpillTemp(reg);
    return;
  }
  const Reg other = LowestReg(available);
  asm_.MoveAny(other, reg);
  stamp_[other] = stamp_[reg];
  if (is_local) {
    const bool is_dirty = (dirty_ & Bit(reg)) != 0;
    const uint32_t local = owner_[reg];
    Free(reg);
    locals_[local].reg = kNoReg;
    AssignReg(local, other, is_dirty);
  } else {
    owner_[other] = owner_[reg];
    free_ &= ~Bit(other);
    for (uint32_t i = owner_[reg]; i != kNone; i = stack_[i].next) {
      stack_[i].reg = other;
      asm_.Charge(1);
    }
    Free(reg);
  }
}

void FunctionCompiler::SpillTemp(Reg reg) {
  for (uint32_t i = owner_[reg]; i != kNone; i = stack_[i].next) {
    asm_.StoreSlot(stack_[i].kind, Mem::Frame(SlotOfEntry(i, stack_[i].kind)), reg);
    stack_[i].where = EntryKind::kSlot;
  }
  Free(reg);
}

void FunctionCompiler::EvictLocal(Reg reg) {
  const uint32_t local = owner_[reg];
  if ((dirty_ & Bit(reg)) != 0) {
    asm_.StoreSlot(locals_[local].kind, Mem::Frame(SlotOfLocal(local)), reg);
  }
  locals_[local].reg = kNoReg;
  Free(reg);
}

// --- Locals.

void FunctionCompiler::DetachEntries(uint32_t local) {
  Local& info = locals_[local];
  if (info.head == kNone) {
    return;
  }
  Reg reg = info.reg;
  if (reg != kNoReg) {
    local_regs_ &= ~Bit(reg);
    dirty_ &= ~Bit(reg);
    info.reg = kNoReg;
  } else {
    reg = AllocFor(info.kind);
    asm_.Load(info.kind, reg, Mem::Frame(SlotOfLocal(local)));
    free_ &= ~Bit(reg);
  }
  owner_[reg] = info.head;
  // Few share the register: whoever moves it has to tell them all.
  uint32_t last = kNone;
  uint32_t i = info.head;
  for (uint32_t count = 0; i != kNone && count < kMaxSharers; ++count, i = stack_[i].next) {
    stack_[i].where = EntryKind::kReg;
    stack_[i].reg = reg;
    last = i;
  }
  stack_[last].next = kNone;
  for (; i != kNone; i = stack_[i].next) {
    asm_.StoreSlot(stack_[i].kind, Mem::Frame(SlotOfEntry(i, stack_[i].kind)), reg);
    stack_[i].where = EntryKind::kSlot;
  }
  info.head = kNone;
}

void FunctionCompiler::SetLocal(uint32_t local, Value& value) {
  if (value.local == local) {
    return;
  }
  DetachEntries(local);
  ForgetChecks(local);
  Local& info = locals_[local];
  if (info.reg != kNoReg) {
    Free(info.reg);
    info.reg = kNoReg;
  }
  if (value.is_reg() && value.is_dying) {
    AssignReg(local, value.reg, true);
    return;
  }
  const Reg reg = AllocFor(info.kind, info.preferred);
  MoveTo(reg, value);
  AssignReg(local, reg, true);
}

Reg FunctionCompiler::Hint(Kind kind, uint32_t next_offset, Value* a, Value* b) {
  const auto opcode = static_cast<Opcode>(ByteAt(next_offset));
  if (opcode == Opcode::kReturn || (opcode == Opcode::kEnd && controls_.size() == 1)) {
    return IsFloat(kind) ? kXmm0 : kRax;  // Where a single result travels.
  }
  if (opcode != Opcode::kLocalSet && opcode != Opcode::kLocalTee) {
    return kNoReg;
  }
  uint32_t local = 0;
  for (uint32_t shift = 0; shift < 28; shift += 7) {
    const uint8_t byte = ByteAt(++next_offset);
    local |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      break;
    }
  }
  local = analysis_.FindNumber(local);
  if (local >= local_count_ || IsFloat(locals_[local].kind) != IsFloat(kind)) {
    return kNoReg;
  }
  Local& info = locals_[local];
  if (info.head != kNone) {
    return kNoReg;
  }
  if (info.reg == kNoReg) {
    return info.preferred;
  }
  // The old value is of no use but to this instruction.
  const Reg reg = info.reg;
  const bool is_a = a != nullptr && a->is_reg() && a->reg == reg;
  const bool is_b = b != nullptr && b->is_reg() && b->reg == reg;
  if (is_a && is_b) {
    return kNoReg;
  }
  Free(reg);
  info.reg = kNoReg;
  if (is_a || is_b) {
    Value& value = is_a ? *a : *b;
    value.is_dying = true;
    value.local = kNone;
    Pin(reg);
    return kNoReg;
  }
  return reg;
}

// --- Frame.

int32_t FunctionCompiler::NewSlot(Kind kind) {
  if (slot_count_ >= kMaxSlots) {
    frame_too_large_ = true;
  } else if (kind == Kind::kV128) {
    // [rbp - 16] is the first place that is aligned, since rbp is; the odd slot above stays empty.
    slot_count_ += 2 + (slot_count_ + 1) % 2;
  } else {
    ++slot_count_;
  }
  return -8 - 8 * static_cast<int32_t>(slot_count_);
}

int32_t FunctionCompiler::SlotOfEntry(uint32_t height, Kind kind) {
  std::vector<int32_t>& slots = kind == Kind::kV128 ? entry_vector_slots_ : entry_slots_;
  if (height >= slots.size()) {
    slots.resize(std::max<size_t>(size_t{height} + 1, slots.size() * 2), 0);
  }
  int32_t& slot = slots[height];
  if (slot == 0) {
    slot = NewSlot(kind);
  }
  return slot;
}

// --- Operand stack.

void FunctionCompiler::Truncate(uint32_t height_wanted) {
  while (height() > height_wanted) {
    const Entry& entry = stack_.back();
    if (entry.where == EntryKind::kReg) {
      owner_[entry.reg] = entry.next;
      if (entry.next == kNone) {
        Free(entry.reg);
      }
    } else if (entry.where == EntryKind::kLocal) {
      locals_[entry.bits].head = entry.next;
    }
    stack_.pop_back();
  }
  flushed_ = std::min(flushed_, height_wanted);
}

void FunctionCompiler::MoveTo(Reg dst, const Value& value) {
  switch (value.where) {
    case EntryKind::kConst:
      asm_.LoadConstant(value.kind, dst, value.bits);
      break;
    case EntryKind::kReg:
      IsFloatReg(dst) ? asm_.MoveFloat(dst, value.reg)
                      : asm_.Move(dst, value.reg, IsWide(value.kind));
      break;
    case EntryKind::kLocal:
      // Another operand of this instruction may have brought it into a register.
      if (const Reg reg = locals_[value.local].reg; reg != kNoReg) {
        asm_.MoveAny(dst, reg);
        break;
      }
      [[fallthrough]];
    case EntryKind::kSlot:
      asm_.Load(value.kind, dst, Mem::Frame(value.disp));
      break;
    case EntryKind::kLoad:
      PendingLoadSite();
      asm_.Load(value.kind, dst, pending_load_.mem);
      break;
    case EntryKind::kScaled:
      asm_.Move(dst, pending_scaled_.reg, IsWide(value.kind));
      asm_.Op(Inst::kIdShl, Assembler::R(dst, IsWide(value.kind)),
              Assembler::I(pending_scaled_.shift));
      break;
    case EntryKind::kFlags:
      WASMD_DCHECK(false, "flags are taken by PopCondition");
      break;
  }
}

Reg FunctionCompiler::ToReg(Value& value, Reg preferred) {
  if (value.is_reg()) {
    return value.reg;
  }
  if (value.where == EntryKind::kLocal && locals_[value.local].reg != kNoReg) {
    value.where = EntryKind::kReg;
    value.reg = locals_[value.local].reg;
    Pin(value.reg);
    return value.reg;
  }
  const Reg reg = AllocFor(value.kind, preferred);
  MoveTo(reg, value);
  if (value.where == EntryKind::kLocal && !value.is_last) {
    AssignReg(value.local, reg, false);
  } else {
    value.is_dying = true;
    value.local = kNone;
  }
  value.where = EntryKind::kReg;
  value.reg = reg;
  return reg;
}

Reg FunctionCompiler::ToWritable(Value& value, Reg preferred) {
  if (value.is_reg() && value.is_dying) {
    return value.reg;
  }
  const Reg reg = AllocFor(value.kind, preferred);
  MoveTo(reg, value);
  value.where = EntryKind::kReg;
  value.reg = reg;
  value.is_dying = true;
  value.local = kNone;
  return reg;
}

void FunctionCompiler::FlushStack() {
  for (uint32_t i = flushed_; i < height(); ++i) {
    Entry& entry = stack_[i];
    if (entry.where == EntryKind::kReg) {
      SpillTemp(entry.reg);
    } else if (entry.where == EntryKind::kLocal) {
      Local& local = locals_[entry.bits];
      const Mem slot = Mem::Frame(SlotOfEntry(i, entry.kind));
      if (local.reg != kNoReg) {
        asm_.StoreSlot(entry.kind, slot, local.reg);
      } else {
        asm_.CopySlot(entry.kind, slot, Mem::Frame(SlotOfLocal(static_cast<uint32_t>(entry.bits))));
      }
      // Whatever is below on its list is below here too, and done.
      local.head = kNone;
      entry.where = EntryKind::kSlot;
    }
  }
  flushed_ = height();
}

void FunctionCompiler::FlushForCall(RegSet kept) {
  for (RegSet regs = local_regs_ & ~kept; regs != 0; regs &= regs - 1) {
    EvictLocal(LowestReg(regs));
  }
  for (RegSet regs = kAllocatable & ~free_ & ~local_regs_ & ~kept; regs != 0; regs &= regs - 1) {
    SpillTemp(LowestReg(regs));
  }
}

}  // namespace wasmd::engine::baseline
