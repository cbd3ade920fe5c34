#include "daemon/channel/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/text.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"

namespace wasmd::daemon {
namespace {

absl::Status Refused(std::string_view what) {
  return absl::ResourceExhaustedError(
      StrCat("no memory for a channel: ", what, ": ",
             std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

absl::StatusOr<std::unique_ptr<Segment>> Segment::Make(const ring::Geometry& geometry,
                                                       bool populate) {
  engine::UniqueFd memfd(::memfd_create("wasmd-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) {
    return Refused("memfd_create");
  }
  const size_t size = geometry.segment_bytes();
  if (::ftruncate(memfd.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Refused("memfd");
  }
  void* const base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                            MAP_SHARED | (populate ? MAP_POPULATE : 0), memfd.get(), 0);
  if (base == MAP_FAILED) {
    return Refused("mmap");
  }
  // Not into core dumps: it is the clients' data.
  static_cast<void>(::madvise(base, size, MADV_DONTDUMP));
  std::unique_ptr<Segment> segment(
      new Segment(std::move(memfd), static_cast<std::byte*>(base), geometry));
  ring::FormatSegment(segment->view(), ring::kKnownFeatures);
  return segment;
}

Segment::~Segment() {
  static_cast<void>(::munmap(base_, view_.geometry().segment_bytes()));
}

absl::StatusOr<std::unique_ptr<Segment>> SegmentPool::Take(const ring::Geometry& geometry) {
  if (geometry == ring::Geometry()) {
    const engine::MutexLock lock(mutex_);
    if (!ready_.empty()) {
      std::unique_ptr<Segment> segment = std::move(ready_.back());
      ready_.pop_back();
      return segment;
    }
  }
  return Segment::Make(geometry, false);
}

bool SegmentPool::Refill() {
  {
    const engine::MutexLock lock(mutex_);
    if (ready_.size() >= wanted_) {
      return false;
    }
  }
  absl::StatusOr<std::unique_ptr<Segment>> segment = Segment::Make(ring::Geometry(), true);
  if (!segment.ok()) {
    return false;
  }
  const engine::MutexLock lock(mutex_);
  ready_.push_back(*std::move(segment));
  return true;
}

}  // namespace wasmd::daemon
