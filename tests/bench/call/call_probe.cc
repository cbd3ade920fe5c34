// What a call between C++ and wasm costs, and a trap. One flat JSON object on stdout:
// "<name>_ns" is the minimum of the samples, "<name>_median_ns" their median.
//
// All are measured in one run and take turns, sample by sample, so that a disturbance of the
// machine falls on all of them.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

constexpr int kSamples = 25;
constexpr int kCalls = 200'000;
constexpr int kTraps = 500;

[[gnu::noinline]] void NativeNop() {
  asm volatile("");
}
[[gnu::noinline]] int32_t NativeAdd(int32_t a, int32_t b) {
  asm volatile("");
  return a + b;
}

template <typename T>
void Use(T value) {
  asm volatile("" : : "r"(value) : "memory");
}

struct Measured {
  const char* name;
  int calls;
  std::function<void(int)> run;
  std::vector<double> samples;
};

void* g_page = nullptr;

// The least that a handler can do about a fault: go on behind the faulting instruction.
void SkipFault(int, siginfo_t*, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] += 2;
}

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "call_probe: %s\n", what);
  std::exit(1);
}

int Main() {
  TestInstanceOptions options;
  options.store.backtrace_frames = 0;
  options.link = [](Linker& linker, Store&) {
    linker.DefineFunc(
        "env", "nop", FuncType{},
        [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
    linker.DefineTyped("env", "typed_nop", [] { asm volatile(""); });
  };
  TestInstance instance(R"((module (import "env" "nop" (func $untyped_host))
      (import "env" "typed_nop" (func $host)) (memory 1)
      (func $nop (export "nop"))
      (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
      (func (export "unreachable") unreachable)
      (func (export "fault") (result i32) i32.const -4 i32.load)
      (func (export "host_calls") (param i32)
        (loop call $host (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
      (func (export "untyped_host_calls") (param i32)
        (loop call $untyped_host (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
      (func (export "direct_calls") (param i32)
        (loop call $nop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))))",
                        Tier::kBaseline, options);
  Linker linker;
  linker.DefineInstance("exporter", instance.instance());
  const absl::StatusOr<Instantiation> importer =
      linker.Instantiate(instance.store(), LoadWat(R"((module (import "exporter" "nop" (func $nop))
      (func (export "import_calls") (param i32)
        (loop call $nop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))))"));
  if (!importer.ok() || importer->instance == nullptr) {
    Die("cannot instantiate the importer");
  }
  const auto nop = *instance.Func("nop").Typed<void()>();
  const auto add = *instance.Func("add").Typed<int32_t(int32_t, int32_t)>();
  const auto unreachable = *instance.Func("unreachable").Typed<void()>();
  const auto fault = *instance.Func("fault").Typed<int32_t()>();
  const auto host_calls = *instance.Func("host_calls").Typed<void(int32_t)>();
  const auto untyped_host_calls = *instance.Func("untyped_host_calls").Typed<void(int32_t)>();
  const auto direct_calls = *instance.Func("direct_calls").Typed<void(int32_t)>();
  const auto import_calls = *importer->instance->TypedFunc<void(int32_t)>("import_calls");
  const FuncHandle untyped_add = instance.Func("add");
  // A store that takes backtraces down, of one frame and of as many as it keeps.
  TestInstance traced(R"((module $traced (func (export "unreachable") unreachable)
      (func $down_with_a_long_name (export "down") (param i32)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (call $down_with_a_long_name (i32.sub (local.get 0) (i32.const 1))))))");
  const auto traced_unreachable = *traced.Func("unreachable").Typed<void()>();
  const auto traced_down = *traced.Func("down").Typed<void(int32_t)>();

  void (*native_nop)() = NativeNop;
  int32_t (*native_add)(int32_t, int32_t) = NativeAdd;
  std::vector<Measured> all;
  all.push_back({"native_indirect_nop",
                 kCalls,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     asm volatile("" : "+r"(native_nop));
                     native_nop();
                   }
                 },
                 {}});
  all.push_back({"native_indirect_add",
                 kCalls,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     asm volatile("" : "+r"(native_add));
                     Use(native_add(i, 3));
                   }
                 },
                 {}});
  all.push_back({"typed_nop",
                 kCalls,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     if (!nop().ok()) {
                       Die("nop trapped");
                     }
                   }
                 },
                 {}});
  all.push_back({"typed_add",
                 kCalls,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     const Outcome<int32_t> sum = add(i, 3);
                     if (!sum.ok()) {
                       Die("add trapped");
                     }
                     Use(*sum);
                   }
                 },
                 {}});
  all.push_back({"untyped_add",
                 kCalls,
                 [&](int calls) {
                   Value results[1];
                   for (int i = 0; i < calls; ++i) {
                     const Value args[] = {Value::I32(i), Value::I32(3)};
                     const auto outcome = untyped_add.Call(args, results);
                     if (!outcome.ok() || !outcome->ok()) {
                       Die("add trapped");
                     }
                     Use(results[0].bits);
                   }
                 },
                 {}});
  for (const auto& [name, loop] : {std::pair("wasm_to_host_nop", host_calls),
                                   std::pair("wasm_to_host_untyped_nop", untyped_host_calls),
                                   std::pair("wasm_to_wasm_direct_nop", direct_calls),
                                   std::pair("wasm_to_wasm_import_nop", import_calls)}) {
    all.push_back({name,
                   kCalls,
                   [loop](int calls) {
                     if (!loop(calls).ok()) {
                       Die("a loop of calls trapped");
                     }
                   },
                   {}});
  }
  all.push_back({"trap_branch",
                 kTraps,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     if (unreachable().trap() == nullptr) {
                       Die("unreachable did not trap");
                     }
                   }
                 },
                 {}});
  all.push_back({"trap_branch_backtrace",
                 kTraps,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     if (traced_unreachable().trap() == nullptr) {
                       Die("unreachable did not trap");
                     }
                   }
                 },
                 {}});
  all.push_back({"trap_deep_backtrace",
                 kTraps,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     if (traced_down(kMaxBacktraceFrames - 1).trap() == nullptr) {
                       Die("unreachable did not trap");
                     }
                   }
                 },
                 {}});
  all.push_back({"trap_fault",
                 kTraps,
                 [&](int calls) {
                   for (int i = 0; i < calls; ++i) {
                     if (fault().trap() == nullptr) {
                       Die("the load did not trap");
                     }
                   }
                 },
                 {}});
  all.push_back({"bare_signal",
                 kTraps,
                 [&](int calls) {
                   struct sigaction ours = {};
                   struct sigaction before = {};
                   ours.sa_sigaction = SkipFault;
                   ours.sa_flags = SA_SIGINFO;
                   sigaction(SIGSEGV, &ours, &before);
                   for (int i = 0; i < calls; ++i) {
                     asm volatile("movb (%0), %%al" : : "c"(g_page) : "rax", "memory");
                   }
                   sigaction(SIGSEGV, &before, nullptr);
                 },
                 {}});
  g_page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (g_page == MAP_FAILED) {
    Die("cannot map a page");
  }

  for (int sample = -1; sample < kSamples; ++sample) {  // The first warms up.
    for (Measured& measured : all) {
      const auto start = std::chrono::steady_clock::now();
      measured.run(measured.calls);
      const std::chrono::duration<double, std::nano> took =
          std::chrono::steady_clock::now() - start;
      if (sample >= 0) {
        measured.samples.push_back(took.count() / measured.calls);
      }
    }
  }
  std::string json = "{";
  for (Measured& measured : all) {
    std::sort(measured.samples.begin(), measured.samples.end());
    char text[160];
    std::snprintf(text, sizeof(text), "%s\"%s_ns\": %.3f, \"%s_median_ns\": %.3f",
                  json.size() == 1 ? "" : ", ", measured.name, measured.samples.front(),
                  measured.name, measured.samples[measured.samples.size() / 2]);
    json += text;
  }
  std::printf("%s}\n", json.c_str());
  return 0;
}

}  // namespace
}  // namespace wasmd::engine

int main() {
  return wasmd::engine::Main();
}
