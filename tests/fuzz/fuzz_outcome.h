// What a module does under this engine, as text that another engine's can be compared with.
//
// The module's imports are default values: functions that return zeros and nulls, globals of zero,
// memories and tables of the least size. Every exported function is called, in the order of the
// exports, kRounds times around, with arguments that FuzzBits makes of its index, the round and the
// parameter's. One line for each call, then one for each exported global, memory and table. NaNs
// are equal. tests/fuzz/peer/src/outcome.rs writes the same of wasmtime.
#ifndef WASMD_TESTS_FUZZ_FUZZ_OUTCOME_H_
#define WASMD_TESTS_FUZZ_FUZZ_OUTCOME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/api/engine.h"

namespace wasmd::tests {

inline constexpr uint32_t kRounds = 4;

// The engines of this process that must agree: with guard pages and AVX, with guard pages and
// SSE4.1, with explicit checks. Relaxed SIMD is deterministic in all.
class FuzzEngines {
 public:
  // Aborts where the system does not give what an engine needs.
  FuzzEngines();

  // The outcome in every mode; "modes differ" and the texts where they do. "refused: …" where the
  // module does not load or link. A line that ends in "exhausted" ends the text where the guest's
  // stack was: how much of it there is, is the engine's own business.
  std::string OutcomeOf(std::span<const std::byte> module) const;

 private:
  std::unique_ptr<engine::Engine> guarded_, without_avx_, checked_;
};

// What decoder and validator say of the bytes.
struct Verdict {
  enum class Kind : uint8_t { kValid = 0, kRefused = 1, kUnsupported = 2 };
  Kind kind = Kind::kValid;
  bool reached_body = false;  // A function's body was looked into.
  std::string message;
};
Verdict VerdictOn(std::span<const std::byte> module);

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_FUZZ_FUZZ_OUTCOME_H_
