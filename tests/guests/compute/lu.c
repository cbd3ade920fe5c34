// LU decomposition of a diagonally dominant double matrix. Scale: rounds at 240 x 240.
#define kScale 60
#include "bench.h"

#define kSide 240

static double a[kSide][kSide];

static uint64_t Work(int scale) {
  uint64_t hash = 0;
  for (int round = 0; round < scale; ++round) {
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        a[i][j] = i == j ? kSide + round : (i * 7 + j * 3 + round) % 11 / 11.0;
      }
    }
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < i; ++j) {
        for (int k = 0; k < j; ++k) {
          a[i][j] -= a[i][k] * a[k][j];
        }
        a[i][j] /= a[j][j];
      }
      for (int j = i; j < kSide; ++j) {
        for (int k = 0; k < i; ++k) {
          a[i][j] -= a[i][k] * a[k][j];
        }
      }
    }
    hash = MixBytes(hash, a, sizeof a);
  }
  return hash;
}
