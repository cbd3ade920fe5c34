// Copies stdin to stdout in blocks of 64 KiB, without stdio, until end of file.
// With an argument N it copies at most N bytes and stops, leaving the rest of stdin unread.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char block[64 * 1024];

int main(int argc, char** argv) {
  unsigned long long left = argc > 1 ? strtoull(argv[1], NULL, 10) : ~0ULL;
  while (left > 0) {
    size_t want = left < sizeof block ? (size_t)left : sizeof block;
    ssize_t got = read(0, block, want);
    if (got < 0) {
      fprintf(stderr, "cat: read: %s\n", strerror(errno));
      return 1;
    }
    if (got == 0) {
      return 0;
    }
    for (ssize_t done = 0; done < got;) {
      ssize_t put = write(1, block + done, (size_t)(got - done));
      if (put < 0) {
        fprintf(stderr, "cat: write: %s\n", strerror(errno));
        return 2;
      }
      done += put;
    }
    left -= (unsigned long long)got;
  }
  return 0;
}
