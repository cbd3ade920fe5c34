// ValidateModule: the first bad function by index is the one that is told, on any number of
// threads.
#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/validate/function_sink.h"
#include "engine/validate/function_walker.h"
#include "engine/validate/validate.h"
#include "engine/wasm/module.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

// `count` functions of about 500 bytes; the ones in `bad` leave a value on the stack.
Bytes ManyFunctions(uint32_t count, const std::set<uint32_t>& bad) {
  std::vector<Bytes> types;
  std::vector<Bytes> bodies;
  for (uint32_t i = 0; i < count; ++i) {
    types.push_back(Leb(0));
    Bytes code(500, 0x01);
    Append(code, bad.contains(i) ? Bytes{0x41, 0x00, 0x0b} : Bytes{0x0b});
    bodies.push_back(Body({}, code));
  }
  return WasmModule(
      {Section(1, Vec({FuncTypeBytes({}, {})})), Section(3, Vec(types)), Section(10, Vec(bodies))});
}

TEST(ValidateModuleTest, AcceptsOnAnyNumberOfThreads) {
  const Bytes bytes = ManyFunctions(2'000, {});
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  for (const int threads : {-1, 0, 1, 2, 8, 1'000}) {
    EXPECT_TRUE(ValidateModule(*module, threads).ok()) << threads;
  }
}

TEST(ValidateModuleTest, FirstErrorWins) {
  const Bytes bytes = ManyFunctions(2'000, {731, 732, 900, 1'500, 1'999});
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  const std::string expected = ValidateModule(*module, 1).ToString();
  EXPECT_NE(expected.find("in function 731 "), std::string::npos) << expected;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(ValidateModule(*module, 4).ToString(), expected);
  }
}

// Notes how far the walk goes after somebody has cancelled it at the first instruction.
struct CancellingSink : NullSink {
  explicit CancellingSink(std::atomic<bool>& flag) : cancel(flag) {}
  void OnInstruction(Opcode /*op*/, uint32_t /*offset*/) {
    cancel = true;
    ++instructions;
  }
  std::atomic<bool>& cancel;
  uint32_t instructions = 0;
};

TEST(ValidateModuleTest, CancelledWithinAFunction) {
  Bytes code(1'000'000, 0x01);
  code.push_back(0x0b);
  const Bytes bytes = OneFunction({}, {}, code);
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  std::atomic<bool> cancel = false;
  WalkerScratch scratch;
  scratch.cancel = CancelFlag(&cancel);
  CancellingSink sink(cancel);
  FunctionWalker<CancellingSink> walker(*module, 0, sink, scratch);
  EXPECT_FALSE(walker.Run());
  EXPECT_EQ(walker.error().code(), absl::StatusCode::kCancelled) << walker.error();
  EXPECT_LE(sink.instructions, 65'536u);
}

TEST(ValidateModuleTest, CancelledOnAnyNumberOfThreads) {
  const Bytes bytes = ManyFunctions(2'000, {731});
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  std::atomic<bool> cancel = true;
  for (const int threads : {1, 2, 8}) {
    EXPECT_EQ(ValidateModule(*module, threads, &cancel).code(), absl::StatusCode::kCancelled);
  }
  EXPECT_EQ(DecodeModule(AsBytes(bytes), {}, &cancel).status().code(),
            absl::StatusCode::kCancelled);
  cancel = false;
  EXPECT_EQ(ValidateModule(*module, 2, &cancel).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(DecodeModule(AsBytes(bytes), {}, &cancel).ok());
}

TEST(ValidateModuleTest, NoFunctions) {
  const Bytes& bytes = WasmHeader();
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  EXPECT_TRUE(ValidateModule(*module, 4).ok());
}

}  // namespace
}  // namespace wasmd::engine
