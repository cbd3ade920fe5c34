// Two tenants of a daemon, with a session and a channel each: one fills all that it can, the other
// scans all that it can reach (tests/support/tenants.h). For tests/e2e/daemon/isolation_test.py.
//
//   tenant_client ADDRESS WAY ROUNDS SEED
//
// WAY is "ring" (a fresh instance for each call over shared memory), "grpc" (the same by RPC) or
// "bytes" (byte strings, by both). Two threads make half of the rounds each. Prints what it did.
// Exit code 1: something of one tenant's was seen by the other, or a call ended otherwise than it
// should; the last line says what.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "client/cpp/channel.h"
#include "client/cpp/client.h"
#include "tests/support/tenants.h"
#include "tests/support/wat.h"

namespace {

using namespace wasmd::client;  // NOLINT(google-build-using-namespace): a small program.
using wasmd::engine::kArgumentTypes;
using wasmd::engine::kBytesOutput;
using wasmd::engine::kTenantEnds;
using wasmd::engine::TenantEnd;
using wasmd::engine::TenantModule;

constexpr int64_t kPattern = static_cast<int64_t>(0xa5a5'a5a5'a5a5'a5a5);

[[noreturn]] void Die(const std::string& what) {
  std::printf("%s\n", what.c_str());
  std::fflush(stdout);
  std::_Exit(1);
}
template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    Die(value.status().ToString());
  }
  return *std::move(value);
}

std::vector<std::string> Modules(bool bytes) {
  const TenantModule plain[] = {{.min_pages = 1, .max_pages = 9},
                                {.min_pages = 2, .max_pages = 20, .data = true},
                                {.min_pages = 9, .max_pages = 30, .data = true}};
  const TenantModule of_bytes[] = {{.min_pages = 1, .max_pages = 9, .bytes = true},
                                   {.min_pages = 8, .max_pages = 12, .bytes = true}};
  std::vector<std::string> modules;
  const auto add = [&](const TenantModule& module) {
    const auto wasm = wasmd::engine::Wat(wasmd::engine::TenantWat(module));
    modules.emplace_back(wasm.begin(), wasm.end());
  };
  if (bytes) {
    for (const TenantModule& module : of_bytes) {
      add(module);
    }
  } else {
    for (const TenantModule& module : plain) {
      add(module);
    }
  }
  return modules;
}

Values ZeroArguments() {
  Values zeros;
  for (const char type : std::string_view(kArgumentTypes)) {
    switch (type) {
      case 'i':
        zeros.emplace_back(int32_t{0});
        break;
      case 'I':
        zeros.emplace_back(int64_t{0});
        break;
      case 'f':
        zeros.emplace_back(0.0F);
        break;
      case 'F':
        zeros.emplace_back(0.0);
        break;
      default:
        zeros.emplace_back(V128{});
        break;
    }
  }
  return zeros;
}

// A session, the modules in it, and a channel on which each of their functions is bound fresh.
class Tenant {
 public:
  Tenant(std::string_view address, std::string_view way, const std::vector<std::string>& modules)
      : client_(Must(Client::Connect(address))),
        channel_(Must(client_.OpenChannel({.transport = ChannelTransport::kRing}))),
        ring_(way != "grpc") {
    for (const std::string& module : modules) {
      digests_.push_back(Must(client_.UploadModule(ModuleSource::Bytes(module))).digest);
    }
    for (const std::string& digest : digests_) {
      if (way == "bytes") {
        bound_.push_back({Must(channel_.BindBytes(digest, "fill_bytes", InstancePolicy::kFresh)),
                          Must(channel_.BindBytes(digest, "scan_bytes", InstancePolicy::kFresh)),
                          {}});
      } else {
        bound_.push_back({Must(channel_.Bind(digest, "fill", InstancePolicy::kFresh)),
                          Must(channel_.Bind(digest, "scan", InstancePolicy::kFresh)),
                          Must(channel_.Bind(digest, "arguments", InstancePolicy::kFresh))});
      }
    }
  }
  size_t modules() const { return digests_.size(); }

  absl::StatusOr<CallResult> Fill(size_t module, const Values& args, const Control& control) {
    return ring_ ? channel_.Call(bound_[module].fill, args, control)
                 : client_.Call(digests_[module], "fill", args, control);
  }
  void ExpectZero(size_t module, std::string_view func, const Values& args,
                  const std::string& what) {
    const BoundFunc& bound = func == "scan" ? bound_[module].scan : bound_[module].arguments;
    const CallResult result =
        Must(ring_ ? channel_.Call(bound, args) : client_.Call(digests_[module], func, args));
    const auto* const values = std::get_if<Values>(&result.outcome);
    if (values == nullptr || std::get<int32_t>(values->at(0)) != 0) {
      Die(what + ": " + std::string(func) + " of module " + std::to_string(module) +
          (values == nullptr ? " trapped"
                             : " found " + std::to_string(std::get<int32_t>(values->at(0)))));
    }
  }
  std::string Bytes(size_t module, bool fill, std::string_view input, bool by_ring) {
    const auto& bound = bound_[module];
    const BytesResult result = Must(
        by_ring ? channel_.CallBytes(fill ? bound.fill : bound.scan, input)
                : client_.CallBytes(digests_[module], fill ? "fill_bytes" : "scan_bytes", input));
    const auto* const output = std::get_if<std::string>(&result.outcome);
    if (output == nullptr) {
      Die("a function on byte strings trapped: its memory was not as new");
    }
    return *output;
  }

 private:
  struct Bound {
    BoundFunc fill;
    BoundFunc scan;
    BoundFunc arguments;
  };
  Client client_;
  Channel channel_;
  const bool ring_;
  std::vector<std::string> digests_;
  std::vector<Bound> bound_;
};

void Round(Tenant& a, Tenant& b, std::mt19937_64& random) {
  static const Values& zeros = *new Values(ZeroArguments());
  const auto draw = [&](uint64_t below) { return static_cast<int32_t>(random() % below); };
  static constexpr int32_t kStrides[] = {0, 0, 4096, 4096 * 7 + 16, 65536};
  const auto end = static_cast<TenantEnd>(random() % kTenantEnds);
  const Values args = {static_cast<int32_t>(end), draw(100), draw(5),
                       kStrides[random() % std::size(kStrides)], kPattern};
  Control control;
  if (end == TenantEnd::kForever) {
    control.timeout = absl::Microseconds(200 + draw(2000));
  }
  const auto filled = a.Fill(random() % a.modules(), args, control);
  const std::string what = "after end " + std::to_string(static_cast<int>(end));
  if (end == TenantEnd::kForever) {
    if (filled.status().code() != absl::StatusCode::kDeadlineExceeded) {
      Die(what + ": " + filled.status().ToString());
    }
  } else if (!filled.ok() ||
             (end == TenantEnd::kReturn) != std::holds_alternative<Values>(filled->outcome)) {
    Die(what + ": " + filled.status().ToString());
  }
  const size_t module = random() % b.modules();
  b.ExpectZero(module, "arguments", zeros, what);
  b.ExpectZero(module, "scan", {draw(300), draw(5)}, what);
}

void BytesRound(Tenant& a, Tenant& b, std::mt19937_64& random) {
  const auto input = [&](char byte) { return std::string(random() % 30'000, byte); };
  a.Bytes(random() % a.modules(), /*fill=*/true, input('\xa5'), random() % 2 == 0);
  const std::string mine = input('b');
  const std::string output =
      b.Bytes(random() % b.modules(), /*fill=*/false, mine, random() % 2 == 0);
  if (output != mine + std::string(kBytesOutput - mine.size(), '\0')) {
    Die("behind an input of " + std::to_string(mine.size()) + " bytes there is something");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: tenant_client ADDRESS ring|grpc|bytes ROUNDS SEED\n");
    return 2;
  }
  const std::string_view way = argv[2];
  const uint64_t rounds = std::strtoull(argv[3], nullptr, 0);
  const uint64_t seed = std::strtoull(argv[4], nullptr, 0);
  const std::vector<std::string> modules = Modules(way == "bytes");
  constexpr uint64_t kThreads = 2;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + t);
      Tenant a(argv[1], way, modules);
      Tenant b(argv[1], way, modules);
      for (uint64_t i = t; i < rounds; i += kThreads) {
        way == "bytes" ? BytesRound(a, b, random) : Round(a, b, random);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::printf("%llu rounds by %s, seed %llu\n", static_cast<unsigned long long>(rounds), argv[2],
              static_cast<unsigned long long>(seed));
  return 0;
}
