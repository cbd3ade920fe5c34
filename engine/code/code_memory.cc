#include "engine/code/code_memory.h"

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"

#include "engine/base/str_cat.h"

namespace wasmd::engine {
namespace {

constexpr char kMark[] = "wasmd.engine.CodeMemorySpent";

}  // namespace

absl::Status CodeMemorySpent(std::string_view limit) {
  absl::Status status =
      absl::ResourceExhaustedError(StrCat("the engine's code memory is spent (", limit, ")"));
  status.SetPayload(kMark, absl::Cord());
  return status;
}

bool IsCodeMemorySpent(const absl::Status& status) {
  return status.GetPayload(kMark).has_value();
}

}  // namespace wasmd::engine
