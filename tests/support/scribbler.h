// Scribbler: a client that writes what it likes into its segment: messages that are next in turn
// with anything in them, words anywhere in rings and arena, states that do not exist.
#ifndef WASMD_TESTS_SUPPORT_SCRIBBLER_H_
#define WASMD_TESTS_SUPPORT_SCRIBBLER_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>

#include "proto/ring/layout.h"
#include "proto/ring/ring.h"

namespace wasmd::tests {

// Single-thread; another thread or process uses the segment at the same time. Writes by atomic
// words alone.
class Scribbler {
 public:
  struct Options {
    uint32_t funcs = 1;       // Of valid messages.
    bool only_valid = false;  // Messages that are next in turn are no violations.
  };

  Scribbler(const ring::SegmentView& view, uint64_t seed, const Options& options)
      : view_(view), options_(options), random_(seed) {}

  // One write. `next` is about the number of the message that the daemon waits for.
  void Step(uint64_t next) {
    switch (random_() % 8) {
      case 0:
        State(view_.header().client_state, view_.header().client_cpu);
        break;
      case 1:
        State(view_.header().daemon_state, view_.header().daemon_cpu);
        break;
      case 2:
        Word(view_.completions()[random_() % slots()]);
        break;
      case 3:
        Arena();
        break;
      case 4:
        if (!options_.only_valid) {
          Word(view_.submissions()[random_() % slots()]);
        }
        break;
      default:
        Publish(next + random_() % 2);
    }
  }

 private:
  uint32_t slots() const { return view_.geometry().slots; }

  void State(std::atomic<uint32_t>& state, std::atomic<uint32_t>& cpu) {
    const uint64_t value = random_();
    state.store(static_cast<uint32_t>(value) % 5, std::memory_order_relaxed);
    cpu.store(static_cast<uint32_t>(value >> 32), std::memory_order_relaxed);
  }
  void Word(ring::Slot& slot) {
    slot.words[random_() % ring::kSlotWords].store(random_(), std::memory_order_relaxed);
  }
  void Arena() {
    if (const uint64_t words = view_.geometry().arena_bytes / 8; words != 0) {
      reinterpret_cast<std::atomic<uint64_t>*>(view_.arena())[random_() % words].store(
          random_(), std::memory_order_relaxed);
    }
  }
  uint64_t Offset() {
    const uint64_t arena_bytes = view_.geometry().arena_bytes;
    return options_.only_valid || random_() % 2 == 0 ? random_() % (arena_bytes / 2 + 1) / 8 * 8
                                                     : random_() >> (random_() % 64);
  }
  void Publish(uint64_t number) {
    ring::Submission message;
    message.sequence = static_cast<uint32_t>(number) + 1;
    message.kind =
        random_() % 2 == 0 ? ring::SubmissionKind::kCall : ring::SubmissionKind::kCallBytes;
    message.words = static_cast<uint8_t>(random_() % 5);
    message.func = static_cast<uint32_t>(random_() % options_.funcs);
    message.tag = static_cast<uint32_t>(random_());
    message.payload = {random_(), random_(), random_(), random_()};
    if (message.kind == ring::SubmissionKind::kCallBytes || random_() % 4 == 0) {
      message.flags = static_cast<uint16_t>(random_() % 2);
      if (message.kind == ring::SubmissionKind::kCall) {
        message.flags = ring::kFlagArena;
      }
      message.words = ring::kInlineWords;
      message.payload = {Offset(), Offset(), Offset(), Offset()};
    }
    if (!options_.only_valid && random_() % 4 == 0) {
      message.kind = static_cast<ring::SubmissionKind>(random_());
      message.words = static_cast<uint8_t>(random_());
      message.flags = static_cast<uint16_t>(random_());
      message.func = static_cast<uint32_t>(random_());
    }
    const auto words = std::bit_cast<std::array<uint64_t, ring::kSlotWords>>(message);
    ring::Slot& slot = view_.submissions()[number % slots()];
    // Where only valid ones are wanted, no half of two messages shall be one.
    slot.words[0].store(0, std::memory_order_release);
    for (size_t i = 1; i < ring::kSlotWords; ++i) {
      slot.words[i].store(words[i], std::memory_order_relaxed);
    }
    slot.words[0].store(words[0], std::memory_order_release);
  }

  const ring::SegmentView view_;
  const Options options_;
  std::mt19937_64 random_;
};

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_SCRIBBLER_H_
