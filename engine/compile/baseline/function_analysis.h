// FunctionAnalysis: what the baseline compiler knows about a body before it compiles it: where
// locals die, and which locals a loop is hot on.
//
// One forward scan turns the body into a list of events (accesses to locals, labels, branches); one
// backward pass over the events (two if there are loops) gives liveness, which structured control
// makes cheap. The scan decodes just enough to skip immediates and trusts nothing: a body that
// turns out to be invalid yields no information, and the walker reports it.
//
// All of it is advice except liveness, which must over-estimate: a local that is said to be dead is
// not stored. Time and memory are linear in the body; liveness is given up beyond
// kMaxLivenessWords.
#ifndef WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_ANALYSIS_H_
#define WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_ANALYSIS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "engine/wasm/types.h"

namespace wasmd::engine::baseline {

// A local that a loop uses often, hottest first.
struct HotLocal {
  uint32_t local : 31 = 0;
  uint32_t is_assigned : 1 = 0;
};

struct BlockInfo {
  uint32_t offset = 0;  // Of the block, loop or if instruction, in the body.
  uint32_t end = 0;     // Of its end instruction.
  bool is_loop = false;
  bool is_if = false;
  bool has_else = false;
  bool has_calls = false;          // Loops only, nested ones included.
  uint32_t handlers = UINT32_MAX;  // A try_table's labels, in the analysis' list of targets.
  uint32_t hot_begin = 0;          // Loops only: a range of hot().
  uint32_t hot_count = 0;
};

class FunctionAnalysis {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Per instruction, by its offset.
  static constexpr uint8_t kLastUse = 1;    // local.get: the local is dead afterwards.
  static constexpr uint8_t kDeadStore = 2;  // local.set, local.tee: the local is dead afterwards.

  // Hot locals a loop can have: about as many as there are registers of a class.
  static constexpr uint32_t kMaxHotGeneral = 10;
  static constexpr uint32_t kMaxHotFloat = 13;
  // Bits of liveness kept, in 64-bit words: labels × words per set. 8 MiB.
  static constexpr uint64_t kMaxLivenessWords = uint64_t{1} << 20;
  // And spent on set operations: branches × words per set. The base is for small bodies, where the
  // product cannot be large.
  static constexpr uint64_t kMaxLivenessWork = uint64_t{1} << 24;
  static constexpr uint64_t kLivenessWorkBase = uint64_t{1} << 16;
  static constexpr uint64_t kLivenessWorkPerByte = 32;

  // What the compiler keeps like locals, by numbers that follow the declared ones': the context,
  // memory 0's base, memory 0's MemoryContext.
  static constexpr uint32_t kPseudoLocals = 3;

  // `locals` has the parameters and declared locals, or the first ones: those behind them are
  // *far*. `body` begins with the local declarations. `checks_memory`: accesses to memory 0 need
  // its MemoryContext too.
  void Analyze(std::span<const std::byte> body, uint32_t param_count,
               std::span<const ValType> locals, bool checks_memory);

  // Locals have numbers, which are what everything here and in the compiler calls a local. Those in
  // `locals` keep theirs; far ones get theirs when they are first mentioned, so that a function
  // costs what its body does: seven bytes of it can declare 50,000.
  uint32_t NumberOf(uint32_t index) { return index < near_count_ ? index : NumberFar(index); }
  // kNone: it has none.
  uint32_t FindNumber(uint32_t index) const;
  // By number; numbers that nothing has got are of any type.
  std::span<const ValType> types() const { return types_; }

  uint8_t flags(uint32_t body_offset) const { return flags_[body_offset]; }
  // Blocks in the order of their offsets; those in unreachable code may be missing.
  std::span<const BlockInfo> blocks() const { return blocks_; }
  std::span<const HotLocal> hot(const BlockInfo& block) const {
    return std::span(hot_).subspan(block.hot_begin, block.hot_count);
  }
  // Words of liveness that were looked at, and local declarations.
  uint64_t work() const { return runs_.size() + set_words_; }
  // Whether an instruction of the block sets the local. Exact. The first question after Analyze
  // takes a pass over the body's events.
  bool IsAssignedIn(uint32_t block, uint32_t local);
  bool has_calls() const { return has_calls_; }
  // Memory 0, that is.
  bool uses_memory() const { return uses_memory_; }
  bool has_liveness() const { return has_liveness_; }
  // Whether a declared local may be read after the block's label (its end, or a loop's start)
  // before it is written.
  bool IsLiveAtLabel(uint32_t block, uint32_t local) const {
    return !has_liveness_ || local >= local_count_ ||
           TestBit(&label_live_[size_t{block} * words_], local);
  }
  bool IsLiveAtEntry(uint32_t local) const {
    return !has_liveness_ || local >= local_count_ || TestBit(entry_live_.data(), local);
  }

 private:
  // kCall: of a call in the body of a try_table, from which an exception may go to a handler.
  enum class EventKind : uint8_t {
    kGet,
    kSet,
    kBlock,
    kElse,
    kEnd,
    kBr,
    kBrIf,
    kBrTable,
    kStop,
    kCall
  };
  struct Event {
    uint32_t offset;
    EventKind kind;
    uint32_t value;  // Local, block, target block, or index in targets_.
  };
  struct OpenBlock {
    uint32_t block;
    uint32_t outer_loop;  // Index in open_ of the loop around it, or kNone.
    // Loops: where the log began, and whether a call has been seen.
    uint32_t log_begin;
    bool calls_seen;
  };
  struct LogEntry {
    uint32_t local;
    uint32_t weight;
    bool is_assigned;
  };
  static bool TestBit(const uint64_t* words, uint32_t bit) {
    return (words[bit >> 6] >> (bit & 63)) & 1;
  }

  class Cursor;
  struct LocalRun {
    uint32_t end;
    ValType type;
  };
  bool ReadDeclarations(Cursor& cursor, uint32_t param_count);
  uint32_t NumberFar(uint32_t index);
  bool Scan(Cursor& cursor, size_t body_bytes);
  void Log(uint32_t local, bool is_assigned);
  void NoteCall(uint32_t offset);
  void OrLabels(uint32_t targets, uint64_t* live) const;
  void SortSets();
  void CloseLoop(const OpenBlock& loop);
  void ComputeLiveness();
  void LivenessPass(bool is_final);

  std::vector<LocalRun> runs_;  // Of the declared locals.
  std::vector<ValType> types_;
  absl::flat_hash_map<uint32_t, uint32_t> far_;  // Index → number.
  uint32_t near_count_ = 0;
  uint32_t declared_count_ = 0;  // Parameters included.
  std::vector<uint8_t> flags_;
  std::vector<BlockInfo> blocks_;
  std::vector<HotLocal> hot_;
  std::vector<Event> events_;
  std::vector<uint32_t> targets_;  // Of br_table and try_table: count, then blocks.
  // By local, ascending: where it is set; set_ends_ has where each local's end.
  std::vector<uint32_t> set_offsets_;
  std::vector<uint32_t> set_ends_;  // Empty until asked for.
  std::vector<OpenBlock> open_;
  std::vector<LogEntry> log_;
  std::vector<LogEntry> counted_;
  std::vector<uint32_t> count_index_;  // By local: 1 + index in counted_, valid within CloseLoop.
  std::vector<uint8_t> is_float_;      // By local, pseudo-locals included.
  std::vector<uint64_t> label_live_;
  std::vector<uint64_t> entry_live_;
  std::vector<uint64_t> live_;
  std::vector<uint64_t> else_live_;
  std::vector<uint64_t> handler_live_;  // A set for each try_table that the walk is in.
  uint32_t open_tries_ = 0;
  uint32_t innermost_loop_ = kNone;  // Index in open_.
  uint32_t local_count_ = 0;         // Numbers that there can be.
  uint32_t words_ = 0;
  uint64_t work_ = 0;  // Branches.
  uint64_t set_words_ = 0;
  bool has_calls_ = false;
  bool uses_memory_ = false;
  bool checks_memory_ = false;
  bool has_liveness_ = false;
  bool has_loops_ = false;
};

}  // namespace wasmd::engine::baseline

#endif  // WASMD_ENGINE_COMPILE_BASELINE_FUNCTION_ANALYSIS_H_
