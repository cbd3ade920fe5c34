// Values and types in the text format's words, for people: messages, goldens, tools.
//
// Thread-safe.
#ifndef WASMD_ENGINE_TEXT_PRINT_H_
#define WASMD_ENGINE_TEXT_PRINT_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/wasm/module.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// "i32x4 0x00000001 0xffffffff 0x00000000 0x3f800000", as it follows v128.const.
std::string PrintV128(V128 value);
// A number as the text format writes it, such that reading it gives the same bits: integers signed
// and decimal, floats shortest decimal, "inf", "nan" (canonical) or "nan:0x200000". References:
// "null" or "ref:0x<bits>". A v128, whose upper half is `hi`, as PrintV128 does.
std::string PrintValue(ValType type, uint64_t bits, uint64_t hi = 0);

// "func", "extern" or "exn", of a reference type.
std::string_view PrintHeapType(ValType type);

// "func", "extern" or "exn", of a reference type.
std::string_view PrintHeapType(ValType type);

// "i32 i64", or empty.
std::string PrintTypes(std::span<const ValType> types);
// " (param i32 i32) (result i64)": each part with a space before it, and empty parts left out.
std::string PrintSignature(std::span<const ValType> params, std::span<const ValType> results);
// "(func (param i32) (result i64))", "(table 1 10 funcref)", "(memory 1)", "(global (mut i32))",
// "(tag (param i32))".
std::string Print(const FuncType& type);
std::string Print(const TableType& type);
std::string Print(const MemoryType& type);
std::string Print(const GlobalType& type);
std::string Print(const TagType& type);
// The type of what an import or export of this kind and index is. The index is one of the module's.
std::string PrintExternType(const Module& module, ExternKind kind, uint32_t index);
// "(i32.const 8)", "(global.get 0)", "(ref.func 3)", "(ref.null func)", "(global.get 0) (i32.const
// 8) (i32.add)".
std::string Print(const Module& module, const ConstExpr& expr);

// Types, imports, tables, memories, globals, exports, start, segments and functions by signature, a
// line each; no bodies.
std::string PrintModule(const Module& module);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TEXT_PRINT_H_
