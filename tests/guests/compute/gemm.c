// Dense double matrices: C = alpha A B + beta C, then D = C A. Scale: rounds at 200 x 200.
#define kScale 160
#include "bench.h"

#define kSide 200

static double a[kSide][kSide];
static double b[kSide][kSide];
static double c[kSide][kSide];

static uint64_t Work(int scale) {
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      a[i][j] = (i * j + 1) % kSide / (double)kSide;
      b[i][j] = (i * (j + 1)) % kSide / (double)kSide;
      c[i][j] = (i * (j + 2)) % kSide / (double)kSide;
    }
  }
  for (int round = 0; round < scale; ++round) {
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        c[i][j] *= 0.5;
      }
      for (int k = 0; k < kSide; ++k) {
        for (int j = 0; j < kSide; ++j) {
          c[i][j] += 1.5 * a[i][k] * b[k][j];
        }
      }
    }
  }
  return MixBytes(0, c, sizeof c);
}
