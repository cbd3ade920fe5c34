#include "engine/runtime/type_registry.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"

#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"

namespace wasmd::engine {

size_t TypeRegistry::HashType::operator()(const FuncType* type) const {
  return absl::HashOf(type->params, type->results);
}

const RegisteredType& TypeRegistry::Acquire(const FuncType& type) {
  const MutexLock lock(mutex_);
  if (const auto found = ids_.find(&type); found != ids_.end()) {
    Entry& entry = entries_[found->second - 1];
    ++entry.holds;
    return *entry.type;
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
  entry.type = std::make_unique<RegisteredType>();
  entry.type->param_count = type.params.size();
  entry.type->result_count = std::ranges::find(type.results, ValType::kExnRef) == type.results.end()
                                 ? type.results.size()
                                 : SIZE_MAX;
  entry.type->id = id;
  entry.type->type = type;
  entry.holds = 1;
  ids_.emplace(&entry.type->type, id);
  return *entry.type;
}

void TypeRegistry::Release(const RegisteredType& type) {
  const uint32_t id = type.id;
  const MutexLock lock(mutex_);
  Entry& entry = entries_[id - 1];
  WASMD_CHECK(entry.holds > 0);
  if (--entry.holds == 0) {
    ids_.erase(&entry.type->type);
    if (const void* stub = entry.type->call_stub.load(std::memory_order_relaxed)) {
      stubs_.Remove(stub);
    }
    entry.type.reset();
    free_ids_.push_back(id);
  }
}

const RegisteredType& TypeRegistry::TypeOf(uint32_t id) const {
  const MutexLock lock(mutex_);
  WASMD_CHECK(id != 0 && id <= entries_.size() && entries_[id - 1].holds > 0);
  return *entries_[id - 1].type;
}

absl::StatusOr<const void*> TypeRegistry::EnsureCallStub(const RegisteredType& type) {
  const MutexLock lock(mutex_);
  RegisteredType& entry = *entries_[type.id - 1].type;
  if (const void* stub = entry.call_stub.load(std::memory_order_relaxed)) {
    return stub;
  }
  std::vector<uint8_t> code;
  WASMD_RETURN_IF_ERROR(compile_(entry.type, code));
  WASMD_ASSIGN_OR_RETURN(const void* stub, stubs_.Add(code));
  // Pairs with the acquire of callers on other threads.
  entry.call_stub.store(stub, std::memory_order_release);
  return stub;
}

}  // namespace wasmd::engine
