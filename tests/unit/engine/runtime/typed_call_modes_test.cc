// The inlined entry as each compiler and each set of options makes it.
#include <string_view>
#include <vector>

#include "engine/code/module_code.h"
#include "tests/support/test_instance.h"
#include "tests/unit/engine/runtime/typed_call_mode.h"

namespace wasmd::engine {

#define MODE(name)                                                   \
  int64_t name(const TypedFunc<int32_t(int32_t, int32_t)>& div,      \
               const TypedFunc<double(double, float, int64_t)>& mix, \
               const FuncHandle& untyped_div, int32_t rounds);
WASMD_MODES
#undef MODE

namespace {

// The function, behind a few instructions that change what the convention does not preserve and
// the function itself might not touch.
class Clobbering {
 public:
  Clobbering(TestInstance& instance, std::string_view name) : wrapped_(instance.Func(name)) {
    // xor ebx, ebx; the same for r12d … r15d; xorps xmm8, xmm8; xorps xmm15, xmm15; mov rax, code;
    // jmp rax
    std::vector<uint8_t> bytes = {0x31, 0xdb, 0x45, 0x31, 0xe4, 0x45, 0x31, 0xed,
                                  0x45, 0x31, 0xf6, 0x45, 0x31, 0xff, 0x45, 0x0f,
                                  0x57, 0xc0, 0x45, 0x0f, 0x57, 0xff, 0x48, 0xb8};
    const auto code = reinterpret_cast<uint64_t>(wrapped_.ref()->code.load());
    for (uint32_t i = 0; i < sizeof(code); ++i) {
      bytes.push_back(static_cast<uint8_t>(code >> (8 * i)));
    }
    bytes.insert(bytes.end(), {0xff, 0xe0});
    const auto appended = code_.Append(0, bytes, {});
    EXPECT_TRUE(appended.ok());
    ref_.code.store(*appended);
    ref_.context = wrapped_.ref()->context;
    ref_.type_id = wrapped_.ref()->type_id;
  }
  FuncHandle func() { return {wrapped_.store(), ref_, wrapped_.registered_type()}; }

 private:
  FuncHandle wrapped_;
  CodeQuota quota_{1 << 20};
  ModuleCode code_{**CodeArena::Get(), quota_, nullptr};
  FuncRef ref_;
};

TEST(TypedCallModesTest, CallsAndTraps) {
  TestInstance instance(R"((module
      (func (export "div") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
      (func (export "mix") (param f64 f32 i64) (result f64)
        local.get 0 local.get 1 f64.promote_f32 f64.add local.get 2 f64.convert_i64_s f64.add)))");
  Clobbering div_code(instance, "div");
  Clobbering mix_code(instance, "mix");
  const auto div = div_code.func().Typed<int32_t(int32_t, int32_t)>();
  const auto mix = mix_code.func().Typed<double(double, float, int64_t)>();
  ASSERT_TRUE(div.ok() && mix.ok());
  constexpr int32_t kRounds = 300;
  int64_t sum = 0;
  for (int32_t i = 1; i <= kRounds; ++i) {
    sum += i / 3;
  }
#define MODE(name) EXPECT_EQ(name(*div, *mix, div_code.func(), kRounds), sum) << #name;
  WASMD_MODES
#undef MODE
}

}  // namespace
}  // namespace wasmd::engine
