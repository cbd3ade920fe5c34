// Functions are compiled once, when first called, whoever calls first.
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/test_instance.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

class LazyCompileTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(LazyCompileTest);

// f0 calls f1 calls f2 …; each adds one. All arguments of every register class arrive through the
// lazy entry.
std::string Chain(int count) {
  std::string wat = "(module";
  const std::string params = "(param i32 i64 i32 i64 i32 i64 f32 f64 f32 f64 f32 f64 f32 f64 f32)";
  for (int i = 0; i < count; ++i) {
    wat += " (func $f" + std::to_string(i) + " (export \"f" + std::to_string(i) + "\") " + params +
           " (result f64)";
    if (i + 1 == count) {
      // Their sum, all of them counted.
      wat += " (f64.convert_i32_u (local.get 0))";
      const char* convert[] = {"f64.convert_i32_u", "f64.convert_i64_u"};
      for (int p = 1; p < 6; ++p) {
        wat +=
            " (" + std::string(convert[p % 2]) + " (local.get " + std::to_string(p) + ")) f64.add";
      }
      for (int p = 6; p < 15; ++p) {
        wat += p % 2 == 0 ? " (f64.promote_f32 (local.get " + std::to_string(p) + ")) f64.add"
                          : " (local.get " + std::to_string(p) + ") f64.add";
      }
    } else {
      for (int p = 0; p < 15; ++p) {
        wat += " (local.get " + std::to_string(p) + ")";
      }
      wat += " (f64.add (call $f" + std::to_string(i + 1) + ") (f64.const 0.5))";
    }
    wat += ")";
  }
  return wat + ")";
}

std::vector<Value> ChainArgs() {
  std::vector<Value> args;
  for (uint32_t i = 0; i < 6; ++i) {
    args.push_back(i % 2 == 0 ? Value::I32(i + 1) : Value::I64(uint64_t{i} + 1));
  }
  for (uint32_t i = 6; i < 15; ++i) {
    args.push_back(i % 2 == 0 ? Value::F32(static_cast<float>(i + 1)) : Value::F64(i + 1));
  }
  return args;  // 1 … 15: 120 in all.
}

TEST_P(LazyCompileTest, CompilesWhatIsCalled) {
  const auto module = LoadWat(Chain(10), GetParam());
  EXPECT_EQ(module->stats().functions_compiled, 0);
  EXPECT_EQ(module->stats().functions, 10);
  TestInstance instance(module);
  EXPECT_THAT(instance.Invoke("f7", ChainArgs()), Returns({Value::F64(121)}));
  EXPECT_EQ(module->stats().functions_compiled, 3);
  EXPECT_THAT(instance.Invoke("f0", ChainArgs()), Returns({Value::F64(124.5)}));
  EXPECT_EQ(module->stats().functions_compiled, 10);
  EXPECT_GT(module->stats().code_bytes, 0);
  EXPECT_GT(module->stats().compile_ns, 0);
  TestInstance second(module);
  EXPECT_THAT(second.Invoke("f0", ChainArgs()), Returns({Value::F64(124.5)}));
  EXPECT_EQ(module->stats().functions_compiled, 10);
}

TEST_P(LazyCompileTest, ThroughReferencesAndImportsThatKeptTheStub) {
  const auto module = LoadWat(R"((module (table (export "t") 1 funcref) (elem (i32.const 0) $f)
      (func $f (export "f") (result i32) i32.const 5)))",
                              GetParam());
  TestInstance instance(module);
  Linker linker;
  linker.DefineInstance("m", instance.instance());
  const auto user = linker.Instantiate(instance.store(),
                                       LoadWat(R"((module (import "m" "f" (func $f (result i32)))
      (import "m" "t" (table 1 funcref)) (func (export "direct") (result i32) (call $f))
      (func (export "indirect") (result i32) (call_indirect (result i32) (i32.const 0)))))",
                                               GetParam()));
  ASSERT_TRUE(user.ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Invoke(*user->instance->Func("direct")), Returns({Value::I32(5)}));
    EXPECT_THAT(Invoke(*user->instance->Func("indirect")), Returns({Value::I32(5)}));
    EXPECT_EQ(module->stats().functions_compiled, 1);
  }
}

TEST_P(LazyCompileTest, ThreadsRaceForTheSameFunctions) {
  for (int round = 0; round < 20; ++round) {
    const auto module = LoadWat(Chain(60), GetParam());
    std::atomic<int> wrong{0};
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        TestInstance instance(module);
        ++ready;
        while (ready < 4) {
        }
        std::mt19937 random(t);
        for (int i = 0; i < 20; ++i) {
          const auto f = static_cast<uint32_t>(random() % 60);
          const Invoked invoked = instance.Invoke("f" + std::to_string(f), ChainArgs());
          wrong += invoked.values == std::vector{Value::F64(120 + 0.5 * (59 - f))} ? 0 : 1;
        }
      });
    }
    const absl::Status all = module->CompileAll({.threads = 2});
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_TRUE(all.ok()) << all;
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(module->stats().functions_compiled, 60) << "each once";
  }
}

TEST_P(LazyCompileTest, CodeMemorySpentIsATrapWithItsMessage) {
  // A chunk of 64 KiB for the stubs of untyped calls, one for the module, and functions that need
  // more together.
  auto engine = Engine::Create({.code_bytes = 128 << 10});
  ASSERT_TRUE(engine.ok());
  std::string wat = "(module (memory 1)";
  for (int i = 0; i < 40; ++i) {
    wat += " (func (export \"f" + std::to_string(i) + "\")";
    for (int j = 0; j < 400; ++j) {
      wat +=
          " (i32.store offset=" + std::to_string(j) + " (i32.const 8) (i32.load (i32.const 16)))";
    }
    wat += ")";
  }
  const Bytes bytes = Wat(wat + ")");
  const auto span = std::as_bytes(std::span(bytes));
  const auto module = (*engine)->Load(std::vector<std::byte>(span.begin(), span.end()), {});
  ASSERT_TRUE(module.ok());
  Store store((*engine)->runtime());
  const FuncHandle nothing = store.CreateFunc(
      {}, [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
  ASSERT_THAT(Invoke(nothing), Returns({})) << "makes the stub";
  const auto made = Linker().Instantiate(store, *module);
  ASSERT_TRUE(made.ok());
  int failed = 0;
  for (int i = 0; i < 40; ++i) {
    const Invoked invoked = Invoke(*made->instance->Func("f" + std::to_string(i)));
    if (invoked.trap() != nullptr) {
      ++failed;
      EXPECT_EQ(invoked.trap()->code, TrapCode::kCompileError);
      EXPECT_THAT(invoked.trap()->message, testing::HasSubstr("code memory"));
    }
  }
  EXPECT_GT(failed, 0);
  EXPECT_LT(failed, 40);
  EXPECT_THAT(Invoke(*made->instance->Func("f0")), Returns({})) << "what was compiled still runs";
  LoadOptions eager;
  eager.mode = CompileMode::kEager;
  EXPECT_EQ(
      (*engine)->Load(std::vector<std::byte>(span.begin(), span.end()), eager).status().code(),
      absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace wasmd::engine
