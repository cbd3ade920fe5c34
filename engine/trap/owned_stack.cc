#include "engine/trap/owned_stack.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "engine/abi/instance_context.h"
#include "engine/base/mutex.h"
#include "engine/platform/virtual_memory.h"
#include "engine/wasm/limits.h"

namespace wasmd::engine {

class OwnedStack {
 public:
  explicit OwnedStack(Reservation memory) : memory_(std::move(memory)) {}
  StackBounds bounds() const {
    const auto base = reinterpret_cast<uint64_t>(memory_.base());
    return {base + OsPageBytes(), base + memory_.size_bytes()};
  }
  uint64_t usable_bytes() const { return memory_.size_bytes() - OsPageBytes(); }

 private:
  Reservation memory_;
};

namespace {

struct Pool {
  Mutex mutex;
  std::map<uint64_t, std::unique_ptr<OwnedStack>> used ABSL_GUARDED_BY(mutex);  // By their highs.
  std::vector<std::unique_ptr<OwnedStack>> idle ABSL_GUARDED_BY(mutex);
};

Pool& ThePool() {
  static Pool& pool = *new Pool;  // Never destroyed.
  return pool;
}

std::unique_ptr<OwnedStack> MakeStack(uint64_t usable_bytes) {
  const uint64_t guard_bytes = OsPageBytes();
  absl::StatusOr<Reservation> memory = Reservation::Create(guard_bytes + usable_bytes);
  if (!memory.ok() || !memory->MakeAccessible(guard_bytes, usable_bytes).ok()) {
    return nullptr;
  }
  return std::make_unique<OwnedStack>(*std::move(memory));
}

}  // namespace

StackBounds BoundsOf(const OwnedStack& stack) {
  return stack.bounds();
}

HeldOwnedStack AcquireOwnedStack(uint64_t wasm_stack_bytes) {
  const uint64_t usable_bytes = RoundUpToOsPage(std::min(wasm_stack_bytes, kMaxOwnedStackBytes) +
                                                kHostStackReserveBytes + kStoreWindowBytes);
  Pool& pool = ThePool();
  const MutexLock lock(pool.mutex);
  if (pool.used.size() >= kMaxOwnedStacks) {
    return nullptr;
  }
  std::unique_ptr<OwnedStack> stack;
  // The last one back is the warmest.
  const auto found = std::find_if(pool.idle.rbegin(), pool.idle.rend(),
                                  [&](const std::unique_ptr<OwnedStack>& idle) {
                                    return idle->usable_bytes() == usable_bytes;
                                  });
  if (found != pool.idle.rend()) {
    stack = std::move(*found);
    pool.idle.erase(std::next(found).base());
  } else if (stack = MakeStack(usable_bytes); stack == nullptr) {
    return nullptr;
  }
  OwnedStack* const raw = stack.get();
  pool.used.emplace(raw->bounds().high, std::move(stack));
  return HeldOwnedStack(raw);
}

void OwnedStackRelease::operator()(OwnedStack* stack) const {
  std::unique_ptr<OwnedStack> dropped;  // Unmapped outside of the lock.
  Pool& pool = ThePool();
  const MutexLock lock(pool.mutex);
  auto node = pool.used.extract(stack->bounds().high);
  pool.idle.push_back(std::move(node.mapped()));
  if (pool.idle.size() > kKeptOwnedStacks) {
    dropped = std::move(pool.idle.front());
    pool.idle.erase(pool.idle.begin());
  }
}

std::optional<StackBounds> OwnedStackAround(uint64_t address) {
  Pool& pool = ThePool();
  const MutexLock lock(pool.mutex);
  const auto found = pool.used.upper_bound(address);
  if (found == pool.used.end() || address < found->second->bounds().low) {
    return std::nullopt;
  }
  return found->second->bounds();
}

}  // namespace wasmd::engine
