#include "client/cli/spawned_daemon.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

constexpr absl::Duration kStartTimeout = absl::Seconds(10);
constexpr absl::Duration kEndTimeout = absl::Seconds(3);

std::string FindDaemon() {
  char self[4096];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof(self));
  if (size > 0) {
    std::string_view folder(self, static_cast<size_t>(size));
    folder = folder.substr(0, folder.rfind('/'));
    if (std::string beside = Cat(folder, "/wasmd"); access(beside.c_str(), X_OK) == 0) {
      return beside;
    }
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    if (std::string candidate = Cat(rest.substr(0, colon), "/wasmd");
        access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return "";
}

bool Listens(const std::string& path) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (path.size() >= sizeof(where.sun_path)) {
    return false;
  }
  std::memcpy(where.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected =
      fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where)) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return connected;
}

// In the child, after fork: nothing here allocates.
[[noreturn]] void Exec(const char* program, const char* listen, const char* log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) {
    _exit(127);
  }
  // Away from the terminal's foreground group: Ctrl-C is for wasmctl, which then cancels the run
  // and ends the daemon in order.
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  const char* const arguments[] = {"wasmd", "--listen", listen, nullptr};
  execv(program, const_cast<char* const*>(arguments));
  dprintf(STDERR_FILENO, "cannot execute %s: %s\n", program, std::strerror(errno));
  _exit(127);
}

std::string LastLine(const std::string& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) {
      last = std::move(line);
    }
  }
  return last;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SpawnedDaemon>> SpawnedDaemon::Start() {
  const std::string program = FindDaemon();
  if (program.empty()) {
    return absl::NotFoundError("--spawn: there is no wasmd beside wasmctl or in PATH");
  }
  std::unique_ptr<SpawnedDaemon> self(new SpawnedDaemon);
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  for (const char* base : {runtime, "/tmp"}) {
    std::string folder = Cat(base == nullptr ? "" : base, "/wasmctl-XXXXXX");
    if (base != nullptr && *base == '/' && mkdtemp(folder.data()) != nullptr) {
      self->folder_ = std::move(folder);
      break;
    }
  }
  if (self->folder_.empty()) {
    return absl::UnavailableError(
        Cat("--spawn: cannot make a folder in /tmp: ", std::strerror(errno)));
  }
  const std::string listen = self->address();
  const std::string log = self->log_path();
  const pid_t parent = getpid();
  self->pid_ = fork();
  if (self->pid_ == 0) {
    Exec(program.c_str(), listen.c_str(), log.c_str(), parent);
  }
  if (self->pid_ < 0) {
    return absl::UnavailableError(
        Cat("--spawn: cannot start ", program, ": ", std::strerror(errno)));
  }
  if (absl::Status status = self->WaitUntilItListens(); !status.ok()) {
    return status;
  }
  return self;
}

absl::Status SpawnedDaemon::WaitUntilItListens() {
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (!Listens(socket_path())) {
    int state = 0;
    if (waitpid(pid_, &state, WNOHANG) == pid_) {
      pid_ = -1;
      return absl::UnavailableError(Cat("--spawn: wasmd ended at once: ", LastLine(log_path())));
    }
    if (absl::Now() > deadline) {
      return absl::UnavailableError(Cat("--spawn: wasmd does not listen after ",
                                        absl::FormatDuration(kStartTimeout), ": ",
                                        LastLine(log_path())));
    }
    absl::SleepFor(absl::Microseconds(300));
  }
  return absl::OkStatus();
}

SpawnedDaemon::~SpawnedDaemon() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    const absl::Time deadline = absl::Now() + kEndTimeout;
    while (waitpid(pid_, nullptr, WNOHANG) == 0) {
      if (absl::Now() > deadline) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        break;
      }
      absl::SleepFor(absl::Microseconds(300));
    }
  }
  if (!folder_.empty()) {
    unlink(socket_path().c_str());
    unlink(Cat(socket_path(), ".lock").c_str());
    unlink(log_path().c_str());
    rmdir(folder_.c_str());
  }
}

}  // namespace wasmd::cli
