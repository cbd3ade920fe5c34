// A daemon's channel without the daemon: an engine, a pool, a Channel attached to it, and the
// client's end of its rings. For tests and fuzz targets.
#ifndef WASMD_TESTS_SUPPORT_CHANNEL_HARNESS_H_
#define WASMD_TESTS_SUPPORT_CHANNEL_HARNESS_H_

#include <fcntl.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "daemon/channel/channel.h"
#include "daemon/channel/segment.h"
#include "daemon/pool/bound_func.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/worker_pool.h"
#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"
#include "tests/support/load_wat.h"
#include "tests/support/ring_pair.h"

namespace wasmd::tests {

inline daemon::GuestLimits HarnessLimits() {
  return {.memory_bytes = 4 << 20, .wasm_stack_bytes = 256 << 10};
}

// Loads modules; outlives what is made of them. Thread-compatible.
class HarnessEngine {
 public:
  HarnessEngine() : engine_(Make()) {}

  engine::Engine& engine() { return *engine_; }
  std::shared_ptr<engine::LoadedModule> Load(std::string_view wat) {
    auto loaded = engine::LoadWat(*engine_, wat);
    WASMD_CHECK(loaded.ok(), "a harness's module does not load");
    return *std::move(loaded);
  }
  // An instance for InstancePolicy::kChannel or kShared, armed.
  std::shared_ptr<daemon::KeptInstance> Keep(std::shared_ptr<engine::LoadedModule> module) {
    auto kept = std::make_shared<daemon::KeptInstance>();
    kept->group = std::make_shared<daemon::InstanceGroup>(engine_->runtime(), HarnessLimits());
    const engine::Linker linker;
    auto made = linker.Instantiate(kept->group->store(), std::move(module));
    WASMD_CHECK(made.ok() && made->outcome.ok(), "a harness's module cannot be instantiated");
    kept->instance = made->instance;
    kept->gate.Arm(kept->group->store());
    return kept;
  }

 private:
  static std::unique_ptr<engine::Engine> Make() {
    auto made = engine::Engine::Create({});
    WASMD_CHECK(made.ok());
    return *std::move(made);
  }

  const std::unique_ptr<engine::Engine> engine_;
};

// The channel lives in `pool`, if there is one; without, Visit is called by hand.
class ChannelHarness {
 public:
  explicit ChannelHarness(HarnessEngine& engine, daemon::WorkerPool* pool = nullptr,
                          const ring::Geometry& geometry = {64, 256 * 1024})
      : engine_(engine), pool_(pool) {
    daemon::Channel::Parts parts;
    parts.number = 1;
    auto segment = daemon::Segment::Make(geometry, true);
    WASMD_CHECK(segment.ok());
    parts.segment = *std::move(segment);
    parts.doorbell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    doorbell_ = parts.doorbell.get();
    parts.max_funcs = 16;
    parts.max_waiting = 4;
    client = ring::ClientEnd(parts.segment->view());
    daemon::Channel::Hooks hooks;
    hooks.tasks = pool;
    hooks.unpark = [pool](daemon::RingSource& source) { pool->Unpark(source); };
    hooks.violated = [this](std::string_view /*reason*/) { violations.fetch_add(1); };
    hooks.trapped = [this] { traps.fetch_add(1); };
    channel_ = std::make_shared<daemon::Channel>(std::move(parts), std::move(hooks));
    if (pool_ != nullptr) {
      WASMD_CHECK(pool_->Attach(channel_).ok());
    }
  }
  ChannelHarness(const ChannelHarness&) = delete;
  ChannelHarness& operator=(const ChannelHarness&) = delete;
  ~ChannelHarness() {
    if (pool_ != nullptr) {
      pool_->Detach(channel_, engine::InterruptReason::kClientGone);
    }
  }

  daemon::Channel& channel() { return *channel_; }
  const std::shared_ptr<daemon::Channel>& shared() { return channel_; }

  uint32_t Bind(const std::shared_ptr<daemon::KeptInstance>& kept, std::string_view func,
                bool bytes = false) {
    return BindIt(
        daemon::BoundFunc::OfInstance(daemon::InstancePolicy::kChannel, kept, func, bytes));
  }
  uint32_t BindShared(const std::shared_ptr<daemon::InstanceGroup>& group,
                      engine::Instance* instance, std::string_view func) {
    auto shared = std::make_shared<daemon::KeptInstance>();
    shared->group = group;
    shared->instance = instance;
    return BindIt(daemon::BoundFunc::OfInstance(daemon::InstancePolicy::kShared, std::move(shared),
                                                func, false));
  }
  uint32_t BindFresh(std::shared_ptr<engine::LoadedModule> module, std::string_view func,
                     bool bytes = false) {
    auto fresh = daemon::FreshInstances::Create(engine_.engine().runtime(), HarnessLimits(),
                                                std::move(module));
    WASMD_CHECK(fresh.ok());
    return BindIt(daemon::BoundFunc::OfFresh(*std::move(fresh), nullptr, "fresh", func, bytes));
  }

  static ring::Submission CallOf(uint32_t func, std::vector<uint64_t> words) {
    ring::Submission message;
    message.kind = ring::SubmissionKind::kCall;
    message.func = func;
    message.words = static_cast<uint8_t>(words.size());
    for (size_t i = 0; i < words.size() && i < message.payload.size(); ++i) {
      message.payload[i] = words[i];
    }
    return message;
  }
  // Rings where that is needed.
  uint64_t Submit(const ring::Submission& message) {
    const uint64_t number = client.Submit(message);
    Flush();
    return number;
  }
  void Flush() {
    if (client.Flush()) {
      ring::RingDoorbell(doorbell_);
    }
  }
  // As a client cancels: the word, then the bell.
  void Cancel(uint64_t number) {
    client.Cancel(number);
    ring::RingDoorbell(doorbell_);
  }
  // Sleeps for it. False: none for a long time.
  bool Wait(ring::Completion& answer) { return WaitAsleep(client, answer); }

  ring::ClientEnd client;
  std::atomic<uint32_t> violations{0};
  std::atomic<uint32_t> traps{0};

 private:
  uint32_t BindIt(absl::StatusOr<std::unique_ptr<daemon::BoundFunc>> func) {
    WASMD_CHECK(func.ok(), "a harness's function cannot be bound");
    const absl::StatusOr<uint32_t> number = channel_->Bind(*std::move(func));
    WASMD_CHECK(number.ok());
    return *number;
  }

  HarnessEngine& engine_;
  daemon::WorkerPool* const pool_;
  std::shared_ptr<daemon::Channel> channel_;
  int doorbell_ = -1;
};

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_CHANNEL_HARNESS_H_
