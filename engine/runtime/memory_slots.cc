#include "engine/runtime/memory_slots.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace wasmd::engine {
namespace {

uint64_t RoundDown(uint64_t value) {
  return value & ~(OsPageBytes() - 1);
}

// Of a segment of `count` elements in a table or memory of at least `min` << `shift`.
bool IsInside(const ConstExpr& offset_expr, uint64_t count, uint64_t min, uint8_t shift) {
  if (offset_expr.kind != ConstExpr::Kind::kConst || min > UINT64_MAX >> shift) {
    return false;
  }
  const uint64_t offset = offset_expr.bits;
  const uint64_t limit = min << shift;
  return offset <= limit && count <= limit - offset;
}

bool NoActiveSegmentTraps(const Module& module) {
  return std::ranges::all_of(
             module.elems,
             [&](const ElemSegment& segment) {
               return segment.mode != ElemSegment::Mode::kActive ||
                      (segment.table_index >= module.imported_tables &&
                       IsInside(segment.offset, segment.init.size(),
                                module.tables[segment.table_index].type.limits.min, 0));
             }) &&
         std::ranges::all_of(module.datas, [&](const DataSegment& segment) {
           return !segment.is_active ||
                  (segment.memory_index >= module.imported_memories &&
                   IsInside(segment.offset, segment.bytes_size,
                            module.memories[segment.memory_index].type.limits.min,
                            module.memories[segment.memory_index].type.page_shift));
         });
}

}  // namespace

std::vector<std::shared_ptr<const MemoryImage>> MakeMemoryImages(const Module& module,
                                                                 MemorySlots& slots) {
  std::vector<std::shared_ptr<const MemoryImage>> images(module.memories.size());
  if (!NoActiveSegmentTraps(module)) {
    return images;
  }
  for (size_t index = module.imported_memories; index < images.size(); ++index) {
    if (!HasGuard(module.memories[index].type, slots.bounds_checks())) {
      continue;
    }
    const uint64_t memory_bytes = module.memories[index].type.limits.min * kWasmPageBytes;
    std::vector<SealedContents::Piece> pieces;
    uint64_t begin = memory_bytes;
    uint64_t end = 0;
    for (const DataSegment& segment : module.datas) {
      if (segment.is_active && segment.memory_index == index && segment.bytes_size != 0) {
        const uint64_t offset = segment.offset.bits;
        begin = std::min(begin, RoundDown(offset));
        end = std::max(end, RoundUpToOsPage(offset + segment.bytes_size));
        pieces.push_back({offset, module.bytes.subspan(segment.bytes_offset, segment.bytes_size)});
      }
    }
    if (pieces.empty()) {
      continue;
    }
    for (SealedContents::Piece& piece : pieces) {
      piece.offset -= begin;
    }
    absl::StatusOr<SealedContents> contents = SealedContents::Create(end - begin, pieces);
    if (!contents.ok()) {
      // Out of descriptors, or the like: without images all works the same, slower.
      std::ranges::fill(images, nullptr);
      return images;
    }
    images[index] =
        std::make_shared<const MemoryImage>(slots, *std::move(contents), begin, memory_bytes);
  }
  return images;
}

MemoryImage::~MemoryImage() {
  slots_.Forget(this);
}

bool MemorySlot::SetAccessible(uint64_t size_bytes) {
  const absl::Status status =
      size_bytes >= accessible_bytes_
          ? reservation_.MakeAccessible(accessible_bytes_, size_bytes - accessible_bytes_)
          : reservation_.MakeInaccessible(size_bytes, accessible_bytes_ - size_bytes);
  if (!status.ok()) {
    return false;
  }
  accessible_bytes_ = size_bytes;
  return true;
}

bool MemorySlots::CanReserve() {
  return Reservation::Create(kReservationBytes, {.before_bytes = kGuardBytes}).ok();
}

std::optional<MemorySlot> MemorySlots::Take(const MemoryImage* image) {
  const auto found = slots_.find(image);
  if (found == slots_.end() || found->second.empty()) {
    return std::nullopt;
  }
  MemorySlot slot = std::move(found->second.back());
  found->second.pop_back();
  --kept_;
  resident_bytes_ -= std::exchange(slot.resident_bytes_, 0);
  return slot;
}

absl::StatusOr<MemorySlot> MemorySlots::Acquire(uint64_t size_bytes, const MemoryImage* image) {
  std::optional<MemorySlot> slot;
  {
    const MutexLock lock(mutex_);
    slot = Take(image);
    if (slot.has_value() && image != nullptr) {
      return *std::move(slot);  // Ready as it is.
    }
    if (!slot.has_value()) {
      slot = Take(nullptr);
    }
  }
  if (!slot.has_value()) {
    WASMD_ASSIGN_OR_RETURN(Reservation reservation,
                           Reservation::Create(kReservationBytes, {.before_bytes = kGuardBytes}));
    slot = MemorySlot(std::move(reservation));
  }
  // On failure the slot is in an unknown state and is unmapped.
  if (!slot->SetAccessible(size_bytes)) {
    return absl::ResourceExhaustedError("the system refuses to commit memory");
  }
  if (image != nullptr) {
    WASMD_CHECK(size_bytes == image->memory_bytes());
    WASMD_RETURN_IF_ERROR(slot->reservation_.MapContents(image->offset(), image->contents()));
  }
  return *std::move(slot);
}

bool MemorySlots::Reset(MemorySlot& slot, const MemoryImage* image, uint64_t kept_bytes) const {
  std::array<WrittenPages::Range, WrittenPages::kMaxRanges> ranges;
  const auto written =
      written_pages_.Find(slot.base(), kept_bytes, kMaxResidentBytes / OsPageBytes(), ranges);
  if (!written.has_value()) {
    return slot.reservation_.Discard(0, slot.accessible_bytes());
  }
  const std::span<const std::byte> contents =
      image != nullptr ? image->contents().bytes() : std::span<const std::byte>();
  const uint64_t begin = image != nullptr ? image->offset() : 0;
  const auto base = reinterpret_cast<uint64_t>(slot.base());
  for (const WrittenPages::Range& range : *written) {
    slot.resident_bytes_ += range.end - range.begin;
    const uint64_t first = range.begin - base;
    const uint64_t last = range.end - base;
    // The part before the contents, the contents', and the part behind.
    const uint64_t from = std::clamp(begin, first, last);
    const uint64_t to = std::clamp(begin + contents.size(), from, last);
    std::memset(slot.base() + first, 0, from - first);
    if (from != to) {
      std::memcpy(slot.base() + from, contents.data() + (from - begin), to - from);
    }
    std::memset(slot.base() + to, 0, last - to);
  }
  // What was grown is dropped, so that nothing of it is resident out of sight.
  return slot.reservation_.Discard(kept_bytes, slot.accessible_bytes() - kept_bytes);
}

void MemorySlots::Release(MemorySlot slot, const MemoryImage* image) {
  const uint64_t kept_bytes = image != nullptr
                                  ? image->memory_bytes()
                                  : std::min(slot.accessible_bytes(), kMaxKeptAccessibleBytes);
  if (!Reset(slot, image, kept_bytes) ||
      (slot.accessible_bytes() != kept_bytes && !slot.SetAccessible(kept_bytes))) {
    return;
  }
  std::optional<MemorySlot> evicted;  // Unmapped outside of the lock.
  const MutexLock lock(mutex_);
  if (slot.resident_bytes_ > kMaxResidentBytesOfAll - resident_bytes_) {
    if (!slot.reservation_.Discard(0, slot.accessible_bytes())) {
      return;
    }
    slot.resident_bytes_ = 0;
  }
  if (kept_ == kMaxKeptSlots) {
    // This image is in use, and another's slot makes room for it: modules that nobody instantiates
    // any more must not keep one that somebody does from having slots.
    for (auto& [other, others] : slots_) {
      if (other != image && !others.empty()) {
        evicted = std::move(others.back());
        others.pop_back();
        --kept_;
        resident_bytes_ -= evicted->resident_bytes_;
        break;
      }
    }
  }
  if (kept_ < kMaxKeptSlots) {
    resident_bytes_ += slot.resident_bytes_;
    slots_[image].push_back(std::move(slot));
    ++kept_;
  }
}

void MemorySlots::Forget(const MemoryImage* image) {
  std::vector<MemorySlot> gone;  // Unmapped outside of the lock.
  const MutexLock lock(mutex_);
  const auto found = slots_.find(image);
  if (found != slots_.end()) {
    gone = std::move(found->second);
    kept_ -= gone.size();
    for (const MemorySlot& slot : gone) {
      resident_bytes_ -= slot.resident_bytes_;
    }
    slots_.erase(found);
  }
}

uint64_t MemorySlots::resident_bytes() const {
  const MutexLock lock(mutex_);
  return resident_bytes_;
}

size_t MemorySlots::kept() const {
  const MutexLock lock(mutex_);
  return kept_;
}

}  // namespace wasmd::engine
