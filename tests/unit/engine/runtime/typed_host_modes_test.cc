// Typed host functions as each compiler and each set of options makes them, called by wasm and
// straight from the host.
#include <cstdint>
#include <string>
#include <tuple>

#include "tests/support/test_instance.h"
#include "tests/unit/engine/runtime/typed_host_mode.h"

namespace wasmd::engine {

int g_open_scopes = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

#define MODE(name) void name(Linker& linker);
WASMD_MODES
#undef MODE

namespace {

constexpr std::string_view kModule = R"((module
    (import "host" "add" (func $add (param i32 i32) (result i32)))
    (import "host" "sum" (func $sum (param i64 f64 i64 f64 i64 f64 i64 f64 i64 f64 i64 f64 i64 f64 f64 f64) (result f64)))
    (import "host" "pair" (func $pair (param f32 f64) (result f32 f64)))
    (import "host" "cross" (func $cross (param i32 f64) (result f64 i32)))
    (import "host" "wide" (func $wide (param i32 i64 f32 f64 i64) (result i32 i64 f32 f64 i64)))
    (import "host" "aligned" (func $aligned (param i32) (result i32)))
    (import "host" "wide_or" (func $wide_or (param i32) (result i32 f32 i64)))
    (import "host" "fails" (func $fails (param i32)))
    (import "host" "exits" (func $exits (param i32)))
    (export "host_add" (func $add)) (export "host_wide" (func $wide))
    (export "host_aligned" (func $aligned)) (export "host_wide_or" (func $wide_or))
    (export "host_fails" (func $fails)) (export "host_exits" (func $exits))
    (func (export "add") (param i32 i32) (result i32)
      (i32.mul (call $add (local.get 0) (local.get 1)) (i32.const 10)))
    (func (export "sum") (param i64) (result f64)
      (call $sum (local.get 0) (f64.const 1) (i64.const 2) (f64.const 2) (i64.const 3) (f64.const 3)
        (i64.const 4) (f64.const 4) (i64.const 5) (f64.const 5) (i64.const 6) (f64.const 6)
        (i64.const 7) (f64.const 7) (f64.const 8) (f64.const 9)))
    (func (export "pair") (param f32 f64) (result f32 f64) (call $pair (local.get 0) (local.get 1)))
    (func (export "cross") (param i32 f64) (result f64 i32) (call $cross (local.get 0) (local.get 1)))
    (func (export "wide") (param i32 i64 f32 f64 i64) (result i32 i64 f32 f64 i64)
      (call $wide (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
    (func (export "aligned") (param i32) (result i32) (call $aligned (local.get 0)))
    (func (export "wide_or") (param i32) (result i32 f32 i64) (call $wide_or (local.get 0)))
    (func (export "fails") (param i32) (call $fails (local.get 0)))
    (func (export "exits") (param i32) (call $exits (local.get 0)))))";

template <typename Signature>
TypedFunc<Signature> Get(TestInstance& instance, std::string_view name) {
  const auto found = instance.instance().TypedFunc<Signature>(name);
  EXPECT_TRUE(found.ok()) << found.status();
  return *found;
}

void Check(DefineInMode define, const char* mode) {
  SCOPED_TRACE(mode);
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) { define(linker); };
  TestInstance instance(kModule, Tier::kBaseline, options);
  using Wide = std::tuple<int32_t, int64_t, float, double, int64_t>;
  using WideOr = std::tuple<int32_t, float, int64_t>;
  const auto sum = Get<double(int64_t)>(instance, "sum");
  const auto pair = Get<std::tuple<float, double>(float, double)>(instance, "pair");
  const auto cross = Get<std::tuple<double, int32_t>(int32_t, double)>(instance, "cross");
  for (const std::string prefix : {"", "host_"}) {
    SCOPED_TRACE(prefix);
    const auto add = Get<int32_t(int32_t, int32_t)>(instance, prefix + "add");
    const auto wide =
        Get<Wide(int32_t, int64_t, float, double, int64_t)>(instance, prefix + "wide");
    const auto aligned = Get<int32_t(int32_t)>(instance, prefix + "aligned");
    const auto wide_or = Get<WideOr(int32_t)>(instance, prefix + "wide_or");
    const auto fails = Get<void(int32_t)>(instance, prefix + "fails");
    const auto exits = Get<void(int32_t)>(instance, prefix + "exits");
    for (int32_t i = 1; i <= 50; ++i) {
      EXPECT_EQ(*add(i, -3), (i - 3) * (prefix.empty() ? 10 : 1));
      EXPECT_EQ(*sum(i), i + 4 + 9 + 16 + 25 + 36 + 49 + 285);
      EXPECT_EQ(*pair(0.5F, i), std::tuple(0.5F, static_cast<double>(i)));
      EXPECT_EQ(*cross(-i, i), std::tuple(static_cast<double>(i), -i));
      EXPECT_EQ(*wide(-i, 2, 0.5F, 0.25, int64_t{i} << 40),
                Wide(-i, 2, 0.5F, 0.25, int64_t{i} << 40));
      EXPECT_EQ(*aligned(i), i + 1);
      EXPECT_EQ(*wide_or(i), WideOr(i, static_cast<float>(i) / 2, -i));
      // Each leaves by a trap, and what was called before can be called behind it.
      const Outcome<int32_t> aligned_trapped = aligned(0);
      ASSERT_NE(aligned_trapped.trap(), nullptr);
      EXPECT_EQ(aligned_trapped.trap()->code, TrapCode::kDivideByZero);
      const Outcome<WideOr> wide_trapped = wide_or(0);
      ASSERT_NE(wide_trapped.trap(), nullptr);
      EXPECT_EQ(wide_trapped.trap()->code, TrapCode::kDivideByZero);
      const Outcome<void> failed = fails(i);
      ASSERT_NE(failed.trap(), nullptr);
      EXPECT_EQ(failed.trap()->code, TrapCode::kHostError);
      EXPECT_EQ(failed.trap()->message, "told by " + std::to_string(i));
      const Outcome<void> exited = exits(i);
      ASSERT_NE(exited.exit(), nullptr);
      EXPECT_EQ(exited.exit()->code, static_cast<uint32_t>(i));
      EXPECT_EQ(g_open_scopes, 0);
    }
  }
}

TEST(TypedHostModesTest, ReturnsAndFails) {
#define MODE(name) Check(&name, #name);
  WASMD_MODES
#undef MODE
}

}  // namespace
}  // namespace wasmd::engine
