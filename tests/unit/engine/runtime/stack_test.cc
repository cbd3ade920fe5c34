// Deep recursion ends as a trap on every stack, and leaves host functions what they were promised.
#include <pthread.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "engine/wasm/limits.h"
#include "tests/support/on_thread.h"
#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

using tests::OnThread;

// The lowest address of this thread's stack that is no guard.
uint64_t ThreadStackLow() {
  pthread_attr_t attributes;
  void* low = nullptr;
  size_t size = 0;
  size_t guard = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_getguardsize(&attributes, &guard);
  pthread_attr_destroy(&attributes);
  return reinterpret_cast<uint64_t>(low) + guard;
}

class StackTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(StackTest);

// Frames of several sizes: small ones, ones with hundreds of locals, and leaves that make no check
// of their own.
constexpr std::string_view kRecursion = R"((module
    (import "host" "use_stack" (func $use_stack))
    (global $depth (export "depth") (mut i32) (i32.const 0))
    (func $count (global.set $depth (i32.add (global.get $depth) (i32.const 1))))
    (func $small (export "small") (call $count) (call $small))
    (func $many (export "many") (param i64 i64 i64 i64) (result i64)
      (local f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64)
      (call $count)
      (i64.add (call $many (local.get 1) (local.get 2) (local.get 3) (i64.add (local.get 0) (i64.const 1)))
               (local.get 0)))
    (func $even (param i32) (result i32) (call $count) (i32.add (call $odd (local.get 0)) (i32.const 1)))
    (func $odd (param i32) (result i32) (call $count) (i32.add (call $even (local.get 0)) (i32.const 2)))
    (func (export "mutual") (result i32) (call $even (i32.const 0)))
    (table 1 funcref) (elem (i32.const 0) $indirect)
    (func $indirect (export "indirect") (call $count) (call_indirect (i32.const 0)))
    (func $deep_host (export "deep_host") (call $count) (call $use_stack) (call $deep_host))))";

TestInstanceOptions Options() {
  TestInstanceOptions options;
  options.link = [](Linker& linker, Store&) {
    linker.DefineFunc("host", "use_stack", {{}, {}},
                      [](HostContext&, std::span<const Value>, std::span<Value>) {
                        // Most of what a host function may count on.
                        volatile char space[kHostStackReserveBytes * 3 / 4];
                        for (size_t i = 0; i < sizeof(space); i += 1024) {
                          space[i] = 1;
                        }
                        return HostResult::Ok();
                      });
  };
  return options;
}

TEST_P(StackTest, OverflowIsATrapOnEveryStackSize) {
  constexpr std::string_view kNames[] = {"small", "mutual", "indirect", "deep_host", "many"};
  const Value zero = Value::I64(0);
  const size_t thread_stacks[] = {0,  // This thread's.
                                  size_t{16} << 10,
                                  size_t{64} << 10,
                                  size_t{160} << 10,
                                  size_t{256} << 10,
                                  size_t{1} << 20,
                                  size_t{64} << 20};
  for (const size_t stack_bytes : thread_stacks) {
    for (const uint64_t wasm_stack_bytes : {kDefaultWasmStackBytes, uint64_t{1} << 40}) {
      TestInstanceOptions options = Options();
      options.store.wasm_stack_bytes = wasm_stack_bytes;
      TestInstance instance(kRecursion, GetParam(), options);
      // Only the calls happen on the small stack, not what the tests need around them.
      std::vector<Invoked> invoked(std::size(kNames));
      const auto call_all = [&] {
        for (size_t i = 0; i < std::size(kNames); ++i) {
          invoked[i] = i == 4 ? instance.Invoke(kNames[i], {zero, zero, zero, zero})
                              : instance.Invoke(kNames[i]);
        }
      };
      if (stack_bytes == 0) {
        call_all();
      } else {
        OnThread(stack_bytes, call_all);
      }
      for (size_t i = 0; i < std::size(kNames); ++i) {
        EXPECT_THAT(invoked[i], TrapsWith(TrapCode::kStackOverflow))
            << kNames[i] << " on " << stack_bytes;
      }
    }
  }
}

// At the deepest point a host function has the whole reserve, but for the frames that call it.
TEST_P(StackTest, AHostFunctionFindsTheReserve) {
  for (const size_t stack_bytes : {size_t{0}, size_t{256} << 10, size_t{64} << 20}) {
    uint64_t low = 0;
    uint64_t least = ~uint64_t{0};
    TestInstanceOptions options;
    options.store.wasm_stack_bytes = uint64_t{1} << 40;
    options.link = [&](Linker& linker, Store&) {
      linker.DefineFunc("host", "use_stack", {{}, {}},
                        [&](HostContext&, std::span<const Value>, std::span<Value>) {
                          const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
                          least = std::min(least, here - low);
                          return HostResult::Ok();
                        });
    };
    TestInstance instance(kRecursion, GetParam(), options);
    Invoked invoked;
    const auto call = [&] {
      low = ThreadStackLow();
      invoked = instance.Invoke("deep_host");
    };
    if (stack_bytes == 0) {
      call();
    } else {
      OnThread(stack_bytes, call);
    }
    EXPECT_THAT(invoked, TrapsWith(TrapCode::kStackOverflow)) << stack_bytes;
    EXPECT_GE(least + (16 << 10), kHostStackReserveBytes) << stack_bytes;
    EXPECT_LT(least, kHostStackReserveBytes * 3 / 2) << "it was called at the deepest point";
  }
}

TEST_P(StackTest, TheStoresLimitIsKept) {
  uint32_t depths[2] = {};
  for (int i = 0; i < 2; ++i) {
    TestInstanceOptions options = Options();
    options.store.wasm_stack_bytes = i == 0 ? 512 << 10 : 4 << 20;
    TestInstance instance(kRecursion, GetParam(), options);
    EXPECT_THAT(instance.Invoke("small"), TrapsWith(TrapCode::kStackOverflow));
    depths[i] = instance.instance().Global("depth")->Get().i32();
  }
  EXPECT_GT(depths[0], 100);
  EXPECT_GT(depths[1], depths[0] * 7);
  EXPECT_LT(depths[1], depths[0] * 9);
}

TEST_P(StackTest, NestedActivationsShareOneLimit) {
  TestInstanceOptions options;
  options.store.wasm_stack_bytes = 256 << 10;
  int deepest = 0;
  std::unique_ptr<TestInstance> instance;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc(
        "host", "again", {{ValType::kI32}, {ValType::kI32}},
        [&](HostContext&, std::span<const Value> args, std::span<Value> results) {
          deepest = std::max(deepest, static_cast<int>(args[0].i32()));
          const Invoked inner = instance->Invoke("down", {Value::I32(args[0].i32() + 1)});
          EXPECT_TRUE(inner.stop == nullptr || inner.trap()->code == TrapCode::kStackOverflow);
          results[0] = inner.stop == nullptr ? inner.values[0] : Value::I32(1);
          return HostResult::Ok();
        });
  };
  instance = std::make_unique<TestInstance>(
      R"((module (import "host" "again" (func $again (param i32) (result i32)))
      (func (export "down") (param i32) (result i32) (call $again (local.get 0)))))",
      GetParam(), options);
  // The innermost overflows, and everyone above returns.
  EXPECT_THAT(instance->Invoke("down", {Value::I32(0)}), Returns({Value::I32(1)}));
  EXPECT_GT(deepest, 20);
  EXPECT_LT(deepest, 3000);
}

}  // namespace
}  // namespace wasmd::engine
