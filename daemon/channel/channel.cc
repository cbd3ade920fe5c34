// A message's way: Visit takes a copy; Execute checks it and finds the function; TakeTurn waits for
// the instance where others use it too; Run calls it between BeginCall and EndCall, where it can be
// interrupted; then the answer is published, and only after that what can wait is done.
#include "daemon/channel/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/text.h"
#include "daemon/pool/bound_func.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/pool/visit.h"
#include "engine/base/mutex.h"
#include "proto/ring/attach.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::daemon {
namespace {

using engine::MutexLock;
using ring::Completion;
using ring::CompletionKind;
using ring::Submission;
using ring::SubmissionKind;

constexpr size_t kMaxReports = 64;
constexpr uint64_t kUnknown = ~uint64_t{0};
// How long a client that sleeps waits for the rest of its answers, beside the call that runs then.
constexpr uint64_t kMaxDeferredWakeNs = 100'000;
constexpr uint32_t kCallsPerClock = 4;

absl::Status StatusOf(engine::InterruptReason reason, std::string_view func) {
  return InterruptedStatus(reason, StrCat("the call of ", func));
}

// Words of the arena, each loaded or stored once, whatever the client does to them meanwhile.
uint64_t LoadWord(const std::byte* at) {
  return reinterpret_cast<const std::atomic<uint64_t>*>(at)->load(std::memory_order_relaxed);
}
void StoreWord(std::byte* at, uint64_t word) {
  reinterpret_cast<std::atomic<uint64_t>*>(at)->store(word, std::memory_order_relaxed);
}

// Takes the lines of an output, which the client read last, from its CPU while the guest runs. Of a
// longer one, the beginning: there are not many more lines that can be on their way.
void PrefetchForWrite(const std::byte* at, uint64_t bytes) {
#if defined(__x86_64__)
  constexpr uint64_t kMaxBytes = 2048;
  for (uint64_t offset = 0; offset < std::min(bytes, kMaxBytes); offset += ring::kSlotBytes) {
    asm volatile("prefetchw %0" : : "m"(at[offset]));
  }
#endif
}

}  // namespace

Channel::Channel(Parts parts, Hooks hooks)
    : RingSource(parts.segment->view(), parts.doorbell.get()),
      number_(parts.number),
      segment_(std::move(parts.segment)),
      doorbell_fd_(std::move(parts.doorbell)),
      socket_(std::move(parts.socket)),
      max_waiting_(parts.max_waiting),
      hooks_(std::move(hooks)),
      funcs_(parts.max_funcs) {}

Channel::~Channel() {
  // It got a turn that it could not use any more.
  if (has_waiting_ && turn_granted_.load(std::memory_order_acquire)) {
    has_turn_ = true;
    LeaveTurn(*funcs_[waiting_.func].load(std::memory_order_acquire));
  }
}

// ---- Functions

std::shared_ptr<KeptInstance> Channel::FindKept(const std::string& module) const {
  const MutexLock lock(mutex_);
  const auto found = kept_.find(module);
  return found == kept_.end() || found->second->abandoned.load(std::memory_order_relaxed)
             ? nullptr
             : found->second;
}

std::shared_ptr<KeptInstance> Channel::Keep(const std::string& module,
                                            std::shared_ptr<KeptInstance> kept) {
  const MutexLock lock(mutex_);
  std::shared_ptr<KeptInstance>& held = kept_[module];
  if (held == nullptr || held->abandoned.load(std::memory_order_relaxed)) {
    held = std::move(kept);
  }
  return held;
}

absl::StatusOr<uint32_t> Channel::Bind(std::unique_ptr<BoundFunc> func) {
  const MutexLock lock(mutex_);
  if (owned_funcs_.size() >= funcs_.size()) {
    return absl::ResourceExhaustedError(StrCat("a channel has no more than ", funcs_.size(),
                                               " functions (--max-channel-functions)"));
  }
  const auto number = static_cast<uint32_t>(owned_funcs_.size());
  // Pairs with the load in Execute.
  funcs_[number].store(func.get(), std::memory_order_release);
  owned_funcs_.push_back(std::move(func));
  return number;
}

// ---- Reports

uint64_t Channel::AddReport(Report report) {
  const MutexLock lock(mutex_);
  reports_.push_back(std::move(report));
  if (reports_.size() > kMaxReports) {
    reports_.pop_front();
    ++first_report_;
  }
  return first_report_ + reports_.size() - 1;
}

absl::StatusOr<Channel::Report> Channel::FindReport(uint64_t report) const {
  const MutexLock lock(mutex_);
  if (report < first_report_ || report - first_report_ >= reports_.size()) {
    return absl::NotFoundError(
        StrCat("no report ", report, ": a channel keeps the last ", kMaxReports));
  }
  return reports_[report - first_report_];
}

std::string Channel::violation() const {
  const MutexLock lock(mutex_);
  return violation_;
}

void Channel::Violate(std::string_view reason) {
  MarkClosed();
  {
    const MutexLock lock(mutex_);
    if (!violation_.empty()) {
      return;
    }
    violation_ = reason;
  }
  hooks_.violated(reason);
}

Channel::Step Channel::ViolatedBy(std::string_view reason) {
  Violate(reason);
  return Step::kViolated;
}

// ---- The client's sleep

void Channel::Wake(ring::WaitState how) const {
  switch (how) {
    case ring::kAwake:
    case ring::kAsleepBell:
      break;
    case ring::kAsleepFutex:
      ring::FutexWake(end_.client_wait_word());
      break;
    case ring::kAsleepSocket:
      // If its buffer is full, there is enough in it to wake up for. The flag is the call's own:
      // the client cannot make us block.
      if (socket_) {
        static_cast<void>(::send(socket_.get(), &ring::kWakeByte, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
      }
      break;
  }
}

void Channel::WakeClient() {
  Wake(end_.TakeSleeper());
}

void Channel::InterruptCall(uint64_t /*number*/, const Interruption& why) {
  if (InterruptGate* const gate = current_gate_.load(std::memory_order_relaxed)) {
    gate->Interrupt(why);
  }
}

// ---- Messages

bool Channel::Visit(daemon::Visit& visit, uint32_t budget) {
  if (has_waiting_) [[unlikely]] {
    if (!turn_granted_.load(std::memory_order_acquire)) {  // Pairs with the store in TakeTurn.
      return true;
    }
    if (Execute(visit, waiting_) == Step::kViolated) {
      return true;
    }
  }
  Submission message;
  for (uint32_t i = 0; i < budget && !is_closed() && end_.Take(message); ++i) {
    switch (Execute(visit, message)) {
      case Step::kAnswered:
        break;
      case Step::kParked:
        return false;
      case Step::kViolated:
        return true;
    }
    // The next call may take long; a client that falls asleep just now is seen to below, or by the
    // watchdog. Whether it has been deferred for long takes a clock, which is not for each call.
    if (i % kCallsPerClock == kCallsPerClock - 1 || !end_.HasSubmission()) {
      WakeUnlessDeferred();
    }
  }
  ring::StoreLoadFence();  // Pairs with the one in ClientEnd::PrepareSleep.
  WakeUnlessDeferred();
  return true;
}

void Channel::WakeUnlessDeferred() {
  if (end_.client_sleeps() && !DefersWake()) [[unlikely]] {
    Wake(end_.TakeSleeperRelaxed());
  }
}

// A client that sleeps while more of its messages lie here is woken up once for all of them, not
// for each visit: it would find little, and sleep again. Where the next of them takes long, the
// watchdog wakes it.
bool Channel::DefersWake() {
  if (!end_.HasSubmission() || is_closed()) {
    defers_wake_since_ns_ = 0;
    return false;
  }
  const uint64_t now = ring::MonotonicNs();
  if (defers_wake_since_ns_ == 0) {
    defers_wake_since_ns_ = now;
  }
  if (now - defers_wake_since_ns_ < kMaxDeferredWakeNs) {
    return true;
  }
  defers_wake_since_ns_ = 0;
  return false;
}

Channel::Step Channel::Execute(daemon::Visit& visit, const Submission& message) {
  BoundFunc* const func =
      message.func < funcs_.size() ? funcs_[message.func].load(std::memory_order_acquire) : nullptr;
  if (func == nullptr) [[unlikely]] {
    return ViolatedBy(StrCat("it calls function ", message.func, ", which it has not bound"));
  }
  if ((message.flags & ~ring::kKnownFlags) != 0 || message.words > ring::kInlineWords)
      [[unlikely]] {
    return ViolatedBy("a message has unknown flags or more words than a slot");
  }
  switch (message.kind) {
    case SubmissionKind::kCall:
      break;
    case SubmissionKind::kCallBytes:
      return ExecuteArena(visit, message, *func);
    case SubmissionKind::kImportReturn:
    default:  // Any byte may lie there.
      return ViolatedBy(
          StrCat("a message is of the unknown kind ", static_cast<uint32_t>(message.kind)));
  }
  if ((message.flags & ring::kFlagArena) != 0 || func->is_bytes()) [[unlikely]] {
    return ExecuteArena(visit, message, *func);
  }
  if (message.words != func->param_words() || func->result_words() > ring::kInlineWords)
      [[unlikely]] {
    Fail(message,
         absl::InvalidArgumentError(StrCat(
             "\"", func->name(), "\" is ", engine::ToString(func->type()), ": it takes ",
             func->param_words(), " words and gives ", func->result_words(), "; ", message.words,
             " came", func->result_words() > ring::kInlineWords ? ", without kFlagArena" : "")));
    return Step::kAnswered;
  }
  if (!TakeTurn(message, *func)) [[unlikely]] {
    return Step::kParked;
  }
  func->SetArguments(message.payload.data());
  Completion answer;
  answer.tag = message.tag;
  if (Run(visit, message, *func, answer)) [[likely]] {
    answer.kind = CompletionKind::kReturned;
    answer.words = static_cast<uint8_t>(func->result_words());
    func->GetResults(answer.payload.data());
  }
  Answer(visit, *func, answer);
  return Step::kAnswered;
}

Channel::Step Channel::ExecuteArena(daemon::Visit& visit, const Submission& message,
                                    BoundFunc& func) {
  // Word by word, as the ring wrote it: a load that spans two stores waits until both have left the
  // store buffer, and they are behind the whole output of the call before.
  const ring::ArenaCall place{.input_offset = message.payload[0],
                              .input_bytes = message.payload[1],
                              .output_offset = message.payload[2],
                              .output_capacity = message.payload[3]};
  const ring::SegmentView& view = end_.view();
  const uint64_t arena_bytes = view.geometry().arena_bytes;
  const bool as_bytes = message.kind == SubmissionKind::kCallBytes;
  if (as_bytes != func.is_bytes()) {
    Fail(message, absl::InvalidArgumentError(StrCat("\"", func.name(), "\" was ",
                                                    func.is_bytes() ? "" : "not ",
                                                    "bound as a function on byte strings")));
    return Step::kAnswered;
  }
  if (message.words != ring::kInlineWords ||
      !ring::IsInArena(place.input_offset, place.input_bytes, arena_bytes) ||
      !ring::IsInArena(place.output_offset, place.output_capacity, arena_bytes) ||
      (!as_bytes && (place.input_offset % 8 != 0 || place.output_offset % 8 != 0))) {
    return ViolatedBy(
        "a message's input or output lies outside of the arena, or not aligned in it");
  }
  const std::byte* const input = view.arena() + place.input_offset;
  std::byte* const output = view.arena() + place.output_offset;
  const uint64_t result_bytes = uint64_t{func.result_words()} * 8;
  if (!as_bytes && place.input_bytes != uint64_t{func.param_words()} * 8) {
    Fail(message, absl::InvalidArgumentError(StrCat(
                      "\"", func.name(), "\" is ", engine::ToString(func.type()), ": it takes ",
                      func.param_words(), " words, and ", place.input_bytes, " bytes came")));
    return Step::kAnswered;
  }
  if (!as_bytes && place.output_capacity < result_bytes) {
    Completion refused;
    refused.tag = message.tag;
    FillTooSmall(func, result_bytes, place.output_capacity, refused);
    end_.Complete(refused);
    return Step::kAnswered;
  }
  if (!TakeTurn(message, func)) {
    return Step::kParked;
  }
  Completion answer;
  answer.tag = message.tag;
  if (as_bytes) {
    PrefetchForWrite(output, std::min(place.output_capacity, func.output_bytes()));
    func.SetInput({input, place.input_bytes}, {output, place.output_capacity});
  } else {
    scratch_.resize(func.param_words());
    for (size_t i = 0; i < scratch_.size(); ++i) {
      scratch_[i] = LoadWord(input + i * 8);
    }
    func.SetArguments(scratch_.data());
  }
  if (Run(visit, message, func, answer)) {
    answer.kind = CompletionKind::kReturned;
    if (as_bytes) {
      answer.detail = func.output_bytes();
    } else {
      scratch_.resize(func.result_words());
      func.GetResults(scratch_.data());
      for (size_t i = 0; i < scratch_.size(); ++i) {
        StoreWord(output + i * 8, scratch_[i]);
      }
      answer.detail = result_bytes;
    }
    if (answer.detail > place.output_capacity) {
      FillTooSmall(func, answer.detail, place.output_capacity, answer);
    }
  }
  Answer(visit, func, answer);
  return Step::kAnswered;
}

// ---- Turns

bool Channel::TakeTurn(const Submission& message, BoundFunc& func) {
  InstanceGroup* const group = func.group();
  if (group == nullptr) [[likely]] {
    return true;
  }
  if (std::exchange(has_waiting_, false) || group->TryEnter()) {  // Back with its turn, or at once.
    has_turn_ = true;
    return true;
  }
  waiting_ = message;
  has_waiting_ = true;
  turn_granted_.store(false, std::memory_order_relaxed);
  // From Enter on another thread may have the channel.
  WakeClient();
  const std::shared_ptr<Channel> self = shared_from_this();
  InstanceGroup::Waiting waiting;
  waiting.task = [self] {
    self->turn_granted_.store(true, std::memory_order_release);
    self->hooks_.unpark(*self);
  };
  waiting.is_dead = [self] { return self->is_closed(); };
  switch (group->Enter(std::move(waiting), max_waiting_)) {
    case InstanceGroup::Turn::kNow:
      has_waiting_ = false;
      has_turn_ = true;
      return true;
    case InstanceGroup::Turn::kLater:
      return false;
    case InstanceGroup::Turn::kFull:
      break;
  }
  has_waiting_ = false;
  refused_turn_ = true;
  return true;
}

void Channel::LeaveTurn(BoundFunc& func) {
  if (!std::exchange(has_turn_, false)) [[likely]] {
    return;
  }
  if (std::function<void()> next = func.group()->Leave()) {
    hooks_.tasks->SubmitAdmitted(std::move(next));
  }
}

// ---- Calls

bool Channel::Run(daemon::Visit& visit, const Submission& message, BoundFunc& func,
                  Completion& answer) {
  if (message.cancel != 0 || message.deadline_ns != 0 || refused_turn_) [[unlikely]] {
    if (const absl::Status status = CheckBegins(message, func); !status.ok()) {
      FillFailure(status, answer);
      return false;
    }
  }
  current_gate_.store(&func.gate(), std::memory_order_relaxed);
  visit.BeginCall(end_.taken() - 1, message.deadline_ns);
  absl::StatusOr<engine::Outcome<void>> outcome = life() == Life::kOpen ? func.Call() : NotServed();
  if (visit.EndCall()) [[unlikely]] {
    interrupted_by_ = func.gate().Settle();
  }
  if (outcome.ok() && outcome->ok()) [[likely]] {
    return true;
  }
  if (outcome.ok()) {
    FillStop(func, std::move(*outcome).stop(), answer);
  } else if (func.is_abandoned()) {
    FillFailure(absl::FailedPreconditionError(
                    "the instance was stopped in the middle of a call; bind its functions again"),
                answer);
  } else {
    FillFailure(outcome.status(), answer);
  }
  return false;
}

absl::StatusOr<engine::Outcome<void>> Channel::NotServed() const {
  return is_closed() ? absl::CancelledError("the channel is over")
                     : absl::UnavailableError("wasmd is shutting down");
}

absl::Status Channel::CheckBegins(const Submission& message, const BoundFunc& func) {
  if (std::exchange(refused_turn_, false)) {
    return absl::ResourceExhaustedError(
        StrCat("no more than ", max_waiting_,
               " invocations may wait for one instance (--max-session-calls)"));
  }
  if (message.cancel != 0) {
    return StatusOf(engine::InterruptReason::kCancel, func.name());
  }
  if (message.deadline_ns != 0 && ring::MonotonicNs() >= message.deadline_ns) {
    return StatusOf(engine::InterruptReason::kDeadline, func.name());
  }
  return absl::OkStatus();
}

void Channel::Answer(daemon::Visit& visit, BoundFunc& func, const Completion& answer) {
  end_.Complete(answer);
  calls_.store(calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const bool was_interrupted =
      std::exchange(interrupted_by_, {}).reason != engine::InterruptReason::kNone;
  if (was_interrupted) [[unlikely]] {
    // While this thread still has the priority for it.
    WakeClient();
    visit.ReturnPriority();
  }
  func.Finish(was_interrupted);
  LeaveTurn(func);
}

void Channel::FillStop(const BoundFunc& func, engine::Stop stop, Completion& answer) {
  stop = OutlivingStop(std::move(stop));
  if (const auto* interrupt = std::get_if<engine::Interrupt>(&stop)) {
    FillFailure(interrupted_by_.limit.empty()
                    ? StatusOf(interrupt->reason, func.name())
                    : absl::ResourceExhaustedError(StrCat("the call of ", func.name(),
                                                          " was stopped: it has no more than ",
                                                          interrupted_by_.limit)),
                answer);
    return;
  }
  if (const auto* exit = std::get_if<engine::Exit>(&stop)) {
    answer.kind = CompletionKind::kExited;
    answer.payload[0] = exit->code;
    return;
  }
  hooks_.trapped();
  answer.kind = CompletionKind::kTrapped;
  answer.payload[0] = kUnknown;
  answer.payload[1] = kUnknown;
  if (auto* trap = std::get_if<engine::Trap>(&stop)) {
    answer.code = static_cast<uint16_t>(trap->code);
    NameFrames(func.module_name(), trap->backtrace);
    if (const std::vector<engine::BacktraceFrame> frames = trap->backtrace.frames();
        !frames.empty()) {
      answer.payload[0] = frames.front().func_index;
      answer.payload[1] = frames.front().wasm_offset;
    }
  }
  answer.detail = AddReport(std::move(stop));
}

void Channel::FillFailure(const absl::Status& status, Completion& answer) {
  answer.kind = CompletionKind::kFailed;
  answer.code = static_cast<uint16_t>(status.code());
  answer.detail = AddReport(status);
}

void Channel::FillTooSmall(const BoundFunc& func, uint64_t needed, uint64_t capacity,
                           Completion& answer) {
  FillFailure(absl::OutOfRangeError(StrCat("the output of \"", func.name(), "\" has ", needed,
                                           " bytes, and there is room for ", capacity)),
              answer);
  answer.payload[0] = needed;
}

void Channel::Fail(const Submission& message, const absl::Status& status) {
  Completion answer;
  answer.tag = message.tag;
  FillFailure(status, answer);
  end_.Complete(answer);
}

}  // namespace wasmd::daemon
