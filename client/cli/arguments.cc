#include "client/cli/arguments.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

// A number with a unit. nullopt: it does not begin with a decimal number.
struct Quantity {
  double number = 0;
  std::string unit;
};
std::optional<Quantity> ParseQuantity(std::string_view text) {
  const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  if (end == 0) {
    return std::nullopt;
  }
  const std::string digits(text.substr(0, end));
  char* stop = nullptr;
  const double number = std::strtod(digits.c_str(), &stop);
  if (stop != digits.c_str() + digits.size() || !std::isfinite(number)) {
    return std::nullopt;
  }
  return Quantity{.number = number, .unit = std::string(text.substr(end))};
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  const std::optional<Quantity> quantity = ParseQuantity(text);
  if (quantity.has_value() && quantity->number > 0) {
    const std::string& unit = quantity->unit;
    if (unit.empty() || unit == "s") {
      return absl::Seconds(quantity->number);
    }
    if (unit == "ms") {
      return absl::Milliseconds(quantity->number);
    }
    if (unit == "us") {
      return absl::Microseconds(quantity->number);
    }
    if (unit == "m" || unit == "min") {
      return absl::Minutes(quantity->number);
    }
    if (unit == "h") {
      return absl::Hours(quantity->number);
    }
  }
  return absl::InvalidArgumentError(Cat("not a time: '", text, "'; write 5s, 250ms, 2m or 1h"));
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  const std::optional<Quantity> quantity = ParseQuantity(text);
  if (quantity.has_value() && quantity->number > 0) {
    constexpr std::string_view kUnits = "KMGT";
    const std::string& unit = quantity->unit;
    double bytes = quantity->number;
    bool known = unit.empty() || unit == "B";
    if (!known) {
      const size_t power =
          kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
      const std::string_view rest = std::string_view(unit).substr(1);
      known = power != std::string_view::npos && (rest.empty() || rest == "B" || rest == "iB");
      bytes = known ? std::ldexp(bytes, static_cast<int>(10 * (power + 1))) : 0;
    }
    // 2^63: further than any memory, and exact in a double.
    if (known && bytes >= 1 && bytes <= 9223372036854775808.0) {
      return static_cast<uint64_t>(bytes);
    }
  }
  return absl::InvalidArgumentError(Cat("not a size: '", text, "'; write 65536, 64M or 1.5G"));
}

absl::StatusOr<std::optional<uint64_t>> ParseFuel(std::string_view text) {
  uint64_t fuel = 0;
  // It takes signs and spaces too.
  if (text.find_first_not_of("0123456789") != std::string_view::npos ||
      !absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &fuel)) {
    return absl::InvalidArgumentError(
        Cat("not a number of instructions: '", text, "'; write 1000000"));
  }
  return std::optional(fuel);
}

absl::StatusOr<DirSpec> ParseDirSpec(std::string_view text) {
  DirSpec spec;
  std::string_view rest = text;
  // ":ro" ends the guest's path; a lone host path may end in it by its own right.
  const size_t separator = rest.find("::");
  if (separator == std::string_view::npos) {
    spec.source = std::string(rest);
    spec.guest_path = spec.source;
  } else {
    spec.source = std::string(rest.substr(0, separator));
    std::string_view guest = rest.substr(separator + 2);
    if (guest.ends_with(":ro")) {
      guest.remove_suffix(3);
      spec.read_only = true;
    } else if (guest.ends_with(":rw")) {
      guest.remove_suffix(3);
    }
    spec.guest_path = std::string(guest);
  }
  if (spec.source.empty() || spec.guest_path.empty() || text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        Cat("not a directory to pass: '", text, "'; write HOST::GUEST or HOST::GUEST:ro"));
  }
  return spec;
}

absl::StatusOr<ScratchSpec> ParseScratchSpec(std::string_view text) {
  ScratchSpec spec;
  const size_t equals = text.rfind('=');
  spec.guest_path = std::string(text.substr(0, equals));
  if (spec.guest_path.empty() || text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        Cat("not a scratch directory: '", text, "'; write GUEST or GUEST=SIZE, as in /tmp=16M"));
  }
  if (equals != std::string_view::npos) {
    absl::StatusOr<uint64_t> size = ParseSize(text.substr(equals + 1));
    if (!size.ok()) {
      return size.status();
    }
    spec.size_bytes = *size;
  }
  return spec;
}

absl::StatusOr<ListenSpec> ParseListenFd(std::string_view text) {
  int fd = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
  if (error != std::errc() || end != text.data() + text.size() || fd < 0) {
    return absl::InvalidArgumentError(
        Cat("not a descriptor: '", text, "'; write the number of one that is open, as in 3"));
  }
  return ListenSpec(fd);
}

absl::StatusOr<ListenSpec> ParseTcpListen(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) {
      host = host.substr(1, host.size() - 2);
    }
    uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error == std::errc() && end == port.data() + port.size() && !host.empty() &&
        (bracketed || host.find_first_of(":[]") == std::string_view::npos)) {
      return ListenSpec(TcpListenSpec{.host = std::string(host), .port = std::string(port)});
    }
  }
  return absl::InvalidArgumentError(
      Cat("not an address to listen on: '", text, "'; write HOST:PORT, as in 127.0.0.1:8080"));
}

absl::StatusOr<std::pair<std::string, std::string>> ParseEnv(std::string_view text) {
  const size_t equals = text.find('=');
  std::string name(text.substr(0, equals));
  if (name.empty()) {
    return absl::InvalidArgumentError(Cat("not a variable: '", text, "'; write NAME=VALUE"));
  }
  if (equals != std::string_view::npos) {
    return std::pair(std::move(name), std::string(text.substr(equals + 1)));
  }
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) {
    return absl::InvalidArgumentError(
        Cat("the variable ", name, " is not set here; write ", name, "=VALUE"));
  }
  return std::pair(std::move(name), std::string(value));
}

}  // namespace wasmd::cli
