#include "engine/trap/store_context_pool.h"

#include <vector>

#include "absl/base/thread_annotations.h"

#include "engine/base/check.h"
#include "engine/base/mutex.h"

namespace wasmd::engine {

constinit std::atomic<StoreContext*> g_store_context_slabs[kMaxStoreContextSlabs] = {};

namespace {

struct Pool {
  Mutex mutex;
  std::vector<uint32_t> free ABSL_GUARDED_BY(mutex);
  uint32_t slabs ABSL_GUARDED_BY(mutex) = 0;
};

Pool& ThePool() {
  static Pool& pool = *new Pool;  // Never destroyed.
  return pool;
}

}  // namespace

PooledStoreContext AcquireStoreContext(TrapRecord& trap_record) {
  Pool& pool = ThePool();
  const MutexLock lock(pool.mutex);
  if (pool.free.empty()) {
    WASMD_CHECK(pool.slabs < kMaxStoreContextSlabs, "more stores than memory could hold");
    auto* const contexts = new StoreContext[kStoreContextsPerSlab];
    const uint32_t first = pool.slabs * kStoreContextsPerSlab;
    for (uint32_t i = kStoreContextsPerSlab; i-- > 0;) {
      contexts[i].pool_index = first + i;
      pool.free.push_back(first + i);
    }
    g_store_context_slabs[pool.slabs++].store(contexts, std::memory_order_release);
  }
  StoreContext& context = *StoreContextAt(pool.free.back());
  pool.free.pop_back();
  context.trap_record = &trap_record;
  return PooledStoreContext(&context);
}

void StoreContextRelease::operator()(StoreContext* context) const {
  context->window.store(kStoreUnbound, std::memory_order_relaxed);
  context->interrupt_requested.store(0, std::memory_order_relaxed);
  context->running_thread.store(0, std::memory_order_relaxed);
  context->stack_limit = 0;
  context->window_low = 0;
  context->trap_record = nullptr;
  context->pending_exception = nullptr;
  context->activations_elsewhere = 0;
  Pool& pool = ThePool();
  const MutexLock lock(pool.mutex);
  pool.free.push_back(context->pool_index);
}

}  // namespace wasmd::engine
