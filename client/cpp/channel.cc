#include "client/cpp/channel.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "client/cpp/channel_backend.h"
#include "client/cpp/channel_options.h"
#include "client/cpp/channel_result.h"
#include "client/cpp/channel_words.h"
#include "client/cpp/client.h"
#include "client/cpp/outcome.h"
#include "client/cpp/ring_caller.h"
#include "client/cpp/ring_connection.h"
#include "client/cpp/text.h"
#include "client/cpp/value.h"
#include "proto/ring/layout.h"
#include "proto/ring/wait.h"

namespace wasmd::client {

namespace channel_internal {

struct FuncBinding {
  CallTarget target;  // What is called through gRPC.
  std::string func;
  FuncType type;
  bool bytes = false;
};

}  // namespace channel_internal

namespace {

using channel_internal::FuncBinding;
using channel_internal::Word;
using Reason = CallEnd::Reason;
using Words = absl::InlinedVector<uint64_t, 8>;

// What a report may take to come.
constexpr absl::Duration kReportTimeout = absl::Seconds(10);
// Reports of calls through gRPC that are kept: as many as the daemon keeps of its own.
constexpr size_t kKeptReports = 64;
// Functions that Call by digest remembers.
constexpr size_t kRememberedFuncs = 4096;

uint64_t NextChannelId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

bool IsReference(ValType type) {
  switch (type) {
    case ValType::kI32:
    case ValType::kI64:
    case ValType::kF32:
    case ValType::kF64:
    case ValType::kV128:
      return false;
    case ValType::kUnknown:
    case ValType::kFuncRef:
    case ValType::kExternRef:
    case ValType::kExnRef:
      break;
  }
  return true;
}

size_t CountWords(const std::vector<ValType>& types) {
  size_t words = 0;
  for (const ValType type : types) {
    words += channel_internal::WordsOfType(type);
  }
  return words;
}

template <typename T>
void Append(const T& value, Words& words) {
  words.resize(words.size() + Word<T>::kWords);
  Word<T>::Store(value, words.data() + words.size() - Word<T>::kWords);
}

absl::Status NotOfType(const FuncType& type) {
  return absl::InvalidArgumentError(
      Cat("the arguments do not fit the function's type, ", ToString(type)));
}

absl::Status ToWords(std::span<const Value> args, const FuncType& type, Words& words) {
  if (args.size() != type.params.size()) {
    return NotOfType(type);
  }
  for (size_t i = 0; i < args.size(); ++i) {
    const Value& arg = args[i];
    if (TypeOf(arg) != type.params[i]) {
      return NotOfType(type);
    }
    if (const auto* i32 = std::get_if<int32_t>(&arg)) {
      Append(*i32, words);
    } else if (const auto* i64 = std::get_if<int64_t>(&arg)) {
      Append(*i64, words);
    } else if (const auto* f32 = std::get_if<float>(&arg)) {
      Append(*f32, words);
    } else if (const auto* f64 = std::get_if<double>(&arg)) {
      Append(*f64, words);
    } else if (const auto* v128 = std::get_if<V128>(&arg)) {
      Append(*v128, words);
    } else {
      return NotOfType(type);
    }
  }
  return absl::OkStatus();
}

Values FromWords(const uint64_t* words, const std::vector<ValType>& types) {
  Values values;
  values.reserve(types.size());
  for (const ValType type : types) {
    switch (type) {
      case ValType::kI32:
        values.emplace_back(Word<int32_t>::Load(words));
        break;
      case ValType::kI64:
        values.emplace_back(Word<int64_t>::Load(words));
        break;
      case ValType::kF32:
        values.emplace_back(Word<float>::Load(words));
        break;
      case ValType::kF64:
        values.emplace_back(Word<double>::Load(words));
        break;
      case ValType::kV128:
        values.emplace_back(Word<V128>::Load(words));
        break;
      case ValType::kUnknown:
      case ValType::kFuncRef:
      case ValType::kExternRef:
      case ValType::kExnRef:
        break;  // Not bound.
    }
    words += channel_internal::WordsOfType(type);
  }
  return values;
}

// The trap as far as its completion tells.
Trap TrapOf(const CallEnd& end) {
  Trap trap{.code = end.trap_code(), .message = ToString(end.trap_code()), .frames = {}};
  if (end.detail != CallEnd::kNoFunc && end.offset != CallEnd::kNoOffset) {
    trap.frames.push_back({.module_name = "",
                           .func_index = end.detail,
                           .func_name = "",
                           .module_offset = end.offset});
  }
  return trap;
}

// What a call failed with, where nobody has better words.
std::string_view WordsFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kDeadlineExceeded:
      return "the timeout passed";
    case absl::StatusCode::kCancelled:
      return "cancelled";
    case absl::StatusCode::kOutOfRange:
      return "the output does not fit the channel's arena";
    default:
      return "the daemon did not make the call";
  }
}

Control ControlOf(const CallLimit& limit) {
  Control control;
  if (limit.deadline_ns != 0) {
    control.timeout = absl::Nanoseconds(static_cast<int64_t>(limit.deadline_ns) -
                                        static_cast<int64_t>(ring::MonotonicNs()));
  }
  if (limit.stop != nullptr) {
    control.stop = *limit.stop;
  }
  return control;
}

// By module and function, looked up without a copy of either.
struct ByName {
  using is_transparent = void;
  using Names = std::pair<std::string_view, std::string_view>;
  bool operator()(const Names& a, const Names& b) const { return a < b; }
};

}  // namespace

struct Channel::Impl {
  // ---- Calls through gRPC

  CallEnd Kept(absl::StatusOr<Outcome> how, CallEnd end);
  CallEnd CallByRpc(const FuncBinding& binding, std::span<const uint64_t> args,
                    std::span<uint64_t> results, const Control& control);
  RingTicket SubmitByRpc(const FuncBinding& binding, std::span<const uint64_t> args,
                         size_t result_words, const Control& control);
  CallEnd WaitByRpc(const RingTicket& ticket, std::span<uint64_t> results);
  CallEnd ToEnd(const absl::StatusOr<CallResult>& result, const FuncBinding& binding,
                std::span<uint64_t> results);

  std::unique_ptr<ChannelBackend> backend;
  uint64_t id = NextChannelId();
  std::string fallback_reason;
  uint32_t slots = ring::kDefaultSlots;
  RingCaller* ring() { return ring_caller.get(); }
  std::unique_ptr<RingCaller> ring_caller = std::make_unique<RingCaller>();
  std::map<std::pair<std::string, std::string>, BoundFunc, ByName> by_name;  // Unbound: by gRPC.

  // Without a ring. A function's number is its place here.
  std::deque<std::shared_ptr<const FuncBinding>> bindings;
  std::map<std::string, uint64_t, std::less<>> instances;  // By module, for kChannel.
  struct Done {
    CallEnd end;
    std::vector<uint64_t> results;
  };
  std::map<uint64_t, Done> done;  // Tickets.
  uint64_t next_ticket = 0;
  std::deque<absl::StatusOr<Outcome>> reports;  // The last ones; that of `next_report` is next.
  uint64_t next_report = 1;
  std::string lent;
  std::string output;
};

// ---- Functions

const FuncType& BoundFunc::type() const {
  static const auto* const empty = new FuncType;
  return binding_ == nullptr ? *empty : binding_->type;
}

absl::Status BoundFunc::CheckType(const FuncType& wanted) const {
  if (binding_ == nullptr) {
    return absl::FailedPreconditionError("the function is not bound");
  }
  if (binding_->bytes) {
    return absl::InvalidArgumentError("the function is bound for byte strings");
  }
  if (wanted != binding_->type) {
    return absl::InvalidArgumentError(Cat("the function \"", binding_->func, "\" has the type ",
                                          ToString(binding_->type), ", not ", ToString(wanted)));
  }
  return absl::OkStatus();
}

// ---- Opening

absl::StatusOr<Channel> Channel::Open(std::unique_ptr<ChannelBackend> backend,
                                      const ChannelOptions& options) {
  const ring::Geometry geometry{.slots = options.slots == 0 ? ring::kDefaultSlots : options.slots,
                                .arena_bytes = 0};
  if (!geometry.IsValid()) {
    return absl::InvalidArgumentError(Cat(options.slots, " slots; a power of two from ",
                                          ring::kMinSlots, " to ", ring::kMaxSlots));
  }
  if (options.arena_bytes > ring::kMaxArenaBytes) {
    return absl::InvalidArgumentError(
        Cat("an arena of ", options.arena_bytes, " bytes; at most ", ring::kMaxArenaBytes));
  }
  auto impl = std::make_unique<Impl>();
  impl->backend = std::move(backend);
  impl->slots = geometry.slots;
  if (options.transport != ChannelTransport::kGrpc) {
    absl::StatusOr<std::unique_ptr<RingConnection>> connection =
        impl->backend->Attach({.slots = options.slots, .arena_bytes = options.arena_bytes});
    if (connection.ok()) {
      const auto positive_ns = [](absl::Duration duration) {
        return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(duration), 0));
      };
      const RingTuning tuning{.max_spin_ns = positive_ns(std::min(options.spin, absl::Seconds(1))),
                              .grace_ns = positive_ns(std::min(options.grace, absl::Hours(1)))};
      impl->ring_caller = std::make_unique<RingCaller>(*std::move(connection), tuning, impl->id);
      impl->slots = impl->ring()->slots();
    } else if (options.transport == ChannelTransport::kRing) {
      return connection.status();
    } else {
      impl->fallback_reason = std::string(connection.status().message());
    }
  }
  return Channel(std::move(impl));
}

Channel::Channel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)), ring_(impl_->ring()) {}
Channel::Channel(Channel&& other) noexcept = default;
Channel& Channel::operator=(Channel&& other) noexcept {
  std::swap(impl_, other.impl_);
  std::swap(ring_, other.ring_);
  return *this;
}
Channel::~Channel() {
  if (impl_ != nullptr) {
    for (const auto& [module, instance] : impl_->instances) {
      impl_->backend->Drop(instance);
    }
  }
}

std::string_view Channel::fallback_reason() const {
  return impl_->fallback_reason;
}
uint32_t Channel::slots() const {
  return impl_->slots;
}
size_t Channel::in_flight() const {
  return is_ring() ? ring_->open_tickets() : impl_->done.size();
}

// ---- Binding

absl::StatusOr<BoundFunc> Channel::BindTarget(CallTarget target, InstancePolicy policy,
                                              std::string_view func, bool bytes,
                                              const Control& control) {
  auto binding = std::make_shared<FuncBinding>();
  binding->func = std::string(func);
  binding->bytes = bytes;
  BoundFunc bound;
  bound.channel_ = impl_->id;
  if (is_ring()) {
    if (!ring_->closed().ok()) {
      return ring_->closed();
    }
    if (bytes && (ring_->connection().features() & ring::kFeatureBytes) == 0) {
      return absl::UnimplementedError("the daemon's channels carry no byte strings");
    }
    absl::StatusOr<ChannelBackend::Binding> answer =
        impl_->backend->Bind(ring_->connection().channel(), target, policy, func, bytes, control);
    if (!answer.ok()) {
      return answer.status();
    }
    if (const std::optional<Outcome>& outcome = answer->outcome; outcome.has_value()) {
      return StartFailed(*outcome);
    }
    bound.func_ = answer->func;
    binding->type = std::move(answer->type);
  } else {
    absl::StatusOr<FuncType> type = impl_->backend->FindFunc(target, func, control);
    if (!type.ok()) {
      return type.status();
    }
    binding->type = *std::move(type);
  }
  if (bytes) {
    binding->type = {};
  }
  if (std::ranges::any_of(binding->type.params, IsReference) ||
      std::ranges::any_of(binding->type.results, IsReference)) {
    return absl::InvalidArgumentError(Cat("the function \"", func, "\" has the type ",
                                          ToString(binding->type),
                                          "; references cannot pass a channel"));
  }
  if (!is_ring()) {
    if (policy == InstancePolicy::kChannel) {
      auto known = impl_->instances.find(target.module);
      if (known == impl_->instances.end()) {
        const absl::StatusOr<uint64_t> made = impl_->backend->Instantiate(target.module, control);
        if (!made.ok()) {
          return made.status();
        }
        known = impl_->instances.emplace(target.module, *made).first;
      }
      target = {.module = "", .instance = known->second};
    }
    bound.func_ = static_cast<uint32_t>(impl_->bindings.size());
    binding->target = std::move(target);
    impl_->bindings.push_back(binding);
  }
  bound.binding_ = std::move(binding);
  return bound;
}

namespace {

absl::Status CheckPolicy(InstancePolicy policy) {
  return policy == InstancePolicy::kChannel || policy == InstancePolicy::kFresh
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   "a module's functions run in an instance of the channel "
                   "or in a fresh one; to share one, bind an Instance");
}

}  // namespace

absl::StatusOr<BoundFunc> Channel::Bind(std::string_view digest, std::string_view func,
                                        InstancePolicy policy, const Control& control) {
  if (absl::Status status = CheckPolicy(policy); !status.ok()) {
    return status;
  }
  return BindTarget({.module = std::string(digest)}, policy, func, false, control);
}

absl::StatusOr<BoundFunc> Channel::Bind(const Instance& instance, std::string_view func,
                                        const Control& control) {
  return BindTarget({.module = "", .instance = instance.id()}, InstancePolicy::kShared, func, false,
                    control);
}

absl::StatusOr<BoundFunc> Channel::BindBytes(std::string_view digest, std::string_view func,
                                             InstancePolicy policy, const Control& control) {
  if (absl::Status status = CheckPolicy(policy); !status.ok()) {
    return status;
  }
  return BindTarget({.module = std::string(digest)}, policy, func, true, control);
}

absl::StatusOr<BoundFunc> Channel::BindBytes(const Instance& instance, std::string_view func,
                                             const Control& control) {
  return BindTarget({.module = "", .instance = instance.id()}, InstancePolicy::kShared, func, true,
                    control);
}

// ---- Through gRPC

CallEnd Channel::Impl::Kept(absl::StatusOr<Outcome> how, CallEnd end) {
  end.reason = Reason::kReported;
  end.report = next_report++;
  if (reports.size() == kKeptReports) {
    reports.pop_front();
  }
  reports.push_back(std::move(how));
  return end;
}

CallEnd Channel::Impl::ToEnd(const absl::StatusOr<CallResult>& result, const FuncBinding& binding,
                             std::span<uint64_t> results) {
  const auto failed = [&](const absl::Status& status) {
    return Kept(status,
                {.kind = CallEnd::Kind::kFailed, .code = static_cast<uint16_t>(status.code())});
  };
  if (!result.ok()) {
    return failed(result.status());
  }
  if (const auto* trap = std::get_if<Trap>(&result->outcome)) {
    CallEnd end{.kind = CallEnd::Kind::kTrapped,
                .code = static_cast<uint16_t>(trap->code),
                .detail = CallEnd::kNoFunc,
                .offset = CallEnd::kNoOffset};
    if (!trap->frames.empty()) {
      end.detail = trap->frames.front().func_index;
      end.offset = trap->frames.front().module_offset;
    }
    return Kept(result->outcome, end);
  }
  if (const auto* exit = std::get_if<Exit>(&result->outcome)) {
    return {.kind = CallEnd::Kind::kExited, .detail = exit->code};
  }
  Words words;
  const FuncType as_args{.params = binding.type.results, .results = {}};
  if (!ToWords(std::get<Values>(result->outcome), as_args, words).ok() ||
      words.size() != results.size()) {
    return failed(absl::InternalError(
        Cat("the daemon's results are not of the function's type, ", ToString(binding.type))));
  }
  std::ranges::copy(words, results.begin());
  return {};
}

CallEnd Channel::Impl::CallByRpc(const FuncBinding& binding, std::span<const uint64_t> args,
                                 std::span<uint64_t> results, const Control& control) {
  return ToEnd(backend->Call(binding.target, binding.func,
                             FromWords(args.data(), binding.type.params), control),
               binding, results);
}

// ---- Calls by words

CallLimit Channel::LimitOf(const Control& control) {
  CallLimit limit;
  if (control.timeout != absl::InfiniteDuration()) {
    const int64_t timeout_ns = std::max<int64_t>(
        absl::ToInt64Nanoseconds(std::min(control.timeout, absl::Hours(1 << 20))), 0);
    limit.deadline_ns = ring::MonotonicNs() + static_cast<uint64_t>(timeout_ns);
  }
  if (control.stop.stop_possible()) {
    limit.stop = &control.stop;
  }
  return limit;
}

CallEnd Channel::NotCalled() const {
  return ring_->closed().ok() ? RefusedBy(Reason::kCancelled) : ring_->ClosedEnd();
}

CallEnd Channel::CallWords(uint64_t channel, uint32_t func, std::span<const uint64_t> args,
                           std::span<uint64_t> results, const CallLimit& limit) {
  if (channel != impl_->id) {
    return RefusedBy(Reason::kOtherChannel);
  }
  if (is_ring()) {
    return ring_->Call(func, args, results, limit);
  }
  return impl_->CallByRpc(*impl_->bindings[func], args, results, ControlOf(limit));
}

RingTicket Channel::SubmitWords(uint64_t channel, uint32_t func, std::span<const uint64_t> args,
                                size_t result_words) {
  RingTicket ticket;
  if (channel != impl_->id) {
    ticket.refused = Reason::kOtherChannel;
    return ticket;
  }
  if (is_ring()) {
    return ring_->Submit(func, args, result_words, 0);
  }
  return impl_->SubmitByRpc(*impl_->bindings[func], args, result_words, {});
}

CallEnd Channel::WaitWords(const RingTicket& ticket, std::span<uint64_t> results) {
  return is_ring() ? ring_->Wait(ticket, results) : impl_->WaitByRpc(ticket, results);
}

RingTicket Channel::Impl::SubmitByRpc(const FuncBinding& binding, std::span<const uint64_t> args,
                                      size_t result_words, const Control& control) {
  RingTicket ticket;
  if (done.size() >= slots) {
    ticket.refused = Reason::kFull;
    return ticket;
  }
  Done made{.end = {}, .results = std::vector<uint64_t>(result_words)};
  made.end = CallByRpc(binding, args, made.results, control);
  ticket.refused = Reason::kDaemon;
  ticket.number = next_ticket++;
  done.emplace(ticket.number, std::move(made));
  return ticket;
}

CallEnd Channel::Impl::WaitByRpc(const RingTicket& ticket, std::span<uint64_t> results) {
  if (ticket.refused != Reason::kDaemon) {
    return RefusedBy(ticket.refused);
  }
  const auto found = done.find(ticket.number);
  if (found == done.end() || found->second.results.size() != results.size()) {
    return RefusedBy(Reason::kNoTicket);
  }
  const CallEnd end = found->second.end;
  std::ranges::copy(found->second.results, results.begin());
  done.erase(found);
  return end;
}

// ---- Calls by values

absl::Status Channel::CheckCallable(const BoundFunc& func, bool bytes) const {
  if (func.channel_ != impl_->id) {
    return absl::InvalidArgumentError("the function was bound on another channel");
  }
  if (func.binding_->bytes != bytes) {
    return absl::InvalidArgumentError(
        Cat("the function \"", func.binding_->func,
            bytes ? "\" is not bound for byte strings" : "\" is bound for byte strings"));
  }
  return absl::OkStatus();
}

absl::StatusOr<CallResult> Channel::ToResult(const CallEnd& end, const Control& control,
                                             const uint64_t* words,
                                             const std::vector<ValType>& types) {
  if (end.ok()) {
    return CallResult{.outcome = FromWords(words, types), .duration = absl::ZeroDuration()};
  }
  absl::StatusOr<Outcome> outcome = ExplainCall(end, control);
  if (!outcome.ok()) {
    return outcome.status();
  }
  return CallResult{.outcome = *std::move(outcome), .duration = absl::ZeroDuration()};
}

absl::StatusOr<CallResult> Channel::Call(const BoundFunc& func, std::span<const Value> args,
                                         const Control& control) {
  if (absl::Status status = CheckCallable(func, false); !status.ok()) {
    return status;
  }
  const FuncBinding& binding = *func.binding_;
  Words words;
  if (absl::Status status = ToWords(args, binding.type, words); !status.ok()) {
    return status;
  }
  if (!is_ring()) {
    return impl_->backend->Call(binding.target, binding.func, args, control);
  }
  Words results(CountWords(binding.type.results));
  const CallEnd end = ring_->Call(func.func_, words, results, LimitOf(control));
  return ToResult(end, control, results.data(), binding.type.results);
}

absl::StatusOr<CallResult> Channel::Call(std::string_view digest, std::string_view func,
                                         std::span<const Value> args, const Control& control) {
  const auto found = impl_->by_name.find(ByName::Names(digest, func));
  if (found != impl_->by_name.end() && found->second.binding_ != nullptr) {
    return Call(found->second, args, control);
  }
  const CallTarget target{.module = std::string(digest)};
  if (found != impl_->by_name.end() || !is_ring()) {
    return impl_->backend->Call(target, func, args, control);
  }
  absl::StatusOr<BoundFunc> bound = Bind(digest, func, InstancePolicy::kFresh, control);
  // The daemon's word on it is a call away; it may be able to do what a channel is not.
  const bool by_rpc = absl::IsInvalidArgument(bound.status()) ||
                      absl::IsResourceExhausted(bound.status()) ||
                      absl::IsUnimplemented(bound.status());
  if (!bound.ok() && !by_rpc) {
    return bound.status();
  }
  if (impl_->by_name.size() < kRememberedFuncs) {
    impl_->by_name.emplace(std::pair(std::string(digest), std::string(func)),
                           by_rpc ? BoundFunc() : *bound);
  }
  return by_rpc ? impl_->backend->Call(target, func, args, control) : Call(*bound, args, control);
}

absl::StatusOr<Ticket> Channel::Submit(const BoundFunc& func, std::span<const Value> args,
                                       absl::Duration timeout) {
  if (absl::Status status = CheckCallable(func, false); !status.ok()) {
    return status;
  }
  Words words;
  if (absl::Status status = ToWords(args, func.binding_->type, words); !status.ok()) {
    return status;
  }
  const size_t result_words = CountWords(func.binding_->type.results);
  const Control control{.timeout = timeout, .stop = {}};
  Ticket ticket;
  ticket.binding_ = func.binding_;
  ticket.ticket_ =
      is_ring() ? ring_->Submit(func.func_, words, result_words, LimitOf(control).deadline_ns)
                : impl_->SubmitByRpc(*func.binding_, words, result_words, control);
  if (ticket.ticket_.refused != Reason::kDaemon) {
    return Explain(WaitWords(ticket.ticket_, {})).status();
  }
  return ticket;
}

absl::StatusOr<CallResult> Channel::Wait(const Ticket& ticket, const std::stop_token& stop) {
  if (ticket.binding_ == nullptr) {
    return Explain(RefusedBy(Reason::kNoTicket)).status();
  }
  const std::vector<ValType>& types = ticket.binding_->type.results;
  Words results(CountWords(types));
  const CallEnd end =
      is_ring() ? ring_->Wait(ticket.ticket_, results, stop.stop_possible() ? &stop : nullptr)
                : impl_->WaitByRpc(ticket.ticket_, results);
  return ToResult(end, {}, results.data(), types);
}

std::vector<absl::StatusOr<CallResult>> Channel::CallBatch(const BoundFunc& func,
                                                           std::span<const Values> rows,
                                                           const Control& control) {
  std::vector<absl::StatusOr<CallResult>> results;
  results.reserve(rows.size());
  const CallLimit limit = LimitOf(control);
  const size_t result_words =
      func.binding_ == nullptr ? 0 : CountWords(func.binding_->type.results);
  const bool in_ring = CheckCallable(func, false).ok() && ring_->IsFree(impl_->id);
  std::deque<absl::StatusOr<RingTicket>> tickets;
  for (size_t row = 0; results.size() < rows.size();) {
    if (!in_ring) {
      results.push_back(Call(func, rows[results.size()], ControlOf(limit)));
      continue;
    }
    const bool stopped = limit.stop != nullptr && limit.stop->stop_requested();
    for (; !stopped && row < rows.size() && tickets.size() < slots(); ++row) {
      Words words;
      if (absl::Status status = ToWords(rows[row], func.binding_->type, words); !status.ok()) {
        tickets.emplace_back(std::move(status));
        continue;
      }
      const RingTicket ticket = ring_->Submit(func.func_, words, result_words, limit.deadline_ns);
      if (ticket.refused == Reason::kNoRoom && !tickets.empty()) {
        break;  // It has the arena to itself when the others are done.
      }
      tickets.emplace_back(ticket);
    }
    ring_->Flush();
    // Half of what is in flight stays there, so that the daemon always has something to do.
    const size_t keep = row < rows.size() && !stopped ? slots() / 2 : 0;
    do {
      if (tickets.empty()) {
        results.emplace_back(absl::CancelledError("cancelled"));
        continue;
      }
      const absl::StatusOr<RingTicket> ticket = std::move(tickets.front());
      tickets.pop_front();
      if (!ticket.ok()) {
        results.emplace_back(ticket.status());
        continue;
      }
      Words words(result_words);
      const CallEnd end = ring_->Wait(*ticket, words, limit.stop);
      results.push_back(ToResult(end, control, words.data(), func.binding_->type.results));
    } while (tickets.size() > keep && results.size() < rows.size());
  }
  return results;
}

// ---- Byte strings

absl::StatusOr<BytesResult> Channel::CallBytes(const BoundFunc& func, std::string_view input,
                                               const Control& control) {
  if (absl::Status status = CheckCallable(func, true); !status.ok()) {
    return status;
  }
  if (!is_ring()) {
    return impl_->backend->CallBytes(func.binding_->target, func.binding_->func, input, control);
  }
  const absl::StatusOr<std::span<char>> lent = LendInput(input.size());
  if (!lent.ok()) {
    return lent.status();
  }
  // It may be an output of this channel.
  std::memmove(lent->data(), input.data(), input.size());
  std::string_view output;
  const CallEnd end = ring_->CallBytes(func.func_, input.size(), LimitOf(control), output);
  if (end.ok()) {
    return BytesResult{.outcome = std::string(output)};
  }
  absl::StatusOr<Outcome> outcome = ExplainCall(end, control);
  if (!outcome.ok()) {
    return outcome.status();
  }
  if (auto* trap = std::get_if<Trap>(&*outcome)) {
    return BytesResult{.outcome = std::move(*trap)};
  }
  return BytesResult{.outcome = std::get<Exit>(*outcome)};
}

absl::StatusOr<std::span<char>> Channel::LendInput(size_t bytes) {
  if (!is_ring()) {
    impl_->lent.resize(bytes);
    return std::span(impl_->lent);
  }
  const std::optional<std::span<char>> lent = ring_->LendInput(bytes);
  if (!lent.has_value()) {
    return Explain(ring_->closed().ok() ? RefusedBy(Reason::kNoRoom) : ring_->ClosedEnd()).status();
  }
  return *lent;
}

CallEnd Channel::CallBytesInPlace(const BoundFunc& func, size_t input_bytes,
                                  std::string_view& output, const Control& control) {
  output = {};
  if (const absl::Status status = CheckCallable(func, true); !status.ok()) {
    return impl_->Kept(
        status, {.kind = CallEnd::Kind::kFailed, .code = static_cast<uint16_t>(status.code())});
  }
  if (is_ring()) {
    return ring_->CallBytes(func.func_, input_bytes, LimitOf(control), output);
  }
  impl_->lent.resize(input_bytes);
  absl::StatusOr<BytesResult> result =
      impl_->backend->CallBytes(func.binding_->target, func.binding_->func, impl_->lent, control);
  if (!result.ok()) {
    return impl_->ToEnd(result.status(), *func.binding_, {});
  }
  if (auto* bytes = std::get_if<std::string>(&result->outcome)) {
    impl_->output = std::move(*bytes);
    output = impl_->output;
    return {};
  }
  CallResult other;
  if (auto* trap = std::get_if<Trap>(&result->outcome)) {
    other.outcome = std::move(*trap);
  } else {
    other.outcome = std::get<Exit>(result->outcome);
  }
  return impl_->ToEnd(std::move(other), *func.binding_, {});
}

// ---- How it ended

absl::StatusOr<Outcome> Channel::ExplainCall(const CallEnd& end, const Control& control) {
  // Nobody knows better than the caller.
  if (end.status_code() == absl::StatusCode::kDeadlineExceeded && end.reason != Reason::kClosed &&
      control.timeout != absl::InfiniteDuration()) {
    return NotDoneWithin(control.timeout);
  }
  if (end.status_code() == absl::StatusCode::kCancelled && control.stop.stop_requested() &&
      end.reason != Reason::kClosed) {
    return absl::CancelledError("cancelled");
  }
  return Explain(end, {});
}

absl::StatusOr<Outcome> Channel::Explain(const CallEnd& end, const Control& control) {
  if (end.kind == CallEnd::Kind::kReturned) {
    return absl::FailedPreconditionError("the call returned");
  }
  if (end.kind == CallEnd::Kind::kExited) {
    return Outcome(Exit{.code = end.detail});
  }
  switch (end.reason) {
    case Reason::kDaemon:
      return ExplainByDaemon(end, control);
    case Reason::kReported:
      if (end.report < impl_->next_report &&
          impl_->next_report - end.report <= impl_->reports.size()) {
        return impl_->reports[impl_->reports.size() - (impl_->next_report - end.report)];
      }
      break;
    case Reason::kClosed:
      if (!ring_->closed().ok()) {
        return ring_->closed();
      }
      break;
    case Reason::kOtherChannel:
      return absl::InvalidArgumentError("the function was bound on another channel");
    case Reason::kFull:
      return absl::ResourceExhaustedError(
          Cat(slots(), " calls are not waited for, which is as many as the channel has slots"));
    case Reason::kNoTicket:
      return absl::FailedPreconditionError("no ticket of this channel that can be waited for");
    case Reason::kNoRoom:
      return absl::OutOfRangeError(
          Cat("no room in the channel's arena of ",
              is_ring() ? ring_->connection().view().geometry().arena_bytes : 0,
              " bytes, or it is used by calls that are not waited for"));
    case Reason::kCancelled:
      return absl::CancelledError("cancelled");
    case Reason::kLate:
      return absl::DeadlineExceededError("the timeout passed before the call was made");
    case Reason::kWrongRows:
      return absl::InvalidArgumentError("a batch needs as many results as it has rows");
  }
  if (end.kind == CallEnd::Kind::kTrapped) {
    return Outcome(TrapOf(end));
  }
  return absl::Status(end.status_code(), Cat(WordsFor(end.status_code())));
}

absl::StatusOr<Outcome> Channel::ExplainByDaemon(const CallEnd& end, const Control& control) {
  ChannelBackend::Report report;
  if (end.report != 0 && is_ring()) {
    Control limited = control;
    limited.timeout = std::min(limited.timeout, kReportTimeout);
    absl::StatusOr<ChannelBackend::Report> got =
        impl_->backend->GetReport(ring_->connection().channel(), end.report, limited);
    if (got.ok()) {
      report = *std::move(got);
    }
  }
  if (end.kind == CallEnd::Kind::kTrapped) {
    Outcome outcome = std::move(report.outcome).value_or(Exit());
    const auto* trap = std::get_if<Trap>(&outcome);
    return trap != nullptr && trap->code == end.trap_code() ? std::move(outcome)
                                                            : Outcome(TrapOf(end));
  }
  if (!report.error.empty()) {
    return absl::Status(end.status_code(), OneLine(report.error));
  }
  if (end.status_code() == absl::StatusCode::kOutOfRange && end.offset != 0) {
    return absl::OutOfRangeError(
        Cat(WordsFor(end.status_code()), ": it has ", end.offset, " bytes"));
  }
  return absl::Status(end.status_code(), Cat(WordsFor(end.status_code())));
}

}  // namespace wasmd::client
