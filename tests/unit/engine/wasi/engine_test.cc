// WASI in the engine: the table of functions, the guests of tests/guests/wasi against what wasmtime
// prints for them, traps, exits and interrupts.
#include "engine/api/engine.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

#include "engine/wasi/byte_queue.h"
#include "engine/wasi/wasi.h"
#include "tests/unit/engine/wasi/run_program.h"

namespace wasmd::engine {
namespace {

using namespace std::chrono_literals;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::byte> ReadBytes(const std::string& path) {
  const std::string text = ReadText(path);
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

class WasiEngineTest : public testing::Test {
 protected:
  void SetUp() override {
    auto engine = Engine::Create({});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = std::move(*engine);
    // In memory where that is to be had: path_matrix replaces files by the thousand, and ext4
    // writes each out for that.
    std::string name =
        (::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : testing::TempDir()) + "wasi_engine_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    scratch_ = name;
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(scratch_, ignored);
  }
  static std::vector<std::byte> Guest(const std::string& name) {
    std::vector<std::byte> bytes = ReadBytes(std::string(WASMD_GUESTS) + "/" + name + ".wasm");
    EXPECT_FALSE(bytes.empty()) << "no guest " << name;
    return bytes;
  }
  // Standard output in a file of the scratch folder.
  absl::StatusOr<Outcome<void>> Run(const std::string& guest, WasiOptions options,
                                    std::string* output = nullptr,
                                    const std::function<void(InterruptHandle)>& armed = nullptr) {
    const std::string path = scratch_ / "stdout";
    options.stdout_stream =
        UniqueFd(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
    options.args.insert(options.args.begin(), guest);
    auto outcome = RunProgram(*engine_, Guest(guest), std::move(options), armed);
    if (output != nullptr) {
      *output = ReadText(path);
    }
    return outcome;
  }
  // Interrupts 100 ms after the program's start and expects that to be its end, soon.
  void ExpectInterrupted(const std::string& guest, WasiOptions options) {
    std::thread other;
    std::chrono::steady_clock::time_point fired;
    const auto outcome =
        Run(guest, std::move(options), nullptr, [&](const InterruptHandle& handle) {
          other = std::thread([&, handle] {
            std::this_thread::sleep_for(100ms);
            fired = std::chrono::steady_clock::now();
            handle.Interrupt(InterruptReason::kCancel);
          });
        });
    const auto end = std::chrono::steady_clock::now();
    other.join();
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    ASSERT_NE(outcome->interrupt(), nullptr) << "it ended before";
    EXPECT_EQ(outcome->interrupt()->reason, InterruptReason::kCancel);
    EXPECT_LT(end - fired, 1s);
  }
  WasiPreopen Preopen() const {
    std::filesystem::create_directory(scratch_ / "root");
    return {"/", UniqueFd(::open((scratch_ / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
            false};
  }

  std::unique_ptr<Engine> engine_;
  std::filesystem::path scratch_;
};

TEST_F(WasiEngineTest, TableOfFunctions) {
  auto wasi = Wasi::Create({});
  ASSERT_TRUE(wasi.ok());
  const std::vector<WasiFunction> functions = (*wasi)->Functions();
  std::set<std::string_view> names;
  for (const WasiFunction& function : functions) {
    names.insert(function.name);
  }
  EXPECT_EQ(names.size(), 46u);
  const auto type_of = [&](std::string_view name) {
    return std::ranges::find(functions, name, &WasiFunction::name)->type;
  };
  EXPECT_EQ(ToString(type_of("fd_write")), "(func (param i32 i32 i32 i32) (result i32))");
  EXPECT_EQ(ToString(type_of("fd_seek")), "(func (param i32 i64 i32 i32) (result i32))");
  EXPECT_EQ(ToString(type_of("path_open")),
            "(func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32))");
  EXPECT_EQ(ToString(type_of("proc_exit")), "(func (param i32))");
  EXPECT_EQ(ToString(type_of("sched_yield")), "(func (result i32))");
}

class GuestTest : public WasiEngineTest, public testing::WithParamInterface<const char*> {};

TEST_P(GuestTest, PrintsWhatItPrintsUnderWasmtime) {
  const std::string name = GetParam();
  WasiOptions options;
  options.preopens.push_back(Preopen());
  std::string output;
  const auto outcome = Run("wasi/" + name, std::move(options), &output);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(outcome->ok() || outcome->exit() != nullptr) << ToString(outcome->stop());
  const std::string expected = ReadText("tests/guests/wasi/" + name + ".expected");
  ASSERT_FALSE(expected.empty());
  if (output != expected) {
    const auto [ours, theirs] = std::ranges::mismatch(output, expected);
    const size_t at = static_cast<size_t>(ours - output.begin());
    const size_t line = at == 0 ? 0 : output.rfind('\n', at - 1) + 1;
    FAIL() << "first difference:\n  here:     " << output.substr(line, 100)
           << "\n  expected: " << expected.substr(line, 100);
  }
}

INSTANTIATE_TEST_SUITE_P(Guests, GuestTest, testing::Values("fd_matrix", "path_matrix"),
                         [](const auto& test) { return std::string(test.param); });

TEST_F(WasiEngineTest, ArgumentsEnvironmentAndExitCode) {
  WasiOptions options;
  options.args = {"42"};
  const auto outcome = Run("exit_code", std::move(options));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_NE(outcome->exit(), nullptr);
  EXPECT_EQ(outcome->exit()->code, 42u);
}

TEST_F(WasiEngineTest, InterruptsAProgramThatReadsAPipeNobodyWrites) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd writer(fds[1]);
  WasiOptions options;
  options.stdin_stream = UniqueFd(fds[0]);
  ExpectInterrupted("cat", std::move(options));
}

TEST_F(WasiEngineTest, InterruptsAProgramThatReadsAStreamNobodyFills) {
  auto queue = ByteQueue::Create(ByteQueue::GuestEnd::kReads, 64, nullptr);
  ASSERT_TRUE(queue.ok());
  WasiOptions options;
  options.stdin_stream = std::shared_ptr<WasiInputStream>(*queue);
  ExpectInterrupted("cat", std::move(options));
}

TEST_F(WasiEngineTest, InterruptsAProgramWhoseOutputNobodyTakes) {
  auto queue = ByteQueue::Create(ByteQueue::GuestEnd::kWrites, 4096, nullptr);
  ASSERT_TRUE(queue.ok());
  WasiOptions options;
  options.stderr_stream = std::shared_ptr<WasiOutputStream>(*queue);
  std::thread other;
  auto engine_run = [&] {
    WasiOptions run = std::move(options);
    run.stdout_stream = std::shared_ptr<WasiOutputStream>(*queue);
    run.args = {"write_forever"};
    return RunProgram(*engine_, Guest("write_forever"), std::move(run),
                      [&](const InterruptHandle& handle) {
                        other = std::thread([handle] {
                          std::this_thread::sleep_for(100ms);
                          handle.Interrupt(InterruptReason::kClientGone);
                        });
                      });
  };
  const auto outcome = engine_run();
  other.join();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_NE(outcome->interrupt(), nullptr);
  EXPECT_LE((*queue)->size_bytes(), 4096u);
}

TEST_F(WasiEngineTest, InterruptsALoop) {
  ExpectInterrupted("loop_forever", {});
}

TEST_F(WasiEngineTest, ManyBytesThroughStreamsArriveIntact) {
  auto in = ByteQueue::Create(ByteQueue::GuestEnd::kReads, 65'536, nullptr);
  auto out = ByteQueue::Create(ByteQueue::GuestEnd::kWrites, 65'536, nullptr);
  ASSERT_TRUE(in.ok() && out.ok());
  std::string sent;
  for (int i = 0; sent.size() < 4'000'000; ++i) {
    sent += std::to_string(i) + '\n';
  }
  std::thread feeder([&] {
    std::span<const std::byte> rest = std::as_bytes(std::span(sent));
    while (!rest.empty()) {
      rest = rest.subspan((*in)->Push(rest));
      std::this_thread::yield();
    }
    (*in)->Close();
  });
  std::atomic<bool> done = false;
  std::string received;
  std::thread drain([&] {
    while (true) {
      const bool last = done;
      const std::string piece = (*out)->Pop(100'000);
      received += piece;
      if (piece.empty()) {
        if (last) {
          return;
        }
        std::this_thread::yield();
      }
    }
  });
  WasiOptions options;
  options.args = {"cat"};
  options.stdin_stream = std::shared_ptr<WasiInputStream>(*in);
  options.stdout_stream = std::shared_ptr<WasiOutputStream>(*out);
  const auto outcome = RunProgram(*engine_, Guest("cat"), std::move(options));
  done = true;
  feeder.join();
  drain.join();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(received == sent) << received.size() << " of " << sent.size() << " bytes";
}

}  // namespace
}  // namespace wasmd::engine
