// The wasm spec's types: value types, function types, limits, table, memory and global types.
//
// ValType is an enum over the binary encoding's type codes, 32 bits wide so that typed references
// (wasm 3.0: a heap type index beside the code) fit above the low byte without changing its users.
//
// Everything here is a plain value. Spec: syntax-types
#ifndef WASMD_ENGINE_WASM_TYPES_H_
#define WASMD_ENGINE_WASM_TYPES_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace wasmd::engine {

// Spec: syntax-valtype. The values are the binary format's codes. kBottom is the validator's "any
// type" and stands in no module.
enum class ValType : uint32_t {
  kBottom = 0,
  kI32 = 0x7f,
  kI64 = 0x7e,
  kF32 = 0x7d,
  kF64 = 0x7c,
  kV128 = 0x7b,
  kFuncRef = 0x70,
  kExternRef = 0x6f,
  kExnRef = 0x69,
};

constexpr bool IsRef(ValType type) {
  return type == ValType::kFuncRef || type == ValType::kExternRef || type == ValType::kExnRef;
}
constexpr bool IsFloat(ValType type) {
  return type == ValType::kF32 || type == ValType::kF64;
}
// i32, i64 and references: what travels in a general register. All others travel in an xmm one.
constexpr bool IsGeneral(ValType type) {
  return type == ValType::kI32 || type == ValType::kI64 || IsRef(type);
}
constexpr bool IsNum(ValType type) {
  return type == ValType::kI32 || type == ValType::kI64 || IsFloat(type);
}

// The value of a v128: byte 0 is the lowest of `lo`, byte 15 the highest of `hi`. Spec: syntax-vec
struct V128 {
  uint64_t lo = 0;
  uint64_t hi = 0;
  friend constexpr bool operator==(const V128&, const V128&) = default;
};

// The text format's name, such as "i32" or "funcref".
constexpr std::string_view ToString(ValType type) {
  switch (type) {
    case ValType::kBottom:
      return "bottom";
    case ValType::kI32:
      return "i32";
    case ValType::kI64:
      return "i64";
    case ValType::kF32:
      return "f32";
    case ValType::kF64:
      return "f64";
    case ValType::kV128:
      return "v128";
    case ValType::kFuncRef:
      return "funcref";
    case ValType::kExternRef:
      return "externref";
    case ValType::kExnRef:
      return "exnref";
  }
  return "?";
}

// Spec: syntax-functype
struct FuncType {
  std::vector<ValType> params;
  std::vector<ValType> results;
  friend bool operator==(const FuncType&, const FuncType&) = default;
};

// Spec: syntax-limits. Units: elements for tables, wasm pages for memories.
struct Limits {
  uint64_t min = 0;
  std::optional<uint64_t> max;
  friend bool operator==(const Limits&, const Limits&) = default;
};

// Spec: syntax-addrtype
enum class AddressType : uint8_t { kI32, kI64 };

constexpr ValType ValTypeOf(AddressType address) {
  return address == AddressType::kI64 ? ValType::kI64 : ValType::kI32;
}

// A wasm page, as the spec means it, unless a memory's type says otherwise. An OS page is the
// kernel's.
inline constexpr uint8_t kWasmPageShift = 16;
inline constexpr uint64_t kWasmPageBytes = uint64_t{1} << kWasmPageShift;

// Spec: syntax-memtype
struct MemoryType {
  Limits limits;
  AddressType address = AddressType::kI32;
  uint8_t page_shift = kWasmPageShift;  // Of the page's size: 0 or kWasmPageShift.

  constexpr uint64_t page_bytes() const { return uint64_t{1} << page_shift; }
  friend bool operator==(const MemoryType&, const MemoryType&) = default;
};

// The most pages that a type may name. A size is a value of the address type too: with pages of one
// byte, the last one is missing. Spec: valid-memtype
constexpr uint64_t MaxPages(const MemoryType& type) {
  if (type.address == AddressType::kI64) {
    return type.page_shift == 0 ? UINT64_MAX : uint64_t{1} << (64 - type.page_shift);
  }
  return type.page_shift == 0 ? UINT32_MAX : uint64_t{1} << (32 - type.page_shift);
}

// Spec: syntax-tabletype
struct TableType {
  ValType element = ValType::kFuncRef;
  Limits limits;
  AddressType address = AddressType::kI32;
  friend bool operator==(const TableType&, const TableType&) = default;
};

// Spec: syntax-globaltype
struct GlobalType {
  ValType type = ValType::kI32;
  bool is_mutable = false;
  friend bool operator==(const GlobalType&, const GlobalType&) = default;
};

// The values that exceptions of a tag have: its function type's parameters. It has no results.
// Spec: syntax-tagtype
struct TagType {
  FuncType type;
  friend bool operator==(const TagType&, const TagType&) = default;
};

// Spec: syntax-externtype
enum class ExternKind : uint8_t { kFunc = 0, kTable = 1, kMemory = 2, kGlobal = 3, kTag = 4 };

constexpr std::string_view ToString(ExternKind kind) {
  switch (kind) {
    case ExternKind::kFunc:
      return "func";
    case ExternKind::kTable:
      return "table";
    case ExternKind::kMemory:
      return "memory";
    case ExternKind::kGlobal:
      return "global";
    case ExternKind::kTag:
      return "tag";
  }
  return "?";
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASM_TYPES_H_
