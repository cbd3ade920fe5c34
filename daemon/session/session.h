// Session: one client's handles (instances, descriptors, references), its running invocations and
// its quotas.
//
// Thread-safe. Held by shared_ptr: the manager's table, the handshake's connection and invocations
// that run share it, and after Close it holds nothing any more but them.
#ifndef WASMD_DAEMON_SESSION_SESSION_H_
#define WASMD_DAEMON_SESSION_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/account/account.h"
#include "daemon/config/options.h"
#include "daemon/observe/counters.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/scheduler/scheduler.h"
#include "daemon/session/scratch_maker.h"
#include "daemon/store/module_store.h"

namespace wasmd::daemon {

// What a request allows its guest, where that is less than the daemon's options do. 0: that.
struct RequestedLimits {
  uint64_t memory_bytes = 0;
  uint64_t table_elements = 0;
  uint64_t heap_bytes = 0;
  uint64_t stack_bytes = 0;
  uint32_t open_files = 0;
  uint64_t output_buffer_bytes = 0;  // See Session::OutputBufferBytes.
  absl::Duration cpu_time;

  // Something of an instance, which an instance that is there already cannot be given.
  bool limits_instance() const {
    return memory_bytes != 0 || table_elements != 0 || heap_bytes != 0 || stack_bytes != 0 ||
           open_files != 0;
  }
};

// What sessions work with; outlives them all.
struct SessionServices {
  const Options& options;
  const engine::Engine& engine;
  ModuleStore& store;
  Scheduler& scheduler;
  Counters& counters;
  // Directories by the names that the configuration gives them, opened at the start.
  std::map<std::string, engine::UniqueFd, std::less<>> roots;
  Accounts& accounts;
  ScratchMaker* scratch = nullptr;  // Null: --max-scratch is 0.
};

// How a call or run ended, for whoever asked.
//   status not ok: it did not run, or was stopped: kDeadlineExceeded, kCancelled, kUnavailable,
//   each naming the invocation.
template <typename T>
using Done = std::function<void(absl::StatusOr<T>)>;

// What all calls name, of whatever kind.
struct CallTarget {
  std::string module;     // A digest; or empty, and
  uint64_t instance = 0;  // the instance to call.
  uint64_t invocation_id = 0;
  absl::Time deadline = absl::InfiniteFuture();
  std::optional<uint64_t> fuel = std::nullopt;  // Of a module alone.
  RequestedLimits limits;
};

struct CallRequestSpec : CallTarget {
  CallSpec call;
};

struct BytesCallRequestSpec : CallTarget {
  BytesCallSpec call;  // The input stays until `done` is called.
};

struct RunRequestSpec {
  struct Preopen {
    std::string guest_path;
    // An empty directory that goes with the run. 0 bytes: as large as the daemon allows.
    struct Scratch {
      uint64_t size_bytes = 0;
    };
    // A descriptor's handle, or a root's name.
    std::variant<uint64_t, std::string, Scratch> source;
    bool read_only = false;
  };
  // A descriptor's handle, a stream, or nothing.
  using Input = std::variant<std::monostate, uint64_t, std::shared_ptr<engine::WasiInputStream>>;
  using Output = std::variant<std::monostate, uint64_t, std::shared_ptr<engine::WasiOutputStream>>;

  std::string module;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::vector<Preopen> preopens;
  std::vector<uint64_t> sockets;  // Descriptors' handles.
  Input stdin_source;
  Output stdout_target;
  Output stderr_target;
  uint64_t invocation_id = 0;
  std::optional<uint64_t> fuel = std::nullopt;
  RequestedLimits limits;
  uint64_t buffer_bytes = 0;  // Of streams: what their buffers may take.
  absl::Time deadline = absl::InfiniteFuture();
};

struct CreateInstanceSpec {
  std::string module;
  std::vector<std::pair<std::string, uint64_t>> imports;  // Module name, instance.
  bool wasi = false;
  absl::Time deadline = absl::InfiniteFuture();
  RequestedLimits limits;
};

struct CreateInstanceResult {
  uint64_t instance = 0;  // 0: a start function did not return; `result` says why.
  GuestResult result;
};

struct InstanceRecord {
  uint64_t instance = 0;
  std::string module;
  uint64_t memory_bytes = 0;
  uint64_t invocations = 0;
};

// An instance that functions of a channel are bound to.
struct BoundInstance {
  std::shared_ptr<const void> place;     // Keeps the module, and the instance's place in the quota.
  std::shared_ptr<InstanceGroup> group;  // Shared with the session where it is the session's.
  engine::Instance* instance =
      nullptr;  // Null: a start function did not return; `result` says why.
  GuestResult result;
};

// Something to be done on an instance by who has its turn.
struct AccessSpec {
  uint64_t instance = 0;
  std::string what;  // For `Invocation`: "read memory".
  absl::Time deadline = absl::InfiniteFuture();
  std::function<absl::Status(engine::Instance& instance)> access;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  struct Identity {
    uint64_t number = 0;  // For logs.
    std::string token;
    std::string principal;        // Whose modules it sees: "uid:1000".
    bool has_connection = false;  // Opened by handshake: ends with that connection.
  };

  // `account`: a session's, of nobody else. `place`: in the user's quota of sessions.
  Session(SessionServices& services, Identity identity, std::shared_ptr<Account> account,
          Charge place);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  const Identity& identity() const { return identity_; }
  const std::shared_ptr<Account>& account() const { return account_; }
  void Introduce(std::string client_name, std::string client_version);
  std::string client_name() const;

  // ---- Descriptors

  // Handles in the order of the descriptors. kResourceExhausted: there would be too many, of the
  // session or of open files.
  absl::StatusOr<std::vector<uint64_t>> AddDescriptors(std::vector<engine::UniqueFd> descriptors);
  // kNotFound: none, or taken before.
  absl::StatusOr<engine::UniqueFd> TakeDescriptor(uint64_t handle);

  // ---- Invocations. Each returns the invocation that was started, to be interrupted by who asked;
  // `done` is called once, on any thread. If it could not be started, `done` has been called with
  // the reason, and null is returned.

  using Started = std::shared_ptr<Invocation>;
  Started Call(CallRequestSpec spec, Done<CallGuestResult> done);
  Started CallBytes(BytesCallRequestSpec spec, Done<BytesGuestResult> done);
  // `done` is called when the program has ended and nothing uses its streams any more. The place in
  // the runs' quota is free when `place` goes: the client may be slow to take what is left in the
  // streams.
  struct StartedRun {
    Started invocation;
    std::shared_ptr<void> place;
  };
  StartedRun Run(RunRequestSpec spec, Done<GuestResult> done);
  Started CreateInstance(CreateInstanceSpec spec, Done<CreateInstanceResult> done);
  Started Access(AccessSpec spec, std::function<void(absl::Status)> done);
  // kNotFound: no invocation of this session that runs or waits.
  absl::Status Cancel(uint64_t invocation_id);

  // ---- Instances

  absl::Status DropInstance(uint64_t instance);
  std::vector<InstanceRecord> ListInstances() const;
  uint32_t instance_count() const;

  // ---- What channels need

  absl::StatusOr<ModuleRecord> FindModule(const std::string& module) const;
  absl::StatusOr<BoundInstance> FindBound(uint64_t instance) const;
  // Makes an instance that is not in the session's table, but in its quota. WASI as for calls.
  Started MakeBound(const ModuleRecord& module, const RequestedLimits& limits, absl::Time deadline,
                    Done<BoundInstance> done);
  // Limits of one guest: what was asked for, and no more than the daemon's options say.
  GuestLimits Limits(const RequestedLimits& requested, std::optional<uint64_t> fuel = {}) const;
  // Of each of a program's streams that go through a client's connection.
  uint64_t OutputBufferBytes(const RequestedLimits& requested) const;
  // `closer` is called when the session ends, on any thread. kNotFound: it has ended. The key is
  // for ForgetCloser.
  absl::StatusOr<uint64_t> OnClose(std::function<void()> closer);
  void ForgetCloser(uint64_t key);

  // ---- Life

  // Marks it as used now.
  void Touch();
  // When it was last used, by SteadyNow; the present while something of it runs.
  absl::Time last_used() const;
  // Cancels invocations, drops instances, closes descriptors. Idempotent; everything asked for
  // later fails with kNotFound.
  void Close(engine::InterruptReason reason);

 private:
  struct HeldInstance {
    std::shared_ptr<const StoredModule> module;
    std::shared_ptr<InstanceGroup>
        group;  // Shared with linked instances and with invocations that run.
    engine::Instance* instance = nullptr;  // The group's.
    std::atomic<uint64_t> invocations{0};
    Charge place;
  };

  void EndRun();
  // Makes an invocation and counts it. kAlreadyExists, kResourceExhausted, kNotFound (closed).
  absl::StatusOr<std::shared_ptr<Invocation>> NewInvocation(InvocationInfo info, Resource quota);
  // Takes it off the table; calls' place in their quota is free again.
  void Forget(const Invocation& invocation, Resource quota);
  absl::StatusOr<std::shared_ptr<HeldInstance>> FindInstance(uint64_t instance) const;
  absl::StatusOr<uint64_t> AddInstance(std::shared_ptr<HeldInstance> held);
  // With a place in the quota.
  absl::StatusOr<std::shared_ptr<HeldInstance>> NewHeld();
  Scheduler::TimeLimits TimeLimitsOf(Resource quota, const RequestedLimits& requested) const;
  // `scratch` is to be kept until the program has ended.
  absl::StatusOr<engine::WasiOptions> ResolveWasi(RunRequestSpec& spec,
                                                  std::vector<ScratchDirectory>& scratch);
  // Takes it off `left_bytes`, what the run may still have.
  absl::StatusOr<ScratchDirectory> MakeScratch(const RunRequestSpec::Preopen::Scratch& scratch,
                                               uint64_t& left_bytes);
  uint64_t NextHandle() { return next_handle_.fetch_add(1, std::memory_order_relaxed); }

  // One kind of call, on either kind of target.
  template <typename T>
  struct CallKind {
    std::function<absl::StatusOr<T>(HeldInstance&, Invocation&)> on_instance;
    // On an instance that is made for it.
    std::function<absl::StatusOr<T>(const StoredModule&, Invocation&)> on_module;
  };
  template <typename T>
  Started StartCall(const CallTarget& target, std::string func, CallKind<T> kind, Done<T> done);

  // Runs `guest` on the scheduler and tells `done`; see session.cc.
  struct StartSpec {
    Resource quota = Resource::kCalls;  // Or kRuns.
    absl::Time deadline = absl::InfiniteFuture();
    std::shared_ptr<InstanceGroup> group;
    RequestedLimits limits;
  };
  template <typename T>
  Started Start(std::shared_ptr<Invocation> invocation, StartSpec spec,
                std::function<absl::StatusOr<T>(Invocation&)> guest, Done<T> done);

  SessionServices& services_;
  const Identity identity_;
  const std::shared_ptr<Account> account_;  // Shared with guests and channels, which charge it.
  std::atomic<uint64_t> next_handle_{1};
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::string client_name_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_used_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_invocation_ ABSL_GUARDED_BY(mutex_) = uint64_t{1} << 32;
  Charge place_ ABSL_GUARDED_BY(mutex_);  // Until it is closed.
  std::unordered_map<uint64_t, std::shared_ptr<Invocation>> invocations_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, engine::UniqueFd> descriptors_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::shared_ptr<HeldInstance>> instances_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::function<void()>> closers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SESSION_SESSION_H_
