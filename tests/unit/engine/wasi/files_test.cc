// The fd_* functions on files, directories and standard streams, and the ones without a descriptor.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "engine/wasi/abi.h"
#include "tests/unit/engine/wasi/fixture.h"

namespace wasmd::engine {
namespace {

constexpr uint32_t kCreat = abi::kOpenCreat;

class FilesTest : public WasiTest {};

TEST_F(FilesTest, ArgumentsAndEnvironment) {
  WasiOptions options;
  options.args = {"prog", "", "a b"};
  options.env = {"A=1", "B="};
  Start(std::move(options));
  EXPECT_EQ(wasi().ArgsSizesGet(guest(), 16, 20), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 3u);
  EXPECT_EQ(Get<uint32_t>(20), 10u);
  EXPECT_EQ(wasi().ArgsGet(guest(), 32, 64), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(32), 64u);
  EXPECT_EQ(Get<uint32_t>(36), 69u);
  EXPECT_EQ(Get<uint32_t>(40), 70u);
  EXPECT_EQ(GetText(64, 10), std::string("prog\0\0a b\0", 10));
  EXPECT_EQ(wasi().EnvironSizesGet(guest(), 16, 20), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 2u);
  EXPECT_EQ(Get<uint32_t>(20), 7u);
  EXPECT_EQ(wasi().EnvironGet(guest(), 32, 64), Errno::kSuccess);
  EXPECT_EQ(GetText(64, 7), std::string("A=1\0B=\0", 7));

  EXPECT_EQ(wasi().ArgsGet(guest(), kMemoryBytes - 8, 64), Answer::OutOfBounds())
      << "the third address doesn't fit";
  EXPECT_EQ(wasi().ArgsGet(guest(), 32, kMemoryBytes - 9), Answer::OutOfBounds());
  EXPECT_EQ(wasi().ArgsGet(guest(), 32, kMemoryBytes - 10), Errno::kSuccess);
  EXPECT_EQ(wasi().ArgsGet(guest(), 0xffff'fffc, 64), Answer::OutOfBounds());
  EXPECT_EQ(wasi().ArgsGet(guest(), 33, 64), Answer::Misaligned());
}

TEST_F(FilesTest, OptionsAreChecked) {
  const auto error_of = [](WasiOptions options) {
    WasiContext context(std::move(options));
    return context.Open();
  };
  WasiOptions nul;
  nul.args = {std::string("a\0b", 3)};
  EXPECT_EQ(error_of(std::move(nul)).code(), absl::StatusCode::kInvalidArgument);
  WasiOptions many;
  many.limits.max_args = 2;
  many.env = {"A=1", "B=1", "C=1"};
  EXPECT_EQ(error_of(std::move(many)).code(), absl::StatusCode::kInvalidArgument);
  WasiOptions large;
  large.limits.max_args_bytes = 5;
  large.args = {"12345"};
  EXPECT_EQ(error_of(std::move(large)).code(), absl::StatusCode::kInvalidArgument);
  MakeFile(root() / "file");
  WasiOptions file;
  file.preopens.push_back(
      {"/", UniqueFd(::open((root() / "file").c_str(), O_RDONLY | O_CLOEXEC)), false});
  EXPECT_EQ(error_of(std::move(file)).code(), absl::StatusCode::kInvalidArgument) << "no directory";
  for (const char* path : {"/proc", "/proc/self", "/proc/sys/kernel"}) {
    WasiOptions proc;
    proc.preopens.push_back({"/", OpenDirectory(path), false});
    EXPECT_EQ(error_of(std::move(proc)).code(), absl::StatusCode::kInvalidArgument) << path;
  }
  WasiOptions empty;
  empty.preopens.push_back({"/", UniqueFd(), false});
  EXPECT_EQ(error_of(std::move(empty)).code(), absl::StatusCode::kInvalidArgument);
  WasiOptions full;
  full.limits.max_open_files = 3;
  full.preopens.push_back({"/", OpenDirectory(root()), false});
  EXPECT_EQ(error_of(std::move(full)).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FilesTest, PreopensInOrder) {
  WasiOptions options;
  options.preopens.push_back({"/b", OpenDirectory(root()), false});
  options.preopens.push_back({"/aa", OpenDirectory(root()), false});
  Start(std::move(options));
  EXPECT_EQ(wasi().FdPrestatGet(guest(), 2, 16), Errno::kBadf);
  EXPECT_EQ(wasi().FdPrestatGet(guest(), 3, 16), Errno::kSuccess);
  EXPECT_EQ(Get<abi::Prestat>(16).tag, 0u);
  EXPECT_EQ(Get<abi::Prestat>(16).name_len, 2u);
  EXPECT_EQ(wasi().FdPrestatDirName(guest(), 4, 32, 3), Errno::kSuccess);
  EXPECT_EQ(GetText(32, 3), "/aa");
  EXPECT_EQ(wasi().FdPrestatDirName(guest(), 4, 32, 2), Errno::kNametoolong);
  EXPECT_EQ(wasi().FdPrestatDirName(guest(), 4, kMemoryBytes - 2, 3), Answer::OutOfBounds());
  EXPECT_EQ(wasi().FdPrestatDirName(guest(), 1, 32, 3), Errno::kNotdir);
  EXPECT_EQ(wasi().FdPrestatGet(guest(), 5, 16), Errno::kBadf);
  EXPECT_EQ(wasi().FdClose(guest(), 3), Errno::kSuccess);
  EXPECT_EQ(wasi().FdPrestatGet(guest(), 3, 16), Errno::kBadf);
}

TEST_F(FilesTest, ClocksRunAndTheMonotonicOneStartsAtZero) {
  Start();
  EXPECT_EQ(wasi().ClockTimeGet(guest(), abi::kClockRealtime, 0, 16), Errno::kSuccess);
  EXPECT_GT(Get<uint64_t>(16), 1'600'000'000'000'000'000u);
  EXPECT_EQ(wasi().ClockTimeGet(guest(), abi::kClockMonotonic, 0, 16), Errno::kSuccess);
  const uint64_t first = Get<uint64_t>(16);
  EXPECT_LT(first, 60'000'000'000u);
  EXPECT_EQ(wasi().ClockTimeGet(guest(), abi::kClockMonotonic, 0, 16), Errno::kSuccess);
  EXPECT_GE(Get<uint64_t>(16), first);
  EXPECT_EQ(wasi().ClockTimeGet(guest(), abi::kClockProcessCputime, 0, 16), Errno::kBadf);
  EXPECT_EQ(wasi().ClockTimeGet(guest(), 4, 0, 16), Errno::kInval);
  EXPECT_EQ(wasi().ClockTimeGet(guest(), 0, 0, 20), Answer::Misaligned());
  EXPECT_EQ(wasi().ClockTimeGet(guest(), 0, 0, kMemoryBytes), Answer::OutOfBounds());
  EXPECT_EQ(wasi().ClockResGet(guest(), abi::kClockMonotonic, 16), Errno::kSuccess);
  EXPECT_GE(Get<uint64_t>(16), 1u);
}

TEST_F(FilesTest, ClocksCanBeTheEmbedders) {
  WasiOptions options;
  options.realtime_ns = [] { return uint64_t{77}; };
  options.monotonic_ns = [] { return uint64_t{88}; };
  Start(std::move(options));
  EXPECT_EQ(wasi().ClockTimeGet(guest(), abi::kClockRealtime, 0, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint64_t>(16), 77u);
  EXPECT_EQ(wasi().ClockTimeGet(guest(), abi::kClockMonotonic, 0, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint64_t>(16), 88u);
}

TEST_F(FilesTest, RandomFillsExactlyWhatIsAskedFor) {
  Start();
  std::memset(memory().data(), 0, memory().size());
  EXPECT_EQ(wasi().RandomGet(guest(), 1000, 4096), Errno::kSuccess);
  std::set<std::byte> values(memory().begin() + 1000, memory().begin() + 5096);
  EXPECT_GT(values.size(), 200u);
  EXPECT_EQ(memory()[999], std::byte{0});
  EXPECT_EQ(memory()[5096], std::byte{0});
  EXPECT_EQ(wasi().RandomGet(guest(), 0, kMemoryBytes), Errno::kSuccess);
  EXPECT_EQ(wasi().RandomGet(guest(), 1, kMemoryBytes), Answer::OutOfBounds());
  EXPECT_EQ(wasi().RandomGet(guest(), 0xffff'ffff, 0xffff'ffff), Answer::OutOfBounds());
}

TEST_F(FilesTest, ExitAndTheFunctionsThatDoNothing) {
  Start();
  EXPECT_EQ(wasi().ProcExit(guest(), 42), Answer::Exit(42));
  EXPECT_EQ(wasi().ProcRaise(guest(), 9), Errno::kNotsup);
  EXPECT_EQ(wasi().SchedYield(guest()), Errno::kSuccess);
  EXPECT_EQ(wasi().SockShutdown(guest(), 1, 0), Errno::kNotsock);
  EXPECT_EQ(wasi().SockAccept(guest(), 99, 0, 16), Errno::kBadf);
}

TEST_F(FilesTest, SeekTellAndPositionedTransfers) {
  Start();
  const uint32_t fd = MustOpen("file", kCreat, kRead | kWrite);
  EXPECT_EQ(Write(fd, "0123456789"), Errno::kSuccess);
  EXPECT_EQ(wasi().FdTell(guest(), fd, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint64_t>(16), 10u);
  EXPECT_EQ(wasi().FdSeek(guest(), fd, -3, abi::kWhenceEnd, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint64_t>(16), 7u);
  std::string text;
  EXPECT_EQ(Read(fd, 10, text), Errno::kSuccess);
  EXPECT_EQ(text, "789");
  EXPECT_EQ(Read(fd, 10, text), Errno::kSuccess);
  EXPECT_EQ(text, "");
  EXPECT_EQ(wasi().FdSeek(guest(), fd, -11, abi::kWhenceCur, 16), Errno::kInval);
  EXPECT_EQ(wasi().FdSeek(guest(), fd, 0, 3, 16), Errno::kInval);
  EXPECT_EQ(wasi().FdSeek(guest(), 1, 0, abi::kWhenceCur, 16), Errno::kSpipe);
  EXPECT_EQ(wasi().FdSeek(guest(), kRoot, 0, abi::kWhenceCur, 16), Errno::kBadf);

  next_ = 64;
  const uint32_t buffer = Alloc(16);
  const uint32_t iovecs = PutIovecs({{buffer, 3}, {0, 0}, {buffer + 8, 8}});
  EXPECT_EQ(wasi().FdPread(guest(), fd, iovecs, 3, 2, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 8u);
  EXPECT_EQ(GetText(buffer, 3), "234");
  EXPECT_EQ(GetText(buffer + 8, 5), "56789");
  EXPECT_EQ(wasi().FdPwrite(guest(), fd, iovecs, 1, 20, 16), Errno::kSuccess);
  EXPECT_EQ(FileText(root() / "file"), std::string("0123456789\0\0\0\0\0\0\0\0\0\000234", 23));
  EXPECT_EQ(wasi().FdPread(guest(), fd, iovecs, 3, uint64_t{1} << 63, 16), Errno::kInval);
  EXPECT_EQ(wasi().FdTell(guest(), fd, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint64_t>(16), 10u) << "positioned transfers leave the position";
}

TEST_F(FilesTest, IovecsAreCheckedBeforeAnythingMoves) {
  Start();
  const uint32_t fd = MustOpen("file", kCreat, kRead | kWrite);
  next_ = 64;
  const uint32_t good = PutIovecs({{64, 8}});
  const uint32_t bad = PutIovecs({{64, 8}, {kMemoryBytes - 4, 5}});
  const uint32_t wrapping = PutIovecs({{0xffff'fff8, 16}});
  EXPECT_EQ(wasi().FdWrite(guest(), fd, bad, 2, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().FdWrite(guest(), fd, wrapping, 1, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().FdWrite(guest(), fd, kMemoryBytes - 8, 2, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().FdWrite(guest(), fd, good, 0xffff'ffff, 16), Answer::OutOfBounds())
      << "count times 8 wraps in 32 bits";
  EXPECT_EQ(wasi().FdWrite(guest(), fd, good, 0x2000'0000, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().FdWrite(guest(), fd, good + 2, 1, 16), Answer::Misaligned());
  EXPECT_EQ(FileText(root() / "file"), "");
  EXPECT_EQ(wasi().FdWrite(guest(), fd, good, 1, kMemoryBytes - 2), Answer::Misaligned());
  EXPECT_EQ(wasi().FdWrite(guest(), fd, 0, 0, 16), Errno::kSuccess) << "nothing is nothing";
}

TEST_F(FilesTest, ManyIovecsArePartialTransfers) {
  Start();
  const uint32_t fd = MustOpen("file", kCreat, kRead | kWrite);
  next_ = 64;
  const uint32_t byte = PutText("x").at;
  const uint32_t iovecs = PutIovecs(std::vector<abi::Iovec>(3000, {byte, 1}));
  EXPECT_EQ(wasi().FdWrite(guest(), fd, iovecs, 3000, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 1024u);
}

TEST_F(FilesTest, FdstatTellsKindRightsAndFlags) {
  std::filesystem::create_directory(root() / "dir");
  Start();
  const uint32_t file = MustOpen("file", kCreat, kRead | kWrite, abi::kFdAppend);
  const uint32_t dir = MustOpen("dir", abi::kOpenDirectory);
  const auto fdstat = [this](uint32_t fd) {
    EXPECT_EQ(wasi().FdFdstatGet(guest(), fd, 16), Errno::kSuccess);
    return Get<abi::Fdstat>(16);
  };
  EXPECT_EQ(fdstat(0).filetype, abi::Filetype::kUnknown);
  EXPECT_EQ(fdstat(0).rights_base, abi::kRightFdRead);
  EXPECT_EQ(fdstat(1).rights_base, abi::kRightFdWrite);
  EXPECT_EQ(fdstat(kRoot).filetype, abi::Filetype::kDirectory);
  EXPECT_EQ(fdstat(kRoot).rights_base & abi::kRightFdRead, 0u);
  EXPECT_NE(fdstat(kRoot).rights_inheriting & abi::kRightFdWrite, 0u);
  EXPECT_NE(fdstat(dir).rights_inheriting & abi::kRightFdWrite, 0u);
  EXPECT_EQ(fdstat(file).filetype, abi::Filetype::kRegularFile);
  EXPECT_EQ(fdstat(file).flags, abi::kFdAppend);
  EXPECT_EQ(wasi().FdFdstatSetFlags(guest(), file, abi::kFdNonblock), Errno::kSuccess);
  EXPECT_EQ(fdstat(file).flags, abi::kFdNonblock);
  EXPECT_EQ(wasi().FdFdstatSetFlags(guest(), file, abi::kFdSync), Errno::kInval);
  EXPECT_EQ(wasi().FdFdstatSetFlags(guest(), file, 0x20), Errno::kInval);
  EXPECT_EQ(wasi().FdFdstatSetFlags(guest(), 1, 0), Errno::kBadf);
  EXPECT_EQ(wasi().FdFdstatGet(guest(), 99, 16), Errno::kBadf);
  EXPECT_EQ(wasi().FdFdstatSetRights(guest(), file, 0, 0), Errno::kNotsup);
}

TEST_F(FilesTest, SizesTimesAllocationAndAdvice) {
  Start();
  const uint32_t fd = MustOpen("file", kCreat, kRead | kWrite);
  EXPECT_EQ(Write(fd, "0123456789"), Errno::kSuccess);
  EXPECT_EQ(wasi().FdFilestatSetSize(guest(), fd, 4), Errno::kSuccess);
  EXPECT_EQ(FileText(root() / "file"), "0123");
  EXPECT_EQ(wasi().FdFilestatSetSize(guest(), fd, std::numeric_limits<uint64_t>::max()),
            Errno::kInval);
  EXPECT_EQ(wasi().FdFilestatSetSize(guest(), kRoot, 4), Errno::kBadf);
  EXPECT_EQ(wasi().FdAllocate(guest(), fd, 0, 5000), Errno::kSuccess);
  EXPECT_EQ(std::filesystem::file_size(root() / "file"), 5000u);
  EXPECT_EQ(wasi().FdAllocate(guest(), fd, 0, 0), Errno::kInval);
  EXPECT_EQ(wasi().FdAdvise(guest(), fd, 0, 100, 3), Errno::kSuccess);
  EXPECT_EQ(wasi().FdAdvise(guest(), fd, 0, 100, 6), Errno::kInval);
  EXPECT_EQ(wasi().FdFilestatSetTimes(guest(), fd, 0, 7, abi::kSetMtim), Errno::kSuccess);
  EXPECT_EQ(wasi().FdFilestatGet(guest(), fd, 64), Errno::kSuccess);
  EXPECT_EQ(Get<abi::Filestat>(64).mtim, 7u);
  EXPECT_EQ(wasi().FdFilestatSetTimes(guest(), kRoot, 0, 7, abi::kSetMtim), Errno::kSuccess);
  EXPECT_EQ(wasi().FdFilestatSetTimes(guest(), 1, 0, 7, abi::kSetMtim), Errno::kBadf);
  EXPECT_EQ(wasi().FdSync(guest(), fd), Errno::kSuccess);
  EXPECT_EQ(wasi().FdDatasync(guest(), fd), Errno::kSuccess);
  EXPECT_EQ(wasi().FdSync(guest(), kRoot), Errno::kBadf);
}

TEST_F(FilesTest, Renumber) {
  Start();
  const uint32_t a = MustOpen("a", kCreat, kRead | kWrite);
  const uint32_t b = MustOpen("b", kCreat, kRead | kWrite);
  EXPECT_EQ(wasi().FdRenumber(guest(), a, 99), Errno::kBadf) << "both are open";
  EXPECT_EQ(wasi().FdRenumber(guest(), a, 0xffff'ffff), Errno::kBadf);
  EXPECT_EQ(wasi().FdRenumber(guest(), a, a), Errno::kSuccess);
  EXPECT_EQ(wasi().FdRenumber(guest(), a, b), Errno::kSuccess);
  EXPECT_EQ(Write(b, "text"), Errno::kSuccess);
  EXPECT_EQ(FileText(root() / "a"), "text");
  EXPECT_EQ(wasi().FdClose(guest(), a), Errno::kBadf);
  EXPECT_EQ(MustOpen("c", kCreat, kWrite), a) << "the number is free again";
}

struct Listed {
  std::string name;
  abi::Dirent dirent;
};

class ReaddirTest : public WasiTest {
 protected:
  // Lists through a buffer of `size_bytes`, as C libraries do: a record that is cut off is asked
  // for again.
  std::vector<Listed> List(uint32_t fd, uint32_t size_bytes) {
    std::vector<Listed> all;
    uint64_t cookie = 0;
    for (int rounds = 0; rounds < 100'000; ++rounds) {
      EXPECT_EQ(wasi().FdReaddir(guest(), fd, 1024, size_bytes, cookie, 16), Errno::kSuccess);
      const uint32_t used = Get<uint32_t>(16);
      EXPECT_LE(used, size_bytes);
      for (uint32_t at = 0; used - at >= sizeof(abi::Dirent);) {
        const abi::Dirent dirent = Get<abi::Dirent>(1024 + at);
        at += sizeof(dirent);
        if (dirent.namlen > used - at) {
          break;
        }
        all.push_back({GetText(1024 + at, dirent.namlen), dirent});
        cookie = dirent.next;
        at += dirent.namlen;
      }
      if (used < size_bytes) {
        return all;
      }
    }
    ADD_FAILURE() << "the listing doesn't end";
    return all;
  }
};

TEST_F(ReaddirTest, ListsEverythingOnceThroughAnyBuffer) {
  std::set<std::string> expected = {".", ".."};
  for (int i = 0; i < 700; ++i) {
    const std::string name =
        "file" + std::string(static_cast<size_t>(i % 90), 'x') + std::to_string(i);
    MakeFile(root() / name);
    expected.insert(name);
  }
  Start();
  for (const uint32_t size_bytes : {300u, 4096u, 65'536u, 200'000u}) {
    const std::vector<Listed> all = List(kRoot, size_bytes);
    std::set<std::string> names;
    for (const Listed& one : all) {
      EXPECT_TRUE(names.insert(one.name).second) << one.name << " twice, buffer of " << size_bytes;
    }
    EXPECT_EQ(names, expected) << size_bytes;
  }
}

TEST_F(ReaddirTest, TellsTypesAndNothingOfTheParent) {
  std::filesystem::create_directory(root() / "dir");
  std::filesystem::create_symlink("dir", root() / "link");
  MakeFile(root() / "file");
  Start();
  abi::Filestat self;
  ASSERT_EQ(Stat(".", self), Errno::kSuccess);
  int seen = 0;
  for (const Listed& one : List(kRoot, 4096)) {
    if (one.name == "dir") {
      EXPECT_EQ(one.dirent.type, abi::Filetype::kDirectory);
      ++seen;
    } else if (one.name == "link") {
      EXPECT_EQ(one.dirent.type, abi::Filetype::kSymbolicLink);
      ++seen;
    } else if (one.name == "file") {
      EXPECT_EQ(one.dirent.type, abi::Filetype::kRegularFile);
      ++seen;
    } else if (one.name == "..") {
      EXPECT_EQ(one.dirent.ino, self.ino);
      ++seen;
    }
  }
  EXPECT_EQ(seen, 4);
}

TEST_F(ReaddirTest, EdgesOfBufferAndCookie) {
  MakeFile(root() / "file");
  Start();
  EXPECT_EQ(wasi().FdReaddir(guest(), kRoot, 1024, 10, 0, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 10u) << "a cut record fills the buffer: there is more";
  EXPECT_EQ(wasi().FdReaddir(guest(), kRoot, 1024, 0, 0, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 0u);
  EXPECT_EQ(wasi().FdReaddir(guest(), kRoot, 1024, 4096, std::numeric_limits<uint64_t>::max(), 16),
            Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 0u) << "past the end";
  EXPECT_EQ(wasi().FdReaddir(guest(), kRoot, kMemoryBytes - 10, 11, 0, 16), Answer::OutOfBounds());
  EXPECT_EQ(wasi().FdReaddir(guest(), 1, 1024, 4096, 0, 16), Errno::kBadf);
  EXPECT_EQ(wasi().FdReaddir(guest(), MustOpen("file"), 1024, 4096, 0, 16), Errno::kBadf);
}

TEST_F(ReaddirTest, CookiesFitWhereACLibraryPutsThemAndLargeDirectoriesAreListedWhole) {
  constexpr size_t kCount = 9000;  // More than places are kept of.
  for (size_t i = 0; i < kCount; ++i) {
    MakeFile(root() / std::to_string(i));
  }
  Start();
  const std::vector<Listed> all = List(kRoot, 100'000);
  ASSERT_EQ(all.size(), kCount + 2);
  std::set<std::string> names;
  for (size_t i = 0; i < all.size(); ++i) {
    names.insert(all[i].name);
    if (i < 8000) {
      ASSERT_EQ(all[i].dirent.next, i + 1);
    }
  }
  EXPECT_EQ(names.size(), all.size());
  // From anywhere on, on both sides of the bound.
  for (const size_t from : {size_t{5}, size_t{8100}, size_t{8500}, all.size() - 2}) {
    ASSERT_EQ(wasi().FdReaddir(guest(), kRoot, 1024, 100, all[from].dirent.next, 16),
              Errno::kSuccess);
    const auto dirent = Get<abi::Dirent>(1024);
    EXPECT_EQ(GetText(1024 + sizeof(dirent), dirent.namlen), all[from + 1].name);
  }
  // None that was given out.
  EXPECT_EQ(wasi().FdReaddir(guest(), kRoot, 1024, 100, 1'000'000, 16), Errno::kSuccess);
  EXPECT_EQ(Get<uint32_t>(16), 0u);
}

TEST_F(ReaddirTest, AFreshListingSeesNewFiles) {
  Start();
  EXPECT_EQ(List(kRoot, 4096).size(), 2u);
  MakeFile(root() / "file");
  EXPECT_EQ(List(kRoot, 4096).size(), 3u);
}

}  // namespace
}  // namespace wasmd::engine
