// ring_probe ADDRESS MODULE MODE …: what calls into a running daemon take, for `scripts/bench.sh
// ring`. MODULE exports nop, and echo, which gives back the bytes that it gets. Prints flat JSON.
// CPU is the caller's; where the daemon runs is its own affair.
//
//   rtt CPU          Channel::Call of nop, one at a time, both sides hot
//   window CPU       Channel::CallBatch of nop on channels of 64, 128 and 256 slots, calls a second
//   bytes CPU        echo of 1 KiB, 64 in flight, through the ring itself: Channel has one call on
//                    byte strings at a time
//   cold NAME CPU    as rtt; for a daemon on the same CPU
//   asleep CPU       Channel::Call of nop every 3 ms
//   attach           Client::OpenChannel
//   many CLIENTS     threads, each with a channel, CallBatch with 64 in flight
//   idle CLIENTS     clients, each with a session and a channel that has made a call; says `ready`,
//   and
//                    ends with its standard input
//   grpc CLIENTS     Instance::Call of nop: one thread, and then CLIENTS with an instance each
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cpp/channel.h"
#include "client/cpp/channel_backend.h"
#include "client/cpp/client.h"
#include "client/cpp/core.h"
#include "client/cpp/ring_connection.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"
#include "proto/ring/wait.h"
#include "tests/bench/ring/measure.h"

namespace wasmd::bench {
namespace {

using client::Channel;
using client::Client;

constexpr uint32_t kWarmUp = 20'000;
constexpr uint32_t kRoundTrips = 200'000;
constexpr size_t kRows = 4096;
constexpr uint64_t kWindowCalls = 256 * kRows;
constexpr uint64_t kBytesCalls = 500'000;
constexpr uint32_t kBytesWindow = 64;
constexpr uint32_t kColdWarmUp = 1000;
constexpr uint32_t kColdRounds = 20'000;
constexpr uint32_t kSleepingRounds = 60;
constexpr uint64_t kPauseNs = 3'000'000;
constexpr uint32_t kWindowOfMany = 64;
constexpr uint64_t kNsOfMany = 2'000'000'000;
constexpr uint32_t kUnaryWarmUp = 200;
constexpr uint32_t kUnaryCalls = 2000;

using Nop = client::TypedBoundFunc<void()>;
using Row = std::tuple<>;

template <typename T>
T OrDie(absl::StatusOr<T> value, std::string_view what) {
  if (!value.ok()) {
    Die(std::string(what) + ": " + value.status().ToString());
  }
  return *std::move(value);
}

struct Target {
  std::string address;
  std::string digest;

  Client Connect() const { return OrDie(Client::Connect(address), "connecting"); }
};

// A channel on a ring, and nop bound on it.
class NopChannel {
 public:
  NopChannel(Client& connected, const std::string& digest, uint32_t slots)
      : channel_(OrDie(
            connected.OpenChannel({.slots = slots, .transport = client::ChannelTransport::kRing}),
            "attaching")),
        nop_(OrDie(OrDie(channel_.Bind(digest, "nop"), "binding").Typed<void()>(), "the type")) {}

  void Call() {
    const client::TypedResult<void> result = channel_.Call(nop_);
    if (!result.ok()) [[unlikely]] {
      Failed(result.end());
    }
  }
  void CallRows(std::span<const Row> rows, std::span<client::TypedResult<void>> results) {
    channel_.CallBatch(nop_, rows, results);
    if (!results.back().ok()) [[unlikely]] {
      Failed(results.back().end());
    }
  }

 private:
  [[noreturn]] void Failed(const client::CallEnd& end) {
    Die("a call failed: " + channel_.Explain(end).status().ToString());
  }

  Channel channel_;
  Nop nop_;
};

void RoundTrips(Figures& figures, const Target& target, const std::string& name, uint32_t warm_up,
                uint32_t rounds) {
  Client connected = target.Connect();
  NopChannel channel(connected, target.digest, 0);
  const TickClock clock;
  figures.AddPercentiles(name, TimeEach(warm_up, rounds, [&] { channel.Call(); }), clock);
}

void Windows(Figures& figures, const Target& target) {
  Client connected = target.Connect();
  const std::vector<Row> rows(kRows);
  std::vector<client::TypedResult<void>> results(kRows);
  for (const uint32_t window : {64U, 128U, 256U}) {
    NopChannel channel(connected, target.digest, window);
    const double rate = RatePerSecond(kWindowCalls, [&] {
      for (uint64_t calls = 0; calls < kWindowCalls; calls += kRows) {
        channel.CallRows(rows, results);
      }
    });
    figures.Add("call_window_" + std::to_string(window) + "_per_s", rate);
  }
}

void Bytes(Figures& figures, const Target& target) {
  const auto backend =
      client::MakeChannelBackend(OrDie(client::Core::Connect(target.address, {}), "connecting"));
  const std::unique_ptr<client::RingConnection> connection =
      OrDie(backend->Attach({.slots = kBytesWindow, .arena_bytes = 0}), "attaching");
  const client::ChannelBackend::Binding bound =
      OrDie(backend->Bind(connection->channel(), {.module = target.digest, .instance = 0},
                          client::InstancePolicy::kChannel, "echo", true, {}),
            "binding");
  ring::ClientEnd end(connection->view());
  BytesCalls calls(connection->view(), kBytesWindow, bound.func);
  figures.Add("bytes1k_per_s", RatePerSecond(kBytesCalls, [&] {
                RunWindow(
                    end, kBytesWindow, kBytesCalls,
                    [&](uint64_t number) { return calls.Encode(number); },
                    [&](uint64_t number, const ring::Completion& completion) {
                      calls.Done(number, completion);
                    },
                    [&] {
                      if (end.Flush()) {
                        ring::RingDoorbell(connection->doorbell());
                      }
                    },
                    [] {});
              }));
}

void Asleep(Figures& figures, const Target& target) {
  Client connected = target.Connect();
  NopChannel channel(connected, target.digest, 0);
  const TickClock clock;
  channel.Call();
  figures.AddPercentiles(
      "asleep", TimeEachAfterPause(kPauseNs, kSleepingRounds, [&] { channel.Call(); }), clock);
}

void Attach(Figures& figures, const Target& target) {
  Client connected = target.Connect();
  const TickClock clock;
  std::vector<uint64_t> ticks;
  for (uint32_t i = 0; i < kSleepingRounds; ++i) {
    SleepNs(kPauseNs);
    const uint64_t start = TickClock::Now();
    const Channel channel =
        OrDie(connected.OpenChannel({.transport = client::ChannelTransport::kRing}), "attaching");
    ticks.push_back(TickClock::Now() - start);
  }
  figures.AddPercentiles("attach", std::move(ticks), clock);
}

// Runs work(i, stop) on so many threads for a while; it returns how many calls it made.
void RunMany(Figures& figures, const std::string& name, size_t threads,
             const std::function<uint64_t(size_t, const std::atomic<bool>&)>& work) {
  std::atomic<bool> stop = false;
  std::vector<uint64_t> calls(threads);
  const uint64_t start = ring::MonotonicNs();
  {
    std::vector<std::jthread> running;
    for (size_t i = 0; i < threads; ++i) {
      running.emplace_back([&, i] { calls[i] = work(i, stop); });
    }
    SleepNs(kNsOfMany);
    stop = true;
  }
  AddMany(figures, name, calls, static_cast<double>(ring::MonotonicNs() - start) / 1e9);
}

void Many(Figures& figures, const Target& target, size_t clients) {
  Client connected = target.Connect();
  std::vector<NopChannel> channels;
  for (size_t i = 0; i < clients; ++i) {
    channels.emplace_back(connected, target.digest, kWindowOfMany);
  }
  RunMany(figures, "call" + std::to_string(clients), clients,
          [&](size_t i, const std::atomic<bool>& stop) {
            const std::vector<Row> rows(size_t{16} * kWindowOfMany);
            std::vector<client::TypedResult<void>> results(rows.size());
            uint64_t calls = 0;
            for (; !stop.load(std::memory_order_relaxed); calls += rows.size()) {
              channels[i].CallRows(rows, results);
            }
            return calls;
          });
}

void Idle(const Target& target, size_t clients) {
  std::vector<Client> connected;
  std::vector<NopChannel> channels;
  for (size_t i = 0; i < clients; ++i) {
    connected.push_back(target.Connect());
    channels.emplace_back(connected.back(), target.digest, 0);
    channels.back().Call();
  }
  std::printf("ready\n");
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

void CallNop(client::Instance& instance) {
  const client::CallResult result = OrDie(instance.Call("nop", {}), "Call");
  if (!std::holds_alternative<client::Values>(result.outcome)) {
    Die("nop did not return");
  }
}

void Grpc(Figures& figures, const Target& target, size_t clients) {
  Client connected = target.Connect();
  std::vector<client::Instance> instances;
  for (size_t i = 0; i < clients; ++i) {
    instances.push_back(OrDie(connected.Instantiate(target.digest), "instantiating"));
  }
  const TickClock clock;
  figures.AddPercentiles("grpc_unary",
                         TimeEach(kUnaryWarmUp, kUnaryCalls, [&] { CallNop(instances.front()); }),
                         clock);
  RunMany(figures, "grpc_c" + std::to_string(clients), clients,
          [&](size_t i, const std::atomic<bool>& stop) {
            uint64_t calls = 0;
            for (; !stop.load(std::memory_order_relaxed); ++calls) {
              CallNop(instances[i]);
            }
            return calls;
          });
}

int Main(int argc, char** argv) {
  const std::string_view mode = argc > 3 ? argv[3] : "";
  const int number = argc > 4 ? std::atoi(argv[argc - 1]) : 0;
  const bool is_count = mode == "many" || mode == "idle" || mode == "grpc";
  const int wanted = mode == "attach" ? 4 : mode == "cold" ? 6 : 5;
  if (argc != wanted || number < 0 || (is_count && number == 0)) {
    std::fprintf(
        stderr,
        "usage: ring_probe ADDRESS MODULE rtt CPU | window CPU | bytes CPU | cold NAME CPU | "
        "asleep CPU | attach | many CLIENTS | idle CLIENTS | grpc CLIENTS\n");
    return 64;
  }
  Target target{.address = argv[1], .digest = {}};
  {
    Client uploader = target.Connect();
    target.digest =
        OrDie(uploader.UploadModule(client::ModuleSource::File(argv[2])), "uploading").digest;
  }
  const auto count = static_cast<size_t>(number);
  if (!is_count && mode != "attach") {
    Pin(number);
  }
  if (mode == "idle") {
    Idle(target, count);
    return 0;
  }
  Figures figures;
  if (mode == "rtt") {
    RoundTrips(figures, target, "call_rtt", kWarmUp, kRoundTrips);
  } else if (mode == "window") {
    Windows(figures, target);
  } else if (mode == "bytes") {
    Bytes(figures, target);
  } else if (mode == "cold") {
    RoundTrips(figures, target, argv[4], kColdWarmUp, kColdRounds);
  } else if (mode == "asleep") {
    Asleep(figures, target);
  } else if (mode == "attach") {
    Attach(figures, target);
  } else if (mode == "many") {
    Many(figures, target, count);
  } else if (mode == "grpc") {
    Grpc(figures, target, count);
  } else {
    Die("no mode " + std::string(mode));
  }
  return 0;
}

}  // namespace
}  // namespace wasmd::bench

int main(int argc, char** argv) {
  return wasmd::bench::Main(argc, argv);
}
