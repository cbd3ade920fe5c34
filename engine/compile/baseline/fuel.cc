// Metering: a line of instructions is paid for where it begins (engine/abi/fuel.h); its price is
// written into that code when its end is known.
//
//   sub qword [context + fuel], price
//   js  out of fuel
//
// No flags and nothing pending is alive where a line begins: behind a branch, a label, or at the
// function's start.
#include "engine/abi/fuel.h"

#include <cstdint>

#include "engine/compile/baseline/assembler.h"
#include "engine/compile/baseline/function_compiler.h"
#include "engine/compile/baseline/machine.h"

namespace wasmd::engine::baseline {

void FunctionCompiler::Meter(Opcode op) {
  const uint32_t price = FuelOf(op);
  if (price == 0) {
    return;
  }
  if (fuel_patch_ != 0) {
    fuel_price_ += price;
    return;
  }
  Reg context = locals_[context_local()].reg;
  if (context == kNoReg) {
    context = kScratch;
    asm_.Load(Kind::kI64, context, Mem::Frame(locals_[context_local()].slot));
  }
  // By hand: the immediate has four bytes, whatever it will be. REX.W 81 /5, base and displacement.
  constexpr uint8_t kNeedsSib = 4;  // rsp's and r12's number as a base.
  const auto number = static_cast<uint8_t>(context);
  asm_.Byte(static_cast<uint8_t>(0x48 | (number >> 3)));
  asm_.Byte(0x81);
  asm_.Byte(static_cast<uint8_t>(0x80 | 5 << 3 | (number & 7)));
  if ((number & 7) == kNeedsSib) {
    asm_.Byte(0x24);
  }
  asm_.U32(layout_.fuel());
  fuel_patch_ = asm_.pc();
  asm_.U32(0);
  TrapIf(Cond::kS, TrapCode::kOutOfFuel);
  fuel_price_ = price;
}

void FunctionCompiler::EndMeteredLine() {
  if (fuel_patch_ != 0) [[unlikely]] {
    if (!asm_.failed()) {
      asm_.Patch32(fuel_patch_, fuel_price_);
    }
    fuel_patch_ = 0;
  }
}

}  // namespace wasmd::engine::baseline
