// bounded_load [CASE…]: CPU seconds and peak memory of loading and compiling the dearest modules of
// 1 MB that we know (tests/support/hostile_modules.h), each in a process of its own.
//
//   --size BYTES   of a module (1000000)
//   --json         one JSON object a line
//
// Exits with 1 if a case is beyond what docs/architecture.md promises: 2 s of CPU and 256 MiB.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/engine.h"
#include "tests/support/hostile_modules.h"

namespace wasmd::engine {
namespace {

constexpr double kMaxSeconds = 2;
constexpr uint64_t kMaxBytes = uint64_t{256} << 20;

struct Figures {
  double seconds = 0;
  uint64_t peak_bytes = 0;
  uint64_t module_bytes = 0;
  uint64_t code_bytes = 0;
  char verdict[160] = {};
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Of this process since the last call, from the kernel's high-water mark.
uint64_t ResidentBytes(const char* field) {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  char line[256];
  uint64_t kilobytes = 0;
  while (file != nullptr && std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::strncmp(line, field, std::strlen(field)) == 0) {
      kilobytes = std::strtoull(line + std::strlen(field) + 1, nullptr, 10);
    }
  }
  if (file != nullptr) {
    std::fclose(file);
  }
  return kilobytes << 10;
}

void ResetPeak() {
  if (std::FILE* const file = std::fopen("/proc/self/clear_refs", "w"); file != nullptr) {
    std::fputs("5", file);
    std::fclose(file);
  }
}

Figures MeasureHere(const HostileCase& hostile, size_t size) {
  Figures figures;
  const auto engine = Engine::Create({});
  if (!engine.ok()) {
    std::snprintf(figures.verdict, sizeof(figures.verdict), "%s",
                  engine.status().ToString().c_str());
    return figures;
  }
  Bytes wasm = hostile.make(size);
  const auto* const begin = reinterpret_cast<const std::byte*>(wasm.data());
  auto bytes = std::make_shared<const std::vector<std::byte>>(begin, begin + wasm.size());
  figures.module_bytes = wasm.size();
  wasm = {};
  LoadOptions options;
  options.mode = CompileMode::kEager;
  ResetPeak();
  const uint64_t resident = ResidentBytes("VmRSS:");
  const double start = CpuSeconds();
  const auto module = (*engine)->Load(std::move(bytes), options);
  figures.seconds = CpuSeconds() - start;
  figures.peak_bytes = ResidentBytes("VmHWM:") - resident;
  figures.code_bytes = module.ok() ? (*module)->stats().code_bytes : 0;
  std::snprintf(figures.verdict, sizeof(figures.verdict), "%s",
                module.ok() ? "loaded" : std::string(module.status().message()).c_str());
  return figures;
}

// In a child, so that no case inherits another's memory.
Figures Measure(const HostileCase& hostile, size_t size) {
  int pipe_ends[2];
  Figures figures;
  if (pipe(pipe_ends) != 0) {
    std::perror("bounded_load: pipe");
    std::exit(1);
  }
  const pid_t child = fork();
  if (child == 0) {
    const Figures found = MeasureHere(hostile, size);
    const bool ok = write(pipe_ends[1], &found, sizeof(found)) == sizeof(found);
    _exit(ok ? 0 : 1);
  }
  close(pipe_ends[1]);
  if (child < 0 || read(pipe_ends[0], &figures, sizeof(figures)) != sizeof(figures)) {
    std::snprintf(figures.verdict, sizeof(figures.verdict), "the process died");
    figures.seconds = kMaxSeconds * 2;
  }
  close(pipe_ends[0]);
  waitpid(child, nullptr, 0);
  return figures;
}

int Main(int argc, char** argv) {
  size_t size = 1'000'000;
  bool json = false;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--json") {
      json = true;
    } else if (argument == "--size" && i + 1 < argc) {
      size = std::strtoull(argv[++i], nullptr, 10);
    } else {
      names.push_back(argument);
    }
  }
  bool ok = true;
  for (const HostileCase& hostile : HostileCases()) {
    if (!names.empty() && std::ranges::find(names, hostile.name) == names.end()) {
      continue;
    }
    const Figures figures = Measure(hostile, size);
    const bool is_bounded = figures.seconds <= kMaxSeconds && figures.peak_bytes <= kMaxBytes;
    ok = ok && is_bounded;
    const std::string name(hostile.name);
    if (json) {
      std::printf(
          "{\"case\": \"%s\", \"module_bytes\": %llu, \"cpu_seconds\": %.3f, "
          "\"peak_bytes\": %llu, \"machine_code_bytes\": %llu, \"bounded\": %s}\n",
          name.c_str(), static_cast<unsigned long long>(figures.module_bytes), figures.seconds,
          static_cast<unsigned long long>(figures.peak_bytes),
          static_cast<unsigned long long>(figures.code_bytes), is_bounded ? "true" : "false");
    } else {
      std::printf("%-26s %8llu bytes %7.3f s %6.1f MiB  code %6.1f MiB  %s%s\n", name.c_str(),
                  static_cast<unsigned long long>(figures.module_bytes), figures.seconds,
                  static_cast<double>(figures.peak_bytes) / 1048576,
                  static_cast<double>(figures.code_bytes) / 1048576, figures.verdict,
                  is_bounded ? "" : "  BEYOND THE BOUND");
    }
    std::fflush(stdout);
  }
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace wasmd::engine

int main(int argc, char** argv) {
  return wasmd::engine::Main(argc, argv);
}
