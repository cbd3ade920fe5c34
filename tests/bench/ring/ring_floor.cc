// ring_floor MODE …: what the ring, and the kernel, take with no daemon behind them: the floors of
// `scripts/bench.sh ring`. The other side is a process of its own, forked, that answers what it
// reads. Prints flat JSON. CLIENT and SERVER are CPUs.
//
//   rtt CLIENT SERVER       one message at a time, both sides spinning
//   window CLIENT SERVER    messages a second, 64, 128 and 256 in flight
//   bytes CLIENT SERVER     the same with 1 KiB each way through the arena, which the server copies
//                           to a buffer of its own and back; 64 in flight
//   futex CPU               a futex each way, both on one CPU
//   wake CLIENT SERVER      an eventfd to a server that sleeps in epoll_wait, a futex back; both
//   slept
//                           for milliseconds before
//   attach                  connect, ask, get a ready segment and an eventfd, map; the server is
//   asleep echo CLIENTS SERVERS    threads of clients with 64 messages in flight each, and threads
//   that sweep
//                           their rings, at most 8 messages a visit; who has nothing to do spins
//                           for at most 50 us and sleeps
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "proto/ring/attach.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"
#include "tests/bench/ring/measure.h"

namespace wasmd::bench {
namespace {

constexpr uint32_t kWarmUp = 20'000;
constexpr uint32_t kRoundTrips = 200'000;
constexpr uint64_t kWindowCalls = 2'000'000;
constexpr uint64_t kBytesCalls = 500'000;
constexpr uint32_t kSleepingRounds = 60;
constexpr uint64_t kPauseNs = 3'000'000;
constexpr uint64_t kWindowOfMany = 64;
constexpr uint64_t kSecondsOfMany = 2;
constexpr int kCallsPerVisit = 8;
constexpr uint64_t kMaxSpinNs = 50'000;
constexpr uint64_t kSleepLimitNs = 100'000'000;

// A formatted segment in a memfd, every page of it there.
struct Segment {
  int fd = -1;
  ring::SegmentView view;
};

std::byte* Map(int fd, size_t bytes, int flags) {
  void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
  if (base == MAP_FAILED) {
    Die("mmap: " + std::string(std::strerror(errno)));
  }
  return static_cast<std::byte*>(base);
}

Segment MakeSegment(uint32_t slots, uint64_t arena_bytes) {
  const ring::Geometry geometry{.slots = slots, .arena_bytes = arena_bytes};
  Segment segment;
  segment.fd = ::memfd_create("ring_floor", MFD_CLOEXEC);
  if (segment.fd < 0 ||
      ::ftruncate(segment.fd, static_cast<off_t>(geometry.segment_bytes())) != 0) {
    Die("no memfd");
  }
  segment.view =
      ring::SegmentView(Map(segment.fd, geometry.segment_bytes(), MAP_POPULATE), geometry);
  ring::FormatSegment(segment.view, 0);
  return segment;
}

// A forked process that runs until this object is gone.
class Server {
 public:
  explicit Server(const std::function<void()>& main) : pid_(::fork()) {
    if (pid_ < 0) {
      Die("no process");
    }
    if (pid_ == 0) {
      static_cast<void>(::prctl(PR_SET_PDEATHSIG, SIGKILL));
      main();
      ::_exit(0);
    }
  }
  ~Server() {
    static_cast<void>(::kill(pid_, SIGKILL));
    static_cast<void>(::waitpid(pid_, nullptr, 0));
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  pid_t pid_;
};

ring::Completion AnswerTo(const ring::Submission& message) {
  ring::Completion answer;
  answer.kind = ring::CompletionKind::kReturned;
  answer.tag = message.tag;
  return answer;
}

[[noreturn]] void ServeSpinning(const ring::SegmentView& view) {
  ring::DaemonEnd end(view);
  while (true) {
    ring::Submission message;
    if (end.Take(message)) {
      end.Complete(AnswerTo(message));
    }
  }
}

[[noreturn]] void ServeBytes(const ring::SegmentView& view) {
  ring::DaemonEnd end(view);
  std::vector<std::byte> buffer(kBytes);
  while (true) {
    ring::Submission message;
    if (!end.Take(message)) {
      continue;
    }
    const auto call = std::bit_cast<ring::ArenaCall>(message.payload);
    const uint64_t arena_bytes = view.geometry().arena_bytes;
    ring::Completion answer = AnswerTo(message);
    answer.kind = ring::CompletionKind::kFailed;
    if (call.input_bytes <= buffer.size() && call.output_capacity >= call.input_bytes &&
        ring::IsInArena(call.input_offset, call.input_bytes, arena_bytes) &&
        ring::IsInArena(call.output_offset, call.output_capacity, arena_bytes)) {
      // From the client's CPU, while the input comes.
      for (uint64_t at = 0; at < call.input_bytes; at += ring::kSlotBytes) {
        asm volatile("prefetchw %0" : : "m"(view.arena()[call.output_offset + at]));
      }
      std::memcpy(buffer.data(), view.arena() + call.input_offset, call.input_bytes);
      std::memcpy(view.arena() + call.output_offset, buffer.data(), call.input_bytes);
      answer.kind = ring::CompletionKind::kReturned;
      answer.detail = call.input_bytes;
    }
    end.Complete(answer);
  }
}

void RoundTrips(Figures& figures, int client_cpu, int server_cpu) {
  const Segment segment = MakeSegment(ring::kDefaultSlots, 0);
  const Server server([&] {
    Pin(server_cpu);
    ServeSpinning(segment.view);
  });
  Pin(client_cpu);
  const TickClock clock;
  ring::ClientEnd end(segment.view);
  ring::Submission message;
  message.kind = ring::SubmissionKind::kCall;
  figures.AddPercentiles("floor_rtt",
                         TimeEach(kWarmUp, kRoundTrips,
                                  [&] {
                                    end.Submit(message);
                                    ring::Completion completion;
                                    while (!end.Take(completion)) {
                                    }
                                  }),
                         clock);
}

void Windows(Figures& figures, int client_cpu, int server_cpu) {
  Pin(client_cpu);
  for (const uint32_t window : {64U, 128U, 256U}) {
    const Segment segment = MakeSegment(window, 0);
    const Server server([&] {
      Pin(server_cpu);
      ServeSpinning(segment.view);
    });
    ring::ClientEnd end(segment.view);
    ring::Submission message;
    message.kind = ring::SubmissionKind::kCall;
    const double rate = RatePerSecond(kWindowCalls, [&] {
      RunWindow(
          end, window, kWindowCalls, [&](uint64_t) { return message; },
          [](uint64_t, const ring::Completion&) {}, [] {}, [] {});
    });
    figures.Add("floor_window_" + std::to_string(window) + "_per_s", rate);
  }
}

void Bytes(Figures& figures, int client_cpu, int server_cpu) {
  constexpr uint64_t kWindow = 64;
  const Segment segment = MakeSegment(kWindow, ring::kDefaultArenaBytes);
  const Server server([&] {
    Pin(server_cpu);
    ServeBytes(segment.view);
  });
  Pin(client_cpu);
  ring::ClientEnd end(segment.view);
  BytesCalls calls(segment.view, kWindow, 0);
  figures.Add("floor_bytes1k_per_s", RatePerSecond(kBytesCalls, [&] {
                RunWindow(
                    end, kWindow, kBytesCalls,
                    [&](uint64_t number) { return calls.Encode(number); },
                    [&](uint64_t number, const ring::Completion& completion) {
                      calls.Done(number, completion);
                    },
                    [] {}, [] {});
              }));
}

// Two words that two processes share, each the number of the last message of its side.
struct alignas(64) Words {
  std::atomic<uint32_t> there{0};
  alignas(64) std::atomic<uint32_t> back{0};
};

Words* SharedWords() {
  return new (Map(-1, sizeof(Words), MAP_ANONYMOUS)) Words;
}

void WaitWhile(const std::atomic<uint32_t>& word, uint32_t seen) {
  while (word.load(std::memory_order_acquire) == seen) {
    ring::FutexWait(word, seen, kSleepLimitNs);
  }
}

void Futex(Figures& figures, int cpu) {
  Words& words = *SharedWords();
  Pin(cpu);
  const Server server([&] {
    for (uint32_t number = 0;; ++number) {
      WaitWhile(words.there, number);
      words.back.store(number + 1, std::memory_order_release);
      ring::FutexWake(words.back);
    }
  });
  const TickClock clock;
  uint32_t number = 0;
  figures.AddPercentiles("futex_one_cpu",
                         TimeEach(1000, 20'000,
                                  [&] {
                                    words.there.store(number + 1, std::memory_order_release);
                                    ring::FutexWake(words.there);
                                    WaitWhile(words.back, number);
                                    ++number;
                                  }),
                         clock);
}

void Watch(int epoll, int fd, void* data) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = data;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    Die("no epoll");
  }
}

void Wake(Figures& figures, int client_cpu, int server_cpu) {
  Words& words = *SharedWords();
  const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const Server server([&] {
    Pin(server_cpu);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    Watch(epoll, bell, nullptr);
    while (true) {
      epoll_event event{};
      static_cast<void>(::epoll_wait(epoll, &event, 1, -1));
      words.back.store(words.there.load(std::memory_order_acquire), std::memory_order_release);
      ring::FutexWake(words.back);
    }
  });
  Pin(client_cpu);
  const TickClock clock;
  uint32_t number = 0;
  const auto send = [&] {
    words.there.store(number + 1, std::memory_order_release);
    ring::RingDoorbell(bell);
  };
  figures.AddPercentiles("wake",
                         TimeEachAfterPause(kPauseNs, kSleepingRounds,
                                            [&] {
                                              send();
                                              WaitWhile(words.back, number);
                                              ++number;
                                            }),
                         clock);
  figures.AddPercentiles(
      "wake_spinning",
      TimeEachAfterPause(kPauseNs, kSleepingRounds,
                         [&] {
                           send();
                           while (words.back.load(std::memory_order_acquire) == number) {
                             ring::CpuRelax();
                           }
                           ++number;
                         }),
      clock);
}

// ---- Attaching

constexpr size_t kAttachBytes = sizeof(ring::AttachFrameHeader) + sizeof(ring::AttachRequest);
constexpr size_t kAttachedBytes = sizeof(ring::AttachFrameHeader) + sizeof(ring::AttachReply);

// One descriptor more than there is room for would be an error.
union Descriptors {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int) * ring::kAttachDescriptors)> bytes;
};

void SendAttached(int connection, int segment, int bell) {
  std::array<char, kAttachedBytes> reply{};
  iovec part{reply.data(), reply.size()};
  Descriptors control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * ring::kAttachDescriptors);
  const std::array<int, ring::kAttachDescriptors> fds{segment, bell};
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof(fds));
  static_cast<void>(::sendmsg(connection, &message, MSG_NOSIGNAL));
}

std::array<int, ring::kAttachDescriptors> ReceiveAttached(int connection) {
  std::array<char, kAttachedBytes> reply{};
  iovec part{reply.data(), reply.size()};
  Descriptors control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  if (::recvmsg(connection, &message, MSG_CMSG_CLOEXEC) != static_cast<ssize_t>(reply.size()) ||
      CMSG_FIRSTHDR(&message) == nullptr) {
    Die("no reply");
  }
  std::array<int, ring::kAttachDescriptors> fds{};
  std::memcpy(fds.data(), CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
  return fds;
}

void Attach(Figures& figures) {
  const Segment segment = MakeSegment(ring::kDefaultSlots, ring::kDefaultArenaBytes);
  const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;  // An abstract name of the kernel's choice.
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof(sa_family_t);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::listen(listener, 16) != 0) {
    Die("no socket");
  }
  length = sizeof(address);
  static_cast<void>(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length));
  const Server server([&] {
    while (true) {
      const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      std::array<char, kAttachBytes> request{};
      if (::recv(connection, request.data(), request.size(), MSG_WAITALL) > 0) {
        SendAttached(connection, segment.fd, bell);
      }
      ::close(connection);
    }
  });
  const TickClock clock;
  const size_t bytes = segment.view.geometry().segment_bytes();
  std::vector<uint64_t> ticks;
  for (uint32_t i = 0; i < kSleepingRounds; ++i) {
    SleepNs(kPauseNs);
    const uint64_t start = TickClock::Now();
    const int connection = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const std::array<char, kAttachBytes> request{};
    if (::connect(connection, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
        ::send(connection, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
      Die("no connection");
    }
    const std::array<int, ring::kAttachDescriptors> fds = ReceiveAttached(connection);
    std::byte* const base = Map(fds[ring::kSegmentDescriptor], bytes, 0);
    static_cast<void>(::madvise(base, segment.view.geometry().arena_offset(), MADV_POPULATE_WRITE));
    ticks.push_back(TickClock::Now() - start);
    ::munmap(base, bytes);
    ::close(fds[ring::kSegmentDescriptor]);
    ::close(fds[ring::kDoorbellDescriptor]);
    ::close(connection);
  }
  figures.AddPercentiles("floor_attach", std::move(ticks), clock);
}

// ---- Many clients

struct SharedRing {
  Segment segment;
  int bell = -1;
};

class EchoThread {
 public:
  explicit EchoThread(std::span<const SharedRing> rings) : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (const SharedRing& shared : rings) {
      ends_.emplace_back(shared.segment.view);
      Watch(epoll_, shared.bell, nullptr);
    }
  }

  [[noreturn]] void Serve() {
    while (true) {
      if (!Sweep() && !Spin()) {
        Sleep();
      }
    }
  }

 private:
  bool Sweep() {
    bool found = false;
    for (ring::DaemonEnd& end : ends_) {
      ring::Submission message;
      int calls = 0;
      while (calls < kCallsPerVisit && end.Take(message)) {
        end.Complete(AnswerTo(message));
        ++calls;
      }
      if (calls != 0) {
        found = true;
        if (end.TakeSleeper() == ring::kAsleepFutex) {
          ring::FutexWake(end.client_wait_word());
        }
      }
    }
    return found;
  }
  bool HasWork() const {
    return std::ranges::any_of(ends_,
                               [](const ring::DaemonEnd& end) { return end.HasSubmission(); });
  }
  // Not where a client waits for this very CPU.
  bool Spin() {
    const uint32_t cpu = ring::CurrentCpu();
    for (const ring::DaemonEnd& end : ends_) {
      end.TellCpu(cpu);
      if (end.client_cpu() == cpu) {
        return HasWork();
      }
    }
    const uint64_t until = ring::MonotonicNs() + kMaxSpinNs;
    while (ring::MonotonicNs() < until) {
      if (HasWork()) {
        return true;
      }
      ring::CpuRelax();
    }
    return false;
  }
  void Sleep() {
    for (const ring::DaemonEnd& end : ends_) {
      end.MarkAsleep();
    }
    ring::StoreLoadFence();
    if (!HasWork()) {
      epoll_event event{};
      static_cast<void>(::epoll_wait(epoll_, &event, 1, -1));
    }
    for (const ring::DaemonEnd& end : ends_) {
      end.MarkAwake();
    }
  }

  int epoll_;
  std::vector<ring::DaemonEnd> ends_;
};

// Until `stop`; returns the calls made.
uint64_t CallEcho(const SharedRing& shared, const std::atomic<bool>& stop) {
  ring::ClientEnd end(shared.segment.view);
  ring::Submission message;
  message.kind = ring::SubmissionKind::kCall;
  uint64_t calls = 0;
  const auto wait = [&] {
    const uint32_t cpu = ring::CurrentCpu();
    end.TellCpu(cpu);
    if (end.daemon_cpu() != cpu) {
      const uint64_t until = ring::MonotonicNs() + kMaxSpinNs;
      while (ring::MonotonicNs() < until) {
        if (end.HasCompletion()) {
          return;
        }
        ring::CpuRelax();
      }
    }
    if (end.PrepareSleep(ring::kAsleepFutex)) {
      ring::FutexWait(end.wait_word(), ring::kAsleepFutex, kSleepLimitNs);
      end.Awake();
    }
  };
  constexpr uint64_t kCallsAtATime = 16 * kWindowOfMany;
  while (!stop.load(std::memory_order_relaxed)) {
    RunWindow(
        end, kWindowOfMany, kCallsAtATime, [&](uint64_t) { return message; },
        [&](uint64_t, const ring::Completion&) { ++calls; },
        [&] {
          if (end.Flush()) {
            ring::RingDoorbell(shared.bell);
          }
        },
        wait);
  }
  return calls;
}

void Echo(Figures& figures, size_t clients, size_t servers) {
  std::vector<SharedRing> rings;
  for (size_t i = 0; i < clients; ++i) {
    rings.push_back({MakeSegment(kWindowOfMany, 0), ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)});
  }
  const size_t each = (clients + servers - 1) / servers;
  const Server server([&] {
    std::vector<std::jthread> threads;
    for (size_t first = 0; first < clients; first += each) {
      threads.emplace_back([&, first] {
        EchoThread(std::span(rings).subspan(first, std::min(each, clients - first))).Serve();
      });
    }
  });
  std::atomic<bool> stop = false;
  std::vector<uint64_t> calls(clients);
  const uint64_t start = ring::MonotonicNs();
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < clients; ++i) {
      threads.emplace_back([&, i] { calls[i] = CallEcho(rings[i], stop); });
    }
    SleepNs(kSecondsOfMany * 1'000'000'000);
    stop = true;
  }
  AddMany(figures, "echo" + std::to_string(clients), calls,
          static_cast<double>(ring::MonotonicNs() - start) / 1e9);
}

int Main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  std::array<int, 2> numbers{};
  for (int i = 2; i < argc && i < 4; ++i) {
    numbers[static_cast<size_t>(i - 2)] = std::atoi(argv[i]);
  }
  Figures figures;
  if (mode == "rtt" && argc == 4) {
    RoundTrips(figures, numbers[0], numbers[1]);
  } else if (mode == "window" && argc == 4) {
    Windows(figures, numbers[0], numbers[1]);
  } else if (mode == "bytes" && argc == 4) {
    Bytes(figures, numbers[0], numbers[1]);
  } else if (mode == "futex" && argc == 3) {
    Futex(figures, numbers[0]);
  } else if (mode == "wake" && argc == 4) {
    Wake(figures, numbers[0], numbers[1]);
  } else if (mode == "attach" && argc == 2) {
    Attach(figures);
  } else if (mode == "echo" && argc == 4 && numbers[0] > 0 && numbers[1] > 0) {
    Echo(figures, static_cast<size_t>(numbers[0]), static_cast<size_t>(numbers[1]));
  } else {
    std::fprintf(
        stderr,
        "usage: ring_floor rtt|window|bytes|wake CLIENT SERVER | futex CPU | attach | echo "
        "CLIENTS SERVERS\n");
    return 64;
  }
  return 0;
}

}  // namespace
}  // namespace wasmd::bench

int main(int argc, char** argv) {
  return wasmd::bench::Main(argc, argv);
}
