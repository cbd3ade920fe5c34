// Finite differences in the time domain on doubles, in the manner of fdtd-2d. Scale: tens of steps at
// 400 x 400.
#define kScale 60
#include "bench.h"

#define kSide 400

static double ex[kSide][kSide];
static double ey[kSide][kSide];
static double hz[kSide][kSide];

static void Step(int time) {
  for (int j = 0; j < kSide; ++j) {
    ey[0][j] = time;
  }
  for (int i = 1; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      ey[i][j] -= 0.5 * (hz[i][j] - hz[i - 1][j]);
    }
  }
  for (int i = 0; i < kSide; ++i) {
    for (int j = 1; j < kSide; ++j) {
      ex[i][j] -= 0.5 * (hz[i][j] - hz[i][j - 1]);
    }
  }
  for (int i = 0; i < kSide - 1; ++i) {
    for (int j = 0; j < kSide - 1; ++j) {
      hz[i][j] -= 0.7 * (ex[i][j + 1] - ex[i][j] + ey[i + 1][j] - ey[i][j]);
    }
  }
}

static uint64_t Work(int scale) {
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      ex[i][j] = i * (j + 1.0) / kSide;
      ey[i][j] = i * (j + 2.0) / kSide;
      hz[i][j] = i * (j + 3.0) / kSide;
    }
  }
  for (int time = 0; time < scale * 10; ++time) {
    Step(time);
  }
  return MixBytes(0, hz, sizeof hz);
}
