// What ring_floor and ring_probe measure with, so that both measure alike: a cheap clock, figures,
// a window of calls in flight.
#ifndef WASMD_TESTS_BENCH_RING_MEASURE_H_
#define WASMD_TESTS_BENCH_RING_MEASURE_H_

#include <sched.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"

namespace wasmd::bench {

[[noreturn]] inline void Die(const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, message.c_str());
  std::exit(1);
}

inline void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) {
    Die("cannot run on CPU " + std::to_string(cpu));
  }
}

inline void SleepNs(uint64_t ns) {
  const timespec time{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  static_cast<void>(::nanosleep(&time, nullptr));
}

// Ticks of the CPU's clock, which is read in a few nanoseconds; CLOCK_MONOTONIC takes as long as a
// tenth of what is measured.
class TickClock {
 public:
  TickClock() {
    const uint64_t ns = ring::MonotonicNs();
    const uint64_t ticks = Now();
    SleepNs(20'000'000);
    const uint64_t elapsed = ring::MonotonicNs() - ns;
    ns_per_tick_ = static_cast<double>(elapsed) / static_cast<double>(Now() - ticks);
  }
  static uint64_t Now() { return __rdtsc(); }
  double Ns(uint64_t ticks) const { return static_cast<double>(ticks) * ns_per_tick_; }

 private:
  double ns_per_tick_ = 1;
};

// Flat JSON on stdout.
class Figures {
 public:
  ~Figures() { std::printf("{%s}\n", text_.c_str()); }
  Figures() = default;
  Figures(const Figures&) = delete;
  Figures& operator=(const Figures&) = delete;

  void Add(const std::string& name, double value) {
    char number[64];
    std::snprintf(number, sizeof(number), "%.3f", value);
    text_ += (text_.empty() ? "\"" : ", \"") + name + "\": " + number;
  }
  // NAME_p50_ns and NAME_p99_ns.
  void AddPercentiles(const std::string& name, std::vector<uint64_t> ticks,
                      const TickClock& clock) {
    if (ticks.empty()) {
      Die("nothing was measured");
    }
    std::ranges::sort(ticks);
    Add(name + "_p50_ns", clock.Ns(ticks[ticks.size() / 2]));
    Add(name + "_p99_ns", clock.Ns(ticks[ticks.size() * 99 / 100]));
  }

 private:
  std::string text_;
};

// Times each call by one reading of the clock, the end of the one being the start of the next.
template <typename Call>
std::vector<uint64_t> TimeEach(size_t warm_up, size_t count, const Call& call) {
  std::vector<uint64_t> ticks(count);
  for (size_t i = 0; i < warm_up; ++i) {
    call();
  }
  uint64_t start = TickClock::Now();
  for (uint64_t& taken : ticks) {
    call();
    const uint64_t end = TickClock::Now();
    taken = end - start;
    start = end;
  }
  return ticks;
}

// The same with a pause before each.
template <typename Call>
std::vector<uint64_t> TimeEachAfterPause(uint64_t pause_ns, size_t count, const Call& call) {
  std::vector<uint64_t> ticks(count);
  for (uint64_t& taken : ticks) {
    SleepNs(pause_ns);
    const uint64_t start = TickClock::Now();
    call();
    taken = TickClock::Now() - start;
  }
  return ticks;
}

// Calls a second of run(), which makes `calls`; once before, unmeasured.
template <typename Run>
double RatePerSecond(uint64_t calls, const Run& run) {
  run();
  const uint64_t start = ring::MonotonicNs();
  run();
  return static_cast<double>(calls) * 1e9 / static_cast<double>(ring::MonotonicNs() - start);
}

// `calls` of which at most `window` are in flight, half a window submitted and half of one taken at
// a time. encode(n) gives a submission, done(n, completion) takes its answer, flush() comes after
// each half, wait() where there is nothing to take.
template <typename Encode, typename Done, typename Flush, typename Wait>
void RunWindow(ring::ClientEnd& end, uint64_t window, uint64_t calls, const Encode& encode,
               const Done& done, const Flush& flush, const Wait& wait) {
  const uint64_t half = std::max<uint64_t>(window / 2, 1);
  uint64_t submitted = 0;
  uint64_t taken = 0;
  while (taken < calls) {
    const uint64_t until = std::min({calls, submitted + half, taken + window});
    for (; submitted < until; ++submitted) {
      end.Submit(encode(submitted));
    }
    flush();
    const uint64_t wanted = submitted == calls ? calls : submitted - std::min(half, submitted);
    for (; taken < wanted; ++taken) {
      ring::Completion completion;
      while (!end.Take(completion)) {
        wait();
      }
      done(taken, completion);
    }
  }
}

// Byte strings of kBytes, in and out, each call of a window at a place of its own in the arena.
inline constexpr uint64_t kBytes = 1024;

class BytesCalls {
 public:
  BytesCalls(const ring::SegmentView& view, uint64_t window, uint32_t func)
      : arena_(view.arena()), window_(window), func_(func), input_(kBytes), output_(kBytes) {
    for (size_t i = 0; i < kBytes; ++i) {
      input_[i] = static_cast<std::byte>(i * 7);
    }
    if (window * 2 * kBytes > view.geometry().arena_bytes) {
      Die("the arena is too small");
    }
  }

  ring::Submission Encode(uint64_t number) {
    const uint64_t place = number % window_ * 2 * kBytes;
    std::copy(input_.begin(), input_.end(), arena_ + place);
    ring::Submission message;
    message.kind = ring::SubmissionKind::kCallBytes;
    message.words = 4;
    message.func = func_;
    message.tag = static_cast<uint32_t>(number);
    message.payload = {place, kBytes, place + kBytes, kBytes};
    return message;
  }
  void Done(uint64_t number, const ring::Completion& completion) {
    if (completion.kind != ring::CompletionKind::kReturned || completion.detail != kBytes) {
      Die("a call on byte strings failed: kind " +
          std::to_string(static_cast<int>(completion.kind)) + ", code " +
          std::to_string(completion.code));
    }
    const std::byte* const from = arena_ + number % window_ * 2 * kBytes + kBytes;
    std::copy(from, from + kBytes, output_.begin());
    if (output_[kBytes - 1] != input_[kBytes - 1]) {
      Die("a call on byte strings gave other bytes");
    }
  }

 private:
  std::byte* arena_;
  uint64_t window_;
  uint32_t func_;
  std::vector<std::byte> input_;
  std::vector<std::byte> output_;
};

// What one of many clients got done, together with the others.
inline void AddMany(Figures& figures, const std::string& name, const std::vector<uint64_t>& calls,
                    double seconds) {
  uint64_t sum = 0;
  for (const uint64_t count : calls) {
    sum += count;
  }
  const double mean = static_cast<double>(sum) / static_cast<double>(calls.size());
  figures.Add(name + "_per_s", static_cast<double>(sum) / seconds);
  figures.Add(name + "_slowest_over_mean",
              static_cast<double>(*std::ranges::min_element(calls)) / mean);
}

}  // namespace wasmd::bench

#endif  // WASMD_TESTS_BENCH_RING_MEASURE_H_
