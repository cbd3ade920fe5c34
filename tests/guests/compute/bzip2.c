// bzip2: compresses and decompresses text. Scale: passes over 1 MiB.
#define kScale 6
#include "bench.h"
#include "bzlib.h"

void bz_internal_error(int code) {
  fprintf(stderr, "bzip2: internal error %d\n", code);
  abort();
}

static uint64_t Work(int scale) {
  const unsigned kSize = 1 << 20;
  char* text = (char*)MakeText(kSize);
  unsigned bound = kSize + kSize / 50 + 600;
  char* packed = malloc(bound);
  char* back = malloc(kSize);
  uint64_t hash = 0;
  for (int i = 0; i < scale; ++i) {
    text[i] = (char)i;
    unsigned packed_size = bound;
    unsigned back_size = kSize;
    if (BZ2_bzBuffToBuffCompress(packed, &packed_size, text, kSize, 9, 0, 30) != BZ_OK ||
        BZ2_bzBuffToBuffDecompress(back, &back_size, packed, packed_size, 0, 0) != BZ_OK ||
        back_size != kSize || memcmp(text, back, kSize) != 0) {
      abort();
    }
    hash = MixBytes(Mix(hash, packed_size), packed, packed_size);
  }
  free(text);
  free(packed);
  free(back);
  return hash;
}
