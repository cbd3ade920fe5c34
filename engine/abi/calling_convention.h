// The calling convention of generated code, shared by both compilers, the entry, the host thunks
// and the trap path. docs/architecture.md, "Calling convention", says why; tests/unit/engine/abi
// tries it on AsmJit and on LLVM.
//
//   rdi                    InstanceContext* of the callee (for a host function: its HostTarget*)
//   rsi rdx rcx r8 r9      general arguments (i32, i64, references), in order
//   xmm0 … xmm7            float arguments (f32, f64, v128), in order
//   overflow cells         every argument that finds no register of its class, in order:
//   StoreContext::overflow[k]
//
//   rax rdx                general results, in order
//   xmm0 xmm1              float results, in order
//   overflow cells         every other result, in order, from cell 0
//
// An i32 travels zero-extended to 64 bits; an f32 in the low lane, the rest undefined. No argument
// is on the machine stack, so tail calls of any signature need no moving of frames, and rsp is
// 16-byte aligned at every call. Overflow cells are written just before the call (or return) and
// read first thing by the callee (or caller); nothing runs between that uses them, except the
// lazy-compile entry, which leaves them alone.
//
// Preserved across a call: rsp and rbp, nothing else. MXCSR and the direction flag are as C++ has
// them, always. Every frame has rbp = its own frame pointer, [rbp] = caller's, [rbp + 8] = return
// address: the chain is the backtrace.
//
// A tail call is `leave`, then kTailJump: the callee finds its caller's caller's frame and return
// address. Nothing else in generated code begins with that byte: where rbp is the frame of the
// function at a pc, and where not, can be read from the code (engine/trap/handler_inside.cc).
//
// Builtins (builtins.def) are C++ functions by the System V convention: they preserve rbx and
// r12–r15 too.
#ifndef WASMD_ENGINE_ABI_CALLING_CONVENTION_H_
#define WASMD_ENGINE_ABI_CALLING_CONVENTION_H_

#include <cstdint>
#include <span>
#include <vector>

#include "engine/wasm/types.h"

namespace wasmd::engine {

inline constexpr uint32_t kGeneralParamRegs = 5;   // rsi rdx rcx r8 r9
inline constexpr uint32_t kFloatParamRegs = 8;     // xmm0 … xmm7
inline constexpr uint32_t kGeneralResultRegs = 2;  // rax rdx
inline constexpr uint32_t kFloatResultRegs = 2;    // xmm0 xmm1

// `notrack jmp rax`: the prefix means nothing where no branches are tracked.
inline constexpr uint8_t kTailJump[3] = {0x3e, 0xff, 0xe0};

// Where one argument or result travels.
struct ValueLocation {
  enum class Kind : uint8_t { kGeneralReg, kFloatReg, kOverflow };
  Kind kind = Kind::kGeneralReg;
  uint32_t index = 0;  // In its class's list above, or the overflow cell.
};

// Hands out locations in order: construct, then call Next for each type.
class LocationAssigner {
 public:
  static constexpr LocationAssigner Params() { return {kGeneralParamRegs, kFloatParamRegs}; }
  static constexpr LocationAssigner Results() { return {kGeneralResultRegs, kFloatResultRegs}; }

  constexpr ValueLocation Next(ValType type) {
    if (IsGeneral(type)) {
      if (general_ < max_general_) {
        return {ValueLocation::Kind::kGeneralReg, general_++};
      }
    } else if (float_ < max_float_) {
      return {ValueLocation::Kind::kFloatReg, float_++};
    }
    return {ValueLocation::Kind::kOverflow, overflow_++};
  }
  constexpr uint32_t overflow_cells() const { return overflow_; }

 private:
  constexpr LocationAssigner(uint32_t max_general, uint32_t max_float)
      : max_general_(max_general), max_float_(max_float) {}
  uint32_t max_general_;
  uint32_t max_float_;
  uint32_t general_ = 0;
  uint32_t float_ = 0;
  uint32_t overflow_ = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_CALLING_CONVENTION_H_
