// Vectors among locals, operands and blocks: kept in registers, spilled and moved like any other
// value, at twice the width. Hand-written programs first, then random ones.
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/engine/compile/code_harness.h"
#include "tests/unit/engine/compile/vector_reference.h"

extern "C" void wasmd_test_clobber();  // numeric_test.cc

namespace wasmd::engine {
namespace {

class VectorFlowTest : public testing::TestWithParam<bool> {
 protected:
  static baseline::CpuFeatures Features() {
    const baseline::CpuFeatures host = baseline::CpuFeatures::Host();
    return GetParam() ? host : host.WithoutAvx();
  }
};
INSTANTIATE_TEST_SUITE_P(AvxOrNot, VectorFlowTest, testing::Bool(), [](const auto& test) {
  return std::string(test.param ? "avx" : "sse41");
});

void Put(CodeHarness& code, uint32_t at, V128 value) {
  std::memcpy(code.memory() + at, &value, sizeof(value));
}
V128 Get(CodeHarness& code, uint32_t at) {
  V128 value;
  std::memcpy(&value, code.memory() + at, sizeof(value));
  return value;
}
V128 Sample(uint32_t i) {
  return {uint64_t{0x0101010101010101} * (i + 1), ~(uint64_t{0x1111111111110000} + i)};
}

// More than there are registers, across a call that keeps none; their order shows.
TEST_P(VectorFlowTest, ManyLocalsAcrossCalls) {
  constexpr uint32_t kLocals = 40;
  std::string text = "(module (import \"m\" \"clobber\" (func $clobber)) (memory 1)";
  text += "(func (export \"run\") (param i32) (local";
  for (uint32_t i = 0; i < kLocals; ++i) {
    text += i % 5 == 4 ? " i64" : " v128";
  }
  text += ")";
  const auto local = [](uint32_t i) { return std::to_string(i + 1); };
  const auto type = [](uint32_t i) {
    return i % 5 == 4 ? std::string("i64") : std::string("v128");
  };
  for (uint32_t i = 0; i < kLocals; ++i) {
    text += "(local.set " + local(i) + " (" + type(i) + ".load offset=" + std::to_string(i * 16) +
            " (i32.const 0)))";
  }
  text += "(call $clobber)";
  for (uint32_t i = 0; i < kLocals; ++i) {
    text += "(" + type(i) + ".store offset=" + std::to_string(4096 + i * 16) + " (local.get 0) " +
            "(local.get " + local(i) + "))";
    if (i % 7 == 3) {
      text += "(call $clobber)";
    }
  }
  text += "))";
  CodeHarness code(text, Features());
  code.SetImport(0, std::bit_cast<const void*>(&wasmd_test_clobber), nullptr);
  for (uint32_t i = 0; i < kLocals; ++i) {
    Put(code, i * 16, Sample(i));
  }
  EXPECT_EQ(code.Call("run", {0}), Returns({}));
  for (uint32_t i = 0; i < kLocals; ++i) {
    const V128 expected = i % 5 == 4 ? V128{Sample(i).lo, 0} : Sample(i);
    EXPECT_EQ(Get(code, 4096 + i * 16), expected) << i;
  }
}

// The same of the operand stack: all of them wait while a call is made.
TEST_P(VectorFlowTest, DeepOperandStack) {
  constexpr uint32_t kDepth = 24;
  std::string text = "(module (import \"m\" \"clobber\" (func $clobber)) (memory 1)";
  text += "(func (export \"run\") (local v128) ";
  for (uint32_t i = 0; i < kDepth; ++i) {
    text += "i32.const 0 ";
    text += i % 4 == 3 ? "v128.const i32x4 " + std::to_string(i) + " 5 6 7 "
                       : "i32.const 0 v128.load offset=" + std::to_string(i * 16) + " ";
    text += i % 6 == 5 ? "call $clobber " : "";
  }
  for (uint32_t i = kDepth; i-- > 0;) {
    text += "v128.store offset=" + std::to_string(4096 + i * 16) + " ";
  }
  text += "))";
  CodeHarness code(text, Features());
  code.SetImport(0, std::bit_cast<const void*>(&wasmd_test_clobber), nullptr);
  for (uint32_t i = 0; i < kDepth; ++i) {
    Put(code, i * 16, Sample(i));
  }
  EXPECT_EQ(code.Call("run", {}), Returns({}));
  for (uint32_t i = 0; i < kDepth; ++i) {
    const V128 expected =
        i % 4 == 3 ? V128{uint64_t{5} << 32 | i, uint64_t{7} << 32 | 6} : Sample(i);
    EXPECT_EQ(Get(code, 4096 + i * 16), expected) << i;
  }
}

// Ten vectors among other types: eight travel in registers with the floats, the rest in overflow
// cells; of the results two. Called directly and through a table.
TEST_P(VectorFlowTest, ArgumentsAndResults) {
  CodeHarness code(R"((module
    (memory 1)
    (type $many (func
      (param v128 f32 v128 i32 v128 v128 f64 v128 v128 i64 v128 v128 v128 v128)
      (result v128 i32 v128 v128 f64 v128)))
    (table funcref (elem $mix))
    (func $mix (type $many)
      (i32x4.add (local.get 0) (local.get 13))
      (local.get 3)
      (v128.xor (local.get 2) (local.get 12))
      (i8x16.sub (local.get 4) (local.get 11))
      (local.get 6)
      (v128.or (v128.and (local.get 5) (local.get 10))
               (v128.andnot (local.get 7) (local.get 8))))
    (func $load (param i32) (result v128) (v128.load (i32.mul (local.get 0) (i32.const 16))))
    (func $call (param i32)
      (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $i i32) (local $f f64)
      (call $load (i32.const 0)) (f32.const 1.5) (call $load (i32.const 1)) (i32.const 77)
      (call $load (i32.const 2)) (call $load (i32.const 3)) (f64.const 2.5)
      (call $load (i32.const 4)) (call $load (i32.const 5)) (i64.const 99)
      (call $load (i32.const 6)) (call $load (i32.const 7)) (call $load (i32.const 8))
      (v128.const i64x2 5 6)
      (if (type $many) (local.get 0)
        (then (call $mix))
        (else (call_indirect (type $many) (i32.const 0))))
      (local.set $d) (local.set $f) (local.set $c) (local.set $b) (local.set $i) (local.set $a)
      (v128.store offset=512 (i32.const 0) (local.get $a))
      (v128.store offset=528 (i32.const 0) (local.get $b))
      (v128.store offset=544 (i32.const 0) (local.get $c))
      (v128.store offset=560 (i32.const 0) (local.get $d))
      (i32.store offset=576 (i32.const 0) (local.get $i))
      (f64.store offset=584 (i32.const 0) (local.get $f)))
    (export "call" (func $call))))",
                   Features());
  const auto binary = [](Opcode op, V128 a, V128 b) {
    return ExpectVector(op, std::array{a, b}, {}).allowed[0];
  };
  for (const uint64_t direct : {1u, 0u}) {
    std::memset(code.memory(), 0, 1024);
    for (uint32_t i = 0; i < 9; ++i) {
      Put(code, i * 16, Sample(i));
    }
    ASSERT_EQ(code.Call("call", {direct}), Returns({}));
    EXPECT_EQ(Get(code, 512), binary(Opcode::kI32x4Add, Sample(0), {5, 6}));
    EXPECT_EQ(Get(code, 528), binary(Opcode::kV128Xor, Sample(1), Sample(8)));
    EXPECT_EQ(Get(code, 544), binary(Opcode::kI8x16Sub, Sample(2), Sample(7)));
    EXPECT_EQ(Get(code, 560),
              binary(Opcode::kV128Or, binary(Opcode::kV128And, Sample(3), Sample(6)),
                     binary(Opcode::kV128Andnot, Sample(4), Sample(5))));
    EXPECT_EQ(Get(code, 576), (V128{77, std::bit_cast<uint64_t>(2.5)}));
  }
}

TEST_P(VectorFlowTest, BlocksAndLoops) {
  CodeHarness code(R"((module
    (memory 1)
    (global $g (mut v128) (v128.const i64x2 3 4))
    (func (export "sum") (param $n i32) (local $acc v128) (local $one v128)
      (local.set $one (i32x4.splat (i32.const 1)))
      (v128.const i32x4 0 0 0 0)
      (loop $again (param v128) (result v128)
        (local.set $acc (i32x4.add (local.get $one)))
        (local.set $one (i32x4.add (local.get $one) (local.get $one)))
        (local.get $acc)
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (global.set $g)
      (v128.store offset=16 (i32.const 0) (global.get $g)))
    (func (export "pick") (param $which i32)
      (v128.store (i32.const 0)
        (block $c (result v128)
          (block $b (result v128)
            (block $a (result v128)
              (v128.const i32x4 1 2 3 4)
              (br_table $a $b $c $a $b $c (local.get $which)))
            (i32x4.add (v128.const i32x4 10 10 10 10)))
          (i32x4.add (v128.const i32x4 100 100 100 100)))))
    (func (export "choose") (param $which i32)
      (v128.store (i32.const 0)
        (select (v128.load offset=32 (i32.const 0)) (v128.const i64x2 7 8) (local.get $which)))
      (v128.store offset=16 (i32.const 0)
        (select (result v128) (v128.const i64x2 7 8) (v128.load offset=32 (i32.const 0))
          (v128.any_true (v128.load offset=48 (i32.const 0))))))
    (func (export "arms") (param $which i32) (local $x v128) (local $y v128)
      (v128.const i32x4 1 2 3 4)
      (v128.const i32x4 5 6 7 8)
      (if (param v128 v128) (result v128 v128) (local.get $which)
        (then (local.set $x) (local.set $y) (local.get $x) (local.get $y)))
      (local.set $x) (local.set $y)
      (v128.store (i32.const 0) (local.get $x))
      (v128.store offset=16 (i32.const 0) (local.get $y)))
    (func (export "tee") (local $x v128)
      (v128.store (i32.const 0)
        (v128.xor (local.tee $x (v128.load offset=32 (i32.const 0)))
                  (i32x4.add (local.get $x) (local.get $x)))))
  ))",
                   Features());
  const V128 sample = Sample(9);
  EXPECT_EQ(code.Call("sum", {4}), Returns({}));
  EXPECT_EQ(Get(code, 16), (V128{0xf'0000'000f, 0xf'0000'000f}));
  const uint32_t adds[] = {110, 100, 0, 110, 100, 0, 0};
  for (uint64_t which = 0; which < std::size(adds); ++which) {
    EXPECT_EQ(code.Call("pick", {which}), Returns({}));
    const uint64_t add = adds[which];
    EXPECT_EQ(Get(code, 0), (V128{(2 + add) << 32 | (1 + add), (4 + add) << 32 | (3 + add)}))
        << which;
  }
  for (const uint64_t which : {0u, 1u}) {
    Put(code, 32, sample);
    Put(code, 48, {0, which});
    EXPECT_EQ(code.Call("choose", {which}), Returns({}));
    EXPECT_EQ(Get(code, 0), which == 0 ? (V128{7, 8}) : sample);
    EXPECT_EQ(Get(code, 16), which == 0 ? sample : (V128{7, 8}));
  }
  for (const uint64_t which : {0u, 1u}) {
    EXPECT_EQ(code.Call("arms", {which}), Returns({}));
    const V128 first = {2ull << 32 | 1, 4ull << 32 | 3};
    const V128 second = {6ull << 32 | 5, 8ull << 32 | 7};
    EXPECT_EQ(Get(code, 0), which == 0 ? second : first);
    EXPECT_EQ(Get(code, 16), which == 0 ? first : second);
  }
  EXPECT_EQ(code.Call("tee", {}), Returns({}));
  const V128 twice = ExpectVector(Opcode::kI32x4Add, std::array{sample, sample}, {}).allowed[0];
  EXPECT_EQ(Get(code, 0), (V128{sample.lo ^ twice.lo, sample.hi ^ twice.hi}));
}

// --- Random programs over vector and integer locals: assignments, conditions, loops and blocks
// left with a value, all of them interpreted here too.

constexpr uint32_t kVectors = 6;    // Locals 0 to 5.
constexpr uint32_t kIntegers = 3;   // Locals 6 to 8.
constexpr uint32_t kCounters = 16;  // Then those of loops.

struct State {
  std::array<V128, kVectors> vectors;
  std::array<uint32_t, kIntegers> integers;
};

struct Node {
  virtual ~Node() = default;
  virtual void Emit(Bytes& code) const = 0;
  virtual V128 Run(State& state) const = 0;  // An integer is in the low bits.
};
using NodePtr = std::unique_ptr<Node>;

struct ConstNode final : Node {
  bool is_vector;
  V128 value;
  ConstNode(bool is_vector_in, V128 value_in) : is_vector(is_vector_in), value(value_in) {}
  void Emit(Bytes& code) const override {
    if (is_vector) {
      Append(code, {0xfd, 0x0c});
      const auto* const bytes = reinterpret_cast<const uint8_t*>(&value);
      code.insert(code.end(), bytes, bytes + 16);
    } else {
      Append(code, Concat({{0x41}, SignedLeb(static_cast<int32_t>(value.lo))}));
    }
  }
  V128 Run(State& /*state*/) const override { return value; }
};

struct LocalNode final : Node {
  bool is_vector;
  uint32_t index;
  NodePtr value;  // Null: local.get; else local.tee.
  LocalNode(bool is_vector_in, uint32_t index_in, NodePtr value_in)
      : is_vector(is_vector_in), index(index_in), value(std::move(value_in)) {}
  void Emit(Bytes& code) const override {
    if (value != nullptr) {
      value->Emit(code);
    }
    Append(code, {static_cast<uint8_t>(value == nullptr ? 0x20 : 0x22),
                  static_cast<uint8_t>(index + (is_vector ? 0 : kVectors))});
  }
  V128 Run(State& state) const override {
    if (value != nullptr) {
      const V128 now = value->Run(state);
      is_vector ? void(state.vectors[index] = now)
                : void(state.integers[index] = static_cast<uint32_t>(now.lo));
    }
    return is_vector ? state.vectors[index] : V128{state.integers[index], 0};
  }
};

struct OpNode final : Node {
  const OpcodeInfo* info;
  std::vector<uint8_t> lanes;
  std::vector<NodePtr> operands;
  void Emit(Bytes& code) const override {
    for (const NodePtr& operand : operands) {
      operand->Emit(code);
    }
    Append(code, Concat({{0xfd}, Leb(static_cast<uint32_t>(info->op) & 0xffff), lanes}));
  }
  V128 Run(State& state) const override {
    std::vector<V128> values;
    for (const NodePtr& operand : operands) {
      values.push_back(operand->Run(state));
    }
    return ExpectVector(info->op, values, lanes).allowed[0];
  }
};

// (call $identity value): everything else goes to the frame meanwhile.
struct CallNode final : Node {
  NodePtr value;
  explicit CallNode(NodePtr value_in) : value(std::move(value_in)) {}
  void Emit(Bytes& code) const override {
    value->Emit(code);
    Append(code, {0x10, 0x00});
  }
  V128 Run(State& state) const override { return value->Run(state); }
};

// (block (result v128) value (br_if 0 condition) (drop) other)
struct BlockNode final : Node {
  NodePtr value, condition, other;
  void Emit(Bytes& code) const override {
    Append(code, {0x02, 0x7b});
    value->Emit(code);
    condition->Emit(code);
    Append(code, {0x0d, 0x00, 0x1a});
    other->Emit(code);
    code.push_back(0x0b);
  }
  V128 Run(State& state) const override {
    const V128 first = value->Run(state);
    return condition->Run(state).lo != 0 ? first : other->Run(state);
  }
};

// (if (result v128) condition (then value) (else other)), or a select.
struct ChoiceNode final : Node {
  bool is_select;
  NodePtr value, condition, other;
  void Emit(Bytes& code) const override {
    if (is_select) {
      value->Emit(code);
      other->Emit(code);
      condition->Emit(code);
      code.push_back(0x1b);
      return;
    }
    condition->Emit(code);
    Append(code, {0x04, 0x7b});
    value->Emit(code);
    code.push_back(0x05);
    other->Emit(code);
    code.push_back(0x0b);
  }
  V128 Run(State& state) const override {
    if (is_select) {
      const V128 first = value->Run(state);
      const V128 second = other->Run(state);
      return condition->Run(state).lo != 0 ? first : second;
    }
    return condition->Run(state).lo != 0 ? value->Run(state) : other->Run(state);
  }
};

// Statements leave nothing; their Run's result is of no use.
struct SequenceNode final : Node {
  std::vector<NodePtr> statements;  // Tees, whose value is dropped, and loops.
  std::vector<bool> drops;
  void Emit(Bytes& code) const override {
    for (size_t i = 0; i < statements.size(); ++i) {
      statements[i]->Emit(code);
      if (drops[i]) {
        code.push_back(0x1a);
      }
    }
  }
  V128 Run(State& state) const override {
    for (const NodePtr& statement : statements) {
      statement->Run(state);
    }
    return {};
  }
};

struct LoopNode final : Node {
  uint32_t counter, count;
  NodePtr body;
  void Emit(Bytes& code) const override {
    const auto local = static_cast<uint8_t>(kVectors + kIntegers + counter);
    Append(code, {0x41, static_cast<uint8_t>(count), 0x21, local, 0x03, 0x40});
    body->Emit(code);
    Append(code, {0x20, local, 0x41, 0x01, 0x6b, 0x22, local, 0x0d, 0x00, 0x0b});
  }
  V128 Run(State& state) const override {
    for (uint32_t i = 0; i < count; ++i) {
      body->Run(state);
    }
    return {};
  }
};

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  NodePtr Statements(uint32_t depth) {
    auto sequence = std::make_unique<SequenceNode>();
    const uint32_t count = 1 + Below(4);
    for (uint32_t i = 0; i < count; ++i) {
      const bool is_loop = depth > 0 && counters_ < kCounters && Below(4) == 0;
      sequence->drops.push_back(!is_loop);
      if (is_loop) {
        auto loop = std::make_unique<LoopNode>();
        loop->counter = counters_++;
        loop->count = 1 + Below(3);
        loop->body = Statements(depth - 1);
        sequence->statements.push_back(std::move(loop));
      } else {
        sequence->statements.push_back(Tee(Below(5) != 0, 4));
      }
    }
    return sequence;
  }

  V128 Random() { return {random_(), Below(3) == 0 ? 0 : random_()}; }

 private:
  uint32_t Below(uint64_t end) { return static_cast<uint32_t>(random_() % end); }

  NodePtr Tee(bool is_vector, uint32_t depth) {
    return std::make_unique<LocalNode>(is_vector, Below(is_vector ? kVectors : kIntegers),
                                       Value(is_vector, depth));
  }

  NodePtr Value(bool is_vector, uint32_t depth) {
    const uint32_t kind = depth == 0 ? Below(3) : Below(16);
    if (kind == 0) {
      return std::make_unique<ConstNode>(is_vector, is_vector ? Random() : V128{Below(64), 0});
    }
    if (kind <= 2) {
      return std::make_unique<LocalNode>(is_vector, Below(is_vector ? kVectors : kIntegers),
                                         nullptr);
    }
    if (kind == 3) {
      return Tee(is_vector, depth - 1);
    }
    if (is_vector && kind == 4) {
      return std::make_unique<CallNode>(Value(true, depth - 1));
    }
    if (is_vector && kind == 5) {
      auto block = std::make_unique<BlockNode>();
      block->value = Value(true, depth - 1);
      block->condition = Value(false, depth - 1);
      block->other = Value(true, depth - 1);
      return block;
    }
    if (is_vector && kind <= 7) {
      auto choice = std::make_unique<ChoiceNode>();
      choice->is_select = kind == 6;
      choice->value = Value(true, depth - 1);
      choice->condition = Value(false, depth - 1);
      choice->other = Value(true, depth - 1);
      return choice;
    }
    auto op = std::make_unique<OpNode>();
    const auto& infos = Instructions(is_vector);
    op->info = infos[Below(infos.size())];
    for (const char type : op->info->sig.substr(0, op->info->sig.find(':'))) {
      op->operands.push_back(Value(type == 'v', depth - 1));
    }
    if (op->info->immediate == Immediate::kLane) {
      op->lanes = {static_cast<uint8_t>(Below(2))};
    } else if (op->info->immediate == Immediate::kLanes) {
      for (int i = 0; i < 16; ++i) {
        op->lanes.push_back(static_cast<uint8_t>(Below(32)));
      }
    }
    return op;
  }

  // Those on integers: the bits of a NaN are not determined.
  static const std::vector<const OpcodeInfo*>& Instructions(bool is_vector) {
    static const auto find = [](char result) {
      std::vector<const OpcodeInfo*> infos;
      for (const OpcodeInfo& info : kOpcodes) {
        const bool touches_memory =
            info.immediate == Immediate::kMemArg || info.immediate == Immediate::kMemArgLane;
        if (static_cast<uint32_t>(info.op) >> 16 == 0xfd && info.feature == Feature::kSimd &&
            !touches_memory && info.sig.back() == result && info.op != Opcode::kV128Const &&
            info.sig.find_first_of("lfd") == std::string_view::npos && info.text[0] != 'f') {
          infos.push_back(&info);
        }
      }
      return infos;
    };
    static const auto& vectors = *new auto(find('v'));
    static const auto& integers = *new auto(find('i'));
    return is_vector ? vectors : integers;
  }

  std::mt19937_64 random_;
  uint32_t counters_ = 0;
};

TEST_P(VectorFlowTest, RandomPrograms) {
  constexpr uint32_t kPrograms = 400;
  constexpr uint32_t kRuns = 4;
  for (uint32_t seed = 0; seed < kPrograms; ++seed) {
    Generator generator(seed);
    const NodePtr program = generator.Statements(3);
    // Vectors are parameters in memory at 0, integers at 256; all go back there.
    Bytes body;
    for (uint32_t i = 0; i < kVectors; ++i) {
      Append(
          body,
          Concat({{0x41, 0x00, 0xfd, 0x00, 0x00}, Leb(i * 16), {0x21, static_cast<uint8_t>(i)}}));
    }
    for (uint32_t i = 0; i < kIntegers; ++i) {
      Append(body, Concat({{0x41, 0x00, 0x28, 0x00},
                           Leb(256 + i * 4),
                           {0x21, static_cast<uint8_t>(kVectors + i)}}));
    }
    program->Emit(body);
    for (uint32_t i = 0; i < kVectors; ++i) {
      Append(body,
             Concat({{0x41, 0x00, 0x20, static_cast<uint8_t>(i), 0xfd, 0x0b, 0x00}, Leb(i * 16)}));
    }
    for (uint32_t i = 0; i < kIntegers; ++i) {
      Append(body, Concat({{0x41, 0x00, 0x20, static_cast<uint8_t>(kVectors + i), 0x36, 0x00},
                           Leb(256 + i * 4)}));
    }
    body.push_back(0x0b);
    CodeHarness code(WasmModule({
                         Section(1, Vec({FuncTypeBytes({0x7b}, {0x7b}), FuncTypeBytes({}, {})})),
                         Section(3, Vec({Leb(0), Leb(1)})),
                         Section(5, Vec({{0x00, 0x01}})),
                         Section(10, Vec({Body({}, {0x20, 0x00, 0x0b}),
                                          Body({Concat({Leb(kVectors), {0x7b}}),
                                                Concat({Leb(kIntegers + kCounters), {0x7f}})},
                                               body)})),
                     }),
                     Features());
    for (uint32_t run = 0; run < kRuns; ++run) {
      State state;
      for (uint32_t i = 0; i < kVectors; ++i) {
        state.vectors[i] = generator.Random();
        Put(code, i * 16, state.vectors[i]);
      }
      for (uint32_t i = 0; i < kIntegers; ++i) {
        state.integers[i] = static_cast<uint32_t>(generator.Random().lo);
        std::memcpy(code.memory() + 256 + i * 4, &state.integers[i], 4);
      }
      program->Run(state);
      ASSERT_EQ(code.Call(1, {}), Returns({})) << "seed " << seed;
      for (uint32_t i = 0; i < kVectors; ++i) {
        ASSERT_EQ(Get(code, i * 16), state.vectors[i]) << "seed " << seed << " vector " << i;
      }
      ASSERT_EQ(std::memcmp(code.memory() + 256, state.integers.data(), kIntegers * 4), 0)
          << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace wasmd::engine
