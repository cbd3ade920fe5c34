// The sections of a module in their order, for `wasmctl module inspect`.
#ifndef WASMD_DAEMON_STORE_SECTIONS_H_
#define WASMD_DAEMON_STORE_SECTIONS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace wasmd::daemon {

struct SectionInfo {
  std::string name;  // "type", "code", …; a custom section's own name.
  uint64_t size_bytes = 0;
};

// `bytes` are those of a module that was decoded before; whatever cannot be read ends the list.
std::vector<SectionInfo> ListSections(std::span<const std::byte> bytes);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_STORE_SECTIONS_H_
