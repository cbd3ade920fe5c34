// DecodeModule: what a good module becomes, and how each kind of bad one is refused.
#include "engine/binary/decode_module.h"

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wasm/limits.h"
#include "engine/wasm/module.h"
#include "engine/wasm/types.h"
#include "tests/support/sample_modules.h"
#include "tests/support/wasm_builder.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr uint8_t kI32 = 0x7f;

// "OK" or "<code>: <message>".
std::string Decode(const Bytes& bytes) {
  return DecodeModule(AsBytes(bytes)).status().ToString();
}

std::string Invalid(std::string_view message) {
  return "INVALID_ARGUMENT: " + std::string(message);
}

Bytes NoType() {
  return FuncTypeBytes({}, {});
}

TEST(DecodeModuleTest, Empty) {
  EXPECT_EQ(Decode(WasmHeader()), "OK");
}

TEST(DecodeModuleTest, Header) {
  EXPECT_EQ(Decode({}), Invalid("unexpected end (at offset 0x0)"));
  EXPECT_EQ(Decode({0x00, 'a', 's'}), Invalid("unexpected end (at offset 0x0)"));
  EXPECT_THAT(Decode({'#', '!', '/', 'b', 'i', 'n'}),
              StartsWith(Invalid("magic header not detected")));
  EXPECT_THAT(Decode({'#'}), StartsWith(Invalid("magic header not detected")));
  EXPECT_EQ(Decode({0x00, 'a', 's', 'm', 0x01, 0x00}), Invalid("unexpected end (at offset 0x4)"));
  EXPECT_EQ(Decode({0x00, 'a', 's', 'm', 0x02, 0x00, 0x00, 0x00}),
            Invalid("unknown binary version (at offset 0x4)"));
  EXPECT_THAT(Decode({0x00, 'a', 's', 'm', 0x0d, 0x00, 0x01, 0x00}), HasSubstr("component"));
}

TEST(DecodeModuleTest, EverySection) {
  const Bytes& bytes = SampleModules()[1].bytes;
  const absl::StatusOr<Module> decoded = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  const Module& module = *decoded;

  ASSERT_EQ(module.imports.size(), 3u);
  EXPECT_EQ(module.imports[0].module, "env");
  EXPECT_EQ(module.imports[1].name, "t");
  EXPECT_EQ(module.imports[2].kind, ExternKind::kGlobal);
  EXPECT_EQ(module.imported_funcs, 1u);
  EXPECT_EQ(module.imported_tables, 1u);
  EXPECT_EQ(module.imported_memories, 0u);
  EXPECT_EQ(module.imported_globals, 1u);

  ASSERT_EQ(module.tables.size(), 2u);
  EXPECT_TRUE(module.tables[0].is_imported);
  EXPECT_EQ(module.tables[0].type.element, ValType::kExternRef);
  EXPECT_EQ(module.tables[1].type, (TableType{ValType::kFuncRef, {4, 8}}));
  ASSERT_EQ(module.memories.size(), 1u);
  EXPECT_EQ(module.memories[0].type.limits, (Limits{1, 3}));

  ASSERT_EQ(module.globals.size(), 7u);
  EXPECT_TRUE(module.globals[0].is_imported);
  EXPECT_EQ(module.globals[1].type, (GlobalType{ValType::kI64, true}));
  EXPECT_EQ(static_cast<int64_t>(module.globals[1].init.bits), -5);
  EXPECT_EQ(module.globals[2].init.bits, 0x3fd0'0000'0000'0000u);
  EXPECT_EQ(module.globals[3].init.bits, 0xbf00'0000u);
  EXPECT_EQ(module.globals[4].init.kind, ConstExpr::Kind::kGlobalGet);
  EXPECT_EQ(module.globals[5].init.kind, ConstExpr::Kind::kRefNull);
  EXPECT_EQ(module.globals[6].init.kind, ConstExpr::Kind::kRefFunc);
  EXPECT_EQ(module.globals[6].init.index, 2u);

  ASSERT_EQ(module.exports.size(), 4u);
  EXPECT_EQ(module.exports[3].name, "late");
  EXPECT_EQ(module.exports[3].index, 2u);
  EXPECT_EQ(module.start, 1u);

  ASSERT_EQ(module.elems.size(), 5u);
  EXPECT_EQ(module.elems[0].mode, ElemSegment::Mode::kActive);
  EXPECT_EQ(module.elems[0].table_index, 1u);
  EXPECT_EQ(module.elems[0].init.size(), 2u);
  EXPECT_EQ(module.elems[1].mode, ElemSegment::Mode::kPassive);
  EXPECT_EQ(module.elems[2].offset.kind, ConstExpr::Kind::kGlobalGet);
  EXPECT_EQ(module.elems[2].init[1].kind, ConstExpr::Kind::kRefNull);
  EXPECT_EQ(module.elems[3].type, ValType::kExternRef);
  EXPECT_EQ(module.elems[4].mode, ElemSegment::Mode::kDeclarative);

  ASSERT_EQ(module.datas.size(), 3u);
  EXPECT_EQ(module.data_count, 3u);
  EXPECT_TRUE(module.datas[0].is_active);
  EXPECT_EQ(module.datas[0].offset.bits, 8u);
  EXPECT_FALSE(module.datas[2].is_active);
  EXPECT_EQ(
      std::string_view(reinterpret_cast<const char*>(bytes.data()) + module.datas[0].bytes_offset,
                       module.datas[0].bytes_size),
      "active");

  EXPECT_EQ(module.names.module_name, "every");
  EXPECT_EQ(module.func_name(0), "imported");
  EXPECT_EQ(module.func_name(2), "late");
  EXPECT_TRUE(module.is_imported_func(0));
  EXPECT_EQ(module.func_type(2), (FuncType{{ValType::kI32}, {ValType::kI32}}));
  EXPECT_GT(module.funcs[2].body_bytes, 0u);
  EXPECT_GT(module.code_section_bytes, 0u);

  // Imported, begin, late, declared, the one without a name, bulk. Spec: C.refs
  const std::vector<bool> declared = {true, true, true, true, false, false};
  ASSERT_EQ(module.funcs.size(), declared.size());
  for (size_t i = 0; i < declared.size(); ++i) {
    EXPECT_EQ(module.funcs[i].is_declared_ref, declared[i]) << i;
  }
}

TEST(DecodeModuleTest, SectionFraming) {
  EXPECT_EQ(Decode(WasmModule({{0x0e, 0x00}})), Invalid("malformed section id 14 (at offset 0x8)"));
  EXPECT_EQ(Decode(WasmModule({{0x01, 0x05, 0x00}})),
            Invalid("length out of bounds (at offset 0xa)"));
  EXPECT_EQ(Decode(WasmModule({{0x01}})), Invalid("unexpected end (at offset 0x9)"));
  EXPECT_EQ(Decode(WasmModule({Section(1, {0x00, 0x00})})),
            Invalid("section size mismatch (at offset 0xb)"));
  EXPECT_EQ(Decode(WasmModule({Section(1, {0x01, 0x60, 0x00})})),
            Invalid("unexpected end (at offset 0xd)"));
  EXPECT_EQ(Decode(WasmModule({Section(3, Vec({})), Section(1, Vec({}))})),
            Invalid("unexpected content after last section (at offset 0xb)"));
  EXPECT_EQ(Decode(WasmModule({Section(1, Vec({})), Section(1, Vec({}))})),
            Invalid("unexpected content after last section (at offset 0xb)"));
  EXPECT_EQ(Decode(WasmModule({Section(12, Leb(0)), Section(9, Vec({}))})),
            Invalid("unexpected content after last section (at offset 0xb)"));
  // The data count section comes before the code.
  EXPECT_EQ(Decode(WasmModule({Section(9, Vec({})), Section(12, Leb(0)), Section(10, Vec({})),
                               Section(11, Vec({}))})),
            "OK");
}

TEST(DecodeModuleTest, CustomSectionsAnywhere) {
  const Bytes wasm = WasmModule({CustomSectionBytes("first", {1, 2, 3}), Section(1, Vec({})),
                                 CustomSectionBytes("", {}), CustomSectionBytes("first", {4})});
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(wasm));
  ASSERT_TRUE(module.ok()) << module.status();
  ASSERT_EQ(module->customs.size(), 3u);
  EXPECT_EQ(module->customs[0].name, "first");
  EXPECT_EQ(module->customs[0].contents.size(), 3u);
  EXPECT_EQ(module->customs[2].contents[0], std::byte{4});
  EXPECT_EQ(Decode(WasmModule({CustomSectionBytes("\xff", {})})),
            Invalid("malformed UTF-8 encoding (at offset 0xa)"));
  EXPECT_EQ(Decode(WasmModule({Section(0, {})})), Invalid("unexpected end (at offset 0xa)"));
}

TEST(DecodeModuleTest, Types) {
  EXPECT_EQ(Decode(WasmModule({Section(1, Vec({{0x40}}))})),
            Invalid("malformed definition type (at offset 0xb)"));
  EXPECT_EQ(Decode(WasmModule({Section(1, Vec({FuncTypeBytes({0x01}, {})}))})),
            Invalid("malformed value type 0x01 (at offset 0xd)"));
  EXPECT_EQ(Decode(WasmModule({Section(1, Vec({FuncTypeBytes(Bytes(1'000, kI32), {})}))})), "OK");
  EXPECT_THAT(Decode(WasmModule({Section(1, Vec({FuncTypeBytes(Bytes(1'001, kI32), {})}))})),
              StartsWith("RESOURCE_EXHAUSTED: too many parameters: 1001, the limit is 1000"));
}

// A count near 2^32 must neither be believed nor allocated.
TEST(DecodeModuleTest, CountsThatTheirBytesDoNotBack) {
  for (const uint8_t id : Bytes{1, 2, 3, 4, 5, 6, 7, 9, 10, 11}) {
    EXPECT_EQ(Decode(WasmModule({Section(id, Leb(0xffff'ffff))})),
              Invalid("length out of bounds (at offset 0xa)"))
        << "section " << int{id};
  }
}

TEST(DecodeModuleTest, Imports) {
  const auto import = [](const Bytes& description) {
    return WasmModule({Section(1, Vec({NoType()})),
                       Section(2, Vec({Concat({NameBytes("m"), NameBytes("n"), description})}))});
  };
  EXPECT_EQ(Decode(import({0x00, 0x00})), "OK");
  EXPECT_THAT(Decode(import({0x00, 0x01})), StartsWith(Invalid("unknown type 1")));
  EXPECT_THAT(Decode(import({0x05, 0x00})), StartsWith(Invalid("malformed import kind 0x05")));
  EXPECT_THAT(Decode(import({0x01, 0x7f, 0x00, 0x00})),
              StartsWith(Invalid("malformed reference type")));
  EXPECT_THAT(Decode(import({0x03, 0x7f, 0x02})), StartsWith(Invalid("malformed mutability")));
  EXPECT_THAT(Decode(import({0x02, 0x10, 0x00})), StartsWith(Invalid("malformed limits flags")));
}

TEST(DecodeModuleTest, MemoriesAndTables) {
  const auto memory = [](const Bytes& limits) {
    return Decode(WasmModule({Section(5, Vec({limits}))}));
  };
  EXPECT_EQ(memory(Concat({{0x01}, Leb(0), Leb(65'536)})), "OK");
  EXPECT_THAT(memory(Concat({{0x00}, Leb(65'537)})), StartsWith(Invalid("memory size")));
  EXPECT_THAT(memory(Concat({{0x01}, Leb(0), Leb(65'537)})), StartsWith(Invalid("memory size")));
  EXPECT_THAT(memory(Concat({{0x01}, Leb(2), Leb(1)})),
              StartsWith(Invalid("size minimum must not be greater than maximum")));
  EXPECT_EQ(Decode(WasmModule({Section(4, Vec({Concat({{0x70, 0x00}, Leb(0xffff'ffff)})}))})), "OK")
      << "a type may be larger than what an instance may hold";
  EXPECT_THAT(Decode(WasmModule({Section(4, Vec({{0x70, 0x01, 0x02, 0x01}}))})),
              StartsWith(Invalid("size minimum")));
}

TEST(DecodeModuleTest, Exports) {
  const auto with = [](const std::vector<Bytes>& exports) {
    return Decode(WasmModule({Section(5, Vec({{0x00, 0x00}})), Section(7, Vec(exports))}));
  };
  const auto entry = [](std::string_view name, uint8_t kind, uint8_t index) {
    return Concat({NameBytes(name), {kind, index}});
  };
  EXPECT_EQ(with({entry("a", 2, 0), entry("b", 2, 0)}), "OK");
  EXPECT_THAT(with({entry("a", 2, 0), entry("a", 2, 0)}),
              StartsWith(Invalid("duplicate export name \"a\"")));
  EXPECT_THAT(with({entry("a", 2, 1)}), StartsWith(Invalid("unknown memory 1")));
  EXPECT_THAT(with({entry("a", 0, 0)}), StartsWith(Invalid("unknown function 0")));
  EXPECT_THAT(with({entry("a", 1, 0)}), StartsWith(Invalid("unknown table 0")));
  EXPECT_THAT(with({entry("a", 3, 0)}), StartsWith(Invalid("unknown global 0")));
  EXPECT_THAT(with({entry("a", 9, 0)}), StartsWith(Invalid("malformed export kind 0x09")));
}

TEST(DecodeModuleTest, StartFunction) {
  EXPECT_EQ(Decode(Wat("(module (func) (start 0))")), "OK");
  EXPECT_THAT(Decode(Wat("(module (func (param i32)) (start 0))")),
              StartsWith(Invalid("start function")));
  EXPECT_THAT(Decode(Wat("(module (func (result i32) (i32.const 0)) (start 0))")),
              StartsWith(Invalid("start function")));
  EXPECT_THAT(Decode(WasmModule({Section(8, Leb(0))})), StartsWith(Invalid("unknown function 0")));
}

TEST(DecodeModuleTest, ConstantExpressions) {
  const auto global = [](const Bytes& expr) {
    return Decode(WasmModule({
        Section(2, Vec({Concat({NameBytes("m"), NameBytes("c"), {0x03, kI32, 0x00}}),
                        Concat({NameBytes("m"), NameBytes("v"), {0x03, kI32, 0x01}})})),
        Section(6, Vec({Concat({{kI32, 0x00}, expr})})),
    }));
  };
  EXPECT_EQ(global({0x41, 0x05, 0x0b}), "OK");
  EXPECT_EQ(global({0x23, 0x00, 0x0b}), "OK");
  EXPECT_THAT(global({0x23, 0x01, 0x0b}), StartsWith(Invalid("constant expression required")))
      << "a mutable global";
  EXPECT_THAT(global({0x23, 0x02, 0x0b}), StartsWith(Invalid("unknown global 2"))) << "itself";
  EXPECT_THAT(global({0x0b}), StartsWith(Invalid("type mismatch")));
  EXPECT_THAT(global({0x41, 0x00, 0x41, 0x00, 0x0b}), StartsWith(Invalid("type mismatch")));
  EXPECT_THAT(global({0x42, 0x00, 0x0b}),
              StartsWith(Invalid("type mismatch: expected i32, found i64")));
  EXPECT_THAT(global({0x01, 0x0b}), StartsWith(Invalid("constant expression required")));
  EXPECT_THAT(global({0xfc, 0x08, 0x00}), StartsWith(Invalid("constant expression required")));
  EXPECT_THAT(global({0xff, 0x0b}), StartsWith(Invalid("illegal opcode ff")));
  EXPECT_THAT(global({0xfc, 0x7f, 0x0b}), StartsWith(Invalid("illegal opcode fc 7f")));
  EXPECT_THAT(global({0x41, 0x05}), StartsWith(Invalid("unexpected end")));
  EXPECT_THAT(global({0xd2, 0x00, 0x0b}), StartsWith(Invalid("unknown function 0")));
}

TEST(DecodeModuleTest, VectorConstants) {
  const auto global = [](const Bytes& expr, uint8_t type = 0x7b) {
    return DecodeModule(AsBytes(WasmModule({Section(6, Vec({Concat({{type, 0x00}, expr})}))})));
  };
  Bytes bytes;
  for (uint8_t i = 1; i <= 16; ++i) {
    bytes.push_back(i);
  }
  const absl::StatusOr<Module> module = global(Concat({{0xfd, 0x0c}, bytes, {0x0b}}));
  ASSERT_TRUE(module.ok()) << module.status();
  EXPECT_EQ(module->globals[0].init.type, ValType::kV128);
  EXPECT_EQ(module->globals[0].init.bits, 0x0807'0605'0403'0201u);
  EXPECT_EQ(module->globals[0].init.hi, 0x100f'0e0d'0c0b'0a09u);
  EXPECT_TRUE(global(Concat({{0xfd, 0x8c, 0x00}, bytes, {0x0b}})).ok()) << "a longer LEB128";
  EXPECT_THAT(std::string(global(Concat({{0xfd, 0x0c}, bytes, {0x0b}}), kI32).status().message()),
              HasSubstr("type mismatch: expected i32, found v128"));
  EXPECT_THAT(std::string(global({0xfd, 0x0c, 0x01, 0x0b}).status().message()),
              HasSubstr("unexpected end"));
  EXPECT_THAT(std::string(global({0xfd, 0x4d, 0x0b}).status().message()),
              HasSubstr("constant expression required"))
      << "v128.not";
  EXPECT_THAT(std::string(global({0xfd, 0x9a, 0x01, 0x0b}).status().message()),
              HasSubstr("illegal opcode fd 9a"));
}

TEST(DecodeModuleTest, ElementSegments) {
  const auto elem = [](const Bytes& segment) {
    return Decode(WasmModule({Section(1, Vec({NoType()})), Section(3, Vec({Leb(0)})),
                              Section(4, Vec({{0x70, 0x00, 0x01}, {0x6f, 0x00, 0x01}})),
                              Section(9, Vec({segment})), Section(10, Vec({Body({}, {0x0b})}))}));
  };
  EXPECT_EQ(elem({0x00, 0x41, 0x00, 0x0b, 0x01, 0x00}), "OK");
  EXPECT_EQ(elem({0x03, 0x00, 0x01, 0x00}), "OK");
  EXPECT_EQ(elem({0x07, 0x70, 0x01, 0xd0, 0x70, 0x0b}), "OK");
  EXPECT_THAT(elem({0x08}), StartsWith(Invalid("malformed elements segment kind")));
  EXPECT_THAT(elem({0x01, 0x01, 0x00}), StartsWith(Invalid("malformed element kind")));
  EXPECT_THAT(elem({0x02, 0x02, 0x41, 0x00, 0x0b, 0x00, 0x00}),
              StartsWith(Invalid("unknown table 2")));
  EXPECT_THAT(elem({0x02, 0x01, 0x41, 0x00, 0x0b, 0x00, 0x00}),
              StartsWith(Invalid("type mismatch")));
  EXPECT_THAT(elem({0x01, 0x00, 0x01, 0x01}), StartsWith(Invalid("unknown function 1")));
  EXPECT_THAT(elem({0x05, 0x6f, 0x01, 0xd2, 0x00, 0x0b}), StartsWith(Invalid("type mismatch")));
  EXPECT_THAT(elem({0x00, 0x42, 0x00, 0x0b, 0x00}), StartsWith(Invalid("type mismatch")));
}

TEST(DecodeModuleTest, DataSegments) {
  const auto data = [](const Bytes& segment) {
    return Decode(WasmModule({Section(5, Vec({{0x00, 0x01}})), Section(11, Vec({segment}))}));
  };
  EXPECT_EQ(data({0x00, 0x41, 0x00, 0x0b, 0x01, 'x'}), "OK");
  EXPECT_EQ(data({0x01, 0x00}), "OK");
  EXPECT_EQ(data({0x02, 0x00, 0x41, 0x00, 0x0b, 0x00}), "OK");
  EXPECT_THAT(data({0x03}), StartsWith(Invalid("malformed data segment kind")));
  EXPECT_THAT(data({0x02, 0x01, 0x41, 0x00, 0x0b, 0x00}), StartsWith(Invalid("unknown memory 1")));
  EXPECT_THAT(data({0x01, 0x02, 'x'}), StartsWith(Invalid("length out of bounds")));
  EXPECT_THAT(Decode(WasmModule({Section(12, Leb(1))})), StartsWith(Invalid("data count")));
  EXPECT_THAT(Decode(WasmModule({Section(12, Leb(2)), Section(11, Vec({{0x01, 0x00}}))})),
              StartsWith(Invalid("data count")));
}

TEST(DecodeModuleTest, Code) {
  const Bytes type = Section(1, Vec({NoType()}));
  const Bytes function = Section(3, Vec({Leb(0)}));
  EXPECT_THAT(Decode(WasmModule({type, function})),
              StartsWith(Invalid("function and code section have inconsistent lengths")));
  EXPECT_THAT(Decode(WasmModule({type, Section(10, Vec({Body({}, {0x0b})}))})),
              StartsWith(Invalid("function and code section have inconsistent lengths")));
  EXPECT_EQ(Decode(WasmModule({type, Section(10, Vec({}))})), "OK");
  EXPECT_THAT(Decode(WasmModule({type, function, Section(10, Vec({{0x05, 0x00}}))})),
              StartsWith(Invalid("length out of bounds")));
  EXPECT_THAT(Decode(WasmModule({type, Section(3, Vec({Leb(1)}))})),
              StartsWith(Invalid("unknown type 1")));
  const Bytes big(kMaxFuncBodyBytes, 0x01);
  EXPECT_EQ(Decode(WasmModule({type, function, Section(10, Vec({Sized(big)}))})), "OK")
      << "bodies are the validator's";
  const Bytes bigger(kMaxFuncBodyBytes + 1, 0x01);
  EXPECT_THAT(Decode(WasmModule({type, function, Section(10, Vec({Sized(bigger)}))})),
              StartsWith("RESOURCE_EXHAUSTED: too many bytes in a function body"));
}

// A vector of `count` times `element`, in a section after `before`.
std::string DecodeMany(const Bytes& before, uint8_t section, const Bytes& element, uint32_t count) {
  Bytes contents = Leb(count);
  contents.reserve(element.size() * count + contents.size());
  for (uint32_t i = 0; i < count; ++i) {
    Append(contents, element);
  }
  return Decode(WasmModule({before, Section(section, contents)}));
}

// At each limit that browsers publish a module is taken, one beyond it is refused by name and
// place.
TEST(DecodeModuleTest, LimitsOfCounts) {
  const Bytes type = Section(1, Vec({NoType()}));
  EXPECT_EQ(DecodeMany({}, 1, {0x60, 0x00, 0x00}, kMaxTypes), "OK");
  EXPECT_EQ(DecodeMany({}, 1, {0x60, 0x00, 0x00}, kMaxTypes + 1),
            "RESOURCE_EXHAUSTED: too many types: 1000001, the limit is 1000000 (kMaxTypes) "
            "(at offset 0xd)");
  EXPECT_EQ(DecodeMany(type, 2, {0x00, 0x00, 0x00, 0x00}, kMaxImports), "OK");
  EXPECT_THAT(DecodeMany(type, 2, {0x00, 0x00, 0x00, 0x00}, kMaxImports + 1),
              StartsWith("RESOURCE_EXHAUSTED: too many imports"));
  EXPECT_THAT(DecodeMany(type, 3, {0x00}, kMaxFuncs + 1),
              StartsWith("RESOURCE_EXHAUSTED: too many functions"));
  EXPECT_EQ(DecodeMany({}, 4, {0x70, 0x00, 0x00}, kMaxTables), "OK");
  EXPECT_THAT(DecodeMany({}, 4, {0x70, 0x00, 0x00}, kMaxTables + 1),
              StartsWith("RESOURCE_EXHAUSTED: too many tables"));
  EXPECT_EQ(DecodeMany({}, 6, {0x7f, 0x00, 0x41, 0x00, 0x0b}, kMaxGlobals), "OK");
  EXPECT_THAT(DecodeMany({}, 6, {0x7f, 0x00, 0x41, 0x00, 0x0b}, kMaxGlobals + 1),
              StartsWith("RESOURCE_EXHAUSTED: too many globals"));
  EXPECT_EQ(DecodeMany({}, 11, {0x01, 0x00}, kMaxDataSegments), "OK");
  EXPECT_THAT(DecodeMany({}, 11, {0x01, 0x00}, kMaxDataSegments + 1),
              StartsWith("RESOURCE_EXHAUSTED: too many data segments"));
  const Bytes params(kMaxFuncParams + 1, 0x7f);
  EXPECT_THAT(Decode(WasmModule({Section(1, Vec({FuncTypeBytes(params, {})}))})),
              StartsWith("RESOURCE_EXHAUSTED: too many parameters"));
  EXPECT_THAT(Decode(WasmModule({Section(1, Vec({FuncTypeBytes({}, params)}))})),
              StartsWith("RESOURCE_EXHAUSTED: too many results"));
}

struct UnsupportedCase {
  std::string_view feature;
  std::string_view name;
  Bytes bytes;

  friend void PrintTo(const UnsupportedCase& value, std::ostream* out) { *out << value.name; }
};

class UnsupportedFeatureTest : public testing::TestWithParam<UnsupportedCase> {};

TEST_P(UnsupportedFeatureTest, IsNamed) {
  const absl::Status status = DecodeModule(AsBytes(GetParam().bytes)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("needs the feature " + std::string(GetParam().feature) +
                        ", which is not supported (at offset 0x"));
}

INSTANTIATE_TEST_SUITE_P(
    All, UnsupportedFeatureTest,
    testing::ValuesIn(std::vector<UnsupportedCase>{
        {"threads", "shared_memory", WasmModule({Section(5, Vec({{0x03, 0x00, 0x00}}))})},
        {"gc", "nullexnref", WasmModule({Section(1, Vec({FuncTypeBytes({0x74}, {})}))})},
        {"gc", "struct_type", WasmModule({Section(1, Vec({{0x5f, 0x00}}))})},
        {"gc", "rec_group", WasmModule({Section(1, Vec({{0x4e, 0x00}}))})},
        {"gc", "anyref", WasmModule({Section(1, Vec({FuncTypeBytes({0x6e}, {})}))})},
        {"function-references", "typed_reference",
         WasmModule({Section(1, Vec({FuncTypeBytes({0x63, 0x70}, {})}))})},
        {"function-references", "table_initializer",
         WasmModule({Section(4, Vec({{0x40, 0x00, 0x70, 0x00, 0x00, 0xd0, 0x70, 0x0b}}))})},
    }),
    [](const auto& test) { return std::string(test.param.name); });

struct SwitchedOffCase {
  std::string_view name;
  Feature feature;
  Bytes bytes;

  friend void PrintTo(const SwitchedOffCase& value, std::ostream* out) { *out << value.name; }
};

class SwitchedOffFeatureTest : public testing::TestWithParam<SwitchedOffCase> {};

TEST_P(SwitchedOffFeatureTest, IsNamed) {
  const auto& [name, feature, bytes] = GetParam();
  EXPECT_TRUE(DecodeModule(AsBytes(bytes)).ok());
  const absl::Status status = DecodeModule(AsBytes(bytes), FeatureSet().Without(feature)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("needs the feature " + std::string(ToString(feature)) +
                        ", which is switched off (at offset 0x"));
}

INSTANTIATE_TEST_SUITE_P(
    All, SwitchedOffFeatureTest,
    testing::ValuesIn(std::vector<SwitchedOffCase>{
        {"two_memories", Feature::kMultiMemory,
         WasmModule({Section(5, Vec({{0x00, 0x00}, {0x00, 0x00}}))})},
        {"v128", Feature::kSimd, WasmModule({Section(1, Vec({FuncTypeBytes({0x7b}, {})}))})},
        {"memory64", Feature::kMemory64, WasmModule({Section(5, Vec({{0x04, 0x00}}))})},
        {"table64", Feature::kMemory64, WasmModule({Section(4, Vec({{0x70, 0x05, 0x00, 0x00}}))})},
        {"page_size", Feature::kCustomPageSizes,
         WasmModule({Section(5, Vec({{0x08, 0x00, 0x00}}))})},
        {"arithmetic", Feature::kExtendedConst,
         WasmModule({Section(6, Vec({{kI32, 0x00, 0x41, 0x01, 0x41, 0x02, 0x6a, 0x0b}}))})},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(DecodeModuleTest, MemoryAndTableTypes) {
  const Bytes bytes = WasmModule(
      {Section(4, Vec({{0x70, 0x05, 0x01, 0x80, 0x80, 0x80, 0x80, 0x20}, {0x6f, 0x00, 0x02}})),
       Section(5, Vec({{0x00, 0x01},
                       {0x05, 0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40},
                       {0x09, 0x03, 0x05, 0x00},
                       {0x0c, 0x07, 0x10}}))});
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok()) << module.status();
  EXPECT_EQ(module->tables[0].type,
            (TableType{ValType::kFuncRef, {1, uint64_t{1} << 33}, AddressType::kI64}));
  EXPECT_EQ(module->tables[1].type, (TableType{ValType::kExternRef, {2, {}}}));
  EXPECT_EQ(module->memories[0].type, (MemoryType{{1, {}}}));
  EXPECT_EQ(module->memories[1].type, (MemoryType{{2, uint64_t{1} << 48}, AddressType::kI64}));
  EXPECT_EQ(module->memories[2].type, (MemoryType{{3, 5}, AddressType::kI32, 0}));
  EXPECT_EQ(module->memories[3].type, (MemoryType{{7, {}}, AddressType::kI64}));
}

TEST(DecodeModuleTest, MemoryTypesOutOfBounds) {
  const auto memory = [](const Bytes& type) {
    return Decode(WasmModule({Section(5, Vec({type}))}));
  };
  EXPECT_THAT(memory({0x00, 0x81, 0x80, 0x04}), HasSubstr("at most 65536 pages"));
  EXPECT_THAT(memory({0x04, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40}),
              HasSubstr("at most 281474976710656 pages of 65536 bytes"));
  EXPECT_THAT(memory({0x08, 0x01, 0x01}), HasSubstr("invalid custom page size"));
  EXPECT_THAT(memory({0x08, 0x01, 0x0c}), HasSubstr("invalid custom page size"));
  EXPECT_THAT(memory({0x08, 0x01, 0x40}), HasSubstr("invalid custom page size"));
  EXPECT_THAT(memory({0x08, 0x80, 0x80, 0x80, 0x80, 0x10, 0x00}),
              HasSubstr("at most 4294967295 pages of 1 bytes"))
      << "4 GiB of pages of one byte: its size is no i32";
  EXPECT_THAT(memory({0x10, 0x00}), HasSubstr("malformed limits flags"));
  EXPECT_THAT(memory({0x05, 0x02, 0x01}), HasSubstr("minimum must not be greater"));
}

// Limits are 64 bits wide in the binary format whatever the addresses are, unless there are no
// 64-bit ones at all. Found by verdict_peer.
TEST(DecodeModuleTest, LimitsInMoreBytesThanAddressesNeed) {
  const Bytes one = {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
  const Bytes memory = WasmModule({Section(5, Vec({Concat({{0x01}, one, one})}))});
  EXPECT_EQ(Decode(memory), "OK");
  EXPECT_THAT(
      DecodeModule(AsBytes(memory), FeatureSet().Without(Feature::kMemory64)).status().ToString(),
      HasSubstr("integer representation too long"));
  const auto table = [](const Bytes& most) {
    return Decode(WasmModule({Section(4, Vec({Concat({{0x70, 0x01, 0x00}, most})}))}));
  };
  EXPECT_EQ(table({0xff, 0xff, 0xff, 0xff, 0x0f}), "OK");
  EXPECT_THAT(table({0x80, 0x80, 0x80, 0x80, 0x10}), HasSubstr("at most 2^32-1 elements"));
  EXPECT_THAT(table({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}),
              HasSubstr("integer representation too long"));
}

// Arithmetic on constants is done at once; with a global it stays as it is.
TEST(DecodeModuleTest, ExtendedConstantExpressions) {
  const Bytes bytes = WasmModule(
      {Section(6, Vec({{kI32, 0x00, 0x41, 0x05, 0x41, 0x07, 0x6b, 0x41, 0x03, 0x6c, 0x0b},
                       {kI32, 0x00, 0x23, 0x00, 0x41, 0x01, 0x6a, 0x0b},
                       {0x7e, 0x00, 0x42, 0x7f, 0x42, 0x02, 0x7e, 0x0b}}))});
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok()) << module.status();
  EXPECT_EQ(module->globals[0].init.kind, ConstExpr::Kind::kConst);
  EXPECT_EQ(module->globals[0].init.bits, uint32_t(-6)) << "(5 - 7) * 3";
  const ConstExpr& extended = module->globals[1].init;
  EXPECT_EQ(extended.kind, ConstExpr::Kind::kExtended);
  EXPECT_EQ(extended.bits, 3u);
  EXPECT_EQ(module->const_ops[extended.index].op, Opcode::kGlobalGet);
  EXPECT_EQ(module->globals[2].init.bits, uint64_t(-2));

  const auto global = [](const Bytes& expr) {
    return Decode(WasmModule({Section(6, Vec({Concat({{kI32, 0x00}, expr})}))}));
  };
  EXPECT_THAT(global({0x41, 0x01, 0x6a, 0x0b}), HasSubstr("expected i32, found nothing"));
  EXPECT_THAT(global({0x42, 0x01, 0x41, 0x01, 0x6a, 0x0b}), HasSubstr("expected i32, found i64"));
  EXPECT_THAT(global({0x41, 0x01, 0x41, 0x01, 0x0b}), HasSubstr("has one value, this has 2"));
  EXPECT_THAT(global({0x23, 0x00, 0x0b}), HasSubstr("unknown global 0")) << "itself";
  EXPECT_THAT(global({0x41, 0x01, 0x41, 0x01, 0x6d, 0x0b}),
              HasSubstr("constant expression required"));
}

TEST(DecodeModuleTest, Tags) {
  const Bytes types = Section(
      1, Vec({FuncTypeBytes({}, {}), FuncTypeBytes({kI32, 0x69}, {}), FuncTypeBytes({}, {kI32})}));
  const auto import_of = [](const Bytes& tag) {
    return Section(2, Vec({Concat({NameBytes("m"), NameBytes("t"), {0x04}, tag})}));
  };
  const Bytes bytes = WasmModule({types, import_of({0x00, 0x01}), Section(13, Vec({{0x00, 0x00}})),
                                  Section(7, Vec({Concat({NameBytes("e"), {0x04, 0x01}})}))});
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok()) << module.status();
  EXPECT_EQ(module->imported_tags, 1u);
  ASSERT_EQ(module->tags.size(), 2u);
  EXPECT_EQ(module->tag_type(0).params, (std::vector{ValType::kI32, ValType::kExnRef}));
  EXPECT_EQ(module->exports[0].kind, ExternKind::kTag);
  EXPECT_EQ(module->exports[0].index, 1u);

  const auto refused = [](const Bytes& wasm) {
    return std::string(DecodeModule(AsBytes(wasm)).status().message());
  };
  EXPECT_THAT(refused(WasmModule({types, Section(13, Vec({{0x01, 0x00}}))})),
              HasSubstr("malformed tag attribute"));
  EXPECT_THAT(refused(WasmModule({types, Section(13, Vec({{0x00, 0x02}}))})),
              HasSubstr("non-empty tag result type"));
  EXPECT_THAT(refused(WasmModule({types, Section(13, Vec({{0x00, 0x03}}))})),
              HasSubstr("unknown type 3"));
  EXPECT_THAT(refused(WasmModule({types, import_of({0x00, 0x02})})),
              HasSubstr("non-empty tag result type"));
  EXPECT_THAT(refused(WasmModule({types, Section(6, Vec({})), Section(13, Vec({}))})),
              HasSubstr("unexpected content after last section"));
  EXPECT_THAT(refused(WasmModule({Section(7, Vec({Concat({NameBytes("e"), {0x04, 0x00}})}))})),
              HasSubstr("unknown tag 0"));
}

TEST(DecodeModuleTest, NameSectionIsBestEffort) {
  const auto names = [](const Bytes& contents) {
    static Bytes wasm;  // The names refer into it.
    wasm = WasmModule({Section(1, Vec({NoType()})), Section(3, Vec({Leb(0), Leb(0)})),
                       Section(10, Vec({Body({}, {0x0b}), Body({}, {0x0b})})),
                       CustomSectionBytes("name", contents)});
    absl::StatusOr<Module> module = DecodeModule(AsBytes(wasm));
    EXPECT_TRUE(module.ok()) << module.status();
    return module->names;
  };
  const auto subsection = [](uint8_t id, const Bytes& contents) {
    return Concat({{id}, Sized(contents)});
  };
  const Bytes zero = Concat({Leb(0), NameBytes("zero")});
  const Bytes one = Concat({Leb(1), NameBytes("one")});
  const Bytes two = Concat({Leb(2), NameBytes("out of range")});
  EXPECT_EQ(names(subsection(0, NameBytes("mod"))).module_name, "mod");
  EXPECT_EQ(names(subsection(1, Vec({zero, one}))).function_names.size(), 2u);
  EXPECT_EQ(names(subsection(1, Vec({one, zero}))).function_names.size(), 1u) << "not ascending";
  EXPECT_EQ(names(subsection(1, Vec({one, two}))).function_names.size(), 1u);
  EXPECT_EQ(
      names(Concat({subsection(2, {1, 2, 3}), subsection(1, Vec({one}))})).function_names.size(),
      1u)
      << "locals are skipped";
  EXPECT_EQ(names(subsection(1, Concat({Leb(3), zero}))).function_names.size(), 1u) << "cut short";
  EXPECT_EQ(names({0x01, 0x7f, 0x01}).function_names.size(), 0u);
  EXPECT_EQ(names(subsection(1, Vec({Concat({Leb(0), {0x01, 0xff}})}))).function_names.size(), 0u)
      << "not UTF-8";
  EXPECT_EQ(names({0xff, 0xff, 0xff}).module_name, "");
}

}  // namespace
}  // namespace wasmd::engine
