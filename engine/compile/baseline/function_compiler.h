// FunctionCompiler: a FunctionSink that writes one function's machine code as the walker shows it
// the body.
//
// What it keeps while it goes:
//
//   operand stack   one Entry per wasm operand: a constant, a register of its own, a reference to a
//   local, or its slot in the
//                   frame. Comparisons, loads and scaled indices whose user is the very next
//                   instruction stay *pending*: no code has been emitted for them and the user
//                   folds them in.
//   locals          each is in a register or in its frame slot; a register's value may be newer
//   than the slot (dirty). Three
//                   pseudo-locals follow the declared ones: the context, memory 0's base and, where
//                   accesses to it are checked, its MemoryContext. They are never written, so they
//                   leave their registers for nothing and come back by one load.
//   registers       free, a local's, or a temporary's: the register of one or more stack entries.
//
// An entry that refers to a local is on that local's list, one that has a register on the
// register's list; the lists are sorted, topmost first, so popping is O(1), and writing a local or
// evicting a register finds the entries it concerns.
//
// Joins. A label's state (which registers hold which locals, where results are) is fixed by the
// first edge that reaches it; later edges move values to fit. Operands below a block are in slots
// or constants from the block's start, so a state is as large as the register file and not as the
// function. A loop's state is fixed at its start, from the locals that FunctionAnalysis found hot.
// Locals that are dead at a label are not in its state.
//
// The code is spread over emit_control.cc, emit_call.cc, emit_exception.cc, emit_memory.cc,
// emit_integer.cc, emit_float.cc, emit_vector*.cc; value_state.cc has registers, locals and the
// operand stack.
// Single-thread; reused for many functions.
#ifndef WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_COMPILER_H_
#define WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_COMPILER_H_

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "engine/abi/builtins.h"
#include "engine/abi/exception.h"
#include "engine/abi/instance_context.h"
#include "engine/base/check.h"
#include "engine/compile/baseline/assembler.h"
#include "engine/compile/baseline/function_analysis.h"
#include "engine/compile/baseline/machine.h"
#include "engine/compile/compiler.h"
#include "engine/validate/function_sink.h"
#include "engine/wasm/module.h"

namespace wasmd::engine::baseline {

class FunctionCompiler : public NullSink {
 public:
  static constexpr bool kWantsLocals = false;  // The analysis knows those that are used.

  FunctionCompiler(const Module& module, const ContextLayout& layout,
                   const CompilerOptions& options = {});

  // For tests: as if the machine had no more than these.
  void set_features(const CpuFeatures& features) { asm_.set_features(features); }

  // Before the walk and after it.
  void Begin(uint32_t func_index);
  absl::Status Finish(CompiledFunction& out);

  // --- FunctionSink.
  bool failed() const { return asm_.failed() || asm_.is_too_large() || frame_too_large_; }
  void OnBegin(const FuncType& type, std::span<const ValType> locals);
  void OnInstruction(Opcode op, uint32_t offset) {
    offset_ = offset;
    pinned_ = pending_pins_;
    pending_pins_ = 0;
    ++tick_;
    if (options_.is_metered) [[unlikely]] {
      Meter(op);
    }
  }
  void OnFinish();

  void OnUnreachable();
  void OnBlock(const BlockSignature& signature);
  void OnLoop(const BlockSignature& signature);
  void OnIf(const BlockSignature& signature);
  void OnTryTable(const BlockSignature& signature, std::span<const CatchClause> clauses);
  void OnThrow(uint32_t tag_index, const FuncType& type);
  void OnThrowRef();
  void OnElse(bool reachable);
  void OnEnd(bool reachable);
  void OnBr(uint32_t depth);
  void OnBrIf(uint32_t depth);
  void OnBrTable(std::span<const uint32_t> depths, uint32_t default_depth);
  void OnReturn();
  void OnCall(uint32_t func_index, const FuncType& type);
  void OnCallIndirect(uint32_t type_index, uint32_t table_index, const FuncType& type);
  void OnReturnCall(uint32_t func_index, const FuncType& type);
  void OnReturnCallIndirect(uint32_t type_index, uint32_t table_index, const FuncType& type);

  void OnDrop(ValType type);
  void OnSelect(ValType type);
  void OnLocalGet(uint32_t index, ValType type);
  void OnLocalSet(uint32_t index, ValType type);
  void OnLocalTee(uint32_t index, ValType type);
  void OnGlobalGet(uint32_t index, const GlobalType& type);
  void OnGlobalSet(uint32_t index, const GlobalType& type);

  void OnConst(ValType type, uint64_t bits) { PushConst(KindOf(type), bits); }
  void OnUnary(Opcode op, ValType from, ValType to);
  void OnWideArithmetic(Opcode op);
  void OnBinary(Opcode op, ValType from, ValType to);

  void OnV128Const(V128 value);
  void OnVector(Opcode op);
  void OnVectorLane(Opcode op, uint8_t lane);
  void OnShuffle(std::span<const uint8_t, 16> lanes);
  void OnLoadLane(Opcode op, const MemArg& memarg, uint8_t lane);
  void OnStoreLane(Opcode op, const MemArg& memarg, uint8_t lane);

  void OnLoad(Opcode op, ValType type, const MemArg& memarg);
  void OnStore(Opcode op, ValType type, const MemArg& memarg);
  void OnMemorySize(uint32_t memory_index);
  void OnMemoryGrow(uint32_t memory_index);
  void OnMemoryInit(uint32_t data_index, uint32_t memory_index);
  void OnDataDrop(uint32_t data_index);
  void OnMemoryCopy(uint32_t to_memory, uint32_t from_memory);
  void OnMemoryFill(uint32_t memory_index);

  void OnTableGet(uint32_t table_index, ValType element);
  void OnTableSet(uint32_t table_index, ValType element);
  void OnTableSize(uint32_t table_index);
  void OnTableGrow(uint32_t table_index, ValType element);
  void OnTableFill(uint32_t table_index, ValType element);
  void OnTableCopy(uint32_t to_table, uint32_t from_table);
  void OnTableInit(uint32_t elem_index, uint32_t table_index);
  void OnElemDrop(uint32_t elem_index);
  void OnRefNull(ValType /*type*/) { PushConst(Kind::kI64, 0); }
  void OnRefIsNull(ValType type);
  void OnRefFunc(uint32_t func_index);

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  using Alu = Assembler::Alu;

  enum class EntryKind : uint8_t { kConst, kReg, kLocal, kSlot, kFlags, kLoad, kScaled };
  struct Entry {
    EntryKind where = EntryKind::kConst;
    Kind kind = Kind::kI32;
    Reg reg = kNoReg;
    bool is_last = false;   // kLocal: the local is dead after this use.
    uint32_t next = kNone;  // The entry below on the same list.
    // kConst: the value, or a vector's offset in the constant pool; kLocal: the local.
    uint64_t bits = 0;
  };
  // An entry that has been popped.
  struct Value {
    EntryKind where = EntryKind::kConst;  // kLocal: in its slot at `disp`. Never kReg for a local
                                          // without its register.
    Kind kind = Kind::kI32;
    Reg reg = kNoReg;
    bool is_dying = false;  // kReg: nothing else needs the register.
    bool is_last = false;
    uint32_t local = kNone;  // Where it is a local's.
    int32_t disp = 0;        // kSlot, kLocal.
    uint64_t bits = 0;
    bool is_const() const { return where == EntryKind::kConst; }
    bool is_reg() const { return where == EntryKind::kReg; }
    bool in_memory() const { return where == EntryKind::kSlot || where == EntryKind::kLocal; }
  };
  struct Local {
    Kind kind = Kind::kI32;
    Reg reg = kNoReg;
    Reg preferred = kNoReg;  // Where it last was.
    Reg target = kNoReg;     // Scratch of PlanEdge.
    int32_t slot = 0;        // Displacement from rbp; 0: none yet.
    uint32_t head = kNone;   // Topmost entry that refers to it.
  };
  struct LabelState {
    RegSet present = 0;  // Registers that hold locals.
    RegSet dirty = 0;
    uint32_t result_count = 0;
    Reg result_reg[2] = {kNoReg, kNoReg};  // kNoReg: results are in their slots.
    uint32_t local[kRegCount];
  };
  enum class ControlKind : uint8_t { kFunction, kBlock, kLoop, kIf, kElse };
  struct Control {
    ControlKind kind = ControlKind::kBlock;
    bool slot_results = false;  // The label's operands travel in slots.
    uint32_t block = kNone;     // In analysis_.blocks().
    uint32_t base = 0;          // Stack height below the parameters.
    uint32_t param_count = 0;
    uint32_t result_count = 0;
    BlockSignature signature;
    uint32_t state = kNone;  // Of the label, in states_.
    uint32_t else_state = kNone;
    uint32_t loop = kNone;       // The innermost loop around the label, in controls_.
    uint32_t pads = kNone;       // List of landing pads that go to the label, in pads_.
    uint32_t try_index = kNone;  // try_table: in handlers_.
    uint32_t table_use = kNone;  // List of br_table entries, in table_entries_.
    uint32_t checks_begin = 0;   // In saved_checks_.
    uint32_t edge_stamp = 0;     // br_table: `trampoline` belongs to this one.
    uint32_t trampoline_entry =
        0;  // br_table: index in trampolines_, or kNone for the label itself.
    Label label;
    Label else_label;
  };
  struct Move {
    Reg dst;
    Kind kind;
    bool is_const;
    Mem mem;
    uint64_t bits;
  };
  struct SlotStore {
    int32_t slot;
    Reg reg;
    Kind kind;
  };
  struct EdgePlan {
    RegSet move_dst = 0;
    Reg move_src[kRegCount];
    std::vector<SlotStore> stores;
    std::vector<Move> loads;                              // Into registers, last.
    std::vector<std::pair<int32_t, Value>> slot_results;  // Into slots, first, in this order.
    bool empty() const {
      return move_dst == 0 && stores.empty() && loads.empty() && slot_results.empty();
    }
  };
  struct TrapStub {
    Label label;
    TrapCode trap;
    uint32_t wasm_offset;
    bool in_eax;  // The code is in eax; `trap` is what it is likely to be.
  };
  enum class SlowKind : uint8_t { kTruncate, kConvertU64 };
  // Cold code behind the function.
  struct SlowPath {
    SlowKind kind;
    Opcode op;
    Reg src;
    Reg dst;
    uint32_t wasm_offset;
    Label entry;
    Label back;
  };
  // Where a clause of a try_table goes on: an edge that is not emitted yet.
  struct Pad {
    uint32_t clause;     // In handlers_.
    uint32_t tag_index;  // kNone: no values.
    bool has_ref;
    uint32_t control;  // The label, in controls_; kNone: emitted.
    uint32_t next;     // With the same label.
  };
  struct JumpTable {
    Label label;
    uint32_t begin;
    uint32_t count;
  };

  // --- value_state.cc: registers.
  Reg Alloc(RegSet candidates, Reg preferred = kNoReg);
  Reg AllocFor(Kind kind, Reg preferred = kNoReg) { return Alloc(RegsOf(kind), preferred); }
  bool HasFree(RegSet candidates) const { return (free_ & candidates & ~pinned_) != 0; }
  // Makes a register free and pins it; what is in it moves or goes to its slot. The contents stay
  // until it is written.
  void Take(Reg reg);
  void Free(Reg reg) {
    free_ |= Bit(reg);
    local_regs_ &= ~Bit(reg);
    dirty_ &= ~Bit(reg);
  }
  void Pin(Reg reg) { pinned_ |= Bit(reg); }
  void SpillTemp(Reg reg);
  void EvictLocal(Reg reg);

  // --- value_state.cc: locals.
  uint32_t context_local() const { return local_count_; }
  uint32_t memory_local() const { return local_count_ + 1; }
  uint32_t memory_context_local() const { return local_count_ + 2; }
  int32_t SlotOfLocal(uint32_t local) {
    int32_t& slot = locals_[local].slot;
    if (slot == 0) {
      slot = NewSlot(locals_[local].kind);
    }
    return slot;
  }
  void AssignReg(uint32_t local, Reg reg, bool is_dirty);
  // The local's register, loading it if need be; pinned.
  Reg LocalReg(uint32_t local);
  Reg ContextReg() { return LocalReg(context_local()); }
  // Before a local is written: entries that refer to it get its old value elsewhere.
  void DetachEntries(uint32_t local);
  void SetLocal(uint32_t local, Value& value);
  // The register to compute a value of `kind` into, if the instruction at `next_offset` in the
  // module has a wish: one that writes a local gives the local's register away, even if it is that
  // of the operand `a` or `b`, which is dying then.
  Reg Hint(Kind kind, uint32_t next_offset, Value* a = nullptr, Value* b = nullptr);

  // --- value_state.cc: frame.
  // 8 bytes, or 16 that are aligned for a vector.
  int32_t NewSlot(Kind kind);
  // Of the entry at `height` while it is of this kind: vectors have slots of their own.
  int32_t SlotOfEntry(uint32_t height, Kind kind);

  // --- value_state.cc: operand stack.
  uint32_t height() const { return static_cast<uint32_t>(stack_.size()); }
  void PushConst(Kind kind, uint64_t bits) {
    stack_.push_back({.where = EntryKind::kConst, .kind = kind, .bits = bits});
  }
  void PushReg(Kind kind, Reg reg);
  void PushLocal(uint32_t local, Kind kind, bool is_last);
  void PushSlot(Kind kind);  // Its slot has been written.
  void PushPending(EntryKind where, Kind kind) { stack_.push_back({.where = where, .kind = kind}); }
  Value Pop();
  // Unlinks and forgets entries down to `height`.
  void Truncate(uint32_t height);
  Value View(uint32_t index);
  Reg ToReg(Value& value, Reg preferred = kNoReg);
  // A register that may be overwritten, with the value in it.
  Reg ToWritable(Value& value, Reg preferred = kNoReg);
  void MoveTo(Reg dst, const Value& value);
  // Whether a memory operand serves better than loading it into a register first.
  bool PrefersMemory(const Value& value) const {
    return value.in_memory() &&
           (value.where == EntryKind::kSlot || value.is_last || !HasFree(RegsOf(value.kind)));
  }
  Mem MemOf(const Value& value) const { return Mem::Frame(value.disp); }
  // A constant in a slot, by way of a scratch register. Keeps the flags.
  void StoreConstant(Kind kind, const Mem& slot, uint64_t bits) {
    const Reg scratch = kind == Kind::kV128 ? kScratchXmm : kScratch;
    asm_.LoadConstant(kind == Kind::kV128 ? kind : Kind::kI64, scratch, bits);
    asm_.StoreSlot(kind, slot, scratch);
  }
  // Everything above flushed_ that is not a constant goes to its slot.
  void FlushStack();
  // Before a call: entries and dirty locals to their slots, registers but those in `kept` empty.
  void FlushForCall(RegSet kept);
  // The byte of the module at `offset`, or nop.
  uint8_t ByteAt(uint32_t offset) const {
    return offset < module_.bytes.size() ? static_cast<uint8_t>(module_.bytes[offset])
                                         : uint8_t{0x01};
  }
  uint64_t LebAt(uint32_t offset) const {
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = ByteAt(offset++);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) {
        break;
      }
    }
    return value;
  }
  // Past the LEB128 integer at `offset`.
  uint32_t AfterLeb(uint32_t offset) const {
    while ((ByteAt(offset) & 0x80) != 0) {
      ++offset;
    }
    return offset + 1;
  }

  // --- emit_control.cc
  Control& control(uint32_t depth) { return controls_[controls_.size() - 1 - depth]; }
  Control& PushControl(ControlKind kind, const BlockSignature& signature);
  uint32_t FindBlock();
  bool IsLiveAt(const Control& control, uint32_t local) const {
    return control.block == kNone || analysis_.IsLiveAtLabel(control.block, local);
  }
  uint32_t NewState();
  void RecordState(Control& control);
  void SnapshotLocals(LabelState& state);
  void EnterState(const LabelState& state, const Control& control, bool with_results);
  void PlanEdge(Control& control);
  void EmitPlan();
  void EmitMoves();
  void MoveTowardsLoop(const Control& loop);
  void BranchTo(Control& control);
  void BranchIf(Cond cond, Control& control);
  void BindLabel(Control& control);
  void PopControl();
  void DropDeadLocals(const Control& control);
  void EmitReturn();
  Cond PopCondition();
  void EnterLoop(Control& control);
  uint32_t TableTarget(Control& control);

  // --- emit_call.cc
  void EmitPrologue(const FuncType& type, std::span<const ValType> locals);
  void FinishPrologue();
  void ZeroLocals(const FuncType& type);
  void MoveArguments(std::span<const Value> values, std::span<const ValType> types);
  void StoreOverflow(uint32_t index, const Value& value);
  void PushResults(const FuncType& type);
  // The context to rdi, with the rest of the plan. `context`: the register that had it.
  void PlanContext(Reg context);
  void PlanTableIndex(const Value& index);
  // Code of the function in rax and its context in rdi, from the caller's context in rdi.
  void LoadImport(uint32_t func_index);
  // From the index in r10, the FuncRef in rax and its context in rdi; or traps.
  void LoadIndirect(uint32_t type_index, uint32_t table_index);
  void LeaveAndJumpToRax();
  void PopArguments(size_t count);
  void CallSite() {
    asm_.Site(offset_ - body_offset_, TrapCode::kNone);
    last_call_pc_ = asm_.pc();
  }
  // The store's context in kScratch, where StoreOverflow wants it.
  void LoadStoreContext();
  // Arguments after the context, in order. Leaves the result in rax. `trap`: the result is a
  // TrapCode to raise.
  struct BuiltinArg {
    bool is_immediate;
    uint64_t bits;
    Value value;
  };
  void CallBuiltin(BuiltinId id, std::span<const BuiltinArg> args, TrapCode trap);
  static BuiltinArg Imm(uint64_t bits) { return {true, bits, {}}; }
  static BuiltinArg Arg(const Value& value) { return {false, 0, value}; }

  // --- fuel.cc
  // Before an instruction is emitted: it is part of the line that is open, or begins one.
  void Meter(Opcode op);
  // The line ends here: control leaves it, or other control joins it.
  void EndMeteredLine();

  // --- emit_exception.cc
  // From the last call on, calls are in the body of that try_table.
  void MarkTry(uint32_t try_index);
  void EmitPad(const Pad& pad);
  void EmitPads();
  void EmitPadsOf(Control& target);
  void Raise();

  // --- emit_memory.cc
  // The operand of an access at `index`, which has been popped, plus the memarg's offset, in any
  // memory. Where the memory has no guard, the bounds are checked here. Right before the
  // instruction that accesses it comes AccessSite.
  Mem AccessOperand(Value& index, const MemArg& memarg);
  void AccessSite(uint32_t memory_index) {
    if (HasGuard(memory_index)) {
      asm_.Site(offset_ - body_offset_, TrapCode::kMemoryOutOfBounds);
    }
  }
  void PendingLoadSite() {
    if (pending_load_.may_fault) {
      asm_.Site(pending_load_.wasm_offset, TrapCode::kMemoryOutOfBounds);
    }
  }
  bool HasGuard(uint32_t memory_index) const {
    return engine::HasGuard(module_.memories[memory_index].type, options_.bounds_checks);
  }
  Mem CheckedOperand(Value& index, const MemArg& memarg);
  Mem CheckedConstant(uint64_t index, const MemArg& memarg);
  // At a known address.
  Mem OperandAt(uint32_t memory_index, uint64_t address);
  Reg MemoryBase(uint32_t memory_index);
  Mem MemorySize(uint32_t memory_index);
  bool IsChecked(uint32_t local, uint32_t memory_index, uint64_t end) const;
  void NoteChecked(uint32_t local, uint32_t memory_index, uint64_t end);
  void ForgetChecks(uint32_t local) {
    if (!checked_.empty()) [[unlikely]] {
      ForgetChecksSlow(local);
    }
  }
  void ForgetChecksSlow(uint32_t local);
  // At a block's start; RestoreChecks, at its else or end, gives back what held there.
  void SaveChecks(Control& control);
  void RestoreChecks(const Control& control);
  // What the block assigns: between its start and its end, or a loop's later rounds.
  void ForgetAssigned(const Control& control);
  // Before the loop's label: checks of the accesses that it begins with.
  void HoistChecks(const Control& loop);
  // Past the memarg at `offset`.
  uint32_t AfterMemArg(uint32_t offset) const;
  // The memarg at `at`, which moves past it.
  MemArg ReadMemArg(uint32_t& at, uint32_t access_bytes) const;
  // The load is left to the next instruction, as its second operand.
  void PushPendingLoad(Kind kind, const Mem& mem, uint32_t memory_index);
  void EmitLoad(Opcode op, Reg dst, const Mem& mem);
  Mem PopTableElement(uint32_t table_index, Value& index);
  Kind MemoryAddressKind(uint32_t index) const {
    return KindOf(ValTypeOf(module_.memories[index].type.address));
  }
  Kind TableAddressKind(uint32_t index) const {
    return KindOf(ValTypeOf(module_.tables[index].type.address));
  }
  Mem GlobalCell(uint32_t index);

  // --- emit_integer.cc, emit_float.cc
  void IntegerBinary(Opcode op, bool wide);
  void IntegerCompare(Cond cond, bool wide);
  void IntegerUnary(Opcode op, ValType from);
  void EmitAdd(bool wide);
  void EmitAnd(bool wide);
  void AddImmediate(bool wide, Value& lhs, uint64_t bits);
  void AluOperand(Alu op, bool wide, Reg dst, Value& rhs);
  void EmitAlu(Alu op, bool wide, bool commutes, Value& lhs, Value& rhs);
  void EmitMul(bool wide);
  void EmitShift(Opcode op, bool wide);
  void EmitDivide(bool wide, bool is_signed, bool is_rem);
  // For an instruction that takes rax and rdx: both are its, `lhs` is in rax and `rhs` in the
  // register that is returned, which is neither.
  Reg TakeRaxRdx(Value& lhs, Value& rhs);
  void AddWide(bool is_sub);
  void MultiplyWide(bool is_signed);
  bool DivideByConstant(bool wide, bool is_signed, bool is_rem, Value& lhs, uint64_t divisor);
  void MultiplyHigh32(bool is_signed, Reg dst, Reg src, uint32_t divisor);
  void EmitTest(bool wide, Value& lhs, Value& rhs);
  // Sets the zero flag by the register, unless the instruction before has done so already.
  void TestZero(bool wide, Reg reg) {
    if (zero_flag_pc_ != asm_.pc() || zero_flag_reg_ != reg || zero_flag_wide_ != wide ||
        asm_.is_label_here()) {
      asm_.Test(wide, reg, reg);
    }
  }
  void NoteZeroFlag(bool wide, Reg reg) {
    zero_flag_pc_ = asm_.pc();
    zero_flag_reg_ = reg;
    zero_flag_wide_ = wide;
  }
  void EmitClz(bool wide, Reg dst, Reg src);
  void EmitCtz(bool wide, Reg dst, Reg src);
  void EmitPopcnt(bool wide, Reg dst, Reg src);
  // Flags are set; the result is an i32 0 or 1.
  void PushCondition(Cond cond) { PushCondition(cond, offset_ + 1); }
  // The next instruction is at `next_offset` in the module.
  void PushCondition(Cond cond, uint32_t next_offset);
  void FloatBinary(Opcode op, Kind kind);
  void FloatArithmetic(const Assembler::FloatOp& op, Kind kind);
  void FloatOperand(const Assembler::FloatOp& op, Kind kind, Reg dst, Reg a, Value& b);
  void FloatCompare(Cond cond, bool swaps, Kind kind);
  void FloatUnary(Opcode op, Kind kind);
  void FloatMinMax(bool is_min, Kind kind);
  void FloatCopysign(Kind kind);
  Mem FloatMask(Kind kind, bool sign_only);
  void Ucomis(Kind kind, Reg a, Value& b);
  void TruncateFloat(Opcode op, Kind from);
  void ConvertToWord(Kind from, Reg dst, Reg src);
  void ConvertInteger(Opcode op, Value& value);
  void IntegerToFloat(Kind to, Reg dst, Reg src, bool wide);
  void EmitSlowTruncate(SlowPath& path);
  void EmitSlowConvert(SlowPath& path);

  // --- emit_vector*.cc
  // Behind an instruction with prefix 0xfd and `immediates` bytes that are no LEB128.
  uint32_t AfterVector(uint32_t immediates = 0) const { return AfterLeb(offset_ + 1) + immediates; }
  // An instruction of the machine that does a binary one of wasm's.
  struct VectorBinary {
    Assembler::FloatOp op;
    bool swaps = false;  // The machine's first operand is wasm's second.
    int immediate = -1;  // None.
    explicit operator bool() const { return op.sse != Inst::kIdNone; }
  };
  static VectorBinary SimpleBinary(Opcode op);
  bool FoldsVectorLoad(uint32_t next_offset) const;
  // A popped operand in a register, and where the result goes: the same register where nothing
  // else needs it.
  struct VectorOperand {
    Reg src;
    Reg dst;
  };
  VectorOperand PopVector();
  Reg NewVector() { return AllocFor(Kind::kV128); }
  void PushVector(Reg reg) { PushReg(Kind::kV128, reg); }
  // Two popped operands in registers, and a register for the result that is neither, or with
  // PopVectorsOnce, for a single instruction that reads before it writes, perhaps one of them.
  struct VectorOperands {
    Reg a;
    Reg b;
    Reg dst;
  };
  VectorOperands PopVectors(uint32_t immediates = 0);
  VectorOperands PopVectorsOnce(uint32_t immediates = 0);
  Reg ResultOf(Value& a, Value& b, uint32_t immediates);
  void EmitVectorBinary(const VectorBinary& how);
  void EmitVectorUnary(const Assembler::FloatOp& op, int immediate = -1);
  void VectorCompare(Opcode op);
  void VectorGreater64(Reg dst, Reg a, Reg b);
  void InvertVector(Reg reg);
  void VectorNegate(const Assembler::FloatOp& subtract);
  void VectorShift(Opcode op);
  void VectorShift8(Opcode op, Value& vector, uint32_t constant_count, Reg count);
  void LoadShiftCount(Reg count, uint32_t mask, int32_t more);
  void VectorTest(Opcode op);
  void VectorMultiply64();
  void VectorPopcount();
  void VectorExtend(const Assembler::FloatOp& op, bool is_high);
  void VectorExtendMultiply(Opcode op);
  void VectorExtendAdd(Opcode op);
  void VectorAbs64();
  void VectorQ15(bool is_relaxed);
  void VectorSwizzle(bool is_relaxed);
  void VectorSelect(Opcode op);
  void VectorDot(bool adds);
  bool VectorFloat(Opcode op);
  void VectorMinMax(bool is_min, bool is_f64);
  void VectorTruncate(Opcode op);
  void VectorTruncateF32U();
  void VectorConvert(Opcode op);
  void VectorMultiplyAdd(bool is_f64, bool negates);
  void VectorSplat(Opcode op);
  void ShuffleOne(Value& value, const uint8_t* lanes);
  bool ShuffleTwo(Reg a, Reg b, Reg dst, const uint8_t* lanes);
  void LoadVector(Opcode op, const MemArg& memarg);
  void StoreVector(const MemArg& memarg);
  void BroadcastLow(uint32_t lane_bytes, Reg reg);

  // Whether the next instruction consumes a condition.
  bool NextTakesCondition(uint32_t next_offset) const;

  void TrapIf(Cond cond, TrapCode trap) { asm_.JumpIf(cond, TrapLabel(trap)); }
  Label& TrapLabel(TrapCode trap, bool in_eax = false);
  void EmitStubs();

  const Module& module_;
  const ContextLayout& layout_;
  const CompilerOptions options_;
  uint32_t fuel_patch_ = 0;  // Where the price of the line that is open stands; 0: none is.
  uint32_t fuel_price_ = 0;
  Assembler asm_;
  FunctionAnalysis analysis_;

  uint32_t func_index_ = 0;
  uint32_t body_offset_ = 0;
  uint32_t offset_ = 0;
  uint32_t tick_ = 0;

  // Registers: each allocatable one is free, a local's, or a temporary's.
  RegSet free_ = 0;
  RegSet local_regs_ = 0;
  RegSet dirty_ = 0;
  RegSet pinned_ = 0;  // Operands of the instruction that is being compiled: not to be handed out.
  RegSet pending_pins_ = 0;
  uint32_t owner_[kRegCount];  // A local, or the topmost entry of a temporary.
  uint32_t stamp_[kRegCount];  // Tick of the last use.

  std::vector<Local> locals_;
  uint32_t local_count_ = 0;
  std::vector<Entry> stack_;
  uint32_t flushed_ = 0;  // Entries below are constants or in slots.
  std::vector<int32_t> entry_slots_;
  std::vector<int32_t> entry_vector_slots_;
  uint32_t slot_count_ = 0;
  bool frame_too_large_ = false;

  std::vector<Control> controls_;
  std::deque<LabelState> states_;  // Large, and as many as loops are nested: never copied.
  uint32_t state_count_ = 0;       // Of this function; those behind are kept from earlier ones.
  std::vector<uint32_t> free_states_;
  uint32_t next_block_ = 0;
  uint32_t edge_stamp_ = 0;
  EdgePlan plan_;

  // What has been checked on every way to this place: the local's value plus `end` lies inside of
  // the memory, which never shrinks. The oldest goes first.
  struct CheckedAccess {
    uint32_t local;
    uint32_t memory_index;
    uint64_t end;
  };
  static constexpr size_t kMaxCheckedAccesses = 8;
  std::vector<CheckedAccess> checked_;
  std::vector<CheckedAccess> saved_checks_;  // Of the open blocks, the innermost's last.

  Cond pending_cond_ = Cond::kE;
  // Up to this place in the code, the zero flag tells whether the register is zero.
  uint32_t zero_flag_pc_ = 0;
  Reg zero_flag_reg_ = kNoReg;
  bool zero_flag_wide_ = false;
  struct {
    Mem mem;
    uint32_t wasm_offset;
    bool may_fault;
  } pending_load_;
  struct {
    Reg reg;
    uint8_t shift;
    bool is_dying;
  } pending_scaled_;

  std::vector<Value> args_;
  std::vector<TrapStub> stubs_;
  std::vector<SlowPath> slow_paths_;
  std::vector<JumpTable> tables_;
  std::vector<uint32_t>
      table_entries_;  // Position of the target, or while it is open the next use's index.

  HandlerTable handlers_;
  std::vector<Pad> pads_;
  uint32_t current_try_ = HandlerTable::kNoTry;
  uint32_t last_call_pc_ = 0;  // Where the last call returns to.

  // Prologue, completed at the end.
  std::vector<uint32_t> frame_patches_;  // Displacements that are the frame's size, negative.
  uint32_t frame_patch_ = 0;
  bool has_stack_check_ = false;
  bool checks_bounds_ = false;  // Some memory has no guard.
  uint32_t frame_bytes_ = 0;
};

}  // namespace wasmd::engine::baseline

#endif  // WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_COMPILER_H_
