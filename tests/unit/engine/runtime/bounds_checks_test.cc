// Explicit bounds checks that are left out because an earlier one told: never one too many, and the
// trap comes where, and when, it would have come.
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/str_cat.h"
#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

class BoundsChecksTest : public testing::TestWithParam<Tier> {
 protected:
  // `body` is that of a function of an address and a condition, in a module with a memory of a page
  // without a guard (its addresses have 64 bits) and a global that counts.
  static std::string Module(std::string_view body) {
    return StrCat(R"((module (memory i64 1 4)
        (global $seen (export "seen") (mut i64) (i64.const 0))
        (func $see (global.set $seen (i64.add (global.get $seen) (i64.const 1))))
        (func (export "f") (param $p i64) (param $c i32) (result i32) (local $i i32) (local $x i32)
          )",
                  WithLoads(body), " (local.get $x)))");
  }
  // LOAD is a load from the address.
  static std::string WithLoads(std::string_view body) {
    constexpr std::string_view kWord = "LOAD";
    std::string text;
    for (size_t at = 0; (at = body.find(kWord)) != std::string_view::npos;
         body.remove_prefix(at + kWord.size())) {
      text += body.substr(0, at);
      text += "(local.set $x (i32.load (local.get $p)))";
    }
    return text += body;
  }
  struct Seen {
    Invoked invoked;
    Value count;
  };
  Seen Run(std::string_view body, uint64_t address, int32_t condition) {
    TestInstance instance(Module(body), GetParam());
    Seen seen{
        instance.Invoke("f", {Value::I64(static_cast<int64_t>(address)), Value::I32(condition)}),
        {}};
    seen.count = instance.instance().Global("seen")->Get();
    return seen;
  }
  void ExpectTrap(std::string_view body, uint64_t address, int32_t condition, int64_t count,
                  TrapCode code = TrapCode::kMemoryOutOfBounds) {
    const Seen seen = Run(body, address, condition);
    EXPECT_THAT(seen.invoked, TrapsWith(code)) << body;
    EXPECT_EQ(seen.count, Value::I64(count)) << body;
  }
};
WASMD_INSTANTIATE_FOR_ALL_TIERS(BoundsChecksTest);

constexpr uint64_t kPage = 65'536;
constexpr uint64_t kOut = kPage - 3;

TEST_P(BoundsChecksTest, OneArmOfAnIfTellsNothingOfTheOtherOrOfWhatFollows) {
  constexpr std::string_view kAfter = "(if (local.get $c) (then LOAD)) (call $see) LOAD";
  ExpectTrap(kAfter, kOut, 0, 1);
  ExpectTrap(kAfter, kOut, 1, 0);
  ExpectTrap("(if (local.get $c) (then LOAD) (else (call $see) LOAD))", kOut, 0, 1);
  ExpectTrap("(if (local.get $c) (then LOAD) (else (call $see) LOAD)) LOAD", kOut, 0, 1);
  ExpectTrap("(if (local.get $c) (then LOAD) (else (call $see))) (call $see) LOAD", kOut, 0, 2);
  ExpectTrap("(if (local.get $c) (then (return (i32.const 1))) (else (call $see))) LOAD", kOut, 0,
             1);
  EXPECT_THAT(Run(kAfter, kPage - 4, 1).invoked, Returns({Value::I32(0)}));
}

TEST_P(BoundsChecksTest, WhatABranchSkipsTellsNothing) {
  ExpectTrap("(block (br_if 0 (local.get $c)) LOAD) (call $see) LOAD", kOut, 1, 1);
  ExpectTrap("(block (block (br_if 1 (local.get $c)) LOAD) LOAD) (call $see) LOAD", kOut, 1, 1);
  ExpectTrap("(block (br_table 0 0 (local.get $c)) LOAD) (call $see) LOAD", kOut, 1, 1);
}

TEST_P(BoundsChecksTest, AnAssignmentEndsIt) {
  constexpr std::string_view kSet = "(local.set $p (i64.const 65533))";
  ExpectTrap(StrCat("LOAD ", kSet, " (call $see) LOAD"), 0, 0, 1);
  ExpectTrap(
      StrCat("LOAD (block (br_if 0 (i32.eqz (local.get $c))) ", kSet, " (br 0)) (call $see) LOAD"),
      0, 1, 1);
  ExpectTrap(StrCat("LOAD (if (local.get $c) (then ", kSet, ")) (call $see) LOAD"), 0, 1, 1);
  ExpectTrap(StrCat("LOAD (if (local.get $c) (then) (else ", kSet, ")) (call $see) LOAD"), 0, 0, 1);
  // In a later round, of this loop or one in it.
  ExpectTrap(StrCat("(loop LOAD (call $see) ", kSet, " (br 0))"), 0, 0, 1);
  ExpectTrap(StrCat("LOAD (loop LOAD (call $see) ", kSet, " (br 0))"), 0, 0, 1);
  ExpectTrap(StrCat("LOAD (loop LOAD (call $see) (loop (br_if 1 (local.get $c)) ", kSet,
                    " (local.set $c (i32.const 1)) (br 0)))"),
             0, 0, 1);
  ExpectTrap(
      "LOAD (loop LOAD (call $see) (local.set $p (i64.add (local.get $p) (i64.const 16384))) (br "
      "0))",
      0, 0, 4);
}

TEST_P(BoundsChecksTest, WhatCanBeSeenComesBeforeTheTrap) {
  ExpectTrap("(loop (call $see) LOAD (br 0))", kOut, 0, 1);
  ExpectTrap("(loop (global.set $seen (i64.const 7)) LOAD (br 0))", kOut, 0, 7);
  ExpectTrap("(loop (local.set $i (i32.div_u (local.get $c) (local.get $c))) LOAD (br 0))", kOut, 0,
             0, TrapCode::kDivideByZero);
  ExpectTrap("(loop (drop (i32.load (i64.const 70000))) LOAD (br 0))", kOut, 0, 0);
  // Not in the first round, and never.
  ExpectTrap(
      "(loop (if (local.get $c) (then LOAD)) (local.set $c (i32.const 1)) (call $see) (br 0))",
      kOut, 0, 1);
  EXPECT_THAT(Run("(block (loop (br_if 0 (local.get $c)) (br_if 1 (i32.eqz (local.get $c))) LOAD))",
                  kOut, 0)
                  .invoked,
              Returns({Value::I32(0)}));
  // A store that the loop begins with.
  TestInstance instance(Module("(loop (i64.store (i64.const 8) (i64.const 5)) LOAD (br 0))"),
                        GetParam());
  EXPECT_THAT(instance.Invoke("f", {Value::I64(kOut), Value::I32(0)}),
              TrapsWith(TrapCode::kMemoryOutOfBounds));
}

// Checked before the loop or in it, the trap is said to be at the load.
TEST_P(BoundsChecksTest, TheTrapIsAtTheLoad) {
  const auto offset = [&](std::string_view body) {
    const Seen seen = Run(body, kOut, 1);
    EXPECT_THAT(seen.invoked, TrapsWith(TrapCode::kMemoryOutOfBounds));
    return seen.invoked.trap()->backtrace.frames().at(0).wasm_offset;
  };
  const uint32_t hoisted =
      offset("(loop LOAD (local.set $i (i32.wrap_i64 (local.get $p))) (br 0))");
  const uint32_t in_place =
      offset("(loop LOAD (local.set $p (i64.extend_i32_u (local.get $i))) (br 0))");
  EXPECT_EQ(hoisted, in_place);
}

TEST_P(BoundsChecksTest, AGrownMemoryIsSeen) {
  constexpr std::string_view kBody =
      "(block (loop (br_if 1 (i64.eq (memory.size) (i64.const 3))) (drop (memory.grow (i64.const "
      "1)))"
      " (br 0))) LOAD";
  EXPECT_THAT(Run(kBody, 2 * kPage, 0).invoked, Returns({Value::I32(0)}));
  ExpectTrap(kBody, 3 * kPage, 0, 0);
}

// A dozen loads behind labels, of an address that a check before the loop, or at its start, is good
// for: the code is smaller by their checks than where each block changes the address.
TEST_P(BoundsChecksTest, ALoopNeedsNoChecksOfAnAddressThatStays) {
  constexpr int kLoads = 12;
  const auto code_bytes = [&](std::string_view before, std::string_view in_block) {
    std::string body = StrCat(before, "(loop LOAD ");
    for (int i = 0; i < kLoads; ++i) {
      body += StrCat("(block (br_if 0 (local.get $c)) ", in_block, ") LOAD ");
    }
    body += "(br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))";
    return LoadWat(Module(body), GetParam(), CompileMode::kEager)->stats().code_bytes;
  };
  const uint64_t changes = code_bytes("LOAD", "(local.set $p (i64.const 4))");
  constexpr uint64_t kLeastCheck = 12;  // lea, cmp with memory, a jump.
  EXPECT_LT(code_bytes("LOAD", "(local.set $i (i32.const 4))") + kLoads * kLeastCheck, changes);
  EXPECT_LT(code_bytes("", "(local.set $i (i32.const 4))") + kLoads * kLeastCheck, changes);
}

}  // namespace
}  // namespace wasmd::engine
