// poll_oneoff: waits for clocks and descriptors with one ppoll, beside the interrupt.

#include <poll.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/wasi/abi.h"
#include "engine/wasi/context.h"
#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/transfer.h"

namespace wasmd::engine {
namespace {

// Bounds what one call may allocate here: a guest has at most max_open_files to wait for, twice,
// and some clocks.
constexpr uint32_t kMaxSubscriptions = 16384;
constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint64_t KernelMonotonicNs() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t SaturatingAdd(uint64_t a, uint64_t b) {
  return a > kNever - b ? kNever : a + b;
}
uint64_t SaturatingSub(uint64_t a, uint64_t b) {
  return a < b ? 0 : a - b;
}

struct Waiting {
  abi::Subscription subscription;
  bool ready = false;
  uint64_t deadline_ns = kNever;  // Of a clock, by the kernel's monotonic clock.
  size_t polled = 0;              // Index of a descriptor's pollfd, or 0: it is the interrupt's.
  bool tells_hangup = false;      // A reader of a pipe finds the end by reading.
  bool hangup = false;
};

// The events of one descriptor. What never waits is ready, as POSIX's poll has it for regular
// files.
bool Subscribe(const Descriptor* descriptor, Waiting& waiting, std::vector<pollfd>& polled) {
  const bool read = waiting.subscription.tag == abi::kEventFdRead;
  const bool fits =
      descriptor != nullptr &&
      (descriptor->kind == DescriptorKind::kFile || descriptor->kind == DescriptorKind::kSocket ||
       descriptor->kind == (read ? DescriptorKind::kInput : DescriptorKind::kOutput));
  if (!fits) {
    return false;
  }
  int fd = -1;
  short events = POLLIN;  // Streams' ready_fd() polls readable in both directions.
  if (descriptor->input != nullptr) {
    fd = descriptor->input->ready_fd();
  } else if (descriptor->output != nullptr) {
    fd = descriptor->output->ready_fd();
  } else if (descriptor->may_block) {
    fd = descriptor->fd.get();
    events = read ? POLLIN : POLLOUT;
  }
  if (fd < 0) {
    waiting.ready = true;
    return true;
  }
  waiting.tells_hangup = !read || descriptor->kind == DescriptorKind::kSocket;
  waiting.polled = polled.size();
  polled.push_back({fd, events, 0});
  return true;
}

}  // namespace

Answer WasiContext::PollOneoff(Guest& guest, uint32_t subscriptions, uint32_t events,
                               uint32_t count, uint32_t out) {
  if (count == 0) {
    return Errno::kInval;  // It would wait for ever.
  }
  std::span<std::byte> in_range;
  std::span<std::byte> out_range;
  if (!guest.Range(subscriptions, uint64_t{count} * sizeof(abi::Subscription), in_range,
                   alignof(abi::Subscription)) ||
      !guest.Range(events, uint64_t{count} * sizeof(abi::Event), out_range, alignof(abi::Event))) {
    return guest.fault();
  }
  if (count > kMaxSubscriptions) {
    return Errno::kNomem;
  }
  std::vector<Waiting> waiting(count);
  std::vector<pollfd> polled = {{guest.interrupt_fd(), POLLIN, 0}};
  uint64_t deadline_ns = kNever;
  bool ready = false;
  const uint64_t start_ns = KernelMonotonicNs();
  for (uint32_t i = 0; i < count; ++i) {
    Waiting& one = waiting[i];
    if (!guest.Load(uint64_t{subscriptions} + i * sizeof(abi::Subscription), one.subscription)) {
      return guest.fault();
    }
    const abi::Subscription& subscription = one.subscription;
    if (subscription.tag == abi::kEventClock) {
      if (subscription.id > abi::kClockMonotonic ||
          (subscription.flags & ~abi::kClockAbstime) != 0) {
        return Errno::kInval;
      }
      const bool absolute = (subscription.flags & abi::kClockAbstime) != 0;
      const uint64_t wait_ns = absolute
                                   ? SaturatingSub(subscription.timeout, NowNs(subscription.id))
                                   : subscription.timeout;
      one.deadline_ns = SaturatingAdd(start_ns, wait_ns);
      deadline_ns = std::min(deadline_ns, one.deadline_ns);
    } else if (subscription.tag == abi::kEventFdRead || subscription.tag == abi::kEventFdWrite) {
      if (!Subscribe(descriptors_.Find(subscription.id), one, polled)) {
        return Errno::kBadf;  // For all of them, as in wasmtime.
      }
      ready = ready || one.ready;
    } else {
      return Errno::kInval;
    }
  }

  // One look at everything, even if something is ready already, so that ready descriptors are told
  // together.
  while (true) {
    const uint64_t now_ns = KernelMonotonicNs();
    const uint64_t left_ns = ready ? 0 : SaturatingSub(deadline_ns, now_ns);
    const timespec timeout = {static_cast<time_t>(left_ns / kNsPerSecond),
                              static_cast<long>(left_ns % kNsPerSecond)};
    const int result = ::ppoll(polled.data(), polled.size(),
                               deadline_ns == kNever && !ready ? nullptr : &timeout, nullptr);
    if (result < 0 && errno != EINTR) {
      return ErrnoOfHost(errno);
    }
    if (result < 0 && guest.interrupted()) {
      return Answer::Interrupted();
    }
    if (result >= 0 && polled[0].revents != 0) {
      return Answer::Interrupted();
    }
    const uint64_t then_ns = KernelMonotonicNs();
    for (Waiting& one : waiting) {
      if (one.deadline_ns <= then_ns && one.deadline_ns != kNever) {
        one.ready = true;
      }
      if (result > 0 && one.polled != 0 && polled[one.polled].revents != 0) {
        one.ready = true;
        one.hangup = one.tells_hangup && (polled[one.polled].revents & (POLLHUP | POLLERR)) != 0;
      }
      ready = ready || one.ready;
    }
    if (ready) {
      break;
    }
  }

  uint32_t stored = 0;
  for (const Waiting& one : waiting) {
    if (!one.ready) {
      continue;
    }
    abi::Event event = {};
    event.userdata = one.subscription.userdata;
    event.type = one.subscription.tag;
    if (one.subscription.tag != abi::kEventClock) {
      event.nbytes = 1;  // "Some", as wasmtime says; counting would cost a call each.
      event.flags = one.hangup ? abi::kEventHangup : 0;
    }
    if (!guest.Store(uint64_t{events} + stored * sizeof(abi::Event), event)) {
      return guest.fault();
    }
    ++stored;
  }
  return guest.Store(out, stored) ? Answer(Errno::kSuccess) : guest.fault();
}

}  // namespace wasmd::engine
