// Blocks, branches, calls and frames in the shapes that have a path of their own in the compiler.
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/engine/compile/code_harness.h"

extern "C" void wasmd_test_clobber();

namespace wasmd::engine {
namespace {

TEST(ControlTest, BlockResultsFromSeveralEdges) {
  CodeHarness code(R"((module
    (func (export "f") (param i32 i64) (result i64)
      (block $out (result i64)
        (drop (br_if $out (i64.const 10) (i32.eq (local.get 0) (i32.const 1))))
        (drop (br_if $out (local.get 1) (i32.eq (local.get 0) (i32.const 2))))
        (local.set 1 (i64.add (local.get 1) (i64.const 1)))
        (drop (br_if $out (local.get 1) (i32.eq (local.get 0) (i32.const 3))))
        (i64.mul (local.get 1) (i64.const 3)))))
  )");
  EXPECT_EQ(code.Call("f", {I32(1), 5}), Returns({10}));
  EXPECT_EQ(code.Call("f", {I32(2), 5}), Returns({5}));
  EXPECT_EQ(code.Call("f", {I32(3), 5}), Returns({6}));
  EXPECT_EQ(code.Call("f", {I32(4), 5}), Returns({18}));
}

TEST(ControlTest, MultiValueBlocksAndSwaps) {
  CodeHarness code(R"((module
    (func $swap (export "swap") (param i32 f64) (result f64 i32) (local.get 1) (local.get 0))
    (func (export "two") (param i32 i32 i32) (result i32)
      (block (result i32 i32)
        (local.get 0) (local.get 1)
        (br_if 0 (local.get 2))
        (drop) (drop)
        (local.get 1) (local.get 0))
      (i32.sub))
    (func (export "four") (param i32 i32 i32) (result i32 i32 i32 i32)
      (block (result i32 i32 i32 i32)
        (local.get 0) (i32.const 7) (local.get 1) (i32.add (local.get 0) (local.get 1))
        (br_if 0 (local.get 2))
        (drop) (drop) (drop) (drop)
        (local.get 1) (local.get 0) (i32.const 9) (local.get 1)))
    (func (export "swapped") (param i32) (result i32)
      (call $swap (local.get 0) (f64.const 2.5)) (i32.const 1) (i32.add) (local.set 0) (i32.trunc_f64_s)
      (i32.mul (local.get 0))))
  )");
  EXPECT_EQ(code.Call("two", {I32(10), I32(3), I32(1)}), Returns({I32(7)}));
  EXPECT_EQ(code.Call("two", {I32(10), I32(3), I32(0)}), Returns({I32(-7)}));
  EXPECT_EQ(code.Call("four", {1, 2, 1}), Returns({1, 7, 2, 3}));
  EXPECT_EQ(code.Call("four", {1, 2, 0}), Returns({2, 1, 9, 2}));
  EXPECT_EQ(code.Call("swapped", {I32(20)}), Returns({I32(42)}));
}

TEST(ControlTest, LoopAndIfWithParameters) {
  CodeHarness code(R"((module
    (func (export "sum") (param i32) (result i64)
      (i64.const 0) (local.get 0)
      (loop $again (param i64 i32) (result i64)
        (local.set 0)
        (i64.add (i64.extend_i32_u (local.get 0)))
        (i32.sub (local.get 0) (i32.const 1))
        (br_if $again (local.tee 0) (i32.ne (local.get 0) (i32.const 0)))
        (drop)))
    (func (export "rotate") (param i32) (result i32)
      (i32.const 1) (i32.const 2) (i32.const 3)
      (loop $again (param i32 i32 i32) (result i32)
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (if (param i32 i32 i32) (result i32 i32 i32) (i32.ge_s (local.get 0) (i32.const 0))
          (then (br 1))
          (else))
        (drop) (i32.const 10) (i32.mul) (i32.add)))
    (func (export "pick") (param i32) (result i32)
      (i32.const 5) (local.get 0)
      (if (param i32 i32) (result i32) (i32.eqz (local.get 0))
        (then (drop)) (else (i32.add)))))
  )");
  EXPECT_EQ(code.Call("sum", {I32(4)}), Returns({10}));
  EXPECT_EQ(code.Call("rotate", {I32(3)}), Returns({I32(21)}));
  EXPECT_EQ(code.Call("pick", {I32(0)}), Returns({I32(5)}));
  EXPECT_EQ(code.Call("pick", {I32(7)}), Returns({I32(12)}));
}

TEST(ControlTest, BranchTableOfEverySize) {
  for (const uint32_t count : {0u, 1u, 2u, 3u, 4u, 5u, 17u}) {
    // Nested blocks, each of which returns its own number.
    std::string text = "(module (func (export \"f\") (param i32 i32) (result i32) (local i32)";
    text += "(local.set 2 (i32.add (local.get 1) (i32.const 1)))";
    for (uint32_t i = 0; i <= count; ++i) {
      text += "(block ";
    }
    text += "(br_table";
    for (uint32_t i = 0; i <= count; ++i) {
      text += " " + std::to_string(i);
    }
    text += " (local.get 0))";
    for (uint32_t i = 0; i <= count; ++i) {
      text += ") (local.set 2 (i32.add (local.get 2) (i32.const 100)))";
    }
    text += "(local.get 2)))";
    CodeHarness code(text);
    for (const uint32_t index :
         {0u, 1u, 2u, 3u, 4u, 5u, 16u, 17u, 18u, 0x7fff'ffffu, 0xffff'ffffu}) {
      const uint32_t target = std::min(index, count);
      EXPECT_EQ(code.Call("f", {index, I32(7)}), Returns({8 + 100 * (count + 1 - target)}))
          << count << " " << index;
    }
  }
}

TEST(ControlTest, BranchTableWithValuesLoopsAndReturn) {
  CodeHarness code(R"((module
    (func (export "f") (param i32 i64) (result i64) (local i32)
      (block $a (result i64)
        (block $b (result i64)
          (loop $again (result i64)
            (if (i32.gt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 3))
              (then (return (i64.const -1))))
            (block $c (result i64)
              (i64.add (local.get 1) (i64.extend_i32_u (local.get 2)))
              (br_table $a $b $c $c 4 $b (local.get 0)))
            (local.set 1 (i64.add (i64.const 1000)))
            (br $again)))
        (i64.const 7) (i64.mul))))
  )");
  EXPECT_EQ(code.Call("f", {0, 5}), Returns({6}));
  EXPECT_EQ(code.Call("f", {1, 5}), Returns({42}));
  EXPECT_EQ(code.Call("f", {2, 5}), Returns({UINT64_MAX}));
  EXPECT_EQ(code.Call("f", {4, 5}), Returns({6}));
  EXPECT_EQ(code.Call("f", {5, 5}), Returns({42}));
  EXPECT_EQ(code.Call("f", {99, 5}), Returns({42}));
}

TEST(ControlTest, ManyParametersAndResults) {
  // 20 of each class: most travel in overflow cells. The callee returns them reversed, the caller
  // checks.
  std::string params;
  std::string results;
  std::string gets;
  std::string args;
  for (int i = 0; i < 20; ++i) {
    params += " i64 f32";
    args += "(i64.const " + std::to_string(1000 + i) + ")(f32.const " + std::to_string(i) + ".5)";
  }
  for (int i = 39; i >= 0; --i) {
    results += i % 2 == 0 ? " i64" : " f32";
    gets += "(local.get " + std::to_string(i) + ")";
  }
  std::string take;
  for (int i = 0; i < 20; ++i) {
    // Results come back in reverse: the last pushed is parameter 0.
    take += "(local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 3))))";
    take += "(local.set $float (f32.add (f32.mul (local.get $float) (f32.const 0.5))))";
  }
  CodeHarness code("(module (func $reverse (export \"reverse\") (param" + params + ") (result" +
                   results + ")" + gets +
                   ") (func (export \"f\") (result i64 f32) (local $sum i64) (local $float f32)" +
                   args + "(call $reverse)" + take + "(local.get $sum) (local.get $float)))");
  uint64_t sum = 0;
  float value = 0;
  for (int i = 0; i < 20; ++i) {
    sum = sum * 3 + static_cast<uint64_t>(1000 + i);
    value = value * 0.5f + static_cast<float>(i) + 0.5f;
  }
  EXPECT_EQ(code.Call("f"), Returns({sum, F32(value)}));
  std::vector<uint64_t> in;
  for (int i = 0; i < 20; ++i) {
    in.push_back(static_cast<uint64_t>(i));
    in.push_back(F32(static_cast<float>(i)));
  }
  EXPECT_EQ(code.Call("reverse", in), Returns(std::vector<uint64_t>(in.rbegin(), in.rend())));
}

TEST(ControlTest, IndirectCallsCheckIndexNullAndType) {
  CodeHarness code(R"((module
    (type $i (func (param i32) (result i32)))
    (type $same (func (param i32) (result i32)))
    (type $other (func (result i32)))
    (table 5 funcref)
    (elem (i32.const 0) $double $square $seven)
    (func $double (type $i) (i32.mul (local.get 0) (i32.const 2)))
    (func $square (type $same) (i32.mul (local.get 0) (local.get 0)))
    (func $seven (type $other) (i32.const 7))
    (func (export "f") (param i32 i32) (result i32)
      (i32.add (local.get 1) (call_indirect (type $i) (local.get 1) (local.get 0)))))
  )");
  EXPECT_EQ(code.Call("f", {0, 9}), Returns({27}));
  EXPECT_EQ(code.Call("f", {1, 9}), Returns({90}));
  EXPECT_EQ(code.Call("f", {2, 9}), TrapsWith(TrapCode::kBadSignature));
  EXPECT_EQ(code.Call("f", {3, 9}), TrapsWith(TrapCode::kIndirectCallToNull));
  EXPECT_EQ(code.Call("f", {5, 9}), TrapsWith(TrapCode::kTableOutOfBounds));
  EXPECT_EQ(code.Call("f", {UINT32_MAX, 9}), TrapsWith(TrapCode::kTableOutOfBounds));
}

TEST(ControlTest, TrapSitesNameTheInstruction) {
  // Offsets count from the body's start: one byte of local groups, then the code.
  CodeHarness code(R"((module (memory 1)
    (func (export "unreachable") (nop) (unreachable))
    (func (export "load") (param i32) (result i32) (i32.add (i32.const 1) (i32.load (local.get 0))))
    (func (export "store") (param i32) (i64.store offset=4 (local.get 0) (i64.const -1)))
    (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0))))
  )");
  CallResult got = code.Call("unreachable");
  EXPECT_EQ(got, TrapsWith(TrapCode::kUnreachable));
  EXPECT_EQ(got.wasm_offset, 2u);
  got = code.Call("load", {65533});
  EXPECT_EQ(got, TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_EQ(got.wasm_offset, 5u);
  EXPECT_EQ(code.Call("load", {65532}), Returns({1}));
  got = code.Call("store", {65529});
  EXPECT_EQ(got, TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_EQ(got.wasm_offset, 5u);
  EXPECT_EQ(code.memory()[65535], 0) << "nothing is written by a store that traps";
  EXPECT_EQ(code.Call("store", {65524}), Returns({}));
  EXPECT_EQ(code.memory()[65535], 0xff);
  got = code.Call("divide", {0});
  EXPECT_EQ(got, TrapsWith(TrapCode::kDivideByZero));
  EXPECT_EQ(got.wasm_offset, 5u);
}

TEST(ControlTest, UnusedLoadStillTraps) {
  CodeHarness code(R"((module (memory 1)
    (func (export "drop") (param i32) (drop (i32.load (local.get 0))))
    (func (export "set") (param i32) (local f64) (local.set 1 (f64.load (local.get 0))))
    (func (export "and") (param i32) (if (i32.and (i32.const 0) (i32.load (local.get 0))) (then)))
    (func (export "mul") (param i32) (drop (i64.mul (i64.const 0) (i64.load offset=8 (local.get 0))))))
  )");
  for (const char* name : {"drop", "set", "and", "mul"}) {
    EXPECT_EQ(code.Call(name, {I32(-1)}), TrapsWith(TrapCode::kMemoryOutOfBounds)) << name;
    EXPECT_EQ(code.Call(name, {8}), Returns({})) << name;
  }
}

TEST(ControlTest, LargeOffsets) {
  CodeHarness code(R"((module (memory 1)
    (func (export "load") (param i32) (result i32) (i32.load8_u offset=0xffffffff (local.get 0)))
    (func (export "half") (param i32) (result i64) (i64.load offset=0x80000000 (local.get 0)))
    (func (export "const") (result i32) (i32.load offset=0x7ffffffc (i32.const 0x7fffffff)))
    (func (export "store") (param i32 i64 f64) (i64.store offset=0xfffffff0 (local.get 0) (local.get 1)))
    (func (export "storec") (param i32) (i64.store offset=0x90000000 (local.get 0) (i64.const 0x123456789abcdef)))
    (func (export "wrap") (param i32) (result i32) (i32.load offset=8 (i32.add (local.get 0) (i32.const -8)))))
  )");
  const CallResult out = TrapsWith(TrapCode::kMemoryOutOfBounds);
  EXPECT_EQ(code.Call("load", {0}), out);
  EXPECT_EQ(code.Call("load", {UINT32_MAX}), out);
  EXPECT_EQ(code.Call("half", {0}), out);
  EXPECT_EQ(code.Call("half", {0x8000'0000}), out);
  EXPECT_EQ(code.Call("const"), out);
  EXPECT_EQ(code.Call("store", {UINT32_MAX, 1, 0}), out);
  EXPECT_EQ(code.Call("storec", {5}), out);
  EXPECT_EQ(code.Call("wrap", {8}), Returns({0}));
  EXPECT_EQ(code.Call("wrap", {7}), out) << "the sum is 32 bits wide, the address 33";
}

// Where the stack is. Locals are elsewhere under AddressSanitizer.
uint64_t Here() {
  return std::bit_cast<uint64_t>(__builtin_frame_address(0));
}

TEST(ControlTest, StackOverflowIsATrap) {
  CodeHarness code(R"((module
    (func $forever (export "forever") (param i32) (result i32)
      (i32.add (i32.const 1) (call $forever (i32.add (local.get 0) (i32.const 1)))))
    (func $leaf (export "leaf") (param i32) (result i32) (local.get 0))))");
  code.set_stack_limit(Here() - 100'000);
  EXPECT_EQ(code.Call("forever", {0}), TrapsWith(TrapCode::kStackOverflow));
  EXPECT_EQ(code.Call("leaf", {5}), Returns({5}));
}

TEST(ControlTest, LargeFrameIsCheckedBeforeItIsEntered) {
  // 20,000 locals that are all live across a call need 160 KB.
  std::string text = "(module (func $id (param i64) (result i64) (local.get 0))";
  for (const char* name : {"calls", "leaf"}) {
    const bool calls = std::string(name) == "calls";
    text += std::string("(func (export \"") + name + "\") (param i64) (result i64) (local";
    for (int i = 0; i < 20'000; ++i) {
      text += " i64";
    }
    text += ")";
    for (int i = 1; i <= 20'000; ++i) {
      text += "(local.set " + std::to_string(i) + " (i64.add (local.get 0) (i64.const " +
              std::to_string(i) + ")))";
    }
    text += calls ? "(local.set 0 (call $id (local.get 0)))" : "";
    for (int i = 1; i <= 20'000; ++i) {
      text += "(local.set 0 (i64.add (local.get 0) (local.get " + std::to_string(i) + ")))";
    }
    text += "(local.get 0))";
  }
  text += ")";
  CodeHarness code(text);
  const uint64_t sum = uint64_t{20'000} * 20'001 / 2;
  for (const char* name : {"calls", "leaf"}) {
    code.set_stack_limit(0);
    EXPECT_EQ(code.Call(name, {1}), Returns({1 + 20'000 + sum})) << name;
    code.set_stack_limit(Here() - 50'000);
    EXPECT_EQ(code.Call(name, {1}), TrapsWith(TrapCode::kStackOverflow)) << name;
  }
}

TEST(ControlTest, LocalsStartAsZero) {
  for (const int count : {1, 3, 5, 9, 40, 101}) {
    std::string text = "(module (func (export \"f\") (param i32) (result i64) (local";
    for (int i = 0; i < count; ++i) {
      text += i % 3 == 2 ? " f64" : " i64";
    }
    text += ")";
    std::string sum = "(i64.const 0)";
    for (int i = 0; i < count; ++i) {
      const std::string get = "(local.get " + std::to_string(i + 1) + ")";
      sum = "(i64.or " + sum + (i % 3 == 2 ? "(i64.reinterpret_f64 " + get + ")" : get) + ")";
    }
    CodeHarness code(text + sum + "))");
    EXPECT_EQ(code.Call("f", {I32(-1)}), Returns({0})) << count;
  }
}

TEST(ControlTest, OperandsSurviveBlocksAndCalls) {
  CodeHarness code(R"((module
    (import "m" "clobber" (func $clobber))
    (func (export "f") (param i32 f64) (result f64)
      (local.get 0)
      (local.get 1)
      (i32.add (local.get 0) (i32.const 5))
      (i64.const 100)
      (block (result f64)
        (local.set 0 (i32.const 77))
        (local.set 1 (f64.const 0.25))
        (call $clobber)
        (br_if 0 (f64.const 1000) (local.get 0)))
      (local.set 1)
      (f64.convert_i64_s) (local.get 1) (f64.add) (local.set 1)
      (f64.convert_i32_s) (local.get 1) (f64.add) (local.set 1)
      (local.get 1) (f64.add) (local.set 1)
      (f64.convert_i32_s) (local.get 1) (f64.add))
    (func (export "arms") (param i32 i32) (result i32)
      (local.get 0)
      (if (local.get 1) (then (local.set 0 (i32.const 1))) (else (call $clobber)))
      (i32.mul (local.get 0))))
  )");
  code.SetImport(0, std::bit_cast<const void*>(&wasmd_test_clobber), nullptr);
  EXPECT_EQ(code.Call("f", {3, F64(2.5)}), Returns({F64(1000 + 100 + 8 + 2.5 + 3)}));
  EXPECT_EQ(code.Call("arms", {6, 1}), Returns({6}));
  EXPECT_EQ(code.Call("arms", {6, 0}), Returns({36}));
}

TEST(ControlTest, GlobalsTablesAndBulkMemory) {
  CodeHarness code(R"((module
    (import "m" "g" (global $imported (mut i64)))
    (global $own (mut i32) (i32.const -5))
    (global $float (mut f32) (f32.const 1.5))
    (memory 1 4)
    (data $hello "hello")
    (table $t 3 externref)
    (table $f 3 funcref)
    (elem $e func $get)
    (func $get (export "get") (result i64 i32 f32) (global.get $imported) (global.get $own) (global.get $float))
    (func (export "set") (param i64 i32 f32)
      (global.set $imported (local.get 0)) (global.set $own (local.get 1)) (global.set $float (local.get 2)))
    (func (export "const") (global.set $own (i32.const -1)))
    (func (export "table") (param i32 externref) (result externref)
      (table.set $t (local.get 0) (local.get 1)) (table.get $t (local.get 0)))
    (func (export "null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
    (func (export "tgrow") (param i32) (result i32 i32)
      (table.grow $t (ref.null extern) (local.get 0)) (table.size $t))
    (func (export "tfill") (param i32 i32) (table.fill $t (local.get 0) (ref.null extern) (local.get 1)))
    (func (export "init") (param i32) (result i32)
      (table.init $f $e (local.get 0) (i32.const 0) (i32.const 1))
      (table.copy $f $f (i32.const 0) (local.get 0) (i32.const 1))
      (elem.drop $e)
      (drop (ref.func $get))
      (ref.is_null (table.get $f (i32.const 0))))
    (func (export "grow") (param i32) (result i32 i32) (memory.grow (local.get 0)) (memory.size))
    (func (export "bulk") (param i32) (result i32)
      (memory.init $hello (local.get 0) (i32.const 1) (i32.const 4))
      (memory.copy (i32.const 100) (local.get 0) (i32.const 4))
      (memory.fill (i32.const 102) (i32.const 33) (i32.const 1))
      (data.drop $hello)
      (i32.load (i32.const 100))))
  )");
  EXPECT_EQ(code.Call("set", {UINT64_MAX, I32(-7), F32(2.5f)}), Returns({}));
  EXPECT_EQ(code.Call("get"), Returns({UINT64_MAX, I32(-7), F32(2.5f)}));
  EXPECT_EQ(code.global(1), I32(-7)) << "the cell's upper half is zero";
  EXPECT_EQ(code.Call("const"), Returns({}));
  EXPECT_EQ(code.global(1), I32(-1));
  EXPECT_EQ(code.Call("table", {2, 0x1234'5678'9abc}), Returns({0x1234'5678'9abc}));
  EXPECT_EQ(code.Call("table", {3, 1}), TrapsWith(TrapCode::kTableOutOfBounds));
  EXPECT_EQ(code.Call("null", {2}), Returns({0}));
  EXPECT_EQ(code.Call("null", {1}), Returns({1}));
  EXPECT_EQ(code.Call("tgrow", {4}), Returns({3, 7}));
  EXPECT_EQ(code.Call("tgrow", {2000}), Returns({UINT32_MAX, 7}));
  EXPECT_EQ(code.Call("tfill", {6, 1}), Returns({}));
  EXPECT_EQ(code.Call("tfill", {6, 2}), TrapsWith(TrapCode::kTableOutOfBounds));
  EXPECT_EQ(code.Call("init", {2}), Returns({0}));
  EXPECT_EQ(code.Call("init", {3}), TrapsWith(TrapCode::kTableOutOfBounds));
  EXPECT_EQ(code.Call("grow", {2}), Returns({1, 3}));
  EXPECT_EQ(code.Call("bulk", {50}), Returns({0x6f21'6c65}));
  EXPECT_EQ(code.Call("bulk", {0xffff'ffff}), TrapsWith(TrapCode::kMemoryOutOfBounds));
}

TEST(ControlTest, ManyFloatsUnderPressure) {
  // More live values of each class than registers, in a loop.
  std::string locals;
  std::string body;
  std::string sum = "(f64.const 0)";
  for (int i = 0; i < 24; ++i) {
    locals += " f64";
    const std::string n = std::to_string(i + 1);
    body += "(local.set " + n + " (f64.add (local.get " + n +
            ") (f64.convert_i32_u (i32.add (local.get 0) (i32.const " + n + ")))))";
    sum = "(f64.add " + sum + "(local.get " + n + "))";
  }
  CodeHarness code(
      "(module (func (export \"f\") (param i32) (result f64) (local" + locals + ") (loop $again " +
      body + "(br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))" + sum + "))");
  // 24 sums of i + n for i = 10 … 1.
  double expected = 0;
  for (int n = 1; n <= 24; ++n) {
    for (int i = 10; i > 0; --i) {
      expected += i + n;
    }
  }
  EXPECT_EQ(code.Call("f", {10}), Returns({F64(expected)}));
}

}  // namespace
}  // namespace wasmd::engine
