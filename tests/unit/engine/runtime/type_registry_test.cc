#include "engine/runtime/type_registry.h"

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include <gtest/gtest.h>

#include "engine/code/code_map.h"

namespace wasmd::engine {
namespace {

class TypeRegistryTest : public testing::Test {
 protected:
  // A stub of as many bytes as the type has parameters and results.
  static absl::Status Compile(const FuncType& type, std::vector<uint8_t>& out) {
    out.assign(type.params.size() + type.results.size(), 0xcc);
    return out.empty() ? absl::ResourceExhaustedError("no code") : absl::OkStatus();
  }

  CodeArena& arena_ = **CodeArena::Get();
  CodeQuota quota_{3 * kCodeChunkBytes};
  CallStubCode stubs_{arena_, quota_};
};

TEST_F(TypeRegistryTest, EqualTypesHaveEqualIds) {
  TypeRegistry types(stubs_, &Compile);
  const FuncType a = {{ValType::kI32}, {ValType::kI64}};
  const FuncType b = {{ValType::kI32, ValType::kI64}, {}};
  const RegisteredType& type_a = types.Acquire(a);
  const uint32_t id_a = type_a.id;
  const uint32_t id_b = types.Acquire(b).id;
  EXPECT_NE(id_a, 0);
  EXPECT_NE(id_a, id_b);
  EXPECT_EQ(&types.Acquire(FuncType(a)), &type_a);
  EXPECT_EQ(types.TypeOf(id_a).type, a);
  EXPECT_EQ(types.TypeOf(id_b).type, b);
  // Held twice.
  types.Release(type_a);
  EXPECT_EQ(types.TypeOf(id_a).type, a);
  types.Release(type_a);
  // Forgotten: its id is free for the next type.
  const FuncType c = {{}, {ValType::kF32}};
  EXPECT_EQ(types.Acquire(c).id, id_a);
  EXPECT_NE(types.Acquire(a).id, id_a);
}

TEST_F(TypeRegistryTest, ParamsAndResultsAreDifferent) {
  TypeRegistry types(stubs_, &Compile);
  EXPECT_NE(types.Acquire({{ValType::kI32}, {}}).id, types.Acquire({{}, {ValType::kI32}}).id);
  EXPECT_DEATH(types.TypeOf(77), "");
}

TEST_F(TypeRegistryTest, StubsAreMadeOnceAndGoWithTheirType) {
  TypeRegistry types(stubs_, &Compile);
  const uint64_t before = arena_.used_chunks();
  const RegisteredType& type = types.Acquire({{ValType::kI32}, {}});
  const uint32_t type_id = type.id;
  EXPECT_EQ(type.call_stub, nullptr);
  const absl::StatusOr<const void*> stub = types.EnsureCallStub(type);
  ASSERT_TRUE(stub.ok());
  EXPECT_EQ(type.call_stub, *stub);
  EXPECT_EQ(*types.EnsureCallStub(type), *stub);
  const auto pc = reinterpret_cast<uint64_t>(*stub);
  EXPECT_EQ(*static_cast<const uint8_t*>(*stub), 0xcc);
  EXPECT_TRUE(IsGeneratedCode(pc));
  EXPECT_EQ(CodeOwner(pc), nullptr) << "no module's";
  EXPECT_EQ(arena_.used_chunks(), before + 1);

  // The chunk is given back when it is full and its last stub has gone.
  const RegisteredType& large =
      types.Acquire({std::vector<ValType>(kCodeChunkBytes, ValType::kI64), {}});
  ASSERT_TRUE(types.EnsureCallStub(large).ok());
  EXPECT_EQ(arena_.used_chunks(), before + 2);
  types.Release(type);
  EXPECT_EQ(arena_.used_chunks(), before + 1);
  EXPECT_FALSE(IsGeneratedCode(pc));

  // Another type with its id has no stub yet.
  const RegisteredType& next = types.Acquire({{}, {ValType::kF32}});
  EXPECT_EQ(next.id, type_id);
  EXPECT_EQ(next.call_stub, nullptr);
  ASSERT_TRUE(types.EnsureCallStub(next).ok());
  // Nor is a place used again while its chunk is: a processor may have fetched what stood there.
  const void* const place = next.call_stub;
  types.Release(next);
  const RegisteredType& after = types.Acquire({{}, {ValType::kF64}});
  ASSERT_TRUE(types.EnsureCallStub(after).ok());
  EXPECT_NE(after.call_stub, place);
}

TEST_F(TypeRegistryTest, WithoutMemoryForCodeThereIsNoStub) {
  TypeRegistry types(stubs_, &Compile);
  const RegisteredType& refused = types.Acquire({{}, {}});
  EXPECT_EQ(types.EnsureCallStub(refused).status().code(), absl::StatusCode::kResourceExhausted);
  const RegisteredType& large =
      types.Acquire({std::vector<ValType>(3 * kCodeChunkBytes, ValType::kI64), {}});
  ASSERT_TRUE(types.EnsureCallStub(large).ok());
  const RegisteredType& small = types.Acquire({{ValType::kI32}, {}});
  EXPECT_EQ(types.EnsureCallStub(small).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(small.call_stub, nullptr);
  types.Release(large);
}

}  // namespace
}  // namespace wasmd::engine
