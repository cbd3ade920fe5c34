// Module: the decoded and validated abstract syntax of one wasm module.
//
// A Module refers into the bytes it was decoded from (names, function bodies, segments), which its
// owner keeps alive and unchanged beside it (engine/api/module.h owns both). Immutable after
// decoding, so thread-safe to read. Spec: syntax-module
//
// Index spaces count imports first, then definitions.
#ifndef WASMD_ENGINE_WASM_MODULE_H_
#define WASMD_ENGINE_WASM_MODULE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/wasm/features.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// Spec: syntax-expr, restricted to constant expressions. What is arithmetic on constants alone is
// decoded to its value.
struct ConstExpr {
  enum class Kind : uint8_t { kConst, kGlobalGet, kRefNull, kRefFunc, kExtended };
  Kind kind = Kind::kConst;
  ValType type = ValType::kI32;
  uint64_t bits = 0;   // kConst: the value's bits, zero-extended. kExtended: the operations' count.
  uint32_t index = 0;  // kGlobalGet: global index. kRefFunc: function index. kExtended: of the
                       // first operation, in Module::const_ops.
};

// One instruction of an extended constant expression, in postfix order: i32.const or i64.const,
// global.get, or add, sub or mul of either type.
struct ConstOp {
  Opcode op = Opcode::kI32Const;
  uint64_t bits = 0;  // The constant, zero-extended, or the global's index.
};

// Of add, sub and mul. Spec: exec-binop
constexpr uint64_t EvaluateConstOp(Opcode op, uint64_t lhs, uint64_t rhs) {
  switch (op) {
    case Opcode::kI32Add:
      return static_cast<uint32_t>(lhs + rhs);
    case Opcode::kI32Sub:
      return static_cast<uint32_t>(lhs - rhs);
    case Opcode::kI32Mul:
      return static_cast<uint32_t>(lhs * rhs);
    case Opcode::kI64Add:
      return lhs + rhs;
    case Opcode::kI64Sub:
      return lhs - rhs;
    case Opcode::kI64Mul:
      return lhs * rhs;
    default:
      return 0;
  }
}

struct Import {
  std::string_view module;
  std::string_view name;
  ExternKind kind = ExternKind::kFunc;
  uint32_t index = 0;  // In the index space of its kind.
};

struct Export {
  std::string_view name;
  ExternKind kind = ExternKind::kFunc;
  uint32_t index = 0;
};

// One function of the index space. An import has no body.
struct Func {
  uint32_t type_index = 0;
  uint32_t body_offset =
      0;  // Offset in the module's bytes of the body: local declarations, then instructions.
  uint32_t body_bytes = 0;  // 0 for imports.
  bool is_declared_ref =
      false;  // Stands in an element segment, an export, a global or ref.func. Spec: C.refs
};

struct Global {
  GlobalType type;
  bool is_imported = false;
  ConstExpr init;  // Definitions only.
};

struct Table {
  TableType type;
  bool is_imported = false;
};

struct Memory {
  MemoryType type;
  bool is_imported = false;
};

// Spec: syntax-tag
struct Tag {
  uint32_t type_index = 0;
  bool is_imported = false;
};

// Spec: syntax-elem
struct ElemSegment {
  enum class Mode : uint8_t { kPassive, kActive, kDeclarative };
  Mode mode = Mode::kPassive;
  ValType type = ValType::kFuncRef;
  uint32_t table_index = 0;
  ConstExpr offset;             // kActive only.
  std::vector<ConstExpr> init;  // kRefNull, kRefFunc or kGlobalGet.
};

// Spec: syntax-data
struct DataSegment {
  bool is_active = false;
  uint32_t memory_index = 0;
  ConstExpr offset;           // Active ones only.
  uint32_t bytes_offset = 0;  // In the module's bytes.
  uint32_t bytes_size = 0;
};

// A custom section; `contents` excludes its name. Spec: binary-customsec
struct CustomSection {
  std::string_view name;
  std::span<const std::byte> contents;
};

// The "name" custom section: best effort; what is malformed in it is left out, never an error.
// Spec: binary-namesec
struct NameSection {
  std::string_view module_name;
  // Function names in ascending function index.
  std::vector<std::pair<uint32_t, std::string_view>> function_names;
};

struct Module {
  std::span<const std::byte> bytes;
  FeatureSet features = {};  // What its bodies may use.
  std::vector<FuncType> types;
  std::vector<Import> imports;
  std::vector<Func> funcs;
  std::vector<Table> tables;
  std::vector<Memory> memories;
  std::vector<Tag> tags;
  std::vector<Global> globals;
  std::vector<Export> exports;
  std::optional<uint32_t> start;
  std::vector<ElemSegment> elems;
  std::vector<DataSegment> datas;
  std::vector<ConstOp> const_ops;      // Of all its extended constant expressions.
  std::optional<uint32_t> data_count;  // Spec: binary-datacountsec
  std::vector<CustomSection> customs;
  NameSection names;
  uint32_t imported_funcs = 0;
  uint32_t imported_tables = 0;
  uint32_t imported_memories = 0;
  uint32_t imported_globals = 0;
  uint32_t imported_tags = 0;
  uint64_t code_section_bytes = 0;

  [[nodiscard]] const FuncType& func_type(uint32_t func_index) const {
    return types[funcs[func_index].type_index];
  }
  [[nodiscard]] const FuncType& tag_type(uint32_t tag_index) const {
    return types[tags[tag_index].type_index];
  }
  [[nodiscard]] std::span<const std::byte> func_body(uint32_t func_index) const {
    return bytes.subspan(funcs[func_index].body_offset, funcs[func_index].body_bytes);
  }
  [[nodiscard]] bool is_imported_func(uint32_t func_index) const {
    return func_index < imported_funcs;
  }
  // The name section's name, or empty. O(log n).
  [[nodiscard]] std::string_view func_name(uint32_t func_index) const;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASM_MODULE_H_
