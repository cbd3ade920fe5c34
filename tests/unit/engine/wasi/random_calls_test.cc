// Any function with any arguments: nothing crashes, nothing waits for ever, nothing outside the
// preopen changes.
//
// A guest's numbers are drawn from what tends to break things: edges of memory and of 32 and 64
// bits, alignment, open descriptors, addresses of prepared paths and iovecs. Meant to be run under
// ASan as well; WASI_RANDOM_CALLS sets how many.
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "tests/unit/engine/wasi/fixture.h"

namespace wasmd::engine {
namespace {

class RandomCallsTest : public WasiTest {
 protected:
  void Prepare() {
    // A fresh tree and fresh memory: calls before may have left little of either.
    std::filesystem::remove_all(root());
    std::filesystem::create_directory(root());
    std::filesystem::create_directory(root() / "dir");
    MakeFile(root() / "file", "0123456789");
    interesting_.clear();
    paths_.clear();
    std::filesystem::create_symlink("../secret", root() / "out");
    std::filesystem::create_symlink("..", root() / "up");
    std::filesystem::create_symlink("dir", root() / "dirlink");
    next_ = 8;
    for (const char* path :
         {"file", "dir", "out", "up", "up/secret", "../secret", "/", "new", "dir/new", "dirlink/x",
          ".", "..", "dir/", "new/", "dir/../file", "dirlink", "\xff"}) {
      const Text text = PutText(path);
      interesting_.push_back(text.at);
      paths_.emplace_back(path, text);
    }
    for (int i = 0; i < 8; ++i) {
      interesting_.push_back(
          PutIovecs({{Draw32(), Draw32() % 100}, {1024, 64}, {Draw32(), Draw32()}}));
    }
    for (uint8_t tag = 0; tag < 4; ++tag) {
      abi::Subscription subscription = {};
      subscription.tag = tag;
      subscription.id = tag;
      subscription.timeout = 1000;
      interesting_.push_back(Put(subscription));
    }
  }

  // One that listens, and a connected one whose other end nobody reads.
  void StartWithSockets() {
    WasiOptions options;
    options.preopens.push_back({"/", OpenDirectory(root()), false});
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;  // No name: the kernel finds one.
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)),
              0);
    ASSERT_EQ(::listen(listener.get(), 4), 0);
    options.sockets.push_back({std::move(listener)});
    int ends[2] = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    options.sockets.push_back({UniqueFd(ends[0])});
    other_end_.reset(ends[1]);
    Start(std::move(options));
  }

  uint32_t Draw32() {
    static constexpr uint32_t kEdges[] = {0,
                                          1,
                                          7,
                                          8,
                                          15,
                                          16,
                                          255,
                                          4096,
                                          65'535,
                                          65'536,
                                          kMemoryBytes - 64,
                                          kMemoryBytes - 8,
                                          kMemoryBytes - 1,
                                          kMemoryBytes,
                                          kMemoryBytes + 1,
                                          0x7fff'ffff,
                                          0x8000'0000,
                                          0xffff'fff8,
                                          0xffff'ffff};
    switch (random_() % 8) {
      case 0:
        return kEdges[random_() % std::size(kEdges)];
      case 1:
      case 2:
        return static_cast<uint32_t>(random_() %
                                     12);  // Descriptors, flags, enumerators, short lengths.
      case 3:
      case 4:
        return interesting_.empty() ? 0 : interesting_[random_() % interesting_.size()];
      case 5:
        return static_cast<uint32_t>(random_() % kMemoryBytes) & ~7U;
      case 6:
        return static_cast<uint32_t>(random_() % 64);
      default:
        return static_cast<uint32_t>(random_());
    }
  }
  template <typename T>
  T DrawOne() {
    if constexpr (sizeof(T) == 4) {
      return Draw32();
    } else {
      return random_() % 2 == 0 ? static_cast<T>(Draw32()) : static_cast<T>(random_());
    }
  }
  template <typename... Args>
  void Call(Answer (WasiContext::*member)(Guest&, Args...)) {
    static_cast<void>((wasi().*member)(guest(), DrawOne<Args>()...));
  }
  void CallAny() {
    const size_t which = random_() % 46;
    size_t index = 0;
#define WASI(name, member)      \
  if (index++ == which) {       \
    Call(&WasiContext::member); \
  }
#include "engine/wasi/functions.def"
#undef WASI
  }
  // Puts the text where it was, in case that another call wrote over it.
  Text DrawPath() {
    const auto& [text, at] = paths_[random_() % paths_.size()];
    std::memcpy(memory().data() + at.at, text.data(), text.size());
    return at;
  }
  // Blind numbers rarely make a path: these do.
  void CallOnPath() {
    const Text path = DrawPath();
    const Text other = DrawPath();
    const uint32_t fd = random_() % 2 == 0 ? kRoot : Draw32();
    switch (random_() % 8) {
      case 0:
        static_cast<void>(wasi().PathOpen(guest(), fd, Draw32() & 1, path.at, path.size,
                                          Draw32() & 15, DrawOne<uint64_t>() & abi::kRights, 0,
                                          Draw32() & 31, 1024));
        break;
      case 1:
        static_cast<void>(
            wasi().PathRename(guest(), fd, path.at, path.size, kRoot, other.at, other.size));
        break;
      case 2:
        static_cast<void>(
            wasi().PathLink(guest(), fd, 0, path.at, path.size, kRoot, other.at, other.size));
        break;
      case 3:
        static_cast<void>(
            wasi().PathSymlink(guest(), path.at, path.size, fd, other.at, other.size));
        break;
      case 4:
        static_cast<void>(wasi().PathUnlinkFile(guest(), fd, path.at, path.size));
        break;
      case 5:
        static_cast<void>(wasi().PathRemoveDirectory(guest(), fd, path.at, path.size));
        break;
      case 6:
        static_cast<void>(wasi().PathCreateDirectory(guest(), fd, path.at, path.size));
        break;
      default:
        static_cast<void>(
            wasi().PathFilestatSetTimes(guest(), fd, Draw32() & 1, path.at, path.size, 1, 1, 5));
        break;
    }
  }

  std::mt19937_64 random_{1};
  UniqueFd other_end_;
  std::vector<uint32_t> interesting_;
  std::vector<std::pair<std::string, Text>> paths_;
};

TEST_F(RandomCallsTest, NothingCrashesWaitsOrEscapes) {
  // fallocate must not fill the disk.
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 1 << 20;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  ::signal(SIGXFSZ, SIG_IGN);

  MakeFile(outside() / "secret", "secret");
  Prepare();
  const char* count = std::getenv("WASI_RANDOM_CALLS");
  const int calls = count != nullptr ? std::atoi(count) : 60'000;
  ASSERT_NO_FATAL_FAILURE(StartWithSockets());
  Interrupt();  // Waits end at once.
  for (int i = 0; i < calls; ++i) {
    if (i % 500 == 499) {  // It will have closed the preopen, or filled the table.
      Prepare();
      ASSERT_NO_FATAL_FAILURE(StartWithSockets());
    }
    if (random_() % 3 == 0) {
      CallOnPath();
    } else {
      CallAny();
    }
  }
  EXPECT_EQ(FileText(outside() / "secret"), "secret");
  int entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(outside())) {
    static_cast<void>(entry);
    ++entries;
  }
  EXPECT_EQ(entries, 2) << "root and secret";
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
}

}  // namespace
}  // namespace wasmd::engine
