// Modules are loaded, trap and go on some threads while others run, trap and are interrupted.
//
// For two seconds; WASMD_STRESS_SECONDS says how many else. Prints how much happened.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/code/code_arena.h"
#include "tests/support/test_instance.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

std::chrono::seconds StressTime() {
  const char* const seconds = std::getenv("WASMD_STRESS_SECONDS");
  return std::chrono::seconds(seconds == nullptr ? 2 : std::max(std::atoi(seconds), 1));
}

// Module `number` has functions that bear its number, behind 50 KiB of code more than the one
// before: chunks get other owners, pcs other functions, and traps happen in the middle of large
// runs.
std::string ModuleText(int number) {
  const std::string n = std::to_string(number);
  std::string wat = "(module $m" + n + " (memory 1)";
  for (int i = 0; i <= 60 * number; ++i) {
    wat += "\n(func $bulk" + std::to_string(i);
    for (int j = 0; j < 100; ++j) {
      wat +=
          " (i32.store offset=" + std::to_string(4 * j) + " (i32.const 8) (i32.const " + n + "))";
    }
    wat += ")";
  }
  wat += R"(
    (func $sum_)" +
         n + R"( (export "sum") (param i32) (result i32) (local i32)
      (loop $l (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 1))
    (func (export "branch") (call $branch_)" +
         n + R"())
    (func $branch_)" +
         n + R"( unreachable)
    (func (export "fault") (call $fault_)" +
         n + R"())
    (func $fault_)" +
         n + R"( (drop (i32.load (i32.const -1))))
    (func $spin_)" +
         n +
         R"( (export "spin") (global.set $looping (i32.const 1)) (loop $l (call $bulk0) (br $l)))
    (global $looping (export "looping") (mut i32) (i32.const 0)))";
  return wat + ")";
}
constexpr int kModules = 6;

struct Counts {
  std::atomic<uint64_t> loads{0};
  std::atomic<uint64_t> traps_by_branch{0};
  std::atomic<uint64_t> traps_by_fault{0};
  std::atomic<uint64_t> interrupts{0};
  std::atomic<uint64_t> backtraces_read_late{0};
  std::atomic<uint64_t> wrong{0};
};

// Interrupts what it is given, soon.
class Interrupter {
 public:
  Interrupter() : thread_([this] { Run(); }) {}
  ~Interrupter() {
    stop_ = true;
    thread_.join();
  }
  void Add(InterruptHandle handle) {
    const std::lock_guard lock(mutex_);
    handles_.push_back(std::move(handle));
  }

 private:
  void Run() {
    std::mt19937 random(1);
    while (!stop_) {
      std::optional<InterruptHandle> handle;
      {
        const std::lock_guard lock(mutex_);
        if (!handles_.empty()) {
          handle = std::move(handles_.front());
          handles_.pop_front();
        }
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
      if (handle.has_value()) {
        handle->Interrupt(InterruptReason::kCancel);
      }
    }
  }

  std::mutex mutex_;
  std::deque<InterruptHandle> handles_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Backtraces whose modules have gone, to be read by whoever comes.
class LateBacktraces {
 public:
  // Reads an older one, where there is one.
  void Exchange(Backtrace backtrace, std::string name, Counts& counts) {
    std::pair<Backtrace, std::string> old;
    {
      const std::lock_guard lock(mutex_);
      kept_.emplace_back(std::move(backtrace), std::move(name));
      if (kept_.size() < kKept) {
        return;
      }
      old = std::move(kept_.front());
      kept_.pop_front();
    }
    const std::vector<BacktraceFrame> frames = old.first.frames();
    counts.wrong += frames.size() == 2 && frames[0].func_name == old.second ? 0 : 1;
    ++counts.backtraces_read_late;
  }

 private:
  static constexpr size_t kKept = 10;
  std::mutex mutex_;
  std::deque<std::pair<Backtrace, std::string>> kept_;
};

// Runs and traps once in each way, in a module of that number.
void RunAndTrap(TestInstance& instance, int number, Counts& counts, LateBacktraces* late) {
  counts.wrong +=
      instance.Invoke("sum", {Value::I32(1000)}).values == std::vector{Value::I32(500'500)} ? 0 : 1;
  for (const bool by_branch : {true, false}) {
    const Invoked invoked = instance.Invoke(by_branch ? "branch" : "fault");
    const std::string name = (by_branch ? "branch_" : "fault_") + std::to_string(number);
    const Trap* const trap = invoked.trap();
    if (trap == nullptr ||
        trap->code != (by_branch ? TrapCode::kUnreachable : TrapCode::kMemoryOutOfBounds)) {
      ++counts.wrong;
      continue;
    }
    ++(by_branch ? counts.traps_by_branch : counts.traps_by_fault);
    if (late != nullptr) {
      late->Exchange(trap->backtrace, name, counts);
    } else {
      const std::vector<BacktraceFrame> frames = trap->backtrace.frames();
      counts.wrong += frames.size() == 2 && frames[0].func_name == name ? 0 : 1;
    }
  }
}

void SpinUntilInterrupted(TestInstance& instance, int number, Interrupter& interrupter,
                          Counts& counts) {
  interrupter.Add(instance.store().ArmInterrupt());
  const Invoked invoked = instance.Invoke("spin");
  const Interrupt* const interrupt = invoked.interrupt();
  if (interrupt == nullptr) {
    ++counts.wrong;
    return;
  }
  ++counts.interrupts;
  if (interrupt->store_abandoned) {
    // One that came before the first instruction, in the call's stub say, has no frame to tell of.
    const bool is_looping = instance.instance().Global("looping")->Get() == Value::I32(1);
    const std::vector<BacktraceFrame> frames = interrupt->backtrace.frames();
    const bool is_right =
        frames.empty()
            ? !is_looping
            : frames.size() <= 2 && frames.back().func_name == "spin_" + std::to_string(number);
    if (!is_right) {
      ++counts.wrong;
      ADD_FAILURE() << "interrupted " << (is_looping ? "in the loop" : "before it") << " with "
                    << frames.size() << " frames";
    }
  }
}

class CodeMapStressTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(CodeMapStressTest);

TEST_P(CodeMapStressTest, ModulesComeAndGoWhileOthersRunAndTrap) {
  // The engine keeps the chunk that call stubs fill.
  EXPECT_THAT(TestInstance("(module (func (export \"f\")))", GetParam()).Invoke("f"), Returns({}));
  const uint64_t chunks = (*CodeArena::Get())->used_chunks();
  Counts counts;
  {
    std::vector<std::vector<std::byte>> modules;
    for (int i = 0; i < kModules; ++i) {
      const Bytes bytes = Wat(ModuleText(i));
      const auto span = std::as_bytes(std::span(bytes));
      modules.emplace_back(span.begin(), span.end());
    }
    const auto load = [&](size_t number, CompileMode mode) {
      LoadOptions options;
      options.mode = mode;
      options.tier = GetParam();
      ++counts.loads;
      return *TestEngine().Load(modules[number], options);
    };
    const auto lasting = load(0, CompileMode::kLazy);
    LateBacktraces late;
    Interrupter interrupter;
    const auto end = std::chrono::steady_clock::now() + StressTime();
    const auto goes_on = [end] { return std::chrono::steady_clock::now() < end; };
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; ++t) {
      threads.emplace_back([&] {  // Runs and traps.
        TestInstance instance(lasting);
        while (goes_on()) {
          RunAndTrap(instance, 0, counts, nullptr);
        }
      });
      threads.emplace_back([&, t] {  // Loads, runs, traps, drops.
        std::mt19937 random(t);
        while (goes_on()) {
          const auto number = static_cast<int>(random() % kModules);
          TestInstance instance(load(static_cast<size_t>(number),
                                     random() % 2 == 0 ? CompileMode::kLazy : CompileMode::kEager));
          for (int i = 0; i < 3; ++i) {
            RunAndTrap(instance, number, counts, &late);
          }
        }
      });
      threads.emplace_back([&, t] {  // Is interrupted, in the lasting module and in others.
        std::mt19937 random(t + 100);
        while (goes_on()) {
          const auto number = t == 0 ? 0 : static_cast<int>(random() % kModules);
          TestInstance instance(t == 0 ? lasting
                                       : load(static_cast<size_t>(number), CompileMode::kLazy));
          SpinUntilInterrupted(instance, number, interrupter, counts);
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
  EXPECT_EQ(counts.wrong, 0);
  EXPECT_GT(counts.loads, 10);
  EXPECT_GT(counts.traps_by_branch, 10);
  EXPECT_GT(counts.traps_by_fault, 10);
  EXPECT_GT(counts.interrupts, 10);
  EXPECT_GT(counts.backtraces_read_late, 10);
  EXPECT_EQ((*CodeArena::Get())->used_chunks(), chunks) << "all code is given back";
  std::cout << StressTime().count() << " s: " << counts.loads << " loads, "
            << counts.traps_by_branch << " traps by branch, " << counts.traps_by_fault
            << " by fault, " << counts.interrupts << " interrupts, " << counts.backtraces_read_late
            << " backtraces read when their module had gone\n";
}

}  // namespace
}  // namespace wasmd::engine
