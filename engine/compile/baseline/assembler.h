// Assembler: AsmJit's x86 encoder with what the baseline compiler needs around it: labels as patch
// lists in the code itself, a constant pool behind the code, code sites, and errors that stick.
//
// AsmJit's own labels, logging and validation are not used: a label here is two integers, and a
// function's code is reused memory, so compiling allocates nothing once the buffers have grown.
//
// The ten or so instructions that make up most of all code (moves, integer arithmetic, lea, test,
// cmp) are encoded here: AsmJit's general path took a quarter of the compile time for them.
// tests/unit/engine/compile/assembler_test.cc holds their bytes against AsmJit's. Everything else
// goes through Op. Single-thread.
#ifndef WASMD_ENGINE_COMPILE_BASELINE_ASSEMBLER_H_
#define WASMD_ENGINE_COMPILE_BASELINE_ASSEMBLER_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <asmjit/asmjit.h>

#include "engine/compile/baseline/machine.h"
#include "engine/compile/compiler.h"
#include "engine/wasm/types.h"

namespace wasmd::engine::baseline {

namespace Inst = asmjit::x86::Inst;
using asmjit::InstId;

// A place in the code. Unbound, its uses are a list threaded through their 32-bit displacement
// fields.
struct Label {
  int32_t position = -1;
  int32_t last_use =
      -1;  // Offset of a displacement field; each holds the previous one's offset, or -1.
  bool is_bound() const { return position >= 0; }
  bool is_used() const { return last_use >= 0; }
};

// [base + index << shift + disp], or a constant of the pool.
struct Mem {
  Reg base = kNoReg;
  Reg index = kNoReg;
  uint8_t shift = 0;
  int32_t disp = 0;
  int32_t constant = -1;  // Pool offset.

  static Mem At(Reg base, int32_t disp) { return {.base = base, .disp = disp}; }
  static Mem Frame(int32_t disp) { return {.base = kRbp, .disp = disp}; }
  static Mem Constant(int32_t offset) { return {.constant = offset}; }
};

class Assembler {
 public:
  Assembler();
  Assembler(const Assembler&) = delete;
  Assembler& operator=(const Assembler&) = delete;

  // Forgets the function before. `work_limit`: see CompileWorkLimit.
  void Begin(uint64_t work_limit = UINT64_MAX);
  // Emits the pool, resolves constants, and hands everything out. Empty message: fine.
  const char* Finish(CompiledFunction& out);
  bool failed() const { return failed_; }
  // A function may repeat a block's thousand results at each of its branches: what it grows to is
  // bounded, and so is what it makes the compiler look at. Ask within long sequences and between
  // instructions.
  bool is_too_large() const { return work() > work_limit_; }
  uint64_t work() const { return a_.offset() + charged_; }
  uint64_t work_limit() const { return work_limit_; }
  void Charge(uint64_t operands) { charged_ += operands; }

  uint32_t pc() const { return static_cast<uint32_t>(a_.offset()); }

  // --- Plain instructions, through AsmJit. An operand is a Reg (with its width), a Mem or an
  // integer.
  void Op1(InstId inst, const asmjit::Operand_& o) { Check(a_.emit(inst, o)); }
  template <typename... Operands>
  void Op(InstId inst, const Operands&... operands) {
    Check(a_.emit(inst, operands...));
  }

  static asmjit::x86::Gp R(Reg reg, bool wide) { return wide ? R64(reg) : R32(reg); }
  static asmjit::x86::Gp R64(Reg reg) { return asmjit::x86::gpq(reg); }
  static asmjit::x86::Gp R32(Reg reg) { return asmjit::x86::gpd(reg); }
  static asmjit::x86::Gp R16(Reg reg) { return asmjit::x86::gpw(reg); }
  static asmjit::x86::Gp R8(Reg reg) { return asmjit::x86::gpb_lo(reg); }
  static asmjit::x86::Xmm X(Reg reg) { return asmjit::x86::xmm(reg - kXmm0); }
  static asmjit::Imm I(int64_t value) { return asmjit::Imm(value); }

  // `size` in bytes, 0 where the other operand says it. A pool constant must be the instruction's
  // last field (no immediate behind it), and NoteConstant follows the instruction.
  static asmjit::x86::Mem M(const Mem& mem, uint32_t size = 0) {
    if (mem.constant >= 0) {
      return asmjit::x86::Mem(asmjit::x86::rip, 0, size);
    }
    if (mem.base == kNoReg) {
      return asmjit::x86::ptr(static_cast<uint64_t>(mem.disp), R64(mem.index), mem.shift, size);
    }
    if (mem.index == kNoReg) {
      return asmjit::x86::Mem(R64(mem.base), mem.disp, size);
    }
    return asmjit::x86::Mem(R64(mem.base), R64(mem.index), mem.shift, mem.disp, size);
  }
  void NoteConstant(const Mem& mem) {
    if (mem.constant >= 0) {
      constant_uses_.push_back({pc() - 4, static_cast<uint32_t>(mem.constant)});
    }
  }

  // --- Encoded here.
  // With the opcode's number in x86's group 1.
  enum class Alu : uint8_t { kAdd = 0, kOr = 1, kAnd = 4, kSub = 5, kXor = 6, kCmp = 7, kImul = 8 };
  void AluReg(Alu op, bool wide, Reg dst, Reg src);
  void AluMem(Alu op, bool wide, Reg dst, const Mem& mem);
  void AluImmediate(Alu op, bool wide, Reg dst, int32_t immediate);
  void CompareMem(bool wide, const Mem& mem, int32_t immediate);
  void Test(bool wide, Reg a, Reg b) { EmitReg(0x85, wide, b, a); }
  void Lea(bool wide, Reg dst, const Mem& mem) { EmitMem(0x8d, 1, wide, dst, mem); }
  // Loads that extend: `opcode` is one of mov, movzx, movsx, movsxd with its escape byte (0x0fb6
  // …).
  void LoadExtending(uint32_t opcode, bool wide, Reg dst, const Mem& mem) {
    EmitMem(opcode, opcode > 0xff ? 2 : 1, wide, dst, mem);
  }
  // The low 1, 2, 4 or 8 bytes of a general register.
  void StoreLow(uint32_t size, const Mem& mem, Reg src);

  // --- Moves.
  void Move(Reg dst, Reg src, bool wide = true);  // General registers; 32-bit ones zero-extend.
  void ZeroExtend(Reg dst, Reg src) {
    EmitReg(0x89, false, src, dst);
  }  // From 32 bits, also in place.
  void MoveFloat(Reg dst, Reg src);
  void MoveAny(Reg dst, Reg src) { IsFloatReg(dst) ? MoveFloat(dst, src) : Move(dst, src); }
  // Keeps the flags.
  void MoveImmediate(Reg dst, uint64_t bits);
  void Zero(Reg dst) { Op(Inst::kIdXor, R32(dst), R32(dst)); }
  // A value of `kind` from or to its bytes in the frame or elsewhere, of any alignment.
  void Load(Kind kind, Reg dst, const Mem& mem);
  void Store(Kind kind, const Mem& mem, Reg src);
  // 8 bytes whatever is in them, general or float.
  void StoreWord(const Mem& mem, Reg src);
  // All of what a slot or an overflow cell keeps of a value: 8 bytes, or a vector's 16.
  void StoreSlot(Kind kind, const Mem& mem, Reg src) {
    kind == Kind::kV128 ? Store(kind, mem, src) : StoreWord(mem, src);
  }
  // The same from memory to memory by way of a scratch register, xmm15 for a vector. The register
  // holds it afterwards.
  void CopySlot(Kind kind, const Mem& to, const Mem& from);
  // A constant in a register of its kind. Keeps the flags. A vector's `bits` are its offset in the
  // pool.
  void LoadConstant(Kind kind, Reg dst, uint64_t bits);

  // --- Float and vector arithmetic in AVX's three-operand form or SSE's two. `b` is a register or
  // memory; dst may be either operand. Where it is `b`, SSE may need xmm15 unless the operation
  // commutes. Without AVX, 16 bytes of memory are aligned.
  struct FloatOp {
    InstId sse;
    InstId vex;
    bool commutes = false;
  };
  void Float3(const FloatOp& op, Reg dst, Reg a, Reg b);
  void Float3(const FloatOp& op, Reg dst, Reg a, const Mem& b, uint32_t size);
  // dst = op(src), in the two-operand form of both.
  void Float2(InstId sse, InstId vex, Reg dst, Reg src) {
    Op(has_avx() ? vex : sse, X(dst), X(src));
  }
  void Float2(const FloatOp& op, Reg dst, Reg src) { Float2(op.sse, op.vex, dst, src); }
  // dst = op(src, immediate), where SSE's form does not overwrite its operand either.
  void Float2(const FloatOp& op, Reg dst, Reg src, int immediate) {
    Op(has_avx() ? op.vex : op.sse, X(dst), X(src), I(immediate));
  }
  // dst = op(a, b, immediate).
  void Float3(const FloatOp& op, Reg dst, Reg a, Reg b, int immediate);
  // dst = op(a, b), of a vector and 16 bytes of the pool.
  void Float3Constant(const FloatOp& op, Reg dst, Reg a, V128 b) {
    Float3(op, dst, a, Mem::Constant(Constant128(b.lo, b.hi)), 16);
  }
  // dst = src shifted by a constant number of bits.
  void ShiftLanes(const FloatOp& op, Reg dst, Reg src, int immediate) {
    if (has_avx()) {
      Op(op.vex, X(dst), X(src), I(immediate));
    } else {
      MoveFloat(dst, src);
      Op(op.sse, X(dst), I(immediate));
    }
  }
  // From a general register to the low lane of a vector, the rest zero.
  void MoveToVector(Reg dst, Reg src, bool wide) {
    if (wide) {
      Op(has_avx() ? Inst::kIdVmovq : Inst::kIdMovq, X(dst), R64(src));
    } else {
      Op(has_avx() ? Inst::kIdVmovd : Inst::kIdMovd, X(dst), R32(src));
    }
  }
  bool has_avx() const { return features_.avx; }
  const CpuFeatures& features() const { return features_; }
  void set_features(const CpuFeatures& features) { features_ = features; }

  // --- Labels and jumps.
  void Bind(Label& label);
  // Whether a label has been bound right here, so that what comes before is not all that leads
  // here.
  bool is_label_here() const { return last_bind_ == pc(); }
  void Jump(Label& label);
  // Cond::kFloatEq and kFloatNe take two jumps.
  void JumpIf(Cond cond, Label& label);
  void Call(Label& label);
  // A 4-byte field that will hold label − base.
  void RipLea(Reg dst, Label& label);

  void Bytes(const void* data, size_t size);
  void Byte(uint8_t byte) { Bytes(&byte, 1); }
  void U32(uint32_t value) { Bytes(&value, 4); }
  void Patch32(uint32_t at, uint32_t value) { std::memcpy(a_.bufferData() + at, &value, 4); }
  void PatchBytes(uint32_t at, const uint8_t* data, size_t size) {
    std::memcpy(a_.bufferData() + at, data, size);
  }
  uint32_t Read32(uint32_t at) const {
    uint32_t value;
    std::memcpy(&value, a_.bufferData() + at, 4);
    return value;
  }
  void Align(uint32_t alignment, uint8_t fill);
  // With instructions that do nothing.
  void AlignCode(uint32_t alignment);

  // --- Constants: offsets in the pool.
  int32_t Constant64(uint64_t bits);
  int32_t Constant128(uint64_t lo, uint64_t hi);
  V128 ConstantAt(int32_t offset) const {
    V128 value;
    std::memcpy(&value, pool_.data() + offset, sizeof(value));
    return value;
  }

  // --- Sites.
  void Site(uint32_t wasm_offset, TrapCode trap) {
    sites_.push_back({.pc_offset = pc(),
                      .wasm_offset = wasm_offset & 0xff'ffff,
                      .trap = static_cast<uint8_t>(trap)});
  }

 private:
  struct ConstantUse {
    uint32_t position;
    uint32_t constant;
  };

  void Check(asmjit::Error error) {
    if (error != asmjit::kErrorOk) [[unlikely]] {
      failed_ = true;
    }
  }
  void UseLabel(Label& label);
  bool EnsureSpace(size_t size);
  void Advance(size_t size) {
    a_._bufferPtr += size;
    // AsmJit grows its buffer by what it believes to be in it.
    buffer_->_size = std::max(buffer_->_size, a_.offset());
  }

  // An instruction being put together: no more than 16 bytes.
  struct Encoding {
    uint8_t bytes[16];
    uint32_t size = 0;
    void Byte(uint32_t byte) { bytes[size++] = static_cast<uint8_t>(byte); }
    void U32(uint32_t value) {
      std::memcpy(bytes + size, &value, 4);
      size += 4;
    }
  };
  void Emit(const Encoding& encoding);
  // REX (if needed), opcode, ModRM for `reg` and the register `rm`.
  void EmitReg(uint32_t opcode, bool wide, Reg reg, Reg rm);
  // The same with memory, up to the displacement. `opcode_bytes` is 1 or 2.
  static void EncodeMem(Encoding& e, uint32_t opcode, uint32_t opcode_bytes, bool wide, Reg reg,
                        const Mem& mem, bool force_rex = false);
  void EmitMem(uint32_t opcode, uint32_t opcode_bytes, bool wide, Reg reg, const Mem& mem);

  asmjit::CodeHolder code_;
  asmjit::x86::Assembler a_;
  asmjit::CodeBuffer* buffer_ = nullptr;
  CpuFeatures features_;
  std::vector<uint8_t> pool_;
  std::vector<uint32_t> pool_index_;  // Open addressing: 1 + offset of a 64-bit constant.
  uint32_t pool_count_ = 0;
  std::vector<uint32_t> wide_pool_index_;  // The same for 128-bit ones.
  uint32_t wide_pool_count_ = 0;
  std::vector<ConstantUse> constant_uses_;
  std::vector<CodeSite> sites_;
  uint64_t work_limit_ = UINT64_MAX;
  uint64_t charged_ = 0;
  uint32_t last_bind_ = 0;
  uint32_t last_jump_end_ =
      0;  // After the last Jump to an unbound label, if nothing has been bound there.
  bool failed_ = false;
};

}  // namespace wasmd::engine::baseline

#endif  // WASMD_ENGINE_COMPILE_BASELINE_ASSEMBLER_H_
