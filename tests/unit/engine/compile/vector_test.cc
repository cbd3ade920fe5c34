// Every vector instruction against plain C++, on random lanes and edge values, with its operands
// from everywhere a baseline compiler may find them and its result going to everywhere it treats
// specially; with all of the CPU's instructions, without AVX2 and FMA, and with SSE4.1 alone.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/engine/compile/code_harness.h"
#include "tests/unit/engine/compile/vector_reference.h"

extern "C" void wasmd_test_clobber();  // numeric_test.cc

namespace wasmd::engine {
namespace {

struct Cpu {
  const char* name;
  baseline::CpuFeatures features;
};
std::vector<Cpu> Cpus() {
  const baseline::CpuFeatures host = baseline::CpuFeatures::Host();
  baseline::CpuFeatures avx = host;
  avx.avx2 = avx.fma = false;
  return {{"host", host}, {"avx", avx}, {"sse41", host.WithoutAvx()}};
}

// --- Values.

class VectorSource {
 public:
  explicit VectorSource(uint32_t seed) : random_(seed) {}

  // Lanes of one width, each of them random bits or a value at some edge.
  V128 Next() {
    static constexpr uint64_t kEdges[] = {0, 1, 2, 15, 16, 17, 31, 127, 128, 255};
    static constexpr uint32_t kFloats[] = {
        0,           0x8000'0000, 0x3f80'0000, 0xbf80'0000, 0x3f00'0000, 0xbf00'0000, 0x4020'0000,
        0x4f00'0000, 0x4eff'ffff, 0xcf00'0000, 0xcf00'0001, 0x4f80'0000, 0x4f7f'ffff, 0x7f80'0000,
        0xff80'0000, 0x7fc0'0000, 0xffc0'0000, 0x7fa0'0000, 0xff80'0001, 0x0000'0001, 0x7f7f'ffff};
    static constexpr uint64_t kDoubles[] = {0,
                                            0x8000'0000'0000'0000,
                                            0x3ff0'0000'0000'0000,
                                            0xbfe0'0000'0000'0000,
                                            0x4004'0000'0000'0000,
                                            0x41df'ffff'ffc0'0000,
                                            0x41e0'0000'0000'0000,
                                            0xc1e0'0000'0000'0000,
                                            0xc1e0'0000'0020'0000,
                                            0x41ef'ffff'ffe0'0000,
                                            0x41f0'0000'0000'0000,
                                            0x7ff0'0000'0000'0000,
                                            0xfff0'0000'0000'0000,
                                            0x7ff8'0000'0000'0000,
                                            0xfff4'0000'0000'0001,
                                            0x0000'0000'0000'0001,
                                            0x7fef'ffff'ffff'ffff};
    uint8_t bytes[16];
    const uint32_t kind = Below(6);
    const uint32_t width = kind < 4 ? 1u << kind : kind == 4 ? 4 : 8;
    for (uint32_t at = 0; at < 16; at += width) {
      uint64_t lane = random_();
      if (Below(3) != 0) {
        if (kind == 4) {
          lane = kFloats[Below(std::size(kFloats))];
        } else if (kind == 5) {
          lane = kDoubles[Below(std::size(kDoubles))];
        } else {
          lane = kEdges[Below(std::size(kEdges))];
          lane = Below(2) != 0 ? lane : uint64_t{1} << (width * 8 - 1);
          lane = Below(2) != 0 ? lane : ~lane;
        }
      }
      std::memcpy(bytes + at, &lane, width);
    }
    V128 value;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }
  uint32_t Below(size_t end) { return static_cast<uint32_t>(random_() % end); }

 private:
  std::mt19937_64 random_;
};

// --- Functions of type [] -> [] that take their operands from memory and put the result there.

// Where an operand comes from.
enum class Source : uint8_t { kLocal, kLastLocal, kConst, kTemp, kLoad, kSlot, kLocalSlot };
constexpr Source kSources[] = {Source::kLocal, Source::kLastLocal, Source::kConst,    Source::kTemp,
                               Source::kLoad,  Source::kSlot,      Source::kLocalSlot};
// What becomes of the result.
enum class Use : uint8_t { kStore, kSetOwnOperand, kSetOther, kReturn, kIf };

constexpr uint32_t kResultAt = 64;
constexpr uint32_t kAgainAt = 128;  // Operands that are used once more.
constexpr uint32_t kMaxOperands = 3;
constexpr uint32_t kOtherLocal = kMaxOperands;

struct Shape {
  std::vector<Source> sources;
  Use use = Use::kStore;
  std::vector<uint8_t> lanes;
  std::vector<V128> constants;
};

uint8_t TypeByte(char type) {
  switch (type) {
    case 'i':
      return 0x7f;
    case 'l':
      return 0x7e;
    case 'f':
      return 0x7d;
    case 'd':
      return 0x7c;
    default:
      return 0x7b;
  }
}

// Without the memarg.
Bytes LoadOpcode(char type) {
  switch (type) {
    case 'i':
      return {0x28};
    case 'l':
      return {0x29};
    case 'f':
      return {0x2a};
    case 'd':
      return {0x2b};
    default:
      return {0xfd, 0x00};
  }
}
Bytes StoreOpcode(char type) {
  return type == 'v' ? Bytes{0xfd, 0x0b} : Bytes{static_cast<uint8_t>(LoadOpcode(type)[0] + 14)};
}

Bytes Memarg(uint32_t offset) {
  return Concat({{0x00}, Leb(offset)});
}
Bytes BytesOf(V128 value, size_t size) {
  Bytes bytes(16);
  std::memcpy(bytes.data(), &value, 16);
  bytes.resize(size);
  return bytes;
}
Bytes ConstOf(char type, V128 value) {
  switch (type) {
    case 'i':
      return Concat({{0x41}, SignedLeb(static_cast<int32_t>(value.lo))});
    case 'l':
      return Concat({{0x42}, SignedLeb(static_cast<int64_t>(value.lo))});
    case 'f':
      return Concat({{0x43}, BytesOf(value, 4)});
    case 'd':
      return Concat({{0x44}, BytesOf(value, 8)});
    default:
      return Concat({{0xfd, 0x0c}, BytesOf(value, 16)});
  }
}

class VectorTest : public testing::TestWithParam<OpcodeInfo> {
 protected:
  const OpcodeInfo& info() const { return GetParam(); }
  std::string params() const { return std::string(info().sig.substr(0, info().sig.find(':'))); }
  char result() const { return info().sig.back(); }

  Bytes Function(const Shape& shape) const;
  std::vector<Shape> Shapes(VectorSource& source) const;
  std::vector<std::vector<uint8_t>> LaneChoices(VectorSource& source) const;
  void Run(const Cpu& cpu, bool is_deterministic);
};

// Locals 0 to 2 are the operands, 3 another of the result's type.
Bytes VectorTest::Function(const Shape& shape) const {
  const std::string types = params();
  Bytes code;
  const auto add = [&](const Bytes& bytes) { Append(code, bytes); };
  const auto load = [&](uint32_t i) {
    add({0x41, 0x00});
    add(LoadOpcode(types[i]));
    add(Memarg(i * 16));
  };
  const auto local = [](uint32_t i) { return static_cast<uint8_t>(i); };
  bool calls = false;
  for (uint32_t i = 0; i < types.size(); ++i) {
    const Source from = shape.sources[i];
    if (from == Source::kLocal || from == Source::kLastLocal || from == Source::kLocalSlot) {
      load(i);
      add({0x21, local(i)});
      calls |= from == Source::kLocalSlot;
    }
  }
  if (calls) {
    add({0x10, 0x00});
  }
  if (shape.use == Use::kStore) {
    add({0x41, 0x00});
  }
  for (uint32_t i = 0; i < types.size(); ++i) {
    switch (shape.sources[i]) {
      case Source::kLocal:
      case Source::kLastLocal:
      case Source::kLocalSlot:
        add({0x20, local(i)});
        break;
      case Source::kConst:
        add(ConstOf(types[i], shape.constants[i]));
        break;
      case Source::kTemp:  // In a register, and nothing is pending: the load of an empty block.
        add({0x02, TypeByte(types[i])});
        load(i);
        add({0x0b});
        break;
      case Source::kLoad:
        load(i);
        break;
      case Source::kSlot:
        load(i);
        add({0x10, 0x00});
        break;
    }
  }
  add({0xfd});
  add(Leb(static_cast<uint32_t>(info().op) & 0xffff));
  add(shape.lanes);
  const Bytes store_result = Concat({StoreOpcode(result()), Memarg(kResultAt)});
  switch (shape.use) {
    case Use::kStore:
      add(store_result);
      break;
    case Use::kSetOwnOperand:
    case Use::kSetOther: {
      const uint8_t to = shape.use == Use::kSetOther ? kOtherLocal : 0;
      add({0x21, to, 0x41, 0x00, 0x20, to});
      add(store_result);
      break;
    }
    case Use::kReturn:
      break;
    case Use::kIf:
      add({0x04, 0x7f, 0x41, 0x01, 0x05, 0x41, 0x00, 0x0b, 0x21, local(kOtherLocal), 0x41, 0x00,
           0x20, local(kOtherLocal)});
      add(store_result);
      break;
  }
  for (uint32_t i = 0; i < types.size(); ++i) {
    if (shape.sources[i] == Source::kLocal && (i != 0 || shape.use != Use::kSetOwnOperand)) {
      add({0x41, 0x00, 0x20, local(i)});
      add(Concat({StoreOpcode(types[i]), Memarg(kAgainAt + i * 16)}));
    }
  }
  if (shape.use == Use::kReturn) {
    // The value waits on the stack meanwhile.
    add({0x21, local(kOtherLocal), 0x41, 0x00, 0x20, local(kOtherLocal)});
    add(store_result);
  }
  add({0x0b});
  std::vector<Bytes> locals;
  for (uint32_t i = 0; i < kMaxOperands; ++i) {
    locals.push_back({0x01, TypeByte(i < types.size() ? types[i] : 'i')});
  }
  locals.push_back({0x01, TypeByte(result())});
  return Body(locals, code);
}

std::vector<std::vector<uint8_t>> VectorTest::LaneChoices(VectorSource& source) const {
  std::vector<std::vector<uint8_t>> choices;
  if (info().immediate == Immediate::kLane) {
    const int lanes = std::stoi(std::string(info().text.substr(info().text.find('x') + 1)));
    for (int lane = 0; lane < lanes; ++lane) {
      choices.push_back({static_cast<uint8_t>(lane)});
    }
    return choices;
  }
  if (info().immediate != Immediate::kLanes) {
    return {{}};
  }
  // Everything that may have an instruction of its own: rows from any byte on; interleaved and
  // picked groups of any width; then anything.
  const auto groups = [&](uint32_t width, auto group_of) {
    std::vector<uint8_t> lanes;
    for (uint32_t i = 0; i < 16; ++i) {
      lanes.push_back(static_cast<uint8_t>(group_of(i / width) * width + i % width));
    }
    choices.push_back(lanes);
  };
  for (uint32_t first = 0; first < 32; ++first) {
    groups(1, [&](uint32_t i) { return (first + i) % 32; });
  }
  for (uint32_t width = 1; width <= 8; width *= 2) {
    const uint32_t count = 16 / width;
    for (const uint32_t begin : {0u, count / 2}) {
      groups(width, [&](uint32_t i) { return begin + i / 2 + i % 2 * count; });
      groups(width, [&](uint32_t i) { return begin + i / 2 + (1 - i % 2) * count; });
      groups(width, [&](uint32_t i) { return begin + i / 2; });
    }
    for (uint32_t end : {count, count * 2}) {
      for (int turn = 0; turn < 4; ++turn) {
        groups(width, [&](uint32_t) { return source.Below(end); });
        groups(width, [&](uint32_t i) { return i + source.Below(end / count) * count; });
        groups(width, [&](uint32_t i) {
          return i < count / 2 ? source.Below(count) : end - count + source.Below(count);
        });
        groups(width, [&](uint32_t i) {
          return i < count / 2 ? end - count + source.Below(count) : source.Below(count);
        });
        groups(width, [&](uint32_t i) {
          return i < count / 2 ? source.Below(count / 2) : count / 2 + source.Below(count / 2);
        });
      }
    }
  }
  return choices;
}

std::vector<Shape> VectorTest::Shapes(VectorSource& source) const {
  const std::string types = params();
  std::vector<Use> uses = {Use::kStore, Use::kSetOther, Use::kReturn};
  if (types[0] == result()) {
    uses.push_back(Use::kSetOwnOperand);
  }
  if (result() == 'i') {
    uses.push_back(Use::kIf);
  }
  const auto all_lanes = LaneChoices(source);
  std::vector<Shape> shapes;
  const auto add = [&](std::vector<Source> sources) {
    for (const Use use : uses) {
      // Of a shuffle's many lanes a few with each.
      const size_t step = all_lanes.size() > 16 ? 7 : 1;
      for (size_t i = step == 1 ? 0 : shapes.size() % step; i < all_lanes.size(); i += step) {
        Shape shape{.sources = sources, .use = use, .lanes = all_lanes[i], .constants = {}};
        for (size_t operand = 0; operand < types.size(); ++operand) {
          shape.constants.push_back(source.Next());
        }
        shapes.push_back(shape);
      }
    }
  };
  for (const Source a : kSources) {
    if (types.size() == 1) {
      add({a});
      continue;
    }
    for (const Source b : kSources) {
      if (types.size() == 2) {
        add({a, b});
        continue;
      }
      for (const Source c : {Source::kLocal, Source::kLastLocal, Source::kTemp, a}) {
        add({a, b, c});
      }
    }
  }
  return shapes;
}

void VectorTest::Run(const Cpu& cpu, bool is_deterministic) {
  VectorSource source(static_cast<uint32_t>(info().op));
  const std::vector<Shape> shapes = Shapes(source);
  const std::string types = params();
  std::vector<Bytes> functions;
  std::vector<Bytes> bodies;
  for (const Shape& shape : shapes) {
    functions.push_back(Leb(0));
    bodies.push_back(Function(shape));
  }
  CodeHarness code(
      WasmModule({
          Section(1, Vec({FuncTypeBytes({}, {})})),
          Section(2, Vec({Concat({NameBytes("m"), NameBytes("clobber"), {0x00, 0x00}})})),
          Section(3, Vec(functions)),
          Section(5, Vec({{0x00, 0x01}})),
          Section(10, Vec(bodies)),
      }),
      cpu.features, {.deterministic_relaxed_simd = is_deterministic});
  code.SetImport(0, std::bit_cast<const void*>(&wasmd_test_clobber), nullptr);
  const auto width_of = [](char type) {
    return type == 'v' ? 16u : type == 'i' || type == 'f' ? 4u : 8u;
  };
  int failures = 0;
  constexpr int kValuesEach = 24;
  for (size_t f = 0; f < shapes.size() && failures < 3; ++f) {
    const Shape& shape = shapes[f];
    for (int turn = 0; turn < kValuesEach; ++turn) {
      std::vector<V128> operands;
      for (size_t i = 0; i < types.size(); ++i) {
        V128 value = shape.sources[i] == Source::kConst ? shape.constants[i] : source.Next();
        if (types[i] != 'v') {
          value.hi = 0;
          value.lo &= width_of(types[i]) == 4 ? UINT32_MAX : UINT64_MAX;
        }
        operands.push_back(value);
        std::memcpy(code.memory() + i * 16, &value, 16);
      }
      std::memset(code.memory() + kResultAt, 0xcc, kAgainAt);
      ASSERT_EQ(code.Call(static_cast<uint32_t>(f + 1), {}), Returns({}));
      V128 actual;
      std::memcpy(&actual, code.memory() + kResultAt, width_of(result()));
      VectorExpectation expected = ExpectVector(info().op, operands, shape.lanes);
      if (shape.use == Use::kIf) {
        expected.allowed[0].lo = expected.allowed[0].lo != 0 ? 1 : 0;
      }
      const auto where = [&] {
        std::string text = std::string(info().text) + " on " + cpu.name + ", use " +
                           std::to_string(static_cast<int>(shape.use)) + ", sources";
        for (const Source from : shape.sources) {
          text += " " + std::to_string(static_cast<int>(from));
        }
        text += ", lanes";
        for (const uint8_t lane : shape.lanes) {
          text += " " + std::to_string(lane);
        }
        for (const V128& operand : operands) {
          text += "\n  operand " + testing::PrintToString(operand);
        }
        return text;
      };
      if (!Matches(expected, actual, is_deterministic)) {
        ++failures;
        ADD_FAILURE() << where() << "\n  gave    " << testing::PrintToString(actual)
                      << "\n  not     " << testing::PrintToString(expected.allowed[0]);
        break;
      }
      for (size_t i = 0; i < types.size(); ++i) {
        if (shape.sources[i] == Source::kLocal && (i != 0 || shape.use != Use::kSetOwnOperand)) {
          ASSERT_EQ(
              std::memcmp(code.memory() + kAgainAt + i * 16, &operands[i], width_of(types[i])), 0)
              << where() << "\n  changed operand " << i;
        }
      }
    }
  }
}

TEST_P(VectorTest, EqualsReference) {
  for (const Cpu& cpu : Cpus()) {
    Run(cpu, false);
  }
}

class RelaxedVectorTest : public VectorTest {};

TEST_P(RelaxedVectorTest, EqualsDeterministicProfile) {
  for (const Cpu& cpu : Cpus()) {
    Run(cpu, true);
  }
}

// -128 * -128 twice is one more than 16 bits hold: the sum saturates before it is extended, where
// wasmtime 48 lets it wrap. Spec: op-vextbinop, op-vextternop. Found by differential_peer.
TEST(RelaxedDotTest, SumOfTheTwoGreatestProductsSaturates) {
  const Bytes least = Concat({{0xfd, 0x0c}, Bytes(16, 0x80)});
  const Bytes one = Concat({{0xfd, 0x0c}, {1, 0, 0, 0}, Bytes(12, 0)});
  const Bytes first_lane = {0xfd, 0x1b, 0x00, 0x0b};
  const Bytes module = WasmModule({
      Section(1, Vec({FuncTypeBytes({}, {0x7f})})),
      Section(3, Vec({{0x00}, {0x00}})),
      Section(10, Vec({Body({}, Concat({least, least, {0xfd, 0x92, 0x02}, first_lane})),
                       Body({}, Concat({least, least, one, {0xfd, 0x93, 0x02}, first_lane}))})),
  });
  for (const Cpu& cpu : Cpus()) {
    CodeHarness code(module, cpu.features, {.deterministic_relaxed_simd = true});
    EXPECT_EQ(code.Call(0, {}), Returns({0x7fff'7fff})) << cpu.name;
    EXPECT_EQ(code.Call(1, {}), Returns({I32(0x7fff + 0x7fff + 1)})) << cpu.name;
  }
}

std::vector<OpcodeInfo> VectorOpcodes(bool only_relaxed) {
  std::vector<OpcodeInfo> infos;
  for (const OpcodeInfo& info : kOpcodes) {
    const bool accesses_memory =
        info.immediate == Immediate::kMemArg || info.immediate == Immediate::kMemArgLane;
    if (static_cast<uint32_t>(info.op) >> 16 == 0xfd && !accesses_memory &&
        info.op != Opcode::kV128Const && (!only_relaxed || info.feature == Feature::kRelaxedSimd)) {
      infos.push_back(info);
    }
  }
  return infos;
}

std::string NameOf(const testing::TestParamInfo<OpcodeInfo>& test) {
  std::string name(test.param.text);
  std::ranges::replace(name, '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, VectorTest, testing::ValuesIn(VectorOpcodes(false)), NameOf);
INSTANTIATE_TEST_SUITE_P(All, RelaxedVectorTest, testing::ValuesIn(VectorOpcodes(true)), NameOf);

}  // namespace
}  // namespace wasmd::engine
