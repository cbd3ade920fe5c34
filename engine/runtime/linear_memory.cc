#include "engine/runtime/linear_memory.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"

namespace wasmd::engine {

static_assert(LinearMemory::kReservationBytes >=
              (uint64_t{1} << 32) - 1 + (uint64_t{1} << 32) - 1 + 16);

absl::StatusOr<std::unique_ptr<LinearMemory>> LinearMemory::Create(
    const MemoryType& type, MemorySlots& slots, Quota& quota,
    std::shared_ptr<const MemoryImage> image) {
  if (type.limits.min > kMaxMemory32Pages) {
    return absl::InvalidArgumentError("memory size must be at most 65536 pages (4GiB)");
  }
  const uint64_t size_bytes = type.limits.min * kWasmPageBytes;
  if (!quota.Take(size_bytes)) {
    return absl::ResourceExhaustedError(StrCat("a memory of ", type.limits.min,
                                               " pages is over the store's limit of ",
                                               quota.limit(), " bytes"));
  }
  absl::StatusOr<MemorySlot> slot = slots.Acquire(size_bytes, image.get());
  if (!slot.ok()) {
    quota.Give(size_bytes);
    return slot.status();
  }
  return std::unique_ptr<LinearMemory>(
      new LinearMemory(type, slots, quota, std::move(image), *std::move(slot)));
}

LinearMemory::LinearMemory(const MemoryType& type, MemorySlots& slots, Quota& quota,
                           std::shared_ptr<const MemoryImage> image, MemorySlot slot)
    : context_{slot.base(), slot.accessible_bytes()},
      type_(type),
      slots_(slots),
      quota_(quota),
      image_(std::move(image)),
      slot_(std::move(slot)) {}

LinearMemory::~LinearMemory() {
  quota_.Give(context_.size_bytes);
  slots_.Release(std::move(slot_), image_.get());
}

std::optional<uint64_t> LinearMemory::Grow(uint64_t delta_pages) {
  const uint64_t old_pages = context_.size_bytes / kWasmPageBytes;
  const uint64_t max_pages =
      std::min(type_.limits.max.value_or(kMaxMemory32Pages), kMaxMemory32Pages);
  if (old_pages > max_pages || delta_pages > max_pages - old_pages) {
    return std::nullopt;
  }
  const uint64_t delta_bytes = delta_pages * kWasmPageBytes;
  if (!quota_.Take(delta_bytes)) {
    return std::nullopt;
  }
  if (!slot_.SetAccessible(context_.size_bytes + delta_bytes)) {
    quota_.Give(delta_bytes);
    return std::nullopt;
  }
  context_.size_bytes += delta_bytes;
  return old_pages;
}

MemoryType LinearMemory::current_type() const {
  return {{context_.size_bytes / kWasmPageBytes, type_.limits.max}};
}

}  // namespace wasmd::engine
