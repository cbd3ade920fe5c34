#include "daemon/session/session_manager.h"

#include <sys/random.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/account/account.h"
#include "daemon/observe/log.h"
#include "daemon/session/session.h"
#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

constexpr size_t kTokenRandomBytes = 32;

std::string NewToken() {
  std::array<unsigned char, kTokenRandomBytes> random{};
  // Up to 256 bytes come whole, once the kernel's pool is ready; that is so long before a daemon
  // starts.
  WASMD_CHECK(::getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()));
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : random) {
    token += kHex[byte >> 4];
    token += kHex[byte & 15];
  }
  return token;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Session>> SessionManager::Open(std::string principal,
                                                              bool has_connection) {
  std::string token = NewToken();
  std::shared_ptr<Session> session;
  absl::StatusOr<Charge> place =
      services_.accounts.User(principal)->TakeCharge(Resource::kSessions);
  {
    const absl::MutexLock lock(&mutex_);
    if (!admits_) {
      return absl::UnavailableError("wasmd is shutting down");
    }
    WASMD_RETURN_IF_ERROR(place.status());
    const uint64_t number = next_number_++;
    std::shared_ptr<Account> account = services_.accounts.NewSession(principal, number);
    session = std::make_shared<Session>(
        services_, Session::Identity{number, token, std::move(principal), has_connection},
        std::move(account), *std::move(place));
    sessions_.emplace(std::move(token), session);
  }
  Log(LogLevel::kDebug, "session opened",
      {{"session", session->identity().number}, {"principal", session->identity().principal}});
  return session;
}

absl::StatusOr<std::shared_ptr<Session>> SessionManager::Find(std::string_view token) {
  std::shared_ptr<Session> session;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = sessions_.find(std::string(token));
    if (found == sessions_.end()) {
      return absl::UnauthenticatedError(
          token.empty() ? "the request names no session (metadata wasmd-session); call Initialize"
                        : "no such session: it has ended, or never was");
    }
    session = found->second;
  }
  session->Touch();
  return session;
}

void SessionManager::Close(const std::shared_ptr<Session>& session,
                           engine::InterruptReason reason) {
  {
    const absl::MutexLock lock(&mutex_);
    sessions_.erase(session->identity().token);
  }
  session->Close(reason);
  Log(LogLevel::kDebug, "session closed",
      {{"session", session->identity().number}, {"reason", engine::ToString(reason)}});
}

void SessionManager::CloseIdle(absl::Time now) {
  std::vector<std::shared_ptr<Session>> idle;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [token, session] : sessions_) {
      if (!session->identity().has_connection &&
          now - session->last_used() > services_.options.session_idle_timeout) {
        idle.push_back(session);
      }
    }
  }
  for (const std::shared_ptr<Session>& session : idle) {
    Close(session, engine::InterruptReason::kClientGone);
  }
}

void SessionManager::StopAdmission() {
  const absl::MutexLock lock(&mutex_);
  admits_ = false;
}

void SessionManager::CloseAll(engine::InterruptReason reason) {
  std::vector<std::shared_ptr<Session>> all;
  {
    const absl::MutexLock lock(&mutex_);
    for (auto& [token, session] : sessions_) {
      all.push_back(std::move(session));
    }
    sessions_.clear();
  }
  for (const std::shared_ptr<Session>& session : all) {
    session->Close(reason);
  }
}

uint32_t SessionManager::session_count() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<uint32_t>(sessions_.size());
}

uint32_t SessionManager::instance_count() const {
  const absl::MutexLock lock(&mutex_);
  uint32_t count = 0;
  for (const auto& [token, session] : sessions_) {
    count += session->instance_count();
  }
  return count;
}

}  // namespace wasmd::daemon
