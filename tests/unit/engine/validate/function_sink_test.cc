// The contract of function_sink.h: which calls a sink gets, in which order, and above all what it
// is not shown.
#include "engine/validate/function_sink.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/binary/decode_module.h"
#include "engine/validate/function_walker.h"
#include "engine/wasm/module.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"
#include "tests/support/wasm_builder.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

using testing::ElementsAre;

// Writes down calls in short. `kAll`: unreachable code too.
template <bool kAll>
class TraceSink : public NullSink {
 public:
  static constexpr bool kWantsUnreachable = kAll;

  [[nodiscard]] bool failed() const { return trace.size() >= stop_after; }
  void OnBegin(const FuncType& type, std::span<const ValType> locals) {
    Add("begin " + std::to_string(type.params.size()) + "/" + std::to_string(locals.size()));
  }
  void OnInstruction(Opcode op, uint32_t /*offset*/) {
    EXPECT_FALSE(is_pending_) << "the last instruction's member was not called";
    is_pending_ = op != Opcode::kEnd && op != Opcode::kElse;
  }
  void OnFinish() { Add("finish"); }
  void OnUnreachable() { Add("unreachable"); }
  void OnNop() { Add("nop"); }
  void OnBlock(const BlockSignature& signature) { AddBlock("block", signature); }
  void OnLoop(const BlockSignature& signature) { AddBlock("loop", signature); }
  void OnIf(const BlockSignature& signature) { AddBlock("if", signature); }
  void OnElse(bool reachable) { Add(reachable ? "else reached" : "else"); }
  void OnEnd(bool reachable) { Add(reachable ? "end reached" : "end"); }
  void OnBr(uint32_t depth) { Add("br " + std::to_string(depth)); }
  void OnBrIf(uint32_t depth) { Add("br_if " + std::to_string(depth)); }
  void OnBrTable(std::span<const uint32_t> depths, uint32_t default_depth) {
    std::string text = "br_table";
    for (const uint32_t depth : depths) {
      text += " " + std::to_string(depth);
    }
    Add(text + " default " + std::to_string(default_depth));
  }
  void OnReturn() { Add("return"); }
  void OnCall(uint32_t func_index, const FuncType& type) {
    Add("call " + std::to_string(func_index) + " of " + std::to_string(type.params.size()));
  }
  void OnCallIndirect(uint32_t type_index, uint32_t table_index, const FuncType& /*type*/) {
    Add("call_indirect " + std::to_string(type_index) + " " + std::to_string(table_index));
  }
  void OnDrop(ValType type) { Add("drop " + std::string(ToString(type))); }
  void OnSelect(ValType type) { Add("select " + std::string(ToString(type))); }
  void OnLocalGet(uint32_t index, ValType type) {
    Add("get " + std::to_string(index) + " " + std::string(ToString(type)));
  }
  void OnConst(ValType type, uint64_t bits) {
    Add(std::string(ToString(type)) + " " + std::to_string(bits));
  }
  void OnBinary(Opcode op, ValType /*from*/, ValType /*to*/) {
    Add(std::string(FindOpcode(op)->text));
  }
  void OnUnary(Opcode op, ValType /*from*/, ValType /*to*/) {
    Add(std::string(FindOpcode(op)->text));
  }
  void OnStore(Opcode op, ValType /*type*/, const MemArg& memarg) {
    Add(std::string(FindOpcode(op)->text) + " " + std::to_string(memarg.offset) + " " +
        std::to_string(memarg.align));
  }
  void OnRefIsNull(ValType type) { Add("is_null " + std::string(ToString(type))); }
  void OnRefNull(ValType type) { Add("null " + std::string(ToString(type))); }

  std::vector<std::string> trace;
  size_t stop_after = SIZE_MAX;

 private:
  void Add(std::string text) {
    is_pending_ = false;
    trace.push_back(std::move(text));
  }
  void AddBlock(std::string_view name, const BlockSignature& signature) {
    Add(std::string(name) + " " + std::to_string(signature.params.size()) + ">" +
        std::to_string(signature.results.size()));
  }

  bool is_pending_ = false;  // OnInstruction has been called, its member has not.
};

template <bool kAll = false>
std::vector<std::string> Trace(std::string_view func) {
  const Bytes bytes = Wat("(module (memory 1) (table 1 funcref) " + std::string(func) + ")");
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  EXPECT_TRUE(module.ok()) << module.status();
  TraceSink<kAll> sink;
  WalkerScratch scratch;
  FunctionWalker<TraceSink<kAll>> walker(*module, 0, sink, scratch);
  EXPECT_TRUE(walker.Run()) << walker.error();
  return sink.trace;
}

TEST(FunctionSinkTest, StraightLine) {
  EXPECT_THAT(Trace("(func (param i64 f32) (local i32) (i32.store offset=9 align=2 (i32.const -1) "
                    "(i32.eqz (local.get 2))))"),
              ElementsAre("begin 2/3", "i32 4294967295", "get 2 i32", "i32.eqz", "i32.store 9 1",
                          "end reached", "finish"));
}

TEST(FunctionSinkTest, CodeAfterABranchIsNotShown) {
  EXPECT_THAT(
      Trace("(func (block (br 0) (drop (i32.const 1)) (block (nop)) (br_if 0 (i32.const 1)))"
            " (nop))"),
      ElementsAre("begin 0/0", "block 0>0", "br 0", "end", "nop", "end reached", "finish"));
  EXPECT_THAT(Trace("(func (unreachable) (if (i32.const 1) (then (nop)) (else (nop))))"),
              ElementsAre("begin 0/0", "unreachable", "end", "finish"));
  EXPECT_THAT(Trace("(func (return) (nop))"), ElementsAre("begin 0/0", "return", "end", "finish"));
}

// The validator gives code after such a block ordinary types; nothing gets there all the same.
TEST(FunctionSinkTest, CodeAfterABlockThatNobodyLeavesIsNotShown) {
  EXPECT_THAT(Trace("(func (result i32) (block (result i32) (unreachable)) (i32.eqz))"),
              ElementsAre("begin 0/0", "block 0>1", "unreachable", "end", "end", "finish"));
  EXPECT_THAT(Trace("(func (loop (br 0)) (nop))"),
              ElementsAre("begin 0/0", "loop 0>0", "br 0", "end", "end", "finish"))
      << "a branch to a loop does not reach its end";
  EXPECT_THAT(Trace("(func (block (block (br 1))) (nop))"),
              ElementsAre("begin 0/0", "block 0>0", "block 0>0", "br 1", "end", "end", "nop",
                          "end reached", "finish"));
  EXPECT_THAT(Trace("(func (block (unreachable) (br 0)) (nop))"),
              ElementsAre("begin 0/0", "block 0>0", "unreachable", "end", "end", "finish"))
      << "a branch that is not shown reaches nothing";
}

TEST(FunctionSinkTest, BranchesReachTheirTargets) {
  EXPECT_THAT(Trace("(func (block (br_if 0 (i32.const 1)) (unreachable)) (nop))"),
              ElementsAre("begin 0/0", "block 0>0", "i32 1", "br_if 0", "unreachable", "end", "nop",
                          "end reached", "finish"));
  EXPECT_THAT(Trace("(func (block (block (br_table 0 0 1 (i32.const 1))) (nop)) (nop))"),
              ElementsAre("begin 0/0", "block 0>0", "block 0>0", "i32 1", "br_table 0 0 default 1",
                          "end", "nop", "end reached", "nop", "end reached", "finish"));
}

TEST(FunctionSinkTest, IfAndElse) {
  EXPECT_THAT(
      Trace("(func (if (i32.const 1) (then (return))) (nop))"),
      ElementsAre("begin 0/0", "i32 1", "if 0>0", "return", "end", "nop", "end reached", "finish"))
      << "without else, the condition leads past it";
  EXPECT_THAT(Trace("(func (if (i32.const 1) (then (nop)) (else (unreachable))) (nop))"),
              ElementsAre("begin 0/0", "i32 1", "if 0>0", "nop", "else reached", "unreachable",
                          "end", "nop", "end reached", "finish"))
      << "the then arm gets there";
  EXPECT_THAT(Trace("(func (if (i32.const 1) (then (unreachable)) (else (nop))) (nop))"),
              ElementsAre("begin 0/0", "i32 1", "if 0>0", "unreachable", "else", "nop",
                          "end reached", "nop", "end reached", "finish"));
  EXPECT_THAT(Trace("(func (if (i32.const 1) (then (return)) (else (return))) (nop))"),
              ElementsAre("begin 0/0", "i32 1", "if 0>0", "return", "else", "return", "end", "end",
                          "finish"))
      << "neither does";
}

TEST(FunctionSinkTest, BlockParameters) {
  EXPECT_THAT(Trace("(func (i32.const 1) (i64.const 2) (block (param i32 i64) (result i64) (drop) "
                    "(drop) (i64.const 3)) (drop))"),
              ElementsAre("begin 0/0", "i32 1", "i64 2", "block 2>1", "drop i64", "drop i32",
                          "i64 3", "end reached", "drop i64", "end reached", "finish"));
}

TEST(FunctionSinkTest, TypesAreResolved) {
  EXPECT_THAT(
      Trace("(func (drop (select (f32.const 0) (f32.const 0) (i32.const 0))) "
            "(drop (ref.is_null (ref.null extern))))"),
      ElementsAre("begin 0/0", "f32 0", "f32 0", "i32 0", "select f32", "drop f32",
                  "null externref", "is_null externref", "drop i32", "end reached", "finish"));
}

TEST(FunctionSinkTest, Calls) {
  EXPECT_THAT(Trace("(func (call 1 (i32.const 5)) (call_indirect (type $t) (i32.const 6))) "
                    "(func (param i32)) (type $t (func))"),
              ElementsAre("begin 0/0", "i32 5", "call 1 of 1", "i32 6", "call_indirect 0 0",
                          "end reached", "finish"));
}

TEST(FunctionSinkTest, UnreachableCodeOnRequest) {
  EXPECT_THAT(Trace<true>("(func (return) (drop) (select) (drop) (block (nop) (br 0)) (nop))"),
              ElementsAre("begin 0/0", "return", "drop bottom", "select bottom", "drop bottom",
                          "block 0>0", "nop", "br 0", "end", "nop", "end", "finish"));
  EXPECT_THAT(
      Trace<true>("(func (return) (if (i32.const 1) (then) (else (nop))))"),
      ElementsAre("begin 0/0", "return", "i32 1", "if 0>0", "else", "nop", "end", "end", "finish"));
}

TEST(FunctionSinkTest, SinkStopsTheWalk) {
  const Bytes bytes = Wat("(module (func (nop) (nop) (nop)))");
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  for (size_t stop_after = 1; stop_after <= 6; ++stop_after) {
    TraceSink<false> sink;
    sink.stop_after = stop_after;
    WalkerScratch scratch;
    FunctionWalker<TraceSink<false>> walker(*module, 0, sink, scratch);
    EXPECT_FALSE(walker.Run());
    EXPECT_EQ(walker.error().code(), absl::StatusCode::kAborted);
    EXPECT_EQ(sink.trace.size(), stop_after);
  }
}

// Nothing of an instruction that is not valid reaches the sink.
TEST(FunctionSinkTest, NothingInvalidIsShown) {
  const Bytes bytes = Wat("(module (func (nop) (i32.const 1) (i64.eqz) (drop)))");
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  ASSERT_TRUE(module.ok());
  TraceSink<false> sink;
  WalkerScratch scratch;
  FunctionWalker<TraceSink<false>> walker(*module, 0, sink, scratch);
  EXPECT_FALSE(walker.Run());
  EXPECT_THAT(sink.trace, ElementsAre("begin 0/0", "nop", "i32 1"));
  EXPECT_EQ(module->bytes[walker.offset()], std::byte{0x50});
}

}  // namespace
}  // namespace wasmd::engine
