// An exported function for `wasmctl call`, and a program that prints what it returns for each
// argument.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((export_name("fib"))) uint64_t fib(uint32_t n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    printf("%llu\n", (unsigned long long)fib((uint32_t)strtoul(argv[i], NULL, 10)));
  }
  return 0;
}
