// BoundsChecks: how generated code keeps to the bounds of memories. Instances, memories and code of
// one engine agree on it.
#ifndef WASMD_ENGINE_ABI_BOUNDS_CHECKS_H_
#define WASMD_ENGINE_ABI_BOUNDS_CHECKS_H_

#include <cstdint>

#include "engine/wasm/types.h"

namespace wasmd::engine {

enum class BoundsChecks : uint8_t {
  // Memories with a guard are not checked: what is out of bounds faults.
  kGuardPages,
  // Code compares each access with the memory's size; no memory needs more address space than it
  // can grow to.
  kExplicit,
};

// Whether a memory of this type lies in a reservation that every 32-bit index and offset stays
// inside of, its end at an OS page's. Code checks accesses to all others.
constexpr bool HasGuard(const MemoryType& type, BoundsChecks checks) {
  return checks == BoundsChecks::kGuardPages && type.address == AddressType::kI32 &&
         type.page_shift == kWasmPageShift;
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_BOUNDS_CHECKS_H_
