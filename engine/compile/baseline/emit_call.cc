// Prologue, calls, returns, builtins, and what stands behind a function: trap stubs, cold code,
// jump tables.
//
//   push rbp; mov rbp, rsp; push rdi        [rbp - 8] is the context
//   mov r11, [rdi]; cmp rsp, [r11]; jb …    the stack check, if the function calls anything
//   sub rsp, N                              completed at the end; a large frame jumps to a check of
//   its own instead
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "engine/abi/calling_convention.h"
#include "engine/binary/binary_error.h"
#include "engine/compile/baseline/function_compiler_inl.h"
#include "engine/wasm/limits.h"

namespace wasmd::engine::baseline {
namespace {

// Locals that begin as zero in registers, of each class. More are zeroed in the frame.
constexpr uint32_t kMaxZeroRegs = 4;

// Slots zeroed by single stores; more by a loop.
constexpr uint32_t kMaxZeroStores = 16;

Reg RegOf(const ValueLocation& location, bool is_result) {
  if (location.kind == ValueLocation::Kind::kFloatReg) {
    return static_cast<Reg>(kXmm0 + location.index);
  }
  return is_result ? kGeneralResultReg[location.index] : kGeneralParamReg[location.index];
}

Mem OverflowCell(uint32_t index) {
  return Mem::At(kScratch, static_cast<int32_t>(kStoreOverflow + index * sizeof(Cell)));
}

}  // namespace

FunctionCompiler::FunctionCompiler(const Module& module, const ContextLayout& layout,
                                   const CompilerOptions& options)
    : module_(module), layout_(layout), options_(options) {
  if (!options.use_avx) {
    asm_.set_features(asm_.features().WithoutAvx());
  }
  for (uint32_t i = 0; i < module.memories.size(); ++i) {
    checks_bounds_ |= !HasGuard(i);
  }
  plan_.stores.reserve(kRegCount);
  plan_.loads.reserve(kRegCount);
}

void FunctionCompiler::Begin(uint32_t func_index) {
  asm_.Begin(CompileWorkLimit(module_.funcs[func_index].body_bytes));
  func_index_ = func_index;
  body_offset_ = module_.funcs[func_index].body_offset;
  offset_ = body_offset_;
  tick_ = kRegCount;
  free_ = kAllocatable;
  local_regs_ = 0;
  dirty_ = 0;
  pinned_ = 0;
  pending_pins_ = 0;
  zero_flag_pc_ = 0;
  stack_.clear();
  checked_.clear();
  saved_checks_.clear();
  flushed_ = 0;
  entry_slots_.clear();
  entry_vector_slots_.clear();
  slot_count_ = 0;
  frame_too_large_ = false;
  controls_.clear();
  state_count_ = 0;
  free_states_.clear();
  next_block_ = 0;
  edge_stamp_ = 0;
  stubs_.clear();
  slow_paths_.clear();
  tables_.clear();
  table_entries_.clear();
  handlers_.Clear();
  pads_.clear();
  current_try_ = HandlerTable::kNoTry;
  last_call_pc_ = 0;
  frame_patches_.clear();
  fuel_patch_ = 0;
}

absl::Status FunctionCompiler::Finish(CompiledFunction& out) {
  if (frame_too_large_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("function ", func_index_, ": frame too large"));
  }
  if (asm_.is_too_large()) {
    BinaryError error;
    error.BeyondLimit(offset_, "bytes of machine code and operands to move", asm_.work(),
                      "kCompileWorkPerByte", asm_.work_limit());
    return error.ToStatus(absl::StrCat("function ", func_index_));
  }
  if (const char* const message = asm_.Finish(out); *message != '\0') {
    return absl::ResourceExhaustedError(absl::StrCat("function ", func_index_, ": ", message));
  }
  out.frame_bytes = frame_bytes_;
  out.handlers = handlers_;
  out.work = asm_.work();
  return absl::OkStatus();
}

// --- Prologue.

void FunctionCompiler::OnBegin(const FuncType& type, std::span<const ValType> locals) {
  analysis_.Analyze(module_.func_body(func_index_), static_cast<uint32_t>(type.params.size()),
                    locals, !module_.memories.empty() && !HasGuard(0));
  const std::span<const ValType> types = analysis_.types();
  local_count_ = static_cast<uint32_t>(types.size());
  locals_.assign(size_t{local_count_} + FunctionAnalysis::kPseudoLocals, Local{});
  asm_.Charge((local_count_ + analysis_.work()) / 16);
  for (uint32_t i = 0; i < local_count_; ++i) {
    locals_[i].kind = KindOf(types[i]);
  }
  locals_[context_local()].kind = Kind::kI64;
  locals_[context_local()].slot = -8;
  locals_[memory_local()].kind = Kind::kI64;
  locals_[memory_context_local()].kind = Kind::kI64;
  EmitPrologue(type, locals);
  PushControl(ControlKind::kFunction, {.params = {}, .results = type.results});
}

void FunctionCompiler::EmitPrologue(const FuncType& type, std::span<const ValType> locals) {
  static constexpr uint8_t kEnter[] = {0x55, 0x48, 0x89, 0xe5,
                                       0x57};  // push rbp; mov rbp, rsp; push rdi
  asm_.Bytes(kEnter, sizeof(kEnter));
  static_assert(kCtxStore == 0 && kStoreStackLimit == 0);
  has_stack_check_ = analysis_.has_calls();
  if (has_stack_check_) {
    static constexpr uint8_t kCheck[] = {0x4c, 0x8b, 0x1f,
                                         0x49, 0x3b, 0x23};  // mov r11, [rdi]; cmp rsp, [r11]
    asm_.Bytes(kCheck, sizeof(kCheck));
    TrapIf(Cond::kB, TrapCode::kStackOverflow);
  }
  frame_patch_ = asm_.pc();
  static constexpr uint8_t kReserve[] = {0x48, 0x81, 0xec, 0, 0, 0, 0};  // sub rsp, N
  asm_.Bytes(kReserve, sizeof(kReserve));

  AssignReg(context_local(), kRdi, false);
  LocationAssigner assigner = LocationAssigner::Params();
  bool has_overflow = false;
  for (uint32_t i = 0; i < type.params.size(); ++i) {
    const ValueLocation location = assigner.Next(type.params[i]);
    if (location.kind == ValueLocation::Kind::kOverflow) {
      has_overflow = true;
    } else if (analysis_.IsLiveAtEntry(i)) {
      AssignReg(i, RegOf(location, false), true);
    }
  }
  if (has_overflow) {
    asm_.Load(Kind::kI64, kScratch, Mem::At(kRdi, kCtxStore));
    assigner = LocationAssigner::Params();
    for (uint32_t i = 0; i < type.params.size(); ++i) {
      const ValueLocation location = assigner.Next(type.params[i]);
      if (location.kind == ValueLocation::Kind::kOverflow && analysis_.IsLiveAtEntry(i)) {
        const Kind kind = WordKind(locals_[i].kind);
        asm_.Load(kind, kScratchXmm, OverflowCell(location.index));
        asm_.Store(kind, Mem::Frame(SlotOfLocal(i)), kScratchXmm);
      }
    }
  }
  if (analysis_.uses_memory()) {
    const auto begin = [&](uint32_t local, Reg preferred, uint32_t offset) {
      const Reg reg = Alloc(kGeneralRegs, preferred);
      asm_.Load(Kind::kI64, reg, Mem::At(kRdi, static_cast<int32_t>(offset)));
      AssignReg(local, reg, true);
      if (analysis_.has_calls()) {
        asm_.StoreWord(Mem::Frame(SlotOfLocal(local)), reg);
        dirty_ &= ~Bit(reg);
      }
    };
    begin(memory_local(), kR15, kCtxMemoryBase);
    if (!HasGuard(0)) {
      begin(memory_context_local(), kR14, layout_.memory_pointer(0));
    }
  }
  pinned_ = 0;
  if (locals.size() > type.params.size()) {
    ZeroLocals(type);
  }
}

void FunctionCompiler::ZeroLocals(const FuncType& type) {
  uint32_t general = 0;
  uint32_t floats = 0;
  for (auto i = static_cast<uint32_t>(type.params.size()); i < local_count_; ++i) {
    if (analysis_.IsLiveAtEntry(i)) {
      (IsFloat(locals_[i].kind) ? floats : general) += 1;
    }
  }
  const bool general_in_regs = general <= kMaxZeroRegs;
  const bool floats_in_regs = floats <= kMaxZeroRegs;
  const uint32_t slots_before = slot_count_;
  for (auto i = static_cast<uint32_t>(type.params.size()); i < local_count_; ++i) {
    if (!analysis_.IsLiveAtEntry(i)) {
      continue;
    }
    const Kind kind = locals_[i].kind;
    if ((IsFloat(kind) ? floats_in_regs : general_in_regs) && HasFree(RegsOf(kind))) {
      const Reg reg = AllocFor(kind);
      IsFloat(kind) ? asm_.LoadConstant(Kind::kF64, reg, 0) : asm_.Zero(reg);
      AssignReg(i, reg, true);
    } else {
      SlotOfLocal(i);  // New slots: descending, one after the other.
    }
  }
  pinned_ = 0;
  const uint32_t slots = slot_count_ - slots_before;
  const int32_t low = -8 - 8 * static_cast<int32_t>(slot_count_);
  if (slots == 0) {
    return;
  }
  asm_.LoadConstant(Kind::kF64, kScratchXmm, 0);
  const auto store16 = [&](const Mem& mem) {
    asm_.Op(asm_.has_avx() ? Inst::kIdVmovups : Inst::kIdMovups, Assembler::M(mem),
            Assembler::X(kScratchXmm));
  };
  uint32_t done = 0;
  if ((slots & 1) != 0) {
    asm_.StoreWord(Mem::Frame(low), kScratchXmm);
    done = 1;
  }
  if (slots <= kMaxZeroStores * 2) {
    for (; done < slots; done += 2) {
      store16(Mem::Frame(low + static_cast<int32_t>(done) * 8));
    }
    return;
  }
  const int32_t begin = low + static_cast<int32_t>(done) * 8;
  const int32_t end = low + static_cast<int32_t>(slots) * 8;
  asm_.Op(Inst::kIdLea, Assembler::R64(kRax), Assembler::M(Mem::Frame(begin)));
  asm_.Op(Inst::kIdLea, Assembler::R64(kScratch), Assembler::M(Mem::Frame(end)));
  Label again;
  asm_.Bind(again);
  store16(Mem::At(kRax, 0));
  asm_.Op(Inst::kIdAdd, Assembler::R64(kRax), Assembler::I(16));
  asm_.Op(Inst::kIdCmp, Assembler::R64(kRax), Assembler::R64(kScratch));
  asm_.JumpIf(Cond::kB, again);
}

// The frame's size is known. rsp is 16-aligned with [rbp - 8] pushed and N bytes below.
void FunctionCompiler::FinishPrologue() {
  const uint32_t total = (8 + 8 * slot_count_ + 15) & ~uint32_t{15};
  frame_bytes_ = total;
  for (const uint32_t at : frame_patches_) {
    asm_.Patch32(at, 0 - total);
  }
  if (total <= kUncheckedFrameBytes) {
    asm_.Patch32(frame_patch_ + 3, total - 8);
    return;
  }
  // The frame is entered only when it fits: a signal that arrives in between finds rsp above the
  // limit.
  const uint32_t begin = asm_.pc();
  asm_.Op(Inst::kIdLea, Assembler::R64(kRax),
          Assembler::M(Mem::At(kRsp, -static_cast<int32_t>(total - 8))));
  asm_.Op(Inst::kIdMov, Assembler::R64(kScratch), Assembler::M(Mem::At(kRdi, kCtxStore)));
  asm_.Op(Inst::kIdCmp, Assembler::R64(kRax), Assembler::R64(kRsp));
  const uint32_t offset = offset_;
  offset_ = body_offset_;
  TrapIf(Cond::kA, TrapCode::kStackOverflow);  // Below address 0.
  asm_.Op(Inst::kIdCmp, Assembler::R64(kRax), Assembler::M(Mem::At(kScratch, kStoreStackLimit)));
  TrapIf(Cond::kB, TrapCode::kStackOverflow);
  offset_ = offset;
  asm_.Op(Inst::kIdMov, Assembler::R64(kRsp), Assembler::R64(kRax));
  Label back{.position = static_cast<int32_t>(frame_patch_ + 7)};
  asm_.Jump(back);
  uint8_t jump[7] = {0xe9, 0, 0, 0, 0, 0x66, 0x90};
  const uint32_t distance = begin - (frame_patch_ + 5);
  std::memcpy(jump + 1, &distance, 4);
  asm_.PatchBytes(frame_patch_, jump, sizeof(jump));
}

// --- Calls.

void FunctionCompiler::PopArguments(size_t count) {
  asm_.Charge(count);
  args_.resize(count);
  for (size_t i = count; i-- != 0;) {
    args_[i] = Pop();
  }
}

// The store's context is in the scratch register, so a value from elsewhere goes through xmm15.
void FunctionCompiler::StoreOverflow(uint32_t index, const Value& value) {
  const Mem cell = OverflowCell(index);
  if (value.is_reg()) {
    asm_.StoreSlot(value.kind, cell, value.reg);
    return;
  }
  const Kind kind = WordKind(value.kind);
  if (value.is_const()) {
    asm_.LoadConstant(kind, kScratchXmm, value.bits);
  } else {
    asm_.Load(kind, kScratchXmm, Mem::Frame(value.disp));
  }
  asm_.Store(kind, cell, kScratchXmm);
}

// Emits everything but the context, which goes to rdi with the rest of the plan.
void FunctionCompiler::MoveArguments(std::span<const Value> values,
                                     std::span<const ValType> types) {
  plan_.move_dst = 0;
  plan_.stores.clear();
  plan_.loads.clear();
  plan_.slot_results.clear();
  LocationAssigner assigner = LocationAssigner::Params();
  bool has_store = false;
  for (size_t i = 0; i < values.size(); ++i) {
    const Value& value = values[i];
    const ValueLocation location = assigner.Next(types[i]);
    if (location.kind != ValueLocation::Kind::kOverflow) {
      const Reg reg = RegOf(location, false);
      if (!value.is_reg()) {
        plan_.loads.push_back(
            {reg, value.kind, value.is_const(), Mem::Frame(value.disp), value.bits});
      } else if (value.reg != reg) {
        plan_.move_dst |= Bit(reg);
        plan_.move_src[reg] = value.reg;
      }
      continue;
    }
    if (!has_store) {
      LoadStoreContext();
      has_store = true;
    }
    StoreOverflow(location.index, value);
  }
}

void FunctionCompiler::LoadStoreContext() {
  asm_.Load(Kind::kI64, kScratch, Mem::Frame(-8));
  asm_.Load(Kind::kI64, kScratch, Mem::At(kScratch, kCtxStore));
}

void FunctionCompiler::PushResults(const FuncType& type) {
  LocationAssigner assigner = LocationAssigner::Results();
  bool has_store = false;
  for (const ValType result : type.results) {
    const ValueLocation location = assigner.Next(result);
    if (location.kind != ValueLocation::Kind::kOverflow) {
      PushReg(KindOf(result), RegOf(location, true));
      continue;
    }
    if (!has_store) {
      LoadStoreContext();
      has_store = true;
    }
    const Kind kind = KindOf(result);
    asm_.Load(WordKind(kind), kScratchXmm, OverflowCell(location.index));
    asm_.Store(WordKind(kind), Mem::Frame(SlotOfEntry(height(), kind)), kScratchXmm);
    PushSlot(kind);
  }
}

void FunctionCompiler::PlanContext(Reg context) {
  if (context == kNoReg) {
    plan_.loads.push_back({kRdi, Kind::kI64, false, Mem::Frame(-8), 0});
  } else if (context != kRdi) {
    plan_.move_dst |= Bit(kRdi);
    plan_.move_src[kRdi] = context;
  }
}

void FunctionCompiler::LoadImport(uint32_t func_index) {
  const auto offset = static_cast<int32_t>(layout_.imported_func(func_index));
  asm_.Load(Kind::kI64, kRax, Mem::At(kRdi, offset + static_cast<int32_t>(kImportedFuncCode)));
  asm_.Load(Kind::kI64, kRdi, Mem::At(kRdi, offset + static_cast<int32_t>(kImportedFuncContext)));
}

void FunctionCompiler::OnCall(uint32_t func_index, const FuncType& type) {
  PopArguments(type.params.size());
  const Reg context = locals_[context_local()].reg;
  FlushForCall(0);
  MoveArguments(args_, type.params);
  PlanContext(context);
  EmitPlan();
  if (module_.is_imported_func(func_index)) {
    LoadImport(func_index);
    asm_.Op(Inst::kIdCall, Assembler::R64(kRax));
  } else {
    asm_.Load(Kind::kI64, kRax, Mem::At(kRdi, kCtxFuncTable));
    asm_.Op(Inst::kIdCall, Assembler::M(Mem::At(kRax, static_cast<int32_t>(func_index * 8)), 8));
  }
  CallSite();
  PushResults(type);
}

// The index travels in r10 with the arguments; everything else is done when only they and rdi are
// taken.
void FunctionCompiler::PlanTableIndex(const Value& index) {
  if (!index.is_reg()) {
    plan_.loads.push_back({kR10, index.kind, index.is_const(), Mem::Frame(index.disp), index.bits});
  } else if (index.reg != kR10) {
    plan_.move_dst |= Bit(kR10);
    plan_.move_src[kR10] = index.reg;
  }
}

void FunctionCompiler::LoadIndirect(uint32_t type_index, uint32_t table_index) {
  asm_.Load(Kind::kI64, kRax,
            Mem::At(kRdi, static_cast<int32_t>(layout_.table_pointer(table_index))));
  asm_.Op(Inst::kIdCmp, Assembler::R64(kR10), Assembler::M(Mem::At(kRax, kTableElementCount)));
  TrapIf(Cond::kAE, TrapCode::kTableOutOfBounds);
  asm_.Load(Kind::kI64, kRax, Mem::At(kRax, kTableElements));
  asm_.Load(Kind::kI64, kRax, {.base = kRax, .index = kR10, .shift = 3});
  asm_.Op(Inst::kIdTest, Assembler::R64(kRax), Assembler::R64(kRax));
  TrapIf(Cond::kE, TrapCode::kIndirectCallToNull);
  asm_.Load(Kind::kI64, kScratch, Mem::At(kRdi, kCtxTypeIds));
  asm_.Load(Kind::kI32, kScratch, Mem::At(kScratch, static_cast<int32_t>(type_index * 4)));
  asm_.Op(Inst::kIdCmp, Assembler::M(Mem::At(kRax, kFuncRefTypeId)), Assembler::R32(kScratch));
  TrapIf(Cond::kNE, TrapCode::kBadSignature);
  asm_.Load(Kind::kI64, kRdi, Mem::At(kRax, kFuncRefContext));
}

void FunctionCompiler::OnCallIndirect(uint32_t type_index, uint32_t table_index,
                                      const FuncType& type) {
  const Value index = Pop();
  PopArguments(type.params.size());
  const Reg context = locals_[context_local()].reg;
  FlushForCall(0);
  MoveArguments(args_, type.params);
  PlanContext(context);
  PlanTableIndex(index);
  EmitPlan();
  LoadIndirect(type_index, table_index);
  asm_.Op(Inst::kIdCall, Assembler::M(Mem::At(kRax, kFuncRefCode), 8));
  CallSite();
  PushResults(type);
}

// Tail calls. The arguments are in registers and overflow cells before the frame is left, so the
// callee finds the caller's return address as if the caller's caller had called it. Nothing is
// flushed: no value outlives the frame.

void FunctionCompiler::OnReturnCall(uint32_t func_index, const FuncType& type) {
  EndMeteredLine();
  PopArguments(type.params.size());
  MoveArguments(args_, type.params);
  PlanContext(locals_[context_local()].reg);
  EmitPlan();
  if (module_.is_imported_func(func_index)) {
    LoadImport(func_index);
  } else {
    asm_.Load(Kind::kI64, kRax, Mem::At(kRdi, kCtxFuncTable));
    asm_.Load(Kind::kI64, kRax, Mem::At(kRax, static_cast<int32_t>(func_index * 8)));
  }
  LeaveAndJumpToRax();
}

void FunctionCompiler::OnReturnCallIndirect(uint32_t type_index, uint32_t table_index,
                                            const FuncType& type) {
  EndMeteredLine();
  const Value index = Pop();
  PopArguments(type.params.size());
  MoveArguments(args_, type.params);
  PlanContext(locals_[context_local()].reg);
  PlanTableIndex(index);
  EmitPlan();
  LoadIndirect(type_index, table_index);
  asm_.Load(Kind::kI64, kRax, Mem::At(kRax, kFuncRefCode));
  LeaveAndJumpToRax();
}

// The handler of interrupts knows the jump by its prefix, which nothing else has: the frame is gone
// there (engine/trap/handler_inside.cc).
void FunctionCompiler::LeaveAndJumpToRax() {
  static constexpr uint8_t kLeaveJump[] = {0xc9, kTailJump[0], kTailJump[1], kTailJump[2]};
  asm_.Bytes(kLeaveJump, sizeof(kLeaveJump));
}

void FunctionCompiler::EmitReturn() {
  const FuncType& type = module_.func_type(func_index_);
  const auto count = static_cast<uint32_t>(type.results.size());
  asm_.Charge(count);
  plan_.move_dst = 0;
  plan_.stores.clear();
  plan_.loads.clear();
  plan_.slot_results.clear();
  LocationAssigner assigner = LocationAssigner::Results();
  bool has_store = false;
  for (uint32_t i = 0; i < count; ++i) {
    const Value value = View(height() - count + i);
    const ValueLocation location = assigner.Next(type.results[i]);
    if (location.kind != ValueLocation::Kind::kOverflow) {
      const Reg reg = RegOf(location, true);
      if (!value.is_reg()) {
        plan_.loads.push_back(
            {reg, value.kind, value.is_const(), Mem::Frame(value.disp), value.bits});
      } else if (value.reg != reg) {
        plan_.move_dst |= Bit(reg);
        plan_.move_src[reg] = value.reg;
      }
      continue;
    }
    if (!has_store) {
      LoadStoreContext();
      has_store = true;
    }
    StoreOverflow(location.index, value);
  }
  EmitPlan();
  static constexpr uint8_t kLeave[] = {0xc9, 0xc3};  // leave; ret
  asm_.Bytes(kLeave, sizeof(kLeave));
}

void FunctionCompiler::CallBuiltin(BuiltinId id, std::span<const BuiltinArg> args, TrapCode trap) {
  static constexpr Reg kSysVReg[] = {kRsi, kRdx, kRcx, kR8, kR9};
  WASMD_DCHECK(args.size() <= std::size(kSysVReg));
  const Reg context = locals_[context_local()].reg;
  FlushForCall(kBuiltinPreserved);
  plan_.move_dst = 0;
  plan_.stores.clear();
  plan_.loads.clear();
  plan_.slot_results.clear();
  for (size_t i = 0; i < args.size(); ++i) {
    const Reg reg = kSysVReg[i];
    const Value& value = args[i].value;
    if (args[i].is_immediate) {
      plan_.loads.push_back({reg, Kind::kI64, true, {}, args[i].bits});
    } else if (!value.is_reg()) {
      plan_.loads.push_back(
          {reg, value.kind, value.is_const(), Mem::Frame(value.disp), value.bits});
    } else if (value.reg != reg) {
      plan_.move_dst |= Bit(reg);
      plan_.move_src[reg] = value.reg;
    }
  }
  if (context == kNoReg) {
    plan_.loads.push_back({kRdi, Kind::kI64, false, Mem::Frame(-8), 0});
  } else if (context != kRdi) {
    plan_.move_dst |= Bit(kRdi);
    plan_.move_src[kRdi] = context;
  }
  EmitPlan();
  asm_.Load(Kind::kI64, kRax, Mem::At(kRdi, kCtxBuiltins));
  asm_.Op(Inst::kIdCall, Assembler::M(Mem::At(kRax, static_cast<int32_t>(id) * 8), 8));
  CallSite();
  if (trap != TrapCode::kNone) {
    asm_.Op(Inst::kIdTest, Assembler::R32(kRax), Assembler::R32(kRax));
    asm_.JumpIf(Cond::kNE, TrapLabel(trap, true));
  }
}

// --- Behind the function.

Label& FunctionCompiler::TrapLabel(TrapCode trap, bool in_eax) {
  const uint32_t at = offset_ - body_offset_;
  if (!stubs_.empty()) {
    TrapStub& last = stubs_.back();
    if (last.trap == trap && last.wasm_offset == at && last.in_eax == in_eax) {
      return last.label;
    }
  }
  stubs_.push_back({{}, trap, at, in_eax});
  return stubs_.back().label;
}

// A stub is `call thunk`, so that its return address tells which it was; the thunk is one for each
// trap code.
void FunctionCompiler::EmitStubs() {
  static constexpr size_t kThunks = 32;
  Label thunks[kThunks + 1];
  for (TrapStub& stub : stubs_) {
    asm_.Bind(stub.label);
    asm_.Call(thunks[stub.in_eax ? kThunks : static_cast<size_t>(stub.trap)]);
    asm_.Site(stub.wasm_offset, stub.trap);
  }
  for (size_t i = 0; i <= kThunks; ++i) {
    if (!thunks[i].is_used()) {
      continue;
    }
    asm_.Bind(thunks[i]);
    if (i == kThunks) {
      asm_.Move(kRdi, kRax, false);
    } else {
      asm_.MoveImmediate(kRdi, i);
    }
    asm_.Load(Kind::kI64, kRax, Mem::Frame(-8));
    asm_.Op(Inst::kIdJmp, Assembler::M(Mem::At(kRax, kCtxRaiseTrap), 8));
  }
}

void FunctionCompiler::OnFinish() {
  if (failed()) {
    return;
  }
  FinishPrologue();
  for (SlowPath& path : slow_paths_) {
    offset_ = path.wasm_offset + body_offset_;
    switch (path.kind) {
      case SlowKind::kTruncate:
        EmitSlowTruncate(path);
        break;
      case SlowKind::kConvertU64:
        EmitSlowConvert(path);
        break;
    }
  }
  EmitStubs();
  if (tables_.empty()) {
    return;
  }
  asm_.Align(4, 0xcc);
  for (JumpTable& table : tables_) {
    asm_.Bind(table.label);
    const uint32_t base = asm_.pc();
    for (uint32_t i = 0; i < table.count; ++i) {
      asm_.U32(table_entries_[table.begin + i] - base);
    }
  }
}

}  // namespace wasmd::engine::baseline
