// Quota: a number that may be taken up to a limit. Thread-compatible, but used() may be read from
// any thread.
#ifndef WASMD_ENGINE_RUNTIME_QUOTA_H_
#define WASMD_ENGINE_RUNTIME_QUOTA_H_

#include <atomic>
#include <cstdint>

namespace wasmd::engine {

class Quota {
 public:
  explicit Quota(uint64_t limit) : limit_(limit) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  // False, and nothing is taken, where that would pass the limit.
  bool Take(uint64_t amount) {
    const uint64_t used_now = used();
    if (amount > limit_ - used_now) {
      return false;
    }
    used_.store(used_now + amount, std::memory_order_relaxed);
    return true;
  }
  void Give(uint64_t amount) { used_.store(used() - amount, std::memory_order_relaxed); }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};  // Written by one thread.
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_QUOTA_H_
