// validate_file FILE: what `wasm-tools validate FILE` does, with our decoder and validator, on one
// thread. Exit code 1 and the error where the module is refused.

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <ios>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/binary/decode_module.h"
#include "engine/validate/validate.h"
#include "engine/wasm/module.h"

int main(int argc, char** argv) {
  using wasmd::engine::Module;
  if (argc != 2) {
    std::fputs("usage: validate_file FILE\n", stderr);
    return 64;
  }
  std::ifstream file(argv[1], std::ios::binary | std::ios::ate);
  std::vector<char> bytes(file ? static_cast<size_t>(file.tellg()) : 0);
  file.seekg(0);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    std::fprintf(stderr, "%s: cannot be read\n", argv[1]);
    return 1;
  }
  const absl::StatusOr<Module> module =
      wasmd::engine::DecodeModule(std::as_bytes(std::span(bytes)));
  const absl::Status status =
      module.ok() ? wasmd::engine::ValidateModule(*module, 1) : module.status();
  if (!status.ok()) {
    std::fprintf(stderr, "%s: %s\n", argv[1], std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
