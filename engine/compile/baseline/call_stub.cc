// Call stubs: engine/abi/call_stub.h.
//
//   push rbp; mov rbp, rsp
//   cmp [rdx + …], type; jne wrong       for each argument
//   push rcx; push r8                    [rbp - 8] the results, [rbp - 16] the store
//   mov rax, rsi
//   arguments into overflow cells and registers, rdx last
//   call rax
//   results with their types
//   mov eax, 1; leave; ret
//   wrong: xor eax, eax; leave; ret
#include "engine/abi/call_stub.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/compile/baseline/assembler.h"
#include "engine/compile/compiler.h"

namespace wasmd::engine {
namespace baseline {
namespace {

constexpr Reg kArgsReg = kRdx;
constexpr Reg kResultsReg = kRcx;
constexpr Reg kStoreReg = kR8;

class CallStubCompiler {
 public:
  absl::Status Compile(const FuncType& type, std::vector<uint8_t>& out) {
    asm_.Begin();
    EmitEntry(type);
    EmitArguments(type);
    asm_.Op1(Inst::kIdCall, Assembler::R64(kRax));
    EmitResults(type);
    EmitReturn(kStubCalled);
    asm_.Bind(wrong_);
    EmitReturn(kStubWrongArguments);
    CompiledFunction code;
    if (const char* message = asm_.Finish(code); *message != '\0') {
      return absl::ResourceExhaustedError(message);
    }
    out = std::move(code.code);
    return absl::OkStatus();
  }

 private:
  static Mem Field(Reg values, size_t index, uint32_t field) {
    return Mem::At(values, static_cast<int32_t>(index * kStubValueBytes + field));
  }
  static Mem OverflowCell(uint32_t index) {
    return Mem::At(kStoreReg, static_cast<int32_t>(kStoreOverflow + index * sizeof(Cell)));
  }
  static bool Is32Bits(ValType type) { return type == ValType::kI32 || type == ValType::kF32; }

  void EmitEntry(const FuncType& type) {
    static constexpr uint8_t kEnter[] = {0x55, 0x48, 0x89, 0xe5};  // push rbp; mov rbp, rsp
    asm_.Bytes(kEnter, sizeof(kEnter));
    for (size_t i = 0; i < type.params.size(); ++i) {
      asm_.CompareMem(false, Field(kArgsReg, i, kStubValueType),
                      static_cast<int32_t>(type.params[i]));
      asm_.JumpIf(Cond::kNE, wrong_);
    }
    asm_.Op1(Inst::kIdPush, Assembler::R64(kResultsReg));
    asm_.Op1(Inst::kIdPush, Assembler::R64(kStoreReg));
    asm_.Move(kRax, kRsi);
  }

  // Copies what a value holds, through a scratch register; 32 bits zero-extended.
  void Copy(ValType type, const Mem& to, const Mem& from) {
    if (type == ValType::kV128) {
      asm_.CopySlot(Kind::kV128, to, from);
    } else {
      asm_.Load(Is32Bits(type) ? Kind::kI32 : Kind::kI64, kScratch, from);
      asm_.Store(Kind::kI64, to, kScratch);
    }
  }

  // General registers are loaded last, and of those the one that points to the arguments.
  void EmitArguments(const FuncType& type) {
    std::vector<std::pair<Reg, size_t>> general;
    LocationAssigner params = LocationAssigner::Params();
    for (size_t i = 0; i < type.params.size(); ++i) {
      const ValType param = type.params[i];
      const ValueLocation at = params.Next(param);
      const Mem from = Field(kArgsReg, i, kStubValueBits);
      if (at.kind == ValueLocation::Kind::kGeneralReg) {
        general.emplace_back(kGeneralParamReg[at.index], i);
      } else if (at.kind == ValueLocation::Kind::kOverflow) {
        Copy(param, OverflowCell(at.index), from);
      } else {
        asm_.Load(KindOf(param), static_cast<Reg>(kXmm0 + at.index), from);
      }
    }
    const auto load = [&](const std::pair<Reg, size_t>& argument) {
      asm_.Load(Is32Bits(type.params[argument.second]) ? Kind::kI32 : Kind::kI64, argument.first,
                Field(kArgsReg, argument.second, kStubValueBits));
    };
    for (const auto& argument : general) {
      if (argument.first != kArgsReg) {
        load(argument);
      }
    }
    for (const auto& argument : general) {
      if (argument.first == kArgsReg) {
        load(argument);
      }
    }
  }

  void EmitResults(const FuncType& type) {
    if (type.results.empty()) {
      return;
    }
    asm_.Load(Kind::kI64, kResultsReg, Mem::Frame(-8));
    LocationAssigner results = LocationAssigner::Results();
    for (const ValType result : type.results) {
      results.Next(result);
    }
    if (results.overflow_cells() != 0) {
      asm_.Load(Kind::kI64, kStoreReg, Mem::Frame(-16));
    }
    results = LocationAssigner::Results();
    for (size_t i = 0; i < type.results.size(); ++i) {
      const ValType result = type.results[i];
      const ValueLocation at = results.Next(result);
      const Mem to = Field(kResultsReg, i, kStubValueBits);
      asm_.Op(Inst::kIdMov, Assembler::M(Field(kResultsReg, i, kStubValueType), 4),
              Assembler::I(static_cast<int32_t>(result)));
      if (result != ValType::kV128) {
        asm_.Op(Inst::kIdMov, Assembler::M(Field(kResultsReg, i, kStubValueBits + 8), 8),
                Assembler::I(0));
      }
      const Reg xmm = static_cast<Reg>(kXmm0 + at.index);
      if (at.kind == ValueLocation::Kind::kOverflow) {
        Copy(result, to, OverflowCell(at.index));
      } else if (at.kind == ValueLocation::Kind::kGeneralReg) {
        const Reg reg = kGeneralResultReg[at.index];
        if (result == ValType::kI32) {
          asm_.ZeroExtend(reg, reg);  // A host function may have left anything there.
        }
        asm_.Store(Kind::kI64, to, reg);
      } else if (result == ValType::kF32) {
        asm_.Op(asm_.has_avx() ? Inst::kIdVmovd : Inst::kIdMovd, Assembler::R32(kScratch),
                Assembler::X(xmm));
        asm_.Store(Kind::kI64, to, kScratch);
      } else {
        asm_.Store(KindOf(result), to, xmm);
      }
    }
  }

  void EmitReturn(uint64_t value) {
    asm_.MoveImmediate(kRax, value);
    static constexpr uint8_t kLeave[] = {0xc9, 0xc3};  // leave; ret
    asm_.Bytes(kLeave, sizeof(kLeave));
  }

  Assembler asm_;
  Label wrong_;
};

}  // namespace
}  // namespace baseline

absl::Status CompileCallStub(const FuncType& type, std::vector<uint8_t>& out) {
  return baseline::CallStubCompiler().Compile(type, out);
}

}  // namespace wasmd::engine
