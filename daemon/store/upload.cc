#include "daemon/store/upload.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "absl/status/status.h"

#include "daemon/account/account.h"
#include "daemon/config/parse.h"
#include "daemon/config/text.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

// A read of a file at a time: larger ones gained nothing, smaller ones cost system calls.
constexpr size_t kReadBytes = size_t{1} << 20;

}  // namespace

absl::Status Upload::CheckSize(uint64_t size_bytes) const {
  if (size_bytes > max_bytes_) {
    return absl::ResourceExhaustedError(StrCat("the module has ", size_bytes,
                                               " bytes or more and the limit is ",
                                               FormatByteSize(max_bytes_), " (--max-module-size)"));
  }
  return absl::OkStatus();
}

absl::Status Upload::Expect(uint64_t size_bytes) {
  WASMD_RETURN_IF_ERROR(CheckSize(size_bytes));
  bytes_.reserve(size_bytes);
  return absl::OkStatus();
}

absl::Status Upload::Append(std::span<const std::byte> chunk) {
  WASMD_RETURN_IF_ERROR(CheckSize(bytes_.size() + chunk.size()));
  WASMD_RETURN_IF_ERROR(account_->Take(Resource::kUploadMemory, chunk.size()));
  charged_bytes_ += chunk.size();
  digest_.Add(chunk);
  bytes_.insert(bytes_.end(), chunk.begin(), chunk.end());
  return absl::OkStatus();
}

absl::Status Upload::ReadFile(int descriptor) {
  struct stat file{};
  if (::fstat(descriptor, &file) != 0 || !S_ISREG(file.st_mode)) {
    return absl::InvalidArgumentError("the module's descriptor is no regular file");
  }
  WASMD_RETURN_IF_ERROR(Expect(static_cast<uint64_t>(file.st_size)));
  // The file may grow or shrink meanwhile: what was read counts.
  const std::unique_ptr<std::byte[]> buffer(new std::byte[kReadBytes]);
  while (true) {
    const ssize_t count =
        ::pread(descriptor, buffer.get(), kReadBytes, static_cast<off_t>(bytes_.size()));
    if (count == 0) {
      return absl::OkStatus();
    }
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return absl::InvalidArgumentError(
          StrCat("the module's descriptor cannot be read: ", std::strerror(errno)));
    }
    WASMD_RETURN_IF_ERROR(Append(std::span(buffer.get(), static_cast<size_t>(count))));
  }
}

}  // namespace wasmd::daemon
