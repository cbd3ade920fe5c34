// Calls from stacks that the engine knows nothing of: makecontext, Boost.Context, raw clone
// threads. They are made on stacks of ours, and everything that happens on a thread's own stack
// happens there too.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/context/fiber.hpp>

#include "engine/trap/thread_record.h"
#include "engine/wasm/limits.h"
#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

// A coroutine of makecontext. Resume runs it until it suspends or its body returns.
class Coroutine {
 public:
  Coroutine(size_t stack_bytes, std::function<void(Coroutine&)> body)
      : stack_(stack_bytes), body_(std::move(body)) {
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_.data();
    inside_.uc_stack.ss_size = stack_.size();
    inside_.uc_link = &outside_;
    const auto self = reinterpret_cast<uintptr_t>(this);
    // makecontext's arguments are ints.
    makecontext(&inside_, reinterpret_cast<void (*)()>(&Start), 2, static_cast<uint32_t>(self),
                static_cast<uint32_t>(self >> 32));
  }
  void Resume() { swapcontext(&outside_, &inside_); }
  void Suspend() { swapcontext(&inside_, &outside_); }
  bool Has(const void* address) const {
    return address >= stack_.data() && address < stack_.data() + stack_.size();
  }

 private:
  static void Start(uint32_t low, uint32_t high) {
    auto* const self = reinterpret_cast<Coroutine*>(uintptr_t{high} << 32 | low);
    self->body_(*self);
  }

  std::vector<char> stack_;
  std::function<void(Coroutine&)> body_;
  ucontext_t inside_;
  ucontext_t outside_;
};

// What a raw thread of clone(2) runs on, with its creator's thread-local storage.
class RawThread {
 public:
  RawThread(size_t stack_bytes, std::function<void()> body)
      : stack_(stack_bytes), body_(std::move(body)) {
    constexpr int kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                           CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    auto* const top = reinterpret_cast<char*>(
        reinterpret_cast<uintptr_t>(stack_.data() + stack_.size()) & ~uintptr_t{15});
    const int id = clone(
        [](void* self) {
          static_cast<RawThread*>(self)->body_();
          return 0;
        },
        top, kFlags, this, &id_, nullptr, &id_);
    EXPECT_GT(id, 0);
  }
  // The kernel clears the id when the thread has ended, and wakes who waits.
  ~RawThread() {
    auto& id = reinterpret_cast<std::atomic<int>&>(id_);
    while (const int now = id.load()) {
      syscall(SYS_futex, &id_, FUTEX_WAIT, now, nullptr, nullptr, 0);
    }
  }
  bool Has(const void* address) const {
    return address >= stack_.data() && address < stack_.data() + stack_.size();
  }

 private:
  std::vector<char> stack_;
  std::function<void()> body_;
  int id_ = 0;
};

constexpr std::string_view kModule = R"((module
    (import "host" "nop" (func $host))
    (memory 1)
    (global $depth (export "depth") (mut i32) (i32.const 0))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func (export "peek") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "host") (call $host))
    (func (export "spin") (loop (br 0)))
    (func $deep (export "deep")
      (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
      (call $host) (call $deep))))";

// A store of its own, whose host function is `host`.
class Guest {
 public:
  Guest(Tier tier, std::function<void()> host, uint64_t wasm_stack_bytes = 256 << 10)
      : host_(std::move(host)) {
    TestInstanceOptions options;
    options.mode = CompileMode::kEager;
    options.store.wasm_stack_bytes = wasm_stack_bytes;
    options.link = [this](Linker& linker, Store&) {
      linker.DefineFunc("host", "nop", {{}, {}},
                        [this](HostContext&, std::span<const Value>, std::span<Value>) {
                          host_();
                          return HostResult::Ok();
                        });
    };
    instance_ = std::make_unique<TestInstance>(kModule, tier, options);
    add_.emplace(*instance_->Func("add").Typed<int32_t(int32_t, int32_t)>());
    div_.emplace(*instance_->Func("div").Typed<int32_t(int32_t, int32_t)>());
    peek_.emplace(*instance_->Func("peek").Typed<int32_t(int32_t)>());
    call_host_.emplace(*instance_->Func("host").Typed<void()>());
    spin_.emplace(*instance_->Func("spin").Typed<void()>());
    deep_.emplace(*instance_->Func("deep").Typed<void()>());
  }
  TestInstance& instance() { return *instance_; }
  uint32_t depth() { return instance_->instance().Global("depth")->Get().i32(); }

  // Values, traps by branch, by fault and by overflow. Empty: all as they should be. Needs little
  // stack of its caller's.
  const char* TryAll() const {
    for (int32_t i = 0; i < 100; ++i) {
      if (const auto sum = (*add_)(i, 2); !sum.ok() || *sum != i + 2) {
        return "add";
      }
      if (const auto trap = (*div_)(i, 0);
          trap.trap() == nullptr || trap.trap()->code != TrapCode::kDivideByZero) {
        return "div";
      }
      if (const auto trap = (*peek_)(-4);
          trap.trap() == nullptr || trap.trap()->code != TrapCode::kMemoryOutOfBounds) {
        return "peek";
      }
    }
    if (!(*call_host_)().ok()) {
      return "host";
    }
    for (int i = 0; i < 3; ++i) {
      if (const auto trap = (*deep_)();
          trap.trap() == nullptr || trap.trap()->code != TrapCode::kStackOverflow) {
        return "deep";
      }
    }
    return "";
  }
  Outcome<void> CallHost() const { return (*call_host_)(); }
  Outcome<int32_t> Div(int32_t a, int32_t b) const { return (*div_)(a, b); }
  Outcome<void> Spin() const { return (*spin_)(); }

 private:
  std::function<void()> host_;
  std::unique_ptr<TestInstance> instance_;
  std::optional<TypedFunc<int32_t(int32_t, int32_t)>> add_;
  std::optional<TypedFunc<int32_t(int32_t, int32_t)>> div_;
  std::optional<TypedFunc<int32_t(int32_t)>> peek_;
  std::optional<TypedFunc<void()>> call_host_;
  std::optional<TypedFunc<void()>> spin_;
  std::optional<TypedFunc<void()>> deep_;
};

// Most of what a host function may count on.
void UseHostReserve() {
  volatile char space[kHostStackReserveBytes * 3 / 4];
  for (size_t i = 0; i < sizeof(space); i += 1024) {
    space[i] = 1;
  }
}

class UnknownStackTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(UnknownStackTest);

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr size_t kTinyStackBytes = 64 << 10;  // Its frames are larger.
#else
constexpr size_t kTinyStackBytes = 16 << 10;
#endif
#else
constexpr size_t kTinyStackBytes = 16 << 10;
#endif

TEST_P(UnknownStackTest, MakecontextCoroutine) {
  for (const size_t stack_bytes : {kTinyStackBytes, size_t{256} << 10, size_t{4} << 20}) {
    Guest guest(GetParam(), UseHostReserve);
    EXPECT_STREQ(guest.TryAll(), "");
    const uint32_t own_depth = guest.depth();
    const char* said = nullptr;
    Coroutine coroutine(stack_bytes, [&](Coroutine&) { said = guest.TryAll(); });
    coroutine.Resume();
    EXPECT_STREQ(said, "");
    // As deep as on the thread's own stack, whatever the caller's size.
    EXPECT_GT(guest.depth() - own_depth, own_depth / 2);
    EXPECT_STREQ(guest.TryAll(), "");
  }
}

TEST_P(UnknownStackTest, BoostContextFiber) {
  Guest guest(GetParam(), UseHostReserve);
  EXPECT_STREQ(guest.TryAll(), "");
  std::vector<std::string> said;
  {
    boost::context::fiber fiber([&](boost::context::fiber&& main) {
      said.push_back(guest.TryAll());
      main = std::move(main).resume();
      said.push_back(guest.TryAll());
      return std::move(main);
    });
    fiber = std::move(fiber).resume();
    EXPECT_STREQ(guest.TryAll(), "");
    // And resumed by another thread.
    std::thread([&] { fiber = std::move(fiber).resume(); }).join();
  }
  EXPECT_EQ(said, (std::vector<std::string>{"", ""}));
  EXPECT_STREQ(guest.TryAll(), "");
}

// Two guests are inside wasm at once, each in a coroutine, and are left in an order that is none of
// a stack.
TEST_P(UnknownStackTest, CoroutinesLeaveInAnyOrder) {
  std::array<std::unique_ptr<Coroutine>, 3> coroutines;
  std::array<std::unique_ptr<Guest>, 3> guests;
  std::string log;
  for (size_t i = 0; i < coroutines.size(); ++i) {
    guests[i] = std::make_unique<Guest>(GetParam(), [&, i] { coroutines[i]->Suspend(); });
    coroutines[i] = std::make_unique<Coroutine>(256 << 10, [&, i](Coroutine&) {
      const bool returned = guests[i]->CallHost().ok();
      const Outcome<int32_t> by_zero = guests[i]->Div(1, 0);
      log += std::to_string(i) + (returned ? "r" : "?") + (by_zero.ok() ? "?" : "t");
    });
    coroutines[i]->Resume();
  }
  EXPECT_EQ(log, "");
  Guest mine(GetParam(), [] {});
  EXPECT_STREQ(mine.TryAll(), "");
  coroutines[1]->Resume();
  coroutines[0]->Resume();
  EXPECT_STREQ(mine.TryAll(), "");
  coroutines[2]->Resume();
  EXPECT_EQ(log, "1rt0rt2rt");
}

// What a host function of such a call does stays on that call's stack, however deep.
TEST_P(UnknownStackTest, NestedCallsStayOnTheStack) {
  std::unique_ptr<Guest> guest;
  int depth = 0;
  const void* first = nullptr;
  uint64_t farthest = 0;
  Coroutine* current = nullptr;
  guest = std::make_unique<Guest>(GetParam(), [&] {
    const void* const here = __builtin_frame_address(0);
    EXPECT_FALSE(current->Has(here));
    first = first == nullptr ? here : first;
    farthest =
        std::max(farthest, reinterpret_cast<uint64_t>(first) - reinterpret_cast<uint64_t>(here));
    if (++depth < 20) {
      EXPECT_TRUE(guest->CallHost().ok());
      EXPECT_EQ(guest->Div(1, 0).trap()->code, TrapCode::kDivideByZero);
    }
  });
  Coroutine coroutine(256 << 10, [&](Coroutine&) { EXPECT_TRUE(guest->CallHost().ok()); });
  current = &coroutine;
  coroutine.Resume();
  EXPECT_EQ(depth, 20);
  EXPECT_LT(farthest, uint64_t{256} << 10);
}

// A host function goes on in a coroutine, which calls the same store, on another stack than the
// activation around it.
TEST_P(UnknownStackTest, ACoroutineInAHostFunctionCallsTheSameStore) {
  std::unique_ptr<Guest> guest;
  std::vector<std::string> said;
  bool is_inner = false;
  guest = std::make_unique<Guest>(GetParam(), [&] {
    if (!std::exchange(is_inner, true)) {
      Coroutine coroutine(256 << 10, [&](Coroutine&) { said.push_back(guest->TryAll()); });
      coroutine.Resume();
      said.push_back(guest->TryAll());
    }
  });
  EXPECT_TRUE(guest->CallHost().ok());
  EXPECT_EQ(said, (std::vector<std::string>{"", ""}));
  is_inner = false;
  Coroutine outer(256 << 10, [&](Coroutine&) { EXPECT_TRUE(guest->CallHost().ok()); });
  outer.Resume();
  EXPECT_EQ(said, (std::vector<std::string>{"", "", "", ""}));
  EXPECT_STREQ(guest->TryAll(), "");
}

// A thread that the threads library has never heard of, which shares its creator's thread-local
// storage.
TEST_P(UnknownStackTest, RawCloneThreadWithATinyStack) {
  for (const bool creator_was_here_before : {false, true}) {
    Guest guest(GetParam(), UseHostReserve);
    const char* said = nullptr;
    // A thread as creator: one that has not called before.
    std::thread([&] {
      if (creator_was_here_before) {
        EXPECT_STREQ(guest.TryAll(), "");
      }
      {
        const RawThread raw(kTinyStackBytes, [&] { said = guest.TryAll(); });
      }
      EXPECT_STREQ(said, "");
      // What it left of itself in the storage does its creator no harm.
      EXPECT_STREQ(guest.TryAll(), "");
    }).join();
    EXPECT_STREQ(guest.TryAll(), "");
  }
}

TEST_P(UnknownStackTest, InterruptsReachARawThreadAndACoroutine) {
  for (const bool is_raw : {false, true}) {
    Guest guest(GetParam(), [] {});
    const InterruptHandle handle = guest.instance().store().ArmInterrupt();
    std::optional<Outcome<void>> outcome;
    const auto spin = [&] { outcome.emplace(guest.Spin()); };
    std::thread interrupter([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      EXPECT_TRUE(handle.Interrupt(InterruptReason::kDeadline));
    });
    if (is_raw) {
      const RawThread raw(kTinyStackBytes, spin);
    } else {
      Coroutine coroutine(64 << 10, [&](Coroutine&) { spin(); });
      coroutine.Resume();
    }
    interrupter.join();
    ASSERT_TRUE(outcome.has_value());
    ASSERT_NE(outcome->interrupt(), nullptr);
    EXPECT_EQ(outcome->interrupt()->reason, InterruptReason::kDeadline);
  }
}

// A coroutine's guest is interrupted while it waits in its host function and the thread runs
// another guest on the stack of its own, which must not notice.
TEST_P(UnknownStackTest, AnInterruptOfASuspendedGuestDoesNotHitAnother) {
  Coroutine* current = nullptr;
  Guest suspended(GetParam(), [&] { current->Suspend(); });
  Guest running(GetParam(), [] {});
  const InterruptHandle handle = suspended.instance().store().ArmInterrupt();
  std::optional<Outcome<void>> outcome;
  Coroutine coroutine(256 << 10, [&](Coroutine&) { outcome.emplace(suspended.CallHost()); });
  current = &coroutine;
  coroutine.Resume();
  EXPECT_TRUE(handle.Interrupt(InterruptReason::kCancel));
  // The watchdog signals again and again meanwhile.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  while (std::chrono::steady_clock::now() < until) {
    ASSERT_STREQ(running.TryAll(), "");
  }
  coroutine.Resume();
  ASSERT_TRUE(outcome.has_value());
  ASSERT_NE(outcome->interrupt(), nullptr);
  EXPECT_EQ(outcome->interrupt()->reason, InterruptReason::kCancel);
}

// The stack of a thread that has ended becomes the next thread's: what was bound to it is not any
// more, or the interrupt's signal would go to a thread that is gone.
TEST_P(UnknownStackTest, ThreadsThatEndUnbindTheirStores) {
  std::vector<std::unique_ptr<Guest>> guests;
  for (uint32_t i = 0; i < 2 * kRememberedStores; ++i) {
    guests.push_back(std::make_unique<Guest>(GetParam(), [] {}));
  }
  const auto window = [](Guest& guest) {
    return typed_func_internal::ContextOf(guest.instance().store()).window.load();
  };
  for (const size_t used : {size_t{1}, size_t{kRememberedStores}, guests.size()}) {
    std::thread([&] {
      for (size_t i = 0; i < used; ++i) {
        EXPECT_EQ(*guests[i]->Div(6, 3), 2);
        EXPECT_EQ(window(*guests[i]), kStoreWindowBytes);
      }
    }).join();
    for (size_t i = 0; i < used; ++i) {
      EXPECT_EQ(window(*guests[i]), kStoreUnbound) << i << " of " << used;
    }
  }
  for (int i = 0; i < 10; ++i) {
    Guest guest(GetParam(), [] {});
    std::thread([&] { EXPECT_EQ(*guest.Div(6, 3), 2); }).join();
    const InterruptHandle handle = guest.instance().store().ArmInterrupt();
    std::thread spinning([&] {
      const Outcome<void> outcome = guest.Spin();
      ASSERT_NE(outcome.interrupt(), nullptr);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_TRUE(handle.Interrupt(InterruptReason::kCancel));
    spinning.join();
  }
}

// A destructor of the thread's own data calls too, after ours has run.
TEST_P(UnknownStackTest, CallsFromThreadSpecificDestructors) {
  static Guest* s_guest;
  static int s_calls;
  Guest guest(GetParam(), [] {});
  s_guest = &guest;
  s_calls = 0;
  std::thread([&] { EXPECT_EQ(*guest.Div(6, 3), 2); }).join();  // The engine's key is older now.
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key,
                               [](void* value) {
                                 EXPECT_EQ(*s_guest->Div(6, 3), 2);
                                 EXPECT_EQ(s_guest->Div(6, 0).trap()->code,
                                           TrapCode::kDivideByZero);
                                 ++s_calls;
                                 static_cast<void>(value);
                               }),
            0);
  std::thread([&] {
    pthread_setspecific(key, &guest);
    EXPECT_EQ(*guest.Div(6, 3), 2);
  }).join();
  pthread_key_delete(key);
  EXPECT_EQ(s_calls, 1);
  EXPECT_NE(typed_func_internal::ContextOf(guest.instance().store()).window.load(),
            kStoreWindowBytes);
}

}  // namespace
}  // namespace wasmd::engine
