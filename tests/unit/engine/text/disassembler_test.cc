// The disassembler's text, and that it gets through every sample.
#include "engine/text/disassembler.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/wasm/module.h"
#include "tests/support/sample_modules.h"
#include "tests/support/wasm_builder.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

TEST(DisassemblerTest, Factorial) {
  const Bytes& bytes = SampleModules()[0].bytes;
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  const absl::StatusOr<std::string> text = DisassembleFunction(*module, 0);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, R"(func 0 $fac (param i64) (result i64)
0x000022    local.get 0
0x000024    i64.eqz
0x000025    if (result i64)
0x000027      i64.const 1
0x000029    else
0x00002a      local.get 0
0x00002c      local.get 0
0x00002e      i64.const 1
0x000030      i64.sub
0x000031      call 0 $fac
0x000033      i64.mul
0x000034    end
0x000035  end
)");
}

TEST(DisassemblerTest, Immediates) {
  const Bytes bytes = Wat(R"((module
    (memory 1)
    (table $t 1 funcref)
    (elem $e func 0)
    (type $sig (func (param i32) (result f32)))
    (func (param i32) (local f64)
      (block
        (br_table 0 1 0 (local.get 0)))
      (drop (call_indirect $t (type $sig) (local.get 0) (i32.const -3)))
      (f64.store offset=8 (local.get 0) (f64.const nan))
      (i32.store8 (local.get 0) (i32.const 1))
      (table.init $t $e (local.get 0) (local.get 0) (local.get 0))
      (unreachable)
      (drop))))");
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok()) << module.status();
  const absl::StatusOr<std::string> text = DisassembleFunction(*module, 0);
  ASSERT_TRUE(text.ok()) << text.status();
  for (const char* line :
       {"func 0 (param i32) (local f64)\n", "    block\n", "      br_table 0 1 0\n",
        "    i32.const -3\n", "    call_indirect 0 (param i32) (result f32)\n",
        "    f64.const nan\n", "    f64.store offset=8 align=8\n", "    i32.store8 align=1\n",
        "    table.init 0 0\n", "    unreachable\n", "    drop\n"}) {
    EXPECT_NE(text->find(line), std::string::npos) << line << *text;
  }
}

TEST(DisassemblerTest, ExceptionsAndTailCalls) {
  const Bytes& bytes = SampleModules().back().bytes;
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok()) << module.status();
  std::string text;
  for (uint32_t i = 0; i < module->funcs.size(); ++i) {
    const absl::StatusOr<std::string> one = DisassembleFunction(*module, i);
    ASSERT_TRUE(one.ok()) << one.status();
    text += *one;
  }
  for (const char* line :
       {"func 0 (result i32 exnref) (local exnref)\n", "    try_table (catch_ref 0 0)\n",
        "      throw 0\n", "      try_table (result i32) (catch_all 0) (catch 1 0)\n",
        "        return_call 1\n", "    ref.null exn\n", "    throw_ref\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(DisassemblerTest, EverySample) {
  for (const SampleModule& sample : SampleModules()) {
    const absl::StatusOr<Module> module = DecodeModule(AsBytes(sample.bytes));
    ASSERT_TRUE(module.ok());
    for (uint32_t i = module->imported_funcs; i < module->funcs.size(); ++i) {
      EXPECT_TRUE(DisassembleFunction(*module, i).ok()) << sample.name << " " << i;
    }
  }
}

TEST(DisassemblerTest, InvalidBody) {
  const Bytes bytes = Wat("(module (func (drop)))");
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  EXPECT_EQ(DisassembleFunction(*module, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace wasmd::engine
