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
// Why nothing is read that has gone: a chunk is freed with its module's last reference, which each
// of its instances holds, and a store that is active is not destroyed; so code whose pc is in a
// thread's registers, or whose return address is on its stack, has its owner. The handler and
// the walk to the entry compare with null only. Backtraces look inside, after the trap, on the
// thread of the store, whose instances are all still there.
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
