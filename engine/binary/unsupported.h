// What we know of the instructions and types that we do not take: the feature that each belongs to,
// for the message.
#ifndef WASMD_ENGINE_BINARY_UNSUPPORTED_H_
#define WASMD_ENGINE_BINARY_UNSUPPORTED_H_

#include <cstdint>
#include <optional>

#include "engine/wasm/features.h"

namespace wasmd::engine {

// The feature of a byte where a value or reference type is expected. nullopt: no proposal that we
// know of gives it meaning. Spec: binary-valtype
std::optional<Feature> UnsupportedTypeFeature(uint8_t code);

// The feature of an opcode that opcodes.def has not, by its first byte. Spec: binary-instr
std::optional<Feature> UnsupportedOpcodeFeature(uint8_t byte);

// Whether `byte` is a prefix that a LEB128 number follows.
constexpr bool IsOpcodePrefix(uint8_t byte) {
  return byte >= 0xfb && byte <= 0xfe;
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BINARY_UNSUPPORTED_H_
