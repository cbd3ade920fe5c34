// Generated accesses: every load and store × offset × shape of the index × kind of memory × bounds
// checks, against a model. What lies behind a memory that code checks is made writable and filled
// with canaries: an access that is not checked finds them instead of a fault.
#include <sys/mman.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/api/engine.h"
#include "engine/platform/virtual_memory.h"
#include "engine/runtime/linear_memory.h"
#include "engine/wasm/opcodes.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

constexpr uint64_t kCanaryBytes = uint64_t{1} << 16;
constexpr auto kCanary = std::byte{0xc5};

// --- Loads and stores, as their names say.

struct AccessOp {
  uint8_t opcode = 0;
  std::string_view text;
  char type = 'i';  // i, l, f, d as in opcodes.def.
  bool is_store = false;
  bool is_signed = false;  // Extends.
  uint32_t bytes = 0;
};

std::vector<AccessOp> AccessOps() {
  std::vector<AccessOp> ops;
  for (const OpcodeInfo& info : kOpcodes) {
    if (info.immediate != Immediate::kMemArg || static_cast<uint32_t>(info.op) > 0xff) {
      continue;
    }
    AccessOp op{.opcode = static_cast<uint8_t>(info.op), .text = info.text};
    op.type = info.text.starts_with("i32")   ? 'i'
              : info.text.starts_with("i64") ? 'l'
              : info.text.starts_with("f32") ? 'f'
                                             : 'd';
    op.is_store = info.text.find("store") != std::string_view::npos;
    op.is_signed = info.text.ends_with("_s");
    std::string digits;
    for (const char c : info.text.substr(4)) {
      if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
        digits += c;
      }
    }
    const bool is_wide = op.type == 'l' || op.type == 'd';
    op.bytes = digits.empty() ? (is_wide ? 8 : 4) : static_cast<uint32_t>(std::stoul(digits)) / 8;
    ops.push_back(op);
  }
  return ops;
}

// --- Kinds of memory.

struct MemoryKind {
  std::string_view name;
  MemoryType type;
  bool is_imported = false;
  uint32_t index = 0;
  BoundsChecks checks = BoundsChecks::kGuardPages;
  [[nodiscard]] uint64_t size_bytes() const { return type.limits.min << type.page_shift; }
  [[nodiscard]] bool is_64() const { return type.address == AddressType::kI64; }
  friend void PrintTo(const MemoryKind& kind, std::ostream* out) { *out << kind.name; }
};

std::vector<MemoryKind> Kinds() {
  constexpr uint64_t kOddBytes = 70'001;  // No OS page ends there.
  const MemoryType types[] = {
      {{1, 4}},
      {{1, 4}, AddressType::kI64},
      {{kOddBytes, 4 * kOddBytes}, AddressType::kI32, 0},
      {{kOddBytes, 4 * kOddBytes}, AddressType::kI64, 0},
  };
  static constexpr std::string_view kNames[] = {"Memory32", "Memory64", "SmallPages32",
                                                "SmallPages64"};
  std::vector<MemoryKind> kinds;
  for (const BoundsChecks checks : {BoundsChecks::kGuardPages, BoundsChecks::kExplicit}) {
    for (size_t i = 0; i < std::size(types); ++i) {
      for (const bool is_imported : {false, true}) {
        for (const uint32_t index : {0u, 2u}) {
          kinds.push_back({kNames[i], types[i], is_imported, index, checks});
        }
      }
    }
  }
  return kinds;
}

// --- Functions (address, i64) -> i64: a load's result, or the value to store.

enum class Shape : uint8_t {
  kParam,
  kConstant,
  kConstantValue,  // A store of a constant.
  kComputed,       // The parameter plus 16.
  kScaled,         // The parameter times 8.
  kFolded,         // A load that the next instruction does.
  kCheckedBefore,  // A byte at the same local before and after.
  kSetInBetween,   // The same with an increment in between.
  kLoop,           // Twice, 8 bytes apart.
  kOneArm,         // A byte before, but only if the address is odd.
};
constexpr Shape kShapes[] = {
    Shape::kParam,  Shape::kConstant,      Shape::kConstantValue, Shape::kComputed, Shape::kScaled,
    Shape::kFolded, Shape::kCheckedBefore, Shape::kSetInBetween,  Shape::kLoop,     Shape::kOneArm};

struct Access {
  AccessOp op;
  uint64_t index = 0;
  uint64_t offset = 0;
  bool is_before = false;  // Its value is dropped.
};

struct Function {
  Shape shape = Shape::kParam;
  AccessOp op;
  uint64_t offset = 0;
  uint64_t constant = 0;  // kConstant.
};

constexpr uint64_t kStoredConstant = 0x5a;
// What is checked before: as wide as the widest, so that the access itself needs no check again.
constexpr AccessOp kBefore{.opcode = 0x29, .text = "i64.load", .type = 'l', .bytes = 8};

class Generator {
 public:
  explicit Generator(const MemoryKind& kind) : kind_(kind) {}

  Bytes Code(const Function& f) const {
    const Bytes param = {0x20, 0x00};
    const Bytes x = {0x20, 0x02};
    const Bytes set_x = {0x21, 0x02};
    const Bytes before = Concat({Instruction(kBefore, f.offset), {0x1a}});
    // So that the local is not dead at the access: a check is noted for locals alone.
    const Bytes use = {0x1a};
    switch (f.shape) {
      case Shape::kParam:
      case Shape::kConstantValue:
        return Op(f, param);
      case Shape::kConstant:
        return Op(f, AddressConst(f.constant));
      case Shape::kComputed:
        return Op(f, Concat({param, AddressConst(16), {Add()}}));
      case Shape::kScaled:
        return Op(f, Concat({param, AddressConst(3), {Shl()}}));
      case Shape::kFolded:
        return Op(f, param);
      case Shape::kCheckedBefore:
        return Concat({param, before, Op(f, param), param, before});
      case Shape::kSetInBetween:
        return Concat(
            {param, set_x, x, before, x, AddressConst(1), {Add()}, set_x, Op(f, x), x, use});
      case Shape::kLoop:
        // x = param; before; do { result = …; x += 8; n += 1 } while (n < 2)
        return Concat({param,
                       set_x,
                       x,
                       before,
                       {0x03, 0x40},
                       Op(f, x),
                       {0x21, 0x03},
                       x,
                       AddressConst(8),
                       {Add()},
                       set_x,
                       {0x20, 0x04, 0x41, 0x01, 0x6a, 0x22, 0x04, 0x41, 0x02, 0x49, 0x0d, 0x00},
                       {0x0b, 0x20, 0x03}});
      case Shape::kOneArm:
        return Concat({param,
                       kind_.is_64() ? Bytes{0xa7} : Bytes{},
                       {0x41, 0x01, 0x71, 0x04, 0x40},
                       param,
                       before,
                       {0x0b},
                       Op(f, param),
                       param,
                       use});
    }
    return {};
  }

  // What the function does, in order.
  std::vector<Access> Accesses(const Function& f, uint64_t param) const {
    const Access before{kBefore, param, f.offset, true};
    const auto at = [&](uint64_t index) { return Access{f.op, Wrap(index), f.offset, false}; };
    switch (f.shape) {
      case Shape::kParam:
      case Shape::kFolded:
      case Shape::kConstantValue:
        return {at(param)};
      case Shape::kConstant:
        return {at(f.constant)};
      case Shape::kComputed:
        return {at(param + 16)};
      case Shape::kScaled:
        return {at(param << 3)};
      case Shape::kCheckedBefore:
        return {before, at(param), before};
      case Shape::kSetInBetween:
        return {before, at(param + 1)};
      case Shape::kLoop:
        return {before, at(param), at(param + 8)};
      case Shape::kOneArm:
        return (param & 1) != 0 ? std::vector{before, at(param)} : std::vector{at(param)};
    }
    return {};
  }

  [[nodiscard]] uint64_t Wrap(uint64_t index) const {
    return kind_.is_64() ? index : static_cast<uint32_t>(index);
  }

 private:
  [[nodiscard]] uint8_t Add() const { return kind_.is_64() ? 0x7c : 0x6a; }
  [[nodiscard]] uint8_t Shl() const { return kind_.is_64() ? 0x86 : 0x74; }
  [[nodiscard]] Bytes AddressConst(uint64_t value) const {
    return kind_.is_64() ? Concat({{0x42}, SignedLeb(static_cast<int64_t>(value))})
                         : Concat({{0x41}, SignedLeb(static_cast<int32_t>(value))});
  }
  [[nodiscard]] Bytes Instruction(const AccessOp& op, uint64_t offset) const {
    return Concat({{op.opcode},
                   kind_.index == 0 ? Bytes{0x00} : Concat({{0x40}, Leb(kind_.index)}),
                   Leb(offset)});
  }
  // Pushes an i64.
  [[nodiscard]] Bytes Op(const Function& f, const Bytes& index) const {
    const AccessOp& op = f.op;
    const bool is_const = f.shape == Shape::kConstantValue;
    const Bytes instruction = Instruction(op, f.offset);
    if (op.is_store) {
      const Bytes value =
          is_const ? Concat({{0x42}, SignedLeb(int64_t{kStoredConstant})}) : Bytes{0x20, 0x01};
      const Bytes convert = op.type == 'i'   ? Bytes{0xa7}
                            : op.type == 'f' ? Bytes{0xa7, 0xbe}
                            : op.type == 'd' ? Bytes{0xbf}
                                             : Bytes{};
      return Concat({index, value, convert, instruction, {0x42, 0x00}});
    }
    const Bytes convert = op.type == 'i'   ? Bytes{0xad}
                          : op.type == 'f' ? Bytes{0xbc, 0xad}
                          : op.type == 'd' ? Bytes{0xbd}
                                           : Bytes{};
    if (f.shape == Shape::kFolded && (op.type == 'i' || op.type == 'l')) {
      const bool is_wide = op.type == 'l';
      return Concat({{static_cast<uint8_t>(is_wide ? 0x42 : 0x41), 0x00},
                     index,
                     instruction,
                     {static_cast<uint8_t>(is_wide ? 0x7c : 0x6a)},
                     convert});
    }
    return Concat({index, instruction, convert});
  }

  const MemoryKind& kind_;
};

// --- The model.

class Model {
 public:
  explicit Model(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  // nullopt: it traps, and has changed nothing. Else a load's result, as an i64.
  std::optional<uint64_t> Do(const Access& access, uint64_t value) {
    uint64_t address = 0;
    if (__builtin_add_overflow(access.index, access.offset, &address) || address > bytes_.size() ||
        access.op.bytes > bytes_.size() - address) {
      return std::nullopt;
    }
    std::byte* const at = bytes_.data() + address;
    if (access.op.is_store) {
      std::memcpy(at, &value, access.op.bytes);
      return 0;
    }
    uint64_t loaded = 0;
    std::memcpy(&loaded, at, access.op.bytes);
    if (access.op.is_signed) {
      const uint32_t shift = 64 - 8 * access.op.bytes;
      loaded = static_cast<uint64_t>(static_cast<int64_t>(loaded << shift) >> shift);
    }
    return access.op.type == 'i' ? static_cast<uint32_t>(loaded) : loaded;
  }

  [[nodiscard]] bool Equals(const std::byte* memory) const {
    return std::memcmp(memory, bytes_.data(), bytes_.size()) == 0;
  }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<uint64_t> Offsets(const MemoryKind& kind) {
  const uint64_t size = kind.size_bytes();
  std::vector<uint64_t> offsets = {0,           1,           7,         127,  128,
                                   4095,        size - 8,    size - 1,  size, 0x7fff'fff8,
                                   0x7fff'ffff, 0x8000'0000, UINT32_MAX};
  if (kind.is_64()) {
    offsets.insert(offsets.end(), {uint64_t{1} << 32, (uint64_t{1} << 33) + 5, uint64_t{1} << 63,
                                   UINT64_MAX - 7, UINT64_MAX});
  }
  return offsets;
}

// Where the access begins or ends at the memory's end or a power of two.
std::vector<uint64_t> Indices(const Generator& generator, const Function& f, uint64_t size) {
  const uint64_t last = size - f.offset - f.op.bytes;
  const uint64_t last_before = size - f.offset - kBefore.bytes;
  std::vector<uint64_t> indices = {0,
                                   1,
                                   last - 1,
                                   last,
                                   last + 1,
                                   last_before,
                                   last_before + 1,
                                   last_before + 8,
                                   size - f.offset,
                                   size - 1};
  for (const uint64_t far : {uint64_t{1} << 31, uint64_t{UINT32_MAX}, uint64_t{1} << 32,
                             uint64_t{1} << 63, UINT64_MAX}) {
    indices.push_back(far);
  }
  const auto param = [&](uint64_t index) {
    switch (f.shape) {
      case Shape::kComputed:
        return index - 16;
      case Shape::kScaled:
        return index >> 3;
      case Shape::kSetInBetween:
        return index - 1;
      case Shape::kLoop:
        return index - 8;
      default:
        return index;
    }
  };
  for (uint64_t& index : indices) {
    index = generator.Wrap(param(index));
  }
  std::ranges::sort(indices);
  indices.erase(std::ranges::unique(indices).begin(), indices.end());
  return indices;
}

std::vector<Function> Functions(const Generator& generator, const MemoryKind& kind) {
  std::vector<Function> functions;
  for (const AccessOp& op : AccessOps()) {
    for (const uint64_t offset : Offsets(kind)) {
      for (const Shape shape : kShapes) {
        Function f{shape, op, offset};
        if (shape != Shape::kConstant) {
          functions.push_back(f);
          continue;
        }
        for (const uint64_t constant : Indices(generator, f, kind.size_bytes())) {
          f.constant = constant;
          functions.push_back(f);
        }
      }
    }
  }
  return functions;
}

Bytes MemoryTypeBytes(const MemoryType& type) {
  const bool is_64 = type.address == AddressType::kI64;
  const bool is_custom = type.page_shift != kWasmPageShift;
  return Concat({{static_cast<uint8_t>(1 | (is_64 ? 4 : 0) | (is_custom ? 8 : 0))},
                 Leb(type.limits.min),
                 Leb(*type.limits.max),
                 is_custom ? Bytes{type.page_shift} : Bytes{}});
}

// Exports the memory as "memory" and the functions by their numbers. Memories before it are of one
// ordinary page.
Bytes ModuleBytes(const MemoryKind& kind, const Generator& generator,
                  const std::vector<Function>& functions) {
  const uint8_t address = kind.is_64() ? 0x7e : 0x7f;
  std::vector<Bytes> memories;
  std::vector<Bytes> imports;
  for (uint32_t i = 0; i <= kind.index; ++i) {
    memories.push_back(MemoryTypeBytes(i == kind.index ? kind.type : MemoryType{{1, 1}}));
    imports.push_back(
        Concat({NameBytes("m"), NameBytes(std::to_string(i)), {0x02}, memories.back()}));
  }
  std::vector<Bytes> exports = {Concat({NameBytes("memory"), {0x02}, Leb(kind.index)})};
  std::vector<Bytes> bodies;
  for (size_t i = 0; i < functions.size(); ++i) {
    exports.push_back(Concat({NameBytes(std::to_string(i)), {0x00}, Leb(i)}));
    bodies.push_back(Body({{0x01, address}, {0x01, 0x7e}, {0x01, 0x7f}},
                          Concat({generator.Code(functions[i]), {0x0b}})));
  }
  return WasmModule({
      Section(1, Vec({FuncTypeBytes({address, 0x7e}, {0x7e})})),
      Section(2, kind.is_imported ? Vec(imports) : Vec({})),
      Section(3, Vec(std::vector<Bytes>(functions.size(), Leb(0)))),
      Section(5, kind.is_imported ? Vec({}) : Vec(memories)),
      Section(7, Vec(exports)),
      Section(10, Vec(bodies)),
  });
}

class MemoryAccessTest : public testing::TestWithParam<MemoryKind> {};

TEST_P(MemoryAccessTest, AgreesWithTheModel) {
  const MemoryKind& kind = GetParam();
  const Generator generator(kind);
  const std::vector<Function> functions = Functions(generator, kind);
  auto engine = Engine::Create({.bounds_checks = kind.checks});
  ASSERT_TRUE(engine.ok()) << engine.status();
  ASSERT_EQ((*engine)->bounds_checks(), kind.checks);
  const Bytes wasm = ModuleBytes(kind, generator, functions);
  const auto bytes = AsBytes(wasm);
  auto module = (*engine)->Load(std::vector<std::byte>(bytes.begin(), bytes.end()), {});
  ASSERT_TRUE(module.ok()) << module.status();
  Store store((*engine)->runtime(), {.backtrace_frames = 0});
  Linker linker;
  std::vector<MemoryHandle> others;
  for (uint32_t i = 0; kind.is_imported && i <= kind.index; ++i) {
    const auto memory = store.CreateMemory(i == kind.index ? kind.type : MemoryType{{1, 1}});
    ASSERT_TRUE(memory.ok()) << memory.status();
    linker.Define("m", std::to_string(i), *memory);
    if (i != kind.index) {
      others.push_back(*memory);
    }
  }
  auto made = linker.Instantiate(store, *module);
  ASSERT_TRUE(made.ok() && made->outcome.ok()) << made.status();
  const MemoryHandle memory = *made->instance->Memory("memory");
  const uint64_t size = memory.size_bytes();
  ASSERT_EQ(size, kind.size_bytes());
  std::byte* const base = memory.bytes().data();
  std::vector<std::byte> contents(size);
  for (size_t i = 0; i < size; ++i) {
    contents[i] = static_cast<std::byte>(i * 131 + (i >> 8));
  }
  std::ranges::copy(contents, base);
  Model model(contents);

  std::span<std::byte> canaries;
  if (!HasGuard(kind.type, kind.checks)) {
    const uint64_t end = (size + kCanaryBytes + OsPageBytes() - 1) & ~(OsPageBytes() - 1);
    ASSERT_EQ(mprotect(base, end, PROT_READ | PROT_WRITE), 0);
    canaries = {base + size, end - size};
    std::ranges::fill(canaries, kCanary);
  }

  uint64_t value = 0x0123'4567'89ab'cdef;
  size_t traps = 0;
  size_t returns = 0;
  std::vector<Value> results(1);
  for (size_t i = 0; i < functions.size(); ++i) {
    const Function& f = functions[i];
    const auto func = made->instance->Func(std::to_string(i));
    ASSERT_TRUE(func.ok());
    for (const uint64_t param : Indices(generator, f, size)) {
      value = value * 0x5851'f42d'4c95'7f2d + 1;
      std::optional<uint64_t> expected = 0;
      uint64_t result = 0;
      for (const Access& access : generator.Accesses(f, param)) {
        expected = model.Do(access, f.shape == Shape::kConstantValue ? kStoredConstant : value);
        if (!expected.has_value()) {
          break;
        }
        if (!access.is_before) {
          result = *expected;
        }
      }
      const auto outcome =
          func->Call(std::vector<Value>{kind.is_64() ? Value::I64(param)
                                                     : Value::I32(static_cast<uint32_t>(param)),
                                        Value::I64(value)},
                     results);
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      const std::string what = std::string(f.op.text) + " offset=" + std::to_string(f.offset) +
                               " shape " + std::to_string(static_cast<int>(f.shape)) +
                               " constant " + std::to_string(f.constant) + " param " +
                               std::to_string(param);
      if (expected.has_value()) {
        ++returns;
        ASSERT_TRUE(outcome->ok()) << what;
        ASSERT_EQ(results[0].bits, result) << what;
      } else {
        ++traps;
        ASSERT_FALSE(outcome->ok()) << what;
        ASSERT_NE(outcome->trap(), nullptr) << what;
        ASSERT_EQ(outcome->trap()->code, TrapCode::kMemoryOutOfBounds) << what;
      }
    }
    ASSERT_TRUE(!f.op.is_store || model.Equals(base))
        << f.op.text << " offset=" << f.offset << " shape " << static_cast<int>(f.shape);
  }
  EXPECT_TRUE(model.Equals(base));
  EXPECT_EQ(std::ranges::count(canaries, kCanary), std::ssize(canaries));
  for (const MemoryHandle& other : others) {
    EXPECT_EQ(std::ranges::count(other.bytes(), std::byte{0}), std::ssize(other.bytes()));
  }
  EXPECT_GT(traps, functions.size());
  EXPECT_GT(returns, functions.size());
}

INSTANTIATE_TEST_SUITE_P(All, MemoryAccessTest, testing::ValuesIn(Kinds()), [](const auto& test) {
  const MemoryKind& kind = test.param;
  return std::string(kind.name) + (kind.is_imported ? "Imported" : "Defined") +
         std::to_string(kind.index) +
         (kind.checks == BoundsChecks::kExplicit ? "Explicit" : "Guard");
});

}  // namespace
}  // namespace wasmd::engine
