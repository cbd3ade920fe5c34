#include "engine/platform/virtual_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

#include "engine/base/check.h"

namespace wasmd::engine {
namespace {

absl::Status SystemError(absl::StatusCode code, const char* what, uint64_t size_bytes) {
  return {code, absl::StrCat(what, " of ", size_bytes, " bytes: ", std::strerror(errno))};
}

}  // namespace

uint64_t OsPageBytes() {
  static const uint64_t bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

absl::StatusOr<Reservation> Reservation::Create(uint64_t size_bytes, const Guards& guards) {
  const uint64_t mapped_bytes = guards.before_bytes + size_bytes + guards.behind_bytes;
  void* mapped =
      mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    return SystemError(absl::StatusCode::kResourceExhausted, "cannot reserve address space",
                       mapped_bytes);
  }
  // A core of a daemon with a thousand instances would be terabytes sparse. Best effort.
  madvise(mapped, mapped_bytes, MADV_DONTDUMP);
  return Reservation(static_cast<std::byte*>(mapped) + guards.before_bytes, size_bytes, guards);
}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    this->~Reservation();
    base_ = std::exchange(other.base_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    guards_ = other.guards_;
  }
  return *this;
}

Reservation::~Reservation() {
  if (base_ != nullptr) {
    munmap(base_ - guards_.before_bytes, guards_.before_bytes + size_bytes_ + guards_.behind_bytes);
  }
}

absl::Status Reservation::MakeAccessible(uint64_t offset, uint64_t size_bytes) {
  WASMD_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  if (size_bytes != 0 && mprotect(base_ + offset, size_bytes, PROT_READ | PROT_WRITE) != 0) {
    return SystemError(absl::StatusCode::kResourceExhausted, "cannot commit memory", size_bytes);
  }
  return absl::OkStatus();
}

absl::Status Reservation::MakeInaccessible(uint64_t offset, uint64_t size_bytes) {
  WASMD_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  if (size_bytes != 0 && mprotect(base_ + offset, size_bytes, PROT_NONE) != 0) {
    return SystemError(absl::StatusCode::kResourceExhausted, "cannot protect memory", size_bytes);
  }
  return absl::OkStatus();
}

absl::Status Reservation::MapContents(uint64_t offset, const SealedContents& contents) {
  const uint64_t size_bytes = contents.size_bytes();
  WASMD_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  if (size_bytes == 0) {
    return absl::OkStatus();
  }
  if (mmap(base_ + offset, size_bytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, contents.fd(), 0) == MAP_FAILED) {
    return SystemError(absl::StatusCode::kResourceExhausted, "cannot map contents", size_bytes);
  }
  madvise(base_ + offset, size_bytes, MADV_DONTDUMP);
  return absl::OkStatus();
}

bool Reservation::Discard(uint64_t offset, uint64_t size_bytes) {
  WASMD_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  return size_bytes == 0 || madvise(base_ + offset, size_bytes, MADV_DONTNEED) == 0;
}

absl::StatusOr<SealedContents> SealedContents::Create(uint64_t size_bytes,
                                                      std::span<const Piece> pieces) {
  const int fd = memfd_create("wasmd-contents", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) {
    return SystemError(absl::StatusCode::kUnavailable, "cannot create a memfd", size_bytes);
  }
  SealedContents contents(fd, size_bytes);
  if (ftruncate(fd, static_cast<off_t>(size_bytes)) != 0) {
    return SystemError(absl::StatusCode::kResourceExhausted, "cannot size a memfd", size_bytes);
  }
  for (const Piece& piece : pieces) {
    WASMD_CHECK(piece.offset <= size_bytes && piece.bytes.size() <= size_bytes - piece.offset);
    uint64_t done = 0;
    while (done < piece.bytes.size()) {
      const ssize_t written = pwrite(fd, piece.bytes.data() + done, piece.bytes.size() - done,
                                     static_cast<off_t>(piece.offset + done));
      if (written > 0) {
        done += static_cast<uint64_t>(written);
      } else if (written == 0 || errno != EINTR) {
        return SystemError(absl::StatusCode::kResourceExhausted, "cannot fill a memfd", size_bytes);
      }
    }
  }
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return SystemError(absl::StatusCode::kUnavailable, "cannot seal a memfd", size_bytes);
  }
  void* const mapped = mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  if (mapped == MAP_FAILED) {
    return SystemError(absl::StatusCode::kResourceExhausted, "cannot map a memfd", size_bytes);
  }
  madvise(mapped, size_bytes, MADV_DONTDUMP);
  contents.mapped_ = static_cast<const std::byte*>(mapped);
  return contents;
}

SealedContents::~SealedContents() {
  if (mapped_ != nullptr) {
    munmap(const_cast<std::byte*>(mapped_), size_bytes_);
  }
  if (fd_ >= 0) {
    close(fd_);
  }
}

absl::StatusOr<CodeMapping> CodeMapping::Create(uint64_t size_bytes) {
#ifdef MFD_EXEC
  int fd = memfd_create("wasmd-code", MFD_CLOEXEC | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) {  // A kernel before MFD_EXEC.
    fd = memfd_create("wasmd-code", MFD_CLOEXEC);
  }
#else
  constexpr unsigned kMfdExec =
      0x10;  // Where vm.memfd_noexec is set, a memfd must ask to be executable.
  int fd = memfd_create("wasmd-code", MFD_CLOEXEC | kMfdExec);
  if (fd < 0 && errno == EINVAL) {
    fd = memfd_create("wasmd-code", MFD_CLOEXEC);
  }
#endif
  if (fd < 0) {
    return SystemError(absl::StatusCode::kUnavailable, "cannot create a memfd for code",
                       size_bytes);
  }
  void* writable = MAP_FAILED;
  void* executable = MAP_FAILED;
  if (ftruncate(fd, static_cast<off_t>(size_bytes)) == 0) {
    writable = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    executable =
        mmap(nullptr, size_bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, fd, 0);
  }
  if (writable == MAP_FAILED || executable == MAP_FAILED) {
    absl::Status status =
        SystemError(absl::StatusCode::kResourceExhausted, "cannot map memory for code", size_bytes);
    if (writable != MAP_FAILED) {
      munmap(writable, size_bytes);
    }
    if (executable != MAP_FAILED) {
      munmap(executable, size_bytes);
    }
    close(fd);
    return status;
  }
  // Guests' constants, and gigabytes of holes.
  madvise(writable, size_bytes, MADV_DONTDUMP);
  madvise(executable, size_bytes, MADV_DONTDUMP);
  return CodeMapping(static_cast<std::byte*>(writable), static_cast<const std::byte*>(executable),
                     size_bytes, fd);
}

void CodeMapping::Discard(uint64_t offset, uint64_t size_bytes) const {
  WASMD_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  if (fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(size_bytes)) != 0) {
    // The pages stay with us; the next user overwrites them. 0xcc traps on whatever jumps there by
    // mistake.
    std::memset(writable_ + offset, 0xcc, size_bytes);
  }
}

}  // namespace wasmd::engine
