#include "tests/sdk/cpp/real_daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "client/cpp/client.h"
#include "client/cpp/posix.h"

namespace wasmd::client {

namespace {

constexpr auto kPatience = std::chrono::seconds(60);

}  // namespace

RealDaemon::RealDaemon(const std::vector<std::string>& options) {
  const char* const binary = std::getenv("WASMD");  // NOLINT(concurrency-mt-unsafe)
  if (binary == nullptr) {
    std::fprintf(stderr, "WASMD has to name the daemon to test against\n");
    std::abort();
  }
  std::array<char, 32> folder{"/tmp/wasmd-sdk-XXXXXX"};
  folder_ = mkdtemp(folder.data());
  const std::string log = folder_ + "/log";
  const std::string listen = address();
  std::vector<std::string> words = {binary, "--listen", listen};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) {
      _exit(127);
    }
    execv(binary, arguments.data());
    _exit(127);
  }
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end && waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (Client::Connect(listen).ok()) {
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const Fd said(open(log.c_str(), O_RDONLY | O_CLOEXEC));
  std::fprintf(stderr, "%s does not serve:\n%s\n", binary,
               ReadAll(said.get(), 0, log).value_or("").c_str());
  std::abort();
}

RealDaemon::~RealDaemon() {
  Kill();
  unlink((folder_ + "/s").c_str());
  unlink((folder_ + "/log").c_str());
  rmdir(folder_.c_str());
}

void RealDaemon::Kill() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

}  // namespace wasmd::client
