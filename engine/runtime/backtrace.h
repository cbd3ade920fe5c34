// Backtrace: where a guest was when it stopped.
//
// A trap takes down addresses, at most StoreOptions::backtrace_frames, and nothing else; names and
// offsets are looked up by whoever reads them. Until then the backtrace keeps the modules that its
// frames are in, with their code: store, instances and modules may have gone.
//
// A value; copies share what they were made from. Thread-compatible, and reading is thread-safe.
#ifndef WASMD_ENGINE_RUNTIME_BACKTRACE_H_
#define WASMD_ENGINE_RUNTIME_BACKTRACE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace wasmd::engine {

struct TrapRecord;

// One wasm function that was active, innermost first in a backtrace. Host functions have no frame.
struct BacktraceFrame {
  std::string module_name;  // The name section's, or empty.
  uint32_t func_index = 0;  // In its module's index space.
  std::string func_name;    // The name section's, else the first export's, else empty.
  uint32_t wasm_offset =
      0;  // Of the instruction (for callers: of the call), in the module's bytes.
};

class Backtrace {
 public:
  // No frames. Allocates nothing.
  Backtrace() = default;
  // Frames that were looked up already.
  Backtrace(std::vector<BacktraceFrame> frames, uint64_t omitted_frames);
  // What the record says; the store that it is of is there. A few allocations, however many frames
  // there are; none for max_frames = 0.
  static Backtrace Capture(const TrapRecord& record, uint32_t max_frames);

  // Looked up at each call.
  std::vector<BacktraceFrame> frames() const;
  // Of frames(); nothing is looked up.
  size_t size() const;
  bool empty() const { return size() == 0; }
  // Outer ones beyond.
  uint64_t omitted_frames() const;

 private:
  class Captured;
  std::shared_ptr<const Captured> captured_;  // Shared among copies. Null: no frames.
};

// A line a frame: "  0: module!function (func 12) at 0x1a2b". Empty for no frames.
std::string ToString(const Backtrace& backtrace);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_BACKTRACE_H_
