// trap KIND: prints "before KIND" on stdout and stderr, then traps in that way.
//
// A kind that fails to trap makes the program exit with 99.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int32_t zero = 0;
static volatile int32_t minus_one = -1;
static volatile int32_t int_min = INT32_MIN;
static volatile int64_t long_min = INT64_MIN;
static volatile double huge = 1e300;
static volatile double not_a_number = 0.0;
static volatile uint32_t past_end = 0xfffffff0u;

typedef int (*IntFunc)(int);
typedef double (*DoubleFunc)(double, double);

__attribute__((noinline)) static int Twice(int value) {
  return value * 2;
}

static IntFunc volatile twice = Twice;

__attribute__((noinline)) static int Deeper(int depth) {
  return Deeper(depth + minus_one) * 3 + zero;
}

static int Unreachable(void) {
  __builtin_trap();
}
static int DivideByZero(void) {
  return 7 / zero;
}
static int RemainderByZero(void) {
  return 7 % zero;
}
static int DivideOverflow(void) {
  return int_min / minus_one;
}
static int DivideOverflow64(void) {
  return (int)(long_min / minus_one);
}
// Without the non-trapping conversions clang guards a cast with a range check, so that the builtin
// is what reaches the instruction.
static int ConvertOverflow(void) {
  return __builtin_wasm_trunc_s_i32_f64(huge);
}
static int ConvertNan(void) {
  return __builtin_wasm_trunc_s_i32_f64(not_a_number / zero);
}
static int Load(void) {
  return *(volatile int32_t*)(uintptr_t)past_end;
}
static int Store(void) {
  *(volatile int64_t*)(uintptr_t)past_end = 1;
  return 0;
}
static int IndirectNull(void) {
  // Index 0 of the function table is never filled.
  IntFunc volatile none = NULL;
  return none(1);
}
static int IndirectSignature(void) {
  DoubleFunc volatile wrong = (DoubleFunc)(void*)twice;
  return (int)wrong(1.0, 2.0);
}
static int IndirectOutOfBounds(void) {
  IntFunc volatile far = (IntFunc)(uintptr_t)past_end;
  return far(1);
}
static int StackOverflow(void) {
  return Deeper(1);
}
static int Abort(void) {
  abort();
  return 0;
}

static const struct {
  const char* name;
  int (*run)(void);
} kKinds[] = {
    {"unreachable", Unreachable},
    {"divide_by_zero", DivideByZero},
    {"remainder_by_zero", RemainderByZero},
    {"divide_overflow", DivideOverflow},
    {"divide_overflow_64", DivideOverflow64},
    {"convert_overflow", ConvertOverflow},
    {"convert_nan", ConvertNan},
    {"load", Load},
    {"store", Store},
    {"indirect_null", IndirectNull},
    {"indirect_signature", IndirectSignature},
    {"indirect_out_of_bounds", IndirectOutOfBounds},
    {"stack_overflow", StackOverflow},
    {"abort", Abort},
};

int main(int argc, char** argv) {
  const char* kind = argc > 1 ? argv[1] : "list";
  for (size_t i = 0; i < sizeof kKinds / sizeof kKinds[0]; ++i) {
    if (strcmp(kind, "list") == 0) {
      puts(kKinds[i].name);
    } else if (strcmp(kind, kKinds[i].name) == 0) {
      printf("before %s\n", kind);
      fflush(stdout);
      fprintf(stderr, "before %s\n", kind);
      printf("no trap: %d\n", kKinds[i].run());
      return 99;
    }
  }
  return strcmp(kind, "list") == 0 ? 0 : 98;
}
