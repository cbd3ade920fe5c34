// Values in and out of wasm: every class of register and the overflow cells, in both directions,
// and what Call refuses.
#include <string>
#include <vector>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

using testing::HasSubstr;

class CallTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(CallTest);

std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

TEST_P(CallTest, EveryType) {
  TestInstance instance(R"((module
      (func (export "i32") (param i32) (result i32) local.get 0)
      (func (export "i64") (param i64) (result i64) local.get 0)
      (func (export "f32") (param f32) (result f32) local.get 0)
      (func (export "f64") (param f64) (result f64) local.get 0)
      (func (export "funcref") (param funcref) (result funcref) local.get 0)
      (func (export "externref") (param externref) (result externref) local.get 0)
      (func (export "nothing"))
      (func $self (export "self") (result funcref) ref.func $self)))",
                        GetParam());
  const Value values[] = {Value::I32(-1),
                          Value::I64(int64_t{-1} << 62),
                          Value::F32Bits(0x7fa00001),  // A signalling NaN keeps its payload.
                          Value::F64Bits(0x7ff4000000000001),
                          Value::Null(ValType::kFuncRef),
                          Value::ExternRef(0xfeed'beef'dead'cafe)};
  for (const Value& value : values) {
    EXPECT_THAT(instance.Invoke(ToString(value.type), {value}), Returns({value}));
  }
  EXPECT_THAT(instance.Invoke("nothing"), Returns({}));
  const Invoked self = instance.Invoke("self");
  ASSERT_EQ(self.values.size(), 1);
  EXPECT_EQ(self.values[0], instance.Func("self").AsValue());
  const auto func = instance.store().FuncOf(self.values[0]);
  ASSERT_TRUE(func.ok());
  EXPECT_THAT(Invoke(*func), Returns(self.values));
  EXPECT_FALSE(instance.store().FuncOf(Value::Null(ValType::kFuncRef)).ok());
}

// n parameters of mixed types, and as many results, in reverse.
TEST_P(CallTest, ManyParamsAndResultsOfMixedTypes) {
  const ValType types[] = {ValType::kI32, ValType::kF64, ValType::kI64, ValType::kF32,
                           ValType::kExternRef};
  for (const size_t count : {1u, 2u, 4u, 5u, 6u, 7u, 13u, 20u, 60u, 1000u}) {
    std::string params;
    std::string results;
    std::string body;
    std::vector<Value> args;
    for (size_t i = 0; i < count; ++i) {
      const ValType type = types[i % 5];
      params += " " + std::string(ToString(type));
      const ValType reversed = types[(count - 1 - i) % 5];
      results += " " + std::string(ToString(reversed));
      body += " local.get " + std::to_string(count - 1 - i);
      const uint64_t bits = 0x1234'5678'9abc'def0 + i;
      args.push_back(
          {type, type == ValType::kI32 || type == ValType::kF32 ? bits & 0xffff'ffff : bits});
    }
    TestInstance instance(
        "(module (func (export \"reverse\") (param" + params + ") (result" + results + ")" + body +
            ") (func (export \"twice\") (param" + params + ") (result" + params + ")" +
            [&] {
              std::string gets;
              for (size_t i = 0; i < count; ++i) {
                gets += " local.get " + std::to_string(i);
              }
              return gets;
            }() +
            " call 0 call $back)(func $back (param" + results + ") (result" + params + ")" +
            [&] {
              std::string gets;
              for (size_t i = 0; i < count; ++i) {
                gets += " local.get " + std::to_string(count - 1 - i);
              }
              return gets;
            }() +
            "))",
        GetParam());
    const std::vector<Value> reversed(args.rbegin(), args.rend());
    EXPECT_THAT(instance.Invoke("reverse", args), Returns(reversed)) << count;
    EXPECT_THAT(instance.Invoke("twice", args), Returns(args)) << count;
  }
}

TEST_P(CallTest, UpperHalvesOfNarrowArgumentsDoNotCount) {
  TestInstance instance(R"((module (func (export "widen") (param i32) (result i64)
      (i64.extend_i32_u (local.get 0)))))",
                        GetParam());
  EXPECT_THAT(instance.Invoke("widen", {Value{ValType::kI32, 0xffff'ffff'0000'0007}}),
              Returns({Value::I64(7u)}));
}

TEST_P(CallTest, RefusesOtherArguments) {
  TestInstance instance("(module (func (export \"f\") (param i32 f64)))", GetParam());
  Invoked invoked = instance.Invoke("f", {Value::I32(1)});
  EXPECT_EQ(invoked.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Text(invoked.status),
              HasSubstr("1 arguments for a function of type (func (param i32 f64))"));
  invoked = instance.Invoke("f", {Value::I32(1), Value::F32(1)});
  EXPECT_EQ(invoked.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Text(invoked.status), HasSubstr("argument 1 is f32:1"));
}

TEST_P(CallTest, ExportsByNameAndKind) {
  TestInstance instance(
      R"((module (memory (export "m") 1) (global (export "g") (mut i64) (i64.const 5))
      (global (export "c") f32 (f32.const 0.5)) (table (export "t") 2 5 externref) (func (export "") (export "f"))))",
      GetParam());
  Instance& i = instance.instance();
  EXPECT_EQ(i.Func("nope").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Text(i.Func("m").status()), HasSubstr("export \"m\" is a memory, not a func"));
  EXPECT_TRUE(i.Func("").ok());
  EXPECT_EQ(i.Global("g")->Get(), Value::I64(int64_t{5}));
  EXPECT_TRUE(i.Global("g")->Set(Value::I64(int64_t{6})).ok());
  EXPECT_EQ(i.Global("g")->Get(), Value::I64(int64_t{6}));
  EXPECT_EQ(i.Global("g")->Set(Value::I32(6)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(i.Global("c")->Set(Value::F32(1)).code(), absl::StatusCode::kFailedPrecondition);
  const TableHandle table = *i.Table("t");
  EXPECT_TRUE(table.Set(1, Value::ExternRef(9)).ok());
  EXPECT_EQ(*table.Get(1), Value::ExternRef(9));
  EXPECT_EQ(table.Get(2).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(table.Set(0, Value::I32(9)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*table.Grow(3, Value::ExternRef(4)), 2);
  EXPECT_EQ(*table.Get(4), Value::ExternRef(4));
  EXPECT_FALSE(table.Grow(1, Value::ExternRef(4)).ok());
  EXPECT_EQ(instance.module().exports().size(), 6);
}

}  // namespace
}  // namespace wasmd::engine
