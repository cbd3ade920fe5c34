// Decoding and validating real modules on one core: bytes per second of the module (decode) and of
// its code section (validate). The peers' figures are `wasm-tools validate` with
// RAYON_NUM_THREADS=1.
//
// Modules: *.wasm in $WASMD_PROGRAMS, by default where scripts/programs.sh puts them. Without any,
// a made-up one, so that there is always a number.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <benchmark/benchmark.h>

#include "engine/binary/decode_module.h"
#include "engine/validate/validate.h"
#include "engine/wasm/module.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

void BenchDecode(benchmark::State& state, const Bytes& bytes) {
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
    if (!module.ok()) {
      state.SkipWithError(module.status().ToString().c_str());
      return;
    }
    benchmark::DoNotOptimize(module);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}

void BenchValidate(benchmark::State& state, const Bytes& bytes) {
  const absl::StatusOr<Module> module = DecodeModule(AsBytes(bytes));
  if (!module.ok()) {
    state.SkipWithError(module.status().ToString().c_str());
    return;
  }
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    if (const absl::Status status = ValidateModule(*module, 1); !status.ok()) {
      state.SkipWithError(status.ToString().c_str());
      return;
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(module->code_section_bytes));
}

// 2,000 functions of a loop with loads, stores and arithmetic.
Bytes MadeUpModule() {
  const Bytes loop = {0x03, 0x40, 0x20, 0x00, 0x20, 0x00, 0x28, 0x02, 0x08, 0x41, 0x85, 0x02, 0x6a,
                      0x36, 0x02, 0x04, 0x20, 0x00, 0x41, 0x01, 0x6b, 0x22, 0x00, 0x0d, 0x00, 0x0b};
  Bytes code;
  for (int i = 0; i < 20; ++i) {
    Append(code, loop);
  }
  code.push_back(0x0b);
  const size_t count = 2'000;
  return WasmModule({Section(1, Vec({FuncTypeBytes({0x7f}, {})})),
                     Section(3, Vec(std::vector<Bytes>(count, Leb(0)))),
                     Section(5, Vec({{0x00, 0x01}})),
                     Section(10, Vec(std::vector<Bytes>(count, Body({}, code))))});
}

std::set<std::filesystem::path> RealModules() {
  // NOLINTBEGIN(concurrency-mt-unsafe): before any thread.
  const char* folder = std::getenv("WASMD_PROGRAMS");
  const char* home = std::getenv("HOME");
  // NOLINTEND(concurrency-mt-unsafe)
  const std::filesystem::path path = folder != nullptr ? std::filesystem::path(folder)
                                     : home != nullptr
                                         ? std::filesystem::path(home) / ".cache/wasmd/programs"
                                         : std::filesystem::path();
  std::set<std::filesystem::path> modules;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() == ".wasm") {
      modules.insert(entry.path());
    }
  }
  return modules;
}

void Register(const std::string& name, const std::shared_ptr<const Bytes>& bytes) {
  benchmark::RegisterBenchmark(("decode/" + name).c_str(), [bytes](benchmark::State& state) {
    BenchDecode(state, *bytes);
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark(("validate/" + name).c_str(), [bytes](benchmark::State& state) {
    BenchValidate(state, *bytes);
  })->Unit(benchmark::kMillisecond);
}

bool RegisterAll() {
  Register("made_up", std::make_shared<const Bytes>(MadeUpModule()));
  for (const std::filesystem::path& path : RealModules()) {
    std::ifstream file(path, std::ios::binary);
    Register(path.stem().string(),
             std::make_shared<const Bytes>(std::istreambuf_iterator<char>(file),
                                           std::istreambuf_iterator<char>()));
  }
  return true;
}

[[maybe_unused]] const bool is_registered = RegisterAll();

}  // namespace
}  // namespace wasmd::engine
