// Store's inside, for engine/runtime alone.
#ifndef WASMD_ENGINE_RUNTIME_STORE_IMPL_H_
#define WASMD_ENGINE_RUNTIME_STORE_IMPL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/abi/instance_context.h"
#include "engine/runtime/exception_heap.h"
#include "engine/runtime/host_binding.h"
#include "engine/runtime/instance.h"
#include "engine/runtime/interrupt_state.h"
#include "engine/runtime/linear_memory.h"
#include "engine/runtime/quota.h"
#include "engine/runtime/runtime_env.h"
#include "engine/runtime/store.h"
#include "engine/runtime/table_instance.h"
#include "engine/trap/activation.h"
#include "engine/trap/store_context_pool.h"

namespace wasmd::engine {

class Store::Impl {
 public:
  Impl(Store& store_in, std::shared_ptr<RuntimeEnv> env_in, const StoreOptions& options_in);
  ~Impl();

  // A global of the embedder's own.
  struct OwnedGlobal {
    GlobalInstance global;
    Cell cell;
  };

  // A tag of the embedder's own.
  struct OwnedTag {
    FuncType type;
    TagInstance tag;
  };

  // visit(word) for each exnref in globals, tables and element segments; null ones too.
  void ForEachExnRef(const std::function<void(uint64_t)>& visit) const;
  bool OwnsMemoryAt(uint64_t address) const;

  Store& store;
  const std::shared_ptr<RuntimeEnv> env;
  const StoreOptions options;
  TrapRecord trap_record;
  const PooledStoreContext pooled_context;
  StoreContext& context;
  StoreCharge charge;
  Quota memory_quota;
  Quota table_quota;
  Quota heap_quota;      // Of what memory_quota is taken for, too.
  Quota instance_quota;  // Bytes of instances' own state; has no limit but the charge's.
  const std::shared_ptr<InterruptState> interrupt;
  bool abandoned = false;
  // What the trap that is under way says: set by the host function or the lazy entry that raises,
  // taken by FuncHandle::Call.
  std::string stop_message;
  uint32_t exit_code = 0;
  ExceptionHeap exceptions{*this};

  std::vector<std::unique_ptr<LinearMemory>> memories;
  std::vector<std::unique_ptr<TableInstance>> tables;
  std::vector<std::unique_ptr<OwnedGlobal>> globals;
  std::vector<std::unique_ptr<OwnedTag>> tags;
  std::vector<std::unique_ptr<HostBinding>> bindings;
  std::vector<std::unique_ptr<Instance>> instances;
};

// A value in a cell and back.
void WriteCell(Cell& cell, const Value& value);
Value ReadCell(const Cell& cell, ValType type);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_STORE_IMPL_H_
