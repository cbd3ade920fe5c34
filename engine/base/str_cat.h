// StrCat and StrAppend: abseil's, that take std::string_view too. (Debian's abseil has a
// string_view type of its own.)
#ifndef WASMD_ENGINE_BASE_STR_CAT_H_
#define WASMD_ENGINE_BASE_STR_CAT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace wasmd::engine {
namespace str_cat_internal {

template <typename T>
decltype(auto) Piece(const T& piece) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return absl::string_view(piece.data(), piece.size());
  } else {
    return (piece);
  }
}

}  // namespace str_cat_internal

template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  return absl::StrCat(str_cat_internal::Piece(pieces)...);
}

template <typename... Pieces>
void StrAppend(std::string* to, const Pieces&... pieces) {
  absl::StrAppend(to, str_cat_internal::Piece(pieces)...);
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BASE_STR_CAT_H_
