// The entry with code written by hand: what it loads, keeps and gives back, without a compiler or a
// runtime.
#include "engine/trap/entry.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/code/module_code.h"
#include "engine/platform/thread.h"
#include "engine/trap/handler_inside.h"
#include "engine/trap/signal_actions.h"
#include "engine/trap/store_context_pool.h"

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
    frame.store = store_.get();
    return EnterWasm(frame, 1 << 20);
  }

  CodeQuota quota_{1 << 20};
  ModuleCode module_{**CodeArena::Get(), quota_, nullptr};
  TrapRecord record_;
  PooledStoreContext store_ = AcquireStoreContext(record_);
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
  // push rbp; mov rbp, rsp; mov r10, [rdi + raise]; (sub rsp, 8 n); mov edi, 6; call r10
  for (uint8_t misalign = 0; misalign < 4; ++misalign) {
    const void* code = Code({0x55, 0x48, 0x89, 0xe5,
                             0x4c, 0x8b, 0x57, uint8_t{kCtxRaiseTrap},
                             0x48, 0x83, 0xec, static_cast<uint8_t>(8 * misalign),
                             0xbf, 0x06, 0x00, 0x00,
                             0x00, 0x41, 0xff, 0xd2,
                             0x0f, 0x0b});
    EntryFrame frame;
    ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
    EXPECT_EQ(record_.code, TrapCode::kDivideByZero);
    EXPECT_TRUE(record_.is_return_address);
    EXPECT_FALSE(record_.is_fault);
    EXPECT_EQ(record_.pc, reinterpret_cast<uint64_t>(code) + 20);
    EXPECT_NE(store_->window, kStoreActive);
  }
}

TEST_F(EntryTest, FaultsComeBackWithTheirAddress) {
  // push rbp; mov rbp, rsp; mov eax, [0x30] (absolute); …
  const void* code =
      Code({0x55, 0x48, 0x89, 0xe5, 0x8b, 0x04, 0x25, 0x30, 0x00, 0x00, 0x00, 0x5d, 0xc3});
  const auto fault = [&] {
    EntryFrame frame;
    ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
    EXPECT_EQ(record_.code, TrapCode::kMemoryOutOfBounds);
    EXPECT_TRUE(record_.is_fault);
    EXPECT_EQ(record_.fault_address, 0x30);
    EXPECT_EQ(record_.pc, reinterpret_cast<uint64_t>(code) + 4);
    EXPECT_EQ(record_.caller_count, 0);
  };
  for (int i = 0; i < 3; ++i) {
    fault();
    std::thread(fault).join();
  }
}

TEST_F(EntryTest, SpentStackAndRequestedInterruptAreNotEntered) {
  const void* code = Code({0x0f, 0x0b});  // ud2: would be fatal.
  EntryFrame frame;
  store_->window = kStoreActive;
  store_->stack_low = CurrentThreadStack().low;
  store_->stack_limit = ~uint64_t{0};  // As if an outer activation had used it up.
  ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
  EXPECT_EQ(record_.code, TrapCode::kStackOverflow);
  store_->window = kStoreUnbound;
  store_->interrupt_requested = 1;
  ASSERT_EQ(Enter(frame, code), EntryResult::kTrapped);
  EXPECT_EQ(record_.code, TrapCode::kInterrupt);
  EXPECT_EQ(record_.pc, 0);
}

// Whatever instruction of a function the signal interrupts, rbp is its frame when it goes on in the
// raise path.
TEST_F(EntryTest, InterruptAtEveryInstructionFindsTheFrame) {
  const auto* code = static_cast<const uint8_t*>(
      // push rbp; mov rbp, rsp; push rdi; xor eax, eax; leave; ret
      Code({0x55, 0x48, 0x89, 0xe5, 0x57, 0x31, 0xc0, 0xc9, 0xc3}));
  store_->window = kStoreActive;
  store_->running_thread = CurrentThreadId();
  store_->interrupt_requested = 3;
  // The stack as it is at each: words down from the caller's frame.
  //   5: return address; 4: the function's frame, which holds the caller's rbp; 3: rdi
  uint64_t stack[8] = {};
  const auto at = [&](int word) { return reinterpret_cast<uint64_t>(&stack[word]); };
  const uint64_t callers_frame = at(7);
  store_->stack_low = at(0);
  store_->stack_high = at(8);
  struct Point {
    int offset;
    uint64_t rsp;
    uint64_t rbp;
  };
  const Point points[] = {{0, at(5), callers_frame}, {1, at(4), callers_frame},
                          {4, at(4), at(4)},         {5, at(3), at(4)},
                          {7, at(3), at(4)},         {8, at(5), callers_frame}};
  siginfo_t info = {};
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(kInterruptToken | store_->pool_index);
  for (const Point& point : points) {
    stack[5] = 0x1234;
    // At the first and the last, what is below the return address is anything.
    stack[4] = point.rsp == at(5) ? 0 : callers_frame;
    ucontext_t context = {};
    greg_t* registers = context.uc_mcontext.gregs;
    const auto pc = reinterpret_cast<greg_t>(code + point.offset);
    const auto interrupt = [&] {
      registers[REG_RIP] = pc;
      registers[REG_RSP] = static_cast<greg_t>(point.rsp);
      registers[REG_RBP] = static_cast<greg_t>(point.rbp);
      kInterruptHandlers[0](kInterruptSignal, &info, &context);
    };
    interrupt();
    EXPECT_NE(registers[REG_RIP], pc) << point.offset;
    EXPECT_EQ(registers[REG_RSI], pc) << point.offset;
    EXPECT_EQ(registers[REG_R8], 3) << point.offset;
    EXPECT_EQ(static_cast<uint64_t>(registers[REG_RBP]), at(4)) << point.offset;
    EXPECT_LE(static_cast<uint64_t>(registers[REG_RSP]), at(4)) << point.offset;
    EXPECT_EQ(stack[4], callers_frame) << point.offset;
    EXPECT_EQ(stack[5], 0x1234) << point.offset;
    // Not asked, another thread's, on another stack, not running, no store at all: the code goes
    // on.
    const auto goes_on = [&] {
      interrupt();
      EXPECT_EQ(registers[REG_RIP], pc);
      EXPECT_EQ(static_cast<uint64_t>(registers[REG_RBP]), point.rbp);
    };
    store_->interrupt_requested = 0;
    goes_on();
    store_->interrupt_requested = 3;
    ++store_->running_thread;
    goes_on();
    --store_->running_thread;
    store_->stack_low = store_->stack_low + sizeof(stack);
    store_->stack_high = store_->stack_high + sizeof(stack);
    goes_on();
    store_->stack_low = store_->stack_low - 2 * sizeof(stack);
    store_->stack_high = store_->stack_high - 2 * sizeof(stack);
    goes_on();
    store_->stack_low = store_->stack_low + sizeof(stack);
    store_->stack_high = store_->stack_high + sizeof(stack);
    store_->window = kStoreUnbound;
    goes_on();
    store_->window = kStoreActive;
    const auto value = info.si_value;
    info.si_value.sival_ptr = reinterpret_cast<void*>(kInterruptToken | 0xffff'ffff);
    goes_on();
    info.si_value = value;
  }
  store_->window = kStoreUnbound;
}

TEST(StoreContextPoolTest, APlaceIsUsedAgainAndIsClean) {
  TrapRecord record;
  PooledStoreContext first = AcquireStoreContext(record);
  const PooledStoreContext second = AcquireStoreContext(record);
  EXPECT_NE(first, second);
  EXPECT_EQ(StoreContextAt(first->pool_index), first.get());
  EXPECT_EQ(StoreContextAt(second->pool_index), second.get());
  EXPECT_EQ(StoreContextAt(~uint32_t{0}), nullptr);
  EXPECT_EQ(StoreContextAt(kMaxStoreContextSlabs * kStoreContextsPerSlab - 1), nullptr);
  StoreContext* const place = first.get();
  place->window = 5;
  place->interrupt_requested = 1;
  place->window_low = 64;
  first.reset();
  EXPECT_EQ(StoreContextAt(place->pool_index), place);
  EXPECT_EQ(place->interrupt_requested, 0);
  const PooledStoreContext third = AcquireStoreContext(record);
  EXPECT_EQ(third.get(), place);
  EXPECT_EQ(third->window, kStoreUnbound);
  EXPECT_EQ(third->window_low, 0);
}

}  // namespace
}  // namespace wasmd::engine
