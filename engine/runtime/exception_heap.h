// ExceptionHeap: the exceptions of one store. Private to engine/runtime.
//
// An exception that no clause with an exnref has caught is of no use once it has been caught: the
// next throw takes its memory. One that wasm has an exnref to stays as long as an exnref may be
// anywhere, which is found out by marking: a collection starts when as much has been allocated as
// the last one left, and looks at
//
//   - the stack that is in use, word by word, from here up: frames of wasm hold all their values in
//   memory
//     while they call, so what is not there is in no local and on no operand stack. Words that
//     happen to look like an exnref keep an exception longer, no more;
//   - globals, tables and element segments of exnrefs, and values of exceptions that are kept;
//   - the kMaxHostExceptions exnrefs that were given to the host last, who may hold them anywhere.
//
// A store that is active on two stacks at once (a coroutine inside of a host function calls it
// again) is not looked through, and collects nothing until the inner call is over.
//
// So what a guest throws in a loop is bounded, whatever it does. What is given up: the host cannot
// keep more than those, and an exnref that it holds for longer may be nobody's any more. Whoever
// uses an exnref asks Has first, so that one is an error and never a wild pointer.
//
// Single-thread: the store's.
#ifndef WASMD_ENGINE_RUNTIME_EXCEPTION_HEAP_H_
#define WASMD_ENGINE_RUNTIME_EXCEPTION_HEAP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_set.h"

#include "engine/abi/exception.h"
#include "engine/runtime/outcome.h"
#include "engine/runtime/store.h"
#include "engine/runtime/tag.h"

namespace wasmd::engine {

class ExceptionHeap {
 public:
  explicit ExceptionHeap(Store::Impl& store) : store_(store) {}
  ExceptionHeap(const ExceptionHeap&) = delete;
  ExceptionHeap& operator=(const ExceptionHeap&) = delete;
  ~ExceptionHeap();

  // A new one with these values. Null: StoreOptions::heap_bytes are alive, or the store's memory is
  // spent.
  ExceptionObject* New(const TagInstance& tag, std::span<const Cell> values);
  // Whether it is an exception of this store, which is still alive.
  bool Has(const ExceptionObject* exception) const { return objects_.contains(exception); }
  // The one that is thrown next. The one before, if nobody has an exnref to it, goes.
  void SetPending(ExceptionObject* exception);
  // Takes the pending one, which nobody has caught, as the host sees it.
  Exception TakePending(Backtrace backtrace);
  // Tag and values of an exnref. nullopt: it is null, or its exception has gone.
  std::optional<Exception> Describe(uint64_t exnref);
  // The host has been given a value: if it is an exnref, its exception stays for a while.
  void KeepForHost(const Value& value) {
    if (value.type == ValType::kExnRef) {
      KeepExnRef(value.bits);
    }
  }
  // No exception has ever been made: no value can be an exnref but null.
  bool is_unused() const { return lowest_ == UINT64_MAX; }
  uint64_t live_bytes() const { return live_bytes_; }

 private:
  void KeepExnRef(uint64_t exnref);
  bool Take(uint64_t bytes);
  void Give(uint64_t bytes);
  void Free(ExceptionObject* exception);
  void DropPending();
  void Collect(std::span<const Cell> values);
  void Mark(uint64_t word);
  bool MarkStack();

  Store::Impl& store_;
  absl::flat_hash_set<const ExceptionObject*> objects_;
  std::vector<ExceptionObject*> to_visit_;
  std::vector<ExceptionObject*> hosts_;  // A ring.
  uint64_t host_count_ = 0;
  uint64_t live_bytes_ = 0;
  uint64_t collect_at_bytes_ = kFirstCollectionBytes;
  // Addresses that were ever given out lie between: most words of a stack are told by it.
  uint64_t lowest_ = UINT64_MAX;
  uint64_t highest_ = 0;

  // Walking a stack of a megabyte costs less than making so much.
  static constexpr uint64_t kFirstCollectionBytes = 256 << 10;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_EXCEPTION_HEAP_H_
