// Every system call there is, in a child that has loaded the filter: what the table says is what
// happens.
#include "daemon/sandbox/syscall_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "daemon/sandbox/privileges.h"
#include "daemon/sandbox/syscall_numbers.h"
#include "tests/unit/daemon/sandbox/in_child.h"

namespace wasmd::daemon {
namespace {

// Loads the filter of `mode` in this process, or ends it.
void LoadOrEnd(SandboxMode mode) {
  const absl::StatusOr<SyscallFilter> filter = SyscallFilter::Build(mode);
  if (!filter.ok() || !SetNoNewPrivileges().ok() || !filter->Load().ok()) {
    ::_exit(1);
  }
}

// With arguments that no call can do anything with.
long InVain(int number) {
  if (number == SYS_futex) {  // An unknown operation would be ENOSYS.
    return ::syscall(SYS_futex, -1L, 1 /* FUTEX_WAKE */, 1);
  }
  return ::syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
}

// These do something whatever their arguments are.
bool EndsTheCaller(int number) {
  constexpr int kUretprobe = 335;  // The kernel's own, past every filter: SIGILL for all others.
  constexpr int kUprobe = 336;
  return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn ||
         number == kUretprobe || number == kUprobe;
}

class SyscallFilterTest : public testing::TestWithParam<SandboxMode> {
 protected:
  void SetUp() override {
    const absl::StatusOr<SyscallFilter> filter = SyscallFilter::Build(GetParam());
    if (absl::IsUnavailable(filter.status())) {
      GTEST_SKIP() << "******** SKIPPED: " << filter.status() << " ********";
    }
    ASSERT_TRUE(filter.ok()) << filter.status();
  }
};

TEST_P(SyscallFilterTest, EveryCallMeetsItsFate) {
  // In basic mode calls that the table does not name go through, and some would do harm.
  std::set<int> numbers;
  for (const SyscallRow& row : SyscallTable()) {
    numbers.insert(row.number);
  }
  const int last = GetParam() == SandboxMode::kStrict ? kLastAbsentSyscall : -1;
  for (int number = 0; number <= last; ++number) {
    numbers.insert(number);
  }
  std::erase_if(numbers, [](int number) {
    return EndsTheCaller(number) || FateOf(number, GetParam()) == SyscallFate::kKilled;
  });
  const ChildEnd end = InChild([&numbers](const Say& say) {
    LoadOrEnd(GetParam());
    for (const int number : numbers) {
      const std::string error = Errno(InVain(number));
      ::alarm(0);
      bool right = true;
      switch (FateOf(number, GetParam())) {
        case SyscallFate::kAllowed:
          right = error != "EPERM" && error != "ENOSYS";
          break;
        case SyscallFate::kDepends:  // Either; SyscallConditionTest has these.
          right = error != "ENOSYS";
          break;
        case SyscallFate::kRefused:
          right = error == "EPERM";
          break;
        case SyscallFate::kAbsent:
          right = error == "ENOSYS";
          break;
        case SyscallFate::kKilled:
          right = false;
          break;
      }
      if (!right) {
        say(StrCat("system call ", number, ": ", error));
      }
    }
    say("done");
  });
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.lines, "done\n");
}

TEST_P(SyscallFilterTest, IntrudersCallsEndTheProcess) {
  int count = 0;
  for (const SyscallRow& row : SyscallTable()) {
    if (row.kind != SyscallRow::Kind::kKill) {
      continue;
    }
    ++count;
    const ChildEnd end = InChild([&row](const Say& say) {
      LoadOrEnd(GetParam());
      say("loaded");
      say(Errno(InVain(row.number)));
    });
    EXPECT_EQ(end.signal, SIGSYS) << row.name;
    EXPECT_EQ(end.lines, "loaded\n") << row.name;
  }
  EXPECT_GT(count, 40);
}

// Written out here too: a row that is lost from the table is not missed by tests that go by the
// table.
TEST_P(SyscallFilterTest, TheTableForgetsNoIntruder) {
  for (const int number : {SYS_execve,
                           SYS_execveat,
                           SYS_ptrace,
                           SYS_process_vm_readv,
                           SYS_process_vm_writev,
                           SYS_kexec_load,
                           SYS_kexec_file_load,
                           SYS_bpf,
                           SYS_mount,
                           SYS_umount2,
                           SYS_pivot_root,
                           SYS_open_tree,
                           SYS_move_mount,
                           SYS_fsopen,
                           SYS_fsconfig,
                           SYS_fsmount,
                           SYS_fspick,
                           SYS_mount_setattr,
                           SYS_setns,
                           SYS_unshare,
                           SYS_add_key,
                           SYS_request_key,
                           SYS_keyctl,
                           SYS_io_uring_setup,
                           SYS_io_uring_enter,
                           SYS_io_uring_register,
                           SYS_userfaultfd,
                           SYS_perf_event_open,
                           SYS_open_by_handle_at}) {
    EXPECT_EQ(FateOf(number, GetParam()), SyscallFate::kKilled) << number;
  }
}

// The whole process, not the thread that asked.
TEST_P(SyscallFilterTest, AnyThreadsCallEndsTheProcess) {
  const ChildEnd end = InChild([](const Say& say) {
    std::thread([&say] {
      LoadOrEnd(GetParam());  // For all threads.
      say("loaded");
    }).join();
    say(Errno(InVain(SYS_ptrace)));
  });
  EXPECT_EQ(end.signal, SIGSYS);
  EXPECT_EQ(end.lines, "loaded\n");
}

// Not through the door of 32-bit programs either.
TEST_P(SyscallFilterTest, OtherArchitecturesEndTheProcess) {
  const ChildEnd end = InChild([](const Say& say) {
    LoadOrEnd(GetParam());
    say("loaded");
    long result = 20;  // getpid of i386.
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    say("lives");
  });
  EXPECT_TRUE(end.signal == SIGSYS || end.signal == SIGSEGV)
      << end.signal;  // SIGSEGV: no i386 there.
  EXPECT_EQ(end.lines, "loaded\n");
  const ChildEnd x32 = InChild([](const Say& say) {
    LoadOrEnd(GetParam());
    say("loaded");
    ::syscall(0x4000'0000 | SYS_getpid);
    say("lives");
  });
  EXPECT_EQ(x32.signal, SIGSYS);
  EXPECT_EQ(x32.lines, "loaded\n");
}

INSTANTIATE_TEST_SUITE_P(Modes, SyscallFilterTest,
                         testing::Values(SandboxMode::kBasic, SandboxMode::kStrict),
                         [](const auto& each) {
                           return each.param == SandboxMode::kBasic ? "Basic" : "Strict";
                         });

// ---- Calls that depend on their arguments

struct Probe {
  std::string_view syscall;
  std::string_view what;
  bool allowed;
  std::function<long()> call;
};

// Memory that exists before the filter does.
void* Page() {
  static void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page;
}

long Map(int protection) {
  void* const at = ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? -1 : 0;
}

// A child that was made ends at once; flags must not share memory.
long CloneProcess(uint64_t flags) {
  const long child = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) {
    ::_exit(0);
  }
  return child;
}

long SetLimit() {
  const rlimit limit{};
  return ::syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, nullptr);
}

long Kill(pid_t pid) {
  return ::syscall(SYS_kill, pid, 0);
}

std::vector<Probe> StrictProbes() {
  const pid_t parent = ::getpid();
  rlimit limit{};
  sched_param param{};
  return {
      {"fcntl", "F_GETFL", true, [] { return ::fcntl(0, F_GETFL); }},
      {"fcntl", "F_DUPFD_CLOEXEC", true, [] { return ::fcntl(1, F_DUPFD_CLOEXEC, 0); }},
      {"fcntl", "F_SETOWN", false, [] { return ::fcntl(1, F_SETOWN, 1); }},
      {"fcntl", "F_SETLEASE", false, [] { return ::fcntl(1, F_SETLEASE, F_UNLCK); }},
      {"fcntl", "F_NOTIFY", false, [] { return ::fcntl(1, F_NOTIFY, 0); }},
      {"ioctl", "FIONBIO", true,
       [] {
         int off = 0;
         return ::ioctl(1, FIONBIO, &off);
       }},
      {"ioctl", "TIOCSTI", false, [] { return ::ioctl(1, TIOCSTI, "x"); }},
      {"ioctl", "SIOCGIFCONF", false, [] { return ::ioctl(1, 0x8912, nullptr); }},
      {"ioctl", "with bits above the number", true,
       [] {
         int off = 0;
         return ::syscall(SYS_ioctl, 1, 0xffff'ffff'0000'0000 | FIONBIO, &off);
       }},
      {"mmap", "read, write", true, [] { return Map(PROT_READ | PROT_WRITE); }},
      {"mmap", "read, execute", false, [] { return Map(PROT_READ | PROT_EXEC); }},
      {"mmap", "write, execute", false, [] { return Map(PROT_WRITE | PROT_EXEC); }},
      {"mprotect", "read, write", true,
       [] { return ::mprotect(Page(), 4096, PROT_READ | PROT_WRITE); }},
      {"mprotect", "read, execute", false,
       [] { return ::mprotect(Page(), 4096, PROT_READ | PROT_EXEC); }},
      {"memfd_create", "as segments are", true,
       [] { return ::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING); }},
      {"memfd_create", "MFD_EXEC", false, [] { return ::memfd_create("test", 0x10); }},
      {"clone", "a process", false, [] { return CloneProcess(0); }},
      {"clone", "a user namespace", false, [] { return CloneProcess(CLONE_NEWUSER); }},
      {"clone", "a thread", true,
       [] {
         std::thread([] {}).join();
         return 0L;
       }},
      {"sched_setscheduler", "this thread", true,
       [&param] {
         return ::syscall(SYS_sched_setscheduler, 0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param);
       }},
      {"sched_setscheduler", "a thread by its number", true,
       [&param] {
         return ::syscall(SYS_sched_setscheduler, ::gettid(), SCHED_OTHER | SCHED_RESET_ON_FORK,
                          &param);
       }},
      {"sched_setscheduler", "a policy that threads inherit", false,
       [&param] { return ::syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &param); }},
      {"sched_setscheduler", "another policy", false,
       [&param] {
         return ::syscall(SYS_sched_setscheduler, 0, SCHED_IDLE | SCHED_RESET_ON_FORK, &param);
       }},
      {"setpriority", "a thread", true, [] { return ::setpriority(PRIO_PROCESS, 0, 19); }},
      {"setpriority", "a user", false, [] { return ::setpriority(PRIO_USER, 0, 19); }},
      {"kill", "itself", true, [] { return Kill(::getpid()); }},
      {"kill", "its parent", false, [parent] { return Kill(parent); }},
      {"kill", "its group", false, [] { return Kill(0); }},
      {"tgkill", "itself", true, [] { return ::syscall(SYS_tgkill, ::getpid(), ::gettid(), 0); }},
      {"tgkill", "its parent", false,
       [parent] { return ::syscall(SYS_tgkill, parent, parent, 0); }},
      {"rt_tgsigqueueinfo", "itself", true,
       [] {
         siginfo_t info{};
         info.si_code = SI_QUEUE;
         return ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), 0, &info);
       }},
      {"rt_tgsigqueueinfo", "its parent", false,
       [parent] {
         siginfo_t info{};
         info.si_code = SI_QUEUE;
         return ::syscall(SYS_rt_tgsigqueueinfo, parent, parent, 0, &info);
       }},
      {"prctl", "PR_SET_NAME", true, [] { return ::prctl(PR_SET_NAME, "test", 0, 0, 0); }},
      {"prctl", "PR_SET_DUMPABLE", false, [] { return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }},
      {"prctl", "PR_SET_PTRACER", false,
       [] { return ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); }},
      {"prlimit64", "asks", true,
       [&limit] { return ::syscall(SYS_prlimit64, 0, RLIMIT_STACK, nullptr, &limit); }},
      {"prlimit64", "sets", false, [] { return SetLimit(); }},
      {"prlimit64", "asks of another process", false,
       [&limit, parent] {
         return ::syscall(SYS_prlimit64, parent, RLIMIT_STACK, nullptr, &limit);
       }},
      {"seccomp", "another filter", true,
       [] {
         return errno = 0,
                ::syscall(SYS_seccomp, 1, 0, nullptr) == -1 && errno == EFAULT ? 0L : -1L;
       }},
      {"seccomp", "strict mode", false, [] { return ::syscall(SYS_seccomp, 0, 0, nullptr); }},
      // What strict mode has no row for at all, by what it would do.
      {"socket", "TCP", false, [] { return ::socket(AF_INET, SOCK_STREAM, 0); }},
      {"socket", "netlink", false, [] { return ::socket(AF_NETLINK, SOCK_RAW, 0); }},
      {"socket", "unix", false, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }},
      {"fork", "a process", false, [] { return ::syscall(SYS_fork); }},
      {"setuid", "itself", false, [] { return ::syscall(SYS_setuid, ::getuid()); }},
      {"open", "by the old call", false, [] { return ::syscall(SYS_open, "/", O_RDONLY); }},
      {"chmod", "a file", false, [] { return ::syscall(SYS_chmod, "/nonexistent", 0777); }},
      {"pkey_mprotect", "read, write", false,
       [] { return ::syscall(SYS_pkey_mprotect, Page(), 4096, PROT_READ | PROT_WRITE, -1); }},
  };
}

std::vector<Probe> BasicProbes() {
  return {
      {"mmap", "read, execute", true, [] { return Map(PROT_READ | PROT_EXEC); }},
      {"mmap", "write, execute", false, [] { return Map(PROT_WRITE | PROT_EXEC); }},
      {"mprotect", "read", true, [] { return ::mprotect(Page(), 4096, PROT_READ); }},
      {"mprotect", "execute", false, [] { return ::mprotect(Page(), 4096, PROT_EXEC); }},
      {"pkey_mprotect", "read", true,
       [] { return ::syscall(SYS_pkey_mprotect, Page(), 4096, PROT_READ, -1); }},
      {"pkey_mprotect", "execute", false,
       [] { return ::syscall(SYS_pkey_mprotect, Page(), 4096, PROT_EXEC, -1); }},
      {"remap_file_pages", "any", false,
       [] { return ::syscall(SYS_remap_file_pages, Page(), 4096, 0, 0, 0); }},
      {"shmat", "SHM_EXEC", false, [] { return ::syscall(SYS_shmat, 0, nullptr, SHM_EXEC); }},
      {"personality", "asks", false, [] { return ::syscall(SYS_personality, 0xffff'ffff); }},
      {"clone", "a thread", true,
       [] {
         std::thread([] {}).join();
         return 0L;
       }},
      {"clone", "a process", false, [] { return CloneProcess(0); }},
      {"clone", "a user namespace", false, [] { return CloneProcess(CLONE_NEWUSER); }},
      {"clone", "a network namespace", false, [] { return CloneProcess(CLONE_NEWNET); }},
      {"fork", "a process", false, [] { return ::syscall(SYS_fork); }},
      {"vfork", "a process", false, [] { return ::syscall(SYS_vfork); }},
      {"socket", "unix", true, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }},
  };
}

// Errors of the kernel itself pass for allowed; EPERM is the filter's.
void ExpectProbes(SandboxMode mode, const std::vector<Probe>& probes) {
  Page();
  const ChildEnd end = InChild([&](const Say& say) {
    LoadOrEnd(mode);
    for (const Probe& probe : probes) {
      const std::string error = Errno(probe.call());
      if ((error == "EPERM") == probe.allowed) {
        say(StrCat(probe.syscall, ", ", probe.what, ": ", error));
      }
    }
    say("done");
  });
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.lines, "done\n");
}

class SyscallConditionTest : public testing::Test {
 protected:
  void SetUp() override {
    if (absl::IsUnavailable(SyscallFilter::Build(SandboxMode::kStrict).status())) {
      GTEST_SKIP() << "******** SKIPPED: no seccomp ********";
    }
  }
};

TEST_F(SyscallConditionTest, Strict) {
  ExpectProbes(SandboxMode::kStrict, StrictProbes());
}
TEST_F(SyscallConditionTest, Basic) {
  ExpectProbes(SandboxMode::kBasic, BasicProbes());
}

// A row that nothing tries is a row that may be wrong.
TEST_F(SyscallConditionTest, EveryConditionHasProbes) {
  std::map<std::string_view, std::set<bool>> strict;
  std::map<std::string_view, std::set<bool>> basic;
  for (const Probe& probe : StrictProbes()) {
    strict[probe.syscall].insert(probe.allowed);
  }
  for (const Probe& probe : BasicProbes()) {
    basic[probe.syscall].insert(probe.allowed);
  }
  for (const SyscallRow& row : SyscallTable()) {
    if (row.kind == SyscallRow::Kind::kLimit) {
      EXPECT_EQ(strict[row.name], (std::set<bool>{false, true})) << row.name;
    } else if (row.kind == SyscallRow::Kind::kRefuse) {
      EXPECT_TRUE(basic[row.name].contains(false)) << row.name;
    }
  }
}

TEST(SyscallTableTest, RowsHaveReasons) {
  for (const SyscallRow& row : SyscallTable()) {
    EXPECT_FALSE(row.reason.empty()) << row.name;
    EXPECT_LE(row.number, kLastKnownSyscall) << row.name;
  }
}

}  // namespace
}  // namespace wasmd::daemon
