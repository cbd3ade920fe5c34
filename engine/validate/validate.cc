#include "engine/validate/validate.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"

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
  // What one thread does and finds. Its owner reads it after the thread has ended, so that no lock
  // is needed.
  struct Worker {
    ParallelValidation* validation;
    size_t first_bad;  // The number of functions: none.
    absl::Status status;
  };

  ParallelValidation(const Module& module, const std::atomic<bool>* cancel)
      : module_(module), cancel_(cancel), first_bad_(module.funcs.size()) {
    uint64_t bytes = kChunkBytes;
    for (size_t i = module.imported_funcs; i < module.funcs.size(); ++i) {
      if (bytes >= kChunkBytes) {
        chunk_starts_.push_back(static_cast<uint32_t>(i));
        bytes = 0;
      }
      bytes += module.funcs[i].body_bytes + 1;
    }
    chunk_starts_.push_back(static_cast<uint32_t>(module.funcs.size()));
  }

  [[nodiscard]] int chunk_count() const { return static_cast<int>(chunk_starts_.size() - 1); }
  Worker MakeWorker() { return {this, module_.funcs.size(), absl::OkStatus()}; }

  // Takes chunks until there are none left or a function before the next one is bad. Chunks are
  // taken in order and finished, so that all functions before a bad one are looked at by somebody.
  void Work(Worker& worker) {
    WalkerScratch scratch;
    scratch.cancel = CancelFlag(cancel_);
    for (;;) {
      const size_t chunk = next_chunk_.fetch_add(1, std::memory_order_relaxed);
      if (chunk + 1 >= chunk_starts_.size() ||
          chunk_starts_[chunk] > first_bad_.load(std::memory_order_relaxed)) {
        return;
      }
      for (uint32_t i = chunk_starts_[chunk]; i < chunk_starts_[chunk + 1]; ++i) {
        if (absl::Status status = ValidateFunction(module_, i, scratch); !status.ok()) {
          worker.first_bad = i;
          worker.status = std::move(status);
          LowerFirstBad(i);
          return;  // This thread's next chunk would be behind.
        }
      }
    }
  }

 private:
  // Relaxed: a hint that saves work. What is read after the threads have ended is in the workers.
  void LowerFirstBad(size_t func_index) {
    size_t known = first_bad_.load(std::memory_order_relaxed);
    while (func_index < known &&
           !first_bad_.compare_exchange_weak(known, func_index, std::memory_order_relaxed)) {
    }
  }

  const Module& module_;
  const std::atomic<bool>* const cancel_;
  std::vector<uint32_t> chunk_starts_;  // And the end of the last one.
  std::atomic<size_t> next_chunk_ = 0;
  std::atomic<size_t> first_bad_;
};

// All that it does is not to ask for what costs.
struct ValidatingSink : NullSink {
  static constexpr bool kWantsLocals = false;
};

void* RunWork(void* argument) {
  auto& worker = *static_cast<ParallelValidation::Worker*>(argument);
  worker.validation->Work(worker);
  return nullptr;
}

}  // namespace

absl::Status ValidateFunction(const Module& module, uint32_t func_index, WalkerScratch& scratch) {
  ValidatingSink sink;
  FunctionWalker<ValidatingSink> walker(module, func_index, sink, scratch);
  return walker.Run() ? absl::OkStatus() : walker.error();
}

absl::Status ValidateModule(const Module& module, int threads, const std::atomic<bool>* cancel) {
  ParallelValidation validation(module, cancel);
  const int count = std::max(std::min({threads, validation.chunk_count(), kMaxThreads}), 1);
  std::vector<ParallelValidation::Worker> workers(static_cast<size_t>(count),
                                                  validation.MakeWorker());
  // Not std::thread, whose constructor throws where the system has no thread to give: then fewer
  // threads do the same work.
  std::vector<pthread_t> helpers;
  for (size_t i = 1; i < workers.size(); ++i) {
    pthread_t helper;
    if (pthread_create(&helper, nullptr, RunWork, &workers[i]) != 0) {
      break;
    }
    helpers.push_back(helper);
  }
  validation.Work(workers[0]);
  for (const pthread_t helper : helpers) {
    WASMD_CHECK(pthread_join(helper, nullptr) == 0);
  }
  return std::ranges::min_element(workers, std::ranges::less{},
                                  &ParallelValidation::Worker::first_bad)
      ->status;
}

}  // namespace wasmd::engine
