// Address space: reservations whose prefix can be made accessible, contents that are mapped
// copy-on-write, and memory that is mapped twice for machine code.
#ifndef WASMD_ENGINE_PLATFORM_VIRTUAL_MEMORY_H_
#define WASMD_ENGINE_PLATFORM_VIRTUAL_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wasmd::engine {

// A multiple of this is what the calls below take.
uint64_t OsPageBytes();
inline uint64_t RoundUpToOsPage(uint64_t size_bytes) {
  return (size_bytes + OsPageBytes() - 1) & ~(OsPageBytes() - 1);
}

// Bytes in a file without a name that nobody can change any more, for Reservation::MapContents.
// Holes read as zeros and take no memory. Left out of core dumps. Owns a descriptor and a mapping;
// immutable, thread-safe.
class SealedContents {
 public:
  struct Piece {
    uint64_t offset = 0;
    std::span<const std::byte> bytes;
  };
  // Pieces lie inside of `size_bytes`, a positive multiple of OsPageBytes(); a later one overwrites
  // an earlier one. kUnavailable, kResourceExhausted: no descriptor, or no memory.
  static absl::StatusOr<SealedContents> Create(uint64_t size_bytes, std::span<const Piece> pieces);
  SealedContents(SealedContents&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        size_bytes_(other.size_bytes_),
        mapped_(std::exchange(other.mapped_, nullptr)) {}
  SealedContents& operator=(SealedContents&&) = delete;
  ~SealedContents();

  int fd() const { return fd_; }
  uint64_t size_bytes() const { return size_bytes_; }
  std::span<const std::byte> bytes() const { return {mapped_, size_bytes_}; }

 private:
  SealedContents(int fd, uint64_t size_bytes) : fd_(fd), size_bytes_(size_bytes) {}
  int fd_;
  uint64_t size_bytes_;
  const std::byte* mapped_ = nullptr;
};

// A private range of inaccessible, zero-filled memory, left out of core dumps, between guards: what
// is next to it in the address space is its own and never accessible. Takes no memory until it is
// made accessible and touched. Owns the range; thread-compatible.
//
//   base() - before_bytes     base()               base() + size_bytes()
//     |---------- guard ---------|---- the range ----|---- guard, behind_bytes ----|
class Reservation {
 public:
  // Multiples of OsPageBytes().
  struct Guards {
    uint64_t before_bytes = 0;
    uint64_t behind_bytes = 0;
  };

  // Nothing.
  Reservation() = default;
  // kResourceExhausted: no address space.
  static absl::StatusOr<Reservation> Create(uint64_t size_bytes) { return Create(size_bytes, {}); }
  static absl::StatusOr<Reservation> Create(uint64_t size_bytes, const Guards& guards);
  Reservation(Reservation&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)),
        guards_(other.guards_) {}
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();

  std::byte* base() const { return base_; }
  uint64_t size_bytes() const { return size_bytes_; }
  bool Contains(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_) < size_bytes_;
  }

  // Makes `size_bytes` from `offset` readable and writable. Both are multiples of OsPageBytes() and
  // lie inside. kResourceExhausted: the system has none (overcommit, mappings); nothing has
  // changed.
  absl::Status MakeAccessible(uint64_t offset, uint64_t size_bytes);
  // Takes that back; what is there comes back with the next MakeAccessible. Errors as there.
  absl::Status MakeInaccessible(uint64_t offset, uint64_t size_bytes);
  // Puts `contents`, readable and writable, in place of what is at `offset`: writes stay here.
  // Errors as MakeAccessible.
  absl::Status MapContents(uint64_t offset, const SealedContents& contents);
  // Drops what was written there, and its memory: it reads as zeros again, or as the contents that
  // were mapped. False, and nothing is certain, where the system refuses (locked memory).
  bool Discard(uint64_t offset, uint64_t size_bytes);

 private:
  Reservation(std::byte* base, uint64_t size_bytes, const Guards& guards)
      : base_(base), size_bytes_(size_bytes), guards_(guards) {}
  std::byte* base_ = nullptr;
  uint64_t size_bytes_ = 0;
  Guards guards_;
};

// Memory for machine code: the same pages twice, once writable, once executable, so that no page
// ever is both (W^X) and nothing has to change protection: that works under PR_SET_MDWE too, where
// mprotect to executable fails. Sparse: what is not touched takes no memory. Left out of core
// dumps. Never unmapped. Thread-safe.
class CodeMapping {
 public:
  // kResourceExhausted, kUnavailable: the system refuses.
  static absl::StatusOr<CodeMapping> Create(uint64_t size_bytes);

  std::byte* writable() const { return writable_; }
  const std::byte* executable() const { return executable_; }
  uint64_t size_bytes() const { return size_bytes_; }

  // Gives the pages back to the system; they read as zeros, which are no valid function's code.
  // Multiples of OsPageBytes().
  void Discard(uint64_t offset, uint64_t size_bytes) const;

 private:
  CodeMapping(std::byte* writable, const std::byte* executable, uint64_t size_bytes, int fd)
      : writable_(writable), executable_(executable), size_bytes_(size_bytes), fd_(fd) {}
  std::byte* writable_;
  const std::byte* executable_;
  uint64_t size_bytes_;
  int fd_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_PLATFORM_VIRTUAL_MEMORY_H_
