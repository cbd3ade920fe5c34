// A client that does what it likes with its channel, against the daemon's end of it (Channel) with
// functions bound.
//
// The input is a script of writes into the segment, between visits. A model that knows LAYOUT.md
// foretells what each visit leaves: which messages are taken, the completions to the bit (but for
// where a trap was), every byte of the arena, whether the channel is over, how often guest code was
// entered. After a visit the whole segment is compared.
//
// One input in sixteen runs with another thread that scribbles over the segment during the visits.
// There the oracle is: nothing outside of the segment (inaccessible pages, AddressSanitizer), an
// end, no more completions than messages taken, and nothing called after a violation.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "engine/base/check.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"
#include "tests/support/channel_under_test.h"
#include "tests/support/scribbler.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace wasmd {
namespace {

using ring::ArenaCall;
using ring::Completion;
using ring::CompletionKind;
using ring::Submission;
using ring::SubmissionKind;
using tests::ChannelUnderTest;
using Func = ChannelUnderTest::Func;

constexpr uint64_t kArenaBytes = 8192;
constexpr uint32_t kMaxOps = 256;
constexpr size_t kGuestMemoryBytes = 65'536;
constexpr size_t kEchoInputAt = 1024;

// gRPC status codes.
enum StatusCode : uint16_t {
  kCancelled = 1,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kOutOfRange = 11,
};
enum TrapCode : uint16_t { kUnreachable = 1, kMemoryOutOfBounds = 2 };

// Zeros behind its end.
class Input {
 public:
  explicit Input(std::span<const uint8_t> data) : data_(data) {}

  bool empty() const { return data_.empty(); }
  template <typename T>
  T Take() {
    T value{};
    const size_t count = std::min(sizeof(value), data_.size());
    if (count != 0) {
      std::memcpy(&value, data_.data(), count);
    }
    data_ = data_.subspan(count);
    return value;
  }
  uint8_t Byte() { return Take<uint8_t>(); }

 private:
  std::span<const uint8_t> data_;
};

// What the segment shall be. Offsets as in the real one.
class Model {
 public:
  explicit Model(const ring::SegmentView& real)
      : real_(real), now_ns_(ring::MonotonicNs()), memory_(kGuestMemoryBytes) {
    Copy();
  }

  // As it is before a visit.
  void Copy() {
    const auto* const base = reinterpret_cast<const std::byte*>(&real_.header());
    bytes_.assign(base, base + real_.geometry().segment_bytes());
  }
  // What a visit does.
  void Visit(uint32_t budget) {
    for (uint32_t i = 0; i < budget && !over_; ++i) {
      const ring::Geometry& geometry = real_.geometry();
      const auto message = At<Submission>(geometry.submissions_offset() +
                                          taken_ % geometry.slots * ring::kSlotBytes);
      if (message.sequence != static_cast<uint32_t>(taken_ + 1)) {
        break;
      }
      ++taken_;
      if (is_violation(message)) {
        over_ = true;
      } else {
        Complete(message, Call(message));
      }
    }
  }
  // A deadline that is neither past nor far away was met: what becomes of it is not known.
  bool is_unsure() const { return is_unsure_; }
  bool is_over() const { return over_; }
  uint64_t taken() const { return taken_; }
  uint64_t completed() const { return completed_; }
  uint32_t guest_calls() const { return guest_calls_; }

  void Compare() {
    const auto* const base = reinterpret_cast<const std::byte*>(&real_.header());
    // Whether the client is told awake is not of interest where it is told for nothing.
    const size_t state = offsetof(ring::ChannelHeader, client_state);
    std::memcpy(bytes_.data() + state, base + state, sizeof(uint32_t));
    for (const uint64_t offset : trapped_) {
      // Where: of the engine's tests.
      const size_t payload = offset + offsetof(Completion, payload);
      std::memcpy(bytes_.data() + payload, base + payload, 16);
    }
    trapped_.clear();
    const auto [wanted, found] = std::mismatch(bytes_.begin(), bytes_.end(), base);
    if (wanted != bytes_.end()) {
      std::fprintf(stderr, "byte %td of the segment is %02x and not %02x\n", found - base,
                   static_cast<unsigned>(*found), static_cast<unsigned>(*wanted));
      WASMD_CHECK(false);
    }
  }

 private:
  template <typename T>
  T At(uint64_t offset) const {
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(value));
    return value;
  }
  std::byte* arena() { return bytes_.data() + real_.geometry().arena_offset(); }

  static bool IsArenaCall(const Submission& message) {
    return message.kind == SubmissionKind::kCallBytes || (message.flags & ring::kFlagArena) != 0;
  }
  static bool IsOfItsFunc(const Submission& message) {
    return (message.kind == SubmissionKind::kCallBytes) == (message.func == Func::kEcho);
  }
  // Spec: LAYOUT.md, Errors and violations.
  static bool is_violation(const Submission& message) {
    if ((message.kind != SubmissionKind::kCall && message.kind != SubmissionKind::kCallBytes) ||
        (message.flags & ~ring::kFlagArena) != 0 || message.words > ring::kInlineWords ||
        message.func >= Func::kFuncs) {
      return true;
    }
    // Offsets and sizes are only looked at where they are the right ones for the function.
    if (!IsArenaCall(message) || !IsOfItsFunc(message)) {
      return false;
    }
    const auto place = std::bit_cast<ArenaCall>(message.payload);
    const auto outside = [](uint64_t offset, uint64_t bytes) {
      return offset > kArenaBytes || bytes > kArenaBytes || offset + bytes > kArenaBytes;
    };
    return message.words != ring::kInlineWords || outside(place.input_offset, place.input_bytes) ||
           outside(place.output_offset, place.output_capacity) ||
           (message.kind == SubmissionKind::kCall &&
            (place.input_offset % 8 != 0 || place.output_offset % 8 != 0));
  }

  struct Words {
    uint64_t params;
    uint64_t results;
  };
  static Words WordsOf(uint32_t func) {
    switch (static_cast<Func>(func)) {
      case Func::kAdd:
        return {2, 1};
      case Func::kI64:
      case Func::kF32:
      case Func::kF64:
      case Func::kOutOfBounds:
        return {1, 1};
      case Func::kV128:
        return {2, 2};
      case Func::kMany:
        return {6, 6};
      case Func::kCount:
      case Func::kFreshCount:
        return {0, 1};
      case Func::kTrap:
      case Func::kEcho:
      case Func::kFuncs:
        break;
    }
    return {0, 0};
  }

  Completion Failed(StatusCode code, uint64_t needed = 0) {
    Completion answer;
    answer.kind = CompletionKind::kFailed;
    answer.code = code;
    answer.detail = next_report_++;
    answer.payload[0] = needed;
    return answer;
  }
  Completion Trapped(TrapCode code) {
    Completion answer;
    answer.kind = CompletionKind::kTrapped;
    answer.code = code;
    answer.detail = next_report_++;
    return answer;
  }

  Completion Call(const Submission& message) {
    const bool in_arena = IsArenaCall(message);
    const auto place = std::bit_cast<ArenaCall>(message.payload);
    const Words words = WordsOf(message.func);
    const bool is_echo = message.func == Func::kEcho;
    if (!IsOfItsFunc(message)) {
      return Failed(kInvalidArgument);
    }
    if (!is_echo && in_arena) {
      if (place.input_bytes != words.params * 8) {
        return Failed(kInvalidArgument);
      }
      if (place.output_capacity < words.results * 8) {
        return Failed(kOutOfRange, words.results * 8);
      }
    } else if (!is_echo && (message.words != words.params || words.results > ring::kInlineWords)) {
      return Failed(kInvalidArgument);
    }
    if (message.cancel != 0) {
      return Failed(kCancelled);
    }
    if (message.deadline_ns != 0) {
      constexpr uint64_t kFar = 3'600'000'000'000;
      if (message.deadline_ns <= now_ns_) {
        return Failed(kDeadlineExceeded);
      }
      is_unsure_ = is_unsure_ || message.deadline_ns < now_ns_ + kFar;
    }
    if (is_echo) {
      return Echo(place);
    }
    std::array<uint64_t, ChannelUnderTest::kManyWords> arguments{};
    if (in_arena) {
      std::memcpy(arguments.data(), arena() + place.input_offset, words.params * 8);
    } else {
      std::ranges::copy(message.payload, arguments.begin());
    }
    std::array<uint64_t, ChannelUnderTest::kManyWords> results{};
    if (const uint16_t trap = Run(static_cast<Func>(message.func), arguments, results); trap != 0) {
      return Trapped(static_cast<TrapCode>(trap));
    }
    Completion answer;
    answer.kind = CompletionKind::kReturned;
    if (in_arena) {
      answer.detail = words.results * 8;
      std::memcpy(arena() + place.output_offset, results.data(), words.results * 8);
    } else {
      answer.words = static_cast<uint8_t>(words.results);
      std::copy_n(results.begin(), words.results, answer.payload.begin());
    }
    return answer;
  }

  // The functions of ChannelUnderTest. Returns a TrapCode, or 0.
  uint16_t Run(Func func, const std::array<uint64_t, 6>& in, std::array<uint64_t, 6>& out) {
    guest_calls_ += func == Func::kFreshCount ? 0 : 1;
    switch (func) {
      case Func::kAdd:
        out[0] = static_cast<uint32_t>(in[0] + in[1]);
        break;
      case Func::kI64:
      case Func::kF64:
        out[0] = in[0];
        break;
      case Func::kF32:
        out[0] = static_cast<uint32_t>(in[0]);
        break;
      case Func::kV128:
        out[0] = in[0];
        out[1] = in[1];
        break;
      case Func::kMany:
        out = {static_cast<uint32_t>(in[5]), in[3], in[4], in[2], in[1],
               static_cast<uint32_t>(in[0])};
        break;
      case Func::kTrap:
        return kUnreachable;
      case Func::kOutOfBounds: {
        const auto at = static_cast<uint32_t>(in[0]);
        if (at > kGuestMemoryBytes - 4) {
          return kMemoryOutOfBounds;
        }
        std::memcpy(out.data(), memory_.data() + at, 4);
        break;
      }
      case Func::kCount:
        out[0] = ++count_;
        break;
      case Func::kFreshCount:
        out[0] = 1;
        break;
      case Func::kEcho:
      case Func::kFuncs:
        break;
    }
    return 0;
  }

  Completion Echo(const ArenaCall& place) {
    ++guest_calls_;
    const auto size = static_cast<uint32_t>(place.input_bytes);
    std::memcpy(memory_.data() + kEchoInputAt, arena() + place.input_offset, size);
    const std::array<uint32_t, 2> pair = {static_cast<uint32_t>(kEchoInputAt), size};
    std::memcpy(memory_.data(), pair.data(), sizeof(pair));
    std::memcpy(arena() + place.output_offset, memory_.data() + kEchoInputAt,
                std::min(place.input_bytes, place.output_capacity));
    if (place.input_bytes > place.output_capacity) {
      return Failed(kOutOfRange, place.input_bytes);
    }
    Completion answer;
    answer.kind = CompletionKind::kReturned;
    answer.detail = place.input_bytes;
    return answer;
  }

  void Complete(const Submission& message, Completion answer) {
    const ring::Geometry& geometry = real_.geometry();
    answer.sequence = static_cast<uint32_t>(completed_ + 1);
    answer.tag = message.tag;
    const uint64_t offset =
        geometry.completions_offset() + completed_ % geometry.slots * ring::kSlotBytes;
    std::memcpy(bytes_.data() + offset, &answer, sizeof(answer));
    std::erase(trapped_, offset);
    if (answer.kind == CompletionKind::kTrapped) {
      trapped_.push_back(offset);
    }
    ++completed_;
  }

  const ring::SegmentView real_;
  const uint64_t now_ns_;
  std::vector<std::byte> bytes_;
  std::vector<std::byte> memory_;  // The guest's.
  std::vector<uint64_t> trapped_;  // Offsets of the last visit's completions of that kind.
  uint64_t taken_ = 0;
  uint64_t completed_ = 0;
  uint64_t next_report_ = 1;
  uint32_t count_ = 0;
  uint32_t guest_calls_ = 0;
  bool over_ = false;
  bool is_unsure_ = false;
};

// A message of which each part is, by one bit, as it should be or as the input has it.
Submission TakeMessage(Input& input, uint64_t number) {
  Submission message;
  message.sequence = static_cast<uint32_t>(number + 1);
  message.func = input.Byte() % (Func::kFuncs + 2);
  const uint8_t odd = input.Byte();
  message.kind = message.func == Func::kEcho ? SubmissionKind::kCallBytes : SubmissionKind::kCall;
  if ((odd & 1) != 0) {
    message.kind = static_cast<SubmissionKind>(input.Byte());
  }
  const bool in_arena =
      (odd & 2) != 0 || message.kind == SubmissionKind::kCallBytes || message.func == Func::kMany;
  message.flags = in_arena && message.kind == SubmissionKind::kCall ? ring::kFlagArena : 0;
  if ((odd & 4) != 0) {
    message.flags = input.Take<uint16_t>();
  }
  constexpr std::array<uint8_t, Func::kFuncs + 2> kWords = {2, 1, 1, 1, 2, 4, 0, 1, 0, 0, 4, 4, 4};
  message.words = in_arena ? ring::kInlineWords : kWords[message.func];
  if ((odd & 8) != 0) {
    message.words = input.Byte();
  }
  message.tag = static_cast<uint32_t>(number * 7);
  if ((odd & 16) != 0) {
    message.deadline_ns = (odd & 32) != 0 ? ~uint64_t{input.Byte()} : input.Take<uint64_t>();
  }
  if ((odd & 64) != 0) {
    message.cancel = input.Byte();
  }
  if ((odd & 128) != 0) {
    message.payload = input.Take<std::array<uint64_t, 4>>();
  } else if (in_arena) {
    // In units of 8 bytes, as far as to just behind the arena's end.
    const auto units = input.Take<std::array<uint16_t, 4>>();
    for (size_t i = 0; i < units.size(); ++i) {
      message.payload[i] = units[i] % (kArenaBytes / 8 + 2) * 8;
    }
    if (message.func == Func::kMany) {
      message.payload[1] = uint64_t{ChannelUnderTest::kManyWords} * 8;
    }
  } else {
    message.payload[0] = input.Take<uint32_t>();
    message.payload[1] = input.Byte();
  }
  return message;
}

void Store(const ring::SegmentView& view, uint64_t offset, const void* from, size_t bytes) {
  std::memcpy(reinterpret_cast<std::byte*>(&view.header()) + offset, from, bytes);
}

void RunScript(Input input) {
  const ring::Geometry geometry{uint32_t{2} << (input.Byte() % 4), kArenaBytes};
  ChannelUnderTest under_test(geometry);
  const ring::SegmentView view = under_test.view();
  Model model(view);
  uint64_t next = 0;
  for (uint32_t op = 0; op < kMaxOps && !input.empty(); ++op) {
    switch (input.Byte() % 8) {
      case 0: {  // A slot, whatever ring it is of.
        const auto slot = input.Take<std::array<std::byte, ring::kSlotBytes>>();
        const uint64_t index = input.Byte() % (2 * geometry.slots);
        Store(view, geometry.submissions_offset() + index * ring::kSlotBytes, slot.data(),
              slot.size());
        break;
      }
      case 1: {  // A word of the header.
        const uint64_t offset = uint64_t{input.Take<uint16_t>()} % (ring::kHeaderBytes / 4) * 4;
        const auto word = input.Take<uint32_t>();
        Store(view, offset, &word, sizeof(word));
        break;
      }
      case 2: {  // A part of the arena.
        const auto bytes = input.Take<std::array<std::byte, 16>>();
        const uint64_t offset = input.Take<uint16_t>() % (kArenaBytes - bytes.size());
        Store(view, geometry.arena_offset() + offset, bytes.data(), bytes.size());
        break;
      }
      case 3: {  // A cancel word.
        const uint64_t value = 1;
        Store(view,
              geometry.submissions_offset() +
                  uint64_t{input.Byte()} % geometry.slots * ring::kSlotBytes + 56,
              &value, sizeof(value));
        break;
      }
      case 4: {  // The next number is another one.
        next += static_cast<uint64_t>(int64_t{input.Take<int8_t>()});
        break;
      }
      default: {  // Messages.
        for (uint32_t i = input.Byte() % 4; i < 4; ++i) {
          const Submission message = TakeMessage(input, next);
          Store(view, geometry.submissions_offset() + next % geometry.slots * ring::kSlotBytes,
                &message, sizeof(message));
          ++next;
        }
        break;
      }
    }
    if (input.Byte() % 4 != 0) {
      const uint32_t budget = input.Byte() % 9;
      model.Copy();
      model.Visit(budget);
      if (model.is_unsure()) {
        return;
      }
      under_test.Visit(budget);
      model.Compare();
      WASMD_CHECK(under_test.channel().is_closed() == model.is_over());
      WASMD_CHECK(under_test.violations() == (model.is_over() ? 1 : 0));
      WASMD_CHECK(under_test.channel().end().taken() == model.taken());
      WASMD_CHECK(under_test.channel().end().completed() == model.completed());
      WASMD_CHECK(under_test.guest_calls() == model.guest_calls());
    }
  }
}

void RunScribbled(Input input) {
  const ring::Geometry geometry{uint32_t{2} << (input.Byte() % 4), kArenaBytes};
  ChannelUnderTest under_test(geometry);
  const tests::Scribbler::Options options{.funcs = Func::kFuncs,
                                          .only_valid = input.Byte() % 2 == 0};
  const auto seed = input.Take<uint64_t>();
  std::atomic<uint64_t> next = 0;
  std::atomic<bool> stop = false;
  std::thread scribbler([&] {
    tests::Scribbler by(under_test.view(), seed, options);
    while (!stop.load(std::memory_order_relaxed)) {
      by.Step(next.load(std::memory_order_relaxed));
    }
  });
  const ring::DaemonEnd& end = under_test.channel().end();
  for (uint32_t visit = 0; visit < 64; ++visit) {
    const uint64_t taken = end.taken();
    const bool was_closed = under_test.channel().is_closed();
    const uint32_t guest_calls = under_test.guest_calls();
    under_test.Visit(8);
    next.store(end.taken(), std::memory_order_relaxed);
    WASMD_CHECK(end.taken() <= taken + 8);
    WASMD_CHECK(end.completed() + under_test.violations() == end.taken());
    WASMD_CHECK(under_test.violations() <= 1);
    WASMD_CHECK(!was_closed || (under_test.guest_calls() == guest_calls && end.taken() == taken));
  }
  stop = true;
  scribbler.join();
}

}  // namespace
}  // namespace wasmd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wasmd::Input input({data, size});
  if (input.Byte() % 16 == 15) {
    wasmd::RunScribbled(input);
  } else {
    wasmd::RunScript(input);
  }
  return 0;
}
