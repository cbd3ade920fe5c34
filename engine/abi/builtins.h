// BuiltinId, and the C prototypes of the builtins. Their bodies are in engine/runtime/builtins.cc.
#ifndef WASMD_ENGINE_ABI_BUILTINS_H_
#define WASMD_ENGINE_ABI_BUILTINS_H_

#include <cstdint>

namespace wasmd::engine {

struct InstanceContext;

enum class BuiltinId : uint32_t {
#define BUILTIN(name, ret, ...) k##name,
#include "engine/abi/builtins.def"
#undef BUILTIN
  kCount,
};

#define BUILTIN(name, ret, ...) ret Builtin##name(__VA_ARGS__) noexcept;
#include "engine/abi/builtins.def"
#undef BUILTIN

// In the order of builtins.def; what InstanceContext::builtins points to. Defined in
// engine/runtime/builtins.cc.
extern const void* const kBuiltinTable[];

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_BUILTINS_H_
