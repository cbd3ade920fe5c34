// Functions on byte strings: what good guests get, and how little a hostile one can do.
#include "daemon/pool/bytes_call.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "tests/support/load_wat.h"

namespace wasmd::daemon {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

const GuestLimits kLimits{.memory_bytes = uint64_t{64} << 20, .wasm_stack_bytes = 1 << 20};
constexpr uint64_t kPageBytes = 65'536;

// Inputs go to 1024. "echo" gives the input back, "length" four bytes, "nothing" none.
constexpr std::string_view kGood = R"((module
  (memory (export "memory") 1)
  (global $posts (export "posts") (mut i32) (i32.const 0))
  (global $posted (export "posted") (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32)
        (param $size i32) (result i32)
    (if (i32.or (local.get $old) (i32.or (local.get $old_size)
          (i32.ne (local.get $align) (i32.const 1)))) (then unreachable))
    (i32.const 1024))
  (func $pair (param $at i32) (param $size i32) (result i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $size))
    (i32.const 16))
  (func (export "echo") (param $at i32) (param $size i32) (result i32)
    (call $pair (local.get $at) (local.get $size)))
  (func (export "length") (param i32) (param $size i32) (result i32)
    (i32.store (i32.const 32) (local.get $size))
    (call $pair (i32.const 32) (i32.const 4)))
  (func (export "nothing") (param i32 i32) (result i32) (call $pair (i32.const 0) (i32.const 0)))
  (func (export "cabi_post_echo") (param $pair i32)
    (global.set $posts (i32.add (global.get $posts) (i32.const 1)))
    (global.set $posted (local.get $pair))
    ;; The output has been read by now.
    (i64.store (i32.const 1024) (i64.const -1)))))";

// A guest of one page whose three functions are these bodies; no post without a body.
std::string Guest(std::string_view realloc_body, std::string_view func_body,
                  std::string_view post_body = "", std::string_view memory = "1",
                  std::string_view more = "") {
  return StrCat(R"((module (memory (export "memory") )", memory, ") ", more, R"(
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) )",
                realloc_body, R"()
    (func (export "f") (param i32 i32) (result i32) )",
                func_body, ")",
                post_body.empty() ? "" : R"((func (export "cabi_post_f") (param i32) )", post_body,
                post_body.empty() ? "" : ")", ")");
}

// The pair {at, size} at 16.
std::string Pair(std::string_view at, std::string_view size) {
  return StrCat("(i32.store (i32.const 16) (i32.const ", at,
                ")) (i32.store (i32.const 20) (i32.const ", size, ")) (i32.const 16)");
}

std::string TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class BytesCallTest : public testing::TestWithParam<engine::BoundsChecks> {
 protected:
  std::shared_ptr<engine::LoadedModule> Load(std::string_view text) {
    auto loaded = engine::LoadWat(*engine_, text);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *std::move(loaded);
  }

  Invocation& Begun() {
    invocations_.push_back(std::make_unique<Invocation>(InvocationInfo{}));
    EXPECT_TRUE(invocations_.back()->Begin());
    return *invocations_.back();
  }

  // An instance in a group of its own, which stays.
  engine::Instance& Make(std::string_view text) {
    groups_.push_back(std::make_unique<InstanceGroup>(engine_->runtime(), kLimits));
    auto module = Load(text);
    InstantiateSpec spec;
    spec.wasi = ImportsWasi(*module);
    spec.module = std::move(module);
    auto made = InstantiateGuest(*groups_.back(), spec, Begun());
    EXPECT_TRUE(made.ok()) << made.status();
    return *made->instance;
  }

  // What resolving "f" says: both before and with an instance.
  absl::Status Refusal(std::string_view text) {
    const absl::Status status = BytesCall::Resolve(Make(text), "f").status();
    EXPECT_EQ(BytesCall::Check(*Load(text), "f").code(), status.code()) << status;
    return status;
  }

  // How a guest's "f" stops with a small input, and no room for an output.
  engine::Stop StopOf(std::string_view text, std::string_view input = "0123456789") {
    const auto bytes = BytesCall::Resolve(Make(text), "f");
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    auto outcome = bytes->Call(std::as_bytes(std::span(input)), {});
    EXPECT_FALSE(outcome.ok()) << *outcome;
    return outcome.ok() ? engine::Stop() : std::move(outcome).stop();
  }
  void ExpectTrap(engine::TrapCode code, std::string_view says, std::string_view text) {
    const engine::Stop stop = StopOf(text);
    const auto* trap = std::get_if<engine::Trap>(&stop);
    ASSERT_NE(trap, nullptr) << engine::ToString(stop) << text;
    EXPECT_EQ(trap->code, code) << trap->message << text;
    EXPECT_THAT(trap->message, HasSubstr(std::string(says))) << text;
  }
  void ExpectOutOfBounds(std::string_view says, std::string_view text) {
    ExpectTrap(engine::TrapCode::kMemoryOutOfBounds, says, text);
  }

  static uint32_t GlobalOf(engine::Instance& instance, std::string_view name) {
    return instance.Global(name)->Get().i32();
  }

  std::unique_ptr<engine::Engine> engine_ = *engine::Engine::Create({.bounds_checks = GetParam()});
  std::vector<std::unique_ptr<Invocation>> invocations_;
  std::vector<std::unique_ptr<InstanceGroup>> groups_;
};

// ---- Good guests

TEST_P(BytesCallTest, CopiesInAndOut) {
  engine::Instance& instance = Make(kGood);
  const auto echo = BytesCall::Resolve(instance, "echo");
  ASSERT_TRUE(echo.ok()) << echo.status();
  const std::string input = "a byte string with a \0 in it";
  std::array<std::byte, 64> output{};
  for (uint32_t i = 1; i <= 3; ++i) {
    const auto size = echo->Call(std::as_bytes(std::span(input)), output);
    ASSERT_TRUE(size.ok()) << engine::ToString(size.stop());
    EXPECT_EQ(*size, input.size());
    EXPECT_EQ(TextOf(std::span(output).first(*size)), input);
    EXPECT_EQ(GlobalOf(instance, "posts"), i);
    EXPECT_EQ(GlobalOf(instance, "posted"), 16u) << "what the function returned";
  }
}

TEST_P(BytesCallTest, EmptyStringsAreStringsToo) {
  engine::Instance& instance = Make(kGood);
  std::array<std::byte, 8> output{};
  EXPECT_EQ(*BytesCall::Resolve(instance, "echo")->Call({}, output), 0u);
  EXPECT_EQ(*BytesCall::Resolve(instance, "nothing")->Call({}, {}), 0u);
  EXPECT_EQ(*BytesCall::Resolve(instance, "length")->Call({}, output), 4u);
  EXPECT_EQ(output[0], std::byte{0});
}

TEST_P(BytesCallTest, TellsTheSizeWhereThereIsNoRoom) {
  engine::Instance& instance = Make(kGood);
  const auto echo = BytesCall::Resolve(instance, "echo");
  std::array<std::byte, 6> output{};
  const std::string_view input = "0123456789";
  EXPECT_EQ(*echo->Call(std::as_bytes(std::span(input)), std::span(output).first(4)), 10u);
  EXPECT_EQ(TextOf(std::span(output).first(4)), "0123");
  EXPECT_EQ(output[4], std::byte{0}) << "written past the room that there is";
  EXPECT_EQ(GlobalOf(instance, "posts"), 1u) << "the guest gets its memory back all the same";
}

TEST_P(BytesCallTest, LendsAnOutputBeforeThePostReturn) {
  engine::Instance& instance = Make(kGood);
  const auto echo = BytesCall::Resolve(instance, "echo");
  std::string taken;
  int times = 0;
  const std::string_view input = "0123456789";
  const auto size =
      echo->CallAndTake(std::as_bytes(std::span(input)), [&](std::span<const std::byte> output) {
        ++times;
        taken = TextOf(output);
        EXPECT_EQ(GlobalOf(instance, "posts"), 0u);
      });
  EXPECT_EQ(*size, 10u);
  EXPECT_EQ(taken, "0123456789");
  EXPECT_EQ(times, 1);
}

TEST_P(BytesCallTest, MemoryMayGrowInEachOfTheFunctions) {
  // realloc grows and gives the new page; the function grows and puts pair and output there.
  engine::Instance& instance = Make(
      Guest("(i32.mul (memory.grow (i32.const 1)) (i32.const 65536))",
            R"((local $p i32) (local.set $p (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)))
         (i32.store (local.get $p) (local.get 0))
         (i32.store offset=4 (local.get $p) (local.get 1))
         (local.get $p))",
            "(drop (memory.grow (i32.const 1)))"));
  const auto bytes = BytesCall::Resolve(instance, "f");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const std::string input(kPageBytes, 'x');
  std::string output(kPageBytes, ' ');
  for (int i = 0; i < 5; ++i) {
    const auto size =
        bytes->Call(std::as_bytes(std::span(input)), std::as_writable_bytes(std::span(output)));
    ASSERT_TRUE(size.ok()) << engine::ToString(size.stop());
    EXPECT_EQ(output, input);
  }
  EXPECT_EQ(instance.Memory("memory")->size_pages(), 16u);
}

TEST_P(BytesCallTest, TheVeryEndOfTheMemoryIsInside) {
  const std::string_view at_end = "(i32.const 65526)";
  const auto both = BytesCall::Resolve(Make(Guest(at_end, Pair("65526", "10"))), "f");
  std::string output(10, ' ');
  const std::string_view input = "0123456789";
  EXPECT_EQ(*both->Call(std::as_bytes(std::span(input)), std::as_writable_bytes(std::span(output))),
            10u);
  EXPECT_EQ(output, input);
  // Nothing, at the end; and the pair there.
  EXPECT_EQ(
      *BytesCall::Resolve(Make(Guest("(i32.const 65536)", Pair("65536", "0"))), "f")->Call({}, {}),
      0u);
  EXPECT_EQ(
      *BytesCall::Resolve(Make(Guest("(i32.const 0)", "(i32.const 65528)")), "f")->Call({}, {}),
      0u);
}

TEST_P(BytesCallTest, TheOnlyExportedMemoryWillDo) {
  const auto text = [](std::string_view memories) {
    return StrCat("(module ", memories,
                  R"((func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                       (i32.const 64))
                     (func (export "f") (param i32 i32) (result i32) )",
                  Pair("64", "10"), "))");
  };
  const std::string_view input = "0123456789";
  std::string output(10, ' ');
  for (const std::string_view memories :
       {R"((memory (export "heap") 1))", R"((memory (export "memory") (export "other") 1))"}) {
    const auto bytes = BytesCall::Resolve(Make(text(memories)), "f");
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(
        *bytes->Call(std::as_bytes(std::span(input)), std::as_writable_bytes(std::span(output))),
        10u);
    EXPECT_EQ(output, input);
  }
  EXPECT_THAT(std::string(Refusal(text("(memory 1)")).message()), HasSubstr("memory"));
  EXPECT_EQ(Refusal(text("(memory 1)")).code(), StatusCode::kNotFound);
  EXPECT_EQ(Refusal(text(R"((memory (export "a") (export "b") 1))")).code(),
            StatusCode::kInvalidArgument);
}

// ---- What is no function on byte strings

TEST_P(BytesCallTest, NamesWhatIsLacking) {
  const auto says = [this](StatusCode code, std::vector<std::string> words, std::string_view text) {
    const absl::Status status = Refusal(text);
    EXPECT_EQ(status.code(), code) << status;
    for (const std::string& word : words) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(word));
    }
  };
  constexpr std::string_view kMemory = R"((memory (export "memory") 1))";
  constexpr std::string_view kFunc =
      R"((func (export "f") (param i32 i32) (result i32) (i32.const 0)))";
  constexpr std::string_view kRealloc =
      R"((func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))";
  says(StatusCode::kNotFound, {"\"f\"", "(func (param i32 i32) (result i32))"},
       StrCat("(module ", kMemory, kRealloc, ")"));
  says(StatusCode::kNotFound, {"\"cabi_realloc\"", "(func (param i32 i32 i32 i32) (result i32))"},
       StrCat("(module ", kMemory, kFunc, ")"));
  says(StatusCode::kInvalidArgument,
       {"\"f\"", "(func (param i32 i32) (result i32))", "(func (param i32) (result i32))"},
       StrCat("(module ", kMemory, kRealloc,
              R"((func (export "f") (param i32) (result i32) (i32.const 0))))"));
  says(StatusCode::kInvalidArgument, {"\"f\""},
       StrCat("(module ", kMemory, kRealloc, R"((global (export "f") i32 (i32.const 0))))"));
  says(StatusCode::kInvalidArgument, {"\"cabi_realloc\"", "(func (param i32))"},
       StrCat("(module ", kMemory, kFunc, R"((func (export "cabi_realloc") (param i32))))"));
  says(StatusCode::kInvalidArgument, {"\"cabi_post_f\"", "(func (param i32))", "(func)"},
       StrCat("(module ", kMemory, kRealloc, kFunc, R"((func (export "cabi_post_f"))))"));
  says(StatusCode::kInvalidArgument, {"32-bit addresses"},
       StrCat(R"((module (memory (export "memory") i64 1))", kRealloc, kFunc, ")"));
  // A table called "memory" is none, but the only memory does.
  EXPECT_TRUE(BytesCall::Check(*Load(StrCat(R"((module (memory (export "m") 1)
      (table (export "memory") 1 funcref))",
                                            kRealloc, kFunc, ")")),
                               "f")
                  .ok());
}

// ---- Hostile guests

TEST_P(BytesCallTest, PlacesForTheInputAreChecked) {
  const std::string func = Pair("0", "0");
  for (const std::string_view place :
       {"65527", "65536", "65537", "0x7fffffff", "-1", "-10", "-9"}) {
    ExpectOutOfBounds("cabi_realloc",
                      Guest(StrCat("(i32.const ", place, ")"), func, "unreachable"));
  }
  // A memory of no pages has room for nothing, but for nothing it has.
  ExpectOutOfBounds("cabi_realloc", Guest("(i32.const 0)", "unreachable", "", "0"));
  const auto empty = BytesCall::Resolve(Make(Guest("(i32.const 0)", "unreachable", "", "0")), "f");
  EXPECT_FALSE(empty->Call({}, {}).ok());
}

TEST_P(BytesCallTest, PairsAreChecked) {
  for (const std::string_view at : {"65532", "65536", "65529", "-1", "-4", "-8", "1", "2", "18"}) {
    ExpectOutOfBounds("returned an address",
                      Guest("(i32.const 64)", StrCat("(i32.const ", at, ")"), "unreachable"));
  }
}

TEST_P(BytesCallTest, OutputsAreChecked) {
  for (const auto& [at, size] :
       std::vector<std::pair<std::string, std::string>>{{"65536", "1"},
                                                        {"65535", "2"},
                                                        {"0", "65537"},
                                                        {"1", "65536"},
                                                        {"65537", "0"},
                                                        {"-1", "1"},
                                                        {"-1", "-1"},
                                                        {"1", "-1"},
                                                        {"0", "-1"},
                                                        {"-16", "32"},
                                                        {"0x80000000", "0x80000000"}}) {
    ExpectOutOfBounds("output", Guest("(i32.const 64)", Pair(at, size), "unreachable"));
  }
}

TEST_P(BytesCallTest, ListsHaveALimit) {
  const std::vector<std::byte> input(BytesCall::kMaxListBytes + 1);
  const auto bytes = BytesCall::Resolve(Make(Guest("unreachable", "unreachable")), "f");
  const auto outcome = bytes->Call(input, {});
  ASSERT_NE(outcome.trap(), nullptr);
  EXPECT_EQ(outcome.trap()->code, engine::TrapCode::kMemoryOutOfBounds);
  EXPECT_THAT(outcome.trap()->message, HasSubstr("longer than a list"));
}

TEST_P(BytesCallTest, AnyOfTheFunctionsMayTrap) {
  ExpectTrap(engine::TrapCode::kUnreachable, "unreachable",
             Guest("unreachable", "(i32.div_u (i32.const 1) (i32.const 0))"));
  ExpectTrap(engine::TrapCode::kDivideByZero, "divide",
             Guest("(i32.const 64)", "(i32.div_u (i32.const 1) (i32.const 0))", "unreachable"));
  ExpectTrap(engine::TrapCode::kUnreachable, "unreachable",
             Guest("(i32.const 64)", Pair("64", "1"), "unreachable"));
  ExpectTrap(engine::TrapCode::kStackOverflow, "exhausted",
             Guest("(i32.const 64)", "(call $deep)", "", "1",
                   "(func $deep (result i32) (i32.add (call $deep) (call $deep)))"));
  // Shrunk it can't be, but what lies outside traps in the guest's own code, too.
  ExpectTrap(engine::TrapCode::kMemoryOutOfBounds, "out of bounds",
             Guest("(i32.const 64)", "(i32.load (i32.const 65536))"));
}

TEST_P(BytesCallTest, AfterATrapTheInstanceGoesOn) {
  engine::Instance& instance =
      Make(Guest("(i32.const 64)",
                 StrCat("(if (i32.eqz (local.get 1)) (then unreachable)) ", Pair("64", "1"))));
  const auto bytes = BytesCall::Resolve(instance, "f");
  const std::string_view input = "x";
  std::array<std::byte, 1> output{};
  EXPECT_FALSE(bytes->Call({}, output).ok());
  EXPECT_EQ(*bytes->Call(std::as_bytes(std::span(input)), output), 1u);
  EXPECT_EQ(output[0], std::byte{'x'});
}

TEST_P(BytesCallTest, AnyOfTheFunctionsMayExit) {
  const auto exits = [](std::string_view in_realloc, std::string_view in_func,
                        std::string_view in_post) {
    return StrCat(R"((module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) )",
                  in_realloc, R"((i32.const 64))
        (func (export "f") (param i32 i32) (result i32) )",
                  in_func, Pair("64", "1"), R"()
        (func (export "cabi_post_f") (param i32) )",
                  in_post, "))");
  };
  constexpr std::string_view kExit3 = "(call $exit (i32.const 3))";
  for (const std::string& text :
       {exits(kExit3, "", ""), exits("", kExit3, ""), exits("", "", kExit3)}) {
    const engine::Stop stop = StopOf(text);
    const auto* exit = std::get_if<engine::Exit>(&stop);
    ASSERT_NE(exit, nullptr) << engine::ToString(stop);
    EXPECT_EQ(exit->code, 3u);
  }
}

// ---- As the daemon calls them

TEST_P(BytesCallTest, FreshGuestsGiveStrings) {
  const auto call = [this](std::string_view func, std::string_view input, uint64_t limit) {
    return CallFreshBytesGuest(engine_->runtime(), kLimits, Load(kGood),
                               {std::string(func), input, limit}, Begun());
  };
  const auto called = call("echo", "hello", 5);
  ASSERT_TRUE(called.ok()) << called.status();
  EXPECT_FALSE(called->result.stop.has_value());
  EXPECT_EQ(called->output, "hello");
  EXPECT_EQ(called->result.peak_memory_bytes, kPageBytes);
  const absl::Status long_output = call("echo", "hello", 4).status();
  EXPECT_EQ(long_output.code(), StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(long_output.message()), HasSubstr("5 bytes"));
  EXPECT_EQ(call("absent", "", 4).status().code(), StatusCode::kNotFound);
}

TEST_P(BytesCallTest, FreshGuestsThatStopHaveNoOutput) {
  const auto called = CallFreshBytesGuest(
      engine_->runtime(), kLimits, Load(Guest("(i32.const 64)", Pair("64", "5"), "unreachable")),
      {"f", "hello", 100}, Begun());
  ASSERT_TRUE(called.ok()) << called.status();
  ASSERT_TRUE(called->result.stop.has_value());
  EXPECT_EQ(std::get<engine::Trap>(*called->result.stop).code, engine::TrapCode::kUnreachable);
  EXPECT_EQ(called->output, "");
}

TEST_P(BytesCallTest, NothingOfAGuestRunsThatLacksAnExport) {
  const auto called = CallFreshBytesGuest(
      engine_->runtime(), kLimits,
      Load(R"((module (memory (export "memory") 1) (func $start unreachable) (start $start)
           (func (export "f") (param i32 i32) (result i32) (i32.const 0))))"),
      {"f", "", 0}, Begun());
  EXPECT_EQ(called.status().code(), StatusCode::kNotFound) << called.status();
}

TEST_P(BytesCallTest, InterruptsStopEachOfTheFunctions) {
  constexpr std::string_view kForEver = "(loop $l (br $l))";
  for (const std::string& text : {Guest("(loop $l (br $l)) (i32.const 64)", Pair("64", "1")),
                                  Guest("(i32.const 64)", StrCat(kForEver, Pair("64", "1"))),
                                  Guest("(i32.const 64)", Pair("64", "1"), kForEver)}) {
    engine::Instance& instance = Make(text);
    InstanceGroup& group = *groups_.back();
    Invocation& invocation = Begun();
    invocation.Interrupt(engine::InterruptReason::kCancel);
    const auto called = CallBytesGuest(group, instance, {"f", "x", 1}, invocation);
    ASSERT_TRUE(called.ok()) << called.status();
    ASSERT_TRUE(called->result.stop.has_value());
    EXPECT_TRUE(std::holds_alternative<engine::Interrupt>(*called->result.stop));
    EXPECT_EQ(called->output, "");
  }
}

TEST_P(BytesCallTest, AnAbandonedInstanceIsNotCalled) {
  engine::Instance& instance =
      Make(Guest("(i32.const 64)",
                 "(i32.store8 (i32.const 0) (i32.const 1)) (loop $l (br $l)) (i32.const 0)"));
  InstanceGroup& group = *groups_.back();
  Invocation& invocation = Begun();
  auto* const runs = reinterpret_cast<uint8_t*>(instance.Memory("memory")->bytes().data());
  std::thread interrupter([&] {
    while (std::atomic_ref(*runs).load(std::memory_order_relaxed) == 0) {
      std::this_thread::yield();
    }
    invocation.Interrupt(engine::InterruptReason::kCancel);
  });
  const auto called = CallBytesGuest(group, instance, {"f", "x", 1}, invocation);
  interrupter.join();
  ASSERT_TRUE(called.ok()) << called.status();
  ASSERT_TRUE(called->result.stop.has_value());
  EXPECT_TRUE(std::get<engine::Interrupt>(*called->result.stop).store_abandoned);
  EXPECT_EQ(CallBytesGuest(group, instance, {"f", "x", 1}, Begun()).status().code(),
            StatusCode::kFailedPrecondition);
}

INSTANTIATE_TEST_SUITE_P(BoundsChecks, BytesCallTest,
                         testing::Values(engine::BoundsChecks::kGuardPages,
                                         engine::BoundsChecks::kExplicit),
                         [](const auto& each) {
                           return each.param == engine::BoundsChecks::kGuardPages ? "Guards"
                                                                                  : "Explicit";
                         });

}  // namespace
}  // namespace wasmd::daemon
