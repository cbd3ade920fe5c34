#include "engine/compile/baseline/function_analysis.h"

#include <algorithm>
#include <array>

#include "engine/base/check.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/opcodes.h"

namespace wasmd::engine::baseline {
namespace {

// What the scan does with an opcode: how to skip its immediates, and what it means here.
enum class Action : uint8_t {
  kUnknown,
  kSkip0,
  kSkip1,  // LEB128 integers.
  kSkip2,
  kSkip4Bytes,
  kSkip8Bytes,
  kSkip1Byte,
  kSkip16Bytes,
  kSkipVector,
  kBlock,
  kLoop,
  kIf,
  kElse,
  kEnd,
  kBr,
  kBrIf,
  kBrTable,
  kStop,  // return, unreachable
  kLocalGet,
  kLocalSet,
  kLocalTee,
  kMemory,      // A memarg.
  kMemoryLane,  // A memarg and a byte.
  kContext1,    // Use the context.
  kContext2,
  kCall1,
  kCall2,
  kTailCall1,  // Uses the context too, and nothing comes after.
  kTailCall2,
  kTryTable,
  kThrow,
  kThrowRef,
};

constexpr Action ActionOf(const OpcodeInfo& info) {
  switch (info.op) {
    case Opcode::kBlock:
      return Action::kBlock;
    case Opcode::kLoop:
      return Action::kLoop;
    case Opcode::kIf:
      return Action::kIf;
    case Opcode::kElse:
      return Action::kElse;
    case Opcode::kEnd:
      return Action::kEnd;
    case Opcode::kBr:
      return Action::kBr;
    case Opcode::kBrIf:
      return Action::kBrIf;
    case Opcode::kBrTable:
      return Action::kBrTable;
    case Opcode::kReturn:
    case Opcode::kUnreachable:
      return Action::kStop;
    case Opcode::kLocalGet:
      return Action::kLocalGet;
    case Opcode::kLocalSet:
      return Action::kLocalSet;
    case Opcode::kLocalTee:
      return Action::kLocalTee;
    case Opcode::kCall:
    case Opcode::kRefFunc:
      return Action::kCall1;
    case Opcode::kMemoryGrow:
      return Action::kCall1;
    case Opcode::kReturnCall:
      return Action::kTailCall1;
    case Opcode::kReturnCallIndirect:
      return Action::kTailCall2;
    case Opcode::kTryTable:
      return Action::kTryTable;
    case Opcode::kThrow:
      return Action::kThrow;
    case Opcode::kThrowRef:
      return Action::kThrowRef;
    case Opcode::kMemorySize:
      return Action::kContext1;
    default:
      break;
  }
  const bool is_prefixed = (static_cast<uint32_t>(info.op) >> 16) != 0;
  switch (info.immediate) {
    case Immediate::kNone:
      return Action::kSkip0;
    case Immediate::kCallIndirect:
      return Action::kCall2;
    case Immediate::kSelectTypes:
      return Action::kSkipVector;
    case Immediate::kGlobalIndex:
      return Action::kContext1;
    // table.get, set and size are inline, the prefixed others are builtins.
    case Immediate::kTableIndex:
      return is_prefixed && info.op != Opcode::kTableSize ? Action::kCall1 : Action::kContext1;
    case Immediate::kMemArg:
      return Action::kMemory;
    case Immediate::kMemArgLane:
      return Action::kMemoryLane;
    case Immediate::kLane:
      return Action::kSkip1Byte;
    case Immediate::kV128:
    case Immediate::kLanes:
      return Action::kSkip16Bytes;
    case Immediate::kI32:
    case Immediate::kI64:
    case Immediate::kRefType:
      return Action::kSkip1;
    case Immediate::kF32:
      return Action::kSkip4Bytes;
    case Immediate::kF64:
      return Action::kSkip8Bytes;
    case Immediate::kMemoryIndex:
    case Immediate::kDataIndex:
    case Immediate::kElemIndex:
      return Action::kCall1;
    case Immediate::kMemoryInit:
    case Immediate::kMemoryCopy:
    case Immediate::kTableInit:
    case Immediate::kTableCopy:
      return Action::kCall2;
    case Immediate::kBlockType:
    case Immediate::kLabelIndex:
    case Immediate::kBrTable:
    case Immediate::kFuncIndex:
    case Immediate::kLocalIndex:
    case Immediate::kTagIndex:
    case Immediate::kTryTable:
      break;
  }
  return Action::kUnknown;
}

struct ActionTables {
  std::array<Action, 256> plain{};
  std::array<Action, 64> fc{};
  std::array<Action, 320> fd{};
};

constexpr ActionTables MakeActionTables() {
  ActionTables tables;
  for (const OpcodeInfo& info : kOpcodes) {
    const auto code = static_cast<uint32_t>(info.op);
    if (code < 256) {
      tables.plain[code] = ActionOf(info);
    } else if ((code >> 16) == 0xfc && (code & 0xffff) < tables.fc.size()) {
      tables.fc[code & 0xffff] = ActionOf(info);
    } else if ((code >> 16) == 0xfd && (code & 0xffff) < tables.fd.size()) {
      tables.fd[code & 0xffff] = ActionOf(info);
    }
  }
  return tables;
}

constexpr ActionTables kActions = MakeActionTables();

}  // namespace

// A cursor that stays within the body, whatever is in it.
class FunctionAnalysis::Cursor {
 public:
  explicit Cursor(std::span<const std::byte> body)
      : begin_(reinterpret_cast<const uint8_t*>(body.data())),
        pos_(begin_),
        end_(begin_ + body.size()) {}

  bool at_end() const { return pos_ == end_; }
  uint32_t offset() const { return static_cast<uint32_t>(pos_ - begin_); }
  uint8_t Byte() { return pos_ != end_ ? *pos_++ : uint8_t{0}; }
  void SkipLeb() {
    while (pos_ != end_ && (*pos_++ & 0x80) != 0) {
    }
  }
  void SkipBytes(size_t count) { pos_ += std::min(count, static_cast<size_t>(end_ - pos_)); }
  uint32_t U32() {
    if (pos_ != end_ && *pos_ < 0x80) [[likely]] {
      return *pos_++;
    }
    uint32_t value = 0;
    for (uint32_t shift = 0; pos_ != end_; shift += 7) {
      const uint8_t byte = *pos_++;
      if (shift < 32) {
        value |= static_cast<uint32_t>(byte & 0x7f) << shift;
      }
      if (byte < 0x80) {
        break;
      }
    }
    return value;
  }

 private:
  const uint8_t* begin_;
  const uint8_t* pos_;
  const uint8_t* end_;
};

void FunctionAnalysis::Analyze(std::span<const std::byte> body, uint32_t param_count,
                               std::span<const ValType> locals, bool checks_memory) {
  checks_memory_ = checks_memory;
  near_count_ = static_cast<uint32_t>(locals.size());
  far_.clear();
  Cursor cursor(body);
  const bool is_declared = ReadDeclarations(cursor, param_count);
  // Two bytes at least mention one.
  const auto far_count =
      static_cast<uint32_t>(std::min<size_t>(declared_count_ - near_count_, body.size() / 2));
  local_count_ = near_count_ + far_count;
  types_.assign(locals.begin(), locals.end());
  types_.resize(local_count_, ValType::kI32);
  words_ = (local_count_ + 63) / 64;
  flags_.assign(body.size(), 0);
  blocks_.clear();
  hot_.clear();
  events_.clear();
  targets_.clear();
  set_ends_.clear();
  open_.clear();
  log_.clear();
  innermost_loop_ = kNone;
  work_ = 0;
  set_words_ = 0;
  has_calls_ = false;
  uses_memory_ = false;
  has_liveness_ = false;
  has_loops_ = false;
  open_tries_ = 0;
  is_float_.assign(size_t{local_count_} + kPseudoLocals, 0);
  for (uint32_t i = 0; i < near_count_; ++i) {
    is_float_[i] = IsGeneral(locals[i]) ? 0 : 1;
  }
  if (count_index_.size() < is_float_.size()) {
    count_index_.resize(is_float_.size(), 0);
  }
  if (!is_declared || !Scan(cursor, body.size())) {
    // Assume the worst; the walker is about to say what is wrong.
    blocks_.clear();
    has_calls_ = true;
    uses_memory_ = true;
    return;
  }
  const uint64_t max_work =
      std::min(kMaxLivenessWork, kLivenessWorkBase + kLivenessWorkPerByte * body.size());
  if (words_ != 0 && uint64_t{blocks_.size()} * words_ <= kMaxLivenessWords &&
      (work_ + blocks_.size()) * words_ <= max_work) {
    has_liveness_ = true;
    set_words_ = (work_ + blocks_.size()) * words_ * (has_loops_ ? 2 : 1);
    ComputeLiveness();
  }
}

bool FunctionAnalysis::ReadDeclarations(Cursor& cursor, uint32_t param_count) {
  runs_.clear();
  declared_count_ = param_count;
  for (uint32_t groups = cursor.U32(); groups != 0; --groups) {
    const uint32_t count = cursor.U32();
    const auto type = static_cast<ValType>(cursor.Byte());
    if (cursor.at_end() || count > kMaxFuncLocals - declared_count_) {
      declared_count_ = std::max(declared_count_, near_count_);
      return false;
    }
    declared_count_ += count;
    runs_.push_back({declared_count_, type});
  }
  declared_count_ = std::max(declared_count_, near_count_);
  return true;
}

uint32_t FunctionAnalysis::NumberFar(uint32_t index) {
  if (index >= declared_count_) {
    return kNone;
  }
  const auto [found, is_new] =
      far_.try_emplace(index, near_count_ + static_cast<uint32_t>(far_.size()));
  if (is_new) {
    WASMD_CHECK(found->second < local_count_, "each far local takes two bytes to mention");
    const auto run = std::ranges::upper_bound(runs_, index, {}, &LocalRun::end);
    types_[found->second] = run->type;
    is_float_[found->second] = IsGeneral(run->type) ? 0 : 1;
  }
  return found->second;
}

uint32_t FunctionAnalysis::FindNumber(uint32_t index) const {
  if (index < near_count_) {
    return index;
  }
  const auto found = far_.find(index);
  return found == far_.end() ? kNone : found->second;
}

bool FunctionAnalysis::Scan(Cursor& cursor, size_t body_bytes) {
  const auto open_block = [&](uint32_t offset, Action action) {
    const bool is_loop = action == Action::kLoop;
    const auto block = static_cast<uint32_t>(blocks_.size());
    blocks_.push_back({.offset = offset, .is_loop = is_loop, .is_if = action == Action::kIf});
    open_.push_back({.block = block,
                     .outer_loop = innermost_loop_,
                     .log_begin = static_cast<uint32_t>(log_.size()),
                     .calls_seen = false});
    events_.push_back({offset, EventKind::kBlock, block});
    if (is_loop) {
      innermost_loop_ = static_cast<uint32_t>(open_.size() - 1);
      has_loops_ = true;
    }
  };
  // Depth → event value: the block, or kNone for the function's own.
  const auto target = [&](uint32_t depth) {
    return depth < open_.size() ? open_[open_.size() - 1 - depth].block : kNone;
  };
  uint32_t skipped = 0;  // Blocks open in unreachable code.
  bool is_reachable = true;
  while (!cursor.at_end()) {
    const uint32_t offset = cursor.offset();
    const uint8_t byte = cursor.Byte();
    Action action = kActions.plain[byte];
    if (byte == 0xfc) {
      const uint32_t sub = cursor.U32();
      action = sub < kActions.fc.size() ? kActions.fc[sub] : Action::kUnknown;
    } else if (byte == 0xfd) {
      const uint32_t sub = cursor.U32();
      action = sub < kActions.fd.size() ? kActions.fd[sub] : Action::kUnknown;
    }
    switch (action) {
      case Action::kUnknown:
        return false;
      case Action::kSkip0:
        break;
      case Action::kSkip2:
        cursor.SkipLeb();
        [[fallthrough]];
      case Action::kSkip1:
        cursor.SkipLeb();
        break;
      case Action::kSkip4Bytes:
        cursor.SkipBytes(4);
        break;
      case Action::kSkip8Bytes:
        cursor.SkipBytes(8);
        break;
      case Action::kSkip1Byte:
        cursor.SkipBytes(1);
        break;
      case Action::kSkip16Bytes:
        cursor.SkipBytes(16);
        break;
      case Action::kSkipVector:
        for (uint32_t count = cursor.U32(); count != 0 && !cursor.at_end(); --count) {
          cursor.SkipLeb();
        }
        break;
      case Action::kBlock:
      case Action::kLoop:
      case Action::kIf:
        cursor.SkipLeb();
        if (is_reachable) {
          open_block(offset, action);
        } else {
          ++skipped;
        }
        break;
      case Action::kTryTable: {
        cursor.SkipLeb();
        // Its labels are those of the blocks around it.
        const auto handlers = static_cast<uint32_t>(targets_.size());
        const uint32_t count = cursor.U32();
        if (count > body_bytes) {
          return false;
        }
        targets_.push_back(count);
        for (uint32_t i = 0; i < count; ++i) {
          if (cursor.Byte() < 2) {  // With a tag.
            cursor.SkipLeb();
          }
          targets_.push_back(target(cursor.U32()));
        }
        if (is_reachable) {
          work_ += count;
          open_block(offset, action);
          blocks_.back().handlers = handlers;
          ++open_tries_;
        } else {
          targets_.resize(handlers);
          ++skipped;
        }
        break;
      }
      case Action::kElse:
        if (skipped == 0 && !open_.empty()) {
          blocks_[open_.back().block].has_else = true;
          events_.push_back({offset, EventKind::kElse, open_.back().block});
          is_reachable = true;
        }
        break;
      case Action::kEnd:
        if (skipped != 0) {
          --skipped;
          break;
        }
        if (open_.empty()) {
          return cursor.at_end();
        }
        events_.push_back({offset, EventKind::kEnd, open_.back().block});
        blocks_[open_.back().block].end = offset;
        if (blocks_[open_.back().block].is_loop) {
          CloseLoop(open_.back());
        } else if (blocks_[open_.back().block].handlers != kNone) {
          --open_tries_;
        }
        open_.pop_back();
        // Perhaps it is not; then what follows makes more locals live than need be.
        is_reachable = true;
        break;
      case Action::kBr:
      case Action::kBrIf: {
        const uint32_t depth = cursor.U32();
        if (is_reachable) {
          ++work_;
          events_.push_back(
              {offset, action == Action::kBr ? EventKind::kBr : EventKind::kBrIf, target(depth)});
          is_reachable = action == Action::kBrIf;
        }
        break;
      }
      case Action::kBrTable: {
        const uint32_t count = cursor.U32();
        if (count > body_bytes) {
          return false;
        }
        const auto begin = static_cast<uint32_t>(targets_.size());
        targets_.push_back(count + 1);
        for (uint32_t i = 0; i <= count; ++i) {
          targets_.push_back(target(cursor.U32()));
        }
        if (is_reachable) {
          work_ += count + 1;
          events_.push_back({offset, EventKind::kBrTable, begin});
          is_reachable = false;
        }
        break;
      }
      case Action::kStop:
        if (is_reachable) {
          events_.push_back({offset, EventKind::kStop, 0});
          is_reachable = false;
        }
        break;
      case Action::kLocalGet:
      case Action::kLocalSet:
      case Action::kLocalTee: {
        const uint32_t local = NumberOf(cursor.U32());
        if (local == kNone) {
          return false;
        }
        if (is_reachable) {
          const bool is_get = action == Action::kLocalGet;
          events_.push_back({offset, is_get ? EventKind::kGet : EventKind::kSet, local});
          Log(local, !is_get);
        }
        break;
      }
      case Action::kMemory:
      case Action::kMemoryLane: {
        constexpr uint32_t kHasMemoryIndex = 0x40;
        const bool has_index = (cursor.U32() & kHasMemoryIndex) != 0;
        const uint32_t memory_index = has_index ? cursor.U32() : 0;
        cursor.SkipLeb();
        if (action == Action::kMemoryLane) {
          cursor.SkipBytes(1);
        }
        if (is_reachable && memory_index != 0) {
          Log(local_count_, false);
        } else if (is_reachable) {
          uses_memory_ = true;
          Log(local_count_ + 1, false);
          if (checks_memory_) {
            Log(local_count_ + 2, false);
          }
        }
        break;
      }
      case Action::kContext2:
        cursor.SkipLeb();
        [[fallthrough]];
      case Action::kContext1:
        cursor.SkipLeb();
        if (is_reachable) {
          Log(local_count_, false);
        }
        break;
      case Action::kCall2:
        cursor.SkipLeb();
        [[fallthrough]];
      case Action::kCall1:
        cursor.SkipLeb();
        if (is_reachable) {
          Log(local_count_, false);
          NoteCall(offset);
        }
        break;
      case Action::kThrow:
        cursor.SkipLeb();
        [[fallthrough]];
      case Action::kThrowRef:
        if (is_reachable) {
          Log(local_count_, false);
          NoteCall(offset);
          events_.push_back({offset, EventKind::kStop, 0});
          is_reachable = false;
        }
        break;
      // The frame is gone before the callee runs: no call as far as registers and the stack go.
      case Action::kTailCall2:
        cursor.SkipLeb();
        [[fallthrough]];
      case Action::kTailCall1:
        cursor.SkipLeb();
        if (is_reachable) {
          Log(local_count_, false);
          events_.push_back({offset, EventKind::kStop, 0});
          is_reachable = false;
        }
        break;
    }
  }
  return false;
}

void FunctionAnalysis::Log(uint32_t local, bool is_assigned) {
  if (innermost_loop_ != kNone) {
    // After a call nothing is in registers: only what stands before the first one is worth carrying
    // round the loop.
    log_.push_back({local, open_[innermost_loop_].calls_seen ? 0u : 1u, is_assigned});
  }
}

void FunctionAnalysis::NoteCall(uint32_t offset) {
  has_calls_ = true;
  if (open_tries_ != 0) {
    ++work_;
    events_.push_back({offset, EventKind::kCall, 0});
  }
  if (innermost_loop_ != kNone) {
    open_[innermost_loop_].calls_seen = true;
  }
}

void FunctionAnalysis::CloseLoop(const OpenBlock& loop) {
  BlockInfo& info = blocks_[loop.block];
  info.has_calls = loop.calls_seen;
  counted_.clear();
  for (size_t i = loop.log_begin; i < log_.size(); ++i) {
    const LogEntry& entry = log_[i];
    uint32_t& index = count_index_[entry.local];
    if (index == 0) {
      counted_.push_back(entry);
      index = static_cast<uint32_t>(counted_.size());
    } else {
      LogEntry& sum = counted_[index - 1];
      sum.weight = std::min<uint32_t>(sum.weight + entry.weight, uint32_t{1} << 24);
      sum.is_assigned = sum.is_assigned || entry.is_assigned;
    }
  }
  for (const LogEntry& entry : counted_) {
    count_index_[entry.local] = 0;
  }
  log_.resize(loop.log_begin);
  // Hottest first.
  std::ranges::sort(counted_, [](const LogEntry& a, const LogEntry& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.local < b.local;
  });
  innermost_loop_ = loop.outer_loop;
  const bool outer_calls_seen = innermost_loop_ != kNone && open_[innermost_loop_].calls_seen;
  info.hot_begin = static_cast<uint32_t>(hot_.size());
  uint32_t general = 0;
  uint32_t floats = 0;
  for (const LogEntry& entry : counted_) {
    uint32_t& count = is_float_[entry.local] != 0 ? floats : general;
    if (entry.weight == 0 ||
        count >= (is_float_[entry.local] != 0 ? kMaxHotFloat : kMaxHotGeneral)) {
      continue;
    }
    ++count;
    hot_.push_back({entry.local & 0x7fff'ffff, entry.is_assigned});
    if (innermost_loop_ != kNone) {
      const uint32_t weight =
          outer_calls_seen ? 0 : std::min<uint32_t>(entry.weight * 8, uint32_t{1} << 20);
      log_.push_back({entry.local, weight, entry.is_assigned});
    }
  }
  info.hot_count = static_cast<uint32_t>(hot_.size()) - info.hot_begin;
  if (loop.calls_seen && innermost_loop_ != kNone) {
    open_[innermost_loop_].calls_seen = true;
  }
}

void FunctionAnalysis::SortSets() {
  set_ends_.assign(size_t{local_count_} + 1, 0);
  for (const Event& event : events_) {
    if (event.kind == EventKind::kSet) {
      ++set_ends_[event.value + 1];
    }
  }
  for (size_t i = 1; i < set_ends_.size(); ++i) {
    set_ends_[i] += set_ends_[i - 1];
  }
  set_offsets_.resize(set_ends_.back());
  // Each local's end moves from where its own begin to where the next one's do.
  for (const Event& event : events_) {
    if (event.kind == EventKind::kSet) {
      set_offsets_[set_ends_[event.value]++] = event.offset;
    }
  }
}

bool FunctionAnalysis::IsAssignedIn(uint32_t block, uint32_t local) {
  if (set_ends_.empty()) {
    SortSets();
  }
  const uint32_t begin = local == 0 ? 0 : set_ends_[local - 1];
  const auto sets = std::span(set_offsets_).subspan(begin, set_ends_[local] - begin);
  const auto next = std::ranges::lower_bound(sets, blocks_[block].offset);
  return next != sets.end() && *next < blocks_[block].end;
}

// Sets are arrays of words_ words. The set of a label is what is live where a branch to it arrives.
//
// For a loop that is the loop's start, which a backward walk meets last. The first pass takes it to
// be empty: what it finds at the start of a loop is then right but for what is live only by way of
// an enclosing loop's own start. The second pass adds that: for each loop, the start sets of the
// loops around it. (A local that is live at the outer start and killed in between is
// over-estimated.)
void FunctionAnalysis::ComputeLiveness() {
  label_live_.assign(blocks_.size() * words_, 0);
  live_.assign(words_, 0);
  if (has_loops_) {
    LivenessPass(false);
  }
  LivenessPass(true);
  entry_live_ = live_;
}

void FunctionAnalysis::OrLabels(uint32_t targets, uint64_t* live) const {
  const uint32_t count = targets_[targets];
  for (uint32_t t = 1; t <= count; ++t) {
    const uint32_t block = targets_[targets + t];
    if (block == kNone) {
      continue;
    }
    const uint64_t* const set = &label_live_[size_t{block} * words_];
    for (size_t w = 0; w < words_; ++w) {
      live[w] |= set[w];
    }
  }
}

void FunctionAnalysis::LivenessPass(bool is_final) {
  const size_t words = words_;
  uint64_t* const live = live_.data();
  const auto label = [&](uint32_t block) { return &label_live_[block * words]; };
  open_.clear();  // From here on a stack of the blocks that the walk is in: `block`, and the
                  // enclosing loop in `outer_loop`.
  else_live_.clear();
  handler_live_.clear();
  uint32_t loop = kNone;  // Block index of the innermost loop.
  std::fill_n(live, words, 0);
  for (size_t i = events_.size(); i-- != 0;) {
    const Event& event = events_[i];
    switch (event.kind) {
      case EventKind::kGet: {
        uint64_t& word = live[event.value >> 6];
        const uint64_t bit = uint64_t{1} << (event.value & 63);
        if (is_final && (word & bit) == 0) {
          flags_[event.offset] |= kLastUse;
        }
        word |= bit;
        break;
      }
      case EventKind::kSet: {
        uint64_t& word = live[event.value >> 6];
        const uint64_t bit = uint64_t{1} << (event.value & 63);
        if (is_final && (word & bit) == 0) {
          flags_[event.offset] |= kDeadStore;
        }
        word &= ~bit;
        break;
      }
      case EventKind::kEnd: {
        const BlockInfo& info = blocks_[event.value];
        open_.push_back(
            {.block = event.value, .outer_loop = loop, .log_begin = 0, .calls_seen = false});
        uint64_t* const set = label(event.value);
        if (info.is_loop) {
          if (is_final && loop != kNone) {
            const uint64_t* const outer = label(loop);
            for (size_t w = 0; w < words; ++w) {
              set[w] |= outer[w];
            }
          }
          loop = event.value;
        } else {
          std::copy_n(live, words, set);
        }
        if (info.handlers != kNone) {
          // What this one's labels and those of the ones around it read.
          handler_live_.resize(handler_live_.size() + words, 0);
          uint64_t* const handlers = handler_live_.data() + handler_live_.size() - words;
          if (handler_live_.size() > words) {
            std::copy_n(handlers - words, words, handlers);
          }
          OrLabels(info.handlers, handlers);
        }
        break;
      }
      case EventKind::kElse:
        else_live_.insert(else_live_.end(), live, live + words);
        std::copy_n(label(event.value), words, live);
        break;
      case EventKind::kBlock: {
        const BlockInfo& info = blocks_[event.value];
        if (info.is_loop) {
          std::copy_n(live, words, label(event.value));
        } else if (info.has_else) {
          const size_t begin = else_live_.size() - words;
          for (size_t w = 0; w < words; ++w) {
            live[w] |= else_live_[begin + w];
          }
          else_live_.resize(begin);
        } else if (info.is_if) {
          // Not taken, it arrives at its end.
          const uint64_t* const set = label(event.value);
          for (size_t w = 0; w < words; ++w) {
            live[w] |= set[w];
          }
        }
        if (info.handlers != kNone) {
          handler_live_.resize(handler_live_.size() - words);
        }
        loop = open_.back().outer_loop;
        open_.pop_back();
        break;
      }
      case EventKind::kBr:
        if (event.value == kNone) {
          std::fill_n(live, words, 0);
        } else {
          std::copy_n(label(event.value), words, live);
        }
        break;
      case EventKind::kBrIf:
        if (event.value != kNone) {
          const uint64_t* const set = label(event.value);
          for (size_t w = 0; w < words; ++w) {
            live[w] |= set[w];
          }
        }
        break;
      case EventKind::kBrTable:
        std::fill_n(live, words, 0);
        OrLabels(event.value, live);
        break;
      case EventKind::kCall: {
        const uint64_t* const set = handler_live_.data() + handler_live_.size() - words;
        for (size_t w = 0; w < words; ++w) {
          live[w] |= set[w];
        }
        break;
      }
      case EventKind::kStop:
        std::fill_n(live, words, 0);
        break;
    }
  }
}

}  // namespace wasmd::engine::baseline
