// FunctionWalker<Sink>: decodes and validates one function body and tells a sink what it sees
// (function_sink.h).
//
// The one pass over code that the engine has: validator, compilers, analyses and disassembler are
// its sinks. It follows the algorithm of the spec's appendix: a stack of operand types and a stack
// of control frames, both in a WalkerScratch that is reused, so that a walk allocates nothing once
// the scratch has grown. Every rule that comes from a signature is generated from opcodes.def at
// compile time; a row whose signature is empty needs a Visit overload, or this does not compile.
//
// No recursion: nesting costs a frame of the control stack, up to kMaxBlockDepth.
// Thread-compatible; any number of walkers may read one module, each with its own scratch. Spec:
// valid-instr, algo-valid
#ifndef WASMD_ENGINE_VALIDATE_FUNCTION_WALKER_H_
#define WASMD_ENGINE_VALIDATE_FUNCTION_WALKER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "engine/base/cancel_flag.h"
#include "engine/binary/binary_error.h"
#include "engine/binary/leb128.h"
#include "engine/validate/function_sink.h"
#include "engine/wasm/module.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// A block that has been entered and not left. Spec: algo-valid
struct ControlFrame {
  enum class Kind : uint8_t { kFunction, kBlock, kLoop, kIf, kElse };

  BlockSignature signature;
  uint32_t height = 0;  // Of the operand stack, below the block's parameters.
  Kind kind = Kind::kFunction;
  bool is_polymorphic = false;  // Past an unconditional branch: operands of any type can be popped.
  bool is_shown = false;        // The block begins in reachable code.
  bool is_end_reached =
      false;  // By a branch that was shown, or by the `then` arm of an `if` that has an `else`.
};

// Locals up to `end`, from where the run before it ends, are of one type.
struct LocalRun {
  uint32_t end = 0;
  ValType type = ValType::kBottom;
};

// The memory of a walk, for reuse. Thread-compatible: one walker at a time.
struct WalkerScratch {
  std::unique_ptr<ValType[]> operands;
  uint32_t operand_capacity = 0;
  std::vector<ControlFrame> frames;
  std::vector<ValType> locals;  // All of them, or the first ones.
  std::vector<LocalRun> local_runs;
  std::vector<uint32_t> targets;
  std::vector<CatchClause> clauses;
  // Looked at every kStepBytes of a body. Set, it ends the walk with kCancelled.
  CancelFlag cancel;
};

namespace walker_internal {

// What an instruction with prefix 0xfd is to a sink.
enum class VectorShape : uint8_t {
  kPlain,
  kConst,
  kShuffle,
  kLane,
  kLoad,  // From here on accesses to memory.
  kStore,
  kLoadLane,
  kStoreLane
};

struct VectorInstruction {
  Opcode op;
  VectorShape shape;
  uint8_t lane;
  MemArg memarg;
  const uint8_t* bytes;  // kConst, kShuffle: 16.
};

}  // namespace walker_internal

// What does not depend on the sink: state, operand stack, immediates, errors.
class FunctionWalkerBase {
 public:
  FunctionWalkerBase(const FunctionWalkerBase&) = delete;
  FunctionWalkerBase& operator=(const FunctionWalkerBase&) = delete;

  // After Run returned false. kInvalidArgument, kUnimplemented or kResourceExhausted with function
  // and byte offset; kAborted: the sink stopped the walk and knows why; kCancelled.
  absl::Status error() const;
  // Of the instruction that is being visited, in the module's bytes.
  [[nodiscard]] uint32_t offset() const { return OffsetOf(instruction_); }

 protected:
  FunctionWalkerBase(const Module& module, uint32_t func_index, WalkerScratch& scratch);
  ~FunctionWalkerBase() = default;

  // Reads the local declarations and enters the function's block.
  bool Begin(bool wants_locals);
  // Whether there is more to walk, up to step_end_.
  [[nodiscard]] bool NextStep();
  // After the last byte of the body.
  bool Finish();

  uint32_t OffsetOf(const uint8_t* at) const { return static_cast<uint32_t>(at - module_begin_); }

  // --- Errors. The first one ends the walk: the position moves to the end. All return false.
  [[gnu::cold, gnu::noinline]] bool Fail(std::string message);
  [[gnu::cold, gnu::noinline]] bool FailAt(const uint8_t* at, std::string message);
  [[gnu::cold, gnu::noinline]] bool FailUnknown(std::string_view what, uint32_t index);
  [[gnu::cold, gnu::noinline]] bool FailLeb(LebError error);
  [[gnu::cold, gnu::noinline]] bool FailTypeCode(const uint8_t* at, std::string_view malformed);
  [[gnu::cold, gnu::noinline]] bool FailMismatch(ValType expected);
  [[gnu::cold, gnu::noinline]] bool FailAlignment(const uint8_t* at, uint32_t align);
  [[gnu::cold, gnu::noinline]] bool FailFeature(Opcode op);
  // `sub` follows a prefix byte.
  [[gnu::cold, gnu::noinline]] bool FailOpcode(uint8_t byte, uint32_t sub);

  // --- Immediates.
  [[gnu::always_inline]] bool ReadU32(uint32_t& value) {
    if (pos_ != end_ && *pos_ < 0x80) [[likely]] {
      value = *pos_++;
      return true;
    }
    return ReadU32Slow(value);
  }
  [[gnu::noinline]] bool ReadU32Slow(uint32_t& value);
  [[gnu::always_inline]] bool ReadS32(int32_t& value) {
    if (pos_ != end_ && *pos_ < 0x80) [[likely]] {
      value = static_cast<int8_t>(*pos_++ << 1) >> 1;
      return true;
    }
    return ReadS32Slow(value);
  }
  [[gnu::noinline]] bool ReadS32Slow(int32_t& value);
  bool ReadS64(int64_t& value);
  template <typename Bits>
  bool ReadFixed(Bits& value) {
    if (static_cast<size_t>(end_ - pos_) < sizeof(value)) [[unlikely]] {
      return FailLeb(LebError::kUnexpectedEnd);
    }
    std::memcpy(&value, pos_, sizeof(value));
    pos_ += sizeof(value);
    return true;
  }
  // Reads what follows the prefix 0xfd, checks it and applies the signature. Out of line and by a
  // table at run time: these are more than all other instructions together.
  bool ApplyVector(walker_internal::VectorInstruction& instruction);
  bool ReadLane(uint32_t lane_count, uint8_t& lane);
  bool ReadRefType(ValType& type);
  bool ReadValType(ValType& type);
  [[gnu::always_inline]] bool ReadBlockType(BlockSignature& signature) {
    if (pos_ != end_ && *pos_ == 0x40) [[likely]] {
      ++pos_;
      signature = {};
      return true;
    }
    return ReadBlockTypeSlow(signature);
  }
  [[gnu::noinline]] bool ReadBlockTypeSlow(BlockSignature& signature);
  // Also checks that the memory exists and the alignment's bound. Spec: valid-memarg
  [[gnu::always_inline]] bool ReadMemArg(uint32_t natural_align, MemArg& memarg) {
    const uint8_t* const at = pos_;
    uint32_t align = 0;
    if (!ReadU32(align)) {
      return false;
    }
    if (align > natural_align) [[unlikely]] {
      return ReadIndexedMemArg(at, align, natural_align, memarg);
    }
    memarg = {.align = align,
              .memory_index = 0,
              .offset = 0,
              .access_bytes = uint32_t{1} << natural_align};
    if (!has_memory_) [[unlikely]] {
      return FailUnknown("memory", 0);
    }
    if (pos_ != end_ && *pos_ < 0x80) [[likely]] {
      memarg.offset = *pos_++;
      return true;
    }
    return ReadOffset(memarg);
  }
  // The alignment, which was at `at`, is too large, or says that a memory index follows.
  [[gnu::noinline]] bool ReadIndexedMemArg(const uint8_t* at, uint32_t align,
                                           uint32_t natural_align, MemArg& memarg);
  [[gnu::noinline]] bool ReadOffset(MemArg& memarg);
  [[gnu::always_inline]] bool ReadMemoryIndex(uint32_t& index) {
    const uint8_t* const at = pos_;
    return ReadU32(index) && CheckMemoryIndex(at, index);
  }
  bool CheckMemoryIndex(const uint8_t* at, uint32_t index);
  // The types of addresses. The index is one of the module's.
  ValType MemoryAddress(uint32_t memory_index) const {
    return memory_index == 0 ? address0_ : ValTypeOf(module_.memories[memory_index].type.address);
  }
  static ValType TableAddress(const TableType& type) { return ValTypeOf(type.address); }
  // Of a length that both bound. Spec: syntax-addrtype
  static ValType Narrower(ValType a, ValType b) { return a == ValType::kI64 ? b : a; }
  // A local that is not in locals_, which may be none.
  [[gnu::noinline]] bool FindLocal(uint32_t index, ValType& type);
  bool ReadTableIndex(uint32_t& index, const TableType*& type);
  bool ReadElemIndex(uint32_t& index, ValType& type);
  bool ReadDataIndex(uint32_t& index);
  // Into scratch_.targets.
  bool ReadTargets(uint32_t& default_depth);
  bool ReadTagIndex(uint32_t& index);
  // Into scratch_.clauses, each checked against its label. The block's parameters have been popped.
  // Spec: valid-catch
  bool ReadClauses();
  // Depth of a label.
  [[gnu::always_inline]] bool ReadLabel(uint32_t& depth) {
    if (!ReadU32(depth)) {
      return false;
    }
    return depth < scratch_.frames.size() || FailUnknown("label", depth);
  }

  // --- Operands. Between instructions [operands, top_) are the operand types and [base_, top_) the
  // ones of the innermost frame.
  [[gnu::always_inline]] bool Pop(ValType expected) {
    if (top_ != base_ && top_[-1] == expected) [[likely]] {
      --top_;
      return true;
    }
    return PopSlow(expected);
  }
  [[gnu::noinline]] bool PopSlow(ValType expected);
  // In the order of the signature.
  bool Pop3(ValType first, ValType second, ValType third) {
    return Pop(third) && Pop(second) && Pop(first);
  }
  [[gnu::always_inline]] bool PopAny(ValType& type) {
    if (top_ != base_) [[likely]] {
      type = *--top_;
      return true;
    }
    return PopAnySlow(type);
  }
  [[gnu::noinline]] bool PopAnySlow(ValType& type);
  [[gnu::always_inline]] bool PopTypes(std::span<const ValType> types) {
    const size_t size = types.size();
    if (static_cast<size_t>(top_ - base_) >= size && TopIs(types)) [[likely]] {
      top_ -= size;
      return true;
    }
    return PopTypesSlow(types);
  }
  [[gnu::noinline]] bool PopTypesSlow(std::span<const ValType> types);
  [[gnu::always_inline]] bool Push(ValType type) {
    if (top_ == limit_ && !Grow(1)) [[unlikely]] {
      return false;
    }
    *top_++ = type;
    return true;
  }
  [[gnu::always_inline]] bool PushTypes(std::span<const ValType> types) {
    if (static_cast<size_t>(limit_ - top_) < types.size() && !Grow(types.size())) [[unlikely]] {
      return false;
    }
    if (types.size() > kLongSignature) {
      std::memcpy(top_, types.data(), types.size_bytes());
      top_ += types.size();
      return true;
    }
    for (const ValType type : types) {
      *top_++ = type;
    }
    return true;
  }
  // Makes room for `count` more operands. Fails beyond kMaxOperands.
  [[gnu::cold, gnu::noinline]] bool Grow(size_t count);

  // --- Control.
  ControlFrame& frame(uint32_t depth) {
    return scratch_.frames[scratch_.frames.size() - 1 - depth];
  }
  // The block's parameters have been popped.
  bool PushFrame(ControlFrame::Kind kind, const BlockSignature& signature);
  // Leaves exactly `types` above the frame's base; anything else is a mismatch.
  [[gnu::always_inline]] bool CheckEnd(std::span<const ValType> types) {
    if (static_cast<size_t>(top_ - base_) == types.size() && TopIs(types)) [[likely]] {
      return true;
    }
    return CheckEndSlow(types);
  }
  [[gnu::noinline]] bool CheckEndSlow(std::span<const ValType> types);
  // The operands that a branch to `target` takes. Spec: algo-valid (label_types)
  static std::span<const ValType> LabelTypes(const ControlFrame& target) {
    return target.kind == ControlFrame::Kind::kLoop ? target.signature.params
                                                    : target.signature.results;
  }
  bool CheckTargets(uint32_t default_depth);
  void NoteBranch(uint32_t depth) {
    ControlFrame& target = frame(depth);
    target.is_end_reached |= is_live_ && target.kind != ControlFrame::Kind::kLoop;
  }
  void MarkUnreachable() {
    top_ = base_;
    scratch_.frames.back().is_polymorphic = true;
    is_live_ = false;
  }
  // Leaves the innermost frame.
  void PopFrame() {
    scratch_.frames.pop_back();
    if (!scratch_.frames.empty()) {
      base_ = scratch_.operands.get() + scratch_.frames.back().height;
    }
  }

  // From here on, one call to copy or compare is cheaper than a loop. A hostile module can have a
  // thousand types for each two bytes of code.
  static constexpr size_t kLongSignature = 8;
  [[gnu::always_inline]] [[nodiscard]] bool TopIs(std::span<const ValType> types) const {
    const ValType* at = top_ - types.size();
    if (types.size() > kLongSignature) {
      return std::memcmp(at, types.data(), types.size_bytes()) == 0;
    }
    for (const ValType type : types) {
      if (*at++ != type) {
        return false;
      }
    }
    return true;
  }

  [[nodiscard]] bool TopIsOrBottom(std::span<const ValType> types) const;

  const Module& module_;
  WalkerScratch& scratch_;
  const uint32_t func_index_;
  const bool has_memory_;
  const ValType address0_;  // Of memory 0, if there is one.
  bool is_live_ = true;     // Reachable: what the sink is shown.
  bool is_stopped_ = false;
  bool is_cancelled_ = false;
  const uint8_t* const module_begin_;
  const uint8_t* pos_;
  const uint8_t* end_;
  const uint8_t* step_end_ = nullptr;  // An instruction may begin before it, and end behind.
  const uint8_t* instruction_;
  ValType* top_ = nullptr;
  ValType* base_ = nullptr;
  ValType* limit_ = nullptr;
  const ValType* locals_ = nullptr;
  uint32_t flat_local_count_ = 0;  // Of locals_. More are in scratch_.local_runs alone.
  BinaryError error_;
};

// Compile-time readings of the opcode table's columns.
namespace walker_internal {

template <Opcode kOp>
inline constexpr const OpcodeInfo& kInfo = *FindOpcode(kOp);

struct Signature {
  ValType params[4] = {};
  uint32_t param_count = 0;
  ValType result = ValType::kBottom;  // kBottom: none.
};

constexpr ValType TypeOfLetter(char letter) {
  switch (letter) {
    case 'a':  // The address type: known only with the memory or table.
    case 't':
    case 'i':
      return ValType::kI32;
    case 'l':
      return ValType::kI64;
    case 'f':
      return ValType::kF32;
    case 'd':
      return ValType::kF64;
    case 'v':
      return ValType::kV128;
    default:
      return ValType::kBottom;
  }
}

constexpr Signature ParseSignature(std::string_view text) {
  Signature signature;
  bool is_result = false;
  for (const char letter : text) {
    if (letter == ':') {
      is_result = true;
    } else if (is_result) {
      signature.result = TypeOfLetter(letter);
    } else {
      signature.params[signature.param_count++] = TypeOfLetter(letter);
    }
  }
  return signature;
}

template <Opcode kOp>
inline constexpr Signature kSignature = ParseSignature(kInfo<kOp>.sig);

}  // namespace walker_internal

template <typename Sink>
class FunctionWalker : public FunctionWalkerBase {
 public:
  // All of them outlive the walker. The function is a definition, not an import; the module's bytes
  // are still there.
  FunctionWalker(const Module& module, uint32_t func_index, Sink& sink, WalkerScratch& scratch)
      : FunctionWalkerBase(module, func_index, scratch), sink_(sink) {}

  // Walks the whole body; once. False: error() says why.
  bool Run() {
    if (!Begin(Sink::kWantsLocals)) {
      return false;
    }
    sink_.OnBegin(module_.func_type(func_index_), scratch_.locals);
    while (NextStep()) {
      while (pos_ < step_end_) [[likely]] {
        if (sink_.failed()) [[unlikely]] {
          is_stopped_ = true;
          return false;
        }
        instruction_ = pos_;
        Dispatch(*pos_++);
      }
    }
    if (!Finish()) {
      return false;
    }
    if (!sink_.failed()) {
      sink_.OnFinish();
    }
    is_stopped_ = sink_.failed();
    return !is_stopped_;
  }

 private:
  using Kind = ControlFrame::Kind;
  template <Opcode kOp>
  struct Op {};

  [[gnu::always_inline]] void Dispatch(uint8_t byte) {
    switch (uint32_t{byte}) {
#define OP(name, prefix, code, text, imm, sig, feature, traps)              \
  case uint32_t{((prefix) == 0 ? 0 : 0x8000'0000) | (prefix) << 16 | (code) \
    }: \
    if constexpr ((prefix) == 0) {                                          \
      VisitAny<Opcode::k##name>();                                          \
    }                                                                       \
    break;
#include "engine/wasm/opcodes.def"
#undef OP
      case 0xfc:
        DispatchFc();
        break;
      case 0xfd:
        DispatchFd();
        break;
      default:
        DispatchUnknown(byte);
        break;
    }
  }

  [[gnu::noinline]] void DispatchFc() {
    uint32_t sub = 0;
    if (!ReadU32(sub)) {
      return;
    }
    switch (sub) {
#define OP(name, prefix, code, text, imm, sig, feature, traps)                          \
  case (prefix) == 0xfc ? uint32_t{code}:                                               \
    uint32_t{0x8000'0000 | (prefix) << 16 | (code)} : if constexpr ((prefix) == 0xfc) { \
      VisitAny<Opcode::k##name>();                                                      \
    }                                                                                   \
    else {                                                                              \
      FailOpcode(0xfc, sub);                                                            \
    }                                                                                   \
    break;
#include "engine/wasm/opcodes.def"
#undef OP
      default:
        FailOpcode(0xfc, sub);
        break;
    }
  }

  [[gnu::noinline]] void DispatchFd() {
    using walker_internal::VectorShape;
    walker_internal::VectorInstruction instruction;
    if (!ApplyVector(instruction) || !(Sink::kWantsUnreachable || is_live_)) {
      return;
    }
    const Opcode op = instruction.op;
    sink_.OnInstruction(op, offset());
    switch (instruction.shape) {
      case VectorShape::kPlain:
        sink_.OnVector(op);
        break;
      case VectorShape::kConst: {
        V128 value;
        std::memcpy(&value, instruction.bytes, sizeof(value));
        sink_.OnV128Const(value);
        break;
      }
      case VectorShape::kShuffle:
        sink_.OnShuffle(std::span<const uint8_t, 16>(instruction.bytes, 16));
        break;
      case VectorShape::kLane:
        sink_.OnVectorLane(op, instruction.lane);
        break;
      case VectorShape::kLoad:
        sink_.OnLoad(op, ValType::kV128, instruction.memarg);
        break;
      case VectorShape::kStore:
        sink_.OnStore(op, ValType::kV128, instruction.memarg);
        break;
      case VectorShape::kLoadLane:
        sink_.OnLoadLane(op, instruction.memarg, instruction.lane);
        break;
      case VectorShape::kStoreLane:
        sink_.OnStoreLane(op, instruction.memarg, instruction.lane);
        break;
    }
  }

  [[gnu::cold, gnu::noinline]] void DispatchUnknown(uint8_t byte) {
    uint32_t sub = 0;
    if (byte < 0xfb || byte > 0xfe || ReadU32(sub)) {
      FailOpcode(byte, sub);
    }
  }

  // Tells the sink about an instruction that has been validated.
  template <Opcode kOp, typename Call>
  [[gnu::always_inline]] void Show(Call call) {
    if (Sink::kWantsUnreachable || is_live_) {
      sink_.OnInstruction(kOp, offset());
      call();
    }
  }

  // By shape where the table says it all, by hand otherwise.
  template <Opcode kOp>
  [[gnu::always_inline]] void VisitAny() {
    constexpr Immediate kImmediate = walker_internal::kInfo<kOp>.immediate;
    if constexpr (walker_internal::kInfo<kOp>.feature != Feature::kMvp) {
      if (!module_.features.Has(walker_internal::kInfo<kOp>.feature)) [[unlikely]] {
        FailFeature(kOp);
        return;
      }
    }
    if constexpr (kImmediate == Immediate::kMemArg) {
      VisitMemory<kOp>();
    } else if constexpr (kImmediate == Immediate::kNone &&
                         !walker_internal::kInfo<kOp>.sig.empty()) {
      VisitNumeric<kOp>();
    } else {
      Visit(Op<kOp>());
    }
  }

  // Spec: valid-unop, valid-binop, valid-testop, valid-relop, valid-cvtop
  template <Opcode kOp>
  [[gnu::always_inline]] void VisitNumeric() {
    constexpr const walker_internal::Signature& kSig = walker_internal::kSignature<kOp>;
    constexpr ValType kFrom = kSig.params[0];
    if constexpr (kSig.param_count == 1) {
      if (top_ != base_ && top_[-1] == kFrom) [[likely]] {
        top_[-1] = kSig.result;
      } else if (!PopSlow(kFrom) || !Push(kSig.result)) {
        return;
      }
      Show<kOp>([this] { sink_.OnUnary(kOp, kFrom, kSig.result); });
    } else {
      static_assert(kSig.param_count == 2 && kSig.params[1] == kFrom);
      if (top_ - base_ >= 2 && top_[-1] == kFrom && top_[-2] == kFrom) [[likely]] {
        --top_;
        top_[-1] = kSig.result;
      } else if (!PopSlow2(kFrom) || !Push(kSig.result)) {
        return;
      }
      Show<kOp>([this] { sink_.OnBinary(kOp, kFrom, kSig.result); });
    }
  }
  [[gnu::noinline]] bool PopSlow2(ValType type) { return Pop(type) && Pop(type); }

  // Spec: valid-load, valid-store
  template <Opcode kOp>
  [[gnu::always_inline]] void VisitMemory() {
    constexpr const walker_internal::Signature& kSig = walker_internal::kSignature<kOp>;
    constexpr uint32_t kAlign = NaturalAlign(walker_internal::kInfo<kOp>.text);
    MemArg memarg;
    if (!ReadMemArg(kAlign, memarg)) {
      return;
    }
    if constexpr (kSig.result != ValType::kBottom) {
      static_assert(kSig.param_count == 1);
      if (!Pop(MemoryAddress(memarg.memory_index)) || !Push(kSig.result)) {
        return;
      }
      Show<kOp>([&] { sink_.OnLoad(kOp, kSig.result, memarg); });
    } else {
      static_assert(kSig.param_count == 2);
      if (!Pop(kSig.params[1]) || !Pop(MemoryAddress(memarg.memory_index))) {
        return;
      }
      Show<kOp>([&] { sink_.OnStore(kOp, kSig.params[1], memarg); });
    }
  }

  // Spec: valid-instr-numeric of the wide-arithmetic proposal
  template <Opcode kOp>
  void VisitWide(uint32_t operands) {
    for (uint32_t i = 0; i < operands; ++i) {
      if (!Pop(ValType::kI64)) {
        return;
      }
    }
    if (!Push(ValType::kI64) || !Push(ValType::kI64)) {
      return;
    }
    Show<kOp>([this] { sink_.OnWideArithmetic(kOp); });
  }
  void Visit(Op<Opcode::kI64Add128> /*op*/) { VisitWide<Opcode::kI64Add128>(4); }
  void Visit(Op<Opcode::kI64Sub128> /*op*/) { VisitWide<Opcode::kI64Sub128>(4); }
  void Visit(Op<Opcode::kI64MulWideS> /*op*/) { VisitWide<Opcode::kI64MulWideS>(2); }
  void Visit(Op<Opcode::kI64MulWideU> /*op*/) { VisitWide<Opcode::kI64MulWideU>(2); }

  // --- Control. Spec: valid-instr-control

  void Visit(Op<Opcode::kUnreachable> /*op*/) {
    Show<Opcode::kUnreachable>([this] { sink_.OnUnreachable(); });
    MarkUnreachable();
  }
  void Visit(Op<Opcode::kNop> /*op*/) {
    Show<Opcode::kNop>([this] { sink_.OnNop(); });
  }
  void Visit(Op<Opcode::kBlock> /*op*/) {
    BlockSignature signature;
    if (!ReadBlockType(signature) || !PopTypes(signature.params) ||
        !PushFrame(Kind::kBlock, signature)) {
      return;
    }
    Show<Opcode::kBlock>([&] { sink_.OnBlock(signature); });
  }
  void Visit(Op<Opcode::kLoop> /*op*/) {
    BlockSignature signature;
    if (!ReadBlockType(signature) || !PopTypes(signature.params) ||
        !PushFrame(Kind::kLoop, signature)) {
      return;
    }
    Show<Opcode::kLoop>([&] { sink_.OnLoop(signature); });
  }
  void Visit(Op<Opcode::kIf> /*op*/) {
    BlockSignature signature;
    if (!ReadBlockType(signature) || !Pop(ValType::kI32) || !PopTypes(signature.params) ||
        !PushFrame(Kind::kIf, signature)) {
      return;
    }
    Show<Opcode::kIf>([&] { sink_.OnIf(signature); });
  }
  void Visit(Op<Opcode::kTryTable> /*op*/) {
    BlockSignature signature;
    if (!ReadBlockType(signature) || !PopTypes(signature.params) || !ReadClauses() ||
        !PushFrame(Kind::kBlock, signature)) {
      return;
    }
    Show<Opcode::kTryTable>([&] { sink_.OnTryTable(signature, scratch_.clauses); });
  }
  void Visit(Op<Opcode::kThrow> /*op*/) {
    uint32_t index = 0;
    if (!ReadTagIndex(index)) {
      return;
    }
    const FuncType& type = module_.tag_type(index);
    if (!PopTypes(type.params)) {
      return;
    }
    Show<Opcode::kThrow>([&] { sink_.OnThrow(index, type); });
    MarkUnreachable();
  }
  void Visit(Op<Opcode::kThrowRef> /*op*/) {
    if (!Pop(ValType::kExnRef)) {
      return;
    }
    Show<Opcode::kThrowRef>([this] { sink_.OnThrowRef(); });
    MarkUnreachable();
  }
  void Visit(Op<Opcode::kElse> /*op*/) {
    ControlFrame& current = scratch_.frames.back();
    if (current.kind != Kind::kIf) {
      Fail("misplaced ELSE opcode");
      return;
    }
    if (!CheckEnd(current.signature.results)) {
      return;
    }
    const bool is_reached = is_live_;
    top_ = base_;
    if (!PushTypes(current.signature.params)) {
      return;
    }
    current.kind = Kind::kElse;
    current.is_polymorphic = false;
    current.is_end_reached |= is_reached;
    is_live_ = current.is_shown;
    if (Sink::kWantsUnreachable || current.is_shown) {
      sink_.OnInstruction(Opcode::kElse, offset());
      sink_.OnElse(is_reached);
    }
  }
  void Visit(Op<Opcode::kEnd> /*op*/) {
    const ControlFrame& current = scratch_.frames.back();
    const BlockSignature& signature = current.signature;
    if (!CheckEnd(signature.results)) {
      return;
    }
    // Without `else`, the parameters pass through. Spec: valid-if
    if (current.kind == Kind::kIf && !CheckElseIsOptional(signature)) {
      return;
    }
    const bool is_reached = is_live_;
    const bool is_shown = current.is_shown;
    is_live_ = is_shown && (is_reached || current.is_end_reached || current.kind == Kind::kIf);
    PopFrame();
    if (Sink::kWantsUnreachable || is_shown) {
      sink_.OnInstruction(Opcode::kEnd, offset());
      sink_.OnEnd(is_reached);
    }
    if (scratch_.frames.empty() && pos_ != end_) {
      FailAt(pos_, "END opcode expected");
    }
  }
  bool CheckElseIsOptional(const BlockSignature& signature) {
    if (std::ranges::equal(signature.params, signature.results)) {
      return true;
    }
    return Fail("type mismatch: an if without else cannot change the stack");
  }

  void Visit(Op<Opcode::kBr> /*op*/) {
    uint32_t depth = 0;
    if (!ReadLabel(depth) || !PopTypes(LabelTypes(frame(depth)))) {
      return;
    }
    NoteBranch(depth);
    Show<Opcode::kBr>([&] { sink_.OnBr(depth); });
    MarkUnreachable();
  }
  [[gnu::always_inline]] void Visit(Op<Opcode::kBrIf> /*op*/) {
    uint32_t depth = 0;
    if (!ReadLabel(depth) || !Pop(ValType::kI32)) {
      return;
    }
    const std::span<const ValType> types = LabelTypes(frame(depth));
    if (!types.empty() && (!PopTypes(types) || !PushTypes(types))) {
      return;
    }
    NoteBranch(depth);
    Show<Opcode::kBrIf>([&] { sink_.OnBrIf(depth); });
  }
  void Visit(Op<Opcode::kBrTable> /*op*/) {
    uint32_t default_depth = 0;
    if (!ReadTargets(default_depth) || !Pop(ValType::kI32) || !CheckTargets(default_depth)) {
      return;
    }
    Show<Opcode::kBrTable>([&] { sink_.OnBrTable(scratch_.targets, default_depth); });
    MarkUnreachable();
  }
  void Visit(Op<Opcode::kReturn> /*op*/) {
    if (!PopTypes(scratch_.frames.front().signature.results)) {
      return;
    }
    Show<Opcode::kReturn>([this] { sink_.OnReturn(); });
    MarkUnreachable();
  }
  [[gnu::always_inline]] bool ReadFunc(uint32_t& index) {
    if (!ReadU32(index)) {
      return false;
    }
    return index < module_.funcs.size() || FailUnknown("function", index);
  }
  void Visit(Op<Opcode::kCall> /*op*/) {
    uint32_t index = 0;
    if (!ReadFunc(index)) {
      return;
    }
    const FuncType& type = module_.func_type(index);
    if (!PopTypes(type.params) || !PushTypes(type.results)) {
      return;
    }
    Show<Opcode::kCall>([&] { sink_.OnCall(index, type); });
  }
  bool ReadCallIndirect(uint32_t& type_index, uint32_t& table_index, const TableType*& table) {
    if (!ReadU32(type_index) || !ReadTableIndex(table_index, table)) {
      return false;
    }
    if (type_index >= module_.types.size()) {
      return FailUnknown("type", type_index);
    }
    return table->element == ValType::kFuncRef ||
           Fail("type mismatch: call_indirect needs a table of funcref");
  }
  void Visit(Op<Opcode::kCallIndirect> /*op*/) {
    uint32_t type_index = 0;
    uint32_t table_index = 0;
    const TableType* table = nullptr;
    if (!ReadCallIndirect(type_index, table_index, table)) {
      return;
    }
    const FuncType& type = module_.types[type_index];
    if (!Pop(TableAddress(*table)) || !PopTypes(type.params) || !PushTypes(type.results)) {
      return;
    }
    Show<Opcode::kCallIndirect>([&] { sink_.OnCallIndirect(type_index, table_index, type); });
  }
  // Spec: valid-return_call, valid-return_call_indirect
  bool CheckTailResults(const FuncType& type) {
    return std::ranges::equal(type.results, scratch_.frames.front().signature.results) ||
           Fail("type mismatch: a tail call's results are not the function's");
  }
  void Visit(Op<Opcode::kReturnCall> /*op*/) {
    uint32_t index = 0;
    if (!ReadFunc(index)) {
      return;
    }
    const FuncType& type = module_.func_type(index);
    if (!CheckTailResults(type) || !PopTypes(type.params)) {
      return;
    }
    Show<Opcode::kReturnCall>([&] { sink_.OnReturnCall(index, type); });
    MarkUnreachable();
  }
  void Visit(Op<Opcode::kReturnCallIndirect> /*op*/) {
    uint32_t type_index = 0;
    uint32_t table_index = 0;
    const TableType* table = nullptr;
    if (!ReadCallIndirect(type_index, table_index, table)) {
      return;
    }
    const FuncType& type = module_.types[type_index];
    if (!CheckTailResults(type) || !Pop(TableAddress(*table)) || !PopTypes(type.params)) {
      return;
    }
    Show<Opcode::kReturnCallIndirect>(
        [&] { sink_.OnReturnCallIndirect(type_index, table_index, type); });
    MarkUnreachable();
  }

  // --- Parametric and variable. Spec: valid-instr-parametric, valid-instr-variable

  void Visit(Op<Opcode::kDrop> /*op*/) {
    ValType type = ValType::kBottom;
    if (!PopAny(type)) {
      return;
    }
    Show<Opcode::kDrop>([&] { sink_.OnDrop(type); });
  }
  void Visit(Op<Opcode::kSelect> /*op*/) {
    ValType first = ValType::kBottom;
    ValType second = ValType::kBottom;
    if (!Pop(ValType::kI32) || !PopAny(second) || !PopAny(first)) {
      return;
    }
    if (IsRef(first) || IsRef(second)) {
      Fail("type mismatch: select of references needs its type");
      return;
    }
    if (first == ValType::kBottom) {
      first = second;
    } else if (second != first && second != ValType::kBottom) {
      Fail("type mismatch: the operands of select differ");
      return;
    }
    if (!Push(first)) {
      return;
    }
    Show<Opcode::kSelect>([&] { sink_.OnSelect(first); });
  }
  void Visit(Op<Opcode::kSelectT> /*op*/) {
    uint32_t count = 0;
    ValType type = ValType::kBottom;
    if (!ReadU32(count)) {
      return;
    }
    if (count != 1) {
      Fail("invalid result arity");
      return;
    }
    if (!ReadValType(type) || !Pop(ValType::kI32) || !Pop(type) || !Pop(type) || !Push(type)) {
      return;
    }
    Show<Opcode::kSelectT>([&] { sink_.OnSelect(type); });
  }
  [[gnu::always_inline]] bool ReadLocal(uint32_t& index, ValType& type) {
    if (!ReadU32(index)) {
      return false;
    }
    if (index >= flat_local_count_) [[unlikely]] {
      return FindLocal(index, type);
    }
    type = locals_[index];
    return true;
  }
  [[gnu::always_inline]] void Visit(Op<Opcode::kLocalGet> /*op*/) {
    uint32_t index = 0;
    ValType type = ValType::kBottom;
    if (!ReadLocal(index, type) || !Push(type)) {
      return;
    }
    Show<Opcode::kLocalGet>([&] { sink_.OnLocalGet(index, type); });
  }
  [[gnu::always_inline]] void Visit(Op<Opcode::kLocalSet> /*op*/) {
    uint32_t index = 0;
    ValType type = ValType::kBottom;
    if (!ReadLocal(index, type) || !Pop(type)) {
      return;
    }
    Show<Opcode::kLocalSet>([&] { sink_.OnLocalSet(index, type); });
  }
  [[gnu::always_inline]] void Visit(Op<Opcode::kLocalTee> /*op*/) {
    uint32_t index = 0;
    ValType type = ValType::kBottom;
    if (!ReadLocal(index, type) || !Pop(type) || !Push(type)) {
      return;
    }
    Show<Opcode::kLocalTee>([&] { sink_.OnLocalTee(index, type); });
  }
  [[gnu::always_inline]] bool ReadGlobal(uint32_t& index) {
    if (!ReadU32(index)) {
      return false;
    }
    return index < module_.globals.size() || FailUnknown("global", index);
  }
  void Visit(Op<Opcode::kGlobalGet> /*op*/) {
    uint32_t index = 0;
    if (!ReadGlobal(index) || !Push(module_.globals[index].type.type)) {
      return;
    }
    Show<Opcode::kGlobalGet>([&] { sink_.OnGlobalGet(index, module_.globals[index].type); });
  }
  void Visit(Op<Opcode::kGlobalSet> /*op*/) {
    uint32_t index = 0;
    if (!ReadGlobal(index)) {
      return;
    }
    const GlobalType& type = module_.globals[index].type;
    if (!type.is_mutable) {
      Fail("immutable global");
      return;
    }
    if (!Pop(type.type)) {
      return;
    }
    Show<Opcode::kGlobalSet>([&] { sink_.OnGlobalSet(index, type); });
  }

  // --- Constants. Spec: valid-const

  [[gnu::always_inline]] void Visit(Op<Opcode::kI32Const> /*op*/) {
    int32_t value = 0;
    if (!ReadS32(value) || !Push(ValType::kI32)) {
      return;
    }
    Show<Opcode::kI32Const>([&] { sink_.OnConst(ValType::kI32, static_cast<uint32_t>(value)); });
  }
  void Visit(Op<Opcode::kI64Const> /*op*/) {
    int64_t value = 0;
    if (!ReadS64(value) || !Push(ValType::kI64)) {
      return;
    }
    Show<Opcode::kI64Const>([&] { sink_.OnConst(ValType::kI64, static_cast<uint64_t>(value)); });
  }
  void Visit(Op<Opcode::kF32Const> /*op*/) {
    uint32_t bits = 0;
    if (!ReadFixed(bits) || !Push(ValType::kF32)) {
      return;
    }
    Show<Opcode::kF32Const>([&] { sink_.OnConst(ValType::kF32, bits); });
  }
  void Visit(Op<Opcode::kF64Const> /*op*/) {
    uint64_t bits = 0;
    if (!ReadFixed(bits) || !Push(ValType::kF64)) {
      return;
    }
    Show<Opcode::kF64Const>([&] { sink_.OnConst(ValType::kF64, bits); });
  }

  // --- Memory. Spec: valid-instr-memory

  void Visit(Op<Opcode::kMemorySize> /*op*/) {
    uint32_t index = 0;
    if (!ReadMemoryIndex(index) || !Push(MemoryAddress(index))) {
      return;
    }
    Show<Opcode::kMemorySize>([&] { sink_.OnMemorySize(index); });
  }
  void Visit(Op<Opcode::kMemoryGrow> /*op*/) {
    uint32_t index = 0;
    if (!ReadMemoryIndex(index) || !Pop(MemoryAddress(index)) || !Push(MemoryAddress(index))) {
      return;
    }
    Show<Opcode::kMemoryGrow>([&] { sink_.OnMemoryGrow(index); });
  }
  void Visit(Op<Opcode::kMemoryInit> /*op*/) {
    uint32_t data_index = 0;
    uint32_t index = 0;
    if (!ReadDataIndex(data_index) || !ReadMemoryIndex(index) ||
        !Pop3(MemoryAddress(index), ValType::kI32, ValType::kI32)) {
      return;
    }
    Show<Opcode::kMemoryInit>([&] { sink_.OnMemoryInit(data_index, index); });
  }
  void Visit(Op<Opcode::kDataDrop> /*op*/) {
    uint32_t data_index = 0;
    if (!ReadDataIndex(data_index)) {
      return;
    }
    Show<Opcode::kDataDrop>([&] { sink_.OnDataDrop(data_index); });
  }
  void Visit(Op<Opcode::kMemoryCopy> /*op*/) {
    uint32_t to = 0;
    uint32_t from = 0;
    if (!ReadMemoryIndex(to) || !ReadMemoryIndex(from)) {
      return;
    }
    const ValType to_type = MemoryAddress(to);
    const ValType from_type = MemoryAddress(from);
    if (!Pop3(to_type, from_type, Narrower(to_type, from_type))) {
      return;
    }
    Show<Opcode::kMemoryCopy>([&] { sink_.OnMemoryCopy(to, from); });
  }
  void Visit(Op<Opcode::kMemoryFill> /*op*/) {
    uint32_t index = 0;
    if (!ReadMemoryIndex(index) ||
        !Pop3(MemoryAddress(index), ValType::kI32, MemoryAddress(index))) {
      return;
    }
    Show<Opcode::kMemoryFill>([&] { sink_.OnMemoryFill(index); });
  }

  // --- Tables and references. Spec: valid-instr-table, valid-instr-ref

  void Visit(Op<Opcode::kTableGet> /*op*/) {
    uint32_t index = 0;
    const TableType* type = nullptr;
    if (!ReadTableIndex(index, type) || !Pop(TableAddress(*type)) || !Push(type->element)) {
      return;
    }
    Show<Opcode::kTableGet>([&] { sink_.OnTableGet(index, type->element); });
  }
  void Visit(Op<Opcode::kTableSet> /*op*/) {
    uint32_t index = 0;
    const TableType* type = nullptr;
    if (!ReadTableIndex(index, type) || !Pop(type->element) || !Pop(TableAddress(*type))) {
      return;
    }
    Show<Opcode::kTableSet>([&] { sink_.OnTableSet(index, type->element); });
  }
  void Visit(Op<Opcode::kTableSize> /*op*/) {
    uint32_t index = 0;
    const TableType* type = nullptr;
    if (!ReadTableIndex(index, type) || !Push(TableAddress(*type))) {
      return;
    }
    Show<Opcode::kTableSize>([&] { sink_.OnTableSize(index); });
  }
  void Visit(Op<Opcode::kTableGrow> /*op*/) {
    uint32_t index = 0;
    const TableType* type = nullptr;
    if (!ReadTableIndex(index, type) || !Pop(TableAddress(*type)) || !Pop(type->element) ||
        !Push(TableAddress(*type))) {
      return;
    }
    Show<Opcode::kTableGrow>([&] { sink_.OnTableGrow(index, type->element); });
  }
  void Visit(Op<Opcode::kTableFill> /*op*/) {
    uint32_t index = 0;
    const TableType* type = nullptr;
    if (!ReadTableIndex(index, type) ||
        !Pop3(TableAddress(*type), type->element, TableAddress(*type))) {
      return;
    }
    Show<Opcode::kTableFill>([&] { sink_.OnTableFill(index, type->element); });
  }
  void Visit(Op<Opcode::kTableCopy> /*op*/) {
    uint32_t to = 0;
    uint32_t from = 0;
    const TableType* to_type = nullptr;
    const TableType* from_type = nullptr;
    if (!ReadTableIndex(to, to_type) || !ReadTableIndex(from, from_type)) {
      return;
    }
    if (to_type->element != from_type->element) {
      Fail("type mismatch: table.copy between tables of different types");
      return;
    }
    const ValType to_address = TableAddress(*to_type);
    const ValType from_address = TableAddress(*from_type);
    if (!Pop3(to_address, from_address, Narrower(to_address, from_address))) {
      return;
    }
    Show<Opcode::kTableCopy>([&] { sink_.OnTableCopy(to, from); });
  }
  void Visit(Op<Opcode::kTableInit> /*op*/) {
    uint32_t elem_index = 0;
    uint32_t table_index = 0;
    ValType elem_type = ValType::kBottom;
    const TableType* table = nullptr;
    if (!ReadElemIndex(elem_index, elem_type) || !ReadTableIndex(table_index, table)) {
      return;
    }
    if (elem_type != table->element) {
      Fail("type mismatch: table.init of a table with a segment of another type");
      return;
    }
    if (!Pop3(TableAddress(*table), ValType::kI32, ValType::kI32)) {
      return;
    }
    Show<Opcode::kTableInit>([&] { sink_.OnTableInit(elem_index, table_index); });
  }
  void Visit(Op<Opcode::kElemDrop> /*op*/) {
    uint32_t elem_index = 0;
    ValType elem_type = ValType::kBottom;
    if (!ReadElemIndex(elem_index, elem_type)) {
      return;
    }
    Show<Opcode::kElemDrop>([&] { sink_.OnElemDrop(elem_index); });
  }
  void Visit(Op<Opcode::kRefNull> /*op*/) {
    ValType type = ValType::kBottom;
    if (!ReadRefType(type) || !Push(type)) {
      return;
    }
    Show<Opcode::kRefNull>([&] { sink_.OnRefNull(type); });
  }
  void Visit(Op<Opcode::kRefIsNull> /*op*/) {
    ValType type = ValType::kBottom;
    if (!PopAny(type)) {
      return;
    }
    if (type != ValType::kBottom && !IsRef(type)) {
      Fail("type mismatch: ref.is_null needs a reference");
      return;
    }
    if (!Push(ValType::kI32)) {
      return;
    }
    Show<Opcode::kRefIsNull>([&] { sink_.OnRefIsNull(type); });
  }
  void Visit(Op<Opcode::kRefFunc> /*op*/) {
    uint32_t index = 0;
    if (!ReadFunc(index)) {
      return;
    }
    if (!module_.funcs[index].is_declared_ref) {
      Fail("undeclared function reference");
      return;
    }
    if (!Push(ValType::kFuncRef)) {
      return;
    }
    Show<Opcode::kRefFunc>([&] { sink_.OnRefFunc(index); });
  }

  Sink & sink_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_VALIDATE_FUNCTION_WALKER_H_
