// SessionManager: sessions by token.
//
// A token is 32 random bytes in hex: who has it has the session. Thread-safe.
#ifndef WASMD_DAEMON_SESSION_SESSION_MANAGER_H_
#define WASMD_DAEMON_SESSION_SESSION_MANAGER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/session/session.h"

namespace wasmd::daemon {

class SessionManager {
 public:
  explicit SessionManager(SessionServices& services) : services_(services) {}
  SessionManager(const SessionManager&) = delete;
  SessionManager& operator=(const SessionManager&) = delete;
  ~SessionManager() = default;

  SessionServices& services() { return services_; }

  // Opens a session. `has_connection`: it ends when its handshake's connection does, by Close;
  // otherwise after the idle timeout. kResourceExhausted: --max-sessions. kUnavailable: draining.
  absl::StatusOr<std::shared_ptr<Session>> Open(std::string principal, bool has_connection);
  // kUnauthenticated: no such session (any more). Marks it as used.
  absl::StatusOr<std::shared_ptr<Session>> Find(std::string_view token);
  void Close(const std::shared_ptr<Session>& session, engine::InterruptReason reason);

  // Ends sessions that nothing has used for the idle timeout. `now` is a SteadyNow().
  void CloseIdle(absl::Time now);
  // Opens none from here on.
  void StopAdmission();
  void CloseAll(engine::InterruptReason reason);

  uint32_t session_count() const;
  uint32_t instance_count() const;

 private:
  SessionServices& services_;
  mutable absl::Mutex mutex_;
  bool admits_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  std::unordered_map<std::string, std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SESSION_SESSION_MANAGER_H_
