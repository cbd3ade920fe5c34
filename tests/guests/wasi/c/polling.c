// poll_oneoff: clocks, files, pipes, several at once.
//
//   polling ready|silent|end      standard input is a pipe with bytes in it, one that stays silent,
//                                 or one that is at its end
#include "check.h"
#include "raw.h"

static __wasi_subscription_t subs[8];
static __wasi_event_t events[8];
static __wasi_size_t n;

static __wasi_timestamp_t now(int clock) {
  __wasi_timestamp_t t = 0;
  must_errno(raw_clock_time_get(clock, 1, (uintptr_t)&t), "clock_time_get");
  return t;
}
static void clock_sub(int i, int clock, uint64_t timeout, int flags) {
  memset(&subs[i], 0, sizeof subs[i]);
  subs[i].userdata = 100 + (uint64_t)i;
  subs[i].u.tag = __WASI_EVENTTYPE_CLOCK;
  *(uint32_t*)&subs[i].u.u.clock.id = (uint32_t)clock;
  subs[i].u.u.clock.timeout = timeout;
  subs[i].u.u.clock.flags = (__wasi_subclockflags_t)flags;
}
static void fd_sub(int i, int tag, __wasi_fd_t fd) {
  memset(&subs[i], 0, sizeof subs[i]);
  subs[i].userdata = 100 + (uint64_t)i;
  subs[i].u.tag = (uint8_t)tag;
  subs[i].u.u.fd_read.file_descriptor = fd;
}
static int poll_all(size_t count) {
  n = 0;
  memset(events, 0xee, sizeof events);
  return __wasi_poll_oneoff(subs, events, count, &n);
}
// The event of that subscription is there, of that type and without an error.
static void has_event(int i, int type) {
  for (__wasi_size_t k = 0; k < n; ++k) {
    if (events[k].userdata == 100 + (uint64_t)i) {
      EQ(events[k].type, type);
      check_errno(events[k].error, 0);
      return;
    }
  }
  FAILS("no event of subscription %d", i);
}
#define ABSTIME __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME
enum {
  kClock = __WASI_EVENTTYPE_CLOCK,
  kRead = __WASI_EVENTTYPE_FD_READ,
  kWrite = __WASI_EVENTTYPE_FD_WRITE
};
enum { kMs = 1000000 };

static void clocks(void) {
  for (int clock = 0; clock < 2; ++clock) {
    CASE("poll_oneoff", clock == 0 ? "realtime: 20 ms from now" : "monotonic: 20 ms from now") {
      clock_sub(0, clock, 20 * kMs, 0);
      const __wasi_timestamp_t start = now(1);
      ERRNO(poll_all(1), SUCCESS);
      TRUE(now(1) - start >= 20 * kMs);
      EQ(n, 1);
      has_event(0, kClock);
    }
    CASE("poll_oneoff", clock == 0 ? "realtime: until a time" : "monotonic: until a time") {
      const __wasi_timestamp_t until = now(clock) + 20 * kMs;
      clock_sub(0, clock, until, ABSTIME);
      ERRNO(poll_all(1), SUCCESS);
      TRUE(now(clock) >= until);
      has_event(0, kClock);
    }
    CASE("poll_oneoff",
         clock == 0 ? "realtime: a time that is past" : "monotonic: a time that is past") {
      clock_sub(0, clock, 1, ABSTIME);
      ERRNO(poll_all(1), SUCCESS);
      EQ(n, 1);
      has_event(0, kClock);
    }
    CASE("poll_oneoff", clock == 0 ? "realtime: no time at all" : "monotonic: no time at all") {
      clock_sub(0, clock, 0, 0);
      ERRNO(poll_all(1), SUCCESS);
      EQ(n, 1);
      has_event(0, kClock);
    }
  }
  CASE("poll_oneoff", "the earliest of several clocks") {
    clock_sub(0, 1, 3600000ull * kMs, 0);
    clock_sub(1, 1, 10 * kMs, 0);
    clock_sub(2, 0, 3600000ull * kMs, 0);
    ERRNO(poll_all(3), SUCCESS);
    EQ(n, 1);
    has_event(1, kClock);
  }
  CASE("poll_oneoff", "two clocks that are due are told together") {
    clock_sub(0, 1, 0, 0);
    clock_sub(1, 0, 0, 0);
    ERRNO(poll_all(2), SUCCESS);
    EQ(n, 2);
    has_event(0, kClock);
    has_event(1, kClock);
  }
  CASE("poll_oneoff", "the same clock twice") {
    clock_sub(0, 1, 5 * kMs, 0);
    clock_sub(1, 1, 5 * kMs, 0);
    ERRNO(poll_all(2), SUCCESS);
    TRUE(n >= 1);
  }
  CASE("poll_oneoff", "userdata comes back whole") {
    clock_sub(0, 1, 0, 0);
    subs[0].userdata = 0xfedcba9876543210;
    ERRNO(poll_all(1), SUCCESS);
    EQ(events[0].userdata, 0xfedcba9876543210);
  }
  CASE("poll_oneoff", "no more events are written than there are") {
    clock_sub(0, 1, 0, 0);
    clock_sub(1, 1, 3600000ull * kMs, 0);
    ERRNO(poll_all(2), SUCCESS);
    EQ(n, 1);
    EQ(events[1].userdata, 0xeeeeeeeeeeeeeeee);
  }
}

static void files(void) {
  MUST(__wasi_path_create_directory(kRoot, "p"));
  __wasi_fd_t dir = open_dir(kRoot, "p");
  put_file(dir, "file", "0123456789");
  __wasi_fd_t fd = open_in(dir, "file", 0, READ | WRITE, 0);
  CASE("poll_oneoff", "a file can be read and written at once") {
    fd_sub(0, kRead, fd);
    fd_sub(1, kWrite, fd);
    ERRNO(poll_all(2), SUCCESS);
    EQ(n, 2);
    has_event(0, kRead);
    has_event(1, kWrite);
  }
  CASE("poll_oneoff", "a file at its end can be read: there is nothing to wait for") {
    __wasi_filesize_t at = 0;
    ERRNO(__wasi_fd_seek(fd, 0, __WASI_WHENCE_END, &at), SUCCESS);
    fd_sub(0, kRead, fd);
    ERRNO(poll_all(1), SUCCESS);
    EQ(n, 1);
    has_event(0, kRead);
  }
  CASE("poll_oneoff", "a file and a clock: the file") {
    fd_sub(0, kRead, fd);
    clock_sub(1, 1, 3600000ull * kMs, 0);
    ERRNO(poll_all(2), SUCCESS);
    EQ(n, 1);
    has_event(0, kRead);
  }
  CASE("poll_oneoff", "a file and a clock that is due: both") {
    fd_sub(0, kRead, fd);
    clock_sub(1, 1, 0, 0);
    ERRNO(poll_all(2), SUCCESS);
    EQ(n, 2);
  }
  CASE("poll_oneoff", "a descriptor that is not open") {
    fd_sub(0, kRead, 777);
    ERRNO(poll_all(1), BADF);
    fd_sub(0, kRead, fd);
    fd_sub(1, kWrite, 777);
    ERRNO(poll_all(2), BADF);
  }
  CASE("poll_oneoff", "a directory") {
    fd_sub(0, kRead, dir);
    ERRNO(poll_all(1), BADF);
  }
  CASE("poll_oneoff", "nothing") {
    ERRNO(poll_all(0), INVAL);
  }
  CASE("poll_oneoff", "standard output can be written") {
    fd_sub(0, kWrite, 1);
    clock_sub(1, 1, 3600000ull * kMs, 0);
    ERRNO(poll_all(2), SUCCESS);
    has_event(0, kWrite);
  }
  CASE("poll_oneoff", "standard streams in the wrong direction") {
    fd_sub(0, kRead, 1);
    ERRNO(poll_all(1), BADF);
    fd_sub(0, kWrite, 0);
    ERRNO(poll_all(1), BADF);
  }
}

int main(int argc, char** argv) {
  const char* input = argc > 1 ? argv[1] : "silent";
  if (strcmp(input, "silent") == 0) {
    clocks();
    files();
    CASE("poll_oneoff", "a silent pipe and a clock: the clock, when it is due") {
      fd_sub(0, kRead, 0);
      clock_sub(1, 1, 20 * kMs, 0);
      const __wasi_timestamp_t start = now(1);
      ERRNO(poll_all(2), SUCCESS);
      TRUE(now(1) - start >= 20 * kMs);
      EQ(n, 1);
      has_event(1, kClock);
    }
    CASE("poll_oneoff", "a silent pipe and standard output: the output") {
      fd_sub(0, kRead, 0);
      fd_sub(1, kWrite, 1);
      ERRNO(poll_all(2), SUCCESS);
      EQ(n, 1);
      has_event(1, kWrite);
    }
  } else if (strcmp(input, "ready") == 0) {
    CASE("poll_oneoff", "a pipe with bytes in it can be read") {
      fd_sub(0, kRead, 0);
      clock_sub(1, 1, 3600000ull * kMs, 0);
      ERRNO(poll_all(2), SUCCESS);
      EQ(n, 1);
      has_event(0, kRead);
      TRUE(events[0].fd_readwrite.nbytes >= 1);
    }
    CASE("poll_oneoff", "polling takes no bytes away") {
      char text[16];
      __wasi_size_t size = 0;
      ERRNO(read_text(0, text, sizeof text, &size), SUCCESS);
      TEXT(text, size, "ready\n");
    }
    CASE("poll_oneoff", "and after they were read it is silent") {
      fd_sub(0, kRead, 0);
      clock_sub(1, 1, 10 * kMs, 0);
      ERRNO(poll_all(2), SUCCESS);
      EQ(n, 1);
      has_event(1, kClock);
    }
  } else {
    CASE("poll_oneoff", "a pipe at its end can be read: the end") {
      fd_sub(0, kRead, 0);
      clock_sub(1, 1, 3600000ull * kMs, 0);
      ERRNO(poll_all(2), SUCCESS);
      EQ(n, 1);
      has_event(0, kRead);
      char text[16];
      __wasi_size_t size = 9;
      ERRNO(read_text(0, text, sizeof text, &size), SUCCESS);
      EQ(size, 0);
    }
  }
  return 0;
}
