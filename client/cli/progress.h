// A line on standard error that says how far an upload or a compilation is, where somebody looks at
// it: only on a terminal, only if it takes longer than kPatience, and gone afterwards.
#ifndef WASMD_CLIENT_CLI_PROGRESS_H_
#define WASMD_CLIENT_CLI_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace wasmd::cli {

// Thread-safe.
class Progress {
 public:
  static constexpr absl::Duration kPatience = absl::Milliseconds(300);

  explicit Progress(std::string name);
  // Takes the line off.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Update(uint64_t done_bytes, uint64_t total_bytes);

 private:
  void Draw();

  const std::string name_;
  absl::Time start_;
  absl::Mutex mutex_;
  uint64_t done_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t total_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Not started where nobody looks.
};

// "uploading app.wasm [#####---------------]  25%  2.0 MiB of 8.0 MiB", or, with everything sent,
// "compiling app.wasm  1.2 s"; no wider than the terminal.
std::string ProgressLine(std::string_view name, uint64_t done_bytes, uint64_t total_bytes,
                         absl::Duration elapsed, size_t columns);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_PROGRESS_H_
