// Calls over an attached ring, as words: submitting, waiting, and tickets. Internal to client/cpp;
// channel.h is for users.
//
// The short way, RoundTrip, is inline: a slot is written, the daemon's state is looked at, and the
// slot of the answer is polled for about two microseconds. It allocates nothing, makes no system
// call and reads no clock. Await, out of line, does the rest: it spins on for as long as answers
// have been taking lately, and then sleeps; it looks after the deadline, the stop token and whether
// the daemon lives.
//
// Answers come in the order of the calls. One that is not the next to be waited for is put into a
// stash, with what it has in the arena, so that calls in flight alone take up the ring.
//
// Single-thread.
#ifndef WASMD_CLIENT_CPP_RING_CALLER_H_
#define WASMD_CLIENT_CPP_RING_CALLER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "client/cpp/channel_result.h"
#include "client/cpp/ring_connection.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::client {

struct RingTuning {
  uint64_t max_spin_ns = 50'000;  // 0: never.
  // What the daemon may take beyond a deadline or a cancel before the channel is given up.
  uint64_t grace_ns = 5'000'000'000;
};

// Of one call, or of one batch.
struct CallLimit {
  uint64_t deadline_ns = 0;  // By this process's CLOCK_MONOTONIC; 0: none.
  const std::stop_token* stop = nullptr;
  // What a stop cancels.
  static constexpr uint64_t kAllInFlight = ~uint64_t{0};
  uint64_t number = kAllInFlight;
};

// What Submit gives and Wait takes.
struct RingTicket {
  static constexpr uint64_t kInline = ~uint64_t{0};
  uint64_t number = 0;
  uint64_t deadline_ns = 0;
  uint64_t output_offset = kInline;                      // In the arena.
  CallEnd::Reason refused = CallEnd::Reason::kNoTicket;  // kDaemon: it was submitted.
};

// kFailed, by this side.
CallEnd RefusedBy(CallEnd::Reason reason);

class RingCaller {
 public:
  // Takes no calls.
  RingCaller() = default;
  // `id` is not 0.
  RingCaller(std::unique_ptr<RingConnection> connection, const RingTuning& tuning, uint64_t id);
  ~RingCaller();

  RingCaller(const RingCaller&) = delete;
  RingCaller& operator=(const RingCaller&) = delete;

  bool is_attached() const { return connection_ != nullptr; }
  const RingConnection& connection() const { return *connection_; }
  uint32_t slots() const { return end_.view().geometry().slots; }
  // Tickets not waited for; no more than there are slots.
  uint32_t open_tickets() const { return open_; }
  // Not ok: the channel is over, and why.
  const absl::Status& closed() const { return closed_; }

  // ---- The short way

  // RoundTrip and Batch can be used: this is the ring of that channel, and no ticket is open.
  bool IsFree(uint64_t id) const { return free_for_ == id; }

  // The same for SubmitInline, which minds no tickets.
  bool IsAttachedFor(uint64_t id) const { return id_ == id; }

  // One call. False: the channel is over.
  [[gnu::always_inline]] bool RoundTrip(const ring::Submission& message,
                                        ring::Completion& completion) {
    Publish(message);
    Signal();
    return Next(completion, nullptr);
  }

  // `rows` calls, of which as many as there are slots are in flight at a time, with a look at the
  // daemon's state for every half of them. encode(row) gives a submission; done(row, completion)
  // takes each answer, in order. Returns how many rows were answered: fewer if the channel is over,
  // or the stop token was triggered.
  template <typename Encode, typename Done>
  size_t Batch(size_t rows, const CallLimit& limit, const Encode& encode, const Done& done) {
    const size_t window = slots() / 2;
    size_t submitted = 0;
    size_t taken = 0;
    while (taken < rows) {
      if (limit.stop != nullptr && limit.stop->stop_requested()) {
        rows = submitted;
      }
      const size_t until = std::min({rows, submitted + window, taken + slots()});
      for (; submitted < until; ++submitted) {
        Publish(encode(submitted));
      }
      Flush();
      const size_t wanted = submitted == rows ? rows : submitted - std::min(window, submitted);
      for (; taken < wanted; ++taken) {
        ring::Completion completion;
        if (!Next(completion, &limit)) [[unlikely]] {
          return taken;
        }
        done(taken, completion);
      }
    }
    return taken;
  }

  // How a call ended that did not return `words` words in its slot.
  CallEnd EndOf(ring::Completion completion, size_t words);  // By value: it stays in registers.
  CallEnd ClosedEnd() const;

  // ---- The long way: any signature, limits, tickets

  CallEnd Call(uint32_t func, std::span<const uint64_t> args, std::span<uint64_t> results,
               const CallLimit& limit);

  // Puts a call in the ring; Flush tells the daemon. Refused, which Wait will say, if there is no
  // slot or no room for it.
  RingTicket Submit(uint32_t func, std::span<const uint64_t> args, size_t result_words,
                    uint64_t deadline_ns);
  RingTicket SubmitInline(const ring::Submission& message) {
    RingTicket ticket;
    ticket.refused = Admit();
    if (ticket.refused == CallEnd::Reason::kDaemon) [[likely]] {
      Enter(ticket, message);
    }
    return ticket;
  }
  void Flush() {
    unflushed_ = false;
    Signal();
  }
  // Waits for its answer, after a Flush if there was none. A ticket can be waited for once.
  CallEnd Wait(const RingTicket& ticket, std::span<uint64_t> results,
               const std::stop_token* stop = nullptr);
  void Cancel(const RingTicket& ticket) const;

  // ---- Byte strings

  // The start of the arena, for an input to be written into; nullopt: kNoRoom, or it is over.
  std::optional<std::span<char>> LendInput(size_t bytes) const;
  // With the input that is there. `output` lies in the arena until the next call.
  CallEnd CallBytes(uint32_t func, size_t input_bytes, const CallLimit& limit,
                    std::string_view& output);

  // Of this process's clock, as the daemon has it.
  uint64_t ToDaemonClock(uint64_t deadline_ns) const;

 private:
  // How long answers have been taking that RoundTrip did not see come.
  struct Estimate {
    uint64_t typical_ns = 5'000;
    uint32_t slept = 0;         // Times that no spinning was done since the last probe,
    uint32_t probe_every = 16;  // and how many there are between two.
  };
  struct Answer {
    ring::Completion completion;
    std::vector<uint64_t> results;  // Of a call whose results were in the arena.
  };
  // Results that are to come in the arena, by the slot of their submission.
  struct Wide {
    uint64_t number = ~uint64_t{0};
    uint64_t output_offset = 0;
    uint64_t words = 0;
  };

  [[gnu::always_inline]] uint64_t Publish(ring::Submission message) {
    message.tag = static_cast<uint32_t>(end_.next_number());
    return end_.Submit(message);
  }
  void Enter(RingTicket& ticket, const ring::Submission& message) {
    ticket.refused = CallEnd::Reason::kDaemon;
    ticket.number = Publish(message);
    unflushed_ = true;
    ++open_;
    free_for_ = 0;
  }
  // The next answer. False: the channel is over.
  [[gnu::always_inline]] bool Next(ring::Completion& completion, const CallLimit* limit) {
    uint32_t spins = short_spins_;
    while (!end_.Take(completion)) {
      if (spins != 0) {
        --spins;
        ring::CpuRelax();
      } else if (!Await(limit)) [[unlikely]] {
        return false;
      }
    }
    if (completion.tag != static_cast<uint32_t>(end_.next_completion() - 1)) [[unlikely]] {
      CloseForWrongTag();
      return false;
    }
    return true;
  }

  void Signal() {
    if (end_.Flush()) [[unlikely]] {
      RingBell();
    }
  }
  void RingBell();
  void CloseForWrongTag();
  // Waits until the next answer is there. False: the channel is over.
  bool Await(const CallLimit* limit);
  enum class Spun : uint8_t { kCame, kInVain, kSameCpu };
  Spun Spin(uint64_t start_ns, uint64_t budget_ns, bool rang) const;
  bool Sleep(uint64_t start_ns, const CallLimit& limit);
  uint64_t SpinBudget(Estimate& estimate) const;
  void Close(absl::Status why);

  CallEnd::Reason Admit();
  // Submit, with a slot that is known to be free.
  RingTicket SubmitAnyway(uint32_t func, std::span<const uint64_t> args, size_t result_words,
                          uint64_t deadline_ns);
  void Retire();
  void ReleaseArena();
  // Has a slot for one call more, and be it by waiting for the oldest. False: the channel is over.
  bool MakeRoom();
  // Takes answers into the stash up to that of `number`.
  bool StashUpTo(uint64_t number, const CallLimit& limit);
  // A ticket's answer; else why there is none.
  std::optional<CallEnd> Receive(const RingTicket& ticket, const std::stop_token* stop,
                                 Answer& answer);
  CallEnd Finish(const Answer& answer, uint64_t output_offset, std::span<uint64_t> results);

  // What RoundTrip touches, together.
  uint64_t free_for_ = 0;
  uint32_t short_spins_ = 0;
  int doorbell_ = -1;
  ring::ClientEnd end_;
  bool rang_ = false;
  bool unflushed_ = false;

  uint64_t id_ = 0;
  std::unique_ptr<RingConnection> connection_;
  RingTuning tuning_;
  absl::Status closed_;
  std::array<Estimate, 2> estimates_;  // Of a daemon that is awake; of one that was woken up.
  uint32_t max_short_spins_ = 0;
  uint64_t looked_at_ns_ = 0;  // Whether the daemon lives, before a sleep.

  uint32_t open_ = 0;
  uint32_t open_in_arena_ = 0;  // In flight.
  bool has_whole_arena_ = false;
  std::vector<Wide> wide_;  // Empty until the first.
  std::unordered_map<uint64_t, Answer> stash_;
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_RING_CALLER_H_
