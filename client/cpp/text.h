// Text helpers. Debian's abseil has a string_view of its own, which a std::string_view does not
// convert to; these take both. Internal.
#ifndef WASMD_CLIENT_CPP_TEXT_H_
#define WASMD_CLIENT_CPP_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace wasmd::client {

inline absl::string_view CatPart(std::string_view part) {
  return {part.data(), part.size()};
}
template <typename T>
const T& CatPart(const T& part) {
  return part;
}
inline absl::string_view CatPart(const std::string& part) {
  return part;
}

// absl::StrCat.
template <typename... Parts>
std::string Cat(const Parts&... parts) {
  return absl::StrCat(CatPart(parts)...);
}

// One line, as messages may come from elsewhere.
inline std::string OneLine(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      c = ' ';
    }
  }
  while (!line.empty() && line.back() == ' ') {
    line.pop_back();
  }
  return line;
}

inline absl::Status NotDoneWithin(absl::Duration timeout) {
  return absl::DeadlineExceededError(Cat("not done within ", absl::FormatDuration(timeout)));
}

// Takes the prefix off, if it is there.
inline bool ConsumePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) {
    return false;
  }
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_TEXT_H_
