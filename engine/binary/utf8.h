// Spec: binary-utf8
#ifndef WASMD_ENGINE_BINARY_UTF8_H_
#define WASMD_ENGINE_BINARY_UTF8_H_

#include <string_view>

namespace wasmd::engine {

// Whether `text` is well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BINARY_UTF8_H_
