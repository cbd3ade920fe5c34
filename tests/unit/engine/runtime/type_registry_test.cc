#include "engine/runtime/type_registry.h"

#include <gtest/gtest.h>

namespace wasmd::engine {
namespace {

TEST(TypeRegistryTest, EqualTypesHaveEqualIds) {
  TypeRegistry types;
  const FuncType a = {{ValType::kI32}, {ValType::kI64}};
  const FuncType b = {{ValType::kI32, ValType::kI64}, {}};
  const uint32_t id_a = types.Acquire(a);
  const uint32_t id_b = types.Acquire(b);
  EXPECT_NE(id_a, 0);
  EXPECT_NE(id_a, id_b);
  EXPECT_EQ(types.Acquire(FuncType(a)), id_a);
  EXPECT_EQ(types.TypeOf(id_a), a);
  EXPECT_EQ(types.TypeOf(id_b), b);
  // Held twice.
  types.Release(id_a);
  EXPECT_EQ(types.TypeOf(id_a), a);
  types.Release(id_a);
  // Forgotten: its id is free for the next type.
  const FuncType c = {{}, {ValType::kF32}};
  EXPECT_EQ(types.Acquire(c), id_a);
  EXPECT_NE(types.Acquire(a), id_a);
}

TEST(TypeRegistryTest, ParamsAndResultsAreDifferent) {
  TypeRegistry types;
  EXPECT_NE(types.Acquire({{ValType::kI32}, {}}), types.Acquire({{}, {ValType::kI32}}));
  EXPECT_DEATH(types.TypeOf(77), "");
}

}  // namespace
}  // namespace wasmd::engine
