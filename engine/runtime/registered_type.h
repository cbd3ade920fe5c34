// RegisteredType: a function type as TypeRegistry keeps it, with what every function of that type
// shares.
#ifndef WASMD_ENGINE_RUNTIME_REGISTERED_TYPE_H_
#define WASMD_ENGINE_RUNTIME_REGISTERED_TYPE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/wasm/types.h"

namespace wasmd::engine {

// Never moves; lives as long as its id is held.
struct RegisteredType {
  // Null until a function of the type is called for the first time; engine/abi/call_stub.h.
  std::atomic<const void*> call_stub{nullptr};
  size_t param_count = 0;
  // SIZE_MAX where a call has to look at its results, which are exnrefs: it takes the long way.
  size_t result_count = 0;
  uint32_t id = 0;
  FuncType type;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_REGISTERED_TYPE_H_
