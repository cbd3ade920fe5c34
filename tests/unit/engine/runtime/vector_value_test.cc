// Values of type v128 in and out of the engine: with C++ types, as Values, in globals and
// constants.
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

using testing::HasSubstr;

class VectorValueTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(VectorValueTest);

V128 Sample(uint64_t i) {
  return {uint64_t{0x0123'4567'89ab'cdef} * (i + 1), ~(uint64_t{0xfedc'ba98'7654'3210} + i)};
}

// Eight vectors find registers, and two of the results; a function that is not compiled yet gets
// them all whole.
TEST_P(VectorValueTest, TypedCalls) {
  std::string text = "(module (func (export \"reverse\") (param";
  constexpr int kCount = 10;
  for (int i = 0; i < kCount; ++i) {
    text += " v128";
  }
  text += " i64) (result v128 v128 v128 v128 i64)";
  for (const char* local : {"9", "8", "0", "3", "10"}) {
    text += std::string("(local.get ") + local + ")";
  }
  text += ") (func (export \"same\") (param v128) (result v128) (local.get 0)))";
  TestInstance instance(text, GetParam());
  using Results = std::tuple<V128, V128, V128, V128, int64_t>;
  const auto reverse =
      instance.Func("reverse")
          .Typed<Results(V128, V128, V128, V128, V128, V128, V128, V128, V128, V128, int64_t)>();
  ASSERT_TRUE(reverse.ok()) << reverse.status();
  const auto same = instance.Func("same").Typed<V128(V128)>();
  ASSERT_TRUE(same.ok());
  for (int round = 0; round < 3; ++round) {
    const auto s = [&](uint64_t i) { return Sample(i + static_cast<uint64_t>(round)); };
    const Outcome<Results> outcome =
        (*reverse)(s(0), s(1), s(2), s(3), s(4), s(5), s(6), s(7), s(8), s(9), -7);
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(*outcome, Results(s(9), s(8), s(0), s(3), -7));
    EXPECT_EQ(*(*same)(s(5)), s(5));
  }
  const auto wrong = instance.Func("same").Typed<double(V128)>();
  EXPECT_THAT(std::string(wrong.status().message()),
              HasSubstr("(func (param v128) (result v128))"));
}

TEST_P(VectorValueTest, CallsWithValues) {
  TestInstance instance(
      "(module (func (export \"swap\") (param v128 v128) (result v128 v128)"
      " (local.get 1) (local.get 0)))",
      GetParam());
  const Value a = Value::Vector(Sample(0));
  const Value b = Value::Vector(Sample(1));
  EXPECT_THAT(instance.Invoke("swap", {a, b}), Returns({b, a}));
  EXPECT_EQ(instance.Invoke("swap", {a, Value::F64(1)}).status.code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ToString(Value::Vector({1, 2})), "v128:0x00000000000000020000000000000001");
}

TEST_P(VectorValueTest, GlobalsAndConstants) {
  TestInstanceOptions options;
  options.link = [](Linker& linker, Store& store) {
    const auto global =
        store.CreateGlobal({ValType::kV128, /*is_mutable=*/false}, Value::Vector(Sample(3)));
    ASSERT_TRUE(global.ok());
    linker.Define("host", "vector", *global);
  };
  TestInstance instance(R"((module
      (import "host" "vector" (global $imported v128))
      (global $copy (export "copy") v128 (global.get $imported))
      (global $mine (export "mine") (mut v128) (v128.const i64x2 5 6))
      (func (export "exchange") (param v128) (result v128 v128)
        (global.get $mine) (global.get $imported)
        (global.set $mine (local.get 0)))))",
                        GetParam(), options);
  const auto global = [&](const char* name) { return *instance.instance().Global(name); };
  EXPECT_EQ(global("copy").Get(), Value::Vector(Sample(3)));
  EXPECT_EQ(global("mine").Get(), Value::Vector({5, 6}));
  ASSERT_TRUE(global("mine").Set(Value::Vector(Sample(4))).ok());
  EXPECT_FALSE(global("mine").Set(Value::I64(4)).ok());
  EXPECT_THAT(instance.Invoke("exchange", {Value::Vector(Sample(5))}),
              Returns({Value::Vector(Sample(4)), Value::Vector(Sample(3))}));
  EXPECT_EQ(global("mine").Get(), Value::Vector(Sample(5)));
}

}  // namespace
}  // namespace wasmd::engine
