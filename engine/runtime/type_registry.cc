#include "engine/runtime/type_registry.h"

#include <utility>

#include "absl/hash/hash.h"

#include "engine/base/check.h"
#include "engine/base/mutex.h"

namespace wasmd::engine {

size_t TypeRegistry::HashType::operator()(const FuncType* type) const {
  return absl::HashOf(type->params, type->results);
}

uint32_t TypeRegistry::Acquire(const FuncType& type) {
  const MutexLock lock(mutex_);
  if (const auto found = ids_.find(&type); found != ids_.end()) {
    ++entries_[found->second - 1].holds;
    return found->second;
  }
  uint32_t id = 0;
  if (free_ids_.empty()) {
    entries_.emplace_back();
    id = static_cast<uint32_t>(entries_.size());
  } else {
    id = free_ids_.back();
    free_ids_.pop_back();
  }
  Entry& entry = entries_[id - 1];
  entry.type = std::make_unique<const FuncType>(type);
  entry.holds = 1;
  ids_.emplace(entry.type.get(), id);
  return id;
}

void TypeRegistry::Release(uint32_t id) {
  const MutexLock lock(mutex_);
  Entry& entry = entries_[id - 1];
  WASMD_CHECK(entry.holds > 0);
  if (--entry.holds == 0) {
    ids_.erase(entry.type.get());
    entry.type.reset();
    free_ids_.push_back(id);
  }
}

const FuncType& TypeRegistry::TypeOf(uint32_t id) const {
  const MutexLock lock(mutex_);
  WASMD_CHECK(id != 0 && id <= entries_.size() && entries_[id - 1].holds > 0);
  return *entries_[id - 1].type;
}

}  // namespace wasmd::engine
