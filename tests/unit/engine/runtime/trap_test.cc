// Traps of every kind: in nested activations, on any thread, with backtraces, and what happens to
// faults that are not ours.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <tuple>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::SizeIs;

constexpr std::string_view kTraps = R"((module $traps
    (memory (export "memory") 1) (table 4 4 funcref) (elem (i32.const 0) $f $g)
    (type $void (func)) (type $i (func (param i32)))
    (func $f) (func $g (param i32))
    (func $unreachable (export "unreachable") unreachable)
    (func $memory (export "memory_oob") (drop (i32.load (i32.const 0x10000000))))
    (func (export "table_oob") (drop (table.get 0 (i32.const 4))))
    (func (export "call_oob") (call_indirect (type $void) (i32.const 4)))
    (func (export "call_null") (call_indirect (type $void) (i32.const 2)))
    (func (export "call_type") (call_indirect (type $void) (i32.const 1)))
    (func (export "div_zero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
    (func (export "div_overflow") (drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1))))
    (func (export "conversion_nan") (drop (i32.trunc_f64_s (f64.const nan))))
    (func (export "conversion_overflow") (drop (i32.trunc_f64_s (f64.const 1e10))))
    (func $recurse (export "stack") call $recurse)
    (func (export "ok") (result i32) i32.const 1)))";

struct Case {
  std::string_view name;
  TrapCode code;
};
constexpr Case kCases[] = {
    {"unreachable", TrapCode::kUnreachable},
    {"memory_oob", TrapCode::kMemoryOutOfBounds},
    {"table_oob", TrapCode::kTableOutOfBounds},
    {"call_oob", TrapCode::kTableOutOfBounds},
    {"call_null", TrapCode::kIndirectCallToNull},
    {"call_type", TrapCode::kBadSignature},
    {"div_zero", TrapCode::kDivideByZero},
    {"div_overflow", TrapCode::kIntegerOverflow},
    {"conversion_nan", TrapCode::kInvalidConversion},
    {"conversion_overflow", TrapCode::kIntegerOverflow},
    {"stack", TrapCode::kStackOverflow},
};

class TrapTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(TrapTest);

void ExpectAllTraps(TestInstance& instance) {
  for (const Case& c : kCases) {
    const Invoked invoked = instance.Invoke(c.name);
    EXPECT_THAT(invoked, TrapsWith(c.code)) << c.name;
    if (invoked.trap() != nullptr) {
      EXPECT_EQ(invoked.trap()->message, ToString(c.code));
      EXPECT_FALSE(invoked.trap()->backtrace.empty());
    }
    EXPECT_THAT(instance.Invoke("ok"), Returns({Value::I32(1)})) << "after " << c.name;
  }
}

TEST_P(TrapTest, EveryKind) {
  for (const CompileMode mode : {CompileMode::kLazy, CompileMode::kEager}) {
    TestInstanceOptions options;
    options.mode = mode;
    TestInstance instance(kTraps, GetParam(), options);
    ExpectAllTraps(instance);
  }
}

TEST_P(TrapTest, OnAThreadThatNothingPrepared) {
  TestInstance instance(kTraps, GetParam());
  for (int i = 0; i < 5; ++i) {
    std::thread([&] { ExpectAllTraps(instance); }).join();
  }
}

// Calls itself through the host `depth` times, then traps; every level sees its callee's trap as an
// outcome, and traps in its own way after that.
TEST_P(TrapTest, NestedActivationsTrapEachAtItsOwnCaller) {
  std::function<HostResult(HostContext&, std::span<const Value>, std::span<Value>)> reenter;
  int traps_seen = 0;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc("host", "reenter", {{ValType::kI32}, {ValType::kI32}},
                      [&](HostContext& context, std::span<const Value> args,
                          std::span<Value> results) { return reenter(context, args, results); });
  };
  TestInstance instance(
      R"((module (import "host" "reenter" (func $reenter (param i32) (result i32))) (memory 1)
      (func (export "level") (param $n i32) (result i32)
        (local $saw i32)
        (if (i32.eqz (local.get $n)) (then unreachable))
        (local.set $saw (call $reenter (local.get $n)))
        (if (i32.and (local.get $n) (i32.const 1))
          (then (drop (i32.load (i32.const -1)))))        ;; Odd levels fault, even ones return.
        (i32.add (local.get $saw) (i32.const 100)))))",
      GetParam(), options);
  const FuncHandle level = instance.Func("level");
  reenter = [&](HostContext&, std::span<const Value> args, std::span<Value> results) {
    const uint32_t n = args[0].i32();
    const Invoked inner = Invoke(level, {Value::I32(n - 1)});
    const TrapCode expected = n - 1 == 0 ? TrapCode::kUnreachable : TrapCode::kMemoryOutOfBounds;
    if ((n - 1) % 2 == 1 || n - 1 == 0) {
      EXPECT_THAT(inner, TrapsWith(expected)) << n;
      ++traps_seen;
      results[0] = Value::I32(1);
    } else {
      EXPECT_TRUE(inner.stop == nullptr && inner.values.size() == 1)
          << testing::PrintToString(inner);
      results[0] = Value::I32(2);
    }
    return HostResult::Ok();
  };
  EXPECT_THAT(Invoke(level, {Value::I32(20)}), Returns({Value::I32(101)}));
  EXPECT_EQ(traps_seen, 11);
  EXPECT_THAT(Invoke(level, {Value::I32(21)}), TrapsWith(TrapCode::kMemoryOutOfBounds));
}

TEST_P(TrapTest, BacktraceHasNamesAndOffsets) {
  constexpr std::string_view kWat = R"((module $m (memory 1)
      (func $outer (export "run") (param i32) (call $middle (local.get 0)))
      (func $middle (param i32) (call $inner (local.get 0)))
      (func $inner (param i32) (if (local.get 0) (then unreachable)) (drop (i32.load (i32.const -4))))
      (func (export "nameless") unreachable)))";
  TestInstance instance(kWat, GetParam());
  for (const int by_branch : {0, 1}) {
    const Invoked invoked = instance.Invoke("run", {Value::I32(by_branch)});
    ASSERT_NE(invoked.trap(), nullptr);
    const Backtrace& backtrace = invoked.trap()->backtrace;
    const std::vector<BacktraceFrame> frames = backtrace.frames();
    EXPECT_THAT(frames, ElementsAre(Field(&BacktraceFrame::func_name, "inner"),
                                    Field(&BacktraceFrame::func_name, "middle"),
                                    Field(&BacktraceFrame::func_name, "outer")));
    ASSERT_THAT(frames, SizeIs(3));
    EXPECT_EQ(backtrace.omitted_frames(), 0);
    // The bytes at the offsets are the instructions that were under way.
    const auto opcode_at = [&](size_t frame) {
      return instance.module().module().bytes[frames[frame].wasm_offset];
    };
    EXPECT_EQ(opcode_at(0),
              by_branch != 0 ? std::byte{0x00} : std::byte{0x28});  // unreachable, i32.load
    EXPECT_EQ(opcode_at(1), std::byte{0x10});                       // call
    EXPECT_EQ(opcode_at(2), std::byte{0x10});
    EXPECT_EQ(frames[0].module_name, "m");
    EXPECT_EQ(frames[0].func_index, 2);
    EXPECT_THAT(ToString(backtrace), testing::HasSubstr("m!inner (func 2) at 0x"));
  }
  const Invoked nameless = instance.Invoke("nameless");
  ASSERT_NE(nameless.trap(), nullptr);
  ASSERT_EQ(nameless.trap()->backtrace.size(), 1);
  EXPECT_EQ(nameless.trap()->backtrace.frames()[0].func_name, "nameless")
      << "the export's name, for want of another";
}

TEST_P(TrapTest, BacktraceIsBounded) {
  for (const uint32_t frames : {0u, 1u, 5u, 64u, 1000u}) {
    TestInstanceOptions options;
    options.store.backtrace_frames = frames;
    TestInstance instance(R"((module (func $down (export "down") (param i32)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (call $down (i32.sub (local.get 0) (i32.const 1))))))",
                          GetParam(), options);
    const Invoked invoked = instance.Invoke("down", {Value::I32(199)});
    ASSERT_NE(invoked.trap(), nullptr);
    const Backtrace& backtrace = invoked.trap()->backtrace;
    const uint32_t kept = std::min(frames, kMaxBacktraceFrames);
    EXPECT_EQ(backtrace.size(), kept);
    EXPECT_EQ(backtrace.frames().size(), kept);
    EXPECT_EQ(backtrace.omitted_frames(), kept == 0 ? 0 : 200 - kept);
  }
}

// Two threads, each with a store of its own, and one store that goes from thread to thread.
TEST_P(TrapTest, StoresOnManyThreadsTrapAtRandom) {
  const auto module = LoadWat(kTraps, GetParam());
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      TestInstance instance(module);
      for (int i = 0; i < 500; ++i) {
        const Case& c = kCases[random() % std::size(kCases)];
        const Invoked invoked = instance.Invoke(c.name);
        wrong += invoked.trap() != nullptr && invoked.trap()->code == c.code ? 0 : 1;
      }
    });
  }
  TestInstance migrating(module);
  std::mt19937 random(77);
  for (int i = 0; i < 50; ++i) {
    const Case& c = kCases[random() % std::size(kCases)];
    std::thread([&] { EXPECT_THAT(migrating.Invoke(c.name), TrapsWith(c.code)); }).join();
    EXPECT_THAT(migrating.Invoke(c.name), TrapsWith(c.code));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(TrapTest, StartFunctionTraps) {
  Store store(TestEngine().runtime());
  const auto made = Linker().Instantiate(
      store, LoadWat("(module (func $start unreachable) (start $start))", GetParam()));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->instance, nullptr);
  ASSERT_NE(made->outcome.trap(), nullptr);
  EXPECT_EQ(made->outcome.trap()->backtrace.size(), 1);
}

// --- Faults that are not a guest's. Each in a process of its own.

class ForeignFaultTest : public testing::Test {
 protected:
  enum class HostKind { kUntyped, kTyped, kTypedWide };

  static void Crash() {
    volatile int* volatile nowhere = reinterpret_cast<int*>(16);
    *nowhere = 1;
  }

  // A host function that writes to address 16, called by wasm or straight from the host.
  static void FaultInHostFunction(HostKind kind = HostKind::kUntyped,
                                  std::string_view called = "run") {
    TestInstanceOptions options;
    options.link = [kind](Linker& linker, Store&) {
      switch (kind) {
        case HostKind::kUntyped:
          linker.DefineFunc("host", "crash", {{}, {}},
                            [](HostContext&, std::span<const Value>, std::span<Value>) {
                              Crash();
                              return HostResult::Ok();
                            });
          break;
        case HostKind::kTyped:
          linker.DefineTyped("host", "crash", [] { Crash(); });
          break;
        case HostKind::kTypedWide:
          linker.DefineTyped("host", "crash", [] {
            Crash();
            return std::tuple(1, 2, 3.0);
          });
          break;
      }
    };
    const std::string result = kind == HostKind::kTypedWide ? " (result i32 i32 f64)" : "";
    TestInstance instance("(module (import \"host\" \"crash\" (func $crash" + result +
                              ")) (export \"direct\" (func $crash)) (func (export \"run\")" +
                              result + " call $crash))",
                          Tier::kBaseline, options);
    static_cast<void>(instance.Invoke(called));
  }

  static void ReportAndExit(int signal, siginfo_t* info, void*) {
    // The true address, in the handler that was there before ours.
    const bool right = signal == SIGSEGV && info->si_addr == reinterpret_cast<void*>(16);
    const char text[] = "the host's handler saw it\n";
    static_cast<void>(!write(2, text, sizeof(text) - 1));
    _exit(right ? 42 : 43);
  }
};

TEST_F(ForeignFaultTest, GoesToThePreviousHandler) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const HostKind kind : {HostKind::kUntyped, HostKind::kTyped, HostKind::kTypedWide}) {
    for (const std::string_view called : {"run", "direct"}) {
      EXPECT_EXIT(
          {
            struct sigaction action = {};
            action.sa_sigaction = &ReportAndExit;
            action.sa_flags = SA_SIGINFO;
            sigaction(SIGSEGV, &action, nullptr);
            FaultInHostFunction(kind, called);
          },
          testing::ExitedWithCode(42), "the host's handler saw it");
    }
  }
}

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WASMD_TEST_HAS_SANITIZER
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(WASMD_TEST_HAS_SANITIZER)
TEST_F(ForeignFaultTest, KillsWhereNobodyHandledIt) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const HostKind kind : {HostKind::kUntyped, HostKind::kTyped, HostKind::kTypedWide}) {
    EXPECT_EXIT(FaultInHostFunction(kind), testing::KilledBySignal(SIGSEGV), "");
  }
  EXPECT_EXIT(
      {
        TestEngine();
        kill(getpid(), SIGSEGV);
        pause();
      },
      testing::KilledBySignal(SIGSEGV), "");
}
#endif

// A host with a handler that repairs faults (a JVM, a garbage collector) works on, before and after
// a guest has trapped.
TEST_F(ForeignFaultTest, AHandlerThatRepairsGoesOn) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  static std::byte* page = nullptr;
  EXPECT_EXIT(
      {
        page = static_cast<std::byte*>(
            mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        struct sigaction action = {};
        action.sa_sigaction = [](int, siginfo_t* info, void*) {
          if (info->si_addr != page || mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0) {
            _exit(1);
          }
        };
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, nullptr);
        TestInstance instance(kTraps);
        for (int i = 0; i < 3; ++i) {
          if (instance.Invoke("memory_oob").trap() == nullptr) {
            _exit(2);
          }
          mprotect(page, 4096, PROT_NONE);
          *page = std::byte{7};
          if (*page != std::byte{7}) {
            _exit(3);
          }
        }
        _exit(0);
      },
      testing::ExitedWithCode(0), "");
}

// A SIGSEGV that somebody sends while a guest runs is not a trap.
TEST_F(ForeignFaultTest, ASentSignalIsNotATrap) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        struct sigaction action = {};
        action.sa_handler = [](int) { _exit(5); };
        sigaction(SIGSEGV, &action, nullptr);
        TestInstance instance(R"((module (memory (export "memory") 1)
            (func (export "spin") (loop $l (i32.store (i32.const 0) (i32.const 1)) (br $l)))))");
        auto* const is_spinning = reinterpret_cast<std::atomic<uint8_t>*>(
            instance.instance().Memory("memory")->bytes().data());
        const pthread_t self = pthread_self();
        std::thread([self, is_spinning] {
          while (*is_spinning == 0) {
          }
          pthread_kill(self, SIGSEGV);
          while (true) {  // Until the process ends: ThreadSanitizer reports a thread that ended
                          // unjoined.
            pause();
          }
        }).detach();
        static_cast<void>(instance.Invoke("spin"));
      },
      testing::ExitedWithCode(5), "");
}

}  // namespace
}  // namespace wasmd::engine
