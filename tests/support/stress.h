// How much a stress test does: little by default, more where the environment says so
// (scripts/test.sh --long).
#ifndef WASMD_TESTS_SUPPORT_STRESS_H_
#define WASMD_TESTS_SUPPORT_STRESS_H_

#include <cstdint>
#include <cstdlib>

namespace wasmd::tests {

// Interrupts that a test sends: WASMD_STRESS_INTERRUPTS, otherwise `usual`.
inline int64_t StressInterrupts(int64_t usual) {
  const char* const wanted = std::getenv("WASMD_STRESS_INTERRUPTS");
  return wanted == nullptr ? usual : std::strtoll(wanted, nullptr, 10);
}

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_STRESS_H_
