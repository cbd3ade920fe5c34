// RNA secondary structure by dynamic programming, in the manner of PolyBench's nussinov: short
// dependent loads, maxima and branches on 32-bit integers. Scale: rounds at 300 bases.
#define kScale 80
#include "bench.h"

#define kBases 300

static int32_t table[kBases][kBases];
static unsigned char bases[kBases];

static int32_t Max(int32_t a, int32_t b) {
  return a > b ? a : b;
}

static uint64_t Work(int scale) {
  uint64_t hash = 0;
  uint64_t random = 3;
  for (int round = 0; round < scale; ++round) {
    for (int i = 0; i < kBases; ++i) {
      bases[i] = NextRandom(&random) & 3;
    }
    memset(table, 0, sizeof table);
    for (int i = kBases - 1; i >= 0; --i) {
      for (int j = i + 1; j < kBases; ++j) {
        int32_t best = table[i][j];
        best = Max(best, table[i][j - 1]);
        best = Max(best, i + 1 < kBases ? table[i + 1][j] : 0);
        if (i + 1 < kBases) {
          int32_t pair = i < j - 1 && bases[i] + bases[j] == 3 ? 1 : 0;
          best = Max(best, table[i + 1][j - 1] + pair);
        }
        for (int k = i + 1; k < j; ++k) {
          best = Max(best, table[i][k] + table[k + 1][j]);
        }
        table[i][j] = best;
      }
    }
    hash = Mix(hash, (uint64_t)table[0][kBases - 1]);
  }
  return hash;
}
