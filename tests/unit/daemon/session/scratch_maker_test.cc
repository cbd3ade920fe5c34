// Scratch directories: their bounds are the kernel's, each is one's own, and nothing is left of
// them.
#include "daemon/session/scratch_maker.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

#include "engine/base/unique_fd.h"

namespace wasmd::daemon {
namespace {

using engine::UniqueFd;

class ScratchMakerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto maker = ScratchMaker::Start();
    ASSERT_TRUE(maker.ok()) << maker.status();
    maker_ = std::move(*maker);
    const absl::StatusOr<ScratchDirectory> first = maker_->Make(4096);
    if (absl::IsFailedPrecondition(first.status())) {
      GTEST_SKIP() << "******** SKIPPED: " << first.status().message() << " ********";
    }
    ASSERT_TRUE(first.ok()) << first.status();
  }
  // Given back at the end of the test.
  UniqueFd Make(uint64_t size_bytes) {
    absl::StatusOr<ScratchDirectory> made = maker_->Make(size_bytes);
    EXPECT_TRUE(made.ok()) << made.status();
    if (!made.ok()) {
      return {};
    }
    UniqueFd directory = made->Take();
    directories_.push_back(*std::move(made));
    return directory;
  }
  static UniqueFd Create(int directory, const std::string& name) {
    return UniqueFd(::openat(directory, name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  }
  // How many bytes go in, and that the next does not for want of space.
  static uint64_t Fill(int file) {
    const std::vector<char> block(4096, 'x');
    uint64_t filled = 0;
    ssize_t written = 0;
    while ((written = ::write(file, block.data(), block.size())) > 0) {
      filled += static_cast<uint64_t>(written);
    }
    EXPECT_EQ(errno, ENOSPC);
    return filled;
  }

  std::unique_ptr<ScratchMaker> maker_;
  std::vector<ScratchDirectory> directories_;
};

TEST_F(ScratchMakerTest, HoldsItsSizeAndNoMore) {
  const UniqueFd directory = Make(256 * 1024);
  const UniqueFd one = Create(directory.get(), "one");
  const UniqueFd two = Create(directory.get(), "two");
  ASSERT_EQ(::ftruncate(one.get(), 128 * 1024), 0);  // A hole takes nothing.
  EXPECT_EQ(Fill(two.get()), 256u * 1024);
  EXPECT_EQ(::pwrite(one.get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, ENOSPC);
  // What is unlinked takes room until it is closed.
  ASSERT_EQ(::unlinkat(directory.get(), "two", 0), 0);
  EXPECT_EQ(::pwrite(one.get(), "x", 1, 0), -1);
}

TEST_F(ScratchMakerTest, RoomThatIsFreedIsThereAgain) {
  const UniqueFd directory = Make(64 * 1024);
  for (int i = 0; i < 3; ++i) {
    const UniqueFd file = Create(directory.get(), "file");
    EXPECT_EQ(Fill(file.get()), 64u * 1024);
    ASSERT_EQ(::ftruncate(file.get(), 0), 0);
    EXPECT_EQ(Fill(UniqueFd(::openat(directory.get(), "file", O_WRONLY | O_CLOEXEC)).get()),
              64u * 1024);
    ASSERT_EQ(::unlinkat(directory.get(), "file", 0), 0);
  }
}

TEST_F(ScratchMakerTest, HasABoundOfNames) {
  const UniqueFd directory = Make(2 << 20);
  const uint64_t names = ScratchMaker::MaxNames(2 << 20);
  EXPECT_EQ(names, 128u);
  EXPECT_EQ(ScratchMaker::MaxNames(4096), 64u);
  ASSERT_TRUE(Create(directory.get(), "file"));
  uint64_t made = 1;
  for (; made < 2 * names; ++made) {
    const std::string name = std::to_string(made);
    const int result = made % 3 == 0 ? ::mkdirat(directory.get(), name.c_str(), 0700)
                       : made % 3 == 1
                           ? ::symlinkat("x", directory.get(), name.c_str())
                           : ::linkat(directory.get(), "file", directory.get(), name.c_str(), 0);
    if (result != 0) {
      EXPECT_EQ(errno, ENOSPC);
      break;
    }
  }
  EXPECT_EQ(made, names);
}

TEST_F(ScratchMakerTest, ASizeOfNothingIsAPageAndNotUnbounded) {
  const UniqueFd directory = Make(0);
  EXPECT_EQ(Fill(Create(directory.get(), "file").get()), 4096u);
}

TEST_F(ScratchMakerTest, EachIsOnesOwn) {
  const UniqueFd one = Make(64 * 1024);
  const UniqueFd two = Make(64 * 1024);
  ASSERT_TRUE(Create(one.get(), "file"));
  EXPECT_EQ(::faccessat(two.get(), "file", F_OK, 0), -1);
  EXPECT_EQ(Fill(Create(two.get(), "file").get()), 64u * 1024) << "the other one's takes no room";
  struct stat first = {};
  struct stat second = {};
  ASSERT_EQ(::fstat(one.get(), &first), 0);
  ASSERT_EQ(::fstat(two.get(), &second), 0);
  EXPECT_NE(first.st_dev, second.st_dev);
  EXPECT_EQ(first.st_mode & 07777, 0700u);
  EXPECT_EQ(first.st_uid, ::geteuid());
}

TEST_F(ScratchMakerTest, NothingLiesAboveIt) {
  const UniqueFd directory = Make(64 * 1024);
  ASSERT_EQ(::symlinkat("../../etc/passwd", directory.get(), "out"), 0);
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (const char* path : {"..", "../etc", "out", "/etc"}) {
    EXPECT_EQ(::syscall(SYS_openat2, directory.get(), path, &how, sizeof(how)), -1) << path;
    EXPECT_EQ(errno, EXDEV) << path;
  }
}

TEST_F(ScratchMakerTest, GoesWhenItIsGivenBack) {
  UniqueFd directory = Make(8 << 20);
  const UniqueFd file = Create(directory.get(), "file");
  ASSERT_EQ(Fill(file.get()), 8u << 20);
  directory.reset();
  directories_.clear();
  // What is open stays, and is the last of it.
  char byte = 0;
  EXPECT_EQ(::pread(file.get(), &byte, 1, 0), 1);
  struct statfs status = {};
  ASSERT_EQ(::fstatfs(file.get(), &status), 0);
  EXPECT_EQ(status.f_bfree, 0u);
}

TEST_F(ScratchMakerTest, NothingOfThoseGivenBackIsLeftAbove) {
  if (maker_->parent() < 0) {
    GTEST_SKIP() << "******** SKIPPED: no mount namespace here ********";
  }
  const auto count = [this] {
    const UniqueFd parent(::openat(maker_->parent(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status = {};
    EXPECT_EQ(::fstat(parent.get(), &status), 0);
    return status.st_nlink;  // Two, and one for each directory in it.
  };
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(maker_->Make(4096).ok());
  }
  const UniqueFd last = Make(4096);  // Its answer comes when those before are done.
  EXPECT_EQ(count(), 3u);
}

TEST_F(ScratchMakerTest, ManyThreadsGetTheirOwn) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int k = 0; k < 20; ++k) {
        const uint64_t size_bytes = 4096U * static_cast<uint64_t>(i + 1);
        absl::StatusOr<ScratchDirectory> made = maker_->Make(size_bytes);
        ASSERT_TRUE(made.ok()) << made.status();
        struct statfs status = {};
        ASSERT_EQ(::fstatfs(made->Take().get(), &status), 0);
        EXPECT_EQ(static_cast<uint64_t>(status.f_blocks) * static_cast<uint64_t>(status.f_bsize),
                  size_bytes);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(ScratchMakerTest, AMakerThatWasKilledIsAnErrorAndNoHang) {
  ASSERT_EQ(::kill(maker_->process(), SIGKILL), 0);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(maker_->process()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(absl::IsUnavailable(maker_->Make(4096).status()));
  EXPECT_TRUE(absl::IsUnavailable(maker_->Make(4096).status()));
}

}  // namespace
}  // namespace wasmd::daemon
