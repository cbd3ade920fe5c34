// proto/vectors is what the structs of proto/ring say, byte for byte. A library in another language
// holds itself to the same files (tests/sdk/ring has one in Python). One command writes them anew:
//
//   WASMD_BLESS=1 build/release/bin/tests/ring_vectors_test
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "proto/ring/attach.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"

namespace wasmd::ring {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kToken =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr uint64_t kAllOnes = ~uint64_t{0};

std::filesystem::path Folder() {
  return "proto/vectors";
}

// Fields of 64 bits are hexadecimal text, since JSON's numbers are doubles to many readers.
std::string Hex(uint64_t value) {
  std::array<char, 19> text{};
  std::snprintf(text.data(), text.size(), "0x%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

template <typename T>
std::string BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// ---- Values

struct Words {
  std::vector<uint64_t> words;
  Json values = Json::array();

  Words& I32(int32_t value) {
    return Add(static_cast<uint32_t>(value), {{"type", "i32"}, {"value", value}});
  }
  Words& I64(int64_t value) {
    return Add(static_cast<uint64_t>(value), {{"type", "i64"}, {"value", std::to_string(value)}});
  }
  Words& F32(uint32_t bits) {
    return Add(bits, {{"type", "f32"}, {"bits", Hex(bits).replace(2, 8, "")}});
  }
  Words& F64(uint64_t bits) { return Add(bits, {{"type", "f64"}, {"bits", Hex(bits)}}); }
  // Lane 0 of i8x16 first.
  Words& V128(const std::array<uint8_t, 16>& bytes) {
    std::string text;
    for (const uint8_t byte : bytes) {
      std::array<char, 3> digits{};
      std::snprintf(digits.data(), digits.size(), "%02x", byte);
      text += digits.data();
    }
    const auto halves = std::bit_cast<std::array<uint64_t, 2>>(bytes);
    words.insert(words.end(), halves.begin(), halves.end());
    values.push_back({{"type", "v128"}, {"bytes", text}});
    return *this;
  }

 private:
  Words& Add(uint64_t word, Json value) {
    words.push_back(word);
    values.push_back(std::move(value));
    return *this;
  }
};

std::array<uint64_t, kInlineWords> Payload(const std::vector<uint64_t>& words) {
  std::array<uint64_t, kInlineWords> payload{};
  std::copy_n(words.begin(), std::min(words.size(), payload.size()), payload.begin());
  return payload;
}

// ---- Structs as JSON

Json Hexes(const std::array<uint64_t, kInlineWords>& words) {
  Json all = Json::array();
  for (const uint64_t word : words) {
    all.push_back(Hex(word));
  }
  return all;
}

Json Describe(const ArenaCall& call) {
  return {{"input_offset", Hex(call.input_offset)},
          {"input_bytes", Hex(call.input_bytes)},
          {"output_offset", Hex(call.output_offset)},
          {"output_capacity", Hex(call.output_capacity)}};
}

Json Describe(const Submission& message) {
  return {{"sequence", message.sequence},
          {"kind", static_cast<uint8_t>(message.kind)},
          {"words", message.words},
          {"flags", message.flags},
          {"func", message.func},
          {"tag", message.tag},
          {"deadline_ns", Hex(message.deadline_ns)},
          {"payload", Hexes(message.payload)},
          {"cancel", Hex(message.cancel)}};
}

Json Describe(const Completion& message) {
  return {{"sequence", message.sequence},
          {"kind", static_cast<uint8_t>(message.kind)},
          {"words", message.words},
          {"code", message.code},
          {"tag", message.tag},
          {"reserved", message.reserved},
          {"detail", Hex(message.detail)},
          {"payload", Hexes(message.payload)},
          {"reserved2", Hex(message.reserved2)}};
}

Json Describe(const AttachFrameHeader& header) {
  return {{"magic", std::string(header.magic.data(), header.magic.size())},
          {"version", header.version},
          {"type", header.type},
          {"payload_bytes", header.payload_bytes},
          {"reserved", header.reserved}};
}

Json Describe(const ChannelHeader& header) {
  return {{"magic", Hex(header.magic)},
          {"layout_version", header.layout_version},
          {"header_bytes", header.header_bytes},
          {"features", Hex(header.features)},
          {"slots", header.slots},
          {"slot_bytes", header.slot_bytes},
          {"submissions_offset", Hex(header.submissions_offset)},
          {"completions_offset", Hex(header.completions_offset)},
          {"arena_offset", Hex(header.arena_offset)},
          {"arena_bytes", Hex(header.arena_bytes)},
          {"client_state", header.client_state.load()},
          {"client_cpu", header.client_cpu.load()},
          {"daemon_state", header.daemon_state.load()},
          {"daemon_cpu", header.daemon_cpu.load()}};
}

// ---- The vectors

// A segment of its own, zeroed.
class Segment {
 public:
  explicit Segment(const Geometry& geometry, uint64_t features = kKnownFeatures)
      : geometry_(geometry),
        base_(static_cast<std::byte*>(
            ::operator new(geometry.segment_bytes(), std::align_val_t{kHeaderBytes}))) {
    std::memset(base_.get(), 0, geometry.segment_bytes());
    FormatSegment(view(), features);
  }

  [[nodiscard]] SegmentView view() const { return {base_.get(), geometry_}; }
  [[nodiscard]] std::string Bytes(uint64_t offset, uint64_t count) const {
    return {reinterpret_cast<const char*>(base_.get()) + offset, count};
  }

 private:
  struct Free {
    void operator()(std::byte* base) const {
      ::operator delete(base, std::align_val_t{kHeaderBytes});
    }
  };
  Geometry geometry_;
  std::unique_ptr<std::byte, Free> base_;
};

class Vectors {
 public:
  void Add(const std::string& name, std::string_view kind, const std::string& says,
           const Json& fields, std::string bytes) {
    Json entry = {{"name", name}, {"file", name + ".bin"}, {"kind", kind}, {"says", says}};
    entry.update(fields);
    entries_.push_back(std::move(entry));
    files_[name + ".bin"] = std::move(bytes);
  }

  // What a client's Submit of message `number` leaves in the slot.
  void AddSubmission(const std::string& name, const std::string& says, const Submission& message,
                     Json values = nullptr, uint64_t number = 0) {
    const Segment segment(kSmall);
    ClientEnd end(segment.view(), number);
    end.Submit(message);
    const uint64_t slot = number % kSmall.slots;
    Submission stored = message;
    stored.sequence = static_cast<uint32_t>(number) + 1;
    Json fields = {{"number", Hex(number)}};
    fields["fields"] = Describe(stored);
    if (!values.is_null()) {
      fields["values"] = std::move(values);
    }
    if (message.kind == SubmissionKind::kCallBytes || (message.flags & kFlagArena) != 0) {
      fields["arena_call"] = Describe(std::bit_cast<ArenaCall>(message.payload));
    }
    Add(name, "submission", says, fields,
        segment.Bytes(kSmall.submissions_offset() + slot * kSlotBytes, kSlotBytes));
  }
  void AddCompletion(const std::string& name, const std::string& says, const Completion& message,
                     Json values = nullptr, uint64_t number = 0) {
    const Segment segment(kSmall);
    DaemonEnd end(segment.view(), number);
    end.Complete(message);
    const uint64_t slot = number % kSmall.slots;
    Completion stored = message;
    stored.sequence = static_cast<uint32_t>(number) + 1;
    Json fields = {{"number", Hex(number)}};
    fields["fields"] = Describe(stored);
    if (!values.is_null()) {
      fields["values"] = std::move(values);
    }
    Add(name, "completion", says, fields,
        segment.Bytes(kSmall.completions_offset() + slot * kSlotBytes, kSlotBytes));
  }

  [[nodiscard]] std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files = files_;
    const Json all = {
        {"about",
         "Bytes of the ring protocol (proto/ring/LAYOUT.md). Fields of 64 bits are hexadecimal "
         "text, all others numbers; `values` says what the payload's words mean. Written by "
         "tests/unit/proto/ring/vectors_test.cc."},
        {"layout_version", kLayoutVersion},
        {"attach_version", kAttachVersion},
        {"vectors", entries_}};
    files["vectors.json"] = all.dump(2) + "\n";
    return files;
  }

  static constexpr Geometry kSmall{4, 0};

 private:
  Json entries_ = Json::array();
  std::map<std::string, std::string> files_;
};

AttachFrameHeader FrameHeader(AttachFrameType type, size_t payload_bytes) {
  AttachFrameHeader header;
  std::copy_n(kAttachMagic, sizeof(kAttachMagic), header.magic.begin());
  header.version = kAttachVersion;
  header.type = static_cast<uint16_t>(type);
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  return header;
}

void AddRequest(Vectors& vectors, const std::string& name, const std::string& says, uint32_t slots,
                uint64_t arena_bytes, uint64_t features) {
  AttachRequest request;
  std::copy_n(kToken.begin(), request.session_token.size(), request.session_token.begin());
  request.layout_version = kLayoutVersion;
  request.slots = slots;
  request.arena_bytes = arena_bytes;
  request.features = features;
  const AttachFrameHeader header = FrameHeader(AttachFrameType::kAttach, sizeof(request));
  Json fields = {{"header", Describe(header)}};
  fields["fields"] = {{"session_token", kToken},
                      {"layout_version", request.layout_version},
                      {"slots", request.slots},
                      {"arena_bytes", Hex(request.arena_bytes)},
                      {"features", Hex(request.features)}};
  vectors.Add(name, "attach_request", says, fields, BytesOf(header) + BytesOf(request));
}

void AddAttach(Vectors& vectors) {
  AddRequest(vectors, "attach_request", "A client asks for 256 slots and an arena of 64 KiB", 256,
             uint64_t{64} << 10, kFeatureSocketWake | kFeatureBytes);
  AddRequest(vectors, "attach_request_defaults",
             "The daemon's sizes, and every feature that is known or reserved", 0, 0,
             kKnownFeatures | kFeatureCallbacks);

  constexpr Geometry kGeometry{256, uint64_t{64} << 10};
  const AttachReply reply{.channel = 0x0123'4567'89ab'cdef,
                          .layout_version = kLayoutVersion,
                          .slots = kGeometry.slots,
                          .arena_bytes = kGeometry.arena_bytes,
                          .features = kKnownFeatures,
                          .segment_bytes = kGeometry.segment_bytes(),
                          .clock_ns = 1'234'567'890'123'456};
  const AttachFrameHeader header = FrameHeader(AttachFrameType::kAttached, sizeof(reply));
  Json fields = {{"header", Describe(header)}};
  fields["fields"] = {{"channel", Hex(reply.channel)},
                      {"layout_version", reply.layout_version},
                      {"slots", reply.slots},
                      {"arena_bytes", Hex(reply.arena_bytes)},
                      {"features", Hex(reply.features)},
                      {"segment_bytes", Hex(reply.segment_bytes)},
                      {"clock_ns", Hex(reply.clock_ns)}};
  vectors.Add("attach_reply", "attach_reply",
              "The answer to attach_request; two descriptors come with its first byte", fields,
              BytesOf(header) + BytesOf(reply));

  const std::string text = "no such session \xe2\x80\x93 or it is another user's";
  const AttachFrameHeader error = FrameHeader(AttachFrameType::kError, text.size());
  Json error_fields = {{"header", Describe(error)}};
  error_fields["fields"] = {{"text", text}};
  vectors.Add("attach_error", "attach_error", "Refused, or over: UTF-8 text of payload_bytes bytes",
              error_fields, BytesOf(error) + text);
}

void AddHeaders(Vectors& vectors) {
  const auto add = [&vectors](const std::string& name, const std::string& says,
                              const Segment& segment) {
    Json fields;
    fields["fields"] = Describe(segment.view().header());
    vectors.Add(name, "segment_header", says, fields, segment.Bytes(0, kHeaderBytes));
  };
  const Segment fresh({256, uint64_t{64} << 10});
  add("segment_fresh", "The first page of a segment that has just been made", fresh);
  const Segment asleep({2, 0});
  asleep.view().header().client_state = kAsleepFutex;
  asleep.view().header().client_cpu = 3;
  asleep.view().header().daemon_state = kAsleepBell;
  asleep.view().header().daemon_cpu = 1;
  add("segment_asleep", "The smallest one, arena begins behind a part of a page; both sides sleep",
      asleep);
}

Submission Call(const Words& words) {
  Submission message;
  message.kind = SubmissionKind::kCall;
  message.words = static_cast<uint8_t>(words.words.size());
  message.func = 7;
  message.tag = 0xdead'beef;
  message.payload = Payload(words.words);
  return message;
}

constexpr std::array<uint8_t, 16> kLanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

void AddSubmissions(Vectors& vectors) {
  const auto add = [&vectors](const std::string& name, const std::string& says,
                              const Words& words) {
    vectors.AddSubmission(name, says, Call(words), words.values);
  };
  add("call_none", "A call without arguments: (func)", {});
  add("call_i32", "A negative i32 is zero-extended", Words().I32(-2));
  add("call_i32_i32", "(func (param i32 i32))", Words().I32(2).I32(3));
  add("call_i64_f32_f64", "A signalling NaN keeps its bits",
      Words().I64(-3).F32(0x7fa0'0001).F64(std::bit_cast<uint64_t>(-0.0)));
  add("call_v128_i32", "A v128 is two words, low half first", Words().V128(kLanes).I32(1));
  add("call_four", "As many as a slot holds",
      Words().I32(-1).I64(INT64_MIN).F32(0x3fc0'0000).F64(std::bit_cast<uint64_t>(2.5)));

  const Words one = Words().I32(1);
  Submission deadline = Call(one);
  deadline.deadline_ns = 1'234'567'890'123'456 + 5'000'000;
  vectors.AddSubmission("call_deadline", "Five milliseconds after attach_reply's clock", deadline,
                        one.values);
  Submission cancelled = Call(one);
  cancelled.cancel = 1;
  vectors.AddSubmission("call_cancelled",
                        "What lies in the slot when the client has asked for the call's end",
                        cancelled, one.values);

  Submission arena;
  arena.kind = SubmissionKind::kCall;
  arena.words = kInlineWords;
  arena.flags = kFlagArena;
  arena.func = 2;
  arena.tag = 5;
  arena.payload = std::bit_cast<std::array<uint64_t, kInlineWords>>(ArenaCall{
      .input_offset = 128, .input_bytes = 48, .output_offset = 192, .output_capacity = 16});
  vectors.AddSubmission("call_arena", "Six words of arguments in the arena, and two of results",
                        arena);
  Submission bytes;
  bytes.kind = SubmissionKind::kCallBytes;
  bytes.words = kInlineWords;
  bytes.func = 3;
  bytes.tag = 6;
  bytes.payload = std::bit_cast<std::array<uint64_t, kInlineWords>>(ArenaCall{
      .input_offset = 1, .input_bytes = 5, .output_offset = 4096, .output_capacity = 61440});
  vectors.AddSubmission("call_bytes", "Five bytes in, at most 61,440 out; nothing is aligned",
                        bytes);

  vectors.AddSubmission("call_sequence_max", "Message 2^32 - 2", Call(one), one.values,
                        0xffff'fffe);
  vectors.AddSubmission("call_sequence_zero", "Message 2^32 - 1: the sequence is 0", Call(one),
                        one.values, 0xffff'ffff);
  vectors.AddSubmission("call_sequence_again", "Message 2^32: the sequence is 1 again", Call(one),
                        one.values, 0x1'0000'0000);
}

Completion Ended(CompletionKind kind, uint16_t code = 0) {
  Completion message;
  message.kind = kind;
  message.code = code;
  message.tag = 0xdead'beef;
  return message;
}

void AddCompletions(Vectors& vectors) {
  const auto returned = [&vectors](const std::string& name, const std::string& says,
                                   const Words& words) {
    Completion message = Ended(CompletionKind::kReturned);
    message.words = static_cast<uint8_t>(words.words.size());
    message.payload = Payload(words.words);
    vectors.AddCompletion(name, says, message, words.values);
  };
  returned("returned_none", "(func)", {});
  returned("returned_i32", "-5: the upper half is 0", Words().I32(-5));
  returned("returned_v128_f64", "Two values, three words",
           Words().V128(kLanes).F64(std::bit_cast<uint64_t>(1.0)));

  Completion bytes = Ended(CompletionKind::kReturned);
  bytes.tag = 6;
  bytes.detail = 11;
  vectors.AddCompletion("returned_bytes", "The answer to call_bytes: eleven bytes in the arena",
                        bytes);

  Completion trapped = Ended(CompletionKind::kTrapped, 6);
  trapped.detail = 17;
  trapped.payload = {3, 0x4d, 0, 0};
  vectors.AddCompletion("trapped",
                        "TRAP_CODE_DIVIDE_BY_ZERO in function 3, at byte 0x4d of the module; "
                        "report 17",
                        trapped);
  Completion unknown = Ended(CompletionKind::kTrapped, 9);
  unknown.payload = {kAllOnes, kAllOnes, 0, 0};
  vectors.AddCompletion("trapped_nowhere",
                        "TRAP_CODE_STACK_OVERFLOW; where is not known, and there is no report",
                        unknown);
  Completion exited = Ended(CompletionKind::kExited);
  exited.payload = {42, 0, 0, 0};
  vectors.AddCompletion("exited", "The guest ended itself with exit code 42", exited);
  Completion deadline = Ended(CompletionKind::kFailed, 4);
  deadline.detail = 18;
  vectors.AddCompletion("failed_deadline", "DEADLINE_EXCEEDED; report 18", deadline);
  Completion range = Ended(CompletionKind::kFailed, 11);
  range.payload = {100'000, 0, 0, 0};
  vectors.AddCompletion("failed_out_of_range",
                        "OUT_OF_RANGE: the output would have been 100,000 bytes", range);
}

// Rings of four slots in the middle of their work.
void AddRings(Vectors& vectors) {
  const auto add = [&vectors](const std::string& name, const std::string& says, uint64_t first) {
    const Segment segment(Vectors::kSmall);
    ClientEnd client(segment.view(), first);
    DaemonEnd daemon(segment.view(), first);
    const auto submit = [&client] {
      const uint64_t number = client.next_number();
      Submission message = Call(Words().I32(static_cast<int32_t>(number)));
      message.tag = static_cast<uint32_t>(number * 10);
      client.Submit(message);
    };
    const auto answer = [&daemon] {
      Submission asked;
      EXPECT_TRUE(daemon.Take(asked));
      Completion message = Ended(CompletionKind::kReturned);
      message.tag = asked.tag;
      message.words = 1;
      message.payload = {asked.payload[0] + 1, 0, 0, 0};
      daemon.Complete(message);
    };
    for (int i = 0; i < 4; ++i) {
      submit();
    }
    answer();
    answer();
    Completion seen;
    EXPECT_TRUE(client.Take(seen));
    EXPECT_TRUE(client.Take(seen));
    submit();
    submit();
    for (int i = 0; i < 3; ++i) {
      answer();
    }
    client.Cancel(first + 5);

    Json submissions = Json::array();
    Json completions = Json::array();
    for (uint64_t slot = 0; slot < Vectors::kSmall.slots; ++slot) {
      std::array<uint64_t, kSlotWords> words{};
      const auto copy = [&words](const Slot& from) {
        std::ranges::transform(from.words, words.begin(),
                               [](const auto& word) { return word.load(); });
      };
      copy(segment.view().submissions()[slot]);
      submissions.push_back(Describe(std::bit_cast<Submission>(words)));
      copy(segment.view().completions()[slot]);
      completions.push_back(Describe(std::bit_cast<Completion>(words)));
    }
    Json fields = {{"first_number", Hex(first)},
                   {"submitted", 6},
                   {"taken", 5},
                   {"completed", 5},
                   {"consumed", 2},
                   {"cancelled", Hex(first + 5)}};
    fields["fields"] = Describe(segment.view().header());
    fields["submissions"] = std::move(submissions);
    fields["completions"] = std::move(completions);
    vectors.Add(name, "segment", says, fields, segment.Bytes(0, Vectors::kSmall.segment_bytes()));
  };
  add("ring_wrapped",
      "A segment of four slots: six messages submitted, five of them answered, two answers "
      "consumed, message 5 cancelled. Counts are from first_number on",
      0);
  add("ring_sequence_wrap",
      "The same where the first message is number 2^32 - 3, so that the sequence begins again",
      0xffff'fffd);
}

Vectors MakeVectors() {
  Vectors vectors;
  AddAttach(vectors);
  AddHeaders(vectors);
  AddSubmissions(vectors);
  AddCompletions(vectors);
  AddRings(vectors);
  return vectors;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(RingVectorsTest, AreWhatTheStructsSay) {
  const std::map<std::string, std::string> files = MakeVectors().Files();
  const char* const bless = std::getenv("WASMD_BLESS");  // NOLINT(concurrency-mt-unsafe)
  if (bless != nullptr && std::string_view(bless) == "1") {
    for (const auto& [name, bytes] : files) {
      std::ofstream(Folder() / name, std::ios::binary) << bytes;
    }
  }
  for (const auto& [name, bytes] : files) {
    EXPECT_TRUE(ReadFile(Folder() / name) == bytes) << name << " differs from the structs";
  }
  std::set<std::string> there;
  for (const auto& entry : std::filesystem::directory_iterator(Folder())) {
    there.insert(entry.path().filename().string());
  }
  std::set<std::string> wanted;
  for (const auto& [name, bytes] : files) {
    wanted.insert(name);
  }
  EXPECT_EQ(there, wanted);
}

}  // namespace
}  // namespace wasmd::ring
