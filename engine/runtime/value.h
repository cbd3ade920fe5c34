// Value: one wasm value as the embedder passes and receives it.
//
// A plain value. References are words: a funcref is a FuncRef* of the store it came from and means
// nothing in another store; an externref is any 64-bit word the embedder chose, 0 being null; an
// exnref is an exception of its store (Store::ExceptionOf), which is sure to be there for the
// kMaxHostExceptions that the host was given last. Spec: syntax-val
#ifndef WASMD_ENGINE_RUNTIME_VALUE_H_
#define WASMD_ENGINE_RUNTIME_VALUE_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/abi/call_stub.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

struct FuncRef;

struct Value {
  ValType type = ValType::kI32;
  uint64_t bits =
      0;  // i32 and f32 zero-extended; floats as their bits, so that NaN payloads survive.
  uint64_t hi = 0;  // v128's upper half; 0 for all others.

  // Signed or unsigned: wasm's integers are bits.
  template <std::integral Integer>
    requires(sizeof(Integer) <= sizeof(uint32_t))
  static constexpr Value I32(Integer value) {
    return {ValType::kI32, static_cast<uint32_t>(value)};
  }
  template <std::integral Integer>
  static constexpr Value I64(Integer value) {
    return {ValType::kI64, static_cast<uint64_t>(value)};
  }
  static constexpr Value F32(float value) { return F32Bits(std::bit_cast<uint32_t>(value)); }
  static constexpr Value F32Bits(uint32_t bits) { return {ValType::kF32, bits}; }
  static constexpr Value F64(double value) { return F64Bits(std::bit_cast<uint64_t>(value)); }
  static constexpr Value F64Bits(uint64_t bits) { return {ValType::kF64, bits}; }
  // 0 is null.
  static constexpr Value ExternRef(uint64_t word) { return {ValType::kExternRef, word}; }
  static Value OfFuncRef(const FuncRef* ref) {
    return {ValType::kFuncRef, reinterpret_cast<uint64_t>(ref)};
  }
  // `type` is a reference type.
  static constexpr Value Null(ValType type) { return {type, 0}; }

  constexpr uint32_t i32() const { return static_cast<uint32_t>(bits); }
  constexpr uint64_t i64() const { return bits; }
  constexpr float f32() const { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }
  constexpr double f64() const { return std::bit_cast<double>(bits); }
  constexpr bool is_null_ref() const { return IsRef(type) && bits == 0; }

  // Same type and same bits: NaNs with equal payloads are equal, +0 and -0 are not.
  friend constexpr bool operator==(const Value&, const Value&) = default;
};
static_assert(sizeof(Value) == kStubValueBytes && sizeof(ValType) == 4);
static_assert(offsetof(Value, type) == kStubValueType && offsetof(Value, bits) == kStubValueBits);
static_assert(offsetof(Value, hi) == kStubValueBits + 8);

// "i32:7", "f64:0.5", "externref:null", "funcref:0x…", for messages and tests.
std::string ToString(const Value& value);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_VALUE_H_
