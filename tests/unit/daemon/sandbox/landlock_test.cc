// What Landlock does to files, directories that were handed over, ports and other processes.
#include "daemon/sandbox/landlock.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

#include "daemon/config/text.h"
#include "daemon/sandbox/privileges.h"
#include "engine/base/unique_fd.h"
#include "tests/unit/daemon/sandbox/in_child.h"

namespace wasmd::daemon {
namespace {

using engine::UniqueFd;

class LandlockTest : public testing::Test {
 protected:
  void SetUp() override {
    abi_ = LandlockAbi();
    if (abi_ == 0) {
      GTEST_SKIP() << "******** SKIPPED: the kernel has no Landlock ********";
    }
    std::string folder = testing::TempDir() + "landlock-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    for (const char* name : {"root", "root/inner", "outside"}) {
      std::filesystem::create_directory(folder_ / name);
      std::ofstream(folder_ / name / "file") << "x";
      std::ofstream(folder_ / name / "victim") << "x";
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  UniqueFd Directory(std::string_view name) const {
    return UniqueFd(::open((folder_ / name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  // Only "root" may be used from here on.
  void RestrictOrEnd(LandlockRuleset::Forbidden forbidden) const {
    const absl::StatusOr<LandlockRuleset> ruleset = LandlockRuleset::Create(abi_, forbidden);
    if (!ruleset.ok() ||
        !ruleset->Allow(Directory("root").get(), LandlockRights::kReadWrite).ok() ||
        !SetNoNewPrivileges().ok() || !ruleset->RestrictSelf().ok()) {
      ::_exit(1);
    }
  }

  int abi_ = 0;
  std::filesystem::path folder_;
};

std::string OpenAt(int directory, const char* name, int flags) {
  return Errno(UniqueFd(::openat(directory, name, flags | O_CLOEXEC, 0600)) ? 0 : -1);
}

// A directory's descriptor from before the restriction, as clients' are.
TEST_F(LandlockTest, HandedOverDirectoriesAreJudgedByWhereTheyLie) {
  const ChildEnd end = InChild([this](const Say& say) {
    const UniqueFd outside = Directory("outside");
    const UniqueFd inner = Directory("root/inner");
    const UniqueFd file(::openat(outside.get(), "file", O_RDWR | O_CLOEXEC));
    RestrictOrEnd({.files = true});
    say(StrCat("outside: read ", OpenAt(outside.get(), "file", O_RDONLY), ", make ",
               OpenAt(outside.get(), "new", O_CREAT | O_WRONLY), ", remove ",
               Errno(::unlinkat(outside.get(), "victim", 0)), ", list ",
               OpenAt(outside.get(), ".", O_RDONLY | O_DIRECTORY)));
    struct stat status{};
    say(StrCat("outside: stat ", Errno(::fstatat(outside.get(), "file", &status, 0)), ", O_PATH ",
               OpenAt(outside.get(), "file", O_PATH)));
    char byte = 0;
    say(StrCat("opened before: read ", Errno(::read(file.get(), &byte, 1)), ", write ",
               Errno(::write(file.get(), &byte, 1)), ", truncate ",
               Errno(::ftruncate(file.get(), 0))));
    say(StrCat("beneath root: read ", OpenAt(inner.get(), "file", O_RDONLY), ", make ",
               OpenAt(inner.get(), "new", O_CREAT | O_WRONLY), ", remove ",
               Errno(::unlinkat(inner.get(), "victim", 0)), ", list ",
               OpenAt(inner.get(), ".", O_RDONLY | O_DIRECTORY)));
    say(StrCat("forbids ", LandlockForbids(outside.get()), LandlockForbids(inner.get()),
               LandlockForbids(file.get())));
  });
  EXPECT_EQ(end.lines,
            "outside: read EACCES, make EACCES, remove EACCES, list EACCES\n"
            "outside: stat ok, O_PATH ok\n"
            "opened before: read ok, write ok, truncate ok\n"
            "beneath root: read ok, make ok, remove ok, list ok\n"
            "forbids 100\n");
}

TEST_F(LandlockTest, NobodysBusinessWhatPermissionsForbid) {
  const UniqueFd closed = Directory("outside");
  std::filesystem::permissions(folder_ / "outside", std::filesystem::perms::none);
  const ChildEnd end = InChild([&](const Say& say) {
    if (::geteuid() == 0) {
      static_cast<void>(!::setresuid(65534, 65534, 65534));
    }
    say(StrCat(OpenAt(closed.get(), ".", O_RDONLY | O_DIRECTORY), " ",
               LandlockForbids(closed.get())));
  });
  EXPECT_EQ(end.lines, "EACCES 0\n");
  std::filesystem::permissions(folder_ / "outside", std::filesystem::perms::owner_all);
}

// What no WASI program does is not given to roots either.
TEST_F(LandlockTest, RootsHaveNoDevicesNorPrograms) {
  const ChildEnd end = InChild([this](const Say& say) {
    const UniqueFd root = Directory("root");
    RestrictOrEnd({.files = true});
    say(StrCat("fifo ", Errno(::mkfifoat(root.get(), "fifo", 0600)), ", link ",
               Errno(::symlinkat("file", root.get(), "link")), ", directory ",
               Errno(::mkdirat(root.get(), "made", 0700))));
  });
  EXPECT_EQ(end.lines, "fifo EACCES, link ok, directory ok\n");
}

TEST_F(LandlockTest, RenamesBetweenDirectories) {
  const ChildEnd end = InChild([this](const Say& say) {
    const UniqueFd root = Directory("root");
    const UniqueFd outside = Directory("outside");
    RestrictOrEnd({.files = true});
    say(Errno(::renameat(root.get(), "inner/file", root.get(), "moved")));
    say(Errno(::renameat(root.get(), "file", outside.get(), "stolen")));
  });
  // Version 1 knows no right for it.
  EXPECT_EQ(end.lines, abi_ >= 2 ? "ok\nEACCES\n" : "EXDEV\nEXDEV\n");
}

TEST_F(LandlockTest, OnlyThatFilesAreRemoved) {
  const ChildEnd end = InChild([this](const Say& say) {
    const UniqueFd root = Directory("root");
    const absl::StatusOr<LandlockRuleset> ruleset = LandlockRuleset::Create(abi_, {.files = true});
    if (!ruleset.ok() || !ruleset->Allow(root.get(), LandlockRights::kRemoveFile).ok() ||
        !SetNoNewPrivileges().ok() || !ruleset->RestrictSelf().ok()) {
      return;
    }
    say(StrCat("read ", OpenAt(root.get(), "file", O_RDONLY), ", make ",
               OpenAt(root.get(), "new", O_CREAT | O_WRONLY), ", remove ",
               Errno(::unlinkat(root.get(), "victim", 0))));
  });
  EXPECT_EQ(end.lines, "read EACCES, make EACCES, remove ok\n");
}

std::string TcpBind() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return Errno(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

// Of files they forbid nothing: basic mode.
TEST_F(LandlockTest, PortsAndOtherProcesses) {
  if (abi_ < kLandlockTcpAbi) {
    GTEST_SKIP() << "******** SKIPPED: Landlock version " << abi_ << " has no TCP ********";
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string text = StrCat("wasmd-landlock-test-", ::getpid());
  text.copy(name.sun_path + 1, text.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const pid_t parent = ::getpid();
  const auto connect = [&] {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return Errno(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), size));
  };
  const ChildEnd end = InChild([&](const Say& say) {
    const UniqueFd outside = Directory("outside");
    say(StrCat("before: ", TcpBind(), " ", connect(), " ", Errno(::kill(parent, 0))));
    const absl::StatusOr<LandlockRuleset> ruleset =
        LandlockRuleset::Create(abi_, {.network_and_others = true});
    if (!ruleset.ok() || !SetNoNewPrivileges().ok() || !ruleset->RestrictSelf().ok()) {
      return;
    }
    say(StrCat("after: ", TcpBind(), " ", connect(), " ", Errno(::kill(parent, 0))));
    say(StrCat("itself: ", Errno(::kill(::getpid(), 0)),
               ", files: ", OpenAt(outside.get(), "new", O_CREAT | O_WRONLY), " ",
               Errno(::mkdirat(outside.get(), "made", 0700)), " ",
               Errno(::renameat(outside.get(), "file", outside.get(), "made/file")), " forbids ",
               LandlockForbids(outside.get())));
  });
  EXPECT_EQ(end.lines, StrCat("before: ok ok ok\nafter: EACCES ",
                              abi_ >= kLandlockScopeAbi ? "EPERM EPERM" : "ok ok",
                              "\nitself: ok, files: ok ok ok forbids 0\n"));
}

TEST(LandlockRulesetTest, SaysWhatTheKernelLacks) {
  EXPECT_TRUE(absl::IsUnavailable(LandlockRuleset::Create(0, {.files = true}).status()));
  EXPECT_TRUE(
      absl::IsUnavailable(LandlockRuleset::Create(3, {.network_and_others = true}).status()));
}

}  // namespace
}  // namespace wasmd::daemon
