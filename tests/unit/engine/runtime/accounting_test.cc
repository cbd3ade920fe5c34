// What a store's guests take is charged to the store's accountant, refused where that refuses, and
// given back to the last byte.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/runtime/quota.h"
#include "tests/support/counting_accountant.h"
#include "tests/support/test_instance.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

using testing::HasSubstr;

std::shared_ptr<tests::CountingAccountant> UpTo(uint64_t limit) {
  return std::make_shared<tests::CountingAccountant>(NamedLimit{"--limit-of-test", limit});
}

constexpr std::string_view kGrows = R"((module
    (memory (export "memory") 2)
    (table $t 10 externref)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "grow_table") (param i32) (result i32)
      (table.grow $t (ref.null extern) (local.get 0)))))";

TestInstanceOptions ChargedTo(std::shared_ptr<Accountant> accountant) {
  TestInstanceOptions options;
  options.store.accountant = std::move(accountant);
  return options;
}

// What is charged ahead, and what instances take for themselves.
constexpr uint64_t kSlackBytes = 2 * StoreCharge::kStepBytes + (64 << 10);

TEST(AccountingTest, MemoriesAndTablesAreChargedAndGivenBack) {
  const auto accountant = UpTo(1 << 30);
  {
    TestInstance instance(kGrows, Tier::kBaseline, ChargedTo(accountant));
    EXPECT_GE(accountant->used(), 2 * kWasmPageBytes);
    EXPECT_LE(accountant->used(), 2 * kWasmPageBytes + kSlackBytes);
    EXPECT_THAT(instance.Invoke("grow", {Value::I32(100)}), Returns({Value::I32(2)}));
    EXPECT_GE(accountant->used(), 102 * kWasmPageBytes);
    const uint64_t before = accountant->used();
    EXPECT_THAT(instance.Invoke("grow_table", {Value::I32(1'000'000)}), Returns({Value::I32(10)}));
    EXPECT_GE(accountant->used(), before + 1'000'000 * 16 - kSlackBytes);
    EXPECT_LE(accountant->used(), before + 1'000'000 * 16 + kSlackBytes);
    EXPECT_EQ(instance.store().refused_by(), std::nullopt);
  }
  EXPECT_EQ(accountant->used(), 0u);
}

TEST(AccountingTest, ItsRefusalIsTheGuestsMinusOneAndNamed) {
  const auto accountant = UpTo(1 << 20);
  {
    TestInstance instance(kGrows, Tier::kBaseline, ChargedTo(accountant));
    EXPECT_THAT(instance.Invoke("grow", {Value::I32(15)}), Returns({Value::I32(-1)}));
    EXPECT_EQ(instance.store().refused_by(), (NamedLimit{"--limit-of-test", 1 << 20}));
    instance.store().ArmInterrupt();
    EXPECT_EQ(instance.store().refused_by(), std::nullopt) << "of the invocation before";
    EXPECT_THAT(instance.Invoke("grow_table", {Value::I32(100'000)}), Returns({Value::I32(-1)}));
    EXPECT_NE(instance.store().refused_by(), std::nullopt);
    // To the last page: what is charged ahead does not count.
    EXPECT_THAT(instance.Invoke("grow", {Value::I32(13)}), Returns({Value::I32(2)}));
  }
  EXPECT_EQ(accountant->used(), 0u);
}

TEST(AccountingTest, TheStoresOwnLimitsAreNamedToo) {
  TestInstanceOptions options;
  options.store.memory_bytes = 3 * kWasmPageBytes;
  options.store.memory_limit_name = "--max-memory";
  TestInstance instance(kGrows, Tier::kBaseline, options);
  EXPECT_THAT(instance.Invoke("grow", {Value::I32(2)}), Returns({Value::I32(-1)}));
  EXPECT_EQ(instance.store().refused_by(), (NamedLimit{"--max-memory", 3 * kWasmPageBytes}));
}

TEST(AccountingTest, AnInstanceThatIsRefusedCostsNothing) {
  const auto accountant = UpTo(1 << 20);
  StoreOptions options;
  options.accountant = accountant;
  {
    Store store(TestEngine().runtime(), options);
    for (const auto& [wat, text] :
         {std::pair<std::string, std::string>{"(module (memory 17))", "a memory of 17 pages"},
          {"(module (memory 1) (table 100000 funcref))", "a table of 100000 elements"}}) {
      const absl::Status status = Linker().Instantiate(store, LoadWat(wat)).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(std::string(status.message()), HasSubstr(text));
      EXPECT_THAT(std::string(status.message()), HasSubstr("--limit-of-test of 1048576"));
      EXPECT_LE(accountant->used(), kSlackBytes);
    }
  }
  EXPECT_EQ(accountant->used(), 0u);
}

// A passive segment is words on the host's heap, of each instance.
TEST(AccountingTest, ElementSegmentsAreCharged) {
  std::string wat = "(module (func $f) (elem func";
  for (int i = 0; i < 50'000; ++i) {
    wat += " $f";
  }
  wat += "))";
  const std::shared_ptr<LoadedModule> module = LoadWat(wat);
  const auto accountant = UpTo(1 << 20);
  StoreOptions options;
  options.accountant = accountant;
  {
    Store store(TestEngine().runtime(), options);
    EXPECT_TRUE(Linker().Instantiate(store, module).ok());
    EXPECT_GE(accountant->used(), 50'000 * sizeof(uint64_t));
    EXPECT_TRUE(Linker().Instantiate(store, module).ok());
    const absl::Status third = Linker().Instantiate(store, module).status();
    EXPECT_EQ(third.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(third.message()), HasSubstr("beside its memories is over the limit"));
  }
  EXPECT_EQ(accountant->used(), 0u);
}

// Machine code belongs to the module, whoever has it compiled.
TEST(AccountingTest, MachineCodeIsChargedUntilTheModuleGoes) {
  const Bytes wasm = Wat(R"((module (func (export "f") (result i32) (i32.const 7))))");
  const auto bytes = std::vector<std::byte>(AsBytes(wasm).begin(), AsBytes(wasm).end());
  const auto accountant = UpTo(1 << 20);
  LoadOptions options;
  options.code_accountant = accountant;
  {
    absl::StatusOr<std::shared_ptr<LoadedModule>> module = TestEngine().Load(bytes, options);
    ASSERT_TRUE(module.ok()) << module.status();
    EXPECT_EQ(accountant->used(), 0u);
    TestInstance instance(*std::move(module));
    EXPECT_THAT(instance.Invoke("f"), Returns({Value::I32(7)}));
    EXPECT_EQ(accountant->used(), uint64_t{64} << 10);
  }
  EXPECT_EQ(accountant->used(), 0u);

  options.code_accountant = UpTo(1);
  absl::StatusOr<std::shared_ptr<LoadedModule>> lazy = TestEngine().Load(bytes, options);
  ASSERT_TRUE(lazy.ok()) << lazy.status();
  TestInstance instance(*std::move(lazy));
  const Invoked refused = instance.Invoke("f");
  EXPECT_THAT(refused, TrapsWith(TrapCode::kCompileError));
  EXPECT_THAT(refused.trap()->message, HasSubstr("over the limit --limit-of-test of 1 bytes"));
  options.mode = CompileMode::kEager;
  EXPECT_EQ(TestEngine().Load(bytes, options).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace wasmd::engine
