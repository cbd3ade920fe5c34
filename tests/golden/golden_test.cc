// The machine code of small functions, as text: tests/golden/NAME.wat compiles to
// tests/golden/NAME.asm; metered.wat as that of a metered module.
//
// A change of the compiler shows here as a diff, to be read like code: fewer instructions, or an
// accident. One command blesses it:
//
//   WASMD_BLESS=1 build/dev/bin/tests/golden_test
//
// The code is for a CPU with everything that the compiler uses, whatever this machine has. objdump
// (binutils) disassembles.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/engine/compile/code_harness.h"

namespace wasmd::engine {
namespace {

constexpr baseline::CpuFeatures kEverything = {.avx = true,
                                               .avx2 = true,
                                               .fma = true,
                                               .bmi1 = true,
                                               .bmi2 = true,
                                               .lzcnt = true,
                                               .popcnt = true};

std::filesystem::path Folder() {
  return "tests/golden";
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// "offset: instruction" lines; what stands behind the last trap stub (constants, tables) is left
// out.
std::string Disassemble(const CodeHarness& code, uint32_t func_index, const std::string& scratch) {
  code.Dump(func_index, scratch);
  const std::string command =
      "objdump -D -b binary -m i386:x86-64 -M intel --no-show-raw-insn " + scratch;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) {
    return "no objdump";
  }
  std::string text;
  char buffer[4096];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    std::string line = buffer;
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) {
      continue;
    }
    std::string instruction = line.substr(tab + 1);
    instruction.erase(instruction.find_last_not_of(" \n") + 1);
    const size_t begin = line.find_first_not_of(' ');
    if (instruction == "int3") {
      break;  // Padding before the constants.
    }
    std::string offset = line.substr(begin, tab - begin);
    text += std::string(8 - std::min<size_t>(8, offset.size()), ' ') + offset + "  " + instruction;
    const auto pc = static_cast<uint32_t>(std::stoul(offset, nullptr, 16));
    for (const CodeSite& site : code.compiled(func_index).sites) {
      if (site.pc_offset == pc) {
        text += "  ; site: wasm +" + std::to_string(site.wasm_offset);
        if (static_cast<TrapCode>(site.trap) != TrapCode::kNone) {
          text += ", " + std::string(ToString(static_cast<TrapCode>(site.trap)));
        }
      }
    }
    text += "\n";
  }
  pclose(pipe);
  return text;
}

std::string CompileToText(const std::filesystem::path& wat) {
  const CodeHarness code(ReadFile(wat), kEverything, {.is_metered = wat.stem() == "metered"});
  const std::string scratch = testing::TempDir() + "/wasmd_golden_" + wat.stem().string() + ".bin";
  std::string text;
  for (const Export& exported : code.module().exports) {
    if (exported.kind == ExternKind::kFunc) {
      text +=
          std::string(exported.name) + ":\n" + Disassemble(code, exported.index, scratch) + "\n";
    }
  }
  std::filesystem::remove(scratch);
  return text;
}

class GoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, CodeIsAsRecorded) {
  const std::filesystem::path wat = Folder() / (GetParam() + ".wat");
  const std::filesystem::path golden = Folder() / (GetParam() + ".asm");
  const std::string text = CompileToText(wat);
  if (std::getenv("WASMD_BLESS") != nullptr) {
    std::ofstream(golden, std::ios::binary) << text;
  }
  EXPECT_EQ(text, ReadFile(golden)) << "read the difference; WASMD_BLESS=1 accepts it";
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(Folder(), error)) {
    if (entry.path().extension() == ".wat") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenTest, testing::ValuesIn(Names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace wasmd::engine
