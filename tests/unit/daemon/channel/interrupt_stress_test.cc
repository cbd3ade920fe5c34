// Deadlines and cancels at random moments against calls over rings, of random kinds and lengths:
// each call ends as it would have, or as what was asked for it, and no other call is hit.
//
// WASMD_STRESS_INTERRUPTS says how many; a million in scripts/test.sh --long.
#include <cstdint>
#include <deque>
#include <iostream>
#include <memory>
#include <random>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "daemon/pool/engine_types.h"
#include "daemon/pool/worker_pool.h"
#include "proto/ring/layout.h"
#include "proto/ring/wait.h"
#include "tests/support/channel_harness.h"
#include "tests/support/stress.h"

namespace wasmd::daemon {
namespace {

using ring::CompletionKind;
using tests::ChannelHarness;

constexpr std::string_view kModule = R"((module (memory 1) (global $count (mut i32) (i32.const 0))
  (func (export "nop") (param i32) (result i32) (i32.const 1))
  (func (export "spin") (param i32) (result i32)
    (loop $l (br_if $l (i32.gt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0)))) (i32.const 1))
  (func (export "fill") (param i32) (result i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)) (i32.const 1))
  (func (export "trap") (param i32) (result i32) (drop (i32.load (i32.const -1))) (i32.const 1))
  (func (export "loop") (param i32) (result i32) (loop $l (br $l)) (i32.const 1))
  (func (export "count") (param i32) (result i32)
    (loop $l (br_if $l (i32.gt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0))))
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))))";

constexpr std::string_view kFresh[] = {"nop", "spin", "fill", "trap", "loop"};
constexpr uint32_t kTrap = 3;
constexpr uint32_t kLoop = 4;
constexpr uint32_t kCount = 5;  // Of an instance that is kept, and that nobody ever interrupts.

struct Call {
  uint64_t number = 0;
  uint32_t func = 0;
  bool has_deadline = false;
  bool is_cancelled = false;
};

TEST(ChannelInterruptStressTest, NoneIsLostAndNoneHitsAnother) {
  const int64_t wanted = tests::StressInterrupts(50'000);
  WorkerPoolOptions options;
  options.limit_name = "--test-limit";
  options.workers = 1;
  options.max_workers = 3;
  options.max_queued = 8;
  options.tick = absl::Microseconds(200);
  WorkerPool pool(options);
  tests::HarnessEngine engine;
  {
    const auto module = engine.Load(kModule);
    ChannelHarness channel(engine, &pool);
    // Another client's, whose calls are served by whoever has time.
    ChannelHarness other(engine, &pool);
    const uint32_t other_count = other.Bind(engine.Keep(module), "count");
    uint32_t bound = 0;
    for (const std::string_view func : kFresh) {
      ASSERT_EQ(channel.BindFresh(module, func), bound++);
    }
    ASSERT_EQ(channel.Bind(engine.Keep(module), "count"), kCount);

    std::mt19937 random(11);
    std::deque<Call> flying;
    uint64_t counted = 0;
    uint64_t other_counted = 0;
    int64_t sent = 0;
    uint64_t by_deadline = 0;
    uint64_t by_cancel = 0;
    uint64_t in_time = 0;
    while (sent < wanted || !flying.empty()) {
      if (sent < wanted && flying.size() < 1 + random() % 8) {
        Call call;
        call.func = static_cast<uint32_t>(random() % 6);
        const auto length = static_cast<uint32_t>(random() % (1u << random() % 16));
        ring::Submission message = ChannelHarness::CallOf(call.func, {length});
        if (call.func != kCount && (call.func == kLoop || random() % 2 == 0)) {
          call.has_deadline = call.func != kLoop || random() % 8 != 0;
          if (call.has_deadline) {
            // Some are over before the call begins, some come when it has ended.
            message.deadline_ns = ring::MonotonicNs() + random() % (1u << random() % 18);
            ++sent;
          }
        }
        call.number = channel.Submit(message);
        flying.push_back(call);
      }
      if (random() % 16 == 0) {
        other.Submit(ChannelHarness::CallOf(other_count, {static_cast<uint32_t>(random() % 500)}));
        ring::Completion answer;
        ASSERT_TRUE(other.Wait(answer));
        ASSERT_EQ(answer.kind, CompletionKind::kReturned);
        ASSERT_EQ(answer.payload[0], ++other_counted);
      }
      if (flying.empty()) {
        continue;
      }
      // A loop without a deadline is the oldest at some time, and cancelled then at the latest.
      Call& victim = flying[random() % flying.size()];
      Call& oldest = flying.front();
      for (Call* const call : {&victim, &oldest}) {
        const bool must = call == &oldest && call->func == kLoop && !call->has_deadline;
        if (call->func != kCount && !call->is_cancelled && (must || random() % 8 == 0)) {
          call->is_cancelled = true;
          ++sent;
          if (random() % 4 == 0) {
            channel.client.Cancel(call->number);
          } else {
            channel.Cancel(call->number);
          }
        }
      }
      ring::Completion answer;
      if (flying.size() < 4 && random() % 2 == 0 ? !channel.client.Take(answer)
                                                 : !channel.Wait(answer)) {
        continue;
      }
      const Call call = flying.front();
      flying.pop_front();
      switch (answer.kind) {
        case CompletionKind::kReturned:
          ASSERT_NE(call.func, kLoop);
          ASSERT_NE(call.func, kTrap);
          ASSERT_EQ(answer.payload[0], call.func == kCount ? ++counted : 1);
          in_time += call.has_deadline || call.is_cancelled ? 1 : 0;
          break;
        case CompletionKind::kTrapped:
          ASSERT_EQ(call.func, kTrap);
          break;
        case CompletionKind::kFailed:
          if (answer.code == static_cast<uint16_t>(absl::StatusCode::kDeadlineExceeded)) {
            ASSERT_TRUE(call.has_deadline) << "function " << call.func;
            ++by_deadline;
          } else {
            ASSERT_EQ(answer.code, static_cast<uint16_t>(absl::StatusCode::kCancelled));
            ASSERT_TRUE(call.is_cancelled) << "function " << call.func;
            ++by_cancel;
          }
          break;
        default:
          FAIL() << "kind " << static_cast<int>(answer.kind);
      }
    }
    EXPECT_EQ(channel.violations.load() + other.violations.load(), 0u);
    std::cout << sent << " deadlines and cancels: " << by_deadline << " calls ended by deadline, "
              << by_cancel << " by cancel, " << in_time << " were over before; " << counted
              << " and " << other_counted << " calls beside them were not hit\n";
  }
  pool.Shutdown();
}

}  // namespace
}  // namespace wasmd::daemon
