// What fuzzing rests on, without a peer: recorded outcomes of another engine, and every neighbour
// of a set of modules.

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/fuzz/fuzz_outcome.h"

namespace wasmd::tests {
namespace {

namespace fs = std::filesystem;

// Tests run in the tree's root.
constexpr char kRecorded[] = "tests/fuzz/corpus/outcome";
constexpr char kSmall[] = "tests/fuzz/corpus/decode";

std::string Contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::vector<fs::path> ModulesIn(const char* folder) {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".wasm") {
      paths.push_back(entry.path());
    }
  }
  return paths;
}

// The texts are wasmtime's: `fuzz_peer RUNNER record` writes them.
TEST(FuzzOutcomeTest, ModulesDoInEveryModeWhatWasRecorded) {
  const FuzzEngines engines;
  const std::vector<fs::path> modules = ModulesIn(kRecorded);
  ASSERT_GE(modules.size(), 10U);
  for (const fs::path& path : modules) {
    const std::string module = Contents(path);
    const std::string expected = Contents(fs::path(path).replace_extension(".txt"));
    ASSERT_FALSE(expected.empty()) << path;
    EXPECT_EQ(engines.OutcomeOf(Bytes(module)), expected) << path;
  }
}

// Spec: binary-module. Refused or accepted, and a refusal names a byte of the module or its end.
class NeighboursTest : public testing::Test {
 protected:
  void Look(const std::string& module) {
    const Verdict verdict = VerdictOn(Bytes(module));
    reached_body_ += verdict.reached_body ? 1 : 0;
    ++count_;
    if (verdict.kind == Verdict::Kind::kValid) {
      ++valid_;
      return;
    }
    const size_t at = verdict.message.rfind("at offset 0x");
    ASSERT_NE(at, std::string::npos) << verdict.message;
    ASSERT_LE(std::stoull(verdict.message.substr(at + 12), nullptr, 16), module.size())
        << verdict.message;
  }

  size_t count_ = 0, valid_ = 0, reached_body_ = 0;
};

TEST_F(NeighboursTest, EveryPrefixAndEveryChangeOfOneByteGetsAVerdict) {
  for (const fs::path& path : ModulesIn(kSmall)) {
    const std::string module = Contents(path);
    for (size_t size = 0; size < module.size(); ++size) {
      Look(module.substr(0, size));
    }
    for (size_t at = 0; at < module.size(); ++at) {
      std::string changed = module;
      for (int difference = 1; difference < 256; ++difference) {
        changed[at] = static_cast<char>(module[at] ^ difference);
        Look(changed);
      }
    }
  }
  EXPECT_GT(count_, 100'000U);
  EXPECT_GT(reached_body_, count_ / 3);
  EXPECT_GT(valid_, 0U);
  EXPECT_LT(valid_, count_ / 2);
}

}  // namespace
}  // namespace wasmd::tests
