// fuzz_runner: answers a peer that compares engines, over standard input and output.
//
// First writes one message: a line "feature NAME" for each proposal that the engine supports, and a
// line "op PREFIX CODE TEXT IMMEDIATE SIGNATURE" for each instruction of those (opcodes.def;
// numbers in hex, "-" for no signature). Then each message that comes, a byte 'v' or 'r' and a
// module, is answered with one: for 'v' (verdict) the digits of Verdict::kind and reached_body and
// the error's text, for 'r' (run) FuzzEngines::OutcomeOf. A message is its length, 32 bits
// little-endian, and its bytes. Ends with its input. A crash of the engine is this process's, so
// the peer knows the module.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/wasm/features.h"
#include "engine/wasm/opcodes.h"
#include "tests/fuzz/fuzz_outcome.h"

namespace {

using wasmd::engine::Feature;
using wasmd::engine::Opcode;
using wasmd::engine::OpcodeInfo;

void Send(std::string_view text) {
  const auto size = static_cast<uint32_t>(text.size());
  std::fwrite(&size, sizeof size, 1, stdout);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// A line of the first message, or nothing for what is switched off.
std::string FeatureLine(Feature feature) {
  return IsSupported(feature) ? "feature " + std::string(ToString(feature)) + "\n" : "";
}
std::string OpcodeLine(const char* immediate, const OpcodeInfo& op) {
  if (!IsSupported(op.feature)) {
    return "";
  }
  char numbers[32];
  std::snprintf(numbers, sizeof numbers, "op %x %x ", static_cast<uint32_t>(op.op) >> 16,
                static_cast<uint32_t>(op.op) & 0xffff);
  return numbers + std::string(op.text) + " " + immediate + " " +
         std::string(op.sig.empty() ? "-" : op.sig) + "\n";
}

std::string Introduction() {
  std::string text;
#define FEATURE(name, proposal, supported) text += FeatureLine(Feature::k##name);
  WASMD_FEATURES(FEATURE)
#undef FEATURE
#define OP(name, prefix, code, text_format, imm, sig, feature, traps) \
  text += OpcodeLine(#imm, *FindOpcode(Opcode::k##name));
#include "engine/wasm/opcodes.def"
#undef OP
  return text;
}

}  // namespace

int main() {
  const wasmd::tests::FuzzEngines engines;
  Send(Introduction());
  std::fflush(stdout);
  std::vector<char> message;
  uint32_t size = 0;
  while (std::fread(&size, sizeof size, 1, stdin) == 1 && size > 0) {
    message.resize(size);
    if (std::fread(message.data(), 1, size, stdin) != size) {
      return 1;
    }
    const std::span module = std::as_bytes(std::span(message)).subspan(1);
    if (message[0] == 'v') {
      const wasmd::tests::Verdict verdict = wasmd::tests::VerdictOn(module);
      Send(std::to_string(static_cast<int>(verdict.kind)) + (verdict.reached_body ? "1" : "0") +
           verdict.message);
    } else {
      Send(engines.OutcomeOf(module));
    }
    std::fflush(stdout);
  }
  return 0;
}
