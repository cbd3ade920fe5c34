#include "tests/unit/engine/capi/wat_bytes.h"

#include "engine/capi/wasm.h"
#include "tests/support/wasm_builder.h"
#include "tests/support/wat.h"

void WatBytes(const char* text, wasm_byte_vec_t* out) {
  const wasmd::engine::Bytes bytes = wasmd::engine::Wat(text);
  wasm_byte_vec_new(out, bytes.size(), reinterpret_cast<const char*>(bytes.data()));
}
