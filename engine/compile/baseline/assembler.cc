#include "engine/compile/baseline/assembler.h"

#include <algorithm>

#include "engine/base/check.h"

namespace wasmd::engine::baseline {
namespace {

constexpr uint32_t kPoolSlots = 1024;
// Constants beyond this are not looked up but appended, so that lookups stay short.
constexpr uint32_t kMaxPoolLookups = kPoolSlots / 2;

constexpr uint32_t HashOf(uint64_t bits) {
  return static_cast<uint32_t>((bits * 0x9e37'79b9'7f4a'7c15) >> 54);
}
static_assert(uint32_t{1} << (64 - 54) == kPoolSlots);

}  // namespace

CpuFeatures CpuFeatures::Host() {
  using Id = asmjit::CpuFeatures::X86;
  const auto& host = asmjit::CpuInfo::host().features().x86();
  return {.avx = host.has(Id::kAVX),
          .avx2 = host.has(Id::kAVX2),
          .fma = host.has(Id::kFMA),
          .bmi1 = host.has(Id::kBMI),
          .bmi2 = host.has(Id::kBMI2),
          .lzcnt = host.has(Id::kLZCNT),
          .popcnt = host.has(Id::kPOPCNT)};
}

Assembler::Assembler()
    : features_(CpuFeatures::Host()), pool_index_(kPoolSlots, 0), wide_pool_index_(kPoolSlots, 0) {
  Check(code_.init(asmjit::Environment(asmjit::Arch::kX64)));
  Check(code_.attach(&a_));
  buffer_ = &code_.textSection()->buffer();
  // Smaller encodings where they mean the same.
  a_.addEncodingOptions(asmjit::EncodingOptions::kOptimizeForSize);
}

void Assembler::Begin(uint64_t work_limit) {
  work_limit_ = work_limit;
  charged_ = 0;
  Check(a_.setOffset(0));
  sites_.clear();
  constant_uses_.clear();
  pool_.clear();
  if (pool_count_ != 0) {
    std::ranges::fill(pool_index_, 0);
    pool_count_ = 0;
  }
  if (wide_pool_count_ != 0) {
    std::ranges::fill(wide_pool_index_, 0);
    wide_pool_count_ = 0;
  }
  last_jump_end_ = 0;
  last_bind_ = 0;
}

const char* Assembler::Finish(CompiledFunction& out) {
  uint32_t pool_begin = 0;
  if (!pool_.empty()) {
    Align(16, 0xcc);
    pool_begin = pc();
    Bytes(pool_.data(), pool_.size());
  }
  if (failed_) {
    return "out of memory for machine code";
  }
  for (const ConstantUse& use : constant_uses_) {
    Patch32(use.position, pool_begin + use.constant - (use.position + 4));
  }
  out.code.assign(a_.bufferData(), a_.bufferData() + a_.offset());
  out.sites.assign(sites_.begin(), sites_.end());
  return "";
}

bool Assembler::EnsureSpace(size_t size) {
  if (a_.remainingSpace() >= size) [[likely]] {
    return true;
  }
  asmjit::CodeBuffer& buffer = *buffer_;
  Check(code_.reserveBuffer(&buffer, std::max(buffer.capacity() * 2, a_.offset() + size)));
  return !failed_;
}

void Assembler::Bytes(const void* data, size_t size) {
  if (EnsureSpace(size)) {
    std::memcpy(a_._bufferPtr, data, size);
    Advance(size);
  }
}

void Assembler::Align(uint32_t alignment, uint8_t fill) {
  while ((pc() & (alignment - 1)) != 0 && !failed_) {
    Byte(fill);
  }
}

void Assembler::AlignCode(uint32_t alignment) {
  Check(a_.align(asmjit::AlignMode::kCode, alignment));
}

// --- Encoded here. Intel's manual, volume 2, chapter 2: REX is 0100WRXB; ModRM is mod reg rm; SIB
// is scale index base.

void Assembler::Emit(const Encoding& encoding) {
  if (EnsureSpace(sizeof(encoding.bytes))) [[likely]] {
    std::memcpy(a_._bufferPtr, encoding.bytes, sizeof(encoding.bytes));
    Advance(encoding.size);
  }
}

void Assembler::EmitReg(uint32_t opcode, bool wide, Reg reg, Reg rm) {
  Encoding e;
  const uint32_t rex = (wide ? 8u : 0u) | uint32_t{reg} >> 3 << 2 | rm >> 3;
  if (rex != 0) {
    e.Byte(0x40 | rex);
  }
  e.Byte(opcode);
  e.Byte(0xc0u | (reg & 7u) << 3 | (rm & 7u));
  Emit(e);
}

void Assembler::EncodeMem(Encoding& e, uint32_t opcode, uint32_t opcode_bytes, bool wide, Reg reg,
                          const Mem& mem, bool force_rex) {
  const uint32_t base = mem.base == kNoReg ? 0 : mem.base;
  const uint32_t index = mem.index == kNoReg ? 0 : mem.index;
  const uint32_t rex = (wide ? 8u : 0u) | uint32_t{reg} >> 3 << 2 | (index >> 3) << 1 | base >> 3;
  if (rex != 0 || force_rex) {
    e.Byte(0x40 | rex);
  }
  if (opcode_bytes == 2) {
    e.Byte(opcode >> 8);
  }
  e.Byte(opcode);
  const uint32_t field = (reg & 7u) << 3;
  if (mem.constant >= 0) {
    e.Byte(field | 5);
    e.U32(0);
    return;
  }
  // A base of rsp or r12 needs a SIB byte (index 4: none), one of rbp or r13 a displacement.
  const bool has_sib = mem.index != kNoReg || mem.base == kNoReg || (base & 7) == 4;
  uint32_t mod = 0;
  if (mem.base == kNoReg) {
    e.Byte(field | 4);
    e.Byte(uint32_t{mem.shift} << 6 | (index & 7) << 3 | 5);
    e.U32(static_cast<uint32_t>(mem.disp));
    return;
  }
  if (mem.disp != 0 || (base & 7) == 5) {
    mod = mem.disp == static_cast<int8_t>(mem.disp) ? 0x40 : 0x80;
  }
  e.Byte(mod | field | (has_sib ? 4 : base & 7));
  if (has_sib) {
    e.Byte(uint32_t{mem.shift} << 6 | (mem.index == kNoReg ? 4 : index & 7) << 3 | (base & 7));
  }
  if (mod == 0x40) {
    e.Byte(static_cast<uint8_t>(mem.disp));
  } else if (mod == 0x80) {
    e.U32(static_cast<uint32_t>(mem.disp));
  }
}

void Assembler::EmitMem(uint32_t opcode, uint32_t opcode_bytes, bool wide, Reg reg,
                        const Mem& mem) {
  Encoding e;
  EncodeMem(e, opcode, opcode_bytes, wide, reg, mem);
  Emit(e);
}

void Assembler::AluReg(Alu op, bool wide, Reg dst, Reg src) {
  if (op != Alu::kImul) {
    EmitReg(static_cast<uint32_t>(op) << 3 | 1, wide, src, dst);
    return;
  }
  Encoding e;
  const uint32_t rex = (wide ? 8u : 0u) | uint32_t{dst} >> 3 << 2 | uint32_t{src} >> 3;
  if (rex != 0) {
    e.Byte(0x40 | rex);
  }
  e.Byte(0x0f);
  e.Byte(0xaf);
  e.Byte(0xc0u | (dst & 7u) << 3 | (src & 7u));
  Emit(e);
}

void Assembler::AluMem(Alu op, bool wide, Reg dst, const Mem& mem) {
  if (op == Alu::kImul) {
    EmitMem(0x0faf, 2, wide, dst, mem);
  } else {
    EmitMem(static_cast<uint32_t>(op) << 3 | 3, 1, wide, dst, mem);
  }
}

void Assembler::AluImmediate(Alu op, bool wide, Reg dst, int32_t immediate) {
  Encoding e;
  const bool is_byte = immediate == static_cast<int8_t>(immediate);
  if (op == Alu::kImul) {
    const uint32_t rex = (wide ? 8u : 0u) | uint32_t{dst} >> 3 << 2 | uint32_t{dst} >> 3;
    if (rex != 0) {
      e.Byte(0x40 | rex);
    }
    e.Byte(is_byte ? 0x6b : 0x69);
    e.Byte(0xc0u | (dst & 7u) << 3 | (dst & 7u));
  } else {
    const uint32_t rex = (wide ? 8u : 0u) | dst >> 3;
    if (rex != 0) {
      e.Byte(0x40 | rex);
    }
    if (!is_byte && dst == kRax) {
      e.Byte(static_cast<uint32_t>(op) << 3 | 5);
    } else {
      e.Byte(is_byte ? 0x83 : 0x81);
      e.Byte(0xc0u | static_cast<uint32_t>(op) << 3 | (dst & 7u));
    }
  }
  if (is_byte) {
    e.Byte(static_cast<uint8_t>(immediate));
  } else {
    e.U32(static_cast<uint32_t>(immediate));
  }
  Emit(e);
}

void Assembler::CompareMem(bool wide, const Mem& mem, int32_t immediate) {
  Encoding e;
  const bool is_byte = immediate == static_cast<int8_t>(immediate);
  EncodeMem(e, is_byte ? 0x83 : 0x81, 1, wide, static_cast<Reg>(Alu::kCmp), mem);
  if (is_byte) {
    e.Byte(static_cast<uint8_t>(immediate));
  } else {
    e.U32(static_cast<uint32_t>(immediate));
  }
  Emit(e);
}

void Assembler::StoreLow(uint32_t size, const Mem& mem, Reg src) {
  Encoding e;
  if (size == 2) {
    e.Byte(0x66);
  }
  // Without REX the byte registers 4 to 7 would be ah to bh.
  EncodeMem(e, size == 1 ? 0x88 : 0x89, 1, size == 8, src, mem,
            size == 1 && src >= kRsp && src <= kRdi);
  Emit(e);
}

// --- Moves.

void Assembler::Move(Reg dst, Reg src, bool wide) {
  if (dst != src) {
    EmitReg(0x89, wide, src, dst);
  }
}

void Assembler::MoveFloat(Reg dst, Reg src) {
  if (dst != src) {
    Op(has_avx() ? Inst::kIdVmovaps : Inst::kIdMovaps, X(dst), X(src));
  }
}

void Assembler::MoveImmediate(Reg dst, uint64_t bits) {
  Encoding e;
  if (bits <= UINT32_MAX) {
    if (dst >= kR8) {
      e.Byte(0x41);
    }
    e.Byte(0xb8u | (dst & 7u));
    e.U32(static_cast<uint32_t>(bits));
  } else if (static_cast<int64_t>(bits) == static_cast<int32_t>(bits)) {
    e.Byte(0x48u | dst >> 3);
    e.Byte(0xc7);
    e.Byte(0xc0u | (dst & 7u));
    e.U32(static_cast<uint32_t>(bits));
  } else {
    e.Byte(0x48u | dst >> 3);
    e.Byte(0xb8u | (dst & 7u));
    e.U32(static_cast<uint32_t>(bits));
    e.U32(static_cast<uint32_t>(bits >> 32));
  }
  Emit(e);
}

void Assembler::Load(Kind kind, Reg dst, const Mem& mem) {
  switch (kind) {
    case Kind::kI32:
      EmitMem(0x8b, 1, false, dst, mem);
      break;
    case Kind::kI64:
      EmitMem(0x8b, 1, true, dst, mem);
      break;
    case Kind::kF32:
      Op(has_avx() ? Inst::kIdVmovss : Inst::kIdMovss, X(dst), M(mem));
      break;
    case Kind::kF64:
      Op(has_avx() ? Inst::kIdVmovsd : Inst::kIdMovsd, X(dst), M(mem));
      break;
    case Kind::kV128:
      Op(has_avx() ? Inst::kIdVmovups : Inst::kIdMovups, X(dst), M(mem));
      break;
  }
  NoteConstant(mem);
}

void Assembler::Store(Kind kind, const Mem& mem, Reg src) {
  switch (kind) {
    case Kind::kI32:
      EmitMem(0x89, 1, false, src, mem);
      break;
    case Kind::kI64:
      EmitMem(0x89, 1, true, src, mem);
      break;
    case Kind::kF32:
      Op(has_avx() ? Inst::kIdVmovss : Inst::kIdMovss, M(mem), X(src));
      break;
    case Kind::kF64:
      Op(has_avx() ? Inst::kIdVmovsd : Inst::kIdMovsd, M(mem), X(src));
      break;
    case Kind::kV128:
      Op(has_avx() ? Inst::kIdVmovups : Inst::kIdMovups, M(mem), X(src));
      break;
  }
}

void Assembler::StoreWord(const Mem& mem, Reg src) {
  Store(IsFloatReg(src) ? Kind::kF64 : Kind::kI64, mem, src);
}

void Assembler::CopySlot(Kind kind, const Mem& to, const Mem& from) {
  const bool is_vector = kind == Kind::kV128;
  const Kind as = is_vector ? Kind::kV128 : Kind::kI64;
  const Reg scratch = is_vector ? kScratchXmm : kScratch;
  Load(as, scratch, from);
  Store(as, to, scratch);
}

void Assembler::LoadConstant(Kind kind, Reg dst, uint64_t bits) {
  if (!IsFloat(kind)) {
    MoveImmediate(dst, bits);
    return;
  }
  const bool is_vector = kind == Kind::kV128;
  const V128 vector = is_vector ? ConstantAt(static_cast<int32_t>(bits)) : V128{bits, 0};
  if (vector == V128{}) {
    has_avx() ? Op(Inst::kIdVxorps, X(dst), X(dst), X(dst)) : Op(Inst::kIdXorps, X(dst), X(dst));
    return;
  }
  if (is_vector) {
    if (vector == V128{UINT64_MAX, UINT64_MAX}) {
      has_avx() ? Op(Inst::kIdVpcmpeqd, X(dst), X(dst), X(dst))
                : Op(Inst::kIdPcmpeqd, X(dst), X(dst));
      return;
    }
    Load(kind, dst, Mem::Constant(static_cast<int32_t>(bits)));
    return;
  }
  Load(kind, dst, Mem::Constant(Constant64(bits)));
}

void Assembler::Float3(const FloatOp& op, Reg dst, Reg a, Reg b) {
  if (has_avx()) {
    Op(op.vex, X(dst), X(a), X(b));
  } else if (dst == a) {
    Op(op.sse, X(dst), X(b));
  } else if (dst != b) {
    MoveFloat(dst, a);
    Op(op.sse, X(dst), X(b));
  } else if (op.commutes) {
    Op(op.sse, X(dst), X(a));
  } else {
    MoveFloat(kScratchXmm, a);
    Op(op.sse, X(kScratchXmm), X(b));
    MoveFloat(dst, kScratchXmm);
  }
}

void Assembler::Float3(const FloatOp& op, Reg dst, Reg a, const Mem& b, uint32_t size) {
  if (has_avx()) {
    Op(op.vex, X(dst), X(a), M(b, size));
  } else {
    MoveFloat(dst, a);
    Op(op.sse, X(dst), M(b, size));
  }
  NoteConstant(b);
}

void Assembler::Float3(const FloatOp& op, Reg dst, Reg a, Reg b, int immediate) {
  if (has_avx()) {
    Op(op.vex, X(dst), X(a), X(b), I(immediate));
  } else if (dst == a || dst != b) {
    MoveFloat(dst, a);
    Op(op.sse, X(dst), X(b), I(immediate));
  } else {
    MoveFloat(kScratchXmm, a);
    Op(op.sse, X(kScratchXmm), X(b), I(immediate));
    MoveFloat(dst, kScratchXmm);
  }
}

void Assembler::Bind(Label& label) {
  WASMD_DCHECK(!label.is_bound());
  // A jump to what follows it is taken back, unless something else has been bound behind it.
  if (last_jump_end_ != 0 && last_jump_end_ == pc() &&
      label.last_use == static_cast<int32_t>(pc() - 4)) {
    label.last_use = static_cast<int32_t>(Read32(pc() - 4));
    a_._bufferPtr -= 5;
  }
  last_jump_end_ = 0;
  last_bind_ = pc();
  label.position = static_cast<int32_t>(pc());
  int32_t use = label.last_use;
  while (use >= 0) {
    const auto at = static_cast<uint32_t>(use);
    use = static_cast<int32_t>(Read32(at));
    Patch32(at, static_cast<uint32_t>(label.position) - (at + 4));
  }
}

void Assembler::UseLabel(Label& label) {
  if (label.is_bound()) {
    U32(static_cast<uint32_t>(label.position) - (pc() + 4));
  } else {
    const uint32_t at = pc();
    U32(static_cast<uint32_t>(label.last_use));
    label.last_use = static_cast<int32_t>(at);
  }
}

void Assembler::Jump(Label& label) {
  if (label.is_bound()) {
    const int64_t distance = int64_t{label.position} - (int64_t{pc()} + 2);
    if (distance >= -128) {
      const uint8_t code[] = {0xeb, static_cast<uint8_t>(distance)};
      Bytes(code, 2);
      return;
    }
  }
  Byte(0xe9);
  UseLabel(label);
  last_jump_end_ = label.is_bound() ? 0 : pc();
}

void Assembler::JumpIf(Cond cond, Label& label) {
  if (cond == Cond::kFloatEq) {
    Label skip;
    JumpIf(Cond::kP, skip);
    JumpIf(Cond::kE, label);
    Bind(skip);
    return;
  }
  if (cond == Cond::kFloatNe) {
    JumpIf(Cond::kP, label);
    JumpIf(Cond::kNE, label);
    return;
  }
  const auto code = static_cast<uint8_t>(cond);
  if (label.is_bound()) {
    const int64_t distance = int64_t{label.position} - (int64_t{pc()} + 2);
    if (distance >= -128) {
      const uint8_t bytes[] = {static_cast<uint8_t>(0x70 | code), static_cast<uint8_t>(distance)};
      Bytes(bytes, 2);
      return;
    }
  }
  const uint8_t bytes[] = {0x0f, static_cast<uint8_t>(0x80 | code)};
  Bytes(bytes, 2);
  UseLabel(label);
}

void Assembler::Call(Label& label) {
  Byte(0xe8);
  UseLabel(label);
}

void Assembler::RipLea(Reg dst, Label& label) {
  const uint8_t bytes[] = {static_cast<uint8_t>(0x48 | (dst >> 3) << 2), 0x8d,
                           static_cast<uint8_t>(0x05 | (dst & 7) << 3)};
  Bytes(bytes, 3);
  UseLabel(label);
}

int32_t Assembler::Constant64(uint64_t bits) {
  const bool is_indexed = pool_count_ < kMaxPoolLookups;
  uint32_t slot = HashOf(bits);
  for (; pool_index_[slot] != 0; slot = (slot + 1) % kPoolSlots) {
    uint64_t there;
    std::memcpy(&there, pool_.data() + pool_index_[slot] - 1, 8);
    if (there == bits) {
      return static_cast<int32_t>(pool_index_[slot] - 1);
    }
  }
  const size_t offset = pool_.size();
  pool_.resize(offset + 8);
  std::memcpy(pool_.data() + offset, &bits, 8);
  if (is_indexed) {
    pool_index_[slot] = static_cast<uint32_t>(offset) + 1;
    ++pool_count_;
  }
  return static_cast<int32_t>(offset);
}

int32_t Assembler::Constant128(uint64_t lo, uint64_t hi) {
  const uint64_t both[] = {lo, hi};
  const bool is_indexed = wide_pool_count_ < kMaxPoolLookups;
  uint32_t slot = HashOf(lo ^ hi * 31);
  for (; wide_pool_index_[slot] != 0; slot = (slot + 1) % kPoolSlots) {
    if (std::memcmp(pool_.data() + wide_pool_index_[slot] - 1, both, 16) == 0) {
      return static_cast<int32_t>(wide_pool_index_[slot] - 1);
    }
  }
  const size_t offset = (pool_.size() + 15) & ~size_t{15};
  pool_.resize(offset + 16);
  std::memcpy(pool_.data() + offset, both, 16);
  if (is_indexed) {
    wide_pool_index_[slot] = static_cast<uint32_t>(offset) + 1;
    ++wide_pool_count_;
  }
  return static_cast<int32_t>(offset);
}

}  // namespace wasmd::engine::baseline
