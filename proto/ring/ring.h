// The two ends of a channel's rings: the only code of ours that touches a segment's slots and wait
// states.
//
//   client                                            daemon
//     ClientEnd::Submit  ──► submissions[n % slots] ──►  DaemonEnd::Take
//     ClientEnd::Take    ◄── completions[m % slots] ◄──  DaemonEnd::Complete
//
// A slot's first word is stored last, with release, and has the message's sequence number; the
// reader looks at that word alone until the number is the next one. So a message costs each side
// one cache line, and there is no head or tail to share: both ends count for themselves. The client
// may have as many calls in flight as there are slots; the daemon answers them in their order. A
// client that submits more destroys its own messages, and nothing else.
//
// Going to sleep is agreed upon by the wait states of the header. Either side publishes what it
// has, then (StoreLoadFence) looks whether the other sleeps; or says that it sleeps, then
// (StoreLoadFence) looks whether there is anything. One of the two sees the other. tests/model
// checks it.
//
// Each end: single-thread. The segment outlives it. Sources: the multi-producer queue of D. Vyukov
// (sequence in the slot), io_uring(7) (need-wakeup flags).
#ifndef WASMD_PROTO_RING_RING_H_
#define WASMD_PROTO_RING_RING_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "proto/ring/layout.h"

namespace wasmd::ring {

// Makes the stores before it visible before the loads behind it are made. On x86 a locked operation
// does it in a fifth of the time of the mfence that a seq_cst fence is.
inline void StoreLoadFence() {
#if defined(__x86_64__)
  asm volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// A mapped segment, by its parts. A small value.
class SegmentView {
 public:
  SegmentView() = default;
  // `base` is page-aligned and has geometry.segment_bytes().
  SegmentView(std::byte* base, const Geometry& geometry) : base_(base), geometry_(geometry) {}

  const Geometry& geometry() const { return geometry_; }
  ChannelHeader& header() const { return *reinterpret_cast<ChannelHeader*>(base_); }
  Slot* submissions() const {
    return reinterpret_cast<Slot*>(base_ + geometry_.submissions_offset());
  }
  Slot* completions() const {
    return reinterpret_cast<Slot*>(base_ + geometry_.completions_offset());
  }
  std::byte* arena() const { return base_ + geometry_.arena_offset(); }

 private:
  std::byte* base_ = nullptr;
  Geometry geometry_;
};

// Writes the constants into a zeroed segment: what its maker does before anybody else sees it.
inline void FormatSegment(const SegmentView& view, uint64_t features) {
  ChannelHeader& header = view.header();
  const Geometry& geometry = view.geometry();
  header.magic = kSegmentMagic;
  header.layout_version = kLayoutVersion;
  header.header_bytes = kHeaderBytes;
  header.features = features;
  header.slots = geometry.slots;
  header.slot_bytes = kSlotBytes;
  header.submissions_offset = geometry.submissions_offset();
  header.completions_offset = geometry.completions_offset();
  header.arena_offset = geometry.arena_offset();
  header.arena_bytes = geometry.arena_bytes;
  header.client_cpu.store(kNoCpu, std::memory_order_relaxed);
  header.daemon_cpu.store(kNoCpu, std::memory_order_relaxed);
}

namespace ring_internal {

using Words = std::array<uint64_t, kSlotWords>;

inline uint32_t SequenceOf(uint64_t number) {
  return static_cast<uint32_t>(number) + 1;
}

// By words, not by memcpy: scalar moves are twice as fast here as vectors, whose stores the next
// reader's loads cannot be forwarded from (measured).
template <typename Message>
inline void Publish(Slot& slot, const Message& message) {
  const auto words = std::bit_cast<Words>(message);
  for (size_t i = 1; i < kSlotWords; ++i) {
    slot.words[i].store(words[i], std::memory_order_relaxed);
  }
  slot.words[0].store(words[0], std::memory_order_release);  // Pairs with the load in IsNext.
}

inline bool IsNext(const Slot& slot, uint64_t number) {
  return static_cast<uint32_t>(slot.words[0].load(std::memory_order_acquire)) == SequenceOf(number);
}

template <typename Message>
inline bool Take(const Slot& slot, uint64_t number, Message& message) {
  Words words;
  words[0] = slot.words[0].load(std::memory_order_acquire);  // Pairs with Publish.
  if (static_cast<uint32_t>(words[0]) != SequenceOf(number)) {
    return false;
  }
  for (size_t i = 1; i < kSlotWords; ++i) {
    words[i] = slot.words[i].load(std::memory_order_relaxed);
  }
  message = std::bit_cast<Message>(words);
  return true;
}

}  // namespace ring_internal

class ClientEnd {
 public:
  ClientEnd() = default;
  // `first` is the number of the first message: 0 in every channel. Tests begin just below 2^32.
  explicit ClientEnd(const SegmentView& view, uint64_t first = 0)
      : view_(view), mask_(view.geometry().slots - 1), submitted_(first), completed_(first) {}

  const SegmentView& view() const { return view_; }

  // Submitted, and not yet taken back.
  uint64_t in_flight() const { return submitted_ - completed_; }
  bool CanSubmit() const { return in_flight() <= mask_; }
  // Of the next Submit, and of the next Take.
  uint64_t next_number() const { return submitted_; }
  uint64_t next_completion() const { return completed_; }

  // Publishes a message and returns its number; only if CanSubmit(). The sequence is filled in
  // here.
  uint64_t Submit(Submission message) {
    message.sequence = ring_internal::SequenceOf(submitted_);
    ring_internal::Publish(view_.submissions()[submitted_ & mask_], message);
    return submitted_++;
  }
  // After one Submit or many. True: the daemon sleeps, and its doorbell is to be rung.
  bool Flush() const {
    std::atomic<uint32_t>& state = view_.header().daemon_state;
    StoreLoadFence();
    return state.load(std::memory_order_relaxed) != kAwake &&
           state.exchange(kAwake, std::memory_order_relaxed) != kAwake;
  }

  bool HasCompletion() const {
    return ring_internal::IsNext(view_.completions()[completed_ & mask_], completed_);
  }
  // The next completion, if it is there.
  bool Take(Completion& message) {
    if (!ring_internal::Take(view_.completions()[completed_ & mask_], completed_, message)) {
      return false;
    }
    ++completed_;
    return true;
  }

  // Asks for the end of a call that is in flight. Seen within a millisecond or two; at once, if the
  // doorbell is rung afterwards and the call has run for that long.
  void Cancel(uint64_t number) const {
    view_.submissions()[number & mask_].words[7].store(1, std::memory_order_relaxed);
  }

  // Says that this side sleeps. False: a completion is there, and it does not. Then, or when it
  // has woken up, Awake().
  bool PrepareSleep(WaitState how) const {
    view_.header().client_state.store(how, std::memory_order_relaxed);
    StoreLoadFence();
    if (!HasCompletion()) {
      return true;
    }
    Awake();
    return false;
  }
  void Awake() const { view_.header().client_state.store(kAwake, std::memory_order_relaxed); }
  // What a futex waits on: while it says kAsleepFutex.
  std::atomic<uint32_t>& wait_word() const { return view_.header().client_state; }

  // Hints, for who wonders whether spinning makes sense.
  void TellCpu(uint32_t cpu) const {
    std::atomic<uint32_t>& told = view_.header().client_cpu;
    if (told.load(std::memory_order_relaxed) != cpu) {
      told.store(cpu, std::memory_order_relaxed);
    }
  }
  uint32_t daemon_cpu() const { return view_.header().daemon_cpu.load(std::memory_order_relaxed); }
  bool daemon_sleeps() const {
    return view_.header().daemon_state.load(std::memory_order_relaxed) != kAwake;
  }

 private:
  SegmentView view_;
  uint64_t mask_ = 0;
  uint64_t submitted_ = 0;
  uint64_t completed_ = 0;
};

class DaemonEnd {
 public:
  DaemonEnd() = default;
  explicit DaemonEnd(const SegmentView& view, uint64_t first = 0)
      : view_(view), mask_(view.geometry().slots - 1), taken_(first), completed_(first) {}

  const SegmentView& view() const { return view_; }
  // Messages taken, and answered.
  uint64_t taken() const { return taken_; }
  uint64_t completed() const { return completed_; }

  bool HasSubmission() const {
    return ring_internal::IsNext(view_.submissions()[taken_ & mask_], taken_);
  }
  // Copies the next message out, if it is there. The copy is the client's word, unchecked.
  bool Take(Submission& message) {
    if (!ring_internal::Take(view_.submissions()[taken_ & mask_], taken_, message)) {
      return false;
    }
    ++taken_;
    return true;
  }
  // Whether message `number`, taken and not yet answered, is to be cancelled.
  bool IsCancelled(uint64_t number) const {
    return view_.submissions()[number & mask_].words[7].load(std::memory_order_relaxed) != 0;
  }

  // Answers the oldest message that has no answer. The sequence is filled in here.
  void Complete(Completion message) {
    message.sequence = ring_internal::SequenceOf(completed_);
    ring_internal::Publish(view_.completions()[completed_ & mask_], message);
    ++completed_;
  }
  // Without a fence, which the caller has where it matters.
  bool client_sleeps() const {
    return view_.header().client_state.load(std::memory_order_relaxed) != kAwake;
  }
  // Whether the client sleeps, and how, so that it is to be woken up; kAwake: it does not. It
  // counts as awake from then on, so each sleep is told once. `Relaxed` is for between the calls
  // of one visit: it may miss a client that is just falling asleep.
  WaitState TakeSleeper() const {
    StoreLoadFence();
    return TakeSleeperRelaxed();
  }
  WaitState TakeSleeperRelaxed() const {
    std::atomic<uint32_t>& state = view_.header().client_state;
    if (state.load(std::memory_order_relaxed) == kAwake) [[likely]] {
      return kAwake;
    }
    const uint32_t how = state.exchange(kAwake, std::memory_order_relaxed);
    return how == kAsleepFutex || how == kAsleepSocket ? static_cast<WaitState>(how) : kAwake;
  }
  std::atomic<uint32_t>& client_wait_word() const { return view_.header().client_state; }

  // Says that the daemon sleeps. After a StoreLoadFence, which serves any number of channels, the
  // caller looks at HasSubmission() once more before it does.
  void MarkAsleep() const {
    view_.header().daemon_state.store(kAsleepBell, std::memory_order_relaxed);
  }
  void MarkAwake() const { view_.header().daemon_state.store(kAwake, std::memory_order_relaxed); }

  // As at the other end.
  void TellCpu(uint32_t cpu) const {
    std::atomic<uint32_t>& told = view_.header().daemon_cpu;
    if (told.load(std::memory_order_relaxed) != cpu) {
      told.store(cpu, std::memory_order_relaxed);
    }
  }
  uint32_t client_cpu() const { return view_.header().client_cpu.load(std::memory_order_relaxed); }

 private:
  SegmentView view_;
  uint64_t mask_ = 0;
  uint64_t taken_ = 0;
  uint64_t completed_ = 0;
};

}  // namespace wasmd::ring

#endif  // WASMD_PROTO_RING_RING_H_
