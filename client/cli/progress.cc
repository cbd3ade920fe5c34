#include "client/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "client/cli/report.h"
#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr size_t kBarCells = 20;

size_t TerminalColumns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string ProgressLine(std::string_view name, uint64_t done_bytes, uint64_t total_bytes,
                         absl::Duration elapsed, size_t columns) {
  std::string line;
  if (done_bytes < total_bytes) {
    const size_t filled = static_cast<size_t>(done_bytes * kBarCells / total_bytes);
    line = client::Cat("uploading ", name, " [", std::string(filled, '#'),
                       std::string(kBarCells - filled, '-'), "] ",
                       absl::StrFormat("%3d%%", done_bytes * 100 / total_bytes), "  ",
                       FormatBytes(done_bytes), " of ", FormatBytes(total_bytes));
  } else {
    line = client::Cat("compiling ", name, "  ", FormatAge(elapsed));
  }
  // A line that wraps could not be taken off.
  line.resize(std::min(line.size(), columns > 1 ? columns - 1 : 1));
  return line;
}

Progress::Progress(std::string name) : name_(std::move(name)), start_(absl::Now()) {
  if (isatty(STDERR_FILENO) == 1) {
    thread_ = std::thread([this] { Draw(); });
  }
}

Progress::~Progress() {
  if (thread_.joinable()) {
    {
      const absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    thread_.join();
  }
}

void Progress::Update(uint64_t done_bytes, uint64_t total_bytes) {
  const absl::MutexLock lock(&mutex_);
  done_bytes_ = done_bytes;
  total_bytes_ = total_bytes;
}

void Progress::Draw() {
  bool drawn = false;
  absl::Duration wait = kPatience;
  const absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&ended_), wait)) {
    const std::string line =
        ProgressLine(name_, done_bytes_, total_bytes_, absl::Now() - start_, TerminalColumns());
    std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
    drawn = true;
    wait = kRedraw;
  }
  if (drawn) {
    std::fputs("\r\x1b[K", stderr);
  }
}

}  // namespace wasmd::cli
