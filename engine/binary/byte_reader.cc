#include "engine/binary/byte_reader.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "engine/binary/binary_error.h"
#include "engine/binary/utf8.h"
#include "engine/wasm/features.h"
#include "engine/wasm/limits.h"

namespace wasmd::engine {

ByteReader::ByteReader(std::span<const std::byte> bytes, uint32_t begin, uint32_t end,
                       BinaryError& error)
    : begin_(reinterpret_cast<const uint8_t*>(bytes.data())),
      pos_(begin_ + begin),
      end_(begin_ + end),
      error_(&error) {
  WASMD_CHECK(begin <= end && end <= bytes.size());
}

uint8_t ByteReader::U8() {
  if (at_end()) {
    Fail("unexpected end");
    return 0;
  }
  return *pos_++;
}

uint32_t ByteReader::F32Bits() {
  uint32_t bits = 0;
  if (const std::string_view taken = Take(sizeof(bits)); taken.size() == sizeof(bits)) {
    std::memcpy(&bits, taken.data(), sizeof(bits));
  }
  return bits;
}

uint64_t ByteReader::F64Bits() {
  uint64_t bits = 0;
  if (const std::string_view taken = Take(sizeof(bits)); taken.size() == sizeof(bits)) {
    std::memcpy(&bits, taken.data(), sizeof(bits));
  }
  return bits;
}

std::string_view ByteReader::Take(uint32_t size) {
  if (remaining() < size) {
    Fail("unexpected end");
    return {};
  }
  const std::string_view taken(reinterpret_cast<const char*>(pos_), size);
  pos_ += size;
  return taken;
}

std::string_view ByteReader::Name() {
  const uint32_t at = offset();
  const uint32_t size = U32();
  if (size > remaining()) {
    FailAt(at, "length out of bounds");
    return {};
  }
  if (size > kMaxNameBytes) {
    error_->BeyondLimit(at, "bytes in a name", size, "kMaxNameBytes", kMaxNameBytes);
    pos_ = end_;
    return {};
  }
  const std::string_view name = Take(size);
  if (!IsUtf8(name)) {
    FailAt(at, "malformed UTF-8 encoding");
    return {};
  }
  return name;
}

uint32_t ByteReader::Count(std::string_view what, std::string_view limit_name, uint32_t limit) {
  const uint32_t at = offset();
  const uint32_t count = U32();
  if (count > remaining()) {
    FailAt(at, "length out of bounds");
    return 0;
  }
  if (count > limit) {
    error_->BeyondLimit(at, what, count, limit_name, limit);
    pos_ = end_;
    return 0;
  }
  return count;
}

ByteReader ByteReader::Sub(uint32_t size) {
  ByteReader sub = *this;
  if (size > remaining()) {
    Fail("length out of bounds");
    sub.pos_ = sub.end_;
    return sub;
  }
  pos_ += size;
  sub.end_ = pos_;
  return sub;
}

void ByteReader::FailAt(uint32_t offset, std::string message) {
  error_->Invalid(offset, std::move(message));
  pos_ = end_;
}

void ByteReader::FailUnsupported(uint32_t offset, std::string_view what, Feature feature) {
  error_->Unsupported(offset, what, feature);
  pos_ = end_;
}

}  // namespace wasmd::engine
