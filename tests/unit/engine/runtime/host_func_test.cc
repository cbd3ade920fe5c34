// Host functions: arguments and results of every location, failures, exits, memory, and as
// references.
#include <cstring>
#include <string>
#include <vector>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

class HostFuncTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(HostFuncTest);

TestInstanceOptions With(std::string_view name, FuncType type, HostCallback callback) {
  TestInstanceOptions options;
  options.link = [name = std::string(name), type = std::move(type), callback = std::move(callback)](
                     Linker& linker, Store&) { linker.DefineFunc("host", name, type, callback); };
  return options;
}

TEST_P(HostFuncTest, ManyParamsAndResultsOfMixedTypes) {
  const ValType types[] = {ValType::kF32,       ValType::kI64, ValType::kI32,
                           ValType::kExternRef, ValType::kF64, ValType::kV128};
  for (const size_t count : {0u, 1u, 3u, 6u, 9u, 14u, 25u, 333u}) {
    FuncType type;
    std::string params;
    std::string gets;
    std::vector<Value> args;
    for (size_t i = 0; i < count; ++i) {
      const ValType param = types[i % std::size(types)];
      type.params.push_back(param);
      params += " " + std::string(ToString(param));
      gets += " local.get " + std::to_string(i);
      const uint64_t bits = 0x7654'3210'0000'0001 * (i + 1);
      const bool narrow = param == ValType::kI32 || param == ValType::kF32;
      args.push_back(
          {param, narrow ? bits & 0xffff'ffff : bits, param == ValType::kV128 ? ~bits : 0});
    }
    type.results = std::vector<ValType>(type.params.rbegin(), type.params.rend());
    std::string results;
    for (const ValType result : type.results) {
      results += " " + std::string(ToString(result));
    }
    const auto reverse = [&](HostContext&, std::span<const Value> got, std::span<Value> out) {
      EXPECT_EQ(std::vector<Value>(got.begin(), got.end()), args);
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(out[i].type, got[got.size() - 1 - i].type);
        out[i] = got[got.size() - 1 - i];
      }
      return HostResult::Ok();
    };
    TestInstance instance(
        "(module (import \"host\" \"reverse\" (func $reverse (param" + params + ") (result" +
            results + "))) (export \"direct\" (func $reverse)) (func (export \"run\") (param" +
            params + ") (result" + results + ") " + gets + " call $reverse))",
        GetParam(), With("reverse", type, reverse));
    const std::vector<Value> reversed(args.rbegin(), args.rend());
    EXPECT_THAT(instance.Invoke("run", args), Returns(reversed)) << count;
    EXPECT_THAT(instance.Invoke("direct", args), Returns(reversed)) << count;
  }
}

TEST_P(HostFuncTest, EndsTheInvocation) {
  int mode = 0;
  TestInstance instance(
      R"((module (import "host" "end" (func $end)) (export "end" (func $end)) (func $f call $end) (func (export "run") call $f)))",
      GetParam(), With("end", {}, [&](HostContext&, std::span<const Value>, std::span<Value>) {
        switch (mode) {
          case 0:
            return HostResult::Trap(TrapCode::kMemoryOutOfBounds);
          case 1:
            return HostResult::Error("the disk is full");
          case 2:
            return HostResult::Exit(77);
          case 3:
            return HostResult::Interrupted();
          default:
            return HostResult::Ok();
        }
      }));
  Invoked invoked = instance.Invoke("run");
  EXPECT_THAT(invoked, TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_EQ(invoked.trap()->message, ToString(TrapCode::kMemoryOutOfBounds));
  ASSERT_EQ(invoked.trap()->backtrace.size(), 2);
  EXPECT_EQ(invoked.trap()->backtrace.frames()[0].func_name, "f");
  mode = 1;
  invoked = instance.Invoke("run");
  EXPECT_THAT(invoked, TrapsWith(TrapCode::kHostError));
  EXPECT_EQ(invoked.trap()->message, "the disk is full");
  mode = 2;
  for (const std::string_view name : {"run", "end"}) {
    invoked = instance.Invoke(name);
    ASSERT_NE(invoked.exit(), nullptr);
    EXPECT_EQ(invoked.exit()->code, 77);
    EXPECT_EQ(ToString(*invoked.stop), "exit: 77");
  }
  mode = 3;
  EXPECT_THAT(instance.Invoke("run"), TrapsWith(TrapCode::kHostError)) << "nobody interrupted it";
  mode = 4;
  EXPECT_THAT(instance.Invoke("run"), Returns({}));
}

TEST_P(HostFuncTest, SeesTheCallersMemory) {
  const auto read = [](HostContext& context, std::span<const Value> args,
                       std::span<Value> results) {
    const auto range = context.MemoryRange(args[0].i32(), 4);
    if (!range.ok()) {
      EXPECT_EQ(range.status().code(), absl::StatusCode::kOutOfRange);
      return HostResult::Trap(TrapCode::kMemoryOutOfBounds);
    }
    uint32_t word = 0;
    std::memcpy(&word, range->data(), sizeof(word));
    results[0] = Value::I32(word);
    return HostResult::Ok();
  };
  const FuncType type = {{ValType::kI32}, {ValType::kI32}};
  TestInstance instance(R"((module (import "host" "read" (func $read (param i32) (result i32)))
      (memory 1) (data (i32.const 100) "\2a\00\00\00") (export "read" (func $read))
      (func (export "run") (param i32) (result i32) (call $read (local.get 0)))))",
                        GetParam(), With("read", type, read));
  for (const std::string_view name : {"run", "read"}) {
    EXPECT_THAT(instance.Invoke(name, {Value::I32(100)}), Returns({Value::I32(42)}));
    EXPECT_THAT(instance.Invoke(name, {Value::I32(65'533)}),
                TrapsWith(TrapCode::kMemoryOutOfBounds));
    EXPECT_THAT(instance.Invoke(name, {Value::I32(-1)}), TrapsWith(TrapCode::kMemoryOutOfBounds));
  }
  // An importer of the export still reads the memory of the instance that imported it from the
  // host.
  Linker linker;
  linker.DefineInstance("first", instance.instance());
  const auto second = linker.Instantiate(
      instance.store(),
      LoadWat(R"((module (import "first" "read" (func $read (param i32) (result i32))) (memory 1)
          (func (export "run") (param i32) (result i32) (call $read (local.get 0)))))",
              GetParam()));
  ASSERT_TRUE(second.ok());
  EXPECT_THAT(Invoke(*second->instance->Func("run"), {Value::I32(100)}), Returns({Value::I32(42)}));
}

TEST_P(HostFuncTest, WithoutMemoryOrInstance) {
  const auto look = [](HostContext& context, std::span<const Value>, std::span<Value> results) {
    EXPECT_TRUE(context.memory().empty());
    EXPECT_TRUE(context.MemoryRange(0, 0).ok());
    EXPECT_FALSE(context.MemoryRange(0, 1).ok());
    results[0] = Value::I32(context.instance() == nullptr ? 1 : 2);
    return HostResult::Ok();
  };
  const FuncType type = {{}, {ValType::kI32}};
  TestInstance instance(R"((module (import "host" "look" (func $look (result i32)))
      (table (export "table") 2 funcref) (elem (i32.const 0) $look)
      (func (export "run") (result i32) (call $look))
      (func (export "by_table") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))))",
                        GetParam(), With("look", type, look));
  EXPECT_THAT(instance.Invoke("run"), Returns({Value::I32(2)}));
  EXPECT_THAT(instance.Invoke("by_table", {Value::I32(0)}), Returns({Value::I32(2)}));
  // A host function as a value, put into a table by the embedder.
  const FuncHandle loose = instance.store().CreateFunc(type, look);
  EXPECT_THAT(Invoke(loose), Returns({Value::I32(1)}));
  ASSERT_TRUE(instance.instance().Table("table")->Set(1, loose.AsValue()).ok());
  EXPECT_THAT(instance.Invoke("by_table", {Value::I32(1)}), Returns({Value::I32(1)}));
  EXPECT_THAT(Invoke(*instance.store().FuncOf(loose.AsValue())), Returns({Value::I32(1)}));
  // Of another type: the canonical type ids differ.
  const FuncHandle other = instance.store().CreateFunc(
      {{}, {ValType::kI64}},
      [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
  ASSERT_TRUE(instance.instance().Table("table")->Set(1, other.AsValue()).ok());
  EXPECT_THAT(instance.Invoke("by_table", {Value::I32(1)}), TrapsWith(TrapCode::kBadSignature));
}

TEST_P(HostFuncTest, AResultOfAnotherTypeIsTheHostsBug) {
  TestInstance instance(
      R"((module (import "host" "f" (func $f (result i32))) (func (export "run") (result i32) (call $f))))",
      GetParam(),
      With("f", {{}, {ValType::kI32}},
           [](HostContext&, std::span<const Value>, std::span<Value> results) {
             results[0] = Value::I64(1u);
             return HostResult::Ok();
           }));
  EXPECT_DEATH(static_cast<void>(instance.Invoke("run")), "signature's types");
}

}  // namespace
}  // namespace wasmd::engine
