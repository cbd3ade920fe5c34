// The members of FunctionCompiler that run for nearly every operand, inline: out of line they took
// a tenth of the compile time.
#ifndef WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_COMPILER_INL_H_
#define WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_COMPILER_INL_H_

#include <algorithm>

#include "engine/compile/baseline/function_compiler.h"

namespace wasmd::engine::baseline {

// Displacements reach 2^31 − 1. The reservation of a memory with a guard reaches 2^33 bytes and the
// widest access beyond its base.
inline constexpr uint64_t kMaxDisplacement = INT32_MAX;

inline void FunctionCompiler::AssignReg(uint32_t local, Reg reg, bool is_dirty) {
  WASMD_DCHECK((free_ & Bit(reg)) != 0 && locals_[local].reg == kNoReg);
  free_ &= ~Bit(reg);
  local_regs_ |= Bit(reg);
  dirty_ = is_dirty ? dirty_ | Bit(reg) : dirty_ & ~Bit(reg);
  owner_[reg] = local;
  stamp_[reg] = tick_;
  locals_[local].reg = reg;
  locals_[local].preferred = reg;
}

inline Reg FunctionCompiler::LocalReg(uint32_t local) {
  Local& info = locals_[local];
  if (info.reg != kNoReg) {
    Pin(info.reg);
    stamp_[info.reg] = tick_;
    return info.reg;
  }
  const Reg reg = AllocFor(info.kind, info.preferred);
  asm_.Load(info.kind, reg, Mem::Frame(SlotOfLocal(local)));
  AssignReg(local, reg, false);
  return reg;
}

inline void FunctionCompiler::PushReg(Kind kind, Reg reg) {
  WASMD_DCHECK((free_ & Bit(reg)) != 0);
  free_ &= ~Bit(reg);
  owner_[reg] = height();
  stamp_[reg] = tick_;
  stack_.push_back({.where = EntryKind::kReg, .kind = kind, .reg = reg});
}

inline void FunctionCompiler::PushLocal(uint32_t local, Kind kind, bool is_last) {
  Local& info = locals_[local];
  stack_.push_back({.where = EntryKind::kLocal,
                    .kind = kind,
                    .is_last = is_last,
                    .next = info.head,
                    .bits = local});
  info.head = height() - 1;
}

inline void FunctionCompiler::PushSlot(Kind kind) {
  stack_.push_back({.where = EntryKind::kSlot, .kind = kind});
}

inline FunctionCompiler::Value FunctionCompiler::View(uint32_t index) {
  const Entry& entry = stack_[index];
  Value value{.where = entry.where, .kind = entry.kind};
  switch (entry.where) {
    case EntryKind::kConst:
      value.bits = entry.bits;
      break;
    case EntryKind::kReg:
      value.reg = entry.reg;
      break;
    case EntryKind::kLocal: {
      const auto local = static_cast<uint32_t>(entry.bits);
      value.local = local;
      value.is_last = entry.is_last;
      if (locals_[local].reg != kNoReg) {
        value.where = EntryKind::kReg;
        value.reg = locals_[local].reg;
      } else {
        value.disp = SlotOfLocal(local);
      }
      break;
    }
    case EntryKind::kSlot:
      value.disp = SlotOfEntry(index, entry.kind);
      break;
    case EntryKind::kFlags:
    case EntryKind::kLoad:
    case EntryKind::kScaled:
      break;
  }
  return value;
}

inline FunctionCompiler::Value FunctionCompiler::Pop() {
  const uint32_t index = height() - 1;
  Value value = View(index);
  const Entry entry = stack_[index];
  stack_.pop_back();
  flushed_ = std::min(flushed_, index);
  if (entry.where == EntryKind::kReg) {
    WASMD_DCHECK(owner_[entry.reg] == index);
    owner_[entry.reg] = entry.next;
    if (entry.next == kNone) {
      Free(entry.reg);
      value.is_dying = true;
    }
  } else if (entry.where == EntryKind::kLocal) {
    WASMD_DCHECK(locals_[value.local].head == index);
    locals_[value.local].head = entry.next;
  }
  if (value.is_reg()) {
    Pin(value.reg);
    stamp_[value.reg] = tick_;
  }
  return value;
}

}  // namespace wasmd::engine::baseline

#endif  // WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_COMPILER_INL_H_
