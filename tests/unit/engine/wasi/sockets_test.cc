// Stream sockets that are handed in: what the guest sees of them, waiting and interrupts, and that
// their owner's file description stays as it was.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "engine/wasi/context.h"
#include "tests/support/counting_accountant.h"
#include "tests/unit/engine/wasi/fixture.h"

namespace wasmd::engine {
namespace {

class SocketsTest : public WasiTest {
 protected:
  static constexpr uint32_t kSocket = 4;  // Behind the one preopen.

  // A TCP socket on loopback that listens.
  static UniqueFd Listen(int flags = 0) {
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener.get(), 8), 0);
    return listener;
  }
  static UniqueFd Connect(int listener) {
    sockaddr_in address = {};
    socklen_t size = sizeof(address);
    EXPECT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    return client;
  }
  // The guest's end and the other one.
  static std::pair<UniqueFd, UniqueFd> Pair(int type = SOCK_STREAM) {
    int ends[2] = {};
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
  // Hands in a duplicate, as the daemon gets one, and starts.
  void StartWith(const UniqueFd& socket) {
    WasiOptions options;
    options.preopens.push_back({"/", OpenDirectory(root()), false});
    options.sockets.push_back({UniqueFd(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0))});
    Start(std::move(options));
  }
  static absl::Status Refused(UniqueFd socket) {
    WasiOptions options;
    options.sockets.push_back({std::move(socket)});
    return WasiContext(std::move(options)).Open();
  }

  Answer Accept(uint32_t& fd, uint32_t flags = 0) {
    next_ = 8;
    const uint32_t out = Alloc(4);
    const Answer answer = wasi().SockAccept(guest(), kSocket, flags, out);
    fd = answer.ok() ? Get<uint32_t>(out) : 0;
    return answer;
  }
  Answer Recv(uint32_t fd, uint32_t size_bytes, std::string& text, uint32_t flags = 0) {
    next_ = 8;
    const uint32_t buffer = Alloc(size_bytes);
    const uint32_t iovecs = PutIovecs({{buffer, size_bytes}});
    const uint32_t size_out = Alloc(4);
    const uint32_t flags_out = Put(uint16_t{9});
    const Answer answer = wasi().SockRecv(guest(), fd, iovecs, 1, flags, size_out, flags_out);
    text = answer.ok() ? GetText(buffer, Get<uint32_t>(size_out)) : "";
    if (answer.ok()) {
      EXPECT_EQ(Get<uint16_t>(flags_out), 0);
    }
    return answer;
  }
  Answer Send(uint32_t fd, std::string_view text, uint32_t* sent = nullptr) {
    next_ = 8;
    const Text data = PutText(text);
    const uint32_t iovecs = PutIovecs({{data.at, data.size}});
    const uint32_t out = Alloc(4);
    const Answer answer = wasi().SockSend(guest(), fd, iovecs, 1, 0, out);
    if (answer.ok() && sent != nullptr) {
      *sent = Get<uint32_t>(out);
    }
    return answer;
  }
  abi::Fdstat Fdstat(uint32_t fd) {
    next_ = 8;
    const uint32_t out = Alloc(sizeof(abi::Fdstat));
    EXPECT_EQ(wasi().FdFdstatGet(guest(), fd, out), Errno::kSuccess);
    return Get<abi::Fdstat>(out);
  }
};

TEST_F(SocketsTest, OnlyStreamSocketsAreTaken) {
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(Pair(SOCK_DGRAM).first)));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(Pair(SOCK_SEQPACKET).first)));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(OpenDirectory(root()))));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(UniqueFd(::open("/dev/null", O_RDONLY)))));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused(UniqueFd())));
  EXPECT_TRUE(Refused(Pair().first).ok());
  WasiOptions options;
  options.limits.max_open_files = 4;
  options.sockets.push_back({Pair().first});
  options.sockets.push_back({Pair().first});
  EXPECT_TRUE(absl::IsInvalidArgument(WasiContext(std::move(options)).Open()));
}

TEST_F(SocketsTest, AreChargedBeforeTheyAreTaken) {
  const auto files = std::make_shared<tests::CountingAccountant>(NamedLimit{"four files", 4});
  for (const size_t sockets : {size_t{1}, size_t{2}}) {
    WasiOptions options;
    options.limits.open_files = files;
    for (size_t i = 0; i < sockets; ++i) {
      options.sockets.push_back({Pair().first});
    }
    const absl::Status opened = WasiContext(std::move(options)).Open();
    EXPECT_EQ(opened.ok(), sockets == 1) << opened;
    EXPECT_TRUE(sockets == 1 || absl::IsResourceExhausted(opened));
    EXPECT_EQ(files->used(), 0u);
  }
}

TEST_F(SocketsTest, StandBehindThePreopens) {
  WasiOptions options;
  options.preopens.push_back({"/a", OpenDirectory(root()), false});
  options.preopens.push_back({"/b", OpenDirectory(root()), false});
  options.sockets.push_back({Listen()});
  options.sockets.push_back({Pair().first});
  Start(std::move(options));
  EXPECT_EQ(Fdstat(4).filetype, abi::Filetype::kDirectory);
  EXPECT_EQ(Fdstat(5).filetype, abi::Filetype::kSocketStream);
  EXPECT_EQ(Fdstat(5).rights_base & (abi::kRightSockAccept | abi::kRightFdRead),
            abi::kRightSockAccept);
  EXPECT_EQ(Fdstat(6).filetype, abi::Filetype::kSocketStream);
  EXPECT_EQ(
      Fdstat(6).rights_base & (abi::kRightSockAccept | abi::kRightFdRead | abi::kRightSockShutdown),
      abi::kRightFdRead | abi::kRightSockShutdown);
  EXPECT_EQ(wasi().FdPrestatGet(guest(), 5, 8), Errno::kBadf) << "the end of the preopens";
}

TEST_F(SocketsTest, AConnectedSocketCarriesBytesBothWays) {
  auto [mine, other] = Pair();
  StartWith(mine);
  ASSERT_EQ(::send(other.get(), "hello", 5, 0), 5);
  std::string text;
  ASSERT_EQ(Recv(kSocket, 3, text, abi::kRecvPeek), Errno::kSuccess);
  EXPECT_EQ(text, "hel");
  ASSERT_EQ(Recv(kSocket, 2, text), Errno::kSuccess);
  EXPECT_EQ(text, "he");
  ASSERT_EQ(Read(kSocket, 10, text), Errno::kSuccess);
  EXPECT_EQ(text, "llo");
  uint32_t sent = 0;
  ASSERT_EQ(Send(kSocket, "to you", &sent), Errno::kSuccess);
  EXPECT_EQ(sent, 6u);
  ASSERT_EQ(Write(kSocket, "!"), Errno::kSuccess);
  char got[16];
  EXPECT_EQ(std::string(got, static_cast<size_t>(::recv(other.get(), got, sizeof(got), 0))),
            "to you!");
  ASSERT_EQ(wasi().SockShutdown(guest(), kSocket, abi::kShutdownWrite), Errno::kSuccess);
  EXPECT_EQ(::recv(other.get(), got, sizeof(got), 0), 0);
  EXPECT_EQ(Send(kSocket, "x"), Errno::kPipe) << "and no SIGPIPE";
  EXPECT_EQ(wasi().SockShutdown(guest(), kSocket, 0), Errno::kInval);
  EXPECT_EQ(wasi().SockShutdown(guest(), kSocket, 4), Errno::kInval);
}

TEST_F(SocketsTest, UnknownFlagsAndOtherDescriptorsAreRefused) {
  auto [mine, other] = Pair();
  StartWith(mine);
  std::string text;
  uint32_t fd = 0;
  EXPECT_EQ(Recv(kSocket, 4, text, 4), Errno::kInval);
  EXPECT_EQ(wasi().SockSend(guest(), kSocket, 8, 0, 1, 16), Errno::kInval);
  EXPECT_EQ(Accept(fd, abi::kFdAppend), Errno::kInval);
  EXPECT_EQ(Accept(fd), Errno::kInval) << "it does not listen";
  EXPECT_EQ(Recv(kRoot, 4, text), Errno::kNotsock);
  EXPECT_EQ(Recv(0, 4, text), Errno::kNotsock);
  EXPECT_EQ(Recv(77, 4, text), Errno::kBadf);
  EXPECT_EQ(wasi().SockAccept(guest(), kSocket, 0, kMemoryBytes), Answer::OutOfBounds());
  EXPECT_EQ(wasi().FdFdstatSetFlags(guest(), kSocket, abi::kFdAppend), Errno::kInval);
  EXPECT_EQ(wasi().FdSeek(guest(), kSocket, 0, 0, 16), Errno::kSpipe);
  EXPECT_EQ(wasi().FdPread(guest(), kSocket, 8, 0, 0, 16), Errno::kSpipe);
  EXPECT_EQ(wasi().FdPwrite(guest(), kSocket, 8, 0, 0, 16), Errno::kSpipe);
  EXPECT_EQ(wasi().FdFilestatSetSize(guest(), kSocket, 0), Errno::kBadf);
}

TEST_F(SocketsTest, WaitallFillsTheBufferOrComesToTheEnd) {
  auto [mine, other] = Pair();
  StartWith(mine);
  std::thread sender([end = other.get()] {
    for (const char* part : {"ab", "cd", "ef", "gh"}) {
      EXPECT_EQ(::send(end, part, 2, 0), 2);
    }
    ::shutdown(end, SHUT_WR);
  });
  std::string text;
  EXPECT_EQ(Recv(kSocket, 6, text, abi::kRecvWaitall), Errno::kSuccess);
  EXPECT_EQ(text, "abcdef");
  EXPECT_EQ(Recv(kSocket, 6, text, abi::kRecvWaitall), Errno::kSuccess);
  EXPECT_EQ(text, "gh");
  EXPECT_EQ(Recv(kSocket, 6, text, abi::kRecvWaitall), Errno::kSuccess);
  EXPECT_EQ(text, "");
  sender.join();
}

TEST_F(SocketsTest, ASendIsWholeThoughTheOtherSideIsSlow) {
  auto [mine, other] = Pair();
  StartWith(mine);
  constexpr size_t kBytes = 200'000;
  size_t taken = 0;
  std::thread reader([&, end = other.get()] {
    std::vector<char> buffer(1000);
    while (taken < 10 * kBytes) {
      const ssize_t got = ::recv(end, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        break;
      }
      taken += static_cast<size_t>(got);
    }
  });
  const std::string text(kBytes, 'x');
  for (int i = 0; i < 10; ++i) {
    uint32_t sent = 0;
    EXPECT_EQ(Send(kSocket, text, &sent), Errno::kSuccess);
    EXPECT_EQ(sent, kBytes);
  }
  reader.join();
  EXPECT_EQ(taken, 10 * kBytes);
}

TEST_F(SocketsTest, WhatIsNonblockingIsTheGuestsAloneAndBeginsAsItsOwnerHadIt) {
  for (const int flag : {0, int{SOCK_NONBLOCK}}) {
    const UniqueFd listener = Listen(flag);
    const int before = ::fcntl(listener.get(), F_GETFL);
    StartWith(listener);
    EXPECT_EQ(Fdstat(kSocket).flags, flag != 0 ? abi::kFdNonblock : 0u);
    ASSERT_EQ(wasi().FdFdstatSetFlags(guest(), kSocket, abi::kFdNonblock), Errno::kSuccess);
    uint32_t fd = 0;
    EXPECT_EQ(Accept(fd), Errno::kAgain);
    const UniqueFd client = Connect(listener.get());
    ASSERT_EQ(wasi().FdFdstatSetFlags(guest(), kSocket, 0), Errno::kSuccess);
    ASSERT_EQ(Accept(fd, abi::kFdNonblock), Errno::kSuccess);
    EXPECT_EQ(Fdstat(fd).flags, abi::kFdNonblock);
    std::string text;
    EXPECT_EQ(Recv(fd, 4, text), Errno::kAgain);
    EXPECT_EQ(Read(fd, 4, text), Errno::kAgain);
    EXPECT_EQ(::fcntl(listener.get(), F_GETFL), before) << "its owner's mode is its owner's";
  }
}

TEST_F(SocketsTest, AcceptIsBoundedByTheOpenFiles) {
  const UniqueFd listener = Listen();
  WasiOptions options;
  options.limits.max_open_files = 6;
  options.preopens.push_back({"/", OpenDirectory(root()), false});
  options.sockets.push_back({UniqueFd(::fcntl(listener.get(), F_DUPFD_CLOEXEC, 0))});
  Start(std::move(options));
  const UniqueFd one = Connect(listener.get());
  const UniqueFd two = Connect(listener.get());
  uint32_t fd = 0;
  ASSERT_EQ(Accept(fd), Errno::kSuccess);
  EXPECT_EQ(fd, 5u);
  EXPECT_EQ(Accept(fd), Errno::kMfile);
  EXPECT_EQ(wasi().FdClose(guest(), 5), Errno::kSuccess);
  EXPECT_EQ(Accept(fd), Errno::kSuccess) << "the caller was kept waiting, not lost";
}

TEST_F(SocketsTest, InterruptEndsAccept) {
  const UniqueFd listener = Listen();
  StartWith(listener);
  std::thread later([this] { Interrupt(); });
  uint32_t fd = 0;
  EXPECT_EQ(Accept(fd), Answer::Interrupted());
  later.join();
}

TEST_F(SocketsTest, InterruptEndsReceivingAndReading) {
  auto [mine, other] = Pair();
  StartWith(mine);
  ASSERT_EQ(::send(other.get(), "abc", 3, 0), 3);
  std::thread later([this] { Interrupt(); });
  std::string text;
  EXPECT_EQ(Recv(kSocket, 8, text, abi::kRecvWaitall), Answer::Interrupted());
  later.join();
  EXPECT_EQ(Recv(kSocket, 8, text), Answer::Interrupted());
  EXPECT_EQ(Read(kSocket, 8, text), Answer::Interrupted());
}

TEST_F(SocketsTest, InterruptEndsSending) {
  auto [mine, other] = Pair();
  StartWith(mine);
  std::thread later([this] { Interrupt(); });
  const std::string text(100'000, 'x');
  Answer answer = Errno::kSuccess;
  while (answer.ok()) {
    answer = Send(kSocket, text);
  }
  EXPECT_EQ(answer, Answer::Interrupted());
  later.join();
}

TEST_F(SocketsTest, PollTellsWhoCallsWhatIsThereAndThatItIsOver) {
  const UniqueFd listener = Listen();
  StartWith(listener);
  const auto poll = [this](uint32_t fd, uint8_t tag) {
    next_ = 8;
    std::array<abi::Subscription, 2> subscriptions = {};
    subscriptions[0].tag = tag;
    subscriptions[0].id = fd;
    subscriptions[0].userdata = 1;
    subscriptions[1].id = abi::kClockMonotonic;
    const uint32_t in = Put(subscriptions);
    const uint32_t events = Alloc(2 * sizeof(abi::Event));
    const uint32_t out = Alloc(4);
    EXPECT_EQ(wasi().PollOneoff(guest(), in, events, 2, out), Errno::kSuccess);
    const abi::Event event = Get<abi::Event>(events);
    return event.userdata == 1 ? std::optional<uint16_t>(event.flags) : std::nullopt;
  };
  EXPECT_EQ(poll(kSocket, abi::kEventFdRead), std::nullopt);
  UniqueFd client = Connect(listener.get());
  while (poll(kSocket, abi::kEventFdRead) == std::nullopt) {
  }
  uint32_t fd = 0;
  ASSERT_EQ(Accept(fd), Errno::kSuccess);
  EXPECT_EQ(poll(fd, abi::kEventFdRead), std::nullopt);
  EXPECT_EQ(poll(fd, abi::kEventFdWrite), 0);
  ASSERT_EQ(::send(client.get(), "x", 1, 0), 1);
  while (poll(fd, abi::kEventFdRead) == std::nullopt) {
  }
  client.reset();
  ASSERT_EQ(wasi().SockShutdown(guest(), fd, abi::kShutdownWrite), Errno::kSuccess);
  while (poll(fd, abi::kEventFdRead) != abi::kEventHangup) {
  }
}

TEST_F(SocketsTest, DescriptorsThatComeAlongAreDropped) {
  auto [mine, other] = Pair();
  StartWith(mine);
  int pipe_ends[2] = {};
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  char byte = 'x';
  iovec part = {&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &pipe_ends[1], sizeof(int));
  ASSERT_EQ(::sendmsg(other.get(), &message, 0), 1);
  write_end.reset();
  std::string text;
  ASSERT_EQ(Recv(kSocket, 8, text), Errno::kSuccess);
  EXPECT_EQ(text, "x");
  // Nobody holds the pipe's writing end any more.
  EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);
}

}  // namespace
}  // namespace wasmd::engine
