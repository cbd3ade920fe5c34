#include "engine/text/disassembler.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"

#include "engine/text/print.h"
#include "engine/validate/function_sink.h"
#include "engine/validate/function_walker.h"
#include "engine/wasm/module.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

// OnInstruction starts a line with offset and name; the member that follows adds the immediates.
class DisassemblySink : public NullSink {
 public:
  static constexpr bool kWantsUnreachable = true;

  DisassemblySink(const Module& module, uint32_t func_index)
      : module_(module), func_index_(func_index) {}

  void OnBegin(const FuncType& type, std::span<const ValType> locals) {
    text_ = absl::StrFormat("func %d%s%s", func_index_, NameOf(func_index_),
                            PrintSignature(type.params, type.results));
    if (const auto declared = locals.subspan(type.params.size()); !declared.empty()) {
      text_ += " (local " + PrintTypes(declared) + ")";
    }
  }
  void OnInstruction(Opcode op, uint32_t offset) {
    const OpcodeInfo* info = FindOpcode(op);
    // Deep nesting must not make the text quadratic.
    constexpr size_t kMaxIndent = 64;
    const size_t depth = op == Opcode::kEnd || op == Opcode::kElse ? depth_ - 1 : depth_;
    absl::StrAppendFormat(&text_, "\n0x%06x  %s%s", offset,
                          std::string(2 * std::min(depth, kMaxIndent), ' '),
                          info == nullptr ? "?" : info->text);
  }
  void OnFinish() { text_ += '\n'; }

  void OnBlock(const BlockSignature& signature) { Open(signature); }
  void OnLoop(const BlockSignature& signature) { Open(signature); }
  void OnIf(const BlockSignature& signature) { Open(signature); }
  void OnTryTable(const BlockSignature& signature, std::span<const CatchClause> clauses) {
    static constexpr std::string_view kNames[] = {"catch", "catch_ref", "catch_all",
                                                  "catch_all_ref"};
    Open(signature);
    for (const CatchClause& clause : clauses) {
      text_ += absl::StrFormat(" (%s", kNames[static_cast<size_t>(clause.kind)]);
      if (clause.has_tag()) {
        Add(clause.tag_index);
      }
      Add(clause.depth);
      text_ += ')';
    }
  }
  void OnThrow(uint32_t tag_index, const FuncType& /*type*/) { Add(tag_index); }
  void OnEnd(bool /*reachable*/) { --depth_; }
  void OnBr(uint32_t depth) { Add(depth); }
  void OnBrIf(uint32_t depth) { Add(depth); }
  void OnBrTable(std::span<const uint32_t> depths, uint32_t default_depth) {
    for (const uint32_t depth : depths) {
      Add(depth);
    }
    Add(default_depth);
  }
  void OnCall(uint32_t func_index, const FuncType& /*type*/) {
    Add(func_index);
    text_ += NameOf(func_index);
  }
  void OnCallIndirect(uint32_t /*type_index*/, uint32_t table_index, const FuncType& type) {
    Add(table_index);
    text_ += PrintSignature(type.params, type.results);
  }
  void OnReturnCall(uint32_t func_index, const FuncType& type) { OnCall(func_index, type); }
  void OnReturnCallIndirect(uint32_t type_index, uint32_t table_index, const FuncType& type) {
    OnCallIndirect(type_index, table_index, type);
  }
  void OnSelect(ValType type) {
    if (IsRef(type)) {
      text_ += PrintSignature({}, std::span(&type, 1));
    }
  }
  void OnLocalGet(uint32_t index, ValType /*type*/) { Add(index); }
  void OnLocalSet(uint32_t index, ValType /*type*/) { Add(index); }
  void OnLocalTee(uint32_t index, ValType /*type*/) { Add(index); }
  void OnGlobalGet(uint32_t index, const GlobalType& /*type*/) { Add(index); }
  void OnGlobalSet(uint32_t index, const GlobalType& /*type*/) { Add(index); }
  void OnConst(ValType type, uint64_t bits) { text_ += ' ' + PrintValue(type, bits); }
  void OnLoad(Opcode /*op*/, ValType /*type*/, const MemArg& memarg) { Add(memarg); }
  void OnStore(Opcode /*op*/, ValType /*type*/, const MemArg& memarg) { Add(memarg); }
  void OnMemorySize(uint32_t memory_index) { AddMemory(memory_index); }
  void OnMemoryGrow(uint32_t memory_index) { AddMemory(memory_index); }
  void OnMemoryFill(uint32_t memory_index) { AddMemory(memory_index); }
  void OnMemoryCopy(uint32_t to_memory, uint32_t from_memory) {
    if (to_memory != 0 || from_memory != 0) {
      Add(to_memory);
      Add(from_memory);
    }
  }
  void OnMemoryInit(uint32_t data_index, uint32_t memory_index) {
    AddMemory(memory_index);
    Add(data_index);
  }
  void OnDataDrop(uint32_t data_index) { Add(data_index); }
  void OnTableGet(uint32_t table_index, ValType /*element*/) { Add(table_index); }
  void OnTableSet(uint32_t table_index, ValType /*element*/) { Add(table_index); }
  void OnTableSize(uint32_t table_index) { Add(table_index); }
  void OnTableGrow(uint32_t table_index, ValType /*element*/) { Add(table_index); }
  void OnTableFill(uint32_t table_index, ValType /*element*/) { Add(table_index); }
  void OnTableCopy(uint32_t to_table, uint32_t from_table) {
    Add(to_table);
    Add(from_table);
  }
  void OnTableInit(uint32_t elem_index, uint32_t table_index) {
    Add(table_index);
    Add(elem_index);
  }
  void OnElemDrop(uint32_t elem_index) { Add(elem_index); }
  void OnRefNull(ValType type) { absl::StrAppendFormat(&text_, " %s", PrintHeapType(type)); }
  void OnRefFunc(uint32_t func_index) {
    Add(func_index);
    text_ += NameOf(func_index);
  }

  std::string TakeText() { return std::move(text_); }

 private:
  void Open(const BlockSignature& signature) {
    text_ += PrintSignature(signature.params, signature.results);
    ++depth_;
  }
  void Add(uint32_t index) { absl::StrAppendFormat(&text_, " %d", index); }
  // As in the text format, which lets the index 0 out.
  void AddMemory(uint32_t index) {
    if (index != 0) {
      Add(index);
    }
  }
  void Add(const MemArg& memarg) {
    AddMemory(memarg.memory_index);
    if (memarg.offset != 0) {
      absl::StrAppendFormat(&text_, " offset=%d", memarg.offset);
    }
    absl::StrAppendFormat(&text_, " align=%d", uint32_t{1} << memarg.align);
  }
  // With a space before it.
  [[nodiscard]] std::string NameOf(uint32_t func_index) const {
    const std::string_view name = module_.func_name(func_index);
    return name.empty() ? std::string() : absl::StrFormat(" $%s", name);
  }

  const Module& module_;
  const uint32_t func_index_;
  std::string text_;
  size_t depth_ = 1;  // Blocks that are open, the function's own included.
};

}  // namespace

absl::StatusOr<std::string> DisassembleFunction(const Module& module, uint32_t func_index) {
  DisassemblySink sink(module, func_index);
  WalkerScratch scratch;
  FunctionWalker<DisassemblySink> walker(module, func_index, sink, scratch);
  if (!walker.Run()) {
    return walker.error();
  }
  return sink.TakeText();
}

}  // namespace wasmd::engine
