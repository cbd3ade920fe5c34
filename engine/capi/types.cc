// Names and types of wasm.h.
#include "engine/wasm/types.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/capi/objects.h"
#include "engine/capi/vec.h"
#include "engine/wasm/limits.h"

namespace wasmd::engine {

wasm_valkind_t KindOf(ValType type) {
  switch (type) {
    case ValType::kI32:
      return WASM_I32;
    case ValType::kI64:
      return WASM_I64;
    case ValType::kF32:
      return WASM_F32;
    case ValType::kF64:
      return WASM_F64;
    case ValType::kFuncRef:
      return WASM_FUNCREF;
    case ValType::kExternRef:
      return WASM_EXTERNREF;
    case ValType::kV128:
    case ValType::kExnRef:
    case ValType::kBottom:
      return kV128Kind;
  }
  return kV128Kind;
}

ValType ValTypeOf(wasm_valkind_t kind) {
  switch (kind) {
    case WASM_I32:
      return ValType::kI32;
    case WASM_I64:
      return ValType::kI64;
    case WASM_F32:
      return ValType::kF32;
    case WASM_F64:
      return ValType::kF64;
    case WASM_FUNCREF:
      return ValType::kFuncRef;
    case WASM_EXTERNREF:
      return ValType::kExternRef;
    default:
      return ValType::kBottom;
  }
}

namespace {

wasm_valtype_t* NewValType(ValType type) {
  return new wasm_valtype_t{KindOf(type)};
}

wasm_valtype_vec_t NewValTypes(const std::vector<ValType>& types) {
  wasm_valtype_vec_t vec;
  VecNew(&vec, types.size());
  for (size_t i = 0; i < vec.size; ++i) {
    vec.data[i] = NewValType(types[i]);
  }
  return vec;
}

wasm_limits_t NewLimits(const Limits& limits) {
  constexpr uint64_t kNone = 0xffff'ffff;
  return {static_cast<uint32_t>(std::min(limits.min, kNone)),
          static_cast<uint32_t>(std::min(limits.max.value_or(kNone), kNone))};
}

bool AppendTypes(const wasm_valtype_vec_t& from, size_t most, std::vector<ValType>& to) {
  if (from.size > most) {
    return false;
  }
  for (size_t i = 0; i < from.size; ++i) {
    const ValType type = from.data[i] == nullptr ? ValType::kBottom : ValTypeOf(from.data[i]->kind);
    if (type == ValType::kBottom) {
      return false;
    }
    to.push_back(type);
  }
  return true;
}

}  // namespace

std::optional<FuncType> FuncTypeOf(const wasm_functype_t& type) {
  FuncType result;
  if (!AppendTypes(type.params, kMaxFuncParams, result.params) ||
      !AppendTypes(type.results, kMaxFuncResults, result.results)) {
    return std::nullopt;
  }
  return result;
}

std::optional<Limits> LimitsOf(const wasm_limits_t& limits, uint64_t most) {
  Limits result{.min = limits.min, .max = std::nullopt};
  if (limits.max != wasm_limits_max_default) {
    if (limits.max < limits.min || limits.max > most) {
      return std::nullopt;
    }
    result.max = limits.max;
  }
  return limits.min > most ? std::nullopt : std::optional<Limits>(result);
}

wasm_functype_t* NewType(const FuncType& type) {
  return new wasm_functype_t{
      {WASM_EXTERN_FUNC}, NewValTypes(type.params), NewValTypes(type.results)};
}
wasm_globaltype_t* NewType(const GlobalType& type) {
  return new wasm_globaltype_t{
      {WASM_EXTERN_GLOBAL},
      NewValType(type.type),
      static_cast<wasm_mutability_t>(type.is_mutable ? WASM_VAR : WASM_CONST)};
}
wasm_tabletype_t* NewType(const TableType& type) {
  return new wasm_tabletype_t{
      {WASM_EXTERN_TABLE}, NewValType(type.element), NewLimits(type.limits)};
}
wasm_memorytype_t* NewType(const MemoryType& type) {
  return new wasm_memorytype_t{{WASM_EXTERN_MEMORY}, NewLimits(type.limits)};
}
wasm_tagtype_t* NewType(const TagType& /*type*/) {
  return new wasm_tagtype_t{{kTagExternKind}};
}
wasm_externtype_t* NewType(const ExternType& type) {
  return std::visit([](const auto& of) -> wasm_externtype_t* { return NewType(of); }, type);
}

wasm_name_t NewName(std::string_view text) {
  wasm_name_t name;
  VecNewFrom(&name, text.size(), text.data());
  return name;
}

namespace {

// Takes the vector's content over.
template <typename Vec>
Vec Take(Vec* vec) {
  return vec == nullptr ? Vec{0, nullptr} : std::exchange(*vec, Vec{0, nullptr});
}

template <typename To>
To* TypeAs(wasm_externtype_t* type, wasm_externkind_t kind) {
  return type != nullptr && type->kind == kind ? static_cast<To*>(type) : nullptr;
}
template <typename To>
const To* TypeAs(const wasm_externtype_t* type, wasm_externkind_t kind) {
  return type != nullptr && type->kind == kind ? static_cast<const To*>(type) : nullptr;
}

}  // namespace
}  // namespace wasmd::engine

using wasmd::engine::Take;
using wasmd::engine::TypeAs;

extern "C" {

WASMD_DEFINE_VEC(
    byte, wasm_byte_t, [](wasm_byte_t& to, wasm_byte_t from) { to = from; }, [](wasm_byte_t) {})

WASMD_DEFINE_POINTER_VEC(valtype)
WASMD_DEFINE_POINTER_VEC(functype)
WASMD_DEFINE_POINTER_VEC(globaltype)
WASMD_DEFINE_POINTER_VEC(tabletype)
WASMD_DEFINE_POINTER_VEC(memorytype)
WASMD_DEFINE_POINTER_VEC(externtype)
WASMD_DEFINE_POINTER_VEC(importtype)
WASMD_DEFINE_POINTER_VEC(exporttype)

wasm_valtype_t* wasm_valtype_new(wasm_valkind_t kind) {
  return wasmd::engine::ValTypeOf(kind) == wasmd::engine::ValType::kBottom
             ? nullptr
             : new wasm_valtype_t{kind};
}
void wasm_valtype_delete(wasm_valtype_t* type) {
  delete type;
}
wasm_valtype_t* wasm_valtype_copy(const wasm_valtype_t* type) {
  return new wasm_valtype_t(*type);
}
wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t* type) {
  return type->kind;
}

wasm_functype_t* wasm_functype_new(wasm_valtype_vec_t* params, wasm_valtype_vec_t* results) {
  return new wasm_functype_t{{WASM_EXTERN_FUNC}, Take(params), Take(results)};
}
void wasm_functype_delete(wasm_functype_t* type) {
  if (type != nullptr) {
    wasm_valtype_vec_delete(&type->params);
    wasm_valtype_vec_delete(&type->results);
    delete type;
  }
}
wasm_functype_t* wasm_functype_copy(const wasm_functype_t* type) {
  auto* const copy = new wasm_functype_t{{WASM_EXTERN_FUNC}, {}, {}};
  wasm_valtype_vec_copy(&copy->params, &type->params);
  wasm_valtype_vec_copy(&copy->results, &type->results);
  return copy;
}
const wasm_valtype_vec_t* wasm_functype_params(const wasm_functype_t* type) {
  return &type->params;
}
const wasm_valtype_vec_t* wasm_functype_results(const wasm_functype_t* type) {
  return &type->results;
}

wasm_globaltype_t* wasm_globaltype_new(wasm_valtype_t* content, wasm_mutability_t mutability) {
  return content == nullptr ? nullptr
                            : new wasm_globaltype_t{{WASM_EXTERN_GLOBAL}, content, mutability};
}
void wasm_globaltype_delete(wasm_globaltype_t* type) {
  if (type != nullptr) {
    delete type->content;
    delete type;
  }
}
wasm_globaltype_t* wasm_globaltype_copy(const wasm_globaltype_t* type) {
  return wasm_globaltype_new(wasm_valtype_copy(type->content), type->mutability);
}
const wasm_valtype_t* wasm_globaltype_content(const wasm_globaltype_t* type) {
  return type->content;
}
wasm_mutability_t wasm_globaltype_mutability(const wasm_globaltype_t* type) {
  return type->mutability;
}

wasm_tabletype_t* wasm_tabletype_new(wasm_valtype_t* element, const wasm_limits_t* limits) {
  return element == nullptr ? nullptr : new wasm_tabletype_t{{WASM_EXTERN_TABLE}, element, *limits};
}
void wasm_tabletype_delete(wasm_tabletype_t* type) {
  if (type != nullptr) {
    delete type->element;
    delete type;
  }
}
wasm_tabletype_t* wasm_tabletype_copy(const wasm_tabletype_t* type) {
  return wasm_tabletype_new(wasm_valtype_copy(type->element), &type->limits);
}
const wasm_valtype_t* wasm_tabletype_element(const wasm_tabletype_t* type) {
  return type->element;
}
const wasm_limits_t* wasm_tabletype_limits(const wasm_tabletype_t* type) {
  return &type->limits;
}

wasm_memorytype_t* wasm_memorytype_new(const wasm_limits_t* limits) {
  return new wasm_memorytype_t{{WASM_EXTERN_MEMORY}, *limits};
}
void wasm_memorytype_delete(wasm_memorytype_t* type) {
  delete type;
}
wasm_memorytype_t* wasm_memorytype_copy(const wasm_memorytype_t* type) {
  return new wasm_memorytype_t(*type);
}
const wasm_limits_t* wasm_memorytype_limits(const wasm_memorytype_t* type) {
  return &type->limits;
}

wasm_externkind_t wasm_externtype_kind(const wasm_externtype_t* type) {
  return type->kind;
}
void wasm_externtype_delete(wasm_externtype_t* type) {
  if (type == nullptr) {
    return;
  }
  switch (type->kind) {
    case WASM_EXTERN_FUNC:
      return wasm_functype_delete(static_cast<wasm_functype_t*>(type));
    case WASM_EXTERN_GLOBAL:
      return wasm_globaltype_delete(static_cast<wasm_globaltype_t*>(type));
    case WASM_EXTERN_TABLE:
      return wasm_tabletype_delete(static_cast<wasm_tabletype_t*>(type));
    case WASM_EXTERN_MEMORY:
      return wasm_memorytype_delete(static_cast<wasm_memorytype_t*>(type));
    case wasmd::engine::kTagExternKind:
      delete static_cast<wasm_tagtype_t*>(type);
      return;
    default:
      return;
  }
}
wasm_externtype_t* wasm_externtype_copy(const wasm_externtype_t* type) {
  switch (type->kind) {
    case WASM_EXTERN_FUNC:
      return wasm_functype_copy(wasm_externtype_as_functype_const(type));
    case WASM_EXTERN_GLOBAL:
      return wasm_globaltype_copy(wasm_externtype_as_globaltype_const(type));
    case WASM_EXTERN_TABLE:
      return wasm_tabletype_copy(wasm_externtype_as_tabletype_const(type));
    case WASM_EXTERN_MEMORY:
      return wasm_memorytype_copy(wasm_externtype_as_memorytype_const(type));
    case wasmd::engine::kTagExternKind:
      return new wasm_tagtype_t(*static_cast<const wasm_tagtype_t*>(type));
    default:
      return nullptr;
  }
}

#define WASMD_DEFINE_EXTERNTYPE(name, kind)                                                 \
  wasm_externtype_t* wasm_##name##_as_externtype(wasm_##name##_t* type) {                   \
    return type;                                                                            \
  }                                                                                         \
  const wasm_externtype_t* wasm_##name##_as_externtype_const(const wasm_##name##_t* type) { \
    return type;                                                                            \
  }                                                                                         \
  wasm_##name##_t* wasm_externtype_as_##name(wasm_externtype_t* type) {                     \
    return TypeAs<wasm_##name##_t>(type, kind);                                             \
  }                                                                                         \
  const wasm_##name##_t* wasm_externtype_as_##name##_const(const wasm_externtype_t* type) { \
    return TypeAs<wasm_##name##_t>(type, kind);                                             \
  }
WASMD_DEFINE_EXTERNTYPE(functype, WASM_EXTERN_FUNC)
WASMD_DEFINE_EXTERNTYPE(globaltype, WASM_EXTERN_GLOBAL)
WASMD_DEFINE_EXTERNTYPE(tabletype, WASM_EXTERN_TABLE)
WASMD_DEFINE_EXTERNTYPE(memorytype, WASM_EXTERN_MEMORY)
#undef WASMD_DEFINE_EXTERNTYPE

wasm_importtype_t* wasm_importtype_new(wasm_name_t* module, wasm_name_t* name,
                                       wasm_externtype_t* type) {
  return new wasm_importtype_t{Take(module), Take(name), type};
}
void wasm_importtype_delete(wasm_importtype_t* type) {
  if (type != nullptr) {
    wasm_byte_vec_delete(&type->module);
    wasm_byte_vec_delete(&type->name);
    wasm_externtype_delete(type->type);
    delete type;
  }
}
wasm_importtype_t* wasm_importtype_copy(const wasm_importtype_t* type) {
  auto* const copy = new wasm_importtype_t{{}, {}, wasm_externtype_copy(type->type)};
  wasm_byte_vec_copy(&copy->module, &type->module);
  wasm_byte_vec_copy(&copy->name, &type->name);
  return copy;
}
const wasm_name_t* wasm_importtype_module(const wasm_importtype_t* type) {
  return &type->module;
}
const wasm_name_t* wasm_importtype_name(const wasm_importtype_t* type) {
  return &type->name;
}
const wasm_externtype_t* wasm_importtype_type(const wasm_importtype_t* type) {
  return type->type;
}

wasm_exporttype_t* wasm_exporttype_new(wasm_name_t* name, wasm_externtype_t* type) {
  return new wasm_exporttype_t{Take(name), type};
}
void wasm_exporttype_delete(wasm_exporttype_t* type) {
  if (type != nullptr) {
    wasm_byte_vec_delete(&type->name);
    wasm_externtype_delete(type->type);
    delete type;
  }
}
wasm_exporttype_t* wasm_exporttype_copy(const wasm_exporttype_t* type) {
  auto* const copy = new wasm_exporttype_t{{}, wasm_externtype_copy(type->type)};
  wasm_byte_vec_copy(&copy->name, &type->name);
  return copy;
}
const wasm_name_t* wasm_exporttype_name(const wasm_exporttype_t* type) {
  return &type->name;
}
const wasm_externtype_t* wasm_exporttype_type(const wasm_exporttype_t* type) {
  return type->type;
}

}  // extern "C"
