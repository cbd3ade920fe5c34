// HostBinding: a host function as one store and one importing instance see it. Private to
// engine/runtime.
//
// It is what rdi holds when wasm calls a host function, through wasmd_host_thunk: asm that serves
// every signature.
#ifndef WASMD_ENGINE_RUNTIME_HOST_BINDING_H_
#define WASMD_ENGINE_RUNTIME_HOST_BINDING_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/runtime/host_func.h"
#include "engine/runtime/runtime_env.h"
#include "engine/runtime/store.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// The argument registers as the thunk saves them, and the result registers as it loads them.
struct HostCallFrame {
  uint64_t general[kGeneralParamRegs];
  uint64_t padding;
  Cell floats[kFloatParamRegs];
};

// What rdi points to. Dispatch returns a TrapCode, which the thunk raises when every C++ scope is
// closed.
struct HostThunkTarget {
  uint32_t (*dispatch)(HostThunkTarget* target, HostCallFrame* frame) noexcept;
};

// Never moves. Lives as long as its store.
class HostBinding : private HostThunkTarget {
 public:
  HostBinding(Store& store, Instance* instance, const FuncType& type,
              std::shared_ptr<const HostCallback> callback);
  HostBinding(const HostBinding&) = delete;
  HostBinding& operator=(const HostBinding&) = delete;
  ~HostBinding();

  FuncRef& ref() { return ref_; }
  const RegisteredType& type() const { return type_; }

 private:
  static uint32_t Dispatch(HostThunkTarget* target, HostCallFrame* frame) noexcept;

  Store& store_;
  Instance* const instance_;
  const RegisteredType& type_;
  const std::shared_ptr<const HostCallback> callback_;  // Shared with the linker it came from.
  FuncRef ref_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_HOST_BINDING_H_
