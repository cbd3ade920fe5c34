// BinaryError: the first thing that is wrong with a module, and where.
//
// Decoder and walker note it here, in inner loops, and turn it into an absl::Status at the edge.
// Thread-compatible.
#ifndef WASMD_ENGINE_BINARY_BINARY_ERROR_H_
#define WASMD_ENGINE_BINARY_BINARY_ERROR_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

#include "engine/wasm/features.h"

namespace wasmd::engine {

class BinaryError {
 public:
  [[nodiscard]] bool ok() const { return code_ == absl::StatusCode::kOk; }
  [[nodiscard]] uint32_t offset() const { return offset_; }

  // The first error stays; later ones are its consequences. `offset` counts from the start of the
  // module. kInvalidArgument: the module is malformed or invalid.
  [[gnu::cold]] void Invalid(uint32_t offset, std::string message) {
    Set(absl::StatusCode::kInvalidArgument, offset, std::move(message));
  }
  // kResourceExhausted: "too many types: 1000001, the limit is 1000000 (kMaxTypes)".
  [[gnu::cold]] void BeyondLimit(uint32_t offset, std::string_view what, uint64_t count,
                                 std::string_view limit_name, uint64_t limit);
  // kUnimplemented: "v128 needs the feature simd, which is not supported".
  [[gnu::cold]] void Unsupported(uint32_t offset, std::string_view what, Feature feature);

  // "<message> (at offset 0x2a)", or with `where`: "<message> in <where> (at offset 0x2a)".
  absl::Status ToStatus(std::string_view where = {}) const;

 private:
  void Set(absl::StatusCode code, uint32_t offset, std::string message);

  absl::StatusCode code_ = absl::StatusCode::kOk;
  uint32_t offset_ = 0;
  std::string message_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BINARY_BINARY_ERROR_H_
