// Loads and stores of vectors and of their lanes: what they move, at any alignment, and that they
// trap exactly past the end of the memory, with nothing changed.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/wasm/opcodes.h"
#include "tests/unit/engine/compile/code_harness.h"

namespace wasmd::engine {
namespace {

constexpr uint32_t kPage = 65536;
constexpr uint32_t kResultAt = 64;
constexpr uint32_t kLaneVectorAt = 96;
constexpr uint32_t kStoredAt = 112;

using VectorBytes = std::array<uint8_t, 16>;

std::vector<baseline::CpuFeatures> Cpus() {
  baseline::CpuFeatures avx = baseline::CpuFeatures::Host();
  avx.avx2 = avx.fma = false;
  return {baseline::CpuFeatures::Host(), avx, avx.WithoutAvx()};
}

std::vector<CompilerOptions> Bounds() {
  return {{.bounds_checks = BoundsChecks::kGuardPages}, {.bounds_checks = BoundsChecks::kExplicit}};
}

struct Access {
  uint32_t offset;
  uint8_t lane;
  bool has_constant_index;
  uint32_t index;
};

class VectorMemoryTest : public testing::TestWithParam<OpcodeInfo> {
 protected:
  const OpcodeInfo& info() const { return GetParam(); }
  bool is_store() const { return info().sig.ends_with(':'); }
  bool has_lane() const { return info().immediate == Immediate::kMemArgLane; }
  // Of the digits of its name: "load8x8" moves 64 bits, "load16_splat" 16, "load" all.
  uint32_t width() const {
    const std::string name(info().text.substr(info().text.find('.')));
    const size_t digits = name.find_first_of("0123456789");
    if (digits == std::string::npos) {
      return 16;
    }
    return name.find('x') != std::string::npos
               ? 8
               : static_cast<uint32_t>(std::stoi(name.substr(digits))) / 8;
  }

  Bytes Function(uint32_t offset, uint8_t lane, bool has_constant_index, uint32_t index) const;
  void TryOn(const Bytes& module, const CompilerOptions& options,
             const std::vector<Access>& accesses) const;
  VectorBytes Loaded(const uint8_t* from, const VectorBytes& before, uint8_t lane) const;
};

// [index] -> []. A load's result goes to kResultAt; what is stored comes from kStoredAt, the vector
// that a lane is loaded into from kLaneVectorAt.
Bytes VectorMemoryTest::Function(uint32_t offset, uint8_t lane, bool has_constant_index,
                                 uint32_t index) const {
  Bytes code;
  const auto add = [&](const Bytes& bytes) { Append(code, bytes); };
  if (!is_store()) {
    add({0x41, 0x00});
  }
  add(has_constant_index ? Concat({{0x41}, SignedLeb(static_cast<int32_t>(index))})
                         : Bytes{0x20, 0x00});
  if (is_store() || has_lane()) {
    add(Concat({{0x41, 0x00, 0xfd, 0x00, 0x00}, Leb(is_store() ? kStoredAt : kLaneVectorAt)}));
  }
  add(Concat({{0xfd}, Leb(static_cast<uint32_t>(info().op) & 0xffff), {0x00}, Leb(offset)}));
  if (has_lane()) {
    add({lane});
  }
  if (!is_store()) {
    add(Concat({{0xfd, 0x0b, 0x00}, Leb(kResultAt)}));
  }
  add({0x0b});
  return Body({}, code);
}

template <typename From, typename To>
VectorBytes Extended(const uint8_t* from) {
  VectorBytes result;
  for (size_t i = 0; i < 16 / sizeof(To); ++i) {
    From narrow;
    std::memcpy(&narrow, from + i * sizeof(From), sizeof(From));
    const To wide = narrow;
    std::memcpy(result.data() + i * sizeof(To), &wide, sizeof(To));
  }
  return result;
}

VectorBytes VectorMemoryTest::Loaded(const uint8_t* from, const VectorBytes& before,
                                     uint8_t lane) const {
  switch (info().op) {
    case Opcode::kV128Load8x8S:
      return Extended<int8_t, int16_t>(from);
    case Opcode::kV128Load8x8U:
      return Extended<uint8_t, uint16_t>(from);
    case Opcode::kV128Load16x4S:
      return Extended<int16_t, int32_t>(from);
    case Opcode::kV128Load16x4U:
      return Extended<uint16_t, uint32_t>(from);
    case Opcode::kV128Load32x2S:
      return Extended<int32_t, int64_t>(from);
    case Opcode::kV128Load32x2U:
      return Extended<uint32_t, uint64_t>(from);
    default:
      break;
  }
  VectorBytes result = {};
  const std::string_view text = info().text;
  if (has_lane()) {
    result = before;
    std::copy_n(from, width(), result.begin() + static_cast<std::ptrdiff_t>(lane * width()));
  } else if (text.ends_with("splat")) {
    for (uint32_t at = 0; at < 16; at += width()) {
      std::copy_n(from, width(), result.begin() + at);
    }
  } else {
    std::copy_n(from, width(), result.begin());
  }
  return result;
}

TEST_P(VectorMemoryTest, MovesItsBytesOrTraps) {
  std::vector<Access> accesses;
  for (uint32_t lane = 0; lane < (has_lane() ? 16 / width() : 1); ++lane) {
    for (const uint32_t offset : {0u, 3u, 200u, kPage - 8}) {
      accesses.push_back({offset, static_cast<uint8_t>(lane), false, 0});
      for (const uint32_t index : {0u, 256u, 257u, kPage - width(), kPage - width() + 1, kPage}) {
        accesses.push_back({offset, static_cast<uint8_t>(lane), true, index});
      }
    }
  }
  std::vector<Bytes> functions;
  std::vector<Bytes> bodies;
  for (const Access& access : accesses) {
    functions.push_back(Leb(0));
    bodies.push_back(Function(access.offset, access.lane, access.has_constant_index, access.index));
  }
  const Bytes module = WasmModule({
      Section(1, Vec({FuncTypeBytes({0x7f}, {})})),
      Section(3, Vec(functions)),
      Section(5, Vec({{0x00, 0x01}})),
      Section(10, Vec(bodies)),
  });
  for (const CompilerOptions& options : Bounds()) {
    TryOn(module, options, accesses);
  }
}

void VectorMemoryTest::TryOn(const Bytes& module, const CompilerOptions& options,
                             const std::vector<Access>& accesses) const {
  for (const baseline::CpuFeatures& features : Cpus()) {
    CodeHarness code(module, features, options);
    for (uint32_t i = 0; i < kPage; ++i) {
      code.memory()[i] = static_cast<uint8_t>(i * 37 + i / 251);
    }
    for (uint32_t f = 0; f < accesses.size(); ++f) {
      const Access& access = accesses[f];
      std::vector<uint32_t> indices = {access.index};
      if (!access.has_constant_index) {
        indices.clear();
        for (uint32_t i = 0; i < 17; ++i) {
          indices.push_back(256 + i);
          indices.push_back(kPage - 16 + i);
        }
        indices.push_back(UINT32_MAX);
        indices.push_back(UINT32_MAX - 15);
      }
      for (const uint32_t index : indices) {
        const uint64_t address = uint64_t{index} + access.offset;
        if (is_store() && address < 256) {
          continue;
        }
        const std::vector<uint8_t> before(code.memory(), code.memory() + kPage);
        const CallResult result = code.Call(f, {index});
        std::vector<uint8_t> expected = before;
        if (address + width() > kPage) {
          EXPECT_EQ(result, TrapsWith(TrapCode::kMemoryOutOfBounds))
              << info().text << " " << address;
          EXPECT_NE(result.wasm_offset, 0u);
        } else {
          EXPECT_EQ(result, Returns({})) << info().text << " at " << address;
          if (is_store()) {
            std::copy_n(before.begin() + kStoredAt + access.lane * width(), width(),
                        expected.begin() + static_cast<std::ptrdiff_t>(address));
          } else {
            VectorBytes vector;
            std::copy_n(before.begin() + kLaneVectorAt, 16, vector.begin());
            std::ranges::copy(Loaded(before.data() + address, vector, access.lane),
                              expected.begin() + kResultAt);
          }
        }
        ASSERT_EQ(std::memcmp(expected.data(), code.memory(), kPage), 0)
            << info().text << " at " << address << " lane " << int{access.lane};
      }
    }
  }
}

std::vector<OpcodeInfo> Accesses() {
  std::vector<OpcodeInfo> infos;
  for (const OpcodeInfo& info : kOpcodes) {
    if (static_cast<uint32_t>(info.op) >> 16 == 0xfd &&
        (info.immediate == Immediate::kMemArg || info.immediate == Immediate::kMemArgLane)) {
      infos.push_back(info);
    }
  }
  return infos;
}

INSTANTIATE_TEST_SUITE_P(All, VectorMemoryTest, testing::ValuesIn(Accesses()),
                         [](const auto& test) {
                           std::string name(test.param.text);
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

// A load that an arithmetic instruction does itself traps at the load's own place in the body.
TEST(VectorFoldedLoadTest, TrapsAtTheLoad) {
  for (const baseline::CpuFeatures& features : Cpus()) {
    CodeHarness code(R"((module
      (memory 1)
      (func (export "add") (param i32)
        (v128.store (i32.const 0)
          (i32x4.add (v128.load (i32.const 16)) (v128.load offset=1 (local.get 0)))))
      (func (export "drop") (param i32)
        (drop (i32x4.add (v128.load (i32.const 16)) (v128.load offset=1 (local.get 0))))))
    )",
                     features);
    std::memset(code.memory(), 1, 64);
    EXPECT_EQ(code.Call("add", {17}), Returns({}));
    EXPECT_EQ(code.memory()[3], 2);
    code.memory()[3] = 7;
    for (const char* name : {"add", "drop"}) {
      EXPECT_EQ(code.Call(name, {kPage - 17}), Returns({}));
      const CallResult trapped = code.Call(name, {kPage - 16});
      EXPECT_EQ(trapped, TrapsWith(TrapCode::kMemoryOutOfBounds));
      const bool is_add = std::string_view(name) == "add";
      // One byte of locals' count, then constants, loads and local.get.
      EXPECT_EQ(trapped.wasm_offset, is_add ? 11u : 9u);
    }
  }
}

}  // namespace
}  // namespace wasmd::engine
