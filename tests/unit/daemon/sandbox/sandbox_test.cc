// The whole of a mode, in a child that has threads, directories and memory as the daemon has.
#include "daemon/sandbox/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/config/text.h"
#include "daemon/sandbox/landlock.h"
#include "daemon/sandbox/privileges.h"
#include "engine/base/check.h"
#include "engine/base/unique_fd.h"
#include "tests/unit/daemon/sandbox/in_child.h"

namespace wasmd::daemon {
namespace {

using engine::UniqueFd;
using testing::StartsWith;

// For the watchdogs, where RLIMIT_RTPRIO cannot be had.
constexpr uint64_t kMayStay = uint64_t{1} << CAP_SYS_NICE;

// Of this thread: "none", or a number.
std::string CapabilitiesBut(uint64_t expected) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  WASMD_CHECK(::syscall(SYS_capget, &header, sets.data()) == 0);
  const uint64_t all = uint64_t{sets[1].permitted} << 32 | sets[0].permitted |
                       uint64_t{sets[1].inheritable} << 32 | sets[0].inheritable;
  return (all & ~expected) == 0 ? "none" : StrCat(all);
}

std::string InForce(const Sandbox& sandbox) {
  return absl::StrReplaceAll(absl::StrJoin(sandbox.report().in_force, "|"),
                             {{" but sys_nice", ""}});
}

class SandboxTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = testing::TempDir() + "sandbox-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    std::filesystem::create_directory(folder_ / "root");
    std::filesystem::create_directory(folder_ / "socket");
    std::ofstream(folder_ / "socket" / "wasmd.sock") << "";
    std::ofstream(folder_ / "other") << "";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<Sandbox> Enter(SandboxMode mode) {
    const UniqueFd root(::open((folder_ / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return Sandbox::Enter(
        mode, {.roots = {root.get()}, .socket_directories = {(folder_ / "socket").string()}});
  }

  std::string Open(std::string_view path, int flags) const {
    return Errno(UniqueFd(::open((folder_ / path).c_str(), flags | O_CLOEXEC, 0600)) ? 0 : -1);
  }

  std::filesystem::path folder_;
};

TEST_F(SandboxTest, Off) {
  const ChildEnd end = InChild([this](const Say& say) {
    absl::StatusOr<Sandbox> sandbox = Enter(SandboxMode::kOff);
    say(StrCat(sandbox.ok() && sandbox->Seal().ok(), " ", sandbox->report().in_force.size(), " ",
               sandbox->report().lacking.size(), " ", ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), " ",
               ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0)));
  });
  EXPECT_EQ(end.lines, "1 0 0 0 0\n");
}

// Threads, whether they are older or younger than the seal, are confined all the same.
TEST_F(SandboxTest, StrictHoldsForAllThreads) {
  if (LandlockAbi() < kLandlockScopeAbi) {
    GTEST_SKIP() << "******** SKIPPED: Landlock version " << LandlockAbi() << " ********";
  }
  const ChildEnd end = InChild([this](const Say& say) {
    absl::StatusOr<Sandbox> sandbox = Enter(SandboxMode::kStrict);
    if (!sandbox.ok()) {
      say(StrCat(sandbox.status().message()));
      return;
    }
    std::thread([&say] { say(CapabilitiesBut(kMayStay)); }).join();
    std::atomic<bool> sealed{false};
    const auto try_things = [&](std::string_view who) {
      const void* const code =
          ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      const std::string executable = Errno(code == MAP_FAILED ? -1 : 0);
      say(StrCat(who, ": socket ", Errno(::socket(AF_UNIX, SOCK_STREAM, 0)), ", code ", executable,
                 ", root ", Open("root/new", O_CREAT | O_WRONLY), ", other ",
                 Open("other", O_RDONLY), ", directory of the socket ",
                 Open("socket/new", O_CREAT | O_WRONLY)));
    };
    std::thread older([&] {
      sealed.wait(false);
      try_things("older");
    });
    const absl::Status seal = sandbox->Seal();
    sealed = true;
    sealed.notify_all();
    older.join();
    std::thread([&] { try_things("younger"); }).join();
    say(StrCat("seal ", seal.ok(), ", unlink ",
               Errno(::unlink((folder_ / "socket/wasmd.sock").c_str()))));
    for (const char* path :
         {"/proc/self/status", "/proc/self/maps", "/sys/devices/system/cpu/online"}) {
      say(StrCat(path, " ", Errno(UniqueFd(::open(path, O_RDONLY | O_CLOEXEC)) ? 0 : -1)));
    }
    say(StrCat("/proc/self/mem ", Errno(UniqueFd(::open("/proc/self/mem", O_RDWR)) ? 0 : -1)));
    say(InForce(*sandbox));
    say(absl::StrJoin(sandbox->report().lacking, "|"));
  });
  EXPECT_EQ(end.signal, 0);
  constexpr std::string_view kTried =
      ": socket EPERM, code EPERM, root ok, other EACCES, directory of the socket EACCES\n";
  EXPECT_THAT(end.lines,
              StartsWith(StrCat("none\nolder", kTried, "younger", kTried, "seal 1, unlink ok\n",
                                "/proc/self/status ok\n/proc/self/maps ok\n",
                                "/sys/devices/system/cpu/online ok\n", "/proc/self/mem EACCES\n",
                                "no new privileges|no capabilities|files beneath --root "
                                "alone|no TCP of its own|no abstract sockets or signals "
                                "to others|no writable code|not dumpable|system calls on "
                                "the list alone\n")));
}

TEST_F(SandboxTest, BasicLeavesFilesAlone) {
  const ChildEnd end = InChild([this](const Say& say) {
    absl::StatusOr<Sandbox> sandbox = Enter(SandboxMode::kBasic);
    if (!sandbox.ok() || !sandbox->Seal().ok()) {
      say("failed");
      return;
    }
    const uint64_t files = uint64_t{1} << CAP_DAC_OVERRIDE | uint64_t{1} << CAP_FOWNER;
    const void* const code = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say(StrCat("caps ", CapabilitiesBut(files | kMayStay), ", other ", Open("other", O_RDONLY),
               ", code ", code == MAP_FAILED, ", privileges ",
               ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), ", dumpable ",
               ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)));
  });
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.lines, "caps none, other ok, code 1, privileges 1, dumpable 1\n");
}

TEST_F(SandboxTest, WatchdogsKeepTheirPriority) {
  const ChildEnd end = InChild([this](const Say& say) {
    sched_param priority{};
    priority.sched_priority = 2;
    const auto raise = [&priority] {
      return Errno(::sched_setscheduler(::gettid(), SCHED_FIFO | SCHED_RESET_ON_FORK, &priority));
    };
    const std::string before = raise();
    priority.sched_priority = 0;
    static_cast<void>(::sched_setscheduler(0, SCHED_OTHER, &priority));
    priority.sched_priority = 2;
    absl::StatusOr<Sandbox> sandbox = Enter(SandboxMode::kStrict);
    if (!sandbox.ok() || !sandbox->Seal().ok()) {
      say("failed");
      return;
    }
    say(before == raise() ? "as before" : "lost");
  });
  EXPECT_EQ(end.lines, "as before\n");
}

// Makes this kernel an old one: what the sandbox asks for is not there.
void ForgetOrEnd() {
  void* const filter = ::seccomp_init(SCMP_ACT_ALLOW);
  const scmp_arg_cmp mdwe = {0, SCMP_CMP_MASKED_EQ, ~uint64_t{3}, 64};  // PR_SET_MDWE, PR_GET_MDWE.
  const scmp_arg_cmp asks = {0, SCMP_CMP_EQ, 2, 0};                     // SECCOMP_GET_ACTION_AVAIL.
  if (filter == nullptr ||
      ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SYS_landlock_create_ruleset, 0) != 0 ||
      ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SYS_prctl, 1, mdwe) != 0 ||
      ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SYS_seccomp, 1, asks) != 0 ||
      ::seccomp_load(filter) != 0) {
    ::_exit(1);
  }
  ::seccomp_release(filter);
}

TEST_F(SandboxTest, NamesWhatTheKernelLacks) {
  const ChildEnd end = InChild([this](const Say& say) {
    ForgetOrEnd();
    absl::StatusOr<Sandbox> sandbox = Enter(SandboxMode::kStrict);
    if (!sandbox.ok() || !sandbox->Seal().ok()) {
      say("failed");
      return;
    }
    say(InForce(*sandbox));
    for (const std::string& what : sandbox->report().lacking) {
      say(what);
    }
  });
  EXPECT_EQ(end.lines,
            "no new privileges|no capabilities|not dumpable\n"
            "files beneath --root alone (Landlock: the kernel has none)\n"
            "no TCP of its own (Landlock version 0 of the kernel)\n"
            "no abstract sockets or signals to others (Landlock version 0 of the kernel)\n"
            "no writable code (MDWE: Invalid argument)\n"
            "system calls on the list alone (seccomp: Invalid argument)\n");
}

// As under deploy/systemd/wasmd.service, which takes the capabilities and filters capset.
TEST_F(SandboxTest, StartsWhereThereIsNothingLeftToDrop) {
  const ChildEnd end = InChild([](const Say& say) {
    say(DropCapabilities(KeptCapabilities::kNone).ok() ? "dropped" : "failed");
    WASMD_CHECK(SetNoNewPrivileges().ok());
    scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    WASMD_CHECK(filter != nullptr &&
                ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(capset), 0) == 0 &&
                ::seccomp_load(filter) == 0);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> none{};
    say(Errno(::syscall(SYS_capset, &header, none.data())));
    say(DropCapabilities(KeptCapabilities::kNone).ok() ? "nothing to drop" : "failed");
  });
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.lines, "dropped\nEPERM\nnothing to drop\n");
}

TEST(SandboxModeTest, Names) {
  EXPECT_EQ(ToString(SandboxMode::kStrict), "strict");
  EXPECT_EQ(ToString(SandboxMode::kBasic), "basic");
  EXPECT_EQ(ToString(SandboxMode::kOff), "off");
}

}  // namespace
}  // namespace wasmd::daemon
