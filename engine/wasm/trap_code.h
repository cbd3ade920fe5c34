// TrapCode: why a guest was stopped. The numbers are part of generated code and of the wire; see
// trap_code.def.
#ifndef WASMD_ENGINE_WASM_TRAP_CODE_H_
#define WASMD_ENGINE_WASM_TRAP_CODE_H_

#include <cstdint>
#include <string_view>

namespace wasmd::engine {

enum class TrapCode : uint8_t {
#define TRAP(name, number, text) k##name = number,
#include "engine/wasm/trap_code.def"
#undef TRAP
};

// A set of trap codes, for the opcode table's "may trap with" column.
using TrapMask = uint32_t;
#define TRAP(name, number, text) inline constexpr TrapMask kMask##name = TrapMask{1} << number;
#include "engine/wasm/trap_code.def"
#undef TRAP

// The reference interpreter's wording, such as "integer divide by zero".
constexpr std::string_view ToString(TrapCode code) {
  switch (code) {
#define TRAP(name, number, text) \
  case TrapCode::k##name:        \
    return text;
#include "engine/wasm/trap_code.def"
#undef TRAP
  }
  return "unknown trap";
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASM_TRAP_CODE_H_
