// The shared-memory contract of a channel: what lies where in its segment. LAYOUT.md says the same
// for those who write it in another language, and proto/vectors has the bytes.
//
//   0            ChannelHeader, one page
//   4096         submissions: slots x 64 bytes      written by the client, read by the daemon
//   …            completions: slots x 64 bytes      written by the daemon, read by the client
//   …            arena: arena_bytes                 arguments and results that do not fit a slot
//
// A segment is a sealed memfd that the daemon makes and both sides map. Either side may write any
// byte of it at any time, so each believes nothing that it reads here: it keeps its indices to
// itself, copies a slot once, checks the copy and uses the copy.
//
// Little-endian. Everything is trivially copyable, of fixed width, with no padding. Standard
// library only.
#ifndef WASMD_PROTO_RING_LAYOUT_H_
#define WASMD_PROTO_RING_LAYOUT_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace wasmd::ring {

inline constexpr uint64_t kSegmentMagic = 0x474e'4952'444d'5357;  // "WSMDRING"
inline constexpr uint32_t kLayoutVersion = 1;
inline constexpr uint32_t kSlotBytes = 64;
inline constexpr uint32_t kHeaderBytes = 4096;
inline constexpr uint32_t kSlotWords = 8;
// Values of 64 bits that travel in the slot itself; a v128 counts two, low half first.
inline constexpr uint32_t kInlineWords = 4;
inline constexpr uint32_t kMinSlots = 2;
inline constexpr uint32_t kMaxSlots = 65'536;
inline constexpr uint32_t kDefaultSlots = 1024;
inline constexpr uint64_t kDefaultArenaBytes = uint64_t{1} << 20;
// Of any one channel, whatever the daemon's own limits allow.
inline constexpr uint64_t kMaxArenaBytes = uint64_t{1} << 30;

// What both sides of a channel can do; the client asks, the daemon grants a subset. Bits that a
// side does not know are not granted.
enum Feature : uint64_t {
  // kAsleepSocket: the daemon wakes the client by a byte on the attach connection.
  kFeatureSocketWake = 1u << 0,
  // kCallBytes.
  kFeatureBytes = 1u << 1,
  // Reserved: kImportCall and kImportReturn, imports that the client serves. Never granted today.
  kFeatureCallbacks = 1u << 2,
};
inline constexpr uint64_t kKnownFeatures = kFeatureSocketWake | kFeatureBytes;

// ---- Slots

// What a submission asks for.
enum class SubmissionKind : uint8_t {
  kCall = 1,       // Words are the arguments.
  kCallBytes = 2,  // An ArenaCall: a byte string in, one out.
  // Reserved: the results of a kImportCall.
  kImportReturn = 64,
};

// How a call ended, or what else the daemon says.
enum class CompletionKind : uint8_t {
  kReturned = 1,  // Words are the results.
  kTrapped = 2,   // code: a wasmd.v1.TrapCode. payload[0]: index of the innermost function,
                  // payload[1]: its offset in the module; all ones if it is not known.
  kExited = 3,    // The guest ended itself. payload[0]: its exit code.
  kFailed = 4,    // It was not called, or was stopped. code: a gRPC status code. payload[0]: for
                  // OUT_OF_RANGE, the bytes that the output would have needed.
  // Reserved: the guest calls an import that the client serves; the call waits, suspended.
  kImportCall = 64,
};

// Flags of a submission.
enum SubmissionFlag : uint16_t {
  // The payload is an ArenaCall: arguments, one word after the other, lie in the arena, and so will
  // the results.
  kFlagArena = 1u << 0,
};
inline constexpr uint16_t kKnownFlags = kFlagArena;

// The payload of a kCallBytes, and of a kCall with kFlagArena. Offsets count from the arena's
// start; arguments and results of kFlagArena are 8-aligned.
struct ArenaCall {
  uint64_t input_offset = 0;
  uint64_t input_bytes = 0;
  uint64_t output_offset = 0;
  uint64_t output_capacity = 0;
};

// Client to daemon. `sequence` is the low half of the message's number, plus 1.
struct Submission {
  uint32_t sequence = 0;
  SubmissionKind kind{};
  uint8_t words = 0;  // Of the payload, that have a meaning; an ArenaCall is 4.
  uint16_t flags = 0;
  uint32_t func = 0;         // As Bind numbered it.
  uint32_t tag = 0;          // The client's; comes back in the completion.
  uint64_t deadline_ns = 0;  // CLOCK_MONOTONIC; 0: none.
  std::array<uint64_t, kInlineWords> payload{};
  // 0. The client stores 1 here later to cancel the call, as long as it has not seen its
  // completion.
  uint64_t cancel = 0;
};

// Daemon to client.
struct Completion {
  uint32_t sequence = 0;
  CompletionKind kind{};
  uint8_t words = 0;  // kReturned: of the results in the payload. Otherwise 0.
  uint16_t code = 0;
  uint32_t tag = 0;
  uint32_t reserved = 0;
  // kTrapped and kFailed: names the report with message and backtrace, to be had by GetReport for a
  // while. 0: there is none. kReturned of an ArenaCall: the bytes of the output.
  uint64_t detail = 0;
  std::array<uint64_t, kInlineWords> payload{};
  uint64_t reserved2 = 0;
};

static_assert(sizeof(ArenaCall) == 32 && std::is_trivially_copyable_v<ArenaCall>);
static_assert(sizeof(Submission) == kSlotBytes && std::is_trivially_copyable_v<Submission>);
static_assert(sizeof(Completion) == kSlotBytes && std::is_trivially_copyable_v<Completion>);
static_assert(offsetof(Submission, func) == 8 && offsetof(Submission, deadline_ns) == 16 &&
              offsetof(Submission, payload) == 24 && offsetof(Submission, cancel) == 56);
static_assert(offsetof(Completion, tag) == 8 && offsetof(Completion, detail) == 16 &&
              offsetof(Completion, payload) == 24 && offsetof(Completion, reserved2) == 56);

// A slot as it is shared: eight words, of which the first is stored last.
struct alignas(kSlotBytes) Slot {
  std::array<std::atomic<uint64_t>, kSlotWords> words;
};
static_assert(sizeof(Slot) == kSlotBytes && std::atomic<uint64_t>::is_always_lock_free);

// ---- Header

// How a side waits. Set by the side that is going to sleep; set back to kAwake by whoever wakes it,
// or by itself.
enum WaitState : uint32_t {
  kAwake = 0,         // It will look at its ring by itself.
  kAsleepFutex = 1,   // The client waits by futex on this very word.
  kAsleepSocket = 2,  // The client waits for a byte on the attach connection (kFeatureSocketWake).
  kAsleepBell = 3,    // The daemon waits for the doorbell.
};
// In the place of a CPU's number: not told.
inline constexpr uint32_t kNoCpu = 0xffff'ffff;

// The constants at its start are for debuggers and dumps: the attach reply has them too, and that
// is where a client takes them from.
struct ChannelHeader {
  uint64_t magic = 0;
  uint32_t layout_version = 0;
  uint32_t header_bytes = 0;
  uint64_t features = 0;
  uint32_t slots = 0;
  uint32_t slot_bytes = 0;
  uint64_t submissions_offset = 0;
  uint64_t completions_offset = 0;
  uint64_t arena_offset = 0;
  uint64_t arena_bytes = 0;
  // The client's line.
  std::atomic<uint32_t> client_state{kAwake};
  std::atomic<uint32_t> client_cpu{kNoCpu};  // Where it last was: a hint, no more.
  std::array<uint64_t, 7> reserved_client{};
  // The daemon's line.
  std::atomic<uint32_t> daemon_state{kAwake};
  std::atomic<uint32_t> daemon_cpu{kNoCpu};
  std::array<uint64_t, 7> reserved_daemon{};
  std::array<uint64_t, (kHeaderBytes - 192) / 8> reserved{};
};
static_assert(sizeof(ChannelHeader) == kHeaderBytes &&
              offsetof(ChannelHeader, client_state) == 64 &&
              offsetof(ChannelHeader, daemon_state) == 128);

// ---- Geometry

// Where the parts of a segment are.
struct Geometry {
  uint32_t slots = kDefaultSlots;
  uint64_t arena_bytes = kDefaultArenaBytes;

  constexpr uint64_t submissions_offset() const { return kHeaderBytes; }
  constexpr uint64_t completions_offset() const {
    return kHeaderBytes + uint64_t{slots} * kSlotBytes;
  }
  constexpr uint64_t arena_offset() const {
    const uint64_t end = kHeaderBytes + uint64_t{slots} * kSlotBytes * 2;
    return (end + kHeaderBytes - 1) / kHeaderBytes * kHeaderBytes;
  }
  constexpr uint64_t segment_bytes() const { return arena_offset() + arena_bytes; }

  // Slots a power of two from kMinSlots to kMaxSlots, the arena whole pages up to kMaxArenaBytes.
  constexpr bool IsValid() const {
    return slots >= kMinSlots && slots <= kMaxSlots && (slots & (slots - 1)) == 0 &&
           arena_bytes <= kMaxArenaBytes && arena_bytes % kHeaderBytes == 0;
  }
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

// `bytes` at `offset` lie inside of an arena of `arena_bytes`.
constexpr bool IsInArena(uint64_t offset, uint64_t bytes, uint64_t arena_bytes) {
  return offset <= arena_bytes && bytes <= arena_bytes - offset;
}

}  // namespace wasmd::ring

#endif  // WASMD_PROTO_RING_LAYOUT_H_
