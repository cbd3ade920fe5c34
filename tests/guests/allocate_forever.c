// Allocates and touches memory until malloc answers null, then prints why it stopped and exits 7.
// allocate_forever LIMIT_MIB stops at LIMIT_MIB with exit code 0.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Seen by nobody, but the compiler cannot know: it would leave out what is never read.
static char* volatile last;

int main(int argc, char** argv) {
  const size_t kBlock = 1 << 20;
  size_t limit_mib = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : (size_t)-1;
  size_t mib = 0;
  while (mib < limit_mib) {
    char* block = malloc(kBlock);
    if (block == NULL) {
      fprintf(stderr, "allocate_forever: no more memory\n");
      return 7;
    }
    memset(block, (int)(mib & 0xff), kBlock);
    last = block;
    ++mib;
  }
  printf("allocated %zu MiB\n", mib);
  return 0;
}
