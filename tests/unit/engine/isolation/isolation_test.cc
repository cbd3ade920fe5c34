// Nothing of a tenant is left to the next one, however the first one ended.
//
// On one engine, by two threads at once: tenant A fills all that it can with a pattern and ends at
// a random point (tests/support/tenants.h), tenant B scans all that it can reach. B must find what
// a new instance has, and not one byte else. What A and B are made of is drawn for each round: a
// memory with an image or without, small or too large for its pages to be kept, compiled lazily or
// eagerly, with WASI or without; so is how much A touches, grows, recurses, and how it ends.
//
// What is not scanned, and why. Machine registers: wasm names values, not registers; validation
// makes sure that a local is a parameter or zero, and that an operand was computed. So no
// instruction reads a register that the guest's own code, or the call's arguments, did not set:
// what the test can look for is a register of which more is read than was set, which the upper
// halves of 32-bit arguments and results, and the lanes of vectors, would show. Memories with
// 64-bit addresses: they have address space of their own, which is unmapped with them.
//
//   WASMD_ISOLATION_ROUNDS=100000 build/release/bin/tests/isolation_test
//   WASMD_ISOLATION_SEED=7 …                   runs those rounds again
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"

#include "engine/api/engine.h"
#include "engine/base/unique_fd.h"
#include "engine/wasi/wasi.h"
#include "tests/support/tenants.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

constexpr uint64_t kPattern = 0xa5a5'a5a5'a5a5'a5a5;
constexpr uint64_t kForeignWord = 0xa5a5'a5a5'a5a5'a5a0;  // An externref of A's.

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

struct Loaded {
  TenantModule what;
  std::shared_ptr<LoadedModule> module;
};

std::vector<Loaded> LoadTenants(const Engine& engine) {
  const TenantModule kinds[] = {
      {.min_pages = 1, .max_pages = 9, .host = true},
      {.min_pages = 2, .max_pages = 20, .data = true, .host = true},
      {.min_pages = 0, .max_pages = 5, .host = true},
      // More than a slot keeps of what was written.
      {.min_pages = 9, .max_pages = 30, .data = true, .host = true},
      {.min_pages = 20, .max_pages = 24, .host = true},
      {.min_pages = 1, .max_pages = 6, .data = true, .host = true, .wasi = true},
  };
  std::vector<Loaded> loaded;
  for (const TenantModule& kind : kinds) {
    const Bytes bytes = Wat(TenantWat(kind));
    const auto span = AsBytes(bytes);
    LoadOptions options;
    options.mode = loaded.size() % 2 == 0 ? CompileMode::kLazy : CompileMode::kEager;
    auto module = engine.Load(std::vector<std::byte>(span.begin(), span.end()), options);
    if (!module.ok()) {
      ADD_FAILURE() << module.status();
      std::abort();
    }
    loaded.push_back({kind, *std::move(module)});
  }
  return loaded;
}

// A file in memory that holds `text`, to read from.
UniqueFd FileOf(std::string_view text) {
  UniqueFd fd(::memfd_create("input", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  return fd;
}

// A guest in a store of its own.
class Tenant {
 public:
  Tenant(const Engine& engine, const Loaded& loaded, std::string_view input,
         const std::string& directory)
      : store_(engine.runtime()) {
    Linker linker;
    linker.DefineFunc("host", "leave", {{ValType::kI32}, {}},
                      [](HostContext&, std::span<const Value> args, std::span<Value>) {
                        return args[0].i32() == 0 ? HostResult::Error("the host's failure")
                                                  : HostResult::Exit(7);
                      });
    FuncType silent;
    for (const char type : std::string_view(kSilentResults)) {
      silent.results.push_back(TypeOfLetter(type));
    }
    linker.DefineFunc(
        "host", "silent", std::move(silent),
        [](HostContext&, std::span<const Value>, std::span<Value>) { return HostResult::Ok(); });
    if (loaded.what.wasi) {
      WasiOptions options;
      options.args = {"tenant"};
      options.stdin_stream = FileOf(input);
      options.preopens.push_back(
          {"/", UniqueFd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), false});
      auto wasi = Wasi::Create(std::move(options));
      EXPECT_TRUE(wasi.ok()) << wasi.status();
      wasi_ = *std::move(wasi);
      wasi_->AddTo(linker);
    }
    auto made = linker.Instantiate(store_, loaded.module);
    EXPECT_TRUE(made.ok()) << made.status();
    instance_ = made->instance;
  }

  static ValType TypeOfLetter(char type) {
    switch (type) {
      case 'i':
        return ValType::kI32;
      case 'I':
        return ValType::kI64;
      case 'f':
        return ValType::kF32;
      case 'F':
        return ValType::kF64;
      case 'v':
        return ValType::kV128;
      default:
        return ValType::kExternRef;
    }
  }

  Outcome<void> Call(std::string_view name, std::span<const Value> args, std::span<Value> results) {
    auto outcome = instance_->Func(name)->Call(args, results);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return *std::move(outcome);
  }
  Store& store() { return store_; }

 private:
  std::unique_ptr<Wasi> wasi_;  // Outlives the store.
  Store store_;
  Instance* instance_ = nullptr;
};

// What the end must look like from outside.
bool EndedAs(TenantEnd end, const Outcome<void>& outcome) {
  const auto trapped = [&](TrapCode code) {
    return outcome.trap() != nullptr && outcome.trap()->code == code;
  };
  switch (end) {
    case TenantEnd::kReturn:
      return outcome.ok();
    case TenantEnd::kUnreachable:
      return trapped(TrapCode::kUnreachable);
    case TenantEnd::kDivideByZero:
      return trapped(TrapCode::kDivideByZero);
    case TenantEnd::kMemoryFault:
    case TenantEnd::kMemoryBuiltin:
      return trapped(TrapCode::kMemoryOutOfBounds);
    case TenantEnd::kTableOutOfBounds:
      return trapped(TrapCode::kTableOutOfBounds);
    case TenantEnd::kCallNull:
      return trapped(TrapCode::kIndirectCallToNull);
    case TenantEnd::kCallBadSignature:
      return trapped(TrapCode::kBadSignature);
    case TenantEnd::kInvalidConversion:
      return trapped(TrapCode::kInvalidConversion);
    case TenantEnd::kIntegerOverflow:
      return trapped(TrapCode::kIntegerOverflow);
    case TenantEnd::kStackOverflow:
      return trapped(TrapCode::kStackOverflow);
    case TenantEnd::kException:
      return outcome.exception() != nullptr;
    case TenantEnd::kForever:
      return outcome.interrupt() != nullptr;
    case TenantEnd::kHostTrap:
      return trapped(TrapCode::kHostError);
    case TenantEnd::kExit:
      return outcome.exit() != nullptr && outcome.exit()->code == 7;
  }
  return false;
}

// A random moment, neither scheduled nor waited for.
void Spin(std::chrono::nanoseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) {
  }
}

class IsolationTest : public testing::TestWithParam<BoundsChecks> {
 protected:
  void SetUp() override {
    auto engine = Engine::Create({.bounds_checks = GetParam()});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    tenants_ = LoadTenants(*engine_);
    for (const char type : std::string_view(kArgumentTypes)) {
      zeros_.push_back({Tenant::TypeOfLetter(type)});
    }
    for (std::string& directory : directories_) {
      directory = testing::TempDir() + "isolation_XXXXXX";
      ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    }
  }
  void TearDown() override {
    for (const std::string& directory : directories_) {
      ::unlink((directory + "/a").c_str());
      ::rmdir(directory.c_str());
    }
  }

  void Fill(std::mt19937_64& random, std::string* what) {
    const Loaded& loaded = tenants_[random() % tenants_.size()];
    const auto end = static_cast<TenantEnd>(random() % kTenantHostEnds);
    const auto depth = static_cast<uint32_t>(random() % 100);
    const auto grow = static_cast<uint32_t>(random() % 5);
    // All of it, a page here and there, or many.
    static constexpr uint32_t kStrides[] = {0, 0, 16, 4096, 4096 * 7 + 16, 65536, 65536 * 3 + 4080};
    uint32_t stride = kStrides[random() % std::size(kStrides)];
    if (end == TenantEnd::kForever && stride == 16) {
      stride = 4096;
    }
    *what = "pages " + std::to_string(loaded.what.min_pages) + ", end " +
            std::to_string(static_cast<uint32_t>(end)) + ", depth " + std::to_string(depth) +
            ", grow " + std::to_string(grow) + ", stride " + std::to_string(stride);
    Tenant tenant(*engine_, loaded, "AAAAAAAAAAAAAAAA", directories_[0]);
    const Value word = Value::ExternRef(kForeignWord);
    ASSERT_TRUE(tenant.Call("keep", {&word, 1}, {}).ok());
    const Value args[] = {Value::I32(static_cast<uint32_t>(end)), Value::I32(depth),
                          Value::I32(grow), Value::I32(stride), Value::I64(kPattern)};
    std::optional<std::thread> interrupter;
    if (end == TenantEnd::kForever) {
      interrupter.emplace([handle = tenant.store().ArmInterrupt(),
                           after = std::chrono::nanoseconds(random() % 400'000)] {
        Spin(after);
        handle.Interrupt(InterruptReason::kCancel);
      });
    }
    const Outcome<void> outcome = tenant.Call("fill", args, {});
    if (interrupter.has_value()) {
      interrupter->join();
    }
    ASSERT_TRUE(EndedAs(end, outcome))
        << *what << ": " << (outcome.ok() ? "returned" : ToString(outcome.stop()));
  }

  void Scan(std::mt19937_64& random) {
    const Loaded& loaded = tenants_[random() % tenants_.size()];
    const std::string what = "scanned: pages " + std::to_string(loaded.what.min_pages);
    Tenant tenant(*engine_, loaded, kScannersInput, directories_[1]);
    std::array<Value, 1> found;
    // The first call of all: nothing of B's own has run.
    ASSERT_TRUE(tenant.Call("arguments", zeros_, found).ok());
    EXPECT_EQ(found[0].i32(), 0u) << what;
    const auto depth = static_cast<uint32_t>(random() % 300);
    const auto grow = static_cast<uint32_t>(random() % 5);
    const Value args[] = {Value::I32(depth), Value::I32(grow)};
    const Outcome<void> scanned = tenant.Call("scan", args, found);
    ASSERT_TRUE(scanned.ok()) << ToString(scanned.stop());
    EXPECT_EQ(found[0].i32(), 0u) << what << ", findings of tests/support/tenants.h";
    const Outcome<void> thrown = tenant.Call("throw_zeros", {}, {});
    ASSERT_NE(thrown.exception(), nullptr);
    for (const Value& value : thrown.exception()->values) {
      EXPECT_EQ(value.bits | value.hi, 0u) << what;
    }
  }

  std::unique_ptr<Engine> engine_;
  std::vector<Loaded> tenants_;
  std::vector<Value> zeros_;
  std::array<std::string, 2> directories_;  // Of those who fill, and of those who scan.
};
INSTANTIATE_TEST_SUITE_P(Checks, IsolationTest,
                         testing::Values(BoundsChecks::kGuardPages, BoundsChecks::kExplicit),
                         [](const auto& checks) {
                           return checks.param == BoundsChecks::kGuardPages ? "GuardPages"
                                                                            : "Explicit";
                         });

TEST_P(IsolationTest, NothingOfATenantIsLeft) {
  constexpr uint64_t kThreads = 2;
  const uint64_t rounds = FromEnvironment("WASMD_ISOLATION_ROUNDS", 4000);
  const uint64_t seed = FromEnvironment("WASMD_ISOLATION_SEED", std::random_device()());
  std::printf("WASMD_ISOLATION_SEED=%llu, %llu rounds\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(rounds));
  std::atomic<uint64_t> done{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + t);
      for (uint64_t i = t; i < rounds && !HasFailure(); i += kThreads) {
        std::string what;
        ASSERT_NO_FATAL_FAILURE(Fill(random, &what));
        SCOPED_TRACE("round " + std::to_string(i) + " after " + what);
        ASSERT_NO_FATAL_FAILURE(Scan(random));
        ++done;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(done, rounds);
}

// The scan itself: it sees each of the things that a fill leaves, where it looks at the same
// instance.
TEST_P(IsolationTest, AScanOfWhatWasFilledFindsIt) {
  for (const Loaded& loaded : tenants_) {
    Tenant tenant(*engine_, loaded, "AAAAAAAAAAAAAAAA", directories_[0]);
    const Value word = Value::ExternRef(kForeignWord);
    ASSERT_TRUE(tenant.Call("keep", {&word, 1}, {}).ok());
    const Value args[] = {Value::I32(0), Value::I32(0), Value::I32(1), Value::I32(0),
                          Value::I64(kPattern)};
    ASSERT_TRUE(tenant.Call("fill", args, {}).ok());
    std::array<Value, 1> found;
    const Value scan[] = {Value::I32(0), Value::I32(0)};
    ASSERT_TRUE(tenant.Call("scan", scan, found).ok());
    const uint32_t expected = kFoundInMemory | kFoundInTables | kFoundInGlobals |
                              (loaded.what.data ? kFoundInData : 0u) |
                              (loaded.what.wasi ? kFoundInWasi : 0u);
    EXPECT_EQ(found[0].i32(), expected) << loaded.what.min_pages;
    std::vector<Value> ones = zeros_;
    for (Value& one : ones) {
      one.bits = 1;
      ASSERT_TRUE(tenant.Call("arguments", ones, found).ok());
      EXPECT_EQ(found[0].i32(), static_cast<uint32_t>(kFoundInArguments));
      one.bits = 0;
    }
  }
}

}  // namespace
}  // namespace wasmd::engine
