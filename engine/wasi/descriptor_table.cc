#include "engine/wasi/descriptor_table.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "engine/base/check.h"

namespace wasmd::engine {

DescriptorTable::~DescriptorTable() {
  Uncharge(open_count_ + held_count_);
}

std::optional<NamedLimit> DescriptorTable::Hold(uint32_t count) {
  if (count > max_open_files_ - open_count_) {
    return NamedLimit{"WasiLimits::max_open_files", max_open_files_};
  }
  if (count > held_count_) {
    if (accountant_ != nullptr) {
      if (const auto refusal = accountant_->Charge(count - held_count_)) {
        return refusal;
      }
    }
    held_count_ = count;
  }
  return std::nullopt;
}

void DescriptorTable::Uncharge(uint32_t count) {
  if (accountant_ != nullptr && count != 0) {
    accountant_->Release(count);
  }
}

uint32_t DescriptorTable::Add(Descriptor descriptor) {
  WASMD_CHECK(!full());
  uint32_t fd = lowest_free_;
  while (fd < descriptors_.size() && descriptors_[fd] != nullptr) {
    ++fd;
  }
  if (fd == descriptors_.size()) {
    descriptors_.emplace_back();
  }
  descriptors_[fd] = std::make_unique<Descriptor>(std::move(descriptor));
  lowest_free_ = fd + 1;
  ++open_count_;
  --held_count_;
  return fd;
}

bool DescriptorTable::Close(uint32_t fd) {
  if (Find(fd) == nullptr) {
    return false;
  }
  descriptors_[fd].reset();
  lowest_free_ = std::min(lowest_free_, fd);
  --open_count_;
  Uncharge(1);
  return true;
}

void DescriptorTable::Renumber(uint32_t from, uint32_t to) {
  WASMD_CHECK(from != to && Find(from) != nullptr && Find(to) != nullptr);
  descriptors_[to] = std::move(descriptors_[from]);
  lowest_free_ = std::min(lowest_free_, from);
  --open_count_;
  Uncharge(1);
}

}  // namespace wasmd::engine
