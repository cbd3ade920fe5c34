// Two filters, of which the kernel takes the stricter verdict.
//
// The first is syscalls.def, and what it refuses is logged. The second makes clone3 and all calls
// that are younger than the table absent, quietly: the C library asks for clone3 at every thread it
// starts, before it takes clone, whose flags a filter can read. Of two refusals the kernel takes
// the error of the filter that came last, so the second one's ENOSYS wins.
#include "daemon/sandbox/syscall_filter.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "daemon/sandbox/syscall_numbers.h"
#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

using Kind = SyscallRow::Kind;
using Condition = SyscallCondition;

// clang-format off
#define ALLOW(name, reason) {Kind::kAllow, SYS_##name, #name, Condition::kAlways, reason},
#define LIMIT(name, condition, reason) {Kind::kLimit, SYS_##name, #name, Condition::condition, reason},
#define KILL(name, reason) {Kind::kKill, SYS_##name, #name, Condition::kAlways, reason},
#define REFUSE(name, condition, reason) {Kind::kRefuse, SYS_##name, #name, Condition::condition, reason},
constexpr SyscallRow kTable[] = {
#include "daemon/sandbox/syscalls.def"
};
#undef ALLOW
#undef LIMIT
#undef KILL
#undef REFUSE
// clang-format on

constexpr bool OneRowEach() {
  for (const SyscallRow& row : kTable) {
    const auto same = std::ranges::count_if(kTable, [&row](const SyscallRow& other) {
      return other.number == row.number && other.kind != Kind::kRefuse;
    });
    if (row.kind != Kind::kRefuse && same != 1) {
      return false;
    }
  }
  return true;
}
static_assert(OneRowEach(), "a system call is allowed, limited or deadly, once");

// The scan of engine/platform/written_pages.cc, which Debian 12's headers do not know.
constexpr uint64_t kPagemapScan = 0xc0606610;
constexpr uint64_t kMfdExec = 0x10;
constexpr uint64_t kCloneOfThread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
// CLONE_NEWTIME is clone3's and unshare's alone.
constexpr std::array<uint64_t, 7> kNamespaceFlags = {CLONE_NEWNS,    CLONE_NEWUTS, CLONE_NEWIPC,
                                                     CLONE_NEWUSER,  CLONE_NEWPID, CLONE_NEWNET,
                                                     CLONE_NEWCGROUP};

// Any of `alternatives` is enough; all comparisons of one must hold.
using Alternatives = std::vector<std::vector<scmp_arg_cmp>>;

scmp_arg_cmp Bits(unsigned argument, uint64_t mask, uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
// An argument that the kernel takes as 32 bits: the upper half is whatever the caller left there.
scmp_arg_cmp Int(unsigned argument, uint64_t value) {
  return Bits(argument, 0xffff'ffff, value & 0xffff'ffff);
}

Alternatives AnyOf(unsigned argument, std::span<const uint64_t> values) {
  Alternatives any;
  for (const uint64_t value : values) {
    any.push_back({Int(argument, value)});
  }
  return any;
}

uint64_t AllNamespaceFlags() {
  uint64_t all = 0;
  for (const uint64_t flag : kNamespaceFlags) {
    all |= flag;
  }
  return all;
}

Alternatives AlternativesOf(Condition condition) {
  switch (condition) {
    case Condition::kAlways:
      return {{}};
    case Condition::kFcntl:
      return AnyOf(1, std::array<uint64_t, 8>{F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL,
                                              F_SETFL, F_ADD_SEALS, F_GET_SEALS});
    case Condition::kIoctl:
      return AnyOf(1, std::array<uint64_t, 4>{FIONBIO, FIONREAD, TCGETS, kPagemapScan});
    case Condition::kNotExecutable:
      return {{Bits(2, PROT_EXEC, 0)}};
    case Condition::kNoExecutableMemfd:
      return {{Bits(1, kMfdExec, 0)}};
    case Condition::kThread:
      return {{Bits(0, kCloneOfThread | AllNamespaceFlags(), kCloneOfThread)}};
    case Condition::kPriorityLoan:
      return AnyOf(1, std::array<uint64_t, 2>{SCHED_FIFO | SCHED_RESET_ON_FORK,
                                              SCHED_NORMAL | SCHED_RESET_ON_FORK});
    case Condition::kOneThread:
      return {{Int(0, PRIO_PROCESS)}};
    case Condition::kThisProcess:
      return {{Int(0, static_cast<uint64_t>(::getpid()))}};
    case Condition::kThreadName:
      return {{Int(0, PR_SET_NAME)}};
    case Condition::kReadOwnLimits:
      return {{Int(0, 0), {2, SCMP_CMP_EQ, 0, 0}},
              {Int(0, static_cast<uint64_t>(::getpid())), {2, SCMP_CMP_EQ, 0, 0}}};
    case Condition::kNarrower:
      return {{Int(0, SECCOMP_SET_MODE_FILTER)}};
    case Condition::kWritableAndExecutable:
      return {{Bits(2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC)}};
    case Condition::kExecutable:
      return {{Bits(2, PROT_EXEC, PROT_EXEC)}};
    case Condition::kShmExecutable:
      return {{Bits(2, SHM_EXEC, SHM_EXEC)}};
    case Condition::kNoThread:
      return {{Bits(0, CLONE_THREAD, 0)}};
    case Condition::kNewNamespace: {
      Alternatives any;
      for (const uint64_t flag : kNamespaceFlags) {
        any.push_back({Bits(0, flag, flag)});
      }
      return any;
    }
  }
  WASMD_UNREACHABLE();
}

// libseccomp's errors are negative errnos.
absl::Status Failed(std::string_view what, int error) {
  return absl::InternalError(
      StrCat("seccomp: ", what, ": ", std::strerror(-error)));  // NOLINT(concurrency-mt-unsafe)
}

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

absl::StatusOr<Context> NewFilter(uint32_t otherwise, bool log) {
  Context filter(::seccomp_init(otherwise));
  if (filter == nullptr) {
    return Failed("no filter can be made", -ENOMEM);
  }
  const std::pair<scmp_filter_attr, uint32_t> attributes[] = {
      {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},  // int 0x80, x32.
      {SCMP_FLTATR_CTL_NNP, 0},                          // Has been set before.
      {SCMP_FLTATR_CTL_TSYNC, 1},
      {SCMP_FLTATR_CTL_LOG, log ? 1 : 0},
      {SCMP_FLTATR_CTL_OPTIMIZE, 2},  // A tree, not a list.
  };
  for (const auto& [attribute, value] : attributes) {
    if (const int error = ::seccomp_attr_set(filter.get(), attribute, value); error != 0) {
      return Failed("attribute", error);
    }
  }
  return filter;
}

absl::Status AddRow(const Context& filter, const SyscallRow& row, uint32_t action) {
  for (const std::vector<scmp_arg_cmp>& all : AlternativesOf(row.condition)) {
    const int error = ::seccomp_rule_add_array(filter.get(), action, row.number,
                                               static_cast<unsigned>(all.size()), all.data());
    if (error != 0) {
      return Failed(row.name, error);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Context> TableFilter(SandboxMode mode) {
  const bool strict = mode == SandboxMode::kStrict;
  WASMD_ASSIGN_OR_RETURN(Context filter,
                         NewFilter(strict ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW, true));
  for (const SyscallRow& row : kTable) {
    switch (row.kind) {
      case Kind::kAllow:
      case Kind::kLimit:
        if (strict) {
          WASMD_RETURN_IF_ERROR(AddRow(filter, row, SCMP_ACT_ALLOW));
        }
        break;
      case Kind::kKill:
        WASMD_RETURN_IF_ERROR(AddRow(filter, row, SCMP_ACT_KILL_PROCESS));
        break;
      case Kind::kRefuse:
        if (!strict) {
          WASMD_RETURN_IF_ERROR(AddRow(filter, row, SCMP_ACT_ERRNO(EPERM)));
        }
        break;
    }
  }
  return filter;
}

absl::StatusOr<Context> AbsenceFilter() {
  WASMD_ASSIGN_OR_RETURN(Context filter, NewFilter(SCMP_ACT_ALLOW, false));
  const auto absent = [&filter](int number) {
    return ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), number, 0);
  };
  int error = absent(SYS_clone3);
  for (int number = kLastKnownSyscall + 1; error == 0 && number <= kLastAbsentSyscall; ++number) {
    error = absent(number);
  }
  if (error != 0) {
    return Failed("a young system call", error);
  }
  return filter;
}

}  // namespace

std::span<const SyscallRow> SyscallTable() {
  return kTable;
}

SyscallFate FateOf(int number, SandboxMode mode) {
  if (mode == SandboxMode::kOff) {
    return SyscallFate::kAllowed;
  }
  if (number == SYS_clone3 || (number > kLastKnownSyscall && number <= kLastAbsentSyscall)) {
    return SyscallFate::kAbsent;
  }
  const bool strict = mode == SandboxMode::kStrict;
  SyscallFate fate = strict ? SyscallFate::kRefused : SyscallFate::kAllowed;
  for (const SyscallRow& row : kTable) {
    if (row.number != number) {
      continue;
    }
    if (row.kind == Kind::kKill) {
      return SyscallFate::kKilled;
    }
    if (strict && row.kind != Kind::kRefuse) {
      return row.kind == Kind::kAllow ? SyscallFate::kAllowed : SyscallFate::kDepends;
    }
    if (!strict && row.kind == Kind::kRefuse) {
      fate = row.condition == Condition::kAlways ? SyscallFate::kRefused : SyscallFate::kDepends;
    }
  }
  return fate;
}

struct SyscallFilter::Impl {
  Context table;
  Context absence;
};

SyscallFilter::SyscallFilter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SyscallFilter::SyscallFilter(SyscallFilter&&) noexcept = default;
SyscallFilter& SyscallFilter::operator=(SyscallFilter&&) noexcept = default;
SyscallFilter::~SyscallFilter() = default;

absl::StatusOr<SyscallFilter> SyscallFilter::Build(SandboxMode mode) {
  WASMD_CHECK(mode != SandboxMode::kOff);
  const uint32_t needed = SECCOMP_RET_KILL_PROCESS;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &needed) != 0) {
    return absl::UnavailableError(
        StrCat("seccomp: ", std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
  }
  auto impl = std::make_unique<Impl>();
  WASMD_ASSIGN_OR_RETURN(impl->table, TableFilter(mode));
  WASMD_ASSIGN_OR_RETURN(impl->absence, AbsenceFilter());
  return SyscallFilter(std::move(impl));
}

absl::Status SyscallFilter::Load() const {
  for (const Context* filter : {&impl_->table, &impl_->absence}) {
    if (const int error = ::seccomp_load(filter->get()); error != 0) {
      return Failed("cannot be put in force", error);
    }
  }
  return absl::OkStatus();
}

}  // namespace wasmd::daemon
