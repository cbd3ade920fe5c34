// How an invocation ended: it returned values, it trapped, or it ended itself with an exit code.
// None of these is an error of the RPC; deadline, cancel and quota are (absl::Status).
#ifndef WASMD_CLIENT_CPP_OUTCOME_H_
#define WASMD_CLIENT_CPP_OUTCOME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"

#include "client/cpp/value.h"

namespace wasmd::client {

// The numbers are those of wasmd.v1.TrapCode; a newer daemon may send others.
enum class TrapCode : uint8_t {
  kUnspecified = 0,
  kUnreachable = 1,
  kMemoryOutOfBounds = 2,
  kTableOutOfBounds = 3,
  kIndirectCallToNull = 4,
  kBadSignature = 5,
  kDivideByZero = 6,
  kIntegerOverflow = 7,
  kInvalidConversion = 8,
  kStackOverflow = 9,
  kHostError = 12,
  kCompileError = 13,
  kNullReference = 14,
  kException = 15,  // Of wasm's own, which nobody caught; the message has its values.
  kNullExceptionReference = 16,
  kExceptionLimit = 17,
  kOutOfFuel = 18,  // What the call was given is used up.
};

// "divide-by-zero"; "trap-99" for one that this library does not know.
std::string ToString(TrapCode code);

// A frame of a backtrace.
struct Frame {
  std::string module_name;
  uint32_t func_index = 0;
  std::string func_name;       // Empty where the module has no name for it.
  uint64_t module_offset = 0;  // In bytes, as `wasm-objdump -d` prints them.
};

struct Trap {
  TrapCode code = TrapCode::kUnspecified;
  std::string message;
  std::vector<Frame> frames;  // Innermost first.
  uint32_t frames_omitted = 0;

  // The frames, one a line, each line ended: "  0: parse (app.wasm, func 12, offset 0x1a2)".
  std::string Backtrace() const;
};

struct Exit {
  uint32_t code = 0;
};

using Values = std::vector<Value>;
using Outcome = std::variant<Values, Trap, Exit>;

struct CallResult {
  Outcome outcome;
  absl::Duration duration;                 // Inside the guest.
  std::optional<uint64_t> fuel_left = {};  // If the call had some.
  // The limit at which growth of its memory, tables or heap was refused meanwhile, perhaps the
  // reason of its end: "--max-memory of 67108864". Empty: none.
  std::string refused_at = {};
};

// Of a function on byte strings.
struct BytesResult {
  std::variant<std::string, Trap, Exit> outcome;  // The output, if it returned.
  absl::Duration duration = {};                   // Inside the guest, where the daemon tells it.
  std::optional<uint64_t> fuel_left = {};         // If the call had some.
  std::string refused_at = {};                    // As CallResult's, if it did not return.
};

struct RunResult {
  Outcome outcome;  // Trap or Exit.
  absl::Duration duration;
  uint64_t peak_memory_bytes = 0;
  std::optional<uint64_t> fuel_left = {};  // If the run had some.
  std::string refused_at = {};             // As CallResult's.
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_OUTCOME_H_
