#include "engine/wasi/guest.h"

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace wasmd::engine {
namespace {

// Well-formed UTF-8 as Unicode's table 3-7 has it: no overlong forms, no surrogates, nothing past
// U+10FFFF.
bool IsUtf8(std::span<const std::byte> text) {
  const auto at = [&](size_t i) { return std::to_integer<unsigned>(text[i]); };
  size_t i = 0;
  while (i < text.size()) {
    const unsigned lead = at(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    size_t more = 0;
    unsigned low = 0x80;
    unsigned high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
      more = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2;
      low = lead == 0xe0 ? 0xa0 : low;
      high = lead == 0xed ? 0x9f : high;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3;
      low = lead == 0xf0 ? 0x90 : low;
      high = lead == 0xf4 ? 0x8f : high;
    } else {
      return false;
    }
    if (more >= text.size() - i) {
      return false;
    }
    for (size_t k = 1; k <= more; ++k) {
      if (at(i + k) < low || at(i + k) > high) {
        return false;
      }
      low = 0x80;
      high = 0xbf;
    }
    i += more + 1;
  }
  return true;
}

}  // namespace

Answer Guest::LoadString(uint32_t address, uint32_t size, std::string& text) {
  std::span<std::byte> range;
  if (!Range(address, size, range)) {
    return fault();
  }
  if (size > kMaxPathBytes) {
    return Errno::kNametoolong;
  }
  if (!IsUtf8(range)) {
    return Errno::kIlseq;
  }
  if (size != 0 && std::memchr(range.data(), 0, size) != nullptr) {
    return Errno::kInval;
  }
  text.assign(reinterpret_cast<const char*>(range.data()), size);
  return Errno::kSuccess;
}

bool Guest::interrupted() const {
  if (interrupt_fd_ < 0) {
    return host_ != nullptr && host_->interrupt_requested();
  }
  pollfd interrupt = {interrupt_fd_, POLLIN, 0};
  return ::poll(&interrupt, 1, 0) > 0;
}

}  // namespace wasmd::engine
