#include "engine/wasm/module.h"

#include <algorithm>  // NOLINT(misc-include-cleaner): std::ranges::lower_bound
#include <cstdint>
#include <string_view>
#include <utility>

namespace wasmd::engine {

std::string_view Module::func_name(uint32_t func_index) const {
  const auto entry = std::ranges::lower_bound(names.function_names, func_index, {},
                                              &std::pair<uint32_t, std::string_view>::first);
  if (entry == names.function_names.end() || entry->first != func_index) {
    return {};
  }
  return entry->second;
}

}  // namespace wasmd::engine
