#include "engine/validate/validate.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "engine/base/check.h"
#include "engine/validate/function_sink.h"
#include "engine/validate/function_walker.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {
namespace {

// Code bytes that one thread takes at a time: about a tenth of a millisecond of work.
constexpr uint64_t kChunkBytes = 32u << 10;
constexpr int kMaxThreads = 64;

// The functions of one module, handed out in chunks in the order of their indices.
class ParallelValidation {
 public:
  explicit ParallelValidation(const Module& module)
      : module_(module), first_(module.imported_funcs), first_bad_(module.funcs.size()) {
    uint64_t bytes = kChunkBytes;
    for (size_t i = first_; i < module.funcs.size(); ++i) {
      if (bytes >= kChunkBytes) {
        chunk_starts_.push_back(static_cast<uint32_t>(i));
        bytes = 0;
      }
      bytes += module.funcs[i].body_bytes + 1;
    }
    chunk_starts_.push_back(static_cast<uint32_t>(module.funcs.size()));
  }

  [[nodiscard]] int chunk_count() const { return static_cast<int>(chunk_starts_.size() - 1); }

  // Takes chunks until there are none or one before them is bad. Chunks are taken in order, so that
  // whoever finds an error, all functions before it are looked at by somebody.
  void Work() {
    WalkerScratch scratch;
    for (;;) {
      const size_t chunk = next_chunk_.fetch_add(1, std::memory_order_relaxed);
      if (chunk + 1 >= chunk_starts_.size() ||
          chunk_starts_[chunk] > first_bad_.load(std::memory_order_relaxed)) {
        return;
      }
      for (uint32_t i = chunk_starts_[chunk]; i < chunk_starts_[chunk + 1]; ++i) {
        if (absl::Status status = ValidateFunction(module_, i, scratch); !status.ok()) {
          Note(i, std::move(status));
          break;
        }
      }
    }
  }

  // After every Work has returned.
  absl::Status TakeStatus() {
    const absl::MutexLock lock(&mutex_);
    return std::move(status_);
  }

 private:
  void Note(uint32_t func_index, absl::Status status) {
    const absl::MutexLock lock(&mutex_);
    if (func_index < first_bad_.load(std::memory_order_relaxed)) {
      first_bad_.store(func_index, std::memory_order_relaxed);
      status_ = std::move(status);
    }
  }

  const Module& module_;
  const size_t first_;
  std::vector<uint32_t> chunk_starts_;  // And the end of the last one.
  std::atomic<size_t> next_chunk_ = 0;
  std::atomic<size_t> first_bad_;  // Written under mutex_; read as a hint without it.
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// All that it does is not to ask for what costs.
struct ValidatingSink : NullSink {
  static constexpr bool kWantsLocals = false;
};

void* RunWork(void* validation) {
  static_cast<ParallelValidation*>(validation)->Work();
  return nullptr;
}

}  // namespace

absl::Status ValidateFunction(const Module& module, uint32_t func_index, WalkerScratch& scratch) {
  ValidatingSink sink;
  FunctionWalker<ValidatingSink> walker(module, func_index, sink, scratch);
  return walker.Run() ? absl::OkStatus() : walker.error();
}

absl::Status ValidateModule(const Module& module, int threads) {
  ParallelValidation validation(module);
  const int helper_count = std::min({threads, validation.chunk_count(), kMaxThreads}) - 1;
  // Not std::thread, whose constructor throws where the system has no thread to give: then fewer
  // threads do the same work.
  std::vector<pthread_t> helpers;
  for (int i = 0; i < helper_count; ++i) {
    pthread_t helper;
    if (pthread_create(&helper, nullptr, RunWork, &validation) != 0) {
      break;
    }
    helpers.push_back(helper);
  }
  validation.Work();
  for (const pthread_t helper : helpers) {
    WASMD_CHECK(pthread_join(helper, nullptr) == 0);
  }
  return validation.TakeStatus();
}

}  // namespace wasmd::engine
