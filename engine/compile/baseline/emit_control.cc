// Blocks, branches and joins.
//
// An edge is planned against the state of its label without touching the state of the code that
// goes on: which dirty locals to store, which registers to move, what to load. An empty plan makes
// the branch a single jump.
#include <algorithm>

#include "engine/compile/baseline/function_compiler_inl.h"

namespace wasmd::engine::baseline {
namespace {

// Registers that a loop's state may take; the rest is for what its body computes.
constexpr uint32_t kLoopGeneralRegs = 9;
constexpr uint32_t kLoopFloatRegs = 12;

// Fewer targets are compared one by one.
constexpr size_t kMinJumpTable = 4;

}  // namespace

// --- Control frames and states.

uint32_t FunctionCompiler::FindBlock() {
  const std::span<const BlockInfo> blocks = analysis_.blocks();
  const uint32_t at = offset_ - body_offset_;
  while (next_block_ < blocks.size() && blocks[next_block_].offset < at) {
    ++next_block_;
  }
  return next_block_ < blocks.size() && blocks[next_block_].offset == at ? next_block_++ : kNone;
}

FunctionCompiler::Control& FunctionCompiler::PushControl(ControlKind kind,
                                                         const BlockSignature& signature) {
  const uint32_t outer_loop = controls_.empty() ? kNone : controls_.back().loop;
  const auto index = static_cast<uint32_t>(controls_.size());
  controls_.push_back({.kind = kind,
                       .block = kind == ControlKind::kFunction ? kNone : FindBlock(),
                       .base = height() - static_cast<uint32_t>(signature.params.size()),
                       .param_count = static_cast<uint32_t>(signature.params.size()),
                       .result_count = static_cast<uint32_t>(signature.results.size()),
                       .signature = signature,
                       .loop = kind == ControlKind::kLoop ? index : outer_loop,
                       .label = {},
                       .else_label = {}});
  asm_.Charge(signature.params.size());
  Control& control = controls_.back();
  const bool params_in_slots = kind == ControlKind::kLoop || kind == ControlKind::kIf;
  control.slot_results = kind == ControlKind::kLoop ||
                         (params_in_slots && control.param_count != 0) || control.result_count > 2;
  if (params_in_slots) {
    // Both arms of an if, and all edges to a loop, find the parameters in their slots, constants
    // too.
    for (uint32_t i = control.base; i < height(); ++i) {
      Entry& entry = stack_[i];
      if (entry.where == EntryKind::kConst) {
        StoreConstant(entry.kind, Mem::Frame(SlotOfEntry(i, entry.kind)), entry.bits);
        entry.where = EntryKind::kSlot;
      }
    }
  }
  SaveChecks(control);
  if (kind != ControlKind::kFunction) {
    FlushStack();
  }
  return control;
}

void FunctionCompiler::PopControl() {
  const Control& control = controls_.back();
  if (control.state != kNone) {
    free_states_.push_back(control.state);
  }
  if (control.else_state != kNone) {
    free_states_.push_back(control.else_state);
  }
  saved_checks_.resize(control.checks_begin);
  controls_.pop_back();
}

uint32_t FunctionCompiler::NewState() {
  if (!free_states_.empty()) {
    const uint32_t index = free_states_.back();
    free_states_.pop_back();
    return index;
  }
  if (state_count_ == states_.size()) {
    states_.emplace_back();
  }
  return state_count_++;
}

void FunctionCompiler::SnapshotLocals(LabelState& state) {
  state.present = local_regs_;
  state.dirty = dirty_;
  state.result_count = 0;
  for (RegSet regs = local_regs_; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    state.local[reg] = owner_[reg];
  }
}

// The first edge: everything stays where it is.
void FunctionCompiler::RecordState(Control& control) {
  control.state = NewState();
  LabelState& state = states_[control.state];
  SnapshotLocals(state);
  for (RegSet regs = state.present; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    if (!IsLiveAt(control, state.local[reg])) {
      state.present &= ~Bit(reg);
    }
  }
  state.dirty &= state.present;
  state.result_count = control.result_count;
  state.result_reg[0] = kNoReg;
  state.result_reg[1] = kNoReg;
  if (control.slot_results) {
    return;
  }
  RegSet taken = 0;
  for (uint32_t i = 0; i < control.result_count; ++i) {
    const Value value = View(height() - control.result_count + i);
    const RegSet regs = RegsOf(value.kind);
    Reg reg = value.is_reg() ? value.reg : kNoReg;
    if (reg == kNoReg || ((state.present | taken) & Bit(reg)) != 0) {
      RegSet free = regs & ~(state.present | taken);
      if (free == 0) {
        // A clean local gives way, or else any.
        const RegSet held = regs & ~taken;
        const RegSet clean = held & ~state.dirty;
        const Reg victim = LowestReg(clean != 0 ? clean : held);
        state.present &= ~Bit(victim);
        state.dirty &= ~Bit(victim);
        free = Bit(victim);
      }
      // A free register rather than one that a temporary below the results has: fewer moves.
      reg = LowestReg((free & free_) != 0 ? free & free_ : free);
    }
    taken |= Bit(reg);
    state.result_reg[i] = reg;
  }
}

void FunctionCompiler::EnterState(const LabelState& state, const Control& control,
                                  bool with_results) {
  Truncate(control.base);
  for (RegSet regs = local_regs_; regs != 0; regs &= regs - 1) {
    locals_[owner_[LowestReg(regs)]].reg = kNoReg;
  }
  free_ = kAllocatable;
  local_regs_ = 0;
  dirty_ = 0;
  for (RegSet regs = state.present; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    AssignReg(state.local[reg], reg, (state.dirty & Bit(reg)) != 0);
  }
  if (!with_results) {
    return;
  }
  asm_.Charge(control.result_count);
  for (uint32_t i = 0; i < control.result_count; ++i) {
    const Kind kind = KindOf(control.signature.results[i]);
    if (i < 2 && state.result_reg[i] != kNoReg) {
      PushReg(kind, state.result_reg[i]);
    } else {
      PushSlot(kind);
    }
  }
}

void FunctionCompiler::DropDeadLocals(const Control& control) {
  for (RegSet regs = local_regs_; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    Local& local = locals_[owner_[reg]];
    if (local.head == kNone && !IsLiveAt(control, owner_[reg])) {
      local.reg = kNoReg;
      Free(reg);
    }
  }
}

// --- Edges.

void FunctionCompiler::PlanEdge(Control& control) {
  LabelState& state = states_[control.state];
  const bool is_fixed = control.kind == ControlKind::kLoop;
  plan_.move_dst = 0;
  plan_.stores.clear();
  plan_.loads.clear();
  plan_.slot_results.clear();

  for (RegSet regs = state.present; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    locals_[state.local[reg]].target = reg;
  }
  RegSet supplied = 0;
  for (RegSet regs = local_regs_; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    const uint32_t index = owner_[reg];
    Local& local = locals_[index];
    const bool is_dirty = (dirty_ & Bit(reg)) != 0;
    if (const Reg target = local.target; target != kNoReg) {
      supplied |= Bit(target);
      if (target != reg) {
        plan_.move_dst |= Bit(target);
        plan_.move_src[target] = reg;
      }
      if (is_dirty && (state.dirty & Bit(target)) == 0) {
        if (is_fixed) {
          plan_.stores.push_back({SlotOfLocal(index), reg, local.kind});
        } else {
          state.dirty |= Bit(target);
        }
      }
    } else if (is_dirty && IsLiveAt(control, index)) {
      plan_.stores.push_back({SlotOfLocal(index), reg, local.kind});
    }
  }
  const uint32_t outer_loop = is_fixed ? kNone : control.loop;
  for (RegSet regs = state.present; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    const uint32_t index = state.local[reg];
    Local& local = locals_[index];
    local.target = kNoReg;
    if ((supplied & Bit(reg)) != 0) {
      continue;
    }
    // In its slot on this edge. If all edges so far have left the slot valid, the label can do
    // without the register, unless the loop around needs it.
    if (!is_fixed && (state.dirty & Bit(reg)) == 0) {
      bool is_hot = false;
      if (outer_loop != kNone) {
        const LabelState& loop_state = states_[controls_[outer_loop].state];
        for (RegSet hot = loop_state.present; hot != 0 && !is_hot; hot &= hot - 1) {
          is_hot = loop_state.local[LowestReg(hot)] == index;
        }
      }
      if (!is_hot) {
        state.present &= ~Bit(reg);
        continue;
      }
    }
    plan_.loads.push_back({reg, local.kind, false, Mem::Frame(SlotOfLocal(index)), 0});
  }

  const uint32_t count =
      control.kind == ControlKind::kLoop ? control.param_count : control.result_count;
  asm_.Charge(count);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t index = height() - count + i;
    const Value value = View(index);
    const Reg reg = i < 2 && !control.slot_results ? state.result_reg[i] : kNoReg;
    if (reg == kNoReg) {
      const int32_t slot = SlotOfEntry(control.base + i, value.kind);
      if (value.where != EntryKind::kSlot || value.disp != slot) {
        plan_.slot_results.emplace_back(slot, value);
      }
    } else if (value.is_reg()) {
      if (value.reg != reg) {
        plan_.move_dst |= Bit(reg);
        plan_.move_src[reg] = value.reg;
      }
    } else {
      plan_.loads.push_back(
          {reg, value.kind, value.is_const(), Mem::Frame(value.disp), value.bits});
    }
  }
}

void FunctionCompiler::EmitPlan() {
  // Ascending, and each source is at or above its destination: none is overwritten before it is
  // read.
  for (const auto& [slot, value] : plan_.slot_results) {
    const Mem to = Mem::Frame(slot);
    if (value.is_reg()) {
      asm_.StoreSlot(value.kind, to, value.reg);
    } else if (value.is_const()) {
      StoreConstant(value.kind, to, value.bits);
    } else {
      asm_.CopySlot(value.kind, to, Mem::Frame(value.disp));
    }
  }
  for (const SlotStore& store : plan_.stores) {
    asm_.StoreSlot(store.kind, Mem::Frame(store.slot), store.reg);
  }
  EmitMoves();
  for (const Move& load : plan_.loads) {
    if (load.is_const) {
      asm_.LoadConstant(load.kind, load.dst, load.bits);
    } else {
      asm_.Load(load.kind, load.dst, load.mem);
    }
  }
}

// All at once: a register is written when no move that is left reads it; a cycle is opened through
// a scratch register.
void FunctionCompiler::EmitMoves() {
  RegSet pending = plan_.move_dst;
  while (pending != 0) {
    RegSet sources = 0;
    for (RegSet regs = pending; regs != 0; regs &= regs - 1) {
      const Reg src = plan_.move_src[LowestReg(regs)];
      sources |= Bit(src);
    }
    RegSet ready = pending & ~sources;
    if (ready == 0) {
      const Reg reg = LowestReg(pending);
      const Reg scratch = IsFloatReg(reg) ? kScratchXmm : kScratch;
      asm_.MoveAny(scratch, reg);
      for (RegSet regs = pending; regs != 0; regs &= regs - 1) {
        Reg& src = plan_.move_src[LowestReg(regs)];
        if (src == reg) {
          src = scratch;
        }
      }
      continue;
    }
    for (; ready != 0; ready &= ready - 1) {
      const Reg reg = LowestReg(ready);
      asm_.MoveAny(reg, plan_.move_src[reg]);
      pending &= ~Bit(reg);
    }
  }
}

// What a conditional jump back would have to move first moves now, where its place is free: the
// jump is then a single one, and the code that goes on finds the locals in their new places.
void FunctionCompiler::MoveTowardsLoop(const Control& loop) {
  const LabelState& state = states_[loop.state];
  for (RegSet regs = state.present & free_ & ~pinned_; regs != 0; regs &= regs - 1) {
    const Reg target = LowestReg(regs);
    const uint32_t index = state.local[target];
    const Reg reg = locals_[index].reg;
    if (reg == kNoReg) {
      continue;
    }
    const bool is_dirty = (dirty_ & Bit(reg)) != 0;
    asm_.MoveAny(target, reg);
    Free(reg);
    locals_[index].reg = kNoReg;
    AssignReg(index, target, is_dirty);
  }
}

void FunctionCompiler::BranchTo(Control& control) {
  if (control.kind == ControlKind::kFunction) {
    EmitReturn();
    return;
  }
  if (control.state == kNone) {
    RecordState(control);
  }
  PlanEdge(control);
  EmitPlan();
  asm_.Jump(control.label);
}

void FunctionCompiler::BranchIf(Cond cond, Control& control) {
  Label skip;
  if (control.kind == ControlKind::kFunction) {
    asm_.JumpIf(Negate(cond), skip);
    EmitReturn();
    asm_.Bind(skip);
    return;
  }
  if (control.state == kNone) {
    RecordState(control);
  } else if (control.kind == ControlKind::kLoop) {
    MoveTowardsLoop(control);
  }
  PlanEdge(control);
  if (plan_.empty()) {
    asm_.JumpIf(cond, control.label);
    return;
  }
  asm_.JumpIf(Negate(cond), skip);
  EmitPlan();
  asm_.Jump(control.label);
  asm_.Bind(skip);
}

void FunctionCompiler::BindLabel(Control& control) {
  asm_.Bind(control.label);
  for (uint32_t use = control.table_use; use != kNone;) {
    const uint32_t next = table_entries_[use];
    table_entries_[use] = static_cast<uint32_t>(control.label.position);
    use = next;
  }
  control.table_use = kNone;
}

// --- Sink members.

void FunctionCompiler::OnUnreachable() {
  EndMeteredLine();
  asm_.Jump(TrapLabel(TrapCode::kUnreachable));
}

void FunctionCompiler::OnBlock(const BlockSignature& signature) {
  PushControl(ControlKind::kBlock, signature);
}

void FunctionCompiler::OnLoop(const BlockSignature& signature) {
  EndMeteredLine();
  Control& control = PushControl(ControlKind::kLoop, signature);
  if (checks_bounds_) {
    ForgetAssigned(control);
    HoistChecks(control);
  }
  EnterLoop(control);
}

void FunctionCompiler::EnterLoop(Control& control) {
  control.state = NewState();
  RegSet wanted = 0;
  if (control.block != kNone) {
    const BlockInfo& info = analysis_.blocks()[control.block];
    uint32_t general = 0;
    uint32_t floats = 0;
    uint32_t chosen[FunctionAnalysis::kMaxHotGeneral + FunctionAnalysis::kMaxHotFloat];
    bool assigned[std::size(chosen)];
    uint32_t count = 0;
    for (const HotLocal& hot : analysis_.hot(info)) {
      if (!IsLiveAt(control, hot.local)) {
        continue;
      }
      const Local& local = locals_[hot.local];
      if (IsFloat(local.kind) ? floats >= kLoopFloatRegs : general >= kLoopGeneralRegs) {
        continue;
      }
      (IsFloat(local.kind) ? floats : general) += 1;
      chosen[count] = hot.local;
      assigned[count++] = hot.is_assigned;
      if (local.reg != kNoReg) {
        wanted |= Bit(local.reg);
      }
    }
    for (RegSet regs = local_regs_ & ~wanted; regs != 0; regs &= regs - 1) {
      const Reg reg = LowestReg(regs);
      if (!IsLiveAt(control, owner_[reg])) {
        dirty_ &= ~Bit(reg);
      }
      EvictLocal(reg);
    }
    for (uint32_t i = 0; i < count; ++i) {
      Local& local = locals_[chosen[i]];
      if (local.reg == kNoReg) {
        LocalReg(chosen[i]);
      }
      const RegSet bit = Bit(local.reg);
      if (assigned[i]) {
        dirty_ |= bit;
      } else if (info.has_calls && (dirty_ & bit) != 0) {
        // Once here instead of before each call.
        asm_.StoreSlot(local.kind, Mem::Frame(SlotOfLocal(chosen[i])), local.reg);
        dirty_ &= ~bit;
      }
    }
  } else {
    FlushForCall(0);
  }
  SnapshotLocals(states_[control.state]);
  states_[control.state].result_count = control.param_count;
  states_[control.state].result_reg[0] = kNoReg;
  states_[control.state].result_reg[1] = kNoReg;
  asm_.Bind(control.label);
}

// The condition's value decides; flags are set when this returns, and only moves may follow before
// the jump.
Cond FunctionCompiler::PopCondition() {
  Value value = Pop();
  switch (value.where) {
    case EntryKind::kFlags:
      return pending_cond_;
    case EntryKind::kSlot:
    case EntryKind::kLocal:
      if (PrefersMemory(value)) {
        asm_.CompareMem(false, MemOf(value), 0);
        return Cond::kNE;
      }
      break;
    case EntryKind::kConst:
    case EntryKind::kReg:
    case EntryKind::kLoad:
    case EntryKind::kScaled:
      break;
  }
  TestZero(false, ToReg(value));
  return Cond::kNE;
}

void FunctionCompiler::OnIf(const BlockSignature& signature) {
  EndMeteredLine();
  const Cond cond = PopCondition();
  Control& control = PushControl(ControlKind::kIf, signature);
  if (control.block != kNone && !analysis_.blocks()[control.block].has_else) {
    BranchIf(Negate(cond), control);
    return;
  }
  control.else_state = NewState();
  SnapshotLocals(states_[control.else_state]);
  asm_.JumpIf(Negate(cond), control.else_label);
}

void FunctionCompiler::OnElse(bool reachable) {
  EndMeteredLine();
  Control& control = controls_.back();
  if (reachable) {
    BranchTo(control);
  }
  EmitPads();
  RestoreChecks(control);
  control.kind = ControlKind::kElse;
  asm_.Bind(control.else_label);
  EnterState(states_[control.else_state], control, false);
  for (uint32_t i = 0; i < control.param_count; ++i) {
    PushSlot(KindOf(control.signature.params[i]));
  }
  flushed_ = height();
}

void FunctionCompiler::OnEnd(bool reachable) {
  Control& control = controls_.back();
  const bool goes_straight_on =
      reachable &&
      (control.kind == ControlKind::kLoop ||
       (control.kind == ControlKind::kBlock && control.state == kNone && control.pads == kNone));
  if (!goes_straight_on) {
    EndMeteredLine();
  }
  if (control.try_index != kNone) {
    MarkTry(handlers_.tries[control.try_index].outer);
  }
  if (control.kind == ControlKind::kFunction) {
    if (reachable) {
      EmitReturn();
    }
    EmitPads();
    PopControl();
    return;
  }
  if (!reachable) {
    EmitPads();
  } else if (control.pads != kNone) {
    EmitPadsOf(control);
  }
  if (control.kind == ControlKind::kLoop) {
    if (!reachable) {
      Truncate(control.base);
    }
    PopControl();
    return;
  }
  if (control.kind == ControlKind::kIf && control.else_state != kNone) {
    // No else after all: an empty one, whose results are the parameters.
    if (reachable) {
      BranchTo(control);
    }
    asm_.Bind(control.else_label);
    EnterState(states_[control.else_state], control, false);
    RestoreChecks(control);
    for (uint32_t i = 0; i < control.param_count; ++i) {
      PushSlot(KindOf(control.signature.params[i]));
    }
    reachable = true;
  }
  if (control.state != kNone) {
    if (reachable) {
      PlanEdge(control);
      EmitPlan();
    }
    BindLabel(control);
    EnterState(states_[control.state], control, true);
    RestoreChecks(control);
    ForgetAssigned(control);
  } else if (reachable) {
    DropDeadLocals(control);
  } else {
    Truncate(control.base);
  }
  PopControl();
}

void FunctionCompiler::OnBr(uint32_t depth) {
  EndMeteredLine();
  BranchTo(control(depth));
}

void FunctionCompiler::OnBrIf(uint32_t depth) {
  EndMeteredLine();
  const Cond cond = PopCondition();
  pinned_ = 0;  // The flags are all that is left of the condition.
  BranchIf(cond, control(depth));
}

void FunctionCompiler::OnReturn() {
  EndMeteredLine();
  EmitReturn();
}

// A br_table entry for the label: the label itself if the state fits, else code that makes it fit.
uint32_t FunctionCompiler::TableTarget(Control& target) {
  if (target.edge_stamp == edge_stamp_) {
    return target.trampoline_entry;
  }
  target.edge_stamp = edge_stamp_;
  if (target.kind == ControlKind::kFunction) {
    target.trampoline_entry = asm_.pc();
    EmitReturn();
    return target.trampoline_entry;
  }
  if (target.state == kNone) {
    RecordState(target);
  }
  PlanEdge(target);
  if (plan_.empty()) {
    target.trampoline_entry =
        target.label.is_bound() ? static_cast<uint32_t>(target.label.position) : kNone;
  } else {
    target.trampoline_entry = asm_.pc();
    EmitPlan();
    asm_.Jump(target.label);
  }
  return target.trampoline_entry;
}

void FunctionCompiler::OnBrTable(std::span<const uint32_t> depths, uint32_t default_depth) {
  EndMeteredLine();
  Value index = Pop();
  if (depths.size() < kMinJumpTable) {
    const Reg reg = ToReg(index);
    for (uint32_t i = 0; i < depths.size(); ++i) {
      if (i == 0) {
        asm_.Op(Inst::kIdTest, Assembler::R32(reg), Assembler::R32(reg));
      } else {
        asm_.Op(Inst::kIdCmp, Assembler::R32(reg), Assembler::I(i));
      }
      BranchIf(Cond::kE, control(depths[i]));
    }
    BranchTo(control(default_depth));
    return;
  }
  const Reg reg = ToWritable(index);
  asm_.Op(Inst::kIdCmp, Assembler::R32(reg), Assembler::I(static_cast<int64_t>(depths.size())));
  BranchIf(Cond::kAE, control(default_depth));
  tables_.push_back({.label = {},
                     .begin = static_cast<uint32_t>(table_entries_.size()),
                     .count = static_cast<uint32_t>(depths.size())});
  asm_.RipLea(kScratch, tables_.back().label);
  asm_.Op(Inst::kIdMovsxd, Assembler::R64(reg),
          Assembler::M({.base = kScratch, .index = reg, .shift = 2}, 4));
  asm_.Op(Inst::kIdAdd, Assembler::R64(reg), Assembler::R64(kScratch));
  asm_.Op(Inst::kIdJmp, Assembler::R64(reg));
  ++edge_stamp_;
  for (const uint32_t depth : depths) {
    if (asm_.is_too_large()) {
      return;
    }
    Control& target = control(depth);
    const uint32_t position = TableTarget(target);
    if (position != kNone) {
      table_entries_.push_back(position);
    } else {
      table_entries_.push_back(target.table_use);
      target.table_use = static_cast<uint32_t>(table_entries_.size() - 1);
    }
  }
}

}  // namespace wasmd::engine::baseline
