// FunctionSink: what FunctionWalker<Sink> tells about one function body, in order, once it has
// validated each instruction.
//
// The validator, the compilers, the analyses before them and the disassembler are sinks. A sink
// derives from NullSink, hides the members it cares for (calls are resolved at compile time,
// nothing is virtual), and is passed to
//
//   WalkerScratch scratch;             // Reused for many functions: a walk then allocates nothing.
//   FunctionWalker<MySink> walker(module, func_index, sink, scratch);
//   bool ok = walker.Run();            // false: walker.error() has the message with the byte
//   offset
//
// Contract:
//  - A member is called after the instruction has been validated, with everything resolved that the
//  module knows: types, not
//    type indices. Spans and references live as long as the call.
//  - Before each instruction's member, the walker calls OnInstruction(opcode, offset) once;
//  `offset` is the byte offset in
//    the module (as in error messages and backtraces).
//  - Unreachable code is validated but not shown: after OnUnreachable, OnBr, OnBrTable, OnReturn,
//  OnReturnCall, OnReturnCallIndirect, OnThrow, OnThrowRef
//    the next call is the OnElse or OnEnd that ends the enclosing block. Blocks that begin in
//    unreachable code are not shown at all, nor are their ends. A sink with kWantsUnreachable =
//    true (the disassembler) sees everything.
//  - Label depths count from the innermost visible block, 0, outwards; the function's own block is
//  the outermost and a
//    branch to it returns. They are depths among the blocks that the sink has been shown: since a
//    reachable instruction has only reachable ancestors, these are the binary's own depths.
//  - The operand stack that a sink mirrors is exactly the validator's: each member says what it
//  pops and pushes.
//  - A sink can stop the walk (a compiler out of memory): `bool failed() const` is asked after
//  every instruction.
#ifndef WASMD_ENGINE_VALIDATE_FUNCTION_SINK_H_
#define WASMD_ENGINE_VALIDATE_FUNCTION_SINK_H_

#include <cstdint>
#include <span>

#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// A block's type, resolved. Spec: syntax-blocktype
struct BlockSignature {
  std::span<const ValType> params;
  std::span<const ValType> results;
};

// Spec: syntax-memarg. `align` is the exponent as encoded.
struct MemArg {
  uint32_t align = 0;
  uint32_t memory_index = 0;
  uint64_t offset = 0;
  uint32_t access_bytes = 0;  // The instruction's, whatever `align` says.
};

// A clause of try_table. Spec: syntax-catch
struct CatchClause {
  enum class Kind : uint8_t { kCatch = 0, kCatchRef = 1, kCatchAll = 2, kCatchAllRef = 3 };
  Kind kind = Kind::kCatch;
  uint32_t tag_index = 0;  // kCatch and kCatchRef only.
  uint32_t depth = 0;      // Of the label, counted from the block around try_table: 0.

  // Otherwise any exception.
  [[nodiscard]] bool has_tag() const { return kind == Kind::kCatch || kind == Kind::kCatchRef; }
  // The label's last operand is the exnref.
  [[nodiscard]] bool has_ref() const {
    return kind == Kind::kCatchRef || kind == Kind::kCatchAllRef;
  }
};

// The sink that ignores everything; also the complete list of members.
struct NullSink {
  static constexpr bool kWantsUnreachable = false;
  // False: OnBegin's `locals` may be cut short, so that a declaration of 50,000 locals costs
  // nothing.
  static constexpr bool kWantsLocals = true;
  [[nodiscard]] bool failed() const { return false; }

  // `locals` has the parameters first, then the declared locals. Called before any instruction.
  void OnBegin(const FuncType& /*type*/, std::span<const ValType> /*locals*/) {}
  void OnInstruction(Opcode /*op*/, uint32_t /*offset*/) {}
  // After the final `end` (whose OnEnd has been called).
  void OnFinish() {}

  // --- Control. Spec: syntax-instr-control
  void OnUnreachable() {}
  void OnNop() {}
  // Parameters stay on the stack; they are the block's first operands.
  void OnBlock(const BlockSignature& /*signature*/) {}
  void OnLoop(const BlockSignature& /*signature*/) {}
  // A block. An exception that is thrown in it, or leaves a call in it, goes to the label of the
  // first clause that catches it, with the tag's values and then the exnref, if it has one.
  void OnTryTable(const BlockSignature& /*signature*/, std::span<const CatchClause> /*clauses*/) {}
  // Pops the i32 condition.
  void OnIf(const BlockSignature& /*signature*/) {}
  // `reachable`: the end of the `then` arm is reached. The stack is the block's parameters again.
  void OnElse(bool /*reachable*/) {}
  // Ends block, loop, if or the function. `reachable`: the fall-through edge is. After it, code is
  // reachable if the fall-through is, if a branch to it was shown (of a loop, branches go to its
  // start) or if OnElse said that the `then` arm's end is reachable; of an `if` without `else`
  // always. The stack above the block's base is its results.
  void OnEnd(bool /*reachable*/) {}
  // Takes the label's operands (parameters of a loop, results of others) from the top of the stack.
  void OnBr(uint32_t /*depth*/) {}
  // Pops the condition; the label's operands stay.
  void OnBrIf(uint32_t /*depth*/) {}
  // Pops the i32 index.
  void OnBrTable(std::span<const uint32_t> /*depths*/, uint32_t /*default_depth*/) {}
  void OnReturn() {}
  // Pops params, pushes results.
  void OnCall(uint32_t /*func_index*/, const FuncType& /*type*/) {}
  // Pops the i32 element index, then params; pushes results.
  void OnCallIndirect(uint32_t /*type_index*/, uint32_t /*table_index*/, const FuncType& /*type*/) {
  }

  // As OnCall and OnCallIndirect, but the callee's results are the function's: nothing comes after.
  void OnReturnCall(uint32_t /*func_index*/, const FuncType& /*type*/) {}
  void OnReturnCallIndirect(uint32_t /*type_index*/, uint32_t /*table_index*/,
                            const FuncType& /*type*/) {}

  // Pops the tag's values; nothing comes after. Spec: exec-throw
  void OnThrow(uint32_t /*tag_index*/, const FuncType& /*type*/) {}
  // Pops the exnref; nothing comes after.
  void OnThrowRef() {}

  // --- Parametric and variable.
  void OnDrop(ValType /*type*/) {}
  // Pops the i32 condition and two operands of `type`, pushes one.
  void OnSelect(ValType /*type*/) {}
  void OnLocalGet(uint32_t /*index*/, ValType /*type*/) {}
  void OnLocalSet(uint32_t /*index*/, ValType /*type*/) {}
  void OnLocalTee(uint32_t /*index*/, ValType /*type*/) {}
  void OnGlobalGet(uint32_t /*index*/, const GlobalType& /*type*/) {}
  void OnGlobalSet(uint32_t /*index*/, const GlobalType& /*type*/) {}

  // --- Numeric: every scalar opcode without immediate whose sig in opcodes.def is not empty and
  // that touches no memory.
  void OnConst(ValType /*type*/, uint64_t /*bits*/) {}  // i32 and f32 zero-extended.
  // One operand of `from`, one result of `to`: i32.eqz, clz, neg, conversions, extends, trunc_sat,
  // …
  void OnUnary(Opcode /*op*/, ValType /*from*/, ValType /*to*/) {}
  // i64.add128, i64.sub128: pops two numbers of low and high word; i64.mul_wide_s, i64.mul_wide_u:
  // two words. Pushes a number's low and high word.
  void OnWideArithmetic(Opcode /*op*/) {}
  // Two operands of `from`, one result of `to`: arithmetic and comparisons.
  void OnBinary(Opcode /*op*/, ValType /*from*/, ValType /*to*/) {}

  // --- Vectors. Spec: syntax-instr-vec
  void OnV128Const(V128 /*value*/) {}
  // Every instruction with prefix 0xfd that has no immediate: its operands and its result are in
  // opcodes.def.
  void OnVector(Opcode /*op*/) {}
  // extract_lane: a v128, pushes the lane's type. replace_lane: a v128 and the new lane.
  void OnVectorLane(Opcode /*op*/, uint8_t /*lane*/) {}
  // Pops two, pushes one: byte i is byte lanes[i] of their 32.
  void OnShuffle(std::span<const uint8_t, 16> /*lanes*/) {}
  // Pops the index and a v128. A load pushes the v128 with one lane replaced.
  void OnLoadLane(Opcode /*op*/, const MemArg& /*memarg*/, uint8_t /*lane*/) {}
  void OnStoreLane(Opcode /*op*/, const MemArg& /*memarg*/, uint8_t /*lane*/) {}

  // --- Memory. Addresses, sizes and lengths are of the memory's address type; a length that two
  // memories or tables share is of the narrower one. Spec: syntax-instr-memory
  void OnLoad(Opcode /*op*/, ValType /*type*/, const MemArg& /*memarg*/) {}
  void OnStore(Opcode /*op*/, ValType /*type*/, const MemArg& /*memarg*/) {}
  void OnMemorySize(uint32_t /*memory_index*/) {}
  void OnMemoryGrow(uint32_t /*memory_index*/) {}
  void OnMemoryInit(uint32_t /*data_index*/, uint32_t /*memory_index*/) {}  // Pops d, s, n.
  void OnDataDrop(uint32_t /*data_index*/) {}
  void OnMemoryCopy(uint32_t /*to_memory*/, uint32_t /*from_memory*/) {}  // Pops d, s, n.
  void OnMemoryFill(uint32_t /*memory_index*/) {}                         // Pops d, val, n.

  // --- Tables and references. Spec: syntax-instr-table, syntax-instr-ref
  void OnTableGet(uint32_t /*table_index*/, ValType /*element*/) {}
  void OnTableSet(uint32_t /*table_index*/, ValType /*element*/) {}
  void OnTableSize(uint32_t /*table_index*/) {}
  void OnTableGrow(uint32_t /*table_index*/, ValType /*element*/) {
  }  // Pops init, n; pushes the size.
  void OnTableFill(uint32_t /*table_index*/, ValType /*element*/) {}  // Pops i, val, n.
  void OnTableCopy(uint32_t /*to_table*/, uint32_t /*from_table*/) {}
  void OnTableInit(uint32_t /*elem_index*/, uint32_t /*table_index*/) {}
  void OnElemDrop(uint32_t /*elem_index*/) {}
  void OnRefNull(ValType /*type*/) {}
  void OnRefIsNull(ValType /*type*/) {}
  void OnRefFunc(uint32_t /*func_index*/) {}
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_VALIDATE_FUNCTION_SINK_H_
