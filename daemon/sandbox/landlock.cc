#include "daemon/sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/text.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {
namespace {

// As <linux/landlock.h> of a kernel with version 7; Debian 12's has version 2.
struct RulesetAttributes {
  uint64_t handled_files;
  uint64_t handled_tcp;
  uint64_t scoped;
};
struct [[gnu::packed]] PathBeneath {
  uint64_t allowed;
  int32_t parent;
};
constexpr uint32_t kVersionFlag = 1;
constexpr int kPathBeneathRule = 1;

constexpr uint64_t kExecute = 1 << 0;
constexpr uint64_t kWriteFile = 1 << 1;
constexpr uint64_t kReadFile = 1 << 2;
constexpr uint64_t kReadDir = 1 << 3;
constexpr uint64_t kRemoveDir = 1 << 4;
constexpr uint64_t kRemoveFile = 1 << 5;
constexpr uint64_t kMakeDir = 1 << 7;
constexpr uint64_t kMakeReg = 1 << 8;
constexpr uint64_t kMakeSym = 1 << 12;
constexpr uint64_t kRefer = 1 << 13;
constexpr uint64_t kTruncate = 1 << 14;
// What a rule for something that is no directory may give.
constexpr uint64_t kFileRights = kExecute | kWriteFile | kReadFile | kTruncate;
// All that is known with each version, from 1 on: execute to make_sym; refer; truncate; none;
// ioctl_dev.
constexpr std::array<uint64_t, 5> kKnownFiles = {0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
constexpr uint64_t kBindAndConnect = 0b11;
constexpr uint64_t kAbstractSocketsAndSignals = 0b11;

uint64_t Mask(LandlockRights rights) {
  switch (rights) {
    case LandlockRights::kRead:
      return kReadFile | kReadDir;
    case LandlockRights::kReadWrite:
      return kReadFile | kReadDir | kWriteFile | kTruncate | kMakeReg | kMakeDir | kMakeSym |
             kRemoveFile | kRemoveDir | kRefer;
    case LandlockRights::kRemoveFile:
      return kRemoveFile;
  }
  return 0;
}

absl::Status Refused(std::string_view what, absl::StatusCode code = absl::StatusCode::kInternal) {
  return {code,
          StrCat("Landlock: ", what, ": ", std::strerror(errno))};  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

int LandlockAbi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

absl::StatusOr<LandlockRuleset> LandlockRuleset::Create(int abi, Forbidden forbidden) {
  RulesetAttributes attributes{};
  size_t size = sizeof(attributes.handled_files);
  if (forbidden.files && abi > 0) {
    attributes.handled_files =
        kKnownFiles.at(std::min(static_cast<size_t>(abi), kKnownFiles.size()) - 1);
  }
  if (forbidden.network_and_others && abi >= kLandlockTcpAbi) {
    attributes.handled_tcp = kBindAndConnect;
    size = offsetof(RulesetAttributes, scoped);
  }
  if (forbidden.network_and_others && abi >= kLandlockScopeAbi) {
    attributes.scoped = kAbstractSocketsAndSignals;
    size = sizeof(attributes);
  }
  if ((attributes.handled_files | attributes.handled_tcp | attributes.scoped) == 0) {
    return absl::UnavailableError(abi == 0 ? "Landlock: the kernel has none"
                                           : StrCat("Landlock: not in version ", abi));
  }
  engine::UniqueFd fd(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!fd) {
    return Refused("no ruleset can be made");
  }
  return LandlockRuleset(std::move(fd), attributes.handled_files);
}

absl::Status LandlockRuleset::Allow(int place, LandlockRights rights) const {
  struct stat status{};
  if (::fstat(place, &status) != 0) {
    return Refused("a place cannot be looked at");
  }
  PathBeneath rule{Mask(rights) & handled_files_, place};
  if (!S_ISDIR(status.st_mode)) {
    rule.allowed &= kFileRights;
  }
  if (rule.allowed != 0 &&
      ::syscall(SYS_landlock_add_rule, fd_.get(), kPathBeneathRule, &rule, 0) != 0) {
    return Refused("a rule cannot be added");
  }
  return absl::OkStatus();
}

absl::Status LandlockRuleset::RestrictSelf() const {
  if (::syscall(SYS_landlock_restrict_self, fd_.get(), 0) != 0) {
    return Refused("cannot be put in force");
  }
  return absl::OkStatus();
}

bool LandlockForbids(int directory) {
  struct stat status{};
  if (::fstat(directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
    return false;
  }
  const engine::UniqueFd opened(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened || errno != EACCES) {
    return false;
  }
  // access() asks for the permissions alone. (The system call: glibc's own emulation looks at mode
  // bits where it has no faccessat2.)
  return ::syscall(SYS_faccessat2, directory, ".", R_OK, AT_EACCESS) == 0;
}

}  // namespace wasmd::daemon
