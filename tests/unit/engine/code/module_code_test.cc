#include "engine/code/module_code.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/code/code_map.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {
namespace {

class ModuleCodeTest : public testing::Test {
 protected:
  CodeArena& arena() { return **CodeArena::Get(); }
  CodeQuota quota_{uint64_t{1} << 30};
  int owner_ = 0;
};

uint64_t Address(const void* code) {
  return reinterpret_cast<uint64_t>(code);
}

TEST_F(ModuleCodeTest, FindsFunctionsAndSites) {
  ModuleCode code(arena(), quota_, &owner_);
  const std::vector<uint8_t> bytes(100, 0xcc);
  const auto trap = static_cast<uint8_t>(TrapCode::kDivideByZero);
  const auto first = code.Append(3, bytes, {{10, 5, 0}, {20, 9, trap}, {100, 12, 0}});
  const auto second = code.Append(4, bytes, {});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(Address(*first) % 32, 0);
  EXPECT_EQ(std::memcmp(*first, bytes.data(), bytes.size()), 0);
  EXPECT_EQ(CodeOwner(Address(*first)), &code);
  EXPECT_EQ(code.owner(), &owner_);
  EXPECT_EQ(code.code_bytes(), 200);

  // Exactly at a site, and between sites: the one before.
  auto found = code.Find(Address(*first) + 20, true);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->func_index, 3);
  ASSERT_TRUE(found->site.has_value());
  EXPECT_EQ(found->site->trap, trap);
  EXPECT_EQ(found->wasm_offset, 9);
  found = code.Find(Address(*first) + 21, false);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->site.has_value());
  EXPECT_EQ(found->wasm_offset, 9);
  // A call may be a function's last instruction: its return address is the byte after.
  found = code.Find(Address(*first) + 100, true);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->func_index, 3);
  EXPECT_TRUE(found->site.has_value());
  EXPECT_FALSE(code.Find(Address(*first) + 100, false).has_value());
  EXPECT_FALSE(code.Find(Address(*first) - 1, false).has_value());
  EXPECT_EQ(code.Find(Address(*second), false)->func_index, 4);
}

TEST_F(ModuleCodeTest, LargeFunctionsTakeChunksInARowAndFreeingGivesThemBack) {
  const uint64_t before = arena().used_chunks();
  const void* address = nullptr;
  {
    ModuleCode code(arena(), quota_, nullptr);
    ASSERT_TRUE(code.Append(0, std::vector<uint8_t>(10), {}).ok());
    const std::vector<uint8_t> large(3 * kCodeChunkBytes + 1, 0x90);
    const auto appended = code.Append(1, large, {});
    ASSERT_TRUE(appended.ok());
    address = *appended;
    EXPECT_EQ(std::memcmp(address, large.data(), large.size()), 0);
    EXPECT_EQ(CodeOwner(Address(address) + large.size() - 1), &code);
    EXPECT_EQ(arena().used_chunks(), before + 5);
    EXPECT_EQ(quota_.used_bytes(), 5 * kCodeChunkBytes);
  }
  EXPECT_EQ(arena().used_chunks(), before);
  EXPECT_EQ(quota_.used_bytes(), 0);
  EXPECT_EQ(CodeOwner(Address(address)), nullptr);
  EXPECT_EQ(*static_cast<const uint8_t*>(address), 0) << "freed pages read as zeros";
}

TEST_F(ModuleCodeTest, TheQuotaHolds) {
  CodeQuota two_chunks(2 * kCodeChunkBytes);
  ModuleCode code(arena(), two_chunks, nullptr);
  const std::vector<uint8_t> chunk(kCodeChunkBytes, 0x90);
  EXPECT_TRUE(code.Append(0, chunk, {}).ok());
  EXPECT_TRUE(code.Append(1, chunk, {}).ok());
  EXPECT_EQ(code.Append(2, chunk, {}).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(two_chunks.used_bytes(), 2 * kCodeChunkBytes);
}

TEST_F(ModuleCodeTest, TheArenaEnds) {
  CodeQuota unlimited(~uint64_t{0});
  ModuleCode code(arena(), unlimited, nullptr);
  ModuleCode other(arena(), unlimited, nullptr);
  ASSERT_TRUE(other.Append(0, std::vector<uint8_t>(1), {}).ok());
  EXPECT_EQ(arena().Take(kCodeChunks, ChunkOwnerOf(code)).status().code(),
            absl::StatusCode::kResourceExhausted);
  const auto most = arena().Take(kCodeChunks / 2, ChunkOwnerOf(code));
  ASSERT_TRUE(most.ok());
  EXPECT_EQ(arena().Take(kCodeChunks / 2, ChunkOwnerOf(code)).status().code(),
            absl::StatusCode::kResourceExhausted);
  arena().Free(*most);
}

TEST_F(ModuleCodeTest, LazyStubsSayTheirIndex) {
  arena().EnsureStubs(1000);
  for (const uint32_t index : {0u, 1u, 999u}) {
    const auto* stub = static_cast<const uint8_t*>(arena().LazyStub(index));
    uint32_t said = 0;
    std::memcpy(&said, stub + 1, sizeof(said));
    EXPECT_EQ(stub[0], 0xb8);
    EXPECT_EQ(said, index);
    EXPECT_TRUE(arena().IsLazyStub(stub));
    EXPECT_EQ(CodeOwner(Address(stub)), nullptr);
  }
  ModuleCode code(arena(), quota_, nullptr);
  EXPECT_FALSE(arena().IsLazyStub(*code.Append(0, std::vector<uint8_t>(1), {})));
}

TEST_F(ModuleCodeTest, ThreadsAppendFindAndDropAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t round = 0; round < 20; ++round) {
        auto code = std::make_unique<ModuleCode>(arena(), quota_, nullptr);
        const std::vector<uint8_t> bytes(5000, static_cast<uint8_t>(t + 1));
        for (uint32_t i = 0; i < 50; ++i) {
          const auto address = code->Append(i, bytes, {});
          const bool right = address.ok() && CodeOwner(Address(*address)) == code.get() &&
                             code->Find(Address(*address) + 1, false)->func_index == i &&
                             std::memcmp(*address, bytes.data(), bytes.size()) == 0;
          wrong += right ? 0 : 1;
        }
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
