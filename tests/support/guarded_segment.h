// A channel's segment between two inaccessible pages, so that an access past either end is a fault.
#ifndef WASMD_TESTS_SUPPORT_GUARDED_SEGMENT_H_
#define WASMD_TESTS_SUPPORT_GUARDED_SEGMENT_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/base/unique_fd.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"

namespace wasmd::tests {

// Formatted, in a memfd, mapped once, for both ends of a test. Thread-compatible as memory is.
class GuardedSegment {
 public:
  explicit GuardedSegment(const ring::Geometry& geometry, uint64_t features = ring::kKnownFeatures)
      : geometry_(geometry), memfd_(::memfd_create("wasmd-test-segment", MFD_CLOEXEC)) {
    const uint64_t bytes = geometry.segment_bytes();
    Require(::ftruncate(memfd_.get(), static_cast<off_t>(bytes)) == 0);
    void* const all = ::mmap(nullptr, bytes + 2 * kGuardBytes, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    Require(all != MAP_FAILED);
    all_ = static_cast<std::byte*>(all);
    Require(::mmap(all_ + kGuardBytes, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                   memfd_.get(), 0) != MAP_FAILED);
    ring::FormatSegment(view(), features);
  }
  GuardedSegment(const GuardedSegment&) = delete;
  GuardedSegment& operator=(const GuardedSegment&) = delete;
  ~GuardedSegment() { ::munmap(all_, geometry_.segment_bytes() + 2 * kGuardBytes); }

  ring::SegmentView view() const { return {all_ + kGuardBytes, geometry_}; }
  int memfd() const { return memfd_.get(); }

 private:
  static constexpr size_t kGuardBytes = ring::kHeaderBytes;

  static void Require(bool condition) {
    if (!condition) {
      std::abort();
    }
  }

  const ring::Geometry geometry_;
  const engine::UniqueFd memfd_;
  std::byte* all_ = nullptr;
};

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_GUARDED_SEGMENT_H_
