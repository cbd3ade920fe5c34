// The process's store contexts. Their memory stays what it is for ever, so the signal handler may
// look at any of them: a signal can arrive after its store has gone. A place is used again.
#ifndef WASMD_ENGINE_TRAP_STORE_CONTEXT_POOL_H_
#define WASMD_ENGINE_TRAP_STORE_CONTEXT_POOL_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/abi/instance_context.h"

namespace wasmd::engine {

struct StoreContextRelease {
  void operator()(StoreContext* context) const;
};
using PooledStoreContext = std::unique_ptr<StoreContext, StoreContextRelease>;

// As a new one, but for the overflow cells, which hold anything. The memory of as many as have been
// alive at once is kept. Thread-safe.
PooledStoreContext AcquireStoreContext(TrapRecord& trap_record);

inline constexpr uint32_t kStoreContextsPerSlab = 32;
inline constexpr uint32_t kMaxStoreContextSlabs = 1 << 16;

extern constinit std::atomic<StoreContext*>
    g_store_context_slabs[kMaxStoreContextSlabs];  // NOLINT: read in the signal handler.

// By StoreContext::pool_index; null for what never was one. Async-signal-safe.
inline StoreContext* StoreContextAt(uint32_t index) {
  const uint32_t slab = index / kStoreContextsPerSlab;
  if (slab >= kMaxStoreContextSlabs) {
    return nullptr;
  }
  StoreContext* const contexts = g_store_context_slabs[slab].load(std::memory_order_acquire);
  return contexts == nullptr ? nullptr : &contexts[index % kStoreContextsPerSlab];
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_STORE_CONTEXT_POOL_H_
