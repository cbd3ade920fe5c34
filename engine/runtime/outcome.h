// Outcome<T>: what came of an invocation: a value, or the reason why the guest stopped.
//
//   Outcome<void> outcome = …;
//   if (outcome.ok()) …                                   results are there
//   else if (const Trap* trap = outcome.trap()) …          the guest's fault, or a host function's
//   else if (const Interrupt* i = outcome.interrupt()) …   we stopped it: deadline, cancel
//   else if (const Exception* e = outcome.exception()) …   it threw, and nobody in wasm caught
//   else outcome.exit()->code                              a host function ended it: WASI's
//   proc_exit
//
// Values, movable; hold no reference to the store, but for an Exception's tag. Thread-compatible.
#ifndef WASMD_ENGINE_RUNTIME_OUTCOME_H_
#define WASMD_ENGINE_RUNTIME_OUTCOME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/check.h"
#include "engine/runtime/backtrace.h"  // IWYU pragma: export
#include "engine/runtime/tag.h"
#include "engine/runtime/value.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

struct Trap {
  TrapCode code = TrapCode::kNone;
  std::string message;  // ToString(code), or what a host function or the compiler said.
  Backtrace backtrace;
};

// Who stopped the guest. The numbers are the wire's.
enum class InterruptReason : uint32_t {
  kNone = 0,
  kDeadline = 1,
  kCancel = 2,
  kClientGone = 3,
  kShutdown = 4,
};

constexpr std::string_view ToString(InterruptReason reason) {
  switch (reason) {
    case InterruptReason::kNone:
      return "none";
    case InterruptReason::kDeadline:
      return "deadline";
    case InterruptReason::kCancel:
      return "cancel";
    case InterruptReason::kClientGone:
      return "client gone";
    case InterruptReason::kShutdown:
      return "shutdown";
  }
  return "?";
}

struct Interrupt {
  InterruptReason reason = InterruptReason::kNone;
  // False where it came before the first instruction ran. Otherwise the guest was left at some
  // instruction, and its store takes no more calls: Store::is_abandoned().
  bool store_abandoned = false;
  Backtrace backtrace;
};

struct Exit {
  uint32_t code = 0;
};

// A wasm exception that reached the caller. A host function may let it go on: HostContext::Throw.
struct Exception {
  TagHandle tag;              // Compare it with the tags that are known: by import and export.
  std::vector<Value> values;  // Of the tag's parameters.
  Backtrace backtrace;        // Where it was thrown, or thrown again.
};

// Why a guest stopped.
using Stop = std::variant<Trap, Interrupt, Exit, Exception>;

namespace outcome_internal {

// Not a unique_ptr: that gives its deleter's address away, and with it an outcome's place in memory
// instead of registers.
class StopHolder {
 public:
  StopHolder() = default;
  explicit StopHolder(Stop stop) : stop_(new Stop(std::move(stop))) {}
  // Takes what Release() gave, or null.
  explicit StopHolder(const Stop* stop) : stop_(stop) {}
  StopHolder(StopHolder&& other) noexcept : stop_(other.Release()) {}
  StopHolder& operator=(StopHolder&& other) noexcept {
    if (this != &other) {
      Clear();
      stop_ = other.Release();
    }
    return *this;
  }
  ~StopHolder() { Clear(); }

  // A trap with the code's own message and no backtrace. Allocates nothing.
  static StopHolder PlainTrap(TrapCode code);
  // Null: ok. A StopHolder must take it.
  const Stop* Release() { return std::exchange(stop_, nullptr); }
  bool ok() const { return stop_ == nullptr; }
  // Null unless that is what happened.
  const Trap* trap() const { return Get<Trap>(); }
  const Interrupt* interrupt() const { return Get<Interrupt>(); }
  const Exit* exit() const { return Get<Exit>(); }
  const Exception* exception() const { return Get<Exception>(); }
  // Not ok() only.
  const Stop& stop() const& {
    WASMD_CHECK(stop_ != nullptr);
    return *stop_;
  }
  Stop stop() && {
    WASMD_CHECK(stop_ != nullptr);
    return *stop_;
  }

 private:
  template <typename T>
  const T* Get() const {
    return stop_ == nullptr ? nullptr : std::get_if<T>(stop_);
  }
  void Clear() {
    if (stop_ != nullptr) [[unlikely]] {
      Drop(stop_);
    }
  }
  static void Drop(const Stop* stop);

  const Stop* stop_ = nullptr;  // Null: ok.
};

}  // namespace outcome_internal

template <typename T>
class [[nodiscard]] Outcome : public outcome_internal::StopHolder {
 public:
  Outcome(T value) : value_(std::move(value)) {}       // NOLINT(google-explicit-constructor)
  Outcome(Stop stop) : StopHolder(std::move(stop)) {}  // NOLINT(google-explicit-constructor)
  // Not ok().
  explicit Outcome(StopHolder stop) : StopHolder(std::move(stop)) {}
  // Where `stop` is not ok, `value` is nobody's.
  Outcome(StopHolder stop, T value) : StopHolder(std::move(stop)), value_(std::move(value)) {}
  // ok() only.
  T& value() {
    WASMD_CHECK(ok());
    return Held();
  }
  const T& value() const {
    WASMD_CHECK(ok());
    return const_cast<Outcome*>(this)->Held();
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }

 private:
  T& Held() {
    if constexpr (std::is_default_constructible_v<T>) {
      return value_;
    } else {
      return *value_;
    }
  }

  // Whether there is one is known from ok().
  std::conditional_t<std::is_default_constructible_v<T>, T, std::optional<T>> value_{};
};

template <>
class [[nodiscard]] Outcome<void> : public outcome_internal::StopHolder {
 public:
  Outcome() = default;
  Outcome(Stop stop) : StopHolder(std::move(stop)) {}  // NOLINT(google-explicit-constructor)
  explicit Outcome(StopHolder stop) : StopHolder(std::move(stop)) {}
};

// One line: "trap: integer divide by zero", "interrupted: deadline", "exit: 3",
// "uncaught exception (i32:7)".
std::string ToString(const Stop& stop);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_OUTCOME_H_
