// WrittenPages: asks the kernel which pages of a private mapping this process has written.
#ifndef WASMD_ENGINE_PLATFORM_WRITTEN_PAGES_H_
#define WASMD_ENGINE_PLATFORM_WRITTEN_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace wasmd::engine {

// One system call a question (PAGEMAP_SCAN, Linux 6.7), which changes nothing: no mapping is torn
// down, so no other CPU has to be interrupted for it. Where the kernel or /proc doesn't have it,
// and in a child that was forked, Find always returns nullopt. Thread-safe.
class WrittenPages {
 public:
  static constexpr size_t kMaxRanges = 64;
  struct Range {
    uint64_t begin = 0;  // Addresses, multiples of OsPageBytes().
    uint64_t end = 0;
    uint64_t categories = 0;
  };

  WrittenPages();
  WrittenPages(const WrittenPages&) = delete;
  WrittenPages& operator=(const WrittenPages&) = delete;
  ~WrittenPages();

  // The pages of [base, base + size_bytes), both multiples of OsPageBytes(), that no longer hold
  // what was mapped: each that was ever written, until it is discarded. Returns the part of
  // `ranges` that was filled. nullopt: they are more than `max_pages` or than the ranges can hold,
  // or the kernel does not tell.
  std::optional<std::span<const Range>> Find(const std::byte* base, uint64_t size_bytes,
                                             uint64_t max_pages,
                                             std::span<Range, kMaxRanges> ranges) const;

 private:
  int fd_ = -1;
  // A page that the kernel zeros in a forked child, whose descriptor still tells of its parent.
  const unsigned char* is_this_process_ = nullptr;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_PLATFORM_WRITTEN_PAGES_H_
