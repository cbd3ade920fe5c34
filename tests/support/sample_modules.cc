#include "tests/support/sample_modules.h"

#include <string_view>
#include <vector>

#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

constexpr std::string_view kFactorial = R"((module
  (func $fac (export "fac") (param i64) (result i64)
    (if (result i64) (i64.eqz (local.get 0))
      (then (i64.const 1))
      (else (i64.mul (local.get 0) (call $fac (i64.sub (local.get 0) (i64.const 1)))))))))";

constexpr std::string_view kEverySection = R"((module $every
  (type $unary (func (param i32) (result i32)))
  (import "env" "f" (func $imported (type $unary)))
  (import "env" "t" (table 2 externref))
  (import "env" "g" (global $base i32))
  (table $funcs 4 8 funcref)
  (memory 1 3)
  (global $counter (mut i64) (i64.const -5))
  (global $ratio f64 (f64.const 0.25))
  (global $half f32 (f32.const -0.5))
  (global $offset i32 (global.get $base))
  (global $nothing (mut externref) (ref.null extern))
  (global $function funcref (ref.func $late))
  (export "memory" (memory 0))
  (export "funcs" (table $funcs))
  (export "counter" (global $counter))
  (export "late" (func $late))
  (start $begin)
  (elem $active (table $funcs) (i32.const 0) func $imported $late)
  (elem $passive func $late $begin)
  (elem $expressions (table $funcs) (global.get $base) funcref (ref.func $late) (ref.null func))
  (elem $externs externref (ref.null extern))
  (elem declare func $declared)
  (func $begin (local i32 i64 f32 f64)
    (global.set $counter (i64.add (global.get $counter) (i64.const 1))))
  (func $late (type $unary)
    (call_indirect $funcs (type $unary) (local.get 0) (i32.const 1)))
  (func $declared)
  (func (result funcref) (ref.func $declared))
  (func $bulk (param i32 i32 i32)
    (memory.init $text (local.get 0) (local.get 1) (local.get 2))
    (data.drop $text)
    (memory.copy (local.get 0) (local.get 1) (local.get 2))
    (memory.fill (local.get 0) (local.get 1) (local.get 2))
    (table.init $funcs $passive (local.get 0) (local.get 1) (local.get 2))
    (elem.drop $passive)
    (table.copy $funcs $funcs (local.get 0) (local.get 1) (local.get 2))
    (table.fill $funcs (local.get 0) (ref.null func) (local.get 2))
    (drop (table.grow $funcs (ref.null func) (table.size $funcs)))
    (table.set $funcs (i32.const 0) (table.get $funcs (i32.const 1)))
    (drop (memory.grow (memory.size))))
  (data (i32.const 8) "active")
  (data (global.get $base) "at an imported global")
  (data $text "passive \00\ff")))";

constexpr std::string_view kControl = R"((module
  (memory 1)
  (func $switch (param i32) (result i32)
    (block $default (block $two (block $one (block $zero
      (br_table $zero $one $two $default (local.get 0)))
      (return (i32.const 10)))
      (return (i32.const 11)))
      (br $default))
    (i32.const 99))
  (func $loop (param i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (local.get 0)))
      (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again))
    (local.get $sum))
  (func $swap (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
  (func $values (param i32) (result i64 i32)
    (local.get 0) (i64.const 7)
    (call $swap)
    (block (param i64 i32) (result i64 i32)
      (if (param i64 i32) (result i64 i32) (local.get 0)
        (then (nop))
        (else (drop) (drop) (i64.const 1) (i32.const 2)))))
  (func $dead (result f64)
    (block (result f64)
      (br 0 (f64.const 1))
      (f64.add)
      (drop)
      (unreachable)
      (select)
      (loop (nop) (br_if 0 (i32.const 0)))))
  (func $access (param i32)
    (i32.store offset=4 (local.get 0) (i32.load8_s offset=65536 (local.get 0)))
    (f64.store align=1 (local.get 0) (f64.promote_f32 (f32.load (local.get 0))))
    (i64.store32 (local.get 0) (i64.extend_i32_u (i32.trunc_sat_f64_s (f64.const 1e100))))
    (drop (select (result externref) (ref.null extern) (ref.null extern) (local.get 0)))
    (drop (ref.is_null (ref.null func))))))";

constexpr std::string_view kVectors = R"((module
  (memory 1)
  (global $mask (mut v128) (v128.const i32x4 1 -2 3 0x7fffffff))
  (func $lanes (param v128 i32) (result v128 f32) (local v128)
    (local.set 2 (i8x16.replace_lane 15 (local.get 0) (local.get 1)))
    (v128.bitselect (i16x8.shl (local.get 2) (local.get 1)) (global.get $mask)
      (i8x16.shuffle 0 31 2 29 4 27 6 25 8 23 10 21 12 19 14 17 (local.get 0) (local.get 2)))
    (f32x4.extract_lane 3 (f32x4.max (local.get 0) (f32x4.splat (f32.const 0.5)))))
  (func $memory (param i32) (result i32)
    (v128.store offset=3 align=1 (local.get 0)
      (i32x4.add (v128.load16x4_u (local.get 0)) (v128.load offset=300 (local.get 0))))
    (v128.store64_lane offset=8 1 (local.get 0)
      (v128.load8_lane 15 (local.get 0) (v128.load32_splat (local.get 0))))
    (if (result i32) (i64x2.all_true (v128.load64_zero (local.get 0)))
      (then (i8x16.bitmask (global.get $mask)))
      (else (i32.const 0))))
  (export "memory" (func $memory))))";

// Tags, clauses of all kinds, exnrefs; the text format's assembler does not know try_table.
Bytes Exceptions() {
  const Bytes throws = {0x1f, 0x40, 0x01, 0x01, 0x00, 0x00,  // try_table (catch_ref 0 0)
                        0x41, 0x01, 0x08, 0x00, 0x0b,        // i32.const 1, throw 0, end
                        0xd0, 0x69, 0x21, 0x00,              // ref.null exn, local.set 0
                        0x20, 0x00, 0x0a, 0x0b};             // local.get 0, throw_ref, end
  const Bytes catches = {0x02, 0x40,                         // block
                         0x1f, 0x7f, 0x02, 0x02, 0x00, 0x00, 0x01, 0x00,  // try_table (result i32)
                                                                          // (catch_all 0)
                                                                          // (catch 1 0)
                         0x10, 0x00, 0x1a, 0x1a, 0x12, 0x01,  // call 0, drop, drop, return_call 1
                         0x0b, 0x1a, 0x0b, 0x0b};             // end, drop, end, end
  return WasmModule({
      Section(1, Vec({FuncTypeBytes({}, {0x7f, 0x69}), FuncTypeBytes({}, {}),
                      FuncTypeBytes({0x7f}, {})})),
      Section(2, Vec({Concat({NameBytes("env"), NameBytes("tag"), {0x04, 0x00, 0x02}})})),
      Section(3, Vec({Leb(0), Leb(1)})),
      Section(13, Vec({{0x00, 0x01}})),
      Section(6, Vec({{0x69, 0x01, 0xd0, 0x69, 0x0b}})),
      Section(7, Vec({Concat({NameBytes("tag"), {0x04, 0x01}})})),
      Section(10, Vec({Body({{0x01, 0x69}}, throws), Body({}, catches)})),
  });
}

}  // namespace

const std::vector<SampleModule>& SampleModules() {
  static const auto& modules = *new std::vector<SampleModule>{
      {"factorial", Wat(kFactorial)}, {"every_section", Wat(kEverySection)},
      {"control", Wat(kControl)},     {"vectors", Wat(kVectors)},
      {"exceptions", Exceptions()},
  };
  return modules;
}

}  // namespace wasmd::engine
