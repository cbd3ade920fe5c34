// Visit: what a worker tells of itself while it serves a ring or runs a task, so that others can
// take its other rings away from it and end its call, at the price of a few plain stores a call.
//
//   worker                              watchdog, or whoever ends a channel
//     Begin(source)                       Claim claim(visit);            (locks)
//       BeginCall(n, deadline)            if (claim.Holds(visit, call))   it is still in that call,
//         … the guest runs …                …                             and stays until the claim
//       EndCall()   ── sees a claim:      ~Claim                          is let go
//     End()            waits for it
//
// The worker stores that it has left, then looks for a claim; the claimer stores the claim, then
// looks whether the worker has left; with an AsymmetricFence between, one of them sees the other.
// So what a claim holds cannot run away, and an interrupt that is meant for one call never hits the
// next.
//
// The worker's functions: the worker's thread alone. The claim: thread-safe. tests/model checks it.
#ifndef WASMD_DAEMON_POOL_VISIT_H_
#define WASMD_DAEMON_POOL_VISIT_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"

#include "daemon/pool/alarm.h"
#include "daemon/pool/asymmetric_fence.h"
#include "engine/base/mutex.h"
#include "engine/base/thread_priority.h"

namespace wasmd::daemon {

class RingSource;

class alignas(128) Visit {
 public:
  // `alarm` rings at the deadlines of its calls; null: nobody waits for them.
  explicit Visit(const AsymmetricFence& fence, Alarm* alarm = nullptr)
      : fence_(fence), alarm_(alarm) {}
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  // ---- The worker

  // `source` is null for a task.
  void Begin(RingSource* source) {
    source_.store(source, std::memory_order_relaxed);
    sequence_.store(++own_sequence_, std::memory_order_release);  // Odd. Pairs with Peek.
  }
  // True: there was a claim, and it has been let go. Look at what it left.
  bool End() {
    sequence_.store(++own_sequence_, std::memory_order_release);
    fence_.Light();
    const bool was_claimed = claimed_.load(std::memory_order_relaxed) && Settle();
    ReturnPriority();
    return was_claimed;
  }
  // A guest runs for message `number`. `deadline_ns`: CLOCK_MONOTONIC, 0: none.
  void BeginCall(uint64_t number, uint64_t deadline_ns) {
    deadline_ns_.store(deadline_ns, std::memory_order_relaxed);
    call_.store(number + 1, std::memory_order_release);  // Pairs with Peek.
    // What is read from here on is not read before: that the source has been closed, say.
    fence_.Light();
    if (deadline_ns != 0 && alarm_ != nullptr) [[unlikely]] {
      alarm_->Expect(deadline_ns);
    }
  }
  // As End.
  bool EndCall() {
    call_.store(0, std::memory_order_release);
    fence_.Light();
    return claimed_.load(std::memory_order_relaxed) && Settle();
  }

  // The answer of a call that was interrupted is out: what VisitClaim::LendPriority has lent goes
  // back. To be called before the next call begins.
  void ReturnPriority() {
    if (has_loan_) [[unlikely]] {
      has_loan_ = false;
      engine::ReturnRealTime(::pthread_self());
    }
  }

  // ---- Others

  // What the worker does; it may do something else by now.
  struct Seen {
    uint64_t sequence = 0;
    uint64_t call = 0;  // 0: between calls. Otherwise the message's number, plus 1.
    uint64_t deadline_ns = 0;
    bool in_visit() const { return (sequence & 1) != 0; }
    bool IsOverdue(uint64_t now_ns) const {
      return call != 0 && deadline_ns != 0 && now_ns >= deadline_ns;
    }
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  Seen Peek() const {
    Seen seen;
    seen.sequence = sequence_.load(std::memory_order_acquire);
    seen.call = call_.load(std::memory_order_acquire);
    seen.deadline_ns = deadline_ns_.load(std::memory_order_relaxed);
    return seen;
  }
  // Only a hint, unless under a claim that holds the visit.
  RingSource* source() const { return source_.load(std::memory_order_relaxed); }

 private:
  friend class VisitClaim;

  // Waits until no claim holds this visit. True.
  bool Settle() {
    const engine::MutexLock lock(mutex_);
    claimed_.store(false, std::memory_order_relaxed);
    held_sequence_ = 0;
    held_call_ = 0;
    has_loan_ = std::exchange(lent_, false) || has_loan_;
    return true;
  }

  const AsymmetricFence& fence_;
  Alarm* const alarm_;
  uint64_t own_sequence_ = 0;
  bool has_loan_ = false;  // The worker's own.
  std::atomic<RingSource*> source_{nullptr};
  std::atomic<uint64_t> sequence_{0};
  std::atomic<uint64_t> call_{0};
  std::atomic<uint64_t> deadline_ns_{0};
  // In a line of its own: others write it, rarely.
  alignas(64) std::atomic<bool> claimed_{false};
  // A claim has lent the worker real-time priority, which it has not settled yet.
  bool lent_ ABSL_GUARDED_BY(mutex_) = false;
  engine::Mutex mutex_;
  // What a claim that the worker has not settled yet was seen to hold.
  uint64_t held_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t held_call_ ABSL_GUARDED_BY(mutex_) = 0;
};

static_assert(sizeof(Visit) == 128);

// Keeps a worker from leaving what it is in. While it lives, the worker goes on inside the guest,
// and stops at EndCall or End. Take no lock that a worker takes inside of a visit.
class ABSL_SCOPED_LOCKABLE VisitClaim {
 public:
  explicit VisitClaim(Visit& visit) ABSL_EXCLUSIVE_LOCK_FUNCTION(visit.mutex_) : visit_(visit) {
    visit_.mutex_.Lock();
    seen_ = visit_.Peek();
    const bool still_held = visit_.claimed_.load(std::memory_order_relaxed) &&
                            visit_.held_sequence_ == seen_.sequence &&
                            visit_.held_call_ == seen_.call;
    if (!still_held) {
      visit_.claimed_.store(true, std::memory_order_relaxed);
      visit_.fence_.Heavy();
      seen_ = visit_.Peek();
      visit_.held_sequence_ = seen_.sequence;
      visit_.held_call_ = seen_.call;
    }
  }
  VisitClaim(const VisitClaim&) = delete;
  VisitClaim& operator=(const VisitClaim&) = delete;
  ~VisitClaim() ABSL_UNLOCK_FUNCTION() { visit_.mutex_.Unlock(); }

  // What is held: the visit if seen().in_visit(), the call if it has one.
  const Visit::Seen& seen() const { return seen_; }
  // The worker, which is `thread`, is about to be stopped in the call that is held: it gets a CPU
  // until its answer is out.
  void LendPriority(pthread_t thread) const { LendTo(visit_, thread); }

 private:
  // The analysis does not know that visit_ is what the constructor has locked.
  static void LendTo(Visit& visit, pthread_t thread) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    visit.lent_ = engine::LendRealTime(thread) || visit.lent_;
  }

  Visit& visit_;
  Visit::Seen seen_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_VISIT_H_
