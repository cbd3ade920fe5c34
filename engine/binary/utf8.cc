#include "engine/binary/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace wasmd::engine {
namespace {

// Continuation bytes that `lead` asks for and the bounds of the first of them: every other one is
// 0x80..0xbf. A lead that can start no character has count 0. (Unicode, table 3-7.)
struct Lead {
  size_t count;
  uint8_t low;
  uint8_t high;
};

Lead ClassifyLead(uint8_t lead) {
  if (lead < 0xc2 || lead > 0xf4) {
    return {0, 0, 0};
  }
  if (lead < 0xe0) {
    return {1, 0x80, 0xbf};
  }
  if (lead < 0xf0) {
    return {2, static_cast<uint8_t>(lead == 0xe0 ? 0xa0 : 0x80),
            static_cast<uint8_t>(lead == 0xed ? 0x9f : 0xbf)};
  }
  return {3, static_cast<uint8_t>(lead == 0xf0 ? 0x90 : 0x80),
          static_cast<uint8_t>(lead == 0xf4 ? 0x8f : 0xbf)};
}

}  // namespace

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    if (text.size() - i >= sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + i, sizeof(word));
      if ((word & 0x8080808080808080) == 0) {
        i += sizeof(word);
        continue;
      }
    }
    const auto byte = static_cast<uint8_t>(text[i]);
    ++i;
    if (byte < 0x80) {
      continue;
    }
    const Lead lead = ClassifyLead(byte);
    if (lead.count == 0 || text.size() - i < lead.count) {
      return false;
    }
    for (size_t k = 0; k < lead.count; ++k, ++i) {
      const auto next = static_cast<uint8_t>(text[i]);
      if (next < (k == 0 ? lead.low : 0x80) || next > (k == 0 ? lead.high : 0xbf)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace wasmd::engine
