// Interrupts at random moments against calls of random kinds and lengths, some of which are over
// before they come: none is lost, none hits another call, nothing hangs.
//
// WASMD_STRESS_INTERRUPTS says how many; a million in scripts/test.sh --long.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"
#include "tests/support/stress.h"
#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

// Functions that are compiled when they are first called, one after the other.
constexpr int kLazyFuncs = 400;

// What each kind of call ends as when nobody interrupts it.
enum class Natural : uint8_t { kReturns, kTraps, kThrows, kNever };
struct Kind {
  std::string_view func;
  Natural natural;
};
constexpr Kind kKinds[] = {
    {"empty", Natural::kReturns},        {"spin", Natural::kReturns},
    {"calls", Natural::kReturns},        {"hosts", Natural::kReturns},
    {"nested", Natural::kReturns},       {"fills", Natural::kReturns},
    {"grows", Natural::kReturns},        {"deep", Natural::kReturns},
    {"overflows", Natural::kTraps},      {"unreachable", Natural::kTraps},
    {"faults", Natural::kTraps},         {"traps_deep", Natural::kTraps},
    {"throws", Natural::kThrows},        {"for_ever", Natural::kNever},
    {"hosts_for_ever", Natural::kNever}, {"nested_for_ever", Natural::kNever}};

std::string Guest() {
  std::string wat = R"((module
    (import "host" "nothing" (func $nothing)) (import "host" "again" (func $again (param i32)))
    (memory 1) (tag $tag) (table $table 1 10 externref)
    (func $id (param i32) (result i32) (local.get 0))
    (func (export "empty") (param i32))
    (func $spin (export "spin") (param i32)
      (loop $l (br_if $l (i32.gt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0)))))
    (func (export "calls") (param i32)
      (loop $l (drop (call $id (local.get 0)))
        (br_if $l (i32.gt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0)))))
    (func (export "hosts") (param i32)
      (loop $l (call $nothing)
        (br_if $l (i32.gt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0)))))
    ;; host, wasm, host, wasm, and so on.
    (func (export "nested") (param i32) (call $again (i32.rem_u (local.get 0) (i32.const 7))) (call $spin (local.get 0)))
    (func (export "inner") (param i32)
      (call $spin (i32.const 50))
      (if (i32.gt_s (local.get 0) (i32.const 0)) (then (call $again (i32.sub (local.get 0) (i32.const 1)))))
      (call $spin (i32.const 50)))
    (func (export "fills") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
    (func (export "grows") (param i32)
      (drop (memory.grow (i32.const 0))) (drop (table.grow $table (ref.null extern) (i32.const 0))) (call $spin (local.get 0)))
    (func $deep (export "deep") (param i32)
      (if (i32.gt_s (local.get 0) (i32.const 0)) (then (call $deep (i32.sub (local.get 0) (i32.const 20))))))
    (func $overflows (export "overflows") (param i32) (call $overflows (local.get 0)) (call $nothing))
    (func (export "unreachable") (param i32) (call $spin (local.get 0)) unreachable)
    (func (export "faults") (param i32) (call $spin (local.get 0)) (drop (i32.load (i32.const -1))))
    (func $traps_deep (export "traps_deep") (param i32)
      (if (i32.le_s (local.get 0) (i32.const 0)) (then unreachable))
      (call $traps_deep (i32.sub (local.get 0) (i32.const 100))))
    (func (export "throws") (param i32) (call $spin (local.get 0)) (throw $tag))
    (func (export "for_ever") (param i32) (loop $l (br $l)))
    (func (export "hosts_for_ever") (param i32) (loop $l (call $nothing) (br $l)))
    (func (export "nested_for_ever") (param i32) (loop $l (call $again (i32.const 3)) (br $l)))
    (func (export "quick") (result i32) (i32.const 7))
  )";
  for (int i = 0; i < kLazyFuncs; ++i) {
    wat += "(func (export \"lazy" + std::to_string(i) + "\") (param i32)";
    for (int j = 0; j < i % 60; ++j) {
      wat += " (local.set 0 (i32.add (local.get 0) (i32.const " + std::to_string(i + j) + ")))";
    }
    wat += ")";
  }
  return wat + ")";
}

// Fires the handle of the round that was published last, after a random time, whatever the other
// thread is doing by then.
class Interrupter {
 public:
  Interrupter() : thread_([this] { Run(); }) {}
  Interrupter(const Interrupter&) = delete;
  Interrupter& operator=(const Interrupter&) = delete;
  ~Interrupter() {
    stop_ = true;
    thread_.join();
  }
  void Publish(uint64_t round, InterruptHandle handle, uint32_t delay_ns) {
    {
      const MutexLock lock(mutex_);
      handle_ = std::move(handle);
      delay_ns_ = delay_ns;
    }
    round_.store(round, std::memory_order_release);
  }
  // Waits until that round's is sent. Whether it was taken: otherwise the store was armed again.
  bool WaitFor(uint64_t round) const {
    for (int looks = 0; done_.load(std::memory_order_acquire) < round; ++looks) {
      YieldNowAndThen(looks);
    }
    return accepted_.load(std::memory_order_relaxed);
  }
  int64_t sent() const { return sent_.load(); }

 private:
  // The other thread may be waiting for this CPU.
  static void YieldNowAndThen(int looks) {
    if (looks % 64 == 63) {
      std::this_thread::yield();
    }
  }
  void Run() {
    uint64_t seen = 0;
    for (int looks = 0; !stop_; ++looks) {
      const uint64_t round = round_.load(std::memory_order_acquire);
      if (round == seen) {
        YieldNowAndThen(looks);
        continue;
      }
      seen = round;
      InterruptHandle handle;
      uint32_t delay_ns = 0;
      {
        const MutexLock lock(mutex_);
        handle = handle_;
        delay_ns = delay_ns_;
      }
      const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(delay_ns);
      while (std::chrono::steady_clock::now() < until) {
      }
      accepted_.store(handle.Interrupt(InterruptReason::kDeadline), std::memory_order_relaxed);
      sent_.fetch_add(1);
      // Its round may be an older one than the handle's by now: never a newer.
      done_.store(round, std::memory_order_release);
    }
  }

  Mutex mutex_;
  InterruptHandle handle_ ABSL_GUARDED_BY(mutex_);
  uint32_t delay_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> round_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> accepted_{false};
  std::atomic<int64_t> sent_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class InterruptStressTest : public testing::TestWithParam<Tier> {
 protected:
  InterruptStressTest() : guest_(Guest()) {
    options_.store.wasm_stack_bytes = 128 << 10;
    options_.store.backtrace_frames = 4;
    options_.link = [this](Linker& linker, Store&) {
      linker.DefineFunc(
          "host", "nothing", {},
          [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
      linker.DefineFunc(
          "host", "again", {{ValType::kI32}, {}},
          [this](HostContext& context, std::span<const Value> args, std::span<Value>) {
            const Invoked inner = instance_->Invoke("inner", {args[0]});
            if (inner.interrupt() != nullptr) {
              // An honest host function says so, another does not notice.
              return context.interrupt_requested() && ++inner_interrupts_ % 2 == 0
                         ? HostResult::Interrupted()
                         : HostResult::Ok();
            }
            EXPECT_TRUE(inner.status.ok()) << inner.status;
            return HostResult::Ok();
          });
    };
  }

  void Renew() {
    if (module_ == nullptr || next_lazy_ == kLazyFuncs) {
      module_ = LoadWat(guest_, GetParam());
      next_lazy_ = 0;
    }
    instance_ = std::make_unique<TestInstance>(module_, options_);
  }

  const std::string guest_;
  TestInstanceOptions options_;
  std::shared_ptr<LoadedModule> module_;
  std::unique_ptr<TestInstance> instance_;
  int next_lazy_ = 0;
  uint64_t inner_interrupts_ = 0;
};
WASMD_INSTANTIATE_FOR_ALL_TIERS(InterruptStressTest);

TEST_P(InterruptStressTest, NoneIsLostAndNoneHitsAnother) {
  const int64_t wanted = tests::StressInterrupts(10'000);
  std::mt19937 random(7);
  Interrupter interrupter;
  Renew();
  uint64_t hit = 0;
  uint64_t missed = 0;
  uint64_t pending = 0;
  uint64_t untouched = 0;
  for (uint64_t round = 1; interrupter.sent() < wanted; ++round) {
    if (instance_->store().is_abandoned() || next_lazy_ == kLazyFuncs) {
      Renew();
    }
    const InterruptHandle handle = instance_->store().ArmInterrupt();
    const bool is_lazy = random() % 8 == 0;
    const Kind kind = is_lazy ? Kind{"", Natural::kReturns} : kKinds[random() % std::size(kKinds)];
    const bool is_target = kind.natural == Natural::kNever || random() % 4 != 0;
    const auto length = static_cast<uint32_t>(random() % (1u << random() % 15));
    if (is_target) {
      // Some before the call, some long after a short one.
      interrupter.Publish(round, handle, static_cast<uint32_t>(random() % (1u << random() % 15)));
    }
    const Invoked invoked =
        instance_->Invoke(is_lazy ? "lazy" + std::to_string(next_lazy_++) : std::string(kind.func),
                          {Value::I32(length)});
    ASSERT_TRUE(invoked.status.ok()) << kind.func << ": " << invoked.status;
    const bool was_hit = invoked.interrupt() != nullptr;
    if (!is_target) {
      ++untouched;
      ASSERT_FALSE(was_hit) << kind.func << " was not interrupted by anybody, round " << round;
    }
    if (was_hit) {
      ++hit;
      ASSERT_EQ(invoked.interrupt()->reason, InterruptReason::kDeadline);
      continue;
    }
    ASSERT_NE(kind.natural, Natural::kNever);
    switch (kind.natural) {
      case Natural::kReturns:
      case Natural::kNever:
        ASSERT_EQ(invoked.stop, nullptr) << kind.func;
        break;
      case Natural::kTraps:
        ASSERT_NE(invoked.trap(), nullptr) << kind.func;
        break;
      case Natural::kThrows:
        ASSERT_TRUE(std::holds_alternative<Exception>(*invoked.stop)) << kind.func;
        break;
    }
    if (is_target && random() % 2 == 0) {
      // It had returned already. What was taken all the same waits for the store's next activation.
      const bool was_taken = interrupter.WaitFor(round);
      ASSERT_TRUE(was_taken) << "the store was not armed again";
      const Invoked next = instance_->Invoke("quick");
      ASSERT_NE(next.interrupt(), nullptr) << "lost in " << kind.func << ", round " << round;
      ++pending;
    } else {
      // It may come while the next call runs, and does nothing then.
      missed += is_target ? 1 : 0;
    }
  }
  std::cout << interrupter.sent() << " interrupts: " << hit << " calls were stopped, " << pending
            << " had returned and left it to the next, " << missed << " had returned and were "
            << "forgotten, " << untouched << " calls were nobody's target\n";
}

}  // namespace
}  // namespace wasmd::engine
