// Every value has a text that reads back as the same bits; what is no literal of its type is
// refused.
#include "client/cpp/value.h"

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace wasmd::client {
namespace {

template <typename T>
T Parse(ValType type, std::string_view text) {
  const absl::StatusOr<Value> value = ParseValue(type, text);
  EXPECT_TRUE(value.ok()) << text << ": " << value.status();
  return value.ok() ? std::get<T>(*value) : T{};
}

void ExpectRefused(ValType type, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    const absl::StatusOr<Value> value = ParseValue(type, text);
    EXPECT_FALSE(value.ok()) << ToString(type) << " '" << text << "' became " << ToString(*value);
    EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ValueTest, ReadsIntegers) {
  EXPECT_EQ(Parse<int32_t>(ValType::kI32, "30"), 30);
  EXPECT_EQ(Parse<int32_t>(ValType::kI32, "+30"), 30);
  EXPECT_EQ(Parse<int32_t>(ValType::kI32, "-1"), -1);
  EXPECT_EQ(Parse<int32_t>(ValType::kI32, "4294967295"), -1);
  EXPECT_EQ(Parse<int32_t>(ValType::kI32, "0xffff_ffff"), -1);
  EXPECT_EQ(Parse<int32_t>(ValType::kI32, "-0x80000000"), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(Parse<int64_t>(ValType::kI64, "-9223372036854775808"),
            std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Parse<int64_t>(ValType::kI64, "18446744073709551615"), -1);
  EXPECT_EQ(Parse<int64_t>(ValType::kI64, "1_000_000"), 1'000'000);
  ExpectRefused(ValType::kI32, {"", "-", "+", "0x", "4294967296", "-2147483649", "1.5", "1e3", "a",
                                "1 ", " 1", "--1", "_1", "1_", "1__0", "0x_1", "null"});
  ExpectRefused(ValType::kI64,
                {"18446744073709551616", "-9223372036854775809", "99999999999999999999999"});
}

TEST(ValueTest, ReadsFloats) {
  EXPECT_EQ(Parse<double>(ValType::kF64, "0.1"), 0.1);
  EXPECT_EQ(Parse<float>(ValType::kF32, "0.1"), 0.1F);
  EXPECT_EQ(Parse<double>(ValType::kF64, "-1e308"), -1e308);
  EXPECT_EQ(Parse<double>(ValType::kF64, "0x1.8p3"), 12.0);
  EXPECT_EQ(Parse<double>(ValType::kF64, ".5"), 0.5);
  EXPECT_EQ(Parse<double>(ValType::kF64, "5e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(Parse<float>(ValType::kF32, "inf"), std::numeric_limits<float>::infinity());
  EXPECT_EQ(Parse<float>(ValType::kF32, "-inf"), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(std::bit_cast<uint64_t>(Parse<double>(ValType::kF64, "-0")), uint64_t{1} << 63);
  // Rounded once: through a double it would be 0x4b800000.
  EXPECT_EQ(std::bit_cast<uint32_t>(Parse<float>(ValType::kF32, "16777217.000000001")),
            0x4b800001U);
  ExpectRefused(ValType::kF64,
                {"", "-", "1.5x", "infinity", "Inf", "NaN", "nan:", "nan:0x", "nan:0x0", "nan:1",
                 " 1", "1e999", "--1", "0x1p99999", "nan:0x10000000000000"});
  ExpectRefused(ValType::kF32, {"3.5e38", "nan:0x800000"});
}

TEST(ValueTest, KeepsTheBitsOfNans) {
  EXPECT_EQ(std::bit_cast<uint32_t>(Parse<float>(ValType::kF32, "nan")), 0x7fc00000U);
  EXPECT_EQ(std::bit_cast<uint32_t>(Parse<float>(ValType::kF32, "-nan")), 0xffc00000U);
  EXPECT_EQ(std::bit_cast<uint32_t>(Parse<float>(ValType::kF32, "nan:0x1")), 0x7f800001U);
  EXPECT_EQ(std::bit_cast<uint64_t>(Parse<double>(ValType::kF64, "-nan:0xfffffffffffff")),
            ~uint64_t{0});
}

TEST(ValueTest, TextReadsBackAsTheSameBits) {
  for (const uint32_t bits : {0U, 0x80000000U, 1U, 0x7f7fffffU, 0x3dcccccdU, 0x7f800000U,
                              0xff800000U, 0x7fc00000U, 0x7f800001U, 0xffffffffU}) {
    const std::string text = ToString(Value(std::bit_cast<float>(bits)));
    EXPECT_EQ(std::bit_cast<uint32_t>(Parse<float>(ValType::kF32, text)), bits) << text;
  }
  for (const uint64_t bits :
       {uint64_t{0}, uint64_t{1} << 63, uint64_t{1}, uint64_t{0x7fefffffffffffff},
        uint64_t{0x3fb999999999999a}, uint64_t{0x7ff0000000000001}, ~uint64_t{0}}) {
    const std::string text = ToString(Value(std::bit_cast<double>(bits)));
    EXPECT_EQ(std::bit_cast<uint64_t>(Parse<double>(ValType::kF64, text)), bits) << text;
  }
  EXPECT_EQ(ToString(Value(int64_t{-5})), "-5");
  EXPECT_EQ(ToString(Value(0.1F)), "0.1");
  EXPECT_EQ(ToString(Value(-0.0)), "-0");
}

TEST(ValueTest, ReadsVectorsAndReferences) {
  const auto v128 = Parse<V128>(ValType::kV128, "i32x4 1 -1 0xff 0");
  EXPECT_EQ(v128.bytes[0], 1);
  EXPECT_EQ(v128.bytes[7], 0xff);
  EXPECT_EQ(ToString(Value(v128)), "i32x4 0x00000001 0xffffffff 0x000000ff 0x00000000");
  ExpectRefused(ValType::kV128, {"", "1", "i32x4 1 2 3", "i32x4 1 2 3 x", "i16x8 1 2 3 4 5 6 7 8"});
  EXPECT_EQ(Parse<Reference>(ValType::kFuncRef, "null"), (Reference{ValType::kFuncRef, 0}));
  EXPECT_EQ(ToString(Value(Reference{ValType::kExternRef, 7})), "ref:7");
  ExpectRefused(ValType::kExternRef, {"", "0", "ref:7", "Null"});
}

TEST(ValueTest, TypesHaveTheTextFormatsWords) {
  EXPECT_EQ(ToString(FuncType{}), "() -> ()");
  EXPECT_EQ(ToString(FuncType{{ValType::kI32, ValType::kF64}, {ValType::kI64}}),
            "(i32, f64) -> i64");
  EXPECT_EQ(ToString(FuncType{{}, {ValType::kI32, ValType::kI32}}), "() -> (i32, i32)");
  EXPECT_EQ(ToString(ExternType(MemoryType{{1, 16}})), "memory 1 .. 16 pages");
  EXPECT_EQ(ToString(ExternType(MemoryType{{1, std::nullopt}})), "memory 1 .. pages");
  EXPECT_EQ(ToString(ExternType(MemoryType{{1, 2}, ValType::kI64})), "memory i64 1 .. 2 pages");
  EXPECT_EQ(ToString(ExternType(MemoryType{{9, 10}, ValType::kI32, 1})),
            "memory 9 .. 10 pages of 1 byte");
  EXPECT_EQ(ToString(ExternType(TableType{ValType::kFuncRef, {2, 3}, ValType::kI64})),
            "table i64 2 .. 3 funcref");
  EXPECT_EQ(ToString(ExternType(TableType{ValType::kFuncRef, {2, std::nullopt}})),
            "table 2 .. funcref");
  EXPECT_EQ(ToString(ExternType(GlobalType{ValType::kI32, true})), "global mutable i32");
  EXPECT_EQ(TypeOf(Value(Reference{ValType::kFuncRef, 0})), ValType::kFuncRef);
}

}  // namespace
}  // namespace wasmd::client
