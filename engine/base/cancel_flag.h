// CancelFlag: what long work looks at now and then, to end early.
#ifndef WASMD_ENGINE_BASE_CANCEL_FLAG_H_
#define WASMD_ENGINE_BASE_CANCEL_FLAG_H_

#include <atomic>
#include <cstdint>

namespace wasmd::engine {

// A view of somebody's flag, or of none. Thread-compatible; the flag is set by any thread.
class CancelFlag {
 public:
  CancelFlag() = default;
  // Null: never set.
  explicit CancelFlag(const std::atomic<bool>* flag) : flag_(flag) {}
  // Set where it is not 0, as a store's interrupt is.
  explicit CancelFlag(const std::atomic<uint32_t>& word) : word_(&word) {}

  bool IsSet() const {
    return (flag_ != nullptr && flag_->load(std::memory_order_relaxed)) ||
           (word_ != nullptr && word_->load(std::memory_order_relaxed) != 0);
  }

 private:
  const std::atomic<bool>* flag_ = nullptr;
  const std::atomic<uint32_t>* word_ = nullptr;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BASE_CANCEL_FLAG_H_
