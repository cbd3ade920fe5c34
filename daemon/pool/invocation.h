// Invocation: one client's call or run while it waits and runs: its id, what it is about, and the
// way to stop it.
//
//   queued ──Begin──► running ──(guest ends)──► over
//      └──Interrupt: its `on_dropped` is called at once, Begin then returns false
//
// Thread-safe. Shared between its session (to cancel it), its scheduler and the thread that runs
// it.
#ifndef WASMD_DAEMON_POOL_INVOCATION_H_
#define WASMD_DAEMON_POOL_INVOCATION_H_

#include <pthread.h>

#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "daemon/pool/engine_types.h"
#include "engine/base/mutex.h"

namespace wasmd::daemon {

enum class InvocationKind : uint8_t { kCall, kRun, kInstantiate, kAccess };

// "call", "run", "instantiate", "access".
std::string_view ToString(InvocationKind kind);

// How a client is told that what it calls `what` was interrupted: kDeadlineExceeded, kCancelled or
// kUnavailable.
absl::Status InterruptedStatus(engine::InterruptReason reason, std::string_view what);

// What an invocation is about; constant.
struct InvocationInfo {
  uint64_t id = 0;
  InvocationKind kind = InvocationKind::kCall;
  std::string principal;
  std::string client_name;
  std::string module;  // "sha256:…"
  std::string module_name;
  std::string func;
};

// A running invocation as GetStats shows it.
struct ActivityInfo {
  InvocationInfo info;
  absl::Duration elapsed;
  double cpu_seconds = 0;
  uint64_t memory_bytes = 0;
};

class Invocation {
 public:
  explicit Invocation(InvocationInfo info);
  Invocation(const Invocation&) = delete;
  Invocation& operator=(const Invocation&) = delete;

  const InvocationInfo& info() const { return info_; }

  // Called once, before it is queued: what to do if it is interrupted while it waits. Runs on the
  // interrupter's thread.
  void set_on_dropped(std::function<void()> on_dropped);

  // On the thread that will run the guest. False: it was interrupted, and dropped, before.
  bool Begin();
  // On that thread: arms `store`, which lives until End. An interrupt that came since Begin is
  // passed on.
  void Arm(engine::Store& store);
  // On that thread: the guest has ended; interrupts do nothing from here on.
  void End();
  // On that thread, after End, when the answer is out: a thread that is interrupted has real-time
  // priority, where the process may give it, until here.
  void ReturnPriority();

  // From any thread. The first reason stays. `limit`: where a limit is the reason, what the client
  // is told of it: "2s of CPU time (--max-cpu-time)".
  void Interrupt(engine::InterruptReason reason, std::string limit = {});
  // kNone: it was not interrupted.
  engine::InterruptReason reason() const;
  std::string limit() const;
  // That it has used since Begin; zero unless it runs.
  absl::Duration cpu_time() const;

  ActivityInfo activity() const;

 private:
  enum class State : uint8_t { kQueued, kRunning, kOver };

  const InvocationInfo info_;
  const absl::Time created_;  // By SteadyNow.
  mutable engine::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kQueued;
  engine::InterruptReason reason_ ABSL_GUARDED_BY(mutex_) = engine::InterruptReason::kNone;
  std::string limit_ ABSL_GUARDED_BY(mutex_);
  const engine::Store* store_ ABSL_GUARDED_BY(mutex_) =
      nullptr;  // Armed; read for its memory's size alone.
  engine::InterruptHandle handle_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_dropped_ ABSL_GUARDED_BY(mutex_);
  pthread_t thread_ ABSL_GUARDED_BY(mutex_){};  // That runs it.
  bool lent_ ABSL_GUARDED_BY(mutex_) = false;   // Real-time priority, to that thread.
  // Of the running thread: its CPU clock, and what that said at Begin.
  clockid_t cpu_clock_ ABSL_GUARDED_BY(mutex_) = 0;
  double cpu_at_begin_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_INVOCATION_H_
