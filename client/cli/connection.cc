#include "client/cli/connection.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cli/progress.h"
#include "client/cli/version.h"
#include "client/cpp/address.h"
#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

constexpr size_t kDigestHexDigits = 64;
constexpr size_t kMinAbbreviation = 8;

// Whether nobody is there, which a user mends by starting a daemon.
bool NobodyThere(const absl::Status& status) {
  const std::optional<int> error = client::ErrnoOf(status);
  return absl::IsUnavailable(status) &&
         (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR);
}

// The same code and payload, with another text.
absl::Status WithText(const absl::Status& status, std::string_view text) {
  absl::Status other(status.code(), Cat(text));
  status.ForEachPayload([&other](absl::string_view url, const absl::Cord& payload) {
    other.SetPayload(url, payload);
  });
  return other;
}

}  // namespace

absl::StatusOr<Connection> Connect(const Common& common, bool pass_descriptors) {
  Connection connection;
  std::string address = common.address.empty() ? client::DefaultAddress() : common.address;
  if (common.spawn) {
    absl::StatusOr<std::unique_ptr<SpawnedDaemon>> daemon = SpawnedDaemon::Start();
    if (!daemon.ok()) {
      return daemon.status();
    }
    connection.daemon = *std::move(daemon);
    address = connection.daemon->address();
  }
  client::ConnectOptions options;
  options.client_name = "wasmctl";
  options.client_version = kVersion;
  options.pass_descriptors = pass_descriptors;
  absl::StatusOr<client::Client> client = client::Client::Connect(address, options);
  if (!client.ok()) {
    if (!NobodyThere(client.status())) {
      return client.status();
    }
    return WithText(client.status(),
                    Cat(client.status().message(), "; start one with `wasmd --listen ", address,
                        " &`, or use --spawn"));
  }
  connection.client = *std::move(client);
  return connection;
}

std::optional<std::string> AsDigest(const std::string& text) {
  std::string_view hex = text;
  const bool prefixed = client::ConsumePrefix(hex, "sha256:");
  const bool is_hex = hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (prefixed) {
    return text;
  }
  if (is_hex && hex.size() >= kMinAbbreviation && hex.size() <= kDigestHexDigits &&
      access(text.c_str(), F_OK) != 0) {
    return Cat("sha256:", text);
  }
  return std::nullopt;
}

absl::StatusOr<client::ModuleInfo> ResolveModule(client::Client& client, const Common& common,
                                                 const std::string& module, bool eager) {
  client::Control control;
  control.stop = common.stop;
  if (const std::optional<std::string> digest = AsDigest(module)) {
    absl::StatusOr<client::ModuleDetails> details = client.GetModule(*digest, control);
    if (!details.ok()) {
      return WithText(details.status(), Cat(module, ": ", details.status().message()));
    }
    return details->info;
  }
  Progress progress(module.substr(module.rfind('/') + 1));
  client::UploadOptions options;
  options.eager = eager;
  options.control = control;
  options.progress = [&progress](uint64_t sent, uint64_t total) { progress.Update(sent, total); };
  absl::StatusOr<client::ModuleInfo> info =
      client.UploadModule(client::ModuleSource::File(module), options);
  // Errors of the file itself begin with its name already.
  if (!info.ok() && !client::ErrnoOf(info.status()).has_value() &&
      !absl::IsUnavailable(info.status()) &&
      !std::string(info.status().message()).starts_with(module)) {
    return WithText(info.status(), Cat(module, ": ", info.status().message()));
  }
  return info;
}

}  // namespace wasmd::cli
