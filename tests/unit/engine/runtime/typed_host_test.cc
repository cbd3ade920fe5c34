// Host functions with C++ types: every type in every place, failures and exceptions, interrupts,
// and calls back into wasm. Each is called by wasm, by a table, and straight from the host, more
// than once: the first call on a thread takes the slow way.
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

class TypedHostTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(TypedHostTest);

template <typename Signature>
TypedFunc<Signature> Typed(TestInstance& instance, std::string_view name) {
  const auto found = instance.instance().TypedFunc<Signature>(name);
  EXPECT_TRUE(found.ok()) << found.status();
  return *found;
}

std::string List(const char* what, const std::vector<ValType>& types) {
  std::string text = std::string(" (") + what;
  for (const ValType type : types) {
    text += " " + std::string(ToString(type));
  }
  return text + ")";
}

// Imports host.f, of that type, and calls it in three ways.
std::string Caller(const FuncType& type) {
  const std::string signature = List("param", type.params) + List("result", type.results);
  std::string gets;
  for (size_t i = 0; i < type.params.size(); ++i) {
    gets += " local.get " + std::to_string(i);
  }
  return "(module (type $type (func" + signature +
         ")) (import \"host\" \"f\" (func $f (type $type))) (table (export \"table\") 2 funcref)"
         " (elem (i32.const 0) $f) (memory 1) (export \"direct\" (func $f))"
         " (func (export \"run\")" +
         signature + gets + " call $f) (func (export \"by_table\")" + signature + gets +
         " i32.const 0 call_indirect (type $type)))";
}
constexpr std::string_view kWays[] = {"run", "by_table", "direct"};

template <typename Callable>
TestInstanceOptions With(Callable callable) {
  TestInstanceOptions options;
  options.link = [callable](Linker& linker, Store&) { linker.DefineTyped("host", "f", callable); };
  return options;
}

template <typename Signature>
struct Case;
template <typename R, typename... Args>
struct Case<R(Args...)> {
  // The host function gets `args` and gives `result`.
  static void Check(Tier tier, R result, Args... args) {
    const FuncType type = TypedFunc<R(Args...)>::type();
    SCOPED_TRACE(ToString(type));
    int calls = 0;
    const auto callable = [&calls, result, wanted = std::tuple(args...)](Args... got) {
      ++calls;
      EXPECT_EQ(std::tuple(got...), wanted);
      return result;
    };
    TestInstance instance(Caller(type), tier, With(callable));
    for (int round = 1; round <= 3; ++round) {
      for (const std::string_view way : kWays) {
        const Outcome<R> outcome = Typed<R(Args...)>(instance, way)(args...);
        ASSERT_TRUE(outcome.ok()) << ToString(outcome.stop());
        EXPECT_EQ(*outcome, result) << way;
      }
      EXPECT_EQ(calls, 3 * round);
    }
  }
};

TEST_P(TypedHostTest, EachType) {
  FuncRef ref;
  const ExternRefWord word = {0x0123'4567'89ab'cdef};
  Case<int32_t(int32_t)>::Check(GetParam(), -5, -7);
  Case<uint32_t(uint32_t)>::Check(GetParam(), 0xffff'fffe, 0x8000'0001);
  Case<int64_t(int64_t)>::Check(GetParam(), -5, int64_t{-7} << 40);
  Case<uint64_t(uint64_t)>::Check(GetParam(), ~uint64_t{0}, uint64_t{1} << 63);
  Case<float(float)>::Check(GetParam(), -0.5F, 1e30F);
  Case<double(double)>::Check(GetParam(), -0.5, 1e300);
  Case<FuncRef*(FuncRef*)>::Check(GetParam(), nullptr, &ref);
  Case<FuncRef*(FuncRef*)>::Check(GetParam(), &ref, nullptr);
  Case<ExternRefWord(ExternRefWord)>::Check(GetParam(), word, {~word.word});
}

TEST_P(TypedHostTest, ResultsInRegistersAndOverflowCells) {
  const Tier tier = GetParam();
  Case<std::tuple<int32_t>()>::Check(tier, {-1});
  Case<std::tuple<int32_t, int64_t>()>::Check(tier, {-1, -2});
  Case<std::tuple<float, float>()>::Check(tier, {1.5F, 2.5F});
  Case<std::tuple<float, double>()>::Check(tier, {1.5F, 2.5});
  Case<std::tuple<double, float>()>::Check(tier, {1.5, 2.5F});
  Case<std::tuple<double, double>()>::Check(tier, {1.5, 2.5});
  Case<std::tuple<int32_t, float>()>::Check(tier, {-1, 2.5F});
  Case<std::tuple<float, int64_t>()>::Check(tier, {1.5F, -2});
  Case<std::tuple<double, int32_t>()>::Check(tier, {1.5, -2});
  // More than C++ returns in registers.
  Case<std::tuple<int32_t, int64_t, float>()>::Check(tier, {-1, -2, 3.5F});
  Case<std::tuple<double, int64_t, double>()>::Check(tier, {1.5, -2, 3.5});
  Case<std::tuple<float, int32_t, double, int64_t>()>::Check(tier, {1.5F, -2, 3.5, -4});
  // More than fit.
  Case<std::tuple<int64_t, int64_t, int64_t>()>::Check(tier, {-1, -2, -3});
  Case<std::tuple<float, float, float>()>::Check(tier, {1.5F, 2.5F, 3.5F});
  Case<std::tuple<int32_t, double, int32_t, double, int32_t, double, ExternRefWord>()>::Check(
      tier, {-1, 2.5, -3, 4.5, -5, 6.5, ExternRefWord{7}});
}

TEST_P(TypedHostTest, ParametersInRegistersAndOverflowCells) {
  const Tier tier = GetParam();
  Case<int64_t(int64_t, int32_t, int64_t, int32_t, int64_t)>::Check(tier, 0, 1, -2, 3, -4, 5);
  Case<int64_t(int64_t, int32_t, int64_t, int32_t, int64_t, int32_t, int64_t,
               ExternRefWord)>::Check(tier, 0, 1, -2, 3, -4, 5, -6, int64_t{7} << 40, {8});
  Case<float(float, double, float, double, float, double, float, double)>::Check(tier, 0.5F, 1, 2,
                                                                                 3, 4, 5, 6, 7, 8);
  Case<float(float, double, float, double, float, double, float, double, float, double)>::Check(
      tier, 0.5F, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  Case<std::tuple<int32_t, float, int64_t, double, int32_t, float>(
      int32_t, float, int64_t, double, int32_t, float, int64_t, double, int32_t, float, int64_t,
      double, int32_t, float, int64_t, double, int32_t, float, int64_t,
      double)>::Check(tier, {-1, 2.5F, -3, 4.5, -5, 6.5F}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                      13, 14, 15, 16, 17, 18, 19, 20);
}

TEST_P(TypedHostTest, NarrowResultsAreZeroExtendedAndNanPayloadsKept) {
  TestInstance instance(R"((module (import "host" "f" (func $f (param f32) (result i32)))
      (func (export "widen") (param f32) (result i64) (i64.extend_i32_u (call $f (local.get 0))))))",
                        GetParam(),
                        With([](float value) { return std::bit_cast<int32_t>(value); }));
  const auto widen = Typed<int64_t(float)>(instance, "widen");
  for (const uint32_t bits : {0xffa0'0001u, 0x7f80'0001u, 0x8000'0000u}) {
    EXPECT_EQ(*widen(std::bit_cast<float>(bits)), int64_t{bits});
  }
}

int32_t Twice(int32_t n) {
  return 2 * n;
}
int32_t TwiceNoexcept(int32_t n) noexcept {
  return 2 * n;
}
struct Functor {
  int32_t operator()(int32_t n) const { return factor * n; }
  int32_t factor;
};

TEST_P(TypedHostTest, EveryKindOfCallable) {
  const auto alive = std::make_shared<int>(2);
  {
    Linker linker;
    linker.DefineTyped("host", "0", Twice);
    linker.DefineTyped("host", "1", &TwiceNoexcept);
    linker.DefineTyped("host", "2", Functor{2});
    linker.DefineTyped("host", "3", [](int32_t n) noexcept { return 2 * n; });
    linker.DefineTyped("host", "4", std::function<int32_t(int32_t)>(Twice));
    linker.DefineTyped<int32_t(int32_t)>("host", "5", [](auto n) { return 2 * n; });
    linker.DefineTyped("host", "6", [alive](int32_t n) { return *alive * n; });
    linker.DefineTyped("host", "7", [](HostContext&, int32_t n) { return 2 * n; });
    linker.DefineTyped<int32_t(HostContext&, int32_t)>("host", "8",
                                                       [](auto&, auto n) { return 2 * n; });
    Store store(TestEngine().runtime());
    for (int i = 0; i <= 8; ++i) {
      const std::string name = std::to_string(i);
      const auto made = linker.Instantiate(
          store, LoadWat("(module (import \"host\" \"" + name +
                             "\" (func $f (param i32) (result i32))) (func (export \"run\") (param "
                             "i32) (result i32) (call $f (local.get 0))))",
                         GetParam()));
      ASSERT_TRUE(made.ok()) << made.status();
      EXPECT_EQ(*(*made->instance->TypedFunc<int32_t(int32_t)>("run"))(21), 42) << i;
    }
    linker = Linker();
    EXPECT_GT(alive.use_count(), 1) << "the store calls it";
  }
  EXPECT_EQ(alive.use_count(), 1);
}

TEST_P(TypedHostTest, TypesAreCheckedWhenLinked) {
  Linker linker;
  linker.DefineTyped("host", "f",
                     [](HostContext&, int32_t, double) -> HostResultOr<float> { return 1.0F; });
  Store store(TestEngine().runtime());
  EXPECT_TRUE(
      linker
          .Instantiate(
              store, LoadWat(R"((module (import "host" "f" (func (param i32 f64) (result f32)))))",
                             GetParam()))
          .ok());
  const auto wrong = linker.Instantiate(
      store,
      LoadWat(R"((module (import "host" "f" (func (param i32) (result f32)))))", GetParam()));
  EXPECT_THAT(std::string(wrong.status().message()),
              testing::HasSubstr("there is (func (param i32 f64) (result f32))"));
}

TEST_P(TypedHostTest, SeesTheImportersMemory) {
  const auto peek = [](HostContext& context, uint32_t at) -> HostResultOr<uint32_t> {
    const auto bytes = context.MemoryRange(at, 4);
    if (!bytes.ok()) {
      return HostResult::Trap(TrapCode::kMemoryOutOfBounds);
    }
    uint32_t word = 0;
    std::memcpy(&word, bytes->data(), sizeof(word));
    return word;
  };
  TestInstance instance(R"((module (import "host" "f" (func $peek (param i32) (result i32)))
      (memory 1) (data (i32.const 100) "\2a\00\00\00") (export "direct" (func $peek))
      (func (export "run") (param i32) (result i32) (call $peek (local.get 0)))))",
                        GetParam(), With(peek));
  for (int round = 0; round < 3; ++round) {
    for (const std::string_view way : {"run", "direct"}) {
      const auto call = Typed<uint32_t(uint32_t)>(instance, way);
      EXPECT_EQ(*call(100), 42);
      ASSERT_NE(call(65'533).trap(), nullptr);
      EXPECT_EQ(call(65'533).trap()->code, TrapCode::kMemoryOutOfBounds);
      EXPECT_THAT(instance.Invoke(way, {Value::I32(100)}), Returns({Value::I32(42)}));
      EXPECT_THAT(instance.Invoke(way, {Value::I32(-1)}), TrapsWith(TrapCode::kMemoryOutOfBounds));
    }
  }
}

// A scope that must be closed, whichever way its function ends.
class Scope {
 public:
  explicit Scope(int& open) : open_(open) { ++open_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { --open_; }

 private:
  int& open_;
};

HostResult Fail(int32_t how) {
  switch (how) {
    case 0:
      return HostResult::Ok();
    case 1:
      return HostResult::Trap(TrapCode::kIndirectCallToNull);
    case 2:
      return HostResult::Error("the disk is full");
    case 3:
      return HostResult::Exit(77);
    case 4:
      return HostResult::Interrupted();
    case 5:
      throw std::out_of_range("far out");
    default:
      throw 5;
  }
}

void ExpectFailure(int32_t how, const outcome_internal::StopHolder& outcome) {
  SCOPED_TRACE(how);
  if (how == 0) {
    EXPECT_TRUE(outcome.ok());
    return;
  }
  ASSERT_FALSE(outcome.ok());
  if (how == 3) {
    ASSERT_NE(outcome.exit(), nullptr);
    EXPECT_EQ(outcome.exit()->code, 77);
    return;
  }
  ASSERT_NE(outcome.trap(), nullptr);
  EXPECT_EQ(outcome.trap()->code, how == 1 ? TrapCode::kIndirectCallToNull : TrapCode::kHostError);
  const char* messages[] = {"",
                            "uninitialized element",
                            "the disk is full",
                            "",
                            "a host function says that it was interrupted, and nobody did",
                            "far out",
                            "a host function threw something that is no std::exception"};
  EXPECT_EQ(outcome.trap()->message, messages[how]);
}

TEST_P(TypedHostTest, EveryFailure) {
  int open = 0;
  using Wide = std::tuple<int64_t, double, int64_t, double, int64_t>;
  const auto nothing = [&open](int32_t how) -> HostResult {
    const Scope scope(open);
    return Fail(how);
  };
  const auto one = [&open](int32_t how) -> HostResultOr<int32_t> {
    const Scope scope(open);
    if (HostResult result = Fail(how); !result.ok()) {
      return result;
    }
    return 8;
  };
  const auto wide = [&open](int32_t how) -> HostResultOr<Wide> {
    const Scope scope(open);
    if (HostResult result = Fail(how); !result.ok()) {
      return result;
    }
    return Wide(1, 2, 3, 4, 5);
  };
  TestInstance of_nothing(Caller({{ValType::kI32}, {}}), GetParam(), With(nothing));
  TestInstance of_one(Caller({{ValType::kI32}, {ValType::kI32}}), GetParam(), With(one));
  TestInstance of_wide(Caller(TypedFunc<Wide(int32_t)>::type()), GetParam(), With(wide));
  for (int round = 0; round < 3; ++round) {
    for (const std::string_view way : kWays) {
      SCOPED_TRACE(way);
      for (int32_t how = 0; how <= 6; ++how) {
        ExpectFailure(how, Typed<void(int32_t)>(of_nothing, way)(how));
        ExpectFailure(how, Typed<int32_t(int32_t)>(of_one, way)(how));
        ExpectFailure(how, Typed<Wide(int32_t)>(of_wide, way)(how));
        Value results[5];
        const Value args[] = {Value::I32(how)};
        ExpectFailure(how, *of_nothing.Func(way).Call(args, {}));
        ExpectFailure(how, *of_one.Func(way).Call(args, std::span(results, 1)));
        ExpectFailure(how, *of_wide.Func(way).Call(args, results));
        EXPECT_EQ(open, 0);
      }
    }
  }
}

// What a function without a way to fail throws, and one with values.
TEST_P(TypedHostTest, Exceptions) {
  int open = 0;
  const auto sum = [&open](int64_t a, double b) -> double {
    const Scope scope(open);
    if (a == 0) {
      throw std::runtime_error("nothing to add");
    }
    return static_cast<double>(a) + b;
  };
  TestInstance typed(Caller({{ValType::kI64, ValType::kF64}, {ValType::kF64}}), GetParam(),
                     With(sum));
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineFunc("host", "f", {{ValType::kI64, ValType::kF64}, {ValType::kF64}},
                      [&](HostContext&, std::span<const Value> args, std::span<Value> results) {
                        results[0] =
                            Value::F64(sum(static_cast<int64_t>(args[0].i64()), args[1].f64()));
                        return HostResult::Ok();
                      });
  };
  TestInstance untyped(Caller({{ValType::kI64, ValType::kF64}, {ValType::kF64}}), GetParam(),
                       options);
  for (TestInstance* instance : {&typed, &untyped}) {
    for (int round = 0; round < 3; ++round) {
      for (const std::string_view way : kWays) {
        const auto call = Typed<double(int64_t, double)>(*instance, way);
        EXPECT_EQ(*call(2, 0.5), 2.5);
        const Outcome<double> thrown = call(0, 0.5);
        ASSERT_NE(thrown.trap(), nullptr);
        EXPECT_EQ(thrown.trap()->code, TrapCode::kHostError);
        EXPECT_EQ(thrown.trap()->message, "nothing to add");
        EXPECT_EQ(open, 0);
      }
    }
  }
}

TEST_P(TypedHostTest, ABacktraceBeginsAtTheCaller) {
  TestInstance instance(R"((module (import "host" "f" (func $f (param i32)))
      (func $inner (export "inner") (param i32) (call $f (local.get 0)))
      (func (export "outer") (param i32) (call $inner (local.get 0)))))",
                        GetParam(), With([](int32_t how) { return Fail(how); }));
  for (const int32_t how : {1, 2, 5}) {
    const Outcome<void> outcome = Typed<void(int32_t)>(instance, "outer")(how);
    ASSERT_NE(outcome.trap(), nullptr);
    const std::vector<BacktraceFrame> frames = outcome.trap()->backtrace.frames();
    ASSERT_EQ(frames.size(), 2);
    EXPECT_EQ(frames[0].func_name, "inner");
    EXPECT_EQ(frames[1].func_name, "outer");
  }
}

// An interrupt that comes while the host function runs ends the invocation when it returns, however
// it does; only an exit comes before.
TEST_P(TypedHostTest, AnInterruptWhileInside) {
  using Wide = std::tuple<int32_t, int64_t, float>;
  for (const bool wide : {false, true}) {
    for (const std::string_view way : kWays) {
      for (int32_t how = 0; how <= 6; ++how) {
        SCOPED_TRACE(std::string(way) + " " + std::to_string(how));
        InterruptHandle handle;
        const auto one = [&](int32_t n) -> HostResultOr<int32_t> {
          handle.Interrupt(InterruptReason::kCancel);
          if (HostResult result = Fail(n); !result.ok()) {
            return result;
          }
          return 8;
        };
        const auto three = [&](int32_t n) -> HostResultOr<Wide> {
          handle.Interrupt(InterruptReason::kCancel);
          if (HostResult result = Fail(n); !result.ok()) {
            return result;
          }
          return Wide(1, 2, 3);
        };
        TestInstance instance =
            wide ? TestInstance(Caller(TypedFunc<Wide(int32_t)>::type()), GetParam(), With(three))
                 : TestInstance(Caller(TypedFunc<int32_t(int32_t)>::type()), GetParam(), With(one));
        // The first call on the thread takes the slow way, and the second the short one.
        static_cast<void>(instance.Invoke(way, {Value::I32(1)}));
        handle = instance.store().ArmInterrupt();
        const Invoked invoked = instance.Invoke(way, {Value::I32(how)});
        if (how == 3) {
          ASSERT_NE(invoked.exit(), nullptr);
        } else {
          EXPECT_THAT(invoked, InterruptedBy(InterruptReason::kCancel));
        }
      }
    }
  }
}

// host → wasm → host → …: of the same store and of another by turns. Each level of wasm ends by a
// trap of its own, which its own caller sees.
TEST_P(TypedHostTest, CallsBackIntoWasm) {
  constexpr int32_t kDepth = 40;
  TestInstance* stores[2] = {};
  int traps = 0;
  const auto again = [&](HostContext&, int32_t level, int64_t a, int64_t b, int64_t c, int64_t d,
                         int64_t in_cell) -> std::tuple<int64_t, int64_t, int64_t, int64_t> {
    if (level != 0) {
      const Outcome<int64_t> inner =
          Typed<int64_t(int32_t)>(*stores[level / 3 % 2], "level")(level - 1);
      traps += inner.trap() != nullptr && inner.trap()->code == TrapCode::kDivideByZero;
    }
    // What came in overflow cells is as it was, though inner calls have used them.
    return {a + level, b, c + d, in_cell + level};
  };
  constexpr std::string_view kLevels = R"((module
      (import "host" "f" (func $again (param i32 i64 i64 i64 i64 i64) (result i64 i64 i64 i64)))
      (global (export "sum") (mut i64) (i64.const 0))
      (func (export "level") (param i32) (result i64)
        (call $again (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5))
        i64.add i64.add i64.add
        global.get 0 i64.add global.set 0
        (i64.div_u (i64.const 1) (i64.const 0)))))";
  TestInstance first(kLevels, GetParam(), With(again));
  TestInstance second(kLevels, GetParam(), With(again));
  stores[0] = &first;
  stores[1] = &second;
  const auto level = Typed<int64_t(int32_t)>(first, "level");
  for (int round = 1; round <= 3; ++round) {
    const Outcome<int64_t> outermost = level(kDepth);
    ASSERT_NE(outermost.trap(), nullptr);
    EXPECT_EQ(outermost.trap()->code, TrapCode::kDivideByZero);
    EXPECT_EQ(traps, kDepth * round);
    int64_t sum = 0;
    for (int32_t i = 0; i <= kDepth; ++i) {
      sum += 15 + 2 * i;
    }
    EXPECT_EQ(
        first.instance().Global("sum")->Get().i64() + second.instance().Global("sum")->Get().i64(),
        static_cast<uint64_t>(sum * round));
  }
}

// The host function fails behind a call back into wasm that trapped, with another failure.
TEST_P(TypedHostTest, FailsBehindAnInnerTrap) {
  TestInstance* self = nullptr;
  const auto outer = [&](int32_t how) -> HostResult {
    const Outcome<void> inner = Typed<void()>(*self, "inner")();
    EXPECT_NE(inner.trap(), nullptr);
    return Fail(how);
  };
  TestInstance instance(R"((module (import "host" "f" (func $f (param i32))) (memory 1)
      (func (export "inner") (drop (i32.load (i32.const -4))))
      (func (export "run") (param i32) (call $f (local.get 0)))))",
                        GetParam(), With(outer));
  self = &instance;
  for (int round = 0; round < 3; ++round) {
    for (int32_t how = 0; how <= 6; ++how) {
      ExpectFailure(how, Typed<void(int32_t)>(instance, "run")(how));
    }
  }
}

TEST_P(TypedHostTest, AsAReferenceThatNobodyImports) {
  const auto half = [](HostContext& context, int32_t n) -> HostResultOr<int32_t> {
    EXPECT_EQ(context.instance(), nullptr);
    if (n % 2 != 0) {
      return HostResult::Error("odd");
    }
    return n / 2;
  };
  TestInstance instance(Caller({{ValType::kI32}, {ValType::kI32}}), GetParam(),
                        With([](int32_t n) { return n; }));
  const FuncHandle loose = instance.store().CreateTypedFunc(half);
  const FuncHandle other =
      instance.store().CreateTypedFunc<int64_t(int32_t)>([](auto n) { return int64_t{n}; });
  const TableHandle table = *instance.instance().Table("table");
  const auto by_table = Typed<int32_t(int32_t)>(instance, "by_table");
  const auto direct = *loose.Typed<int32_t(int32_t)>();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(table.Set(0, loose.AsValue()).ok());
    EXPECT_EQ(*by_table(8), 4);
    EXPECT_EQ(*direct(8), 4);
    EXPECT_EQ(by_table(9).trap()->message, "odd");
    EXPECT_EQ(direct(9).trap()->message, "odd");
    ASSERT_TRUE(table.Set(0, other.AsValue()).ok());
    EXPECT_EQ(by_table(8).trap()->code, TrapCode::kBadSignature);
  }
}

}  // namespace
}  // namespace wasmd::engine
