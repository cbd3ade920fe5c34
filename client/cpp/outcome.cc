#include "client/cpp/outcome.h"

#include <string>
#include <string_view>

#include "absl/strings/str_format.h"

#include "client/cpp/module.h"
#include "client/cpp/text.h"

namespace wasmd::client {

std::string ToString(TrapCode code) {
  switch (code) {
    case TrapCode::kUnspecified:
      return "unspecified";
    case TrapCode::kUnreachable:
      return "unreachable";
    case TrapCode::kMemoryOutOfBounds:
      return "memory-out-of-bounds";
    case TrapCode::kTableOutOfBounds:
      return "table-out-of-bounds";
    case TrapCode::kIndirectCallToNull:
      return "indirect-call-to-null";
    case TrapCode::kBadSignature:
      return "bad-signature";
    case TrapCode::kDivideByZero:
      return "divide-by-zero";
    case TrapCode::kIntegerOverflow:
      return "integer-overflow";
    case TrapCode::kInvalidConversion:
      return "invalid-conversion";
    case TrapCode::kStackOverflow:
      return "stack-overflow";
    case TrapCode::kHostError:
      return "host-error";
    case TrapCode::kCompileError:
      return "compile-error";
    case TrapCode::kNullReference:
      return "null-reference";
    case TrapCode::kException:
      return "exception";
    case TrapCode::kNullExceptionReference:
      return "null-exception-reference";
    case TrapCode::kExceptionLimit:
      return "exception-limit";
    case TrapCode::kOutOfFuel:
      return "out-of-fuel";
  }
  return Cat("trap-", static_cast<int>(code));
}

std::string Trap::Backtrace() const {
  std::string text;
  int index = 0;
  for (const Frame& frame : frames) {
    const std::string name =
        frame.func_name.empty() ? Cat("func[", frame.func_index, "]") : frame.func_name;
    absl::StrAppendFormat(&text, "%3d: %s (%s%sfunc %u, offset 0x%x)\n", index++, name,
                          frame.module_name, frame.module_name.empty() ? "" : ", ",
                          frame.func_index, frame.module_offset);
  }
  if (frames_omitted > 0) {
    text.append(Cat("  ... and ", frames_omitted, " more frames\n"));
  }
  return text;
}

const FuncType* ModuleDetails::FindFunc(std::string_view name) const {
  for (const Export& exported : exports) {
    if (exported.name == name) {
      return std::get_if<FuncType>(&exported.type);
    }
  }
  return nullptr;
}

}  // namespace wasmd::client
