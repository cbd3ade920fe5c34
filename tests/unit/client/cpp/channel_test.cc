// Channels against a daemon that serves rings without wasm: what they give, and what they do with
// one that dies, hangs or lies.
#include "client/cpp/channel.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/cpp/fake_ring_daemon.h"

namespace wasmd::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kModule[] = "sha256:1";

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    std::abort();
  }
  return *std::move(value);
}

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message());
}

// A daemon, its RPCs, and a channel to it.
struct Fixture {
  explicit Fixture(const FakeRingDaemon::Options& daemon_options = {},
                   const ChannelOptions& options = {})
      : daemon(daemon_options),
        channel(Must(Channel::Open(std::make_unique<FakeBackend>(&daemon, &seen), options))) {}

  BoundFunc Bind(std::string_view func) { return Must(channel.Bind(kModule, func)); }
  template <typename Sig>
  TypedBoundFunc<Sig> Typed(std::string_view func) {
    return Must(Bind(func).Typed<Sig>());
  }

  FakeRingDaemon daemon;
  FakeBackend::Seen seen;
  Channel channel;
};

// ---- What holds of both transports

class ChannelTest : public testing::TestWithParam<ChannelTransport> {
 protected:
  ChannelTest() : fixture_({}, {.transport = GetParam()}) {}

  template <typename Sig>
  TypedBoundFunc<Sig> Typed(std::string_view func) {
    return fixture_.Typed<Sig>(func);
  }

  Fixture fixture_;
  Channel& channel_ = fixture_.channel;
};

INSTANTIATE_TEST_SUITE_P(Transports, ChannelTest,
                         testing::Values(ChannelTransport::kRing, ChannelTransport::kGrpc),
                         [](const auto& test) {
                           return test.param == ChannelTransport::kRing ? "Ring" : "Grpc";
                         });

TEST_P(ChannelTest, TypedCallsKeepEveryBit) {
  EXPECT_EQ(channel_.is_ring(), GetParam() == ChannelTransport::kRing);
  const auto add = Typed<int32_t(int32_t, int32_t)>("add");
  for (int32_t i = 0; i < 100; ++i) {
    const TypedResult<int32_t> sum = channel_.Call(add, i, -3);
    ASSERT_TRUE(sum.ok());
    EXPECT_EQ(*sum, i - 3);
  }
  EXPECT_EQ(*channel_.Call(Typed<uint32_t(uint32_t)>("echo_i32"), 0xffff'ffffU), 0xffff'ffffU);
  EXPECT_TRUE(channel_.Call(Typed<void()>("nothing")).ok());

  const V128 v128{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255}};
  EXPECT_EQ(*channel_.Call(Typed<V128(V128)>("echo_v128"), v128), v128);
  const auto nan = std::bit_cast<double>(uint64_t{0xfff0'0000'0000'0001});
  EXPECT_EQ(std::bit_cast<uint64_t>(*channel_.Call(Typed<double(double)>("echo_f64"), nan)),
            0xfff0'0000'0000'0001U);

  using All = std::tuple<int32_t, int64_t, float, double>;
  const auto echo = Typed<All(int32_t, int64_t, float, double)>("echo_all");
  EXPECT_EQ(
      *channel_.Call(echo, std::numeric_limits<int32_t>::min(), std::numeric_limits<int64_t>::min(),
                     -0.5F, 1e300),
      All(std::numeric_limits<int32_t>::min(), std::numeric_limits<int64_t>::min(), -0.5F, 1e300));
}

TEST_P(ChannelTest, TypedCallsOfManyWordsGoThroughTheArena) {
  using Six = std::tuple<int32_t, int64_t, float, double, V128, int32_t>;
  const auto echo = Typed<Six(int32_t, int64_t, float, double, V128, int32_t)>("echo_six");
  for (int32_t i = 0; i < 50; ++i) {
    const V128 v128{{static_cast<uint8_t>(i), 9}};
    const TypedResult<Six> result = channel_.Call(echo, i, -i, 0.25F, 0.5, v128, -1);
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(*result, Six(i, -i, 0.25F, 0.5, v128, -1));
  }
  // Results alone.
  using Five = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t>;
  EXPECT_EQ(*channel_.Call(Typed<Five(int64_t)>("spread"), 9), Five(9, 9, 9, 9, 9));
}

TEST_P(ChannelTest, TypesAreCheckedWhenBound) {
  const BoundFunc add = fixture_.Bind("add");
  EXPECT_EQ(add.type(), (FuncType{{ValType::kI32, ValType::kI32}, {ValType::kI32}}));
  const absl::Status status = add.Typed<int64_t(int32_t, int32_t)>().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(status),
            "the function \"add\" has the type (i32, i32) -> i32, not (i32, i32) -> i64");
  EXPECT_FALSE(add.Typed<int32_t(int32_t)>().ok());
  EXPECT_FALSE(add.Typed<void(int32_t, int32_t)>().ok());
  EXPECT_EQ(BoundFunc().Typed<void()>().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(channel_.Bind(kModule, "reference").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(channel_.Bind(kModule, "unknown_type").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(channel_.Bind(kModule, "no_such").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(channel_.Bind("sha256:2", "add").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(channel_.Bind(kModule, "add", InstancePolicy::kShared).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(ChannelTest, ATrapIsAnOutcomeWithWords) {
  const auto trap = Typed<int32_t(int32_t)>("trap");
  const TypedResult<int32_t> result = channel_.Call(trap, 1);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(*result, 0);
  EXPECT_EQ(result.end().kind, CallEnd::Kind::kTrapped);
  EXPECT_EQ(result.end().trap_code(), TrapCode::kDivideByZero);
  EXPECT_EQ(result.end().detail, 4U);
  EXPECT_EQ(result.end().offset, 0x1a2U);
  const Outcome outcome = Must(channel_.Explain(result.end()));
  EXPECT_EQ(std::get<Trap>(outcome).message, "integer divide by zero");
  EXPECT_EQ(std::get<Trap>(outcome).Backtrace(), "  0: divide (math, func 4, offset 0x1a2)\n");
  // The channel goes on.
  EXPECT_EQ(*channel_.Call(Typed<int32_t(int32_t, int32_t)>("add"), 1, 2), 3);

  const CallResult called = Must(channel_.Call(fixture_.Bind("trap"), {int32_t{1}}));
  EXPECT_EQ(std::get<Trap>(called.outcome).message, "integer divide by zero");
}

TEST_P(ChannelTest, ExitsAndFailuresHaveWordsToo) {
  const TypedResult<void> exited = channel_.Call(Typed<void()>("exit"));
  EXPECT_EQ(exited.end().kind, CallEnd::Kind::kExited);
  EXPECT_EQ(exited.end().detail, 7U);
  EXPECT_EQ(std::get<Exit>(Must(channel_.Explain(exited.end()))).code, 7U);
  EXPECT_EQ(std::get<Exit>(Must(channel_.Call(fixture_.Bind("exit"), {})).outcome).code, 7U);

  const TypedResult<void> failed = channel_.Call(Typed<void()>("fail"));
  EXPECT_EQ(failed.end().status_code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(channel_.Explain(failed.end()).status(), absl::NotFoundError("the instance is gone"));
  EXPECT_EQ(channel_.Call(fixture_.Bind("fail"), {}).status(),
            absl::NotFoundError("the instance is gone"));
  // There is nothing to explain about what returned.
  EXPECT_FALSE(channel_.Explain(CallEnd()).ok());
}

TEST_P(ChannelTest, CallsByValues) {
  const BoundFunc echo = fixture_.Bind("echo_six");
  const Values values = {int32_t{-1}, int64_t{-2}, 0.5F, -0.0, V128{{1, 2}}, int32_t{7}};
  const CallResult result = Must(channel_.Call(echo, values));
  EXPECT_EQ(std::get<Values>(result.outcome), values);

  const BoundFunc add = fixture_.Bind("add");
  for (const Values& wrong :
       {Values{}, Values{int32_t{1}}, Values{int32_t{1}, int64_t{2}},
        Values{int32_t{1}, int32_t{2}, int32_t{3}}, Values{int32_t{1}, Reference{}}}) {
    const absl::Status status = channel_.Call(add, wrong).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(MessageOf(status), "the arguments do not fit the function's type, (i32, i32) -> i32");
  }
  EXPECT_EQ(std::get<Values>(Must(channel_.Call(add, {int32_t{1}, int32_t{2}})).outcome),
            Values{int32_t{3}});
}

TEST_P(ChannelTest, AnotherChannelsFunctionsAreRefused) {
  Fixture other({}, {.transport = GetParam()});
  const auto add = other.Typed<int32_t(int32_t, int32_t)>("add");
  for (const CallEnd& end :
       {channel_.Call(add, 1, 2).end(), channel_.CallWithin({}, add, 1, 2).end(),
        channel_.Wait(channel_.Submit(add, 1, 2)).end(),
        channel_.Call(TypedBoundFunc<int32_t(int32_t, int32_t)>(), 1, 2).end()}) {
    EXPECT_EQ(end.reason, CallEnd::Reason::kOtherChannel);
    EXPECT_EQ(end.status_code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(MessageOf(channel_.Explain(end).status()),
              "the function was bound on another channel");
  }
  EXPECT_EQ(channel_.Call(other.Bind("add"), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(channel_.Call(BoundFunc(), {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(channel_.Submit(BoundFunc(), {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(channel_.Wait(Ticket()).ok());
}

TEST_P(ChannelTest, TicketsCanBeWaitedForInAnyOrderOnce) {
  const auto add = Typed<int32_t(int32_t, int32_t)>("add");
  for (int round = 0; round < 5; ++round) {
    std::vector<TypedTicket<int32_t>> tickets;
    for (int32_t i = 0; i < 6; ++i) {
      tickets.push_back(channel_.Submit(add, i, 10));
      EXPECT_TRUE(tickets.back().ok());
    }
    channel_.Flush();
    EXPECT_EQ(channel_.in_flight(), 6U);
    EXPECT_EQ(*channel_.Wait(tickets[3]), 13);
    EXPECT_EQ(*channel_.Wait(tickets[0]), 10);
    // A call meanwhile.
    EXPECT_EQ(*channel_.Call(add, 100, 1), 101);
    EXPECT_EQ(*channel_.Wait(tickets[5]), 15);
    EXPECT_EQ(channel_.Wait(tickets[3]).end().reason, CallEnd::Reason::kNoTicket);
    EXPECT_EQ(*channel_.Wait(tickets[1]), 11);
    EXPECT_EQ(*channel_.Wait(tickets[2]), 12);
    EXPECT_EQ(*channel_.Wait(tickets[4]), 14);
    EXPECT_EQ(channel_.in_flight(), 0U);
    EXPECT_EQ(channel_.Wait(tickets[0]).end().reason, CallEnd::Reason::kNoTicket);
    EXPECT_EQ(channel_.Wait(TypedTicket<int32_t>()).end().reason, CallEnd::Reason::kNoTicket);
    // And in order.
    tickets.clear();
    for (int32_t i = 0; i < 8; ++i) {
      tickets.push_back(channel_.Submit(add, i, 1));
    }
    for (int32_t i = 0; i < 8; ++i) {
      EXPECT_EQ(*channel_.Wait(tickets[static_cast<size_t>(i)]), i + 1);
    }
  }
}

TEST_P(ChannelTest, TicketsByValues) {
  const BoundFunc add = fixture_.Bind("add");
  const BoundFunc six = fixture_.Bind("echo_six");
  const Values values = {int32_t{-1}, int64_t{-2}, 0.5F, -0.0, V128{{1, 2}}, int32_t{7}};
  const Ticket first = Must(channel_.Submit(add, {int32_t{1}, int32_t{2}}));
  const Ticket second = Must(channel_.Submit(six, values));
  const Ticket third = Must(channel_.Submit(fixture_.Bind("trap"), {int32_t{0}}));
  EXPECT_EQ(channel_.Submit(add, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::get<Trap>(Must(channel_.Wait(third)).outcome).code, TrapCode::kDivideByZero);
  EXPECT_EQ(std::get<Values>(Must(channel_.Wait(second)).outcome), values);
  EXPECT_EQ(std::get<Values>(Must(channel_.Wait(first)).outcome), Values{int32_t{3}});
  EXPECT_EQ(channel_.Wait(first).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ChannelTest, ABatchHasAResultForEachRow) {
  const auto add = Typed<int32_t(int32_t, int32_t)>("add");
  // None, one, less than the slots, as many, not a multiple, and many times as many.
  for (const size_t count : {0U, 1U, 5U, 8U, 13U, 1000U}) {
    std::vector<std::tuple<int32_t, int32_t>> rows;
    rows.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      rows.emplace_back(static_cast<int32_t>(i), 7);
    }
    std::vector<TypedResult<int32_t>> results(count);
    channel_.CallBatch(add, std::span(std::as_const(rows)), std::span(results));
    for (size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(results[i].ok()) << i << " of " << count;
      ASSERT_EQ(*results[i], static_cast<int32_t>(i) + 7);
    }
  }
  // Rows that trap stop no others.
  const auto trap = Typed<int32_t(int32_t)>("trap");
  const std::vector<std::tuple<int32_t>> rows(20);
  std::vector<TypedResult<int32_t>> results(20);
  channel_.CallBatch(trap, std::span(rows), std::span(results));
  for (const TypedResult<int32_t>& result : results) {
    EXPECT_EQ(result.end().trap_code(), TrapCode::kDivideByZero);
  }
  channel_.CallBatch(trap, std::span(rows).first(3), std::span(results));
  for (const TypedResult<int32_t>& result : results) {
    EXPECT_EQ(result.end().reason, CallEnd::Reason::kWrongRows);
  }
  // With a ticket open it is slower, and right.
  const TypedTicket<int32_t> ticket = channel_.Submit(add, 1, 1);
  const std::vector<std::tuple<int32_t, int32_t>> sums(20, {2, 3});
  channel_.CallBatch(add, std::span(sums), std::span(results));
  for (const TypedResult<int32_t>& result : results) {
    EXPECT_EQ(*result, 5);
  }
  EXPECT_EQ(*channel_.Wait(ticket), 2);
}

TEST_P(ChannelTest, ABatchOfManyWordsOrOfValues) {
  using Six = std::tuple<int32_t, int64_t, float, double, V128, int32_t>;
  const auto echo = Typed<Six(int32_t, int64_t, float, double, V128, int32_t)>("echo_six");
  std::vector<Six> rows;
  rows.reserve(30);
  for (int32_t i = 0; i < 30; ++i) {
    rows.emplace_back(i, 2 * i, 0.5F, 1.5, V128{}, -i);
  }
  std::vector<TypedResult<Six>> results(rows.size());
  channel_.CallBatch(echo, std::span(std::as_const(rows)), std::span(results));
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(*results[i], rows[i]);
  }

  std::vector<Values> values;
  values.reserve(30);
  for (int32_t i = 0; i < 30; ++i) {
    values.push_back({i, int32_t{1}});
  }
  values[11] = {int32_t{1}};
  const auto sums = channel_.CallBatch(fixture_.Bind("add"), values);
  ASSERT_EQ(sums.size(), values.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    if (i == 11) {
      EXPECT_EQ(sums[i].status().code(), absl::StatusCode::kInvalidArgument);
    } else {
      ASSERT_TRUE(sums[i].ok()) << sums[i].status();
      EXPECT_EQ(std::get<Values>(sums[i]->outcome), Values{static_cast<int32_t>(i) + 1});
    }
  }
  EXPECT_EQ(channel_.CallBatch(BoundFunc(), values).front().status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(ChannelTest, ADeadlineEndsTheCallAndNotTheChannel) {
  const auto hang = Typed<void()>("hang");
  const Control soon{.timeout = absl::Milliseconds(20), .stop = {}};
  const TypedResult<void> late = channel_.CallWithin(soon, hang);
  EXPECT_EQ(late.end().status_code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(channel_.Call(fixture_.Bind("hang"), {}, soon).status(),
            absl::DeadlineExceededError("not done within 20ms"));
  // None is left at the start.
  for (const absl::Duration timeout : {absl::ZeroDuration(), -absl::Seconds(1)}) {
    EXPECT_EQ(channel_.CallWithin({.timeout = timeout, .stop = {}}, hang).end().status_code(),
              absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(
      channel_.CallWithin({.timeout = absl::Hours(1 << 30), .stop = {}}, Typed<void()>("nothing"))
          .ok());
  EXPECT_TRUE(channel_.status().ok());
}

TEST_P(ChannelTest, AStopEndsTheCallAndNotTheChannel) {
  const auto hang = Typed<void()>("hang");
  for (int round = 0; round < 10; ++round) {
    std::stop_source source;
    std::thread stopper([&] { source.request_stop(); });
    const TypedResult<void> stopped = channel_.CallWithin(
        {.timeout = absl::InfiniteDuration(), .stop = source.get_token()}, hang);
    EXPECT_EQ(stopped.end().status_code(), absl::StatusCode::kCancelled);
    stopper.join();
    // It is too late now.
    EXPECT_EQ(channel_.Call(fixture_.Bind("hang"), {}, {.stop = source.get_token()}).status(),
              absl::CancelledError("cancelled"));
  }
  EXPECT_TRUE(channel_.Call(Typed<void()>("nothing")).ok());
}

TEST_P(ChannelTest, ByteStrings) {
  const BoundFunc reverse = Must(channel_.BindBytes(kModule, "reverse"));
  for (const std::string& text :
       {std::string(), std::string("a"), std::string("desserts"), std::string(2000, 'x') + "y"}) {
    const BytesResult result = Must(channel_.CallBytes(reverse, text));
    EXPECT_EQ(std::get<std::string>(result.outcome), std::string(text.rbegin(), text.rend()));
  }
  // In place.
  const std::span<char> input = Must(channel_.LendInput(4));
  std::ranges::copy(std::string_view("live"), input.begin());
  std::string_view output;
  EXPECT_TRUE(channel_.CallBytesInPlace(reverse, input.size(), output).ok());
  EXPECT_EQ(output, "evil");
  // An output as the next input.
  EXPECT_EQ(std::get<std::string>(Must(channel_.CallBytes(reverse, output)).outcome), "live");

  EXPECT_EQ(std::get<Trap>(
                Must(channel_.CallBytes(Must(channel_.BindBytes(kModule, "trap")), "")).outcome)
                .code,
            TrapCode::kDivideByZero);
  EXPECT_EQ(std::get<Exit>(
                Must(channel_.CallBytes(Must(channel_.BindBytes(kModule, "exit")), "")).outcome)
                .code,
            7U);
  const BoundFunc fail = Must(channel_.BindBytes(kModule, "fail"));
  EXPECT_EQ(channel_.CallBytes(fail, "").status(), absl::NotFoundError("the instance is gone"));
  const CallEnd end = channel_.CallBytesInPlace(fail, 0, output);
  EXPECT_EQ(channel_.Explain(end).status(), absl::NotFoundError("the instance is gone"));
  EXPECT_EQ(output, "");

  // The one kind is not the other.
  EXPECT_EQ(channel_.CallBytes(fixture_.Bind("add"), "").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(channel_.Call(reverse, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(reverse.Typed<void()>().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      channel_.Explain(channel_.CallBytesInPlace(fixture_.Bind("add"), 0, output)).status().code(),
      absl::StatusCode::kInvalidArgument);
}

TEST_P(ChannelTest, CallByDigestBindsByItself) {
  for (int32_t i = 0; i < 20; ++i) {
    const CallResult result = Must(channel_.Call(kModule, "add", {i, int32_t{1}}));
    EXPECT_EQ(std::get<Values>(result.outcome), Values{i + 1});
  }
  const bool is_ring = GetParam() == ChannelTransport::kRing;
  EXPECT_EQ(fixture_.seen.binds, is_ring ? 1 : 0);
  EXPECT_EQ(fixture_.seen.calls, is_ring ? 0 : 20);
  // What cannot be bound is called all the same, and is not asked for again.
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(channel_.Call(kModule, "reference", {Reference{}}).ok());
    EXPECT_TRUE(channel_.Call(kModule, "one_too_many", {}).ok());
  }
  EXPECT_EQ(fixture_.seen.binds, is_ring ? 3 : 0);
  EXPECT_EQ(fixture_.seen.calls, is_ring ? 6 : 26);
  EXPECT_EQ(channel_.Call(kModule, "no_such", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(ChannelTest, CanBeMoved) {
  const auto add = Typed<int32_t(int32_t, int32_t)>("add");
  Fixture other({}, {.transport = GetParam()});
  Channel moved = std::move(channel_);
  EXPECT_EQ(*moved.Call(add, 1, 2), 3);
  const auto others = other.Typed<int32_t(int32_t, int32_t)>("add");
  other.channel = std::move(moved);
  EXPECT_EQ(*other.channel.Call(add, 1, 2), 3);
  EXPECT_FALSE(other.channel.Call(others, 1, 2).ok());
}

// ---- Opening

TEST(ChannelOpenTest, FallsBackToGrpcAndSaysWhy) {
  FakeBackend::Seen seen;
  {
    Channel channel = Must(Channel::Open(std::make_unique<FakeBackend>(nullptr, &seen), {}));
    EXPECT_FALSE(channel.is_ring());
    EXPECT_EQ(channel.fallback_reason(), "there are no rings here");
    const BoundFunc add = Must(channel.Bind(kModule, "add"));
    EXPECT_EQ(seen.instantiated, 1);
    EXPECT_TRUE(channel.Bind(kModule, "trap").ok());
    EXPECT_EQ(seen.instantiated, 1) << "one instance a module";
    EXPECT_TRUE(channel.Bind(kModule, "add", InstancePolicy::kFresh).ok());
    EXPECT_EQ(std::get<Values>(Must(channel.Call(add, {int32_t{1}, int32_t{2}})).outcome),
              Values{int32_t{3}});
    // Results of another type than the function's are not passed on.
    const auto liar = Must(Must(channel.Bind(kModule, "wrong_words")).Typed<void()>());
    EXPECT_EQ(channel.Call(liar).end().status_code(), absl::StatusCode::kInternal);
  }
  EXPECT_EQ(seen.dropped, 1);
  EXPECT_EQ(Channel::Open(std::make_unique<FakeBackend>(nullptr, &seen),
                          {.transport = ChannelTransport::kRing})
                .status(),
            absl::UnimplementedError("there are no rings here"));
  const FakeRingDaemon hostile({.fault = AttachFault::kUnsealed});
  const Channel channel = Must(Channel::Open(std::make_unique<FakeBackend>(&hostile, &seen), {}));
  EXPECT_THAT(std::string(channel.fallback_reason()), HasSubstr("is not sealed"));
}

TEST(ChannelOpenTest, RefusesWrongOptionsWhateverTheTransport) {
  FakeBackend::Seen seen;
  for (const ChannelTransport transport :
       {ChannelTransport::kAuto, ChannelTransport::kRing, ChannelTransport::kGrpc}) {
    for (const ChannelOptions& options :
         {ChannelOptions{.slots = 3, .transport = transport},
          ChannelOptions{.arena_bytes = uint64_t{2} << 30, .transport = transport}}) {
      EXPECT_EQ(
          Channel::Open(std::make_unique<FakeBackend>(nullptr, &seen), options).status().code(),
          absl::StatusCode::kInvalidArgument);
    }
  }
}

TEST(ChannelOpenTest, AStartFunctionThatTrapsKeepsFromBinding) {
  Fixture fixture;
  EXPECT_EQ(fixture.channel.Bind(kModule, "bad_start").status(),
            absl::AbortedError("the start function trapped: integer divide by zero"));
}

TEST(ChannelOpenTest, ByteStringsAreAFeature) {
  Fixture fixture({.features = 0});
  EXPECT_EQ(fixture.channel.BindBytes(kModule, "reverse").status().code(),
            absl::StatusCode::kUnimplemented);
}

// ---- The ring alone

TEST(RingChannelTest, NoMoreTicketsThanSlots) {
  Fixture fixture({.slots = 4});
  Channel& channel = fixture.channel;
  EXPECT_EQ(channel.slots(), 4U);
  const auto add = fixture.Typed<int32_t(int32_t, int32_t)>("add");
  std::vector<TypedTicket<int32_t>> tickets;
  tickets.reserve(4);
  for (int32_t i = 0; i < 4; ++i) {
    tickets.push_back(channel.Submit(add, i, 0));
  }
  const TypedTicket<int32_t> fifth = channel.Submit(add, 4, 0);
  EXPECT_FALSE(fifth.ok());
  EXPECT_EQ(channel.Wait(fifth).end().reason, CallEnd::Reason::kFull);
  EXPECT_EQ(channel.Submit(fixture.Bind("add"), {int32_t{1}, int32_t{1}}).status().code(),
            absl::StatusCode::kResourceExhausted);
  // Calls can be made all the same, as many as one likes.
  for (int32_t i = 0; i < 20; ++i) {
    EXPECT_EQ(*channel.Call(add, i, 1), i + 1);
  }
  EXPECT_EQ(*channel.Wait(tickets[2]), 2);
  const TypedTicket<int32_t> more = channel.Submit(add, 5, 0);
  EXPECT_TRUE(more.ok());
  EXPECT_FALSE(channel.Submit(add, 6, 0).ok());
  EXPECT_EQ(*channel.Wait(tickets[1]), 1);
  EXPECT_EQ(*channel.Wait(tickets[0]), 0);
  EXPECT_EQ(*channel.Wait(more), 5);
  EXPECT_EQ(channel.Wait(more).end().reason, CallEnd::Reason::kNoTicket);
  EXPECT_EQ(*channel.Wait(tickets[3]), 3);
  EXPECT_EQ(channel.in_flight(), 0U);
}

TEST(RingChannelTest, CancelledTicketsEnd) {
  Fixture fixture;
  Channel& channel = fixture.channel;
  const auto hang = fixture.Typed<void()>("hang");
  const TypedTicket<void> first = channel.Submit(hang);
  const TypedTicket<void> second = channel.Submit(hang);
  const TypedTicket<void> third = channel.Submit(fixture.Typed<void()>("nothing"));
  channel.Cancel(second);
  channel.Cancel(first);
  EXPECT_TRUE(channel.Wait(third).ok());
  EXPECT_EQ(channel.Wait(second).end().status_code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(channel.Wait(first).end().status_code(), absl::StatusCode::kCancelled);
  channel.Cancel(first);  // Of no effect.

  // By a token, behind one that has to be cancelled too, and by a timeout.
  const Ticket by_time = Must(channel.Submit(fixture.Bind("hang"), {}, absl::Milliseconds(20)));
  const Ticket by_token = Must(channel.Submit(fixture.Bind("hang"), {}));
  std::stop_source source;
  std::thread stopper([&] { source.request_stop(); });
  EXPECT_EQ(channel.Wait(by_token, source.get_token()).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(channel.Wait(by_time).status(), absl::DeadlineExceededError("the timeout passed"));
  stopper.join();
}

TEST(RingChannelTest, ABatchCanBeStopped) {
  Fixture fixture;
  const auto hang = fixture.Typed<void()>("hang");
  const std::vector<std::tuple<>> rows(50);
  std::vector<TypedResult<void>> results(50);
  std::stop_source source;
  std::thread stopper([&] { source.request_stop(); });
  fixture.channel.CallBatch(hang, std::span(rows), std::span(results),
                            {.stop = source.get_token()});
  stopper.join();
  for (const TypedResult<void>& result : results) {
    EXPECT_EQ(result.end().status_code(), absl::StatusCode::kCancelled);
  }
  fixture.channel.CallBatch(hang, std::span(rows), std::span(results),
                            {.timeout = absl::Milliseconds(20)});
  for (const TypedResult<void>& result : results) {
    EXPECT_EQ(result.end().status_code(), absl::StatusCode::kDeadlineExceeded);
  }
  const std::vector<Values> values(50);
  std::stop_source again;
  std::thread other([&] { again.request_stop(); });
  for (const auto& result :
       fixture.channel.CallBatch(fixture.Bind("hang"), values, {.stop = again.get_token()})) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  }
  other.join();
  EXPECT_TRUE(fixture.channel.Call(fixture.Typed<void()>("nothing")).ok());
}

TEST(RingChannelTest, ThereIsRoomForSomeArgumentsOnly) {
  Fixture fixture({.slots = 8, .arena_bytes = 4096});
  Channel& channel = fixture.channel;
  const BoundFunc six = fixture.Bind("echo_six");
  const BoundFunc hundred = fixture.Bind("echo_hundred");  // 1,600 bytes: more than a slot's part.
  const BoundFunc thousand = fixture.Bind("echo_thousand");  // Not at all.
  const Values six_args = {int32_t{1}, int64_t{2}, 0.5F, 0.5, V128{}, int32_t{7}};
  const Values hundred_args(100, Value(int64_t{-5}));
  EXPECT_EQ(std::get<Values>(Must(channel.Call(hundred, hundred_args)).outcome), hundred_args);
  const absl::Status status = channel.Call(thousand, Values(1000, Value(int64_t{1}))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(MessageOf(status), HasSubstr("arena of 4096 bytes"));

  const Ticket small = Must(channel.Submit(six, six_args));
  EXPECT_EQ(channel.Submit(hundred, hundred_args).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(channel.LendInput(1).status().code(), absl::StatusCode::kOutOfRange);
  const Ticket other = Must(channel.Submit(six, six_args));
  EXPECT_EQ(std::get<Values>(Must(channel.Wait(small)).outcome), six_args);
  EXPECT_EQ(std::get<Values>(Must(channel.Wait(other)).outcome), six_args);
  // What was answered has left the arena.
  const Ticket early = Must(channel.Submit(six, six_args));
  EXPECT_EQ(*channel.Call(fixture.Typed<int32_t(int32_t, int32_t)>("add"), 1, 2), 3);
  const Ticket large = Must(channel.Submit(hundred, hundred_args));
  EXPECT_EQ(channel.Submit(six, six_args).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(std::get<Values>(Must(channel.Wait(large)).outcome), hundred_args);
  EXPECT_EQ(std::get<Values>(Must(channel.Wait(early)).outcome), six_args);
  // A batch of them goes one by one.
  const std::vector<Values> rows(20, hundred_args);
  for (const auto& result : channel.CallBatch(hundred, rows)) {
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(std::get<Values>(result->outcome), hundred_args);
  }
}

TEST(RingChannelTest, ByteStringsHaveToFitTheArena) {
  Fixture fixture({.arena_bytes = 4096});
  Channel& channel = fixture.channel;
  const BoundFunc reverse = Must(channel.BindBytes(kModule, "reverse"));
  EXPECT_TRUE(channel.CallBytes(reverse, std::string(2048, 'x')).ok());
  const absl::Status status = channel.CallBytes(reverse, std::string(2056, 'x')).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(MessageOf(status), "the output does not fit the channel's arena: it has 2056 bytes");
  EXPECT_EQ(channel.CallBytes(reverse, std::string(4097, 'x')).status().code(),
            absl::StatusCode::kOutOfRange);
  std::string_view output;
  for (const size_t bytes : {size_t{4097}, ~size_t{0}}) {
    EXPECT_EQ(channel.CallBytesInPlace(reverse, bytes, output).reason, CallEnd::Reason::kNoRoom);
  }
  // All of it is the input.
  EXPECT_EQ(channel.CallBytes(reverse, std::string(4096, 'x')).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(channel.CallBytes(reverse, "x").ok());
}

TEST(RingChannelTest, DeadlinesAreToldByTheDaemonsClock) {
  constexpr int64_t kDayNs = int64_t{86'400} * 1'000'000'000;
  Fixture fixture({.clock_ahead_ns = kDayNs});
  const auto nothing = fixture.Typed<void()>("nothing");
  EXPECT_TRUE(fixture.channel.Call(nothing).ok());
  EXPECT_EQ(fixture.daemon.last_deadline_ns(), 0U) << "none";
  const uint64_t before_ns = ring::MonotonicNs();
  EXPECT_TRUE(fixture.channel.CallWithin({.timeout = absl::Hours(1)}, nothing).ok());
  EXPECT_NEAR(static_cast<double>(fixture.daemon.last_deadline_ns() - before_ns),
              static_cast<double>(kDayNs) + 3600e9, 60e9);
}

TEST(RingChannelTest, SleepsUntilTheAnswerComes) {
  for (const absl::Duration spin : {absl::ZeroDuration(), absl::Microseconds(50)}) {
    for (const bool never_sleeps : {false, true}) {
      Fixture fixture({.never_sleeps = never_sleeps}, {.spin = spin});
      const auto nothing = fixture.Typed<void()>("nothing");
      const auto when_asleep = fixture.Typed<void()>("when_asleep");
      for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(fixture.channel.Call(when_asleep).ok());
        ASSERT_TRUE(fixture.channel.Call(nothing).ok());
      }
      EXPECT_TRUE(fixture.channel.Call(fixture.Typed<void()>("wake")).ok());
      ASSERT_TRUE(fixture.channel.Call(when_asleep).ok());
    }
  }
}

// The two fall asleep and wake each other, over and over; a wake-up that is lost would take the
// test's time.
TEST(RingChannelTest, ManyCallsLoseNoWakeUp) {
  Fixture fixture({}, {.spin = absl::Microseconds(2)});
  const auto add = fixture.Typed<int32_t(int32_t, int32_t)>("add");
  for (int32_t i = 0; i < 20'000; ++i) {
    ASSERT_EQ(*fixture.channel.Call(add, i, 1), i + 1);
  }
}

TEST(RingChannelTest, AReportThatIsLostOrALieLeavesTheNumbers) {
  Fixture fixture;
  Channel& channel = fixture.channel;
  const TypedResult<int32_t> bare = channel.Call(fixture.Typed<int32_t(int32_t)>("trap_bare"), 1);
  const Trap trap = std::get<Trap>(Must(channel.Explain(bare.end())));
  EXPECT_EQ(fixture.seen.reports, 0) << "there is none to be had";
  EXPECT_EQ(trap.message, "divide-by-zero");
  EXPECT_EQ(trap.Backtrace(), "  0: func[4] (func 4, offset 0x1a2)\n");

  CallEnd other = bare.end();
  other.report = 99;  // Overwritten by now.
  EXPECT_EQ(std::get<Trap>(Must(channel.Explain(other))).code, TrapCode::kDivideByZero);
  EXPECT_EQ(fixture.seen.reports, 1);
  other.report = 1;
  other.code = static_cast<uint16_t>(TrapCode::kUnreachable);  // Not what report 1 says.
  EXPECT_EQ(std::get<Trap>(Must(channel.Explain(other))).message, "unreachable");
  other.detail = CallEnd::kNoFunc;
  EXPECT_TRUE(std::get<Trap>(Must(channel.Explain(other))).frames.empty());

  const TypedResult<void> odd = channel.Call(fixture.Typed<void()>("unknown_code"));
  EXPECT_EQ(channel.Explain(odd.end()).status().code(), absl::StatusCode::kUnknown);
}

// ---- A daemon that goes, hangs or lies

struct Fate {
  const char* func;
  absl::StatusCode code;
  const char* words;
};

class BadDaemonTest : public testing::TestWithParam<Fate> {};

INSTANTIATE_TEST_SUITE_P(
    Fates, BadDaemonTest,
    testing::Values(Fate{"die", absl::StatusCode::kUnavailable, "the daemon closed the connection"},
                    Fate{"say_why", absl::StatusCode::kUnavailable,
                         "closed the channel: it is raining"},
                    Fate{"say_nonsense", absl::StatusCode::kInternal, "no frame"},
                    Fate{"wrong_tag", absl::StatusCode::kInternal, "a call that was not made"},
                    Fate{"unknown_kind", absl::StatusCode::kInternal, "of kind 9"},
                    Fate{"wrong_words", absl::StatusCode::kInternal, "with 3 words"}),
    [](const auto& test) { return std::string(test.param.func); });

TEST_P(BadDaemonTest, EndsTheChannelWithAReason) {
  // By a typed call, by values, by a ticket with others behind it, and in a batch.
  for (const int way : {0, 1, 2, 3}) {
    Fixture fixture;
    Channel& channel = fixture.channel;
    const BoundFunc bound = fixture.Bind(GetParam().func);
    const auto add = fixture.Typed<int32_t(int32_t, int32_t)>("add");
    const BoundFunc late = fixture.Bind("nothing");
    const auto nothing = Must(late.Typed<void()>());
    const auto fate = Must(bound.Typed<void()>());
    EXPECT_TRUE(channel.Call(nothing).ok());
    absl::Status status;
    if (way == 0) {
      status = channel.Explain(channel.Call(fate).end()).status();
    } else if (way == 1) {
      status = channel.Call(bound, {}).status();
    } else if (way == 2) {
      const TypedTicket<int32_t> before = channel.Submit(add, 1, 2);
      const TypedTicket<void> ticket = channel.Submit(fate);
      const TypedTicket<void> after = channel.Submit(nothing);
      // Whether it was answered is up to how the other was.
      static_cast<void>(channel.Wait(after));
      status = channel.Explain(channel.Wait(ticket).end()).status();
      // What came before is as good as ever.
      EXPECT_EQ(*channel.Wait(before), 3);
    } else {
      const std::vector<std::tuple<>> rows(30);
      std::vector<TypedResult<void>> results(30);
      channel.CallBatch(fate, std::span(rows), std::span(results));
      for (const TypedResult<void>& result : results) {
        EXPECT_FALSE(result.ok());
        EXPECT_EQ(channel.Explain(result.end()).status().code(), GetParam().code);
      }
      status = channel.status();
    }
    EXPECT_EQ(status.code(), GetParam().code) << way << ": " << status;
    EXPECT_THAT(MessageOf(status), HasSubstr(GetParam().words)) << way;
    EXPECT_EQ(channel.Call(late, {}).status(), channel.status());
    EXPECT_EQ(channel.Submit(late, {}).status(), channel.status());
    EXPECT_EQ(channel.LendInput(1).status(), channel.status());
    EXPECT_EQ(channel.Bind(kModule, "add").status(), channel.status());
    const TypedResult<void> again = channel.Call(nothing);
    EXPECT_EQ(again.end().reason, CallEnd::Reason::kClosed);
    EXPECT_EQ(channel.Explain(again.end()).status(), channel.status());
    EXPECT_EQ(channel.Wait(channel.Submit(nothing)).end().reason, CallEnd::Reason::kClosed);
    EXPECT_TRUE(FakeRingDaemon::WaitUntil([&] { return fixture.daemon.ended() == 1; }))
        << "the daemon's side goes on";
  }
}

TEST(RingChannelTest, AnOutputLongerThanItsRoomEndsTheChannel) {
  Fixture fixture;
  const BoundFunc bytes = Must(fixture.channel.BindBytes(kModule, "wrong_bytes"));
  EXPECT_EQ(fixture.channel.CallBytes(bytes, "x").status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(fixture.channel.status().code(), absl::StatusCode::kInternal);
}

TEST(RingChannelTest, ASecondAnswerEndsTheChannelAtTheNextCall) {
  Fixture fixture;
  const auto twice = fixture.Typed<void()>("answer_twice");
  const auto nothing = fixture.Typed<void()>("nothing");
  EXPECT_TRUE(fixture.channel.Call(twice).ok());
  EXPECT_EQ(fixture.channel.Call(nothing).end().status_code(), absl::StatusCode::kInternal);
  EXPECT_THAT(MessageOf(fixture.channel.status()), HasSubstr("a call that was not made"));
}

TEST(RingChannelTest, WhatWasAnsweredBeforeTheDaemonWentCounts) {
  Fixture fixture;
  const auto last = fixture.Typed<void()>("drop_the_rest");
  const auto nothing = fixture.Typed<void()>("nothing");
  const TypedTicket<void> first = fixture.channel.Submit(last);
  const TypedTicket<void> second = fixture.channel.Submit(nothing);
  EXPECT_TRUE(fixture.channel.Wait(first).ok());
  EXPECT_EQ(fixture.channel.Wait(second).end().status_code(), absl::StatusCode::kUnavailable);
}

TEST(RingChannelTest, ADaemonThatMindsNoDeadlineIsGivenUp) {
  Fixture fixture({}, {.grace = absl::Milliseconds(20)});
  const auto stubborn = fixture.Typed<void()>("stubborn");
  const auto nothing = fixture.Typed<void()>("nothing");
  const TypedResult<void> result =
      fixture.channel.CallWithin({.timeout = absl::Milliseconds(20)}, stubborn);
  EXPECT_EQ(result.end().reason, CallEnd::Reason::kClosed);
  EXPECT_EQ(fixture.channel.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(fixture.channel.Call(nothing).ok());
}

TEST(RingChannelTest, ADaemonThatMindsNoCancelIsGivenUp) {
  Fixture fixture({}, {.grace = absl::Milliseconds(20)});
  const BoundFunc stubborn = fixture.Bind("stubborn");
  std::stop_source source;
  std::thread stopper([&] { source.request_stop(); });
  EXPECT_EQ(fixture.channel.Call(stubborn, {}, {.stop = source.get_token()}).status().code(),
            absl::StatusCode::kCancelled);
  stopper.join();
}

// A call that waits its turn behind another is not late by that.
TEST(RingChannelTest, TheGraceBeginsWhenACallIsFirstInLine) {
  Fixture fixture({}, {.spin = absl::ZeroDuration(), .grace = absl::Milliseconds(500)});
  const Ticket first =
      Must(fixture.channel.Submit(fixture.Bind("hang"), {}, absl::Milliseconds(700)));
  const Ticket second =
      Must(fixture.channel.Submit(fixture.Bind("when_asleep"), {}, absl::Milliseconds(1)));
  EXPECT_TRUE(fixture.channel.Wait(second).ok()) << fixture.channel.status();
  EXPECT_EQ(fixture.channel.Wait(first).status(),
            absl::DeadlineExceededError("the timeout passed"));
  EXPECT_TRUE(fixture.channel.status().ok());
}

TEST(RingChannelTest, GoingEndsTheDaemonsSide) {
  FakeRingDaemon daemon({});
  FakeBackend::Seen seen;
  {
    Channel channel = Must(Channel::Open(std::make_unique<FakeBackend>(&daemon, &seen), {}));
    const auto hang = Must(Must(channel.Bind(kModule, "hang")).Typed<void()>());
    EXPECT_TRUE(channel.Submit(hang).ok());
    channel.Flush();
  }
  EXPECT_TRUE(FakeRingDaemon::WaitUntil([&] { return daemon.ended() == 1; }));
}

}  // namespace
}  // namespace wasmd::client
