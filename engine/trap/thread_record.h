// What the engine keeps for a thread, and what happens when the thread ends.
#ifndef WASMD_ENGINE_TRAP_THREAD_RECORD_H_
#define WASMD_ENGINE_TRAP_THREAD_RECORD_H_

#include <cstdint>

#include "engine/abi/instance_context.h"
#include "engine/platform/thread.h"

namespace wasmd::engine {

// A thread that ends looks at the stores that it bound last, or at all where it has bound more.
inline constexpr uint32_t kRememberedStores = 12;

// Constant-initialised: a thread that never met us has a valid one.
struct ThreadRecord {
  uint64_t serial = 0;  // Unique in the process; 0: not prepared.
  StackBounds stack;    // The thread's own; empty where the system cannot tell.
  int32_t thread_id = 0;
  // False: stores are never bound to it, because nobody would unbind them when it ends.
  bool may_bind = false;
  uint32_t bound_count = 0;
  uint32_t bound[kRememberedStores] = {};  // StoreContext::pool_index, a ring.
};

// The calling thread's record, prepared: its stack is known, and the signals of faults and
// interrupts, which a host may have blocked, are not. Null where `frame`, an address in the frames
// of the caller, is not in the thread's own stack: the record may be another thread's then, whose
// thread-local storage a raw clone thread shares.
ThreadRecord* PreparedThread(uint64_t frame);

// For a call on a stack that is not known: unblocks the signals, and returns the thread's id.
int32_t PrepareUnknownThread();

// Opens the store's window to the calling thread, whose record it is: [low, low +
// kStoreWindowBytes) of its own stack, `low` being rounded up. The store has no activation.
void BindStore(StoreContext& store, ThreadRecord& thread, uint64_t low);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_THREAD_RECORD_H_
