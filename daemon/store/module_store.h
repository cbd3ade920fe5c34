// ModuleStore: modules by the digest of their bytes, shared by all who have uploaded the same
// bytes.
//
// Who uploads a module owns it (by principal: a user) and sees it; a digest that somebody else
// uploaded is not found. The store keeps modules and their machine code up to a limit; beyond it
// the least recently used go. Who holds a StoredModule keeps it alive, whether the store has it or
// not.
//
// Decoding, validation and compilation run on the store's own threads. Uploads of the same bytes at
// the same time are one load. Thread-safe. Shutdown() comes before the destructor.
#ifndef WASMD_DAEMON_STORE_MODULE_STORE_H_
#define WASMD_DAEMON_STORE_MODULE_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/account/account.h"
#include "daemon/config/options.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/thread_pool.h"
#include "daemon/pool/watchdog.h"
#include "daemon/store/upload.h"

namespace wasmd::daemon {

struct StoredModule {
  std::string digest;
  uint64_t size_bytes = 0;
  // Shared with the engine's instances of it: code outlives the store's entry.
  std::shared_ptr<engine::LoadedModule> module;
  Charge memory;  // Of its bytes, to who uploaded it first; the code is charged by the engine.
};

struct ModuleRecord {
  std::shared_ptr<const StoredModule> module;
  std::string name;
  uint32_t users = 0;  // Instances and invocations that hold it.
  absl::Time uploaded_at;
  absl::Time last_used_at;
};

class ModuleStore {
 public:
  struct LoadRequest {
    std::shared_ptr<Account> account;  // The user's: his modules, and who is charged.
    std::string name;
    std::string expected_digest;  // May be empty.
    bool eager = false;
    std::unique_ptr<Upload> upload;  // Complete, or empty with
    engine::UniqueFd file;           // the file to be read into it.
    // Set by the caller to give up: the load then ends with kCancelled. Shared with the caller.
    std::shared_ptr<std::atomic<bool>> cancel;
  };
  struct Loaded {
    ModuleRecord record;
    bool already_present = false;
  };
  using LoadDone = std::function<void(absl::StatusOr<Loaded>)>;

  // `engine` outlives the store.
  // `watchdog` minds --max-load-time, and outlives it; null: nobody does.
  ModuleStore(const engine::Engine& engine, const Options& options, Watchdog* watchdog);
  ModuleStore(const ModuleStore&) = delete;
  ModuleStore& operator=(const ModuleStore&) = delete;
  ~ModuleStore() = default;

  std::unique_ptr<Upload> NewUpload(std::shared_ptr<Account> user);
  // Loads on the store's threads and calls `done` there, or at once on the caller's if there is no
  // place. kInvalidArgument: malformed or invalid, or not the digest that was expected.
  // kUnimplemented: a feature that is lacking. kResourceExhausted: a limit, named.
  void Load(LoadRequest request, LoadDone done);

  // `digest` is a whole digest, or a prefix of one of kMinPrefixDigits or more hex digits
  // ("sha256:" may be left out) that names one of the principal's modules. Marks it as used.
  // kNotFound, kInvalidArgument.
  absl::StatusOr<ModuleRecord> Find(std::string_view principal, std::string_view digest);
  std::vector<ModuleRecord> List(std::string_view principal) const;
  // Takes it from the principal; it goes when it was the last owner's.
  absl::Status Remove(std::string_view principal, std::string_view digest);

  struct Totals {
    uint32_t modules = 0;
    uint64_t module_bytes = 0;
    uint64_t machine_code_bytes = 0;
  };
  Totals totals() const;

  void Shutdown();

  static constexpr size_t kMinPrefixDigits = 8;

 private:
  struct Ownership {
    std::string name;
    absl::Time uploaded_at;
  };
  struct Entry {
    std::shared_ptr<const StoredModule> module;  // Shared with those who use it.
    absl::Time last_used_at;
    std::map<std::string, Ownership, std::less<>> owners;
  };
  // Loads of one digest that wait for the first of them.
  struct Flight {
    std::vector<std::function<void(const absl::Status&)>> waiting;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  // To the pool; where it has no place, `done` hears so.
  void Submit(std::function<void()> task, const LoadDone& done);
  void LoadNow(LoadRequest request, const LoadDone& done);
  void LoadDigested(LoadRequest request, const std::string& digest, const LoadDone& done);
  absl::StatusOr<std::shared_ptr<const StoredModule>> Compile(LoadRequest& request,
                                                              const std::string& digest);
  // Calls `work` and has it cancelled when --max-load-time has passed.
  absl::Status WithinLoadTime(LoadRequest& request, const std::function<absl::Status()>& work);
  // Charges a module's bytes; modules that nobody uses make room.
  absl::StatusOr<Charge> ChargeModule(const std::shared_ptr<Account>& user, uint64_t bytes);
  // Takes the least recently used one out that nobody uses; with a principal, one that is his
  // alone. False: there is none.
  bool EvictOneUnused(const std::string* principal);
  // Puts it in, or adds an owner, and makes room.
  Loaded Insert(std::shared_ptr<const StoredModule> module, const LoadRequest& request,
                bool already_present);
  // Takes least recently used entries out until the limits hold; `keep` stays. Their destructors
  // run when the result goes.
  std::vector<std::shared_ptr<const StoredModule>> Evict(std::string_view keep)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EvictUnused();
  absl::StatusOr<Entries::iterator> FindEntry(std::string_view principal, std::string_view digest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static ModuleRecord RecordOf(const Entry& entry, const Ownership& ownership);
  Totals TotalsLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const engine::Engine& engine_;
  const uint64_t limit_bytes_;
  const uint64_t max_module_bytes_;
  const int load_threads_;
  const absl::Duration max_load_time_;
  Watchdog* const watchdog_;
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Flight> flights_ ABSL_GUARDED_BY(mutex_);
  ThreadPool pool_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_STORE_MODULE_STORE_H_
