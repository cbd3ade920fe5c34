// HostBinding: a host function as one store and one importing instance see it. Private to
// engine/runtime.
#ifndef WASMD_ENGINE_RUNTIME_HOST_BINDING_H_
#define WASMD_ENGINE_RUNTIME_HOST_BINDING_H_

#include <cstdint>
#include <memory>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/runtime/host_func.h"
#include "engine/runtime/host_target.h"
#include "engine/runtime/runtime_env.h"
#include "engine/runtime/store.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// The argument registers as wasmd_host_thunk saves them, and the result registers as it loads them.
struct HostCallFrame {
  uint64_t general[kGeneralParamRegs];
  uint64_t padding;
  Cell floats[kFloatParamRegs];
};

// Never moves. Lives as long as its store.
class HostBinding : private HostTarget {
 public:
  HostBinding(Store& owner, Instance* instance, const HostDefinition& definition);
  HostBinding(const HostBinding&) = delete;
  HostBinding& operator=(const HostBinding&) = delete;
  ~HostBinding();

  // An untyped host function.
  static HostDefinition Define(FuncType type, HostCallback callback);

  FuncRef& ref() { return ref_; }
  const RegisteredType& type() const { return type_; }

 private:
  static uint32_t Dispatch(HostTarget* target, HostCallFrame* frame) noexcept;

  const RegisteredType& type_;
  const std::shared_ptr<const void> callable_;  // Shared with the linker it came from.
  FuncRef ref_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_HOST_BINDING_H_
