// CodeArena: the process's memory for generated code, given out in chunks to modules. See
// code_map.h for its shape.
//
// Never both writable and executable: see CodeMapping. Thread-safe. Lives from the first Get to the
// end of the process.
#ifndef WASMD_ENGINE_CODE_CODE_ARENA_H_
#define WASMD_ENGINE_CODE_CODE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/base/mutex.h"
#include "engine/code/code_map.h"
#include "engine/platform/virtual_memory.h"

namespace wasmd::engine {

// A run of chunks.
struct ChunkRun {
  uint32_t first = 0;
  uint32_t count = 0;
};

class CodeArena {
 public:
  // The process's; made on the first call that succeeds. Errors as CodeMapping::Create.
  static absl::StatusOr<CodeArena*> Get();

  // Chunks in a row for `owner`. kResourceExhausted: none that are left are enough.
  absl::StatusOr<ChunkRun> Take(uint32_t count, ChunkOwner owner);
  // No thread is inside the code any more, and none can get there.
  void Free(ChunkRun run);

  std::byte* writable(uint32_t chunk) const {
    return mapping_.writable() + chunk * kCodeChunkBytes;
  }
  const std::byte* executable(uint32_t chunk) const {
    return mapping_.executable() + chunk * kCodeChunkBytes;
  }

  // Makes the stubs of function indices below `count`. Stub i, at LazyStub(i), is
  //   mov eax, i; jmp [rdi + kCtxLazyEntry]
  // and serves every module: rdi says whose function i is meant.
  void EnsureStubs(uint32_t count);
  const void* LazyStub(uint32_t func_index) const {
    return mapping_.executable() + func_index * kLazyStubBytes;
  }
  bool IsLazyStub(const void* code) const {
    return reinterpret_cast<uintptr_t>(code) - reinterpret_cast<uintptr_t>(mapping_.executable()) <
           kStubRegionBytes;
  }

  // Chunks that are owned now.
  uint64_t used_chunks() const;

 private:
  explicit CodeArena(CodeMapping mapping);

  const CodeMapping mapping_;
  mutable Mutex mutex_;
  std::vector<bool> used_ ABSL_GUARDED_BY(mutex_);
  uint32_t search_from_ ABSL_GUARDED_BY(mutex_);  // All below are used.
  uint64_t used_count_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t stubs_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_CODE_CODE_ARENA_H_
