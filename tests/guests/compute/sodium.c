// libsodium, portable code paths on both sides: SHA-512, BLAKE2b, ChaCha20, Poly1305 and X25519.
// Scale: rounds over 256 KiB.
#define kScale 120
#include "bench.h"
#include "sodium/crypto_generichash_blake2b.h"
#include "sodium/crypto_hash_sha512.h"
#include "sodium/crypto_onetimeauth_poly1305.h"
#include "sodium/crypto_scalarmult_curve25519.h"
#include "sodium/crypto_stream_chacha20.h"

// What the unused parts of the library ask for.
void randombytes_buf(void* const bytes, const size_t size) {
  memset(bytes, 7, size);
}
uint32_t randombytes_uniform(const uint32_t bound) {
  return bound / 2;
}
void sodium_misuse(void) {
  abort();
}

static uint64_t Work(int scale) {
  const size_t kSize = 256 << 10;
  unsigned char* text = MakeText(kSize);
  unsigned char key[32] = "wasmd compute benchmark key 0001";
  unsigned char nonce[8] = "nonce 01";
  unsigned char digest[64];
  uint64_t hash = 0;
  for (int i = 0; i < scale; ++i) {
    crypto_hash_sha512(digest, text, kSize);
    hash = MixBytes(hash, digest, 64);
    crypto_generichash_blake2b(digest, 64, text, kSize, key, 32);
    hash = MixBytes(hash, digest, 64);
    crypto_stream_chacha20_xor(text, text, kSize, nonce, key);
    crypto_onetimeauth_poly1305(digest, text, kSize, key);
    hash = MixBytes(hash, digest, 16);
    for (int j = 0; j < 4; ++j) {
      if (crypto_scalarmult_curve25519_base(digest, key) != 0 ||
          crypto_scalarmult_curve25519(key, digest, digest) != 0) {
        abort();
      }
    }
    hash = MixBytes(hash, key, 32);
  }
  free(text);
  return hash;
}
