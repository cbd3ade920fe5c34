// CodeMap: which addresses of the code arena are generated code, and whose. Read in the signal
// handler, without a lock.
//
//   base                  base + kCodeArenaBytes
//     | lazy stubs | chunk | chunk | …     64 KiB a chunk; each has an owner or is free
//
// One for the process; constant-initialised, and base is set once, before any code is made.
// Thread-safe.
#ifndef WASMD_ENGINE_CODE_CODE_MAP_H_
#define WASMD_ENGINE_CODE_CODE_MAP_H_

#include <atomic>
#include <cstdint>

#include "engine/wasm/limits.h"

namespace wasmd::engine {

class ModuleCode;

inline constexpr uint64_t kCodeChunkBytes = 64 << 10;
inline constexpr uint64_t kCodeChunks = kCodeArenaBytes / kCodeChunkBytes;
// One lazy stub for each function index that a module can have, at the arena's start; see
// CodeArena::EnsureStubs.
inline constexpr uint64_t kLazyStubBytes = 8;
inline constexpr uint64_t kStubRegionBytes =
    (kMaxFuncs * kLazyStubBytes + kCodeChunkBytes - 1) / kCodeChunkBytes * kCodeChunkBytes;

// Whose a chunk is: nobody's, a module's, whose ModuleCode is at that address, or the call stubs'
// (call_stub_code.h).
using ChunkOwner = uintptr_t;
inline constexpr ChunkOwner kNoChunkOwner = 0;  // Free, or lazy stubs.
inline constexpr ChunkOwner kCallStubOwner = 1;
inline ChunkOwner ChunkOwnerOf(const ModuleCode& module) {
  return reinterpret_cast<ChunkOwner>(&module);
}

struct CodeMap {
  std::atomic<uint64_t> base{0};
  std::atomic<ChunkOwner> owners[kCodeChunks];
};

extern CodeMap g_code_map;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): the code
                            // map is process-wide.

// The owner of the generated code at `pc`. Async-signal-safe.
//
// Nobody waits for readers, and nobody counts them, because what is taken away has none. A chunk is
// given back with the last reference to its module's code, and these hold one:
//
//  - each instance, and with it its store, which keeps instances until it goes and does not go
//    while it is active, or while an instance of it is being made. So a pc that a thread has in
//    its registers, or return addresses below which it runs, have their owner: the signal handler
//    and the walk to the entry, who ask about nothing else, find it there and compare it with
//    null, no more;
//  - whoever compiles, and whoever reads the code or names of a module (LoadedModule);
//  - each backtrace (engine/runtime/backtrace.h), from when it is captured, on the store's thread
//    while the store is there, until it goes. Only backtraces and checks of a fault, which run
//    likewise, look inside of the owner.
//
// The handler may be asked about any pc, on any thread, at any time: a host's pc is outside of the
// arena and reads nothing. A chunk that gets another owner meanwhile is one that no thread is in.
inline ChunkOwner CodeChunkOwner(uint64_t pc) {
  const uint64_t base = g_code_map.base.load(std::memory_order_relaxed);
  const uint64_t offset = pc - base;
  // Relaxed is enough: a thread whose pc is in a chunk has been told of the code by an acquire.
  return base != 0 && offset < kCodeArenaBytes
             ? g_code_map.owners[offset / kCodeChunkBytes].load(std::memory_order_relaxed)
             : kNoChunkOwner;
}

// Of a module or a call stub. Async-signal-safe.
inline bool IsGeneratedCode(uint64_t pc) {
  return CodeChunkOwner(pc) != kNoChunkOwner;
}

// Of a function of wasm: its module, else null. Async-signal-safe.
inline ModuleCode* CodeOwner(uint64_t pc) {
  const ChunkOwner owner = CodeChunkOwner(pc);
  return owner == kCallStubOwner ? nullptr : reinterpret_cast<ModuleCode*>(owner);
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_CODE_CODE_MAP_H_
