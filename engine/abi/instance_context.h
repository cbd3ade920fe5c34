// What generated code and C++ both believe about memory: InstanceContext, StoreContext, FuncRef,
// tables, memories, and ContextLayout, which says where a module's imports, tables, memories and
// globals stand behind the context's fixed part.
//
//   InstanceContext (fixed)  │ imported funcs {code, ctx} … │ table pointers … │ memory pointers …
//   │ globals (16-byte cells
//                            │                              │                  │ │ or pointers) …
//   ctx + 0                    kFixedBytes total_bytes
//
// All of it is plain memory owned by the runtime (engine/runtime). An instance, and with it its
// whole store, is used by one thread at a time.
#ifndef WASMD_ENGINE_ABI_INSTANCE_CONTEXT_H_
#define WASMD_ENGINE_ABI_INSTANCE_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/wasm/limits.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

struct ExceptionObject;
struct InstanceContext;
class Instance;
struct TrapRecord;

// 16 bytes, so that a v128 fits.
struct alignas(16) Cell {
  uint64_t lo = 0;
  uint64_t hi = 0;
};

// Arguments that find no register, and results: the larger of the two limits. See
// calling_convention.h.
inline constexpr uint32_t kOverflowCells = kMaxFuncParams;

// What StoreContext::window holds.
inline constexpr uint64_t kStoreActive = 0;   // The store has an activation.
inline constexpr uint64_t kStoreUnbound = 1;  // It has none, and a call needs preparation.
inline constexpr uint64_t kStoreWindowBytes = 64 << 10;  // It has none, and is bound.

// One per store: what all its instances share. From a pool (engine/trap/store_context_pool.h),
// since the signal handler may look at one whose store has gone.
struct StoreContext {
  // Frames of wasm code stay above this address: each function that makes calls or has a large
  // frame compares rsp with it.
  uint64_t stack_limit = 0;
  // Set by any thread to stop the guest; read by the signal handler and after host calls. 0, or an
  // InterruptReason. See engine/runtime/interrupt.h.
  std::atomic<uint32_t> interrupt_requested{0};
  // The kernel's id of the thread on which the store has, or had last, an activation: where the
  // interrupt signal goes while the store is active.
  std::atomic<int32_t> running_thread{0};
  // A bound store's call needs no preparation where the caller's frame pointer less window_low is
  // below this: the stack is that of the thread to which the store is bound, so the thread is it
  // too, and stack_limit and running_thread are right. A thread that ends unbinds its stores
  // (engine/trap/thread_record.h), since its stack may become another's.
  std::atomic<uint64_t> window{kStoreUnbound};
  // One more than a multiple of 16, as no frame pointer is: kStoreUnbound lets nobody through.
  uint64_t window_low = 0;
  // Of the stack on which the store's innermost activation runs, or the last one ran.
  std::atomic<uint64_t> stack_low{0};
  std::atomic<uint64_t> stack_high{0};
  // ThreadRecord::serial of the thread to which the store is bound, or was last.
  std::atomic<uint64_t> bound_thread{0};
  Cell overflow[kOverflowCells];
  // Where whoever raises a trap in the store writes it down. See engine/trap/activation.h.
  TrapRecord* trap_record = nullptr;
  // What kException throws; kept until the next one. See engine/abi/exception.h.
  ExceptionObject* pending_exception = nullptr;
  // Activations on other stacks than the innermost one's: what they hold, nobody can look through.
  uint32_t activations_elsewhere = 0;
  uint32_t pool_index = 0;
};

// A callable reference: what a funcref points to, and what tables hold. Null is a null pointer.
struct FuncRef {
  // By the calling convention. A lazily compiled function's entry stub at first, its code later.
  std::atomic<const void*> code{nullptr};
  void* context = nullptr;  // InstanceContext* or HostTarget*: goes to rdi.
  uint32_t type_id = 0;  // Canonical in the process: equal ids, equal types. Spec: match-functype
  uint32_t func_index = 0;  // In its own instance.
};

// Spec: syntax-tableinst. Elements are FuncRef* or opaque externref words; 0 is null.
struct TableContext {
  uint64_t* elements = nullptr;
  uint64_t size = 0;
};

// Spec: syntax-meminst. base never changes; size_bytes only grows.
struct MemoryContext {
  std::byte* base = nullptr;
  uint64_t size_bytes = 0;
};

struct ImportedFunc {
  const void* code = nullptr;
  void* context = nullptr;
};

// The first argument of every generated function. Fixed part; the rest is found through
// ContextLayout.
struct InstanceContext {
  StoreContext* store = nullptr;
  // Memory 0's base, or null. Copied from MemoryContext: constant for the instance's life.
  std::byte* memory_base = nullptr;
  // One code pointer per function of the module's index space (imports' entries are unused): direct
  // calls go through it. Shared by all instances of the module; a slot changes when its function is
  // compiled.
  const std::atomic<const void*>* func_table = nullptr;
  // Canonical type ids by type index of the module.
  const uint32_t* type_ids = nullptr;
  const void* const* builtins = nullptr;
  // `void raise(uint32_t trap_code /*edi*/)`: leaves wasm. Reached by a call whose return address
  // is the trap site; rsp may have any alignment. Does not return.
  const void* raise_trap = nullptr;
  // Where a function that is not compiled yet jumps with its index in eax and its arguments in
  // place.
  const void* lazy_entry = nullptr;
  Instance* instance = nullptr;
};

inline constexpr uint32_t kCtxStore = offsetof(InstanceContext, store);
inline constexpr uint32_t kCtxMemoryBase = offsetof(InstanceContext, memory_base);
inline constexpr uint32_t kCtxFuncTable = offsetof(InstanceContext, func_table);
inline constexpr uint32_t kCtxTypeIds = offsetof(InstanceContext, type_ids);
inline constexpr uint32_t kCtxBuiltins = offsetof(InstanceContext, builtins);
inline constexpr uint32_t kCtxRaiseTrap = offsetof(InstanceContext, raise_trap);
inline constexpr uint32_t kCtxLazyEntry = offsetof(InstanceContext, lazy_entry);
inline constexpr uint32_t kCtxFixedBytes = sizeof(InstanceContext);
inline constexpr uint32_t kStoreStackLimit = offsetof(StoreContext, stack_limit);
inline constexpr uint32_t kStoreOverflow = offsetof(StoreContext, overflow);
inline constexpr uint32_t kFuncRefCode = 0;
inline constexpr uint32_t kFuncRefContext = 8;
inline constexpr uint32_t kFuncRefTypeId = 16;
inline constexpr uint32_t kTableElements = offsetof(TableContext, elements);
inline constexpr uint32_t kTableElementCount = offsetof(TableContext, size);
inline constexpr uint32_t kMemoryBase = offsetof(MemoryContext, base);
inline constexpr uint32_t kMemorySizeBytes = offsetof(MemoryContext, size_bytes);
inline constexpr uint32_t kImportedFuncCode = offsetof(ImportedFunc, code);
inline constexpr uint32_t kImportedFuncContext = offsetof(ImportedFunc, context);
static_assert(sizeof(std::atomic<const void*>) == 8 && sizeof(FuncRef) == 24);
static_assert(kCtxFixedBytes == 64 && kStoreOverflow % 16 == 0);

// A frame makes no stack check if it calls nothing and takes no more than this: it fits the host
// reserve many times over.
inline constexpr uint32_t kUncheckedFrameBytes = 1024;

// Where a module's variable parts stand in its InstanceContext; computed from the module alone, so
// code can be shared and kept.
class ContextLayout {
 public:
  explicit ContextLayout(const Module& module);

  // Offset of an ImportedFunc. `index` < module.imported_funcs.
  uint32_t imported_func(uint32_t index) const { return kCtxFixedBytes + index * 16; }
  // Offset of a TableContext*.
  uint32_t table_pointer(uint32_t index) const { return tables_offset_ + index * 8; }
  // Offset of a MemoryContext*.
  uint32_t memory_pointer(uint32_t index) const { return memories_offset_ + index * 8; }
  // Offset of a tag's address.
  uint32_t tag_address(uint32_t index) const { return tags_offset_ + index * 8; }
  // Offset of a global's Cell, or, if it is imported, of a Cell*.
  uint32_t global(uint32_t index) const { return global_offsets_[index]; }
  bool global_is_pointer(uint32_t index) const { return index < imported_globals_; }
  // Offset of the instance's fuel, an int64_t, which the code of metered modules counts down. See
  // engine/abi/fuel.h. The last of all: code that is not metered does not depend on it.
  uint32_t fuel() const { return fuel_offset_; }
  uint32_t total_bytes() const { return total_bytes_; }

 private:
  uint32_t tables_offset_;
  uint32_t memories_offset_;
  uint32_t tags_offset_;
  uint32_t imported_globals_;
  std::vector<uint32_t> global_offsets_;
  uint32_t fuel_offset_;
  uint32_t total_bytes_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_INSTANCE_CONTEXT_H_
