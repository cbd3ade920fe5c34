// Host functions: what the embedder offers to guests as imports.
//
// With C++ types: wasm calls them directly, with arguments and results in registers. Their wasm
// type is deduced (engine/runtime/typed_host.h).
//
//   linker.DefineTyped("env", "now", [] { return time(nullptr); });
//   linker.DefineTyped("env", "peek",
//                      [](HostContext& context, uint32_t at) -> HostResultOr<uint32_t> {
//     absl::StatusOr<std::span<std::byte>> bytes = context.MemoryRange(at, 4);
//     if (!bytes.ok()) return HostResult::Trap(TrapCode::kMemoryOutOfBounds);
//     …
//   });
//
// With values, where the type is known at run time only:
//
//   HostResult Print(HostContext& context, std::span<const Value> args, std::span<Value> results) {
//     …
//     results[0] = Value::I32(0u);
//     return HostResult::Ok();
//   }
//   linker.DefineFunc("env", "print", {{ValType::kI32, ValType::kI32}, {ValType::kI32}}, Print);
//
// A host function runs on the guest's thread and stack, with kHostStackReserveBytes below it at
// least. It may call back into wasm, of its own store or another; a trap or exception of
// wasm there is that call's outcome and no more. It may block, in calls that wait on
// HostContext::interrupt_fd() as well: a blocked guest is stopped by waking it up.
//
// What it throws is a trap with kHostError and the exception's what(), once everything in between
// has been destroyed; where nothing is thrown, that costs nothing. That is so where the code that
// defines the function is compiled with exceptions; otherwise it must not throw. It must not be
// left by longjmp, pthread_exit or a thread's cancellation.
#ifndef WASMD_ENGINE_RUNTIME_HOST_FUNC_H_
#define WASMD_ENGINE_RUNTIME_HOST_FUNC_H_

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"

#include "engine/base/check.h"
#include "engine/runtime/value.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

struct Exception;
struct ExceptionObject;
class Instance;
class Store;
class TagHandle;

// How a host function ended.
class [[nodiscard]] HostResult {
 public:
  // `results` are filled in, each with the signature's type: a result of another type is our
  // caller's bug and aborts.
  static HostResult Ok() { return HostResult(TrapCode::kNone, 0, {}); }
  // The guest traps here. `message`, if not empty, replaces the code's text.
  static HostResult Trap(TrapCode code, std::string message = {}) {
    return HostResult(code, 0, std::move(message));
  }
  // The host's failure, told to the invocation's caller as a trap with that message.
  static HostResult Error(std::string message) {
    return HostResult(TrapCode::kHostError, 0, std::move(message));
  }
  // Ends the invocation with an exit code: WASI's proc_exit.
  static HostResult Exit(uint32_t code) { return HostResult(TrapCode::kExit, code, {}); }
  // A blocking function found interrupt_requested(). Results are not looked at. Only for that case:
  // the invocation ends as interrupted.
  static HostResult Interrupted() { return HostResult(TrapCode::kInterrupt, 0, {}); }

  bool ok() const { return code_ == TrapCode::kNone; }
  TrapCode code() const { return code_; }
  uint32_t exit_code() const { return exit_code_; }
  // What HostContext::Throw made, or null.
  ExceptionObject* exception() const { return exception_; }
  const std::string& message() const& { return message_; }
  std::string message() && { return std::move(message_); }

 private:
  friend class HostContext;
  HostResult(TrapCode code, uint32_t exit_code, std::string message)
      : code_(code), exit_code_(exit_code), message_(std::move(message)) {}
  TrapCode code_;
  uint32_t exit_code_;
  std::string message_;
  ExceptionObject* exception_ = nullptr;
};

// What a typed host function returns that has results and may fail.
template <typename T>
class [[nodiscard]] HostResultOr {
 public:
  HostResultOr(T value)  // NOLINT(google-explicit-constructor)
      : result_(HostResult::Ok()), value_(std::move(value)) {}
  // `failure` is not ok.
  HostResultOr(HostResult failure)  // NOLINT(google-explicit-constructor)
      : result_(std::move(failure)) {
    WASMD_CHECK(!result_.ok(), "a host function that succeeds has results");
  }

  bool ok() const { return result_.ok(); }
  const HostResult& result() const& { return result_; }
  HostResult result() && { return std::move(result_); }
  // ok() only.
  const T& operator*() const { return value_; }

 private:
  HostResult result_;
  T value_{};
};

// What a host function sees of its caller. Single-thread: the guest's. Lives as long as the call.
class HostContext {
 public:
  HostContext(Store& store, Instance* instance) : store_(&store), instance_(instance) {}
  HostContext(const HostContext&) = delete;
  HostContext& operator=(const HostContext&) = delete;

  Store& store() const { return *store_; }
  // The instance that imports the function; its memory is the one that pointers in arguments mean.
  // Null where the embedder called a host function that no instance imports.
  Instance* instance() const { return instance_; }

  // Memory 0 of instance(): empty if it has none. The span may grow, and stays valid, while the
  // store lives; after a call back into wasm ask again for its size.
  std::span<std::byte> memory() const;
  // `offset` … `offset + size` of memory(). kOutOfRange: it does not lie inside.
  absl::StatusOr<std::span<std::byte>> MemoryRange(uint64_t offset, uint64_t size) const;

  // What a host function returns to throw a wasm exception: wasm that waits for it may catch it.
  // `tag` is the store's, and `values` are of its parameters' types; otherwise the result is an
  // Error that says so.
  HostResult Throw(const TagHandle& tag, std::span<const Value> values) const;
  // An exception that came out of a call into this store goes on.
  HostResult Throw(const Exception& exception) const;

  // An eventfd that is readable (poll it with POLLIN; don't read it) once the invocation has been
  // interrupted. -1 never.
  int interrupt_fd() const;
  // The guest shall stop: return HostResult::Interrupted() soon. Also tested by the engine when the
  // function returns.
  bool interrupt_requested() const;

 private:
  Store* store_;
  Instance* instance_;
};

namespace host_internal {

#ifdef __cpp_exceptions
inline constexpr bool kHasExceptions = true;
#else
inline constexpr bool kHasExceptions = false;
#endif

// Runs `body`; what it throws ends there, and `thrown` is told what it says. kCatches keeps
// translation units apart that are compiled with exceptions and without.
template <bool kCatches = kHasExceptions, typename Body, typename Thrown>
[[gnu::always_inline]] inline void Catch(const Body& body, [[maybe_unused]] const Thrown& thrown) {
#ifdef __cpp_exceptions
  try {
    body();
  } catch (const std::exception& exception) {
    thrown(exception.what());
  } catch (...) {
    thrown("a host function threw something that is no std::exception");
  }
#else
  body();
#endif
}

}  // namespace host_internal

// A host function with values. `args` match the signature's parameters; `results` have its results'
// types and zero bits at the call. Shared by all stores that import it and called from each one's
// thread: thread-safe in what it captures.
class HostCallback {
 public:
  template <typename Function>
    requires(!std::is_same_v<std::remove_cvref_t<Function>, HostCallback> &&
             std::is_invocable_r_v<HostResult, std::decay_t<Function>&, HostContext&,
                                   std::span<const Value>, std::span<Value>>)
  HostCallback(Function&& function)  // NOLINT(google-explicit-constructor)
      : function_(Guarded<host_internal::kHasExceptions>(std::forward<Function>(function))) {}

  HostResult operator()(HostContext& context, std::span<const Value> args,
                        std::span<Value> results) const {
    return function_(context, args, results);
  }

 private:
  using Function =
      std::function<HostResult(HostContext&, std::span<const Value>, std::span<Value>)>;

  template <bool kCatches, typename Called>
  static Function Guarded(Called&& called) {
    if constexpr (!kCatches) {
      return std::forward<Called>(called);
    } else {
      return
          [called = std::decay_t<Called>(std::forward<Called>(called))](
              HostContext& context, std::span<const Value> args, std::span<Value> results) mutable {
            HostResult result = HostResult::Ok();
            host_internal::Catch([&] { result = std::invoke(called, context, args, results); },
                                 [&](const char* what) { result = HostResult::Error(what); });
            return result;
          };
    }
  }

  Function function_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_HOST_FUNC_H_
