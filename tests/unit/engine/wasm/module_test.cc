// Module's lookups.
#include "engine/wasm/module.h"

#include <gtest/gtest.h>

#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

TEST(ModuleTest, FunctionNames) {
  Module module;
  EXPECT_EQ(module.func_name(0), "");
  module.names.function_names = {{1, "one"}, {4, "four"}, {9, "nine"}};
  EXPECT_EQ(module.func_name(0), "");
  EXPECT_EQ(module.func_name(1), "one");
  EXPECT_EQ(module.func_name(4), "four");
  EXPECT_EQ(module.func_name(5), "");
  EXPECT_EQ(module.func_name(9), "nine");
  EXPECT_EQ(module.func_name(10), "");
}

TEST(TypesTest, Kinds) {
  EXPECT_TRUE(IsRef(ValType::kFuncRef));
  EXPECT_TRUE(IsGeneral(ValType::kExternRef));
  EXPECT_FALSE(IsGeneral(ValType::kF64));
  EXPECT_FALSE(IsNum(ValType::kFuncRef));
  EXPECT_EQ(ToString(ValType::kExternRef), "externref");
  EXPECT_EQ(ToString(ExternKind::kGlobal), "global");
}

}  // namespace
}  // namespace wasmd::engine
