// DecodeModule: bytes to Module.
//
// Checks everything but function bodies: the binary format, index spaces, constant expressions,
// limits, exports, the start function, and which functions are declared references. What is left is
// ValidateModule (engine/validate/validate.h), without which a module must not be used.
#ifndef WASMD_ENGINE_BINARY_DECODE_MODULE_H_
#define WASMD_ENGINE_BINARY_DECODE_MODULE_H_

#include <atomic>
#include <cstddef>
#include <span>

#include "absl/status/statusor.h"

#include "engine/wasm/features.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

// The module refers into `bytes`. Thread-safe. Only `features` may be used, here and by the bodies.
// kInvalidArgument: malformed or invalid; the message begins in the reference interpreter's words
// and ends with the byte offset. kUnimplemented: a known feature that the engine does not have, or
// that is switched off, by name. kResourceExhausted: beyond one of engine/wasm/limits.h, by name.
// kCancelled: `cancel`, looked at between sections and every few thousand items, was set; null:
// never. Spec: binary-module, valid-module
absl::StatusOr<Module> DecodeModule(std::span<const std::byte> bytes,
                                    const FeatureSet& features = {},
                                    const std::atomic<bool>* cancel = nullptr);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BINARY_DECODE_MODULE_H_
