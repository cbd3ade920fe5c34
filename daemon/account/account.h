// Accounts: who has taken how much of the daemon, and how much they may.
//
//   daemon ──── user "uid:1000" ──── session 3
//      │                  └───────── session 4
//      └─────── user "tcp" ───────── …
//
// What is taken for a session is charged to it, to its user and to the daemon; where one of them
// has no room, it is charged to none, and the error names the limit. What is not a session's
// (modules, uploads) is charged to its user. Every limit has its option's name; docs/limits.md has
// all of them.
//
// Whatever memory somebody is charged for is also the daemon's kMemory, whose limit is
// --max-total-memory: below what its cgroup gives it, so that a guest is refused before the kernel
// kills. Linear memory counts when it can be written, not when it is.
#ifndef WASMD_DAEMON_ACCOUNT_ACCOUNT_H_
#define WASMD_DAEMON_ACCOUNT_ACCOUNT_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/account/memory_ceiling.h"
#include "daemon/config/options.h"
#include "engine/base/accountant.h"
#include "engine/base/mutex.h"

namespace wasmd::daemon {

enum class Resource : uint8_t {
  kMemory,  // Bytes: guests' memories, tables, heaps and instances, stacks and buffers of runs.
  kModuleMemory,   // Bytes: modules and their machine code.
  kUploadMemory,   // Bytes: of uploads that arrive.
  kChannelMemory,  // Bytes: channels' segments.
  kOpenFiles,      // Descriptors that programs have open, or that were passed for them.
  kSessions,
  kInstances,
  kCalls,  // That wait or run.
  kRuns,   // Programs that run.
  kLoads,  // Uploads that are complete and being validated or compiled, or wait for it.
  kChannels,
};
inline constexpr size_t kResourceCount = 11;

// "memory", "open files".
std::string_view ToString(Resource resource);
bool IsBytes(Resource resource);

// One resource of one account. Thread-safe; no lock is taken.
class ResourceAccount final : public engine::Accountant {
 public:
  // `parent` may be null; it is charged with whatever this one is.
  ResourceAccount(engine::NamedLimit limit, std::shared_ptr<ResourceAccount> parent)
      : limit_(limit), parent_(std::move(parent)) {}

  std::optional<engine::NamedLimit> Charge(uint64_t amount) override;
  void Release(uint64_t amount) override;

  const engine::NamedLimit& limit() const { return limit_; }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t peak() const { return peak_.load(std::memory_order_relaxed); }

 private:
  const engine::NamedLimit limit_;
  const std::shared_ptr<ResourceAccount> parent_;  // Shared with its other children.
  std::atomic<uint64_t> used_{0};
  std::atomic<uint64_t> peak_{0};
};

// No limit of its own.
inline constexpr uint64_t kUnlimited = UINT64_MAX;
// By Resource. An empty name: there is no option, and no limit.
using AccountLimits = std::array<engine::NamedLimit, kResourceCount>;

class Account;

// Gives back what it stands for when it goes. Thread-compatible.
class Charge {
 public:
  Charge() = default;
  Charge(std::shared_ptr<Account> account, Resource resource, uint64_t amount)
      : account_(std::move(account)), resource_(resource), amount_(amount) {}
  Charge(Charge&& other) noexcept { *this = std::move(other); }
  Charge& operator=(Charge&& other) noexcept;
  ~Charge() { Drop(); }

  uint64_t amount() const { return account_ == nullptr ? 0 : amount_; }
  void Drop();

 private:
  std::shared_ptr<Account> account_;  // Null: for nothing.
  Resource resource_ = Resource::kMemory;
  uint64_t amount_ = 0;
};

// Thread-safe.
class Account : public std::enable_shared_from_this<Account> {
 public:
  enum class Scope : uint8_t { kDaemon, kUser, kSession };

  // `parent`: null for the daemon's. `name`: "uid:1000", "3".
  Account(Scope scope, std::string name, const AccountLimits& limits,
          std::shared_ptr<Account> parent);
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account() = default;

  Scope scope() const { return scope_; }
  const std::string& name() const { return name_; }
  const std::shared_ptr<Account>& parent() const { return parent_; }

  // kResourceExhausted: "a user has no more than 16 programs at one time (--max-user-runs)".
  absl::Status Take(Resource resource, uint64_t amount = 1);
  void Give(Resource resource, uint64_t amount = 1);
  absl::StatusOr<Charge> TakeCharge(Resource resource, uint64_t amount = 1);

  // To be charged by others; lives on its own.
  std::shared_ptr<ResourceAccount> of(Resource resource) const {
    return resources_[static_cast<size_t>(resource)];
  }
  uint64_t used(Resource resource) const { return of(resource)->used(); }

  // The account's or an ancestor's limit of that name, in an error's words.
  std::string RefusalText(Resource resource, const engine::NamedLimit& limit) const;

 private:
  const Scope scope_;
  const std::string name_;
  const std::shared_ptr<Account> parent_;
  std::array<std::shared_ptr<ResourceAccount>, kResourceCount> resources_;
};

// The daemon's account and what hangs from it. Thread-safe.
class Accounts {
 public:
  Accounts(const Options& options, const MemoryCeiling& ceiling);
  Accounts(const Accounts&) = delete;
  Accounts& operator=(const Accounts&) = delete;
  ~Accounts() = default;

  const std::shared_ptr<Account>& daemon() const { return daemon_; }
  // The user's account: the same one while anybody has it.
  std::shared_ptr<Account> User(std::string_view principal);
  // A new account of a session of that user.
  std::shared_ptr<Account> NewSession(std::string_view principal, uint64_t number);
  // Sessions of the user that somebody has, by number.
  std::vector<std::shared_ptr<Account>> SessionsOf(std::string_view principal) const;

 private:
  const AccountLimits user_limits_;
  const AccountLimits session_limits_;
  const std::shared_ptr<Account> daemon_;  // Shared with the users'.
  mutable engine::Mutex mutex_;
  std::map<std::string, std::weak_ptr<Account>, std::less<>> users_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::weak_ptr<Account>> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_ACCOUNT_ACCOUNT_H_
