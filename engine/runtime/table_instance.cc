#include "engine/runtime/table_instance.h"

#include <algorithm>

#include "engine/base/str_cat.h"
#include "engine/wasm/limits.h"

namespace wasmd::engine {

absl::StatusOr<std::unique_ptr<TableInstance>> TableInstance::Create(const TableType& type,
                                                                     uint64_t init, Quota& quota) {
  auto table = std::unique_ptr<TableInstance>(new TableInstance(type, quota));
  if (!table->Grow(type.limits.min, init).has_value()) {
    return absl::ResourceExhaustedError(StrCat(
        "a table of ", type.limits.min, " elements is over the limit ",
        type.limits.min > kMaxTableElements ? StrCat("kMaxTableElements of ", kMaxTableElements)
                                            : LimitText(quota)));
  }
  return table;
}

TableInstance::~TableInstance() {
  quota_.Give(context_.size);
}

std::optional<uint64_t> TableInstance::Grow(uint64_t delta, uint64_t init) {
  const uint64_t old_size = context_.size;
  const uint64_t max_size =
      std::min<uint64_t>(type_.limits.max.value_or(kMaxTableElements), kMaxTableElements);
  if (old_size > max_size || delta > max_size - old_size || !quota_.Take(delta)) {
    return std::nullopt;
  }
  elements_.resize(old_size + delta, init);
  context_.elements = elements_.data();
  context_.size = elements_.size();
  return old_size;
}

}  // namespace wasmd::engine
