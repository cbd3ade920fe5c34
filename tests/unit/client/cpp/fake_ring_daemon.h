// The daemon's side of a channel for the client's tests: a thread that speaks the attach
// conversation on a unix socket and serves rings, with no wasm behind them, and that can misbehave
// at every step. And the RPCs beside it, as a ChannelBackend.
#ifndef WASMD_TESTS_UNIT_CLIENT_CPP_FAKE_RING_DAEMON_H_
#define WASMD_TESTS_UNIT_CLIENT_CPP_FAKE_RING_DAEMON_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

#include "client/cpp/channel_backend.h"
#include "client/cpp/posix.h"
#include "client/cpp/ring_connection.h"
#include "proto/ring/attach.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"

namespace wasmd::client {

// What goes wrong while a client attaches.
enum class AttachFault : uint8_t {
  kNone,
  kRefuse,  // With "no channels left".
  kSilent,
  kHangUp,
  kHangUpInFrame,
  kHangUpInPayload,
  kGarbage,
  kWrongVersion,
  kTooLongPayload,
  kShortReply,
  kWrongType,
  kNoDescriptors,
  kOneDescriptor,
  kThreeDescriptors,
  kManyDescriptors,
  kSwappedDescriptors,
  kUnsealed,
  kHalfSealed,  // Growing alone.
  kShortSegment,
  kLongSegment,
  kWrongSegmentBytes,
  kThreeSlots,
  kMoreSlots,
  kHugeArena,
  kUnevenArena,
  kUnknownFeatures,
  kWrongLayout,
  kPipeForBell,
};

// Serves these functions, by number:
enum FakeFunc : uint32_t {
  kAdd = 1,     // (i32, i32) -> i32
  kEcho,        // Gives its words back, whatever they are; of the wide form too.
  kNothing,     // () -> ()
  kSpread,      // Fills its wide results with its only word.
  kTrap,        // Divides by zero, report 1.
  kTrapBare,    // The same without a report.
  kExit,        // Code 7.
  kFail,        // kNotFound, report 2.
  kHang,        // Until its deadline, or a cancel.
  kStubborn,    // Whatever happens.
  kWhenAsleep,  // Answers when the client has gone to sleep.
  kReverse,     // Bytes.
  kDie,         // Hangs up.
  kSayWhy,      // An error frame, and hangs up.
  kSayNonsense,
  kWake,  // A wake byte that nobody asked for, and answers as kNothing.
  kWrongTag,
  kUnknownKind,
  kWrongWords,
  kWrongBytes,  // Of output.
  kAnswerTwice,
  kUnknownCode,
  kDropTheRest,  // Answers, and hangs up.
};

class FakeRingDaemon {
 public:
  struct Options {
    AttachFault fault = AttachFault::kNone;
    uint32_t slots = 8;  // Unless the client asks.
    uint64_t arena_bytes = 4096;
    uint64_t features = ring::kFeatureBytes;
    int64_t clock_ahead_ns = 0;
    bool never_sleeps = false;
  };

  explicit FakeRingDaemon(const Options& options);
  ~FakeRingDaemon();

  static std::string Token();
  Fd Connect() const;
  // The deadline of the last submission, as it was sent.
  uint64_t last_deadline_ns() const { return last_deadline_ns_; }
  uint32_t attached() const { return attached_; }
  // Channels whose client hung up.
  uint32_t ended() const { return ended_; }
  // Waits until `condition` holds; false after a generous time.
  template <typename Condition>
  static bool WaitUntil(const Condition& condition) {
    for (int i = 0; i < 30'000; ++i) {
      if (condition()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

 private:
  struct Link;  // A connection with its segment.

  void Accept();
  void Serve(Fd socket);
  bool Attach(Link& link);
  bool SendReply(Link& link, ring::AttachReply reply);
  void Run(Link& link);
  void Answer(Link& link, const ring::Submission& message);
  void Complete(Link& link, const ring::Submission& message, ring::Completion completion);
  // True: the client is gone, or this daemon is going.
  bool IsOver(const Link& link) const;

  Options options_;
  std::string folder_;
  Fd listener_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> last_deadline_ns_{0};
  std::atomic<uint32_t> attached_{0};
  std::atomic<uint32_t> ended_{0};
  std::thread acceptor_;
  std::vector<std::thread> servers_;
};

// Knows the functions above by their names ("add"), in the module "sha256:1" and the instance 1.
class FakeBackend : public ChannelBackend {
 public:
  struct Seen {
    std::atomic<int> binds{0};
    std::atomic<int> reports{0};
    std::atomic<int> calls{0};
    std::atomic<int> instantiated{0};
    std::atomic<int> dropped{0};
  };

  // Null: no ring.
  FakeBackend(const FakeRingDaemon* daemon, Seen* seen) : daemon_(daemon), seen_(seen) {}

  absl::StatusOr<std::unique_ptr<RingConnection>> Attach(const RingOptions& options) override;
  absl::StatusOr<Binding> Bind(uint64_t channel, const CallTarget& target, InstancePolicy policy,
                               std::string_view func, bool bytes, const Control& control) override;
  absl::StatusOr<Report> GetReport(uint64_t channel, uint64_t report,
                                   const Control& control) override;
  absl::StatusOr<FuncType> FindFunc(const CallTarget& target, std::string_view func,
                                    const Control& control) override;
  absl::StatusOr<uint64_t> Instantiate(std::string_view module, const Control& control) override;
  void Drop(uint64_t instance) override;
  absl::StatusOr<CallResult> Call(const CallTarget& target, std::string_view func,
                                  std::span<const Value> args, const Control& control) override;
  absl::StatusOr<BytesResult> CallBytes(const CallTarget& target, std::string_view func,
                                        std::string_view input, const Control& control) override;

 private:
  const FakeRingDaemon* daemon_;
  Seen* seen_;
};

}  // namespace wasmd::client

#endif  // WASMD_TESTS_UNIT_CLIENT_CPP_FAKE_RING_DAEMON_H_
