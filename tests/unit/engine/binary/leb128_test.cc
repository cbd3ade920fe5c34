// LEB128 at its edges: the widest numbers, padding that is allowed, and one bit or byte too many.
#include "engine/binary/leb128.h"

#include <cstddef>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

template <typename Int>
struct Read {
  LebError error = LebError::kNone;
  Int value = 0;
  size_t size = 0;  // Consumed.
};

template <typename Int, unsigned kBits>
Read<Int> ReadAll(const Bytes& bytes) {
  Read<Int> read;
  const uint8_t* pos = bytes.data();
  read.error = ReadLeb<Int, kBits>(pos, bytes.data() + bytes.size(), read.value);
  read.size = static_cast<size_t>(pos - bytes.data());
  return read;
}

TEST(Leb128Test, UnsignedRoundTrip) {
  for (const uint32_t value : {0u, 1u, 127u, 128u, 16'383u, 16'384u, 0x7fff'ffffu, 0xffff'ffffu}) {
    const auto read = ReadAll<uint32_t, 32>(Leb(value));
    EXPECT_EQ(read.error, LebError::kNone);
    EXPECT_EQ(read.value, value);
    EXPECT_EQ(read.size, Leb(value).size());
  }
}

TEST(Leb128Test, SignedRoundTrip) {
  for (const int64_t value :
       {int64_t{0}, int64_t{-1}, int64_t{63}, int64_t{64}, int64_t{-64}, int64_t{-65},
        int64_t{1} << 40, -(int64_t{1} << 40), std::numeric_limits<int64_t>::max(),
        std::numeric_limits<int64_t>::min()}) {
    const auto read = ReadAll<int64_t, 64>(SignedLeb(value));
    EXPECT_EQ(read.error, LebError::kNone);
    EXPECT_EQ(read.value, value);
  }
  for (const int32_t value :
       {0, -1, 64, -65, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    const auto read = ReadAll<int32_t, 32>(SignedLeb(value));
    EXPECT_EQ(read.error, LebError::kNone);
    EXPECT_EQ(read.value, value);
  }
}

TEST(Leb128Test, PaddingUpToTheWidth) {
  EXPECT_EQ((ReadAll<uint32_t, 32>({0x83, 0x80, 0x80, 0x80, 0x00}).value), 3u);
  EXPECT_EQ((ReadAll<int32_t, 32>({0xfe, 0xff, 0xff, 0xff, 0x7f}).value), -2);
  EXPECT_EQ((ReadAll<int64_t, 33>({0xff, 0xff, 0xff, 0xff, 0x0f}).value), 0xffff'ffff);
}

TEST(Leb128Test, OneByteTooLong) {
  EXPECT_EQ((ReadAll<uint32_t, 32>({0x80, 0x80, 0x80, 0x80, 0x80, 0x00}).error),
            LebError::kTooLong);
  EXPECT_EQ((ReadAll<int32_t, 32>({0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}).error), LebError::kTooLong);
  EXPECT_EQ(
      (ReadAll<int64_t, 64>({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00})
           .error),
      LebError::kTooLong);
}

TEST(Leb128Test, UnusedBitsOfTheLastByte) {
  EXPECT_EQ((ReadAll<uint32_t, 32>({0x80, 0x80, 0x80, 0x80, 0x10}).error), LebError::kTooLarge);
  EXPECT_EQ((ReadAll<int32_t, 32>({0x80, 0x80, 0x80, 0x80, 0x70}).error), LebError::kTooLarge);
  EXPECT_EQ((ReadAll<int32_t, 32>({0xff, 0xff, 0xff, 0xff, 0x0f}).error), LebError::kTooLarge);
  EXPECT_EQ((ReadAll<int32_t, 32>({0xff, 0xff, 0xff, 0xff, 0x07}).value),
            std::numeric_limits<int32_t>::max());
  EXPECT_EQ((ReadAll<int32_t, 32>({0x80, 0x80, 0x80, 0x80, 0x78}).value),
            std::numeric_limits<int32_t>::min());
  EXPECT_EQ(
      (ReadAll<int64_t, 64>({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7e}).error),
      LebError::kTooLarge);
}

TEST(Leb128Test, EndsEarly) {
  EXPECT_EQ((ReadAll<uint32_t, 32>({}).error), LebError::kUnexpectedEnd);
  const auto read = ReadAll<uint32_t, 32>({0x80, 0x80});
  EXPECT_EQ(read.error, LebError::kUnexpectedEnd);
  EXPECT_EQ(read.size, 2u);
}

}  // namespace
}  // namespace wasmd::engine
