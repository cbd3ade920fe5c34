// The calling convention, tried on both code generators before either compiler relies on it: AsmJit
// code calls LLVM's and is called by it, and each side destroys every register that the convention
// does not preserve. docs/decisions/0001 has the findings.
#include <bit>
#include <cstdint>

#include <asmjit/asmjit.h>
#include <gtest/gtest.h>

#include "engine/abi/calling_convention.h"

extern "C" {
void llvm_calls_out();
void llvm_four_results();
void llvm_tail_call();
void llvm_narrow();
}

namespace wasmd::engine {
namespace {

namespace x86 = asmjit::x86;

struct Results {
  uint64_t rax = 0;
  uint64_t rdx = 0;
  double xmm0 = 0;
  double xmm1 = 0;
  bool frame_kept = false;
};

struct Arguments {
  uint64_t general[kGeneralParamRegs] = {};
  double floats[2] = {};
};

// What the entry stub of engine/trap does, in small: the only place that knows C++'s callee-saved
// registers.
Results Enter(const void* code, void* context, const Arguments& in) {
  Results out;
  uint64_t frame[4] = {};
  uint64_t rax = std::bit_cast<uint64_t>(code);
  uint64_t rdi = std::bit_cast<uint64_t>(context);
  // Everything else is loaded from here, since clang ties no operand to r8 … r11.
  struct Block {
    uint64_t r8, r9;
    uint64_t* frame;
    double xmm0, xmm1;
  } block = {in.general[3], in.general[4], frame, in.floats[0], in.floats[1]};
  uint64_t rsi = in.general[0];
  uint64_t rdx = in.general[1];
  uint64_t rcx = in.general[2];
  auto rbx = std::bit_cast<uint64_t>(&block);
  // Skips the red zone, aligns, and keeps rsp and rbp in the new frame to compare them afterwards.
  asm volatile(
      "push %%rbp\n"
      "mov %%rsp, %%rbp\n"
      "sub $256, %%rsp\n"
      "and $-16, %%rsp\n"
      "mov %%rsp, (%%rsp)\n"
      "mov %%rbp, 8(%%rsp)\n"
      "mov %%rbx, 16(%%rsp)\n"
      "mov (%%rbx), %%r8\n"
      "mov 8(%%rbx), %%r9\n"
      "movsd 24(%%rbx), %%xmm0\n"
      "movsd 32(%%rbx), %%xmm1\n"
      "call *%%rax\n"
      "mov 16(%%rsp), %%rbx\n"
      "movsd %%xmm0, 24(%%rbx)\n"
      "movsd %%xmm1, 32(%%rbx)\n"
      "mov 16(%%rbx), %%r10\n"
      "mov (%%rsp), %%rcx\n"
      "mov %%rcx, (%%r10)\n"
      "mov %%rsp, 8(%%r10)\n"
      "mov 8(%%rsp), %%rcx\n"
      "mov %%rcx, 16(%%r10)\n"
      "mov %%rbp, 24(%%r10)\n"
      "mov %%rbp, %%rsp\n"
      "pop %%rbp\n"
      : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+c"(rcx), "+b"(rbx)
      :
      : "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
        "xmm15", "memory", "cc");
  out.rax = rax;
  out.rdx = rdx;
  out.xmm0 = block.xmm0;
  out.xmm1 = block.xmm1;
  out.frame_kept = frame[0] == frame[1] && frame[2] == frame[3];
  return out;
}

class ConventionTrialTest : public testing::Test {
 protected:
  ConventionTrialTest() {
    code_.init(asmjit::Environment::host());
    code_.attach(&assembler_);
  }

  // Writes garbage into everything that a callee may destroy, except the result registers.
  void EmitDestruction() {
    x86::Assembler& a = assembler_;
    for (const x86::Gp& reg : {x86::rbx, x86::rcx, x86::rsi, x86::rdi, x86::r8, x86::r9, x86::r10,
                               x86::r11, x86::r12, x86::r13, x86::r14, x86::r15}) {
      a.mov(reg, 0xdeadbeef);
    }
    for (uint32_t i = 2; i < 16; ++i) {
      a.pcmpeqd(x86::xmm(i), x86::xmm(i));
    }
  }

  void EmitProlog() {
    assembler_.push(x86::rbp);
    assembler_.mov(x86::rbp, x86::rsp);
  }
  void EmitEpilog() {
    assembler_.pop(x86::rbp);
    assembler_.ret();
  }

  const void* Finish() {
    EXPECT_EQ(code_.flatten(), asmjit::kErrorOk);
    EXPECT_EQ(runtime_.add(&function_, &code_), asmjit::kErrorOk);
    return function_;
  }

  asmjit::JitRuntime runtime_;
  asmjit::CodeHolder code_;
  x86::Assembler assembler_;
  void* function_ = nullptr;
};

TEST_F(ConventionTrialTest, LlvmCallsAsmJitThatDestroysEveryRegister) {
  EmitProlog();
  assembler_.cvttsd2si(x86::rax, x86::xmm0);
  assembler_.add(x86::rax, x86::rsi);
  assembler_.mov(x86::rdx, 0xdeadbeef);
  assembler_.pcmpeqd(x86::xmm0, x86::xmm0);
  assembler_.pcmpeqd(x86::xmm1, x86::xmm1);
  EmitDestruction();
  EmitEpilog();
  const void* context[] = {Finish()};

  const Results out = Enter(std::bit_cast<const void*>(&llvm_calls_out), context,
                            {.general = {1, 20, 300, 4000, 50000}, .floats = {7.0, 0}});

  EXPECT_EQ(out.rax, uint64_t{(20 + 7) + 1 + 20 + 300 + 4000 + 50000 + 7});
  EXPECT_TRUE(out.frame_kept);
}

TEST_F(ConventionTrialTest, AsmJitCallsLlvmAndFindsFourResults) {
  EmitProlog();
  assembler_.mov(x86::rax, std::bit_cast<uint64_t>(&llvm_four_results));
  assembler_.call(x86::rax);
  EmitDestruction();
  EmitEpilog();
  const void* code = Finish();

  const Results out = Enter(code, nullptr, {.general = {11, 22}, .floats = {1.5, 2.5}});

  EXPECT_EQ(out.rax, 22u);
  EXPECT_EQ(out.rdx, 11u);
  EXPECT_EQ(out.xmm0, 2.5);
  EXPECT_EQ(out.xmm1, 1.5);
  EXPECT_TRUE(out.frame_kept);
}

TEST_F(ConventionTrialTest, LlvmTailCallsWithMoreArguments) {
  EmitProlog();
  assembler_.cvttsd2si(x86::rax, x86::xmm0);
  for (const x86::Gp& reg : {x86::rsi, x86::rdx, x86::rcx, x86::r8, x86::r9}) {
    assembler_.imul(x86::rax, x86::rax, 10);
    assembler_.add(x86::rax, reg);
  }
  EmitDestruction();
  EmitEpilog();
  const void* context[] = {Finish()};

  const Results out = Enter(std::bit_cast<const void*>(&llvm_tail_call), context, {.general = {1}});

  EXPECT_EQ(out.rax, 612345u);
  EXPECT_TRUE(out.frame_kept);
}

TEST_F(ConventionTrialTest, NarrowResultIsZeroExtended) {
  const Results out = Enter(std::bit_cast<const void*>(&llvm_narrow), nullptr,
                            {.general = {0xffff'ffff'8000'0001}});
  EXPECT_EQ(out.rax, 0x8000'0001u);
  EXPECT_TRUE(out.frame_kept);
}

}  // namespace
}  // namespace wasmd::engine
