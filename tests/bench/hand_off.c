// Prints how many nanoseconds it takes two threads on the machine's first two CPUs to hand a cache
// line over, one way. It tells how the host placed them: shared memory is ten times slower between
// far ones.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { kRounds = 200000 };
static _Alignas(128) atomic_int ping;
static _Alignas(128) atomic_int pong;

static void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static void* Answer(void* unused) {
  Pin(1);
  for (int i = 1; i <= kRounds; ++i) {
    while (atomic_load_explicit(&ping, memory_order_acquire) != i) {
    }
    atomic_store_explicit(&pong, i, memory_order_release);
  }
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, Answer, NULL);
  Pin(0);
  double best = 1e18;
  struct timespec start;
  struct timespec end;
  for (int i = 1; i <= kRounds; ++i) {
    if (i % 1000 == 1) {
      clock_gettime(CLOCK_MONOTONIC, &start);
    }
    atomic_store_explicit(&ping, i, memory_order_release);
    while (atomic_load_explicit(&pong, memory_order_acquire) != i) {
    }
    if (i % 1000 == 0) {
      clock_gettime(CLOCK_MONOTONIC, &end);
      double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
      best = ns / 2000 < best ? ns / 2000 : best;
    }
  }
  pthread_join(thread, NULL);
  printf("%.0f\n", best);
  return 0;
}
