// SIGINT, SIGTERM and SIGHUP as a stop token: the first one asks what is in progress to stop, a
// second one ends wasmctl at once.
#ifndef WASMD_CLIENT_CLI_INTERRUPTS_H_
#define WASMD_CLIENT_CLI_INTERRUPTS_H_

#include <atomic>
#include <stop_token>
#include <thread>

namespace wasmd::cli {

// One in a process, made by main before any other thread. Signals that were ignored at the start
// (nohup) stay so.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  // 128 + the signal's number, as a shell tells it; `otherwise` if none came.
  int ExitCode(int otherwise) const;

 private:
  std::stop_source stop_;
  std::atomic<int> signal_{0};
  std::thread thread_;
};

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_INTERRUPTS_H_
