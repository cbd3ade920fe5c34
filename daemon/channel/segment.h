// Segment: a channel's shared memory, as the daemon has it; and SegmentPool: segments made ahead.
//
// A segment is a memfd of a fixed size: sealed against growing, shrinking and further seals, so
// that the client cannot take pages away under us (it can zero them, by punching holes). It is one
// client's for ever: a client may keep it mapped, so it is never used again.
#ifndef WASMD_DAEMON_CHANNEL_SEGMENT_H_
#define WASMD_DAEMON_CHANNEL_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"

#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "proto/ring/layout.h"
#include "proto/ring/ring.h"

namespace wasmd::daemon {

class Segment {
 public:
  // `populate`: all its pages are there from the start. kResourceExhausted: the system gives no
  // descriptor, memory or mapping.
  static absl::StatusOr<std::unique_ptr<Segment>> Make(const ring::Geometry& geometry,
                                                       bool populate);
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment();

  const ring::SegmentView& view() const { return view_; }
  // To be passed to the client; closed by CloseDescriptor, the mapping stays.
  int memfd() const { return memfd_.get(); }
  void CloseDescriptor() { memfd_.reset(); }

 private:
  Segment(engine::UniqueFd memfd, std::byte* base, const ring::Geometry& geometry)
      : memfd_(std::move(memfd)), base_(base), view_(base, geometry) {}

  engine::UniqueFd memfd_;
  std::byte* const base_;
  const ring::SegmentView view_;
};

// Thread-safe.
class SegmentPool {
 public:
  explicit SegmentPool(uint32_t ready) : wanted_(ready) {}

  // A ready one where `geometry` is the default and there is one left. Otherwise one made here and
  // now, whose pages come when they are touched.
  absl::StatusOr<std::unique_ptr<Segment>> Take(const ring::Geometry& geometry);
  // Makes one segment if there are too few. False: there are enough, or none can be made.
  bool Refill();

 private:
  const uint32_t wanted_;
  engine::Mutex mutex_;
  std::vector<std::unique_ptr<Segment>> ready_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CHANNEL_SEGMENT_H_
