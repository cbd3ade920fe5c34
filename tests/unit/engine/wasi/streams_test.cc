// Standard streams of each kind, waiting, back-pressure, and that an interrupt ends every wait.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "engine/wasi/abi.h"
#include "engine/wasi/byte_queue.h"
#include "tests/unit/engine/wasi/fixture.h"

namespace wasmd::engine {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

struct Pipe {
  Pipe() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
  UniqueFd read;
  UniqueFd write;
};

class StreamsTest : public WasiTest {
 protected:
  // Runs `wait`, which must be ended by the interrupt, soon after that comes and not before.
  template <typename Wait>
  void ExpectInterrupts(Wait wait) {
    std::atomic<bool> fired = false;
    std::thread other([&] {
      std::this_thread::sleep_for(50ms);
      fired = true;
      Interrupt();
    });
    const Answer answer = wait();
    EXPECT_TRUE(fired) << "it did not wait at all";
    EXPECT_EQ(answer, Answer::Interrupted());
    other.join();
  }
  abi::Subscription Clock(uint64_t timeout_ns, uint32_t clock = abi::kClockMonotonic,
                          uint16_t flags = 0, uint64_t userdata = 1) {
    abi::Subscription subscription = {};
    subscription.userdata = userdata;
    subscription.tag = abi::kEventClock;
    subscription.id = clock;
    subscription.timeout = timeout_ns;
    subscription.flags = flags;
    return subscription;
  }
  abi::Subscription OnFd(uint8_t tag, uint32_t fd, uint64_t userdata = 2) {
    abi::Subscription subscription = {};
    subscription.userdata = userdata;
    subscription.tag = tag;
    subscription.id = fd;
    return subscription;
  }
  Answer Poll(const std::vector<abi::Subscription>& subscriptions,
              std::vector<abi::Event>& events) {
    next_ = 8;
    const auto count = static_cast<uint32_t>(subscriptions.size());
    const uint32_t in = Alloc(static_cast<uint32_t>(count * sizeof(abi::Subscription)));
    std::memcpy(memory().data() + in, subscriptions.data(), count * sizeof(abi::Subscription));
    const uint32_t out = Alloc(static_cast<uint32_t>(count * sizeof(abi::Event)));
    const uint32_t stored = Alloc(4);
    const Answer answer = wasi().PollOneoff(guest(), in, out, count, stored);
    events.clear();
    if (answer.ok()) {
      for (uint32_t i = 0; i < Get<uint32_t>(stored); ++i) {
        events.push_back(Get<abi::Event>(out + i * static_cast<uint32_t>(sizeof(abi::Event))));
      }
    }
    return answer;
  }
};

TEST_F(StreamsTest, NullStreams) {
  Start();
  std::string text;
  EXPECT_EQ(Read(0, 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "");
  uint32_t written = 0;
  EXPECT_EQ(Write(1, "text", &written), Errno::kSuccess);
  EXPECT_EQ(written, 4u);
  EXPECT_EQ(Write(2, "text"), Errno::kSuccess);
  EXPECT_EQ(Write(0, "text"), Errno::kBadf);
  EXPECT_EQ(Read(1, 100, text), Errno::kBadf);
}

TEST_F(StreamsTest, PipesReadWhatIsThereAndThenTheEnd) {
  Pipe in;
  Pipe out;
  WasiOptions options;
  options.stdin_stream = std::move(in.read);
  options.stdout_stream = std::move(out.write);
  Start(std::move(options));
  ASSERT_EQ(::write(in.write.get(), "hello", 5), 5);
  std::string text;
  EXPECT_EQ(Read(0, 3, text), Errno::kSuccess);
  EXPECT_EQ(text, "hel");
  EXPECT_EQ(Read(0, 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "lo");
  in.write.reset();
  EXPECT_EQ(Read(0, 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "");
  EXPECT_EQ(Write(1, "out"), Errno::kSuccess);
  char buffer[8];
  EXPECT_EQ(::read(out.read.get(), buffer, sizeof(buffer)), 3);
}

TEST_F(StreamsTest, AWriteToAPipeIsWholeThoughTheReaderIsSlow) {
  Pipe out;
  const int reader = out.read.get();
  WasiOptions options;
  options.stdout_stream = std::move(out.write);
  Start(std::move(options));
  size_t got = 0;
  std::thread slow([&] {
    char buffer[5000];
    while (got < 200'000) {
      const ssize_t count = ::read(reader, buffer, sizeof(buffer));
      if (count <= 0) {
        break;
      }
      got += static_cast<size_t>(count);
      std::this_thread::sleep_for(100us);
    }
  });
  uint32_t written = 0;
  EXPECT_EQ(Write(1, std::string(200'000, 'x'), &written), Errno::kSuccess);
  EXPECT_EQ(written, 200'000u);
  slow.join();
  EXPECT_EQ(got, 200'000u);
}

TEST_F(StreamsTest, APipeNobodyReadsIsEpipeAndNoSignal) {
  Pipe out;
  out.read.reset();
  WasiOptions options;
  options.stdout_stream = std::move(out.write);
  Start(std::move(options));
  EXPECT_EQ(Write(1, "x"), Errno::kPipe);
  EXPECT_EQ(Write(1, "x"), Errno::kPipe);
}

TEST_F(StreamsTest, InterruptEndsEveryWait) {
  Pipe in;
  Pipe out;
  WasiOptions options;
  options.stdin_stream = std::move(in.read);
  options.stdout_stream = std::move(out.write);
  Start(std::move(options));
  std::string text;
  ExpectInterrupts([&] { return Read(0, 10, text); });
}

TEST_F(StreamsTest, InterruptEndsAWriteIntoAFullPipe) {
  Pipe out;
  WasiOptions options;
  options.stdout_stream = std::move(out.write);
  Start(std::move(options));
  ExpectInterrupts([&] { return Write(1, std::string(200'000, 'x')); });
}

TEST_F(StreamsTest, InterruptEndsSleepsAndPolls) {
  Pipe in;
  WasiOptions options;
  options.stdin_stream = std::move(in.read);
  Start(std::move(options));
  std::vector<abi::Event> events;
  ExpectInterrupts([&] { return Poll({Clock(3'600'000'000'000)}, events); });
  EXPECT_EQ(Poll({OnFd(abi::kEventFdRead, 0)}, events), Answer::Interrupted())
      << "the interrupt stays";
}

TEST_F(StreamsTest, InterruptEndsAReadFromAStream) {
  auto queue = ByteQueue::Create(ByteQueue::GuestEnd::kReads, 16, nullptr);
  ASSERT_TRUE(queue.ok());
  WasiOptions options;
  options.stdin_stream = std::shared_ptr<WasiInputStream>(*queue);
  Start(std::move(options));
  std::string text;
  ExpectInterrupts([&] { return Read(0, 10, text); });
}

TEST_F(StreamsTest, InterruptEndsAWriteToAFullStream) {
  auto queue = ByteQueue::Create(ByteQueue::GuestEnd::kWrites, 16, nullptr);
  ASSERT_TRUE(queue.ok());
  WasiOptions options;
  options.stdout_stream = std::shared_ptr<WasiOutputStream>(*queue);
  Start(std::move(options));
  ExpectInterrupts([&] { return Write(1, std::string(100, 'x')); });
  EXPECT_EQ((*queue)->size_bytes(), 16u);
}

// No signal ends a system call on a regular file: much goes over in pieces.
TEST_F(StreamsTest, InterruptEndsALongTransferInTheMiddle) {
  Start();
  constexpr uint32_t kEntryBytes = 200'000;
  constexpr uint32_t kEntries = 100;  // 20 MB, of the same bytes again and again.
  const uint32_t buffer = Alloc(kEntryBytes);
  std::memset(memory().data() + buffer, 'x', kEntryBytes);
  const uint32_t iovecs =
      PutIovecs(std::vector<abi::Iovec>(kEntries, abi::Iovec{buffer, kEntryBytes}));
  const uint32_t out = Alloc(4);
  const uint32_t fd = MustOpen("long", abi::kOpenCreat, kRead | abi::kRightFdWrite);
  ASSERT_EQ(wasi().FdWrite(guest(), fd, iovecs, kEntries, out), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(out), kEntries * kEntryBytes);
  ASSERT_EQ(wasi().FdPwrite(guest(), fd, iovecs, kEntries, 7, out), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(out), kEntries * kEntryBytes);
  EXPECT_EQ(std::filesystem::file_size(root() / "long"), kEntries * kEntryBytes + 7);
  // What is there, and not more.
  ASSERT_EQ(wasi().FdPread(guest(), fd, iovecs, kEntries, 100, out), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(out), kEntries * kEntryBytes + 7 - 100);
  ASSERT_EQ(wasi().FdPread(guest(), fd, iovecs, kEntries, 1'000'000'000, out), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(out), 0u);
  const uint32_t other = MustOpen("other", abi::kOpenCreat, kRead | abi::kRightFdWrite);
  Interrupt();
  EXPECT_EQ(wasi().FdWrite(guest(), other, iovecs, kEntries, out), Answer::Interrupted());
  EXPECT_EQ(std::filesystem::file_size(root() / "other"), kEntryBytes) << "one piece";
  EXPECT_EQ(wasi().FdRead(guest(), fd, iovecs, kEntries, out), Answer::Interrupted());
}

TEST_F(StreamsTest, AFifoIsWaitedForUnlessNonblocking) {
  ASSERT_EQ(::mkfifo((root() / "fifo").c_str(), 0600), 0);
  const UniqueFd other(::open((root() / "fifo").c_str(), O_RDWR | O_CLOEXEC));
  Start();
  const uint32_t fd = MustOpen("fifo", 0, kRead);
  const uint32_t nonblock = MustOpen("fifo", 0, kRead, abi::kFdNonblock);
  std::string text;
  EXPECT_EQ(Read(nonblock, 10, text), Errno::kAgain);
  ASSERT_EQ(::write(other.get(), "abc", 3), 3);
  EXPECT_EQ(Read(fd, 10, text), Errno::kSuccess);
  EXPECT_EQ(text, "abc");
  ExpectInterrupts([&] { return Read(fd, 10, text); });
}

TEST_F(StreamsTest, ATerminalIsACharacterDevice) {
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) {
    GTEST_SKIP() << "no pseudo terminals here";
  }
  char name[64];
  ASSERT_EQ(::ptsname_r(master.get(), name, sizeof(name)), 0);
  WasiOptions options;
  options.stdin_stream = UniqueFd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  options.stdout_stream = UniqueFd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  Start(std::move(options));
  EXPECT_EQ(wasi().FdFdstatGet(guest(), 0, 16), Errno::kSuccess);
  EXPECT_EQ(Get<abi::Fdstat>(16).filetype, abi::Filetype::kCharacterDevice);
  ASSERT_EQ(::write(master.get(), "line\n", 5), 5);
  std::string text;
  EXPECT_EQ(Read(0, 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "line\n");
  EXPECT_EQ(Write(1, "out"), Errno::kSuccess);
  ExpectInterrupts([&] { return Read(0, 100, text); });
}

TEST_F(StreamsTest, StreamsCarryManyBytesIntactWithinTheirBound) {
  auto in = ByteQueue::Create(ByteQueue::GuestEnd::kReads, 1000, nullptr);
  auto out = ByteQueue::Create(ByteQueue::GuestEnd::kWrites, 700, nullptr);
  ASSERT_TRUE(in.ok() && out.ok());
  WasiOptions options;
  options.stdin_stream = std::shared_ptr<WasiInputStream>(*in);
  options.stdout_stream = std::shared_ptr<WasiOutputStream>(*out);
  Start(std::move(options));
  std::string sent;
  for (int i = 0; sent.size() < 300'000; ++i) {
    sent += std::to_string(i) + ",";
  }
  std::thread feeder([&] {
    std::string_view rest = sent;
    while (!rest.empty()) {
      rest.remove_prefix((*in)->Push(Bytes(rest)));
      EXPECT_LE((*in)->size_bytes(), 1000u);
      std::this_thread::yield();
    }
    (*in)->Close();
  });
  std::string received;
  std::atomic<bool> done = false;
  std::thread drain([&] {
    while (true) {
      const bool last = done;
      const std::string piece = (*out)->Pop(333);
      received += piece;
      if (last && piece.empty()) {
        return;
      }
    }
  });
  std::string text;
  do {
    ASSERT_EQ(Read(0, 4096, text), Errno::kSuccess);
    uint32_t written = 0;
    ASSERT_EQ(Write(1, text, &written), Errno::kSuccess);
    ASSERT_EQ(written, text.size());
  } while (!text.empty());
  done = true;
  feeder.join();
  drain.join();
  EXPECT_EQ(received, sent);
}

TEST_F(StreamsTest, ClosedAndBrokenStreams) {
  auto in = ByteQueue::Create(ByteQueue::GuestEnd::kReads, 100, nullptr);
  auto out = ByteQueue::Create(ByteQueue::GuestEnd::kWrites, 100, nullptr);
  auto err = ByteQueue::Create(ByteQueue::GuestEnd::kWrites, 100, nullptr);
  ASSERT_TRUE(in.ok() && out.ok() && err.ok());
  WasiOptions options;
  options.stdin_stream = std::shared_ptr<WasiInputStream>(*in);
  options.stdout_stream = std::shared_ptr<WasiOutputStream>(*out);
  options.stderr_stream = std::shared_ptr<WasiOutputStream>(*err);
  Start(std::move(options));
  EXPECT_EQ((*in)->Push(Bytes("last")), 4u);
  (*in)->Close();
  EXPECT_EQ((*in)->Push(Bytes("more")), 0u);
  std::string text;
  EXPECT_EQ(Read(0, 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "last") << "what was queued before the end is read";
  EXPECT_EQ(Read(0, 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "");
  (*out)->Close();
  EXPECT_EQ(Write(1, "x"), Errno::kPipe);
  (*err)->Fail();
  EXPECT_EQ(Write(2, "x"), Errno::kIo);
  (*in)->Fail();
  EXPECT_EQ(Read(0, 100, text), Errno::kIo);
}

TEST_F(StreamsTest, TheHostsEndIsToldWhenItIsItsTurn) {
  int turns = 0;
  auto out = ByteQueue::Create(ByteQueue::GuestEnd::kWrites, 8, [&] { ++turns; });
  ASSERT_TRUE(out.ok());
  EXPECT_EQ((*out)->TryWrite(Bytes("abc")).size_bytes, 3u);
  EXPECT_EQ(turns, 1);
  EXPECT_EQ((*out)->TryWrite(Bytes("defghijk")).size_bytes, 5u);
  EXPECT_EQ(turns, 1) << "it was not empty";
  EXPECT_EQ((*out)->TryWrite(Bytes("x")).state, WasiStreamState::kWouldBlock);
  EXPECT_EQ((*out)->Pop(100), "abcdefgh");
  EXPECT_EQ((*out)->Pop(100), "");
  auto in = ByteQueue::Create(ByteQueue::GuestEnd::kReads, 4, [&] { ++turns; });
  ASSERT_TRUE(in.ok());
  EXPECT_EQ((*in)->Push(Bytes("abcdef")), 4u);
  std::byte buffer[2];
  EXPECT_EQ((*in)->TryRead(buffer).size_bytes, 2u);
  EXPECT_EQ(turns, 2);
  EXPECT_EQ((*in)->TryRead(buffer).size_bytes, 2u);
  EXPECT_EQ(turns, 2) << "it was not full";
}

TEST_F(StreamsTest, SleepsAsLongAsAsked) {
  Start();
  std::vector<abi::Event> events;
  const auto start = Clock::now();
  EXPECT_EQ(Poll({Clock(30'000'000, abi::kClockMonotonic, 0, 9), Clock(60'000'000'000)}, events),
            Errno::kSuccess);
  EXPECT_GE(Clock::now() - start, 30ms);
  EXPECT_LT(Clock::now() - start, 10s);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].userdata, 9u);
  EXPECT_EQ(events[0].type, abi::kEventClock);
  EXPECT_EQ(events[0].error, 0u);

  EXPECT_EQ(wasi().ClockTimeGet(guest(), abi::kClockRealtime, 0, 16), Errno::kSuccess);
  const uint64_t now = Get<uint64_t>(16);
  const auto again = Clock::now();
  EXPECT_EQ(Poll({Clock(now + 20'000'000, abi::kClockRealtime, abi::kClockAbstime)}, events),
            Errno::kSuccess);
  EXPECT_GE(Clock::now() - again, 15ms);
  EXPECT_EQ(Poll({Clock(now - 1, abi::kClockRealtime, abi::kClockAbstime)}, events),
            Errno::kSuccess)
      << "past";
}

TEST_F(StreamsTest, PollSaysWhatIsReady) {
  Pipe in;
  MakeFile(root() / "file", "text");
  WasiOptions options;
  options.stdin_stream = std::move(in.read);
  Start(std::move(options));
  const uint32_t file = MustOpen("file");
  std::vector<abi::Event> events;
  EXPECT_EQ(Poll({OnFd(abi::kEventFdRead, 0), Clock(10'000'000)}, events), Errno::kSuccess);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, abi::kEventClock) << "nothing to read: the clock";
  ASSERT_EQ(::write(in.write.get(), "x", 1), 1);
  EXPECT_EQ(Poll({OnFd(abi::kEventFdRead, 0, 5), OnFd(abi::kEventFdRead, file, 6),
                  OnFd(abi::kEventFdWrite, 1, 7), Clock(3'600'000'000'000)},
                 events),
            Errno::kSuccess);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].userdata, 5u);
  EXPECT_EQ(events[1].userdata, 6u);
  EXPECT_EQ(events[2].userdata, 7u);
}

TEST_F(StreamsTest, PollRefusesNonsense) {
  Start();
  std::vector<abi::Event> events;
  EXPECT_EQ(wasi().PollOneoff(guest(), 8, 8, 0, 16), Errno::kInval);
  EXPECT_EQ(Poll({OnFd(abi::kEventFdRead, 99)}, events), Errno::kBadf);
  EXPECT_EQ(Poll({OnFd(abi::kEventFdRead, 1)}, events), Errno::kBadf);
  EXPECT_EQ(Poll({OnFd(3, 0)}, events), Errno::kInval);
  EXPECT_EQ(Poll({Clock(1, abi::kClockProcessCputime)}, events), Errno::kInval);
  EXPECT_EQ(Poll({Clock(1, abi::kClockMonotonic, 2)}, events), Errno::kInval);
  EXPECT_EQ(wasi().PollOneoff(guest(), kMemoryBytes - 40, 8, 1, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().PollOneoff(guest(), 8, kMemoryBytes - 24, 1, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().PollOneoff(guest(), 8, 8, 0xffff'ffff, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().PollOneoff(guest(), 12, 8, 1, 16), Answer::Misaligned());
}

TEST_F(StreamsTest, PollWaitsForStreams) {
  auto in = ByteQueue::Create(ByteQueue::GuestEnd::kReads, 100, nullptr);
  ASSERT_TRUE(in.ok());
  WasiOptions options;
  options.stdin_stream = std::shared_ptr<WasiInputStream>(*in);
  Start(std::move(options));
  std::thread feeder([&] {
    std::this_thread::sleep_for(30ms);
    (*in)->Push(Bytes("x"));
  });
  std::vector<abi::Event> events;
  const auto start = Clock::now();
  EXPECT_EQ(Poll({OnFd(abi::kEventFdRead, 0), Clock(60'000'000'000)}, events), Errno::kSuccess);
  EXPECT_LT(Clock::now() - start, 30s);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, abi::kEventFdRead);
  feeder.join();
}

}  // namespace
}  // namespace wasmd::engine
