// What the daemon does with the engine: instantiate, call, run, read and write. Each function here
// runs on the thread that calls it (a worker or a run's own) until the guest has ended.
//
// Errors: a Status says that the guest was not started (or what was asked of it does not exist);
// once it runs, how it ended is in GuestResult::stop.
#ifndef WASMD_DAEMON_POOL_GUEST_H_
#define WASMD_DAEMON_POOL_GUEST_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/pool/engine_types.h"
#include "daemon/pool/invocation.h"
#include "engine/base/mutex.h"

namespace wasmd::daemon {

// What one invocation, or the instances of one group, may use. The names are the daemon's options'
// and wasmctl's flags alike.
struct GuestLimits {
  uint64_t memory_bytes = 0;             // --max-memory
  uint64_t table_elements = UINT64_MAX;  // --max-table-elements
  uint64_t heap_bytes = UINT64_MAX;      // --max-heap
  uint64_t wasm_stack_bytes = 0;         // --wasm-stack
  uint32_t open_files = 1024;            // --max-open-files
  // Who is charged with what guests make the daemon keep, and with files that programs open. Null:
  // nobody. Shared: with all guests that they bound together.
  std::shared_ptr<engine::Accountant> memory = nullptr;
  std::shared_ptr<engine::Accountant> files = nullptr;
  // In instructions (engine/abi/fuel.h); empty: they are not counted.
  std::optional<uint64_t> fuel = std::nullopt;
};

// How a guest ended.
struct GuestResult {
  std::optional<engine::Stop> stop;   // Empty: it returned. An exception is a Trap here.
  std::vector<engine::Value> values;  // If it returned.
  uint64_t duration_ns = 0;
  uint64_t peak_memory_bytes = 0;
  std::optional<uint64_t> fuel_left = std::nullopt;  // If the limits had some.
  // The limit that growth of a memory, a table or the heap was refused for, if any was: perhaps the
  // reason why it ended as it did.
  std::optional<engine::NamedLimit> refused_by;
};

// An argument of a call: a value, or a reference by the handle that the daemon gave out.
struct GuestArgument {
  engine::Value value;            // References: of the right type; null unless `handle` is set.
  uint64_t reference_handle = 0;  // Not 0: the reference that has this handle.
};

// A result: as GuestArgument, the other way round.
using GuestValue = GuestArgument;

struct CallGuestResult {
  GuestResult result;              // `values` is empty:
  std::vector<GuestValue> values;  // these are the results.
};

// Instances that share one engine::Store, since they import from each other. One thread at a time
// uses them; the others' turns are kept in order here (InstanceTurns).
class InstanceGroup {
 public:
  InstanceGroup(std::shared_ptr<engine::RuntimeEnv> env, const GuestLimits& limits);
  InstanceGroup(const InstanceGroup&) = delete;
  InstanceGroup& operator=(const InstanceGroup&) = delete;

  // ---- Turns. Thread-safe.

  // Takes the turn if nobody has it; otherwise keeps `task` until Leave hands it out.
  // kResourceExhausted: `max_waiting` wait. `is_dead` tells whether a waiting task has become
  // pointless: such ones make room first.
  struct Waiting {
    std::function<void()> task;
    std::function<bool()> is_dead;
  };
  enum class Turn : uint8_t { kNow, kLater, kFull };
  Turn Enter(Waiting waiting, size_t max_waiting);
  // Takes the turn if nobody has it, and allocates nothing.
  bool TryEnter();
  // Ends the turn. A returned task has the next one.
  std::function<void()> Leave();

  // ---- The guest. Only for who has the turn.

  engine::Store& store() { return *store_; }
  // Finds `handle` among the references that were given out.
  absl::StatusOr<engine::Value> Reference(uint64_t handle) const;
  // A handle for a non-null reference; the same one for the same reference. `next_handle` is the
  // session's counter. kResourceExhausted: there are too many.
  absl::StatusOr<uint64_t> HandleOf(const engine::Value& reference,
                                    const std::function<uint64_t()>& next_handle);
  // Keeps WASI for as long as the store.
  void Keep(std::unique_ptr<engine::Wasi> wasi) { wasis_.push_back(std::move(wasi)); }

 private:
  // Before the store, so that it goes after it: the store's instances import its functions.
  std::vector<std::unique_ptr<engine::Wasi>> wasis_;
  std::unique_ptr<engine::Store> store_;
  std::vector<std::pair<uint64_t, engine::Value>> references_;
  engine::Mutex mutex_;
  bool taken_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
};

// What stopped a guest, as it outlives its store: an exception's tag does not.
engine::Stop OutlivingStop(engine::Stop stop);
// Where one module alone runs, frames of a module without a name of its own are told by the name
// that it was uploaded with. An empty name changes nothing.
void NameFrames(std::string_view module_name, engine::Backtrace& backtrace);
// The module imports functions of WASI.
bool ImportsWasi(const engine::LoadedModule& module);
// Calls "_initialize" where there is one, as reactors expect before anything else.
absl::Status InitializeReactor(engine::Instance& instance, GuestResult& result);
// The type of the exported function `name`. kNotFound, kInvalidArgument: it is something else.
absl::StatusOr<const engine::FuncType*> FuncTypeOf(const engine::LoadedModule& module,
                                                   std::string_view name);
engine::StoreOptions StoreOptionsOf(const GuestLimits& limits);
// For calls of a group whose guest was interrupted.
absl::Status AbandonedError();

// Makes an instance in `group`. `imports`: module names and the instances that satisfy them, all of
// this group. `wasi`: WASI with neither arguments nor directories. An export "_initialize" is
// called (the WASI reactors' convention) if so. The instance is null if a start function did not
// return: result.stop says why.
struct InstantiateSpec {
  std::shared_ptr<engine::LoadedModule> module;
  std::vector<std::pair<std::string, engine::Instance*>> imports;
  bool wasi = false;
};
struct InstantiateResult {
  engine::Instance* instance = nullptr;
  GuestResult result;
};
absl::StatusOr<InstantiateResult> InstantiateGuest(InstanceGroup& group,
                                                   const InstantiateSpec& spec,
                                                   Invocation& invocation);

// Calls an exported function of an instance.
// kNotFound: no such export. kInvalidArgument: it is no function, or the arguments do not fit: with
// the function's type. kFailedPrecondition: the group was abandoned by an interrupt.
struct CallSpec {
  std::string func;
  std::vector<GuestArgument> args;
};
absl::StatusOr<CallGuestResult> CallGuest(InstanceGroup& group, engine::Instance& instance,
                                          const CallSpec& spec, Invocation& invocation,
                                          const std::function<uint64_t()>& next_handle);

// The same on a fresh instance, which is dropped; WASI is there if the module imports it.
// kFailedPrecondition: a result is a reference, which would not outlive the instance.
absl::StatusOr<CallGuestResult> CallFreshGuest(const std::shared_ptr<engine::RuntimeEnv>& env,
                                               const GuestLimits& limits,
                                               std::shared_ptr<engine::LoadedModule> module,
                                               const CallSpec& spec, Invocation& invocation);

// Calls a function on byte strings (daemon/pool/bytes_call.h): as CallGuest and CallFreshGuest, and
// with their errors. kInvalidArgument and kNotFound also name what the function lacks.
// kOutOfRange: the output has more than `max_output_bytes`; the function has returned.
struct BytesCallSpec {
  std::string func;
  std::string_view input;  // Read on the guest's thread.
  uint64_t max_output_bytes = 0;
};
struct BytesGuestResult {
  GuestResult result;  // `values` is empty:
  std::string output;  // this is the result.
};
absl::StatusOr<BytesGuestResult> CallBytesGuest(InstanceGroup& group, engine::Instance& instance,
                                                const BytesCallSpec& spec, Invocation& invocation);
absl::StatusOr<BytesGuestResult> CallFreshBytesGuest(const std::shared_ptr<engine::RuntimeEnv>& env,
                                                     const GuestLimits& limits,
                                                     std::shared_ptr<engine::LoadedModule> module,
                                                     const BytesCallSpec& spec,
                                                     Invocation& invocation);

// Runs a program: "_start" with WASI. result.stop is an Exit if it ended itself; returning is exit
// code 0 and leaves stop empty. kNotFound: no "_start". kInvalidArgument: an import is lacking, or
// WASI refuses its options.
absl::StatusOr<GuestResult> RunGuest(const std::shared_ptr<engine::RuntimeEnv>& env,
                                     const GuestLimits& limits,
                                     std::shared_ptr<engine::LoadedModule> module,
                                     engine::WasiOptions wasi, Invocation& invocation);

// The exported memory called `name`; an empty name: the only one that is exported.
absl::StatusOr<engine::MemoryHandle> FindMemory(engine::Instance& instance, std::string_view name);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_GUEST_H_
