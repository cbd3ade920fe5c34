// A client of channels that ends, or misbehaves, at a step of its life: for tests/e2e/daemon/
// channel_test.py.
//
//   channel_client ADDRESS MODULE STEP [SECONDS]
//
// The module is tests/e2e/daemon/harness.py's. It goes as far as STEP, prints a line, and waits to
// be killed; STEPs that only do something (flood, polite, idle) do it for SECONDS and print what
// came of it. Exit code 1: something else went wrong, and the line says what.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "client/cpp/channel.h"
#include "client/cpp/client.h"
#include "client/cpp/module.h"
#include "proto/ring/attach.h"
#include "proto/ring/wait.h"

namespace {

using namespace wasmd::client;  // NOLINT(google-build-using-namespace): a small program.

[[noreturn]] void Die(const absl::Status& status) {
  std::printf("%s\n", status.ToString().c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread.
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    Die(value.status());
  }
  return *std::move(value);
}

[[noreturn]] void WaitForTheEnd(std::string_view reached) {
  std::printf("%.*s\n", static_cast<int>(reached.size()), reached.data());
  std::fflush(stdout);
  while (true) {
    ::pause();
  }
}

ChannelOptions RingOnly() {
  ChannelOptions options;
  options.transport = ChannelTransport::kRing;
  return options;
}

// A connection that says the first bytes of an attach, and no more.
void SayHalfAnAttach(std::string_view path, size_t bytes) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    Die(absl::UnavailableError("cannot connect"));
  }
  std::string said(sizeof(wasmd::ring::AttachFrameHeader) + sizeof(wasmd::ring::AttachRequest),
                   '0');
  wasmd::ring::AttachFrameHeader header;
  std::copy(std::begin(wasmd::ring::kAttachMagic), std::end(wasmd::ring::kAttachMagic),
            header.magic.begin());
  header.version = wasmd::ring::kAttachVersion;
  header.type = static_cast<uint16_t>(wasmd::ring::AttachFrameType::kAttach);
  header.payload_bytes = sizeof(wasmd::ring::AttachRequest);
  std::memcpy(said.data(), &header, sizeof(header));
  if (::write(fd, said.data(), bytes) != static_cast<ssize_t>(bytes)) {
    Die(absl::UnavailableError("cannot write"));
  }
}

// Calls, `window` at a time, until the time is over; prints how many a second, and the median and
// the longest time that one window took.
[[noreturn]] void CallAgainAndAgain(Channel& channel, const TypedBoundFunc<int32_t()>& func,
                                    size_t window, double seconds) {
  std::vector<uint64_t> took_ns;
  uint64_t calls = 0;
  const uint64_t begin = wasmd::ring::MonotonicNs();
  const uint64_t end = begin + static_cast<uint64_t>(seconds * 1e9);
  std::vector<TypedTicket<int32_t>> tickets(window);
  while (wasmd::ring::MonotonicNs() < end) {
    const uint64_t start = wasmd::ring::MonotonicNs();
    for (TypedTicket<int32_t>& ticket : tickets) {
      ticket = channel.Submit(func);
    }
    channel.Flush();
    for (const TypedTicket<int32_t>& ticket : tickets) {
      if (!channel.Wait(ticket).ok()) {
        Die(channel.status());
      }
      ++calls;
    }
    took_ns.push_back(wasmd::ring::MonotonicNs() - start);
    if (window == 1) {
      absl::SleepFor(absl::Microseconds(200));
    }
  }
  std::ranges::sort(took_ns);
  std::printf("{\"calls\": %llu, \"p50_us\": %.1f, \"max_us\": %.1f}\n",
              static_cast<unsigned long long>(calls),
              static_cast<double>(took_ns[took_ns.size() / 2]) / 1e3,
              static_cast<double>(took_ns.back()) / 1e3);
  std::exit(0);  // NOLINT(concurrency-mt-unsafe): one thread.
}

void Run(std::string_view address, const std::string& module, std::string_view step,
         double seconds) {
  Client client = Must(Client::Connect(address));
  if (step == "session") {
    WaitForTheEnd(step);
  }
  const std::string digest = Must(client.UploadModule(ModuleSource::File(module))).digest;
  if (step.starts_with("half-attach-")) {
    SayHalfAnAttach(address.substr(5),
                    std::strtoul(std::string(step.substr(12)).c_str(), nullptr, 10));
    WaitForTheEnd(step);
  }
  Channel channel = Must(client.OpenChannel(RingOnly()));
  if (step == "attached") {
    WaitForTheEnd(step);
  }
  const auto count = Must(Must(channel.Bind(digest, "increment")).Typed<int32_t()>());
  const auto loop =
      Must(Must(channel.Bind(digest, "loop", InstancePolicy::kFresh)).Typed<void()>());
  if (step == "bound") {
    WaitForTheEnd(step);
  }
  if (step == "submitted") {
    static_cast<void>(channel.Submit(count));
    WaitForTheEnd(step);
  }
  if (step == "flushed") {
    for (int i = 0; i < 500; ++i) {
      static_cast<void>(channel.Submit(count));
    }
    channel.Flush();
    WaitForTheEnd(step);
  }
  if (step == "in-call") {
    static_cast<void>(channel.Submit(count));
    static_cast<void>(channel.Submit(loop));
    static_cast<void>(channel.Submit(count));
    channel.Flush();
    absl::SleepFor(absl::Milliseconds(2));
    WaitForTheEnd(step);
  }
  if (step == "asleep") {
    const std::thread caller([&] { static_cast<void>(channel.Call(loop)); });
    absl::SleepFor(absl::Milliseconds(5));
    WaitForTheEnd(step);
  }
  if (step == "calling") {
    std::printf("calling\n");
    std::fflush(stdout);
    while (channel.Call(count).ok()) {
    }
    Die(channel.status());
  }
  if (step == "shared") {
    Instance instance = Must(client.Instantiate(digest));
    const auto shared = Must(Must(channel.Bind(instance, "loop")).Typed<void()>());
    static_cast<void>(channel.Submit(shared));
    channel.Flush();
    WaitForTheEnd(step);
  }
  if (step == "flood") {
    CallAgainAndAgain(channel, count, 512, seconds);
  }
  if (step == "polite") {
    CallAgainAndAgain(channel, count, 1, seconds);
  }
  if (step == "idle") {
    std::vector<Channel> channels;
    for (int i = 0; i < 50; ++i) {
      channels.push_back(Must(client.OpenChannel(RingOnly())));
    }
    WaitForTheEnd(step);
  }
  Die(absl::InvalidArgumentError("no such step"));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: channel_client ADDRESS MODULE STEP [SECONDS]\n");
    return 2;
  }
  Run(argv[1], argv[2], argv[3], argc > 4 ? std::atof(argv[4]) : 1);
  return 0;
}
