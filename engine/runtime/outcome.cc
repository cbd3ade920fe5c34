#include "engine/runtime/outcome.h"

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

}  // namespace

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
