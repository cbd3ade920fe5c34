#include "engine/binary/binary_error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "engine/wasm/features.h"

namespace wasmd::engine {

void BinaryError::Set(absl::StatusCode code, uint32_t offset, std::string message) {
  if (!ok()) {
    return;
  }
  code_ = code;
  offset_ = offset;
  message_ = std::move(message);
}

void BinaryError::BeyondLimit(uint32_t offset, std::string_view what, uint64_t count,
                              std::string_view limit_name, uint64_t limit) {
  Set(absl::StatusCode::kResourceExhausted, offset,
      absl::StrFormat("too many %s: %d, the limit is %d (%s)", what, count, limit, limit_name));
}

void BinaryError::Unsupported(uint32_t offset, std::string_view what, Feature feature) {
  Set(absl::StatusCode::kUnimplemented, offset,
      absl::StrFormat("%s needs the feature %s, which is %s", what, ToString(feature),
                      IsSupported(feature) ? "switched off" : "not supported"));
}

absl::Status BinaryError::ToStatus(std::string_view where) const {
  if (ok()) {
    return absl::OkStatus();
  }
  return {code_, absl::StrFormat("%s%s%s (at offset 0x%x)", message_, where.empty() ? "" : " in ",
                                 where, offset_)};
}

}  // namespace wasmd::engine
