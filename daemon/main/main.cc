// wasmd: flags → options → Server, signals.

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "daemon/config/command_line.h"
#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "daemon/main/notify.h"
#include "daemon/main/server.h"
#include "daemon/observe/log.h"

namespace wasmd::daemon {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 2;

constexpr const char* kVersion = WASMD_VERSION;
// If the daemon has not ended by then after its guests were stopped, something of ours hangs.
constexpr unsigned kLastResortSeconds = 30;

sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  return signals;
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
  }
}

int Fail(const absl::Status& status, int code) {
  const std::string line = StrCat("wasmd: ", status.message(), "\n");
  static_cast<void>(std::fputs(line.c_str(), stderr));
  return code;
}

// What scripts and people wait for; never filtered by the log's level.
void SayListening(const std::string& address, LogFormat format) {
  const std::string text = StrCat("wasmd listening on ", address);
  const std::string line = format == LogFormat::kJson
                               ? StrCat(R"({"level":"info","message":")", EscapeJson(text), "\"}\n")
                               : text + "\n";
  static_cast<void>(std::fputs(line.c_str(), stderr));
}

int Run(int argc, const char* const* argv) {
  absl::StatusOr<CommandLine> line = ParseCommandLine(argc, argv, kVersion);
  if (!line.ok()) {
    return Fail(line.status(), kExitUsage);
  }
  if (!line->text.empty()) {
    static_cast<void>(std::fputs(line->text.c_str(), stdout));
    return kExitOk;
  }
  InitLog(line->options.log_level, line->options.log_format);
  // Before any thread is started, so that all inherit it; main waits for them.
  const sigset_t signals = EndSignals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  // A guest whose file meets RLIMIT_FSIZE gets EFBIG, and the daemon goes on.
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  RaiseDescriptorLimit();

  const ServiceManager service_manager;
  const absl::Duration drain_timeout = line->options.drain_timeout;
  const LogFormat format = line->options.log_format;
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Create(std::move(line->options), kVersion);
  if (!server.ok()) {
    return Fail(server.status(), kExitCannotStart);
  }
  for (const std::string& address : (*server)->addresses()) {
    SayListening(address, format);
  }
  service_manager.Notify("READY=1");

  int signal = 0;
  while (::sigwait(&signals, &signal) != 0) {
  }
  service_manager.Notify("STOPPING=1");
  Log(LogLevel::kInfo, "draining", {{"signal", static_cast<uint64_t>(signal)}});
  (*server)->Drain(absl::Now() + drain_timeout, [&signals] {
    const timespec now{};
    return ::sigtimedwait(&signals, nullptr, &now) > 0;
  });
  ::alarm(kLastResortSeconds);
  server->reset();
  Log(LogLevel::kInfo, "stopped");
  return kExitOk;
}

}  // namespace
}  // namespace wasmd::daemon

int main(int argc, char** argv) {
  try {
    return wasmd::daemon::Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "wasmd: %s\n", error.what());
    return wasmd::daemon::kExitCannotStart;
  }
}
