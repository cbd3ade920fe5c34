#include "engine/code/call_stub_code.h"

#include <cstring>
#include <iterator>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/code/code_memory.h"

namespace wasmd::engine {
namespace {

// A cache line: what is fetched for one stub is never part of the next.
constexpr uint64_t kStubAlignment = 64;

}  // namespace

CallStubCode::~CallStubCode() {
  const MutexLock lock(mutex_);
  while (!runs_.empty()) {
    Free(runs_.begin());
  }
}

absl::StatusOr<const void*> CallStubCode::Add(std::span<const uint8_t> code) {
  WASMD_CHECK(!code.empty());
  const uint64_t size = (code.size() + kStubAlignment - 1) / kStubAlignment * kStubAlignment;
  const MutexLock lock(mutex_);
  auto run = runs_.find(filling_);
  if (run == runs_.end() ||
      size > run->second.chunks.count * kCodeChunkBytes - run->second.fill_bytes) {
    const uint64_t count = (size + kCodeChunkBytes - 1) / kCodeChunkBytes;
    if (!quota_.Take(count * kCodeChunkBytes)) {
      return CodeMemorySpent("EngineOptions::code_bytes");
    }
    absl::StatusOr<ChunkRun> chunks = arena_.Take(static_cast<uint32_t>(count), kCallStubOwner);
    if (!chunks.ok()) {
      quota_.Give(count * kCodeChunkBytes);
      return chunks.status();
    }
    if (run != runs_.end() && run->second.stubs == 0) {
      Free(run);
    }
    filling_ = arena_.executable(chunks->first);
    run = runs_.emplace(filling_, Run{.chunks = *chunks}).first;
  }
  const uint64_t offset = run->second.fill_bytes;
  std::memcpy(arena_.writable(run->second.chunks.first) + offset, code.data(), code.size());
  run->second.fill_bytes += size;
  ++run->second.stubs;
  return run->first + offset;
}

void CallStubCode::Remove(const void* stub) {
  const MutexLock lock(mutex_);
  auto run = runs_.upper_bound(static_cast<const std::byte*>(stub));
  WASMD_CHECK(run != runs_.begin());
  --run;
  WASMD_CHECK(run->second.stubs > 0 &&
              static_cast<const std::byte*>(stub) < run->first + run->second.fill_bytes);
  if (--run->second.stubs == 0 && run->first != filling_) {
    Free(run);
  }
}

void CallStubCode::Free(Runs::iterator run) {
  arena_.Free(run->second.chunks);
  quota_.Give(run->second.chunks.count * kCodeChunkBytes);
  runs_.erase(run);
}

}  // namespace wasmd::engine
