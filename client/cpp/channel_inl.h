// The typed calls of client/cpp/channel.h, which includes this; nobody else does.
#ifndef WASMD_CLIENT_CPP_CHANNEL_INL_H_
#define WASMD_CLIENT_CPP_CHANNEL_INL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>

#include "client/cpp/channel_options.h"
#include "client/cpp/channel_result.h"
#include "client/cpp/channel_words.h"
#include "client/cpp/ring_caller.h"
#include "proto/ring/layout.h"

namespace wasmd::client {

namespace channel_internal {

template <typename R>
inline TypedResult<R> ResultOf(const uint64_t* words) {
  if constexpr (std::is_void_v<R>) {
    return TypedResult<R>();
  } else {
    return TypedResult<R>(ResultWords<R>::Load(words));
  }
}

template <typename R>
inline TypedResult<R> ResultOf(const CallEnd& end, const uint64_t* words) {
  return end.ok() ? ResultOf<R>(words) : TypedResult<R>(end);
}

// Of a call whose results fit the slot.
template <typename R>
[[gnu::always_inline]] inline TypedResult<R> ResultOf(RingCaller& ring,
                                                      const ring::Completion& completion) {
  if (completion.kind == ring::CompletionKind::kReturned &&
      completion.words == ResultWords<R>::kWords) [[likely]] {
    return ResultOf<R>(completion.payload.data());
  }
  return TypedResult<R>(ring.EndOf(completion, ResultWords<R>::kWords));
}

}  // namespace channel_internal

template <typename Sig>
ring::Submission Channel::Message(uint32_t func) {
  ring::Submission message;
  message.kind = ring::SubmissionKind::kCall;
  message.words = channel_internal::Signature<Sig>::Params::kWords;
  message.func = func;
  return message;
}

template <typename R, typename... Args>
[[gnu::always_inline]] inline TypedResult<R> Channel::Call(const TypedBoundFunc<R(Args...)>& func,
                                                           std::type_identity_t<Args>... args) {
  using Signature = channel_internal::Signature<R(Args...)>;
  if constexpr (Signature::kIsInline) {
    RingCaller& ring = *ring_;
    if (ring.IsFree(func.channel_)) [[likely]] {
      ring::Submission message = Message<R(Args...)>(func.func_);
      Signature::Params::Store(message.payload.data(), args...);
      ring::Completion completion;
      if (ring.RoundTrip(message, completion)) [[likely]] {
        return channel_internal::ResultOf<R>(ring, completion);
      }
      return TypedResult<R>(ring.ClosedEnd());
    }
  }
  std::array<uint64_t, Signature::Params::kWords> words;
  std::array<uint64_t, Signature::Results::kWords> results;
  Signature::Params::Store(words.data(), args...);
  const CallEnd end = CallWords(func.channel_, func.func_, words, results, CallLimit());
  return channel_internal::ResultOf<R>(end, results.data());
}

template <typename R, typename... Args>
TypedResult<R> Channel::CallWithin(const Control& control, const TypedBoundFunc<R(Args...)>& func,
                                   std::type_identity_t<Args>... args) {
  using Signature = channel_internal::Signature<R(Args...)>;
  std::array<uint64_t, Signature::Params::kWords> words;
  std::array<uint64_t, Signature::Results::kWords> results;
  Signature::Params::Store(words.data(), args...);
  const CallEnd end = CallWords(func.channel_, func.func_, words, results, LimitOf(control));
  return channel_internal::ResultOf<R>(end, results.data());
}

template <typename R, typename... Args>
TypedTicket<R> Channel::Submit(const TypedBoundFunc<R(Args...)>& func,
                               std::type_identity_t<Args>... args) {
  using Signature = channel_internal::Signature<R(Args...)>;
  if constexpr (Signature::kIsInline) {
    if (ring_->IsAttachedFor(func.channel_)) [[likely]] {
      ring::Submission message = Message<R(Args...)>(func.func_);
      Signature::Params::Store(message.payload.data(), args...);
      return TypedTicket<R>(ring_->SubmitInline(message));
    }
  }
  std::array<uint64_t, Signature::Params::kWords> words;
  Signature::Params::Store(words.data(), args...);
  return TypedTicket<R>(SubmitWords(func.channel_, func.func_, words, Signature::Results::kWords));
}

template <typename R>
TypedResult<R> Channel::Wait(const TypedTicket<R>& ticket) {
  std::array<uint64_t, channel_internal::ResultWords<R>::kWords> results;
  const CallEnd end = WaitWords(ticket.ticket_, results);
  return channel_internal::ResultOf<R>(end, results.data());
}

template <typename R, typename... Args>
void Channel::CallBatch(const TypedBoundFunc<R(Args...)>& func,
                        std::span<const std::tuple<Args...>> rows,
                        std::span<TypedResult<R>> results, const Control& control) {
  using Signature = channel_internal::Signature<R(Args...)>;
  if (rows.size() != results.size()) {
    const CallEnd end = RefusedBy(CallEnd::Reason::kWrongRows);
    for (TypedResult<R>& result : results) {
      result = TypedResult<R>(end);
    }
    return;
  }
  const CallLimit limit = LimitOf(control);
  size_t called = 0;
  if constexpr (Signature::kIsInline) {
    RingCaller& ring = *ring_;
    if (ring.IsFree(func.channel_)) {
      const uint64_t deadline_ns = ring.ToDaemonClock(limit.deadline_ns);
      called = ring.Batch(
          rows.size(), limit,
          [&](size_t row) {
            ring::Submission message = Message<R(Args...)>(func.func_);
            message.deadline_ns = deadline_ns;
            std::apply(
                [&](const Args&... args) {
                  Signature::Params::Store(message.payload.data(), args...);
                },
                rows[row]);
            return message;
          },
          [&](size_t row, const ring::Completion& completion) {
            results[row] = channel_internal::ResultOf<R>(ring, completion);
          });
      if (called < rows.size()) {
        const CallEnd end = NotCalled();
        for (; called < rows.size(); ++called) {
          results[called] = TypedResult<R>(end);
        }
      }
      return;
    }
  }
  for (; called < rows.size(); ++called) {
    std::array<uint64_t, Signature::Params::kWords> words;
    std::array<uint64_t, Signature::Results::kWords> out;
    std::apply([&](const Args&... args) { Signature::Params::Store(words.data(), args...); },
               rows[called]);
    const CallEnd end = CallWords(func.channel_, func.func_, words, out, limit);
    results[called] = channel_internal::ResultOf<R>(end, out.data());
  }
}

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_CHANNEL_INL_H_
