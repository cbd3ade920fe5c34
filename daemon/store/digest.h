// SHA-256 of module bytes: "sha256:<64 hex digits>".
#ifndef WASMD_DAEMON_STORE_DIGEST_H_
#define WASMD_DAEMON_STORE_DIGEST_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace wasmd::daemon {

inline constexpr std::string_view kDigestPrefix = "sha256:";
inline constexpr size_t kDigestHexDigits = 64;

// Hashes bytes as they come. Thread-compatible.
class DigestBuilder {
 public:
  DigestBuilder();
  DigestBuilder(DigestBuilder&&) noexcept;
  DigestBuilder& operator=(DigestBuilder&&) noexcept;
  ~DigestBuilder();

  void Add(std::span<const std::byte> bytes);
  // The last call.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A whole digest as Finish writes it.
bool IsDigest(std::string_view text);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_STORE_DIGEST_H_
