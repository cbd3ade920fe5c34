// hold MIB: allocates and touches so much, says so, and waits until its standard input ends.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char* volatile held;

int main(int argc, char** argv) {
  size_t mib = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 1;
  held = malloc(mib << 20);
  if (held == NULL) {
    fprintf(stderr, "hold: no more memory\n");
    return 7;
  }
  memset(held, 'x', mib << 20);
  printf("holding %zu MiB\n", mib);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
