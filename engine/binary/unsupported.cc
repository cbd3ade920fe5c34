#include "engine/binary/unsupported.h"

#include <cstdint>
#include <optional>

#include "engine/wasm/features.h"

namespace wasmd::engine {

std::optional<Feature> UnsupportedTypeFeature(uint8_t code) {
  switch (code) {
    case 0x7b:  // v128
      return Feature::kSimd;
    case 0x64:  // ref
    case 0x63:  // ref null
      return Feature::kFunctionReferences;
    case 0x6e:  // anyref
    case 0x6d:  // eqref
    case 0x6c:  // i31ref
    case 0x6b:  // structref
    case 0x6a:  // arrayref
    case 0x71:  // nullref
    case 0x72:  // nullexternref
    case 0x73:  // nullfuncref
    case 0x74:  // nullexnref
      return Feature::kGc;
    default:
      return std::nullopt;
  }
}

std::optional<Feature> UnsupportedOpcodeFeature(uint8_t byte, uint32_t sub) {
  switch (byte) {
    case 0x06:  // try
    case 0x07:  // catch
    case 0x09:  // rethrow
    case 0x18:  // delegate
    case 0x19:  // catch_all
      return Feature::kLegacyExceptions;
    case 0x14:  // call_ref
    case 0x15:  // return_call_ref
    case 0xd4:  // ref.as_non_null
    case 0xd5:  // br_on_null
    case 0xd6:  // br_on_non_null
      return Feature::kFunctionReferences;
    case 0xd3:  // ref.eq
    case 0xfb:
      return Feature::kGc;
    case 0xfd:
      return sub >= 0x100 ? Feature::kRelaxedSimd : Feature::kSimd;
    case 0xfe:
      return Feature::kThreads;
    default:
      return std::nullopt;
  }
}

}  // namespace wasmd::engine
