// RingSource: what a worker polls and visits: the daemon's end of one channel.
//
// Shared between the pool, which serves it, and whoever attached it. At any time one thread at most
// uses end() and calls Visit: the one that serves its lane, the one that is inside a visit of it,
// or the one that holds it while it is parked; the pool sees to that (worker_pool.h).
#ifndef WASMD_DAEMON_POOL_RING_SOURCE_H_
#define WASMD_DAEMON_POOL_RING_SOURCE_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "daemon/pool/interrupt_gate.h"
#include "daemon/pool/visit.h"
#include "proto/ring/ring.h"

namespace wasmd::daemon {

class Lane;

class RingSource {
 public:
  // The segment and the doorbell, an eventfd, outlive it.
  RingSource(const ring::SegmentView& view, int doorbell) : end_(view), doorbell_(doorbell) {}
  RingSource(const RingSource&) = delete;
  RingSource& operator=(const RingSource&) = delete;
  virtual ~RingSource() = default;

  ring::DaemonEnd& end() { return end_; }

  // Serves at most `budget` messages and wakes the client for what is answered. False: it is to be
  // parked until WorkerPool::Unpark, which may have been called already; nothing of the source has
  // been touched since that became possible.
  virtual bool Visit(daemon::Visit& visit, uint32_t budget) = 0;
  // Under a claim that holds the call: ends it.
  virtual void InterruptCall(uint64_t number, const Interruption& why) = 0;
  // Wakes the client if it sleeps, and has something to see. Any thread, under a claim.
  virtual void WakeClient() = 0;
  // The client breaks the protocol. Nothing of it is served any more. Any thread; does not block.
  virtual void Violate(std::string_view reason) = 0;
  // Thread-safe. kDraining: messages are answered, and nothing is called. kClosed: nothing is
  // served any more, whatever lies in the ring.
  enum class Life : uint8_t { kOpen, kDraining, kClosed };
  Life life() const { return life_.load(std::memory_order_relaxed); }
  bool is_closed() const { return life() == Life::kClosed; }
  // There is something to visit it for. Of who may use end().
  bool WantsVisit() const {
    return (end_.HasSubmission() || unparked_.load(std::memory_order_relaxed)) && !is_closed();
  }
  void MarkClosed() { life_.store(Life::kClosed, std::memory_order_relaxed); }
  void MarkDraining() {
    Life open = Life::kOpen;
    life_.compare_exchange_strong(open, Life::kDraining, std::memory_order_relaxed);
  }

 protected:
  ring::DaemonEnd end_;

 private:
  friend class WorkerPool;

  const int doorbell_;
  std::atomic<Life> life_{Life::kOpen};
  std::atomic<bool> unparked_{false};  // To be visited, whatever lies in the ring.
  // Of who serves its lane.
  bool marked_asleep_ = false;
  uint32_t vain_rings_ = 0;  // Of the doorbell, in a row, with no message there.
  // Under the pool's lock. The lane serves it if it is neither parked nor elsewhere.
  Lane* lane_ = nullptr;
  bool elsewhere_ = false;  // In a visit of a worker that has lost the lane.
  int parked_ = 0;          // Less than 0: unparked before the pool has heard that it is parked.
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_RING_SOURCE_H_
