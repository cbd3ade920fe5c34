// Sockets that `wasmctl run` gives to a program.
#ifndef WASMD_CLIENT_CLI_LISTEN_H_
#define WASMD_CLIENT_CLI_LISTEN_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cli/arguments.h"

namespace wasmd::cli {

struct Listening {
  int fd = -1;          // The caller's to close.
  std::string address;  // "127.0.0.1:40123", "[::1]:8080".
};

// A TCP socket that listens there, on the first of the name's addresses. Nonblocking, as wasmtime's
// is: a program with threads of its own, as Go's have, would wait in accept with all of them.
// Errors name the address: kInvalidArgument: there is no such name. Others: by errno.
absl::StatusOr<Listening> ListenTcp(const TcpListenSpec& spec);

// kInvalidArgument: it is not open, no socket, or carries no stream.
absl::Status CheckStreamSocket(int fd);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_LISTEN_H_
