#include "engine/code/code_arena.h"

#include <cstring>
#include <utility>

#include "engine/abi/instance_context.h"
#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/code/code_memory.h"

namespace wasmd::engine {

constinit CodeMap g_code_map;

namespace {

constexpr auto kFirstChunk = static_cast<uint32_t>(kStubRegionBytes / kCodeChunkBytes);

}  // namespace

absl::StatusOr<CodeArena*> CodeArena::Get() {
  static Mutex& mutex = *new Mutex;  // Never destroyed.
  static constinit CodeArena* arena = nullptr;
  const MutexLock lock(mutex);
  if (arena == nullptr) {
    WASMD_ASSIGN_OR_RETURN(CodeMapping mapping, CodeMapping::Create(kCodeArenaBytes));
    arena = new CodeArena(std::move(mapping));
  }
  return arena;
}

CodeArena::CodeArena(CodeMapping mapping)
    : mapping_(std::move(mapping)), used_(kCodeChunks), search_from_(kFirstChunk) {
  g_code_map.base.store(reinterpret_cast<uint64_t>(mapping_.executable()),
                        std::memory_order_release);
}

absl::StatusOr<ChunkRun> CodeArena::Take(uint32_t count, ChunkOwner owner) {
  WASMD_CHECK(count > 0 && owner != kNoChunkOwner);
  const MutexLock lock(mutex_);
  uint32_t run = 0;
  bool all_used_below = true;
  for (uint32_t chunk = search_from_; chunk < kCodeChunks; ++chunk) {
    if (used_[chunk]) {
      run = 0;
      if (all_used_below) {
        search_from_ = chunk + 1;
      }
      continue;
    }
    all_used_below = false;
    if (++run < count) {
      continue;
    }
    const ChunkRun taken = {chunk + 1 - count, count};
    for (uint32_t i = taken.first; i <= chunk; ++i) {
      used_[i] = true;
      g_code_map.owners[i].store(owner, std::memory_order_relaxed);
    }
    used_count_ += count;
    return taken;
  }
  return CodeMemorySpent("kCodeArenaBytes");
}

void CodeArena::Free(ChunkRun run) {
  for (uint32_t i = run.first; i < run.first + run.count; ++i) {
    g_code_map.owners[i].store(kNoChunkOwner, std::memory_order_relaxed);
  }
  // Before others may take them, or their code would be thrown away.
  mapping_.Discard(run.first * kCodeChunkBytes, run.count * kCodeChunkBytes);
  const MutexLock lock(mutex_);
  for (uint32_t i = run.first; i < run.first + run.count; ++i) {
    used_[i] = false;
  }
  used_count_ -= run.count;
  search_from_ = std::min(search_from_, run.first);
}

void CodeArena::EnsureStubs(uint32_t count) {
  WASMD_CHECK(count <= kMaxFuncs);
  const MutexLock lock(mutex_);
  static_assert(kCtxLazyEntry < 128, "a displacement of one byte");
  for (; stubs_ < count; ++stubs_) {
    uint8_t stub[kLazyStubBytes] = {0xb8, 0, 0, 0, 0, 0xff, 0x67, uint8_t{kCtxLazyEntry}};
    std::memcpy(stub + 1, &stubs_, sizeof(stubs_));
    std::memcpy(mapping_.writable() + stubs_ * kLazyStubBytes, stub, sizeof(stub));
  }
}

uint64_t CodeArena::used_chunks() const {
  const MutexLock lock(mutex_);
  return used_count_;
}

}  // namespace wasmd::engine
