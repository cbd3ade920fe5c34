// Everything that wasmctl says: tables and JSON on standard output, one-line errors on standard
// error.
#ifndef WASMD_CLIENT_CLI_REPORT_H_
#define WASMD_CLIENT_CLI_REPORT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "client/cpp/outcome.h"
#include "client/cpp/value.h"

namespace wasmd::cli {

enum class OutputFormat { kTable, kJson };

// Columns as wide as their widest cell, two spaces between, the last one unpadded.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Aligns the column to the right.
  void AlignRight(size_t column) { right_.push_back(column); }
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> right_;
};

// "2.6 MiB", "812 B"
std::string FormatBytes(uint64_t bytes);
// "3.2 s", "12 min", "5 h", "4 d"
std::string FormatAge(absl::Duration age);
// "sha256:0123456789ab": enough to name it.
std::string ShortDigest(std::string_view digest);

// Prints to standard output; a failure to do so is kept for Finish.
void Print(std::string_view text);
// "wasmctl: <text>" and a newline on standard error, with control characters taken out.
void PrintError(std::string_view text);

// Prints the error, if it needs words, and returns the exit code for it. `what` begins the line:
// "prog.wasm".
int ReportStatus(const absl::Status& status, std::string_view what = "");

// "wasmctl: trap: …" and the backtrace on standard error.
void ReportTrap(const client::Trap& trap);

// "wasmctl: the guest was refused memory at the limit …" on standard error, of a guest that ended
// badly. Nothing where nothing was refused.
void ReportRefusal(std::string_view refused_at);

// Flushes standard output. Where that fails, now or earlier, says so and returns kFailure; where
// the reader is gone, dies of SIGPIPE as any filter does.
int Finish(int exit_code);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_REPORT_H_
