#include "tests/unit/engine/compile/random_program.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "tests/unit/engine/compile/reference.h"

namespace wasmd::engine {
namespace {

constexpr char kTypes[] = {'i', 'l', 'f', 'd'};
constexpr uint32_t kFuel = 60;

uint8_t TypeByte(char type) {
  return type == 'i' ? 0x7f : type == 'l' ? 0x7e : type == 'f' ? 0x7d : 0x7c;
}

bool IsNan(char type, uint64_t bits) {
  return type == 'f'   ? std::isnan(std::bit_cast<float>(static_cast<uint32_t>(bits)))
         : type == 'd' ? std::isnan(std::bit_cast<double>(bits))
                       : false;
}
uint64_t CanonicalNan(char type) {
  return type == 'f' ? 0x7fc0'0000 : 0x7ff8'0000'0000'0000;
}

// Memory instructions: opcode, type, width in bytes, sign-extending.
struct Access {
  uint8_t opcode;
  char type;
  uint32_t bytes;
  bool is_signed;
};
constexpr Access kLoads[] = {{0x28, 'i', 4, false}, {0x29, 'l', 8, false}, {0x2a, 'f', 4, false},
                             {0x2b, 'd', 8, false}, {0x2c, 'i', 1, true},  {0x2d, 'i', 1, false},
                             {0x2e, 'i', 2, true},  {0x2f, 'i', 2, false}, {0x30, 'l', 1, true},
                             {0x31, 'l', 1, false}, {0x32, 'l', 2, true},  {0x33, 'l', 2, false},
                             {0x34, 'l', 4, true},  {0x35, 'l', 4, false}};
constexpr Access kStores[] = {{0x36, 'i', 4, false}, {0x37, 'l', 8, false}, {0x38, 'f', 4, false},
                              {0x39, 'd', 8, false}, {0x3a, 'i', 1, false}, {0x3b, 'i', 2, false},
                              {0x3c, 'l', 1, false}, {0x3d, 'l', 2, false}, {0x3e, 'l', 4, false}};

}  // namespace

struct RandomProgram::Node {
  enum class Kind {
    // Expressions: leave one value of `type`.
    kConst,
    kGet,
    kTee,
    kNumeric,
    kLoad,
    kSelect,
    kCall,
    kGlobal,
    kIfValue,     // if (result type)
    kBlockValue,  // block (result type), whose statements may branch out with a value
    // Statements: leave nothing.
    kSet,
    kStore,
    kDrop,
    kSetGlobal,
    kIf,
    kBlock,
    kLoop,
    kBr,
    kBrIf,
    kBrTable,
    kReturn,
    kSequence,
  };
  Kind kind;
  char type = 'i';
  uint64_t bits = 0;         // Constant, local, depth, memory offset.
  Opcode op = Opcode::kNop;  // kNumeric.
  Access access = {};
  bool has_value = false;  // kBr, kBrIf, kBrTable: the target takes one.
  std::vector<uint32_t> targets;
  std::vector<std::unique_ptr<Node>> children;
};

class RandomProgram::Generator {
 public:
  Generator(uint64_t seed, const RandomProgramOptions& options, RandomProgram& program)
      : random_(seed), options_(options), program_(program) {}

  std::unique_ptr<Node> Body() {
    budget_ = static_cast<int>(options_.statements);
    labels_.push_back(0);  // The function's: branches to it would need the result.
    return Sequence(options_.statements);
  }

 private:
  using Kind = Node::Kind;
  using Ptr = std::unique_ptr<Node>;

  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  bool Chance(uint32_t percent) { return Below(100) < percent; }
  char AnyType() { return kTypes[Below(100) < 70 ? Below(2) : Below(4)]; }

  static Ptr Make(Kind kind, char type = 'i', uint64_t bits = 0) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->type = type;
    node->bits = bits;
    return node;
  }

  uint64_t Constant(char type) {
    static constexpr uint64_t kInts[] = {
        0,  1,   2,      3,           4,           8,           16,          31,         32,
        63, 255, 0xffff, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff, 0xffff'fff0, 0x1234'5678};
    static constexpr uint64_t kWides[] = {0x1'0000'0000,     0x7fff'ffff'ffff'ffff,
                                          uint64_t{1} << 63, UINT64_MAX,
                                          UINT64_MAX - 5,    0x0123'4567'89ab'cdef};
    static constexpr double kFloats[] = {0, -0.0, 1, -1.5, 2.5, 1e9, -3e9, 1e19, 1e-3, 123456.75};
    switch (type) {
      case 'i':
        return Chance(80) ? kInts[Below(std::size(kInts))] : static_cast<uint32_t>(random_());
      case 'l':
        return Chance(60)   ? kInts[Below(std::size(kInts))]
               : Chance(80) ? kWides[Below(std::size(kWides))]
                            : random_();
      case 'f':
        return std::bit_cast<uint32_t>(static_cast<float>(kFloats[Below(std::size(kFloats))]));
      default:
        return std::bit_cast<uint64_t>(kFloats[Below(std::size(kFloats))]);
    }
  }

  // A local of the type, or nothing. The last one is the fuel.
  int AnyLocal(char type) {
    const auto count = static_cast<uint32_t>(program_.types_.size() - 1);
    const uint32_t start = Below(count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t local = (start + i) % count;
      if (program_.types_[local] == type) {
        return static_cast<int>(local);
      }
    }
    return -1;
  }

  Ptr Leaf(char type) {
    const int local = AnyLocal(type);
    if (local >= 0 && Chance(75)) {
      return Make(Kind::kGet, type, static_cast<uint64_t>(local));
    }
    return Make(Kind::kConst, type, Constant(type));
  }

  // Mostly within the memory.
  Ptr Address(uint32_t depth) {
    Ptr node = Expression('i', depth);
    if (Chance(97)) {
      auto mask = Make(Kind::kNumeric);
      mask->op = Opcode::kI32And;
      mask->children.push_back(std::move(node));
      mask->children.push_back(Make(Kind::kConst, 'i', 0x3ff8));
      node = std::move(mask);
    }
    return node;
  }

  Ptr Expression(char type, uint32_t depth) {
    if (depth == 0 || Chance(25)) {
      return Leaf(type);
    }
    --depth;
    const uint32_t choice = Below(100);
    if (choice < 55) {
      return Numeric(type, depth);
    }
    if (choice < 65) {
      const int local = AnyLocal(type);
      if (local >= 0) {
        auto node = Make(Kind::kTee, type, static_cast<uint64_t>(local));
        node->children.push_back(Expression(type, depth));
        return node;
      }
    }
    if (choice < 75) {
      auto node = Make(Kind::kLoad, type, Below(64));
      do {
        node->access = kLoads[Below(std::size(kLoads))];
      } while (node->access.type != type);
      node->children.push_back(Address(depth));
      return node;
    }
    if (choice < 81) {
      auto node = Make(Kind::kSelect, type);
      node->children.push_back(Expression(type, depth));
      node->children.push_back(Expression(type, depth));
      node->children.push_back(Condition(depth));
      return node;
    }
    if (choice < 85 && type == 'l') {
      auto node = Make(Kind::kCall, type);
      node->children.push_back(Expression('l', depth));
      node->children.push_back(Expression('l', depth));
      return node;
    }
    if (choice < 88 && type == 'l') {
      return Make(Kind::kGlobal, type);
    }
    if (choice < 94 && nesting_ < options_.max_depth) {
      auto node = Make(Kind::kIfValue, type);
      node->children.push_back(Condition(depth));
      ++nesting_;
      labels_.push_back(type);
      for (int arm = 0; arm < 2; ++arm) {
        node->children.push_back(Sequence(1 + Below(2)));
        node->children.push_back(Expression(type, depth));
      }
      labels_.pop_back();
      --nesting_;
      return node;
    }
    if (nesting_ < options_.max_depth) {
      auto node = Make(Kind::kBlockValue, type);
      ++nesting_;
      labels_.push_back(type);
      node->children.push_back(Sequence(1 + Below(3)));
      node->children.push_back(Expression(type, depth));
      labels_.pop_back();
      --nesting_;
      return node;
    }
    return Numeric(type, depth);
  }

  Ptr Condition(uint32_t depth) {
    if (Chance(70)) {
      return Comparison(depth);
    }
    return Expression('i', depth);
  }

  static const std::vector<OpcodeInfo>& Numerics() {
    static const auto& infos = *new std::vector<OpcodeInfo>([] {
      std::vector<OpcodeInfo> found;
      for (const OpcodeInfo& info : kOpcodes) {
        const bool is_vector = static_cast<uint32_t>(info.op) >> 16 == 0xfd;
        if (info.immediate == Immediate::kNone && info.sig.size() >= 3 && info.sig[0] != ':' &&
            info.sig.back() != ':' && !is_vector) {
          found.push_back(info);
        }
      }
      return found;
    }());
    return infos;
  }

  // The bits of a NaN are not determined, so what shows them is left out: reinterpretation, and
  // copysign from one.
  static bool ShowsNan(const OpcodeInfo& info) {
    return info.op == Opcode::kI32ReinterpretF32 || info.op == Opcode::kI64ReinterpretF64 ||
           info.op == Opcode::kF32Copysign || info.op == Opcode::kF64Copysign;
  }

  Ptr Numeric(char type, uint32_t depth) {
    const auto& infos = Numerics();
    for (;;) {
      const OpcodeInfo& info = infos[Below(static_cast<uint32_t>(infos.size()))];
      // Trapping instructions rarely: programs are to get somewhere.
      if (info.sig.back() != type || ShowsNan(info) || (info.traps != 0 && Chance(80))) {
        continue;
      }
      return NumericOf(info, depth);
    }
  }
  Ptr Comparison(uint32_t depth) {
    const auto& infos = Numerics();
    for (;;) {
      const OpcodeInfo& info = infos[Below(static_cast<uint32_t>(infos.size()))];
      if (static_cast<uint32_t>(info.op) >= 0x45 && static_cast<uint32_t>(info.op) <= 0x66) {
        return NumericOf(info, depth);
      }
    }
  }
  Ptr NumericOf(const OpcodeInfo& info, uint32_t depth) {
    auto node = Make(Kind::kNumeric, info.sig.back());
    node->op = info.op;
    for (size_t i = 0; info.sig[i] != ':'; ++i) {
      node->children.push_back(Expression(info.sig[i], depth));
    }
    return node;
  }

  Ptr Sequence(uint32_t count) {
    auto node = Make(Kind::kSequence);
    for (uint32_t i = 0; i < count && budget_ > 0; ++i) {
      node->children.push_back(Statement());
    }
    return node;
  }

  // A label to branch to and whether it takes a value; the function's own is left to kReturn.
  bool AnyLabel(uint32_t& depth, char& type) {
    if (labels_.size() < 2) {
      return false;
    }
    depth = Below(static_cast<uint32_t>(labels_.size() - 1));
    type = labels_[labels_.size() - 1 - depth];
    return true;
  }

  Ptr Statement() {
    --budget_;
    const uint32_t depth = options_.max_depth;
    const uint32_t choice = Below(100);
    if (choice < 45) {
      const char type = AnyType();
      const int local = AnyLocal(type);
      if (local < 0) {
        auto node = Make(Kind::kDrop);
        node->children.push_back(Expression(type, depth));
        return node;
      }
      auto node = Make(Kind::kSet, type, static_cast<uint64_t>(local));
      node->children.push_back(Expression(type, depth));
      return node;
    }
    if (choice < 55) {
      auto node = Make(Kind::kStore, 'i', Below(64));
      node->access = kStores[Below(std::size(kStores))];
      node->children.push_back(Address(depth));
      node->children.push_back(Expression(node->access.type, depth));
      return node;
    }
    if (choice < 58) {
      auto node = Make(Kind::kSetGlobal);
      node->children.push_back(Expression('l', depth));
      return node;
    }
    uint32_t label = 0;
    char type = 0;
    if (choice < 68 && AnyLabel(label, type)) {
      auto node = Make(Kind::kBrIf, type, label);
      node->has_value = type != 0;
      if (node->has_value) {
        node->children.push_back(Expression(type, depth - 1));
      }
      node->children.push_back(Condition(depth - 1));
      return node;
    }
    if (choice < 70 && AnyLabel(label, type)) {
      auto node = Make(Kind::kBr, type, label);
      node->has_value = type != 0;
      if (node->has_value) {
        node->children.push_back(Expression(type, depth - 1));
      }
      return node;
    }
    if (choice < 72 && AnyLabel(label, type)) {
      auto node = Make(Kind::kBrTable, type);
      node->has_value = type != 0;
      const uint32_t count = Below(9) + 1;
      for (uint32_t i = 0; i < count; ++i) {
        uint32_t other = label;
        for (uint32_t tries = 0; tries < 4; ++tries) {
          const uint32_t candidate = Below(static_cast<uint32_t>(labels_.size() - 1));
          if (labels_[labels_.size() - 1 - candidate] == type) {
            other = candidate;
          }
        }
        node->targets.push_back(other);
      }
      if (node->has_value) {
        node->children.push_back(Expression(type, depth - 1));
      }
      node->children.push_back(Expression('i', depth - 1));
      return node;
    }
    if (choice < 73) {
      return Make(Kind::kReturn);
    }
    if (nesting_ >= options_.max_depth) {
      auto node = Make(Kind::kDrop);
      node->children.push_back(Expression(AnyType(), depth));
      return node;
    }
    ++nesting_;
    labels_.push_back(0);
    Ptr node;
    if (choice < 83) {
      node = Make(Kind::kIf);
      labels_.pop_back();
      node->children.push_back(Condition(depth - 1));
      labels_.push_back(0);
      node->children.push_back(Sequence(1 + Below(4)));
      if (Chance(50)) {
        node->children.push_back(Sequence(1 + Below(4)));
      }
    } else if (choice < 91) {
      node = Make(Kind::kBlock);
      node->children.push_back(Sequence(1 + Below(6)));
    } else {
      node = Make(Kind::kLoop);
      node->children.push_back(Sequence(2 + Below(6)));
      // Again, sometimes.
      auto again = Make(Kind::kBrIf, 0, 0);
      again->children.push_back(Condition(2));
      node->children.back()->children.push_back(std::move(again));
    }
    labels_.pop_back();
    --nesting_;
    return node;
  }

  std::mt19937_64 random_;
  const RandomProgramOptions& options_;
  RandomProgram& program_;
  std::vector<char> labels_;  // The type of value that each takes, or 0.
  uint32_t nesting_ = 0;
  int budget_ = 0;
};

class RandomProgram::Evaluator {
 public:
  Evaluator(const RandomProgram& program, const std::vector<uint64_t>& args,
            std::vector<uint8_t>& memory, uint64_t& global)
      : program_(program), memory_(memory), global_(global), locals_(program.types_.size(), 0) {
    std::copy(args.begin(), args.end(), locals_.begin());
    locals_.back() = kFuel;
  }

  Outcome Run() {
    Execute(*program_.body_);
    if (trap_ != TrapCode::kNone) {
      return {trap_, 0};
    }
    uint64_t hash = 0;
    for (size_t i = 0; i < locals_.size(); ++i) {
      uint64_t bits = locals_[i];
      if (IsNan(program_.types_[i], bits)) {
        bits = CanonicalNan(program_.types_[i]);
      }
      hash = std::rotl(hash, 5) ^ bits;
    }
    return {TrapCode::kNone, hash};
  }

 private:
  using Kind = Node::Kind;
  // How a statement or expression ended: kNext, a branch to that many labels out, or kLeave (return
  // or trap).
  static constexpr int kNext = -1;
  static constexpr int kLeave = 1 << 20;

  // One label further in is one less to go: `control` as seen from outside the label. kHere: it
  // arrived.
  static constexpr int kHere = -2;
  static int Out(int control) {
    if (control == kNext || control == kLeave) {
      return control;
    }
    return control == 0 ? kHere : control - 1;
  }

  int Trap(TrapCode trap) {
    trap_ = trap;
    return kLeave;
  }

  // Leaves the value in value_.
  int Evaluate(const Node& node) {
    switch (node.kind) {
      case Kind::kConst:
        value_ = node.bits;
        return kNext;
      case Kind::kGet:
        value_ = locals_[node.bits];
        return kNext;
      case Kind::kTee: {
        const int control = Evaluate(*node.children[0]);
        if (control == kNext) {
          locals_[node.bits] = value_;
        }
        return control;
      }
      case Kind::kNumeric: {
        uint64_t operands[2] = {};
        for (size_t i = 0; i < node.children.size(); ++i) {
          if (const int control = Evaluate(*node.children[i]); control != kNext) {
            return control;
          }
          operands[i] = value_;
        }
        const Reference result = EvaluateReference(node.op, operands[0], operands[1]);
        if (result.trap != TrapCode::kNone) {
          return Trap(result.trap);
        }
        value_ = result.bits;
        return kNext;
      }
      case Kind::kLoad: {
        if (const int control = Evaluate(*node.children[0]); control != kNext) {
          return control;
        }
        const uint64_t address = static_cast<uint32_t>(value_) + node.bits;
        const Access& access = node.access;
        if (address + access.bytes > kMemoryBytes) {
          return Trap(TrapCode::kMemoryOutOfBounds);
        }
        value_ = 0;
        std::memcpy(&value_, &memory_[address], access.bytes);
        if (access.is_signed) {
          const int shift = 64 - static_cast<int>(access.bytes) * 8;
          value_ = static_cast<uint64_t>(static_cast<int64_t>(value_ << shift) >> shift);
        }
        if (access.type == 'i') {
          value_ = static_cast<uint32_t>(value_);
        }
        return kNext;
      }
      case Kind::kSelect: {
        uint64_t operands[3];
        for (size_t i = 0; i < 3; ++i) {
          if (const int control = Evaluate(*node.children[i]); control != kNext) {
            return control;
          }
          operands[i] = value_;
        }
        value_ = static_cast<uint32_t>(operands[2]) != 0 ? operands[0] : operands[1];
        return kNext;
      }
      case Kind::kCall: {
        if (const int control = Evaluate(*node.children[0]); control != kNext) {
          return control;
        }
        const uint64_t a = value_;
        if (const int control = Evaluate(*node.children[1]); control != kNext) {
          return control;
        }
        value_ = Import(a, value_);
        return kNext;
      }
      case Kind::kGlobal:
        value_ = global_;
        return kNext;
      case Kind::kIfValue: {
        int control = Evaluate(*node.children[0]);
        if (control != kNext) {
          return control;
        }
        const size_t arm = static_cast<uint32_t>(value_) != 0 ? 1 : 3;
        control = Execute(*node.children[arm]);
        if (control == kNext) {
          control = Evaluate(*node.children[arm + 1]);
        }
        control = Out(control);
        return control == kHere ? kNext : control;
      }
      case Kind::kBlockValue: {
        int control = Execute(*node.children[0]);
        if (control == kNext) {
          control = Evaluate(*node.children[1]);
        }
        control = Out(control);
        return control == kHere ? kNext : control;
      }
      default:
        WASMD_UNREACHABLE();
    }
  }

  int Execute(const Node& node) {
    switch (node.kind) {
      case Kind::kSequence:
        for (const auto& child : node.children) {
          if (const int control = Execute(*child); control != kNext) {
            return control;
          }
        }
        return kNext;
      case Kind::kSet: {
        const int control = Evaluate(*node.children[0]);
        if (control == kNext) {
          locals_[node.bits] = value_;
        }
        return control;
      }
      case Kind::kDrop:
        return Evaluate(*node.children[0]);
      case Kind::kSetGlobal: {
        const int control = Evaluate(*node.children[0]);
        if (control == kNext) {
          global_ = value_;
        }
        return control;
      }
      case Kind::kStore: {
        if (const int control = Evaluate(*node.children[0]); control != kNext) {
          return control;
        }
        const uint64_t address = static_cast<uint32_t>(value_) + node.bits;
        if (const int control = Evaluate(*node.children[1]); control != kNext) {
          return control;
        }
        if (address + node.access.bytes > kMemoryBytes) {
          return Trap(TrapCode::kMemoryOutOfBounds);
        }
        if (IsNan(node.access.type, value_)) {
          value_ = CanonicalNan(node.access.type);
        }
        std::memcpy(&memory_[address], &value_, node.access.bytes);
        return kNext;
      }
      case Kind::kIf: {
        int control = Evaluate(*node.children[0]);
        if (control != kNext) {
          return control;
        }
        const size_t arm = static_cast<uint32_t>(value_) != 0 ? 1 : 2;
        control = arm < node.children.size() ? Out(Execute(*node.children[arm])) : kNext;
        return control == kHere ? kNext : control;
      }
      case Kind::kBlock: {
        const int control = Out(Execute(*node.children[0]));
        return control == kHere ? kNext : control;
      }
      case Kind::kLoop:
        for (;;) {
          // Each round costs fuel, and without any the function returns.
          if (locals_.back() == 0) {
            return kLeave;
          }
          --locals_.back();
          const int control = Out(Execute(*node.children[0]));
          if (control != kHere) {
            return control;
          }
        }
      case Kind::kBr:
        if (node.has_value) {
          if (const int control = Evaluate(*node.children[0]); control != kNext) {
            return control;
          }
        }
        return static_cast<int>(node.bits);
      case Kind::kBrIf: {
        uint64_t value = 0;
        if (node.has_value) {
          if (const int control = Evaluate(*node.children[0]); control != kNext) {
            return control;
          }
          value = value_;
        }
        if (const int control = Evaluate(*node.children.back()); control != kNext) {
          return control;
        }
        const bool taken = static_cast<uint32_t>(value_) != 0;
        value_ = value;
        return taken ? static_cast<int>(node.bits) : kNext;
      }
      case Kind::kBrTable: {
        uint64_t value = 0;
        if (node.has_value) {
          if (const int control = Evaluate(*node.children[0]); control != kNext) {
            return control;
          }
          value = value_;
        }
        if (const int control = Evaluate(*node.children.back()); control != kNext) {
          return control;
        }
        const size_t index =
            std::min<size_t>(static_cast<uint32_t>(value_), node.targets.size() - 1);
        value_ = value;
        return static_cast<int>(node.targets[index]);
      }
      case Kind::kReturn:
        return kLeave;
      default:
        WASMD_UNREACHABLE();
    }
  }

  const RandomProgram& program_;
  std::vector<uint8_t>& memory_;
  uint64_t& global_;
  std::vector<uint64_t> locals_;
  uint64_t value_ = 0;
  TrapCode trap_ = TrapCode::kNone;
};

// Writes the tree as wasm. The statements stand in a block, which kReturn leaves (its depth is
// counted), so that the hash of the locals is computed at one place.
class RandomProgram::Writer {
 public:
  explicit Writer(const RandomProgram& program) : program_(program) {}

  Bytes Code() {
    Emit({0x41, kFuel, 0x21});
    Append(code_, Leb(Fuel()));
    Emit({0x02, 0x40});
    depth_ = 1;
    Write(*program_.body_);
    Emit({0x0b});
    Emit({0x42, 0x00});
    for (uint32_t i = 0; i < program_.types_.size(); ++i) {
      Emit({0x42, 0x05, 0x89});  // i64.rotl
      const char type = program_.types_[i];
      GetCanonical(type, i);
      if (type == 'i') {
        Emit({0xad});
      } else if (type == 'f') {
        Emit({0xbc, 0xad});
      } else if (type == 'd') {
        Emit({0xbd});
      }
      Emit({0x85});
    }
    Emit({0x0b});
    return code_;
  }

 private:
  using Kind = Node::Kind;
  uint32_t Fuel() const { return static_cast<uint32_t>(program_.types_.size() - 1); }
  void Emit(const Bytes& bytes) { Append(code_, bytes); }
  void EmitIndexed(uint8_t opcode, uint64_t index) {
    code_.push_back(opcode);
    Append(code_, Leb(index));
  }
  void EmitConst(char type, uint64_t bits) {
    switch (type) {
      case 'i':
        code_.push_back(0x41);
        Append(code_, SignedLeb(static_cast<int32_t>(bits)));
        break;
      case 'l':
        code_.push_back(0x42);
        Append(code_, SignedLeb(static_cast<int64_t>(bits)));
        break;
      default:
        code_.push_back(type == 'f' ? 0x43 : 0x44);
        for (int i = 0; i < (type == 'f' ? 4 : 8); ++i) {
          code_.push_back(static_cast<uint8_t>(bits >> (i * 8)));
        }
        break;
    }
  }
  // Of a local: NaN → the canonical one.
  void GetCanonical(char type, uint32_t local) {
    if (type != 'f' && type != 'd') {
      EmitIndexed(0x20, local);
      return;
    }
    EmitIndexed(0x20, local);
    EmitConst(type, CanonicalNan(type));
    EmitIndexed(0x20, local);
    EmitIndexed(0x20, local);
    Emit({static_cast<uint8_t>(type == 'f' ? 0x5b : 0x61), 0x1b});
  }

  void Write(const Node& node) {
    switch (node.kind) {
      case Kind::kConst:
        EmitConst(node.type, node.bits);
        break;
      case Kind::kGet:
        EmitIndexed(0x20, node.bits);
        break;
      case Kind::kTee:
        Write(*node.children[0]);
        EmitIndexed(0x22, node.bits);
        break;
      case Kind::kNumeric:
        WriteAll(node);
        if (static_cast<uint32_t>(node.op) >> 16 != 0) {
          EmitIndexed(0xfc, static_cast<uint32_t>(node.op) & 0xffff);
        } else {
          code_.push_back(static_cast<uint8_t>(node.op));
        }
        break;
      case Kind::kLoad:
        WriteAll(node);
        Emit({node.access.opcode, 0x00});
        Append(code_, Leb(node.bits));
        break;
      case Kind::kSelect:
        WriteAll(node);
        Emit({0x1b});
        break;
      case Kind::kCall:
        WriteAll(node);
        Emit({0x10, 0x00});
        break;
      case Kind::kGlobal:
        Emit({0x23, 0x00});
        break;
      case Kind::kIfValue:
        Write(*node.children[0]);
        Emit({0x04, TypeByte(node.type)});
        ++depth_;
        Write(*node.children[1]);
        Write(*node.children[2]);
        Emit({0x05});
        Write(*node.children[3]);
        Write(*node.children[4]);
        --depth_;
        Emit({0x0b});
        break;
      case Kind::kBlockValue:
        Emit({0x02, TypeByte(node.type)});
        ++depth_;
        WriteAll(node);
        --depth_;
        Emit({0x0b});
        break;
      case Kind::kSet:
        WriteAll(node);
        EmitIndexed(0x21, node.bits);
        break;
      case Kind::kDrop:
        WriteAll(node);
        Emit({0x1a});
        break;
      case Kind::kSetGlobal:
        WriteAll(node);
        Emit({0x24, 0x00});
        break;
      case Kind::kStore: {
        Write(*node.children[0]);
        Write(*node.children[1]);
        const char type = node.access.type;
        if (type == 'f' || type == 'd') {
          // Through a spare local, after the fuel: 1 for f32, 2 for f64.
          const uint32_t spare = Fuel() + (type == 'f' ? 1 : 2);
          EmitIndexed(0x21, spare);
          GetCanonical(type, spare);
        }
        Emit({node.access.opcode, 0x00});
        Append(code_, Leb(node.bits));
        break;
      }
      case Kind::kSequence:
        WriteAll(node);
        break;
      case Kind::kIf:
        Write(*node.children[0]);
        Emit({0x04, 0x40});
        ++depth_;
        Write(*node.children[1]);
        if (node.children.size() > 2) {
          Emit({0x05});
          Write(*node.children[2]);
        }
        --depth_;
        Emit({0x0b});
        break;
      case Kind::kBlock:
        Emit({0x02, 0x40});
        ++depth_;
        WriteAll(node);
        --depth_;
        Emit({0x0b});
        break;
      case Kind::kLoop:
        Emit({0x03, 0x40});
        ++depth_;
        EmitIndexed(0x20, Fuel());
        Emit({0x45});
        EmitIndexed(0x0d, depth_ - 1);
        EmitIndexed(0x20, Fuel());
        Emit({0x41, 0x01, 0x6b});
        EmitIndexed(0x21, Fuel());
        WriteAll(node);
        --depth_;
        Emit({0x0b});
        break;
      case Kind::kBr:
        WriteAll(node);
        EmitIndexed(0x0c, node.bits);
        break;
      case Kind::kBrIf:
        WriteAll(node);
        EmitIndexed(0x0d, node.bits);
        if (node.has_value) {
          Emit({0x1a});
        }
        break;
      case Kind::kBrTable:
        WriteAll(node);
        EmitIndexed(0x0e, node.targets.size() - 1);
        for (const uint32_t target : node.targets) {
          Append(code_, Leb(target));
        }
        break;
      case Kind::kReturn:
        EmitIndexed(0x0c, depth_ - 1);
        break;
    }
  }
  void WriteAll(const Node& node) {
    for (const auto& child : node.children) {
      Write(*child);
    }
  }

  const RandomProgram& program_;
  Bytes code_;
  uint32_t depth_ = 0;  // Labels below the function's.
};

RandomProgram::RandomProgram(uint64_t seed, const RandomProgramOptions& options)
    : params_(options.params) {
  std::mt19937_64 random(seed ^ 0x9e37'79b9'7f4a'7c15);
  for (uint32_t i = 0; i < options.params + options.locals; ++i) {
    types_.push_back(kTypes[random() % 100 < 75 ? random() % 2 : random() % 4]);
  }
  types_.push_back('i');
  body_ = Generator(seed, options, *this).Body();
}

RandomProgram::~RandomProgram() = default;

Bytes RandomProgram::Wasm() const {
  Bytes params;
  for (uint32_t i = 0; i < params_; ++i) {
    params.push_back(TypeByte(types_[i]));
  }
  std::vector<Bytes> locals;
  for (size_t i = params_; i < types_.size(); ++i) {
    locals.push_back({0x01, TypeByte(types_[i])});
  }
  locals.push_back({0x01, 0x7d});
  locals.push_back({0x01, 0x7c});
  return WasmModule({
      Section(1, Vec({FuncTypeBytes({0x7e, 0x7e}, {0x7e}), FuncTypeBytes(params, {0x7e})})),
      Section(2, Vec({Concat({NameBytes("m"), NameBytes("f"), {0x00, 0x00}})})),
      Section(3, Vec({Leb(1)})),
      Section(5, Vec({{0x00, 0x01}})),
      Section(6, Vec({{0x7e, 0x01, 0x42, 0x00, 0x0b}})),
      Section(7, Vec({Concat({NameBytes("f"), {0x00, 0x01}})})),
      Section(10, Vec({Body(locals, Writer(*this).Code())})),
  });
}

std::vector<uint64_t> RandomProgram::RandomArguments(uint64_t seed) const {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> args;
  for (uint32_t i = 0; i < params_; ++i) {
    switch (types_[i]) {
      case 'i':
        args.push_back(random() % 2 == 0 ? random() % 100 : static_cast<uint32_t>(random()));
        break;
      case 'l':
        args.push_back(random() % 2 == 0 ? random() % 100 : random());
        break;
      case 'f':
        args.push_back(std::bit_cast<uint32_t>(static_cast<float>(random() % 2000) / 4 - 100));
        break;
      default:
        args.push_back(std::bit_cast<uint64_t>(static_cast<double>(random() % 2000) / 4 - 100));
        break;
    }
  }
  return args;
}

RandomProgram::Outcome RandomProgram::Evaluate(const std::vector<uint64_t>& args,
                                               std::vector<uint8_t>& memory,
                                               uint64_t& global) const {
  return Evaluator(*this, args, memory, global).Run();
}

}  // namespace wasmd::engine
