// ByteReader: reads the binary format's primitives from a range of a module's bytes.
//
// The first error sticks: it is noted in the BinaryError that all readers of one module share, the
// position moves to the end, and every later read gives zero. So a decoder reads on and asks ok()
// before it uses a value as an index or a count.
//
// Thread-compatible. The bytes and the error outlive the reader. Spec: binary-values
#ifndef WASMD_ENGINE_BINARY_BYTE_READER_H_
#define WASMD_ENGINE_BINARY_BYTE_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/binary/binary_error.h"
#include "engine/binary/leb128.h"
#include "engine/wasm/features.h"

namespace wasmd::engine {

class ByteReader {
 public:
  // Reads [begin, end) of `bytes`, which is the whole module; offsets count from its start.
  ByteReader(std::span<const std::byte> bytes, uint32_t begin, uint32_t end, BinaryError& error);

  [[nodiscard]] bool ok() const { return error_->ok(); }
  [[nodiscard]] uint32_t offset() const { return static_cast<uint32_t>(pos_ - begin_); }
  [[nodiscard]] uint32_t remaining() const { return static_cast<uint32_t>(end_ - pos_); }
  [[nodiscard]] bool at_end() const { return pos_ == end_; }
  BinaryError& error() { return *error_; }

  uint8_t U8();
  // The next byte, not consumed; 0 at the end.
  [[nodiscard]] uint8_t Peek() const { return at_end() ? 0 : *pos_; }
  uint32_t U32() { return Leb<uint32_t, 32>(); }
  int32_t S32() { return Leb<int32_t, 32>(); }
  uint64_t U64() { return Leb<uint64_t, 64>(); }
  int64_t S64() { return Leb<int64_t, 64>(); }
  uint32_t F32Bits();
  uint64_t F64Bits();
  // The next `size` bytes. Fails with "unexpected end".
  std::string_view Take(uint32_t size);
  // A UTF-8 name of at most kMaxNameBytes. Spec: binary-name
  std::string_view Name();
  // A vector's length. Fails where more elements are promised than bytes are left, since none is
  // smaller than a byte, and beyond `limit`.
  uint32_t Count(std::string_view what, std::string_view limit_name, uint32_t limit);
  // A reader of the next `size` bytes, which this one skips. Fails with "length out of bounds".
  ByteReader Sub(uint32_t size);

  void Fail(std::string message) { FailAt(offset(), std::move(message)); }
  void FailAt(uint32_t offset, std::string message);
  void FailUnsupported(uint32_t offset, std::string_view what, Feature feature);

 private:
  template <typename Int, unsigned kBits>
  Int Leb() {
    Int value = 0;
    if (const LebError error = ReadLeb<Int, kBits>(pos_, end_, value); error != LebError::kNone) {
      Fail(ToString(error));
    }
    return value;
  }

  const uint8_t* begin_;  // Of the module.
  const uint8_t* pos_;
  const uint8_t* end_;
  BinaryError* error_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BINARY_BYTE_READER_H_
