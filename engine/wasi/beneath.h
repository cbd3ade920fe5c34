// Paths that stay beneath a directory, whatever the guest writes into them and whatever links lie
// on the way.
//
// The kernel resolves (openat2 with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS): an absolute path, a
// ".." or a link that leads out is EXDEV from it and kPerm from here. What works on a name and not
// on a file (unlink, rename, …) opens the name's directory this way and passes the kernel the last
// component alone, which no *at call follows.
//
// Nothing of procfs is ever opened, wherever it is mounted: /proc/self/mem is the memory of this
// process, and a program that writes there has left its sandbox.
//
// Host errors are returned as positive errno values, 0 being success. Thread-safe: no state.
#ifndef WASMD_ENGINE_WASI_BENEATH_H_
#define WASMD_ENGINE_WASI_BENEATH_H_

#include <cstdint>
#include <string>

#include "engine/base/unique_fd.h"

namespace wasmd::engine {

// Opens `path` relative to `directory`, with open(2)'s `flags` (O_CLOEXEC and O_NOCTTY are added)
// and `mode` (used with O_CREAT). EPERM: the path leads out. EINTR: a signal came, and nothing has
// been opened; the caller decides whether to go on. EAGAIN: renames elsewhere got in the way too
// often. EACCES: also what is procfs's, where `directory` is not.
int OpenBeneath(int directory, const char* path, int flags, uint32_t mode, UniqueFd& opened);

// Whether `fd` is procfs's: no directory that a program is given.
bool IsProcfs(int fd);

// A path's directory and last component. Made by OpenParent.
struct ParentAndName {
  UniqueFd owned;      // Empty where the directory is the one that the path started from.
  int directory = -1;  // owned, or the start.
  std::string name;    // Never with a '/' inside (see `slash`), never "..".
};

enum class TrailingSlash : uint8_t {
  kIsDot,   // "a/" means "a/.": the directory a itself.
  kIgnore,  // "a/" means "a".
};

// Opens the directory that holds `path`'s last component. ENOENT: the path is empty.
int OpenParent(int directory, const std::string& path, TrailingSlash slash, ParentAndName& parent);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_BENEATH_H_
