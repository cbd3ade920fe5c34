// Threads that the engine was never told of: what they do first is trap; thousands of them live for
// one call each; a store goes from one to the next.
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

constexpr std::string_view kGuest = R"((module (memory 1)
    (func (export "branch") unreachable)
    (func (export "fault") (drop (i32.load (i32.const -4))))
    (func $deep (export "stack") call $deep)
    (func (export "spin") (loop $l (br $l)))
    (global $total (export "total") (mut i32) (i32.const 0))
    (func (export "sum") (local $n i32)
      (global.set $total (i32.const 0))
      (local.set $n (i32.const 1000))
      (loop $l (global.set $total (i32.add (global.get $total) (local.get $n)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))))";

struct Way {
  std::string_view name;
  TrapCode code;
};
constexpr Way kWays[] = {{"branch", TrapCode::kUnreachable},
                         {"fault", TrapCode::kMemoryOutOfBounds},
                         {"stack", TrapCode::kStackOverflow}};

class ThreadTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(ThreadTest);

TEST_P(ThreadTest, TheFirstThingThatAThreadDoesIsToTrap) {
  TestInstance instance(kGuest, GetParam());
  for (const Way& way : kWays) {
    const auto typed = *instance.Func(way.name).Typed<void()>();
    for (int i = 0; i < 50; ++i) {
      std::thread([&] { EXPECT_THAT(instance.Invoke(way.name), TrapsWith(way.code)); }).join();
      std::thread([&] {
        const Outcome<void> outcome = typed();
        EXPECT_TRUE(outcome.trap() != nullptr && outcome.trap()->code == way.code) << way.name;
      }).join();
    }
  }
}

// Interrupts what it is told to, on its own thread: now, or whenever it gets to it.
class Interrupter {
 public:
  Interrupter() : thread_([this] { Run(); }) {}
  ~Interrupter() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  void Begin(InterruptHandle handle) {
    const std::lock_guard lock(mutex_);
    next_ = std::move(handle);
    changed_.notify_one();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stop_ || next_.has_value(); });
      if (stop_) {
        return;
      }
      const InterruptHandle handle = *std::exchange(next_, std::nullopt);
      lock.unlock();
      handle.Interrupt(InterruptReason::kCancel);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<InterruptHandle> next_;
  bool stop_ = false;
  std::thread thread_;
};

// By both kinds of calls: typed ones prepare nothing where the store says that it is ready.
Invoked Call(TestInstance& instance, std::string_view name, bool is_typed) {
  if (!is_typed) {
    return instance.Invoke(name);
  }
  const Outcome<void> outcome = (*instance.Func(name).Typed<void()>())();
  return {.status = absl::OkStatus(),
          .values = {},
          .stop = outcome.ok() ? nullptr : std::make_shared<const Stop>(outcome.stop())};
}

// The system gives the next thread the stack, the thread-local memory and sometimes the id of the
// one before, for which the store was ready and to which a signal may be on its way.
TEST_P(ThreadTest, ThousandsOfThreadsThatCallOnce) {
  constexpr int kThreads = 4000;
  const auto module = LoadWat(kGuest, GetParam());
  auto instance = std::make_unique<TestInstance>(module);
  Interrupter interrupter;
  std::mt19937 random(5);
  int interrupted = 0;
  int returned = 0;
  for (int i = 0; i < kThreads; ++i) {
    const auto what = static_cast<unsigned>(random() % 8);
    const bool is_typed = random() % 4 != 0;
    Invoked invoked;
    std::thread([&] {
      const InterruptHandle handle = instance->store().ArmInterrupt();
      // One that comes before, in, or after the call.
      if (what < 3) {
        interrupter.Begin(handle);
      }
      if (what == 0) {
        invoked = Call(*instance, "spin", is_typed);
      } else if (what < 5) {
        invoked = Call(*instance, "sum", is_typed);
      } else {
        invoked = Call(*instance, kWays[what - 5].name, is_typed);
      }
    }).join();
    if (invoked.interrupt() != nullptr) {
      ++interrupted;
      ASSERT_LT(what, 3) << "nobody interrupts this call";
      EXPECT_EQ(invoked.interrupt()->reason, InterruptReason::kCancel);
      if (instance->store().is_abandoned()) {
        instance = std::make_unique<TestInstance>(module);
      }
    } else if (what < 5) {
      ++returned;
      ASSERT_NE(what, 0);
      ASSERT_THAT(invoked, Returns({}));
      ASSERT_EQ(instance->instance().Global("total")->Get().i32(), 500'500);
    } else {
      ASSERT_THAT(invoked, TrapsWith(kWays[what - 5].code));
    }
  }
  EXPECT_GT(interrupted, kThreads / 16);
  EXPECT_GT(returned, kThreads / 16);
}

// Two stores, each with the other's thread next, nested calls among them.
TEST_P(ThreadTest, StoresThatChangeThreadsTrapAtEveryLevel) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 1500;
  struct Pair {
    std::unique_ptr<TestInstance> outer;
    std::unique_ptr<TestInstance> inner;
  } pair;
  pair.inner = std::make_unique<TestInstance>(kGuest, GetParam());
  unsigned inner_way = 0;
  int wrong = 0;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc(
        "host", "inner", {{}, {}}, [&](HostContext&, std::span<const Value>, std::span<Value>) {
          const Way& way = kWays[inner_way];
          const Invoked invoked = pair.inner->Invoke(way.name);
          wrong += invoked.trap() != nullptr && invoked.trap()->code == way.code ? 0 : 1;
          return HostResult::Ok();
        });
  };
  pair.outer = std::make_unique<TestInstance>(
      R"((module (import "host" "inner" (func $inner)) (memory 1)
        (func (export "run") (param $how i32) (result i32)
          (call $inner)
          (if (i32.eq (local.get $how) (i32.const 1)) (then unreachable))
          (if (i32.eq (local.get $how) (i32.const 2)) (then (drop (i32.load (i32.const -1)))))
          (i32.const 7))))",
      GetParam(), options);
  constexpr TrapCode kExpected[] = {TrapCode::kNone, TrapCode::kUnreachable,
                                    TrapCode::kMemoryOutOfBounds};
  std::mutex turn;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < kRounds; ++i) {
        const auto how = static_cast<unsigned>(random() % 3);
        const std::lock_guard lock(turn);
        inner_way = random() % 20 == 0 ? 2 : static_cast<unsigned>(random() % 2);
        const Invoked invoked = pair.outer->Invoke("run", {Value::I32(how)});
        const TrapCode code = invoked.trap() == nullptr ? TrapCode::kNone : invoked.trap()->code;
        wrong += code == kExpected[how] ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace wasmd::engine
