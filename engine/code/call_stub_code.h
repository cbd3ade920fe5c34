// CallStubCode: the code of call stubs (engine/abi/call_stub.h), which come and go one by one.
//
// Thread-safe. A chunk is given back when none of its stubs is left; no place in it is used twice,
// so that no processor ever runs what stood there before.
#ifndef WASMD_ENGINE_CODE_CALL_STUB_CODE_H_
#define WASMD_ENGINE_CODE_CALL_STUB_CODE_H_

#include <cstdint>
#include <map>
#include <span>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "engine/base/mutex.h"
#include "engine/code/code_arena.h"
#include "engine/code/module_code.h"

namespace wasmd::engine {

class CallStubCode {
 public:
  // Both outlive it.
  CallStubCode(CodeArena& arena, CodeQuota& quota) : arena_(arena), quota_(quota) {}
  CallStubCode(const CallStubCode&) = delete;
  CallStubCode& operator=(const CallStubCode&) = delete;
  ~CallStubCode();

  // Puts a stub's code into the arena. kResourceExhausted: the quota or the arena is spent.
  absl::StatusOr<const void*> Add(std::span<const uint8_t> code);
  // `stub` is what Add returned; no thread is in it, and none can get there.
  void Remove(const void* stub);

 private:
  struct Run {
    ChunkRun chunks;
    uint64_t fill_bytes = 0;
    uint64_t stubs = 0;
  };
  using Runs = std::map<const std::byte*, Run>;  // By address.

  void Free(Runs::iterator run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  CodeArena& arena_;
  CodeQuota& quota_;
  Mutex mutex_;
  Runs runs_ ABSL_GUARDED_BY(mutex_);
  const std::byte* filling_ ABSL_GUARDED_BY(mutex_) = nullptr;  // The run that takes the next one.
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_CODE_CALL_STUB_CODE_H_
