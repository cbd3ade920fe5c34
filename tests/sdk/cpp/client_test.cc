// What the C++ client does with a daemon that behaves, with one that does not, and with one that
// goes away.
#include "client/cpp/client.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstdio>
#include <limits>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cpp/posix.h"
#include "client/cpp/text.h"
#include "tests/sdk/cpp/fake_daemon.h"

namespace wasmd::client {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Handshaking = FakeDaemon::Handshake;

std::string Module(const std::string& rest = "") {
  return std::string("\0asm", 4) + rest;
}

Client MustConnect(const FakeDaemon& daemon, const ConnectOptions& options = {}) {
  absl::StatusOr<Client> client = Client::Connect(daemon.address(), options);
  if (!client.ok()) {
    ADD_FAILURE() << client.status();
    std::abort();
  }
  return *std::move(client);
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

// ---- Connecting

TEST(ConnectTest, OpensASessionByHandshakeAndNamesItInEveryRequest) {
  const FakeDaemon daemon({});
  {
    Client client = MustConnect(daemon);
    EXPECT_TRUE(client.session().passes_descriptors);
    EXPECT_EQ(client.session().server_version, "9.9");
    EXPECT_THAT(client.session().roots, ElementsAre("shared"));
    EXPECT_TRUE(client.Call("sha256:1", "f", {}).ok());
    EXPECT_TRUE(client.Instantiate("sha256:1").ok());
  }
  EXPECT_THAT(daemon.seen().tokens, Each(FakeDaemon::Token()));
  EXPECT_EQ(daemon.seen().handshakes, 1U);
  EXPECT_TRUE(daemon.WaitUntil([](const auto& seen) { return seen.handshakes_ended == 1; }))
      << "the session goes on";
  EXPECT_THAT(daemon.seen().rpcs, Not(Contains("Close")))
      << "the end of the handshake's connection is enough";
}

TEST(ConnectTest, DoesWithoutDescriptorsWhereTheHandshakeFails) {
  for (const Handshaking mode :
       {Handshaking::kRefuse, Handshaking::kGarbage, Handshaking::kHangUp}) {
    const FakeDaemon daemon({.handshake = mode});
    Client client = MustConnect(daemon);
    EXPECT_FALSE(client.session().passes_descriptors);
    EXPECT_FALSE(client.session().why_not.empty());
    EXPECT_TRUE(client.Call("sha256:1", "f", {}).ok());
  }
  const FakeDaemon daemon({.handshake = Handshaking::kRefuse});
  EXPECT_EQ(MustConnect(daemon).session().why_not, "no sessions left");
}

TEST(ConnectTest, ClosesASessionThatHasNoHandshake) {
  const FakeDaemon daemon({.tcp = true});
  EXPECT_EQ(MustConnect(daemon).session().why_not, "descriptors cannot be passed over TCP");
  EXPECT_THAT(daemon.seen().rpcs, ElementsAre("Initialize", "Close"));
  EXPECT_THAT(daemon.seen().tokens, ElementsAre("", FakeDaemon::Token()));
}

TEST(ConnectTest, GivesUpOnWhatIsNoDaemon) {
  const FakeDaemon silent({.handshake = Handshaking::kSilent});
  absl::Status status =
      Client::Connect(silent.address(), {.timeout = absl::Milliseconds(200)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("does not answer; is it wasmd?"));

  const FakeDaemon other({.handshake = Handshaking::kGarbage, .not_grpc = true});
  status = Client::Connect(other.address()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(Message(status), HasSubstr("is no wasmd"));

  const FakeDaemon newer({.protocol_version = 2});
  status = Client::Connect(newer.address()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status), HasSubstr("protocol version 2"));
}

TEST(ConnectTest, SaysWhatIsWrongWithAnAddress) {
  EXPECT_EQ(Client::Connect("nonsense").status().code(), absl::StatusCode::kInvalidArgument);
  absl::Status status = Client::Connect("/nonexistent/wasmd.sock").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrnoOf(status), ENOENT);
  EXPECT_EQ(Message(status), "no wasmd at unix:/nonexistent/wasmd.sock: no such socket");
  EXPECT_THAT(Message(Client::Connect("/tmp").status()), HasSubstr("is a directory, not a socket"));
  EXPECT_THAT(Message(Client::Connect("/etc/passwd").status()),
              HasSubstr("is a file, not a socket"));
  EXPECT_THAT(Message(Client::Connect("127.0.0.1:1").status()), HasSubstr("nobody listens there"));
  EXPECT_EQ(Client::Connect("host.invalid:1").status().code(), absl::StatusCode::kUnavailable);
}

// ---- Calls

TEST(CallTest, ValuesKeepTheirBits) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  const Values values = {int32_t{-1},
                         std::numeric_limits<int64_t>::min(),
                         std::bit_cast<float>(0x7f800001U),
                         std::bit_cast<double>(uint64_t{0xfff0000000000001}),
                         -0.0,
                         V128{{1, 2, 3}},
                         Reference{ValType::kFuncRef, 0},
                         Reference{ValType::kExternRef, 77}};
  const absl::StatusOr<CallResult> result = client.Call("sha256:1", "f", values);
  ASSERT_TRUE(result.ok()) << result.status();
  const auto& echoed = std::get<Values>(result->outcome);
  ASSERT_EQ(echoed.size(), values.size());
  EXPECT_EQ(std::bit_cast<uint32_t>(std::get<float>(echoed[2])), 0x7f800001U);
  EXPECT_EQ(std::bit_cast<uint64_t>(std::get<double>(echoed[3])), 0xfff0000000000001U);
  for (const size_t i : {0U, 1U, 4U, 5U, 6U, 7U}) {
    EXPECT_EQ(ToString(echoed[i]), ToString(values[i]));
  }
  EXPECT_EQ(result->duration, absl::Nanoseconds(1500));
}

TEST(CallTest, OutcomesAreNoErrors) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  absl::StatusOr<CallResult> result = client.Call("sha256:1", "trap", {});
  ASSERT_TRUE(result.ok());
  const auto& trap = std::get<Trap>(result->outcome);
  EXPECT_EQ(trap.code, TrapCode::kDivideByZero);
  EXPECT_EQ(trap.frames.at(0).func_name, "f");
  result = client.Call("sha256:1", "exit", {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(std::get<Exit>(result->outcome).code, 7U);
  EXPECT_EQ(client.Call("sha256:1", "nothing", {}).status().code(), absl::StatusCode::kInternal);
}

TEST(CallTest, BytesGoInAndOut) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  const std::string input = std::string("\0\xff", 2) + "text";
  absl::StatusOr<BytesResult> result = client.CallBytes("sha256:1", "f", input);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(std::get<std::string>(result->outcome), input);
  EXPECT_EQ(result->duration, absl::Nanoseconds(1500));
  result = client.CallBytes("sha256:1", "f", "");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(std::get<std::string>(result->outcome), "") << "an empty output is one";
  result = client.CallBytes("sha256:1", "trap", input);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(std::get<Trap>(result->outcome).code, TrapCode::kDivideByZero);
  result = client.CallBytes("sha256:1", "exit", input);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(std::get<Exit>(result->outcome).code, 7U);
  for (const std::string_view odd : {"nothing", "values"}) {
    EXPECT_EQ(client.CallBytes("sha256:1", odd, input).status().code(),
              absl::StatusCode::kInternal);
  }

  const std::string most(kMaxCallBytes, 'x');
  result = client.CallBytes("sha256:1", "f", most);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(std::get<std::string>(result->outcome), most);
  EXPECT_EQ(client.CallBytes("sha256:1", "f", most + "x").status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(CallTest, EndsAtItsDeadline) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  const absl::Status status =
      client.Call("sha256:1", "hang", {}, {.timeout = absl::Milliseconds(50)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Message(status), "not done within 50ms");
  EXPECT_TRUE(daemon.WaitUntil([](const auto& seen) { return seen.cancelled == 1; }))
      << "the daemon was not told";
}

TEST(CallTest, EndsWhenStopped) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  std::stop_source stop;
  std::jthread stopper([&] {
    daemon.WaitUntil([](const auto& seen) {
      return std::count(seen.rpcs.begin(), seen.rpcs.end(), "Call") == 1;
    });
    stop.request_stop();
  });
  EXPECT_EQ(client.Call("sha256:1", "hang", {}, {.stop = stop.get_token()}).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_TRUE(daemon.WaitUntil([](const auto& seen) { return seen.cancelled == 1; }));
  // Stopped before it begins.
  EXPECT_EQ(client.Call("sha256:1", "hang", {}, {.stop = stop.get_token()}).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(CallTest, EndsWhenTheConnectionDoes) {
  FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  std::jthread breaker([&] {
    daemon.WaitUntil([](const auto& seen) {
      return std::count(seen.rpcs.begin(), seen.rpcs.end(), "Call") == 1;
    });
    daemon.Disconnect();
  });
  const absl::Status status = client.Call("sha256:1", "hang", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr(daemon.address()));
  EXPECT_EQ(client.Call("sha256:1", "f", {}).status().code(), absl::StatusCode::kUnavailable);
}

TEST(CallTest, ManyThreadsShareAClient) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  std::vector<std::jthread> threads;
  for (int32_t i = 0; i < 8; ++i) {
    threads.emplace_back([&client, i] {
      for (int32_t j = 0; j < 50; ++j) {
        const absl::StatusOr<CallResult> result =
            client.Call("sha256:1", "f", {Value(i * 1000 + j)});
        ASSERT_TRUE(result.ok());
        EXPECT_EQ(std::get<int32_t>(std::get<Values>(result->outcome).at(0)), i * 1000 + j);
      }
    });
  }
}

// ---- Instances

TEST(InstanceTest, IsDroppedWithItsHandle) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  {
    absl::StatusOr<Instance> one = client.Instantiate("sha256:1");
    absl::StatusOr<Instance> other = client.Instantiate("sha256:1");
    ASSERT_TRUE(one.ok() && other.ok());
    Instance moved = *std::move(one);
    EXPECT_TRUE(other->Drop().ok());
    EXPECT_EQ(daemon.seen().dropped.size(), 1U);
  }
  EXPECT_TRUE(daemon.WaitUntil([](const auto& seen) { return seen.dropped.size() == 2; }));
  EXPECT_NE(daemon.seen().dropped[0], daemon.seen().dropped[1]);
}

TEST(InstanceTest, KeepsTheSessionAlive) {
  const FakeDaemon daemon({});
  std::optional<Instance> instance;
  {
    Client client = MustConnect(daemon);
    instance = *client.Instantiate("sha256:1");
  }
  EXPECT_TRUE(instance->Call("f", {}).ok());
  EXPECT_EQ(daemon.seen().handshakes_ended, 0U);
  instance.reset();
  EXPECT_TRUE(daemon.WaitUntil([](const auto& seen) { return seen.handshakes_ended == 1; }));
}

TEST(InstanceTest, StartFunctionsThatTrapMakeNone) {
  const FakeDaemon daemon({});
  const absl::Status status = MustConnect(daemon).Instantiate("traps").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Message(status), "the start function trapped: unreachable executed");
}

TEST(InstanceTest, LargeReadsAreCut) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  Instance instance = *client.Instantiate("sha256:1");
  const absl::StatusOr<std::string> data = instance.ReadMemory("", 5, (2U << 20) + 7);
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(data->size(), (2U << 20) + 7);
  EXPECT_EQ(static_cast<unsigned char>(data->back()), (5 + (2U << 20) + 6) % 251);
  EXPECT_EQ(instance.ReadMemory("", 3U << 20, 1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(instance.ReadMemory("", 0, 0)->size(), 0U);
}

// ---- Uploads

class UploadTest : public testing::Test {
 protected:
  std::string WriteFile(const std::string& content) {
    std::string path = Cat(testing::TempDir(), "/module-XXXXXX");
    const Fd fd(mkstemp(path.data()));
    EXPECT_EQ(write(fd.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    files_.push_back(path);
    return path;
  }
  ~UploadTest() override {
    for (const std::string& file : files_) {
      unlink(file.c_str());
    }
  }
  std::vector<std::string> files_;
};

TEST_F(UploadTest, PassesAFileByItsDescriptor) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  const std::string content = Module(std::string(300'000, 'a'));
  const std::string path = WriteFile(content);
  const absl::StatusOr<ModuleInfo> info = client.UploadModule(ModuleSource::File(path));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->digest, Sha256Digest(content));
  EXPECT_EQ(info->name, path.substr(path.rfind('/') + 1));
  EXPECT_THAT(daemon.seen().rpcs, ElementsAre("Initialize", "UploadModule"));
  EXPECT_THAT(daemon.seen().frames, ElementsAre(1U));
}

TEST_F(UploadTest, SendsOnlyWhatIsNotThere) {
  const FakeDaemon daemon({.tcp = true});
  Client client = MustConnect(daemon);
  const std::string content = Module(std::string(700'000, 'b'));
  uint64_t sent = 0;
  UploadOptions options;
  options.progress = [&](uint64_t now, uint64_t total) {
    EXPECT_GT(now, sent);
    EXPECT_EQ(total, content.size());
    sent = now;
  };
  ASSERT_TRUE(client.UploadModule(ModuleSource::Bytes(content), options).ok());
  EXPECT_EQ(sent, content.size());
  const std::string path = WriteFile(content);
  ASSERT_TRUE(client.UploadModule(ModuleSource::File(path)).ok());
  EXPECT_THAT(daemon.seen().rpcs,
              ElementsAre("Initialize", "GetModule", "UploadModule", "GetModule"));
}

TEST_F(UploadTest, ReadsPipes) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd out(ends[0]);
  Fd in(ends[1]);
  const std::string content = Module(std::string(200'000, 'c'));
  std::jthread writer([&] {
    EXPECT_EQ(write(in.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    in = Fd();
  });
  const absl::StatusOr<ModuleInfo> info = client.UploadModule(ModuleSource::Descriptor(out.get()));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->digest, Sha256Digest(content));
}

TEST_F(UploadTest, RefusesWhatCannotBeAModule) {
  const FakeDaemon daemon({.tcp = true, .max_module_bytes = 100'000});
  Client client = MustConnect(daemon);
  absl::Status status = client.UploadModule(ModuleSource::File("/nonexistent.wasm")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(status), "/nonexistent.wasm: No such file or directory");
  EXPECT_EQ(Message(client.UploadModule(ModuleSource::File("/tmp")).status()),
            "/tmp: is a directory");
  status = client.UploadModule(ModuleSource::Bytes("hello")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(status), "not a wasm module: no magic") << "one line";
  status = client.UploadModule(ModuleSource::File(WriteFile(Module(std::string(100'000, 'd')))))
               .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(status), HasSubstr("limit of 100000 bytes"));
}

// ---- Runs

TEST(RunTest, StreamsStrings) {
  for (const bool tcp : {false, true}) {
    const FakeDaemon daemon({.tcp = tcp});
    Client client = MustConnect(daemon);
    RunOptions options;
    std::string output;
    options.input = Input::Text(std::string(3'000'000, 'i'));
    options.output = Output::Text(&output);
    const absl::StatusOr<RunResult> result = client.Run("sha256:1", options);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(std::get<Exit>(result->outcome).code, 3U);
    EXPECT_EQ(result->peak_memory_bytes, 65536U);
    EXPECT_EQ(output, std::string(3'000'000, 'i'));
  }
}

TEST(RunTest, PassesDescriptorsOrPumpsThem) {
  for (const bool tcp : {false, true}) {
    const FakeDaemon daemon({.tcp = tcp});
    Client client = MustConnect(daemon);
    int in[2];
    int out[2];
    ASSERT_EQ(pipe(in) + pipe(out), 0);
    const Fd in_read(in[0]);
    const Fd out_read(out[0]);
    Fd out_write(out[1]);
    ASSERT_EQ(write(in[1], "through", 7), 7);
    close(in[1]);
    RunOptions options;
    options.input = Input::Descriptor(in_read.get());
    options.output = Output::Descriptor(out_write.get());
    const absl::StatusOr<RunResult> result = client.Run("sha256:1", options);
    ASSERT_TRUE(result.ok()) << result.status();
    out_write = Fd();
    char buffer[16] = {};
    EXPECT_EQ(read(out_read.get(), buffer, sizeof(buffer)), 7);
    EXPECT_STREQ(buffer, "through");
    EXPECT_EQ(daemon.seen().frames.size(), tcp ? 0U : 1U);
  }
}

TEST(RunTest, PassesDirectoriesInOrder) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  RunOptions options;
  std::string expected = "args\nb\nK=V\n";
  std::vector<Fd> directories;
  options.args = {"args", "b"};
  options.env = {{"K", "V"}};
  const std::vector<std::string> paths = {"/", "/tmp", "/usr", "/etc", "/proc"};
  // More than a frame takes.
  for (int i = 0; i < 20; ++i) {
    directories.emplace_back(
        open(paths[static_cast<size_t>(i) % paths.size()].c_str(), O_RDONLY | O_DIRECTORY));
    struct stat info{};
    fstat(directories.back().get(), &info);
    options.preopens.push_back({Cat("/d", i), directories.back().get(), "", i % 2 == 1});
    expected += Cat("/d", i, " inode ", info.st_ino, i % 2 == 1 ? " ro\n" : "\n");
  }
  options.preopens.push_back({"/shared", -1, "shared", false});
  expected += "/shared root shared\n";
  std::string output;
  options.output = Output::Text(&output);
  ASSERT_TRUE(client.Run("sha256:1", options).ok());
  EXPECT_EQ(output, expected);
  EXPECT_THAT(daemon.seen().frames, ElementsAre(16U, 4U));
}

TEST(RunTest, SaysWhyADirectoryCannotBePassed) {
  const FakeDaemon daemon({.tcp = true});
  Client client = MustConnect(daemon);
  RunOptions options;
  const Fd directory(open("/tmp", O_RDONLY | O_DIRECTORY));
  options.preopens.push_back({"/", directory.get(), "", false});
  const absl::Status status = client.Run("sha256:1", options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status), HasSubstr("over TCP"));
  EXPECT_THAT(Message(status), HasSubstr("the roots shared"));
}

TEST(RunTest, AReaderWhoLeavesEndsTheRun) {
  const FakeDaemon daemon({.tcp = true});
  Client client = MustConnect(daemon);
  int out[2];
  ASSERT_EQ(pipe(out), 0);
  close(out[0]);
  const Fd write_end(out[1]);
  std::signal(SIGPIPE, SIG_IGN);
  RunOptions options;
  options.args = {"flood"};
  options.output = Output::Descriptor(write_end.get());
  const absl::Status status = client.Run("sha256:1", options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(ErrnoOf(status), EPIPE);
  EXPECT_TRUE(daemon.WaitUntil([](const auto& seen) { return seen.cancelled == 1; }));
}

TEST(RunTest, FailuresOfOurOwnStreamsAreReported) {
  const FakeDaemon daemon({});
  Client client = MustConnect(daemon);
  RunOptions options;
  options.args = {"flood"};
  options.output = Output::To([](std::string_view) { return absl::DataLossError("disk full"); });
  EXPECT_EQ(client.Run("sha256:1", options).status(), absl::DataLossError("disk full"));
  options.args = {"cat"};
  options.input = Input::From([](std::span<char>) { return absl::DataLossError("bad disk"); });
  EXPECT_EQ(client.Run("sha256:1", options).status(), absl::DataLossError("bad disk"));
}

TEST(RunTest, StopsWhileStandardInputIsSilentAndStandardOutputFull) {
  for (const bool deadline : {false, true}) {
    for (const std::string program : {"cat", "hang", "flood"}) {
      const FakeDaemon daemon({.tcp = true});
      Client client = MustConnect(daemon);
      int in[2];
      int out[2];
      ASSERT_EQ(pipe(in) + pipe(out), 0);
      const std::vector<Fd> all = [&] {
        std::vector<Fd> fds;
        for (const int fd : {in[0], in[1], out[0], out[1]}) {
          fds.emplace_back(fd);
        }
        return fds;
      }();
      RunOptions options;
      options.args = {program};
      options.input = Input::Descriptor(in[0]);
      options.output = Output::Descriptor(out[1]);
      std::stop_source stop;
      options.control.stop = stop.get_token();
      if (deadline) {
        options.control.timeout = absl::Milliseconds(100);
      }
      std::jthread stopper([&] {
        daemon.WaitUntil([](const auto& seen) {
          return std::count(seen.rpcs.begin(), seen.rpcs.end(), "Run") == 1;
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (!deadline) {
          stop.request_stop();
        }
      });
      EXPECT_EQ(client.Run("sha256:1", options).status().code(),
                deadline ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kCancelled)
          << program;
    }
  }
}

}  // namespace
}  // namespace wasmd::client
