// TypeRegistry: function types to canonical ids, so that generated code compares types by comparing
// numbers; and to call stubs.
//
// Counted: a type nobody uses any more is forgotten, and its id is given out again. Thread-safe.
// Spec: match-functype
#ifndef WASMD_ENGINE_RUNTIME_TYPE_REGISTRY_H_
#define WASMD_ENGINE_RUNTIME_TYPE_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/base/mutex.h"
#include "engine/code/call_stub_code.h"
#include "engine/runtime/registered_type.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

// engine/compile's CompileCallStub; only engine/api knows it.
using CallStubCompiler = absl::Status (*)(const FuncType& type, std::vector<uint8_t>& out);

class TypeRegistry {
 public:
  // `stubs` outlives it.
  TypeRegistry(CallStubCode& stubs, CallStubCompiler compile) : stubs_(stubs), compile_(compile) {}
  TypeRegistry(const TypeRegistry&) = delete;
  TypeRegistry& operator=(const TypeRegistry&) = delete;

  // `type`, with its id, which is never 0; held until Release.
  const RegisteredType& Acquire(const FuncType& type);
  void Release(const RegisteredType& type);
  // Valid as long as the id is held.
  const RegisteredType& TypeOf(uint32_t id) const;
  // RegisteredType::call_stub, made now if it was not. The type is held. kResourceExhausted: memory
  // for code.
  absl::StatusOr<const void*> EnsureCallStub(const RegisteredType& type);

 private:
  struct Entry {
    std::unique_ptr<RegisteredType> type;  // On the heap: its address is given out.
    uint64_t holds = 0;
  };
  struct HashType {
    size_t operator()(const FuncType* type) const;
  };
  struct EqualTypes {
    bool operator()(const FuncType* a, const FuncType* b) const { return *a == *b; }
  };

  CallStubCode& stubs_;
  const CallStubCompiler compile_;
  mutable Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // By id - 1.
  std::vector<uint32_t> free_ids_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<const FuncType*, uint32_t, HashType, EqualTypes> ids_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_TYPE_REGISTRY_H_
