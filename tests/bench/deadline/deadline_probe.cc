// How late what is overdue or cancelled is stopped, on each way, beside a control thread that
// sleeps to the same instants with the same priority: deadline_probe [SAMPLES [HOGS]].
//
// Everything is in one process: the scheduler with its pool and watchdog, channels whose client is
// this program's main thread, guests that loop for ever. HOGS processes keep the CPUs busy. Prints
// one JSON object, flat: WAY_late_p50_us, _p99_us, _max_us.
//   ring     a call over a ring, from its deadline to its answer at the client
//   call     a call that the scheduler runs, from the instant at which its guest is to be stopped
//   run      likewise a program
//   cancel   a call, from Invocation::Interrupt to the guest's end
//   ring_cancel   a call over a ring, from the client's cancel and bell to its answer
//   gone     a call over a ring whose client has gone, from the pool's notice to the call's end
//   shutdown one of each, from InterruptAll to the end of the last
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "daemon/config/options.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/scheduler/scheduler.h"
#include "engine/base/check.h"
#include "engine/base/thread_priority.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"
#include "tests/support/channel_harness.h"

namespace wasmd::bench {
namespace {

using daemon::Invocation;
using daemon::Scheduler;
using ring::MonotonicNs;

constexpr std::string_view kGuest = R"((module (memory (export "memory") 1)
  (func (export "_start") (loop $l (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1))) (br $l)))
  (func (export "spin") (loop $l (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1))) (br $l)))))";

void SleepUntil(uint64_t at_ns) {
  const timespec at{static_cast<time_t>(at_ns / 1'000'000'000),
                    static_cast<long>(at_ns % 1'000'000'000)};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
  }
}

class Lateness {
 public:
  void Add(uint64_t due_ns, uint64_t at_ns) {
    us_.push_back((static_cast<double>(at_ns) - static_cast<double>(due_ns)) / 1'000);
  }
  void Print(std::string_view way) {
    std::ranges::sort(us_);
    const auto at = [&](double share) {
      return us_[static_cast<size_t>(share * static_cast<double>(us_.size() - 1))];
    };
    std::printf(
        "  \"%.*s_late_p50_us\": %.1f, \"%.*s_late_p99_us\": %.1f, \"%.*s_late_max_us\": %.1f,\n",
        static_cast<int>(way.size()), way.data(), at(0.5), static_cast<int>(way.size()), way.data(),
        at(0.99), static_cast<int>(way.size()), way.data(), us_.back());
  }

 private:
  std::vector<double> us_;
};

// Sleeps to each instant that it is told, on a thread of its own.
class Control {
 public:
  Control() : thread_([this] { Run(); }) {}
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  ~Control() {
    Tell(~uint64_t{0});
    thread_.join();
  }
  void Tell(uint64_t at_ns) {
    next_ns_.store(at_ns);
    next_ns_.notify_one();
  }
  // Once it has woken up for the last one.
  Lateness& late() {
    SleepUntil(MonotonicNs() + 50'000'000);
    return late_;
  }

 private:
  void Run() {
    static_cast<void>(engine::RaiseThreadToRealTime());
    uint64_t last = 0;
    while (true) {
      next_ns_.wait(last);
      last = next_ns_.load();
      if (last == ~uint64_t{0}) {
        return;
      }
      SleepUntil(last);
      late_.Add(last, MonotonicNs());
    }
  }

  std::atomic<uint64_t> next_ns_{0};
  Lateness late_;
  std::thread thread_;
};

class Probe {
 public:
  explicit Probe(int samples) : samples_(samples) {
    daemon::Options options;
    options.workers = 2;
    options.max_workers = 64;
    options.max_runs = 64;
    scheduler_.emplace(options);
    scheduler_->Prestart();
    module_ = engine_.Load(kGuest);
    // Before the first sample: what is compiled and started once.
    Ring(5);
    Scheduled(&Scheduler::StartCall, false, 5);
    Scheduled(&Scheduler::StartRun, true, 5);
    static_cast<void>(engine::RaiseThreadToRealTime());
  }
  ~Probe() { scheduler_->Shutdown(); }

  void Run() {
    Ring(samples_).Print("ring");
    Scheduled(&Scheduler::StartCall, false, samples_).Print("call");
    Scheduled(&Scheduler::StartRun, true, samples_).Print("run");
    Cancel(samples_).Print("cancel");
    RingCancel(samples_).Print("ring_cancel");
    Gone(samples_).Print("gone");
    Shutdown(samples_).Print("shutdown");
    control_.late().Print("control");
  }

 private:
  uint64_t SomeNs() { return 3'000'000 + random_() % 4'000'000; }

  Lateness Ring(int samples) {
    Lateness late;
    tests::ChannelHarness channel(engine_, &scheduler_->workers_pool());
    const uint32_t spin = channel.BindFresh(module_, "spin");
    for (int i = 0; i < samples; ++i) {
      ring::Submission call = tests::ChannelHarness::CallOf(spin, {});
      call.deadline_ns = MonotonicNs() + SomeNs();
      control_.Tell(call.deadline_ns);
      channel.Submit(call);
      SleepUntil(call.deadline_ns - 200'000);
      const bool began = scheduler_->workers_pool().InRingCall();
      ring::Completion answer;
      WASMD_CHECK(channel.Wait(answer) && answer.kind == ring::CompletionKind::kFailed);
      const uint64_t at_ns = MonotonicNs();
      if (began) {
        late.Add(call.deadline_ns, at_ns);
      }
    }
    return late;
  }

  struct Pending {
    std::shared_ptr<Invocation> invocation = std::make_shared<Invocation>(daemon::InvocationInfo{});
    std::atomic<bool> began{false};
    uint64_t ended_ns = 0;
    absl::Notification over;
  };
  void Start(absl::Status (Scheduler::*start)(Scheduler::Work), bool as_program,
             absl::Time deadline, Pending& pending) {
    Scheduler::Work work;
    work.invocation = pending.invocation;
    work.deadline = deadline;
    work.run = [this, as_program, &pending]() -> std::function<void()> {
      pending.began.store(true);
      pending.began.notify_one();
      const auto& env = engine_.engine().runtime();
      if (as_program) {
        WASMD_CHECK(
            daemon::RunGuest(env, tests::HarnessLimits(), module_, {}, *pending.invocation).ok());
      } else {
        WASMD_CHECK(daemon::CallFreshGuest(env, tests::HarnessLimits(), module_, {"spin", {}},
                                           *pending.invocation)
                        .ok());
      }
      pending.ended_ns = MonotonicNs();
      return [&pending] { pending.over.Notify(); };
    };
    work.dropped = [&pending] {
      pending.ended_ns = MonotonicNs();
      pending.over.Notify();
    };
    WASMD_CHECK(((*scheduler_).*start)(std::move(work)).ok());
  }

  Lateness Scheduled(absl::Status (Scheduler::*start)(Scheduler::Work), bool as_program,
                     int samples) {
    Lateness late;
    for (int i = 0; i < samples; ++i) {
      const absl::Duration remaining = absl::Nanoseconds(SomeNs());
      Pending pending;
      const uint64_t due_ns = MonotonicNs() + static_cast<uint64_t>(absl::ToInt64Nanoseconds(
                                                  remaining - daemon::ReplyMargin(remaining)));
      control_.Tell(due_ns);
      Start(start, as_program, absl::Now() + remaining, pending);
      pending.over.WaitForNotification();
      late.Add(due_ns, pending.ended_ns);
    }
    return late;
  }

  Lateness Cancel(int samples) {
    Lateness late;
    for (int i = 0; i < samples; ++i) {
      Pending pending;
      Start(&Scheduler::StartCall, false, absl::InfiniteFuture(), pending);
      pending.began.wait(false);
      SleepUntil(MonotonicNs() + SomeNs());
      const uint64_t due_ns = MonotonicNs();
      pending.invocation->Interrupt(engine::InterruptReason::kCancel);
      pending.over.WaitForNotification();
      late.Add(due_ns, pending.ended_ns);
    }
    return late;
  }

  Lateness RingCancel(int samples) {
    Lateness late;
    tests::ChannelHarness channel(engine_, &scheduler_->workers_pool());
    const uint32_t spin = channel.BindFresh(module_, "spin");
    for (int i = 0; i < samples; ++i) {
      const uint64_t number = channel.Submit(tests::ChannelHarness::CallOf(spin, {}));
      while (!scheduler_->workers_pool().InRingCall()) {
        SleepUntil(MonotonicNs() + 100'000);
      }
      SleepUntil(MonotonicNs() + SomeNs());
      const uint64_t due_ns = MonotonicNs();
      channel.Cancel(number);
      ring::Completion answer;
      WASMD_CHECK(channel.Wait(answer) && answer.kind == ring::CompletionKind::kFailed);
      late.Add(due_ns, MonotonicNs());
    }
    return late;
  }

  Lateness Gone(int samples) {
    Lateness late;
    daemon::WorkerPool& pool = scheduler_->workers_pool();
    for (int i = 0; i < samples; ++i) {
      tests::ChannelHarness channel(engine_, &pool);
      const uint32_t spin = channel.BindFresh(module_, "spin");
      channel.Submit(tests::ChannelHarness::CallOf(spin, {}));
      SleepUntil(MonotonicNs() + SomeNs());
      const uint64_t due_ns = MonotonicNs();
      pool.Detach(channel.shared(), engine::InterruptReason::kClientGone);
      while (pool.InRingCall()) {
        // Not a spin: this thread has a CPU for itself, maybe the guest's.
        SleepUntil(MonotonicNs() + 10'000);
      }
      late.Add(due_ns, MonotonicNs());
    }
    return late;
  }

  Lateness Shutdown(int samples) {
    Lateness late;
    for (int i = 0; i < samples; ++i) {
      tests::ChannelHarness channel(engine_, &scheduler_->workers_pool());
      const uint32_t spin = channel.BindFresh(module_, "spin");
      channel.Submit(tests::ChannelHarness::CallOf(spin, {}));
      Pending call;
      Pending program;
      Start(&Scheduler::StartCall, false, absl::InfiniteFuture(), call);
      Start(&Scheduler::StartRun, true, absl::InfiniteFuture(), program);
      call.began.wait(false);
      program.began.wait(false);
      while (!scheduler_->workers_pool().InRingCall()) {
        SleepUntil(MonotonicNs() + 100'000);
      }
      SleepUntil(MonotonicNs() + SomeNs());
      const uint64_t due_ns = MonotonicNs();
      scheduler_->InterruptAll(engine::InterruptReason::kShutdown);
      ring::Completion answer;
      WASMD_CHECK(channel.Wait(answer) && answer.kind == ring::CompletionKind::kFailed);
      const uint64_t answered_ns = MonotonicNs();
      call.over.WaitForNotification();
      program.over.WaitForNotification();
      late.Add(due_ns, std::max({answered_ns, call.ended_ns, program.ended_ns}));
    }
    return late;
  }

  const int samples_;
  tests::HarnessEngine engine_;
  std::optional<Scheduler> scheduler_;
  std::shared_ptr<engine::LoadedModule> module_;
  std::mt19937_64 random_{1};
  Control control_;
};

// Processes that use whatever CPU time they get, one pinned to each CPU in turn. They end with us.
class Hogs {
 public:
  explicit Hogs(int count) {
    cpu_set_t all;
    CPU_ZERO(&all);
    WASMD_CHECK(::sched_getaffinity(0, sizeof(all), &all) == 0);
    std::vector<size_t> cpus;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &all)) {
        cpus.push_back(cpu);
      }
    }
    for (int i = 0; i < count; ++i) {
      const pid_t child = ::fork();
      WASMD_CHECK(child >= 0);
      if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpus[static_cast<size_t>(i) % cpus.size()], &one);
        static_cast<void>(::sched_setaffinity(0, sizeof(one), &one));
        while (true) {
          asm volatile("");
        }
      }
      children_.push_back(child);
    }
  }
  Hogs(const Hogs&) = delete;
  Hogs& operator=(const Hogs&) = delete;
  ~Hogs() {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
  }

 private:
  std::vector<pid_t> children_;
};

int Main(int argc, char** argv) {
  const int samples = argc > 1 ? std::atoi(argv[1]) : 300;
  const int hogs = argc > 2 ? std::atoi(argv[2]) : 0;
  if (samples < 1 || hogs < 0 || hogs > 1000) {
    std::fprintf(stderr, "usage: deadline_probe [SAMPLES [HOGS]]\n");
    return 2;
  }
  const Hogs busy(hogs);
  std::printf("{\n");
  Probe(samples).Run();
  std::printf("  \"real_time\": %s\n}\n", engine::RaiseThreadToRealTime() ? "true" : "false");
  return 0;
}

}  // namespace
}  // namespace wasmd::bench

int main(int argc, char** argv) {
  return wasmd::bench::Main(argc, argv);
}
