#include "engine/runtime/linear_memory.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"

namespace wasmd::engine {

static_assert(LinearMemory::kReservationBytes >=
              (uint64_t{1} << 32) - 1 + (uint64_t{1} << 32) - 1 + 16);

absl::StatusOr<std::unique_ptr<LinearMemory>> LinearMemory::Create(const MemoryType& type,
                                                                   Quota& quota) {
  if (type.limits.min > kMaxMemory32Pages) {
    return absl::InvalidArgumentError("memory size must be at most 65536 pages (4GiB)");
  }
  WASMD_ASSIGN_OR_RETURN(Reservation reservation, Reservation::Create(kReservationBytes));
  auto memory =
      std::unique_ptr<LinearMemory>(new LinearMemory(type, quota, std::move(reservation)));
  if (!memory->Grow(type.limits.min).has_value()) {
    return absl::ResourceExhaustedError(StrCat("a memory of ", type.limits.min,
                                               " pages is over the store's limit of ",
                                               quota.limit(), " bytes, or the system's"));
  }
  return memory;
}

LinearMemory::LinearMemory(const MemoryType& type, Quota& quota, Reservation reservation)
    : type_(type), quota_(quota), reservation_(std::move(reservation)) {
  context_.base = reservation_.base();
}

LinearMemory::~LinearMemory() {
  quota_.Give(context_.size_bytes);
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
  if (!reservation_.MakeAccessible(context_.size_bytes, delta_bytes).ok()) {
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
