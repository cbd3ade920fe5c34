// compile_speed FILE… : how fast one thread compiles whole modules with the baseline tier, in MB of
// code section a second of CPU time.
//
//   --repeat N    best of N rounds (5)
//   --dump DIR    writes each function's machine code to DIR/<index>.bin, for objdump
//   --json        one JSON object a line
#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "engine/abi/instance_context.h"
#include "engine/binary/decode_module.h"
#include "engine/compile/compiler.h"
#include "engine/validate/validate.h"

namespace wasmd::engine {
namespace {

struct Options {
  int repeat = 5;
  bool json = false;
  std::string dump;
  std::vector<std::string> files;
};

// CPU time of this thread: the machine may have others to run.
double Now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}
double SecondsSince(double start) {
  return Now() - start;
}

bool Measure(const std::string& path, const Options& options) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> contents((std::istreambuf_iterator<char>(file)),
                                   std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(contents));
  double decode = 1e9;
  double validate = 1e9;
  double compile = 1e9;
  size_t functions = 0;
  uint64_t code_section = 0;
  uint64_t code_bytes = 0;
  uint64_t site_count = 0;
  for (int round = 0; round < options.repeat; ++round) {
    double start = Now();
    const auto module = DecodeModule(bytes);
    if (!module.ok()) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), module.status().ToString().c_str());
      return false;
    }
    decode = std::min(decode, SecondsSince(start));
    code_section = module->code_section_bytes;
    functions = module->funcs.size() - module->imported_funcs;

    start = Now();
    if (const absl::Status status = ValidateModule(*module, 1); !status.ok()) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), status.ToString().c_str());
      return false;
    }
    validate = std::min(validate, SecondsSince(start));

    const ContextLayout layout(*module);
    const auto compiler = NewBaselineCompiler(*module, layout);
    CompiledFunction out;
    code_bytes = 0;
    site_count = 0;
    start = Now();
    for (auto i = module->imported_funcs; i < module->funcs.size(); ++i) {
      const absl::Status status = compiler->CompileFunction(i, out);
      if (!status.ok()) {
        std::fprintf(stderr, "%s: function %u: %s\n", path.c_str(), i, status.ToString().c_str());
        return false;
      }
      code_bytes += out.code.size();
      site_count += out.sites.size();
      if (round == 0 && !options.dump.empty()) {
        std::ofstream dump(options.dump + "/" + std::to_string(i) + ".bin", std::ios::binary);
        dump.write(reinterpret_cast<const char*>(out.code.data()),
                   static_cast<std::streamsize>(out.code.size()));
      }
    }
    compile = std::min(compile, SecondsSince(start));
  }
  const double mb = static_cast<double>(code_section) / 1e6;
  const char* const name = std::strrchr(path.c_str(), '/') == nullptr
                               ? path.c_str()
                               : std::strrchr(path.c_str(), '/') + 1;
  if (options.json) {
    std::printf("{\"module\": \"%s\", \"functions\": %zu, \"code_section_bytes\": %" PRIu64
                ", \"decode_seconds\": %.6f, \"validate_mb_per_second\": %.2f, "
                "\"compile_mb_per_second\": %.2f, "
                "\"machine_code_bytes\": %" PRIu64 ", \"sites\": %" PRIu64 "}\n",
                name, functions, code_section, decode, mb / validate, mb / compile, code_bytes,
                site_count);
  } else {
    std::printf(
        "%-20s %6zu functions %7.2f MB  decode %6.2f ms  validate %6.1f MB/s  compile %6.2f MB/s  "
        "code x%.2f\n",
        name, functions, mb, decode * 1e3, mb / validate, mb / compile,
        static_cast<double>(code_bytes) / static_cast<double>(code_section));
  }
  std::fflush(stdout);
  return true;
}

}  // namespace
}  // namespace wasmd::engine

int main(int argc, char** argv) {
  wasmd::engine::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--json") {
      options.json = true;
    } else if (argument == "--repeat" && i + 1 < argc) {
      options.repeat = std::max(1, std::atoi(argv[++i]));
    } else if (argument == "--dump" && i + 1 < argc) {
      options.dump = argv[++i];
    } else {
      options.files.push_back(argument);
    }
  }
  bool ok = !options.files.empty();
  for (const std::string& file : options.files) {
    ok = wasmd::engine::Measure(file, options) && ok;
  }
  return ok ? 0 : 1;
}
