// Wasm values and types, and their text: what a client passes to a call and gets from it.
#ifndef WASMD_CLIENT_CPP_VALUE_H_
#define WASMD_CLIENT_CPP_VALUE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace wasmd::client {

// Spec: syntax-valtype. kUnknown: a type that a newer daemon has and this library does not know.
// A value of kExnRef is null: others do not leave the daemon.
enum class ValType : uint8_t {
  kUnknown,
  kI32,
  kI64,
  kF32,
  kF64,
  kV128,
  kFuncRef,
  kExternRef,
  kExnRef
};

// Lane 0 first, as in memory.
struct V128 {
  std::array<uint8_t, 16> bytes{};
  friend bool operator==(const V128&, const V128&) = default;
};

// Null (handle 0), or a handle that the daemon gave out in this session.
struct Reference {
  ValType type = ValType::kExternRef;  // kFuncRef, kExternRef or kExnRef.
  uint64_t handle = 0;
  friend bool operator==(const Reference&, const Reference&) = default;
};

// One value. Floats keep every bit, NaN payloads and signed zeros included, there and back.
// Integers have no sign in wasm; here they are signed, and 0xffffffff is passed as -1.
using Value = std::variant<int32_t, int64_t, float, double, V128, Reference>;

// Spec: syntax-functype
struct FuncType {
  std::vector<ValType> params;
  std::vector<ValType> results;
  friend bool operator==(const FuncType&, const FuncType&) = default;
};

// Spec: syntax-limits
struct Limits {
  uint64_t min = 0;
  std::optional<uint64_t> max;
};
struct TableType {
  ValType element = ValType::kFuncRef;
  Limits limits;
  ValType address = ValType::kI32;  // Of indices: kI32 or kI64.
};
struct MemoryType {
  Limits limits;                    // In pages.
  ValType address = ValType::kI32;  // Of addresses: kI32 or kI64.
  uint64_t page_size = 65'536;      // In bytes.
};
struct GlobalType {
  ValType type = ValType::kI32;
  bool is_mutable = false;
};
// Spec: syntax-tagtype
struct TagType {
  std::vector<ValType> params;
};
using ExternType = std::variant<FuncType, TableType, MemoryType, GlobalType, TagType>;

ValType TypeOf(const Value& value);

// Text as in the wasm text format: "i32"; "(i32, i64) -> f64"; "func (i32) -> ()", "memory 1 .. 16
// pages", "memory i64 1 .. pages of 1 byte", "global mutable i32".
std::string_view ToString(ValType type);
std::string ToString(const FuncType& type);
std::string ToString(const ExternType& type);

// The literal of the text format, without the type: "-1", "0.1", "nan:0x200000", "-inf", "null".
// Floats are the shortest text that reads back as the same bits. A v128 is "i32x4 0x00000000 …"; a
// handle is "ref:7".
std::string ToString(const Value& value);

// The reverse: integers in decimal or hexadecimal, signed or not, with underscores between digits;
// floats as decimals, hexadecimals (0x1.8p3), inf, nan, nan:0x…; a v128 as "i32x4 1 2 3 4";
// references as "null". kInvalidArgument: not a literal of that type, or out of its range.
absl::StatusOr<Value> ParseValue(ValType type, std::string_view text);

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_VALUE_H_
