// Upload: a module's bytes while they arrive, hashed as they come and bounded.
//
// Thread-compatible. Gives back its share of the budget when it goes.
#ifndef WASMD_DAEMON_STORE_UPLOAD_H_
#define WASMD_DAEMON_STORE_UPLOAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "daemon/store/digest.h"

namespace wasmd::daemon {

// Bytes that all uploads together may hold. Thread-safe.
class UploadBudget {
 public:
  explicit UploadBudget(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  bool Take(uint64_t bytes);
  void Give(uint64_t bytes) { used_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const uint64_t limit_bytes_;
  std::atomic<uint64_t> used_bytes_{0};
};

class Upload {
 public:
  // Uploads outlive neither their budget nor grow beyond `max_bytes`.
  Upload(UploadBudget& budget, uint64_t max_bytes) : budget_(&budget), max_bytes_(max_bytes) {}
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;
  ~Upload() { budget_->Give(taken_bytes_); }

  // Makes room for what the client says will come; what is not used costs nothing.
  // kResourceExhausted, here and in Append: --max-module-size, --max-upload-memory.
  absl::Status Expect(uint64_t size_bytes);
  absl::Status Append(std::span<const std::byte> chunk);
  // Reads the whole regular file behind `descriptor` from its start. kInvalidArgument: it is none,
  // or cannot be read.
  absl::Status ReadFile(int descriptor);

  uint64_t size_bytes() const { return bytes_.size(); }
  // The last calls.
  std::string FinishDigest() { return digest_.Finish(); }
  std::vector<std::byte> TakeBytes() { return std::move(bytes_); }

 private:
  absl::Status CheckSize(uint64_t size_bytes) const;

  UploadBudget* budget_;
  const uint64_t max_bytes_;
  uint64_t taken_bytes_ = 0;
  std::vector<std::byte> bytes_;
  DigestBuilder digest_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_STORE_UPLOAD_H_
