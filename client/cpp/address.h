// Where a wasmd listens, as users write it:
//
//   unix:/run/wasmd.sock   /run/wasmd.sock   ./wasmd.sock     a unix socket
//   tcp:host:7777   host:7777   [::1]:7777                    TCP
#ifndef WASMD_CLIENT_CPP_ADDRESS_H_
#define WASMD_CLIENT_CPP_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace wasmd::client {

struct Address {
  enum class Kind { kUnix, kTcp };
  Kind kind = Kind::kUnix;
  std::string path;  // kUnix
  std::string host;  // kTcp: a name or an address, without brackets.
  uint16_t port = 0;

  // What ParseAddress reads: "unix:/run/wasmd.sock", "tcp:host:7777".
  std::string ToString() const;
};

// kInvalidArgument: not an address; the message says what one looks like.
absl::StatusOr<Address> ParseAddress(std::string_view text);

// $WASMD_ADDR; else unix:$XDG_RUNTIME_DIR/wasmd.sock; else unix:/tmp/wasmd-<uid>.sock, as wasmd
// itself has it. Anybody can make the last one: Connect refuses it if it is not this user's or
// root's.
std::string DefaultAddress();

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_ADDRESS_H_
