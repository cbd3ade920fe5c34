// The call stub: generated code, one for each function type, that calls a function of that type
// with arguments and results in memory. Untyped calls (engine/runtime/func_handle.h) go through it.
//
//   rdi   the callee's context                    rax 1   called: the results are stored, with tags
//   rsi   the callee's code                       rax 0   an argument's tag is not its parameter's
//   rdx   arguments, as many as parameters                type, and nothing was called
//   rcx   room for the results
//   r8    StoreContext*
//
// A stub has a frame as every function, `push rbp; mov rbp, rsp; …; leave; ret`, so a trap's way
// back leads through it. No part of it is a function of wasm, and its own accesses, to memory of
// the host, are no guest's: code_map.h tells stubs from modules' code.
#ifndef WASMD_ENGINE_ABI_CALL_STUB_H_
#define WASMD_ENGINE_ABI_CALL_STUB_H_

#include <cstdint>

namespace wasmd::engine {

// An argument or result: engine/runtime/value.h's Value.
inline constexpr uint32_t kStubValueBytes = 24;
inline constexpr uint32_t kStubValueType = 0;  // The ValType, 4 bytes.
inline constexpr uint32_t kStubValueBits = 8;  // 16 bytes.

inline constexpr uint64_t kStubWrongArguments = 0;
inline constexpr uint64_t kStubCalled = 1;

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_CALL_STUB_H_
