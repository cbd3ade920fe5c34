// instantiate_probe INSTANTIATE.wasm SAMPLES [THREADS]: what instances cost.
//
// Prints flat JSON, nanoseconds: the minimum of SAMPLES under the plain key, the median under
// X_median_ns.
//   instantiate       one instance in a store that exists, kBatch of them in a row; making and
//                     dropping the store, and with it the instances, is outside of the measured
//                     part
//   store_call_drop   a store, an instance, its export `first` looked up and called, all dropped
// With THREADS, only store_call_drop runs, on so many threads at once, and the figures are the
// slowest thread's.
#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/api/engine.h"

namespace wasmd::engine {
namespace {

constexpr int kBatch = 200;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "instantiate_probe: %s\n", message.c_str());
  std::exit(1);
}

std::vector<std::byte> ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> contents((std::istreambuf_iterator<char>(file)),
                                   std::istreambuf_iterator<char>());
  const auto* begin = reinterpret_cast<const std::byte*>(contents.data());
  return {begin, begin + contents.size()};
}

Instance& Instantiate(const Linker& linker, Store& store,
                      const std::shared_ptr<LoadedModule>& module) {
  const absl::StatusOr<Instantiation> made = linker.Instantiate(store, module);
  if (!made.ok() || made->instance == nullptr) {
    Die("instantiation failed: " + made.status().ToString());
  }
  return *made->instance;
}

using Clock = std::chrono::steady_clock;

double NsEach(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / kBatch;
}

double InstantiateNs(const Engine& engine, const Linker& linker,
                     const std::shared_ptr<LoadedModule>& module) {
  Store store(engine.runtime());
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < kBatch; ++i) {
    Instantiate(linker, store, module);
  }
  return NsEach(start);
}

double StoreCallDropNs(const Engine& engine, const Linker& linker,
                       const std::shared_ptr<LoadedModule>& module) {
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < kBatch; ++i) {
    Store store(engine.runtime());
    const absl::StatusOr<FuncHandle> first = Instantiate(linker, store, module).Func("first");
    if (!first.ok()) {
      Die(first.status().ToString());
    }
    Value result;
    const absl::StatusOr<Outcome<void>> outcome = first->Call({}, {&result, 1});
    if (!outcome.ok() || !outcome->ok()) {
      Die("the first call failed");
    }
  }
  return NsEach(start);
}

std::string Line(const char* key, std::vector<double> samples) {
  std::ranges::sort(samples);
  char line[160];
  std::snprintf(line, sizeof line, "\"%s_ns\": %.3f, \"%s_median_ns\": %.3f", key, samples.front(),
                key, samples[samples.size() / 2]);
  return line;
}

int Main(int argc, char** argv) {
  const int sample_count = argc > 2 ? std::atoi(argv[2]) : 0;
  const int thread_count = argc > 3 ? std::atoi(argv[3]) : 1;
  if (argc > 4 || sample_count < 1 || thread_count < 1 || thread_count > 64) {
    std::fprintf(stderr, "usage: instantiate_probe INSTANTIATE.wasm SAMPLES [THREADS]\n");
    return 64;
  }
  const auto engine = Engine::Create({});
  if (!engine.ok()) {
    Die(engine.status().ToString());
  }
  LoadOptions options;
  options.mode = CompileMode::kEager;
  const auto module = (*engine)->Load(ReadFile(argv[1]), options);
  if (!module.ok()) {
    Die(module.status().ToString());
  }
  const Linker linker;
  if (argc < 4) {
    std::vector<double> instantiate;
    std::vector<double> store_call_drop;
    InstantiateNs(**engine, linker, *module);  // Warm-up.
    StoreCallDropNs(**engine, linker, *module);
    for (int i = 0; i < sample_count; ++i) {
      instantiate.push_back(InstantiateNs(**engine, linker, *module));
      store_call_drop.push_back(StoreCallDropNs(**engine, linker, *module));
    }
    std::printf("{%s, %s}\n", Line("instantiate", instantiate).c_str(),
                Line("store_call_drop", store_call_drop).c_str());
    return 0;
  }
  std::vector<std::vector<double>> of_thread(static_cast<size_t>(thread_count));
  std::barrier together(thread_count);
  std::vector<std::thread> threads;
  for (std::vector<double>& samples : of_thread) {
    threads.emplace_back([&] {
      StoreCallDropNs(**engine, linker, *module);
      for (int i = 0; i < sample_count; ++i) {
        together.arrive_and_wait();
        samples.push_back(StoreCallDropNs(**engine, linker, *module));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::vector<double> slowest;
  for (size_t i = 0; i < static_cast<size_t>(sample_count); ++i) {
    double worst = 0;
    for (const std::vector<double>& samples : of_thread) {
      worst = std::max(worst, samples[i]);
    }
    slowest.push_back(worst);
  }
  std::printf("{%s}\n", Line("store_call_drop", slowest).c_str());
  return 0;
}

}  // namespace
}  // namespace wasmd::engine

int main(int argc, char** argv) {
  return wasmd::engine::Main(argc, argv);
}
