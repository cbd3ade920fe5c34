// Landlock: which files, ports and other processes this process may reach, said once and for good.
//
//   LandlockRuleset::Create   what is forbidden unless a rule allows it
//   Allow                     a rule: these rights at and beneath this directory (or on this file)
//   RestrictSelf              from here on, for the calling thread and threads that it starts
//
// What is open already stays usable: descriptors that clients pass are read and written whatever
// the rules say. But a name that is looked up beneath a passed directory is judged by where that
// directory lies: Landlock goes from the file up to the root of the file system, and a directory
// that no rule covers opens nothing (measured; docs/sandbox.md).
//
// Rights that a kernel does not know are neither forbidden nor allowed; see LandlockAbi.
#ifndef WASMD_DAEMON_SANDBOX_LANDLOCK_H_
#define WASMD_DAEMON_SANDBOX_LANDLOCK_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

// The kernel's version of the interface: 0 where it has none or was booted without.
//   1 Linux 5.13   2 rename and link between directories (5.19)   3 truncate (6.2)   4 TCP (6.7)
//   5 ioctl on devices (6.10)   6 abstract unix sockets and signals (6.12)   7 its log (6.15)
int LandlockAbi();

inline constexpr int kLandlockTcpAbi = 4;
inline constexpr int kLandlockScopeAbi = 6;

enum class LandlockRights : uint8_t {
  kRead,       // Files, and the names in directories.
  kReadWrite,  // All that a WASI program may do: no device files, sockets, pipes; nothing is
               // executed.
  kRemoveFile,
};

class LandlockRuleset {
 public:
  struct Forbidden {
    bool files = false;
    // Bind and connect by TCP; connections to abstract unix sockets and signals beyond this
    // process.
    bool network_and_others = false;
  };
  // `abi` is LandlockAbi(). kUnavailable: it has nothing of `forbidden`.
  static absl::StatusOr<LandlockRuleset> Create(int abi, Forbidden forbidden);

  // `place` may be opened with O_PATH. kInternal: the kernel refuses.
  absl::Status Allow(int place, LandlockRights rights) const;

  // Needs no_new_privs. kInternal: the kernel refuses; nothing has changed.
  absl::Status RestrictSelf() const;

 private:
  LandlockRuleset(engine::UniqueFd fd, uint64_t handled_files)
      : fd_(std::move(fd)), handled_files_(handled_files) {}
  engine::UniqueFd fd_;
  uint64_t handled_files_;
};

// Whether no rule covers `directory`, though its permissions would let this process read it.
bool LandlockForbids(int directory);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SANDBOX_LANDLOCK_H_
