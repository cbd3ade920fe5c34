// exit_code N [MESSAGE]: writes MESSAGE to stderr and exits with code N.
// exit_code return N: returns N from main instead of calling exit.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  if (argc > 2 && strcmp(argv[1], "return") == 0) {
    return atoi(argv[2]);
  }
  if (argc > 2) {
    fprintf(stderr, "%s\n", argv[2]);
  }
  printf("leaving\n");
  exit(argc > 1 ? atoi(argv[1]) : 0);
}
