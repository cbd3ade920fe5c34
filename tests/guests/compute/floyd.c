// All shortest paths (Floyd and Warshall) on 32-bit integers. Scale: rounds at 250 nodes.
#define kScale 30
#include "bench.h"

#define kSide 250

static int32_t path[kSide][kSide];

static uint64_t Work(int scale) {
  uint64_t hash = 0;
  for (int round = 0; round < scale; ++round) {
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        path[i][j] = (i * j + round) % 7 + 1;
        if ((i + j) % 13 == 0 || (i + j) % 7 == 0 || (i + j) % 11 == 0) {
          path[i][j] = 999;
        }
      }
    }
    for (int k = 0; k < kSide; ++k) {
      for (int i = 0; i < kSide; ++i) {
        for (int j = 0; j < kSide; ++j) {
          int32_t through = path[i][k] + path[k][j];
          path[i][j] = path[i][j] < through ? path[i][j] : through;
        }
      }
    }
    hash = MixBytes(hash, path, sizeof path);
  }
  return hash;
}
