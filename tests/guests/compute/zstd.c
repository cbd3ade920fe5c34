// zstd: compresses text at levels 3 and 9 and decompresses it eight times. Scale: passes over 4
// MiB.
#define kScale 5
#include "zstd.h"

#include "bench.h"

static uint64_t Work(int scale) {
  const size_t kSize = 4 << 20;
  unsigned char* text = MakeText(kSize);
  size_t bound = ZSTD_compressBound(kSize);
  unsigned char* packed = malloc(bound);
  unsigned char* back = malloc(kSize);
  uint64_t hash = 0;
  for (int i = 0; i < scale; ++i) {
    text[i] = (unsigned char)i;
    size_t packed_size = ZSTD_compress(packed, bound, text, kSize, i % 2 == 0 ? 3 : 9);
    for (int round = 0; round < 8; ++round) {
      if (ZSTD_decompress(back, kSize, packed, packed_size) != kSize) {
        abort();
      }
    }
    if (memcmp(text, back, kSize) != 0) {
      abort();
    }
    hash = MixBytes(Mix(hash, packed_size), packed, packed_size);
  }
  free(text);
  free(packed);
  free(back);
  return hash;
}
