// load_time REPETITIONS FILE…: how long Engine::Load takes on this one thread, as an embedder sees
// it.
//
// Prints a line of JSON a file: {"path", "lazy_ns": […], "eager_ns": […]}. Lazy
// is decoding, validation and preparation; eager is that and the compilation of every function into
// executable memory. tests/bench/compile.py puts it beside other engines.
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/engine.h"

namespace wasmd::engine {
namespace {

using Bytes = std::shared_ptr<const std::vector<std::byte>>;

Bytes ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> contents((std::istreambuf_iterator<char>(file)),
                                   std::istreambuf_iterator<char>());
  const auto* begin = reinterpret_cast<const std::byte*>(contents.data());
  return std::make_shared<const std::vector<std::byte>>(begin, begin + contents.size());
}

int64_t ThreadCpuNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The module is gone again before this returns, so that repetitions don't fill the code arena.
int64_t LoadNs(const Engine& engine, const Bytes& bytes, CompileMode mode, const char* path) {
  LoadOptions options;
  options.mode = mode;
  const int64_t start_ns = ThreadCpuNs();
  const absl::StatusOr<std::shared_ptr<LoadedModule>> module = engine.Load(bytes, options);
  const int64_t end_ns = ThreadCpuNs();
  if (!module.ok()) {
    std::fprintf(stderr, "load_time: %s: %s\n", path, module.status().ToString().c_str());
    std::exit(1);
  }
  return end_ns - start_ns;
}

void PrintList(const char* name, const std::vector<int64_t>& values) {
  std::printf("\"%s\": [", name);
  for (size_t i = 0; i < values.size(); ++i) {
    std::printf("%s%lld", i == 0 ? "" : ", ", static_cast<long long>(values[i]));
  }
  std::printf("]");
}

int Main(int argc, char** argv) {
  const int repetitions = argc > 2 ? std::atoi(argv[1]) : 0;
  if (repetitions < 1) {
    std::fprintf(stderr, "usage: load_time REPETITIONS FILE…\n");
    return 64;
  }
  const absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create({});
  if (!engine.ok()) {
    std::fprintf(stderr, "load_time: %s\n", engine.status().ToString().c_str());
    return 1;
  }
  for (int i = 2; i < argc; ++i) {
    const Bytes bytes = ReadFile(argv[i]);
    std::vector<int64_t> lazy_ns;
    std::vector<int64_t> eager_ns;
    for (int round = 0; round < repetitions; ++round) {
      lazy_ns.push_back(LoadNs(**engine, bytes, CompileMode::kLazy, argv[i]));
      eager_ns.push_back(LoadNs(**engine, bytes, CompileMode::kEager, argv[i]));
    }
    std::printf("{\"path\": \"%s\", ", argv[i]);
    PrintList("lazy_ns", lazy_ns);
    std::printf(", ");
    PrintList("eager_ns", eager_ns);
    std::printf("}\n");
  }
  return 0;
}

}  // namespace
}  // namespace wasmd::engine

int main(int argc, char** argv) {
  return wasmd::engine::Main(argc, argv);
}
