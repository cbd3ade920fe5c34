#include "daemon/main/server.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "daemon/account/account.h"
#include "daemon/account/memory_ceiling.h"
#include "daemon/channel/channel_manager.h"
#include "daemon/config/options.h"
#include "daemon/config/parse.h"
#include "daemon/config/text.h"
#include "daemon/listener/bind.h"
#include "daemon/listener/listener.h"
#include "daemon/observe/counters.h"
#include "daemon/observe/log.h"
#include "daemon/pool/engine_types.h"
#include "daemon/rpc/grpc_server.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/scheduler/scheduler.h"
#include "daemon/session/scratch_maker.h"
#include "daemon/session/session_manager.h"
#include "daemon/store/module_store.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

// Interrupted guests end within milliseconds, and their answers are sent; a client that does not
// read them waits no longer.
constexpr absl::Duration kInterruptedEnd = absl::Seconds(5);
constexpr absl::Duration kLastAnswers = absl::Milliseconds(500);

using Roots = std::map<std::string, engine::UniqueFd, std::less<>>;

absl::StatusOr<Roots> OpenRoots(const Options& options) {
  Roots roots;
  for (const NamedRoot& root : options.roots) {
    engine::UniqueFd directory(::open(root.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
      return absl::NotFoundError(StrCat("--root ", root.name, "=", root.path, ": ",
                                        std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
    }
    roots.emplace(root.name, std::move(directory));
  }
  return roots;
}

absl::StatusOr<std::vector<BoundSocket>> BindAll(const Options& options) {
  std::vector<ListenAddress> addresses = options.listen;
  if (addresses.empty()) {
    addresses.push_back(DefaultListenAddress());
    const std::string& path = addresses.front().path;
    if (path.starts_with("/tmp/")) {
      WASMD_RETURN_IF_ERROR(MakePrivateFolder(path.substr(0, path.rfind('/'))));
    }
  }
  std::vector<BoundSocket> sockets;
  for (const ListenAddress& address : addresses) {
    WASMD_ASSIGN_OR_RETURN(BoundSocket socket, BoundSocket::Bind(address, options.socket_mode));
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

SandboxPlaces PlacesOf(const Roots& roots, const ScratchMaker* scratch,
                       const std::vector<BoundSocket>& sockets) {
  SandboxPlaces places;
  if (scratch != nullptr && scratch->parent() >= 0) {
    places.roots.push_back(scratch->parent());
  }
  for (const auto& [name, directory] : roots) {
    places.roots.push_back(directory.get());
  }
  for (const BoundSocket& socket : sockets) {
    if (socket.address().kind == ListenAddress::Kind::kUnix) {
      places.socket_directories.push_back(ParentOf(socket.address().path));
    }
  }
  return places;
}

// Always, whatever the level: what is not in force is what somebody has to know.
void LogReport(const SandboxReport& report) {
  Log(report.lacking.empty() ? LogLevel::kInfo : LogLevel::kWarning, "sandbox",
      {{"mode", ToString(report.mode)},
       {"in-force", absl::StrJoin(report.in_force, ", ")},
       {"lacking", absl::StrJoin(report.lacking, ", ")}});
}

}  // namespace

// Members in the order of their making; each may use those above it.
class Server::Impl {
 public:
  Impl(Options given, std::unique_ptr<ScratchMaker> scratch_maker,
       std::unique_ptr<engine::Engine> made_engine, Roots roots)
      : options(std::move(given)),
        scratch(std::move(scratch_maker)),
        engine(std::move(made_engine)),
        accounts(options, ReadMemoryCeiling()),
        scheduler(options),
        store(*engine, options, &scheduler.workers_pool().watchdog()),
        services{options,  *engine,          store,    scheduler,
                 counters, std::move(roots), accounts, scratch.get()},
        sessions(services),
        channels(sessions, scheduler.workers_pool()) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ~Impl() {
    sessions.StopAdmission();
    scheduler.StopAdmission();
    sessions.CloseAll(engine::InterruptReason::kShutdown);
    if (grpc != nullptr) {
      grpc->Shutdown(absl::Now() + kLastAnswers);
    }
    if (listener != nullptr) {
      listener->Shutdown();
    }
    scheduler.Shutdown();
    channels.Shutdown();
    store.Shutdown();
  }

  absl::Status Start(std::vector<BoundSocket> sockets, std::string_view version, Sandbox sandbox) {
    const auto connections = [this] {
      return listener == nullptr ? 0 : listener->connection_count();
    };
    rpc.emplace(RpcContext{sessions, channels, std::string(version), absl::Now(), connections, {}});
    WASMD_ASSIGN_OR_RETURN(grpc, GrpcServer::Create(*rpc));
    for (const BoundSocket& socket : sockets) {
      addresses.push_back(ToString(socket.address()));
    }
    listener = std::make_unique<Listener>(
        sessions, channels, std::move(sockets),
        [this](engine::UniqueFd fd) { grpc->AddConnection(std::move(fd)); });
    scheduler.Prestart();
    channels.Start();
    WASMD_RETURN_IF_ERROR(sandbox.Seal());
    LogReport(sandbox.report());
    rpc->sandbox = sandbox.report();
    listener->Start();
    return absl::OkStatus();
  }

  const Options options;
  Counters counters;
  std::unique_ptr<ScratchMaker> scratch;
  std::unique_ptr<engine::Engine> engine;
  Accounts accounts;
  Scheduler scheduler;
  ModuleStore store;
  SessionServices services;
  SessionManager sessions;
  ChannelManager channels;
  std::optional<RpcContext> rpc;
  std::unique_ptr<GrpcServer> grpc;
  std::unique_ptr<Listener> listener;
  std::vector<std::string> addresses;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Create(Options options, std::string_view version) {
  std::unique_ptr<ScratchMaker> scratch;
  if (options.max_scratch_bytes != 0) {  // First: it forks.
    WASMD_ASSIGN_OR_RETURN(scratch, ScratchMaker::Start());
  }
  WASMD_ASSIGN_OR_RETURN(Roots roots, OpenRoots(options));
  WASMD_ASSIGN_OR_RETURN(std::vector<BoundSocket> sockets, BindAll(options));
  // The engine starts the first thread.
  WASMD_ASSIGN_OR_RETURN(Sandbox sandbox,
                         Sandbox::Enter(options.sandbox, PlacesOf(roots, scratch.get(), sockets)));
  WASMD_ASSIGN_OR_RETURN(std::unique_ptr<engine::Engine> engine, engine::Engine::Create({}));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(scratch), std::move(engine),
                                     std::move(roots));
  WASMD_RETURN_IF_ERROR(impl->Start(std::move(sockets), version, std::move(sandbox)));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

const std::vector<std::string>& Server::addresses() const {
  return impl_->addresses;
}

void Server::Drain(absl::Time deadline, const std::function<bool()>& hurry) {
  constexpr absl::Duration kAskEvery = absl::Milliseconds(20);
  impl_->listener->StopAccepting();
  impl_->grpc->SetServing(false);
  impl_->sessions.StopAdmission();
  impl_->scheduler.StopAdmission();
  impl_->channels.Drain();
  while (absl::Now() < deadline && !hurry()) {
    if (impl_->scheduler.WaitUntilIdle(std::min(deadline, absl::Now() + kAskEvery))) {
      return;
    }
  }
  Log(LogLevel::kInfo, "stopping what still runs", {{"invocations", impl_->scheduler.active()}});
  impl_->scheduler.InterruptAll(engine::InterruptReason::kShutdown);
  if (!impl_->scheduler.WaitUntilIdle(absl::Now() + kInterruptedEnd)) {
    Log(LogLevel::kError, "invocations do not end", {{"invocations", impl_->scheduler.active()}});
  }
}

}  // namespace wasmd::daemon
