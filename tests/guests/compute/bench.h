// What every compute benchmark shares. A program defines Work(scale), which computes something
// whose cost grows with `scale` and returns a checksum; main runs it once at kWarmScale, so that
// engines that compile on first call have compiled, then once at the scale of argv[1] (default
// kScale) under the clock. stdout gets the checksum, which every engine and the native build must
// agree on; stderr gets "elapsed_ns N".
#ifndef WASMD_TESTS_GUESTS_COMPUTE_BENCH_H_
#define WASMD_TESTS_GUESTS_COMPUTE_BENCH_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t Work(int scale);

static uint64_t Mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
  return hash * 0xff51afd7ed558ccdu;
}

static inline uint64_t MixBytes(uint64_t hash, const void* bytes, size_t size) {
  const unsigned char* at = bytes;
  for (size_t i = 0; i < size; ++i) {
    hash = (hash ^ at[i]) * 0x100000001b3u;
  }
  return hash;
}

static inline uint32_t NextRandom(uint64_t* state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

// Text with the statistics that compressors care for: words of a skewed vocabulary, some numbers,
// some repeated lines.
static inline unsigned char* MakeText(size_t size) {
  static const char* const kWords[] = {"the",    "of",  "module", "memory", "a",        "function",
                                       "value",  "and", "table",  "to",     "instance", "import",
                                       "export", "is",  "trap",   "stack",  "global",   "import",
                                       "page",   "in",  "offset", "local",  "block",    "branch"};
  unsigned char* text = malloc(size + 64);
  uint64_t random = 42;
  size_t at = 0;
  size_t line = 0;
  while (at < size) {
    uint32_t roll = NextRandom(&random);
    if (roll % 97 == 0 && at > 4096) {
      size_t from = at - 1 - roll / 97 % 4000;
      size_t span = 20 + roll % 200;
      for (size_t i = 0; i < span && at < size; ++i) {
        text[at++] = text[from + i];
      }
    } else if (roll % 11 == 0) {
      at += (size_t)snprintf((char*)text + at, 32, "%u ", roll % 100000);
    } else {
      uint32_t pick = NextRandom(&random) % 24 * (NextRandom(&random) % 24) / 24;
      at += (size_t)snprintf((char*)text + at, 32, "%s ", kWords[pick]);
    }
    if (at - line > 70) {
      text[at++] = '\n';
      line = at;
    }
  }
  return text;
}

#ifndef WASMD_BENCH_NO_MAIN
#ifndef kWarmScale
#define kWarmScale 1
#endif

static int64_t MonotonicNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char** argv) {
  int scale = argc > 1 ? atoi(argv[1]) : kScale;
  uint64_t warm = Work(kWarmScale);
  int64_t start = MonotonicNs();
  uint64_t checksum = Work(scale);
  int64_t elapsed = MonotonicNs() - start;
  printf("checksum %016llx %016llx\n", (unsigned long long)warm, (unsigned long long)checksum);
  fprintf(stderr, "elapsed_ns %lld\n", (long long)elapsed);
  return 0;
}
#endif

#endif  // WASMD_TESTS_GUESTS_COMPUTE_BENCH_H_
