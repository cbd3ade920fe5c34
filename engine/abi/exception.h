// What generated code, the raise path and the runtime believe of exceptions: the object that an
// exnref refers to, and the handlers of a function.
//
// An exnref is the address of an ExceptionObject, or 0: null. Objects belong to their store
// (engine/runtime/exception_heap.h).
//
// A throw raises TrapCode::kException with the exception in StoreContext::pending_exception. The
// raise path goes along the frames, from the one that throws outwards; in each function's
// HandlerTable it looks for the try_table whose body the call is in. Where a clause catches, it
// goes on at the clause's landing pad, with rbp the frame's and rax the ExceptionObject; rsp is
// somewhere below and the pad sets it. No register survives a call, so whatever lives on is in the
// frame. Spec: exec-throw_ref
#ifndef WASMD_ENGINE_ABI_EXCEPTION_H_
#define WASMD_ENGINE_ABI_EXCEPTION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/abi/instance_context.h"

namespace wasmd::engine {

// Spec: syntax-exninst
struct alignas(16) ExceptionObject {
  const void* tag = nullptr;  // The tag's address is its identity. See engine/runtime/tag.h.
  uint32_t value_count = 0;
  // Wasm or the host has had an exnref to it. Otherwise it is of no use once it has been caught.
  bool is_referenced = false;
  bool is_marked = false;

  // Behind the object.
  std::span<Cell> values() { return {reinterpret_cast<Cell*>(this + 1), value_count}; }
  static constexpr size_t SizeFor(uint32_t value_count) {
    return sizeof(ExceptionObject) + sizeof(Cell) * size_t{value_count};
  }
};
inline constexpr uint32_t kExceptionValues = sizeof(ExceptionObject);
static_assert(kExceptionValues == 16);

// The try_tables of one function's code.
struct HandlerTable {
  static constexpr uint32_t kNoTry = UINT32_MAX;
  static constexpr uint32_t kAnyTag = 0;

  // Calls that return behind `return_offset`, up to the next boundary, are in the body of
  // `try_index` and of those around it.
  struct Boundary {
    uint32_t return_offset = 0;
    uint32_t try_index = kNoTry;
  };
  struct Clause {
    uint32_t tag_offset = kAnyTag;  // Of the tag's address, in the frame's InstanceContext.
    uint32_t pad_offset = 0;
    bool has_ref = false;
  };
  struct Try {
    uint32_t outer = kNoTry;
    uint32_t first_clause = 0;
    uint32_t clause_count = 0;
  };
  std::vector<Boundary> boundaries;  // Ascending.
  std::vector<Try> tries;
  std::vector<Clause> clauses;

  bool empty() const { return tries.empty(); }
  void Clear() {
    boundaries.clear();
    tries.clear();
    clauses.clear();
  }
  // The innermost one that has the call with that return address, as an offset in the code; kNoTry.
  uint32_t TryOf(uint32_t return_offset) const {
    const auto after =
        std::ranges::lower_bound(boundaries, return_offset, {}, &Boundary::return_offset);
    return after == boundaries.begin() ? kNoTry : (after - 1)->try_index;
  }
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_ABI_EXCEPTION_H_
