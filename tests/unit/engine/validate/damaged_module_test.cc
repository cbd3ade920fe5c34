// Valid modules, cut short or with a byte changed: refused or accepted, never a crash. Run under
// AddressSanitizer these find every read past the end.
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/validate/validate.h"
#include "engine/wasm/module.h"
#include "tests/support/sample_modules.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

// A heap block of the exact size, so that a sanitizer sees the byte after it.
absl::Status Load(const Bytes& bytes) {
  const Bytes exact(bytes.begin(), bytes.end());
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(exact));
  return module.ok() ? ValidateModule(*module, 1) : module.status();
}

// Where sections end: there, a prefix may be a module of its own.
std::set<size_t> SectionEnds(const Bytes& bytes) {
  std::set<size_t> ends;
  size_t at = WasmHeader().size();
  ends.insert(at);
  while (at < bytes.size()) {
    ++at;
    size_t size = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = bytes[at++];
      size |= static_cast<size_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        break;
      }
    }
    at += size;
    ends.insert(at);
  }
  return ends;
}

TEST(DamagedModuleTest, EveryPrefixIsRefused) {
  for (const SampleModule& sample : SampleModules()) {
    const std::set<size_t> ends = SectionEnds(sample.bytes);
    ASSERT_TRUE(Load(sample.bytes).ok());
    for (size_t size = 0; size < sample.bytes.size(); ++size) {
      const absl::Status status =
          Load(Bytes(sample.bytes.begin(), sample.bytes.begin() + static_cast<ptrdiff_t>(size)));
      if (!ends.contains(size)) {
        EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
            << sample.name << " cut to " << size;
      }
    }
  }
}

TEST(DamagedModuleTest, EveryByteChanged) {
  int accepted = 0;
  int refused = 0;
  for (const SampleModule& sample : SampleModules()) {
    for (size_t i = 0; i < sample.bytes.size(); ++i) {
      std::vector<uint8_t> values = {0x00, 0x01, 0x0b, 0x40, 0x60, 0x70, 0x7f, 0x80, 0xfc, 0xff};
      for (int bit = 0; bit < 8; ++bit) {
        values.push_back(static_cast<uint8_t>(sample.bytes[i] ^ (1 << bit)));
      }
      for (const uint8_t value : values) {
        Bytes damaged = sample.bytes;
        damaged[i] = value;
        ++(Load(damaged).ok() ? accepted : refused);
      }
    }
  }
  EXPECT_GT(refused, 1'000);
  EXPECT_GT(accepted, 1'000);
}

// Every byte gone, and every byte doubled: all that follows is shifted.
TEST(DamagedModuleTest, EveryByteRemovedOrRepeated) {
  for (const SampleModule& sample : SampleModules()) {
    for (size_t i = 0; i < sample.bytes.size(); ++i) {
      const auto at = static_cast<ptrdiff_t>(i);
      Bytes removed = sample.bytes;
      removed.erase(removed.begin() + at);
      Bytes repeated = sample.bytes;
      repeated.insert(repeated.begin() + at, repeated[i]);
      const bool is_framed = Load(removed).ok() || Load(repeated).ok();
      EXPECT_FALSE(is_framed && i < WasmHeader().size()) << sample.name << " at " << i;
    }
  }
}

}  // namespace
}  // namespace wasmd::engine
