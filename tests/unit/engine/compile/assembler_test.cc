// The instructions that the assembler encodes itself, against AsmJit's own encodings of them: every
// register, every shape of address, immediates at the edges of their sizes.
#include "engine/compile/baseline/assembler.h"

#include <functional>
#include <vector>

#include <asmjit/asmjit.h>
#include <gtest/gtest.h>

namespace wasmd::engine::baseline {
namespace {

namespace x86 = asmjit::x86;

std::vector<uint8_t> Ours(const std::function<void(Assembler&)>& emit) {
  static auto& assembler = *new Assembler();
  assembler.Begin();
  emit(assembler);
  CompiledFunction out;
  EXPECT_STREQ(assembler.Finish(out), "");
  return out.code;
}

std::vector<uint8_t> Theirs(const std::function<void(x86::Assembler&)>& emit) {
  asmjit::CodeHolder code;
  code.init(asmjit::Environment(asmjit::Arch::kX64));
  x86::Assembler assembler(&code);
  assembler.addEncodingOptions(asmjit::EncodingOptions::kOptimizeForSize);
  emit(assembler);
  return {assembler.bufferData(), assembler.bufferData() + assembler.offset()};
}

const std::vector<Reg>& Regs() {
  static const auto& regs = *new std::vector<Reg>{kRax, kRcx, kRdx, kRbx, kRbp, kRsi, kRdi, kR8,
                                                  kR9,  kR10, kR11, kR12, kR13, kR14, kR15};
  return regs;
}

const std::vector<Mem>& Mems() {
  static const auto& mems = *new std::vector<Mem>([] {
    std::vector<Mem> all;
    for (const Reg base : Regs()) {
      for (const int32_t disp : {0, 1, -1, 127, 128, -128, -129, 0x7fff'ffff}) {
        all.push_back(Mem::At(base, disp));
        for (const Reg index : {kRax, kRbp, kR12, kR13, kRdi}) {
          all.push_back({.base = base,
                         .index = index,
                         .shift = static_cast<uint8_t>(disp & 3),
                         .disp = disp});
        }
      }
    }
    all.push_back(Mem::At(kRsp, 0));
    all.push_back(Mem::At(kRsp, -8));
    return all;
  }());
  return mems;
}

struct AluName {
  Assembler::Alu alu;
  asmjit::InstId inst;
};
constexpr AluName kAlu[] = {
    {Assembler::Alu::kAdd, x86::Inst::kIdAdd},  {Assembler::Alu::kOr, x86::Inst::kIdOr},
    {Assembler::Alu::kAnd, x86::Inst::kIdAnd},  {Assembler::Alu::kSub, x86::Inst::kIdSub},
    {Assembler::Alu::kXor, x86::Inst::kIdXor},  {Assembler::Alu::kCmp, x86::Inst::kIdCmp},
    {Assembler::Alu::kImul, x86::Inst::kIdImul}};

TEST(AssemblerTest, RegistersAndImmediates) {
  for (const bool wide : {false, true}) {
    for (const Reg a : Regs()) {
      const auto ra = Assembler::R(a, wide);
      for (const Reg b : Regs()) {
        const auto rb = Assembler::R(b, wide);
        for (const AluName& name : kAlu) {
          EXPECT_EQ(Ours([&](Assembler& s) { s.AluReg(name.alu, wide, a, b); }),
                    Theirs([&](x86::Assembler& s) { s.emit(name.inst, ra, rb); }));
        }
        EXPECT_EQ(Ours([&](Assembler& s) { s.Test(wide, a, b); }),
                  Theirs([&](x86::Assembler& s) { s.test(ra, rb); }));
        if (a != b) {
          EXPECT_EQ(Ours([&](Assembler& s) { s.Move(a, b, wide); }),
                    Theirs([&](x86::Assembler& s) { s.mov(ra, rb); }));
        }
        EXPECT_EQ(Ours([&](Assembler& s) { s.ZeroExtend(a, b); }),
                  Theirs([&](x86::Assembler& s) { s.mov(Assembler::R32(a), Assembler::R32(b)); }));
      }
      for (const int32_t immediate :
           {0, 1, -1, 127, 128, -128, -129, 0x1234'5678, INT32_MAX, INT32_MIN}) {
        for (const AluName& name : kAlu) {
          if (name.alu == Assembler::Alu::kAnd && wide && immediate >= 0) {
            continue;  // AsmJit narrows it to 32 bits.
          }
          EXPECT_EQ(Ours([&](Assembler& s) { s.AluImmediate(name.alu, wide, a, immediate); }),
                    Theirs([&](x86::Assembler& s) {
                      name.alu == Assembler::Alu::kImul
                          ? s.imul(ra, ra, immediate)
                          : s.emit(name.inst, ra, asmjit::Imm(immediate));
                    }))
              << int{a} << " " << immediate << " " << name.inst;
        }
      }
    }
  }
}

TEST(AssemblerTest, LoadsOfConstants) {
  for (const Reg a : Regs()) {
    for (const uint64_t bits :
         {uint64_t{0}, uint64_t{1}, uint64_t{0x7fff'ffff}, uint64_t{0x8000'0000},
          uint64_t{0xffff'ffff}, uint64_t{0x1'0000'0000}, uint64_t{0xffff'ffff'8000'0000},
          UINT64_MAX, uint64_t{0xffff'ffff'7fff'ffff}, uint64_t{0x0123'4567'89ab'cdef}}) {
      EXPECT_EQ(Ours([&](Assembler& s) { s.MoveImmediate(a, bits); }),
                Theirs([&](x86::Assembler& s) {
                  s.mov(bits <= UINT32_MAX ? Assembler::R(a, false) : Assembler::R(a, true), bits);
                }))
          << int{a} << " " << bits;
    }
  }
}

TEST(AssemblerTest, Memory) {
  for (const Mem& mem : Mems()) {
    for (const Reg a : Regs()) {
      for (const bool wide : {false, true}) {
        const auto ra = Assembler::R(a, wide);
        const uint32_t size = wide ? 8 : 4;
        EXPECT_EQ(Ours([&](Assembler& s) { s.Load(wide ? Kind::kI64 : Kind::kI32, a, mem); }),
                  Theirs([&](x86::Assembler& s) { s.mov(ra, Assembler::M(mem)); }));
        EXPECT_EQ(Ours([&](Assembler& s) { s.Store(wide ? Kind::kI64 : Kind::kI32, mem, a); }),
                  Theirs([&](x86::Assembler& s) { s.mov(Assembler::M(mem), ra); }));
        EXPECT_EQ(Ours([&](Assembler& s) { s.StoreLow(size, mem, a); }),
                  Theirs([&](x86::Assembler& s) { s.mov(Assembler::M(mem), ra); }));
        EXPECT_EQ(Ours([&](Assembler& s) { s.Lea(wide, a, mem); }),
                  Theirs([&](x86::Assembler& s) { s.lea(ra, Assembler::M(mem)); }));
        for (const AluName& name : {kAlu[0], kAlu[5], kAlu[6]}) {
          EXPECT_EQ(Ours([&](Assembler& s) { s.AluMem(name.alu, wide, a, mem); }),
                    Theirs([&](x86::Assembler& s) { s.emit(name.inst, ra, Assembler::M(mem)); }));
        }
        EXPECT_EQ(Ours([&](Assembler& s) { s.LoadExtending(0x0fbe, wide, a, mem); }),
                  Theirs([&](x86::Assembler& s) { s.movsx(ra, Assembler::M(mem, 1)); }));
        EXPECT_EQ(Ours([&](Assembler& s) { s.LoadExtending(0x0fbf, wide, a, mem); }),
                  Theirs([&](x86::Assembler& s) { s.movsx(ra, Assembler::M(mem, 2)); }));
        EXPECT_EQ(
            Ours([&](Assembler& s) { s.LoadExtending(0x0fb6, false, a, mem); }),
            Theirs([&](x86::Assembler& s) { s.movzx(Assembler::R32(a), Assembler::M(mem, 1)); }));
        EXPECT_EQ(
            Ours([&](Assembler& s) { s.LoadExtending(0x0fb7, false, a, mem); }),
            Theirs([&](x86::Assembler& s) { s.movzx(Assembler::R32(a), Assembler::M(mem, 2)); }));
        EXPECT_EQ(
            Ours([&](Assembler& s) { s.LoadExtending(0x63, true, a, mem); }),
            Theirs([&](x86::Assembler& s) { s.movsxd(Assembler::R64(a), Assembler::M(mem, 4)); }));
      }
      EXPECT_EQ(Ours([&](Assembler& s) { s.StoreLow(1, mem, a); }),
                Theirs([&](x86::Assembler& s) { s.mov(Assembler::M(mem), Assembler::R8(a)); }));
      EXPECT_EQ(Ours([&](Assembler& s) { s.StoreLow(2, mem, a); }),
                Theirs([&](x86::Assembler& s) { s.mov(Assembler::M(mem), Assembler::R16(a)); }));
    }
    for (const bool wide : {false, true}) {
      for (const int32_t immediate : {0, -1, 127, 128, INT32_MIN}) {
        EXPECT_EQ(
            Ours([&](Assembler& s) { s.CompareMem(wide, mem, immediate); }),
            Theirs([&](x86::Assembler& s) { s.cmp(Assembler::M(mem, wide ? 8 : 4), immediate); }));
      }
    }
  }
}

TEST(AssemblerTest, ScaledIndexWithoutBase) {
  for (const Reg index : {kRax, kRbp, kR9, kR12, kR13}) {
    const Mem mem{.index = index, .shift = 2, .disp = 0x1234};
    EXPECT_EQ(Ours([&](Assembler& s) { s.Lea(false, kRdx, mem); }), Theirs([&](x86::Assembler& s) {
                s.lea(x86::edx, x86::ptr(0x1234, Assembler::R64(index), 2));
              }));
  }
}

TEST(AssemblerTest, JumpToWhatFollowsIsTakenBack) {
  EXPECT_TRUE(Ours([](Assembler& s) {
                Label next;
                s.Jump(next);
                s.Bind(next);
              }).empty());
  // Not if another label has been bound behind it.
  EXPECT_EQ(Ours([](Assembler& s) {
              Label next;
              Label other;
              s.JumpIf(Cond::kE, other);
              s.Jump(next);
              s.Bind(other);
              s.Bind(next);
            }),
            (std::vector<uint8_t>{0x0f, 0x84, 5, 0, 0, 0, 0xe9, 0, 0, 0, 0}));
}

TEST(AssemblerTest, ConstantsAreAlignedSharedAndReached) {
  const std::vector<uint8_t> code = Ours([](Assembler& s) {
    s.Load(Kind::kI64, kRax, Mem::Constant(s.Constant64(0x1122'3344'5566'7788)));
    s.Load(Kind::kI64, kRax, Mem::Constant(s.Constant64(5)));
    s.Load(Kind::kI64, kRax, Mem::Constant(s.Constant64(0x1122'3344'5566'7788)));
  });
  ASSERT_EQ(code.size(), 32u + 16u);
  EXPECT_EQ(code[3], 32 - 7);
  EXPECT_EQ(code[10], 40 - 14);
  EXPECT_EQ(code[17], 32 - 21);
  EXPECT_EQ(code[32], 0x88);
  EXPECT_EQ(code[40], 5);
}

}  // namespace
}  // namespace wasmd::engine::baseline
