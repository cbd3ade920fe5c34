// The path_* functions: what works on names beneath an open directory. The kernel keeps paths
// beneath it: beneath.h.

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "engine/wasi/beneath.h"
#include "engine/wasi/context.h"
#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/times.h"

namespace wasmd::engine {
namespace {

constexpr uint32_t kFileMode = 0666;  // Less the process's umask.
constexpr uint32_t kDirectoryMode = 0777;

Answer HostAnswer(int result) {
  return result == 0 ? Errno::kSuccess : ErrnoOfHost(errno);
}
// O_PATH: the file itself is not touched. A last component that is a link is opened as such unless
// `follow`.
int OpenNode(int directory, const std::string& path, bool follow, UniqueFd& node) {
  return OpenBeneath(directory, path.c_str(), O_PATH | (follow ? 0 : O_NOFOLLOW), 0, node);
}

// One plain name, which *at calls take without resolving anything.
bool IsPlainName(const std::string& path) {
  return !path.empty() && path != ".." && path.find('/') == std::string::npos;
}

}  // namespace

Answer WasiContext::PathCreateDirectory(Guest& guest, uint32_t fd, uint32_t path,
                                        uint32_t path_size) {
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  if (directory->read_only) {
    return Errno::kPerm;
  }
  ParentAndName parent;
  if (const int error = OpenParent(directory->fd.get(), text, TrailingSlash::kIgnore, parent);
      error != 0) {
    return ErrnoOfHost(error);
  }
  return HostAnswer(::mkdirat(parent.directory, parent.name.c_str(), kDirectoryMode));
}

Answer WasiContext::PathFilestatGet(Guest& guest, uint32_t fd, uint32_t lookup, uint32_t path,
                                    uint32_t path_size, uint32_t out) {
  if ((lookup & ~abi::kLookupFlags) != 0) {
    return Errno::kInval;
  }
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  const bool follow = (lookup & abi::kLookupSymlinkFollow) != 0;
  struct stat status = {};
  if (!follow && IsPlainName(text)) {  // One call for what takes three otherwise.
    if (::fstatat(directory->fd.get(), text.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoOfHost(errno);
    }
  } else {
    UniqueFd node;
    if (const int error = OpenNode(directory->fd.get(), text, follow, node); error != 0) {
      return ErrnoOfHost(error);
    }
    if (::fstat(node.get(), &status) != 0) {
      return ErrnoOfHost(errno);
    }
  }
  abi::Filestat filestat = {};
  if (!FilestatOf(status, filestat)) {
    return Errno::kOverflow;
  }
  return guest.Store(out, filestat) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::PathFilestatSetTimes(Guest& guest, uint32_t fd, uint32_t lookup, uint32_t path,
                                         uint32_t path_size, uint64_t atim, uint64_t mtim,
                                         uint32_t flags) {
  timespec times[2] = {};
  if ((lookup & ~abi::kLookupFlags) != 0 || !TimesOf(atim, mtim, flags, times)) {
    return Errno::kInval;
  }
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  if (directory->read_only) {
    return Errno::kPerm;
  }
  if (flags == 0) {
    return Errno::kSuccess;  // The kernel doesn't look at the path either.
  }
  UniqueFd node;
  if (const int error =
          OpenNode(directory->fd.get(), text, (lookup & abi::kLookupSymlinkFollow) != 0, node);
      error != 0) {
    return ErrnoOfHost(error);
  }
  return HostAnswer(::utimensat(node.get(), "", times, AT_EMPTY_PATH));
}

Answer WasiContext::PathLink(Guest& guest, uint32_t old_fd, uint32_t lookup, uint32_t old_path,
                             uint32_t old_size, uint32_t new_fd, uint32_t new_path,
                             uint32_t new_size) {
  if ((lookup & ~abi::kLookupFlags) != 0) {
    return Errno::kInval;
  }
  const Descriptor* old_directory = FindDirectory(old_fd);
  const Descriptor* new_directory = FindDirectory(new_fd);
  if (old_directory == nullptr || new_directory == nullptr) {
    return Errno::kBadf;
  }
  std::string old_text;
  std::string new_text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(old_path, old_size, old_text));
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(new_path, new_size, new_text));
  if (old_directory->read_only || new_directory->read_only) {
    return Errno::kPerm;
  }
  if ((lookup & abi::kLookupSymlinkFollow) != 0) {
    return Errno::kInval;
  }
  ParentAndName from;
  ParentAndName to;
  if (const int error = OpenParent(old_directory->fd.get(), old_text, TrailingSlash::kIsDot, from);
      error != 0) {
    return ErrnoOfHost(error);
  }
  if (const int error = OpenParent(new_directory->fd.get(), new_text, TrailingSlash::kIsDot, to);
      error != 0) {
    return ErrnoOfHost(error);
  }
  return HostAnswer(::linkat(from.directory, from.name.c_str(), to.directory, to.name.c_str(), 0));
}

Answer WasiContext::PathOpen(Guest& guest, uint32_t fd, uint32_t lookup, uint32_t path,
                             uint32_t path_size, uint32_t open_flags, uint64_t rights_base,
                             uint64_t rights_inheriting, uint32_t fd_flags, uint32_t out) {
  if ((lookup & ~abi::kLookupFlags) != 0 || (open_flags & ~abi::kOpenFlags) != 0 ||
      ((rights_base | rights_inheriting) & ~abi::kRights) != 0 ||
      (fd_flags & ~abi::kFdFlags) != 0) {
    return Errno::kInval;
  }
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  const Descriptor* directory = descriptors_.Find(fd);
  if (directory == nullptr || directory->kind != DescriptorKind::kDirectory) {
    return directory != nullptr && directory->kind == DescriptorKind::kFile ? Errno::kNotdir
                                                                            : Errno::kBadf;
  }
  const bool create = (open_flags & abi::kOpenCreat) != 0;
  const bool must_be_directory = (open_flags & abi::kOpenDirectory) != 0;
  const bool follow = (lookup & abi::kLookupSymlinkFollow) != 0;
  if (must_be_directory &&
      (open_flags & (abi::kOpenCreat | abi::kOpenExcl | abi::kOpenTrunc)) != 0) {
    return Errno::kInval;
  }
  const bool write =
      create || (open_flags & abi::kOpenTrunc) != 0 || (rights_base & abi::kRightFdWrite) != 0;
  const bool read =
      (rights_base & abi::kRightFdRead) != 0 || (rights_base & abi::kRightFdWrite) == 0;
  if (directory->read_only && write) {
    return Errno::kPerm;
  }
  if (descriptors_.full()) {
    return Errno::kMfile;
  }
  int flags = write ? (read ? O_RDWR : O_WRONLY) : O_RDONLY;
  flags |= create ? O_CREAT : 0;
  flags |= create && (open_flags & abi::kOpenExcl) != 0 ? O_EXCL : 0;
  flags |= (open_flags & abi::kOpenTrunc) != 0 ? O_TRUNC : 0;
  flags |= must_be_directory ? O_DIRECTORY : 0;
  flags |= follow ? 0 : O_NOFOLLOW;
  flags |= (fd_flags & abi::kFdAppend) != 0 ? O_APPEND : 0;
  flags |= (fd_flags & abi::kFdDsync) != 0 ? O_DSYNC : 0;
  flags |= (fd_flags & (abi::kFdSync | abi::kFdRsync)) != 0 ? O_SYNC : 0;
  // A FIFO whose other end is not open waits here, until a signal comes.
  flags |= (fd_flags & abi::kFdNonblock) != 0 ? O_NONBLOCK : 0;

  Descriptor opened;
  int error = OpenBeneath(directory->fd.get(), text.c_str(), flags, kFileMode, opened.fd);
  while (error == EINTR) {
    if (guest.interrupted()) {
      return Answer::Interrupted();
    }
    error = OpenBeneath(directory->fd.get(), text.c_str(), flags, kFileMode, opened.fd);
  }
  struct stat status = {};
  if (error == ENOTDIR && must_be_directory && !follow) {
    // A link is kLoop also where a directory is asked for; the kernel's O_DIRECTORY says otherwise.
    UniqueFd node;
    if (OpenNode(directory->fd.get(), text, /*follow=*/false, node) == 0 &&
        ::fstat(node.get(), &status) == 0 && S_ISLNK(status.st_mode)) {
      return Errno::kLoop;
    }
  }
  if (error != 0) {
    return ErrnoOfHost(error);
  }
  if (::fstat(opened.fd.get(), &status) != 0) {
    return ErrnoOfHost(errno);
  }
  opened.kind = S_ISDIR(status.st_mode) ? DescriptorKind::kDirectory : DescriptorKind::kFile;
  opened.filetype = FiletypeOf(status.st_mode);
  opened.read_only = directory->read_only;
  opened.nonblock = (fd_flags & abi::kFdNonblock) != 0;
  opened.may_block =
      !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && !S_ISBLK(status.st_mode);
  std::span<std::byte> room;
  if (!guest.Range(out, sizeof(uint32_t), room, alignof(uint32_t))) {
    return guest.fault();
  }
  const bool stored = guest.Store(out, descriptors_.Add(std::move(opened)));
  return stored ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::PathReadlink(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size,
                                 uint32_t buffer, uint32_t buffer_size, uint32_t out) {
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  ParentAndName parent;
  if (const int error = OpenParent(directory->fd.get(), text, TrailingSlash::kIsDot, parent);
      error != 0) {
    return ErrnoOfHost(error);
  }
  char target[PATH_MAX];
  const ssize_t size = ::readlinkat(parent.directory, parent.name.c_str(), target, sizeof(target));
  if (size < 0) {
    return ErrnoOfHost(errno);
  }
  // An absolute target can't be followed, and tells how the host's directories are called.
  if (size > 0 && target[0] == '/') {
    return Errno::kPerm;
  }
  const uint32_t used = std::min(static_cast<uint32_t>(size), buffer_size);
  std::span<std::byte> room;
  if (!guest.Range(buffer, used, room)) {
    return guest.fault();
  }
  if (used != 0) {
    std::memcpy(room.data(), target, used);
  }
  return guest.Store(out, used) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::PathRemoveDirectory(Guest& guest, uint32_t fd, uint32_t path,
                                        uint32_t path_size) {
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  if (directory->read_only) {
    return Errno::kPerm;
  }
  ParentAndName parent;
  if (const int error = OpenParent(directory->fd.get(), text, TrailingSlash::kIgnore, parent);
      error != 0) {
    return ErrnoOfHost(error);
  }
  return HostAnswer(::unlinkat(parent.directory, parent.name.c_str(), AT_REMOVEDIR));
}

Answer WasiContext::PathRename(Guest& guest, uint32_t old_fd, uint32_t old_path, uint32_t old_size,
                               uint32_t new_fd, uint32_t new_path, uint32_t new_size) {
  const Descriptor* old_directory = FindDirectory(old_fd);
  const Descriptor* new_directory = FindDirectory(new_fd);
  if (old_directory == nullptr || new_directory == nullptr) {
    return Errno::kBadf;
  }
  std::string old_text;
  std::string new_text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(old_path, old_size, old_text));
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(new_path, new_size, new_text));
  if (old_directory->read_only || new_directory->read_only) {
    return Errno::kPerm;
  }
  ParentAndName from;
  ParentAndName to;
  if (const int error = OpenParent(old_directory->fd.get(), old_text, TrailingSlash::kIgnore, from);
      error != 0) {
    return ErrnoOfHost(error);
  }
  if (const int error = OpenParent(new_directory->fd.get(), new_text, TrailingSlash::kIgnore, to);
      error != 0) {
    return ErrnoOfHost(error);
  }
  // A slash after a name still says that it must be a directory. The kernel follows no link for it
  // here.
  if (old_text.ends_with('/')) {
    from.name += '/';
  }
  if (new_text.ends_with('/')) {
    to.name += '/';
  }
  return HostAnswer(::renameat(from.directory, from.name.c_str(), to.directory, to.name.c_str()));
}

Answer WasiContext::PathSymlink(Guest& guest, uint32_t target, uint32_t target_size, uint32_t fd,
                                uint32_t path, uint32_t path_size) {
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::string target_text;
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(target, target_size, target_text));
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  // An absolute one would lead other programs, which don't resolve beneath, wherever the guest
  // likes.
  if (directory->read_only || target_text.starts_with('/')) {
    return Errno::kPerm;
  }
  ParentAndName parent;
  if (const int error = OpenParent(directory->fd.get(), text, TrailingSlash::kIsDot, parent);
      error != 0) {
    return ErrnoOfHost(error);
  }
  return HostAnswer(::symlinkat(target_text.c_str(), parent.directory, parent.name.c_str()));
}

Answer WasiContext::PathUnlinkFile(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size) {
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::string text;
  WASMD_WASI_RETURN_IF_NOT_OK(guest.LoadString(path, path_size, text));
  if (directory->read_only) {
    return Errno::kPerm;
  }
  ParentAndName parent;
  if (const int error = OpenParent(directory->fd.get(), text, TrailingSlash::kIsDot, parent);
      error != 0) {
    return ErrnoOfHost(error);
  }
  return HostAnswer(::unlinkat(parent.directory, parent.name.c_str(), 0));
}

}  // namespace wasmd::engine
