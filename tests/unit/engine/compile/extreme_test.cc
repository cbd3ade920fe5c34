// Functions at the limits: compiling them takes time and memory linear in their size, never
// recursion, and what is too much is an error. ctest's timeout is the bound on time: a quadratic
// step anywhere here takes minutes.
#include <atomic>
#include <string>

#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/compile/compiler.h"
#include "engine/wasm/limits.h"
#include "tests/unit/engine/compile/code_harness.h"

namespace wasmd::engine {
namespace {

constexpr uint8_t kI32Byte = 0x7f;

Bytes Repeat(const Bytes& bytes, size_t count) {
  Bytes all;
  all.reserve(bytes.size() * count);
  for (size_t i = 0; i < count; ++i) {
    Append(all, bytes);
  }
  return all;
}

absl::Status Compile(const Bytes& wasm, CompiledFunction& out) {
  const auto module = DecodeModule(AsBytes(wasm));
  if (!module.ok()) {
    return module.status();
  }
  const ContextLayout layout(*module);
  return NewBaselineCompiler(*module, layout)->CompileFunction(module->imported_funcs, out);
}

Bytes LocalGroup(uint32_t count, uint8_t type) {
  return Concat({Leb(count), {type}});
}

TEST(ExtremeTest, ManyLocalsAndManyLabels) {
  // 50,000 locals, 100,000 blocks with a branch out of each, locals written in between.
  Bytes code;
  for (uint32_t i = 0; i < 100'000; ++i) {
    const uint32_t local = i * 7919 % 49'990;
    Append(code, Concat({{0x02, 0x40, 0x20},
                         Leb(local),
                         {0x0d, 0x00, 0x20, 0x00, 0x21},
                         Leb((local + 13) % 49'990),
                         {0x0b}}));
  }
  code.push_back(0x0b);
  CompiledFunction out;
  EXPECT_TRUE(Compile(OneFunction({kI32Byte}, {}, code, {LocalGroup(49'990, kI32Byte)}), out).ok());
}

TEST(ExtremeTest, ManyLocalsAndLoops) {
  Bytes code;
  for (uint32_t i = 0; i < 50'000; ++i) {
    const uint32_t local = i * 7919 % 49'990;
    Append(code, Concat({{0x03, 0x40, 0x20},
                         Leb(local),
                         {0x22},
                         Leb((local + 13) % 49'990),
                         {0x0d, 0x00, 0x0b}}));
  }
  code.push_back(0x0b);
  CompiledFunction out;
  EXPECT_TRUE(Compile(OneFunction({kI32Byte}, {}, code, {LocalGroup(49'990, kI32Byte)}), out).ok());
}

TEST(ExtremeTest, DeepNesting) {
  for (const uint8_t block : {uint8_t{0x02}, uint8_t{0x03}, uint8_t{0x04}}) {
    const size_t depth = 200'000;
    Bytes enter = {0x20, 0x00, 0x20, 0x00, 0x21, 0x01};
    if (block != 0x04) {
      enter.push_back(0x1a);
    }
    Append(enter, {block, 0x40});
    Bytes code = Repeat(enter, depth);
    // Branches to everywhere, far and near.
    for (uint32_t i = 0; i < 1'000; ++i) {
      Append(code, Concat({{0x20, 0x01, 0x0d}, Leb(i * 199)}));
    }
    Append(code, Repeat({0x0b}, depth + 1));
    CompiledFunction out;
    EXPECT_TRUE(Compile(OneFunction({kI32Byte}, {}, code, {LocalGroup(5, kI32Byte)}), out).ok())
        << int{block};
  }
}

TEST(ExtremeTest, DeepOperandStackUnderBlocksAndCalls) {
  // Operands of every kind pile up while blocks and local writes go on above them.
  const size_t count = 150'000;
  Bytes code = Repeat(
      {0x20, 0x00, 0x41, 0x05, 0x20, 0x01, 0x45, 0x02, 0x40, 0x0b, 0x20, 0x00, 0x21, 0x01}, count);
  Append(code, Repeat({0x1a, 0x1a, 0x1a}, count));
  code.push_back(0x0b);
  CompiledFunction out;
  EXPECT_TRUE(Compile(OneFunction({kI32Byte}, {}, code, {LocalGroup(3, kI32Byte)}), out).ok());
}

TEST(ExtremeTest, PendingReferencesToEveryLocal) {
  // Every local is on the operand stack when it is written: each of its entries has to be found
  // without a search.
  Bytes code;
  for (uint32_t i = 0; i < 40'000; ++i) {
    Append(code, Concat({{0x20}, Leb(i)}));
  }
  for (uint32_t i = 0; i < 40'000; ++i) {
    Append(code, Concat({{0x41, 0x07, 0x21}, Leb(i)}));
  }
  Append(code, Repeat({0x6a}, 39'999));
  code.push_back(0x0b);
  CodeHarness harness(WasmModule({
      Section(1, Vec({FuncTypeBytes({}, {kI32Byte})})),
      Section(3, Vec({Leb(0)})),
      Section(7, Vec({Concat({NameBytes("f"), {0x00, 0x00}})})),
      Section(10, Vec({Body({LocalGroup(40'000, kI32Byte)}, code)})),
  }));
  EXPECT_EQ(harness.Call("f"), Returns({0}));
}

TEST(ExtremeTest, HugeBranchTables) {
  // One with many targets, and many over deep blocks.
  const size_t targets = 300'000;
  Bytes code = {0x02, 0x40, 0x02, 0x40, 0x20, 0x00, 0x0e};
  Append(code, Leb(targets));
  Append(code, Repeat({0x00, 0x01}, targets / 2));
  Append(code, {0x00, 0x0b, 0x0b, 0x0b});
  CompiledFunction out;
  EXPECT_TRUE(Compile(OneFunction({kI32Byte}, {}, code), out).ok());

  const uint32_t depth = 1'000;
  code = Repeat({0x02, 0x40}, depth);
  for (uint32_t i = 0; i < 500; ++i) {
    Append(code, {0x02, 0x40, 0x20, 0x00, 0x0e});
    Append(code, Leb(depth));
    for (uint32_t t = 0; t < depth; ++t) {
      Append(code, Leb(t));
    }
    Append(code, {0x00, 0x0b});
  }
  Append(code, Repeat({0x0b}, depth + 1));
  EXPECT_TRUE(Compile(OneFunction({kI32Byte}, {}, code), out).ok());
}

TEST(ExtremeTest, LargestBody) {
  // Just below the limit, all arithmetic.
  const Bytes unit = {0x20, 0x00, 0x20, 0x01, 0x6a, 0x20, 0x00, 0x6c, 0x21, 0x01};
  Bytes code = Repeat(unit, kMaxFuncBodyBytes / unit.size() - 10);
  Append(code, {0x20, 0x01, 0x0b});
  CompiledFunction out;
  EXPECT_TRUE(
      Compile(OneFunction({kI32Byte}, {kI32Byte}, code, {LocalGroup(1, kI32Byte)}), out).ok());
  EXPECT_GT(out.code.size(), kMaxFuncBodyBytes / 4);
}

TEST(ExtremeTest, ResultsMultipliedByBranchesAreBounded) {
  // Each two-byte branch copies a thousand results down by one: more code than one function may
  // have.
  Bytes many(999, 0x7e);
  Bytes code = {0x02, 0x01, 0x20, 0x00};
  for (uint32_t i = 0; i < 999; ++i) {
    Append(code, {0x42, 0x07});
  }
  Append(code, Repeat({0x20, 0x00, 0x0d, 0x00}, 200'000));
  Append(code, {0x0f, 0x0b, 0x0f, 0x0b});
  // The block's results lie above the parameter copy, so every edge moves all of them; `return`
  // needs them on top.
  Bytes body;
  Append(body, code);
  const Bytes wasm = WasmModule({
      Section(1, Vec({FuncTypeBytes({kI32Byte}, many), FuncTypeBytes({}, many)})),
      Section(3, Vec({Leb(0)})),
      Section(10, Vec({Body({}, body)})),
  });
  CompiledFunction out;
  const absl::Status status = Compile(wasm, out);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST(ExtremeTest, ACancelledFunctionCanBeCompiledAgain) {
  Bytes code = Repeat({0x20, 0x00, 0x20, 0x00, 0x6a, 0x21, 0x00}, 30'000);
  code.push_back(0x0b);
  const Bytes wasm = OneFunction({kI32Byte}, {}, code);
  const auto module = DecodeModule(AsBytes(wasm));
  ASSERT_TRUE(module.ok()) << module.status();
  const ContextLayout layout(*module);
  const auto compiler = NewBaselineCompiler(*module, layout);
  CompiledFunction out;
  std::atomic<bool> cancel = true;
  compiler->set_cancel(CancelFlag(&cancel));
  EXPECT_EQ(compiler->CompileFunction(0, out).code(), absl::StatusCode::kCancelled);
  cancel = false;
  EXPECT_TRUE(compiler->CompileFunction(0, out).ok());
  cancel = true;
  compiler->set_cancel(CancelFlag());
  EXPECT_TRUE(compiler->CompileFunction(0, out).ok());
}

TEST(ExtremeTest, InvalidBodiesAreErrors) {
  CompiledFunction out;
  // Unbalanced, truncated, ill-typed, unknown opcodes, bad indices.
  for (const Bytes& code : std::vector<Bytes>{{},
                                              {0x0b, 0x0b},
                                              {0x20, 0x05, 0x0b},
                                              {0x02, 0x40},
                                              {0x05, 0x0b},
                                              {0x03, 0x40, 0x05, 0x0b, 0x0b},
                                              {0x41, 0x00, 0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f},
                                              {0x0c, 0x09, 0x0b},
                                              {0xff, 0x0b},
                                              {0xfc, 0x7f, 0x0b},
                                              {0x41, 0x00, 0x0b},
                                              {0x6a, 0x0b},
                                              {0x20, 0x00, 0x41, 0x02, 0x74, 0x6a, 0x0b}}) {
    EXPECT_FALSE(Compile(OneFunction({kI32Byte}, {}, code), out).ok());
  }
}

TEST(ExtremeTest, EveryPrefixOfABodyIsRefused) {
  const Bytes code = {0x03, 0x40, 0x20, 0x00, 0x04, 0x7f, 0x20, 0x00, 0x28, 0x02, 0x08, 0x05,
                      0x41, 0x7f, 0x0b, 0x22, 0x00, 0x41, 0x01, 0x6a, 0x0d, 0x00, 0x02, 0x40,
                      0x20, 0x00, 0x0e, 0x02, 0x00, 0x01, 0x00, 0x0b, 0x0b, 0x44, 0,    0,
                      0,    0,    0,    0,    0xf0, 0x3f, 0xfc, 0x06, 0xa7, 0x1a, 0x0b};
  CompiledFunction out;
  ASSERT_TRUE(Compile(OneFunction({kI32Byte}, {}, code), out).ok());
  for (size_t size = 0; size < code.size(); ++size) {
    const Bytes prefix(code.begin(), code.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(Compile(OneFunction({kI32Byte}, {}, prefix), out).ok()) << size;
  }
}

}  // namespace
}  // namespace wasmd::engine
