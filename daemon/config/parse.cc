#include "daemon/config/parse.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"

#include "daemon/config/options.h"
#include "daemon/config/text.h"

namespace wasmd::daemon {
namespace {

absl::Status Wrong(std::string_view text, std::string_view what, std::string_view example) {
  return absl::InvalidArgumentError(
      StrCat("\"", text, "\" is no ", what, "; write it as ", example));
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Takes `prefix` off the front of `text`, if it is there.
bool Consume(std::string_view prefix, std::string_view& text) {
  if (!text.starts_with(prefix)) {
    return false;
  }
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

absl::StatusOr<uint64_t> ParseByteSize(std::string_view text) {
  const absl::Status wrong = Wrong(text, "size", "4096, 64KiB, 256MiB or 2GiB");
  const std::string_view trimmed = StdView(absl::StripAsciiWhitespace(AbslView(text)));
  const size_t digits =
      static_cast<size_t>(std::ranges::find_if_not(trimmed, IsDigit) - trimmed.begin());
  uint64_t number = 0;
  if (digits == 0 || !absl::SimpleAtoi(AbslView(trimmed.substr(0, digits)), &number)) {
    return wrong;
  }
  const std::string unit =
      absl::AsciiStrToLower(absl::StripAsciiWhitespace(AbslView(trimmed.substr(digits))));
  if (unit.empty() || unit == "b") {
    return number;
  }
  constexpr std::string_view kUnits = "kmgt";
  const size_t power = kUnits.find(unit[0]);
  const std::string_view rest = std::string_view(unit).substr(1);
  if (power == std::string_view::npos || (!rest.empty() && rest != "b" && rest != "ib")) {
    return wrong;
  }
  const int shift = 10 * (static_cast<int>(power) + 1);
  if (number > std::numeric_limits<uint64_t>::max() >> shift) {
    return wrong;
  }
  return number << shift;
}

std::string FormatByteSize(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t power = 0;
  while (power + 1 < kNames.size() && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++power;
  }
  return StrCat(bytes, " ", kNames.at(power));
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  const std::string_view trimmed = StdView(absl::StripAsciiWhitespace(AbslView(text)));
  absl::Duration duration;
  double seconds = 0;
  // absl::ParseDuration takes "inf" and refuses a bare number; here it is the other way round.
  if (absl::SimpleAtod(AbslView(trimmed), &seconds) && std::isfinite(seconds) && seconds >= 0) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(AbslView(trimmed), &duration)) {
    return Wrong(text, "duration", "250ms, 5s, 2m or 1h");
  }
  if (duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return Wrong(text, "duration", "250ms, 5s, 2m or 1h");
  }
  return duration;
}

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  constexpr std::string_view kExample = "unix:/path/to/wasmd.sock or tcp:127.0.0.1:7070";
  ListenAddress address;
  std::string_view rest = text;
  if (Consume("unix:", rest)) {
    // unix:///run/x.sock is how URLs write it.
    Consume("//", rest);
    if (rest.empty() || rest.find('\0') != std::string_view::npos) {
      return Wrong(text, "address", kExample);
    }
    address.path = std::string(rest);
    return address;
  }
  if (!Consume("tcp:", rest)) {
    return Wrong(text, "address", kExample);
  }
  Consume("//", rest);
  address.kind = ListenAddress::Kind::kTcp;
  const size_t colon = rest.rfind(':');
  uint32_t port = 0;
  if (colon == std::string_view::npos ||
      !absl::SimpleAtoi(AbslView(rest.substr(colon + 1)), &port) ||
      port > std::numeric_limits<uint16_t>::max()) {
    return Wrong(text, "address", kExample);
  }
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return Wrong(text, "address", "tcp:[::1]:7070 with brackets");
  }
  if (host.empty()) {
    return absl::InvalidArgumentError(
        StrCat("\"", text, "\" names no host; to listen everywhere, write tcp:0.0.0.0:", port,
               " or tcp:[::]:", port));
  }
  address.host = std::string(host);
  address.port = static_cast<uint16_t>(port);
  return address;
}

std::string ToString(const ListenAddress& address) {
  if (address.kind == ListenAddress::Kind::kUnix) {
    return StrCat("unix:", address.path);
  }
  const bool v6 = address.host.find(':') != std::string::npos;
  return StrCat("tcp:", v6 ? "[" : "", address.host, v6 ? "]" : "", ":", address.port);
}

absl::StatusOr<NamedRoot> ParseNamedRoot(std::string_view text) {
  const size_t equals = text.find('=');
  NamedRoot root;
  if (equals != std::string_view::npos) {
    root.name = std::string(text.substr(0, equals));
    root.path = std::string(text.substr(equals + 1));
  }
  const bool name_ok =
      !root.name.empty() && root.name.size() <= 64 && std::ranges::all_of(root.name, [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' ||
               c == '.';
      });
  if (!name_ok || root.path.empty()) {
    return Wrong(text, "named directory",
                 "name=/path, the name of letters, digits, '-', '_' and '.'");
  }
  return root;
}

absl::StatusOr<uint32_t> ParseFileMode(std::string_view text) {
  uint32_t mode = 0;
  if (text.empty() || text.size() > 4) {
    return Wrong(text, "file mode", "0600 or 0660");
  }
  for (const char digit : text) {
    if (digit < '0' || digit > '7') {
      return Wrong(text, "file mode", "0600 or 0660");
    }
    mode = mode * 8 + static_cast<uint32_t>(digit - '0');
  }
  if (mode > 0777) {
    return Wrong(text, "file mode", "0600 or 0660");
  }
  return mode;
}

}  // namespace wasmd::daemon
