// zlib: deflates and inflates text at levels 6 and 1. Scale: passes over 1 MiB.
#define kScale 10
#include "zlib.h"

#include "bench.h"

static uint64_t Work(int scale) {
  const size_t kSize = 1 << 20;
  unsigned char* text = MakeText(kSize);
  uLong bound = compressBound(kSize);
  unsigned char* packed = malloc(bound);
  unsigned char* back = malloc(kSize);
  uint64_t hash = 0;
  for (int i = 0; i < scale; ++i) {
    text[i] = (unsigned char)i;
    uLongf packed_size = bound;
    uLongf back_size = kSize;
    if (compress2(packed, &packed_size, text, kSize, i % 3 == 2 ? 1 : 6) != Z_OK ||
        uncompress(back, &back_size, packed, packed_size) != Z_OK || back_size != kSize ||
        memcmp(text, back, kSize) != 0) {
      abort();
    }
    hash = Mix(hash, packed_size) ^ crc32(0, packed, (uInt)packed_size);
  }
  free(text);
  free(packed);
  free(back);
  return hash;
}
