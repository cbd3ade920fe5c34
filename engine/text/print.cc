#include "engine/text/print.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"

#include "engine/wasm/module.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

// `payload` is the mantissa's bits, `quiet` the one that a canonical NaN has alone.
template <typename Float>
std::string PrintFloat(Float value, uint64_t payload, uint64_t quiet) {
  const std::string sign = std::signbit(value) ? "-" : "";
  if (std::isnan(value)) {
    return payload == quiet ? sign + "nan" : sign + absl::StrFormat("nan:0x%x", payload);
  }
  if (std::isinf(value)) {
    return sign + "inf";
  }
  std::array<char, 64> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), result.ptr};
}

std::string PrintLimits(const Limits& limits, AddressType address) {
  const std::string_view type = address == AddressType::kI64 ? "i64 " : "";
  return limits.max.has_value() ? absl::StrFormat("%s%d %d", type, limits.min, *limits.max)
                                : absl::StrFormat("%s%d", type, limits.min);
}

// With quotes; anything that is not printable ASCII as \hh.
std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\' || c < 0x20 || c > 0x7e) {
      quoted += absl::StrFormat("\\%02x", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// In postfix order, as the binary has them.
std::string PrintConstOps(std::span<const ConstOp> ops) {
  std::string text;
  for (const ConstOp& op : ops) {
    absl::StrAppendFormat(&text, "%s(%s", text.empty() ? "" : " ", FindOpcode(op.op)->text);
    if (op.op == Opcode::kI32Const || op.op == Opcode::kI64Const) {
      text += ' ' + PrintValue(op.op == Opcode::kI32Const ? ValType::kI32 : ValType::kI64, op.bits);
    } else if (op.op == Opcode::kGlobalGet) {
      absl::StrAppendFormat(&text, " %d", op.bits);
    }
    text += ')';
  }
  return text;
}

std::string PrintElem(const Module& module, uint32_t index) {
  const ElemSegment& elem = module.elems[index];
  std::string text = absl::StrFormat("(elem %d ", index);
  switch (elem.mode) {
    case ElemSegment::Mode::kActive:
      text += absl::StrFormat("(table %d) %s ", elem.table_index, Print(module, elem.offset));
      break;
    case ElemSegment::Mode::kPassive:
      break;
    case ElemSegment::Mode::kDeclarative:
      text += "declare ";
      break;
  }
  return text + absl::StrFormat("%s %d elements)\n", ToString(elem.type), elem.init.size());
}

std::string PrintData(const Module& module, uint32_t index) {
  const DataSegment& data = module.datas[index];
  std::string text = absl::StrFormat("(data %d ", index);
  if (data.is_active) {
    text += absl::StrFormat("(memory %d) %s ", data.memory_index, Print(module, data.offset));
  }
  return text + absl::StrFormat("%d bytes)\n", data.bytes_size);
}

}  // namespace

std::string PrintValue(ValType type, uint64_t bits) {
  switch (type) {
    case ValType::kI32:
      return absl::StrFormat("%d", static_cast<int32_t>(bits));
    case ValType::kI64:
      return absl::StrFormat("%d", static_cast<int64_t>(bits));
    case ValType::kF32:
      return PrintFloat(std::bit_cast<float>(static_cast<uint32_t>(bits)), bits & 0x7f'ffff,
                        0x40'0000);
    case ValType::kF64:
      return PrintFloat(std::bit_cast<double>(bits), bits & 0xf'ffff'ffff'ffff, 0x8'0000'0000'0000);
    case ValType::kFuncRef:
    case ValType::kExternRef:
    case ValType::kExnRef:
      return bits == 0 ? "null" : absl::StrFormat("ref:0x%x", bits);
    case ValType::kBottom:
    case ValType::kV128:
      break;
  }
  return absl::StrFormat("0x%x", bits);
}

std::string_view PrintHeapType(ValType type) {
  switch (type) {
    case ValType::kExternRef:
      return "extern";
    case ValType::kExnRef:
      return "exn";
    default:
      return "func";
  }
}

std::string PrintTypes(std::span<const ValType> types) {
  std::string text;
  for (const ValType type : types) {
    if (!text.empty()) {
      text += ' ';
    }
    text += ToString(type);
  }
  return text;
}

std::string PrintSignature(std::span<const ValType> params, std::span<const ValType> results) {
  std::string text;
  if (!params.empty()) {
    text += " (param " + PrintTypes(params) + ")";
  }
  if (!results.empty()) {
    text += " (result " + PrintTypes(results) + ")";
  }
  return text;
}

std::string Print(const FuncType& type) {
  return "(func" + PrintSignature(type.params, type.results) + ")";
}

std::string Print(const TableType& type) {
  return absl::StrFormat("(table %s %s)", PrintLimits(type.limits, type.address),
                         ToString(type.element));
}

std::string Print(const MemoryType& type) {
  return absl::StrFormat("(memory %s%s)", PrintLimits(type.limits, type.address),
                         type.page_shift == kWasmPageShift
                             ? std::string()
                             : absl::StrFormat(" (pagesize %d)", type.page_bytes()));
}

std::string Print(const GlobalType& type) {
  return type.is_mutable ? absl::StrFormat("(global (mut %s))", ToString(type.type))
                         : absl::StrFormat("(global %s)", ToString(type.type));
}

std::string Print(const TagType& type) {
  return "(tag" + PrintSignature(type.type.params, {}) + ")";
}

std::string PrintExternType(const Module& module, ExternKind kind, uint32_t index) {
  switch (kind) {
    case ExternKind::kFunc:
      return Print(module.func_type(index));
    case ExternKind::kTable:
      return Print(module.tables[index].type);
    case ExternKind::kMemory:
      return Print(module.memories[index].type);
    case ExternKind::kGlobal:
      return Print(module.globals[index].type);
    case ExternKind::kTag:
      return Print(TagType{module.tag_type(index)});
  }
  return "?";
}

std::string Print(const Module& module, const ConstExpr& expr) {
  switch (expr.kind) {
    case ConstExpr::Kind::kConst:
      return absl::StrFormat("(%s.const %s)", ToString(expr.type),
                             PrintValue(expr.type, expr.bits));
    case ConstExpr::Kind::kGlobalGet:
      return absl::StrFormat("(global.get %d)", expr.index);
    case ConstExpr::Kind::kRefNull:
      return absl::StrFormat("(ref.null %s)", PrintHeapType(expr.type));
    case ConstExpr::Kind::kRefFunc:
      return absl::StrFormat("(ref.func %d)", expr.index);
    case ConstExpr::Kind::kExtended:
      return PrintConstOps(std::span(module.const_ops).subspan(expr.index, expr.bits));
  }
  return "?";
}

std::string PrintModule(const Module& module) {
  std::string text;
  for (size_t i = 0; i < module.types.size(); ++i) {
    text += absl::StrFormat("(type %d %s)\n", i, Print(module.types[i]));
  }
  for (const Import& import : module.imports) {
    text += absl::StrFormat("(import %s %s %s)\n", Quote(import.module), Quote(import.name),
                            PrintExternType(module, import.kind, import.index));
  }
  for (size_t i = module.imported_tables; i < module.tables.size(); ++i) {
    text += absl::StrFormat("%s ;; %d\n", Print(module.tables[i].type), i);
  }
  for (size_t i = module.imported_memories; i < module.memories.size(); ++i) {
    text += absl::StrFormat("%s ;; %d\n", Print(module.memories[i].type), i);
  }
  for (uint32_t i = module.imported_tags; i < module.tags.size(); ++i) {
    text += absl::StrFormat("%s ;; %d\n", PrintExternType(module, ExternKind::kTag, i), i);
  }
  for (size_t i = module.imported_globals; i < module.globals.size(); ++i) {
    const Global& global = module.globals[i];
    text += absl::StrFormat("%s = %s ;; %d\n", Print(global.type), Print(module, global.init), i);
  }
  for (const Export& exported : module.exports) {
    text += absl::StrFormat("(export %s (%s %d))\n", Quote(exported.name), ToString(exported.kind),
                            exported.index);
  }
  if (module.start.has_value()) {
    text += absl::StrFormat("(start %d)\n", *module.start);
  }
  for (uint32_t i = 0; i < module.elems.size(); ++i) {
    text += PrintElem(module, i);
  }
  for (uint32_t i = 0; i < module.datas.size(); ++i) {
    text += PrintData(module, i);
  }
  for (uint32_t i = module.imported_funcs; i < module.funcs.size(); ++i) {
    const std::string_view name = module.func_name(i);
    text += absl::StrFormat("%s ;; %d%s%s, %d bytes at 0x%x\n", Print(module.func_type(i)), i,
                            name.empty() ? "" : " ", name, module.funcs[i].body_bytes,
                            module.funcs[i].body_offset);
  }
  return text;
}

}  // namespace wasmd::engine
