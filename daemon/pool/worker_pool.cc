// How the parts move. A Worker is a thread; a Lane is a set of rings with what it takes to wait for
// them. worker.lane and lane.sources change under the pool's lock. The worker that serves a lane
// has a copy of the list, which it renews when the lane's version says so. It touches lane and
// sources without a lock while it has the lane; it can lose it only inside of a visit, while a
// claim holds it there (visit.h), and finds out right behind the visit.
#include "daemon/pool/worker_pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "daemon/config/text.h"
#include "daemon/observe/log.h"
#include "daemon/pool/alarm.h"
#include "daemon/pool/asymmetric_fence.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/pthread_start.h"
#include "daemon/pool/ring_source.h"
#include "daemon/pool/visit.h"
#include "daemon/pool/watchdog.h"
#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::daemon {

using engine::MutexLock;
using engine::UniqueFd;

// What one worker serves at a time.
class Lane {
 public:
  explicit Lane(uint32_t number) : index(number) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // Edges: an eventfd need not be read.
    event.data.ptr = nullptr;
    WASMD_CHECK(epoll && wake && ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) == 0,
                "no descriptors for a worker");
  }

  const uint32_t index;
  const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  const UniqueFd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<bool> asleep{false};
  std::atomic<uint64_t> version{1};  // Of `sources`, and of which are served.
  // Under the pool's lock.
  std::vector<std::shared_ptr<RingSource>> sources;
};

namespace {

constexpr size_t kEventsPerWait = 64;
// Rings of a doorbell, one after the other, with no message there: an honest client that meets a
// waking worker rings once in vain for each message.
constexpr uint32_t kMaxVainRings = 1000;
// Rings of a stuck call's bell that the watchdog answers between two ticks: a client that goes on
// ringing has its cancel seen by the next tick.
constexpr uint32_t kBellsPerTick = 8;
// Polls before a clock is read for the first time, about 0.2 us in all.
constexpr uint32_t kQuickPolls = 128;
constexpr uint32_t kPollsPerClock = 32;
constexpr uint64_t kMinSpinNs = 1'000;

std::vector<uint32_t> UsableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<uint32_t> cpus;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) {
        cpus.push_back(cpu);
      }
    }
  }
  if (cpus.empty()) {
    cpus.push_back(0);
  }
  return cpus;
}

// Of a thread that lives.
uint64_t CpuNs(pthread_t thread) {
  clockid_t clock = 0;
  timespec time{};
  if (::pthread_getcpuclockid(thread, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    return 0;
  }
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::string LimitText(absl::Duration limit, std::string_view what) {
  return limit == absl::ZeroDuration() ? "" : StrCat(absl::FormatDuration(limit), what);
}

void Pin(uint32_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  static_cast<void>(::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set));
}

}  // namespace

struct WorkerPool::Worker {
  Worker(WorkerPool& owner, const AsymmetricFence& fence, Alarm& alarm)
      : pool(owner), visit(fence, &alarm) {}

  WorkerPool& pool;
  pthread_t thread{};
  Visit visit;
  Lane* lane = nullptr;  // Under the pool's lock, or the worker's own while it has it.
  std::atomic<bool> lane_lost{false};  // Set under a claim.
  // The worker's own.
  std::vector<std::shared_ptr<RingSource>> sources;
  uint64_t version = 0;
  uint64_t spin_ns = 0;
  bool shares_cpu = false;
  // The watchdog's own.
  uint64_t last_sequence = 0;  // At the last tick.
  Visit::Seen looked_at;
  Visit::Seen ended;  // What it has interrupted.
  // The call that the last tick met, when a tick met it first, and the thread's CPU time then.
  Visit::Seen timed;
  uint64_t timed_since_ns = 0;
  uint64_t timed_cpu_ns = 0;
  UniqueFd bell;       // Of the channel in whose visit it is stuck; a descriptor of our own, since
                       // the client's keeps the description in the set of those listened to.
  uint32_t bells = 0;  // Since the last tick.
};

WorkerPool::WorkerPool(WorkerPoolOptions options)
    : options_(std::move(options)),
      call_time_limit_(LimitText(options_.max_call_time, " (--max-call-time)")),
      cpu_time_limit_(LimitText(options_.max_cpu_time, " of CPU time (--max-cpu-time)")),
      cpus_(UsableCpus()),
      watchdog_(*this, static_cast<uint64_t>(absl::ToInt64Nanoseconds(options_.tick))) {
  WASMD_CHECK(options_.workers >= 1 && options_.max_workers >= options_.workers);
  for (uint32_t i = 0; i < options_.workers; ++i) {
    lanes_.push_back(std::make_unique<Lane>(i));
  }
}

WorkerPool::~WorkerPool() {
  const MutexLock lock(mutex_);
  WASMD_CHECK(workers_.empty() && ended_.empty(), "Shutdown comes before the destructor");
}

// ---- Starting and ending

bool WorkerPool::StartWorker(Lane* lane) {
  JoinEnded();
  if (workers_.size() >= options_.max_workers) {
    return false;
  }
  const auto worker = std::make_shared<Worker>(*this, fence_, watchdog_.alarm());
  worker->lane = lane;
  workers_.push_back(worker);
  threads_version_.fetch_add(1, std::memory_order_release);
  if (StartPthread(options_.stack_bytes, &WorkerPool::WorkerMain, worker.get(), worker->thread)) {
    return true;
  }
  workers_.pop_back();
  return false;
}

bool WorkerPool::StartAll() {
  if (started_ || shutdown_) {
    return started_ && !shutdown_;
  }
  if (!watchdog_.Start()) {
    return false;
  }
  started_ = true;
  size_t with_worker = 0;
  while (with_worker < lanes_.size() && StartWorker(lanes_[with_worker].get())) {
    ++with_worker;
  }
  // Fewer do where the system gives no more threads; one is what a daemon needs.
  WASMD_CHECK(with_worker > 0, "the system gives no thread for a worker");
  lanes_.resize(with_worker);
  threads_version_.fetch_add(1, std::memory_order_release);
  watchdog_.StartTicking();
  return true;
}

void WorkerPool::Prestart() {
  const MutexLock lock(mutex_);
  static_cast<void>(StartAll());
}

void WorkerPool::JoinEnded() {
  // They have left the lock for the last time, so joining waits for a few instructions of theirs.
  for (const std::shared_ptr<Worker>& worker : ended_) {
    static_cast<void>(::pthread_join(worker->thread, nullptr));
  }
  ended_.clear();
}

void WorkerPool::Shutdown() {
  std::vector<std::shared_ptr<RingSource>> sources;  // Released without the lock.
  std::deque<std::function<void()>> leftover;
  {
    const MutexLock lock(mutex_);
    shutdown_ = true;
    stopping_.store(true, std::memory_order_relaxed);
    for (const std::unique_ptr<Lane>& lane : lanes_) {
      for (std::shared_ptr<RingSource>& source : lane->sources) {
        source->MarkClosed();
        source->lane_ = nullptr;
        sources.push_back(std::move(source));
      }
      lane->sources.clear();
      Tell(*lane);
    }
    spare_ready_.NotifyAll();
    while (!workers_.empty()) {
      thread_ended_.Wait(mutex_);
    }
    JoinEnded();
    leftover.swap(tasks_);
    started_ = false;
  }
  // Posted by the last that ran, when the other workers had ended.
  for (const std::function<void()>& task : leftover) {
    task();
  }
  watchdog_.Stop();
  watched_.clear();
}

// ---- Tasks

absl::Status WorkerPool::Submit(std::function<void()> task) {
  const MutexLock lock(mutex_);
  if (shutdown_) {
    return absl::UnavailableError("wasmd is shutting down");
  }
  if (!StartAll()) {
    return absl::ResourceExhaustedError("the system gives no more threads");
  }
  if (tasks_.size() >= size_t{options_.max_queued} + options_.workers) {
    return absl::ResourceExhaustedError(StrCat("no more than ",
                                               options_.max_queued + options_.workers,
                                               " at one time (", options_.limit_name, ")"));
  }
  Enqueue(std::move(task));
  return absl::OkStatus();
}

void WorkerPool::SubmitAdmitted(std::function<void()> task) {
  const MutexLock lock(mutex_);
  Enqueue(std::move(task));
}

void WorkerPool::Enqueue(std::function<void()> task) {
  tasks_.push_back(std::move(task));
  tasks_waiting_.store(static_cast<uint32_t>(tasks_.size()), std::memory_order_relaxed);
  // Workers that are awake look by themselves, and the watchdog sees to those that are stuck. One
  // that sleeps is woken up all the same: it may be sooner.
  ring::StoreLoadFence();
  WakeALane();
}

void WorkerPool::WakeALane() {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (lane->asleep.load(std::memory_order_relaxed)) {
      WakeLane(*lane);
      return;
    }
  }
}

bool WorkerPool::RunTask(Worker& worker) {
  std::function<void()> task;
  {
    const MutexLock lock(mutex_);
    if (tasks_.empty()) {
      return false;
    }
    task = std::move(tasks_.front());
    tasks_.pop_front();
    tasks_waiting_.store(static_cast<uint32_t>(tasks_.size()), std::memory_order_relaxed);
  }
  worker.visit.Begin(nullptr);
  task();
  task = nullptr;  // What it holds is released inside the visit, which may take long.
  static_cast<void>(worker.visit.End());
  return true;
}

// ---- Rings

void WorkerPool::WakeLane(Lane& lane) {
  // The exchange is a full fence behind what the lane's worker is to see. Pairs with the one in
  // Sleep.
  if (lane.asleep.exchange(false, std::memory_order_seq_cst)) {
    ring::RingDoorbell(lane.wake.get());
  }
}

void WorkerPool::Tell(Lane& lane) {
  lane.version.fetch_add(1, std::memory_order_release);
  WakeLane(lane);
}

absl::Status WorkerPool::Attach(std::shared_ptr<RingSource> source) {
  const MutexLock lock(mutex_);
  if (shutdown_) {
    return absl::UnavailableError("wasmd is shutting down");
  }
  if (!StartAll()) {
    return absl::ResourceExhaustedError("the system gives no more threads");
  }
  Lane* const least = std::ranges::min_element(lanes_, {}, [](const std::unique_ptr<Lane>& lane) {
                        return lane->sources.size();
                      })->get();
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = source.get();
  if (::epoll_ctl(least->epoll.get(), EPOLL_CTL_ADD, source->doorbell_, &event) != 0) {
    return absl::ResourceExhaustedError("the system watches no more doorbells");
  }
  source->lane_ = least;
  least->sources.push_back(std::move(source));
  Tell(*least);
  return absl::OkStatus();
}

void WorkerPool::Detach(const std::shared_ptr<RingSource>& source, engine::InterruptReason reason) {
  source->MarkClosed();
  {
    const MutexLock lock(mutex_);
    if (Lane* const lane = std::exchange(source->lane_, nullptr)) {
      std::erase(lane->sources, source);
      static_cast<void>(::epoll_ctl(lane->epoll.get(), EPOLL_CTL_DEL, source->doorbell_, nullptr));
      Tell(*lane);
    }
  }
  InterruptVisits(source.get(), reason);
}

void WorkerPool::Unpark(RingSource& source) {
  const MutexLock lock(mutex_);
  --source.parked_;
  source.unparked_.store(true, std::memory_order_relaxed);
  if (source.lane_ != nullptr) {
    Tell(*source.lane_);
  }
}

void WorkerPool::Park(RingSource& source) {
  const MutexLock lock(mutex_);
  ++source.parked_;
  if (source.lane_ != nullptr) {
    source.lane_->version.fetch_add(1, std::memory_order_release);
  }
}

void WorkerPool::ReturnSource(RingSource& source) {
  const MutexLock lock(mutex_);
  source.elsewhere_ = false;
  if (source.lane_ != nullptr) {
    Tell(*source.lane_);
  }
}

void WorkerPool::InterruptVisits(const RingSource* only, engine::InterruptReason reason) {
  // A worker that begins a call from here on sees that its source is closed; one that has begun is
  // seen below.
  fence_.Heavy();
  for (const std::shared_ptr<Worker>& worker : AllWorkers()) {
    const RingSource* const source = worker->visit.source();
    if (!worker->visit.Peek().in_visit() || source == nullptr ||
        (only != nullptr && source != only)) {
      continue;
    }
    const VisitClaim claim(worker->visit);
    RingSource* const held = worker->visit.source();
    if (claim.seen().in_visit() && claim.seen().call != 0 && held != nullptr &&
        (only == nullptr || held == only)) {
      InterruptCall(*worker, *held, claim, {.reason = reason});
    }
  }
}

void WorkerPool::InterruptCall(const Worker& worker, RingSource& source, const VisitClaim& claim,
                               const Interruption& why) {
  claim.LendPriority(worker.thread);
  source.InterruptCall(claim.seen().call - 1, why);
}

void WorkerPool::InterruptAll(engine::InterruptReason reason) {
  InterruptVisits(nullptr, reason);
}

// ---- A worker

void* WorkerPool::WorkerMain(void* worker) {
  auto* self = static_cast<Worker*>(worker);
  self->pool.Run(*self);
  return nullptr;
}

void WorkerPool::Run(Worker& worker) {
  static_cast<void>(::pthread_setname_np(::pthread_self(), "wasmd-worker"));
  if (options_.on_thread_start) {
    options_.on_thread_start();
  }
  do {
    if (options_.pin) {
      Pin(cpus_[worker.lane->index % cpus_.size()]);
    }
    worker.version = 0;
    worker.spin_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(options_.max_spin));
    Serve(worker);
    worker.sources.clear();
  } while (WaitForLane(worker));

  const MutexLock lock(mutex_);
  const auto self = std::ranges::find(workers_, &worker, &std::shared_ptr<Worker>::get);
  ended_.push_back(std::move(*self));
  workers_.erase(self);
  threads_version_.fetch_add(1, std::memory_order_release);
  thread_ended_.NotifyAll();
}

bool WorkerPool::WaitForLane(Worker& worker) {
  const MutexLock lock(mutex_);
  if (shutdown_) {
    return false;
  }
  worker.lane_lost.store(false, std::memory_order_relaxed);
  spares_.push_back(&worker);
  const uint64_t timeout = static_cast<uint64_t>(absl::ToInt64Nanoseconds(options_.spare_timeout));
  const uint64_t until = ring::MonotonicNs() + timeout;
  while (worker.lane == nullptr && !shutdown_) {
    const uint64_t now = ring::MonotonicNs();
    if (now >= until) {
      break;
    }
    static_cast<void>(spare_ready_.WaitFor(mutex_, std::chrono::nanoseconds(until - now)));
  }
  std::erase(spares_, &worker);
  return worker.lane != nullptr && !shutdown_;
}

void WorkerPool::Serve(Worker& worker) {
  while (true) {
    const bool found = Sweep(worker);
    if (worker.lane_lost.load(std::memory_order_relaxed)) [[unlikely]] {
      return;
    }
    if (!found && stopping_.load(std::memory_order_relaxed) &&
        tasks_waiting_.load(std::memory_order_relaxed) == 0) {
      return;
    }
    if (!found && !Spin(worker)) {
      Sleep(worker);
    }
  }
}

bool WorkerPool::Sweep(Worker& worker) {
  if (worker.lane->version.load(std::memory_order_acquire) != worker.version) [[unlikely]] {
    RefreshSources(worker);
  }
  bool found = false;
  for (const std::shared_ptr<RingSource>& source : worker.sources) {
    if (source->WantsVisit()) {
      VisitSource(worker, *source);
      found = true;
      if (worker.lane_lost.load(std::memory_order_relaxed)) [[unlikely]] {
        return true;
      }
    }
  }
  if (tasks_waiting_.load(std::memory_order_relaxed) != 0) {
    found = RunTask(worker) || found;
  }
  return found;
}

void WorkerPool::Rouse(RingSource& source) {
  source.marked_asleep_ = false;
  source.end().MarkAwake();
  source.end().TellCpu(ring::CurrentCpu());
}

void WorkerPool::VisitSource(Worker& worker, RingSource& source) {
  if (source.marked_asleep_) [[unlikely]] {
    Rouse(source);
  }
  source.vain_rings_ = 0;
  source.unparked_.store(false, std::memory_order_relaxed);
  worker.visit.Begin(&source);
  const bool goes_on = source.Visit(worker.visit, options_.calls_per_visit);
  static_cast<void>(worker.visit.End());
  if (!goes_on) [[unlikely]] {
    Park(source);
  }
  if (worker.lane_lost.load(std::memory_order_relaxed)) [[unlikely]] {
    ReturnSource(source);
  }
}

void WorkerPool::RefreshSources(Worker& worker) {
  std::vector<std::shared_ptr<RingSource>> served;
  {
    const MutexLock lock(mutex_);
    worker.version = worker.lane->version.load(std::memory_order_relaxed);
    for (const std::shared_ptr<RingSource>& source : worker.lane->sources) {
      if (!source->elsewhere_ && source->parked_ <= 0) {
        served.push_back(source);
      }
    }
  }
  worker.sources.swap(served);
}

bool WorkerPool::HasWork(const Worker& worker) const {
  for (const std::shared_ptr<RingSource>& source : worker.sources) {
    if (source->WantsVisit()) {
      return true;
    }
  }
  return tasks_waiting_.load(std::memory_order_relaxed) != 0 ||
         worker.lane->version.load(std::memory_order_acquire) != worker.version ||
         stopping_.load(std::memory_order_relaxed);
}

// A client that waits on this very CPU does not get it while we spin.
bool WorkerPool::SharesCpu(const Worker& worker) {
  const uint32_t cpu = ring::CurrentCpu();
  return cpu != ring::kNoCpu &&
         std::ranges::any_of(worker.sources, [cpu](const std::shared_ptr<RingSource>& source) {
           return !source->marked_asleep_ && source->end().client_cpu() == cpu;
         });
}

bool WorkerPool::Spin(Worker& worker) const {
  if (cpus_.size() == 1 || worker.spin_ns == 0) {
    return false;
  }
  if (!worker.shares_cpu) {
    const uint32_t polls = kQuickPolls / (1 + static_cast<uint32_t>(worker.sources.size() / 8));
    for (uint32_t i = 0; i < polls; ++i) {
      if (HasWork(worker)) {
        return true;
      }
    }
  }
  worker.shares_cpu = SharesCpu(worker);
  if (worker.shares_cpu) {
    return false;
  }
  const uint64_t start = ring::MonotonicNs();
  uint64_t now = start;
  while (now - start < worker.spin_ns) {
    for (uint32_t i = 0; i < kPollsPerClock; ++i) {
      if (HasWork(worker)) {
        return true;
      }
      ring::CpuRelax();
    }
    now = ring::MonotonicNs();
  }
  return false;
}

void WorkerPool::Sleep(Worker& worker) {
  Lane& lane = *worker.lane;
  for (const std::shared_ptr<RingSource>& source : worker.sources) {
    if (!source->marked_asleep_) {
      source->marked_asleep_ = true;
      source->end().MarkAsleep();
    }
  }
  lane.asleep.store(true, std::memory_order_relaxed);
  // One for all rings, the queue and the version. Pairs with ClientEnd::Flush, Enqueue and
  // WakeLane.
  ring::StoreLoadFence();
  std::array<epoll_event, kEventsPerWait> events{};
  int count = 0;
  const uint64_t asleep_at = ring::MonotonicNs();
  if (!HasWork(worker)) {
    count = ::epoll_wait(lane.epoll.get(), events.data(), events.size(), -1);
    const uint64_t slept = ring::MonotonicNs() - asleep_at;
    const auto max_spin = static_cast<uint64_t>(absl::ToInt64Nanoseconds(options_.max_spin));
    // Had it gone on spinning, it would have saved itself the sleep: so it does the next time.
    // Otherwise it has spun in vain, and tries it for half as long.
    worker.spin_ns =
        slept < max_spin ? max_spin : std::max(worker.spin_ns / 2, std::min(kMinSpinNs, max_spin));
  }
  // Pairs with the fence in Watchdog::StopTickingIfQuiet.
  lane.asleep.exchange(false, std::memory_order_seq_cst);
  if (!watchdog_.is_ticking()) {
    watchdog_.StartTicking();
  }
  for (int i = 0; i < count; ++i) {
    const void* const rung = events[static_cast<size_t>(i)].data.ptr;
    const auto found =
        std::ranges::find(worker.sources, rung, [](const std::shared_ptr<RingSource>& source) {
          return static_cast<const void*>(source.get());
        });
    if (found == worker.sources.end() || (*found)->is_closed()) {
      continue;
    }
    RingSource& source = **found;
    // Who rang has taken the mark, even if its message was served before: it is to be set again
    // before the next sleep.
    Rouse(source);
    if (!source.end().HasSubmission() && ++source.vain_rings_ > kMaxVainRings) {
      source.Violate("it rings its doorbell again and again without a message");
    }
  }
  worker.shares_cpu = SharesCpu(worker);
}

// ---- The watchdog's thread

void WorkerPool::RefreshWatched() {
  if (threads_version_.load(std::memory_order_acquire) == watched_version_) [[likely]] {
    return;
  }
  const MutexLock lock(mutex_);
  watched_version_ = threads_version_.load(std::memory_order_relaxed);
  for (const std::shared_ptr<Worker>& worker : watched_) {
    if (std::ranges::find(workers_, worker) == workers_.end()) {
      ForgetBell(*worker);
    }
  }
  watched_ = workers_;
  watched_lanes_.clear();
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    watched_lanes_.push_back(lane.get());
  }
}

bool WorkerPool::AnyAwake() {
  RefreshWatched();
  return std::ranges::any_of(watched_,
                             [](const std::shared_ptr<Worker>& worker) {
                               return worker->visit.Peek().in_visit();
                             }) ||
         std::ranges::any_of(watched_lanes_, [](const Lane* lane) {
           return !lane->asleep.load(std::memory_order_relaxed);
         });
}

uint64_t WorkerPool::LookAround(const Watchdog::Look& look) {
  RefreshWatched();
  uint64_t earliest = Alarm::kNever;
  for (const std::shared_ptr<Worker>& worker : watched_) {
    earliest = std::min(earliest, Inspect(*worker, look));
  }
  return earliest;
}

uint64_t WorkerPool::Inspect(Worker& worker, const Watchdog::Look& look) {
  const Visit::Seen seen = worker.visit.Peek();
  const bool is_new = seen.sequence != worker.last_sequence;
  if (look.is_tick) {
    worker.last_sequence = seen.sequence;
    worker.bells = 0;
  }
  if (is_new && worker.bell) {
    ForgetBell(worker);
  }
  if (!seen.in_visit()) {
    return Alarm::kNever;
  }
  const bool is_stuck = look.is_tick && !is_new;
  const bool is_overdue = seen.IsOverdue(look.now_ns) && seen != worker.ended;
  const bool is_rung = look.is_bell && worker.bell;
  if (is_rung && ++worker.bells > kBellsPerTick) {
    ForgetBell(worker);
  }
  if (is_stuck || is_overdue || is_rung) {
    const VisitClaim claim(worker.visit);
    if (claim.seen().sequence != seen.sequence) {
      return Alarm::kNever;  // What it began since then has looked at the alarm.
    }
    if (RingSource* const source = worker.visit.source(); source != nullptr) {
      EndIfDue(worker, *source, claim, look.now_ns);
      if (is_stuck) {
        ListenToBell(worker, *source);
        // An answer of this visit may have met a client that was falling asleep. Once for each
        // call: what was answered before it can be seen by now.
        if (worker.looked_at != claim.seen()) {
          worker.looked_at = claim.seen();
          source->WakeClient();
        }
      }
    }
    if (is_stuck) {
      HandOver(worker);
    }
  }
  return seen.call != 0 && seen.deadline_ns > look.now_ns ? seen.deadline_ns : Alarm::kNever;
}

void WorkerPool::EndIfDue(Worker& worker, RingSource& source, const VisitClaim& claim,
                          uint64_t now_ns) {
  const Visit::Seen& seen = claim.seen();
  if (seen.call == 0 || seen == worker.ended) {
    return;
  }
  Interruption why;
  if (seen.IsOverdue(now_ns)) {
    why.reason = engine::InterruptReason::kDeadline;
  } else if (source.end().IsCancelled(seen.call - 1)) {
    why.reason = engine::InterruptReason::kCancel;
  } else if (why.limit = LimitPassed(worker, seen, now_ns); !why.limit.empty()) {
    why.reason = engine::InterruptReason::kDeadline;
  } else {
    return;
  }
  worker.ended = seen;
  InterruptCall(worker, source, claim, why);
}

std::string_view WorkerPool::LimitPassed(Worker& worker, const Visit::Seen& seen,
                                         uint64_t now_ns) const {
  if (call_time_limit_.empty() && cpu_time_limit_.empty()) {
    return {};
  }
  const uint64_t cpu_ns = cpu_time_limit_.empty() ? 0 : CpuNs(worker.thread);
  if (seen != worker.timed) {
    worker.timed = seen;
    worker.timed_since_ns = now_ns;
    worker.timed_cpu_ns = cpu_ns;
    return {};
  }
  const auto has_passed = [](uint64_t since_ns, uint64_t at_ns, absl::Duration limit) {
    return absl::Nanoseconds(static_cast<int64_t>(at_ns - since_ns)) >= limit;
  };
  if (!call_time_limit_.empty() &&
      has_passed(worker.timed_since_ns, now_ns, options_.max_call_time)) {
    return call_time_limit_;
  }
  if (!cpu_time_limit_.empty() && has_passed(worker.timed_cpu_ns, cpu_ns, options_.max_cpu_time)) {
    return cpu_time_limit_;
  }
  return {};
}

void WorkerPool::ListenToBell(Worker& worker, const RingSource& source) {
  if (worker.bell) {
    return;
  }
  worker.bell.reset(::fcntl(source.doorbell_, F_DUPFD_CLOEXEC, 0));
  if (worker.bell) {
    watchdog_.Listen(worker.bell.get());
  }
}

void WorkerPool::ForgetBell(Worker& worker) {
  if (worker.bell) {
    watchdog_.Forget(worker.bell.get());
    worker.bell.reset();
  }
}

void WorkerPool::HandOver(Worker& worker) {
  const MutexLock lock(mutex_);
  if (worker.lane == nullptr || shutdown_) {
    return;
  }
  Lane& lane = *worker.lane;
  RingSource* const kept = worker.visit.source();
  // The worker cannot touch its sources now, so we may look into them.
  const bool waited_for =
      !tasks_.empty() || lane.version.load(std::memory_order_relaxed) != worker.version ||
      std::ranges::any_of(worker.sources, [kept](const std::shared_ptr<RingSource>& source) {
        return source.get() != kept && source->WantsVisit();
      });
  if (!waited_for) {
    return;
  }
  if (!spares_.empty()) {
    Worker* const spare = spares_.back();
    spares_.pop_back();
    spare->lane = &lane;
    spare_ready_.NotifyAll();
  } else if (!StartWorker(&lane)) {
    if (!std::exchange(told_full_, true)) {
      Log(LogLevel::kWarning, "calls wait for calls that take long: no more threads",
          {{"limit", options_.max_workers}, {"option", "--max-workers"}});
    }
    // The worker that was woken up for a task may be this one.
    if (!tasks_.empty()) {
      WakeALane();
    }
    return;
  }
  told_full_ = false;
  if (kept != nullptr && kept->lane_ == &lane) {
    kept->elsewhere_ = true;
  }
  worker.lane = nullptr;
  worker.lane_lost.store(true, std::memory_order_relaxed);
  lane.version.fetch_add(1, std::memory_order_release);
  hand_overs_.fetch_add(1, std::memory_order_relaxed);
}

// ---- For statistics

std::vector<std::shared_ptr<WorkerPool::Worker>> WorkerPool::AllWorkers() const {
  const MutexLock lock(mutex_);
  return workers_;
}

bool WorkerPool::InRingCall() const {
  return std::ranges::any_of(AllWorkers(), [](const std::shared_ptr<Worker>& worker) {
    return worker->visit.Peek().call != 0;
  });
}

uint32_t WorkerPool::threads() const {
  const MutexLock lock(mutex_);
  return static_cast<uint32_t>(workers_.size());
}

uint32_t WorkerPool::queued() const {
  return tasks_waiting_.load(std::memory_order_relaxed);
}

uint32_t WorkerPool::sources() const {
  const MutexLock lock(mutex_);
  size_t count = 0;
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    count += lane->sources.size();
  }
  return static_cast<uint32_t>(count);
}

}  // namespace wasmd::daemon
