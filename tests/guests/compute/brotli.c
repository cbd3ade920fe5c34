// brotli: compresses text at qualities 5 and 9 and decompresses it. Scale: passes over 1 MiB.
#define kScale 6
#include "bench.h"
#include "brotli/decode.h"
#include "brotli/encode.h"

static uint64_t Work(int scale) {
  const size_t kSize = 1 << 20;
  unsigned char* text = MakeText(kSize);
  size_t bound = BrotliEncoderMaxCompressedSize(kSize);
  unsigned char* packed = malloc(bound);
  unsigned char* back = malloc(kSize);
  uint64_t hash = 0;
  for (int i = 0; i < scale; ++i) {
    text[i] = (unsigned char)i;
    size_t packed_size = bound;
    size_t back_size = kSize;
    if (!BrotliEncoderCompress(i % 2 == 0 ? 5 : 9, 20, BROTLI_MODE_TEXT, kSize, text, &packed_size,
                               packed) ||
        BrotliDecoderDecompress(packed_size, packed, &back_size, back) !=
            BROTLI_DECODER_RESULT_SUCCESS ||
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
