// Quota: a number that may be taken up to a limit. Thread-compatible.
#ifndef WASMD_ENGINE_RUNTIME_QUOTA_H_
#define WASMD_ENGINE_RUNTIME_QUOTA_H_

#include <cstdint>

namespace wasmd::engine {

class Quota {
 public:
  explicit Quota(uint64_t limit) : limit_(limit) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  // False, and nothing is taken, where that would pass the limit.
  bool Take(uint64_t amount) {
    if (amount > limit_ - used_) {
      return false;
    }
    used_ += amount;
    return true;
  }
  void Give(uint64_t amount) { used_ -= amount; }
  uint64_t used() const { return used_; }
  uint64_t limit() const { return limit_; }

 private:
  const uint64_t limit_;
  uint64_t used_ = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_QUOTA_H_
