#include "engine/runtime/linear_memory.h"

#include <algorithm>
#include <utility>

#include "engine/abi/bounds_checks.h"
#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"
#include "engine/wasm/limits.h"

namespace wasmd::engine {
namespace {

// The most pages that an instance of the type can have.
uint64_t MaxInstancePages(const MemoryType& type) {
  const uint64_t pages =
      type.address == AddressType::kI64 ? kMaxMemory64Bytes >> type.page_shift : MaxPages(type);
  return std::min(type.limits.max.value_or(pages), pages);
}

}  // namespace

static_assert(LinearMemory::kReservationBytes >=
              (uint64_t{1} << 32) - 1 + (uint64_t{1} << 32) - 1 + 16);

absl::StatusOr<std::unique_ptr<LinearMemory>> LinearMemory::Create(
    const MemoryType& type, MemorySlots& slots, Quota& quota,
    std::shared_ptr<const MemoryImage> image) {
  if (type.limits.min > MaxInstancePages(type)) {
    if (type.address == AddressType::kI32) {
      return absl::InvalidArgumentError("memory size must be at most 65536 pages (4GiB)");
    }
    return absl::ResourceExhaustedError(StrCat("a memory of ", type.limits.min, " pages is over ",
                                               "the limit kMaxMemory64Bytes of ", kMaxMemory64Bytes,
                                               " bytes"));
  }
  const uint64_t size_bytes = type.limits.min << type.page_shift;
  if (!quota.Take(size_bytes)) {
    return absl::ResourceExhaustedError(
        StrCat("a memory of ", type.limits.min, " pages is over the limit ", LimitText(quota)));
  }
  std::unique_ptr<LinearMemory> memory;
  absl::Status status;
  if (HasGuard(type, slots.bounds_checks())) {
    absl::StatusOr<MemorySlot> slot = slots.Acquire(size_bytes, image.get());
    if (slot.ok()) {
      std::byte* const base = slot->base();
      memory.reset(new LinearMemory(type, slots, quota, std::move(image), *std::move(slot), base));
    }
    status = slot.status();
  } else {
    absl::StatusOr<Reservation> reservation = Reserve(type);
    if (reservation.ok()) {
      status = reservation->MakeAccessible(0, RoundUpToOsPage(size_bytes));
    } else {
      status = reservation.status();
    }
    if (status.ok()) {
      std::byte* const base = reservation->base();
      memory.reset(new LinearMemory(type, slots, quota, nullptr, *std::move(reservation), base));
    }
  }
  if (!status.ok()) {
    quota.Give(size_bytes);
    return status;
  }
  memory->context_.size_bytes = size_bytes;
  return memory;
}

// What the memory can grow to. Where the system hasn't so much, half as much until it has: the
// memory's growth ends there then.
absl::StatusOr<Reservation> LinearMemory::Reserve(const MemoryType& type) {
  const uint64_t min_bytes =
      std::max(RoundUpToOsPage(type.limits.min << type.page_shift), OsPageBytes());
  uint64_t size_bytes =
      std::max(RoundUpToOsPage(MaxInstancePages(type) << type.page_shift), min_bytes);
  for (;;) {
    absl::StatusOr<Reservation> reservation = Reservation::Create(
        size_bytes, {.before_bytes = kWasmPageBytes, .behind_bytes = kWasmPageBytes});
    if (reservation.ok() || size_bytes == min_bytes) {
      return reservation;
    }
    size_bytes = std::max(RoundUpToOsPage(size_bytes / 2), min_bytes);
  }
}

LinearMemory::LinearMemory(const MemoryType& type, MemorySlots& slots, Quota& quota,
                           std::shared_ptr<const MemoryImage> image, Space space, std::byte* base)
    : context_{.base = base, .size_bytes = 0},
      type_(type),
      slots_(slots),
      quota_(quota),
      image_(std::move(image)),
      space_(std::move(space)) {}

LinearMemory::~LinearMemory() {
  quota_.Give(context_.size_bytes);
  if (auto* const slot = std::get_if<MemorySlot>(&space_)) {
    slots_.Release(std::move(*slot), image_.get());
  }
}

bool LinearMemory::Reserves(uint64_t address) const {
  if (const auto* const slot = std::get_if<MemorySlot>(&space_)) {
    return slot->Contains(address);
  }
  return std::get<Reservation>(space_).Contains(reinterpret_cast<const void*>(address));
}

bool LinearMemory::SetAccessible(uint64_t size_bytes) {
  if (auto* const slot = std::get_if<MemorySlot>(&space_)) {
    return slot->SetAccessible(size_bytes);
  }
  auto& reservation = std::get<Reservation>(space_);
  const uint64_t old_end = RoundUpToOsPage(context_.size_bytes);
  const uint64_t new_end = RoundUpToOsPage(size_bytes);
  return new_end <= reservation.size_bytes() &&
         reservation.MakeAccessible(old_end, new_end - old_end).ok();
}

std::optional<uint64_t> LinearMemory::Grow(uint64_t delta_pages) {
  const uint64_t old_pages = size_pages();
  const uint64_t max_pages = MaxInstancePages(type_);
  if (old_pages > max_pages || delta_pages > max_pages - old_pages) {
    return std::nullopt;
  }
  const uint64_t delta_bytes = delta_pages << type_.page_shift;
  if (!quota_.Take(delta_bytes)) {
    return std::nullopt;
  }
  if (!SetAccessible(context_.size_bytes + delta_bytes)) {
    quota_.Give(delta_bytes);
    return std::nullopt;
  }
  context_.size_bytes += delta_bytes;
  return old_pages;
}

MemoryType LinearMemory::current_type() const {
  MemoryType type = type_;
  type.limits.min = size_pages();
  return type;
}

}  // namespace wasmd::engine
