#include "engine/runtime/exception_heap.h"

#include <algorithm>
#include <new>
#include <utility>

#include "engine/base/check.h"
#include "engine/runtime/store_impl.h"

namespace wasmd::engine {

ExceptionHeap::~ExceptionHeap() {
  for (const ExceptionObject* exception : objects_) {
    ::operator delete(const_cast<ExceptionObject*>(exception), std::align_val_t{alignof(Cell)});
  }
}

ExceptionObject* ExceptionHeap::New(const TagInstance& tag, std::span<const Cell> values) {
  DropPending();
  const size_t size = ExceptionObject::SizeFor(static_cast<uint32_t>(values.size()));
  if (live_bytes_ + size > collect_at_bytes_) {
    Collect(values);
  }
  if (!Take(size)) {
    Collect(values);
    if (!Take(size)) {
      return nullptr;
    }
    store_.heap_quota.ForgetRefusal();
    store_.memory_quota.ForgetRefusal();
  }
  void* const memory = ::operator new(size, std::align_val_t{alignof(Cell)}, std::nothrow);
  if (memory == nullptr) {
    Give(size);
    return nullptr;
  }
  auto* const exception = new (memory) ExceptionObject;
  exception->tag = &tag;
  exception->value_count = static_cast<uint32_t>(values.size());
  std::ranges::copy(values, exception->values().begin());
  objects_.insert(exception);
  live_bytes_ += size;
  lowest_ = std::min(lowest_, reinterpret_cast<uint64_t>(exception));
  highest_ = std::max(highest_, reinterpret_cast<uint64_t>(exception));
  return exception;
}

bool ExceptionHeap::Take(uint64_t bytes) {
  if (!store_.heap_quota.Take(bytes)) {
    return false;
  }
  if (!store_.memory_quota.Take(bytes)) {
    store_.heap_quota.Give(bytes);
    return false;
  }
  return true;
}

void ExceptionHeap::Give(uint64_t bytes) {
  store_.heap_quota.Give(bytes);
  store_.memory_quota.Give(bytes);
}

void ExceptionHeap::Free(ExceptionObject* exception) {
  const size_t size = ExceptionObject::SizeFor(exception->value_count);
  objects_.erase(exception);
  live_bytes_ -= size;
  Give(size);
  ::operator delete(exception, std::align_val_t{alignof(Cell)});
}

void ExceptionHeap::DropPending() {
  ExceptionObject* const pending = std::exchange(store_.context.pending_exception, nullptr);
  if (pending != nullptr && !pending->is_referenced) {
    Free(pending);
  }
}

void ExceptionHeap::SetPending(ExceptionObject* exception) {
  if (exception != store_.context.pending_exception) {
    DropPending();
    store_.context.pending_exception = exception;
  }
}

Exception ExceptionHeap::TakePending(Backtrace backtrace) {
  const auto exnref = reinterpret_cast<uint64_t>(store_.context.pending_exception);
  std::optional<Exception> exception = Describe(exnref);
  WASMD_CHECK(exception.has_value(), "an exception that ends an invocation is pending");
  exception->backtrace = std::move(backtrace);
  DropPending();
  return *std::move(exception);
}

std::optional<Exception> ExceptionHeap::Describe(uint64_t exnref) {
  auto* const object = reinterpret_cast<ExceptionObject*>(exnref);
  if (!Has(object)) {
    return std::nullopt;
  }
  const auto& tag = *static_cast<const TagInstance*>(object->tag);
  Exception exception{TagHandle(store_.store, tag), {}, {}};
  for (uint32_t i = 0; i < object->value_count; ++i) {
    exception.values.push_back(ReadCell(object->values()[i], tag.type->params[i]));
    KeepForHost(exception.values.back());
  }
  return exception;
}

void ExceptionHeap::KeepExnRef(uint64_t exnref) {
  auto* const object = reinterpret_cast<ExceptionObject*>(exnref);
  if (!Has(object)) {
    return;
  }
  object->is_referenced = true;
  if (hosts_.size() < kMaxHostExceptions) {
    hosts_.push_back(object);
  } else {
    hosts_[host_count_ % kMaxHostExceptions] = object;
  }
  ++host_count_;
}

// --- Collection.

void ExceptionHeap::Mark(uint64_t word) {
  if (word < lowest_ || word > highest_ || word % alignof(ExceptionObject) != 0) {
    return;
  }
  auto* const object = reinterpret_cast<ExceptionObject*>(word);
  if (Has(object) && !object->is_marked) {
    object->is_marked = true;
    to_visit_.push_back(object);
  }
}

// All of the stack that is in use, since nobody knows where the activations of this store begin.
// The sanitizers' guards between the variables of host functions are read too. False: there are
// frames of wasm on other stacks, or this is another one than the innermost activation's.
__attribute__((no_sanitize("address", "thread"), noinline)) bool ExceptionHeap::MarkStack() {
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0)) & ~uint64_t{7};
  const uint64_t low = store_.context.stack_low.load(std::memory_order_relaxed);
  const uint64_t high = store_.context.stack_high.load(std::memory_order_relaxed);
  if (store_.context.activations_elsewhere != 0 || here < low || here >= high) {
    return false;
  }
  for (uint64_t at = here; at < high; at += sizeof(uint64_t)) {
    const uint64_t word = *reinterpret_cast<const uint64_t*>(at);
    if (word >= lowest_ && word <= highest_) {
      Mark(word);
    }
  }
  return true;
}

void ExceptionHeap::Collect(std::span<const Cell> values) {
  if (!MarkStack()) {
    collect_at_bytes_ = live_bytes_ * 2 + kFirstCollectionBytes;  // Another time.
    return;
  }
  for (const Cell& value : values) {
    Mark(value.lo);
  }
  for (const ExceptionObject* object : hosts_) {
    Mark(reinterpret_cast<uint64_t>(object));
  }
  store_.ForEachExnRef([this](uint64_t word) { Mark(word); });
  while (!to_visit_.empty()) {
    ExceptionObject* const object = to_visit_.back();
    to_visit_.pop_back();
    for (const Cell& value : object->values()) {
      Mark(value.lo);
    }
  }
  std::vector<ExceptionObject*> dead;
  for (const ExceptionObject* object : objects_) {
    auto* const mutable_object = const_cast<ExceptionObject*>(object);
    if (!std::exchange(mutable_object->is_marked, false)) {
      dead.push_back(mutable_object);
    }
  }
  for (ExceptionObject* object : dead) {
    Free(object);
  }
  collect_at_bytes_ = std::max(kFirstCollectionBytes, live_bytes_ * 2);
}

}  // namespace wasmd::engine
