#include "engine/runtime/outcome.h"

#include <functional>

#include "absl/strings/str_format.h"

#include "engine/base/str_cat.h"

namespace wasmd::engine {
namespace {

struct Printer {
  std::string operator()(const Trap& trap) const { return StrCat("trap: ", trap.message); }
  std::string operator()(const Interrupt& interrupt) const {
    return StrCat("interrupted: ", ToString(interrupt.reason));
  }
  std::string operator()(const Exit& exit) const { return StrCat("exit: ", exit.code); }
};

constexpr uint32_t kTrapCodes = 32;  // TrapMask has a bit for each.

// Made when first used, never destroyed.
const std::vector<Stop>& PlainTraps() {
  static const std::vector<Stop>& traps = []() -> const std::vector<Stop>& {
    auto& made = *new std::vector<Stop>;
    for (uint32_t code = 0; code < kTrapCodes; ++code) {
      const auto trap_code = static_cast<TrapCode>(code);
      made.emplace_back(Trap{trap_code, std::string(ToString(trap_code)), {}});
    }
    return made;
  }();
  return traps;
}

}  // namespace

namespace outcome_internal {

void StopHolder::Drop(const Stop* stop) {
  const std::vector<Stop>& plain = PlainTraps();
  if (std::less<>()(stop, plain.data()) || !std::less<>()(stop, plain.data() + plain.size())) {
    delete stop;
  }
}

StopHolder StopHolder::PlainTrap(TrapCode code) {
  return StopHolder(&PlainTraps()[static_cast<size_t>(code)]);
}

}  // namespace outcome_internal

std::string ToString(const Stop& stop) {
  return std::visit(Printer(), stop);
}

std::string ToString(const Backtrace& backtrace) {
  std::string text;
  for (size_t i = 0; i < backtrace.frames.size(); ++i) {
    const BacktraceFrame& frame = backtrace.frames[i];
    absl::StrAppendFormat(&text, "%3d: %s%s%s (func %d) at 0x%x\n", i, frame.module_name,
                          frame.module_name.empty() ? "" : "!",
                          frame.func_name.empty() ? "?" : frame.func_name, frame.func_index,
                          frame.wasm_offset);
  }
  if (backtrace.omitted_frames != 0) {
    absl::StrAppendFormat(&text, "     … and %d more\n", backtrace.omitted_frames);
  }
  return text;
}

}  // namespace wasmd::engine
