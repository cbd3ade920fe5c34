#include "daemon/sandbox/sandbox.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include <openssl/crypto.h>

#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "daemon/sandbox/landlock.h"
#include "daemon/sandbox/privileges.h"
#include "daemon/sandbox/syscall_filter.h"
#include "engine/base/status_macros.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {
namespace {

// What the daemon and its libraries read while it runs. A path that is not there is left out.
constexpr std::array<const char*, 9> kDaemonReads = {
    "/proc/self/status",               // daemon/observe/process_stats.cc.
    "/proc/self/pagemap",              // engine/platform/written_pages.cc.
    "/proc/self/maps",                 // C library: the main thread's stack.
    "/proc/sys/vm/overcommit_memory",  // C library: heaps of threads.
    "/sys/devices/system/cpu",         // C library, abseil: how many CPUs, how fast.
    "/proc/self/mountinfo",
    "/proc/self/cgroup",
    "/proc/meminfo",
    "/sys/fs/cgroup",  // What memory there is for the daemon.
};

// Files that libraries read when they are first used: they are used now.
void ReadWhatLibrariesRead() {
  static_cast<void>(::OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, nullptr));
  static_cast<void>(absl::LocalTimeZone());  // gRPC's messages have local times.
}

absl::Status AllowDaemonReads(const LandlockRuleset& ruleset) {
  for (const char* path : kDaemonReads) {
    engine::UniqueFd place(::open(path, O_PATH | O_CLOEXEC));
    if (!place) {
      continue;
    }
    WASMD_RETURN_IF_ERROR(ruleset.Allow(place.get(), LandlockRights::kRead));
    if (std::string_view(path).starts_with("/proc/")) {
      // A rule is an inode's. procfs makes another one when it has forgotten this one, which it
      // does not while it is open: until the process ends.
      static_cast<void>(place.release());
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view ToString(SandboxMode mode) {
  switch (mode) {
    case SandboxMode::kOff:
      return "off";
    case SandboxMode::kBasic:
      return "basic";
    case SandboxMode::kStrict:
      return "strict";
  }
  return "?";
}

absl::Status Sandbox::Note(const absl::Status& done, std::string what) {
  if (done.ok()) {
    report_.in_force.push_back(std::move(what));
    return absl::OkStatus();
  }
  if (done.code() == absl::StatusCode::kUnavailable) {
    report_.lacking.push_back(StrCat(what, " (", done.message(), ")"));
    return absl::OkStatus();
  }
  return absl::InternalError(
      StrCat("--sandbox ", ToString(report_.mode), ": ", what, ": ", done.message()));
}

absl::StatusOr<Sandbox> Sandbox::Enter(SandboxMode mode, const SandboxPlaces& places) {
  Sandbox sandbox(mode);
  if (mode == SandboxMode::kOff) {
    return sandbox;
  }
  ReadWhatLibrariesRead();
  WASMD_RETURN_IF_ERROR(sandbox.Note(SetNoNewPrivileges(), "no new privileges"));
  const bool strict = mode == SandboxMode::kStrict;
  const absl::StatusOr<std::vector<std::string>> left =
      DropCapabilities(strict ? KeptCapabilities::kNone : KeptCapabilities::kFiles);
  WASMD_RETURN_IF_ERROR(
      sandbox.Note(left.status(), left.ok() && !left->empty()
                                      ? StrCat("no capabilities but ", absl::StrJoin(*left, " "))
                                      : "no capabilities"));
  WASMD_RETURN_IF_ERROR(sandbox.Restrict(places));
  return sandbox;
}

absl::Status Sandbox::Restrict(const SandboxPlaces& places) {
  const bool strict = report_.mode == SandboxMode::kStrict;
  const int abi = LandlockAbi();
  const absl::StatusOr<LandlockRuleset> ruleset =
      LandlockRuleset::Create(abi, {.files = strict, .network_and_others = true});
  absl::Status done = ruleset.status();
  if (ruleset.ok()) {
    if (strict) {
      WASMD_RETURN_IF_ERROR(AllowDaemonReads(*ruleset));
      for (const int root : places.roots) {
        WASMD_RETURN_IF_ERROR(ruleset->Allow(root, LandlockRights::kReadWrite));
      }
      for (const std::string& directory : places.socket_directories) {
        const engine::UniqueFd opened(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (opened) {
          WASMD_RETURN_IF_ERROR(ruleset->Allow(opened.get(), LandlockRights::kRemoveFile));
        }
      }
    }
    done = ruleset->RestrictSelf();
  }
  const absl::Status too_old =
      absl::UnavailableError(StrCat("Landlock version ", abi, " of the kernel"));
  if (strict) {
    WASMD_RETURN_IF_ERROR(Note(done, "files beneath --root alone"));
  }
  const bool failed = !done.ok() && done.code() != absl::StatusCode::kUnavailable;
  WASMD_RETURN_IF_ERROR(
      Note(failed || abi >= kLandlockTcpAbi ? done : too_old, "no TCP of its own"));
  return Note(failed || abi >= kLandlockScopeAbi ? done : too_old,
              "no abstract sockets or signals to others");
}

absl::Status Sandbox::Seal() {
  if (report_.mode == SandboxMode::kOff) {
    return absl::OkStatus();
  }
  const bool strict = report_.mode == SandboxMode::kStrict;
  WASMD_RETURN_IF_ERROR(Note(DenyWritableCode(), "no writable code"));
  if (strict) {
    WASMD_RETURN_IF_ERROR(Note(SetNotDumpable(), "not dumpable"));
  }
  const absl::StatusOr<SyscallFilter> filter = SyscallFilter::Build(report_.mode);
  return Note(
      filter.ok() ? filter->Load() : filter.status(),
      strict ? "system calls on the list alone" : "no system calls that only intruders make");
}

}  // namespace wasmd::daemon
