// Sanity of clocks and random numbers, printed so that every run of every engine prints the same:
// facts, not values.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t Nanoseconds(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0) {
    return -1;
  }
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(void) {
  int64_t realtime = Nanoseconds(CLOCK_REALTIME);
  printf("realtime is after 2020: %d\n", realtime > 1577836800LL * 1000000000);
  printf("realtime is before 2200: %d\n", realtime < 7258118400LL * 1000000000);

  int64_t last = Nanoseconds(CLOCK_MONOTONIC);
  int backwards = 0;
  int moved = 0;
  for (int i = 0; i < 10000; ++i) {
    int64_t now = Nanoseconds(CLOCK_MONOTONIC);
    backwards += now < last;
    moved |= now > last;
    last = now;
  }
  printf("monotonic went backwards: %d, moved: %d\n", backwards, moved);

  struct timespec resolution = {-1, -1};
  int got = clock_getres(CLOCK_MONOTONIC, &resolution);
  printf("resolution: %d, sane: %d\n", got,
         resolution.tv_sec == 0 && resolution.tv_nsec > 0 && resolution.tv_nsec <= 100000000);

  unsigned char first[64];
  unsigned char second[64];
  memset(first, 0, sizeof first);
  memset(second, 0, sizeof second);
  int failed = getentropy(first, sizeof first) | getentropy(second, sizeof second);
  int zeros = 0;
  for (size_t i = 0; i < sizeof first; ++i) {
    zeros += first[i] == 0;
  }
  printf("random: %d, differs: %d, mostly non-zero: %d\n", failed,
         memcmp(first, second, sizeof first) != 0, zeros < 16);
  return 0;
}
