// Store: owns instances, their memories, tables and globals, and isolates them from other stores'
// guests.
//
//   Store store(engine.runtime(), StoreOptions{.memory_bytes = 64 << 20});
//   Linker linker; … linker.Instantiate(store, module) …
//
// Thread-compatible: used by one thread at a time, may move between threads between any two calls
// without notice. Destroyed when nothing of it runs. What it made lives as long as it: instances
// are not dropped one by one, since others may hold their functions. Spec: syntax-store
#ifndef WASMD_ENGINE_RUNTIME_STORE_H_
#define WASMD_ENGINE_RUNTIME_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/abi/fuel.h"
#include "engine/abi/instance_context.h"
#include "engine/base/accountant.h"
#include "engine/runtime/host_func.h"
#include "engine/runtime/host_target.h"
#include "engine/runtime/instance.h"
#include "engine/runtime/interrupt.h"
#include "engine/runtime/typed_host.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

class RuntimeEnv;

// What a store's guests may use, together. At a limit memory.grow and table.grow answer -1, a throw
// traps (kExceptionLimit), and instantiation fails with kResourceExhausted, naming it.
struct StoreOptions {
  uint64_t memory_bytes = uint64_t{4} << 30;    // All linear memories' accessible bytes, and heap.
  uint64_t table_elements = kMaxTableElements;  // All tables' elements.
  uint64_t heap_bytes = kMaxExceptionBytes;     // Of objects that are collected: exceptions.
  uint64_t wasm_stack_bytes = kDefaultWasmStackBytes;  // Below the entry, and up to 64 KiB more; at
                                                       // most what the thread's stack has.
  uint32_t backtrace_frames =
      kMaxBacktraceFrames;  // 0: traps carry no backtrace. At most kMaxBacktraceFrames.
  uint32_t instances = 10'000;
  // What each instance of a metered module begins with; its start function is paid from it. At most
  // kUnlimitedFuel.
  uint64_t fuel = kUnlimitedFuel;
  // What errors call the first three. Of static storage.
  std::string_view memory_limit_name = "StoreOptions::memory_bytes";
  std::string_view table_limit_name = "StoreOptions::table_elements";
  std::string_view heap_limit_name = "StoreOptions::heap_bytes";
  // Is charged for all that the store's guests make the host keep, in bytes: memories, tables, heap
  // and what belongs to instances. Null: nobody. Shared: by whatever it bounds together.
  std::shared_ptr<Accountant> accountant = nullptr;
};

class Store {
 public:
  // `env` is an Engine's: Engine::runtime().
  explicit Store(std::shared_ptr<RuntimeEnv> env, const StoreOptions& options = {});
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  const StoreOptions& options() const;

  // Begins an invocation's time: forgets an interrupt that came before, takes earlier handles out
  // of reach, and returns the handle for what is called next. Never calling it is fine: nothing
  // interrupts the store then.
  InterruptHandle ArmInterrupt();
  // An interrupt left a guest at some instruction, and the store's state means nothing any more:
  // calls are refused with kFailedPrecondition. Memories and globals can still be read.
  bool is_abandoned() const;

  // Objects of the embedder's own, to import or to put into tables.
  absl::StatusOr<MemoryHandle> CreateMemory(const MemoryType& type);
  absl::StatusOr<TableHandle> CreateTable(const TableType& type, const Value& init);
  // kInvalidArgument: `init` has another type.
  absl::StatusOr<GlobalHandle> CreateGlobal(const GlobalType& type, const Value& init);
  // kInvalidArgument: `type` has results.
  absl::StatusOr<TagHandle> CreateTag(const FuncType& type);
  // A host function as a reference. HostContext::instance() is null in it.
  FuncHandle CreateFunc(FuncType type, HostCallback callback);
  // The same of a callable with C++ types: see Linker::DefineTyped.
  template <typename Callable>
    requires(!std::is_function_v<Callable>)
  FuncHandle CreateTypedFunc(Callable callable) {
    return CreateHostFunc(DefineTypedHost(std::move(callable)));
  }
  template <typename Signature, typename Callable>
    requires std::is_function_v<Signature>
  FuncHandle CreateTypedFunc(Callable callable) {
    return CreateHostFunc(DefineTypedHost<Signature>(std::move(callable)));
  }
  // A non-null funcref of this store as a handle.
  // kInvalidArgument: null, or no funcref. A word that is no FuncRef of this store is undefined
  // behaviour.
  absl::StatusOr<FuncHandle> FuncOf(const Value& ref);

  // The exception that an exnref of this store refers to; its backtrace is empty.
  // kInvalidArgument: null, or no exnref. kNotFound: it has gone (see Value).
  absl::StatusOr<Exception> ExceptionOf(const Value& ref);

  // Bytes of all memories now, and of exceptions that are alive.
  uint64_t memory_bytes() const;

  // The limit that growth (of a memory, a table or the heap) was refused for since the last
  // ArmInterrupt, if any was: the guest has seen -1 or a trap, and perhaps said nothing useful.
  std::optional<NamedLimit> refused_by() const;

  // For host functions that block. See HostContext.
  int interrupt_fd() const;
  bool interrupt_requested() const;

  class Impl;
  Impl& impl() { return *impl_; }
  const Impl& impl() const { return *impl_; }

 private:
  FuncHandle CreateHostFunc(const HostDefinition& definition);

  std::unique_ptr<Impl> impl_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_STORE_H_
