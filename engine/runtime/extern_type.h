// ExternType: the type of an import or export, and how it prints. Plain values. Spec:
// syntax-externtype
#ifndef WASMD_ENGINE_RUNTIME_EXTERN_TYPE_H_
#define WASMD_ENGINE_RUNTIME_EXTERN_TYPE_H_

#include <string>
#include <variant>
#include <vector>

#include "engine/wasm/module.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// In the order of ExternKind.
using ExternType = std::variant<FuncType, TableType, MemoryType, GlobalType, TagType>;

inline ExternKind KindOf(const ExternType& type) {
  return static_cast<ExternKind>(type.index());
}

struct ImportType {
  std::string module;
  std::string name;
  ExternType type;
};

struct ExportType {
  std::string name;
  ExternType type;
};

// "(func (param i32 i32) (result i64))", "(table 10 20 funcref)", "(memory 1 2)", "(global (mut
// i32))", "(tag (param i32))".
std::string ToString(const FuncType& type);
std::string ToString(const ExternType& type);

// The type of entry `index` of the module's index space of `kind`.
ExternType ExternTypeOf(const Module& module, ExternKind kind, uint32_t index);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_EXTERN_TYPE_H_
