// ChannelManager: the channels that are attached, what they may use, and what is bound to them.
//
// A channel belongs to a session and ends with it, or with its connection. What it holds (segment,
// descriptors, instances) is given back by a thread of the manager's own, so that neither the
// listener nor a worker waits for munmap; until then it counts towards its user's limits.
//
// Thread-safe. Shutdown() comes before the destructor, and when nothing serves channels any more.
#ifndef WASMD_DAEMON_CHANNEL_CHANNEL_MANAGER_H_
#define WASMD_DAEMON_CHANNEL_CHANNEL_MANAGER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "daemon/account/account.h"
#include "daemon/channel/channel.h"
#include "daemon/channel/segment.h"
#include "daemon/pool/bound_func.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/worker_pool.h"
#include "daemon/session/session_manager.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/attach.h"

namespace wasmd::daemon {

// What ChannelService's Bind asks for.
struct BindSpec {
  InstancePolicy policy = InstancePolicy::kChannel;
  std::string module;     // kChannel, kFresh: a digest.
  uint64_t instance = 0;  // kShared.
  std::string func;
  bool bytes = false;      // See docs/bytes.md.
  RequestedLimits limits;  // kChannel, kFresh: of instances that are made.
  absl::Time deadline = absl::InfiniteFuture();
};

struct BindResult {
  uint32_t func = 0;
  engine::FuncType type;
  // Set: a start function did not return, and nothing was bound.
  GuestResult result;
};

class ChannelManager {
 public:
  ChannelManager(SessionManager& sessions, WorkerPool& pool);
  ChannelManager(const ChannelManager&) = delete;
  ChannelManager& operator=(const ChannelManager&) = delete;
  ~ChannelManager();

  // Makes the first segments ready.
  void Start();
  // Closes all channels, and returns when all is given back.
  void Shutdown();
  // From here on calls are answered with UNAVAILABLE, and nobody attaches.
  void Drain();

  // ---- For the listener

  struct Attached {
    std::shared_ptr<Channel> channel;
    ring::AttachReply reply;
    engine::UniqueFd doorbell;  // To be passed, with channel->segment().memfd().
  };
  // `principal` is the peer's user, who must be the session's. `socket` is the connection, which
  // stays the caller's. `over` is called at most once if the channel ends before its connection
  // does, with the reason, on any thread.
  // kUnauthenticated: no such session. kPermissionDenied: another's. kInvalidArgument: a size or
  // version that cannot be. kResourceExhausted: names the limit. kUnavailable: draining.
  absl::StatusOr<Attached> Attach(const ring::AttachRequest& request, std::string_view principal,
                                  int socket, std::function<void(std::string_view)> over);
  // Its connection has ended.
  void Close(const std::shared_ptr<Channel>& channel, engine::InterruptReason reason);

  // ---- For ChannelService. kNotFound: the session has no such channel.

  absl::StatusOr<std::shared_ptr<Channel>> Find(const Session& session, uint64_t channel) const;
  // `done` is called once, on any thread. Null: it has been called.
  Session::Started Bind(const std::shared_ptr<Session>& session, uint64_t channel, BindSpec spec,
                        Done<BindResult> done);

  // ---- For statistics

  uint32_t channel_count() const;
  uint64_t calls() const;
  // Channels that were ended because their client broke the protocol.
  uint64_t violations() const;

 private:
  // What a channel is charged with, until all that it holds has been given back.
  struct Place {
    Charge channel;
    Charge memory;
  };
  struct Held {
    std::shared_ptr<Channel> channel;
    const Session* session = nullptr;
    std::weak_ptr<Session> weak_session;
    std::string principal;
    uint64_t closer = 0;
    Place place;
    std::function<void(std::string_view)> over;
  };
  // kResourceExhausted.
  static absl::StatusOr<Place> Reserve(const Session& session, uint64_t bytes);
  void Violated(uint64_t channel, std::string_view reason);
  void SessionEnded(uint64_t channel);
  static absl::StatusOr<ring::Geometry> GeometryOf(const ring::AttachRequest& request,
                                                   const Options& options);
  absl::StatusOr<BindResult> BindKept(Channel& channel, const BindSpec& spec,
                                      std::shared_ptr<KeptInstance> kept) const;
  void Maintain();

  SessionManager& sessions_;
  WorkerPool& pool_;
  const Options& options_;
  SegmentPool segments_;
  mutable engine::Mutex mutex_;
  engine::CondVar changed_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  bool refill_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t closed_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t violations_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<uint64_t, Held> channels_ ABSL_GUARDED_BY(mutex_);
  std::vector<Held> closing_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CHANNEL_CHANNEL_MANAGER_H_
