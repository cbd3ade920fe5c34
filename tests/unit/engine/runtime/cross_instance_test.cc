// Functions that one instance imports from another: traps in either, each with its own memory, and
// how a call finds code that was compiled later.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/abi/instance_context.h"
#include "engine/code/code_arena.h"
#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

class CrossInstanceTest : public testing::TestWithParam<Tier> {
 protected:
  Instance& Make(Store& store, const Linker& linker, std::shared_ptr<LoadedModule> module) {
    const auto made = linker.Instantiate(store, std::move(module));
    EXPECT_TRUE(made.ok()) << made.status();
    return *made->instance;
  }
  // Imports whatever `from` exports as the module "from".
  Instance& Import(Instance& from, std::string_view wat) {
    Linker linker;
    linker.DefineInstance("from", from);
    return Make(from.store(), linker, LoadWat(wat, GetParam()));
  }
};
WASMD_INSTANTIATE_FOR_ALL_TIERS(CrossInstanceTest);

template <typename Signature>
TypedFunc<Signature> Typed(Instance& instance, std::string_view name) {
  const auto found = instance.TypedFunc<Signature>(name);
  EXPECT_TRUE(found.ok()) << found.status();
  return *found;
}

// What to do is decided in the exporter for 0 … 2, and in the importer, behind the call, for 3 … 5.
constexpr std::string_view kExporter = R"((module (memory 1) (data (i32.const 0) "\01")
    (global $calls (export "calls") (mut i32) (i32.const 0))
    (func (export "callee") (param i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (if (i32.eq (local.get 0) (i32.const 0)) (then unreachable))
      (if (i32.eq (local.get 0) (i32.const 1)) (then (drop (i32.load (i32.const 65536)))))
      (if (i32.eq (local.get 0) (i32.const 2)) (then (drop (i32.div_s (i32.const 1) (i32.const 0)))))
      (i32.load8_u (i32.const 0)))))";
constexpr std::string_view kImporter = R"((module
    (import "from" "callee" (func $callee (param i32) (result i32)))
    (memory 3) (data (i32.const 0) "\02")
    (func (export "caller") (param i32) (result i32) (local i32)
      (local.set 1 (call $callee (local.get 0)))
      (if (i32.eq (local.get 0) (i32.const 3)) (then unreachable))
      (if (i32.eq (local.get 0) (i32.const 4)) (then (drop (i32.load (i32.const 196608)))))
      (if (i32.eq (local.get 0) (i32.const 5)) (then (drop (i32.div_s (i32.const 1) (i32.const 0)))))
      (i32.add (local.get 1) (i32.load8_u (i32.const 0))))))";
constexpr TrapCode kCodes[] = {TrapCode::kUnreachable, TrapCode::kMemoryOutOfBounds,
                               TrapCode::kDivideByZero};

TEST_P(CrossInstanceTest, TrapsInEither) {
  Store store(TestEngine().runtime());
  Instance& exporter = Make(store, Linker(), LoadWat(kExporter, GetParam()));
  Instance& importer = Import(exporter, kImporter);
  const auto callee = Typed<int32_t(int32_t)>(exporter, "callee");
  const auto caller = Typed<int32_t(int32_t)>(importer, "caller");
  for (int round = 0; round < 3; ++round) {
    for (int32_t what = 0; what < 6; ++what) {
      const Outcome<int32_t> outcome = caller(what);
      ASSERT_NE(outcome.trap(), nullptr) << what;
      EXPECT_EQ(outcome.trap()->code, kCodes[what % 3]);
      const std::vector<BacktraceFrame> frames = outcome.trap()->backtrace.frames();
      ASSERT_EQ(frames.size(), what < 3 ? 2 : 1) << what;
      EXPECT_EQ(frames.front().func_name, what < 3 ? "callee" : "caller");
      EXPECT_EQ(frames.back().func_name, "caller");
      EXPECT_EQ(*caller(6), 3) << "each loads from its own memory";
      EXPECT_EQ(*callee(6), 1);
    }
  }
  EXPECT_EQ(exporter.Global("calls")->Get(), Value::I32(3 * 6 * 3));
}

// The code that the importer's call would run now.
const void* ImportedCode(Instance& importer, std::string_view any_export) {
  const auto* context = static_cast<const std::byte*>(importer.Func(any_export)->ref()->context);
  const ContextLayout layout(importer.module().module());
  return reinterpret_cast<const ImportedFunc*>(context + layout.imported_func(0))->code;
}

bool IsCompiled(const void* code) {
  return !(*CodeArena::Get())->IsLazyStub(code);
}

// A function that is compiled when it is first called, whoever calls it: from then on nobody calls
// it by its stub.
TEST_P(CrossInstanceTest, ImportsFindTheCodeOnceItIsCompiled) {
  for (const bool through_import : {true, false}) {
    Store store(TestEngine().runtime());
    Instance& exporter = Make(store, Linker(), LoadWat(kExporter, GetParam()));
    Instance& importer = Import(exporter, kImporter);
    Instance& second = Import(exporter, kImporter);
    EXPECT_FALSE(IsCompiled(ImportedCode(importer, "caller")));
    if (through_import) {
      EXPECT_EQ(*Typed<int32_t(int32_t)>(importer, "caller")(6), 3);
    } else {
      EXPECT_EQ(*Typed<int32_t(int32_t)>(exporter, "callee")(6), 1);
    }
    EXPECT_TRUE(IsCompiled(ImportedCode(importer, "caller")));
    EXPECT_TRUE(IsCompiled(ImportedCode(second, "caller")));
    EXPECT_TRUE(IsCompiled(exporter.Func("callee")->ref()->code.load()));
    EXPECT_EQ(ImportedCode(second, "caller"), ImportedCode(importer, "caller"));
    // One that comes later has nothing to wait for.
    EXPECT_TRUE(IsCompiled(ImportedCode(Import(exporter, kImporter), "caller")));
    EXPECT_EQ(*Typed<int32_t(int32_t)>(second, "caller")(6), 3);
  }
}

// Another store compiles it, between the link and the first call here.
TEST_P(CrossInstanceTest, ImportsFindCodeThatAnotherStoreHasCompiled) {
  const auto module = LoadWat(kExporter, GetParam());
  Store store(TestEngine().runtime());
  Store other(TestEngine().runtime());
  Instance& exporter = Make(store, Linker(), module);
  const FuncHandle callee = *exporter.Func("callee");
  Instance& importer = Import(exporter, kImporter);
  EXPECT_THAT(Invoke(*Make(other, Linker(), module).Func("callee"), {Value::I32(6)}),
              Returns({Value::I32(1)}));
  EXPECT_FALSE(IsCompiled(ImportedCode(importer, "caller")));
  EXPECT_THAT(Invoke(*importer.Func("caller"), {Value::I32(6)}), Returns({Value::I32(3)}));
  EXPECT_TRUE(IsCompiled(ImportedCode(importer, "caller")));
  EXPECT_TRUE(IsCompiled(callee.ref()->code.load()));
}

// An import that is exported again is the first exporter's function.
TEST_P(CrossInstanceTest, ThroughAnInstanceBetween) {
  Store store(TestEngine().runtime());
  Instance& exporter = Make(store, Linker(), LoadWat(kExporter, GetParam()));
  Instance& between = Import(exporter, R"((module
      (import "from" "callee" (func $callee (param i32) (result i32))) (memory 2)
      (data (i32.const 0) "\07") (export "callee" (func $callee))))");
  Instance& importer = Import(between, kImporter);
  EXPECT_EQ(*Typed<int32_t(int32_t)>(importer, "caller")(6), 3);
  EXPECT_TRUE(IsCompiled(ImportedCode(importer, "caller")));
  for (int32_t what = 0; what < 6; ++what) {
    ASSERT_NE(Typed<int32_t(int32_t)>(importer, "caller")(what).trap(), nullptr);
  }
}

// An instance that could not be made is told nothing when its imports are compiled.
TEST_P(CrossInstanceTest, AnImporterThatFailsToInstantiate) {
  Store store(TestEngine().runtime(), {.memory_bytes = 2 << 16});
  Instance& exporter = Make(store, Linker(), LoadWat(kExporter, GetParam()));
  Linker linker;
  linker.DefineInstance("from", exporter);
  const auto refused = linker.Instantiate(store, LoadWat(kImporter, GetParam()));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*Typed<int32_t(int32_t)>(exporter, "callee")(6), 1);
}

}  // namespace
}  // namespace wasmd::engine
