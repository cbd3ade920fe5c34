// Every numeric instruction against plain C++, on edge values, with its operands from everywhere a
// baseline compiler may find them and its result going to everywhere it treats specially; with all
// the CPU's instructions and with none.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/engine/compile/code_harness.h"
#include "tests/unit/engine/compile/reference.h"

extern "C" void wasmd_test_clobber();
// A callee that keeps nothing but rsp and rbp, as the convention allows.
asm(R"(
  .text
  .globl wasmd_test_clobber
wasmd_test_clobber:
  mov $0x5a5a5a5a5a5a5a5a, %rax
  mov %rax, %rcx
  mov %rax, %rdx
  mov %rax, %rbx
  mov %rax, %rsi
  mov %rax, %rdi
  mov %rax, %r8
  mov %rax, %r9
  mov %rax, %r10
  mov %rax, %r11
  mov %rax, %r12
  mov %rax, %r13
  mov %rax, %r14
  mov %rax, %r15
  movq %rax, %xmm0
  movq %rax, %xmm1
  movq %rax, %xmm2
  movq %rax, %xmm3
  movq %rax, %xmm4
  movq %rax, %xmm5
  movq %rax, %xmm6
  movq %rax, %xmm7
  movq %rax, %xmm8
  movq %rax, %xmm9
  movq %rax, %xmm10
  movq %rax, %xmm11
  movq %rax, %xmm12
  movq %rax, %xmm13
  movq %rax, %xmm14
  movq %rax, %xmm15
  ret
)");

namespace wasmd::engine {
namespace {

// Where an operand comes from.
enum class Source { kParam, kLastParam, kConst, kTemp, kSlot, kLocalSlot, kLoad };
constexpr Source kSources[] = {Source::kParam, Source::kLastParam, Source::kConst, Source::kTemp,
                               Source::kSlot,  Source::kLocalSlot, Source::kLoad};
// What becomes of the result.
enum class Use { kReturn, kSetOwnOperand, kSetOther, kTee, kIf, kBrIf, kSelect, kEqz };
constexpr Use kUses[] = {Use::kReturn, Use::kSetOwnOperand, Use::kSetOther, Use::kTee,
                         Use::kIf,     Use::kBrIf,          Use::kSelect,   Use::kEqz};

const std::vector<uint64_t>& Samples(char type) {
  static const auto& samples = *new std::map<char, std::vector<uint64_t>>{
      {'i',
       {0,
        1,
        2,
        3,
        7,
        8,
        10,
        31,
        32,
        33,
        63,
        64,
        127,
        128,
        255,
        256,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fff'ffff,
        0x8000'0000,
        0x8000'0001,
        0xffff'ffff,
        0xffff'fffe,
        0xdead'beef,
        0x0123'4567,
        641,
        1'000'000'007,
        0xffff'fff6}},
      {'l',
       {0,
        1,
        2,
        3,
        5,
        31,
        32,
        63,
        64,
        65,
        127,
        128,
        255,
        0xffff,
        0x7fff'ffff,
        0x8000'0000,
        0xffff'ffff,
        0x1'0000'0000,
        0x7fff'ffff'ffff'ffff,
        0x8000'0000'0000'0000,
        0x8000'0000'0000'0001,
        0xffff'ffff'ffff'ffff,
        0xffff'ffff'8000'0000,
        0xffff'ffff'7fff'ffff,
        0xdead'beef'0123'4567,
        0x0020'0000'0000'0001,
        0x8000'0000'0000'0401}},
      {'f',
       {F32(0),
        F32(-0.f),
        F32(1),
        F32(-1),
        F32(0.5f),
        F32(-0.5f),
        F32(1.5f),
        F32(2.5f),
        F32(-2.5f),
        F32(-0.99999f),
        F32(2147483648.f),
        F32(-2147483648.f),
        F32(-2147483904.f),
        F32(2147483520.f),
        F32(4294967296.f),
        F32(4294967040.f),
        F32(9223372036854775808.f),
        F32(-9223372036854775808.f),
        F32(9223371487098961920.f),
        F32(18446744073709551616.f),
        F32(18446742974197923840.f),
        F32(-9223373136366403584.f),
        F32(1e-45f),
        F32(3.4e38f),
        0x7f80'0000,
        0xff80'0000,
        0x7fc0'0000,
        0xffc0'0000,
        0x7fa0'0000,
        0xff80'0001,
        0x7fff'ffff,
        F32(3.14159f)}},
      {'d',
       {F64(0),
        F64(-0.0),
        F64(1),
        F64(-1),
        F64(0.5),
        F64(-0.5),
        F64(1.5),
        F64(2.5),
        F64(-2.5),
        F64(-0.9999999999),
        F64(2147483647),
        F64(2147483648),
        F64(2147483647.9),
        F64(-2147483648),
        F64(-2147483648.9),
        F64(-2147483649),
        F64(4294967295),
        F64(4294967295.9),
        F64(4294967296),
        F64(9223372036854775808.0),
        F64(-9223372036854775808.0),
        F64(9223372036854774784.0),
        F64(18446744073709551616.0),
        F64(18446744073709549568.0),
        F64(-9223372036854777856.0),
        F64(5e-324),
        F64(1.7e308),
        0x7ff0'0000'0000'0000,
        0xfff0'0000'0000'0000,
        0x7ff8'0000'0000'0000,
        0xfff8'0000'0000'0000,
        0x7ff4'0000'0000'0000,
        0xfff0'0000'0000'0001,
        0x7fff'ffff'ffff'ffff,
        F64(3.141592653589793)}},
  };
  return samples.at(type);
}

uint8_t TypeByte(char type) {
  return type == 'i' ? 0x7f : type == 'l' ? 0x7e : type == 'f' ? 0x7d : 0x7c;
}
uint8_t LoadByte(char type) {
  return type == 'i' ? 0x28 : type == 'l' ? 0x29 : type == 'f' ? 0x2a : 0x2b;
}
uint8_t StoreByte(char type) {
  return type == 'i' ? 0x36 : type == 'l' ? 0x37 : type == 'f' ? 0x38 : 0x39;
}
uint32_t GlobalOf(char type, uint32_t operand) {
  return operand * 4 + (type == 'i' ? 0 : type == 'l' ? 1 : type == 'f' ? 2 : 3);
}

Bytes Fixed(uint64_t bits, size_t size) {
  Bytes bytes;
  for (size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<uint8_t>(bits >> (i * 8)));
  }
  return bytes;
}

Bytes ConstBytes(char type, uint64_t bits) {
  switch (type) {
    case 'i':
      return Concat({{0x41}, SignedLeb(static_cast<int32_t>(bits))});
    case 'l':
      return Concat({{0x42}, SignedLeb(static_cast<int64_t>(bits))});
    case 'f':
      return Concat({{0x43}, Fixed(bits, 4)});
    default:
      return Concat({{0x44}, Fixed(bits, 8)});
  }
}

struct Shape {
  Source a;
  Source b;
  Use use;
  uint64_t const_a = 0;
  uint64_t const_b = 0;
};

// What a module's functions share: types, an import that destroys registers, globals for
// temporaries, memory for loads.
class NumericTest : public testing::TestWithParam<OpcodeInfo> {
 protected:
  void Run(const baseline::CpuFeatures& features);
  Bytes Function(const Shape& shape) const;

  const OpcodeInfo& info() const { return GetParam(); }
  size_t operands() const { return info().sig.find(':'); }
  char type(size_t operand) const { return info().sig[operand]; }
  char result() const { return info().sig.back(); }
};

// Locals: 0 and 1 the operands (1 unused by unary instructions), 2 another of the result's type.
Bytes NumericTest::Function(const Shape& shape) const {
  const Bytes opcode = static_cast<uint32_t>(info().op) >> 16 != 0
                           ? Concat({{0xfc}, Leb(static_cast<uint32_t>(info().op) & 0xffff)})
                           : Bytes{static_cast<uint8_t>(info().op)};
  const Source sources[] = {shape.a, shape.b};
  const uint64_t constants[] = {shape.const_a, shape.const_b};
  Bytes code;
  const auto add = [&](const Bytes& bytes) { Append(code, bytes); };
  bool calls_first = false;
  for (uint32_t i = 0; i < operands(); ++i) {
    switch (sources[i]) {
      case Source::kTemp:
      case Source::kSlot:
        add({0x20, static_cast<uint8_t>(i), 0x24, static_cast<uint8_t>(GlobalOf(type(i), i))});
        break;
      case Source::kLoad:
        add(Concat({{0x41, static_cast<uint8_t>(i * 8), 0x20, static_cast<uint8_t>(i),
                     StoreByte(type(i)), 0x00},
                    Leb(32)}));
        break;
      case Source::kLocalSlot:
        calls_first = true;
        break;
      case Source::kParam:
      case Source::kLastParam:
      case Source::kConst:
        break;
    }
  }
  if (calls_first) {
    add({0x10, 0x00});
  }
  const bool is_br_if = shape.use == Use::kBrIf;
  if (is_br_if) {
    add({0x02, 0x40});  // block
  }
  if (shape.use == Use::kSelect) {
    add(ConstBytes('l', 7));
    add({0x20, 0x03});
  }
  for (uint32_t i = 0; i < operands(); ++i) {
    switch (sources[i]) {
      case Source::kParam:
      case Source::kLastParam:
      case Source::kLocalSlot:
        add({0x20, static_cast<uint8_t>(i)});
        break;
      case Source::kConst:
        add(ConstBytes(type(i), constants[i]));
        break;
      case Source::kTemp:
        add({0x23, static_cast<uint8_t>(GlobalOf(type(i), i))});
        break;
      case Source::kSlot:
        add({0x23, static_cast<uint8_t>(GlobalOf(type(i), i)), 0x10, 0x00});
        break;
      case Source::kLoad:
        add(Concat({{0x41, static_cast<uint8_t>(i * 8), LoadByte(type(i)), 0x00}, Leb(32)}));
        break;
    }
  }
  add(opcode);
  switch (shape.use) {
    case Use::kReturn:
      break;
    case Use::kSetOwnOperand:
      add({0x21, 0x00, 0x20, 0x00});
      break;
    case Use::kSetOther:
      add({0x21, 0x02, 0x20, 0x02});
      break;
    case Use::kTee:
      add({0x22, 0x02, 0x21, 0x02, 0x20, 0x02});
      break;
    case Use::kIf:
      add({0x04, 0x7f, 0x41, 0x01, 0x05, 0x41, 0x00, 0x0b});
      break;
    case Use::kBrIf:
      add({0x0d, 0x00, 0x41, 0x00, 0x0f, 0x0b, 0x41, 0x01});
      break;
    case Use::kSelect:
      add({0x1b, 0xa7});  // i32.wrap_i64
      break;
    case Use::kEqz:
      add({0x45});
      break;
  }
  // Uses the operands again, so that they do not die early.
  for (uint32_t i = 0; i < operands(); ++i) {
    if (sources[i] == Source::kParam) {
      add({0x20, static_cast<uint8_t>(i), 0x24, static_cast<uint8_t>(GlobalOf(type(i), i))});
    }
  }
  add({0x0b});
  return Body({Concat({Leb(1), {TypeByte(result())}}), Concat({Leb(1), {TypeByte('l')}})}, code);
}

void NumericTest::Run(const baseline::CpuFeatures& features) {
  std::vector<Shape> shapes;
  const bool is_binary = operands() == 2;
  // All constants where the result is returned; elsewhere a few, and not beside operands from the
  // less usual places.
  const auto constants = [&](size_t operand, Source source, Use use) {
    if (source != Source::kConst) {
      return std::vector<uint64_t>{0};
    }
    const auto& all = Samples(type(operand));
    return use == Use::kReturn ? all : std::vector<uint64_t>{all[0], all[1], all[4], all[18]};
  };
  for (const Source a : kSources) {
    for (const Source b : is_binary ? std::vector<Source>(std::begin(kSources), std::end(kSources))
                                    : std::vector<Source>{Source::kParam}) {
      for (const Use use : kUses) {
        const bool is_condition =
            use == Use::kIf || use == Use::kBrIf || use == Use::kSelect || use == Use::kEqz;
        if ((is_condition && result() != 'i') ||
            (use == Use::kSetOwnOperand && result() != type(0)) ||
            (a == Source::kConst && is_binary && b == Source::kConst)) {
          continue;
        }
        for (const uint64_t const_a : constants(0, a, use)) {
          for (const uint64_t const_b :
               constants(is_binary ? 1 : 0, is_binary ? b : Source::kParam, use)) {
            shapes.push_back({a, b, use, const_a, const_b});
          }
        }
      }
    }
  }
  // One module for all of them. Globals are mutable and zero.
  Bytes params;
  for (uint32_t i = 0; i < 2; ++i) {
    params.push_back(TypeByte(i < operands() ? type(i) : 'i'));
  }
  std::vector<Bytes> globals;
  for (int operand = 0; operand < 2; ++operand) {
    for (const char t : {'i', 'l', 'f', 'd'}) {
      globals.push_back(Concat({{TypeByte(t), 0x01}, ConstBytes(t, 0), {0x0b}}));
    }
  }
  std::vector<Bytes> types = {FuncTypeBytes({}, {}), FuncTypeBytes(params, {TypeByte(result())})};
  std::vector<Bytes> functions;
  std::vector<Bytes> bodies;
  for (const Shape& shape : shapes) {
    functions.push_back(Leb(1));
    bodies.push_back(Function(shape));
  }
  CodeHarness code(
      WasmModule({
          Section(1, Vec(types)),
          Section(2, Vec({Concat({NameBytes("m"), NameBytes("clobber"), {0x00, 0x00}})})),
          Section(3, Vec(functions)),
          Section(5, Vec({{0x00, 0x01}})),
          Section(6, Vec(globals)),
          Section(10, Vec(bodies)),
      }),
      features);
  code.SetImport(0, std::bit_cast<const void*>(&wasmd_test_clobber), nullptr);
  int failures = 0;
  // Of the other uses a fifth of the pairs each, another fifth in each function.
  size_t turn = 0;
  for (size_t f = 0; f < shapes.size() && failures < 3; ++f) {
    const Shape& shape = shapes[f];
    const auto index = static_cast<uint32_t>(f + 1);
    const auto& as =
        shape.a == Source::kConst ? std::vector<uint64_t>{shape.const_a} : Samples(type(0));
    const auto& bs = !is_binary                  ? std::vector<uint64_t>{0}
                     : shape.b == Source::kConst ? std::vector<uint64_t>{shape.const_b}
                                                 : Samples(type(1));
    for (const uint64_t a : as) {
      for (const uint64_t b : bs) {
        if (shape.use != Use::kReturn && ++turn % 5 != 0) {
          continue;
        }
        const Reference expected = EvaluateReference(info().op, a, b);
        const CallResult got = code.Call(index, {a, b});
        bool ok = got.trap == expected.trap;
        if (ok && got.trap == TrapCode::kNone) {
          const uint64_t bits = got.values[0];
          switch (shape.use) {
            case Use::kIf:
            case Use::kBrIf:
              ok = bits == (expected.bits != 0 ? 1u : 0u);
              break;
            case Use::kEqz:
              ok = bits == (expected.bits == 0 ? 1u : 0u);
              break;
            case Use::kSelect:
              ok = bits == (expected.bits != 0 ? 7u : 0u);
              break;
            case Use::kReturn:
            case Use::kSetOwnOperand:
            case Use::kSetOther:
            case Use::kTee:
              if (expected.is_nan) {
                const uint64_t quiet = result() == 'f' ? 0x7fc0'0000 : 0x7ff8'0000'0000'0000;
                ok = (bits & quiet) == quiet;
              } else {
                ok = bits == expected.bits;
              }
              break;
          }
        }
        if (!ok) {
          ++failures;
          ADD_FAILURE() << info().text << " of 0x" << std::hex << a << ", 0x" << b << " is "
                        << testing::PrintToString(got) << ", expected 0x" << expected.bits << " "
                        << ToString(expected.trap) << std::dec << "; operands "
                        << static_cast<int>(shape.a) << ", " << static_cast<int>(shape.b)
                        << ", use " << static_cast<int>(shape.use) << ", function " << f;
          break;
        }
      }
    }
  }
}

TEST_P(NumericTest, EqualsReference) {
  Run(baseline::CpuFeatures::Host());
}
TEST_P(NumericTest, EqualsReferenceOnOldCpu) {
  Run({});
}

std::vector<OpcodeInfo> NumericOpcodes() {
  std::vector<OpcodeInfo> infos;
  for (const OpcodeInfo& info : kOpcodes) {
    // vector_test.cc has the vectors.
    const bool is_vector = static_cast<uint32_t>(info.op) >> 16 == 0xfd;
    if (info.immediate == Immediate::kNone && info.sig.size() >= 3 && info.sig[0] != ':' &&
        info.sig.back() != ':' && !is_vector) {
      infos.push_back(info);
    }
  }
  return infos;
}

INSTANTIATE_TEST_SUITE_P(AllNumeric, NumericTest, testing::ValuesIn(NumericOpcodes()),
                         [](const auto& test) {
                           std::string name(test.param.text);
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace wasmd::engine
