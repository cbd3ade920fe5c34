#include "daemon/store/digest.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "openssl/evp.h"

#include "engine/base/check.h"

namespace wasmd::daemon {

struct DigestBuilder::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

DigestBuilder::DigestBuilder() : state_(std::make_unique<State>()) {
  WASMD_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
DigestBuilder::DigestBuilder(DigestBuilder&&) noexcept = default;
DigestBuilder& DigestBuilder::operator=(DigestBuilder&&) noexcept = default;
DigestBuilder::~DigestBuilder() = default;

void DigestBuilder::Add(std::span<const std::byte> bytes) {
  WASMD_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string DigestBuilder::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  WASMD_CHECK(EVP_DigestFinal_ex(state_->context, hash.data(), &size) == 1);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text(kDigestPrefix);
  for (const unsigned char byte : std::span(hash).first(size)) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

bool IsDigest(std::string_view text) {
  return text.starts_with(kDigestPrefix) &&
         text.size() == kDigestPrefix.size() + kDigestHexDigits &&
         std::ranges::all_of(text.substr(kDigestPrefix.size()), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace wasmd::daemon
