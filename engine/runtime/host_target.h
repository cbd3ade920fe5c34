// HostTarget: what rdi points to when wasm calls a host function. HostDefinition: a host function
// before any store has it.
//
// The code that wasm calls is one of
//
//   wasmd_host_thunk        asm for every signature: boxes the arguments and calls an untyped
//                           function
//   a typed adapter         C++ whose own signature is the calling convention
//                           (engine/runtime/typed_host.h)
//   wasmd_wide_host_thunk   asm around an adapter whose results C++ cannot return in the
//                           convention's registers: three or four of them
#ifndef WASMD_ENGINE_RUNTIME_HOST_TARGET_H_
#define WASMD_ENGINE_RUNTIME_HOST_TARGET_H_

#include <cstdint>
#include <memory>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/runtime/host_func.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

struct HostTarget {
  // What a thunk calls. Returns a TrapCode, which the thunk raises when every C++ scope is closed.
  const void* dispatch = nullptr;
  StoreContext* store = nullptr;
  // Whatever the code knows how to call. Shared by stores, and so constant.
  const void* callable = nullptr;
  HostContext context;
  // Where wasmd_wide_host_thunk finds what belongs in registers, behind the call.
  uint64_t general_results[kGeneralResultRegs] = {};
  Cell float_results[kFloatResultRegs] = {};
};

struct HostDefinition {
  FuncType type;
  const void* code = nullptr;
  const void* dispatch = nullptr;
  std::shared_ptr<const void> callable;  // Shared with the stores that import it.
};

namespace host_internal {

// In host_binding.cc.
extern "C" {
void wasmd_host_thunk();
void wasmd_wide_host_thunk();
// Raises `code` as if the function that has called a typed adapter had. `frame` is the adapter's
// frame address; of its scopes all are closed.
[[noreturn]] void wasmd_raise_from_host(uint32_t code, const void* frame, StoreContext* store);
}
// Writes down for the store what a call has come to that did not succeed. A TrapCode.
uint32_t NoteFailure(HostTarget& target, HostResult result);
uint32_t NoteException(HostTarget& target, const char* what);

}  // namespace host_internal
}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_HOST_TARGET_H_
