// Prints its arguments and its environment, one a line, each with its length, in the order given.
#include <stdio.h>
#include <string.h>

extern char** environ;

int main(int argc, char** argv) {
  printf("argc %d\n", argc);
  for (int i = 1; i < argc; ++i) {
    printf("arg %d [%zu] %s\n", i, strlen(argv[i]), argv[i]);
  }
  for (char** entry = environ; entry != NULL && *entry != NULL; ++entry) {
    printf("env [%zu] %s\n", strlen(*entry), *entry);
  }
  return 0;
}
