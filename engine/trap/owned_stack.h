// Stacks of our own, for calls from stacks that we know nothing of: raw clone threads, makecontext,
// coroutines. Where such a stack ends is never guessed.
//
//   low                                         high
//   │ guard │ host reserve │ the guest's frames  │
//
// Each is used by one activation, and those that it nests, and then by the next. Thread-safe.
#ifndef WASMD_ENGINE_TRAP_OWNED_STACK_H_
#define WASMD_ENGINE_TRAP_OWNED_STACK_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/platform/thread.h"

namespace wasmd::engine {

// At once, in the process. Each keeps what a guest has touched of it.
inline constexpr uint32_t kMaxOwnedStacks = 10'000;
// Idle ones that keep their memory for the next call.
inline constexpr uint32_t kKeptOwnedStacks = 64;
// What a guest's frames get at most, whatever StoreOptions::wasm_stack_bytes says.
inline constexpr uint64_t kMaxOwnedStackBytes = 8u << 20;

class OwnedStack;

struct OwnedStackRelease {
  void operator()(OwnedStack* stack) const;
};
using HeldOwnedStack = std::unique_ptr<OwnedStack, OwnedStackRelease>;

// The usable part; `wasm_stack_bytes`, or kMaxOwnedStackBytes, and the host reserve fit in.
StackBounds BoundsOf(const OwnedStack& stack);

// Null: kMaxOwnedStacks are in use, or there is no memory.
HeldOwnedStack AcquireOwnedStack(uint64_t wasm_stack_bytes);

// The bounds of the stack that is in use and has `address`, if one has.
std::optional<StackBounds> OwnedStackAround(uint64_t address);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_OWNED_STACK_H_
