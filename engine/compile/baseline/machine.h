// Registers and features of the x86-64 machine as the baseline compiler sees them, without AsmJit.
#ifndef WASMD_ENGINE_COMPILE_BASELINE_MACHINE_H_
#define WASMD_ENGINE_COMPILE_BASELINE_MACHINE_H_

#include <bit>
#include <cstdint>

#include "engine/wasm/types.h"

namespace wasmd::engine::baseline {

// General registers are 0–15 in the encoding's order, xmm registers 16–31.
using Reg = uint8_t;
using RegSet = uint32_t;

inline constexpr Reg kRax = 0;
inline constexpr Reg kRcx = 1;
inline constexpr Reg kRdx = 2;
inline constexpr Reg kRbx = 3;
inline constexpr Reg kRsp = 4;
inline constexpr Reg kRbp = 5;
inline constexpr Reg kRsi = 6;
inline constexpr Reg kRdi = 7;
inline constexpr Reg kR8 = 8;
inline constexpr Reg kR9 = 9;
inline constexpr Reg kR10 = 10;
inline constexpr Reg kR11 = 11;
inline constexpr Reg kR12 = 12;
inline constexpr Reg kR13 = 13;
inline constexpr Reg kR14 = 14;
inline constexpr Reg kR15 = 15;
inline constexpr Reg kXmm0 = 16;
inline constexpr uint32_t kRegCount = 32;
inline constexpr Reg kNoReg = 0xff;

// Never allocated: free for any sequence of a single instruction.
inline constexpr Reg kScratch = kR11;
inline constexpr Reg kScratchXmm = kXmm0 + 15;

constexpr RegSet Bit(Reg reg) {
  return RegSet{1} << reg;
}

inline constexpr RegSet kGeneralRegs = 0xffff & ~(Bit(kRsp) | Bit(kRbp) | Bit(kScratch));
inline constexpr RegSet kFloatRegs = 0xffff'0000 & ~Bit(kScratchXmm);
inline constexpr RegSet kAllocatable = kGeneralRegs | kFloatRegs;
// What builtins (System V functions) preserve.
inline constexpr RegSet kBuiltinPreserved =
    Bit(kRbx) | Bit(kR12) | Bit(kR13) | Bit(kR14) | Bit(kR15);

constexpr bool IsFloatReg(Reg reg) {
  return reg >= kXmm0;
}
constexpr Reg LowestReg(RegSet set) {
  return static_cast<Reg>(std::countr_zero(set));
}

// Where arguments and results travel, in order. engine/abi/calling_convention.h
inline constexpr Reg kGeneralParamReg[] = {kRsi, kRdx, kRcx, kR8, kR9};
inline constexpr Reg kGeneralResultReg[] = {kRax, kRdx};

// What a value is to the machine: references are 64-bit words.
enum class Kind : uint8_t { kI32, kI64, kF32, kF64, kV128 };

constexpr Kind KindOf(ValType type) {
  switch (type) {
    case ValType::kI32:
      return Kind::kI32;
    case ValType::kF32:
      return Kind::kF32;
    case ValType::kF64:
      return Kind::kF64;
    case ValType::kV128:
      return Kind::kV128;
    case ValType::kI64:
    case ValType::kFuncRef:
    case ValType::kExternRef:
    case ValType::kExnRef:
    case ValType::kBottom:
      break;
  }
  return Kind::kI64;
}
// What lives in an xmm register.
constexpr bool IsFloat(Kind kind) {
  return kind == Kind::kF32 || kind == Kind::kF64 || kind == Kind::kV128;
}
constexpr bool IsWide(Kind kind) {
  return kind == Kind::kI64 || kind == Kind::kF64;
}
// As what a value that may be a general one passes through an xmm register.
constexpr Kind WordKind(Kind kind) {
  return kind == Kind::kV128 ? kind : Kind::kF64;
}
constexpr RegSet RegsOf(Kind kind) {
  return IsFloat(kind) ? kFloatRegs : kGeneralRegs;
}

// Condition codes as encoded; then the two float comparisons that need both flags.
enum class Cond : uint8_t {
  kO = 0,
  kNO = 1,
  kB = 2,
  kAE = 3,
  kE = 4,
  kNE = 5,
  kBE = 6,
  kA = 7,
  kS = 8,
  kNS = 9,
  kP = 10,
  kNP = 11,
  kL = 12,
  kGE = 13,
  kLE = 14,
  kG = 15,
  kFloatEq = 16,  // ZF and not PF.
  kFloatNe = 17,
};

constexpr Cond Negate(Cond cond) {
  return static_cast<Cond>(static_cast<uint8_t>(cond) ^ 1);
}

// The condition of `b ? a` for `a ? b`.
constexpr Cond SwapOperands(Cond cond) {
  switch (cond) {
    case Cond::kB:
      return Cond::kA;
    case Cond::kA:
      return Cond::kB;
    case Cond::kAE:
      return Cond::kBE;
    case Cond::kBE:
      return Cond::kAE;
    case Cond::kL:
      return Cond::kG;
    case Cond::kG:
      return Cond::kL;
    case Cond::kGE:
      return Cond::kLE;
    case Cond::kLE:
      return Cond::kGE;
    default:
      return cond;
  }
}

// Instruction sets beyond SSE4.1, which is required.
struct CpuFeatures {
  bool avx = false;
  bool avx2 = false;
  bool fma = false;
  bool bmi1 = false;  // tzcnt
  bool bmi2 = false;  // shlx, shrx, sarx, rorx
  bool lzcnt = false;
  bool popcnt = false;

  static CpuFeatures Host();
  // The same without what vectors have beyond SSE4.1.
  CpuFeatures WithoutAvx() const {
    CpuFeatures features = *this;
    features.avx = features.avx2 = features.fma = false;
    return features;
  }
};

}  // namespace wasmd::engine::baseline

#endif  // WASMD_ENGINE_COMPILE_BASELINE_MACHINE_H_
