// Channel: the daemon's end of one client's rings: takes messages, checks them, calls what they
// name, answers.
//
// Nothing that lies in the segment is believed: a message is copied once, checked as a copy and
// used as a copy; offsets and lengths are checked without overflow. What a client that follows
// LAYOUT.md cannot say is a violation: the channel is over, with a logged reason. What is wrong
// with one call alone is told in its completion.
//
// As a RingSource: one thread at a time serves it (worker_pool.h). Bind, FindReport and the
// accessors: thread-safe.
#ifndef WASMD_DAEMON_CHANNEL_CHANNEL_H_
#define WASMD_DAEMON_CHANNEL_CHANNEL_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/channel/segment.h"
#include "daemon/pool/bound_func.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/ring_source.h"
#include "daemon/pool/task_runner.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/layout.h"

namespace wasmd::daemon {

class Channel final : public RingSource, public std::enable_shared_from_this<Channel> {
 public:
  struct Parts {
    uint64_t number = 0;  // Names it to ChannelService.
    std::unique_ptr<Segment> segment;
    engine::UniqueFd doorbell;
    // To wake the client by; empty unless kFeatureSocketWake was granted.
    engine::UniqueFd socket;
    uint32_t max_funcs = 0;
    size_t max_waiting = 0;  // Others that may wait for a shared instance.
  };
  struct Hooks {
    // Posts the next in turn for a shared instance. Outlives the channel.
    TaskRunner* tasks = nullptr;
    // Takes back a channel that waited for its turn.
    std::function<void(RingSource&)> unpark;
    // The client broke the protocol: called once, on any thread; must not block.
    std::function<void(std::string_view reason)> violated;
    // A guest trapped.
    std::function<void()> trapped;
  };

  // How a call ended that did not return.
  using Report = std::variant<engine::Stop, absl::Status>;

  Channel(Parts parts, Hooks hooks);
  ~Channel() override;

  uint64_t number() const { return number_; }
  const Segment& segment() const { return *segment_; }
  // The client has its own by now.
  void CloseSegmentDescriptor() { segment_->CloseDescriptor(); }

  // ---- Functions

  // The instance of `module` that the channel has for InstancePolicy::kChannel; null: none yet, or
  // it was stopped.
  std::shared_ptr<KeptInstance> FindKept(const std::string& module) const;
  // Keeps it, unless somebody was faster: returns the one to use.
  std::shared_ptr<KeptInstance> Keep(const std::string& module, std::shared_ptr<KeptInstance> kept);
  // Its number. kResourceExhausted: --max-channel-functions.
  absl::StatusOr<uint32_t> Bind(std::unique_ptr<BoundFunc> func);

  // kNotFound: there is none of that number, or no longer.
  absl::StatusOr<Report> FindReport(uint64_t report) const;

  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  // Why it was ended by us; empty: it was not.
  std::string violation() const;

  // ---- RingSource

  bool Visit(daemon::Visit& visit, uint32_t budget) override;
  void InterruptCall(uint64_t number, const Interruption& why) override;
  void WakeClient() override;
  void Violate(std::string_view reason) override;

 private:
  // What became of a message.
  enum class Step : uint8_t { kAnswered, kParked, kViolated };

  Step Execute(daemon::Visit& visit, const ring::Submission& message);
  // A call whose input and output lie in the arena.
  Step ExecuteArena(daemon::Visit& visit, const ring::Submission& message, BoundFunc& func);
  // False: others have the turn; the message is kept, and comes back with it.
  bool TakeTurn(const ring::Submission& message, BoundFunc& func);
  void LeaveTurn(BoundFunc& func);
  // Calls it with the arguments that are set. False: it did not return, and `answer` says why.
  bool Run(daemon::Visit& visit, const ring::Submission& message, BoundFunc& func,
           ring::Completion& answer);
  [[gnu::cold]] absl::StatusOr<engine::Outcome<void>> NotServed() const;
  absl::Status CheckBegins(const ring::Submission& message, const BoundFunc& func);
  // Publishes the answer, and then does what could wait.
  void Answer(daemon::Visit& visit, BoundFunc& func, const ring::Completion& answer);
  [[gnu::cold]] void FillStop(const BoundFunc& func, engine::Stop stop, ring::Completion& answer);
  [[gnu::cold]] void FillFailure(const absl::Status& status, ring::Completion& answer);
  [[gnu::cold]] void FillTooSmall(const BoundFunc& func, uint64_t needed, uint64_t capacity,
                                  ring::Completion& answer);
  // Answers a message that was not called.
  [[gnu::cold]] void Fail(const ring::Submission& message, const absl::Status& status);
  void WakeUnlessDeferred();
  bool DefersWake();
  void Wake(ring::WaitState how) const;
  uint64_t AddReport(Report report);
  [[gnu::cold]] Step ViolatedBy(std::string_view reason);

  const uint64_t number_;
  const std::unique_ptr<Segment> segment_;
  const engine::UniqueFd doorbell_fd_;
  const engine::UniqueFd socket_;
  const size_t max_waiting_;
  const Hooks hooks_;

  // The serving thread's.
  std::atomic<InterruptGate*> current_gate_{nullptr};  // Of the call that runs; read under a claim.
  std::atomic<uint64_t> calls_{0};                     // Written by the serving thread alone.
  ring::Submission waiting_;                           // For its turn.
  bool has_waiting_ = false;
  std::atomic<bool> turn_granted_{false};
  bool has_turn_ = false;      // Of a shared instance, for the call that runs.
  bool refused_turn_ = false;  // Too many wait already.
  Interruption interrupted_by_;
  uint64_t defers_wake_since_ns_ = 0;  // 0: it does not.
  std::vector<uint64_t> scratch_;      // Words on their way to and from the arena.

  // Numbers are indices. Entries are set once, so the serving thread reads without a lock.
  std::vector<std::atomic<BoundFunc*>> funcs_;

  mutable engine::Mutex mutex_;
  std::vector<std::unique_ptr<BoundFunc>> owned_funcs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<KeptInstance>> kept_ ABSL_GUARDED_BY(mutex_);
  std::deque<Report> reports_ ABSL_GUARDED_BY(mutex_);
  uint64_t first_report_ ABSL_GUARDED_BY(mutex_) = 1;
  std::string violation_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CHANNEL_CHANNEL_H_
