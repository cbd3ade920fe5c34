// The limits that browsers publish: what is at them loads and runs, what is beyond them is refused
// with a message that names the limit.
#include "engine/wasm/limits.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/test_instance.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

using testing::HasSubstr;

constexpr uint8_t kI32 = 0x7f;
constexpr uint8_t kI64 = 0x7e;
constexpr uint8_t kF32 = 0x7d;
constexpr uint8_t kF64 = 0x7c;

absl::StatusOr<std::shared_ptr<LoadedModule>> Load(const Bytes& wasm) {
  const auto bytes = AsBytes(wasm);
  return TestEngine().Load(std::vector<std::byte>(bytes.begin(), bytes.end()), {});
}

// Calls the export "f", which takes and returns an i32 or i64. A message: it came to something
// else.
std::string CallF(const Bytes& wasm, const Value& arg, const Value& expected) {
  const auto module = Load(wasm);
  if (!module.ok()) {
    return module.status().ToString();
  }
  Store store(TestEngine().runtime());
  const auto made = Linker().Instantiate(store, *module);
  if (!made.ok()) {
    return made.status().ToString();
  }
  std::vector<Value> results(1);
  const auto outcome = made->instance->Func("f")->Call(std::vector{arg}, results);
  if (!outcome.ok() || !outcome->ok()) {
    return "no result";
  }
  return results[0] == expected ? "" : "wrong result " + ToString(results[0]);
}

std::string Refusal(const Bytes& wasm) {
  const auto module = Load(wasm);
  EXPECT_EQ(module.status().code(), absl::StatusCode::kResourceExhausted);
  return std::string(module.status().message());
}

Bytes Times(size_t count, const Bytes& one) {
  Bytes all;
  all.reserve(count * one.size());
  for (size_t i = 0; i < count; ++i) {
    Append(all, one);
  }
  return all;
}

// `count` times `one`, as a vector.
Bytes Same(size_t count, const Bytes& one) {
  return Concat({Leb(count), Times(count, one)});
}

Bytes ExportF(uint32_t func_index) {
  return Section(7, Vec({Concat({NameBytes("f"), {0x00}, Leb(func_index)})}));
}

// The export "f" from i32 to i32.
Bytes FunctionF(const Bytes& code, const std::vector<Bytes>& locals = {},
                const std::vector<Bytes>& before = {}) {
  return WasmModule({Section(1, Vec({FuncTypeBytes({kI32}, {kI32})})), Section(3, Vec({Leb(0)})),
                     Concat(before), ExportF(0), Section(10, Vec({Body(locals, code)}))});
}

TEST(LimitsTest, Functions) {
  const auto functions = [](uint32_t count) {
    const Bytes body = Body({}, {0x20, 0x00, 0x0b});
    return WasmModule({Section(1, Vec({FuncTypeBytes({kI32}, {kI32})})),
                       Section(3, Same(count, {0x00})), ExportF(count - 1),
                       Section(10, Same(count, body))});
  };
  EXPECT_EQ(CallF(functions(kMaxFuncs), Value::I32(7), Value::I32(7)), "");
  EXPECT_THAT(Refusal(functions(kMaxFuncs + 1)),
              HasSubstr("too many functions: 1000001, the limit is 1000000 (kMaxFuncs)"));
}

TEST(LimitsTest, Types) {
  const auto types = [](uint32_t count) {
    return WasmModule({Section(1, Same(count, FuncTypeBytes({kI32}, {kI32}))),
                       Section(3, Vec({Leb(count - 1)})), ExportF(0),
                       Section(10, Vec({Body({}, {0x20, 0x00, 0x0b})}))});
  };
  EXPECT_EQ(CallF(types(kMaxTypes), Value::I32(7), Value::I32(7)), "");
  EXPECT_THAT(Refusal(types(kMaxTypes + 1)), HasSubstr("too many types: 1000001"));
}

TEST(LimitsTest, Locals) {
  // The parameter is one of them.
  const auto locals = [](uint32_t count) {
    const Bytes last = Leb(count - 1);
    return FunctionF(Concat({{0x20, 0x00, 0x21}, last, {0x20}, last, {0x0b}}),
                     {Concat({Leb(count - 1), {kI32}})});
  };
  EXPECT_EQ(CallF(locals(kMaxFuncLocals), Value::I32(7), Value::I32(7)), "");
  EXPECT_THAT(Refusal(locals(kMaxFuncLocals + 1)), HasSubstr("too many locals: 50001"));
}

// Locals of all types, far apart, in a loop: zeros at first, kept across branches and a call.
TEST(LimitsTest, FarLocalsOfAllTypes) {
  constexpr uint32_t kEach = 12'000;
  const auto local = [](uint32_t type, uint32_t index) { return Leb(1 + type * kEach + index); };
  const Bytes last32 = local(0, kEach - 1);
  const Bytes last64 = local(1, kEach - 1);
  const Bytes last_f32 = local(2, kEach - 1);
  const Bytes last_f64 = local(3, kEach - 1);
  const Bytes code = Concat({
      {0x03, 0x40},  // loop
      {0x20},
      last32,
      {0x41, 0x03, 0x6a, 0x21},
      last32,  //   i += 3
      {0x20},
      last64,
      {0x42, 0x05, 0x7c, 0x21},
      last64,  //   l += 5
      {0x20},
      last_f32,
      {0x43, 0, 0, 0x80, 0x3f, 0x92, 0x21},
      last_f32,  //   f += 1
      {0x20},
      last_f64,
      {0x44, 0, 0, 0, 0, 0, 0, 0, 0x40, 0xa0, 0x21},
      last_f64,                                                      //   d += 2
      {0x20, 0x00, 0x41, 0x01, 0x6b, 0x22, 0x00, 0x0d, 0x00, 0x0b},  // br_if (--n)
      {0x20},
      last32,  // i + l + f + d + an untouched one
      {0x20},
      last64,
      {0xa7, 0x6a},
      {0x20},
      last_f32,
      {0xa8, 0x6a},
      {0x20},
      last_f64,
      {0xaa, 0x6a},
      {0x20},
      local(0, kEach / 2),
      {0x6a, 0x0b},
  });
  const std::vector<Bytes> groups = {Concat({Leb(kEach), {kI32}}), Concat({Leb(kEach), {kI64}}),
                                     Concat({Leb(kEach), {kF32}}), Concat({Leb(kEach), {kF64}})};
  EXPECT_EQ(CallF(FunctionF(code, groups), Value::I32(10), Value::I32(10 * (3 + 5 + 1 + 2))), "");
}

TEST(LimitsTest, BodyBytes) {
  const auto body = [](size_t bytes) {
    // No locals, nops, local.get 0, end.
    return FunctionF(Concat({Bytes(bytes - 4, 0x01), {0x20, 0x00, 0x0b}}));
  };
  EXPECT_EQ(CallF(body(kMaxFuncBodyBytes), Value::I32(7), Value::I32(7)), "");
  EXPECT_THAT(Refusal(body(kMaxFuncBodyBytes + 1)),
              HasSubstr("too many bytes in a function body: 7654322, the limit is 7654321"));
}

// Seven megabytes of additions: all of it is code.
TEST(LimitsTest, LongFunction) {
  constexpr uint32_t kAdditions = 1'400'000;
  const Bytes code = Concat({{0x20, 0x00}, Times(kAdditions, {0x41, 0x01, 0x6a}), {0x0b}});
  EXPECT_EQ(CallF(FunctionF(code), Value::I32(7), Value::I32(kAdditions + 7)), "");
}

TEST(LimitsTest, Memories) {
  const auto memories = [](uint32_t count) {
    // Stores the argument in the last, loads it from there, and what the first has at that place.
    const Bytes at = Concat({{0x42}, Leb(count - 1), {0x00}});
    return FunctionF(Concat({{0x41, 0x08, 0x20, 0x00, 0x36},
                             at,
                             {0x41, 0x08, 0x28},
                             at,
                             {0x41, 0x08, 0x28, 0x02, 0x00, 0x6a, 0x0b}}),
                     {}, {Section(5, Same(count, {0x00, 0x01}))});
  };
  EXPECT_EQ(CallF(memories(kMaxMemories), Value::I32(7), Value::I32(7)), "");
  EXPECT_THAT(Refusal(memories(kMaxMemories + 1)), HasSubstr("too many memories: 101"));
}

TEST(LimitsTest, TableElements) {
  const auto table = [](uint32_t count) {
    // table.grow: fails at the limit.
    return FunctionF({0xd0, 0x70, 0x20, 0x00, 0xfc, 0x0f, 0x00, 0x0b}, {},
                     {Section(4, Vec({Concat({{0x70, 0x00}, Leb(count)})}))});
  };
  EXPECT_EQ(CallF(table(kMaxTableElements), Value::I32(0), Value::I32(kMaxTableElements)), "");
  EXPECT_EQ(CallF(table(kMaxTableElements), Value::I32(1), Value::I32(-1)), "");
  const auto module = Load(table(kMaxTableElements + 1));
  ASSERT_TRUE(module.ok()) << module.status();
  Store store(TestEngine().runtime());
  const auto made = Linker().Instantiate(store, *module);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(made.status().message()), HasSubstr("a table of 10000001 elements"));
}

// 16 GiB, as in browsers, of which nothing is touched: only the store's own limit is in the way.
TEST(LimitsTest, Memory64) {
  constexpr uint64_t kPages = kMaxMemory64Bytes / kWasmPageBytes;
  const auto instantiate = [](uint64_t pages, uint64_t store_bytes) {
    const auto module = Load(WasmModule({Section(5, Vec({Concat({{0x04}, Leb(pages)})}))}));
    EXPECT_TRUE(module.ok()) << module.status();
    Store store(TestEngine().runtime(), {.memory_bytes = store_bytes});
    return Linker().Instantiate(store, *module).status();
  };
  EXPECT_THAT(std::string(instantiate(kPages + 1, UINT64_MAX).message()),
              HasSubstr("is over the limit kMaxMemory64Bytes of 17179869184 bytes"));
  EXPECT_THAT(std::string(instantiate(uint64_t{1} << 48, UINT64_MAX).message()),
              HasSubstr("kMaxMemory64Bytes"));
  EXPECT_THAT(
      std::string(instantiate(3, 2 * kWasmPageBytes).message()),
      HasSubstr("a memory of 3 pages is over the limit StoreOptions::memory_bytes of 131072"));
  EXPECT_TRUE(instantiate(3, 3 * kWasmPageBytes).ok());
}

TEST(LimitsTest, ArmsOfBrTable) {
  constexpr uint32_t kArms = 100'000;
  // Arms leave the inner block, but every tenth and the default leave the outer one. 1 or 2.
  Bytes arms;
  for (uint32_t i = 0; i < kArms; ++i) {
    arms.push_back(i % 10 == 9 ? 1 : 0);
  }
  const Bytes code = Concat({{0x02, 0x40, 0x02, 0x40, 0x20, 0x00, 0x0e},
                             Leb(kArms),
                             arms,
                             {0x01, 0x0b, 0x41, 0x01, 0x0f, 0x0b, 0x41, 0x02, 0x0b}});
  const Bytes wasm = FunctionF(code);
  EXPECT_EQ(CallF(wasm, Value::I32(0), Value::I32(1)), "");
  EXPECT_EQ(CallF(wasm, Value::I32(kArms - 2), Value::I32(1)), "");
  EXPECT_EQ(CallF(wasm, Value::I32(kArms - 1), Value::I32(2)), "");
  EXPECT_EQ(CallF(wasm, Value::I32(kArms), Value::I32(2)), "");
  EXPECT_EQ(CallF(wasm, Value::I32(-1), Value::I32(2)), "");
}

TEST(LimitsTest, DeepNesting) {
  constexpr uint32_t kDepth = 400'000;
  // Out of all of them at once.
  const Bytes code = Concat({Times(kDepth, {0x02, 0x40}),
                             {0x20, 0x00, 0x0d},
                             Leb(kDepth - 1),
                             {0x41, 0x05, 0x0f},
                             Bytes(kDepth, 0x0b),
                             {0x41, 0x06, 0x0b}});
  EXPECT_EQ(CallF(FunctionF(code), Value::I32(1), Value::I32(6)), "");
  EXPECT_EQ(CallF(FunctionF(code), Value::I32(0), Value::I32(5)), "");
  EXPECT_THAT(
      Refusal(FunctionF(Concat(
          {Times(kMaxBlockDepth, {0x02, 0x40}), Bytes(kMaxBlockDepth, 0x0b), {0x20, 0x00, 0x0b}}))),
      HasSubstr("too many nested blocks"));
}

}  // namespace
}  // namespace wasmd::engine
