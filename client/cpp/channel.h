// Channels: calls through memory that this process shares with the daemon, a few hundred
// nanoseconds each, for a thread that makes many.
//
//   absl::StatusOr<Channel> channel = client.OpenChannel();
//   absl::StatusOr<BoundFunc> add = channel->Bind(module.digest, "add");
//   auto typed = add->Typed<int32_t(int32_t, int32_t)>();        // Checked once, here.
//   TypedResult<int32_t> sum = channel->Call(*typed, 1, 2);
//   if (sum.ok()) … *sum …                                       // Else
//   channel->Explain(sum.end())
//
//   C++                        wasm
//   int32_t uint32_t           i32
//   int64_t uint64_t           i64
//   float, double              f32, f64
//   V128                       v128
//   void, T, std::tuple<T…>    no result, one, any number
//
// A typed call whose arguments take at most four words, and whose results do (a v128 takes two, all
// else one), is compiled into the caller: it allocates nothing, and while the daemon answers within
// a microsecond or two it makes no system call and reads no clock. What takes more words goes
// through the arena, at a little more cost. References cannot be passed.
//
// Where there is no shared memory to be had (a daemon on another machine, one that is older or
// refuses), the channel makes the same calls through gRPC, and fallback_reason() says why.
//
// A channel's calls are made one after the other, in the order in which they were submitted. To
// have several in flight, Submit them and Wait for their tickets, or use CallBatch; to have several
// run at a time, open a channel for each thread.
//
// Channel is thread-compatible: one thread at a time. It and what is bound on it keep the session
// alive. BoundFunc and TypedBoundFunc are values; used on another channel than their own they are
// refused. A channel that is over (the daemon went, or broke its word) stays so, and each call says
// why with the same status; open another.
//
// Errors are those of client.h, and besides
//   kUnavailable        the daemon ended the channel, with its reason
//   kInternal           the daemon broke the protocol; the channel is over
//   kDeadlineExceeded   the timeout passed; the guest is stopped. The channel goes on, unless the
//                       daemon took longer than ChannelOptions::grace to stop it
//   kResourceExhausted  as many tickets are open as there are slots
//   kOutOfRange         byte strings, or many arguments, do not fit the arena
#ifndef WASMD_CLIENT_CPP_CHANNEL_H_
#define WASMD_CLIENT_CPP_CHANNEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cpp/channel_options.h"
#include "client/cpp/channel_result.h"
#include "client/cpp/channel_words.h"
#include "client/cpp/client.h"
#include "client/cpp/outcome.h"
#include "client/cpp/ring_caller.h"
#include "client/cpp/value.h"

namespace wasmd::client {

class Channel;
class ChannelBackend;
struct CallTarget;

namespace channel_internal {
struct FuncBinding;
}

// A function that its channel knows by number, of a type that the compiler knows. A small value.
template <typename Sig>
class TypedBoundFunc;
template <typename R, typename... Args>
class TypedBoundFunc<R(Args...)> {
 public:
  TypedBoundFunc() = default;  // Of no channel.

 private:
  friend class BoundFunc;
  friend class Channel;
  TypedBoundFunc(uint64_t channel, uint32_t func) : channel_(channel), func_(func) {}

  uint64_t channel_ = ~uint64_t{0};
  uint32_t func_ = 0;
};

// A function that its channel knows by number.
class BoundFunc {
 public:
  BoundFunc() = default;  // Of no channel.

  // Empty for a function on byte strings.
  const FuncType& type() const;
  // kInvalidArgument: the function has another type, which is named.
  template <typename Sig>
  absl::StatusOr<TypedBoundFunc<Sig>> Typed() const {
    if (absl::Status status = CheckType(channel_internal::Signature<Sig>::Type()); !status.ok()) {
      return status;
    }
    return TypedBoundFunc<Sig>(channel_, func_);
  }

 private:
  friend class Channel;
  absl::Status CheckType(const FuncType& wanted) const;

  uint64_t channel_ = ~uint64_t{0};
  uint32_t func_ = 0;
  std::shared_ptr<const channel_internal::FuncBinding> binding_;
};

// A call that was submitted. To be waited for once, in any order.
template <typename R>
class TypedTicket {
 public:
  TypedTicket() = default;
  // False: it was not submitted, and Wait says why.
  bool ok() const { return ticket_.refused == CallEnd::Reason::kDaemon; }

 private:
  friend class Channel;
  explicit TypedTicket(const RingTicket& ticket) : ticket_(ticket) {}
  RingTicket ticket_;
};
class Ticket {
 public:
  Ticket() = default;

 private:
  friend class Channel;
  RingTicket ticket_;
  std::shared_ptr<const channel_internal::FuncBinding> binding_;
};

class Channel {
 public:
  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  // Ends the calls that are in flight, and does not wait.
  ~Channel();

  bool is_ring() const { return ring_->is_attached(); }
  // Why it is none; empty if it is one, or kGrpc was asked for.
  std::string_view fallback_reason() const;
  // Calls that can be in flight.
  uint32_t slots() const;
  // Ok, or why no call can be made any more.
  absl::Status status() const { return ring_->closed(); }

  // ---- Binding

  // kNotFound: no such module or exported function. kInvalidArgument: references among its
  // parameters or results. kAborted: the start function of a kChannel instance did not return.
  // kResourceExhausted: the daemon binds no more on one channel.
  absl::StatusOr<BoundFunc> Bind(std::string_view digest, std::string_view func,
                                 InstancePolicy policy = InstancePolicy::kChannel,
                                 const Control& control = {});
  absl::StatusOr<BoundFunc> Bind(const Instance& instance, std::string_view func,
                                 const Control& control = {});
  // For functions on byte strings. kInvalidArgument: the module lacks what these need, which is
  // named. kUnimplemented: the daemon does not do it.
  absl::StatusOr<BoundFunc> BindBytes(std::string_view digest, std::string_view func,
                                      InstancePolicy policy = InstancePolicy::kChannel,
                                      const Control& control = {});
  absl::StatusOr<BoundFunc> BindBytes(const Instance& instance, std::string_view func,
                                      const Control& control = {});

  // ---- Typed calls

  template <typename R, typename... Args>
  TypedResult<R> Call(const TypedBoundFunc<R(Args...)>& func, std::type_identity_t<Args>... args);
  // The same with a time limit and a stop token.
  template <typename R, typename... Args>
  TypedResult<R> CallWithin(const Control& control, const TypedBoundFunc<R(Args...)>& func,
                            std::type_identity_t<Args>... args);

  // Puts a call in the ring. The daemon may see it now, and will after Flush, Wait or a Call. At
  // most slots() tickets can be open, which is between Submit and Wait. Without a ring the call is
  // made at once.
  template <typename R, typename... Args>
  TypedTicket<R> Submit(const TypedBoundFunc<R(Args...)>& func, std::type_identity_t<Args>... args);
  template <typename R>
  TypedResult<R> Wait(const TypedTicket<R>& ticket);
  void Flush() {
    if (is_ring()) {
      ring_->Flush();
    }
  }
  // Asks for the end of a call; its ticket is still to be waited for, and may have ended otherwise.
  template <typename R>
  void Cancel(const TypedTicket<R>& ticket) const {
    ring_->Cancel(ticket.ticket_);
  }
  void Cancel(const Ticket& ticket) const { ring_->Cancel(ticket.ticket_); }
  // Tickets that are not waited for.
  size_t in_flight() const;

  // One call for each row, as many at a time as there are slots; results[i] is that of rows[i]. A
  // row that does not return stops no other. Tickets that are open make it as slow as calls one by
  // one. The control's timeout is for the whole.
  template <typename R, typename... Args>
  void CallBatch(const TypedBoundFunc<R(Args...)>& func, std::span<const std::tuple<Args...>> rows,
                 std::span<TypedResult<R>> results, const Control& control = {});

  // ---- Calls of any type

  // CallResult::duration is 0 over a ring. A trap's backtrace is fetched by one RPC.
  // kInvalidArgument: the arguments do not fit the function's type.
  absl::StatusOr<CallResult> Call(const BoundFunc& func, std::span<const Value> args,
                                  const Control& control = {});
  absl::StatusOr<CallResult> Call(const BoundFunc& func, std::initializer_list<Value> args,
                                  const Control& control = {}) {
    return Call(func, std::span(args.begin(), args.size()), control);
  }
  // In place of Client::Call: a fresh instance for each call, by a binding that is made at the
  // function's first. A function that cannot be bound is called through gRPC.
  absl::StatusOr<CallResult> Call(std::string_view digest, std::string_view func,
                                  std::span<const Value> args, const Control& control = {});
  absl::StatusOr<CallResult> Call(std::string_view digest, std::string_view func,
                                  std::initializer_list<Value> args, const Control& control = {}) {
    return Call(digest, func, std::span(args.begin(), args.size()), control);
  }

  // As for typed calls. A stop token is for Wait.
  absl::StatusOr<Ticket> Submit(const BoundFunc& func, std::span<const Value> args,
                                absl::Duration timeout = absl::InfiniteDuration());
  absl::StatusOr<Ticket> Submit(const BoundFunc& func, std::initializer_list<Value> args,
                                absl::Duration timeout = absl::InfiniteDuration()) {
    return Submit(func, std::span(args.begin(), args.size()), timeout);
  }
  absl::StatusOr<CallResult> Wait(const Ticket& ticket, const std::stop_token& stop = {});

  std::vector<absl::StatusOr<CallResult>> CallBatch(const BoundFunc& func,
                                                    std::span<const Values> rows,
                                                    const Control& control = {});

  // ---- Byte strings

  // Input and output lie in the arena during the call, and have to fit it together. No ticket of a
  // call of more than four words may be open.
  absl::StatusOr<BytesResult> CallBytes(const BoundFunc& func, std::string_view input,
                                        const Control& control = {});
  // The same without copies: what was written into LendInput's span is the input, and `output` lies
  // where the daemon wrote it. Both are good until the next call of anything on this channel. The
  // daemon can still write to them: who does not trust it copies first. Not ok: end.
  // kOutOfRange: the arena is too small, or in use.
  absl::StatusOr<std::span<char>> LendInput(size_t bytes);
  CallEnd CallBytesInPlace(const BoundFunc& func, size_t input_bytes, std::string_view& output,
                           const Control& control = {});

  // ---- How it ended

  // The words to a call that did not return: a Trap with message and backtrace, or an Exit; an
  // error is what the call failed with. One RPC for what the daemon knows; it keeps the last 64
  // reports of a channel, and for older ones the text is that of the code alone.
  absl::StatusOr<Outcome> Explain(const CallEnd& end, const Control& control = {});

  // For Client::OpenChannel, and tests.
  static absl::StatusOr<Channel> Open(std::unique_ptr<ChannelBackend> backend,
                                      const ChannelOptions& options);

 private:
  struct Impl;
  explicit Channel(std::unique_ptr<Impl> impl);

  // Out of line: any signature, state and transport.
  CallEnd CallWords(uint64_t channel, uint32_t func, std::span<const uint64_t> args,
                    std::span<uint64_t> results, const CallLimit& limit);
  RingTicket SubmitWords(uint64_t channel, uint32_t func, std::span<const uint64_t> args,
                         size_t result_words);
  CallEnd WaitWords(const RingTicket& ticket, std::span<uint64_t> results);
  // Refers to the control.
  static CallLimit LimitOf(const Control& control);
  // Of the rows of a batch that were not called.
  CallEnd NotCalled() const;
  absl::StatusOr<BoundFunc> BindTarget(CallTarget target, InstancePolicy policy,
                                       std::string_view func, bool bytes, const Control& control);
  template <typename Sig>
  static ring::Submission Message(uint32_t func);

  absl::Status CheckCallable(const BoundFunc& func, bool bytes) const;
  absl::StatusOr<CallResult> ToResult(const CallEnd& end, const Control& control,
                                      const uint64_t* words, const std::vector<ValType>& types);
  // Explain, for who knows the limits that the call was made within.
  absl::StatusOr<Outcome> ExplainCall(const CallEnd& end, const Control& control);
  absl::StatusOr<Outcome> ExplainByDaemon(const CallEnd& end, const Control& control);

  std::unique_ptr<Impl> impl_;
  RingCaller* ring_;  // Of impl_; takes no calls where there is no ring.
};

}  // namespace wasmd::client

#include "client/cpp/channel_inl.h"  // IWYU pragma: export

#endif  // WASMD_CLIENT_CPP_CHANNEL_H_
