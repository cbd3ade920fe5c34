#include "engine/validate/function_walker.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

#include "engine/base/check.h"
#include "engine/binary/binary_error.h"
#include "engine/binary/leb128.h"
#include "engine/binary/unsupported.h"
#include "engine/validate/function_sink.h"
#include "engine/wasm/features.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/module.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

constexpr uint32_t kFirstOperandCapacity = 1024;
// Of a body between two looks at the cancel flag: well below a millisecond.
constexpr ptrdiff_t kStepBytes = 64 << 10;
// Declared locals that are laid out for every sink. Functions of real programs have fewer.
constexpr uint32_t kFlatLocals = 512;

// A block type that is one value type refers to an array that outlives the walk.
constexpr ValType kOneI32[] = {ValType::kI32};
constexpr ValType kOneI64[] = {ValType::kI64};
constexpr ValType kOneF32[] = {ValType::kF32};
constexpr ValType kOneF64[] = {ValType::kF64};
constexpr ValType kOneV128[] = {ValType::kV128};
constexpr ValType kOneFuncRef[] = {ValType::kFuncRef};
constexpr ValType kOneExternRef[] = {ValType::kExternRef};
constexpr ValType kOneExnRef[] = {ValType::kExnRef};

// Empty: `code` is no value type that we take.
std::span<const ValType> OneValType(uint8_t code, const FeatureSet& features) {
  switch (code) {
    case 0x7f:
      return kOneI32;
    case 0x7e:
      return kOneI64;
    case 0x7d:
      return kOneF32;
    case 0x7c:
      return kOneF64;
    case 0x7b:
      return features.Has(Feature::kSimd) ? std::span<const ValType>(kOneV128)
                                          : std::span<const ValType>();
    case 0x70:
      return kOneFuncRef;
    case 0x6f:
      return kOneExternRef;
    case 0x69:
      return kOneExnRef;
    default:
      return {};
  }
}

}  // namespace

FunctionWalkerBase::FunctionWalkerBase(const Module& module, uint32_t func_index,
                                       WalkerScratch& scratch)
    : module_(module),
      scratch_(scratch),
      func_index_(func_index),
      has_memory_(!module.memories.empty()),
      address0_(has_memory_ ? ValTypeOf(module.memories[0].type.address) : ValType::kBottom),
      module_begin_(reinterpret_cast<const uint8_t*>(module.bytes.data())),
      pos_(module_begin_ + module.funcs[func_index].body_offset),
      end_(pos_ + module.funcs[func_index].body_bytes),
      instruction_(pos_) {
  WASMD_DCHECK(!module.is_imported_func(func_index));
}

absl::Status FunctionWalkerBase::error() const {
  if (is_cancelled_) {
    return absl::CancelledError("loading was cancelled");
  }
  if (error_.ok()) {
    return is_stopped_ ? absl::AbortedError("the walk was stopped by its sink") : absl::OkStatus();
  }
  const std::string_view name = module_.func_name(func_index_);
  return error_.ToStatus(name.empty() ? absl::StrFormat("function %d", func_index_)
                                      : absl::StrFormat("function %d (%s)", func_index_, name));
}

// Spec: binary-code, valid-func
bool FunctionWalkerBase::Begin(bool wants_locals) {
  const FuncType& type = module_.func_type(func_index_);
  scratch_.frames.clear();
  scratch_.locals.assign(type.params.begin(), type.params.end());
  scratch_.local_runs.clear();
  uint32_t group_count = 0;
  if (!ReadU32(group_count)) {
    return false;
  }
  uint64_t total = scratch_.locals.size();
  const uint64_t flat = wants_locals ? kMaxFuncLocals : total + kFlatLocals;
  for (uint32_t i = 0; i < group_count; ++i) {
    instruction_ = pos_;
    uint32_t count = 0;
    ValType local = ValType::kBottom;
    if (!ReadU32(count) || !ReadValType(local)) {
      return false;
    }
    total += count;
    if (total > UINT32_MAX) {
      return Fail("too many locals");
    }
    if (total > kMaxFuncLocals) {
      error_.BeyondLimit(offset(), "locals", total, "kMaxFuncLocals", kMaxFuncLocals);
      return false;
    }
    scratch_.locals.resize(static_cast<size_t>(std::min(total, flat)), local);
    if (total > flat) {
      scratch_.local_runs.push_back({.end = static_cast<uint32_t>(total), .type = local});
    }
  }
  locals_ = scratch_.locals.data();
  flat_local_count_ = static_cast<uint32_t>(scratch_.locals.size());
  if (scratch_.operand_capacity == 0) {
    scratch_.operands = std::make_unique_for_overwrite<ValType[]>(kFirstOperandCapacity);
    scratch_.operand_capacity = kFirstOperandCapacity;
  }
  top_ = base_ = scratch_.operands.get();
  limit_ = base_ + scratch_.operand_capacity;
  scratch_.frames.push_back({.signature = {.params = {}, .results = type.results},
                             .height = 0,
                             .kind = ControlFrame::Kind::kFunction,
                             .is_polymorphic = false,
                             .is_shown = true,
                             .is_end_reached = false});
  return true;
}

bool FunctionWalkerBase::NextStep() {
  if (scratch_.cancel.IsSet()) {
    is_cancelled_ = true;
    return false;
  }
  step_end_ = pos_ + std::min(kStepBytes, end_ - pos_);
  return pos_ != end_;
}

bool FunctionWalkerBase::Finish() {
  if (is_cancelled_) {
    return false;
  }
  if (error_.ok() && !scratch_.frames.empty()) {
    FailAt(end_, "unexpected end of section or function");
  }
  return error_.ok();
}

bool FunctionWalkerBase::Fail(std::string message) {
  return FailAt(instruction_, std::move(message));
}

bool FunctionWalkerBase::FailAt(const uint8_t* at, std::string message) {
  error_.Invalid(OffsetOf(at), std::move(message));
  end_ = pos_;
  step_end_ = pos_;
  return false;
}

bool FunctionWalkerBase::FailUnknown(std::string_view what, uint32_t index) {
  return Fail(absl::StrFormat("unknown %s %d", what, index));
}

bool FunctionWalkerBase::FailLeb(LebError error) {
  return FailAt(pos_, error == LebError::kUnexpectedEnd ? "unexpected end of section or function"
                                                        : ToString(error));
}

bool FunctionWalkerBase::FailTypeCode(const uint8_t* at, std::string_view malformed) {
  const uint8_t code = *at;
  if (const std::optional<Feature> feature = UnsupportedTypeFeature(code)) {
    error_.Unsupported(OffsetOf(at), absl::StrFormat("type 0x%02x", code), *feature);
  }
  return FailAt(at, absl::StrFormat("%s 0x%02x", malformed, code));
}

bool FunctionWalkerBase::FailMismatch(ValType expected) {
  if (top_ == base_) {
    return Fail(absl::StrFormat("type mismatch: expected %s, found nothing", ToString(expected)));
  }
  return Fail(absl::StrFormat("type mismatch: expected %s, found %s", ToString(expected),
                              ToString(top_[-1])));
}

bool FunctionWalkerBase::FailAlignment(const uint8_t* at, uint32_t align) {
  return FailAt(
      at, align >= 0x80 ? "malformed memop flags" : "alignment must not be larger than natural");
}

bool FunctionWalkerBase::FailFeature(Opcode op) {
  const OpcodeInfo& info = *FindOpcode(op);
  error_.Unsupported(offset(), info.text, info.feature);
  return Fail({});
}

// Spec: binary-memarg
bool FunctionWalkerBase::ReadIndexedMemArg(const uint8_t* at, uint32_t align,
                                           uint32_t natural_align, MemArg& memarg) {
  constexpr uint32_t kHasMemoryIndex = 0x40;
  if (align >= 2 * kHasMemoryIndex || (align & kHasMemoryIndex) == 0) {
    return FailAlignment(at, align);
  }
  memarg = {.align = align & ~kHasMemoryIndex,
            .memory_index = 0,
            .offset = 0,
            .access_bytes = uint32_t{1} << natural_align};
  if (memarg.align > natural_align) {
    return FailAlignment(at, memarg.align);
  }
  if (!module_.features.Has(Feature::kMultiMemory)) {
    error_.Unsupported(OffsetOf(at), "a memory index in a memory access", Feature::kMultiMemory);
    return Fail({});
  }
  return ReadMemoryIndex(memarg.memory_index) && ReadOffset(memarg);
}

// Spec: valid-memarg
bool FunctionWalkerBase::ReadOffset(MemArg& memarg) {
  const uint8_t* const at = pos_;
  const LebError error = ReadLeb<uint64_t, 64>(pos_, end_, memarg.offset);
  if (error != LebError::kNone) {
    return FailLeb(error);
  }
  const bool is_32 = module_.memories[memarg.memory_index].type.address == AddressType::kI32;
  return !is_32 || memarg.offset <= UINT32_MAX || FailAt(at, "offset out of range");
}

bool FunctionWalkerBase::CheckMemoryIndex(const uint8_t* at, uint32_t index) {
  if (index >= module_.memories.size()) {
    return FailUnknown("memory", index);
  }
  // Until there were more, the only memory's index was the byte zero.
  if (pos_ - at != 1 && !module_.features.Has(Feature::kMultiMemory)) {
    return FailAt(at, "zero byte expected");
  }
  return true;
}

bool FunctionWalkerBase::FailOpcode(uint8_t byte, uint32_t sub) {
  const std::string name = IsOpcodePrefix(byte) ? absl::StrFormat("%02x %02x", byte, sub)
                                                : absl::StrFormat("%02x", byte);
  if (const std::optional<Feature> feature = UnsupportedOpcodeFeature(byte)) {
    error_.Unsupported(offset(), "opcode " + name, *feature);
  }
  return Fail("illegal opcode " + name);
}

bool FunctionWalkerBase::ReadU32Slow(uint32_t& value) {
  const LebError error = ReadLeb<uint32_t, 32>(pos_, end_, value);
  return error == LebError::kNone || FailLeb(error);
}

bool FunctionWalkerBase::ReadS32Slow(int32_t& value) {
  const LebError error = ReadLeb<int32_t, 32>(pos_, end_, value);
  return error == LebError::kNone || FailLeb(error);
}

bool FunctionWalkerBase::ReadS64(int64_t& value) {
  const LebError error = ReadLeb<int64_t, 64>(pos_, end_, value);
  return error == LebError::kNone || FailLeb(error);
}

bool FunctionWalkerBase::ReadValType(ValType& type) {
  if (pos_ == end_) {
    return FailLeb(LebError::kUnexpectedEnd);
  }
  const std::span<const ValType> one = OneValType(*pos_, module_.features);
  if (one.empty()) {
    return FailTypeCode(pos_, "malformed value type");
  }
  ++pos_;
  type = one[0];
  return true;
}

bool FunctionWalkerBase::ReadRefType(ValType& type) {
  const uint8_t* const at = pos_;
  if (!ReadValType(type)) {
    return false;
  }
  return IsRef(type) || FailTypeCode(at, "malformed reference type");
}

// A signed 33-bit number: what is negative are the value types' codes. Spec: binary-blocktype
bool FunctionWalkerBase::ReadBlockTypeSlow(BlockSignature& signature) {
  const uint8_t* const at = pos_;
  if (pos_ != end_) {
    const std::span<const ValType> one = OneValType(*pos_, module_.features);
    if (!one.empty()) {
      ++pos_;
      signature = {.params = {}, .results = one};
      return true;
    }
  }
  int64_t index = 0;
  const LebError error = ReadLeb<int64_t, 33>(pos_, end_, index);
  if (error != LebError::kNone) {
    return FailLeb(error);
  }
  if (index < 0) {
    return FailTypeCode(at, "malformed block type");
  }
  if (static_cast<uint64_t>(index) >= module_.types.size()) {
    return FailUnknown("type", static_cast<uint32_t>(index));
  }
  const FuncType& type = module_.types[static_cast<size_t>(index)];
  signature = {.params = type.params, .results = type.results};
  return true;
}

bool FunctionWalkerBase::FindLocal(uint32_t index, ValType& type) {
  const auto run =
      std::ranges::upper_bound(scratch_.local_runs, index, std::ranges::less{}, &LocalRun::end);
  if (run == scratch_.local_runs.end()) {
    return FailUnknown("local", index);
  }
  type = run->type;
  return true;
}

bool FunctionWalkerBase::ReadTableIndex(uint32_t& index, const TableType*& type) {
  if (!ReadU32(index)) {
    return false;
  }
  if (index >= module_.tables.size()) {
    return FailUnknown("table", index);
  }
  type = &module_.tables[index].type;
  return true;
}

bool FunctionWalkerBase::ReadElemIndex(uint32_t& index, ValType& type) {
  if (!ReadU32(index)) {
    return false;
  }
  if (index >= module_.elems.size()) {
    return FailUnknown("elem segment", index);
  }
  type = module_.elems[index].type;
  return true;
}

// The data section comes after the code: its count stands in a section of its own. Spec:
// binary-datacountsec
bool FunctionWalkerBase::ReadDataIndex(uint32_t& index) {
  if (!ReadU32(index)) {
    return false;
  }
  if (!module_.data_count.has_value()) {
    return Fail("data count section required");
  }
  return index < *module_.data_count || FailUnknown("data segment", index);
}

bool FunctionWalkerBase::ReadTagIndex(uint32_t& index) {
  if (!ReadU32(index)) {
    return false;
  }
  return index < module_.tags.size() || FailUnknown("tag", index);
}

bool FunctionWalkerBase::ReadClauses() {
  uint32_t count = 0;
  if (!ReadU32(count)) {
    return false;
  }
  scratch_.clauses.clear();
  for (uint32_t i = 0; i < count; ++i) {  // Each takes bytes: the body bounds them.
    CatchClause clause;
    if (pos_ == end_) {
      return FailLeb(LebError::kUnexpectedEnd);
    }
    if (*pos_ > static_cast<uint8_t>(CatchClause::Kind::kCatchAllRef)) {
      return FailAt(pos_, "malformed catch clause");
    }
    clause.kind = static_cast<CatchClause::Kind>(*pos_++);
    if ((clause.has_tag() && !ReadTagIndex(clause.tag_index)) || !ReadLabel(clause.depth)) {
      return false;
    }
    std::span<const ValType> operands = LabelTypes(frame(clause.depth));
    if (clause.has_ref()) {
      if (operands.empty() || operands.back() != ValType::kExnRef) {
        return Fail("type mismatch: the label of a catch clause takes no exnref");
      }
      operands = operands.first(operands.size() - 1);
    }
    const bool matches =
        clause.has_tag() ? std::ranges::equal(operands, module_.tag_type(clause.tag_index).params)
                         : operands.empty();
    if (!matches) {
      return Fail("type mismatch: the label of a catch clause does not take the tag's values");
    }
    NoteBranch(clause.depth);
    scratch_.clauses.push_back(clause);
  }
  return true;
}

bool FunctionWalkerBase::ReadTargets(uint32_t& default_depth) {
  uint32_t count = 0;
  if (!ReadU32(count)) {
    return false;
  }
  if (count > kMaxBrTableTargets) {
    error_.BeyondLimit(offset(), "targets of br_table", count, "kMaxBrTableTargets",
                       kMaxBrTableTargets);
    return Fail({});
  }
  scratch_.targets.clear();
  scratch_.targets.reserve(std::min(count, static_cast<uint32_t>(end_ - pos_)));
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t depth = 0;
    if (!ReadLabel(depth)) {
      return false;
    }
    scratch_.targets.push_back(depth);
  }
  return ReadLabel(default_depth);
}

// Without a branch in the loop, for several types at a time.
bool FunctionWalkerBase::TopIsOrBottom(std::span<const ValType> types) const {
  const ValType* const at = top_ - types.size();
  bool is_other = false;
  for (size_t i = 0; i < types.size(); ++i) {
    is_other |= (at[i] != types[i]) & (at[i] != ValType::kBottom);
  }
  return !is_other;
}

bool FunctionWalkerBase::PopSlow(ValType expected) {
  if (top_ == base_) {
    return scratch_.frames.back().is_polymorphic || FailMismatch(expected);
  }
  if (top_[-1] != expected && top_[-1] != ValType::kBottom) {
    return FailMismatch(expected);
  }
  --top_;
  return true;
}

bool FunctionWalkerBase::PopAnySlow(ValType& type) {
  type = ValType::kBottom;
  return scratch_.frames.back().is_polymorphic ||
         Fail("type mismatch: expected a value, found nothing");
}

bool FunctionWalkerBase::PopTypesSlow(std::span<const ValType> types) {
  for (size_t i = types.size(); i-- > 0;) {
    if (top_ == base_ && scratch_.frames.back().is_polymorphic) {
      return true;  // Whatever is left to pop: a thousand of them, at each two bytes.
    }
    if (!Pop(types[i])) {
      return false;
    }
  }
  return true;
}

bool FunctionWalkerBase::Grow(size_t count) {
  const auto used = static_cast<size_t>(top_ - scratch_.operands.get());
  if (used + count > kMaxOperands) {
    error_.BeyondLimit(offset(), "operands on the stack", used + count, "kMaxOperands",
                       kMaxOperands);
    return Fail({});
  }
  const auto capacity = static_cast<uint32_t>(std::min(
      std::max(used + count, size_t{scratch_.operand_capacity} * 2), size_t{kMaxOperands}));
  auto operands = std::make_unique_for_overwrite<ValType[]>(capacity);
  std::copy_n(scratch_.operands.get(), used, operands.get());
  base_ = operands.get() + (base_ - scratch_.operands.get());
  top_ = operands.get() + used;
  limit_ = operands.get() + capacity;
  scratch_.operands = std::move(operands);
  scratch_.operand_capacity = capacity;
  return true;
}

bool FunctionWalkerBase::PushFrame(ControlFrame::Kind kind, const BlockSignature& signature) {
  if (scratch_.frames.size() >= kMaxBlockDepth) [[unlikely]] {
    error_.BeyondLimit(offset(), "nested blocks", scratch_.frames.size() + 1, "kMaxBlockDepth",
                       kMaxBlockDepth);
    return Fail({});
  }
  const auto height = static_cast<uint32_t>(top_ - scratch_.operands.get());
  scratch_.frames.push_back({.signature = signature,
                             .height = height,
                             .kind = kind,
                             .is_polymorphic = false,
                             .is_shown = is_live_,
                             .is_end_reached = false});
  base_ = top_;
  return PushTypes(signature.params);
}

bool FunctionWalkerBase::CheckEndSlow(std::span<const ValType> types) {
  if (!PopTypesSlow(types)) {
    return false;
  }
  if (top_ != base_) {
    return Fail(absl::StrFormat(
        "type mismatch: %d values remain on the stack at the end of a block", top_ - base_));
  }
  return PushTypes(types);
}

// Every target takes as many operands as the default one, and each accepts the ones that are there.
// Spec: valid-br_table
bool FunctionWalkerBase::CheckTargets(uint32_t default_depth) {
  const std::span<const ValType> default_types = LabelTypes(frame(default_depth));
  std::span<const ValType> checked;
  for (const uint32_t depth : scratch_.targets) {
    const std::span<const ValType> types = LabelTypes(frame(depth));
    if (types.size() != default_types.size()) {
      return Fail("type mismatch: the targets of br_table differ in arity");
    }
    NoteBranch(depth);
    if (types.empty() || types.data() == checked.data()) {
      continue;
    }
    checked = types;
    // Pops and leaves as they were: a value of any type can be of a different type for each label.
    if (static_cast<size_t>(top_ - base_) >= types.size() && TopIs(types)) {
      continue;
    }
    ValType* at = top_;
    if (static_cast<size_t>(top_ - base_) >= types.size() && TopIsOrBottom(types)) {
      continue;
    }
    for (size_t i = types.size(); i-- > 0;) {
      if (at == base_) {
        if (!scratch_.frames.back().is_polymorphic) {
          return FailMismatch(types[i]);
        }
        break;
      }
      --at;
      if (*at != types[i] && *at != ValType::kBottom) {
        top_ = at + 1;
        return FailMismatch(types[i]);
      }
    }
  }
  NoteBranch(default_depth);
  return PopTypes(default_types);
}

}  // namespace wasmd::engine
