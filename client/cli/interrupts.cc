#include "client/cli/interrupts.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>
#include <thread>

namespace wasmd::cli {

namespace {

// Ends the watching thread; sent by the destructor to that thread alone.
constexpr int kEndWatch = SIGUSR1;

bool IsIgnored(int signal) {
  struct sigaction action{};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

Interrupts::Interrupts() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, kEndWatch);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!IsIgnored(signal)) {
      sigaddset(&watched, signal);
    }
  }
  // Threads that are started from here on inherit the mask, so that the signals come to sigwait
  // alone.
  pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  thread_ = std::thread([this, watched] {
    for (;;) {
      int signal = 0;
      if (sigwait(&watched, &signal) != 0 || signal == kEndWatch) {
        return;
      }
      int none = 0;
      if (!signal_.compare_exchange_strong(none, signal)) {
        _exit(128 + signal);
      }
      stop_.request_stop();
    }
  });
}

Interrupts::~Interrupts() {
  pthread_kill(thread_.native_handle(), kEndWatch);
  thread_.join();
}

int Interrupts::ExitCode(int otherwise) const {
  const int signal = signal_.load();
  return signal == 0 ? otherwise : 128 + signal;
}

}  // namespace wasmd::cli
