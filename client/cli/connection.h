// Getting from a command's arguments to a client, and from a module's name to its digest.
#ifndef WASMD_CLIENT_CLI_CONNECTION_H_
#define WASMD_CLIENT_CLI_CONNECTION_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

#include "client/cli/commands.h"
#include "client/cli/spawned_daemon.h"
#include "client/cpp/client.h"

namespace wasmd::cli {

// A client, and the daemon that was started for it, which outlives it.
struct Connection {
  std::unique_ptr<SpawnedDaemon> daemon;
  std::optional<client::Client> client;

  client::Client* operator->() { return &*client; }
};

// Where there is no daemon, the error says how to start one.
absl::StatusOr<Connection> Connect(const Common& common, bool pass_descriptors = true);

// A file, which is uploaded, or a digest (sha256:…, or 8 of its hexadecimal digits or more) of a
// module that is there already. The error names what was asked for.
absl::StatusOr<client::ModuleInfo> ResolveModule(client::Client& client, const Common& common,
                                                 const std::string& module, bool eager = false);

// The digest that `text` is or abbreviates, as the daemon wants it; nullopt: it is to be read as a
// file's name.
std::optional<std::string> AsDigest(const std::string& text);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_CONNECTION_H_
