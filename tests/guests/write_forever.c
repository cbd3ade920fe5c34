// write_forever [N [FD]]: writes N bytes (default: no end) of a known pattern to FD (default 1), in
// blocks of 64 KiB. Byte i is "0123456789abcdef"[i % 16].
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char block[64 * 1024];

int main(int argc, char** argv) {
  unsigned long long left = argc > 1 ? strtoull(argv[1], NULL, 10) : ~0ULL;
  int fd = argc > 2 ? atoi(argv[2]) : 1;
  for (size_t i = 0; i < sizeof block; ++i) {
    block[i] = "0123456789abcdef"[i % 16];
  }
  size_t phase = 0;
  while (left > 0) {
    size_t want = sizeof block - phase;
    if (want > left) {
      want = (size_t)left;
    }
    ssize_t put = write(fd, block + phase, want);
    if (put < 0) {
      perror("write_forever: write");
      return 2;
    }
    phase = (phase + (size_t)put) % 16;
    left -= (unsigned long long)put;
  }
  return 0;
}
