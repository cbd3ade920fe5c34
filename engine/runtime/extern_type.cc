#include "engine/runtime/extern_type.h"

#include <span>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/str_cat.h"

namespace wasmd::engine {
namespace {

std::string TypeList(std::string_view word, std::span<const ValType> types) {
  if (types.empty()) {
    return "";
  }
  std::string text = StrCat(" (", word);
  for (const ValType type : types) {
    StrAppend(&text, " ", ToString(type));
  }
  return text + ")";
}

std::string LimitsText(const Limits& limits, AddressType address) {
  const std::string_view type = address == AddressType::kI64 ? "i64 " : "";
  return limits.max.has_value() ? StrCat(type, limits.min, " ", *limits.max)
                                : StrCat(type, limits.min);
}

struct Printer {
  std::string operator()(const FuncType& type) const { return ToString(type); }
  std::string operator()(const TableType& type) const {
    return StrCat("(table ", LimitsText(type.limits, type.address), " ", ToString(type.element),
                  ")");
  }
  std::string operator()(const MemoryType& type) const {
    return StrCat(
        "(memory ", LimitsText(type.limits, type.address),
        type.page_shift == kWasmPageShift ? "" : StrCat(" (pagesize ", type.page_bytes(), ")"),
        ")");
  }
  std::string operator()(const GlobalType& type) const {
    return type.is_mutable ? StrCat("(global (mut ", ToString(type.type), "))")
                           : StrCat("(global ", ToString(type.type), ")");
  }
  std::string operator()(const TagType& type) const {
    return StrCat("(tag", TypeList("param", type.type.params), ")");
  }
};

}  // namespace

std::string ToString(const FuncType& type) {
  return StrCat("(func", TypeList("param", type.params), TypeList("result", type.results), ")");
}

std::string ToString(const ExternType& type) {
  return std::visit(Printer(), type);
}

ExternType ExternTypeOf(const Module& module, ExternKind kind, uint32_t index) {
  switch (kind) {
    case ExternKind::kFunc:
      return module.func_type(index);
    case ExternKind::kTable:
      return module.tables[index].type;
    case ExternKind::kMemory:
      return module.memories[index].type;
    case ExternKind::kGlobal:
      return module.globals[index].type;
    case ExternKind::kTag:
      return TagType{module.tag_type(index)};
  }
  WASMD_UNREACHABLE();
}

}  // namespace wasmd::engine
