// Loading: bad input, eager compilation, progress, cancelling, what a module tells of itself, what
// outlives what.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/sample_modules.h"
#include "tests/support/test_instance.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

std::vector<std::byte> ToBytes(const Bytes& bytes) {
  const auto span = std::as_bytes(std::span(bytes));
  return {span.begin(), span.end()};
}

std::string ManyFunctions(int count) {
  std::string wat = "(module $many";
  for (int i = 0; i < count; ++i) {
    wat += " (func (export \"f" + std::to_string(i) +
           "\") (param i32) (result i32) (i32.add (local.get 0) (i32.const " + std::to_string(i) +
           ")))";
  }
  return wat + ")";
}

TEST(EngineTest, RefusesWhatIsNoModule) {
  EXPECT_EQ(TestEngine().Load(std::vector<std::byte>(), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TestEngine().Load(std::vector<std::byte>(100, std::byte{7}), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  // Malformed and invalid both come before anything is made.
  EXPECT_EQ(TestEngine()
                .Load(ToBytes(Wat("(module (func (result i32) i64.const 1))")), {})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

// Every prefix of a module is refused, or is a module: a name section may be cut off whole.
TEST(EngineTest, EveryPrefix) {
  for (const SampleModule& sample : SampleModules()) {
    int accepted = 0;
    for (size_t size = 0; size < sample.bytes.size(); ++size) {
      accepted += TestEngine()
                      .Load(ToBytes(Bytes(sample.bytes.begin(),
                                          sample.bytes.begin() + static_cast<int>(size))),
                            {})
                      .ok();
    }
    EXPECT_LT(accepted, 12) << sample.name;  // At section boundaries.
    EXPECT_TRUE(TestEngine().Load(ToBytes(sample.bytes), {}).ok()) << sample.name;
  }
}

TEST(EngineTest, EagerCompilesEverythingWithProgress) {
  const std::vector<std::byte> bytes = ToBytes(Wat(ManyFunctions(500)));
  for (const int threads : {1, 4}) {
    std::vector<uint64_t> seen;
    uint64_t last_total = 0;
    LoadOptions options;
    options.mode = CompileMode::kEager;
    options.threads = threads;
    options.progress = [&](uint64_t done, uint64_t total) {
      seen.push_back(done);
      last_total = total;
    };
    const auto module = TestEngine().Load(bytes, options);
    ASSERT_TRUE(module.ok()) << module.status();
    EXPECT_EQ((*module)->stats().functions_compiled, 500);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    ASSERT_FALSE(seen.empty());
    EXPECT_EQ(seen.back(), last_total);
    EXPECT_EQ((*module)->name(), "many");
    EXPECT_EQ((*module)->func_name(7), "f7");
    TestInstance instance(*module);
    EXPECT_THAT(instance.Invoke("f499", {Value::I32(1)}), Returns({Value::I32(500)}));
  }
}

TEST(EngineTest, LoadCanBeCancelled) {
  const std::vector<std::byte> bytes = ToBytes(Wat(ManyFunctions(500)));
  std::atomic<bool> cancel{true};
  LoadOptions options;
  options.cancel = &cancel;
  EXPECT_EQ(TestEngine().Load(bytes, options).status().code(), absl::StatusCode::kCancelled);
  cancel = false;
  options.mode = CompileMode::kEager;
  options.progress = [&](uint64_t, uint64_t) { cancel = true; };
  EXPECT_EQ(TestEngine().Load(bytes, options).status().code(), absl::StatusCode::kCancelled);
}

TEST(EngineTest, ModulesAndStoresOutliveTheEngine) {
  std::shared_ptr<LoadedModule> module;
  std::unique_ptr<Store> store;
  InterruptHandle handle;
  {
    auto engine = Engine::Create({});
    ASSERT_TRUE(engine.ok());
    module = *(*engine)->Load(ToBytes(Wat(ManyFunctions(3))), {});
    store = std::make_unique<Store>((*engine)->runtime());
  }
  handle = store->ArmInterrupt();
  const auto made = Linker().Instantiate(*store, module);
  ASSERT_TRUE(made.ok());
  EXPECT_THAT(Invoke(*made->instance->Func("f2"), {Value::I32(1)}), Returns({Value::I32(3)}));
  module.reset();
  EXPECT_THAT(Invoke(*made->instance->Func("f1"), {Value::I32(1)}), Returns({Value::I32(2)}));
  store.reset();
  EXPECT_FALSE(handle.Interrupt(InterruptReason::kCancel));
}

TEST(EngineTest, ImportsAndExportsHaveTypes) {
  const auto module = LoadWat(
      R"((module (import "a" "f" (func (param i32) (result i64))) (import "a" "m" (memory 1 2))
      (import "b" "t" (table 3 externref)) (import "b" "g" (global (mut f32)))
      (export "f" (func 0)) (export "m" (memory 0)) (export "t" (table 0)) (export "g" (global 0))))");
  const std::vector<ImportType> imports = module->imports();
  ASSERT_EQ(imports.size(), 4);
  const char* texts[] = {"(func (param i32) (result i64))", "(memory 1 2)", "(table 3 externref)",
                         "(global (mut f32))"};
  const std::vector<ExportType> exports = module->exports();
  ASSERT_EQ(exports.size(), 4);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(ToString(imports[i].type), texts[i]);
    EXPECT_EQ(ToString(exports[i].type), texts[i]);
  }
  EXPECT_EQ(imports[2].module, "b");
  EXPECT_EQ(imports[2].name, "t");
  EXPECT_EQ(KindOf(exports[1].type), ExternKind::kMemory);
}

TEST(EngineTest, ThreadsLoadAtOnce) {
  const std::vector<std::byte> bytes = ToBytes(Wat(ManyFunctions(100)));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Engine::PrepareThread();
      for (int i = 0; i < 10; ++i) {
        LoadOptions options;
        options.mode = i % 2 == 0 ? CompileMode::kEager : CompileMode::kLazy;
        const auto module = TestEngine().Load(bytes, options);
        if (!module.ok()) {
          ++wrong;
          continue;
        }
        TestInstance instance(*module);
        wrong +=
            instance.Invoke("f99", {Value::I32(1)}).values == std::vector{Value::I32(100)} ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace wasmd::engine
