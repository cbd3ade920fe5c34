#include "daemon/store/module_store.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "daemon/account/account.h"
#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/watchdog.h"
#include "daemon/store/digest.h"
#include "daemon/store/upload.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

// Machine code is one arena a process: the store lets go of modules before it is full, so that
// those in use can still compile.
constexpr uint64_t kMaxMachineCodeBytes = engine::EngineOptions{}.code_bytes / 4 * 3;
constexpr uint32_t kMaxQueuedLoads = 1024;
// The decoder recurses little, the compiler's tables are on the heap.
constexpr size_t kLoadStackBytes = size_t{2} << 20;

uint32_t LoadThreads(const Options& options) {
  return options.compile_threads != 0 ? options.compile_threads
                                      : std::max(1u, std::thread::hardware_concurrency());
}

ThreadPoolOptions LoadPool(const Options& options) {
  ThreadPoolOptions pool;
  pool.name = "wasmd-compile";
  pool.limit_name = "--compile-threads";
  pool.threads = LoadThreads(options);
  pool.max_threads = pool.threads;
  pool.kept_threads = 1;
  pool.max_queued = kMaxQueuedLoads;
  pool.stack_bytes = kLoadStackBytes;
  return pool;
}

absl::Status NotFound(std::string_view digest) {
  return absl::NotFoundError(StrCat("no module ", digest, "; upload it first"));
}

}  // namespace

ModuleStore::ModuleStore(const engine::Engine& engine, const Options& options, Watchdog* watchdog)
    : engine_(engine),
      limit_bytes_(options.module_store_bytes),
      max_module_bytes_(options.max_module_bytes),
      load_threads_(static_cast<int>(LoadThreads(options))),
      max_load_time_(options.max_load_time),
      watchdog_(watchdog),
      pool_(LoadPool(options)) {}

std::unique_ptr<Upload> ModuleStore::NewUpload(std::shared_ptr<Account> user) {
  return std::make_unique<Upload>(std::move(user), max_module_bytes_);
}

void ModuleStore::Load(LoadRequest request, LoadDone done) {
  absl::StatusOr<Charge> place = request.account->TakeCharge(Resource::kLoads);
  if (!place.ok()) {
    done(place.status());
    return;
  }
  // The place is free before the client hears.
  LoadDone free_and_done = [place = std::make_shared<Charge>(*std::move(place)),
                            done = std::move(done)](absl::StatusOr<Loaded> loaded) {
    place->Drop();
    done(std::move(loaded));
  };
  if (request.cancel == nullptr) {
    request.cancel = std::make_shared<std::atomic<bool>>(false);
  }
  // std::function wants copyable tasks.
  const auto shared = std::make_shared<LoadRequest>(std::move(request));
  Submit([this, shared, free_and_done] { LoadNow(std::move(*shared), free_and_done); },
         free_and_done);
}

absl::Status ModuleStore::WithinLoadTime(LoadRequest& request,
                                         const std::function<absl::Status()>& work) {
  if (max_load_time_ == absl::ZeroDuration() || watchdog_ == nullptr) {
    return work();
  }
  const auto late = std::make_shared<std::atomic<bool>>(false);
  const Watchdog::Entry entry = watchdog_->Add(
      max_load_time_, [late, cancel = request.cancel]() -> std::optional<absl::Duration> {
        late->store(true, std::memory_order_relaxed);
        cancel->store(true, std::memory_order_relaxed);
        return std::nullopt;
      });
  absl::Status status = work();
  watchdog_->Remove(entry);
  if (absl::IsCancelled(status) && late->load(std::memory_order_relaxed)) {
    return absl::ResourceExhaustedError(StrCat("loading the module took more than ",
                                               absl::FormatDuration(max_load_time_),
                                               " (--max-load-time)"));
  }
  return status;
}

void ModuleStore::Submit(std::function<void()> task, const LoadDone& done) {
  const absl::Status submitted = pool_.Submit(std::move(task));
  if (!submitted.ok()) {
    done(submitted);
  }
}

void ModuleStore::LoadNow(LoadRequest request, const LoadDone& done) {
  if (request.file) {
    const absl::Status read = request.upload->ReadFile(request.file.get());
    if (!read.ok()) {
      done(read);
      return;
    }
    request.file.reset();
  }
  const std::string digest = request.upload->FinishDigest();
  if (!request.expected_digest.empty() && request.expected_digest != digest) {
    done(absl::InvalidArgumentError(
        StrCat("the module's digest is ", digest, " and not ", request.expected_digest)));
    return;
  }
  LoadDigested(std::move(request), digest, done);
}

void ModuleStore::LoadDigested(LoadRequest request, const std::string& digest,
                               const LoadDone& done) {
  std::shared_ptr<const StoredModule> present;
  {
    const absl::MutexLock lock(&mutex_);
    if (const auto found = entries_.find(digest); found != entries_.end()) {
      present = found->second.module;
    } else if (const auto flight = flights_.find(digest); flight != flights_.end()) {
      // The first one loads for all. If it fails, so would we; if it was given up, we try
      // ourselves, so we keep our bytes.
      const auto shared = std::make_shared<LoadRequest>(std::move(request));
      flight->second.waiting.emplace_back([this, digest, shared, done](const absl::Status& status) {
        std::shared_ptr<const StoredModule> loaded;
        {
          const absl::MutexLock inner(&mutex_);
          if (const auto found_now = entries_.find(digest); found_now != entries_.end()) {
            loaded = found_now->second.module;
          }
        }
        const bool is_given_up = status.ok() || status.code() == absl::StatusCode::kCancelled;
        if (loaded == nullptr && is_given_up) {
          Submit([this, digest, shared, done] { LoadDigested(std::move(*shared), digest, done); },
                 done);
          return;
        }
        shared->upload = nullptr;  // Its share of the budget is free before the client hears.
        if (loaded != nullptr) {
          done(Insert(std::move(loaded), *shared, true));
        } else {
          done(status);
        }
      });
      return;
    } else {
      flights_[digest];
    }
  }
  if (present != nullptr) {
    request.upload = nullptr;  // Its share of the budget is free before the client hears.
    absl::Status compiled;
    if (request.eager) {
      compiled = WithinLoadTime(request, [&] {
        return present->module->CompileAll(
            {.threads = load_threads_, .cancel = request.cancel.get(), .progress = nullptr});
      });
    }
    if (compiled.ok()) {
      done(Insert(std::move(present), request, true));
    } else {
      done(compiled);
    }
    return;
  }
  absl::StatusOr<std::shared_ptr<const StoredModule>> compiled = Compile(request, digest);
  request.upload = nullptr;
  // Others' modules make room for machine code, and for nothing else that is spent.
  if (engine::IsCodeMemorySpent(compiled.status())) {
    EvictUnused();
  }
  absl::StatusOr<Loaded> result = absl::InternalError("not loaded");
  if (compiled.ok()) {
    result = Insert(*std::move(compiled), request, false);
  } else {
    result = compiled.status();
  }
  Flight flight;
  {
    const absl::MutexLock lock(&mutex_);
    flight = std::move(flights_[digest]);
    flights_.erase(digest);
  }
  const absl::Status status = result.status();
  done(std::move(result));
  for (const auto& waiting : flight.waiting) {
    waiting(status);
  }
}

absl::StatusOr<std::shared_ptr<const StoredModule>> ModuleStore::Compile(
    LoadRequest& request, const std::string& digest) {
  engine::LoadOptions options;
  options.mode = request.eager ? engine::CompileMode::kEager : engine::CompileMode::kLazy;
  options.threads = load_threads_;
  options.cancel = request.cancel.get();
  auto stored = std::make_shared<StoredModule>();
  stored->digest = digest;
  stored->size_bytes = request.upload->size_bytes();
  std::vector<std::byte> bytes = request.upload->TakeBytes();
  WASMD_ASSIGN_OR_RETURN(stored->memory, ChargeModule(request.account, bytes.size()));
  options.code_accountant = request.account->of(Resource::kModuleMemory);
  WASMD_RETURN_IF_ERROR(WithinLoadTime(request, [&]() -> absl::Status {
    WASMD_ASSIGN_OR_RETURN(stored->module, engine_.Load(std::move(bytes), options));
    return absl::OkStatus();
  }));
  return stored;
}

absl::StatusOr<Charge> ModuleStore::ChargeModule(const std::shared_ptr<Account>& user,
                                                 uint64_t bytes) {
  const std::shared_ptr<ResourceAccount> account = user->of(Resource::kModuleMemory);
  for (;;) {
    const std::optional<engine::NamedLimit> refusal = account->Charge(bytes);
    if (!refusal.has_value()) {
      return Charge(user, Resource::kModuleMemory, bytes);
    }
    const bool is_users = *refusal == account->limit();
    if (!EvictOneUnused(is_users ? &user->name() : nullptr)) {
      return absl::ResourceExhaustedError(user->RefusalText(Resource::kModuleMemory, *refusal));
    }
  }
}

bool ModuleStore::EvictOneUnused(const std::string* principal) {
  std::shared_ptr<const StoredModule> evicted;  // Released without the lock.
  const absl::MutexLock lock(&mutex_);
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const Entry& entry = it->second;
    const bool is_his =
        principal == nullptr || (entry.owners.size() == 1 && entry.owners.contains(*principal));
    if (is_his && entry.module.use_count() == 1 &&
        (oldest == entries_.end() || entry.last_used_at < oldest->second.last_used_at)) {
      oldest = it;
    }
  }
  if (oldest == entries_.end()) {
    return false;
  }
  evicted = std::move(oldest->second.module);
  entries_.erase(oldest);
  return true;
}

ModuleStore::Loaded ModuleStore::Insert(std::shared_ptr<const StoredModule> module,
                                        const LoadRequest& request, bool already_present) {
  std::vector<std::shared_ptr<const StoredModule>> evicted;
  Loaded loaded;
  const absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[module->digest];
  if (entry.module == nullptr) {
    entry.module = module;
  }
  module = nullptr;  // Not a user.
  entry.last_used_at = absl::Now();
  const auto [owner, is_new] = entry.owners.try_emplace(request.account->name());
  if (is_new) {
    owner->second.uploaded_at = entry.last_used_at;
  }
  if (is_new || !request.name.empty()) {
    owner->second.name = request.name;
  }
  loaded.record = RecordOf(entry, owner->second);
  loaded.already_present = already_present;
  evicted = Evict(entry.module->digest);
  return loaded;
}

std::vector<std::shared_ptr<const StoredModule>> ModuleStore::Evict(std::string_view keep) {
  std::vector<std::shared_ptr<const StoredModule>> evicted;
  Totals totals = TotalsLocked();
  while (entries_.size() > 1 && (totals.module_bytes + totals.machine_code_bytes > limit_bytes_ ||
                                 totals.machine_code_bytes > kMaxMachineCodeBytes)) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->first != keep &&
          (oldest == entries_.end() || it->second.last_used_at < oldest->second.last_used_at)) {
        oldest = it;
      }
    }
    if (oldest == entries_.end()) {
      break;
    }
    totals.module_bytes -= oldest->second.module->size_bytes;
    totals.machine_code_bytes -=
        std::min(totals.machine_code_bytes, oldest->second.module->module->stats().arena_bytes);
    evicted.push_back(std::move(oldest->second.module));
    entries_.erase(oldest);
  }
  return evicted;
}

void ModuleStore::EvictUnused() {
  std::vector<std::shared_ptr<const StoredModule>> evicted;
  const absl::MutexLock lock(&mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->second.module.use_count() == 1) {
      evicted.push_back(std::move(it->second.module));
      it = entries_.erase(it);
    } else {
      ++it;
    }
  }
}

absl::StatusOr<ModuleStore::Entries::iterator> ModuleStore::FindEntry(std::string_view principal,
                                                                      std::string_view digest) {
  const std::string whole =
      digest.starts_with(kDigestPrefix) ? std::string(digest) : StrCat(kDigestPrefix, digest);
  if (IsDigest(whole)) {
    const auto found = entries_.find(whole);
    if (found == entries_.end() || !found->second.owners.contains(principal)) {
      return NotFound(whole);
    }
    return found;
  }
  if (whole.size() < kDigestPrefix.size() + kMinPrefixDigits ||
      whole.size() > kDigestPrefix.size() + kDigestHexDigits ||
      whole.find_first_not_of("0123456789abcdef", kDigestPrefix.size()) != std::string::npos) {
    return absl::InvalidArgumentError(
        StrCat("\"", digest, "\" is no module's digest; write sha256: and at least ",
               kMinPrefixDigits, " hex digits"));
  }
  auto found = entries_.end();
  for (auto it = entries_.lower_bound(whole); it != entries_.end() && it->first.starts_with(whole);
       ++it) {
    if (!it->second.owners.contains(principal)) {
      continue;
    }
    if (found != entries_.end()) {
      return absl::InvalidArgumentError(
          StrCat("\"", digest, "\" names several modules; write more digits"));
    }
    found = it;
  }
  if (found == entries_.end()) {
    return NotFound(digest);
  }
  return found;
}

ModuleRecord ModuleStore::RecordOf(const Entry& entry, const Ownership& ownership) {
  ModuleRecord record;
  record.users = static_cast<uint32_t>(std::max(0L, entry.module.use_count() - 1));
  record.module = entry.module;
  record.name = ownership.name;
  record.uploaded_at = ownership.uploaded_at;
  record.last_used_at = entry.last_used_at;
  return record;
}

absl::StatusOr<ModuleRecord> ModuleStore::Find(std::string_view principal,
                                               std::string_view digest) {
  const absl::MutexLock lock(&mutex_);
  WASMD_ASSIGN_OR_RETURN(const auto found, FindEntry(principal, digest));
  found->second.last_used_at = absl::Now();
  return RecordOf(found->second, found->second.owners.find(principal)->second);
}

std::vector<ModuleRecord> ModuleStore::List(std::string_view principal) const {
  std::vector<ModuleRecord> records;
  const absl::MutexLock lock(&mutex_);
  for (const auto& [digest, entry] : entries_) {
    if (const auto owner = entry.owners.find(principal); owner != entry.owners.end()) {
      records.push_back(RecordOf(entry, owner->second));
    }
  }
  return records;
}

absl::Status ModuleStore::Remove(std::string_view principal, std::string_view digest) {
  std::shared_ptr<const StoredModule> removed;  // Released without the lock.
  const absl::MutexLock lock(&mutex_);
  WASMD_ASSIGN_OR_RETURN(const auto found, FindEntry(principal, digest));
  found->second.owners.erase(found->second.owners.find(principal));
  if (found->second.owners.empty()) {
    removed = std::move(found->second.module);
    entries_.erase(found);
  }
  return absl::OkStatus();
}

ModuleStore::Totals ModuleStore::TotalsLocked() const {
  Totals totals;
  for (const auto& [digest, entry] : entries_) {
    ++totals.modules;
    totals.module_bytes += entry.module->size_bytes;
    totals.machine_code_bytes += entry.module->module->stats().arena_bytes;
  }
  return totals;
}

ModuleStore::Totals ModuleStore::totals() const {
  const absl::MutexLock lock(&mutex_);
  return TotalsLocked();
}

void ModuleStore::Shutdown() {
  pool_.Shutdown();
}

}  // namespace wasmd::daemon
