// TypeRegistry: function types to canonical ids, so that generated code compares types by comparing
// numbers.
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

#include "engine/base/mutex.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

class TypeRegistry {
 public:
  TypeRegistry() = default;
  TypeRegistry(const TypeRegistry&) = delete;
  TypeRegistry& operator=(const TypeRegistry&) = delete;

  // The id of `type`, never 0; held until Release.
  uint32_t Acquire(const FuncType& type);
  void Release(uint32_t id);
  // Valid as long as the id is held.
  const FuncType& TypeOf(uint32_t id) const;

 private:
  struct Entry {
    std::unique_ptr<const FuncType> type;  // On the heap: its address is given out.
    uint64_t holds = 0;
  };
  struct HashType {
    size_t operator()(const FuncType* type) const;
  };
  struct EqualTypes {
    bool operator()(const FuncType* a, const FuncType* b) const { return *a == *b; }
  };

  mutable Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // By id - 1.
  std::vector<uint32_t> free_ids_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<const FuncType*, uint32_t, HashType, EqualTypes> ids_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_TYPE_REGISTRY_H_
