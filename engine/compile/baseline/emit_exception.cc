// try_table, throw and throw_ref.
//
// Nothing is emitted for entering or leaving a try_table: its calls are told by their return
// addresses (HandlerTable). A clause has a *landing pad*, where the raise path goes on with rax the
// exception and rbp the frame's. It copies the tag's values from the exception to slots and is then
// an edge to the clause's label like any other, one on which no local is in a register: a call has
// emptied the registers, and FunctionAnalysis has kept alive what the labels of handlers read.
//
// Pads stand where code ends anyway, before the next `end` or `else` that is not reached, so that
// the way without exceptions does not jump over them; at the latest before their label.
#include "engine/abi/exception.h"
#include "engine/compile/baseline/function_compiler_inl.h"

namespace wasmd::engine::baseline {

void FunctionCompiler::MarkTry(uint32_t try_index) {
  std::vector<HandlerTable::Boundary>& boundaries = handlers_.boundaries;
  if (!boundaries.empty() && boundaries.back().return_offset == last_call_pc_) {
    boundaries.back().try_index = try_index;
  } else {
    boundaries.push_back({.return_offset = last_call_pc_, .try_index = try_index});
  }
  current_try_ = try_index;
}

void FunctionCompiler::OnTryTable(const BlockSignature& signature,
                                  std::span<const CatchClause> clauses) {
  const auto try_index = static_cast<uint32_t>(handlers_.tries.size());
  if (!clauses.empty()) {
    handlers_.tries.push_back({.outer = current_try_,
                               .first_clause = static_cast<uint32_t>(handlers_.clauses.size()),
                               .clause_count = static_cast<uint32_t>(clauses.size())});
  }
  for (const CatchClause& clause : clauses) {
    Control& target = control(clause.depth);
    pads_.push_back({.clause = static_cast<uint32_t>(handlers_.clauses.size()),
                     .tag_index = clause.has_tag() ? clause.tag_index : kNone,
                     .has_ref = clause.has_ref(),
                     .control = static_cast<uint32_t>(&target - controls_.data()),
                     .next = target.pads});
    target.pads = static_cast<uint32_t>(pads_.size() - 1);
    handlers_.clauses.push_back({.tag_offset = clause.has_tag()
                                                   ? layout_.tag_address(clause.tag_index)
                                                   : HandlerTable::kAnyTag,
                                 .pad_offset = 0,
                                 .has_ref = clause.has_ref()});
  }
  Control& control = PushControl(ControlKind::kBlock, signature);
  if (!clauses.empty()) {
    control.try_index = try_index;
    MarkTry(try_index);
  }
}

void FunctionCompiler::EmitPad(const Pad& pad) {
  static constexpr uint8_t kSetStackPointer[] = {0x48, 0x8d, 0xa5, 0, 0, 0, 0};  // lea rsp, [rbp-N]
  handlers_.clauses[pad.clause].pad_offset = asm_.pc();
  asm_.Bytes(kSetStackPointer, sizeof(kSetStackPointer));
  frame_patches_.push_back(asm_.pc() - 4);

  // The state of the code that is being compiled is put aside: nothing is in a register here.
  const RegSet saved_local_regs = local_regs_;
  const RegSet saved_dirty = dirty_;
  const RegSet saved_free = free_;
  const uint32_t saved_height = height();
  for (RegSet regs = saved_local_regs; regs != 0; regs &= regs - 1) {
    locals_[owner_[LowestReg(regs)]].reg = kNoReg;
  }
  local_regs_ = 0;
  dirty_ = 0;
  free_ = kAllocatable;

  if (pad.tag_index != kNone) {
    auto offset = static_cast<int32_t>(kExceptionValues);
    for (const ValType type : module_.tag_type(pad.tag_index).params) {
      const Kind kind = KindOf(type);
      asm_.Load(WordKind(kind), kScratchXmm, Mem::At(kRax, offset));
      asm_.Store(WordKind(kind), Mem::Frame(SlotOfEntry(height(), kind)), kScratchXmm);
      PushSlot(kind);
      offset += static_cast<int32_t>(sizeof(Cell));
    }
  }
  if (pad.has_ref) {
    asm_.StoreWord(Mem::Frame(SlotOfEntry(height(), Kind::kI64)), kRax);
    PushSlot(Kind::kI64);
  }
  BranchTo(controls_[pad.control]);

  Truncate(saved_height);
  local_regs_ = saved_local_regs;
  dirty_ = saved_dirty;
  free_ = saved_free;
  for (RegSet regs = saved_local_regs; regs != 0; regs &= regs - 1) {
    const Reg reg = LowestReg(regs);
    locals_[owner_[reg]].reg = reg;
  }
}

// At a place that nothing reaches: all that wait.
void FunctionCompiler::EmitPads() {
  for (const Pad& pad : pads_) {
    if (pad.control != kNone) {
      controls_[pad.control].pads = kNone;
      if (!asm_.is_too_large()) {
        EmitPad(pad);
      }
    }
  }
  pads_.clear();
}

// Before the end of `target`, which code reaches by falling through: the last chance for its pads.
void FunctionCompiler::EmitPadsOf(Control& target) {
  Label over;
  asm_.Jump(over);
  for (uint32_t i = target.pads; i != kNone; i = pads_[i].next) {
    if (!asm_.is_too_large()) {
      EmitPad(pads_[i]);
    }
    pads_[i].control = kNone;
  }
  target.pads = kNone;
  asm_.Bind(over);
}

void FunctionCompiler::OnThrow(uint32_t tag_index, const FuncType& type) {
  EndMeteredLine();
  PopArguments(type.params.size());
  if (current_try_ != HandlerTable::kNoTry) {
    FlushForCall(0);  // One of the function's own handlers may go on.
  }
  if (!type.params.empty()) {
    LoadStoreContext();
  }
  for (uint32_t i = 0; i < type.params.size(); ++i) {
    StoreOverflow(i, args_[i]);
  }
  const BuiltinArg args[] = {Imm(tag_index)};
  CallBuiltin(BuiltinId::kThrow, args, TrapCode::kNone);
  Raise();
}

void FunctionCompiler::OnThrowRef() {
  EndMeteredLine();
  const Value exception = Pop();
  if (current_try_ != HandlerTable::kNoTry) {
    FlushForCall(0);
  }
  const BuiltinArg args[] = {Arg(exception)};
  CallBuiltin(BuiltinId::kThrowRef, args, TrapCode::kNone);
  Raise();
}

// The code in eax, as a call of this place and not of a stub's: its return address says in which
// try_table it is.
void FunctionCompiler::Raise() {
  asm_.Move(kRdi, kRax, false);
  asm_.Load(Kind::kI64, kRax, Mem::Frame(-8));
  asm_.Op(Inst::kIdCall, Assembler::M(Mem::At(kRax, kCtxRaiseTrap), 8));
  CallSite();
}

}  // namespace wasmd::engine::baseline
