// Linear memory: its edges, growing, limits, the embedder's view, bulk instructions.
#include <sys/resource.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include "engine/base/check.h"
#include "engine/platform/virtual_memory.h"
#include "engine/runtime/linear_memory.h"
#include "tests/support/test_instance.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

constexpr std::string_view kPeek = R"((module (memory (export "memory") 1)
    (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "peek_far") (param i32) (result i32) (i32.load8_u offset=0xffffffff (local.get 0)))
    (func (export "peek8") (param i32) (result i64) (i64.load (local.get 0)))
    (func (export "poke8") (param i32 i64) (i64.store (local.get 0) (local.get 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "size") (result i32) memory.size)))";

class MemoryTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(MemoryTest);

// The last byte of a memory is readable and the next one traps, and a trap leaves the instance
// usable.
TEST_P(MemoryTest, TrapsExactlyPastTheEnd) {
  TestInstance one_page(kPeek, GetParam());
  EXPECT_THAT(one_page.Invoke("peek", {Value::I32(65'535)}), Returns({Value::I32(0)}));
  for (const uint32_t index : {65'536u, 0x7fff'ffffu, 0xffff'ffffu}) {
    EXPECT_THAT(one_page.Invoke("peek", {Value::I32(index)}),
                TrapsWith(TrapCode::kMemoryOutOfBounds))
        << index;
    EXPECT_THAT(one_page.Invoke("peek_far", {Value::I32(index)}),
                TrapsWith(TrapCode::kMemoryOutOfBounds))
        << index;
    EXPECT_THAT(one_page.Invoke("peek8", {Value::I32(index)}),
                TrapsWith(TrapCode::kMemoryOutOfBounds))
        << index;
    EXPECT_THAT(one_page.Invoke("poke8", {Value::I32(index), Value::I64(1u)}),
                TrapsWith(TrapCode::kMemoryOutOfBounds))
        << index;
  }
  EXPECT_THAT(one_page.Invoke("peek8", {Value::I32(65'528)}), Returns({Value::I64(0u)}));
  // Straddling the edge: nothing of it is written.
  EXPECT_THAT(one_page.Invoke("poke8", {Value::I32(65'532), Value::I64(~uint64_t{0})}),
              TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_THAT(one_page.Invoke("peek8", {Value::I32(65'528)}), Returns({Value::I64(0u)}));
  EXPECT_THAT(one_page.Invoke("peek", {Value::I32(0)}), Returns({Value::I32(0)}))
      << "unusable after a trap";
}

TEST_P(MemoryTest, GrowsToItsLimits) {
  TestInstanceOptions options;
  options.store.memory_bytes = 3 * kWasmPageBytes;
  TestInstance instance(kPeek, GetParam(), options);
  const std::byte* const base = instance.instance().Memory("memory")->bytes().data();
  EXPECT_THAT(instance.Invoke("grow", {Value::I32(0)}), Returns({Value::I32(1)}));
  EXPECT_THAT(instance.Invoke("grow", {Value::I32(3)}), Returns({Value::I32(-1)}))
      << "the store's limit";
  EXPECT_THAT(instance.Invoke("grow", {Value::I32(-1)}), Returns({Value::I32(-1)}));
  EXPECT_THAT(instance.Invoke("grow", {Value::I32(2)}), Returns({Value::I32(1)}));
  EXPECT_THAT(instance.Invoke("size"), Returns({Value::I32(3)}));
  EXPECT_THAT(instance.Invoke("peek", {Value::I32(3 * 65'536 - 1)}), Returns({Value::I32(0)}));
  EXPECT_THAT(instance.Invoke("peek", {Value::I32(3 * 65'536)}),
              TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_EQ(instance.store().memory_bytes(), 3 * kWasmPageBytes);
  EXPECT_EQ(instance.instance().Memory("memory")->bytes().data(), base);
  EXPECT_FALSE(instance.instance().Memory("memory")->Grow(1).ok());
}

TEST_P(MemoryTest, TooLargeForTheStoreIsAStatusAndLeavesNothing) {
  const auto module = LoadWat("(module (memory 10) (table 5 funcref))", GetParam());
  for (const StoreOptions& options :
       {StoreOptions{.memory_bytes = 9 * kWasmPageBytes}, StoreOptions{.table_elements = 4},
        StoreOptions{.instances = 0}}) {
    Store store(TestEngine().runtime(), options);
    EXPECT_EQ(Linker().Instantiate(store, module).status().code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(store.memory_bytes(), 0);
  }
}

TEST_P(MemoryTest, TheEmbedderReadsAndWrites) {
  TestInstance instance(kPeek, GetParam());
  const MemoryHandle memory = *instance.instance().Memory("memory");
  const std::array<std::byte, 2> data = {std::byte{7}, std::byte{8}};
  EXPECT_TRUE(memory.Write(65'534, data).ok());
  EXPECT_THAT(instance.Invoke("peek", {Value::I32(65'535)}), Returns({Value::I32(8)}));
  EXPECT_EQ(memory.Write(65'535, data).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(memory.Write(~uint64_t{0}, data).code(), absl::StatusCode::kOutOfRange);
  std::array<std::byte, 2> read = {};
  EXPECT_TRUE(memory.Read(65'534, read).ok());
  EXPECT_EQ(read, data);
  EXPECT_EQ(memory.Read(65'536 + 1, read).code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(memory.Read(65'536, std::span<std::byte>()).ok());
}

TEST_P(MemoryTest, BulkInstructionsTrapBeforeTheyWrite) {
  TestInstance instance(R"((module (memory (export "memory") 1) (data $d "abcdef")
      (func (export "init") (param i32 i32 i32) (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
      (func (export "drop") data.drop $d)
      (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
      (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))))",
                        GetParam());
  const std::span<std::byte> bytes = instance.instance().Memory("memory")->bytes();
  const auto call = [&](std::string_view name, uint32_t a, uint32_t b, uint32_t c) {
    return instance.Invoke(name, {Value::I32(a), Value::I32(b), Value::I32(c)});
  };
  EXPECT_THAT(call("init", 65'534, 0, 3), TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_THAT(call("init", 0, 4, 3), TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_EQ(bytes[65'534], std::byte{0});
  EXPECT_THAT(call("init", 10, 1, 5), Returns({}));
  EXPECT_EQ(std::memcmp(bytes.data() + 10, "bcdef", 5), 0);
  EXPECT_THAT(call("copy", 12, 10, 5), Returns({}));
  EXPECT_EQ(std::memcmp(bytes.data() + 10, "bcbcdef", 7), 0);
  EXPECT_THAT(call("copy", 65'535, 10, 2), TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_THAT(call("copy", 0, 0xffff'ffff, 0xffff'ffff), TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_THAT(call("fill", 65'000, 0x1ff, 536), Returns({}));
  EXPECT_EQ(bytes[65'535], std::byte{0xff});
  EXPECT_THAT(call("fill", 65'000, 0, 537), TrapsWith(TrapCode::kMemoryOutOfBounds));
  EXPECT_EQ(bytes[65'535], std::byte{0xff});
  EXPECT_THAT(instance.Invoke("drop"), Returns({}));
  EXPECT_THAT(call("init", 0, 0, 0), Returns({}));
  EXPECT_THAT(call("init", 0, 0, 1), TrapsWith(TrapCode::kMemoryOutOfBounds));
}

// Copies of more than a piece (engine/runtime/builtins.cc) that overlap in either direction.
TEST_P(MemoryTest, LargeOverlappingCopies) {
  TestInstance instance(R"((module (memory (export "memory") 640)
      (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
      (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))))",
                        GetParam());
  const std::span<std::byte> bytes = instance.instance().Memory("memory")->bytes();
  std::vector<std::byte> expected(bytes.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = static_cast<std::byte>(i * 2'654'435'761u >> 24);
  }
  std::memcpy(bytes.data(), expected.data(), expected.size());
  const auto call = [&](std::string_view name, uint32_t a, uint32_t b, uint32_t c) {
    EXPECT_THAT(instance.Invoke(name, {Value::I32(a), Value::I32(b), Value::I32(c)}), Returns({}));
  };
  constexpr uint32_t kBytes = 36'000'000;
  call("copy", 1'000'003, 5, kBytes);
  std::memmove(expected.data() + 1'000'003, expected.data() + 5, kBytes);
  EXPECT_EQ(std::memcmp(bytes.data(), expected.data(), expected.size()), 0);
  call("copy", 5, 1'000'003, kBytes);
  std::memmove(expected.data() + 5, expected.data() + 1'000'003, kBytes);
  EXPECT_EQ(std::memcmp(bytes.data(), expected.data(), expected.size()), 0);
  call("fill", 11, 9, kBytes);
  std::memset(expected.data() + 11, 9, kBytes);
  EXPECT_EQ(std::memcmp(bytes.data(), expected.data(), expected.size()), 0);
}

TEST_P(MemoryTest, SegmentsBeforeTheOneThatTrapsStayApplied) {
  Store store(TestEngine().runtime());
  const MemoryHandle memory = *store.CreateMemory({{1, 1}});
  const TableHandle table =
      *store.CreateTable({ValType::kFuncRef, {4, {}}}, Value::Null(ValType::kFuncRef));
  Linker linker;
  linker.Define("", "m", memory);
  linker.Define("", "t", table);
  const auto made = linker.Instantiate(
      store, LoadWat(R"((module (import "" "m" (memory 1)) (import "" "t" (table 1 funcref))
      (func $seven (result i32) i32.const 7) (elem (i32.const 1) $seven)
      (data (i32.const 5) "x") (data (i32.const 65536) "y") (data (i32.const 6) "z")))",
                     GetParam()));
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->instance, nullptr);
  ASSERT_NE(made->outcome.trap(), nullptr);
  EXPECT_EQ(made->outcome.trap()->code, TrapCode::kMemoryOutOfBounds);
  EXPECT_EQ(memory.bytes()[5], std::byte{'x'});
  EXPECT_EQ(memory.bytes()[6], std::byte{0});
  // The function that it left in the table is alive.
  EXPECT_THAT(Invoke(*store.FuncOf(*table.Get(1))), Returns({Value::I32(7)}));
}

TEST(LinearMemoryTest, TypesAndMaxima) {
  StoreCharge charge(nullptr);
  Quota quota({"the test", uint64_t{1} << 40}, charge);
  MemorySlots slots;
  auto memory = LinearMemory::Create({{1, 3}}, slots, quota);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ((*memory)->Grow(3), std::nullopt);
  EXPECT_EQ((*memory)->Grow(2), 1);
  EXPECT_EQ((*memory)->current_type(), (MemoryType{{3, 3}}));
  EXPECT_EQ(quota.used(), 3 * kWasmPageBytes);
  memory->reset();
  EXPECT_EQ(quota.used(), 0);
  EXPECT_FALSE(LinearMemory::Create({{kMaxMemory32Pages + 1, {}}}, slots, quota).ok());
  EXPECT_EQ(quota.used(), 0);
}

// Address space that the process may still take.
void LimitAddressSpace(uint64_t more_bytes) {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlimit limit{pages * OsPageBytes() + more_bytes, RLIM_INFINITY};
  WASMD_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

// Exits with 0 if a memory works to its ends, and grows as far as the address space does.
[[noreturn]] void RunInSmallAddressSpace() {
  TestEngine();  // Makes the code arena, which needs more.
  LimitAddressSpace(uint64_t{1} << 30);
  const auto engine = Engine::Create({});
  WASMD_CHECK(engine.ok() && (*engine)->bounds_checks() == BoundsChecks::kExplicit);
  const Bytes wasm = Wat(kPeek);
  const auto bytes = AsBytes(wasm);
  const auto module = (*engine)->Load(std::vector<std::byte>(bytes.begin(), bytes.end()), {});
  WASMD_CHECK(module.ok());
  Store store((*engine)->runtime());
  const auto made = Linker().Instantiate(store, *module);
  WASMD_CHECK(made.ok() && made->outcome.ok());
  const auto call = [&](std::string_view name, uint32_t arg) {
    std::array<Value, 1> results;
    const auto outcome = made->instance->Func(name)->Call(std::array{Value::I32(arg)}, results);
    WASMD_CHECK(outcome.ok());
    return outcome->ok() ? static_cast<int64_t>(results[0].bits) : int64_t{-1};
  };
  WASMD_CHECK(call("peek", 65'535) == 0 && call("peek", 65'536) == -1);
  WASMD_CHECK(call("grow", 1'000) == 1 && call("peek", 1'001 * 65'536 - 1) == 0);
  WASMD_CHECK(call("peek", 1'001 * 65'536) == -1 && call("peek_far", 0xffff'ffff) == -1);
  WASMD_CHECK(call("grow", 32'768) == UINT32_MAX, "there is no room for 2 GiB");
  std::exit(0);
}

TEST(MemoryDeathTest, WithoutReservationsCodeChecks) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(RunInSmallAddressSpace(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace wasmd::engine
