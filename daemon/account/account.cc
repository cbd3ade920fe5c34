#include "daemon/account/account.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/account/memory_ceiling.h"
#include "daemon/config/options.h"
#include "daemon/config/parse.h"
#include "daemon/config/text.h"
#include "engine/base/accountant.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

using engine::MutexLock;
using engine::NamedLimit;

// Accounts that have gone are looked for when so many have been opened.
constexpr size_t kSweepAt = 64;

bool IsMemory(Resource resource) {
  switch (resource) {
    case Resource::kModuleMemory:
    case Resource::kUploadMemory:
    case Resource::kChannelMemory:
      return true;
    case Resource::kMemory:  // Itself.
    case Resource::kOpenFiles:
    case Resource::kSessions:
    case Resource::kInstances:
    case Resource::kCalls:
    case Resource::kRuns:
    case Resource::kLoads:
    case Resource::kChannels:
      return false;
  }
  return false;
}

// A limit of an option; 0 is none.
void Limit(AccountLimits& limits, Resource resource, std::string_view option, uint64_t amount) {
  limits[static_cast<size_t>(resource)] = {option, amount == 0 ? kUnlimited : amount};
}

AccountLimits NoLimits() {
  AccountLimits limits;
  limits.fill({"", kUnlimited});
  return limits;
}

// What guests' files leave of the process's descriptors: for connections, channels and the daemon
// itself.
uint64_t OpenFilesOf(const Options& options) {
  if (options.max_total_open_files != 0) {
    return options.max_total_open_files;
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return kUnlimited;
  }
  return std::max<uint64_t>(limit.rlim_cur / 4 * 3, 16);
}

AccountLimits DaemonLimits(const Options& options, const MemoryCeiling& ceiling) {
  AccountLimits limits = NoLimits();
  Limit(limits, Resource::kMemory, "--max-total-memory",
        options.max_total_memory_bytes != 0 ? options.max_total_memory_bytes : ceiling.guest_bytes);
  Limit(limits, Resource::kUploadMemory, "--max-upload-memory", options.max_upload_bytes);
  Limit(limits, Resource::kOpenFiles, "--max-total-open-files", OpenFilesOf(options));
  Limit(limits, Resource::kSessions, "--max-sessions", options.max_sessions);
  Limit(limits, Resource::kChannels, "--max-channels", options.max_channels);
  return limits;
}

AccountLimits UserLimits(const Options& options) {
  AccountLimits limits = NoLimits();
  Limit(limits, Resource::kMemory, "--max-user-memory", options.max_user_memory_bytes);
  Limit(limits, Resource::kModuleMemory, "--max-user-module-memory", options.max_user_module_bytes);
  Limit(limits, Resource::kUploadMemory, "--max-user-upload-memory", options.max_user_upload_bytes);
  Limit(limits, Resource::kChannelMemory, "--max-user-channel-memory",
        options.max_channel_bytes_per_user);
  Limit(limits, Resource::kOpenFiles, "--max-user-open-files", options.max_user_open_files);
  Limit(limits, Resource::kSessions, "--max-user-sessions", options.max_user_sessions);
  Limit(limits, Resource::kInstances, "--max-user-instances", options.max_user_instances);
  Limit(limits, Resource::kCalls, "--max-user-calls", options.max_user_calls);
  Limit(limits, Resource::kRuns, "--max-user-runs", options.max_user_runs);
  Limit(limits, Resource::kLoads, "--max-user-loads", options.max_user_loads);
  Limit(limits, Resource::kChannels, "--max-user-channels", options.max_channels_per_user);
  return limits;
}

AccountLimits SessionLimits(const Options& options) {
  AccountLimits limits = NoLimits();
  Limit(limits, Resource::kMemory, "--max-session-memory", options.max_session_memory_bytes);
  Limit(limits, Resource::kOpenFiles, "--max-session-open-files", options.max_session_open_files);
  Limit(limits, Resource::kInstances, "--max-session-instances", options.max_instances_per_session);
  Limit(limits, Resource::kCalls, "--max-session-calls", options.max_calls_per_session);
  Limit(limits, Resource::kRuns, "--max-session-runs", options.max_runs_per_session);
  Limit(limits, Resource::kChannels, "--max-session-channels", options.max_channels_per_session);
  return limits;
}

std::string_view HolderOf(Account::Scope scope) {
  switch (scope) {
    case Account::Scope::kDaemon:
      return "the daemon";
    case Account::Scope::kUser:
      return "a user";
    case Account::Scope::kSession:
      return "a session";
  }
  return "";
}

}  // namespace

std::string_view ToString(Resource resource) {
  switch (resource) {
    case Resource::kMemory:
      return "memory";
    case Resource::kModuleMemory:
      return "module memory";
    case Resource::kUploadMemory:
      return "upload memory";
    case Resource::kChannelMemory:
      return "channel memory";
    case Resource::kOpenFiles:
      return "open files";
    case Resource::kSessions:
      return "sessions";
    case Resource::kInstances:
      return "instances";
    case Resource::kCalls:
      return "calls";
    case Resource::kRuns:
      return "programs";
    case Resource::kLoads:
      return "loads";
    case Resource::kChannels:
      return "channels";
  }
  return "?";
}

bool IsBytes(Resource resource) {
  return resource == Resource::kMemory || IsMemory(resource);
}

// ---- ResourceAccount

std::optional<NamedLimit> ResourceAccount::Charge(uint64_t amount) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (amount > limit_.amount - std::min(used, limit_.amount)) {
      return limit_;
    }
  } while (!used_.compare_exchange_weak(used, used + amount, std::memory_order_relaxed));
  if (parent_ != nullptr) {
    if (const std::optional<NamedLimit> refusal = parent_->Charge(amount)) {
      used_.fetch_sub(amount, std::memory_order_relaxed);
      return refusal;
    }
  }
  const uint64_t now = used + amount;
  uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
  return std::nullopt;
}

void ResourceAccount::Release(uint64_t amount) {
  // The parent first: it never says more than its children together.
  if (parent_ != nullptr) {
    parent_->Release(amount);
  }
  used_.fetch_sub(amount, std::memory_order_relaxed);
}

// ---- Charge

Charge& Charge::operator=(Charge&& other) noexcept {
  if (this != &other) {
    Drop();
    account_ = std::exchange(other.account_, nullptr);
    resource_ = other.resource_;
    amount_ = other.amount_;
  }
  return *this;
}

void Charge::Drop() {
  if (const std::shared_ptr<Account> account = std::exchange(account_, nullptr)) {
    account->Give(resource_, amount_);
  }
}

// ---- Account

Account::Account(Scope scope, std::string name, const AccountLimits& limits,
                 std::shared_ptr<Account> parent)
    : scope_(scope), name_(std::move(name)), parent_(std::move(parent)) {
  for (size_t i = 0; i < kResourceCount; ++i) {
    const auto resource = static_cast<Resource>(i);
    std::shared_ptr<ResourceAccount> above;
    if (parent_ != nullptr) {
      above = parent_->of(resource);
    } else if (IsMemory(resource)) {
      above = of(Resource::kMemory);  // The first of them.
    }
    resources_[i] = std::make_shared<ResourceAccount>(limits[i], std::move(above));
  }
}

absl::Status Account::Take(Resource resource, uint64_t amount) {
  if (const std::optional<NamedLimit> refusal = of(resource)->Charge(amount)) {
    return absl::ResourceExhaustedError(RefusalText(resource, *refusal));
  }
  return absl::OkStatus();
}

void Account::Give(Resource resource, uint64_t amount) {
  of(resource)->Release(amount);
}

absl::StatusOr<Charge> Account::TakeCharge(Resource resource, uint64_t amount) {
  WASMD_RETURN_IF_ERROR(Take(resource, amount));
  return Charge(shared_from_this(), resource, amount);
}

std::string Account::RefusalText(Resource resource, const NamedLimit& limit) const {
  // The daemon's memory may be the limit that, say, an upload has met.
  for (const Account* account = this; account != nullptr; account = account->parent_.get()) {
    for (const Resource each : {resource, Resource::kMemory}) {
      if (account->of(each)->limit().name == limit.name) {
        return StrCat(HolderOf(account->scope_), " has no more than ",
                      IsBytes(each) ? StrCat(FormatByteSize(limit.amount), " of ")
                                    : StrCat(limit.amount, " "),
                      ToString(each), " at one time (", limit.name, ")");
      }
    }
  }
  return StrCat(ToString(resource), ": no more than ", limit.amount, " (", limit.name, ")");
}

// ---- Accounts

Accounts::Accounts(const Options& options, const MemoryCeiling& ceiling)
    : user_limits_(UserLimits(options)),
      session_limits_(SessionLimits(options)),
      daemon_(std::make_shared<Account>(Account::Scope::kDaemon, "", DaemonLimits(options, ceiling),
                                        nullptr)) {}

std::shared_ptr<Account> Accounts::User(std::string_view principal) {
  const MutexLock lock(mutex_);
  std::weak_ptr<Account>& known = users_[std::string(principal)];
  std::shared_ptr<Account> user = known.lock();
  if (user == nullptr) {
    user = std::make_shared<Account>(Account::Scope::kUser, std::string(principal), user_limits_,
                                     daemon_);
    known = user;
    if (users_.size() % kSweepAt == 0) {
      std::erase_if(users_, [](const auto& entry) { return entry.second.expired(); });
    }
  }
  return user;
}

std::shared_ptr<Account> Accounts::NewSession(std::string_view principal, uint64_t number) {
  auto session = std::make_shared<Account>(Account::Scope::kSession, StrCat(number),
                                           session_limits_, User(principal));
  const MutexLock lock(mutex_);
  if (sessions_.size() % kSweepAt == 0) {
    std::erase_if(sessions_, [](const auto& entry) { return entry.second.expired(); });
  }
  sessions_[number] = session;
  return session;
}

std::vector<std::shared_ptr<Account>> Accounts::SessionsOf(std::string_view principal) const {
  std::vector<std::shared_ptr<Account>> sessions;
  const MutexLock lock(mutex_);
  for (const auto& [number, known] : sessions_) {
    std::shared_ptr<Account> session = known.lock();
    if (session != nullptr && session->parent()->name() == principal) {
      sessions.push_back(std::move(session));
    }
  }
  return sessions;
}

}  // namespace wasmd::daemon
