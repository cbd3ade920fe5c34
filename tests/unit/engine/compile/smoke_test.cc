// Small functions of each kind.
#include <gtest/gtest.h>

#include "tests/unit/engine/compile/code_harness.h"

namespace wasmd::engine {
namespace {

TEST(SmokeTest, AddsAndLoops) {
  CodeHarness code(R"((module
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "sum") (param i32) (result i32) (local i32)
      (loop $again
        (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 1))
    (func $fib (export "fib") (param i32) (result i32)
      (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
        (then (local.get 0))
        (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                       (call $fib (i32.sub (local.get 0) (i32.const 2))))))))
  )");
  EXPECT_EQ(code.Call("add", {I32(2), I32(-5)}), Returns({I32(-3)}));
  EXPECT_EQ(code.Call("sum", {I32(100)}), Returns({I32(5050)}));
  EXPECT_EQ(code.Call("fib", {I32(20)}), Returns({I32(6765)}));
}

}  // namespace
}  // namespace wasmd::engine
