// greedy WHAT …: takes all it can get of something, then says how much it was and why there was no
// more. The exit code is 7, as allocate_forever's.
//
//   open DIR      files that are open at one time, all of the same name
//   create DIR    files, one byte each
//   fill FILE     bytes of a file
//   deep DIR      folders in folders
//   poll N        N subscriptions in one poll
//   later FILE    waits for the end of its standard input, then creates a file
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

static int Say(const char* what, unsigned long long count) {
  printf("%s: %llu, then %s\n", what, count, strerror(errno));
  return 7;
}

static int Open(const char* folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/one", folder);
  unsigned long long count = 0;
  while (open(path, O_RDWR | O_CREAT, 0644) >= 0) {
    ++count;
  }
  return Say("open", count);
}

static int Create(const char* folder) {
  char path[4096];
  unsigned long long count = 0;
  for (;; ++count) {
    snprintf(path, sizeof path, "%s/file%llu", folder, count);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd < 0 || write(fd, "x", 1) != 1) {
      return Say("create", count);
    }
    close(fd);
  }
}

static int Fill(const char* path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) {
    return Say("open", 0);
  }
  static char block[1 << 16];
  memset(block, 'x', sizeof block);
  unsigned long long bytes = 0;
  for (;;) {
    ssize_t wrote = write(fd, block, sizeof block);
    if (wrote < 0) {
      return Say("fill", bytes);
    }
    bytes += (unsigned long long)wrote;
  }
}

static int Deep(const char* folder) {
  static char path[1 << 20];
  size_t size = (size_t)snprintf(path, sizeof path, "%s", folder);
  unsigned long long count = 0;
  while (size + 32 < sizeof path) {
    size += (size_t)snprintf(path + size, 32, "/a-folder-in-a-folder");
    if (mkdir(path, 0755) != 0) {
      return Say("deep", count);
    }
    ++count;
  }
  return 1;
}

static int Poll(unsigned long long count) {
  __wasi_subscription_t* wanted = calloc(count, sizeof *wanted);
  __wasi_event_t* events = calloc(count, sizeof *events);
  if (wanted == NULL || events == NULL) {
    return Say("calloc", count);
  }
  for (unsigned long long i = 0; i < count; ++i) {
    wanted[i].u.tag = __WASI_EVENTTYPE_CLOCK;
    wanted[i].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
  }
  __wasi_size_t happened = 0;
  errno = __wasi_poll_oneoff(wanted, events, count, &happened);
  return Say("poll", happened);
}

static int Later(const char* path) {
  puts("waiting");
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return Say("create", open(path, O_WRONLY | O_CREAT, 0644) >= 0);
}

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  if (strcmp(argv[1], "open") == 0) {
    return Open(argv[2]);
  }
  if (strcmp(argv[1], "create") == 0) {
    return Create(argv[2]);
  }
  if (strcmp(argv[1], "fill") == 0) {
    return Fill(argv[2]);
  }
  if (strcmp(argv[1], "deep") == 0) {
    return Deep(argv[2]);
  }
  if (strcmp(argv[1], "later") == 0) {
    return Later(argv[2]);
  }
  return strcmp(argv[1], "poll") == 0 ? Poll(strtoull(argv[2], NULL, 10)) : 2;
}
