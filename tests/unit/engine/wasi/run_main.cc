// wasi_run: runs a WASI program in the engine, without the daemon, for comparisons by hand.
//
//   wasi_run [--dir HOST::GUEST] [--ro HOST::GUEST] [--env NAME=VALUE] [--timeout SECONDS]
//   PROGRAM.wasm [ARGS…]
//
// Exit status: the program's own; 134 a trap, 124 the time is over, 125 our failure.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/api/engine.h"
#include "engine/base/unique_fd.h"
#include "engine/wasi/wasi.h"
#include "tests/unit/engine/wasi/run_program.h"

namespace {

using wasmd::engine::UniqueFd;

[[noreturn]] void Fail(const std::string& message) {
  fprintf(stderr, "wasi_run: %s\n", message.c_str());
  std::exit(125);
}

std::vector<std::byte> ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    Fail(std::string("no such file: ") + path);
  }
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

}  // namespace

int main(int argc, char** argv) {
  wasmd::engine::WasiOptions options;
  double timeout_s = 0;
  int i = 1;
  for (; i + 1 < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--dir" || option == "--ro") {
      const std::string text = argv[++i];
      const size_t cut = text.find("::");
      const std::string host = text.substr(0, cut);
      UniqueFd directory(::open(host.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!directory) {
        Fail("no such directory: " + host);
      }
      options.preopens.push_back({cut == std::string::npos ? host : text.substr(cut + 2),
                                  std::move(directory), option == "--ro"});
    } else if (option == "--env") {
      options.env.emplace_back(argv[++i]);
    } else if (option == "--timeout") {
      timeout_s = std::strtod(argv[++i], nullptr);
    } else {
      break;
    }
  }
  if (i >= argc) {
    Fail("no program");
  }
  std::vector<std::byte> bytes = ReadFile(argv[i]);
  const std::string_view path = argv[i];
  options.args.emplace_back(path.substr(path.rfind('/') + 1));
  for (int k = i + 1; k < argc; ++k) {
    options.args.emplace_back(argv[k]);
  }
  options.stdin_stream = UniqueFd(::dup(STDIN_FILENO));
  options.stdout_stream = UniqueFd(::dup(STDOUT_FILENO));
  options.stderr_stream = UniqueFd(::dup(STDERR_FILENO));

  auto engine = wasmd::engine::Engine::Create({});
  if (!engine.ok()) {
    Fail(engine.status().ToString());
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::thread watch;
  const auto outcome = wasmd::engine::RunProgram(
      **engine, std::move(bytes), std::move(options),
      [&](const wasmd::engine::InterruptHandle& interrupt) {
        if (timeout_s <= 0) {
          return;
        }
        watch = std::thread([&, interrupt] {
          std::unique_lock lock(mutex);
          if (!changed.wait_for(lock, std::chrono::duration<double>(timeout_s),
                                [&] { return done; })) {
            interrupt.Interrupt(wasmd::engine::InterruptReason::kDeadline);
          }
        });
      });
  if (watch.joinable()) {
    {
      const std::scoped_lock lock(mutex);
      done = true;
    }
    changed.notify_all();
    watch.join();
  }
  if (!outcome.ok()) {
    Fail(outcome.status().ToString());
  }
  if (outcome->ok()) {
    return 0;
  }
  if (outcome->exit() != nullptr) {
    return static_cast<int>(outcome->exit()->code & 0xff);
  }
  fprintf(stderr, "wasi_run: %s\n", ToString(outcome->stop()).c_str());
  if (outcome->interrupt() != nullptr) {
    fputs(ToString(outcome->interrupt()->backtrace).c_str(), stderr);
  }
  if (outcome->trap() != nullptr) {
    fputs(ToString(outcome->trap()->backtrace).c_str(), stderr);
    return 134;
  }
  return 124;
}
