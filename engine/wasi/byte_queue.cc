#include "engine/wasi/byte_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "engine/wasi/wasi_stream.h"

namespace wasmd::engine {

absl::StatusOr<std::shared_ptr<ByteQueue>> ByteQueue::Create(GuestEnd guest_end,
                                                             size_t capacity_bytes,
                                                             std::function<void()> on_turn) {
  WASMD_CHECK(capacity_bytes > 0);
  UniqueFd ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ready) {
    return absl::ResourceExhaustedError(absl::StrCat("eventfd: ", std::strerror(errno)));
  }
  std::shared_ptr<ByteQueue> queue(
      new ByteQueue(guest_end, capacity_bytes, std::move(on_turn), std::move(ready)));
  const MutexLock lock(queue->mutex_);
  queue->UpdateReady();
  return queue;
}

ByteQueue::ByteQueue(GuestEnd guest_end, size_t capacity_bytes, std::function<void()> on_turn,
                     UniqueFd ready)
    : guest_end_(guest_end),
      capacity_bytes_(capacity_bytes),
      on_turn_(std::move(on_turn)),
      ready_(std::move(ready)) {}

void ByteQueue::UpdateReady() {
  const bool ready = closed_ || failed_ ||
                     (guest_end_ == GuestEnd::kReads ? size_ != 0 : size_ != capacity_bytes_);
  if (ready == ready_set_) {
    return;
  }
  // The counter is 0 or 1, so neither call can block or fail.
  uint64_t one = 1;
  const ssize_t result =
      ready ? ::write(ready_.get(), &one, sizeof(one)) : ::read(ready_.get(), &one, sizeof(one));
  WASMD_CHECK(result == sizeof(one));
  ready_set_ = ready;
}

void ByteQueue::CopyIn(std::span<const std::byte> bytes) {
  if (bytes_ == nullptr) {
    bytes_ = std::make_unique<std::byte[]>(capacity_bytes_);
  }
  const size_t tail = (head_ + size_) % capacity_bytes_;
  const size_t first = std::min(bytes.size(), capacity_bytes_ - tail);
  std::memcpy(bytes_.get() + tail, bytes.data(), first);
  if (first != bytes.size()) {
    std::memcpy(bytes_.get(), bytes.data() + first, bytes.size() - first);
  }
  size_ += bytes.size();
}

void ByteQueue::CopyOut(std::span<std::byte> bytes) {
  const size_t first = std::min(bytes.size(), capacity_bytes_ - head_);
  std::memcpy(bytes.data(), bytes_.get() + head_, first);
  if (first != bytes.size()) {
    std::memcpy(bytes.data() + first, bytes_.get(), bytes.size() - first);
  }
  head_ = (head_ + bytes.size()) % capacity_bytes_;
  size_ -= bytes.size();
}

size_t ByteQueue::Push(std::span<const std::byte> bytes) {
  WASMD_CHECK(guest_end_ == GuestEnd::kReads);
  const MutexLock lock(mutex_);
  const size_t count = closed_ || failed_ ? 0 : std::min(bytes.size(), capacity_bytes_ - size_);
  if (count != 0) {
    CopyIn(bytes.first(count));
    UpdateReady();
  }
  return count;
}

std::string ByteQueue::Pop(size_t max_bytes) {
  WASMD_CHECK(guest_end_ == GuestEnd::kWrites);
  const MutexLock lock(mutex_);
  std::string bytes(std::min(size_, max_bytes), '\0');
  if (!bytes.empty()) {
    CopyOut(std::as_writable_bytes(std::span(bytes)));
    UpdateReady();
  }
  return bytes;
}

void ByteQueue::Close() {
  const MutexLock lock(mutex_);
  closed_ = true;
  if (guest_end_ == GuestEnd::kWrites) {
    size_ = 0;
  }
  UpdateReady();
}

void ByteQueue::Fail() {
  const MutexLock lock(mutex_);
  failed_ = true;
  size_ = 0;
  UpdateReady();
}

bool ByteQueue::closed() const {
  const MutexLock lock(mutex_);
  return closed_ || failed_;
}

size_t ByteQueue::size_bytes() const {
  const MutexLock lock(mutex_);
  return size_;
}

WasiStreamResult ByteQueue::TryRead(std::span<std::byte> to) {
  size_t count = 0;
  bool turn = false;
  {
    const MutexLock lock(mutex_);
    if (failed_) {
      return {WasiStreamState::kFailed, 0};
    }
    if (size_ == 0) {
      return {closed_ ? WasiStreamState::kClosed : WasiStreamState::kWouldBlock, 0};
    }
    count = std::min(size_, to.size());
    turn = count != 0 && size_ == capacity_bytes_;
    if (count != 0) {
      CopyOut(to.first(count));
      UpdateReady();
    }
  }
  if (turn && on_turn_) {
    on_turn_();
  }
  return {WasiStreamState::kOk, count};
}

WasiStreamResult ByteQueue::TryWrite(std::span<const std::byte> from) {
  size_t count = 0;
  bool turn = false;
  {
    const MutexLock lock(mutex_);
    if (failed_ || closed_) {
      return {failed_ ? WasiStreamState::kFailed : WasiStreamState::kClosed, 0};
    }
    count = std::min(from.size(), capacity_bytes_ - size_);
    if (count == 0) {
      return {from.empty() ? WasiStreamState::kOk : WasiStreamState::kWouldBlock, 0};
    }
    turn = size_ == 0;
    CopyIn(from.first(count));
    UpdateReady();
  }
  if (turn && on_turn_) {
    on_turn_();
  }
  return {WasiStreamState::kOk, count};
}

}  // namespace wasmd::engine
