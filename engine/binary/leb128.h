// LEB128, as strict as the spec: no more bytes than the width needs, and the unused bits of the
// last one are the sign.
//
// Plain functions over a byte range, for ByteReader and for the function walker, which keeps its
// own position. Spec: binary-int
#ifndef WASMD_ENGINE_BINARY_LEB128_H_
#define WASMD_ENGINE_BINARY_LEB128_H_

#include <cstdint>
#include <type_traits>

namespace wasmd::engine {

enum class LebError : uint8_t { kNone, kUnexpectedEnd, kTooLong, kTooLarge };

// The reference interpreter's wording.
constexpr const char* ToString(LebError error) {
  switch (error) {
    case LebError::kNone:
      return "no error";
    case LebError::kUnexpectedEnd:
      return "unexpected end";
    case LebError::kTooLong:
      return "integer representation too long";
    case LebError::kTooLarge:
      return "integer too large";
  }
  return "?";
}

// Reads an integer of `kBits` bits from [`pos`, `end`). On success advances `pos` past it. On
// failure `pos` is where the offending byte is, and `value` is unchanged.
template <typename Int, unsigned kBits>
constexpr LebError ReadLeb(const uint8_t*& pos, const uint8_t* end, Int& value) {
  using Unsigned = std::make_unsigned_t<Int>;
  constexpr bool kIsSigned = std::is_signed_v<Int>;
  constexpr unsigned kWidth = sizeof(Int) * 8;
  static_assert(kBits <= kWidth && kBits > 7);
  constexpr unsigned kMaxBytes = (kBits + 6) / 7;
  constexpr unsigned kLastBits =
      kBits - (kMaxBytes - 1) * 7;  // Bits of the last byte that carry value.
  Unsigned result = 0;
  for (unsigned i = 0;; ++i) {
    if (pos == end) {
      return LebError::kUnexpectedEnd;
    }
    const uint8_t byte = *pos;
    if (i == kMaxBytes - 1) {
      constexpr uint8_t kUnused =
          kIsSigned ? (0x7f & (0xff << (kLastBits - 1))) : (0x7f & (0xff << kLastBits));
      const uint8_t unused = byte & kUnused;
      if (unused != 0 && !(kIsSigned && unused == kUnused)) {
        return LebError::kTooLarge;
      }
      if ((byte & 0x80) != 0) {
        return LebError::kTooLong;
      }
    }
    result = static_cast<Unsigned>(
        result | static_cast<Unsigned>(static_cast<Unsigned>(byte & 0x7f) << (i * 7)));
    ++pos;
    if ((byte & 0x80) == 0) {
      if constexpr (kIsSigned) {
        const unsigned filled = (i + 1) * 7;
        if ((byte & 0x40) != 0 && filled < kWidth) {
          result = static_cast<Unsigned>(result | (~Unsigned{0} << filled));
        }
      }
      value = static_cast<Int>(result);
      return LebError::kNone;
    }
  }
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BINARY_LEB128_H_
