// Loading is linear and bounded: the dearest modules that we know are made twice and four times as
// large, and what loading them takes is counted: the compiler's work and the bytes of memory.
#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "engine/api/engine.h"
#include "engine/binary/decode_module.h"
#include "engine/wasm/limits.h"
#include "tests/support/hostile_modules.h"

namespace {

// What is allocated by operator new now, and at most since ResetPeak.
std::atomic<int64_t> g_live_bytes = 0;
std::atomic<int64_t> g_peak_bytes = 0;

// Set by an allocation of at least so many bytes.
std::atomic<bool>* g_set_by_large = nullptr;
constexpr size_t kLargeBytes = size_t{1} << 20;

void Note(void* memory) {
  const int64_t live = g_live_bytes += static_cast<int64_t>(malloc_usable_size(memory));
  int64_t peak = g_peak_bytes;
  while (live > peak && !g_peak_bytes.compare_exchange_weak(peak, live)) {
  }
}

}  // namespace

void* operator new(size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) {
    std::abort();
  }
  Note(memory);
  if (size >= kLargeBytes && g_set_by_large != nullptr) {
    *g_set_by_large = true;
  }
  return memory;
}
void operator delete(void* memory) noexcept {
  g_live_bytes -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}
void operator delete(void* memory, size_t /*size*/) noexcept {
  ::operator delete(memory);
}

namespace wasmd::engine {
namespace {

struct Cost {
  bool is_loaded = false;
  std::string verdict;
  uint64_t module_bytes = 0;
  uint64_t work = 0;
  uint64_t peak_bytes = 0;
};

Cost LoadCost(const HostileCase& hostile, size_t size) {
  const auto engine = Engine::Create({});
  EXPECT_TRUE(engine.ok()) << engine.status();
  const Bytes wasm = hostile.make(size);
  const auto* const begin = reinterpret_cast<const std::byte*>(wasm.data());
  auto bytes = std::make_shared<const std::vector<std::byte>>(begin, begin + wasm.size());
  LoadOptions options;
  options.mode = CompileMode::kEager;
  const int64_t before = g_live_bytes;
  g_peak_bytes = before;
  const auto module = (*engine)->Load(std::move(bytes), options);
  Cost cost;
  cost.is_loaded = module.ok();
  cost.verdict = module.status().ToString();
  cost.module_bytes = wasm.size();
  cost.peak_bytes = static_cast<uint64_t>(g_peak_bytes - before);
  cost.work = module.ok() ? (*module)->stats().compile_work : 0;
  return cost;
}

class BoundedLoadTest : public testing::TestWithParam<HostileCase> {};

TEST_P(BoundedLoadTest, TwiceTheModuleTakesTwiceAsMuch) {
  // Sizes at which neither tables that double nor fixed parts show much.
  constexpr size_t kSizes[] = {120'000, 240'000, 480'000};
  Cost costs[std::size(kSizes)];
  for (size_t i = 0; i < std::size(kSizes); ++i) {
    costs[i] = LoadCost(GetParam(), kSizes[i]);
    SCOPED_TRACE(costs[i].verdict);
    EXPECT_LE(costs[i].module_bytes, kSizes[i] + kSizes[i] / 20);
    EXPECT_TRUE(costs[i].is_loaded ||
                costs[i].verdict.find("RESOURCE_EXHAUSTED") != std::string::npos);
    EXPECT_LE(costs[i].work, ModuleCompileWorkLimit(costs[i].module_bytes));
    // 256 MiB for each MB, less the machine code and what it is put together in.
    EXPECT_LE(costs[i].peak_bytes, 240 * kSizes[i] + (uint64_t{8} << 20));
    if (i != 0 && costs[i].is_loaded && costs[i - 1].is_loaded) {
      EXPECT_LE(costs[i].work, costs[i - 1].work * 23 / 10 + 10'000);
      EXPECT_LE(costs[i].peak_bytes, costs[i - 1].peak_bytes * 25 / 10 + (2 << 20));
    }
  }
}

std::string NameOf(const testing::TestParamInfo<HostileCase>& info) {
  return std::string(info.param.name);
}
INSTANTIATE_TEST_SUITE_P(All, BoundedLoadTest, testing::ValuesIn(HostileCases()), NameOf);

const HostileCase& CaseOf(std::string_view name) {
  for (const HostileCase& hostile : HostileCases()) {
    if (hostile.name == name) {
      return hostile;
    }
  }
  std::abort();
}

TEST(LoadWorkTest, UnusedLocalsCostNothing) {
  const Cost cost = LoadCost(CaseOf("many_locals_each"), 120'000);
  EXPECT_TRUE(cost.is_loaded) << cost.verdict;
  EXPECT_LE(cost.work, 24 * cost.module_bytes);
}

TEST(LoadWorkTest, OperandsThatShareARegisterAreFew) {
  const Cost cost = LoadCost(CaseOf("shared_register"), 480'000);
  EXPECT_TRUE(cost.is_loaded) << cost.verdict;
  EXPECT_LE(cost.work, 24 * cost.module_bytes);
}

TEST(LoadWorkTest, WhatIsBeyondNamesTheLimitAndTheOffset) {
  const Cost function = LoadCost(CaseOf("calls_of_many_params"), 480'000);
  EXPECT_FALSE(function.is_loaded);
  EXPECT_NE(function.verdict.find("kCompileWorkPerByte"), std::string::npos) << function.verdict;
  EXPECT_NE(function.verdict.find("in function 0 (at offset 0x"), std::string::npos)
      << function.verdict;
  // Each function is within its limit, all together are not.
  const Cost module = LoadCost(CaseOf("dear_functions"), 480'000);
  EXPECT_FALSE(module.is_loaded);
  EXPECT_NE(module.verdict.find("kModuleCompileWorkBase"), std::string::npos) << module.verdict;
}

TEST(LoadCancelTest, AnEagerCompilationEndsBetweenFunctions) {
  const auto engine = Engine::Create({});
  ASSERT_TRUE(engine.ok()) << engine.status();
  const Bytes wasm = CaseOf("tiny_functions").make(200'000);
  const auto* const begin = reinterpret_cast<const std::byte*>(wasm.data());
  const auto module =
      (*engine)->Load(std::vector<std::byte>(begin, begin + wasm.size()), LoadOptions{});
  ASSERT_TRUE(module.ok()) << module.status();
  std::atomic<bool> cancel = false;
  const absl::Status cancelled = (*module)->CompileAll(
      {.threads = 1, .cancel = &cancel, .progress = [&](uint64_t, uint64_t) { cancel = true; }});
  EXPECT_EQ(cancelled.code(), absl::StatusCode::kCancelled) << cancelled;
  const CodeStats stats = (*module)->stats();
  EXPECT_GT(stats.functions_compiled, 0u);
  EXPECT_LT(stats.functions_compiled, stats.functions / 50);
  // What is left can be compiled afterwards.
  cancel = false;
  const absl::Status done =
      (*module)->CompileAll({.threads = 1, .cancel = &cancel, .progress = nullptr});
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_EQ((*module)->stats().functions_compiled, stats.functions);
}

// The flag is set in the middle of the module's only section, when room is made for its items.
TEST(LoadCancelTest, DecodingEndsWithinASection) {
  Bytes wasm = {0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 0xe3, 0xa7, 0x12, 0xa0, 0x8d, 0x06};
  constexpr size_t kTypes = 100'000;
  for (size_t i = 0; i < kTypes; ++i) {
    wasm.insert(wasm.end(), {0x60, 0, 0});
  }
  const auto bytes = std::as_bytes(std::span(wasm));
  ASSERT_TRUE(DecodeModule(bytes).ok()) << DecodeModule(bytes).status();
  std::atomic<bool> cancel = false;
  g_set_by_large = &cancel;
  const absl::Status status = DecodeModule(bytes, {}, &cancel).status();
  g_set_by_large = nullptr;
  EXPECT_TRUE(cancel);
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
}

}  // namespace
}  // namespace wasmd::engine
