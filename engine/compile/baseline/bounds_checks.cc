// Accesses to memories without a guard: each is compared with the memory's size, unless a check
// that every way to it passes has told already.
//
// A memory never shrinks, so what has been checked stays true until the local changes: within a
// block, in both arms of an if, in a loop that does not assign the local, and after a block that
// does not. A loop's first accesses, up to whatever else can be seen from outside, are checked
// before it where their local stays the same in it.
#include <algorithm>
#include <array>

#include "engine/compile/baseline/function_compiler_inl.h"
#include "engine/wasm/opcodes.h"

namespace wasmd::engine::baseline {
namespace {

// Instructions of a loop that are looked at for what may be checked before it.
constexpr int kMaxHoistDistance = 24;
// Of all open blocks together.
constexpr size_t kMaxSavedChecks = 1024;

// What a one-byte opcode is to the search for accesses at the start of a loop.
enum class Prefix : uint8_t {
  kEnds,  // Can be seen from outside, or is a branch.
  kPure,
  kBlock,
  kLocalGet,
  kLocalSet,
  kLeb,  // A constant.
  k4Bytes,
  k8Bytes,
  kLoad,
};
struct PrefixRow {
  Prefix what = Prefix::kEnds;
  uint8_t access_bytes = 0;
};

constexpr PrefixRow RowOf(const OpcodeInfo& info) {
  switch (info.op) {
    case Opcode::kBlock:
    case Opcode::kLoop:
      return {Prefix::kBlock};
    case Opcode::kLocalGet:
      return {Prefix::kLocalGet};
    case Opcode::kLocalSet:
    case Opcode::kLocalTee:
      return {Prefix::kLocalSet};
    case Opcode::kEnd:
    case Opcode::kElse:
    case Opcode::kReturn:
      return {};
    default:
      break;
  }
  switch (info.immediate) {
    case Immediate::kI32:
    case Immediate::kI64:
      return {Prefix::kLeb};
    case Immediate::kF32:
      return {Prefix::k4Bytes};
    case Immediate::kF64:
      return {Prefix::k8Bytes};
    case Immediate::kMemArg:
      if (info.text.find("load") == std::string_view::npos) {
        return {};
      }
      return {Prefix::kLoad, static_cast<uint8_t>(1u << NaturalAlign(info.text))};
    case Immediate::kNone:
      return {info.traps == kNoTrap ? Prefix::kPure : Prefix::kEnds};
    default:
      return {};
  }
}

constexpr std::array<PrefixRow, 256> MakePrefixRows() {
  std::array<PrefixRow, 256> rows{};
  for (const OpcodeInfo& info : kOpcodes) {
    if (static_cast<uint32_t>(info.op) < rows.size()) {
      rows[static_cast<uint32_t>(info.op)] = RowOf(info);
    }
  }
  return rows;
}

constexpr std::array<PrefixRow, 256> kPrefixRows = MakePrefixRows();

}  // namespace

// What ends inside of the type's minimum needs no check: memories never shrink.
Mem FunctionCompiler::CheckedConstant(uint64_t index, const MemArg& memarg) {
  const MemoryType& type = module_.memories[memarg.memory_index].type;
  uint64_t address = 0;
  uint64_t end = 0;
  if (__builtin_add_overflow(index, memarg.offset, &address) ||
      __builtin_add_overflow(address, uint64_t{memarg.access_bytes}, &end)) {
    asm_.Jump(TrapLabel(TrapCode::kMemoryOutOfBounds));
    return Mem::At(MemoryBase(memarg.memory_index), 0);  // Never reached.
  }
  if ((end - 1) >> type.page_shift >= type.limits.min) {
    const Mem size = MemorySize(memarg.memory_index);
    asm_.MoveImmediate(kScratch, end);
    asm_.Op(Inst::kIdCmp, Assembler::R64(kScratch), Assembler::M(size));
    TrapIf(Cond::kA, TrapCode::kMemoryOutOfBounds);
  }
  return OperandAt(memarg.memory_index, address);
}

// index + offset + bytes ≤ size, in 64 bits: a 32-bit index cannot make that overflow, a 64-bit one
// can.
Mem FunctionCompiler::CheckedOperand(Value& index, const MemArg& memarg) {
  const uint32_t bytes = memarg.access_bytes;
  const bool is_64 = module_.memories[memarg.memory_index].type.address == AddressType::kI64;
  const uint32_t local = index.local;
  const bool is_short =
      memarg.offset + bytes <= kMaxDisplacement && memarg.offset < kMaxDisplacement;
  Reg reg = kNoReg;
  int32_t disp = 0;
  if (is_short) {
    reg = ToReg(index);
    disp = static_cast<int32_t>(memarg.offset);
    if (IsChecked(local, memarg.memory_index, memarg.offset + bytes)) {
      return {.base = MemoryBase(memarg.memory_index), .index = reg, .disp = disp};
    }
  } else {
    reg = ToWritable(index);
    asm_.MoveImmediate(kScratch, memarg.offset);
    asm_.Op(Inst::kIdAdd, Assembler::R64(reg), Assembler::R64(kScratch));
    if (is_64) {
      TrapIf(Cond::kB, TrapCode::kMemoryOutOfBounds);
    }
  }
  const Mem size = MemorySize(memarg.memory_index);
  const int32_t reach = disp + static_cast<int32_t>(bytes);
  if (is_64) {
    asm_.Move(kScratch, reg, true);
    asm_.Op(Inst::kIdAdd, Assembler::R64(kScratch), Assembler::I(reach));
    TrapIf(Cond::kB, TrapCode::kMemoryOutOfBounds);
  } else {
    asm_.Op(Inst::kIdLea, Assembler::R64(kScratch), Assembler::M(Mem::At(reg, reach)));
  }
  asm_.Op(Inst::kIdCmp, Assembler::R64(kScratch), Assembler::M(size));
  TrapIf(Cond::kA, TrapCode::kMemoryOutOfBounds);
  if (is_short) {
    NoteChecked(local, memarg.memory_index, memarg.offset + bytes);
  }
  return {.base = MemoryBase(memarg.memory_index), .index = reg, .disp = disp};
}

bool FunctionCompiler::IsChecked(uint32_t local, uint32_t memory_index, uint64_t end) const {
  return local != kNone && std::ranges::any_of(checked_, [&](const CheckedAccess& checked) {
           return checked.local == local && checked.memory_index == memory_index &&
                  checked.end >= end;
         });
}

void FunctionCompiler::NoteChecked(uint32_t local, uint32_t memory_index, uint64_t end) {
  if (local == kNone) {
    return;
  }
  for (CheckedAccess& checked : checked_) {
    if (checked.local == local && checked.memory_index == memory_index) {
      checked.end = std::max(checked.end, end);
      return;
    }
  }
  if (checked_.size() == kMaxCheckedAccesses) {
    checked_.erase(checked_.begin());
  }
  checked_.push_back({local, memory_index, end});
}

void FunctionCompiler::ForgetChecksSlow(uint32_t local) {
  std::erase_if(checked_, [local](const CheckedAccess& checked) { return checked.local == local; });
}

// --- Between blocks.

void FunctionCompiler::SaveChecks(Control& control) {
  control.checks_begin = static_cast<uint32_t>(saved_checks_.size());
  if (saved_checks_.size() + checked_.size() <= kMaxSavedChecks) {
    saved_checks_.insert(saved_checks_.end(), checked_.begin(), checked_.end());
  }
}

void FunctionCompiler::RestoreChecks(const Control& control) {
  checked_.assign(saved_checks_.begin() + control.checks_begin, saved_checks_.end());
}

void FunctionCompiler::ForgetAssigned(const Control& control) {
  if (control.block == kNone) {
    checked_.clear();
    return;
  }
  std::erase_if(checked_, [&](const CheckedAccess& checked) {
    return analysis_.IsAssignedIn(control.block, checked.local);
  });
}

void FunctionCompiler::HoistChecks(const Control& loop) {
  if (loop.block == kNone) {
    return;
  }
  const uint32_t loop_offset = offset_;
  uint32_t at = AfterLeb(loop_offset + 1);
  uint32_t got = kNone;  // By the instruction before.
  for (int i = 0; i < kMaxHoistDistance; ++i) {
    const uint32_t instruction = at;
    const PrefixRow row = kPrefixRows[ByteAt(at++)];
    const uint32_t local = got;
    got = kNone;
    switch (row.what) {
      case Prefix::kEnds:
        return;
      case Prefix::kPure:
        break;
      case Prefix::kBlock:
      case Prefix::kLeb:
        at = AfterLeb(at);
        break;
      case Prefix::k4Bytes:
        at += 4;
        break;
      case Prefix::k8Bytes:
        at += 8;
        break;
      case Prefix::kLocalGet:
        got = analysis_.FindNumber(static_cast<uint32_t>(LebAt(at)));
        at = AfterLeb(at);
        break;
      case Prefix::kLocalSet:
        at = AfterLeb(at);
        break;
      case Prefix::kLoad: {
        const MemArg memarg = ReadMemArg(at, row.access_bytes);
        // Another's trap must not come first: the search ends at a load that stays where it is.
        if (local >= local_count_ || memarg.memory_index >= module_.memories.size() ||
            HasGuard(memarg.memory_index) ||
            locals_[local].kind != MemoryAddressKind(memarg.memory_index) ||
            memarg.offset > kMaxDisplacement - memarg.access_bytes ||
            analysis_.IsAssignedIn(loop.block, local)) {
          return;
        }
        offset_ = instruction;  // Where the trap is said to be.
        PushLocal(local, locals_[local].kind, false);
        Value index = Pop();
        static_cast<void>(CheckedOperand(index, memarg));
        pinned_ = 0;
        offset_ = loop_offset;
        break;
      }
    }
  }
}

}  // namespace wasmd::engine::baseline
