// Linking: what matches, what the errors say, what instances share.
#include <string>

#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class LinkTest : public testing::TestWithParam<Tier> {
 protected:
  Store store_{TestEngine().runtime()};
  Linker linker_;

  std::string Error(std::string_view wat) {
    const auto made = linker_.Instantiate(store_, LoadWat(wat, GetParam()));
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(made.status().message());
  }
  Instance* Make(std::string_view wat) {
    auto made = linker_.Instantiate(store_, LoadWat(wat, GetParam()));
    EXPECT_TRUE(made.ok()) << made.status();
    EXPECT_TRUE(made->outcome.ok());
    return made->instance;
  }
};
WASMD_INSTANTIATE_FOR_ALL_TIERS(LinkTest);

HostResult Nothing(HostContext&, std::span<const Value>, std::span<Value>) {
  return HostResult::Ok();
}

TEST_P(LinkTest, UnknownImportsAreAllNamed) {
  linker_.DefineFunc("env", "known", {}, Nothing);
  EXPECT_THAT(
      Error(
          R"((module (import "env" "f" (func (param i32) (result f64))) (import "env" "known" (func))
      (import "other" "m" (memory 1 2)) (import "env" "g" (global (mut i64)))))"),
      AllOf(HasSubstr("unknown import env.f (func (param i32) (result f64))"),
            HasSubstr("other.m (memory 1 2)"), HasSubstr("env.g (global (mut i64))"),
            testing::Not(HasSubstr("known (func)"))));
  std::string many = "(module";
  for (int i = 0; i < 30; ++i) {
    many += " (import \"e\" \"f" + std::to_string(i) + "\" (func))";
  }
  EXPECT_THAT(Error(many + ")"), HasSubstr("and 10 more"));
}

TEST_P(LinkTest, TypesThatDoNotMatchAreBothNamed) {
  linker_.DefineFunc("env", "f", {{ValType::kI32}, {}}, Nothing);
  linker_.Define("env", "m", *store_.CreateMemory({{1, 4}}));
  linker_.Define("env", "t",
                 *store_.CreateTable({ValType::kFuncRef, {2, {}}}, Value::Null(ValType::kFuncRef)));
  linker_.Define("env", "g", *store_.CreateGlobal({ValType::kI32, true}, Value::I32(1)));
  EXPECT_THAT(
      Error(R"((module (import "env" "f" (func (param i64)))))"),
      AllOf(HasSubstr("incompatible import type of env.f"), HasSubstr("wants (func (param i64))"),
            HasSubstr("there is (func (param i32))")));
  EXPECT_THAT(Error(R"((module (import "env" "f" (memory 1))))"),
              HasSubstr("wants (memory 1), there is (func"));
  for (const std::string_view type : {"(memory 2)", "(memory 1 3)"}) {
    EXPECT_THAT(Error("(module (import \"env\" \"m\" " + std::string(type) + "))"),
                HasSubstr("there is (memory 1 4)"));
  }
  for (const std::string_view type :
       {"(table 3 funcref)", "(table 2 9 funcref)", "(table 2 externref)"}) {
    EXPECT_THAT(Error("(module (import \"env\" \"t\" " + std::string(type) + "))"),
                HasSubstr("there is (table 2 funcref)"));
  }
  for (const std::string_view type : {"(global i32)", "(global (mut i64))"}) {
    EXPECT_THAT(Error("(module (import \"env\" \"g\" " + std::string(type) + "))"),
                HasSubstr("there is (global (mut i32))"));
  }
  Make(R"((module (import "env" "f" (func (param i32))) (import "env" "m" (memory 0 5))
      (import "env" "t" (table 1 funcref)) (import "env" "g" (global (mut i32)))))");
}

TEST_P(LinkTest, InstancesShareWhatTheyImport) {
  Instance* const owner =
      Make(R"((module (memory (export "m") 1 3) (global (export "g") (mut i32) (i32.const 1))
      (table (export "t") 1 funcref) (func (export "grow") (result i32) (memory.grow (i32.const 1)))
      (func (export "load") (result i32) (i32.load (i32.const 65536)))))");
  linker_.DefineInstance("owner", *owner);
  Instance* const user =
      Make(R"((module (import "owner" "m" (memory 1)) (import "owner" "g" (global $g (mut i32)))
      (import "owner" "t" (table 1 funcref)) (import "owner" "grow" (func $grow (result i32)))
      (func $nine (result i32) i32.const 9) (elem (i32.const 0) $nine)
      (func (export "run") (result i32)
        (drop (call $grow)) (i32.store (i32.const 65536) (i32.const 5)) (global.set $g (i32.const 6)) memory.size)))");
  EXPECT_THAT(Invoke(*owner->Func("load")), TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_THAT(Invoke(*user->Func("run")), Returns({Value::I32(2)}));
  EXPECT_THAT(Invoke(*owner->Func("load")), Returns({Value::I32(5)}));
  EXPECT_EQ(owner->Global("g")->Get(), Value::I32(6));
  EXPECT_THAT(Invoke(*store_.FuncOf(*owner->Table("t")->Get(0))), Returns({Value::I32(9)}));
  // A memory's type is what it has grown to by now.
  linker_.Define("x", "m", *owner->Memory("m"));
  Make(R"((module (import "x" "m" (memory 2 3))))");
}

TEST_P(LinkTest, GlobalsAndReferencesInConstantExpressions) {
  linker_.Define("env", "base", *store_.CreateGlobal({ValType::kI32, false}, Value::I32(3)));
  linker_.Define("env", "ref",
                 *store_.CreateGlobal({ValType::kExternRef, false}, Value::ExternRef(77)));
  Instance* const instance = Make(R"((module (import "env" "base" (global $base i32))
      (import "env" "ref" (global $ref externref))
      (global (export "copy") i32 (global.get $base)) (global (export "ref") externref (global.get $ref))
      (global (export "func") funcref (ref.func $f)) (table (export "t") 5 funcref)
      (elem (global.get $base) func $f) (func $f (export "f"))))");
  EXPECT_EQ(instance->Global("copy")->Get(), Value::I32(3));
  EXPECT_EQ(instance->Global("ref")->Get(), Value::ExternRef(77));
  const Value f = instance->Func("f")->AsValue();
  EXPECT_EQ(instance->Global("func")->Get(), f);
  EXPECT_EQ(*instance->Table("t")->Get(3), f);
}

TEST_P(LinkTest, OtherStoresObjectsAreRefused) {
  Store other(TestEngine().runtime());
  linker_.Define("env", "m", *other.CreateMemory({{1, {}}}));
  EXPECT_THAT(Error(R"((module (import "env" "m" (memory 1))))"),
              HasSubstr("belongs to another store"));
}

// Every function's export, import and re-export is the same reference.
TEST_P(LinkTest, FunctionsKeepTheirIdentity) {
  Instance* const a = Make("(module (func (export \"f\")))");
  linker_.DefineInstance("a", *a);
  Instance* const b = Make(R"((module (import "a" "f" (func $f)) (export "g" (func $f))
      (func (export "same") (result funcref) (ref.func $f))))");
  EXPECT_EQ(a->Func("f")->AsValue(), b->Func("g")->AsValue());
  EXPECT_THAT(Invoke(*b->Func("same")), Returns({a->Func("f")->AsValue()}));
}

}  // namespace
}  // namespace wasmd::engine
