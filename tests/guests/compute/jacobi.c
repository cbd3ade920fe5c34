// A five-point stencil on doubles, in the manner of jacobi-2d. Scale: tens of sweeps at 400 x 400.
#define kScale 120
#include "bench.h"

#define kSide 400

static double a[kSide][kSide];
static double b[kSide][kSide];

static void Sweep(double (*to)[kSide], double (*from)[kSide]) {
  for (int i = 1; i < kSide - 1; ++i) {
    for (int j = 1; j < kSide - 1; ++j) {
      to[i][j] =
          0.2 * (from[i][j] + from[i][j - 1] + from[i][j + 1] + from[i + 1][j] + from[i - 1][j]);
    }
  }
}

static uint64_t Work(int scale) {
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      a[i][j] = (i * (j + 2.0) + 2) / kSide;
      b[i][j] = (i * (j + 3.0) + 3) / kSide;
    }
  }
  for (int round = 0; round < scale * 10; ++round) {
    Sweep(b, a);
    Sweep(a, b);
  }
  return MixBytes(0, a, sizeof a);
}
