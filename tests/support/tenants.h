// Two tenants in one module, for tests that nothing of a guest is left to the next one.
//
//   fill   writes a pattern into all that a guest can write: linear memory, also what it grew by,
//          tables, globals, frames with many locals of every type, arguments and results in
//          registers and overflow cells, and, with WASI, open descriptors and standard streams.
//          Then it ends in the way that it is told.
//   scan   looks at all that a guest can read, and says where something is not as new.
//
// They are one module because memories with data are used again by instances of the same module
// alone. Written for wasm that an honest tool would make: what a guest reads beyond what it was
// given is for the engine to decide (zeros), never for the machine.
#ifndef WASMD_TESTS_SUPPORT_TENANTS_H_
#define WASMD_TESTS_SUPPORT_TENANTS_H_

#include <cstdint>
#include <string>

namespace wasmd::engine {

// How `fill` ends. The numbers are its first parameter.
enum class TenantEnd : uint32_t {
  kReturn,
  kUnreachable,
  kDivideByZero,
  kMemoryFault,    // A load beyond the memory.
  kMemoryBuiltin,  // memory.fill beyond it.
  kTableOutOfBounds,
  kCallNull,          // call_indirect of null,
  kCallBadSignature,  // and of another type.
  kInvalidConversion,
  kIntegerOverflow,
  kStackOverflow,  // With frames full of the pattern.
  kException,      // Uncaught, with the pattern for its values.
  kForever,        // Fills again and again until it is interrupted.
  // With `host` only.
  kHostTrap,
  kExit,
};
inline constexpr uint32_t kTenantEnds = 13;  // Without a host function.
inline constexpr uint32_t kTenantHostEnds = 15;

// What `scan` finds, a bit each.
enum TenantFinding : uint32_t {
  kFoundInMemory = 1,
  kFoundInData = 2,  // The active segment's bytes.
  kFoundInGrownMemory = 4,
  kFoundInTables = 8,
  kFoundInGlobals = 16,
  kFoundInFrames = 32,     // Locals that nobody has written.
  kFoundInArguments = 64,  // More than was passed, in calls inside of the module.
  kFoundInResults = 128,   // Of a host function that sets none.
  kFoundInWasi = 256,      // Descriptors that nobody opened, or another's input.
};

struct TenantModule {
  uint32_t min_pages = 1;
  uint32_t max_pages = 16;
  bool data = false;   // An active segment, and with it an image of the memory.
  bool host = false;   // Imports "host" "leave" (param i32) and "host" "silent", of kSilentResults.
  bool wasi = false;   // Imports WASI; at least one page.
  bool bytes = false;  // Functions on byte strings; at least one page, and no data.
};

// Exports, all of i32 but where said:
//   fill (end, depth, grow_pages, stride_bytes: 0 all of the memory, else a multiple of 16;
//         pattern i64)
//   scan (depth, grow_pages) -> findings
//   arguments (kArgumentTypes …) -> findings: whether any argument is not zero
//   throw_zeros (): throws an exception of kExceptionTypes' zeros
//   keep (externref): puts it into a table and a global
//   fill_bytes, scan_bytes: functions on byte strings (docs/bytes.md). The first fills, and gives a
//         string of the pattern. The second gives kBytesOutput bytes of its memory from where its
//         input lies: behind the input there are only zeros; it traps if there is anything before.
std::string TenantWat(const TenantModule& module);

// Types by letter: i(32) I(64) f(32) F(64) v(128) e(xternref).
inline constexpr char kArgumentTypes[] = "iIfFviIfFviIfFviIfFviIfFviIfFviIfFviIfFviIfFviIfFv";
inline constexpr char kSilentResults[] = "iIfFveiIfFveiIfFve";
inline constexpr char kExceptionTypes[] = "iIfFviIfFv";
inline constexpr uint32_t kBytesOutput = 32768;
// What the input of a guest that scans is.
inline constexpr char kScannersInput[] = "BBBB";

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_SUPPORT_TENANTS_H_
