// What lies in front of and behind a memory cannot be reached, neither by what wasm can say nor by
// what a compiler that is wrong about an index's sign could make of it.
#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "engine/api/engine.h"
#include "engine/base/str_cat.h"
#include "engine/runtime/linear_memory.h"
#include "engine/runtime/memory_slots.h"
#include "tests/support/load_wat.h"

namespace wasmd::engine {
namespace {

struct Mapping {
  uint64_t begin;
  uint64_t end;
  bool accessible;
};

std::vector<Mapping> Mappings() {
  std::vector<Mapping> mappings;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping = {};
    char access[5] = {};
    EXPECT_EQ(std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &mapping.begin, &mapping.end,
                          access),
              3)
        << line;
    mapping.accessible = std::string(access, 3) != "---";
    mappings.push_back(mapping);
  }
  return mappings;
}

// Every byte of it is mapped, and none can be accessed: nothing else can come to lie there.
testing::AssertionResult IsGuard(const std::vector<Mapping>& mappings, uint64_t begin,
                                 uint64_t end) {
  for (const Mapping& mapping : mappings) {
    if (mapping.begin <= begin && begin < mapping.end) {
      if (mapping.accessible) {
        return testing::AssertionFailure() << "accessible at " << std::hex << begin;
      }
      begin = std::min(mapping.end, end);
    }
    if (begin == end) {
      return testing::AssertionSuccess();
    }
  }
  return testing::AssertionFailure() << "nothing is mapped at " << std::hex << begin;
}

uint64_t AddressOf(const void* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

void ExpectGuards(const std::vector<Mapping>& mappings, const MemoryHandle& memory,
                  uint64_t before_bytes, uint64_t reach_bytes) {
  const uint64_t base = AddressOf(memory.bytes().data());
  EXPECT_TRUE(IsGuard(mappings, base - before_bytes, base));
  EXPECT_TRUE(IsGuard(mappings, base + memory.size_bytes(), base + reach_bytes));
}

std::unique_ptr<Engine> NewEngine(BoundsChecks checks) {
  auto engine = Engine::Create({.bounds_checks = checks});
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

constexpr uint64_t kGiB = uint64_t{1} << 30;
// The farthest byte that a 32-bit index and a 32-bit offset reach.
constexpr uint64_t kReachBytes = 8 * kGiB - 2 + 16;

TEST(GuardTest, AroundEveryMemoryOfASlot) {
  const auto engine = NewEngine(BoundsChecks::kGuardPages);
  const auto with_data =
      *LoadWat(*engine, R"((module (memory (export "memory") 2 10) (data (i32.const 70000) "x")))");
  const auto without = *LoadWat(*engine, R"((module (memory (export "memory") 0 10)))");
  // Neighbours, new and used again, grown and not.
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Store>> stores;
    std::vector<MemoryHandle> memories;
    for (int i = 0; i < 20; ++i) {
      stores.push_back(std::make_unique<Store>(engine->runtime()));
      const auto made = Linker().Instantiate(*stores.back(), i % 2 == 0 ? with_data : without);
      ASSERT_TRUE(made.ok()) << made.status();
      memories.push_back(*made->instance->Memory("memory"));
      if (i % 3 == 0) {
        ASSERT_TRUE(memories.back().Grow(3).ok());
      }
    }
    const std::vector<Mapping> mappings = Mappings();
    for (const MemoryHandle& memory : memories) {
      ExpectGuards(mappings, memory, 2 * kGiB, kReachBytes);
    }
  }
}

TEST(GuardTest, AroundMemoriesThatCheckTheirBounds) {
  const auto engine = NewEngine(BoundsChecks::kExplicit);
  for (const char* const text :
       {R"((module (memory (export "memory") 1 2)))", R"((module (memory (export "memory") 2 2)))",
        R"((module (memory (export "memory") i64 2 2)))"}) {
    const auto module = *LoadWat(*engine, text);
    Store store(engine->runtime());
    const auto made = Linker().Instantiate(store, module);
    ASSERT_TRUE(made.ok()) << made.status();
    const MemoryHandle memory = *made->instance->Memory("memory");
    ExpectGuards(Mappings(), memory, kWasmPageBytes, 3 * kWasmPageBytes);
  }
}

class EdgeTest : public testing::TestWithParam<BoundsChecks> {};
INSTANTIATE_TEST_SUITE_P(Checks, EdgeTest,
                         testing::Values(BoundsChecks::kGuardPages, BoundsChecks::kExplicit),
                         [](const auto& checks) {
                           return checks.param == BoundsChecks::kGuardPages ? "GuardPages"
                                                                            : "Explicit";
                         });

// Loads and stores of every width where index and offset add up to what is farthest, and where a
// sum of 32 bits, or a sign, would bring it back.
TEST_P(EdgeTest, AccessesAtTheEdgesOfTheReservationTrap) {
  const auto engine = NewEngine(GetParam());
  struct Access {
    const char* load;
    const char* store;
    const char* zero;
  };
  const Access accesses[] = {
      {"i32.load8_u", "i32.store8", "i32.const 0"},
      {"i32.load16_s", "i32.store16", "i32.const 0"},
      {"i32.load", "i32.store", "i32.const 0"},
      {"i64.load32_u", "i64.store32", "i64.const 0"},
      {"i64.load", "i64.store", "i64.const 0"},
      {"f32.load", "f32.store", "f32.const 0"},
      {"f64.load", "f64.store", "f64.const 0"},
      {"v128.load", "v128.store", "v128.const i64x2 0 0"},
  };
  const uint32_t offsets[] = {0,           1,           65535,       65536,      0x7fff'ffff,
                              0x8000'0000, 0xfffe'ffff, 0xffff'fff0, 0xffff'ffff};
  const uint32_t indices[] = {0xffff'ffff, 0xffff'0000, 0x8000'0000, 0x7fff'ffff, 65536, 65535};
  std::string text = "(module (memory (export \"memory\") 1)\n";
  for (const Access& access : accesses) {
    for (const uint32_t offset : offsets) {
      text += StrCat("(func (export \"", access.load, offset, "\") (param i32) (drop (",
                     access.load, " offset=", offset, " (local.get 0))))\n(func (export \"",
                     access.store, offset, "\") (param i32) (", access.store, " offset=", offset,
                     " (local.get 0) (", access.zero, ")))\n");
    }
  }
  const auto module = LoadWat(*engine, text + ")");
  ASSERT_TRUE(module.ok()) << module.status();
  Store store(engine->runtime());
  const auto made = Linker().Instantiate(store, *module);
  ASSERT_TRUE(made.ok()) << made.status();
  for (const Access& access : accesses) {
    const uint64_t width = std::string(access.load).starts_with("i32.load8") ? 1 : 2;
    for (const uint32_t offset : offsets) {
      for (const uint32_t index : indices) {
        if (uint64_t{index} + offset + width <= 65536) {
          continue;
        }
        for (const char* const name : {access.load, access.store}) {
          const Value arg = Value::I32(index);
          const auto outcome = made->instance->Func(StrCat(name, offset))->Call({&arg, 1}, {});
          ASSERT_TRUE(outcome.ok()) << outcome.status();
          ASSERT_NE(outcome->trap(), nullptr) << name << " at " << index << " + " << offset;
          EXPECT_EQ(outcome->trap()->code, TrapCode::kMemoryOutOfBounds);
        }
      }
    }
  }
}

}  // namespace
}  // namespace wasmd::engine
