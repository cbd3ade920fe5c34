// How a call on a channel ended, as numbers: what the daemon's 64 bytes say, with nothing looked up
// and nothing allocated. Channel::Explain has the words, the backtrace included.
#ifndef WASMD_CLIENT_CPP_CHANNEL_RESULT_H_
#define WASMD_CLIENT_CPP_CHANNEL_RESULT_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/status.h"

#include "client/cpp/outcome.h"

namespace wasmd::client {

// A small value.
struct CallEnd {
  enum class Kind : uint8_t {
    kReturned,
    kTrapped,
    kExited,  // The guest ended itself.
    kFailed,  // It was not called, or was stopped.
  };
  // Who says why: the daemon, or this side.
  enum class Reason : uint8_t {
    kDaemon,
    kReported,      // `report` is a number of this side (calls through gRPC).
    kClosed,        // The channel is over.
    kOtherChannel,  // The function was bound on another channel.
    kFull,          // As many tickets as there are slots are not waited for.
    kNoTicket,      // Not a ticket of this channel, or one that has been waited for.
    kNoRoom,        // The arena is too small, or tickets that are not waited for use it.
    kCancelled,     // The stop token was triggered before the call was made.
    kLate,          // The time was up before the call was made.
    kWrongRows,     // Not as many results as rows.
  };
  static constexpr uint32_t kNoFunc = ~uint32_t{0};
  static constexpr uint64_t kNoOffset = ~uint64_t{0};

  Kind kind = Kind::kReturned;
  Reason reason = Reason::kDaemon;
  uint16_t code = 0;  // kTrapped: a TrapCode. kFailed: an absl::StatusCode.
  // kTrapped: the innermost function, or kNoFunc. kExited: the exit code.
  uint32_t detail = 0;
  // kTrapped: its offset in the module, or kNoOffset. kFailed with kOutOfRange: the bytes that the
  // output would have needed, or 0.
  uint64_t offset = 0;
  // For Explain; 0: there is no more to be had.
  uint64_t report = 0;

  bool ok() const { return kind == Kind::kReturned; }
  // kUnspecified unless it trapped.
  TrapCode trap_code() const {
    return kind == Kind::kTrapped ? static_cast<TrapCode>(code) : TrapCode::kUnspecified;
  }
  // kOk unless it failed.
  absl::StatusCode status_code() const {
    return kind == Kind::kFailed ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kOk;
  }
};
static_assert(sizeof(CallEnd) == 24);

// What a typed call gives: its value, or how else it ended. R is one of the types that travel, a
// std::tuple of them, or void.
template <typename R>
class [[nodiscard]] TypedResult {
 public:
  TypedResult() : end_(NotMade()) {}
  explicit TypedResult(const R& value) : value_(value) {}
  explicit TypedResult(const CallEnd& end) : end_(end) {}

  bool ok() const { return end_.ok(); }
  explicit operator bool() const { return ok(); }
  // Zero unless ok().
  const R& operator*() const { return value_; }
  const R* operator->() const { return &value_; }
  const CallEnd& end() const { return end_; }

 private:
  static constexpr CallEnd NotMade() {
    return {.kind = CallEnd::Kind::kFailed,
            .reason = CallEnd::Reason::kNoTicket,
            .code = static_cast<uint16_t>(absl::StatusCode::kFailedPrecondition)};
  }
  R value_{};
  CallEnd end_;
};

template <>
class [[nodiscard]] TypedResult<void> {
 public:
  TypedResult() = default;  // It returned.
  explicit TypedResult(const CallEnd& end) : end_(end) {}

  bool ok() const { return end_.ok(); }
  explicit operator bool() const { return ok(); }
  const CallEnd& end() const { return end_; }

 private:
  CallEnd end_;
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_CHANNEL_RESULT_H_
