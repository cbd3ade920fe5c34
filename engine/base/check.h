// WASMD_CHECK and WASMD_DCHECK: our own bugs, found where they happen.
//
// WASMD_CHECK is always on: cheap conditions, at boundaries and before anything irreversible.
// WASMD_DCHECK is on where NDEBUG is not defined: use it densely. Either prints the place and the
// condition to stderr and aborts. Never check what a client, a guest or the kernel can cause: that
// is an absl::Status. A message may be given as a string literal:
//
//   WASMD_CHECK(index < size);
//   WASMD_CHECK(lock.held(), "the caller holds the lock");
//
// Thread-safe. Allocates nothing, so that it may be used in a signal handler.
#ifndef WASMD_ENGINE_BASE_CHECK_H_
#define WASMD_ENGINE_BASE_CHECK_H_

namespace wasmd::engine {

// Prints "<file>:<line>: check failed: <condition>[: <message>]" and aborts. `message` may be null.
[[noreturn, gnu::cold, gnu::noinline]] void CheckFailed(const char* file, int line,
                                                        const char* condition,
                                                        const char* message = nullptr) noexcept;

}  // namespace wasmd::engine

#define WASMD_CHECK(condition, ...)   \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::wasmd::engine::CheckFailed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__))

#ifdef NDEBUG
// The condition must still compile, and is never evaluated.
#define WASMD_DCHECK(condition, ...) static_cast<void>(sizeof(!!(condition)))
#else
#define WASMD_DCHECK(condition, ...) WASMD_CHECK(condition __VA_OPT__(, ) __VA_ARGS__)
#endif

// Where control cannot come: the caller's invariant, not the input's. Aborts in every build.
#define WASMD_UNREACHABLE() ::wasmd::engine::CheckFailed(__FILE__, __LINE__, "unreachable")

#endif  // WASMD_ENGINE_BASE_CHECK_H_
