#include "engine/platform/written_pages.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/platform/virtual_memory.h"

namespace wasmd::engine {
namespace {

// As <linux/fs.h> since Linux 6.7 has it; Debian 12's headers are older.
struct ScanArguments {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t vec;
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
static_assert(sizeof(ScanArguments) == 96);
static_assert(sizeof(WrittenPages::Range) == 24);

constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArguments);
constexpr uint64_t kPageIsFile = 1 << 2;
constexpr uint64_t kPageIsPresent = 1 << 3;
constexpr uint64_t kPageIsSwapped = 1 << 4;
constexpr uint64_t kPageIsZero = 1 << 5;

}  // namespace

WrittenPages::WrittenPages() {
  void* const page =
      mmap(nullptr, OsPageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    return;
  }
  if (madvise(page, OsPageBytes(), MADV_WIPEONFORK) != 0) {
    munmap(page, OsPageBytes());
    return;
  }
  *static_cast<unsigned char*>(page) = 1;
  is_this_process_ = static_cast<const unsigned char*>(page);
  fd_ = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

WrittenPages::~WrittenPages() {
  if (fd_ >= 0) {
    close(fd_);
  }
  if (is_this_process_ != nullptr) {
    munmap(const_cast<unsigned char*>(is_this_process_), OsPageBytes());
  }
}

std::optional<std::span<const WrittenPages::Range>> WrittenPages::Find(
    const std::byte* base, uint64_t size_bytes, uint64_t max_pages,
    std::span<Range, kMaxRanges> ranges) const {
  if (fd_ < 0 || *is_this_process_ == 0) {
    return std::nullopt;
  }
  // Written: a page of this process's own, so neither the file's nor the shared page of zeros.
  ScanArguments arguments{};
  arguments.size = sizeof arguments;
  arguments.start = reinterpret_cast<uint64_t>(base);
  arguments.end = arguments.start + size_bytes;
  arguments.vec = reinterpret_cast<uint64_t>(ranges.data());
  arguments.vec_len = ranges.size();
  arguments.max_pages = max_pages + 1;
  arguments.category_inverted = kPageIsFile | kPageIsZero;
  arguments.category_mask = kPageIsFile | kPageIsZero;
  arguments.category_anyof_mask = kPageIsPresent | kPageIsSwapped;
  arguments.return_mask = kPageIsPresent;
  const int count = ioctl(fd_, kPagemapScan, &arguments);
  if (count < 0 || arguments.walk_end != arguments.end) {
    return std::nullopt;
  }
  const std::span<const Range> found = ranges.first(static_cast<size_t>(count));
  uint64_t pages = 0;
  for (const Range& range : found) {
    pages += (range.end - range.begin) / OsPageBytes();
  }
  return pages > max_pages ? std::nullopt : std::optional(found);
}

}  // namespace wasmd::engine
