#include "engine/wasi/beneath.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/unique_fd.h"

namespace wasmd::engine {
namespace {

// With RESOLVE_BENEATH the kernel gives up with EAGAIN when a rename or mount anywhere on the
// machine may have raced with a "..".
constexpr int kMaxTries = 64;

}  // namespace

int OpenBeneath(int directory, const char* path, int flags, uint32_t mode, UniqueFd& opened) {
  open_how how = {};
  how.flags = static_cast<uint32_t>(flags | O_CLOEXEC);
  if ((flags & O_PATH) == 0) {
    how.flags |= uint64_t{O_NOCTTY};
  }
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  // The first try stays in the directory's mount, so that what need not be looked at costs nothing:
  // who is not in procfs gets there by crossing into it.
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  bool crossing = false;
  for (int i = 0; i < kMaxTries; ++i) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof(how))));
    if (fd) {
      if (crossing && IsProcfs(fd.get())) {
        return EACCES;
      }
      opened = std::move(fd);
      return 0;
    }
    if (errno == EXDEV && !crossing) {
      crossing = true;
      how.resolve &= ~uint64_t{RESOLVE_NO_XDEV};
    } else if (errno != EAGAIN) {
      return errno == EXDEV ? EPERM : errno;
    }
  }
  return EAGAIN;
}

bool IsProcfs(int fd) {
  struct statfs status{};
  return ::fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

int OpenParent(int directory, const std::string& path, TrailingSlash slash, ParentAndName& parent) {
  if (path.empty()) {
    return ENOENT;
  }
  std::string_view rest = path;
  if (slash == TrailingSlash::kIgnore) {
    while (rest.size() > 1 && rest.ends_with('/')) {
      rest.remove_suffix(1);
    }
  }
  // The name is the last component, unless that is no name: then it is "." in the whole path's
  // directory.
  std::string_view holder = rest;
  std::string_view name = ".";
  if (!rest.ends_with('/')) {
    const size_t cut = rest.rfind('/');
    const std::string_view last = cut == std::string_view::npos ? rest : rest.substr(cut + 1);
    if (last == "." && cut == std::string_view::npos) {
      holder = {};
    } else if (last != "." && last != "..") {
      holder = cut == std::string_view::npos ? std::string_view() : rest.substr(0, cut + 1);
      name = last;
    }
  }
  parent.name = name;
  if (holder.empty()) {
    parent.directory = directory;
    return 0;
  }
  const std::string holder_path(holder);
  const int error =
      OpenBeneath(directory, holder_path.c_str(), O_PATH | O_DIRECTORY, 0, parent.owned);
  parent.directory = parent.owned.get();
  return error;
}

}  // namespace wasmd::engine
