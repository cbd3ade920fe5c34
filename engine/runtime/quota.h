// What a store may take: Quota, a number up to a limit; StoreCharge, what all the store's quotas
// together have charged to an accountant.
//
// Both thread-compatible, but Quota::used() may be read from any thread.
#ifndef WASMD_ENGINE_RUNTIME_QUOTA_H_
#define WASMD_ENGINE_RUNTIME_QUOTA_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/accountant.h"
#include "engine/base/str_cat.h"

namespace wasmd::engine {

// Bytes, charged in steps: an instance takes a few small things and a large one, and the accountant
// is shared by all threads. At its end what is still charged is given back.
class StoreCharge {
 public:
  // Null: nobody is charged, and nothing is refused.
  explicit StoreCharge(std::shared_ptr<Accountant> accountant)
      : accountant_(std::move(accountant)) {}
  StoreCharge(const StoreCharge&) = delete;
  StoreCharge& operator=(const StoreCharge&) = delete;
  ~StoreCharge() {
    if (accountant_ != nullptr && charged_bytes_ != 0) {
      accountant_->Release(charged_bytes_);
    }
  }

  // As Accountant::Charge.
  std::optional<NamedLimit> Take(uint64_t bytes) {
    if (accountant_ == nullptr) {
      return std::nullopt;
    }
    if (bytes > charged_bytes_ - used_bytes_) {
      const uint64_t lacking = bytes - (charged_bytes_ - used_bytes_);
      uint64_t step = lacking + kStepBytes;
      if (accountant_->Charge(step).has_value()) {
        step = lacking;  // To the last byte.
        if (const std::optional<NamedLimit> refusal = accountant_->Charge(step)) {
          return refusal;
        }
      }
      charged_bytes_ += step;
    }
    used_bytes_ += bytes;
    return std::nullopt;
  }
  void Give(uint64_t bytes) {
    if (accountant_ == nullptr) {
      return;
    }
    used_bytes_ -= bytes;
    if (const uint64_t unused = charged_bytes_ - used_bytes_; unused > 2 * kStepBytes) {
      charged_bytes_ -= unused - kStepBytes;
      accountant_->Release(unused - kStepBytes);
    }
  }

  static constexpr uint64_t kStepBytes = uint64_t{64} << 10;

 private:
  const std::shared_ptr<Accountant> accountant_;  // Shared with other stores.
  uint64_t charged_bytes_ = 0;
  uint64_t used_bytes_ = 0;
};

class Quota {
 public:
  // `charge` is charged `unit_bytes` for each that is taken; it outlives the quota.
  Quota(NamedLimit limit, StoreCharge& charge, uint64_t unit_bytes = 1)
      : limit_(limit), charge_(charge), unit_bytes_(unit_bytes) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  // False, and nothing is taken, where that would pass the limit, or the charge is refused.
  bool Take(uint64_t amount) {
    const uint64_t used_now = used();
    if (amount > limit_.amount - used_now) {
      refused_by_ = limit_;
      return false;
    }
    if (const std::optional<NamedLimit> refusal = charge_.Take(amount * unit_bytes_)) {
      refused_by_ = refusal;
      return false;
    }
    used_.store(used_now + amount, std::memory_order_relaxed);
    return true;
  }
  void Give(uint64_t amount) {
    used_.store(used() - amount, std::memory_order_relaxed);
    charge_.Give(amount * unit_bytes_);
  }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

  // The limit that the last refusal was for.
  const std::optional<NamedLimit>& refused_by() const { return refused_by_; }
  void ForgetRefusal() { refused_by_.reset(); }

 private:
  const NamedLimit limit_;
  StoreCharge& charge_;
  const uint64_t unit_bytes_;
  std::optional<NamedLimit> refused_by_;
  std::atomic<uint64_t> used_{0};  // Written by one thread.
};

// "--max-memory of 65536": the limit that the last refusal was for, in an error's words.
inline std::string LimitText(const Quota& quota) {
  const NamedLimit limit = quota.refused_by().value_or(NamedLimit{});
  return StrCat(limit.name, " of ", limit.amount);
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_QUOTA_H_
