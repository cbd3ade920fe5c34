// Instantiating, calling and running guests: what returns, what traps, what is refused before
// anything runs.
#include "daemon/pool/guest.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/pool/engine_types.h"
#include "daemon/pool/invocation.h"
#include "tests/support/load_wat.h"

namespace wasmd::daemon {
namespace {

using absl::StatusCode;
using engine::ValType;
using engine::Value;
using testing::HasSubstr;

const GuestLimits kLimits{.memory_bytes = 1 << 20, .wasm_stack_bytes = 1 << 20};

class GuestTest : public testing::Test {
 protected:
  std::shared_ptr<engine::LoadedModule> Load(std::string_view text) {
    auto loaded = engine::LoadWat(*engine_, text);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *std::move(loaded);
  }

  // An invocation that has begun.
  Invocation& Begun() {
    invocations_.push_back(std::make_unique<Invocation>(InvocationInfo{}));
    EXPECT_TRUE(invocations_.back()->Begin());
    return *invocations_.back();
  }

  absl::StatusOr<CallGuestResult> CallFresh(std::string_view text, std::string func,
                                            std::vector<GuestArgument> args = {}) {
    return CallFreshGuest(engine_->runtime(), kLimits, Load(text),
                          {std::move(func), std::move(args)}, Begun());
  }

  absl::StatusOr<CallGuestResult> CallIn(InstanceGroup& group, engine::Instance& instance,
                                         std::string func, std::vector<GuestArgument> args = {}) {
    return CallGuest(group, instance, {std::move(func), std::move(args)}, Begun(),
                     [this] { return next_handle_++; });
  }

  std::unique_ptr<engine::Engine> engine_ = *engine::Engine::Create({});
  std::vector<std::unique_ptr<Invocation>> invocations_;
  uint64_t next_handle_ = 100;
};

constexpr std::string_view kAdd =
    R"((module (func (export "add") (param i32 i64) (result i64)
         (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
       (global (export "g") i32 (i32.const 1))))";

TEST_F(GuestTest, CallsAFreshInstance) {
  const auto called = CallFresh(kAdd, "add", {{Value::I32(-1), 0}, {Value::I64(int64_t{43}), 0}});
  ASSERT_TRUE(called.ok()) << called.status();
  EXPECT_FALSE(called->result.stop.has_value());
  ASSERT_EQ(called->values.size(), 1u);
  EXPECT_EQ(called->values[0].value, Value::I64(int64_t{42}));
}

TEST_F(GuestTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(CallFresh(kAdd, "sub").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(CallFresh(kAdd, "g").status().code(), StatusCode::kInvalidArgument);
  const absl::Status count = CallFresh(kAdd, "add", {{Value::I32(1), 0}}).status();
  EXPECT_EQ(count.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(count.message()), HasSubstr("(func (param i32 i64) (result i64))"));
  const absl::Status type =
      CallFresh(kAdd, "add", {{Value::I32(1), 0}, {Value::F64(1), 0}}).status();
  EXPECT_EQ(type.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(type.message()), HasSubstr("argument 1 must be i64 and is f64"));
  EXPECT_EQ(CallFresh(kAdd, "add", {{Value::I32(1), 0}, {Value::Null(ValType::kFuncRef), 5}})
                .status()
                .code(),
            StatusCode::kInvalidArgument);
}

TEST_F(GuestTest, ATrapIsAResult) {
  const auto called = CallFresh(R"((module (func (export "f") unreachable)))", "f");
  ASSERT_TRUE(called.ok()) << called.status();
  ASSERT_TRUE(called->result.stop.has_value());
  EXPECT_EQ(std::get<engine::Trap>(*called->result.stop).code, engine::TrapCode::kUnreachable);
}

TEST_F(GuestTest, AnInterruptBeforeTheCallStopsIt) {
  Invocation& invocation = Begun();
  invocation.Interrupt(engine::InterruptReason::kCancel);
  const auto called = CallFreshGuest(engine_->runtime(), kLimits,
                                     Load(R"((module (func (export "f") (loop $l (br $l)))))"),
                                     {"f", {}}, invocation);
  ASSERT_TRUE(called.ok()) << called.status();
  ASSERT_TRUE(called->result.stop.has_value());
  EXPECT_TRUE(std::holds_alternative<engine::Interrupt>(*called->result.stop));
}

TEST_F(GuestTest, MemoryIsBounded) {
  const auto called = CallFresh(
      R"((module (memory 1) (func (export "f") (result i32) (memory.grow (i32.const 16)))))", "f");
  ASSERT_TRUE(called.ok()) << called.status();
  EXPECT_EQ(called->values[0].value, Value::I32(-1)) << "17 pages fit into 1 MiB";
  const auto too_large = CallFresh(R"((module (memory 17) (func (export "f"))))", "f");
  EXPECT_EQ(too_large.status().code(), StatusCode::kResourceExhausted) << too_large.status();
}

TEST_F(GuestTest, ReactorsAreInitialized) {
  const auto called = CallFresh(
      R"((module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
           (global $g (mut i32) (i32.const 1))
           (func (export "_initialize") (global.set $g (i32.const 5)))
           (func (export "get") (result i32) (global.get $g))))",
      "get");
  ASSERT_TRUE(called.ok()) << called.status();
  EXPECT_EQ(called->values[0].value, Value::I32(5));
}

TEST_F(GuestTest, InstancesKeepStateAndHandOutReferences) {
  InstanceGroup group(engine_->runtime(), kLimits);
  InstantiateSpec spec;
  spec.module = Load(R"((module
    (global $count (mut i32) (i32.const 0))
    (func $next (export "next") (result i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
    (func (export "ref") (result funcref) (ref.func $next))
    (func (export "is_null") (param funcref) (result i32) (ref.is_null (local.get 0)))
    (elem declare func $next)))");
  const auto made = InstantiateGuest(group, spec, Begun());
  ASSERT_TRUE(made.ok()) << made.status();
  engine::Instance& instance = *made->instance;
  EXPECT_EQ(CallIn(group, instance, "next")->values[0].value, Value::I32(1));
  EXPECT_EQ(CallIn(group, instance, "next")->values[0].value, Value::I32(2));

  const auto ref = CallIn(group, instance, "ref");
  ASSERT_TRUE(ref.ok()) << ref.status();
  const uint64_t handle = ref->values[0].reference_handle;
  EXPECT_EQ(handle, 100u);
  EXPECT_EQ(CallIn(group, instance, "ref")->values[0].reference_handle, handle);
  const GuestArgument null{Value::Null(ValType::kFuncRef), 0};
  EXPECT_EQ(CallIn(group, instance, "is_null", {null})->values[0].value, Value::I32(1));
  const GuestArgument given{Value::Null(ValType::kFuncRef), handle};
  EXPECT_EQ(CallIn(group, instance, "is_null", {given})->values[0].value, Value::I32(0));
  const GuestArgument unknown{Value::Null(ValType::kFuncRef), 99};
  EXPECT_EQ(CallIn(group, instance, "is_null", {unknown}).status().code(),
            StatusCode::kInvalidArgument);

  // A fresh instance's reference would outlive it.
  const auto fresh = CallFreshGuest(engine_->runtime(), kLimits, spec.module, {"ref", {}}, Begun());
  EXPECT_EQ(fresh.status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(GuestTest, InstancesImportFromInstances) {
  InstanceGroup group(engine_->runtime(), kLimits);
  InstantiateSpec provider;
  provider.module = Load(R"((module (func (export "seven") (result i32) (i32.const 7))))");
  const auto provided = InstantiateGuest(group, provider, Begun());
  ASSERT_TRUE(provided.ok()) << provided.status();
  InstantiateSpec user;
  user.module = Load(R"((module (import "p" "seven" (func $f (result i32)))
                         (func (export "f") (result i32) (call $f))))");
  EXPECT_EQ(InstantiateGuest(group, user, Begun()).status().code(), StatusCode::kInvalidArgument);
  user.imports.emplace_back("p", provided->instance);
  const auto made = InstantiateGuest(group, user, Begun());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(CallIn(group, *made->instance, "f")->values[0].value, Value::I32(7));
}

TEST_F(GuestTest, AStartFunctionThatTrapsLeavesNoInstance) {
  InstanceGroup group(engine_->runtime(), kLimits);
  InstantiateSpec spec;
  spec.module = Load(R"((module (func $s unreachable) (start $s)))");
  const auto made = InstantiateGuest(group, spec, Begun());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->instance, nullptr);
  EXPECT_TRUE(made->result.stop.has_value());
}

TEST_F(GuestTest, ProgramsEndWithTheirExitCode) {
  const auto module = Load(R"((module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 3)))))");
  const auto ran = RunGuest(engine_->runtime(), kLimits, module, {}, Begun());
  ASSERT_TRUE(ran.ok()) << ran.status();
  ASSERT_TRUE(ran->stop.has_value());
  EXPECT_EQ(std::get<engine::Exit>(*ran->stop).code, 3u);
  EXPECT_EQ(ran->peak_memory_bytes, 65536u);

  EXPECT_EQ(RunGuest(engine_->runtime(), kLimits, Load(kAdd), {}, Begun()).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(RunGuest(engine_->runtime(), kLimits,
                     Load(R"((module (func (export "_start") (param i32))))"), {}, Begun())
                .status()
                .code(),
            StatusCode::kInvalidArgument);
}

TEST_F(GuestTest, TurnsAreTakenInOrder) {
  InstanceGroup group(engine_->runtime(), kLimits);
  std::vector<int> order;
  bool second_is_dead = false;
  const auto alive = [] { return false; };
  EXPECT_EQ(group.Enter({[] {}, alive}, 2), InstanceGroup::Turn::kNow);
  EXPECT_EQ(group.Enter({[&] { order.push_back(1); }, alive}, 2), InstanceGroup::Turn::kLater);
  EXPECT_EQ(group.Enter({[&] { order.push_back(2); }, [&] { return second_is_dead; }}, 2),
            InstanceGroup::Turn::kLater);
  EXPECT_EQ(group.Enter({[&] { order.push_back(3); }, alive}, 2), InstanceGroup::Turn::kFull);
  second_is_dead = true;
  EXPECT_EQ(group.Enter({[&] { order.push_back(4); }, alive}, 2), InstanceGroup::Turn::kLater);
  while (const auto next = group.Leave()) {
    next();
  }
  EXPECT_THAT(order, testing::ElementsAre(1, 4));
  EXPECT_EQ(group.Enter({[] {}, alive}, 2), InstanceGroup::Turn::kNow);
}

TEST_F(GuestTest, FindsTheOnlyMemory) {
  InstanceGroup group(engine_->runtime(), kLimits);
  InstantiateSpec spec;
  spec.module = Load(R"((module (memory (export "m") 1)))");
  engine::Instance& one = *InstantiateGuest(group, spec, Begun())->instance;
  EXPECT_TRUE(FindMemory(one, "").ok());
  EXPECT_TRUE(FindMemory(one, "m").ok());
  EXPECT_EQ(FindMemory(one, "x").status().code(), StatusCode::kNotFound);
  spec.module = Load(R"((module (memory 1)))");
  engine::Instance& hidden = *InstantiateGuest(group, spec, Begun())->instance;
  EXPECT_EQ(FindMemory(hidden, "").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace wasmd::daemon
