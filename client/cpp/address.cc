#include "client/cpp/address.h"

#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cpp/text.h"

namespace wasmd::client {

namespace {

absl::Status NotAnAddress(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      Cat("not an address: '", text, "' (", why, "); write unix:/path/to/socket or host:port"));
}

absl::StatusOr<Address> ParseUnix(std::string_view text, std::string_view path) {
  // URL style: unix:///run/wasmd.sock.
  if (path.starts_with("//")) {
    path.remove_prefix(2);
    if (!path.starts_with("/")) {
      return NotAnAddress(text, "a path after unix:// must be absolute");
    }
  }
  if (path.empty()) {
    return NotAnAddress(text, "the path is empty");
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return NotAnAddress(
        text, Cat("a socket's path has at most ", sizeof(sockaddr_un::sun_path) - 1, " bytes"));
  }
  if (path.find('\0') != std::string_view::npos) {
    return NotAnAddress(text, "the path has a zero byte");
  }
  return Address{.kind = Address::Kind::kUnix, .path = std::string(path), .host = {}, .port = 0};
}

absl::StatusOr<Address> ParseTcp(std::string_view text, std::string_view rest) {
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) {
    return NotAnAddress(text, "the port is missing");
  }
  std::string_view host = rest.substr(0, colon);
  const std::string_view port_text = rest.substr(colon + 1);
  if (host.starts_with("[") && host.ends_with("]")) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return NotAnAddress(text, "an IPv6 address needs brackets");
  }
  if (host.empty()) {
    return NotAnAddress(text, "the host is empty");
  }
  uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size() || port == 0) {
    return NotAnAddress(text, "the port is not a number from 1 to 65535");
  }
  return Address{.kind = Address::Kind::kTcp, .path = {}, .host = std::string(host), .port = port};
}

}  // namespace

std::string Address::ToString() const {
  if (kind == Kind::kUnix) {
    return Cat("unix:", path);
  }
  const bool brackets = host.find(':') != std::string::npos;
  return Cat("tcp:", brackets ? "[" : "", host, brackets ? "]" : "", ":", port);
}

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  if (text.empty()) {
    return NotAnAddress(text, "it is empty");
  }
  std::string_view rest = text;
  if (ConsumePrefix(rest, "unix:")) {
    return ParseUnix(text, rest);
  }
  if (ConsumePrefix(rest, "tcp:")) {
    ConsumePrefix(rest, "//");
    return ParseTcp(text, rest);
  }
  if (text.starts_with("/") || text.starts_with("./") || text.starts_with("../")) {
    return ParseUnix(text, text);
  }
  return ParseTcp(text, text);
}

std::string DefaultAddress() {
  if (const char* address = std::getenv("WASMD_ADDR"); address != nullptr && *address != '\0') {
    return address;
  }
  if (const char* folder = std::getenv("XDG_RUNTIME_DIR"); folder != nullptr && *folder == '/') {
    return Cat("unix:", folder, "/wasmd.sock");
  }
  return Cat("unix:/tmp/wasmd-", getuid(), ".sock");
}

}  // namespace wasmd::client
