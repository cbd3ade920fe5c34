// What users write on the command line, as values. Every error is kInvalidArgument with one line
// that shows the right form.
#ifndef WASMD_CLIENT_CLI_ARGUMENTS_H_
#define WASMD_CLIENT_CLI_ARGUMENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace wasmd::cli {

// "5s", "250ms", "1.5m", "2h", "5": seconds. More than nothing.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// "65536", "64K", "64KiB", "1.5G": powers of 1024. More than nothing.
absl::StatusOr<uint64_t> ParseSize(std::string_view text);

// Of fuel: "0", "1000000". Empty never.
absl::StatusOr<std::optional<uint64_t>> ParseFuel(std::string_view text);

// HOST::GUEST[:ro] of --dir and NAME::GUEST[:ro] of --root. Without ::GUEST the guest sees the
// directory by its host name.
struct DirSpec {
  std::string source;
  std::string guest_path;
  bool read_only = false;
};
absl::StatusOr<DirSpec> ParseDirSpec(std::string_view text);

// GUEST[=SIZE] of --scratch.
struct ScratchSpec {
  std::string guest_path;
  uint64_t size_bytes = 0;  // 0: as large as the daemon allows.
};
absl::StatusOr<ScratchSpec> ParseScratchSpec(std::string_view text);

// A socket for a program: the descriptor N of --listen-fd, or where --tcplisten shall listen.
struct TcpListenSpec {
  std::string host;  // A name or an address, without brackets.
  std::string port;  // Digits; 0: any that is free.
};
using ListenSpec = std::variant<int, TcpListenSpec>;
absl::StatusOr<ListenSpec> ParseListenFd(std::string_view text);
// HOST:PORT, [ADDRESS]:PORT.
absl::StatusOr<ListenSpec> ParseTcpListen(std::string_view text);

// NAME=VALUE, or NAME for the value that it has here. A NAME that is not set here is an error.
absl::StatusOr<std::pair<std::string, std::string>> ParseEnv(std::string_view text);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_ARGUMENTS_H_
