#include "client/cli/report.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#include "client/cli/exit_code.h"
#include "client/cpp/client.h"
#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

// Columns that a terminal uses for UTF-8 text: its code points, near enough for names.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string Printable(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      c = '?';
    }
  }
  return line;
}

}  // namespace

std::string Table::ToString() const {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - Width(row[i]), ' ');
      const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
      line += right ? padding + Printable(row[i]) : Printable(row[i]) + padding;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    return Cat(bytes, " B");
  }
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string FormatAge(absl::Duration age) {
  const double seconds = absl::ToDoubleSeconds(age);
  if (seconds < 100) {
    return absl::StrFormat("%.1f s", std::max(seconds, 0.0));
  }
  if (seconds < 100 * 60) {
    return absl::StrFormat("%.0f min", seconds / 60);
  }
  return seconds < 48 * 3600 ? absl::StrFormat("%.0f h", seconds / 3600)
                             : absl::StrFormat("%.0f d", seconds / (24 * 3600));
}

std::string ShortDigest(std::string_view digest) {
  constexpr size_t kShown = sizeof("sha256:0123456789ab") - 1;
  return std::string(digest.substr(0, kShown));
}

void Print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void PrintError(std::string_view text) {
  const std::string line = Cat("wasmctl: ", Printable(text), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int ReportStatus(const absl::Status& status, std::string_view what) {
  const std::string text = Cat(what, what.empty() ? "" : ": ", status.message());
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kDone;
    case absl::StatusCode::kDeadlineExceeded:
      PrintError(text);
      return kDeadline;
    case absl::StatusCode::kCancelled:
      // Who pressed Ctrl-C knows.
      return kInterrupted;
    default:
      PrintError(text);
      return kFailure;
  }
}

void ReportTrap(const client::Trap& trap) {
  std::fflush(stdout);
  PrintError(Cat("trap: ", trap.message.empty() ? client::ToString(trap.code) : trap.message));
  const std::string backtrace = trap.Backtrace();
  std::fwrite(backtrace.data(), 1, backtrace.size(), stderr);
}

void ReportRefusal(std::string_view refused_at) {
  if (!refused_at.empty()) {
    PrintError(Cat("hint: it asked for more memory than the limit ", refused_at));
  }
}

int Finish(int exit_code) {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!failed) {
    return exit_code;
  }
  if (errno == EPIPE) {
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
    return kBrokenPipe;
  }
  PrintError(Cat("cannot write standard output: ",
                 std::generic_category().message(errno == 0 ? EIO : errno)));
  return exit_code == kDone ? kFailure : exit_code;
}

}  // namespace wasmd::cli
