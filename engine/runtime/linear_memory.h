// An unshared linear memory: address space of which a prefix is readable and writable.
//
//   base()              base() + size_bytes()           base() + reserved
//     |---- accessible ----|------------- PROT_NONE ------------|
//
// With a guard (engine/abi/bounds_checks.h), the address space is a slot of kReservationBytes.
// Generated code adds a u32 index and a u32 offset to base() and checks nothing; the reservation
// covers every such sum plus the widest access (16 bytes). An access past size_bytes() faults, and
// engine/trap/handler_inside.cc makes it TrapCode::kMemoryOutOfBounds.
//
// Without a guard, code compares with size_bytes(), and the address space is what the memory can
// grow to: its type's maximum, but at most 4 GiB or, with 64-bit addresses, kMaxMemory64Bytes, and
// less where the system has less. Pages may be smaller than the system's: what is accessible ends
// at the next OS page then. A page's guard lies before and behind it all the same.
//
// Thread-compatible. base() is constant for the object's lifetime. Spec: syntax-meminst
#ifndef WASMD_ENGINE_RUNTIME_LINEAR_MEMORY_H_
#define WASMD_ENGINE_RUNTIME_LINEAR_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "absl/status/statusor.h"

#include "engine/abi/instance_context.h"
#include "engine/platform/virtual_memory.h"
#include "engine/runtime/memory_slots.h"
#include "engine/runtime/quota.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

class LinearMemory {
 public:
  static constexpr uint64_t kReservationBytes = MemorySlots::kReservationBytes;

  // Takes a slot, or address space of its own, with the type's minimum accessible: zeros, or what
  // `image`, made for this type, holds. `slots` and `quota` outlive the memory.
  // kResourceExhausted: a limit, the quota or the process's address space is spent.
  static absl::StatusOr<std::unique_ptr<LinearMemory>> Create(
      const MemoryType& type, MemorySlots& slots, Quota& quota,
      std::shared_ptr<const MemoryImage> image = nullptr);
  LinearMemory(const LinearMemory&) = delete;
  LinearMemory& operator=(const LinearMemory&) = delete;
  ~LinearMemory();

  // Adds `delta_pages` wasm pages and returns the old size in wasm pages. Returns nullopt, and
  // changes nothing, where the type's maximum, a limit, the quota or the system forbids it. Spec:
  // exec-memory.grow
  std::optional<uint64_t> Grow(uint64_t delta_pages);

  const MemoryType& type() const { return type_; }
  // The declared type with the size of now as its minimum: what an import is matched with. Spec:
  // match-memtype
  MemoryType current_type() const;
  std::byte* base() const { return context_.base; }
  uint64_t size_bytes() const { return context_.size_bytes; }
  uint64_t size_pages() const { return context_.size_bytes >> type_.page_shift; }
  bool Reserves(uint64_t address) const;
  // What generated code sees.
  MemoryContext& context() { return context_; }

 private:
  using Space = std::variant<MemorySlot, Reservation>;

  LinearMemory(const MemoryType& type, MemorySlots& slots, Quota& quota,
               std::shared_ptr<const MemoryImage> image, Space space, std::byte* base);
  static absl::StatusOr<Reservation> Reserve(const MemoryType& type);
  bool SetAccessible(uint64_t size_bytes);

  MemoryContext context_;
  const MemoryType type_;
  MemorySlots& slots_;
  Quota& quota_;
  std::shared_ptr<const MemoryImage> image_;  // Shared: its slots go when nothing uses it.
  Space space_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_LINEAR_MEMORY_H_
