#include "engine/runtime/outcome.h"

#include <functional>

#include "engine/base/str_cat.h"

namespace wasmd::engine {
namespace {

// A tag may have a thousand.
constexpr size_t kMaxValuesShown = 16;

struct Printer {
  std::string operator()(const Trap& trap) const { return StrCat("trap: ", trap.message); }
  std::string operator()(const Interrupt& interrupt) const {
    return StrCat("interrupted: ", ToString(interrupt.reason));
  }
  std::string operator()(const Exit& exit) const { return StrCat("exit: ", exit.code); }
  std::string operator()(const Exception& exception) const {
    std::string text = "uncaught exception (";
    for (size_t i = 0; i < exception.values.size(); ++i) {
      if (i == kMaxValuesShown) {
        text += ", …";
        break;
      }
      StrAppend(&text, i == 0 ? "" : ", ", ToString(exception.values[i]));
    }
    return text + ")";
  }
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

}  // namespace wasmd::engine
