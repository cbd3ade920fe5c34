// Our signal handlers among the host's: installed before ours and after, of every kind, chaining
// and not. Each in a process of its own, which says what happened by its exit code.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "engine/trap/handler_inside.h"
#include "tests/support/test_instance.h"

// ThreadSanitizer stands between the host and the kernel: what is installed through it is not what
// the kernel has, and what it says was installed before is not ours.
#if defined(__SANITIZE_THREAD__)
#define WASMD_TEST_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WASMD_TEST_TSAN
#endif
#endif

#ifndef WASMD_TEST_TSAN

namespace wasmd::engine {
namespace {

constexpr std::string_view kGuest = R"((module (memory 1)
    (func (export "fault") (drop (i32.load (i32.const -4))))
    (func (export "branch") unreachable)
    (func $deep (export "deep") call $deep)
    (func (export "spin") (loop $l (br $l)))))";

// Async-signal-safe: what happened, as letters.
char g_log[64];
volatile sig_atomic_t g_logged = 0;
void Log(char letter) {
  if (g_logged < static_cast<int>(sizeof(g_log)) - 1) {
    g_log[g_logged] = letter;
    g_logged = g_logged + 1;
  }
}

// Ends this process: 0 if that is what was logged.
[[noreturn]] void ExitIfLogged(const char* expected) {
  if (std::strcmp(g_log, expected) != 0) {
    static_cast<void>(!write(2, g_log, std::strlen(g_log)));
    _exit(1);
  }
  _exit(0);
}

void Require(bool condition, const char* what) {
  if (!condition) {
    static_cast<void>(!write(2, what, std::strlen(what)));
    _exit(2);
  }
}

// A fault of the host's own, which SkipFault ends: `movb (%rcx), %al` is two bytes.
std::byte* g_page = nullptr;
__attribute__((no_sanitize("address"))) void HostFault() {
  asm volatile("movb (%0), %%al" : : "c"(g_page) : "rax", "memory");
}
void SkipFault(void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] += 2;
}
bool IsHostFault(const siginfo_t* info) {
  return info->si_code > 0 && info->si_addr == g_page;
}

using Handler = void (*)(int, siginfo_t*, void*);

struct sigaction Install(int signal, Handler handler, int flags = 0) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(signal, &action, &before);
  return before;
}

// Handlers that a host has: `a` was there before ours, `b` and `c` come later. What they find is
// remembered as libraries do, in one place.
struct sigaction g_found_b;
struct sigaction g_found_c;

void HandlerA(int, siginfo_t* info, void* context) {
  Log('a');
  Require(IsHostFault(info), "a sees what is not the host's\n");
  SkipFault(context);
}
void HandOn(const struct sigaction& to, int signal, siginfo_t* info, void* context) {
  if ((to.sa_flags & SA_SIGINFO) != 0) {
    to.sa_sigaction(signal, info, context);
  } else if (to.sa_handler != SIG_DFL && to.sa_handler != SIG_IGN) {
    to.sa_handler(signal);
  } else {
    Log('d');
    _exit(3);
  }
}
// Hands on everything.
void ChainB(int signal, siginfo_t* info, void* context) {
  Log('b');
  HandOn(g_found_b, signal, info, context);
}
void ChainC(int signal, siginfo_t* info, void* context) {
  Log('c');
  HandOn(g_found_c, signal, info, context);
}
// Takes everything for its own.
void SelfishB(int, siginfo_t* info, void* context) {
  Log('b');
  Require(IsHostFault(info), "b sees what is not the host's\n");
  SkipFault(context);
}
// As a crash reporter: puts back what it found, and raises the signal once more.
void ReporterB(int signal, siginfo_t*, void*) {
  Log('b');
  sigaction(signal, &g_found_b, nullptr);
  raise(signal);
}
void FinalA(int, siginfo_t*, void*) {
  Log('a');
  ExitIfLogged("ba");
}

class SignalOrderTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  static void Begin() {
    g_page =
        static_cast<std::byte*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  // A trap of each kind; the host's handlers see none of them.
  static void MustTrap(TestInstance& guest) {
    const int logged = g_logged;
    for (int i = 0; i < 3; ++i) {
      const Invoked fault = guest.Invoke("fault");
      Require(fault.trap() != nullptr && fault.trap()->code == TrapCode::kMemoryOutOfBounds,
              "no trap by a fault\n");
      const Invoked deep = guest.Invoke("deep");
      Require(deep.trap() != nullptr && deep.trap()->code == TrapCode::kStackOverflow,
              "no trap by the stack\n");
    }
    Require(g_logged == logged, "the host saw a guest's fault\n");
  }
  static void MustInterrupt(TestInstance& guest) {
    const InterruptHandle handle = guest.store().ArmInterrupt();
    std::thread interrupter([handle] { handle.Interrupt(InterruptReason::kCancel); });
    const Invoked invoked = guest.Invoke("spin");
    interrupter.join();
    Require(invoked.interrupt() != nullptr, "no interrupt\n");
  }
};

TEST_F(SignalOrderTest, BeforeOursOfEveryKind) {
  for (const int signal : {SIGSEGV, SIGBUS, kInterruptSignal}) {
    SCOPED_TRACE(signal);
    EXPECT_EXIT(
        {
          Begin();
          Install(signal, [](int number, siginfo_t* info, void*) {
            Log(info->si_value.sival_int == 5 && info->si_pid == getpid() && number > 0 ? 'a'
                                                                                        : '?');
          });
          TestInstance guest(kGuest);
          MustTrap(guest);
          sigval value;
          value.sival_int = 5;
          pthread_sigqueue(pthread_self(), signal, value);
          MustInterrupt(guest);
          ExitIfLogged("a");
        },
        testing::ExitedWithCode(0), "")
        << "SA_SIGINFO";
    EXPECT_EXIT(
        {
          struct sigaction action = {};
          action.sa_handler = [](int) { Log('a'); };
          sigaction(signal, &action, nullptr);
          TestInstance guest(kGuest);
          raise(signal);
          MustTrap(guest);
          raise(signal);
          ExitIfLogged("aa");
        },
        testing::ExitedWithCode(0), "")
        << "plain";
    EXPECT_EXIT(
        {
          struct sigaction action = {};
          action.sa_handler = SIG_IGN;
          sigaction(signal, &action, nullptr);
          TestInstance guest(kGuest);
          raise(signal);
          MustTrap(guest);
          ExitIfLogged("");
        },
        testing::ExitedWithCode(0), "")
        << "SIG_IGN";
    EXPECT_EXIT(
        {
          struct sigaction action = {};
          action.sa_handler = SIG_DFL;
          sigaction(signal, &action, nullptr);
          TestInstance guest(kGuest);
          MustTrap(guest);
          raise(signal);
          _exit(0);
        },
        testing::KilledBySignal(signal), "")
        << "SIG_DFL";
  }
}

// Ignoring a fault is not possible, and must not be a loop.
TEST_F(SignalOrderTest, AnIgnoredFaultKills) {
  EXPECT_EXIT(
      {
        Begin();
        struct sigaction action = {};
        action.sa_handler = SIG_IGN;
        sigaction(SIGSEGV, &action, nullptr);
        TestInstance guest(kGuest);
        HostFault();
      },
      testing::KilledBySignal(SIGSEGV), "");
}

// What the kernel would do for the action, ours does: its mask, its alternate stack, once only.
TEST_F(SignalOrderTest, MaskAlternateStackAndFlags) {
  EXPECT_EXIT(
      {
        Begin();
        static char stack[64 << 10];
        stack_t alternate = {};
        alternate.ss_sp = stack;
        alternate.ss_size = sizeof(stack);
        sigaltstack(&alternate, nullptr);
        struct sigaction action = {};
        action.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
          const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
          const auto low = reinterpret_cast<uintptr_t>(stack);
          Log(here >= low && here < low + sizeof(stack) ? 's' : '?');
          sigset_t now;
          pthread_sigmask(SIG_SETMASK, nullptr, &now);
          Log(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGUSR2) == 0 ? 'm' : '?');
          Log(sigismember(&now, signal) == 0 ? 'n' : '?');
          Require(IsHostFault(info), "another address\n");
          SkipFault(context);
        };
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigaddset(&action.sa_mask, SIGUSR1);
        sigaction(SIGSEGV, &action, nullptr);
        TestInstance guest(kGuest);
        MustTrap(guest);
        HostFault();
        sigset_t after;
        pthread_sigmask(SIG_SETMASK, nullptr, &after);
        Log(sigismember(&after, SIGUSR1) == 0 ? 'r' : '?');
        MustTrap(guest);
        ExitIfLogged("smnr");
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        Begin();
        Install(
            SIGSEGV,
            [](int, siginfo_t*, void* context) {
              static int times = 0;
              if (++times > 1) {
                _exit(4);
              }
              SkipFault(context);
            },
            static_cast<int>(SA_RESETHAND));
        TestInstance guest(kGuest);
        HostFault();
        HostFault();  // As without us: the action has become the default.
      },
      testing::KilledBySignal(SIGSEGV), "");
}

// A handler that leaves by a jump, from an alternate stack, which is then used again.
TEST_F(SignalOrderTest, AHandlerMayJump) {
  EXPECT_EXIT(
      {
        Begin();
        static sigjmp_buf jump;
        static char stack[64 << 10];
        stack_t alternate = {};
        alternate.ss_sp = stack;
        alternate.ss_size = sizeof(stack);
        sigaltstack(&alternate, nullptr);
        Install(SIGSEGV, [](int, siginfo_t*, void*) { siglongjmp(jump, 1); }, SA_ONSTACK);
        TestInstance guest(kGuest);
        g_found_b = Install(SIGSEGV, &ChainB, SA_ONSTACK);
        Require(Engine::ReinstallSignalHandlers().ok(), "not reinstalled\n");
        static int rounds = 0;
        for (; rounds < 3; ++rounds) {
          if (sigsetjmp(jump, 1) == 0) {
            HostFault();
            _exit(4);
          }
          MustTrap(guest);
        }
        ExitIfLogged("bbb");
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(SignalOrderTest, AfterOursAndChaining) {
  EXPECT_EXIT(
      {
        Begin();
        Install(SIGSEGV, &HandlerA);
        TestInstance guest(kGuest);
        g_found_b = Install(SIGSEGV, &ChainB);
        // It sees guests' faults first, and hands them on.
        Require(guest.Invoke("fault").trap() != nullptr, "no trap\n");
        Require(guest.Invoke("fault").trap() != nullptr, "no trap\n");
        HostFault();
        ExitIfLogged("bbba");
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(SignalOrderTest, AfterOursOnesThatDoNotChain) {
  for (const bool by_engine : {false, true}) {
    EXPECT_EXIT(
        {
          Begin();
          Install(SIGSEGV, &HandlerA);
          TestInstance guest(kGuest);
          MustTrap(guest);
          Install(SIGSEGV, &SelfishB);
          Install(SIGBUS, &SelfishB);
          Install(kInterruptSignal, &SelfishB);
          if (by_engine) {
            Require(Engine::Create({}).ok(), "no engine\n");
          } else {
            Require(Engine::ReinstallSignalHandlers().ok(), "not reinstalled\n");
          }
          MustTrap(guest);
          HostFault();
          MustInterrupt(guest);
          ExitIfLogged("b");
        },
        testing::ExitedWithCode(0), "")
        << "by another engine: " << by_engine;
  }
}

// Those that hand on to what they found find ours, below ours: nobody is asked twice.
TEST_F(SignalOrderTest, ReinstalledInFrontOfChains) {
  EXPECT_EXIT(
      {
        Begin();
        Install(SIGSEGV, &HandlerA);
        TestInstance guest(kGuest);
        g_found_b = Install(SIGSEGV, &ChainB);
        Require(Engine::ReinstallSignalHandlers().ok(), "not reinstalled\n");
        Require(Engine::ReinstallSignalHandlers().ok(), "the second time does nothing\n");
        g_found_c = Install(SIGSEGV, &ChainC);
        Require(Engine::ReinstallSignalHandlers().ok(), "not reinstalled\n");
        MustTrap(guest);
        HostFault();
        HostFault();
        ExitIfLogged("cbacba");
      },
      testing::ExitedWithCode(0), "");
}

// One that remembers a single predecessor, and is installed again: it and ours each know the other.
TEST_F(SignalOrderTest, NoEndlessMutualRecursion) {
  EXPECT_EXIT(
      {
        Begin();
        Install(SIGSEGV, &HandlerA);
        TestInstance guest(kGuest);
        for (int i = 0; i < 3; ++i) {
          g_found_b = Install(SIGSEGV, &ChainB);
          Require(Engine::ReinstallSignalHandlers().ok(), "not reinstalled\n");
        }
        MustTrap(guest);
        HostFault();
        MustTrap(guest);
        HostFault();
        ExitIfLogged("bbbabbba");
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(SignalOrderTest, AReporterThatPutsBackWhatItFound) {
  for (const int flags : {0, SA_NODEFER}) {
    EXPECT_EXIT(
        {
          Begin();
          Install(SIGSEGV, &FinalA);
          TestInstance guest(kGuest);
          g_found_b = Install(SIGSEGV, &ReporterB, flags);
          Require(Engine::ReinstallSignalHandlers().ok(), "not reinstalled\n");
          MustTrap(guest);
          HostFault();
        },
        testing::ExitedWithCode(0), "");
  }
}

TEST_F(SignalOrderTest, InFrontOnlySoOften) {
  EXPECT_EXIT(
      {
        Begin();
        TestInstance guest(kGuest);
        absl::Status status;
        size_t times = 1;
        while (status.ok()) {
          g_found_b = Install(SIGBUS, &ChainB);
          status = Engine::ReinstallSignalHandlers();
          times += status.ok() ? size_t{1} : size_t{0};
        }
        Require(times == kHandlerGenerations && absl::IsResourceExhausted(status),
                "other limits\n");
        MustTrap(guest);
        _exit(0);
      },
      testing::ExitedWithCode(0), "");
}

// A host that blocks all signals before it makes threads, and in those that it has.
TEST_F(SignalOrderTest, AHostThatBlocksOurSignalsEverywhere) {
  EXPECT_EXIT(
      {
        Begin();
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, nullptr);
        TestInstance guest(kGuest);
        MustTrap(guest);
        std::thread([&] { MustTrap(guest); }).join();
        std::thread([&] { MustInterrupt(guest); }).join();
        TestInstance second(kGuest);
        MustInterrupt(second);
        sigset_t now;
        pthread_sigmask(SIG_SETMASK, nullptr, &now);
        Require(sigismember(&now, SIGTERM) == 1, "other signals are let through\n");
        ExitIfLogged("");
      },
      testing::ExitedWithCode(0), "");
}

// --- The host's own faults, with wasm's frames on the stack and without.

TEST_F(SignalOrderTest, TheHostsNullPointerAndStackOverflowAreItsOwn) {
  for (const bool below_wasm : {false, true}) {
    for (const bool by_stack : {false, true}) {
      EXPECT_EXIT(
          {
            static char alternate_stack[64 << 10];
            stack_t alternate = {};
            alternate.ss_sp = alternate_stack;
            alternate.ss_size = sizeof(alternate_stack);
            sigaltstack(&alternate, nullptr);
            static uintptr_t deepest = 0;
            Install(
                SIGSEGV,
                [](int, siginfo_t* info, void*) {
                  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
                  if (address == 16) {
                    _exit(42);
                  }
                  // The guard of the stack, a little below its deepest frame.
                  _exit(address < deepest && deepest - address < 1 << 20 ? 43 : 4);
                },
                SA_ONSTACK);
            struct Crash {
              static void OverflowStack(int depth) {
                volatile char frame[4096];
                frame[0] = static_cast<char>(depth);
                deepest = reinterpret_cast<uintptr_t>(&frame[0]);
                if (deepest != 0) {  // Always.
                  OverflowStack(depth + 1);
                }
                frame[1] = 0;  // No tail call.
              }
              static void Now(bool by_stack) {
                if (by_stack) {
                  OverflowStack(0);
                }
                volatile int* volatile nowhere = reinterpret_cast<int*>(16);
                *nowhere = 1;
              }
            };
            TestInstanceOptions options;
            options.link = [&](Linker& linker, Store&) {
              linker.DefineFunc("host", "crash", {{}, {}},
                                [&](HostContext&, std::span<const Value>, std::span<Value>) {
                                  Crash::Now(by_stack);
                                  return HostResult::Ok();
                                });
            };
            TestInstance guest(R"((module (import "host" "crash" (func $crash)) (memory 1)
                (func (export "fault") (drop (i32.load (i32.const -4))))
                (func $deep (export "deep") call $deep)
                (func (export "run") call $crash)))",
                               Tier::kBaseline, options);
            MustTrap(guest);
            if (below_wasm) {
              static_cast<void>(guest.Invoke("run"));
            } else {
              Crash::Now(by_stack);
            }
          },
          testing::ExitedWithCode(by_stack ? 43 : 42), "")
          << "below wasm: " << below_wasm << ", by the stack: " << by_stack;
    }
  }
}

}  // namespace
}  // namespace wasmd::engine

#endif  // WASMD_TEST_TSAN
