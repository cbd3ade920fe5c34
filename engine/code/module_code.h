// ModuleCode: the machine code of one module: appended function by function, found by pc, freed as
// a whole.
//
// Thread-safe. Destroyed when no thread is inside its code and none can get there: see CodeOwner.
#ifndef WASMD_ENGINE_CODE_MODULE_CODE_H_
#define WASMD_ENGINE_CODE_MODULE_CODE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "engine/abi/code_site.h"
#include "engine/abi/exception.h"
#include "engine/base/accountant.h"
#include "engine/base/mutex.h"
#include "engine/code/code_arena.h"

namespace wasmd::engine {

// Bytes of the arena that several modules share. Thread-safe; outlives them.
class CodeQuota {
 public:
  explicit CodeQuota(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  bool Take(uint64_t size_bytes);
  void Give(uint64_t size_bytes) { used_bytes_.fetch_sub(size_bytes, std::memory_order_relaxed); }
  uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  const uint64_t limit_bytes_;
  std::atomic<uint64_t> used_bytes_{0};
};

class ModuleCode {
 public:
  // `owner` is what owner() gives back: whoever finds the code by a pc wants to know its module.
  // `accountant` is charged for the chunks that the code takes; null: nobody.
  ModuleCode(CodeArena& arena, CodeQuota& quota, const void* owner,
             std::shared_ptr<Accountant> accountant = nullptr);
  ModuleCode(const ModuleCode&) = delete;
  ModuleCode& operator=(const ModuleCode&) = delete;
  ~ModuleCode();

  // Puts a function's code into the arena and returns its address. `sites` are ascending by
  // pc_offset. kResourceExhausted: the quota or the arena is spent, or the accountant refuses.
  absl::StatusOr<const void*> Append(uint32_t func_index, std::span<const uint8_t> code,
                                     std::vector<CodeSite> sites, HandlerTable handlers = {});

  struct Location {
    uint32_t func_index = 0;
    std::optional<CodeSite> site;  // The one at that very pc.
    uint32_t wasm_offset =
        0;  // Of that site, else of the last one before it; from the body's start.
  };
  // nullopt: no function of this module is at `pc`. A return address may be one past a function's
  // last byte.
  std::optional<Location> Find(uint64_t pc, bool is_return_address) const;

  // The function that a call returns into, and its handlers: null where it has none. They stay as
  // long as the module does.
  struct Handlers {
    uint64_t begin = 0;
    uint64_t code_bytes = 0;
    const HandlerTable* table = nullptr;
  };
  Handlers HandlersAt(uint64_t return_address) const;

  const void* owner() const { return owner_; }
  const std::shared_ptr<Accountant>& accountant() const { return accountant_; }
  uint64_t code_bytes() const;
  uint64_t arena_bytes() const;

 private:
  struct Function {
    uint32_t func_index = 0;
    uint32_t code_bytes = 0;
    std::vector<CodeSite> sites;
    std::unique_ptr<const HandlerTable> handlers;  // Few functions have any.
  };

  // Chunks for `needed` of them, or for more to come if they are to be had.
  absl::StatusOr<ChunkRun> TakeRun(uint64_t needed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Charge(uint64_t count);
  void Uncharge(uint64_t count);

  CodeArena& arena_;
  CodeQuota& quota_;
  const void* const owner_;
  const std::shared_ptr<Accountant> accountant_;  // Shared with other modules.
  mutable Mutex mutex_;
  std::vector<ChunkRun> runs_ ABSL_GUARDED_BY(mutex_);  // The last one is being filled.
  uint64_t fill_bytes_ ABSL_GUARDED_BY(mutex_) = 0;     // Of the last run.
  uint64_t code_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t chunks_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Function> functions_ ABSL_GUARDED_BY(mutex_);  // By address.
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_CODE_MODULE_CODE_H_
