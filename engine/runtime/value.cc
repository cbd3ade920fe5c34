#include "engine/runtime/value.h"

#include "absl/strings/str_format.h"

#include "engine/base/str_cat.h"

namespace wasmd::engine {

std::string ToString(const Value& value) {
  switch (value.type) {
    case ValType::kBottom:
      return "bottom";
    case ValType::kI32:
      return StrCat("i32:", static_cast<int32_t>(value.i32()));
    case ValType::kI64:
      return StrCat("i64:", static_cast<int64_t>(value.i64()));
    case ValType::kF32:
      return absl::StrFormat("f32:%g (0x%08x)", static_cast<double>(value.f32()), value.i32());
    case ValType::kF64:
      return absl::StrFormat("f64:%g (0x%016x)", value.f64(), value.bits);
    case ValType::kV128:
      return absl::StrFormat("v128:0x%016x%016x", value.hi, value.bits);
    case ValType::kFuncRef:
    case ValType::kExternRef:
    case ValType::kExnRef:
      return value.bits == 0 ? StrCat(ToString(value.type), ":null")
                             : absl::StrFormat("%s:0x%x", ToString(value.type), value.bits);
  }
  return "?";
}

}  // namespace wasmd::engine
