// ByteReader: primitives, the sticky first error, and counts that their bytes do not back.
#include "engine/binary/byte_reader.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include <gtest/gtest.h>

#include "engine/binary/binary_error.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

class ByteReaderTest : public testing::Test {
 protected:
  ByteReader Reader(const Bytes& bytes) {
    bytes_ = bytes;
    return {AsBytes(bytes_), 0, static_cast<uint32_t>(bytes_.size()), error_};
  }
  [[nodiscard]] std::string Message() const { return std::string(error_.ToStatus().message()); }

  Bytes bytes_;
  BinaryError error_;
};

TEST_F(ByteReaderTest, ReadsPrimitives) {
  ByteReader reader = Reader({0x2a, 0x80, 0x01, 0x7f, 0x00, 0x00, 0x80, 0x3f, 0x02, 'h', 'i'});
  EXPECT_EQ(reader.U8(), 0x2a);
  EXPECT_EQ(reader.U32(), 128u);
  EXPECT_EQ(reader.S32(), -1);
  EXPECT_EQ(reader.F32Bits(), 0x3f80'0000u);
  EXPECT_EQ(reader.Name(), "hi");
  EXPECT_TRUE(reader.at_end());
  EXPECT_TRUE(reader.ok());
}

TEST_F(ByteReaderTest, FirstErrorSticks) {
  ByteReader reader = Reader({0x01, 0xff});
  EXPECT_EQ(reader.U8(), 1);
  EXPECT_EQ(reader.U32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_TRUE(reader.at_end());
  reader.Fail("a consequence");
  EXPECT_EQ(reader.U8(), 0);
  EXPECT_EQ(reader.Name(), "");
  EXPECT_EQ(Message(), "unexpected end (at offset 0x2)");
}

TEST_F(ByteReaderTest, NameLongerThanTheBytes) {
  ByteReader reader = Reader({0x05, 'a', 'b'});
  EXPECT_EQ(reader.Name(), "");
  EXPECT_EQ(Message(), "length out of bounds (at offset 0x0)");
}

TEST_F(ByteReaderTest, NameThatIsNotUtf8) {
  ByteReader reader = Reader({0x01, 0xff});
  EXPECT_EQ(reader.Name(), "");
  EXPECT_EQ(Message(), "malformed UTF-8 encoding (at offset 0x0)");
}

TEST_F(ByteReaderTest, CountBeyondTheBytes) {
  ByteReader reader = Reader({0xff, 0xff, 0xff, 0xff, 0x0f, 0x00});
  EXPECT_EQ(reader.Count("things", "kMaxThings", 10), 0u);
  EXPECT_EQ(Message(), "length out of bounds (at offset 0x0)");
}

TEST_F(ByteReaderTest, CountBeyondTheLimit) {
  ByteReader reader = Reader({0x03, 0x00, 0x00, 0x00});
  EXPECT_EQ(reader.Count("things", "kMaxThings", 2), 0u);
  EXPECT_EQ(Message(), "too many things: 3, the limit is 2 (kMaxThings) (at offset 0x0)");
  EXPECT_EQ(error_.ToStatus().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ByteReaderTest, SubReaderEndsWhereItShould) {
  ByteReader reader = Reader({0x01, 0x02, 0x03});
  ByteReader sub = reader.Sub(2);
  EXPECT_EQ(reader.offset(), 2u);
  EXPECT_EQ(sub.U8(), 1);
  EXPECT_EQ(sub.U8(), 2);
  EXPECT_TRUE(sub.ok());
  EXPECT_EQ(sub.U8(), 0);
  EXPECT_FALSE(reader.ok()) << "they share the error";
}

TEST_F(ByteReaderTest, SubReaderOutOfBounds) {
  ByteReader reader = Reader({0x01});
  const ByteReader sub = reader.Sub(2);
  EXPECT_TRUE(sub.at_end());
  EXPECT_EQ(Message(), "length out of bounds (at offset 0x0)");
}

}  // namespace
}  // namespace wasmd::engine
