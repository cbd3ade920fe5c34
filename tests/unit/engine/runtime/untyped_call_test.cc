// Calls with values through the stubs of their types: every class of value by register and by
// overflow cell, both ways; what is refused; traps, faults and interrupts at every instruction of a
// stub. Each call is made more than once: the first on a thread takes the slow way.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/code/code_map.h"
#include "engine/trap/handler_inside.h"
#include "tests/support/test_instance.h"

namespace {

thread_local uint64_t t_allocations = 0;

void* Allocate(size_t size) {
  ++t_allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}

}  // namespace

void* operator new(size_t size) {
  return Allocate(size);
}
void* operator new[](size_t size) {
  return Allocate(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  std::free(memory);
}

namespace wasmd::engine {
namespace {

using testing::HasSubstr;

class UntypedCallTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(UntypedCallTest);

constexpr ValType kTypes[] = {ValType::kI32, ValType::kI64,     ValType::kF32,
                              ValType::kF64, ValType::kFuncRef, ValType::kExternRef};

std::string Repeat(const std::vector<ValType>& types) {
  std::string text;
  for (const ValType type : types) {
    text += " " + std::string(ToString(type));
  }
  return text;
}

std::string Gets(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += " local.get " + std::to_string(i);
  }
  return text;
}

// Bits that differ in every byte, for the type.
Value Pattern(ValType type, uint64_t seed) {
  const uint64_t bits = 0x0102'0304'0506'0708 * (seed % 31 + 1);
  switch (type) {
    case ValType::kI32:
      return Value::I32(static_cast<uint32_t>(bits));
    case ValType::kF32:
      return Value::F32Bits(static_cast<uint32_t>(bits));
    default:
      return {type, bits};
  }
}

// 1 to 12 of one type, and mixtures of up to 40, as parameters and as results.
TEST_P(UntypedCallTest, EveryTypeInRegistersAndOverflowCells) {
  std::vector<std::vector<ValType>> signatures = {{}};
  for (const ValType type : kTypes) {
    for (size_t count = 1; count <= 12; ++count) {
      signatures.emplace_back(count, type);
    }
  }
  std::mt19937 random(7);
  for (int i = 0; i < 40; ++i) {
    std::vector<ValType>& mixed = signatures.emplace_back();
    for (auto left = random() % 41; left > 0; --left) {
      mixed.push_back(kTypes[random() % std::size(kTypes)]);
    }
  }
  for (const std::vector<ValType>& types : signatures) {
    const std::string list = Repeat(types);
    TestInstance instance("(module (func (export \"same\") (param" + list + ") (result" + list +
                              ")" + Gets(types.size()) + "))",
                          GetParam());
    const FuncHandle same = instance.Func("same");
    std::vector<Value> args;
    for (size_t i = 0; i < types.size(); ++i) {
      args.push_back(Pattern(types[i], i));
    }
    for (int round = 0; round < 3; ++round) {
      std::vector<Value> results(types.size(), {ValType::kBottom, ~uint64_t{0}, ~uint64_t{0}});
      const absl::StatusOr<Outcome<void>> outcome = same.Call(args, results);
      ASSERT_TRUE(outcome.ok() && outcome->ok()) << list;
      EXPECT_EQ(results, args) << list;
    }
    // In one place.
    std::vector<Value> values = args;
    const absl::StatusOr<Outcome<void>> outcome = same.Call(values, values);
    ASSERT_TRUE(outcome.ok() && outcome->ok());
    EXPECT_EQ(values, args) << list;
  }
}

TEST_P(UntypedCallTest, AsManyAsAFunctionMayHave) {
  std::vector<ValType> types;
  std::vector<Value> args;
  for (uint32_t i = 0; i < kMaxFuncParams; ++i) {
    types.push_back(kTypes[i * 7 % std::size(kTypes)]);
    args.push_back(Pattern(types.back(), i));
  }
  TestInstance instance("(module (func (export \"same\") (param" + Repeat(types) + ") (result" +
                            Repeat(types) + ")" + Gets(types.size()) + "))",
                        GetParam());
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(instance.Invoke("same", args), Returns(args));
  }
}

TEST_P(UntypedCallTest, UpperHalvesOfNarrowValuesDoNotCount) {
  TestInstanceOptions options;
  options.link = [](Linker& linker, Store&) {
    linker.DefineFunc("env", "wide", {{}, {ValType::kI32, ValType::kF32}},
                      [](HostContext&, std::span<const Value>, std::span<Value> results) {
                        results[0].bits = 0xffff'ffff'0000'0007;
                        results[1].bits = 0xffff'ffff'0000'0009;
                        return HostResult::Ok();
                      });
  };
  TestInstance instance(R"((module (import "env" "wide" (func $wide (result i32 f32)))
      (export "wide" (func $wide))
      (func (export "widen") (param i32) (result i64) (i64.extend_i32_u (local.get 0)))))",
                        GetParam(), options);
  for (int round = 0; round < 3; ++round) {
    EXPECT_THAT(instance.Invoke("widen", {Value{ValType::kI32, 0xffff'ffff'0000'0007}}),
                Returns({Value::I64(7u)}));
    // A host function straight from the host.
    EXPECT_THAT(instance.Invoke("wide"), Returns({Value::I32(7), Value::F32Bits(9)}));
  }
}

TEST_P(UntypedCallTest, RefusesWhatDoesNotFitAndCallsNothing) {
  TestInstance instance(R"((module (global $calls (export "calls") (mut i32) (i32.const 0))
      (func (export "f") (param i32 f64 externref) (result i64)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (i64.const 5))))",
                        GetParam());
  const FuncHandle f = instance.Func("f");
  const Value fit[] = {Value::I32(1), Value::F64(2), Value::ExternRef(3)};
  const auto refusal = [&](std::vector<Value> args, size_t room) {
    std::vector<Value> results(room);
    const absl::StatusOr<Outcome<void>> outcome = f.Call(args, results);
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(outcome.status().message());
  };
  for (int round = 0; round < 3; ++round) {
    const char type[] = "of type (func (param i32 f64 externref) (result i64))";
    EXPECT_THAT(refusal({}, 1), HasSubstr("0 arguments for a function " + std::string(type)));
    EXPECT_THAT(refusal({fit[0], fit[1]}, 1), HasSubstr("2 arguments"));
    EXPECT_THAT(refusal({fit[0], fit[1], fit[2], fit[2]}, 1), HasSubstr("4 arguments"));
    EXPECT_THAT(refusal({fit[0], fit[1], fit[2]}, 0), HasSubstr("room for 0 results"));
    EXPECT_THAT(refusal({fit[0], fit[1], fit[2]}, 2), HasSubstr("room for 2 results"));
    EXPECT_THAT(refusal({Value::I64(1), fit[1], fit[2]}, 1), HasSubstr("argument 0 is i64:1"));
    EXPECT_THAT(refusal({fit[0], Value::F32(2), fit[2]}, 1), HasSubstr("argument 1 is f32:2"));
    EXPECT_THAT(refusal({fit[0], fit[1], Value::Null(ValType::kFuncRef)}, 1),
                HasSubstr("argument 2 is funcref:null"));
    EXPECT_EQ(instance.instance().Global("calls")->Get(), Value::I32(round));
    EXPECT_THAT(instance.Invoke("f", {fit[0], fit[1], fit[2]}), Returns({Value::I64(5)}));
  }
}

TEST_P(UntypedCallTest, TrapsHaveTheirFramesAndNoOthers) {
  TestInstanceOptions options;
  options.store.backtrace_frames = 3;
  TestInstance instance(R"((module (memory 1)
      (func $down (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
          (then (i32.div_u (i32.const 1) (local.get 0)))
          (else (call $down (i32.sub (local.get 0) (i32.const 1))))))
      (func (export "deep") (param i32) (result i32) (call $down (local.get 0)))
      (func $load (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "load") (param i32) (result i32) (call $load (local.get 0)))
      (func (export "leaf") (param i32) (result i32) (i32.div_u (i32.const 6) (local.get 0)))))",
                        GetParam(), options);
  for (int round = 0; round < 3; ++round) {
    const Invoked leaf = instance.Invoke("leaf", {Value::I32(0)});
    ASSERT_THAT(leaf, TrapsWith(TrapCode::kDivideByZero));
    ASSERT_EQ(leaf.trap()->backtrace.frames().size(), 1);
    EXPECT_EQ(leaf.trap()->backtrace.frames()[0].func_name, "leaf");
    EXPECT_EQ(leaf.trap()->backtrace.omitted_frames(), 0);
    EXPECT_THAT(instance.Invoke("leaf", {Value::I32(2)}), Returns({Value::I32(3)}));

    const Invoked fault = instance.Invoke("load", {Value::I32(65533)});
    ASSERT_THAT(fault, TrapsWith(TrapCode::kMemoryOutOfBounds));
    ASSERT_EQ(fault.trap()->backtrace.frames().size(), 2);
    EXPECT_EQ(fault.trap()->backtrace.frames()[1].func_name, "load");

    for (uint32_t depth = 0; depth < 6; ++depth) {
      const Invoked deep = instance.Invoke("deep", {Value::I32(depth)});
      ASSERT_THAT(deep, TrapsWith(TrapCode::kDivideByZero));
      const Backtrace& backtrace = deep.trap()->backtrace;
      EXPECT_EQ(backtrace.frames().size(), std::min(depth + 2, 3u));
      EXPECT_EQ(backtrace.frames().size() + backtrace.omitted_frames(), depth + 2) << "no stub's";
    }
  }
}

// Host → wasm → host → …, each level by an untyped call, and each trap at its own caller.
TEST_P(UntypedCallTest, NestsToAnyDepth) {
  const FuncHandle* entry = nullptr;
  std::vector<TrapCode> seen;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc("env", "again", {{ValType::kI32, ValType::kF64}, {ValType::kF64}},
                      [&](HostContext&, std::span<const Value> args, std::span<Value> results) {
                        const Value inner[] = {Value::I32(args[0].i32() - 1), args[1]};
                        const absl::StatusOr<Outcome<void>> outcome = entry->Call(inner, results);
                        if (!outcome.ok()) {
                          return HostResult::Error(std::string(outcome.status().message()));
                        }
                        if (const Trap* trap = outcome->trap()) {
                          seen.push_back(trap->code);
                          results[0] = Value::F64(0.5);
                        }
                        return HostResult::Ok();
                      });
  };
  TestInstance instance(R"((module (import "env" "again" (func $again (param i32 f64) (result f64)))
      (func (export "entry") (param i32 f64) (result f64)
        (if (i32.eqz (local.get 0)) (then unreachable))
        (f64.add (f64.const 1) (call $again (local.get 0) (local.get 1))))))",
                        GetParam(), options);
  const FuncHandle func = instance.Func("entry");
  entry = &func;
  for (const uint32_t depth : {1u, 2u, 50u}) {
    seen.clear();
    EXPECT_THAT(instance.Invoke("entry", {Value::I32(depth), Value::F64(0)}),
                Returns({Value::F64(depth + 0.5)}));
    EXPECT_EQ(seen, std::vector<TrapCode>{TrapCode::kUnreachable});
  }
}

TEST_P(UntypedCallTest, AMillionCallsAllocateNothing) {
  TestInstance instance(R"((module
      (func (export "add") (param i32 i64 f32 f64 i32 i32 i32 i32) (result f64 i64 i32 i32)
        (local.get 3) (local.get 1) (local.get 0) (local.get 7))))",
                        GetParam());
  const FuncHandle add = instance.Func("add");
  Value args[] = {Value::I32(1), Value::I64(2), Value::F32(3), Value::F64(4),
                  Value::I32(5), Value::I32(6), Value::I32(7), Value::I32(8)};
  Value results[4];
  uint64_t sum = 0;
  const auto call = [&](uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      args[7] = Value::I32(i);
      const absl::StatusOr<Outcome<void>> outcome = add.Call(args, results);
      if (!outcome.ok() || !outcome->ok()) {
        return false;
      }
      sum += results[3].i32();
    }
    return true;
  };
  ASSERT_TRUE(call(2));
  sum = 0;
  const uint64_t before = t_allocations;
  ASSERT_TRUE(call(1'000'000));
  EXPECT_EQ(t_allocations, before);
  EXPECT_EQ(sum, uint64_t{999'999} * 1'000'000 / 2);
}

// A stub is made once, by whoever is first.
TEST_P(UntypedCallTest, ThreadsCallANewTypeAtOnce) {
  for (int round = 0; round < 20; ++round) {
    // A type that nobody had before.
    std::vector<ValType> types(static_cast<size_t>(20 + round), ValType::kI64);
    types.push_back(ValType::kF32);
    const auto module =
        LoadWat("(module (func (export \"last\") (param" + Repeat(types) +
                    ") (result f32) (local.get " + std::to_string(types.size() - 1) + ")))",
                GetParam());
    std::vector<Value> args(types.size(), Value::I64(1));
    args.back() = Value::F32(0.25F);
    std::atomic<int> waiting{4};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        TestInstance instance(module);
        --waiting;
        while (waiting != 0) {
        }
        for (int call = 0; call < 10; ++call) {
          EXPECT_THAT(instance.Invoke("last", args), Returns({Value::F32(0.25F)}));
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
}

// The interrupt comes before each single instruction of a call in turn: in the stub, in the
// function, and in the host's code before and after.
std::atomic<int> g_steps_left{-1};
std::atomic<int> g_steps{0};
std::atomic<bool> g_in_stub{false};
const InterruptHandle* g_handle = nullptr;
constexpr greg_t kTrapFlag = 0x100;

void CountStep(int, siginfo_t*, void* context) {
  auto* const machine = static_cast<ucontext_t*>(context);
  ++g_steps;
  if (g_steps_left.fetch_sub(1) == 0) {
    const auto pc = static_cast<uint64_t>(machine->uc_mcontext.gregs[REG_RIP]);
    g_in_stub = IsGeneratedCode(pc) && CodeOwner(pc) == nullptr;
    machine->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
    g_handle->Interrupt(InterruptReason::kCancel);
  }
}

[[gnu::noinline]] absl::StatusOr<Outcome<void>> CallStepwise(const FuncHandle& func,
                                                             std::span<const Value> args,
                                                             std::span<Value> results) {
  asm volatile(
      "lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
          : "cc", "memory");
  absl::StatusOr<Outcome<void>> outcome = func.Call(args, results);
  asm volatile(
      "lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
          : "cc", "memory");
  return outcome;
}

TEST_P(UntypedCallTest, AnInterruptAtEveryInstruction) {
  struct sigaction step = {};
  struct sigaction before = {};
  step.sa_sigaction = CountStep;
  step.sa_flags = SA_SIGINFO;
  sigemptyset(&step.sa_mask);
  sigaddset(&step.sa_mask, kInterruptSignal);  // It comes when the handler has ended.
  ASSERT_EQ(sigaction(SIGTRAP, &step, &before), 0);
  const auto module = LoadWat(R"((module
      (func (export "f") (param i32 i32 i32 i32 i32 i32 f32) (result i32 f32 i32 i32)
        (local.get 5) (local.get 6) (local.get 1) (local.get 0))))",
                              GetParam());
  const std::vector<Value> args = {Value::I32(1), Value::I32(2), Value::I32(3),  Value::I32(4),
                                   Value::I32(5), Value::I32(6), Value::F32(0.5)};
  const std::vector<Value> expected = {Value::I32(6), Value::F32(0.5), Value::I32(2),
                                       Value::I32(1)};
  int stub_steps = 0;
  int interrupted = 0;
  bool reached = true;
  for (int at = 0; reached; ++at) {
    ASSERT_LT(at, 100'000);
    TestInstance instance(module);
    const FuncHandle f = instance.Func("f");
    std::vector<Value> results(4);
    {
      const absl::StatusOr<Outcome<void>> first = f.Call(args, results);  // Binds the store.
      ASSERT_TRUE(first.ok() && first->ok());
    }
    const InterruptHandle handle = instance.store().ArmInterrupt();
    g_handle = &handle;
    g_in_stub = false;
    g_steps = 0;
    g_steps_left = at;
    const absl::StatusOr<Outcome<void>> outcome = CallStepwise(f, args, results);
    reached = g_steps_left < 0;
    g_steps_left = -1;
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    if (outcome->ok()) {
      EXPECT_FALSE(g_in_stub) << "lost at step " << at;
      EXPECT_EQ(results, expected) << at;
    } else {
      ASSERT_NE(outcome->interrupt(), nullptr) << at;
      EXPECT_EQ(outcome->interrupt()->reason, InterruptReason::kCancel);
      EXPECT_EQ(instance.store().is_abandoned(), outcome->interrupt()->store_abandoned);
      if (g_in_stub) {
        EXPECT_TRUE(outcome->interrupt()->store_abandoned);
        EXPECT_TRUE(outcome->interrupt()->backtrace.frames().empty());
      }
      ++interrupted;
    }
    stub_steps += g_in_stub ? 1 : 0;
  }
  sigaction(SIGTRAP, &before, nullptr);
  // Seven tags compared, seven arguments passed, four results with tags.
  EXPECT_GT(stub_steps, 14 + 7 + 8);
  EXPECT_GT(interrupted, stub_steps);
}

// What the caller points at is touched by the stub; that it is not there is the host's own fault,
// and reaches the host's own handler with the true address, on the slow way and on the short one.
void* g_no_memory = nullptr;

void ExpectOwnFault(int, siginfo_t* info, void*) {
  _exit(info->si_addr == g_no_memory ? 42 : 43);
}

class UntypedCallDeathTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(SlowAndFast, UntypedCallDeathTest, testing::Values(0, 2));

void CallWithoutMemory(int good_calls, bool is_argument) {
  struct sigaction own = {};
  own.sa_sigaction = ExpectOwnFault;
  own.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &own, nullptr);
  TestInstance instance("(module (func (export \"f\") (param i32) (result i32) (local.get 0)))");
  const FuncHandle f = instance.Func("f");
  Value value[] = {Value::I32(1)};
  for (int i = 0; i < good_calls; ++i) {
    static_cast<void>(f.Call(value, value));
  }
  g_no_memory = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const std::span<Value> bad(static_cast<Value*>(g_no_memory), 1);
  static_cast<void>(is_argument ? f.Call(bad, value) : f.Call(value, bad));
}

TEST_P(UntypedCallDeathTest, AFaultInTheStubIsTheHosts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // A process whose engine comes second.
  EXPECT_EXIT(CallWithoutMemory(GetParam(), true), testing::ExitedWithCode(42), "");
  EXPECT_EXIT(CallWithoutMemory(GetParam(), false), testing::ExitedWithCode(42), "");
}

TEST(UntypedCallEndTest, CodeMemoryIsSpent) {
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create({.code_bytes = 0});
  ASSERT_TRUE(engine.ok());
  Store store((*engine)->runtime());
  const FuncHandle func = store.CreateFunc(
      {}, [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
  EXPECT_EQ(func.Call({}, {}).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace wasmd::engine
