// Channels against a real daemon, by shared memory and through gRPC.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cpp/channel.h"
#include "client/cpp/client.h"
#include "tests/sdk/cpp/real_daemon.h"
#include "tests/support/wat.h"

namespace wasmd::client {
namespace {

using testing::HasSubstr;

constexpr char kMath[] = R"((module $math
  (global $count (mut i32) (i32.const 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $div (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "count") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
  (func (export "nothing"))
  (func (export "spin") (loop (br 0)))
  (func (export "echo") (param i32 i64 f32 f64 v128) (result i32 i64 f32 f64 v128)
    (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
  (func (export "five") (param i64) (result i64 i64 i64 i64 i64)
    (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0))
  (func (export "reference") (param externref))))";

constexpr char kExit[] = R"((module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "leave") (param i32) (call $exit (local.get 0)))))";

constexpr char kBadStart[] = R"((module (func $start unreachable) (start $start)
  (func (export "f"))))";

// Byte strings, reversed.
constexpr char kBytes[] = R"((module $bytes
  (memory (export "memory") 4)
  (global $top (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $top)
    (global.set $top (i32.and (i32.const -8)
      (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 7)))))
  (func (export "reverse") (param $from i32) (param $size i32) (result i32) (local $i i32)
    (block (loop
      (br_if 1 (i32.ge_u (local.get $i) (local.get $size)))
      (i32.store8 (i32.add (i32.const 131072) (local.get $i))
        (i32.load8_u (i32.sub (i32.add (local.get $from) (local.get $size))
                              (i32.add (local.get $i) (i32.const 1)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br 0)))
    (global.set $top (i32.const 1024))
    (i32.store (i32.const 0) (i32.const 131072))
    (i32.store (i32.const 4) (local.get $size))
    (i32.const 0))
  (func (export "trap") (param i32 i32) (result i32) unreachable)
  (func (export "add") (param i32 i32 i32) (result i32) (local.get 0))))";

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    std::abort();
  }
  return *std::move(value);
}

std::string Upload(Client& client, std::string_view text) {
  const engine::Bytes bytes = engine::Wat(text);
  return Must(client.UploadModule(
                  ModuleSource::Bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()})))
      .digest;
}

// One daemon for all tests that leave it alive.
RealDaemon& Daemon() {
  static RealDaemon daemon;
  return daemon;
}

class ChannelE2eTest : public testing::TestWithParam<ChannelTransport> {
 protected:
  ChannelE2eTest()
      : client_(Must(Client::Connect(Daemon().address()))),
        math_(Upload(client_, kMath)),
        channel_(Must(client_.OpenChannel({.transport = GetParam()}))) {}

  template <typename Sig>
  TypedBoundFunc<Sig> Typed(std::string_view func,
                            InstancePolicy policy = InstancePolicy::kChannel) {
    return Must(Must(channel_.Bind(math_, func, policy)).Typed<Sig>());
  }
  bool is_ring() const { return GetParam() == ChannelTransport::kRing; }

  Client client_;
  std::string math_;
  Channel channel_;
};

INSTANTIATE_TEST_SUITE_P(Transports, ChannelE2eTest,
                         testing::Values(ChannelTransport::kRing, ChannelTransport::kGrpc),
                         [](const auto& test) {
                           return test.param == ChannelTransport::kRing ? "Ring" : "Grpc";
                         });

TEST_P(ChannelE2eTest, TypedCalls) {
  EXPECT_EQ(channel_.is_ring(), is_ring());
  const auto add = Typed<int32_t(int32_t, int32_t)>("add");
  for (int32_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(*channel_.Call(add, i, -5), i - 5);
  }
  EXPECT_TRUE(channel_.Call(Typed<void()>("nothing")).ok());
  using All = std::tuple<int32_t, int64_t, float, double, V128>;
  const V128 v128{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255}};
  const auto echo = Typed<All(int32_t, int64_t, float, double, V128)>("echo");
  EXPECT_EQ(*channel_.Call(echo, -1, std::numeric_limits<int64_t>::min(), -0.5F, 1e300, v128),
            All(-1, std::numeric_limits<int64_t>::min(), -0.5F, 1e300, v128));
  using Five = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t>;
  EXPECT_EQ(*channel_.Call(Typed<Five(int64_t)>("five"), 9), Five(9, 9, 9, 9, 9));
  EXPECT_EQ(std::get<Values>(
                Must(channel_.Call(Must(channel_.Bind(math_, "five")), {int64_t{3}})).outcome),
            Values(5, Value(int64_t{3})));
}

TEST_P(ChannelE2eTest, PoliciesDecideWhoseStateItIs) {
  const auto kept = Typed<int32_t()>("count");
  const auto kept_too = Typed<int32_t()>("count");
  const auto fresh = Typed<int32_t()>("count", InstancePolicy::kFresh);
  Instance instance = Must(client_.Instantiate(math_));
  const auto shared = Must(Must(channel_.Bind(instance, "count")).Typed<int32_t()>());
  for (int32_t i = 1; i < 50; ++i) {
    EXPECT_EQ(*channel_.Call(kept), 2 * i - 1);
    EXPECT_EQ(*channel_.Call(kept_too), 2 * i);
    EXPECT_EQ(*channel_.Call(fresh), 1);
    EXPECT_EQ(*channel_.Call(shared), 2 * i - 1);
    EXPECT_EQ(std::get<Values>(Must(instance.Call("count", {})).outcome), Values{2 * i});
  }
  Channel other = Must(client_.OpenChannel({.transport = GetParam()}));
  EXPECT_EQ(*other.Call(Must(Must(other.Bind(math_, "count")).Typed<int32_t()>())), 1);
  EXPECT_TRUE(instance.Drop().ok());
  EXPECT_FALSE(channel_.Bind(instance, "count").ok());
}

TEST_P(ChannelE2eTest, TrapsAreThoseOfClientCall) {
  const auto div = Typed<int32_t(int32_t, int32_t)>("div");
  for (int round = 0; round < 3; ++round) {
    const TypedResult<int32_t> result = channel_.Call(div, 1, 0);
    ASSERT_EQ(result.end().trap_code(), TrapCode::kDivideByZero);
    const Trap trap = std::get<Trap>(Must(channel_.Explain(result.end())));
    const Trap expected =
        std::get<Trap>(Must(client_.Call(math_, "div", {int32_t{1}, int32_t{0}})).outcome);
    EXPECT_EQ(trap.message, expected.message);
    EXPECT_EQ(trap.Backtrace(), expected.Backtrace());
    EXPECT_THAT(trap.Backtrace(), HasSubstr("div (math, func 1, offset "));
    ASSERT_FALSE(trap.frames.empty());
    EXPECT_EQ(result.end().detail, trap.frames[0].func_index);
    EXPECT_EQ(result.end().offset, trap.frames[0].module_offset);
    EXPECT_EQ(*channel_.Call(div, 7, 2), 3);
  }
  const CallResult called =
      Must(channel_.Call(math_, "div", {std::numeric_limits<int32_t>::min(), int32_t{-1}}));
  EXPECT_EQ(std::get<Trap>(called.outcome).code, TrapCode::kIntegerOverflow);
}

TEST_P(ChannelE2eTest, ExitsAndStarts) {
  const std::string exit = Upload(client_, kExit);
  for (const InstancePolicy policy : {InstancePolicy::kFresh, InstancePolicy::kChannel}) {
    const BoundFunc leave = Must(channel_.Bind(exit, "leave", policy));
    const CallResult result = Must(channel_.Call(leave, {int32_t{3}}));
    ASSERT_TRUE(std::holds_alternative<Exit>(result.outcome));
    EXPECT_EQ(std::get<Exit>(result.outcome).code, 3U);
  }
  const std::string bad = Upload(client_, kBadStart);
  EXPECT_EQ(channel_.Bind(bad, "f").status().code(), absl::StatusCode::kAborted);
  const CallResult fresh = Must(channel_.Call(bad, "f", {}));
  EXPECT_EQ(std::get<Trap>(fresh.outcome).code, TrapCode::kUnreachable);
}

TEST_P(ChannelE2eTest, WhatCannotBeBound) {
  EXPECT_EQ(channel_.Bind(math_, "no_such").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(channel_.Bind("sha256:" + std::string(64, '0'), "add").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(channel_.Bind(math_, "reference").status().code(), absl::StatusCode::kInvalidArgument);
  // Client::Call can, and so can its stand-in.
  EXPECT_TRUE(channel_.Call(math_, "reference", {Reference{ValType::kExternRef, 0}}).ok());
  EXPECT_EQ(channel_.Call(math_, "no_such", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(channel_.Call(math_, "add", {int32_t{1}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(ChannelE2eTest, DeadlinesAndStops) {
  const BoundFunc spin = Must(channel_.Bind(math_, "spin", InstancePolicy::kFresh));
  const auto count = Typed<int32_t()>("count");
  EXPECT_EQ(*channel_.Call(count), 1);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(channel_.Call(spin, {}, {.timeout = absl::Milliseconds(30)}).status(),
              absl::DeadlineExceededError("not done within 30ms"));
    std::stop_source source;
    std::thread stopper([&] { source.request_stop(); });
    EXPECT_EQ(channel_.Call(spin, {}, {.stop = source.get_token()}).status(),
              absl::CancelledError("cancelled"));
    stopper.join();
  }
  // The channel and its other instances go on.
  EXPECT_EQ(*channel_.Call(count), 2);
  if (is_ring()) {
    const Ticket ticket = Must(channel_.Submit(spin, {}));
    const Ticket behind = Must(channel_.Submit(Must(channel_.Bind(math_, "count")), {}));
    channel_.Flush();
    channel_.Cancel(ticket);
    EXPECT_EQ(std::get<Values>(Must(channel_.Wait(behind)).outcome), Values{int32_t{3}});
    EXPECT_EQ(channel_.Wait(ticket).status().code(), absl::StatusCode::kCancelled);
  }
}

TEST_P(ChannelE2eTest, BatchesAndTickets) {
  const auto add = Typed<int32_t(int32_t, int32_t)>("add");
  const auto div = Typed<int32_t(int32_t, int32_t)>("div");
  const size_t count = is_ring() ? 50'000 : 200;
  std::vector<std::tuple<int32_t, int32_t>> rows;
  rows.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    rows.emplace_back(static_cast<int32_t>(i), i % 7 == 0 ? 0 : 3);
  }
  std::vector<TypedResult<int32_t>> results(count);
  channel_.CallBatch(add, std::span(std::as_const(rows)), std::span(results));
  for (size_t i = 0; i < count; ++i) {
    ASSERT_EQ(*results[i], std::get<0>(rows[i]) + std::get<1>(rows[i]));
  }
  rows.resize(100);
  results.resize(100);
  channel_.CallBatch(div, std::span(std::as_const(rows)), std::span(results));
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(results[i].ok(), i % 7 != 0);
    ASSERT_EQ(*results[i], i % 7 == 0 ? 0 : static_cast<int32_t>(i) / 3);
  }
  std::vector<TypedTicket<int32_t>> tickets;
  tickets.reserve(100);
  for (int32_t i = 0; i < 100; ++i) {
    tickets.push_back(channel_.Submit(add, i, i));
  }
  for (int32_t i = 99; i >= 0; --i) {
    EXPECT_EQ(*channel_.Wait(tickets[static_cast<size_t>(i)]), 2 * i);
  }
}

TEST_P(ChannelE2eTest, ByteStrings) {
  const std::string bytes = Upload(client_, kBytes);
  const absl::StatusOr<BoundFunc> reverse = channel_.BindBytes(bytes, "reverse");
  ASSERT_TRUE(reverse.ok()) << reverse.status();
  if (!is_ring() && absl::IsUnimplemented(channel_.CallBytes(*reverse, "").status())) {
    GTEST_SKIP() << "no byte strings through gRPC";
  }
  for (const std::string& text : {std::string(), std::string("a"), std::string("stressed"),
                                  std::string(100'000, 'x') + "y"}) {
    const BytesResult result = Must(channel_.CallBytes(*reverse, text));
    EXPECT_EQ(std::get<std::string>(result.outcome), std::string(text.rbegin(), text.rend()));
  }
  const std::span<char> input = Must(channel_.LendInput(4));
  std::ranges::copy(std::string_view("live"), input.begin());
  std::string_view output;
  EXPECT_TRUE(channel_.CallBytesInPlace(*reverse, 4, output).ok());
  EXPECT_EQ(output, "evil");
  const BytesResult trapped =
      Must(channel_.CallBytes(Must(channel_.BindBytes(bytes, "trap")), "x"));
  EXPECT_EQ(std::get<Trap>(trapped.outcome).code, TrapCode::kUnreachable);
  EXPECT_TRUE(channel_.CallBytes(*reverse, "x").ok());
  if (is_ring()) {
    EXPECT_EQ(channel_.BindBytes(bytes, "add").status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(channel_.CallBytes(*reverse, std::string(2 << 20, 'x')).status().code(),
              absl::StatusCode::kOutOfRange);
    Channel small =
        Must(client_.OpenChannel({.arena_bytes = 4096, .transport = ChannelTransport::kRing}));
    const absl::Status status =
        small.CallBytes(Must(small.BindBytes(bytes, "reverse")), std::string(3000, 'x')).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
    EXPECT_THAT(std::string(status.message()), HasSubstr("3000 bytes"));
  }
}

TEST_P(ChannelE2eTest, AChannelForEachThread) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Channel channel = Must(client_.OpenChannel({.transport = GetParam()}));
      const auto add = Must(Must(channel.Bind(math_, "add")).Typed<int32_t(int32_t, int32_t)>());
      for (int32_t i = 0; i < (is_ring() ? 5000 : 50); ++i) {
        ASSERT_EQ(*channel.Call(add, i, t), i + t);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// ---- What ends a channel

TEST(ChannelEndE2eTest, TheDaemonsDeath) {
  RealDaemon daemon;
  Client client = Must(Client::Connect(daemon.address()));
  const std::string math = Upload(client, kMath);
  Channel channel = Must(client.OpenChannel({.transport = ChannelTransport::kRing}));
  const BoundFunc spin = Must(channel.Bind(math, "spin"));
  const auto add = Must(Must(channel.Bind(math, "add")).Typed<int32_t(int32_t, int32_t)>());
  EXPECT_EQ(*channel.Call(add, 1, 2), 3);
  const Ticket ticket = Must(channel.Submit(spin, {}));
  channel.Flush();
  daemon.Kill();
  EXPECT_EQ(channel.Wait(ticket).status().code(), absl::StatusCode::kUnavailable);
  const TypedResult<int32_t> after = channel.Call(add, 1, 2);
  EXPECT_EQ(after.end().reason, CallEnd::Reason::kClosed);
  EXPECT_EQ(channel.Explain(after.end()).status().code(), absl::StatusCode::kUnavailable);
}

TEST(ChannelEndE2eTest, TheSessionsEnd) {
  Client client = Must(Client::Connect(Daemon().address()));
  const std::string math = Upload(client, kMath);
  Channel channel = Must(client.OpenChannel({.transport = ChannelTransport::kRing}));
  const auto add = Must(Must(channel.Bind(math, "add")).Typed<int32_t(int32_t, int32_t)>());
  EXPECT_TRUE(client.Close().ok());
  const TypedResult<int32_t> result = channel.Call(add, 1, 2);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(channel.Explain(result.end()).status(),
            absl::UnavailableError("the daemon closed the channel: its session has ended"));
}

TEST(ChannelEndE2eTest, ItKeepsTheSessionAlive) {
  std::optional<Client> client = Must(Client::Connect(Daemon().address()));
  const std::string math = Upload(*client, kMath);
  Channel channel = Must(client->OpenChannel({.transport = ChannelTransport::kRing}));
  client.reset();
  EXPECT_EQ(*channel.Call(Must(Must(channel.Bind(math, "count")).Typed<int32_t()>())), 1);
}

// ---- Where there is no ring

TEST(ChannelFallbackE2eTest, SaysWhy) {
  Client plain = Must(Client::Connect(Daemon().address(), {.pass_descriptors = false}));
  const Channel channel = Must(plain.OpenChannel());
  EXPECT_FALSE(channel.is_ring());
  EXPECT_EQ(channel.fallback_reason(), "passing descriptors is switched off");
  EXPECT_FALSE(plain.OpenChannel({.transport = ChannelTransport::kRing}).ok());

  const RealDaemon strict({"--max-channels", "1"});
  Client client = Must(Client::Connect(strict.address()));
  const Channel first = Must(client.OpenChannel());
  EXPECT_TRUE(first.is_ring()) << first.fallback_reason();
  Channel second = Must(client.OpenChannel());
  EXPECT_FALSE(second.is_ring());
  EXPECT_THAT(std::string(second.fallback_reason()), HasSubstr("--max-channels"));
  const std::string math = Upload(client, kMath);
  EXPECT_EQ(*second.Call(Must(Must(second.Bind(math, "count")).Typed<int32_t()>())), 1);
  EXPECT_EQ(client.OpenChannel({.transport = ChannelTransport::kRing}).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace wasmd::client
