// Arguments, environment, clocks, random numbers, yielding, and the process calls that return.
//
//   process [ARG…]     to be run with the arguments and variables that tests/e2e/wasi/programs.py
//   gives it
#include "check.h"
#include "raw.h"

static int is_aligned_table(uint8_t** table, const uint8_t* buffer, size_t count, size_t size) {
  const uint8_t* at = buffer;
  for (size_t i = 0; i < count; ++i) {
    if (table[i] != at) {
      return 0;
    }
    at += strlen((const char*)at) + 1;
  }
  return at == buffer + size;
}

static void arguments(void) {
  static uint8_t* table[64];
  static uint8_t buffer[4096];
  __wasi_size_t count = 0, size = 0;
  CASE("args_sizes_get", "counts arguments, and bytes with terminators") {
    ERRNO(__wasi_args_sizes_get(&count, &size), SUCCESS);
    EQ(count, 7);
    EQ(size, 13 + 1 + 4 + 8 + 5 + 5 + 4);
  }
  CASE("args_sizes_get", "says the same again") {
    __wasi_size_t count_again = 0, size_again = 0;
    ERRNO(__wasi_args_sizes_get(&count_again, &size_again), SUCCESS);
    EQ(count_again, count);
    EQ(size_again, size);
  }
  memset(buffer, 0xee, sizeof buffer);
  CASE("args_get", "addresses of texts that lie behind each other") {
    ERRNO(__wasi_args_get(table, buffer), SUCCESS);
    TRUE(is_aligned_table(table, buffer, count, size));
  }
  CASE("args_get", "texts as they were given") {
    static const char* const kWant[] = {"process.wasm", "",     "one",  "two 2  ",
                                        "gr\xc3\xb6",   "--x=", "\n\"'"};
    for (size_t i = 1; i < count && i < 7; ++i) {
      TEXT(table[i], strlen((char*)table[i]), kWant[i]);
    }
  }
  CASE("args_get", "writes nothing behind the texts") {
    EQ(buffer[size], 0xee);
    TRUE(table[count] == NULL);
  }

  CASE("environ_sizes_get", "counts variables, and bytes with terminators") {
    ERRNO(__wasi_environ_sizes_get(&count, &size), SUCCESS);
    EQ(count, 4);
    EQ(size, 4 + 7 + 10 + 9);
  }
  memset(table, 0, sizeof table);
  memset(buffer, 0xee, sizeof buffer);
  CASE("environ_get", "addresses of texts that lie behind each other") {
    ERRNO(__wasi_environ_get(table, buffer), SUCCESS);
    TRUE(is_aligned_table(table, buffer, count, size));
  }
  CASE("environ_get", "variables in the order given") {
    static const char* const kWant[] = {"A=1", "EMPTY=", "B=b=c d  ", "UTF=\xce\xa9\xc3\xa9"};
    for (size_t i = 0; i < count && i < 4; ++i) {
      TEXT(table[i], strlen((char*)table[i]), kWant[i]);
    }
  }
  CASE("environ_get", "writes nothing behind the texts") {
    EQ(buffer[size], 0xee);
    TRUE(table[count] == NULL);
  }
}

static void clocks(void) {
  __wasi_timestamp_t a = 0, b = 0;
  CASE("clock_res_get", "realtime: between a nanosecond and a second") {
    ERRNO(raw_clock_res_get(0, (uintptr_t)&a), SUCCESS);
    TRUE(a >= 1 && a <= 1000000000);
  }
  CASE("clock_res_get", "monotonic: between a nanosecond and a second") {
    ERRNO(raw_clock_res_get(1, (uintptr_t)&a), SUCCESS);
    TRUE(a >= 1 && a <= 1000000000);
  }
  CASE("clock_res_get", "a process's CPU time is not told") {
    ERRNO(raw_clock_res_get(2, (uintptr_t)&a), BADF);
    ERRNO(raw_clock_res_get(3, (uintptr_t)&a), BADF);
  }
  CASE("clock_time_get", "realtime: after 2023, before 2100") {
    ERRNO(raw_clock_time_get(0, 1, (uintptr_t)&a), SUCCESS);
    TRUE(a > 1672531200000000000 && a < 4102444800000000000);
  }
  CASE("clock_time_get", "realtime: any precision may be asked for") {
    ERRNO(raw_clock_time_get(0, 0, (uintptr_t)&a), SUCCESS);
    ERRNO(raw_clock_time_get(0, -1, (uintptr_t)&a), SUCCESS);
  }
  CASE("clock_time_get", "monotonic: never goes back") {
    ERRNO(raw_clock_time_get(1, 1, (uintptr_t)&a), SUCCESS);
    for (int i = 0; i < 1000; ++i) {
      ERRNO(raw_clock_time_get(1, 1, (uintptr_t)&b), SUCCESS);
      TRUE(b >= a);
      a = b;
    }
  }
  CASE("clock_time_get", "monotonic: goes on") {
    const __wasi_timestamp_t start = a;
    for (int i = 0; i < 100000000 && a == start; ++i) {
      ERRNO(raw_clock_time_get(1, 1, (uintptr_t)&a), SUCCESS);
    }
    TRUE(a > start);
  }
  CASE("clock_time_get", "monotonic: does not tell how long the machine has been up") {
    TRUE(a < 3600000000000);
  }
  CASE("clock_time_get", "a process's CPU time is not told") {
    ERRNO(raw_clock_time_get(2, 1, (uintptr_t)&a), BADF);
    ERRNO(raw_clock_time_get(3, 1, (uintptr_t)&a), BADF);
  }
}

static void random_numbers(void) {
  static uint8_t a[70000], b[70000];
  CASE("random_get", "fills the buffer") {
    ERRNO(__wasi_random_get(a, 64), SUCCESS);
    int zero = 0;
    for (int i = 0; i < 64; ++i) {
      zero += a[i] == 0;
    }
    TRUE(zero < 20);
  }
  CASE("random_get", "and nothing behind it") {
    memset(a, 0x5a, sizeof a);
    ERRNO(__wasi_random_get(a + 8, 32), SUCCESS);
    EQ(a[7], 0x5a);
    EQ(a[40], 0x5a);
  }
  CASE("random_get", "is another one each time") {
    ERRNO(__wasi_random_get(a, 32), SUCCESS);
    ERRNO(__wasi_random_get(b, 32), SUCCESS);
    TRUE(memcmp(a, b, 32) != 0);
  }
  CASE("random_get", "more than the kernel gives at once") {
    memset(a, 0, sizeof a);
    ERRNO(__wasi_random_get(a, sizeof a), SUCCESS);
    int zero = 0;
    for (size_t i = sizeof a - 64; i < sizeof a; ++i) {
      zero += a[i] == 0;
    }
    TRUE(zero < 20);
  }
  CASE("random_get", "nothing") {
    ERRNO(__wasi_random_get(a, 0), SUCCESS);
  }
}

int main(void) {
  arguments();
  clocks();
  random_numbers();
  CASE("sched_yield", "comes back") {
    for (int i = 0; i < 100; ++i) {
      ERRNO(__wasi_sched_yield(), SUCCESS);
    }
  }
  return 0;
}
