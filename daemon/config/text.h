// AbslView: for abseil's functions that take text. (Debian's abseil has a string_view type of its
// own.)
#ifndef WASMD_DAEMON_CONFIG_TEXT_H_
#define WASMD_DAEMON_CONFIG_TEXT_H_

#include <string_view>

#include "absl/strings/string_view.h"

#include "engine/base/str_cat.h"  // IWYU pragma: export

namespace wasmd::daemon {

using engine::StrAppend;
using engine::StrCat;

inline absl::string_view AbslView(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string_view StdView(absl::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CONFIG_TEXT_H_
