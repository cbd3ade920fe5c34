#include "daemon/store/sections.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/text.h"

namespace wasmd::daemon {
namespace {

constexpr size_t kPreambleBytes = 8;
// By section id; 0 is custom. Spec: binary-section
constexpr std::array<std::string_view, 14> kNames = {
    "custom", "type",  "import",  "function", "table", "memory",     "global",
    "export", "start", "element", "code",     "data",  "data count", "tag"};

std::optional<uint32_t> ReadU32(std::span<const std::byte>& bytes) {
  uint32_t value = 0;
  for (uint32_t shift = 0; shift < 35 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint32_t>(bytes.front());
    bytes = bytes.subspan(1);
    value |= (byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      return value;
    }
  }
  return std::nullopt;
}

std::string CustomName(std::span<const std::byte> contents) {
  const std::optional<uint32_t> size = ReadU32(contents);
  if (!size.has_value() || *size > contents.size()) {
    return "custom";
  }
  return {reinterpret_cast<const char*>(contents.data()), *size};
}

}  // namespace

std::vector<SectionInfo> ListSections(std::span<const std::byte> bytes) {
  std::vector<SectionInfo> sections;
  bytes = bytes.subspan(bytes.size() < kPreambleBytes ? bytes.size() : kPreambleBytes);
  while (!bytes.empty()) {
    const auto id = static_cast<size_t>(bytes.front());
    bytes = bytes.subspan(1);
    const std::optional<uint32_t> size = ReadU32(bytes);
    if (!size.has_value() || *size > bytes.size()) {
      break;
    }
    SectionInfo section;
    if (id == 0) {
      section.name = CustomName(bytes.first(*size));
    } else {
      section.name = id < kNames.size() ? std::string(kNames.at(id)) : StrCat("section ", id);
    }
    section.size_bytes = *size;
    sections.push_back(std::move(section));
    bytes = bytes.subspan(*size);
  }
  return sections;
}

}  // namespace wasmd::daemon
