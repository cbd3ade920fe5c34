// Upload: a module's bytes while they arrive, hashed as they come and bounded.
//
// Thread-compatible. Its bytes are charged to who uploads, as Resource::kUploadMemory, until they
// are taken or it goes.
#ifndef WASMD_DAEMON_STORE_UPLOAD_H_
#define WASMD_DAEMON_STORE_UPLOAD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "daemon/account/account.h"
#include "daemon/store/digest.h"

namespace wasmd::daemon {

class Upload {
 public:
  // `account`: a user's.
  Upload(std::shared_ptr<Account> account, uint64_t max_bytes)
      : account_(std::move(account)), max_bytes_(max_bytes) {}
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;
  ~Upload() { Uncharge(); }

  // Makes room for what the client says will come; what is not used costs nothing.
  // kResourceExhausted, here and in Append: --max-module-size; the account's.
  absl::Status Expect(uint64_t size_bytes);
  absl::Status Append(std::span<const std::byte> chunk);
  // Reads the whole regular file behind `descriptor` from its start. kInvalidArgument: it is none,
  // or cannot be read.
  absl::Status ReadFile(int descriptor);

  uint64_t size_bytes() const { return bytes_.size(); }
  // The last calls.
  std::string FinishDigest() { return digest_.Finish(); }
  std::vector<std::byte> TakeBytes() {
    Uncharge();
    return std::move(bytes_);
  }

 private:
  absl::Status CheckSize(uint64_t size_bytes) const;
  void Uncharge() { account_->Give(Resource::kUploadMemory, std::exchange(charged_bytes_, 0)); }

  const std::shared_ptr<Account> account_;
  const uint64_t max_bytes_;
  uint64_t charged_bytes_ = 0;
  std::vector<std::byte> bytes_;
  DigestBuilder digest_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_STORE_UPLOAD_H_
