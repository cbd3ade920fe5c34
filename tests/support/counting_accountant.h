// An accountant that takes so much and no more.
#ifndef WASMD_TESTS_SUPPORT_COUNTING_ACCOUNTANT_H_
#define WASMD_TESTS_SUPPORT_COUNTING_ACCOUNTANT_H_

#include <cstdint>
#include <optional>

#include "gtest/gtest.h"

#include "engine/base/accountant.h"

namespace wasmd::tests {

// For one thread.
class CountingAccountant : public engine::Accountant {
 public:
  explicit CountingAccountant(engine::NamedLimit limit) : limit_(limit) {}
  std::optional<engine::NamedLimit> Charge(uint64_t amount) override {
    if (amount > limit_.amount - used_) {
      return limit_;
    }
    used_ += amount;
    return std::nullopt;
  }
  void Release(uint64_t amount) override {
    ASSERT_LE(amount, used_) << "more is given back than was taken";
    used_ -= amount;
  }
  uint64_t used() const { return used_; }

 private:
  const engine::NamedLimit limit_;
  uint64_t used_ = 0;
};

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_COUNTING_ACCOUNTANT_H_
