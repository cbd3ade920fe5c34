// The small languages of the command line and the configuration file: sizes, durations, addresses,
// named directories.
//
// Every error is kInvalidArgument and names the text that is wrong and what would be right.
// Thread-safe: plain functions.
#ifndef WASMD_DAEMON_CONFIG_PARSE_H_
#define WASMD_DAEMON_CONFIG_PARSE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {

// "4096", "64KiB", "256 MiB", "1GiB", "2g": a count of bytes. K, M, G and T are powers of 1,024,
// with or without "iB" or "B".
absl::StatusOr<uint64_t> ParseByteSize(std::string_view text);
// "512 MiB", "1 GiB", "1000 B": what ParseByteSize reads.
std::string FormatByteSize(uint64_t bytes);

// "250ms", "5s", "2m", "1h", "1m30s"; a bare number is seconds. Not negative, finite.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// "unix:/run/wasmd.sock", "unix:relative.sock", "tcp:127.0.0.1:7070", "tcp:[::1]:7070",
// "tcp:localhost:0".
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);
// "unix:/run/wasmd.sock", "tcp:[::1]:7070".
std::string ToString(const ListenAddress& address);

// "data=/srv/data". The name is one to 64 letters, digits, '-', '_' or '.'.
absl::StatusOr<NamedRoot> ParseNamedRoot(std::string_view text);

// "0600", "660": octal, permission bits alone.
absl::StatusOr<uint32_t> ParseFileMode(std::string_view text);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CONFIG_PARSE_H_
