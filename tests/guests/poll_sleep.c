// poll_sleep sleep MS: sleeps, prints whether at least MS and less than MS + 30 s have passed.
// poll_sleep stdin MS: polls stdin for at most MS; prints "ready" and what a read gives, or
// "timeout". poll_sleep both MS: polls stdin and stdout for at most MS and prints what is ready.
// poll_sleep yield: yields a thousand times.
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t Milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int Sleep(int ms) {
  struct timespec wanted = {ms / 1000, (ms % 1000) * 1000000L};
  int64_t before = Milliseconds();
  int failed = nanosleep(&wanted, NULL);
  int64_t took = Milliseconds() - before;
  // One millisecond of slack: the two clock readings are rounded down.
  printf("slept: %d, long enough: %d, not too long: %d\n", failed, took + 1 >= ms,
         took < ms + 30000);
  return 0;
}

static int Poll(int ms, int with_stdout) {
  struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLOUT}};
  int ready = poll(fds, with_stdout ? 2 : 1, ms);
  if (ready < 0) {
    printf("poll: %s\n", strerror(errno));
    return 1;
  }
  if (with_stdout) {
    printf("stdout ready: %d\n", (fds[1].revents & POLLOUT) != 0);
    return 0;
  }
  if (ready == 0) {
    puts("timeout");
    return 0;
  }
  char line[128];
  ssize_t got = read(0, line, sizeof line);
  printf("ready, read %zd: %.*s\n", got, got > 0 ? (int)got : 0, line);
  return 0;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  int ms = argc > 2 ? atoi(argv[2]) : 10;
  if (strcmp(what, "sleep") == 0) {
    return Sleep(ms);
  }
  if (strcmp(what, "stdin") == 0) {
    return Poll(ms, 0);
  }
  if (strcmp(what, "both") == 0) {
    return Poll(ms, 1);
  }
  if (strcmp(what, "yield") == 0) {
    for (int i = 0; i < 1000; ++i) {
      if (sched_yield() != 0) {
        puts("sched_yield failed");
        return 1;
      }
    }
    puts("yielded");
    return 0;
  }
  fprintf(stderr, "poll_sleep sleep|stdin|both MS | yield\n");
  return 64;
}
