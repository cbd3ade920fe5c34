// The path_* functions: what they do, and that nothing a guest writes into a path or finds on the
// way leads out of its directory.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "engine/wasi/abi.h"
#include "engine/wasi/beneath.h"
#include "tests/unit/engine/wasi/fixture.h"

namespace wasmd::engine {
namespace {

using std::filesystem::create_directory;
using std::filesystem::create_symlink;
using std::filesystem::exists;

constexpr uint32_t kCreat = abi::kOpenCreat;
constexpr uint32_t kTrunc = abi::kOpenTrunc;
constexpr uint32_t kExcl = abi::kOpenExcl;
constexpr uint32_t kDirectory = abi::kOpenDirectory;

class PathsTest : public WasiTest {};

TEST_F(PathsTest, CreatesWritesReadsAndUnlinksAFile) {
  Start();
  const uint32_t fd = MustOpen("new", kCreat, kRead | kWrite);
  EXPECT_EQ(fd, 4u);
  uint32_t written = 0;
  EXPECT_EQ(Write(fd, "hello", &written), Errno::kSuccess);
  EXPECT_EQ(written, 5u);
  EXPECT_EQ(FileText(root() / "new"), "hello");
  EXPECT_EQ(wasi().FdClose(guest(), fd), Errno::kSuccess);

  std::string text;
  EXPECT_EQ(Read(MustOpen("new"), 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(Unlink("new"), Errno::kSuccess);
  EXPECT_FALSE(exists(root() / "new"));
  EXPECT_EQ(Unlink("new"), Errno::kNoent);
}

// Every way out that a path can spell, for every function that takes one.
class EscapeTest : public PathsTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    MakeFile(outside() / "secret", "secret");
    create_directory(outside() / "secret_dir");
    create_directory(root() / "dir");
    create_symlink("../secret", root() / "out");
    create_symlink("../secret_dir", root() / "out_dir");
    create_symlink(outside() / "secret", root() / "absolute");
    create_symlink("/", root() / "slash");
    create_symlink("..", root() / "up");
    create_symlink("../..", root() / "dir" / "upup");
    create_symlink("up", root() / "chain");
    create_symlink("/proc/self/root", root() / "magic");
    MakeFile(root() / "file", "mine");
    Start();
  }
  void TearDown() override {
    EXPECT_EQ(FileText(outside() / "secret"), "secret");
    EXPECT_TRUE(exists(outside() / "secret_dir"));
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(outside())) {
      static_cast<void>(entry);
      ++count;
    }
    EXPECT_EQ(count, 3) << "something was made outside";
  }
};

TEST_P(EscapeTest, IsRefused) {
  const std::string path = GetParam();
  abi::Filestat filestat;
  std::string text;
  EXPECT_EQ(Open(path).answer, Errno::kPerm);
  EXPECT_EQ(Open(path, kDirectory).answer, Errno::kPerm);
  EXPECT_EQ(Open(path, kCreat, kWrite).answer, Errno::kPerm);
  EXPECT_EQ(Open(path, kCreat | kTrunc, kRead | kWrite).answer, Errno::kPerm);
  EXPECT_EQ(Stat(path, filestat), Errno::kPerm);
  EXPECT_EQ(SetTimes(path, 1, 1, abi::kSetMtim), Errno::kPerm);
}

INSTANTIATE_TEST_SUITE_P(Paths, EscapeTest,
                         testing::Values("../secret", "/etc/passwd", "/", "//", "..", "../",
                                         "dir/../../secret", "dir/upup/secret", "up/secret",
                                         "chain/secret", "out", "out_dir", "absolute",
                                         "slash/etc/passwd", "slash", "magic/etc/passwd", "magic",
                                         "./../secret", "dir/./../../root/file", "../root/file",
                                         "up/root/file"));

// What works on names: the directory part must not lead out, and the last component is never
// followed.
class EscapeByNameTest : public EscapeTest {};

TEST_P(EscapeByNameTest, IsRefused) {
  const std::string path = GetParam();
  std::string text;
  EXPECT_EQ(Mkdir(path), Errno::kPerm);
  EXPECT_EQ(Rmdir(path), Errno::kPerm);
  EXPECT_EQ(Unlink(path), Errno::kPerm);
  EXPECT_EQ(Readlink(path, text), Errno::kPerm);
  EXPECT_EQ(Symlink("x", path), Errno::kPerm);
  EXPECT_EQ(Link("file", path), Errno::kPerm);
  EXPECT_EQ(Link(path, "new"), Errno::kPerm);
  EXPECT_EQ(Rename("file", path), Errno::kPerm);
  EXPECT_EQ(Rename(path, "new"), Errno::kPerm);
  EXPECT_TRUE(exists(root() / "file"));
  EXPECT_FALSE(exists(root() / "new"));
}

INSTANTIATE_TEST_SUITE_P(Paths, EscapeByNameTest,
                         testing::Values("../secret", "/etc/x", "/x", "..", "dir/../../x",
                                         "dir/upup/x", "up/x", "chain/x", "slash/x", "magic/x",
                                         "out_dir/x", "../root/x", "up/root/x"));

TEST_F(PathsTest, LinksThatLeadOutAreThingsOfTheGuestsOwn) {
  MakeFile(outside() / "secret", "secret");
  create_symlink("../secret", root() / "out");
  Start();
  abi::Filestat filestat;
  std::string text;
  EXPECT_EQ(Stat("out", filestat, 0), Errno::kSuccess);
  EXPECT_EQ(filestat.filetype, abi::Filetype::kSymbolicLink);
  EXPECT_EQ(Readlink("out", text), Errno::kSuccess);
  EXPECT_EQ(text, "../secret");
  EXPECT_EQ(Open("out", 0, kRead, 0, /*lookup=*/0).answer, Errno::kLoop);
  EXPECT_EQ(Open("out", kDirectory, kRead, 0, /*lookup=*/0).answer, Errno::kLoop);
  EXPECT_EQ(SetTimes("out", 0, 5'000'000'000, abi::kSetMtim, /*lookup=*/0), Errno::kSuccess);
  EXPECT_EQ(Rename("out", "out2"), Errno::kSuccess);
  EXPECT_EQ(Link("out2", "out3"), Errno::kSuccess);
  EXPECT_TRUE(std::filesystem::is_symlink(root() / "out3"));
  EXPECT_EQ(Unlink("out2"), Errno::kSuccess);
  EXPECT_EQ(FileText(outside() / "secret"), "secret");
  struct stat status = {};
  ASSERT_EQ(::stat((outside() / "secret").c_str(), &status), 0);
  EXPECT_NE(status.st_mtim.tv_sec, 5);
}

TEST_F(PathsTest, LinksThatStayInsideAreFollowed) {
  create_directory(root() / "dir");
  MakeFile(root() / "dir" / "file", "text");
  create_symlink("dir/../dir/file", root() / "link");
  create_symlink("dir", root() / "dirlink");
  Start();
  std::string text;
  EXPECT_EQ(Read(MustOpen("link"), 100, text), Errno::kSuccess);
  EXPECT_EQ(text, "text");
  EXPECT_EQ(Read(MustOpen("dirlink/file"), 100, text), Errno::kSuccess);
  EXPECT_EQ(Read(MustOpen("dirlink/../link"), 100, text), Errno::kSuccess);
}

TEST_F(PathsTest, ALinkLoopIsAnError) {
  create_symlink("loop", root() / "loop");
  Start();
  EXPECT_EQ(Open("loop").answer, Errno::kLoop);
  EXPECT_EQ(Open("loop/x").answer, Errno::kLoop);
  EXPECT_EQ(Mkdir("loop/x"), Errno::kLoop);
}

TEST_F(PathsTest, OddPathTexts) {
  create_directory(root() / "dir");
  Start();
  EXPECT_EQ(Open("").answer, Errno::kNoent);
  EXPECT_EQ(Mkdir(""), Errno::kNoent);
  EXPECT_EQ(Open(std::string_view("a\0b", 3)).answer, Errno::kInval);
  EXPECT_EQ(Open(std::string_view("dir\0", 4)).answer, Errno::kInval);
  EXPECT_EQ(Open("\xff").answer, Errno::kIlseq);
  EXPECT_EQ(Open("\xc0\xaf").answer, Errno::kIlseq) << "an overlong '/'";
  EXPECT_EQ(Open("\xed\xa0\x80").answer, Errno::kIlseq) << "a surrogate";
  EXPECT_EQ(Open("\xc3").answer, Errno::kIlseq) << "cut off";
  EXPECT_EQ(Open("\xf4\x90\x80\x80").answer, Errno::kIlseq) << "past U+10FFFF";
  EXPECT_EQ(Open("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", kCreat, kWrite).answer,
            Errno::kSuccess);
  EXPECT_EQ(Open(std::string(255, 'n'), kCreat, kWrite).answer, Errno::kSuccess);
  EXPECT_EQ(Open(std::string(256, 'n'), kCreat, kWrite).answer, Errno::kNametoolong);
  EXPECT_EQ(Open(std::string(4096, '/')).answer, Errno::kNametoolong);
  std::string dots;
  for (int i = 0; i < 2000; ++i) {
    dots += "./";
  }
  EXPECT_EQ(Open(dots + "dir").answer, Errno::kSuccess) << "4,003 bytes are a path";
  EXPECT_EQ(Open(dots + std::string(93, '/') + "dir").answer, Errno::kNametoolong)
      << "4,096 are not";
}

TEST_F(PathsTest, DeepTrees) {
  Start();
  std::string path = "d";
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(Mkdir(path), Errno::kSuccess) << i;
    path += "/d";
  }
  EXPECT_EQ(Open(path + "x", kCreat, kWrite).answer, Errno::kSuccess);
  std::string up = path.substr(0, path.size() - 2);
  for (int i = 0; i < 300; ++i) {
    up += "/..";
  }
  EXPECT_EQ(Open(up).answer, Errno::kSuccess) << "back at the top";
  EXPECT_EQ(Open(up + "/..").answer, Errno::kPerm);
}

TEST_F(PathsTest, OpenFlags) {
  MakeFile(root() / "file", "0123456789");
  create_directory(root() / "dir");
  Start();
  EXPECT_EQ(Open("file", kCreat | kExcl, kWrite).answer, Errno::kExist);
  EXPECT_EQ(Open("dir", kCreat, kWrite).answer, Errno::kIsdir);
  EXPECT_EQ(Open("dir", 0, kWrite).answer, Errno::kIsdir);
  EXPECT_EQ(Open("file", kDirectory).answer, Errno::kNotdir);
  EXPECT_EQ(Open("dir", kDirectory | kCreat).answer, Errno::kInval);
  EXPECT_EQ(Open("file/").answer, Errno::kNotdir);
  EXPECT_EQ(Open("new/", kCreat, kWrite).answer, Errno::kIsdir);
  EXPECT_EQ(Open("file", 0x10).answer, Errno::kInval);
  EXPECT_EQ(Open("file", 0, 1ULL << 30).answer, Errno::kInval);
  EXPECT_EQ(Open("file", 0, kRead, 0x20).answer, Errno::kInval);
  EXPECT_EQ(Open("file", 0, kRead, 0, 2).answer, Errno::kInval);
  EXPECT_EQ(Open("file", kTrunc, kWrite).answer, Errno::kSuccess);
  EXPECT_EQ(FileText(root() / "file"), "");
  EXPECT_EQ(Open("file", 0, kRead, 0, 1, 99).answer, Errno::kBadf);
  EXPECT_EQ(Open("file", 0, kRead, 0, 1, /*directory=*/1).answer, Errno::kBadf);
  EXPECT_EQ(Open("x", 0, kRead, 0, 1, MustOpen("file")).answer, Errno::kNotdir);
}

TEST_F(PathsTest, AccessModeIsWhatWasAskedFor) {
  MakeFile(root() / "file", "0123456789");
  Start();
  std::string text;
  EXPECT_EQ(Write(MustOpen("file", 0, kRead), "x"), Errno::kBadf);
  EXPECT_EQ(Read(MustOpen("file", 0, kWrite), 4, text), Errno::kBadf);
  EXPECT_EQ(Read(MustOpen("file", 0, 0), 4, text), Errno::kSuccess) << "neither right: for reading";
  const uint32_t append = MustOpen("file", 0, kRead | kWrite, abi::kFdAppend);
  EXPECT_EQ(Write(append, "+"), Errno::kSuccess);
  EXPECT_EQ(FileText(root() / "file"), "0123456789+");
}

TEST_F(PathsTest, ReadOnlyPreopenRefusesEveryChange) {
  MakeFile(root() / "file", "text");
  create_directory(root() / "dir");
  StartReadOnly();
  EXPECT_EQ(Open("new", kCreat, kWrite).answer, Errno::kPerm);
  EXPECT_EQ(Open("file", kCreat, kRead).answer, Errno::kPerm);
  EXPECT_EQ(Open("file", kTrunc, kRead).answer, Errno::kPerm);
  EXPECT_EQ(Open("file", 0, kWrite).answer, Errno::kPerm);
  EXPECT_EQ(Mkdir("new"), Errno::kPerm);
  EXPECT_EQ(Rmdir("dir"), Errno::kPerm);
  EXPECT_EQ(Unlink("file"), Errno::kPerm);
  EXPECT_EQ(Rename("file", "new"), Errno::kPerm);
  EXPECT_EQ(Link("file", "new"), Errno::kPerm);
  EXPECT_EQ(Symlink("file", "new"), Errno::kPerm);
  EXPECT_EQ(SetTimes("file", 1, 1, abi::kSetMtim), Errno::kPerm);
  const uint32_t fd = MustOpen("file");
  std::string text;
  EXPECT_EQ(Read(fd, 10, text), Errno::kSuccess);
  EXPECT_EQ(text, "text");
  EXPECT_EQ(Write(fd, "x"), Errno::kBadf);
  EXPECT_EQ(wasi().FdFilestatSetSize(guest(), fd, 0), Errno::kPerm);
  EXPECT_EQ(wasi().FdFilestatSetTimes(guest(), fd, 1, 1, abi::kSetMtim), Errno::kPerm);
  EXPECT_EQ(wasi().FdAllocate(guest(), fd, 0, 100), Errno::kBadf);
  // What is opened beneath it is no less read-only.
  const uint32_t dir = MustOpen("dir", kDirectory);
  EXPECT_EQ(Open("new", kCreat, kWrite, 0, 1, dir).answer, Errno::kPerm);
  EXPECT_EQ(wasi().FdFilestatSetTimes(guest(), dir, 1, 1, abi::kSetMtim), Errno::kPerm);
  abi::Filestat filestat;
  EXPECT_EQ(Stat("file", filestat), Errno::kSuccess);
  EXPECT_EQ(FileText(root() / "file"), "text");
}

TEST_F(PathsTest, NothingMovesOutOfAReadOnlyPreopenEither) {
  create_directory(root() / "ro");
  create_directory(root() / "rw");
  MakeFile(root() / "ro" / "file", "text");
  WasiOptions options;
  options.preopens.push_back({"/ro", OpenDirectory(root() / "ro"), true});
  options.preopens.push_back({"/rw", OpenDirectory(root() / "rw"), false});
  Start(std::move(options));
  const Text name = PutText("file");
  EXPECT_EQ(wasi().PathRename(guest(), 3, name.at, name.size, 4, name.at, name.size), Errno::kPerm);
  // A hard link would make it writable.
  EXPECT_EQ(wasi().PathLink(guest(), 3, 0, name.at, name.size, 4, name.at, name.size),
            Errno::kPerm);
  MakeFile(root() / "rw" / "file", "text");
  EXPECT_EQ(wasi().PathRename(guest(), 4, name.at, name.size, 3, name.at, name.size), Errno::kPerm);
  EXPECT_EQ(wasi().PathLink(guest(), 4, 0, name.at, name.size, 3, name.at, name.size),
            Errno::kPerm);
}

TEST_F(PathsTest, DirectoriesAndTrailingSlashes) {
  Start();
  EXPECT_EQ(Mkdir("a"), Errno::kSuccess);
  EXPECT_EQ(Mkdir("a"), Errno::kExist);
  EXPECT_EQ(Mkdir("b/"), Errno::kSuccess);
  EXPECT_EQ(Mkdir("a/../c"), Errno::kSuccess);
  EXPECT_EQ(Mkdir("."), Errno::kExist);
  EXPECT_EQ(Mkdir("missing/x"), Errno::kNoent);
  EXPECT_EQ(Rmdir("b/"), Errno::kSuccess);
  EXPECT_EQ(Rmdir("b"), Errno::kNoent);
  EXPECT_EQ(Rmdir("."), Errno::kInval);
  EXPECT_EQ(Rmdir("a/."), Errno::kInval);
  EXPECT_EQ(Unlink("a"), Errno::kIsdir);
  EXPECT_EQ(Unlink("a/"), Errno::kIsdir);
  MakeFile(root() / "a" / "file");
  EXPECT_EQ(Rmdir("a"), Errno::kNotempty);
  EXPECT_EQ(Rmdir("a/file"), Errno::kNotdir);
  EXPECT_EQ(Unlink("a/file/"), Errno::kNotdir);
  EXPECT_EQ(Rename("a/", "d/"), Errno::kSuccess);
  EXPECT_EQ(Rename("d/file/", "x"), Errno::kNotdir);
  EXPECT_EQ(Rename("d/file", "x/"), Errno::kNotdir);
  EXPECT_EQ(Rename("d/file", "x"), Errno::kSuccess);
  EXPECT_EQ(Rename("missing", "y"), Errno::kNoent);
}

TEST_F(PathsTest, Links) {
  MakeFile(root() / "file", "text");
  create_directory(root() / "dir");
  Start();
  EXPECT_EQ(Link("file", "hard"), Errno::kSuccess);
  EXPECT_EQ(Link("file", "hard"), Errno::kExist);
  EXPECT_EQ(Link("file", "x", abi::kLookupSymlinkFollow), Errno::kInval);
  EXPECT_EQ(Link("dir", "x"), Errno::kPerm);
  abi::Filestat filestat;
  EXPECT_EQ(Stat("hard", filestat), Errno::kSuccess);
  EXPECT_EQ(filestat.nlink, 2u);

  EXPECT_EQ(Symlink("file", "soft"), Errno::kSuccess);
  EXPECT_EQ(Symlink("file", "soft"), Errno::kExist);
  EXPECT_EQ(Symlink("/etc/passwd", "bad"), Errno::kPerm) << "absolute targets lead out";
  EXPECT_EQ(Symlink("../outside", "out"), Errno::kSuccess) << "may be made, is never followed";
  std::string target;
  EXPECT_EQ(Readlink("soft", target), Errno::kSuccess);
  EXPECT_EQ(target, "file");
  EXPECT_EQ(Readlink("soft", target, 2), Errno::kSuccess);
  EXPECT_EQ(target, "fi") << "cut to the buffer";
  EXPECT_EQ(Readlink("file", target), Errno::kInval);
  create_symlink("/etc/passwd", root() / "absolute");
  EXPECT_EQ(Readlink("absolute", target), Errno::kPerm);
}

TEST_F(PathsTest, TimesAndStat) {
  MakeFile(root() / "file", "12345");
  Start();
  EXPECT_EQ(SetTimes("file", 1'000'000'001, 2'000'000'002, abi::kSetAtim | abi::kSetMtim),
            Errno::kSuccess);
  abi::Filestat filestat;
  EXPECT_EQ(Stat("file", filestat), Errno::kSuccess);
  EXPECT_EQ(filestat.atim, 1'000'000'001u);
  EXPECT_EQ(filestat.mtim, 2'000'000'002u);
  EXPECT_EQ(filestat.size, 5u);
  EXPECT_EQ(filestat.filetype, abi::Filetype::kRegularFile);
  EXPECT_EQ(SetTimes("file", 0, 0, abi::kSetMtimNow), Errno::kSuccess);
  EXPECT_EQ(Stat("file", filestat), Errno::kSuccess);
  EXPECT_EQ(filestat.atim, 1'000'000'001u) << "left alone";
  EXPECT_GT(filestat.mtim, 1'600'000'000'000'000'000u);
  EXPECT_EQ(SetTimes("file", 0, 0, abi::kSetMtim | abi::kSetMtimNow), Errno::kInval);
  EXPECT_EQ(SetTimes("file", 0, 0, 0x10), Errno::kInval);
  EXPECT_EQ(SetTimes("missing", 0, 0, abi::kSetMtim), Errno::kNoent);
}

TEST_F(PathsTest, TimesBefore1970AreZero) {
  MakeFile(root() / "file");
  const timespec times[2] = {{-5, 0}, {-5, 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root() / "file").c_str(), times, 0), 0);
  Start();
  abi::Filestat filestat;
  EXPECT_EQ(Stat("file", filestat), Errno::kSuccess);
  EXPECT_EQ(filestat.mtim, 0u);
}

// /proc/self/mem is this process's memory: with it a program could write whatever and wherever it
// likes. Other mounts are crossed as usual.
TEST_F(PathsTest, ProcfsIsClosed) {
  const UniqueFd slash = OpenDirectory("/");
  const auto open = [&slash](const char* path, int flags) {
    UniqueFd opened;
    const int error = OpenBeneath(slash.get(), path, flags, 0, opened);
    EXPECT_EQ(error == 0, static_cast<bool>(opened));
    return error;
  };
  EXPECT_EQ(open("proc/self/mem", O_RDWR), EACCES);
  EXPECT_EQ(open("proc/thread-self/mem", O_RDONLY), EACCES);
  EXPECT_EQ(open("proc/self/status", O_RDONLY), EACCES);
  EXPECT_EQ(open("dev/../proc/self/maps", O_RDONLY), EACCES);
  EXPECT_EQ(open("proc", O_PATH | O_DIRECTORY), EACCES);
  EXPECT_EQ(open("proc/self", O_PATH), EACCES);
  ParentAndName parent;
  EXPECT_EQ(OpenParent(slash.get(), "proc/self/exe", TrailingSlash::kIsDot, parent), EACCES);
  EXPECT_EQ(open("dev/null", O_RDWR), 0);
  EXPECT_EQ(open("etc", O_RDONLY | O_DIRECTORY), 0);
}

TEST_F(PathsTest, OpenFilesAreBounded) {
  MakeFile(root() / "file");
  WasiOptions options;
  options.limits.max_open_files = 10;
  Start(std::move(options));
  for (uint32_t fd = 4; fd < 10; ++fd) {
    EXPECT_EQ(MustOpen("file"), fd);
  }
  EXPECT_EQ(Open("file").answer, Errno::kMfile);
  EXPECT_EQ(wasi().FdClose(guest(), 6), Errno::kSuccess);
  EXPECT_EQ(MustOpen("file"), 6u) << "the lowest free number";
  EXPECT_EQ(wasi().FdClose(guest(), 0), Errno::kSuccess);
  EXPECT_EQ(MustOpen("file"), 0u);
}

TEST_F(PathsTest, BadPointersTrap) {
  MakeFile(root() / "file");
  Start();
  Guest& g = guest();
  EXPECT_EQ(wasi().PathUnlinkFile(g, kRoot, kMemoryBytes - 3, 4), Answer::OutOfBounds());
  EXPECT_EQ(wasi().PathUnlinkFile(g, kRoot, 0xffff'ffff, 4), Answer::OutOfBounds());
  EXPECT_EQ(wasi().PathUnlinkFile(g, kRoot, 8, 0xffff'ffff), Answer::OutOfBounds());
  EXPECT_EQ(wasi().PathUnlinkFile(g, kRoot, kMemoryBytes, 0), Errno::kNoent)
      << "an empty range may lie at the end";
  EXPECT_EQ(wasi().PathUnlinkFile(g, kRoot, kMemoryBytes + 1, 0), Answer::OutOfBounds());
  const Text name = PutText("file");
  EXPECT_EQ(wasi().PathFilestatGet(g, kRoot, 0, name.at, name.size, kMemoryBytes - 56),
            Answer::OutOfBounds());
  EXPECT_EQ(wasi().PathFilestatGet(g, kRoot, 0, name.at, name.size, 1004), Answer::Misaligned());
  EXPECT_EQ(wasi().PathOpen(g, kRoot, 0, name.at, name.size, 0, kRead, kRead, 0, kMemoryBytes),
            Answer::OutOfBounds());
  EXPECT_EQ(wasi().PathOpen(g, kRoot, 0, name.at, name.size, 0, kRead, kRead, 0, 1002),
            Answer::Misaligned());
  EXPECT_EQ(MustOpen("file"), 4u) << "nothing was opened by the calls that trapped";
}

}  // namespace
}  // namespace wasmd::engine
