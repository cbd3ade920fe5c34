// Values and types as text.
#include "engine/text/print.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/wasm/module.h"
#include "engine/wasm/types.h"
#include "tests/support/wasm_builder.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

std::string F32(uint32_t bits) {
  return PrintValue(ValType::kF32, bits);
}
std::string F64(double value) {
  return PrintValue(ValType::kF64, std::bit_cast<uint64_t>(value));
}

TEST(PrintTest, Integers) {
  EXPECT_EQ(PrintValue(ValType::kI32, 0xffff'ffff), "-1");
  EXPECT_EQ(PrintValue(ValType::kI32, 0x8000'0000), "-2147483648");
  EXPECT_EQ(PrintValue(ValType::kI64, 0xffff'ffff), "4294967295");
  EXPECT_EQ(PrintValue(ValType::kI64, UINT64_MAX), "-1");
}

TEST(PrintTest, Floats) {
  EXPECT_EQ(F64(0.1), "0.1");
  EXPECT_EQ(F64(-0.0), "-0");
  EXPECT_EQ(F64(1e300), "1e+300");
  EXPECT_EQ(F32(0x3dcc'cccd), "0.1") << "shortest for its own width";
  EXPECT_EQ(F32(0x7f80'0000), "inf");
  EXPECT_EQ(F32(0xff80'0000), "-inf");
  EXPECT_EQ(F32(0x7fc0'0000), "nan");
  EXPECT_EQ(F32(0xffc0'0000), "-nan");
  EXPECT_EQ(F32(0x7fa0'0000), "nan:0x200000");
  EXPECT_EQ(PrintValue(ValType::kF64, 0x7ff8'0000'0000'0001), "nan:0x8000000000001");
}

TEST(PrintTest, References) {
  EXPECT_EQ(PrintValue(ValType::kFuncRef, 0), "null");
  EXPECT_EQ(PrintValue(ValType::kExternRef, 0x2a), "ref:0x2a");
}

TEST(PrintTest, Vectors) {
  EXPECT_EQ(PrintV128({0xffff'ffff'0000'0001, 0x3f80'0000'0000'0000}),
            "i32x4 0x00000001 0xffffffff 0x00000000 0x3f800000");
  EXPECT_EQ(PrintValue(ValType::kV128, 7, 8), "i32x4 0x00000007 0x00000000 0x00000008 0x00000000");
}

TEST(PrintTest, Types) {
  EXPECT_EQ(Print(FuncType{}), "(func)");
  EXPECT_EQ(Print(FuncType{{ValType::kI32, ValType::kF64}, {ValType::kExternRef}}),
            "(func (param i32 f64) (result externref))");
  EXPECT_EQ(Print(TableType{ValType::kFuncRef, {1, 10}}), "(table 1 10 funcref)");
  EXPECT_EQ(Print(MemoryType{{17, {}}}), "(memory 17)");
  EXPECT_EQ(Print(GlobalType{ValType::kI64, true}), "(global (mut i64))");
  EXPECT_EQ(Print(GlobalType{ValType::kF32, false}), "(global f32)");
}

TEST(PrintTest, Module) {
  const Bytes bytes = Wat(R"((module
    (import "a" "\09\"b" (func (param i64)))
    (memory 1 2)
    (table 3 funcref)
    (global (mut f32) (f32.const 1.5))
    (func $run (export "run"))
    (start $run)
    (elem (i32.const 1) func $run)
    (data "12345")))");
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok()) << module.status();
  std::string text = PrintModule(*module);
  const size_t at = text.find(" bytes at 0x");
  ASSERT_NE(at, std::string::npos);
  text.resize(at);
  EXPECT_EQ(text, R"((type 0 (func (param i64)))
(type 1 (func))
(import "a" "\09\22b" (func (param i64)))
(table 3 funcref) ;; 0
(memory 1 2) ;; 0
(global (mut f32)) = (f32.const 1.5) ;; 0
(export "run" (func 1))
(start 1)
(elem 0 (table 0) (i32.const 1) funcref 1 elements)
(data 0 5 bytes)
(func) ;; 1 run, 2)");
}

}  // namespace
}  // namespace wasmd::engine
