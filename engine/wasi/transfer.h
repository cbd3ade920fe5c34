// Moving bytes between guest memory and descriptors or streams, and waiting so that an interrupt is
// never missed.
//
// Data goes straight from and to guest memory. Whatever may block is first tried without blocking
// (RWF_NOWAIT, MSG_DONTWAIT, or the stream's Try…), then waited for by poll beside the guest's
// interrupt descriptor. Where the kernel has no RWF_NOWAIT for a file (terminals), poll comes first
// and the call may still block when somebody else was quicker; a signal that interrupts it (the
// engine sends one until the guest has stopped; its action must not have SA_RESTART) ends that.
//
// Single-thread: the guest's.
#ifndef WASMD_ENGINE_WASI_TRANSFER_H_
#define WASMD_ENGINE_WASI_TRANSFER_H_

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/guest.h"

namespace wasmd::engine {

// The guest's iovec array as the kernel takes it. Only the first kMaxIovecs entries count, and
// kMaxTransferBytes in all: reads and writes may be partial, and that bounds one call.
class Iovecs {
 public:
  static constexpr uint32_t kMaxIovecs = 1024;                // Linux's IOV_MAX.
  static constexpr uint64_t kMaxTransferBytes = 0x7fff'f000;  // Linux's MAX_RW_COUNT.

  // Checks the whole array's place, and each entry's range that counts. Empty entries are left out.
  Answer Load(Guest& guest, uint32_t array, uint32_t count);

  iovec* data() { return entries_.data() + first_; }
  int count() const { return static_cast<int>(count_ - first_); }
  bool empty() const { return first_ == count_; }
  // The first entry's bytes; not empty() only.
  std::span<std::byte> front() const;
  // Drops the first `size_bytes`.
  void Advance(uint64_t size_bytes);

 private:
  std::array<iovec, kMaxIovecs> entries_;
  uint32_t first_ = 0;
  uint32_t count_ = 0;
};

// Reads what there is, waiting until there is something; 0 bytes is the end. With `offset`, from
// there (preadv; no sockets). Descriptors of kind kInput, kFile and kSocket.
Answer Read(Guest& guest, Descriptor& from, Iovecs& iovecs, std::optional<int64_t> offset,
            uint32_t& size_bytes);

// Writes. All of it if the descriptor is a standard stream or may block, unless an error comes
// between; else what the kernel takes. Descriptors of kind kOutput, kFile and kSocket.
Answer Write(Guest& guest, Descriptor& to, Iovecs& iovecs, std::optional<int64_t> offset,
             uint32_t& size_bytes);

// Read for sockets alone. `peek`: the bytes stay. `wait_all`: until the iovecs are full or the
// stream ends; with `peek` of no effect.
Answer Receive(Guest& guest, Descriptor& from, Iovecs& iovecs, bool peek, bool wait_all,
               uint32_t& size_bytes);

// Waits until `fd` polls `events` (or an error or hang-up). kInterrupted: the guest is to stop.
Answer WaitFor(Guest& guest, int fd, short events);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_TRANSFER_H_
