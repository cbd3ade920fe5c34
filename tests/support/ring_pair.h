// A channel's shared memory for tests: mapped once for each side, as two processes have it, and a
// client that waits as LAYOUT.md says.
#ifndef WASMD_TESTS_SUPPORT_RING_PAIR_H_
#define WASMD_TESTS_SUPPORT_RING_PAIR_H_

#include <sys/eventfd.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#include "engine/base/check.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::tests {

// The next completion, for which the caller sleeps by futex. False: none for a long time.
inline bool WaitAsleep(ring::ClientEnd& client, ring::Completion& message) {
  constexpr uint64_t kWaitNs = 30'000'000'000;
  const uint64_t until = ring::MonotonicNs() + kWaitNs;
  while (!client.Take(message)) {
    if (ring::MonotonicNs() > until) {
      return false;
    }
    if (client.PrepareSleep(ring::kAsleepFutex)) {
      ring::FutexWait(client.wait_word(), ring::kAsleepFutex, kWaitNs);
      client.Awake();
    }
  }
  return true;
}

// Thread-compatible: the client's side one thread's, the daemon's another's.
class RingPair {
 public:
  explicit RingPair(const ring::Geometry& geometry = {64, 64 * 1024}) : geometry_(geometry) {
    WASMD_CHECK(::ftruncate(memfd_.get(), static_cast<off_t>(geometry.segment_bytes())) == 0);
    client_base_ = Map();
    daemon_base_ = Map();
    ring::FormatSegment(DaemonView(), ring::kKnownFeatures);
    client = ring::ClientEnd(ring::SegmentView(client_base_, geometry_));
  }
  RingPair(const RingPair&) = delete;
  RingPair& operator=(const RingPair&) = delete;
  ~RingPair() {
    ::munmap(client_base_, geometry_.segment_bytes());
    ::munmap(daemon_base_, geometry_.segment_bytes());
  }

  ring::SegmentView DaemonView() const { return {daemon_base_, geometry_}; }
  int memfd() const { return memfd_.get(); }
  int doorbell() const { return doorbell_.get(); }

  void Flush() {
    if (client.Flush()) {
      ring::RingDoorbell(doorbell_.get());
    }
  }
  // Submits and flushes.
  uint64_t Submit(const ring::Submission& message) {
    const uint64_t number = client.Submit(message);
    Flush();
    return number;
  }
  // The next completion. Sleeps by futex, after `polls` looks. False: none for a long time.
  bool Wait(ring::Completion& message, uint64_t polls = 0) {
    for (uint64_t i = 0; i < polls; ++i) {
      if (client.Take(message)) {
        return true;
      }
    }
    return WaitAsleep(client, message);
  }

  ring::ClientEnd client;

 private:
  std::byte* Map() const {
    void* const base = ::mmap(nullptr, geometry_.segment_bytes(), PROT_READ | PROT_WRITE,
                              MAP_SHARED, memfd_.get(), 0);
    WASMD_CHECK(base != MAP_FAILED);
    return static_cast<std::byte*>(base);
  }

  const ring::Geometry geometry_;
  const engine::UniqueFd memfd_{::memfd_create("wasmd-test-ring", MFD_CLOEXEC)};
  const engine::UniqueFd doorbell_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::byte* client_base_ = nullptr;
  std::byte* daemon_base_ = nullptr;
};

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_RING_PAIR_H_
