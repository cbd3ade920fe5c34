// The entry with code written by hand: what it loads, keeps and gives back, without a compiler or a
// runtime.
#include "engine/trap/entry.h"

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/code/module_code.h"
#include "engine/trap/signal_actions.h"

namespace wasmd::engine {
namespace {

class EntryTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(InstallSignalActions().ok()); }

  const void* Code(const std::vector<uint8_t>& bytes) {
    const auto code = module_.Append(0, bytes, {});
    EXPECT_TRUE(code.ok());
    return *code;
  }
  EntryResult Enter(EntryFrame& frame, const void* code) {
    frame.code = code;
    frame.context = &context_;
    frame.activation.store = store_.get();
    return EnterWasm(frame, 1 << 20);
  }

  CodeQuota quota_{1 << 20};
  ModuleCode module_{**CodeArena::Get(), quota_, nullptr};
  std::unique_ptr<StoreContext> store_ = std::make_unique<StoreContext>();
  // What a context is for code that only raises.
  InstanceContext context_ = [] {
    InstanceContext context;
    context.raise_trap = reinterpret_cast<const void*>(&wasmd_raise_trap);
    return context;
  }();
};

TEST_F(EntryTest, AllRegistersGoInAndResultsComeOut) {
  // lea rax, [rsi + rdx]; add rax, rcx; add rax, r8; add rax, r9; mov rdx, rdi
  // addsd xmm0, xmm1 … addsd xmm0, xmm6; movaps xmm1, xmm7; clobber rbx, r12 … r15; ret
  const void* code = Code({0x48, 0x8d, 0x04, 0x16, 0x48, 0x01, 0xc8, 0x4c, 0x01, 0xc0, 0x4c, 0x01,
                           0xc8, 0x48, 0x89, 0xfa, 0xf2, 0x0f, 0x58, 0xc1, 0xf2, 0x0f, 0x58, 0xc2,
                           0xf2, 0x0f, 0x58, 0xc3, 0xf2, 0x0f, 0x58, 0xc4, 0xf2, 0x0f, 0x58, 0xc5,
                           0xf2, 0x0f, 0x58, 0xc6, 0x0f, 0x28, 0xcf, 0x31, 0xdb, 0x45, 0x31, 0xe4,
                           0x45, 0x31, 0xed, 0x45, 0x31, 0xf6, 0x45, 0x31, 0xff, 0xc3});
  EntryFrame frame;
  for (uint64_t i = 0; i < kGeneralParamRegs; ++i) {
    frame.general[i] = uint64_t{1} << (8 * i);
  }
  for (uint32_t i = 0; i < kFloatParamRegs; ++i) {
    const double value = 1 << i;
    std::memcpy(&frame.floats[i].lo, &value, sizeof(value));
  }
  ASSERT_EQ(Enter(frame, code), EntryResult::kReturned);
  EXPECT_EQ(frame.general_results[0], 0x01'0101'0101u);
  EXPECT_EQ(frame.general_results[1], reinterpret_cast<uint64_t>(&context_));
  double sum = 0;
  double last = 0;
  std::memcpy(&sum, &frame.float_results[0].lo, sizeof(sum));
  std::memcpy(&last, &frame.float_results[1].lo, sizeof(last));
  EXPECT_EQ(sum, 127);
  EXPECT_EQ(last, 128);
}

TEST_F(EntryTest, RaiseAtAnyAlignment) {
  // mov edi' keeps: lea r10, [rdi + raise]; (sub rsp, 8 n); mov edi, 6; call [r10]
  for (uint8_t misalign = 0; misalign < 4; ++misalign) {
    const void* code = Code({0x4c, 0x8b, 0x57, uint8_t{kCtxRaiseTrap}, 0x48, 0x83, 0xec,
                             static_cast<uint8_t>(8 * misalign), 0xbf, 0x06, 0x00, 0x00, 0x00, 0x41,
                             0xff, 0xd2, 0x0f, 0x0b});
    EntryFrame frame;
    ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
    EXPECT_EQ(frame.activation.trap_code, TrapCode::kDivideByZero);
    EXPECT_TRUE(t_thread.trap.is_return_address);
    EXPECT_FALSE(t_thread.trap.is_fault);
    EXPECT_EQ(t_thread.trap.pc, reinterpret_cast<uint64_t>(code) + 16);
    EXPECT_EQ(t_thread.activation, nullptr);
    EXPECT_NE(store_->key, kStoreActive);
  }
}

TEST_F(EntryTest, FaultsComeBackWithTheirAddress) {
  // push rbp; mov rbp, rsp; mov eax, [0x30] (absolute); …
  const void* code =
      Code({0x55, 0x48, 0x89, 0xe5, 0x8b, 0x04, 0x25, 0x30, 0x00, 0x00, 0x00, 0x5d, 0xc3});
  const auto fault = [&] {
    EntryFrame frame;
    ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
    EXPECT_EQ(frame.activation.trap_code, TrapCode::kMemoryOutOfBounds);
    EXPECT_TRUE(t_thread.trap.is_fault);
    EXPECT_EQ(t_thread.trap.fault_address, 0x30);
    EXPECT_EQ(t_thread.trap.pc, reinterpret_cast<uint64_t>(code) + 4);
    EXPECT_EQ(t_thread.trap.caller_count, 0);
  };
  for (int i = 0; i < 3; ++i) {
    fault();
    std::thread(fault).join();
  }
}

TEST_F(EntryTest, SpentStackAndRequestedInterruptAreNotEntered) {
  const void* code = Code({0x0f, 0x0b});  // ud2: would be fatal.
  EntryFrame frame;
  store_->key = kStoreActive;
  store_->stack_limit = ~uint64_t{0};  // As if an outer activation had used it up.
  ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
  EXPECT_EQ(frame.activation.trap_code, TrapCode::kStackOverflow);
  store_->key = kStoreUnbound;
  store_->interrupt_requested = 1;
  ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
  EXPECT_EQ(frame.activation.trap_code, TrapCode::kInterrupt);
  EXPECT_EQ(t_thread.trap.pc, 0);
}

}  // namespace
}  // namespace wasmd::engine
