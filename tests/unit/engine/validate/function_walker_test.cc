// Function bodies that are malformed or invalid, each with the rule that refuses it and the offset.
#include "engine/validate/function_walker.h"

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/validate/validate.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/module.h"
#include "tests/support/sample_modules.h"
#include "tests/support/wasm_builder.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr uint8_t kI32 = 0x7f;
constexpr uint8_t kI64 = 0x7e;

std::string Validate(const Bytes& bytes) {
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  if (!module.ok()) {
    return "decoding: " + module.status().ToString();
  }
  return ValidateModule(*module, 1).ToString();
}

std::string ValidateText(std::string_view text) {
  return Validate(Wat(text));
}

std::string Invalid(std::string_view message) {
  return "INVALID_ARGUMENT: " + std::string(message);
}

TEST(FunctionWalkerTest, SampleModulesAreValid) {
  for (const SampleModule& sample : SampleModules()) {
    EXPECT_EQ(Validate(sample.bytes), "OK") << sample.name;
  }
}

struct BodyCase {
  std::string_view name;
  std::string_view func;  // In a module with a memory, tables, globals and functions.
  std::string_view message;

  friend void PrintTo(const BodyCase& value, std::ostream* out) { *out << value.name; }
};

class InvalidBodyTest : public testing::TestWithParam<BodyCase> {};

TEST_P(InvalidBodyTest, IsRefused) {
  const std::string text = R"((module
    (type $none (func))
    (type $i32 (func (param i32) (result i32)))
    (memory 1)
    (table $funcs 1 funcref)
    (table $externs 1 externref)
    (global $constant i32 (i32.const 0))
    (global $variable (mut i64) (i64.const 0))
    (elem $segment func $undeclared_no_more)
    (elem $extern_segment externref)
    (data $text "text")
    (func $undeclared_no_more)
    (func $undeclared)
    )" + std::string(GetParam().func) +
                           ")";
  EXPECT_THAT(ValidateText(text), StartsWith(Invalid(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All, InvalidBodyTest,
    testing::ValuesIn(std::vector<BodyCase>{
        {"operand_type", "(func (i32.eqz (i64.const 0)) drop)",
         "type mismatch: expected i32, found i64"},
        {"operand_missing", "(func i32.eqz drop)", "type mismatch: expected i32, found nothing"},
        {"second_operand", "(func (i32.add (f32.const 0) (i32.const 0)) drop)",
         "type mismatch: expected i32, found f32"},
        {"operand_below_the_block", "(func (i32.const 0) (block (drop)) drop)",
         "type mismatch: expected a value, found nothing"},
        {"result_missing", "(func (result i32))", "type mismatch: expected i32, found nothing"},
        {"result_type", "(func (result i32) (i64.const 0))", "type mismatch"},
        {"values_remain", "(func (i32.const 0))", "type mismatch: 1 values remain"},
        {"values_remain_in_dead_code", "(func (unreachable) (i32.const 0))",
         "type mismatch: 1 values remain"},
        {"dead_code_type", "(func (unreachable) (i64.const 0) (i32.eqz) (drop))",
         "type mismatch: expected i32, found i64"},
        {"if_without_else",
         "(func (result i32) (if (result i32) (i32.const 1) (then (i32.const 0))))",
         "type mismatch: an if without else"},
        {"else_type",
         "(func (if (result i32) (i32.const 1) (then (i32.const 0)) (else (i64.const 0))) drop)",
         "type mismatch: expected i32, found i64"},
        {"if_condition", "(func (if (i64.const 1) (then)))", "type mismatch"},
        {"block_parameter", "(func (block (param i32) (drop)))", "type mismatch"},
        {"branch_operand", "(func (block (result i32) (br 0)) drop)", "type mismatch"},
        {"branch_condition", "(func (block (br_if 0 (f32.const 0))))", "type mismatch"},
        {"br_table_arity",
         "(func (block (result i32) (block (br_table 0 1 (i32.const 1) (i32.const 0))) "
         "(i32.const 0)) drop)",
         "type mismatch: the targets of br_table differ in arity"},
        {"br_table_type",
         "(func (block (result f32) (block (result i32) (br_table 0 1 (i32.const 1) (i32.const 0)) "
         ") drop (f32.const 0)) drop)",
         "type mismatch"},
        {"return_operand", "(func (result i32) (return))", "type mismatch"},
        {"call_operand",
         "(func (call 3 (i64.const 0)) drop) (func (param i32) (result i32) local.get 0)",
         "type mismatch: expected i32, found i64"},
        {"call_index", "(func (call 99))", "unknown function 99"},
        {"call_indirect_type", "(func (call_indirect (type 99) (i32.const 0)))", "unknown type 99"},
        {"call_indirect_table", "(func (call_indirect 7 (type $none) (i32.const 0)))",
         "unknown table 7"},
        {"call_indirect_of_externs", "(func (call_indirect $externs (type $none) (i32.const 0)))",
         "type mismatch"},
        {"label", "(func (br 1))", "unknown label 1"},
        {"local", "(func (param i32) (drop (local.get 1)))", "unknown local 1"},
        {"local_type", "(func (local i64) (local.set 0 (i32.const 0)))", "type mismatch"},
        {"global", "(func (drop (global.get 9)))", "unknown global 9"},
        {"immutable_global", "(func (global.set $constant (i32.const 0)))", "immutable global"},
        {"global_type", "(func (global.set $variable (i32.const 0)))", "type mismatch"},
        {"select_types", "(func (drop (select (i32.const 0) (i64.const 0) (i32.const 0))))",
         "type mismatch: the operands of select differ"},
        {"select_of_references",
         "(func (drop (select (ref.null func) (ref.null func) (i32.const 0))))",
         "type mismatch: select of references"},
        {"select_two_types",
         "(func (drop (select (result i32 i32) (i32.const 0) (i32.const 0) (i32.const 0))))",
         "invalid result arity"},
        {"load_alignment", "(func (drop (i32.load16_u align=4 (i32.const 0))))",
         "alignment must not be larger than natural"},
        {"store_alignment", "(func (i64.store align=16 (i32.const 0) (i64.const 0)))",
         "alignment must not be larger than natural"},
        {"store_operand", "(func (i64.store (i32.const 0) (i32.const 0)))", "type mismatch"},
        {"data_segment", "(func (data.drop 1))", "unknown data segment 1"},
        {"elem_segment", "(func (elem.drop 2))", "unknown elem segment 2"},
        {"table_index", "(func (drop (table.size 2)))", "unknown table 2"},
        {"table_set_type", "(func (table.set $funcs (i32.const 0) (ref.null extern)))",
         "type mismatch: expected funcref, found externref"},
        {"table_copy_types",
         "(func (table.copy $funcs $externs (i32.const 0) (i32.const 0) (i32.const 0)))",
         "type mismatch: table.copy"},
        {"table_init_types",
         "(func (table.init $funcs $extern_segment (i32.const 0) (i32.const 0) (i32.const 0)))",
         "type mismatch: table.init"},
        {"ref_func_undeclared", "(func (drop (ref.func $undeclared)))",
         "undeclared function reference"},
        {"ref_func_index", "(func (drop (ref.func 99)))", "unknown function 99"},
        {"ref_is_null_of_number", "(func (drop (ref.is_null (i32.const 0))))",
         "type mismatch: ref.is_null"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

struct CodeCase {
  std::string_view name;
  Bytes code;
  std::string_view message;

  friend void PrintTo(const CodeCase& value, std::ostream* out) { *out << value.name; }
};

class MalformedBodyTest : public testing::TestWithParam<CodeCase> {};

// In a function [] -> [], whose code begins at 0x1c.
TEST_P(MalformedBodyTest, IsRefused) {
  EXPECT_THAT(Validate(OneFunction({}, {}, GetParam().code)), StartsWith(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedBodyTest,
    testing::ValuesIn(std::vector<CodeCase>{
        {"no_end", {0x01}, "INVALID_ARGUMENT: unexpected end of section or function in function 0"},
        {"empty", {}, "INVALID_ARGUMENT: unexpected end of section or function"},
        {"after_the_end", {0x0b, 0x0b}, "INVALID_ARGUMENT: END opcode expected"},
        {"block_without_end", {0x02, 0x40, 0x0b}, "INVALID_ARGUMENT: unexpected end"},
        {"else_without_if", {0x05, 0x0b}, "INVALID_ARGUMENT: misplaced ELSE opcode"},
        {"else_twice",
         {0x41, 0x00, 0x04, 0x40, 0x05, 0x05, 0x0b, 0x0b},
         "INVALID_ARGUMENT: misplaced ELSE opcode"},
        {"illegal_opcode", {0xff, 0x0b}, "INVALID_ARGUMENT: illegal opcode ff"},
        {"illegal_prefixed", {0xfc, 0x20, 0x0b}, "INVALID_ARGUMENT: illegal opcode fc 20"},
        {"huge_prefixed",
         {0xfc, 0x80, 0x80, 0x80, 0x80, 0x08, 0x0b},
         "INVALID_ARGUMENT: illegal opcode fc 80000000"},
        {"constant_cut_short", {0x41, 0x80}, "INVALID_ARGUMENT: unexpected end"},
        {"constant_too_long",
         {0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x1a, 0x0b},
         "INVALID_ARGUMENT: integer representation too long"},
        {"constant_too_large",
         {0x41, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a, 0x0b},
         "INVALID_ARGUMENT: integer too large"},
        {"float_cut_short", {0x44, 0, 0, 0, 0, 0, 0, 0x0b}, "INVALID_ARGUMENT: unexpected end"},
        {"block_type", {0x02, 0x01, 0x0b, 0x0b}, "INVALID_ARGUMENT: unknown type 1"},
        {"block_type_code", {0x02, 0x41, 0x0b, 0x0b}, "INVALID_ARGUMENT: malformed block type"},
        {"alignment_32",
         {0x41, 0x00, 0x28, 0x20, 0x00, 0x1a, 0x0b},
         "INVALID_ARGUMENT: alignment must not be larger than natural"},
        {"memop_flags",
         {0x41, 0x00, 0x28, 0x82, 0x01, 0x00, 0x1a, 0x0b},
         "INVALID_ARGUMENT: malformed memop flags"},
        {"memory_offset",
         {0x41, 0x00, 0x28, 0x02, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a, 0x0b},
         "INVALID_ARGUMENT: offset out of range"},
        {"ref_null_type", {0xd0, 0x7f, 0x1a, 0x0b}, "INVALID_ARGUMENT: malformed reference type"},
        {"data_count", {0xfc, 0x09, 0x00, 0x0b}, "INVALID_ARGUMENT: data count section required"},
        {"br_table_cut_short", {0x0e, 0xff, 0xff, 0x0f, 0x00}, "INVALID_ARGUMENT: unexpected end"},
        {"br_table_count",
         {0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00},
         "RESOURCE_EXHAUSTED: too many targets of br_table: 4294967295"},
        {"simd", {0xfd, 0x0c, 0x0b}, "UNIMPLEMENTED: opcode fd 0c needs the feature simd,"},
        {"relaxed_simd",
         {0xfd, 0x80, 0x02, 0x0b},
         "UNIMPLEMENTED: opcode fd 100 needs the feature relaxed-simd,"},
        {"threads", {0xfe, 0x00, 0x0b}, "UNIMPLEMENTED: opcode fe 00 needs the feature threads,"},
        {"gc", {0xfb, 0x00, 0x0b}, "UNIMPLEMENTED: opcode fb 00 needs the feature gc,"},
        {"throw_of_no_tag", {0x08, 0x00, 0x0b}, "INVALID_ARGUMENT: unknown tag 0"},
        {"catch_of_no_tag",
         {0x1f, 0x40, 0x01, 0x00, 0x00, 0x00, 0x0b, 0x0b},
         "INVALID_ARGUMENT: unknown tag 0"},
        {"catch_kind",
         {0x1f, 0x40, 0x01, 0x04, 0x00, 0x0b, 0x0b},
         "INVALID_ARGUMENT: malformed catch clause"},
        {"catch_label",
         {0x1f, 0x40, 0x01, 0x02, 0x01, 0x0b, 0x0b},
         "INVALID_ARGUMENT: unknown label 1"},
        {"catch_without_exnref",
         {0x1f, 0x40, 0x01, 0x03, 0x00, 0x0b, 0x0b},
         "INVALID_ARGUMENT: type mismatch: the label of a catch clause takes no exnref"},
        {"catch_of_nothing",
         {0x02, 0x7f, 0x1f, 0x40, 0x01, 0x02, 0x00, 0x0b, 0x00, 0x0b, 0x1a, 0x0b},
         "INVALID_ARGUMENT: type mismatch: the label of a catch clause does not take"},
        {"clauses_cut_short",
         {0x1f, 0x40, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x02, 0x00},
         "INVALID_ARGUMENT: unexpected end"},
        {"throw_ref_of_i32",
         {0x41, 0x00, 0x0a, 0x0b},
         "INVALID_ARGUMENT: type mismatch: expected exnref, found i32"},
        {"return_call_of_nothing", {0x12, 0x01, 0x0b}, "INVALID_ARGUMENT: unknown function 1"},
        {"try",
         {0x06, 0x40, 0x0b, 0x0b},
         "UNIMPLEMENTED: opcode 06 needs the feature legacy-exceptions,"},
        {"call_ref",
         {0x14, 0x00, 0x0b},
         "UNIMPLEMENTED: opcode 14 needs the feature function-references,"},
        {"v128_block",
         {0x02, 0x7b, 0x0b, 0x0b},
         "UNIMPLEMENTED: type 0x7b needs the feature simd,"},
        {"memory_index", {0x3f, 0x01, 0x1a, 0x0b}, "INVALID_ARGUMENT: unknown memory 1"},
        {"memory_index_in_memarg",
         {0x41, 0x00, 0x28, 0x42, 0x01, 0x00, 0x1a, 0x0b},
         "INVALID_ARGUMENT: unknown memory 1"},
        {"aligned_memory_index_in_memarg",
         {0x41, 0x00, 0x28, 0x43, 0x00, 0x00, 0x1a, 0x0b},
         "INVALID_ARGUMENT: alignment must not be larger than natural"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

// Each feature of a body, switched off: by the instruction's name, or by what it needs.
TEST(FunctionWalkerTest, SwitchedOffFeatures) {
  const auto validate = [](const Bytes& code, const FeatureSet& features) {
    const Bytes bytes = OneFunction({}, {}, code);
    const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes), features);
    return module.ok() ? ValidateModule(*module, 1).ToString() : module.status().ToString();
  };
  const auto check = [&](Feature feature, const Bytes& code, std::string_view what) {
    EXPECT_EQ(validate(code, {}), "OK") << what;
    EXPECT_THAT(validate(code, FeatureSet().Without(feature)),
                StartsWith("UNIMPLEMENTED: " + std::string(what) + " needs the feature " +
                           std::string(ToString(feature)) + ", which is switched off"));
  };
  check(Feature::kWideArithmetic, {0x42, 0x00, 0x42, 0x00, 0xfc, 0x16, 0x1a, 0x1a, 0x0b},
        "i64.mul_wide_u");
  check(Feature::kSignExtension, {0x41, 0x00, 0xc0, 0x1a, 0x0b}, "i32.extend8_s");
  check(Feature::kMultiMemory, {0x41, 0x00, 0x28, 0x42, 0x00, 0x00, 0x1a, 0x0b},
        "a memory index in a memory access");
  EXPECT_EQ(validate({0x3f, 0x80, 0x00, 0x1a, 0x0b}, {}), "OK");
  EXPECT_THAT(validate({0x3f, 0x80, 0x00, 0x1a, 0x0b}, FeatureSet().Without(Feature::kMultiMemory)),
              StartsWith("INVALID_ARGUMENT: zero byte expected"));
}

// What the types of two memories or tables make of the operands. Spec: valid-memory.copy,
// valid-table.copy
TEST(FunctionWalkerTest, AddressTypes) {
  const auto validate = [](const Bytes& code) {
    const Bytes bytes = WasmModule({
        Section(1, Vec({FuncTypeBytes({}, {})})),
        Section(3, Vec({Leb(0)})),
        Section(4, Vec({{0x70, 0x00, 0x00}, {0x70, 0x04, 0x00}})),
        Section(5, Vec({{0x00, 0x00}, {0x04, 0x00}})),
        Section(10, Vec({Body({}, code)})),
    });
    return Validate(bytes);
  };
  const Bytes i32 = {0x41, 0x00};
  const Bytes i64 = {0x42, 0x00};
  const Bytes drop_end = {0x1a, 0x0b};
  const auto mismatch = StartsWith("INVALID_ARGUMENT: type mismatch");
  EXPECT_EQ(validate(Concat({i64, {0x28, 0x42, 0x01, 0x00}, drop_end})), "OK");
  EXPECT_THAT(validate(Concat({i32, {0x28, 0x42, 0x01, 0x00}, drop_end})), mismatch);
  EXPECT_EQ(validate(Concat(
                {i64,
                 {0x28, 0x42, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
                 drop_end})),
            "OK")
      << "an offset of 64 bits";
  EXPECT_EQ(validate(Concat({{0x3f, 0x01, 0x40, 0x01}, drop_end})), "OK") << "size, grow";
  // memory.copy and table.copy: (to, from) of 32 and 64 bits.
  for (const Bytes& op : {Bytes{0xfc, 0x0a}, Bytes{0xfc, 0x0e}}) {
    EXPECT_EQ(validate(Concat({i32, i64, i32, op, {0x00, 0x01, 0x0b}})), "OK");
    EXPECT_EQ(validate(Concat({i64, i32, i32, op, {0x01, 0x00, 0x0b}})), "OK");
    EXPECT_EQ(validate(Concat({i64, i64, i64, op, {0x01, 0x01, 0x0b}})), "OK");
    EXPECT_THAT(validate(Concat({i32, i64, i64, op, {0x00, 0x01, 0x0b}})), mismatch);
    EXPECT_THAT(validate(Concat({i64, i64, i32, op, {0x01, 0x01, 0x0b}})), mismatch);
  }
  EXPECT_EQ(validate(Concat({i64, {0x11, 0x00, 0x01, 0x0b}})), "OK") << "call_indirect";
  EXPECT_THAT(validate(Concat({i32, {0x11, 0x00, 0x01, 0x0b}})), mismatch);
}

TEST(FunctionWalkerTest, NoMemory) {
  for (const std::string_view code : {"(drop (i32.load (i32.const 0)))", "(drop (memory.size))",
                                      "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))"}) {
    EXPECT_THAT(ValidateText("(module (func " + std::string(code) + "))"),
                StartsWith(Invalid("unknown memory 0")));
  }
}

// The error names the function and the instruction's offset.
TEST(FunctionWalkerTest, SaysWhere) {
  EXPECT_EQ(Validate(OneFunction({}, {}, {0x01, 0x01, 0x6a, 0x0b})),
            Invalid("type mismatch: expected i32, found nothing in function 0 (at offset 0x1e)"));
  EXPECT_THAT(ValidateText("(module (func) (func $faulty drop))"),
              HasSubstr(" in function 1 (faulty) (at offset 0x"));
}

TEST(FunctionWalkerTest, Locals) {
  const auto with = [](const std::vector<Bytes>& groups) {
    return Validate(OneFunction({kI32}, {}, {0x0b}, groups));
  };
  EXPECT_EQ(with({}), "OK");
  EXPECT_EQ(with({Concat({Leb(0), {kI64}})}), "OK");
  EXPECT_EQ(with({Concat({Leb(kMaxFuncLocals - 1), {kI64}})}), "OK") << "and the parameter";
  EXPECT_THAT(with({Concat({Leb(kMaxFuncLocals), {kI64}})}),
              StartsWith("RESOURCE_EXHAUSTED: too many locals: 50001, the limit is 50000"));
  EXPECT_THAT(with({Concat({Leb(0xffff'ffff), {kI64}})}), StartsWith(Invalid("too many locals")));
  EXPECT_THAT(with({Concat({Leb(1), {0x01}})}), StartsWith(Invalid("malformed value type 0x01")));
  EXPECT_THAT(with({Concat({Leb(1), {0x7b}})}), StartsWith("UNIMPLEMENTED: type 0x7b"));
  EXPECT_THAT(Validate(OneFunction({}, {}, {}, {{0x01}})), StartsWith(Invalid("unexpected end")));
}

// Locals beyond the ones that are laid out in memory are found by their runs.
TEST(FunctionWalkerTest, ManyLocals) {
  // 0: the parameter. 1..600: i64. 601..1100: f32. Then none. 1101..1102: i32.
  const std::vector<Bytes> groups = {Concat({Leb(600), {kI64}}), Concat({Leb(500), {0x7d}}),
                                     Concat({Leb(0), {0x7c}}), Concat({Leb(2), {kI32}})};
  const auto get = [&groups](uint32_t index, uint8_t result) {
    return Validate(OneFunction({kI32}, {result}, Concat({{0x20}, Leb(index), {0x0b}}), groups));
  };
  const auto type_of = [](uint32_t index) -> uint8_t {
    return index == 0 || index > 1'100 ? kI32 : index <= 600 ? kI64 : 0x7d;
  };
  for (const uint32_t index :
       {0u, 1u, 511u, 512u, 513u, 514u, 599u, 600u, 601u, 1'099u, 1'100u, 1'101u, 1'102u}) {
    EXPECT_EQ(get(index, type_of(index)), "OK") << index;
    EXPECT_THAT(get(index, 0x7c), StartsWith(Invalid("type mismatch"))) << index;
  }
  EXPECT_THAT(get(1'103, kI32), StartsWith(Invalid("unknown local 1103")));
}

// Nesting is bounded by name and costs no stack of ours.
TEST(FunctionWalkerTest, DeepNesting) {
  const auto nested = [](uint32_t depth) {
    Bytes code;
    for (uint32_t i = 0; i < depth; ++i) {
      Append(code, {0x02, 0x40});
    }
    Append(code, Bytes(depth + 1, 0x0b));
    return Validate(OneFunction({}, {}, code));
  };
  EXPECT_EQ(nested(kMaxBlockDepth - 1), "OK");
  EXPECT_THAT(nested(kMaxBlockDepth), StartsWith("RESOURCE_EXHAUSTED: too many nested blocks"));
}

// Two bytes push a thousand operands: the stack is bounded all the same.
TEST(FunctionWalkerTest, OperandStackIsBounded) {
  const auto with = [](uint32_t calls) {
    Bytes code;
    for (uint32_t i = 0; i < calls; ++i) {
      Append(code, {0x10, 0x00});
    }
    Append(code, {0x00, 0x0b});
    return Validate(WasmModule({
        Section(1, Vec({FuncTypeBytes({}, Bytes(1'000, kI64)), FuncTypeBytes({}, {})})),
        Section(2, Vec({Concat({NameBytes("m"), NameBytes("f"), {0x00, 0x00}})})),
        Section(3, Vec({Leb(1)})),
        Section(10, Vec({Body({}, code)})),
    }));
  };
  EXPECT_EQ(with(1'000), "OK");
  EXPECT_THAT(with(1'001), StartsWith("RESOURCE_EXHAUSTED: too many operands on the stack"));
}

// Signatures longer than what is compared by hand.
TEST(FunctionWalkerTest, LongSignatures) {
  const Bytes params = Concat({Bytes(20, kI32), Bytes(20, kI64)});
  const auto with = [&params](const Bytes& code) {
    return Validate(WasmModule({
        Section(1, Vec({FuncTypeBytes({}, params), FuncTypeBytes(params, {}), FuncTypeBytes({}, {}),
                        FuncTypeBytes(params, params)})),
        Section(2, Vec({Concat({NameBytes("m"), NameBytes("make"), {0x00, 0x00}}),
                        Concat({NameBytes("m"), NameBytes("take"), {0x00, 0x01}})})),
        Section(3, Vec({Leb(2)})),
        Section(10, Vec({Body({}, code)})),
    }));
  };
  EXPECT_EQ(with({0x10, 0x00, 0x10, 0x01, 0x0b}), "OK");
  EXPECT_EQ(with({0x10, 0x00, 0x02, 0x03, 0x41, 0x00, 0x0d, 0x00, 0x0b, 0x10, 0x01, 0x0b}), "OK");
  EXPECT_EQ(with({0x00, 0x10, 0x01, 0x0b}), "OK") << "unreachable";
  EXPECT_THAT(with({0x10, 0x00, 0x1a, 0x10, 0x01, 0x0b}), StartsWith(Invalid("type mismatch")));
  EXPECT_THAT(with({0x10, 0x00, 0xa7, 0x10, 0x01, 0x0b}),
              StartsWith(Invalid("type mismatch: expected i64, found i32")));
}

// A scratch that has seen a bad function or a big one serves the next.
TEST(FunctionWalkerTest, ScratchIsReusable) {
  WalkerScratch scratch;
  const auto validate = [&scratch](std::string_view text) {
    const Bytes bytes = Wat(text);
    const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
    EXPECT_TRUE(module.ok());
    return ValidateFunction(*module, 0, scratch).code();
  };
  EXPECT_EQ(validate("(module (func (param i32) (block (block (unreachable) (i32.const 0)))))"),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(validate("(module (func (result i32) (block (result i32) (i32.const 0))))"),
            absl::StatusCode::kOk);
  EXPECT_EQ(validate("(module (func (drop (local.get 0))))"), absl::StatusCode::kInvalidArgument)
      << "the first function's parameter is gone";
}

}  // namespace
}  // namespace wasmd::engine
