#include "client/cpp/ring_caller.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

#include "client/cpp/channel_result.h"
#include "client/cpp/ring_connection.h"
#include "client/cpp/text.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::client {

namespace {

using Reason = CallEnd::Reason;

// What RoundTrip polls for before Await reads the first clock.
constexpr uint64_t kShortSpinNs = 2'000;
// Polls between two readings of the clock.
constexpr int kSpinsPerLook = 32;
// Of the calls that go to sleep at once, one in so many spins all the same, to see whether that has
// become worth it. Rarer each time that it has not: on CPUs that are all busy a probe takes its
// whole budget from somebody.
constexpr uint32_t kProbeEvery = 16;
constexpr uint32_t kProbeAtLeastEvery = 1024;
// So many calls in flight are a batch.
constexpr uint64_t kBatchCalls = 16;
// A look whether the daemon lives, while asleep.
constexpr uint64_t kLivenessNs = 100'000'000;
// Between two such looks before a sleep.
constexpr uint64_t kMinLookNs = 1'000'000;
constexpr uint64_t kNever = ~uint64_t{0};

// Between a few and some 140 cycles, as the processor likes. Measured once.
uint32_t SpinsFor(uint64_t ns) {
  static const uint64_t spins_per_us = [] {
    constexpr uint64_t kSpins = 256;
    uint64_t best_ns = kNever;
    for (int sample = 0; sample < 3; ++sample) {
      const uint64_t start_ns = ring::MonotonicNs();
      for (uint64_t i = 0; i < kSpins; ++i) {
        ring::CpuRelax();
      }
      best_ns = std::min(best_ns, ring::MonotonicNs() - start_ns);
    }
    return kSpins * 1000 / std::clamp<uint64_t>(best_ns, 256, 1'000'000);
  }();
  return static_cast<uint32_t>(std::max<uint64_t>(spins_per_us * ns / 1000, 1));
}

bool HasOneCpu() {
  static const bool one = sysconf(_SC_NPROCESSORS_ONLN) == 1;
  return one;
}

// Arguments and results of a call that does not fit its slot.
bool IsWide(size_t arg_words, size_t result_words) {
  return arg_words > ring::kInlineWords || result_words > ring::kInlineWords;
}

// An already expired deadline, or a stop that was requested, and nothing is called.
std::optional<CallEnd> CheckLimit(const CallLimit& limit) {
  if (limit.stop != nullptr && limit.stop->stop_requested()) {
    return RefusedBy(Reason::kCancelled);
  }
  if (limit.deadline_ns != 0 && ring::MonotonicNs() >= limit.deadline_ns) {
    return RefusedBy(Reason::kLate);
  }
  return std::nullopt;
}

// Wakes the thread that sleeps on the word as the daemon would.
class Waker {
 public:
  explicit Waker(std::atomic<uint32_t>& word) : word_(&word) {}
  void operator()() const {
    word_->store(ring::kAwake, std::memory_order_relaxed);
    ring::FutexWake(*word_);
  }

 private:
  std::atomic<uint32_t>* word_;
};

}  // namespace

CallEnd RefusedBy(Reason reason) {
  absl::StatusCode code = absl::StatusCode::kFailedPrecondition;
  switch (reason) {
    case Reason::kDaemon:
    case Reason::kReported:
    case Reason::kClosed:
    case Reason::kNoTicket:
      break;
    case Reason::kOtherChannel:
    case Reason::kWrongRows:
      code = absl::StatusCode::kInvalidArgument;
      break;
    case Reason::kFull:
      code = absl::StatusCode::kResourceExhausted;
      break;
    case Reason::kNoRoom:
      code = absl::StatusCode::kOutOfRange;
      break;
    case Reason::kCancelled:
      code = absl::StatusCode::kCancelled;
      break;
    case Reason::kLate:
      code = absl::StatusCode::kDeadlineExceeded;
      break;
  }
  return {.kind = CallEnd::Kind::kFailed, .reason = reason, .code = static_cast<uint16_t>(code)};
}

RingCaller::RingCaller(std::unique_ptr<RingConnection> connection, const RingTuning& tuning,
                       uint64_t id)
    : free_for_(id),
      doorbell_(connection->doorbell()),
      end_(connection->view()),
      id_(id),
      connection_(std::move(connection)),
      tuning_(tuning) {
  if (HasOneCpu()) {
    tuning_.max_spin_ns = 0;
  }
  if (tuning_.max_spin_ns != 0) {
    max_short_spins_ = SpinsFor(std::min(tuning_.max_spin_ns, kShortSpinNs));
  }
  short_spins_ = max_short_spins_;
  end_.TellCpu(ring::CurrentCpu());
}

RingCaller::~RingCaller() = default;

uint64_t RingCaller::ToDaemonClock(uint64_t deadline_ns) const {
  if (deadline_ns == 0) {
    return 0;
  }
  return std::max<uint64_t>(deadline_ns + static_cast<uint64_t>(connection_->clock_offset_ns()), 1);
}

// ---- Waiting

[[gnu::noinline, gnu::cold]] void RingCaller::RingBell() {
  ring::RingDoorbell(doorbell_);
  rang_ = true;
}

[[gnu::noinline, gnu::cold]] void RingCaller::CloseForWrongTag() {
  Close(absl::InternalError("the daemon answered a call that was not made"));
}

[[gnu::noinline, gnu::cold]] CallEnd RingCaller::ClosedEnd() const {
  return {.kind = CallEnd::Kind::kFailed,
          .reason = Reason::kClosed,
          .code = static_cast<uint16_t>(closed_.ok() ? absl::StatusCode::kFailedPrecondition
                                                     : closed_.code())};
}

void RingCaller::Close(absl::Status why) {
  if (closed_.ok()) {
    closed_ = std::move(why);
  }
  free_for_ = 0;
  connection_->HangUp();
}

uint64_t RingCaller::SpinBudget(Estimate& estimate) const {
  const uint64_t most_ns = tuning_.max_spin_ns;
  if (estimate.typical_ns <= most_ns) {
    return std::min(most_ns, 2 * estimate.typical_ns + kShortSpinNs);
  }
  if (most_ns != 0 && ++estimate.slept >= estimate.probe_every) {
    estimate.slept = 0;
    estimate.probe_every = std::min(2 * estimate.probe_every, kProbeAtLeastEvery);
    return most_ns;
  }
  return 0;
}

bool RingCaller::Await(const CallLimit* limit) {
  if (!closed_.ok()) {
    return false;
  }
  const uint64_t start_ns = ring::MonotonicNs();
  const bool rang = std::exchange(rang_, false);
  Estimate& estimate = estimates_[rang ? 1 : 0];
  const uint64_t budget_ns = SpinBudget(estimate);
  end_.TellCpu(ring::CurrentCpu());
  Spun spun = end_.HasCompletion() ? Spun::kCame : Spun::kInVain;
  if (spun != Spun::kCame && budget_ns != 0) {
    spun = Spin(start_ns, budget_ns, rang);
  }
  // The daemon needs this CPU for a batch: to stand back is enough, and spares it the waking of a
  // sleeper. A single call sleeps all the same: where others want the CPU too, who is woken up is
  // sooner back than who stands back.
  if (spun == Spun::kSameCpu && end_.next_number() - end_.next_completion() >= kBatchCalls) {
    ::sched_yield();
    if (end_.HasCompletion()) {
      return true;
    }
  }
  if (spun != Spun::kCame && !Sleep(start_ns, limit == nullptr ? CallLimit{} : *limit)) {
    return false;
  }
  const uint64_t took_ns = ring::MonotonicNs() - start_ns;
  // A sleeper's time has its own waking up in it, so that one answer that came while spinning says
  // more than many that did not.
  const bool fresh = spun == Spun::kCame && estimate.typical_ns > tuning_.max_spin_ns;
  if (fresh) {
    estimate.probe_every = kProbeEvery;
  }
  estimate.typical_ns = fresh ? took_ns : (estimate.typical_ns * 7 + took_ns) / 8;
  const bool worth_it = spun != Spun::kSameCpu && estimates_[0].typical_ns <= tuning_.max_spin_ns;
  short_spins_ = worth_it ? max_short_spins_ : 0;
  return true;
}

RingCaller::Spun RingCaller::Spin(uint64_t start_ns, uint64_t budget_ns, bool rang) const {
  do {
    // It cannot answer as long as this thread has its CPU. One that was asleep had it before.
    const uint32_t daemon_cpu = end_.daemon_cpu();
    if (!rang && daemon_cpu != ring::kNoCpu && daemon_cpu == ring::CurrentCpu()) {
      return Spun::kSameCpu;
    }
    for (int i = 0; i < kSpinsPerLook; ++i) {
      if (end_.HasCompletion()) {
        return Spun::kCame;
      }
      ring::CpuRelax();
    }
  } while (ring::MonotonicNs() - start_ns < budget_ns);
  return Spun::kInVain;
}

bool RingCaller::Sleep(uint64_t start_ns, const CallLimit& limit) {
  std::atomic<uint32_t>& word = end_.wait_word();
  // Without a token it costs nothing.
  const std::stop_callback wake_on_stop(limit.stop == nullptr ? std::stop_token() : *limit.stop,
                                        Waker(word));
  const auto stopped = [&] { return limit.stop != nullptr && limit.stop->stop_requested(); };
  // The daemon ends the call at its deadline. The first in line, from here on, is this one.
  uint64_t give_up_ns =
      limit.deadline_ns == 0 ? kNever : std::max(limit.deadline_ns, start_ns) + tuning_.grace_ns;
  bool cancelled = false;
  bool gave_up_by_stop = false;
  // Who sleeps very often looks less often: a daemon that has gone meanwhile is found by the next
  // look, behind a sleep of kLivenessNs.
  bool looks = start_ns - looked_at_ns_ >= kMinLookNs;
  for (;; looks = true) {
    if (looks) {
      looked_at_ns_ = start_ns;
    }
    if (absl::Status status = looks ? connection_->Check() : absl::OkStatus(); !status.ok()) {
      // What it said before it went still counts.
      if (end_.HasCompletion()) {
        return true;
      }
      Close(std::move(status));
      return false;
    }
    if (stopped() && !cancelled) {
      cancelled = true;
      const bool all = limit.number == CallLimit::kAllInFlight;
      const uint64_t end = all ? end_.next_number() : limit.number + 1;
      for (uint64_t number = all ? end_.next_completion() : limit.number; number != end; ++number) {
        end_.Cancel(number);
      }
      ring::RingDoorbell(doorbell_);
      // What is ahead of it in the ring has no part in this.
      if (all || limit.number == end_.next_completion()) {
        give_up_ns = std::min(give_up_ns, ring::MonotonicNs() + tuning_.grace_ns);
        gave_up_by_stop = true;
      }
    }
    if (!end_.PrepareSleep(ring::kAsleepFutex)) {
      return true;
    }
    const uint64_t now_ns = give_up_ns == kNever ? 0 : ring::MonotonicNs();
    if (now_ns >= give_up_ns) {
      end_.Awake();
      Close(gave_up_by_stop
                ? absl::CancelledError(
                      "the daemon did not end a call that was cancelled; the channel is closed")
                : absl::DeadlineExceededError(
                      "the daemon did not end a call at its deadline; the channel is closed"));
      return false;
    }
    // The fence of PrepareSleep orders this look behind the word's new state: either it sees the
    // stop, or the stop's Waker sees the sleeper.
    if (!stopped() || cancelled) {
      ring::FutexWait(word, ring::kAsleepFutex, std::min(kLivenessNs, give_up_ns - now_ns));
    }
    end_.Awake();
    if (end_.HasCompletion()) {
      return true;
    }
  }
}

// ---- How a call ended

[[gnu::noinline, gnu::cold]] CallEnd RingCaller::EndOf(ring::Completion completion, size_t words) {
  CallEnd end;
  end.code = completion.code;
  end.report = completion.detail;
  switch (completion.kind) {
    case ring::CompletionKind::kTrapped:
      end.kind = CallEnd::Kind::kTrapped;
      end.detail = completion.payload[0] > CallEnd::kNoFunc
                       ? CallEnd::kNoFunc
                       : static_cast<uint32_t>(completion.payload[0]);
      end.offset = completion.payload[1];
      return end;
    case ring::CompletionKind::kExited:
      end.kind = CallEnd::Kind::kExited;
      end.code = 0;
      end.detail = static_cast<uint32_t>(completion.payload[0]);
      return end;
    case ring::CompletionKind::kFailed:
      end.kind = CallEnd::Kind::kFailed;
      if (end.code == 0 || end.code > static_cast<uint16_t>(absl::StatusCode::kUnauthenticated)) {
        end.code = static_cast<uint16_t>(absl::StatusCode::kUnknown);
      }
      end.offset = end.status_code() == absl::StatusCode::kOutOfRange ? completion.payload[0] : 0;
      return end;
    case ring::CompletionKind::kReturned:
      Close(absl::InternalError(Cat("the daemon answered a call with ", completion.words,
                                    " words or ", completion.detail, " bytes, not ", words,
                                    " words")));
      return ClosedEnd();
    case ring::CompletionKind::kImportCall:
      break;
  }
  Close(absl::InternalError(Cat("the daemon answered a call by something of kind ",
                                static_cast<int>(completion.kind), ", which is not known")));
  return ClosedEnd();
}

CallEnd RingCaller::Finish(const Answer& answer, uint64_t output_offset,
                           std::span<uint64_t> results) {
  const ring::Completion& completion = answer.completion;
  if (completion.kind != ring::CompletionKind::kReturned) {
    return EndOf(completion, results.size());
  }
  if (output_offset == RingTicket::kInline) {
    if (completion.words != results.size() || results.size() > completion.payload.size()) {
      return EndOf(completion, results.size());
    }
    std::copy_n(completion.payload.begin(), results.size(), results.begin());
    return {};
  }
  if (completion.detail != results.size_bytes()) {
    return EndOf(completion, results.size());
  }
  if (answer.results.size() == results.size()) {
    std::ranges::copy(answer.results, results.begin());
  } else {
    std::memcpy(results.data(), end_.view().arena() + output_offset, results.size_bytes());
  }
  return {};
}

// ---- Tickets

CallEnd RingCaller::Call(uint32_t func, std::span<const uint64_t> args, std::span<uint64_t> results,
                         const CallLimit& limit) {
  if (const std::optional<CallEnd> end = CheckLimit(limit); end.has_value()) {
    return *end;
  }
  if (!MakeRoom()) {
    return ClosedEnd();
  }
  return Wait(SubmitAnyway(func, args, results.size(), limit.deadline_ns), results, limit.stop);
}

bool RingCaller::MakeRoom() {
  if (!is_attached() || !closed_.ok()) {
    return false;
  }
  // What it waits for is no part of the call, and not to be cancelled with it.
  if (end_.CanSubmit()) {
    return true;
  }
  if (unflushed_) {
    Flush();
  }
  return StashUpTo(end_.next_completion(), CallLimit());
}

Reason RingCaller::Admit() {
  if (!is_attached() || !closed_.ok()) {
    return Reason::kClosed;
  }
  return open_ >= slots() ? Reason::kFull : Reason::kDaemon;
}

RingTicket RingCaller::Submit(uint32_t func, std::span<const uint64_t> args, size_t result_words,
                              uint64_t deadline_ns) {
  RingTicket ticket;
  ticket.refused = Admit();
  return ticket.refused == Reason::kDaemon ? SubmitAnyway(func, args, result_words, deadline_ns)
                                           : ticket;
}

RingTicket RingCaller::SubmitAnyway(uint32_t func, std::span<const uint64_t> args,
                                    size_t result_words, uint64_t deadline_ns) {
  RingTicket ticket;
  ring::Submission message;
  message.kind = ring::SubmissionKind::kCall;
  message.words = static_cast<uint8_t>(std::min<size_t>(args.size(), ring::kInlineWords));
  message.func = func;
  message.deadline_ns = ToDaemonClock(deadline_ns);
  if (IsWide(args.size(), result_words)) {
    const ring::Geometry& geometry = end_.view().geometry();
    const uint64_t bytes = (args.size() + result_words) * sizeof(uint64_t);
    // Each slot has its part of the arena. A call that needs more has all of it to itself.
    const uint64_t part =
        geometry.arena_bytes / geometry.slots / sizeof(uint64_t) * sizeof(uint64_t);
    const bool whole = bytes > part;
    if (bytes > geometry.arena_bytes || has_whole_arena_ || (whole && open_in_arena_ != 0)) {
      ticket.refused = Reason::kNoRoom;
      return ticket;
    }
    const uint64_t slot = end_.next_number() & (geometry.slots - 1);
    const uint64_t offset = whole ? 0 : slot * part;
    ticket.output_offset = offset + args.size_bytes();
    message.flags = ring::kFlagArena;
    message.words = ring::kInlineWords;
    message.payload = {offset, args.size_bytes(), ticket.output_offset,
                       result_words * sizeof(uint64_t)};
    std::memcpy(end_.view().arena() + offset, args.data(), args.size_bytes());
    wide_.resize(geometry.slots);
    wide_[slot] = {
        .number = end_.next_number(), .output_offset = ticket.output_offset, .words = result_words};
    ++open_in_arena_;
    has_whole_arena_ = whole;
  } else {
    std::ranges::copy(args, message.payload.begin());
  }
  ticket.deadline_ns = deadline_ns;
  Enter(ticket, message);
  return ticket;
}

void RingCaller::Retire() {
  if (--open_ == 0 && closed_.ok()) {
    free_for_ = id_;
  }
}

void RingCaller::ReleaseArena() {
  --open_in_arena_;
  has_whole_arena_ = false;
}

bool RingCaller::StashUpTo(uint64_t number, const CallLimit& limit) {
  while (end_.next_completion() <= number) {
    Answer answer;
    const uint64_t taken = end_.next_completion();
    if (!Next(answer.completion, &limit)) {
      return false;
    }
    const Wide* wide = wide_.empty() ? nullptr : &wide_[taken & (slots() - 1)];
    if (wide != nullptr && wide->number == taken) {
      answer.results.resize(wide->words);
      std::memcpy(answer.results.data(), end_.view().arena() + wide->output_offset,
                  wide->words * sizeof(uint64_t));
      ReleaseArena();
    }
    stash_.emplace(taken, std::move(answer));
  }
  return true;
}

std::optional<CallEnd> RingCaller::Receive(const RingTicket& ticket, const std::stop_token* stop,
                                           Answer& answer) {
  if (ticket.refused != Reason::kDaemon) {
    return ticket.refused == Reason::kClosed ? ClosedEnd() : RefusedBy(ticket.refused);
  }
  const uint64_t number = ticket.number;
  if (number < end_.next_completion()) {
    const auto stashed = stash_.find(number);
    if (stashed == stash_.end()) {
      return closed_.ok() ? RefusedBy(Reason::kNoTicket) : ClosedEnd();
    }
    answer = std::move(stashed->second);
    stash_.erase(stashed);
    Retire();
    return std::nullopt;
  }
  if (number >= end_.next_number()) {
    return RefusedBy(Reason::kNoTicket);
  }
  if (!closed_.ok()) {
    return ClosedEnd();
  }
  if (unflushed_) {
    Flush();
  }
  CallLimit limit{.deadline_ns = 0, .stop = stop, .number = number};
  // Those ahead of it may take their time, whatever its deadline is.
  if (number > end_.next_completion() && !StashUpTo(number - 1, limit)) {
    return ClosedEnd();
  }
  limit.deadline_ns = ticket.deadline_ns;
  if (!Next(answer.completion, &limit)) {
    return ClosedEnd();
  }
  if (ticket.output_offset != RingTicket::kInline) {
    ReleaseArena();
  }
  Retire();
  return std::nullopt;
}

CallEnd RingCaller::Wait(const RingTicket& ticket, std::span<uint64_t> results,
                         const std::stop_token* stop) {
  Answer answer;
  if (const std::optional<CallEnd> end = Receive(ticket, stop, answer); end.has_value()) {
    return *end;
  }
  return Finish(answer, ticket.output_offset, results);
}

void RingCaller::Cancel(const RingTicket& ticket) const {
  if (ticket.refused == Reason::kDaemon && ticket.number >= end_.next_completion() &&
      ticket.number < end_.next_number()) {
    end_.Cancel(ticket.number);
    ring::RingDoorbell(doorbell_);
  }
}

// ---- Byte strings

std::optional<std::span<char>> RingCaller::LendInput(size_t bytes) const {
  if (!is_attached() || !closed_.ok() || open_in_arena_ != 0 ||
      bytes > end_.view().geometry().arena_bytes) {
    return std::nullopt;
  }
  return std::span(reinterpret_cast<char*>(end_.view().arena()), bytes);
}

CallEnd RingCaller::CallBytes(uint32_t func, size_t input_bytes, const CallLimit& limit,
                              std::string_view& output) {
  if (const std::optional<CallEnd> end = CheckLimit(limit); end.has_value()) {
    return *end;
  }
  if (!MakeRoom()) {
    return ClosedEnd();
  }
  const uint64_t arena_bytes = end_.view().geometry().arena_bytes;
  const uint64_t output_offset = (input_bytes + 7) / 8 * 8;
  if (open_in_arena_ != 0 || input_bytes > arena_bytes || output_offset > arena_bytes) {
    return RefusedBy(Reason::kNoRoom);
  }
  ring::Submission message;
  message.kind = ring::SubmissionKind::kCallBytes;
  message.words = 4;
  message.func = func;
  message.deadline_ns = ToDaemonClock(limit.deadline_ns);
  message.payload = {0, input_bytes, output_offset, arena_bytes - output_offset};
  RingTicket ticket;
  ticket.deadline_ns = limit.deadline_ns;
  ticket.output_offset = output_offset;
  ++open_in_arena_;
  has_whole_arena_ = true;
  Enter(ticket, message);
  Answer answer;
  if (const std::optional<CallEnd> end = Receive(ticket, limit.stop, answer); end.has_value()) {
    return *end;
  }
  const ring::Completion& completion = answer.completion;
  if (completion.kind != ring::CompletionKind::kReturned ||
      completion.detail > arena_bytes - output_offset) {
    return EndOf(completion, 0);
  }
  output = {reinterpret_cast<const char*>(end_.view().arena()) + output_offset, completion.detail};
  return {};
}

}  // namespace wasmd::client
