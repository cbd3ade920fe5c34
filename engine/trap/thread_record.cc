#include "engine/trap/thread_record.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>

#include "engine/trap/handler_inside.h"
#include "engine/trap/store_context_pool.h"

namespace wasmd::engine {
namespace {

std::atomic<uint64_t> g_next_serial{1};

thread_local constinit ThreadRecord t_thread;

// Another thread may be using the store by now: what is bound to it or active stays so.
void UnbindStore(StoreContext& store, uint64_t serial) {
  if (store.bound_thread.load(std::memory_order_relaxed) == serial) {
    uint64_t open = kStoreWindowBytes;
    store.window.compare_exchange_strong(open, kStoreUnbound, std::memory_order_relaxed);
  }
}

// The thread ends, and its stack may be the next one's. Other destructors of the thread may still
// call.
void UnbindStoresOfThread() {
  ThreadRecord& thread = t_thread;
  thread.may_bind = false;
  if (thread.bound_count <= kRememberedStores) {
    for (uint32_t i = 0; i < thread.bound_count; ++i) {
      UnbindStore(*StoreContextAt(thread.bound[i]), thread.serial);
    }
    return;
  }
  uint32_t index = 0;
  while (StoreContext* const store = StoreContextAt(index++)) {
    UnbindStore(*store, thread.serial);
  }
}

}  // namespace

ThreadRecord* PreparedThread(uint64_t frame) {
  ThreadRecord& thread = t_thread;
  if (thread.serial == 0) [[unlikely]] {
    const StackBounds stack = CurrentThreadStack();
    if (!stack.Contains(frame)) {
      return nullptr;
    }
    thread.thread_id = PrepareUnknownThread();
    thread.stack = stack;
    thread.may_bind = CallAtThreadExit(&UnbindStoresOfThread);
    thread.serial = g_next_serial.fetch_add(1, std::memory_order_relaxed);
  }
  return thread.stack.Contains(frame) ? &thread : nullptr;
}

int32_t PrepareUnknownThread() {
  // A host may have blocked all signals in its threads. A fault that is blocked ends the process,
  // so nobody can want that; the interrupt's signal nobody else uses.
  UnblockSignals(std::array{SIGSEGV, SIGBUS, kInterruptSignal});
  return CurrentThreadId();
}

void BindStore(StoreContext& store, ThreadRecord& thread, uint64_t low) {
  constexpr uint64_t kFrameAlignment = 16;
  if (store.bound_thread.load(std::memory_order_relaxed) != thread.serial) {
    thread.bound[thread.bound_count % kRememberedStores] = store.pool_index;
    // Past the ring's size only that it is so matters.
    thread.bound_count = std::min(thread.bound_count + 1, kRememberedStores + 1);
    store.bound_thread.store(thread.serial, std::memory_order_relaxed);
  }
  store.window_low = (low + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment + 1;
  store.window.store(kStoreWindowBytes, std::memory_order_relaxed);
}

}  // namespace wasmd::engine
