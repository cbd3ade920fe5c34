// The fd_* functions: what works on an open descriptor.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "engine/wasi/beneath.h"
#include "engine/wasi/context.h"
#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/times.h"
#include "engine/wasi/transfer.h"

namespace wasmd::engine {
namespace {

// What guests' C libraries expect of a directory that was given to them, as wasmtime has it.
constexpr uint64_t kPreopenRights =
    abi::kRightPathCreateDirectory | abi::kRightPathCreateFile | abi::kRightPathLinkSource |
    abi::kRightPathLinkTarget | abi::kRightPathOpen | abi::kRightFdReaddir |
    abi::kRightPathReadlink | abi::kRightPathRenameSource | abi::kRightPathRenameTarget |
    abi::kRightPathSymlink | abi::kRightPathRemoveDirectory | abi::kRightPathUnlinkFile |
    abi::kRightPathFilestatGet | abi::kRightPathFilestatSetTimes | abi::kRightFdFilestatGet |
    abi::kRightFdFilestatSetTimes;
constexpr uint64_t kPreopenInheriting = kPreopenRights | abi::kRightFdDatasync | abi::kRightFdRead |
                                        abi::kRightFdSeek | abi::kRightFdFdstatSetFlags |
                                        abi::kRightFdSync | abi::kRightFdTell | abi::kRightFdWrite |
                                        abi::kRightFdAdvise | abi::kRightFdAllocate |
                                        abi::kRightFdFilestatSetSize | abi::kRightPollFdReadwrite;

Answer HostAnswer(int result) {
  return result == 0 ? Errno::kSuccess : ErrnoOfHost(errno);
}

bool FitsOff(uint64_t value) {
  return value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

// linux_dirent64, which no header of user space declares.
struct HostDirent {
  uint64_t ino;
  int64_t next;
  uint16_t record_bytes;
  uint8_t type;
};
constexpr size_t kHostDirentNameOffset = 19;

abi::Filetype FiletypeOfDirent(uint8_t type) {
  switch (type) {
    case DT_BLK:
      return abi::Filetype::kBlockDevice;
    case DT_CHR:
      return abi::Filetype::kCharacterDevice;
    case DT_DIR:
      return abi::Filetype::kDirectory;
    case DT_REG:
      return abi::Filetype::kRegularFile;
    case DT_LNK:
      return abi::Filetype::kSymbolicLink;
    case DT_SOCK:
      return abi::Filetype::kSocketStream;
    default:
      return abi::Filetype::kUnknown;  // FIFOs too: preview 1 has no number for them.
  }
}

// What has a position: a socket's or a stream's bytes come once.
bool HasNoPosition(const Descriptor* descriptor, DescriptorKind stream) {
  return descriptor != nullptr &&
         (descriptor->kind == stream || descriptor->kind == DescriptorKind::kSocket);
}

bool CanRead(const Descriptor* descriptor) {
  return descriptor != nullptr &&
         (descriptor->kind == DescriptorKind::kInput || descriptor->kind == DescriptorKind::kFile ||
          descriptor->kind == DescriptorKind::kSocket);
}
bool CanWrite(const Descriptor* descriptor) {
  return descriptor != nullptr &&
         (descriptor->kind == DescriptorKind::kOutput ||
          descriptor->kind == DescriptorKind::kFile || descriptor->kind == DescriptorKind::kSocket);
}

// Copies as much of `from` as there is room.
void CopyPrefix(std::span<const std::byte> from, std::span<std::byte>& room) {
  const size_t size = std::min(from.size(), room.size());
  if (size != 0) {
    std::memcpy(room.data(), from.data(), size);
    room = room.subspan(size);
  }
}

}  // namespace

abi::Filetype FiletypeOf(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFBLK:
      return abi::Filetype::kBlockDevice;
    case S_IFCHR:
      return abi::Filetype::kCharacterDevice;
    case S_IFDIR:
      return abi::Filetype::kDirectory;
    case S_IFREG:
      return abi::Filetype::kRegularFile;
    case S_IFLNK:
      return abi::Filetype::kSymbolicLink;
    case S_IFSOCK:
      return abi::Filetype::kSocketStream;
    default:
      return abi::Filetype::kUnknown;
  }
}

bool FilestatOf(const struct stat& status, abi::Filestat& filestat) {
  filestat = {};
  filestat.dev = status.st_dev;
  filestat.ino = status.st_ino;
  filestat.filetype = FiletypeOf(status.st_mode);
  filestat.nlink = status.st_nlink;
  filestat.size = static_cast<uint64_t>(status.st_size);
  return TimestampOf(status.st_atim, filestat.atim) && TimestampOf(status.st_mtim, filestat.mtim) &&
         TimestampOf(status.st_ctim, filestat.ctim);
}

Answer WasiContext::FdAdvise(Guest& /*guest*/, uint32_t fd, uint64_t offset, uint64_t size,
                             uint32_t advice) {
  static constexpr int kAdvice[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                    POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
  if (advice >= std::size(kAdvice)) {
    return Errno::kInval;
  }
  const Descriptor* file = FindFile(fd);
  if (file == nullptr) {
    return Errno::kBadf;
  }
  if (!FitsOff(size)) {
    return Errno::kInval;
  }
  if (!FitsOff(offset)) {
    return Errno::kSuccess;  // Advice about what no file has.
  }
  const int error = ::posix_fadvise(file->fd.get(), static_cast<off_t>(offset),
                                    static_cast<off_t>(size), kAdvice[advice]);
  return error == 0 ? Errno::kSuccess : ErrnoOfHost(error);
}

Answer WasiContext::FdAllocate(Guest& guest, uint32_t fd, uint64_t offset, uint64_t size) {
  const Descriptor* file = FindFile(fd);
  if (file == nullptr) {
    return Errno::kBadf;
  }
  if (!FitsOff(offset) || !FitsOff(size)) {
    return Errno::kInval;
  }
  while (::fallocate(file->fd.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(size)) !=
         0) {
    if (errno != EINTR) {
      return ErrnoOfHost(errno);
    }
    if (guest.interrupted()) {
      return Answer::Interrupted();
    }
  }
  return Errno::kSuccess;
}

Answer WasiContext::FdClose(Guest& /*guest*/, uint32_t fd) {
  return descriptors_.Close(fd) ? Errno::kSuccess : Errno::kBadf;
}

Answer WasiContext::FdDatasync(Guest& /*guest*/, uint32_t fd) {
  const Descriptor* file = FindFile(fd);
  return file == nullptr ? Answer(Errno::kBadf) : HostAnswer(::fdatasync(file->fd.get()));
}

Answer WasiContext::FdSync(Guest& /*guest*/, uint32_t fd) {
  const Descriptor* file = FindFile(fd);
  return file == nullptr ? Answer(Errno::kBadf) : HostAnswer(::fsync(file->fd.get()));
}

Answer WasiContext::FdFdstatGet(Guest& guest, uint32_t fd, uint32_t out) {
  const Descriptor* found = descriptors_.Find(fd);
  if (found == nullptr) {
    return Errno::kBadf;
  }
  abi::Fdstat fdstat = {};
  fdstat.filetype = found->filetype;
  switch (found->kind) {
    case DescriptorKind::kInput:
      fdstat.rights_base = abi::kRightFdRead;
      fdstat.rights_inheriting = fdstat.rights_base;
      break;
    case DescriptorKind::kOutput:
      fdstat.rights_base = abi::kRightFdWrite;
      fdstat.rights_inheriting = fdstat.rights_base;
      break;
    case DescriptorKind::kDirectory:
      if (found->preopen_path.has_value()) {
        fdstat.rights_base = kPreopenRights;
        fdstat.rights_inheriting = kPreopenInheriting;
      } else {
        fdstat.rights_base = abi::kRights & ~(abi::kRightFdSeek | abi::kRightFdFilestatSetSize |
                                              abi::kRightPathFilestatSetSize | abi::kRightFdWrite);
        // A C library's openat asks for no more than this: without it, files in the directory could
        // not be written.
        fdstat.rights_inheriting = fdstat.rights_base |
                                   (found->read_only ? 0 : abi::kRightFdWrite) | abi::kRightFdSeek |
                                   abi::kRightFdFilestatSetSize;
      }
      break;
    case DescriptorKind::kSocket:
      fdstat.rights_base =
          abi::kRightFdFdstatSetFlags | abi::kRightFdFilestatGet | abi::kRightPollFdReadwrite |
          (found->listening ? abi::kRightSockAccept
                            : abi::kRightFdRead | abi::kRightFdWrite | abi::kRightSockShutdown);
      fdstat.rights_inheriting = abi::kRightFdRead | abi::kRightFdWrite |
                                 abi::kRightFdFdstatSetFlags | abi::kRightFdFilestatGet |
                                 abi::kRightPollFdReadwrite | abi::kRightSockShutdown;
      fdstat.flags = found->nonblock ? abi::kFdNonblock : 0;
      break;
    case DescriptorKind::kFile: {
      const int flags = ::fcntl(found->fd.get(), F_GETFL);
      if (flags < 0) {
        return ErrnoOfHost(errno);
      }
      fdstat.rights_base = abi::kRights;
      if ((flags & O_ACCMODE) == O_WRONLY) {
        fdstat.rights_base &= ~(abi::kRightFdRead | abi::kRightFdReaddir);
      }
      if ((flags & O_ACCMODE) == O_RDONLY) {
        fdstat.rights_base &= ~abi::kRightFdWrite;
      }
      fdstat.rights_inheriting = fdstat.rights_base;
      uint32_t fd_flags = found->nonblock ? abi::kFdNonblock : 0;
      fd_flags |= (flags & O_APPEND) != 0 ? abi::kFdAppend : 0;
      fd_flags |= (flags & O_DSYNC) != 0 ? abi::kFdDsync : 0;
      fd_flags |= (flags & O_SYNC) == O_SYNC ? abi::kFdSync : 0;
      fdstat.flags = static_cast<uint16_t>(fd_flags);
      break;
    }
  }
  return guest.Store(out, fdstat) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdFdstatSetFlags(Guest& /*guest*/, uint32_t fd, uint32_t flags) {
  if ((flags & ~abi::kFdFlags) != 0) {
    return Errno::kInval;
  }
  if (Descriptor* found = descriptors_.Find(fd);
      found != nullptr && found->kind == DescriptorKind::kSocket) {
    if ((flags & ~abi::kFdNonblock) != 0) {
      return Errno::kInval;
    }
    found->nonblock = flags != 0;  // Ours alone: the description may be shared.
    return Errno::kSuccess;
  }
  Descriptor* file = FindFile(fd);
  if (file == nullptr) {
    return Errno::kBadf;
  }
  if ((flags & (abi::kFdDsync | abi::kFdRsync | abi::kFdSync)) != 0) {
    return Errno::kInval;
  }
  // The description is the guest's own, so changing its flags concerns nobody else.
  const int host_flags = ::fcntl(file->fd.get(), F_GETFL);
  if (host_flags < 0) {
    return ErrnoOfHost(errno);
  }
  const int wanted = (flags & abi::kFdAppend) != 0 ? host_flags | O_APPEND : host_flags & ~O_APPEND;
  if (wanted != host_flags && ::fcntl(file->fd.get(), F_SETFL, wanted) != 0) {
    return ErrnoOfHost(errno);
  }
  file->nonblock = (flags & abi::kFdNonblock) != 0;
  return Errno::kSuccess;
}

Answer WasiContext::FdFdstatSetRights(Guest& /*guest*/, uint32_t fd, uint64_t base,
                                      uint64_t inheriting) {
  if (((base | inheriting) & ~abi::kRights) != 0) {
    return Errno::kInval;
  }
  return FindFile(fd) == nullptr && FindDirectory(fd) == nullptr ? Errno::kBadf : Errno::kNotsup;
}

Answer WasiContext::FdFilestatGet(Guest& guest, uint32_t fd, uint32_t out) {
  const Descriptor* found = descriptors_.Find(fd);
  if (found == nullptr) {
    return Errno::kBadf;
  }
  abi::Filestat filestat = {};
  if (found->kind == DescriptorKind::kInput || found->kind == DescriptorKind::kOutput) {
    filestat.filetype = found->filetype;  // And no more, as in wasmtime: a stream is no file.
  } else {
    struct stat status = {};
    if (::fstat(found->fd.get(), &status) != 0) {
      return ErrnoOfHost(errno);
    }
    if (!FilestatOf(status, filestat)) {
      return Errno::kOverflow;
    }
  }
  return guest.Store(out, filestat) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdFilestatSetSize(Guest& /*guest*/, uint32_t fd, uint64_t size) {
  const Descriptor* file = FindFile(fd);
  if (file == nullptr) {
    return Errno::kBadf;
  }
  if (file->read_only) {
    return Errno::kPerm;
  }
  if (!FitsOff(size)) {
    return Errno::kInval;
  }
  return HostAnswer(::ftruncate(file->fd.get(), static_cast<off_t>(size)));
}

Answer WasiContext::FdFilestatSetTimes(Guest& /*guest*/, uint32_t fd, uint64_t atim, uint64_t mtim,
                                       uint32_t flags) {
  timespec times[2] = {};
  if (!TimesOf(atim, mtim, flags, times)) {
    return Errno::kInval;
  }
  const Descriptor* found = FindFile(fd);
  if (found == nullptr) {
    found = FindDirectory(fd);
  }
  if (found == nullptr) {
    return Errno::kBadf;
  }
  if (found->read_only) {
    return Errno::kPerm;
  }
  // By empty path: a preopen may be an O_PATH descriptor, which futimens refuses.
  return HostAnswer(::utimensat(found->fd.get(), "", times, AT_EMPTY_PATH));
}

Answer WasiContext::FdPread(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count,
                            uint64_t offset, uint32_t out) {
  Iovecs loaded;
  WASMD_WASI_RETURN_IF_NOT_OK(loaded.Load(guest, iovecs, count));
  Descriptor* found = descriptors_.Find(fd);
  if (HasNoPosition(found, DescriptorKind::kInput)) {
    return Errno::kSpipe;
  }
  if (found == nullptr || found->kind != DescriptorKind::kFile) {
    return Errno::kBadf;
  }
  if (!FitsOff(offset)) {
    return Errno::kInval;
  }
  uint32_t size_bytes = 0;
  WASMD_WASI_RETURN_IF_NOT_OK(
      Read(guest, *found, loaded, static_cast<int64_t>(offset), size_bytes));
  return guest.Store(out, size_bytes) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdPwrite(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count,
                             uint64_t offset, uint32_t out) {
  Iovecs loaded;
  WASMD_WASI_RETURN_IF_NOT_OK(loaded.Load(guest, iovecs, count));
  Descriptor* found = descriptors_.Find(fd);
  if (HasNoPosition(found, DescriptorKind::kOutput)) {
    return Errno::kSpipe;
  }
  if (found == nullptr || found->kind != DescriptorKind::kFile) {
    return Errno::kBadf;
  }
  if (!FitsOff(offset)) {
    return Errno::kInval;
  }
  uint32_t size_bytes = 0;
  WASMD_WASI_RETURN_IF_NOT_OK(
      Write(guest, *found, loaded, static_cast<int64_t>(offset), size_bytes));
  return guest.Store(out, size_bytes) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdRead(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count,
                           uint32_t out) {
  Iovecs loaded;
  WASMD_WASI_RETURN_IF_NOT_OK(loaded.Load(guest, iovecs, count));
  Descriptor* found = descriptors_.Find(fd);
  if (!CanRead(found)) {
    return Errno::kBadf;
  }
  uint32_t size_bytes = 0;
  WASMD_WASI_RETURN_IF_NOT_OK(Read(guest, *found, loaded, std::nullopt, size_bytes));
  return guest.Store(out, size_bytes) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdWrite(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count,
                            uint32_t out) {
  Iovecs loaded;
  WASMD_WASI_RETURN_IF_NOT_OK(loaded.Load(guest, iovecs, count));
  Descriptor* found = descriptors_.Find(fd);
  if (!CanWrite(found)) {
    return Errno::kBadf;
  }
  uint32_t size_bytes = 0;
  WASMD_WASI_RETURN_IF_NOT_OK(Write(guest, *found, loaded, std::nullopt, size_bytes));
  return guest.Store(out, size_bytes) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdPrestatGet(Guest& guest, uint32_t fd, uint32_t out) {
  const Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr || !directory->preopen_path.has_value()) {
    return Errno::kBadf;  // How a C library finds the end of its preopens.
  }
  abi::Prestat prestat = {};
  prestat.name_len = static_cast<uint32_t>(directory->preopen_path->size());
  return guest.Store(out, prestat) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdPrestatDirName(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size) {
  const Descriptor* found = descriptors_.Find(fd);
  if (found == nullptr) {
    return Errno::kBadf;
  }
  if (!found->preopen_path.has_value()) {
    return Errno::kNotdir;
  }
  const std::string& name = *found->preopen_path;
  if (name.size() > path_size) {
    return Errno::kNametoolong;
  }
  std::span<std::byte> range;
  if (!guest.Range(path, name.size(), range)) {
    return guest.fault();
  }
  CopyPrefix(std::as_bytes(std::span(name)), range);
  return Errno::kSuccess;
}

// First come "." and "..", whose cookies are 0 and 1 (wherever the file system has them: programs
// print what they list in its order, and wasmtime's begins so), then everything else in the order
// of the kernel's directory positions. So a listing goes on where it was whatever happens
// meanwhile. Those positions are hashes of 63 bits in some file systems and a C library's telldir
// has 32, so a cookie is the number of names before it, and the positions are kept; behind the
// first kMaxPlaces names it is the position itself, with a bit that tells so.
Answer WasiContext::FdReaddir(Guest& guest, uint32_t fd, uint32_t buffer, uint32_t size,
                              uint64_t cookie, uint32_t out) {
  constexpr uint64_t kFirstCookie = 2;
  constexpr size_t kMaxPlaces = 8192;  // 64 KiB a descriptor.
  constexpr uint64_t kPosition = uint64_t{1} << 63;
  Descriptor* directory = FindDirectory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  std::span<std::byte> room;
  if (!guest.Range(buffer, size, room)) {
    return guest.fault();
  }
  if (!directory->listing) {
    if (const int error =
            OpenBeneath(directory->fd.get(), ".", O_RDONLY | O_DIRECTORY, 0, directory->listing);
        error != 0) {
      return ErrnoOfHost(error);
    }
  }
  const int listing = directory->listing.get();
  const auto store = [&room](std::string_view name, uint64_t next, uint64_t ino,
                             abi::Filetype type) {
    abi::Dirent dirent = {};
    dirent.next = next;
    dirent.ino = ino;
    dirent.namlen = static_cast<uint32_t>(name.size());
    dirent.type = type;
    CopyPrefix(std::as_bytes(std::span(&dirent, 1)), room);
    CopyPrefix(std::as_bytes(std::span(name)), room);
  };
  if (cookie < kFirstCookie) {
    struct stat self = {};
    if (::fstat(listing, &self) != 0) {
      return ErrnoOfHost(errno);
    }
    // The inode of "..", too: what lies above a preopen is not the guest's to know.
    for (; cookie < kFirstCookie; ++cookie) {
      store(cookie == 0 ? "." : "..", cookie + 1, self.st_ino, abi::Filetype::kDirectory);
    }
  }
  if (directory->places.empty()) {
    directory->places.push_back(0);
  }
  std::vector<int64_t>& places = directory->places;
  bool end = false;
  if ((cookie & kPosition) == 0 && cookie - kFirstCookie >= places.size()) {
    end = true;  // None that was given out.
  } else {
    const uint64_t position = (cookie & kPosition) != 0
                                  ? cookie & ~kPosition
                                  : static_cast<uint64_t>(places[cookie - kFirstCookie]);
    if (::lseek(listing, static_cast<off_t>(position), SEEK_SET) < 0) {
      if (errno != EINVAL) {
        return ErrnoOfHost(errno);
      }
      end = true;  // Not a place that the file system can have.
    }
  }
  // The cookie behind the name that has this one, whose successor's place is `position`.
  const auto next_cookie = [&places](uint64_t from, int64_t position) {
    const uint64_t index = from - kFirstCookie + 1;
    if ((from & kPosition) != 0 || index >= kMaxPlaces) {
      return static_cast<uint64_t>(position) | kPosition;
    }
    if (index == places.size()) {
      places.push_back(position);
    } else {
      places[index] = position;
    }
    return from + 1;
  };
  // A guest's record is a little larger than the kernel's: no more is read than fits, except for
  // the last one.
  alignas(HostDirent) std::byte entries[32 * 1024];
  while (!room.empty() && !end) {
    const size_t ask = std::clamp<size_t>(room.size(), 4096, sizeof(entries));
    const long got = ::syscall(SYS_getdents64, listing, entries, ask);
    if (got < 0) {
      return ErrnoOfHost(errno);
    }
    end = got == 0;
    for (size_t at = 0; at < static_cast<size_t>(got) && !room.empty();) {
      HostDirent entry = {};
      std::memcpy(&entry, entries + at, kHostDirentNameOffset);
      const char* name_start = reinterpret_cast<const char*>(entries + at + kHostDirentNameOffset);
      const std::string_view name(
          name_start, ::strnlen(name_start, entry.record_bytes - kHostDirentNameOffset));
      at += entry.record_bytes;
      if (name == "." || name == "..") {
        continue;
      }
      abi::Filetype type = FiletypeOfDirent(entry.type);
      struct stat status = {};
      if (entry.type == DT_UNKNOWN &&
          ::fstatat(listing, name_start, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        type = FiletypeOf(status.st_mode);
      }
      cookie = next_cookie(cookie, entry.next);
      store(name, cookie, entry.ino, type);
    }
  }
  const uint32_t used = size - static_cast<uint32_t>(room.size());
  return guest.Store(out, used) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::FdRenumber(Guest& /*guest*/, uint32_t from, uint32_t to) {
  if (descriptors_.Find(from) == nullptr || descriptors_.Find(to) == nullptr) {
    return Errno::kBadf;
  }
  if (from != to) {
    descriptors_.Renumber(from, to);
  }
  return Errno::kSuccess;
}

Answer WasiContext::FdSeek(Guest& guest, uint32_t fd, int64_t offset, uint32_t whence,
                           uint32_t out) {
  static constexpr int kWhence[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  if (whence >= std::size(kWhence)) {
    return Errno::kInval;
  }
  const Descriptor* found = descriptors_.Find(fd);
  if (found == nullptr || found->kind == DescriptorKind::kDirectory) {
    return Errno::kBadf;
  }
  if (found->kind != DescriptorKind::kFile) {
    return Errno::kSpipe;
  }
  const off_t position = ::lseek(found->fd.get(), offset, kWhence[whence]);
  if (position < 0) {
    return ErrnoOfHost(errno);
  }
  return guest.Store(out, static_cast<uint64_t>(position)) ? Answer(Errno::kSuccess)
                                                           : guest.fault();
}

Answer WasiContext::FdTell(Guest& guest, uint32_t fd, uint32_t out) {
  return FdSeek(guest, fd, 0, abi::kWhenceCur, out);
}

}  // namespace wasmd::engine
