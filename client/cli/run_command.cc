#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

#include "client/cli/commands.h"
#include "client/cli/connection.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/listen.h"
#include "client/cli/report.h"
#include "client/cpp/client.h"
#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

// Descriptors that are closed at the end.
class OpenedFiles {
 public:
  OpenedFiles() = default;
  OpenedFiles(const OpenedFiles&) = delete;
  OpenedFiles& operator=(const OpenedFiles&) = delete;
  ~OpenedFiles() {
    for (const int fd : descriptors_) {
      close(fd);
    }
  }

  absl::StatusOr<int> Open(const std::string& path, int flags) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) {
      return absl::Status(absl::ErrnoToStatusCode(errno), Cat(path, ": ", strerror(errno)));
    }
    return Own(fd);
  }

  int Own(int fd) {
    descriptors_.push_back(fd);
    return fd;
  }

 private:
  std::vector<int> descriptors_;
};

// Opens what is to be opened. `message`: what the user must know of it.
absl::Status OpenSockets(const std::vector<ListenSpec>& specs, OpenedFiles& files,
                         std::vector<int>& sockets, std::string& message) {
  for (const ListenSpec& spec : specs) {
    if (const auto* tcp = std::get_if<TcpListenSpec>(&spec)) {
      absl::StatusOr<Listening> listening = ListenTcp(*tcp);
      if (!listening.ok()) {
        return listening.status();
      }
      sockets.push_back(files.Own(listening->fd));
      if (tcp->port == "0") {
        // Nobody else could tell.
        message += Cat("wasmctl: listening on ", listening->address, "\n");
      }
    } else {
      const int fd = std::get<int>(spec);
      if (absl::Status status = CheckStreamSocket(fd); !status.ok()) {
        return status;
      }
      sockets.push_back(fd);
    }
  }
  return absl::OkStatus();
}

std::string BaseName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

int ReportRun(const client::RunResult& result, const Common& common) {
  if (common.format == OutputFormat::kJson) {
    // Standard output is the program's.
    Json json = ToJson(result.outcome);
    json["duration_ns"] = absl::ToInt64Nanoseconds(result.duration);
    json["peak_memory_bytes"] = result.peak_memory_bytes;
    if (result.fuel_left.has_value()) {
      json["fuel_left"] = *result.fuel_left;
    }
    AddRefusal(result.refused_at, json);
    std::fputs(DumpLine(json).c_str(), stderr);
  }
  if (const auto* exit = std::get_if<client::Exit>(&result.outcome)) {
    if (exit->code != 0 && common.format != OutputFormat::kJson) {
      ReportRefusal(result.refused_at);
    }
    // What a shell sees of any process.
    return static_cast<int>(exit->code & 0xff);
  }
  if (const auto* trap = std::get_if<client::Trap>(&result.outcome)) {
    if (common.format != OutputFormat::kJson) {
      ReportTrap(*trap);
      ReportRefusal(result.refused_at);
    }
    return kTrap;
  }
  return kDone;
}

}  // namespace

int Run(const Common& common, const RunArguments& arguments) {
  client::RunOptions options;
  OpenedFiles files;
  for (const DirSpec& dir : arguments.dirs) {
    absl::StatusOr<int> fd = files.Open(dir.source, O_RDONLY | O_DIRECTORY);
    if (!fd.ok()) {
      return ReportStatus(fd.status(), "--dir");
    }
    options.preopens.push_back({.guest_path = dir.guest_path,
                                .directory_fd = *fd,
                                .root = "",
                                .read_only = dir.read_only,
                                .scratch_bytes = std::nullopt});
  }
  for (const DirSpec& root : arguments.roots) {
    options.preopens.push_back({.guest_path = root.guest_path,
                                .directory_fd = -1,
                                .root = root.source,
                                .read_only = root.read_only,
                                .scratch_bytes = std::nullopt});
  }
  for (const ScratchSpec& scratch : arguments.scratches) {
    options.preopens.push_back({.guest_path = scratch.guest_path,
                                .directory_fd = -1,
                                .root = "",
                                .read_only = false,
                                .scratch_bytes = scratch.size_bytes});
  }
  std::string message;
  if (absl::Status status = OpenSockets(arguments.sockets, files, options.socket_fds, message);
      !status.ok()) {
    return ReportStatus(status);
  }
  int input = STDIN_FILENO;
  if (!arguments.stdin_path.empty()) {
    absl::StatusOr<int> fd = files.Open(arguments.stdin_path, O_RDONLY);
    if (!fd.ok()) {
      return ReportStatus(fd.status(), "--stdin");
    }
    input = *fd;
  }
  options.input = client::Input::Descriptor(input);
  options.output = client::Output::Descriptor(STDOUT_FILENO);
  options.error = client::Output::Descriptor(STDERR_FILENO);
  options.env = arguments.env;
  options.control.limits = arguments.limits;
  options.control.timeout = common.timeout;
  options.control.fuel = arguments.fuel;
  options.control.stop = common.stop;

  absl::StatusOr<Connection> connection = Connect(common, arguments.pass_descriptors);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  absl::StatusOr<client::ModuleInfo> module =
      ResolveModule(*connection->client, common, arguments.module, arguments.eager);
  if (!module.ok()) {
    return ReportStatus(module.status());
  }
  std::string name =
      AsDigest(arguments.module).has_value() ? module->name : BaseName(arguments.module);
  options.args.push_back(arguments.argv0.value_or(name));
  options.args.insert(options.args.end(), arguments.args.begin(), arguments.args.end());

  std::fputs(message.c_str(), stderr);
  const absl::StatusOr<client::RunResult> result = (*connection)->Run(module->digest, options);
  if (result.ok()) {
    return ReportRun(*result, common);
  }
  // Whoever read our output is gone: that is how a pipeline ends, and no error.
  if (client::ErrnoOf(result.status()) == EPIPE) {
    return kBrokenPipe;
  }
  return ReportStatus(result.status(), name);
}

}  // namespace wasmd::cli
