// Calls over rings, served by workers: every kind of value, every policy, every way to end, and
// what the daemon does not believe.
#include "daemon/channel/channel.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/pool/engine_types.h"
#include "daemon/pool/worker_pool.h"
#include "proto/ring/layout.h"
#include "proto/ring/wait.h"
#include "tests/support/channel_harness.h"

namespace wasmd::daemon {
namespace {

using ring::Completion;
using ring::CompletionKind;
using ring::Submission;
using ring::SubmissionKind;
using testing::HasSubstr;
using tests::ChannelHarness;

constexpr uint64_t kLongNs = 30'000'000'000;

constexpr std::string_view kModule = R"((module
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func (export "nop"))
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "same") (param i64 f32 f64) (result f64 f32 i64) local.get 2 local.get 1 local.get 0)
  (func (export "vector") (param v128 v128) (result v128 v128) local.get 1 local.get 0)
  (func (export "many") (param i64 i64 i64 i64 i64 i64) (result i64 i64 i64 i64 i64 i64)
    local.get 5 local.get 4 local.get 3 local.get 2 local.get 1 local.get 0)
  (func (export "count") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
  (func (export "div") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
  (func (export "loop") (loop br 0))
  (func (export "ref") (param externref))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "echo") (param i32 i32) (result i32)
    (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
  (func (export "liar") (param i32 i32) (result i32)
    (i32.store (i32.const 16) (i32.const 65000)) (i32.store (i32.const 20) (i32.const -1)) (i32.const 16))
))";

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() : pool_(Options()) {}
  ~ChannelTest() override {
    harness_ = nullptr;
    others_.clear();
    pool_.InterruptAll(engine::InterruptReason::kShutdown);
    pool_.Shutdown();
  }
  void SetUp() override {
    module_ = engine_.Load(kModule);
    kept_ = engine_.Keep(module_);
    harness_ = std::make_unique<ChannelHarness>(engine_, &pool_);
  }

  Completion Call(const Submission& message) { return CallOn(*harness_, message); }
  static Completion CallOn(ChannelHarness& harness, const Submission& message) {
    harness.Submit(message);
    Completion answer;
    EXPECT_TRUE(harness.Wait(answer)) << "no answer";
    return answer;
  }
  Completion Call(std::string_view func, std::vector<uint64_t> words) {
    const auto [known, is_new] = bound_.try_emplace(std::string(func));
    if (is_new) {
      known->second = harness_->Bind(kept_, func);
    }
    return Call(ChannelHarness::CallOf(known->second, std::move(words)));
  }
  std::string Reason(const Completion& answer) {
    const auto report = harness_->channel().FindReport(answer.detail);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) {
      return "";
    }
    const auto* status = std::get_if<absl::Status>(&*report);
    return status != nullptr ? std::string(status->message())
                             : engine::ToString(std::get<engine::Stop>(*report));
  }
  void ExpectFailed(const Completion& answer, absl::StatusCode code, std::string_view reason) {
    EXPECT_EQ(answer.kind, CompletionKind::kFailed);
    EXPECT_EQ(answer.code, static_cast<uint16_t>(code));
    EXPECT_THAT(Reason(answer), HasSubstr(std::string(reason)));
  }
  // The channel ends, without an answer, and says why.
  void ExpectViolation(const Submission& message, std::string_view reason) {
    ChannelHarness harness(engine_, &pool_);
    const uint32_t func = harness.Bind(kept_, "nop");
    EXPECT_EQ(func, 0u);
    EXPECT_EQ(harness.Bind(kept_, "echo", true), 1u);
    harness.Submit(message);
    for (int i = 0; i < 30'000 && harness.violations.load() == 0; ++i) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_THAT(harness.channel().violation(), HasSubstr(std::string(reason)));
    Completion none;
    EXPECT_FALSE(harness.client.Take(none)) << "answered all the same";
  }

  static absl::StatusOr<std::unique_ptr<BoundFunc>> BindKept(
      const std::shared_ptr<KeptInstance>& kept, std::string_view func, bool bytes) {
    return BoundFunc::OfInstance(InstancePolicy::kChannel, kept, func, bytes);
  }

  static WorkerPoolOptions Options() {
    WorkerPoolOptions options;
    options.limit_name = "--test";
    options.workers = 2;
    options.max_workers = 6;
    options.max_queued = 100;
    options.stack_bytes = size_t{2} << 20;
    return options;
  }

  tests::HarnessEngine engine_;
  WorkerPool pool_;
  std::shared_ptr<engine::LoadedModule> module_;
  std::shared_ptr<KeptInstance> kept_;
  std::unique_ptr<ChannelHarness> harness_;
  std::vector<std::unique_ptr<ChannelHarness>> others_;
  std::map<std::string, uint32_t, std::less<>> bound_;  // Functions of kept_, on harness_.
};

TEST_F(ChannelTest, CarriesEveryKindOfValue) {
  Completion answer = Call("add", {0xffff'ffff'0000'0005, 7});
  EXPECT_EQ(answer.kind, CompletionKind::kReturned);
  EXPECT_EQ(answer.words, 1);
  EXPECT_EQ(answer.payload[0], 12u) << "the upper half of an i32's word has no meaning";
  answer = Call("add", {0xffff'ffff, 0xffff'ffff});
  EXPECT_EQ(answer.payload[0], 0xffff'fffeu) << "results are zero-extended";
  const uint64_t nan = 0x7ff8'dead'beef'0001;
  answer = Call("same", {1, std::bit_cast<uint32_t>(0.5f), nan});
  EXPECT_EQ(answer.words, 3);
  EXPECT_EQ(answer.payload[0], nan);
  EXPECT_EQ(answer.payload[1], std::bit_cast<uint32_t>(0.5f));
  EXPECT_EQ(answer.payload[2], 1u);
  answer = Call("vector", {1, 2, 3, 4});
  EXPECT_EQ(answer.words, 4);
  EXPECT_THAT(answer.payload, testing::ElementsAre(3, 4, 1, 2));
  answer = Call("nop", {});
  EXPECT_EQ(answer.kind, CompletionKind::kReturned);
  EXPECT_EQ(answer.words, 0);
}

TEST_F(ChannelTest, TagsComeBackInOrder) {
  const uint32_t add = harness_->Bind(kept_, "add");
  uint32_t answered = 0;
  for (uint32_t sent = 0; answered < 20'000;) {
    while (harness_->client.CanSubmit() && sent < 20'000) {
      Submission message = ChannelHarness::CallOf(add, {sent, 1});
      message.tag = sent++;
      harness_->Submit(message);
    }
    Completion answer;
    ASSERT_TRUE(harness_->Wait(answer));
    ASSERT_EQ(answer.tag, answered);
    ASSERT_EQ(answer.payload[0], ++answered);
  }
  EXPECT_EQ(harness_->channel().calls(), 20'000u);
}

TEST_F(ChannelTest, MoreThanASlotHoldsTravelsInTheArena) {
  Submission message = ChannelHarness::CallOf(harness_->Bind(kept_, "many"), {64, 48, 1024, 48});
  message.flags = ring::kFlagArena;
  std::byte* const arena = harness_->client.view().arena();
  for (uint64_t i = 0; i < 6; ++i) {
    std::memcpy(arena + 64 + i * 8, &i, 8);
  }
  Completion answer = Call(message);
  EXPECT_EQ(answer.kind, CompletionKind::kReturned);
  EXPECT_EQ(answer.detail, 48u);
  for (uint64_t i = 0; i < 6; ++i) {
    uint64_t word = 0;
    std::memcpy(&word, arena + 1024 + i * 8, 8);
    EXPECT_EQ(word, 5 - i);
  }
  message.payload[1] = 40;
  ExpectFailed(Call(message), absl::StatusCode::kInvalidArgument, "it takes 6 words");
  message.payload[1] = 48;
  message.payload[3] = 40;
  answer = Call(message);
  ExpectFailed(answer, absl::StatusCode::kOutOfRange, "has 48 bytes, and there is room for 40");
  EXPECT_EQ(answer.payload[0], 48u);
  ExpectFailed(Call("many", {1, 2, 3, 4}), absl::StatusCode::kInvalidArgument,
               "without kFlagArena");
}

// Wake-ups are held back while more messages lie in the ring; not for as long as a call takes.
TEST_F(ChannelTest, ALongCallDoesNotHoldBackTheAnswersBeforeIt) {
  const uint32_t add = harness_->Bind(kept_, "add");
  const uint32_t loop = harness_->BindFresh(module_, "loop");
  for (uint64_t i = 0; i < 20; ++i) {
    // Asleep before the daemon sees anything: it may be looking.
    ASSERT_TRUE(harness_->client.PrepareSleep(ring::kAsleepFutex));
    harness_->client.Submit(ChannelHarness::CallOf(add, {i, 1}));
    const uint64_t endless = harness_->client.Submit(ChannelHarness::CallOf(loop, {}));
    harness_->Flush();
    while (!harness_->client.HasCompletion()) {
      ring::FutexWait(harness_->client.wait_word(), ring::kAsleepFutex, kLongNs);
      ASSERT_NE(harness_->client.wait_word().load(), ring::kAsleepFutex) << "nobody woke it up";
    }
    Completion answer;
    ASSERT_TRUE(harness_->client.Take(answer));
    EXPECT_EQ(answer.payload[0], i + 1);
    harness_->client.Cancel(endless);
    ASSERT_TRUE(harness_->Wait(answer));
    EXPECT_EQ(answer.code, static_cast<uint16_t>(absl::StatusCode::kCancelled));
  }
}

TEST_F(ChannelTest, PoliciesDifferInState) {
  EXPECT_EQ(Call("count", {}).payload[0], 1u);
  EXPECT_EQ(Call("count", {}).payload[0], 2u) << "functions of a channel share its instance";
  const uint32_t fresh = harness_->BindFresh(module_, "count");
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Call(ChannelHarness::CallOf(fresh, {})).payload[0], 1u) << i;
  }
  const uint32_t shared = harness_->BindShared(kept_->group, kept_->instance, "count");
  EXPECT_EQ(Call(ChannelHarness::CallOf(shared, {})).payload[0], 3u);
}

TEST_F(ChannelTest, AFreshInstanceAfterATrapIsFresh) {
  const auto module = engine_.Load(R"((module (memory (export "memory") 1)
    (func (export "f") (param i32) (result i32)
      (if (i32.load (i32.const 8)) (then (return (i32.const 99))))
      (i32.store (i32.const 8) (i32.const 1))
      (i32.div_s (i32.const 4) (local.get 0)))))");
  const uint32_t func = harness_->BindFresh(module, "f");
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Call(ChannelHarness::CallOf(func, {0})).kind, CompletionKind::kTrapped);
    EXPECT_EQ(Call(ChannelHarness::CallOf(func, {2})).payload[0], 2u);
  }
}

TEST_F(ChannelTest, TellsTraps) {
  const Completion answer = Call("div", {1, 0});
  EXPECT_EQ(answer.kind, CompletionKind::kTrapped);
  EXPECT_EQ(answer.code, static_cast<uint16_t>(engine::TrapCode::kDivideByZero));
  EXPECT_EQ(answer.payload[0], 6u) << "the function's index";
  EXPECT_NE(answer.payload[1], ~uint64_t{0}) << "the offset in the module";
  EXPECT_THAT(Reason(answer), HasSubstr("integer divide by zero"));
  EXPECT_EQ(harness_->traps.load(), 1u);
  EXPECT_EQ(Call("div", {6, 3}).payload[0], 2u);
  // Reports go, the oldest first.
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(Call("div", {1, 0}).kind, CompletionKind::kTrapped);
  }
  EXPECT_EQ(harness_->channel().FindReport(answer.detail).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(harness_->channel().FindReport(1'000'000).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ChannelTest, DeadlinesEndCallsAndTheirInstance) {
  Submission message = ChannelHarness::CallOf(harness_->Bind(kept_, "loop"), {});
  message.deadline_ns = ring::MonotonicNs() + 5'000'000;
  ExpectFailed(Call(message), absl::StatusCode::kDeadlineExceeded, "stopped at its deadline");
  ExpectFailed(Call("add", {1, 2}), absl::StatusCode::kFailedPrecondition, "stopped in the middle");
  EXPECT_EQ(harness_->channel().FindKept("m"), nullptr);
  // Of fresh instances, only the one that was stopped is lost.
  Submission fresh = ChannelHarness::CallOf(harness_->BindFresh(module_, "loop"), {});
  const uint32_t add = harness_->BindFresh(module_, "add");
  for (int i = 0; i < 5; ++i) {
    fresh.deadline_ns = ring::MonotonicNs() + 2'000'000;
    ExpectFailed(Call(fresh), absl::StatusCode::kDeadlineExceeded, "loop");
    EXPECT_EQ(Call(ChannelHarness::CallOf(add, {1, 2})).payload[0], 3u);
  }
}

// A channel's own pool with limits of time, and what they do to endless calls.
class LimitedChannelTest : public ChannelTest,
                           public testing::WithParamInterface<absl::Duration WorkerPoolOptions::*> {
 protected:
  LimitedChannelTest() : limited_(LimitedOptions()) {}
  ~LimitedChannelTest() override {
    harness_ = nullptr;
    limited_.InterruptAll(engine::InterruptReason::kShutdown);
    limited_.Shutdown();
  }
  void SetUp() override {
    ChannelTest::SetUp();
    harness_ = std::make_unique<ChannelHarness>(engine_, &limited_);
  }

  WorkerPool limited_;

 private:
  static WorkerPoolOptions LimitedOptions() {
    WorkerPoolOptions options = Options();
    options.*GetParam() = absl::Milliseconds(20);
    return options;
  }
};

TEST_P(LimitedChannelTest, EndlessCallsMeetTheLimitAndOthersDoNot) {
  const bool is_cpu = GetParam() == &WorkerPoolOptions::max_cpu_time;
  const uint32_t add = harness_->BindFresh(module_, "add");
  const uint32_t loop = harness_->BindFresh(module_, "loop");
  for (int i = 0; i < 3; ++i) {
    ExpectFailed(Call(ChannelHarness::CallOf(loop, {})), absl::StatusCode::kResourceExhausted,
                 is_cpu ? "20ms of CPU time (--max-cpu-time)" : "20ms (--max-call-time)");
    for (int j = 0; j < 1000; ++j) {
      EXPECT_EQ(Call(ChannelHarness::CallOf(add, {1, 2})).payload[0], 3u);
    }
  }
  // A client's deadline that comes first is what it is told.
  Submission message = ChannelHarness::CallOf(loop, {});
  message.deadline_ns = ring::MonotonicNs() + 2'000'000;
  ExpectFailed(Call(message), absl::StatusCode::kDeadlineExceeded, "stopped at its deadline");
}

INSTANTIATE_TEST_SUITE_P(Times, LimitedChannelTest,
                         testing::Values(&WorkerPoolOptions::max_call_time,
                                         &WorkerPoolOptions::max_cpu_time),
                         [](const auto& each) { return each.index == 0 ? "Call" : "Cpu"; });

TEST_F(ChannelTest, ACallWhoseDeadlineHasPassedDoesNotBegin) {
  Submission message = ChannelHarness::CallOf(harness_->Bind(kept_, "count"), {});
  message.deadline_ns = 1;
  ExpectFailed(Call(message), absl::StatusCode::kDeadlineExceeded, "deadline");
  message.deadline_ns = 0;
  message.cancel = 1;
  ExpectFailed(Call(message), absl::StatusCode::kCancelled, "cancelled");
  message.cancel = 0;
  EXPECT_EQ(Call(message).payload[0], 1u) << "one of those before has run";
}

TEST_F(ChannelTest, ADeadlineNeverHitsTheNextCall) {
  Submission message = ChannelHarness::CallOf(harness_->Bind(kept_, "count"), {});
  uint64_t expected = 0;
  for (int i = 0; i < 3'000; ++i) {
    // So that it passes before, during and after the call.
    message.deadline_ns = ring::MonotonicNs() + static_cast<uint64_t>(i % 30) * 100;
    harness_->Submit(message);
    Submission plain = message;
    plain.deadline_ns = 0;
    harness_->Submit(plain);
    Completion first;
    Completion second;
    ASSERT_TRUE(harness_->Wait(first) && harness_->Wait(second));
    expected += first.kind == CompletionKind::kReturned ? 2 : 1;
    ASSERT_EQ(second.kind, CompletionKind::kReturned) << i << " " << Reason(second);
    ASSERT_EQ(second.payload[0], expected);
  }
}

TEST_F(ChannelTest, CancelsWhatRuns) {
  for (int i = 0; i < 5; ++i) {
    const uint64_t number =
        harness_->Submit(ChannelHarness::CallOf(harness_->BindFresh(module_, "loop"), {}));
    absl::SleepFor(absl::Milliseconds(i));
    harness_->client.Cancel(number);
    Completion answer;
    ASSERT_TRUE(harness_->Wait(answer));
    ExpectFailed(answer, absl::StatusCode::kCancelled, "cancelled");
  }
}

TEST_F(ChannelTest, EndsItsCallWhenItIsDetached) {
  harness_->Submit(ChannelHarness::CallOf(harness_->Bind(kept_, "loop"), {}));
  for (int i = 0; i < 30'000 && !pool_.InRingCall(); ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  absl::SleepFor(absl::Milliseconds(2));  // Into the guest.
  const std::weak_ptr<Channel> channel = harness_->shared();
  harness_ = nullptr;
  for (int i = 0; i < 30'000 && !channel.expired(); ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_TRUE(channel.expired());
  EXPECT_TRUE(kept_->abandoned.load());
}

TEST_F(ChannelTest, SharedInstancesAreCalledInTurns) {
  constexpr int kChannels = 4;
  constexpr int kCalls = 2'000;
  for (int i = 0; i < kChannels; ++i) {
    others_.push_back(std::make_unique<ChannelHarness>(engine_, &pool_));
  }
  std::vector<std::thread> clients;
  for (int i = 0; i < kChannels; ++i) {
    clients.emplace_back([&, i] {
      ChannelHarness& harness = *others_[static_cast<size_t>(i)];
      const uint32_t count = harness.BindShared(kept_->group, kept_->instance, "count");
      for (int call = 0; call < kCalls; ++call) {
        ASSERT_EQ(CallOn(harness, ChannelHarness::CallOf(count, {})).kind,
                  CompletionKind::kReturned);
      }
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  EXPECT_EQ(Call("count", {}).payload[0], uint64_t{kChannels} * kCalls + 1);
}

TEST_F(ChannelTest, WaitsForItsTurnWhileOthersHaveIt) {
  ASSERT_TRUE(kept_->group->TryEnter());
  const uint32_t shared = harness_->BindShared(kept_->group, kept_->instance, "count");
  harness_->Submit(ChannelHarness::CallOf(shared, {}));
  ChannelHarness other(engine_, &pool_);
  EXPECT_EQ(
      CallOn(other, ChannelHarness::CallOf(other.BindFresh(module_, "add"), {1, 2})).payload[0],
      3u);
  std::function<void()> next;
  for (int i = 0; i < 30'000 && !next; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
    if ((next = kept_->group->Leave()) == nullptr) {
      ASSERT_TRUE(kept_->group->TryEnter()) << "nobody waited, and somebody has the turn";
    }
  }
  ASSERT_TRUE(next);
  Completion answer;
  EXPECT_FALSE(harness_->client.Take(answer)) << "called without its turn";
  pool_.SubmitAdmitted(std::move(next));
  ASSERT_TRUE(harness_->Wait(answer));
  EXPECT_EQ(answer.payload[0], 1u);
}

TEST_F(ChannelTest, OnlySoManyWaitForOneInstance) {
  ASSERT_TRUE(kept_->group->TryEnter());
  for (int i = 0; i < 5; ++i) {
    others_.push_back(std::make_unique<ChannelHarness>(engine_, &pool_));
    others_.back()->Submit(ChannelHarness::CallOf(
        others_.back()->BindShared(kept_->group, kept_->instance, "count"), {}));
  }
  // Four wait, the fifth is told so; then each has its turn.
  const auto answered = [&](Completion& answer) {
    return std::ranges::count_if(others_,
                                 [&](const auto& other) { return other->client.Take(answer); });
  };
  Completion refused;
  for (int i = 0; i < 30'000 && answered(refused) == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(refused.code, static_cast<uint16_t>(absl::StatusCode::kResourceExhausted));
  std::function<void()> next = kept_->group->Leave();
  ASSERT_TRUE(next);
  pool_.SubmitAdmitted(std::move(next));
  int returned = 0;
  for (int i = 0; i < 30'000 && returned < 4; ++i) {
    Completion answer;
    returned += static_cast<int>(answered(answer));
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(returned, 4);
  EXPECT_EQ(Call("count", {}).payload[0], 5u);
}

TEST_F(ChannelTest, ATurnThatComesTooLateGoesOn) {
  ASSERT_TRUE(kept_->group->TryEnter());
  const uint32_t shared = harness_->BindShared(kept_->group, kept_->instance, "count");
  harness_->Submit(ChannelHarness::CallOf(shared, {}));
  std::function<void()> next;
  for (int i = 0; i < 30'000 && !next; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
    if ((next = kept_->group->Leave()) == nullptr) {
      ASSERT_TRUE(kept_->group->TryEnter());
    }
  }
  harness_ = nullptr;  // Its client goes while it waits.
  next();
  next = nullptr;
  bool free = false;
  for (int i = 0; i < 30'000 && !free; ++i) {
    absl::SleepFor(absl::Milliseconds(1));
    free = kept_->group->TryEnter();
  }
  EXPECT_TRUE(free) << "a channel that has gone keeps the turn";
}

TEST_F(ChannelTest, BytesGoInAndOut) {
  Submission message =
      ChannelHarness::CallOf(harness_->Bind(kept_, "echo", true), {100, 5, 200, 5});
  message.kind = SubmissionKind::kCallBytes;
  std::byte* const arena = harness_->client.view().arena();
  std::memcpy(arena + 100, "hello", 5);
  Completion answer = Call(message);
  EXPECT_EQ(answer.kind, CompletionKind::kReturned);
  EXPECT_EQ(answer.detail, 5u);
  EXPECT_EQ(std::memcmp(arena + 200, "hello", 5), 0);
  message.payload[3] = 3;
  answer = Call(message);
  ExpectFailed(answer, absl::StatusCode::kOutOfRange, "has 5 bytes, and there is room for 3");
  EXPECT_EQ(answer.payload[0], 5u);
  message.payload[1] = 0;
  EXPECT_EQ(Call(message).detail, 0u);
  message.payload[1] = 100'000;  // More than the guest has memory.
  answer = Call(message);
  EXPECT_EQ(answer.kind, CompletionKind::kTrapped);
  EXPECT_THAT(Reason(answer), HasSubstr("cabi_realloc returned an address"));
  // A function is called as it was bound.
  message.kind = SubmissionKind::kCall;
  ExpectFailed(Call(message), absl::StatusCode::kInvalidArgument,
               "was bound as a function on byte");
  message = ChannelHarness::CallOf(harness_->Bind(kept_, "add"), {0, 0, 0, 0});
  message.kind = SubmissionKind::kCallBytes;
  ExpectFailed(Call(message), absl::StatusCode::kInvalidArgument, "was not bound as a function on");
  message.func = harness_->Bind(kept_, "liar", true);
  answer = Call(message);
  EXPECT_EQ(answer.kind, CompletionKind::kTrapped);
  EXPECT_THAT(Reason(answer), HasSubstr("output lies outside of the memory"));
}

TEST_F(ChannelTest, RefusesToBindWhatCannotTravel) {
  EXPECT_THAT(BindKept(kept_, "ref", false).status().message(),
              HasSubstr("references do not travel"));
  EXPECT_EQ(BindKept(kept_, "none", false).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(BindKept(kept_, "memory", false).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(BindKept(kept_, "add", true).status().ToString(),
              testing::AnyOf(HasSubstr("add"), HasSubstr("OK")));
  EXPECT_EQ(BindKept(kept_, "nop", true).status().code(), absl::StatusCode::kInvalidArgument);
  const auto bare = engine_.Keep(engine_.Load(R"((module (memory (export "memory") 1)
    (func (export "f") (param i32 i32) (result i32) i32.const 0)))"));
  const auto lacking = BindKept(bare, "f", true);
  EXPECT_EQ(lacking.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(lacking.status().message()), HasSubstr("cabi_realloc"));
  for (int i = 0; i < 16; ++i) {
    harness_->Bind(kept_, "nop");
  }
  EXPECT_EQ(harness_->channel().Bind(*BindKept(kept_, "nop", false)).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(ChannelTest, SaysWhatIsWrongWithOneCall) {
  ExpectFailed(Call("add", {1}), absl::StatusCode::kInvalidArgument,
               "it takes 2 words and gives 1; 1 came");
  ExpectFailed(Call("add", {1, 2, 3}), absl::StatusCode::kInvalidArgument, "3 came");
  EXPECT_EQ(Call("add", {1, 2}).payload[0], 3u);
  EXPECT_EQ(harness_->violations.load(), 0u);
}

TEST_F(ChannelTest, EndsWhereTheProtocolIsBroken) {
  Submission message = ChannelHarness::CallOf(99, {});
  ExpectViolation(message, "function 99");
  message.func = 0xffff'ffff;
  ExpectViolation(message, "which it has not bound");
  for (const int kind : {0, 3, 64, 255}) {
    message = ChannelHarness::CallOf(0, {});
    message.kind = static_cast<SubmissionKind>(kind);
    ExpectViolation(message, "unknown kind");
  }
  message = ChannelHarness::CallOf(0, {});
  message.flags = 2;
  ExpectViolation(message, "unknown flags");
  message.flags = 0;
  message.words = 5;
  ExpectViolation(message, "more words than a slot");
  constexpr uint64_t kArena = 256 * 1024;
  const std::vector<std::vector<uint64_t>> ranges = {{kArena, 1, 0, 0},
                                                     {kArena + 1, 0, 0, 0},
                                                     {0, kArena + 1, 0, 0},
                                                     {8, kArena, 0, 0},
                                                     {~uint64_t{0}, 8, 0, 0},
                                                     {8, ~uint64_t{0}, 0, 0},
                                                     {0, 0, kArena, 1},
                                                     {0, 0, ~uint64_t{0} - 7, 16},
                                                     {0, 0, 0, ~uint64_t{0}},
                                                     {4, 0, 0, 0},
                                                     {0, 0, 4, 0},
                                                     {uint64_t{1} << 63, uint64_t{1} << 63, 0, 0}};
  for (const std::vector<uint64_t>& range : ranges) {
    message = ChannelHarness::CallOf(0, range);
    message.flags = ring::kFlagArena;
    ExpectViolation(message, "outside of the arena");
    if (range[0] != 4 && range[2] != 4) {
      message.flags = 0;
      message.func = 1;
      message.kind = SubmissionKind::kCallBytes;
      ExpectViolation(message, "outside of the arena");
    }
  }
}

TEST_F(ChannelTest, AnswersWhileItDrains) {
  EXPECT_EQ(Call("count", {}).payload[0], 1u);
  harness_->channel().MarkDraining();
  ExpectFailed(Call("count", {}), absl::StatusCode::kUnavailable, "shutting down");
}

}  // namespace
}  // namespace wasmd::daemon
