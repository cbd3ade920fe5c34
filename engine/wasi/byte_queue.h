// ByteQueue: a bounded pipe inside the process, whose one end is a guest's standard stream.
//
//   host ──Push──► [ at most capacity_bytes ] ──TryRead──► guest's stdin       (queue->input())
//   guest ──TryWrite──► [ … ] ──Pop──► host                guest's stdout      (queue->output())
//
// The guest's end never blocks in the queue and waits by poll on an eventfd (see wasi_stream.h).
// The host's end never blocks at all: it is told by a callback when it is its turn again. So a
// program that writes faster than its client reads stops, and a client that sends faster than the
// program reads is told to wait; memory stays within the capacity.
//
// Thread-safe: the two ends are used from different threads. Callbacks run on the other end's
// thread, without the queue's lock; they may call back into the queue.
#ifndef WASMD_ENGINE_WASI_BYTE_QUEUE_H_
#define WASMD_ENGINE_WASI_BYTE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "engine/wasi/wasi_stream.h"

namespace wasmd::engine {

class ByteQueue : public WasiInputStream, public WasiOutputStream {
 public:
  // Which of the queue's ends the guest holds.
  enum class GuestEnd : uint8_t { kReads, kWrites };

  // kResourceExhausted: no descriptor for the eventfd. `on_turn` is called after the guest has made
  // it possible for the host to go on: with kReads, when it has taken something out of a full queue
  // or closed it; with kWrites, when it has put something into an empty one. May be null.
  static absl::StatusOr<std::shared_ptr<ByteQueue>> Create(GuestEnd guest_end,
                                                           size_t capacity_bytes,
                                                           std::function<void()> on_turn);
  ~ByteQueue() override = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  // The host's end.
  // kReads: takes a prefix of `bytes` and says how much; 0 when full or closed.
  size_t Push(std::span<const std::byte> bytes);
  // kWrites: moves at most `max_bytes` out. Empty: there is nothing, now (or ever: closed()).
  std::string Pop(size_t max_bytes);
  // kReads: the end of the stream, after what is queued. kWrites: nobody takes it any more; the
  // guest gets EPIPE, what is queued is dropped. Idempotent.
  void Close();
  // The other side broke: the guest gets EIO at once.
  void Fail();
  bool closed() const;
  size_t size_bytes() const;

  // The guest's end.
  WasiStreamResult TryRead(std::span<std::byte> to) override;
  WasiStreamResult TryWrite(std::span<const std::byte> from) override;
  int ready_fd() const override { return ready_.get(); }

 private:
  ByteQueue(GuestEnd guest_end, size_t capacity_bytes, std::function<void()> on_turn,
            UniqueFd ready);
  void CopyIn(std::span<const std::byte> bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CopyOut(std::span<std::byte> bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes ready_ say whether the guest's end would block.
  void UpdateReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const GuestEnd guest_end_;
  const size_t capacity_bytes_;
  const std::function<void()> on_turn_;
  const UniqueFd ready_;  // Readable exactly while the guest's end would not block.
  mutable Mutex mutex_;
  std::unique_ptr<std::byte[]> bytes_ ABSL_GUARDED_BY(mutex_);  // A ring; made when first used.
  size_t head_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t size_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ready_set_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_BYTE_QUEUE_H_
