// The text format for tests in C.
#ifndef WASMD_TESTS_UNIT_ENGINE_CAPI_WAT_BYTES_H_
#define WASMD_TESTS_UNIT_ENGINE_CAPI_WAT_BYTES_H_

#include "engine/capi/wasm.h"

#ifdef __cplusplus
extern "C"
#endif
    void
    WatBytes(const char* text, wasm_byte_vec_t* out);

#endif  // WASMD_TESTS_UNIT_ENGINE_CAPI_WAT_BYTES_H_
