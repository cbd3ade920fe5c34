// MemorySlots: address space for linear memories with a guard, used again, so that an instance
// costs few system calls or none. Private to engine/runtime.
//
//   slot    a reservation of kReservationBytes: the first accessible_bytes() can be read and
//           written, the rest faults; and so do the kGuardBytes in front of it
//   image   what a module's active data segments make of its memory: sealed contents, mapped
//           copy-on-write over the slot's first pages
//
// A slot that comes back is reset at once: the pages that were written get the image's bytes or
// zeros again, and what was grown is made inaccessible. It is then as new, byte for byte, and kept
// under its image: the module's next instance finds its memory ready without a system call. Slots
// of an image go when the image does.
//
// Few written pages are found by asking the kernel and overwritten in place; they stay resident, so
// that the next instance takes no page faults, up to kMaxResidentBytes a slot and
// kMaxResidentBytesOfAll. Beyond that, and where the kernel can't tell, all are dropped.
//
// At most kMaxKeptSlots are kept; a slot over the limit is unmapped. What the system refuses
// (locked memory cannot be dropped) unmaps the slot, too.
#ifndef WASMD_ENGINE_RUNTIME_MEMORY_SLOTS_H_
#define WASMD_ENGINE_RUNTIME_MEMORY_SLOTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

#include "engine/abi/bounds_checks.h"
#include "engine/base/mutex.h"
#include "engine/platform/virtual_memory.h"
#include "engine/platform/written_pages.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

class MemorySlots;

// Immutable, thread-safe. Shared by its module and by the memories that were made of it.
class MemoryImage {
 public:
  // `slots` outlives it.
  MemoryImage(MemorySlots& slots, SealedContents contents, uint64_t offset, uint64_t memory_bytes)
      : slots_(slots),
        contents_(std::move(contents)),
        offset_(offset),
        memory_bytes_(memory_bytes) {}
  MemoryImage(const MemoryImage&) = delete;
  MemoryImage& operator=(const MemoryImage&) = delete;
  ~MemoryImage();

  const SealedContents& contents() const { return contents_; }
  // Where the contents begin.
  uint64_t offset() const { return offset_; }
  // The memory's minimum.
  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  MemorySlots& slots_;
  const SealedContents contents_;
  const uint64_t offset_;
  const uint64_t memory_bytes_;
};

// The images of a module's memories by memory index, null where there is none to be had: for
// imported memories, those without a guard and those without data, and for all of them unless it is
// certain that every active segment lies inside of its memory or table. Otherwise a segment can
// trap, those behind it must not have been applied then, and instantiation copies them one by one.
// Spec: exec-instantiation
std::vector<std::shared_ptr<const MemoryImage>> MakeMemoryImages(const Module& module,
                                                                 MemorySlots& slots);

// Thread-compatible.
class MemorySlot {
 public:
  std::byte* base() const { return reservation_.base(); }
  bool Contains(uint64_t address) const {
    return reservation_.Contains(reinterpret_cast<const void*>(address));
  }
  uint64_t accessible_bytes() const { return accessible_bytes_; }
  // Makes exactly the first `size_bytes` accessible. False, and nothing has changed: the system
  // refuses.
  bool SetAccessible(uint64_t size_bytes);

 private:
  friend class MemorySlots;
  explicit MemorySlot(Reservation reservation) : reservation_(std::move(reservation)) {}
  Reservation reservation_;
  uint64_t accessible_bytes_ = 0;
  uint64_t resident_bytes_ = 0;  // Of written pages, while it is kept.
};

// Thread-safe.
class MemorySlots {
 public:
  static constexpr uint64_t kReservationBytes = (uint64_t{8} << 30) + kWasmPageBytes;
  // In front. Wasm's addresses are not negative, and nothing reaches there; if a compiler ever took
  // a 32-bit index for a signed one, it would find this.
  static constexpr uint64_t kGuardBytes = uint64_t{2} << 30;
  // 10 TiB of the 128 that a process has, and 3,000 of its 65,530 mappings. TSan's shadow fits a
  // few hundred reservations in all.
#if defined(__SANITIZE_THREAD__)
  static constexpr size_t kMaxKeptSlots = 32;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
  static constexpr size_t kMaxKeptSlots = 32;
#else
  static constexpr size_t kMaxKeptSlots = 1000;
#endif
#else
  static constexpr size_t kMaxKeptSlots = 1000;
#endif
  // A slot without an image stays accessible so far, for the next memory of such a size.
  static constexpr uint64_t kMaxKeptAccessibleBytes = uint64_t{1} << 20;
  // Overwriting so much costs what dropping it and one interrupted CPU do.
  static constexpr uint64_t kMaxResidentBytes = uint64_t{256} << 10;
  static constexpr uint64_t kMaxResidentBytesOfAll = uint64_t{64} << 20;

  explicit MemorySlots(BoundsChecks bounds_checks = BoundsChecks::kGuardPages)
      : bounds_checks_(bounds_checks) {}
  MemorySlots(const MemorySlots&) = delete;
  MemorySlots& operator=(const MemorySlots&) = delete;

  // A slot whose first `size_bytes` are accessible, hold the image's contents, and are zeros
  // otherwise. With an image, `size_bytes` is its memory_bytes(). kResourceExhausted: address
  // space, or what the system lets us commit.
  absl::StatusOr<MemorySlot> Acquire(uint64_t size_bytes, const MemoryImage* image);
  // Takes back what Acquire gave for `image`, whatever was written or made accessible since.
  void Release(MemorySlot slot, const MemoryImage* image);

  // Whether the system gives a slot's address space at all.
  static bool CanReserve();
  // What the memories are for: with kExplicit none has a slot.
  BoundsChecks bounds_checks() const { return bounds_checks_; }

  size_t kept() const;
  // Of what is kept.
  uint64_t resident_bytes() const;

 private:
  friend class MemoryImage;
  std::optional<MemorySlot> Take(const MemoryImage* image) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes the first `kept_bytes` as new and drops the rest. False: it cannot be done.
  bool Reset(MemorySlot& slot, const MemoryImage* image, uint64_t kept_bytes) const;
  void Forget(const MemoryImage* image);

  const BoundsChecks bounds_checks_;
  const WrittenPages written_pages_;
  mutable Mutex mutex_;
  // Null: the slots without an image.
  absl::flat_hash_map<const MemoryImage*, std::vector<MemorySlot>> slots_ ABSL_GUARDED_BY(mutex_);
  size_t kept_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t resident_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_MEMORY_SLOTS_H_
