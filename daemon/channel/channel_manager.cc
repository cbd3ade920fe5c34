#include "daemon/channel/channel_manager.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/channel/channel.h"
#include "daemon/channel/segment.h"
#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "daemon/observe/log.h"
#include "daemon/pool/bound_func.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/worker_pool.h"
#include "daemon/session/session.h"
#include "daemon/session/session_manager.h"
#include "daemon/store/module_store.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/attach.h"
#include "proto/ring/layout.h"
#include "proto/ring/wait.h"

namespace wasmd::daemon {
namespace {

using engine::MutexLock;

// How long to wait for a worker to let go of a channel before looking again.
constexpr std::chrono::milliseconds kLookAgain(1);

}  // namespace

ChannelManager::ChannelManager(SessionManager& sessions, WorkerPool& pool)
    : sessions_(sessions),
      pool_(pool),
      options_(sessions.services().options),
      segments_(options_.ready_channels) {}

ChannelManager::~ChannelManager() {
  Shutdown();
}

void ChannelManager::Start() {
  thread_ = std::thread([this] { Maintain(); });
}

void ChannelManager::Drain() {
  const MutexLock lock(mutex_);
  draining_ = true;
  for (const auto& [number, held] : channels_) {
    held.channel->MarkDraining();
  }
}

void ChannelManager::Shutdown() {
  std::vector<std::shared_ptr<Channel>> open;
  {
    const MutexLock lock(mutex_);
    draining_ = true;
    for (const auto& [number, held] : channels_) {
      open.push_back(held.channel);
    }
  }
  for (const std::shared_ptr<Channel>& channel : open) {
    Close(channel, engine::InterruptReason::kShutdown);
  }
  open.clear();
  {
    const MutexLock lock(mutex_);
    shutdown_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

// ---- Attaching

absl::StatusOr<ring::Geometry> ChannelManager::GeometryOf(const ring::AttachRequest& request,
                                                          const Options& options) {
  ring::Geometry geometry;
  if (request.slots != 0) {
    geometry.slots = request.slots;
  }
  if (request.arena_bytes != 0) {
    geometry.arena_bytes = request.arena_bytes;
  }
  if (!geometry.IsValid()) {
    return absl::InvalidArgumentError(StrCat("slots must be a power of two from ", ring::kMinSlots,
                                             " to ", ring::kMaxSlots,
                                             ", and the arena a multiple of ", ring::kHeaderBytes,
                                             " bytes up to ", ring::kMaxArenaBytes));
  }
  if (geometry.arena_bytes > options.max_channel_arena_bytes) {
    return absl::ResourceExhaustedError(StrCat("an arena has no more than ",
                                               options.max_channel_arena_bytes,
                                               " bytes (--max-channel-arena)"));
  }
  return geometry;
}

absl::StatusOr<ChannelManager::Place> ChannelManager::Reserve(const Session& session,
                                                              uint64_t bytes) {
  Place place;
  WASMD_ASSIGN_OR_RETURN(place.channel, session.account()->TakeCharge(Resource::kChannels));
  WASMD_ASSIGN_OR_RETURN(place.memory,
                         session.account()->TakeCharge(Resource::kChannelMemory, bytes));
  return place;
}

absl::StatusOr<ChannelManager::Attached> ChannelManager::Attach(
    const ring::AttachRequest& request, std::string_view principal, int socket,
    std::function<void(std::string_view)> over) {
  const std::string_view token(request.session_token.data(), request.session_token.size());
  WASMD_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, sessions_.Find(token));
  if (session->identity().principal != principal) {
    return absl::PermissionDeniedError(
        "the session is another user's: open it by the descriptor handshake");
  }
  if (request.layout_version < ring::kLayoutVersion) {
    return absl::UnimplementedError(StrCat("layout version ", request.layout_version,
                                           " is not spoken here, but ", ring::kLayoutVersion));
  }
  WASMD_ASSIGN_OR_RETURN(const ring::Geometry geometry, GeometryOf(request, options_));

  uint64_t number = 0;
  const uint64_t bytes = geometry.segment_bytes();
  WASMD_ASSIGN_OR_RETURN(Place place, Reserve(*session, bytes));
  {
    const MutexLock lock(mutex_);
    if (draining_) {
      return absl::UnavailableError("wasmd is shutting down");
    }
    number = next_number_++;
    refill_ = true;
    changed_.NotifyAll();
  }

  Channel::Parts parts;
  parts.number = number;
  parts.max_funcs = options_.max_channel_funcs;
  parts.max_waiting = options_.max_calls_per_session;
  absl::StatusOr<std::unique_ptr<Segment>> segment = segments_.Take(geometry);
  if (!segment.ok()) {
    return segment.status();
  }
  const uint64_t features = request.features & ring::kKnownFeatures;
  parts.segment = *std::move(segment);
  parts.segment->view().header().features = features;
  parts.doorbell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Attached attached;
  attached.doorbell.reset(::fcntl(parts.doorbell.get(), F_DUPFD_CLOEXEC, 0));
  if ((features & ring::kFeatureSocketWake) != 0) {
    parts.socket.reset(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  }
  if (!parts.doorbell || !attached.doorbell ||
      ((features & ring::kFeatureSocketWake) != 0 && !parts.socket)) {
    return absl::ResourceExhaustedError(
        StrCat("no descriptor for a channel: ",
               std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
  }
  Channel::Hooks hooks;
  hooks.tasks = &pool_;
  hooks.unpark = [this](RingSource& source) { pool_.Unpark(source); };
  hooks.violated = [this, number](std::string_view reason) { Violated(number, reason); };
  hooks.trapped = [this] { sessions_.services().counters.traps.Add(); };
  attached.channel = std::make_shared<Channel>(std::move(parts), std::move(hooks));

  Held held;
  held.channel = attached.channel;
  held.session = session.get();
  held.weak_session = session;
  held.principal = session->identity().principal;
  held.place = std::move(place);
  held.over = std::move(over);
  {
    const MutexLock lock(mutex_);
    channels_.emplace(number, std::move(held));
  }
  absl::Status served = pool_.Attach(attached.channel);
  absl::StatusOr<uint64_t> closer =
      served.ok() ? session->OnClose([this, number] { SessionEnded(number); }) : served;
  if (!closer.ok()) {
    Close(attached.channel, engine::InterruptReason::kClientGone);
    return closer.status();
  }
  {
    const MutexLock lock(mutex_);
    if (const auto found = channels_.find(number); found != channels_.end()) {
      found->second.closer = *closer;
    }
  }
  attached.reply.channel = number;
  attached.reply.layout_version = ring::kLayoutVersion;
  attached.reply.slots = geometry.slots;
  attached.reply.arena_bytes = geometry.arena_bytes;
  attached.reply.features = features;
  attached.reply.segment_bytes = bytes;
  attached.reply.clock_ns = ring::MonotonicNs();
  Log(LogLevel::kDebug, "channel attached",
      {{"channel", number}, {"session", session->identity().number}, {"slots", geometry.slots}});
  return attached;
}

// ---- Ending

void ChannelManager::Close(const std::shared_ptr<Channel>& channel,
                           engine::InterruptReason reason) {
  Held held;
  {
    const MutexLock lock(mutex_);
    const auto found = channels_.find(channel->number());
    if (found == channels_.end()) {
      return;
    }
    held = std::move(found->second);
    channels_.erase(found);
  }
  pool_.Detach(channel, reason);
  if (const std::shared_ptr<Session> session = held.weak_session.lock()) {
    session->ForgetCloser(held.closer);
  }
  Log(LogLevel::kDebug, "channel closed",
      {{"channel", channel->number()}, {"reason", engine::ToString(reason)}});
  const MutexLock lock(mutex_);
  closed_calls_ += channel->calls();
  closing_.push_back(std::move(held));
  changed_.NotifyAll();
}

void ChannelManager::Violated(uint64_t channel, std::string_view reason) {
  std::function<void(std::string_view)> over;
  std::string principal;
  {
    const MutexLock lock(mutex_);
    ++violations_;
    if (const auto found = channels_.find(channel); found != channels_.end()) {
      over = std::exchange(found->second.over, nullptr);
      principal = found->second.principal;
    }
  }
  Log(LogLevel::kWarning, "channel ended: its client broke the protocol",
      {{"channel", channel}, {"user", principal}, {"reason", reason}});
  if (over) {
    over(reason);
  }
}

void ChannelManager::SessionEnded(uint64_t channel) {
  std::shared_ptr<Channel> ended;
  std::function<void(std::string_view)> over;
  {
    const MutexLock lock(mutex_);
    const auto found = channels_.find(channel);
    if (found == channels_.end()) {
      return;
    }
    ended = found->second.channel;
    over = std::exchange(found->second.over, nullptr);
  }
  Close(ended, engine::InterruptReason::kClientGone);
  if (over) {
    over("its session has ended");
  }
}

void ChannelManager::Maintain() {
  static_cast<void>(::pthread_setname_np(::pthread_self(), "wasmd-channels"));
  // Of this thread alone. Filling a segment's pages takes longer than attaching; the client that
  // was just answered goes first.
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19));
  while (true) {
    std::vector<Held> over;
    bool refill = false;
    {
      const MutexLock lock(mutex_);
      // A channel is ours alone when its worker has let go of it.
      const auto others = std::ranges::partition(
          closing_, [](const Held& held) { return held.channel.use_count() > 1; });
      std::ranges::move(others, std::back_inserter(over));
      closing_.erase(others.begin(), others.end());
      refill = std::exchange(refill_, false) && !shutdown_;
      if (over.empty() && !refill) {
        if (!closing_.empty()) {
          static_cast<void>(changed_.WaitFor(mutex_, kLookAgain));
        } else if (shutdown_) {
          return;
        } else {
          changed_.Wait(mutex_);
        }
        continue;
      }
    }
    for (Held& held : over) {
      held.channel = nullptr;  // Gives back what it holds,
      held.place = {};         // and then its place.
    }
    while (refill && segments_.Refill()) {
    }
  }
}

// ---- Binding

absl::StatusOr<std::shared_ptr<Channel>> ChannelManager::Find(const Session& session,
                                                              uint64_t channel) const {
  const MutexLock lock(mutex_);
  const auto found = channels_.find(channel);
  if (found == channels_.end() || found->second.session != &session) {
    return absl::NotFoundError(StrCat("no channel ", channel, " in this session"));
  }
  return found->second.channel;
}

absl::StatusOr<BindResult> ChannelManager::BindKept(Channel& channel, const BindSpec& spec,
                                                    std::shared_ptr<KeptInstance> kept) const {
  WASMD_ASSIGN_OR_RETURN(
      std::unique_ptr<BoundFunc> func,
      BoundFunc::OfInstance(spec.policy, std::move(kept), spec.func, spec.bytes));
  BindResult bound;
  bound.type = func->type();
  WASMD_ASSIGN_OR_RETURN(bound.func, channel.Bind(std::move(func)));
  return bound;
}

Session::Started ChannelManager::Bind(const std::shared_ptr<Session>& session, uint64_t number,
                                      BindSpec spec, Done<BindResult> done) {
  const auto refuse = [&done](absl::Status status) {
    done(std::move(status));
    return nullptr;
  };
  absl::StatusOr<std::shared_ptr<Channel>> found = Find(*session, number);
  if (!found.ok()) {
    return refuse(found.status());
  }
  const std::shared_ptr<Channel> channel = *std::move(found);
  const auto to_kept = [](BoundInstance bound) {
    auto kept = std::make_shared<KeptInstance>();
    kept->place = std::move(bound.place);
    kept->group = std::move(bound.group);
    kept->instance = bound.instance;
    return kept;
  };
  if (spec.policy == InstancePolicy::kShared) {
    if (spec.limits.limits_instance()) {
      return refuse(
          absl::InvalidArgumentError("an instance keeps the limits that it was made with"));
    }
    absl::StatusOr<BoundInstance> bound = session->FindBound(spec.instance);
    done(bound.ok() ? BindKept(*channel, spec, to_kept(*std::move(bound))) : bound.status());
    return nullptr;
  }
  absl::StatusOr<ModuleRecord> module = session->FindModule(spec.module);
  if (!module.ok()) {
    return refuse(module.status());
  }
  if (spec.policy == InstancePolicy::kFresh) {
    const auto bind_fresh = [&]() -> absl::StatusOr<BindResult> {
      const std::shared_ptr<engine::LoadedModule>& loaded = module->module->module;
      WASMD_ASSIGN_OR_RETURN(std::unique_ptr<FreshInstances> fresh,
                             FreshInstances::Create(sessions_.services().engine.runtime(),
                                                    session->Limits(spec.limits), loaded));
      WASMD_ASSIGN_OR_RETURN(std::unique_ptr<BoundFunc> func,
                             BoundFunc::OfFresh(std::move(fresh), module->module, module->name,
                                                spec.func, spec.bytes));
      BindResult bound;
      bound.type = func->type();
      WASMD_ASSIGN_OR_RETURN(bound.func, channel->Bind(std::move(func)));
      return bound;
    };
    done(bind_fresh());
    return nullptr;
  }
  const std::string digest = module->module->digest;
  if (std::shared_ptr<KeptInstance> kept = channel->FindKept(digest)) {
    done(BindKept(*channel, spec, std::move(kept)));
    return nullptr;
  }
  // What cannot be bound shall not leave an instance behind.
  if (const absl::StatusOr<const engine::FuncType*> type =
          FuncTypeOf(*module->module->module, spec.func);
      !type.ok()) {
    return refuse(type.status());
  }
  return session->MakeBound(
      *module, spec.limits, spec.deadline,
      [this, channel, digest, spec, to_kept,
       done = std::move(done)](absl::StatusOr<BoundInstance> made) {
        if (!made.ok()) {
          done(made.status());
        } else if (made->result.stop.has_value()) {
          BindResult stopped;
          stopped.result = std::move(made->result);
          done(std::move(stopped));
        } else {
          std::shared_ptr<KeptInstance> fresh = to_kept(*std::move(made));
          fresh->gate.Arm(fresh->group->store());
          done(BindKept(*channel, spec, channel->Keep(digest, std::move(fresh))));
        }
      });
}

// ---- For statistics

uint32_t ChannelManager::channel_count() const {
  const MutexLock lock(mutex_);
  return static_cast<uint32_t>(channels_.size());
}

uint64_t ChannelManager::calls() const {
  const MutexLock lock(mutex_);
  uint64_t calls = closed_calls_;
  for (const auto& [number, held] : channels_) {
    calls += held.channel->calls();
  }
  return calls;
}

uint64_t ChannelManager::violations() const {
  const MutexLock lock(mutex_);
  return violations_;
}

}  // namespace wasmd::daemon
