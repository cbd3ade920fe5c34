#include "daemon/sandbox/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/text.h"

namespace wasmd::daemon {
namespace {

// As <linux/prctl.h> since Linux 6.3.
constexpr int kPrSetMdwe = 65;
constexpr int kPrGetMdwe = 66;
constexpr unsigned long kMdweRefuseExecGain = 1;

constexpr rlim_t kWatchdogPriority = 2;  // engine/base/thread_priority.h.

absl::Status Refused(std::string_view what, absl::StatusCode code = absl::StatusCode::kInternal) {
  return {code, StrCat(what, ": ", std::strerror(errno))};  // NOLINT(concurrency-mt-unsafe)
}

constexpr uint64_t Bit(unsigned capability) {
  return uint64_t{1} << capability;
}

// Whether threads may have the watchdogs' priority without any capability.
bool AllowWatchdogPriority() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_RTPRIO, &limit) != 0) {
    return false;
  }
  if (limit.rlim_cur >= kWatchdogPriority) {
    return true;
  }
  limit.rlim_cur = kWatchdogPriority;
  limit.rlim_max = std::max(limit.rlim_max, kWatchdogPriority);
  return ::setrlimit(RLIMIT_RTPRIO, &limit) == 0;
}

struct NamedCapability {
  unsigned number;
  const char* name;
};
constexpr std::array kMayStay = {NamedCapability{CAP_DAC_OVERRIDE, "dac_override"},
                                 NamedCapability{CAP_FOWNER, "fowner"},
                                 NamedCapability{CAP_SYS_NICE, "sys_nice"}};

}  // namespace

absl::Status SetNoNewPrivileges() {
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? absl::OkStatus() : Refused("no_new_privs");
}

absl::StatusOr<std::vector<std::string>> DropCapabilities(KeptCapabilities kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) {
    return Refused("capget");
  }
  const uint64_t permitted = uint64_t{sets[1].permitted} << 32 | sets[0].permitted;
  uint64_t keep = kept == KeptCapabilities::kFiles ? Bit(CAP_DAC_OVERRIDE) | Bit(CAP_FOWNER) : 0;
  if ((permitted & Bit(CAP_SYS_NICE)) != 0 && !AllowWatchdogPriority()) {
    keep |= Bit(CAP_SYS_NICE);
  }
  keep &= permitted;
  // What the bounding set holds could come back by executing a program. Only who has CAP_SETPCAP
  // can drop it; to others no_new_privs says the same.
  if ((permitted & Bit(CAP_SETPCAP)) != 0) {
    for (unsigned capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
         ++capability) {
      if ((keep & Bit(capability)) == 0 && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
        return Refused("a capability cannot be dropped");
      }
    }
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) {
    return Refused("ambient capabilities cannot be dropped");
  }
  std::array<__user_cap_data_struct, 2> fewer{};
  for (size_t half = 0; half < fewer.size(); ++half) {
    const auto bits = static_cast<uint32_t>(keep >> (32 * half));
    fewer[half] = {.effective = bits, .permitted = bits, .inheritable = 0};
  }
  // Where nothing is left to drop, a service manager may have forbidden the call.
  if (std::memcmp(&sets, &fewer, sizeof(sets)) != 0 &&
      ::syscall(SYS_capset, &header, fewer.data()) != 0) {
    return Refused("capabilities cannot be dropped");
  }
  std::vector<std::string> left;
  for (const NamedCapability& capability : kMayStay) {
    if ((keep & Bit(capability.number)) != 0) {
      left.emplace_back(capability.name);
    }
  }
  return left;
}

absl::Status DenyWritableCode() {
  // A service manager may have done it.
  const int now = ::prctl(kPrGetMdwe, 0, 0, 0, 0);
  if (now > 0 || ::prctl(kPrSetMdwe, kMdweRefuseExecGain, 0, 0, 0) == 0) {
    return absl::OkStatus();
  }
  return Refused("MDWE",
                 errno == EINVAL ? absl::StatusCode::kUnavailable : absl::StatusCode::kInternal);
}

absl::Status SetNotDumpable() {
  return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? absl::OkStatus() : Refused("not dumpable");
}

}  // namespace wasmd::daemon
