// Every fd_* function of WASI preview 1, straight on the imports, on every kind of descriptor:
// standard streams, a preopen, a directory, files opened each way, a closed number. Prints one line
// a case: made to be compared between runtimes.
//
//   fd_matrix       needs one preopen, descriptor 3, a directory to make "fm" in; stdin, stdout and
//   stderr should be no terminals
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <wasi/api.h>

enum { kRoot = 3, kClosed = 777 };

static void must(__wasi_errno_t e, const char* what) {
  if (e != 0) {
    printf("set-up failed: %s: %d\n", what, e);
    fflush(stdout);
    __wasi_proc_exit(1);
  }
}

static __wasi_fd_t open_at(__wasi_fd_t dir, const char* path, __wasi_oflags_t oflags,
                           __wasi_rights_t rights, __wasi_fdflags_t flags) {
  __wasi_fd_t fd = 0;
  must(__wasi_path_open(dir, 0, path, oflags, rights, rights, flags, &fd), path);
  return fd;
}

static struct {
  const char* name;
  __wasi_fd_t fd;
} fds[16];
static int fd_count;

static void add(const char* name, __wasi_fd_t fd) {
  fds[fd_count].name = name;
  fds[fd_count++].fd = fd;
}

static void show(const char* op, int i, const char* detail, __wasi_errno_t e) {
  printf("%-24s %-10s %-60s %d\n", op, fds[i].name, detail, e);
}

#define EACH for (int i = 0; i < fd_count; ++i)

static void times(int i, const char* what, uint64_t at, uint64_t mt, __wasi_fstflags_t flags) {
  char text[80] = "";
  __wasi_errno_t e = __wasi_fd_filestat_set_times(fds[i].fd, at, mt, flags);
  __wasi_filestat_t s;
  if (e == 0 && __wasi_fd_filestat_get(fds[i].fd, &s) == 0) {
    snprintf(text, sizeof text, "%s atim%llu mtim%llu", what, (unsigned long long)s.atim,
             (unsigned long long)s.mtim);
  } else {
    snprintf(text, sizeof text, "%s", what);
  }
  show("filestat_set_times", i, text, e);
}

static void positions(const char* when) {
  EACH {
    char text[80];
    __wasi_filesize_t at = 0;
    __wasi_errno_t e = __wasi_fd_tell(fds[i].fd, &at);
    snprintf(text, sizeof text, "%s %llu", when, (unsigned long long)at);
    show("tell", i, text, e);
  }
}

int main(void) {
  (void)!__wasi_path_create_directory(kRoot, "fm");
  __wasi_fd_t dir = open_at(kRoot, "fm", __WASI_OFLAGS_DIRECTORY,
                            __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR, 0);
  const __wasi_rights_t r = __WASI_RIGHTS_FD_READ, w = __WASI_RIGHTS_FD_WRITE;
  const __wasi_oflags_t creat = __WASI_OFLAGS_CREAT | __WASI_OFLAGS_TRUNC;
  __wasi_fd_t file = open_at(dir, "file", creat, r | w, 0);
  __wasi_ciovec_t text = {(const uint8_t*)"0123456789abcdef", 16};
  __wasi_size_t n = 0;
  must(__wasi_fd_write(file, &text, 1, &n), "write");
  must(__wasi_fd_close(file), "close");
  add("stdin", 0);
  add("stdout", 1);
  add("stderr", 2);
  add("preopen", kRoot);
  add("dir", dir);
  add("rdwr", open_at(dir, "file", 0, r | w, 0));
  add("rdonly", open_at(dir, "file", 0, r, 0));
  add("wronly", open_at(dir, "file", 0, w, 0));
  add("append", open_at(dir, "app", creat, r | w, __WASI_FDFLAGS_APPEND));
  add("nonblock", open_at(dir, "file", 0, r, __WASI_FDFLAGS_NONBLOCK));
  add("closed", kClosed);
  add("minus1", (__wasi_fd_t)-1);

  EACH {
    __wasi_fdstat_t s;
    memset(&s, 0, sizeof s);
    char detail[80] = "";
    __wasi_errno_t e = __wasi_fd_fdstat_get(fds[i].fd, &s);
    // A directory's inheriting rights are richer here than in wasmtime: not printed.
    if (e == 0) {
      snprintf(detail, sizeof detail, "type%d flags%d base%llx", s.fs_filetype, s.fs_flags,
               (unsigned long long)s.fs_rights_base);
    }
    show("fdstat_get", i, detail, e);
  }
  EACH {
    __wasi_filestat_t s;
    memset(&s, 0, sizeof s);
    char detail[80] = "";
    __wasi_errno_t e = __wasi_fd_filestat_get(fds[i].fd, &s);
    if (e == 0) {
      snprintf(detail, sizeof detail, "type%d size%d", s.filetype,
               s.filetype == 3 ? -1 : (int)s.size);
    }
    show("filestat_get", i, detail, e);
  }
  EACH {
    __wasi_prestat_t p;
    memset(&p, 0, sizeof p);
    __wasi_errno_t e = __wasi_fd_prestat_get(fds[i].fd, &p);
    char detail[80] = "", name[32] = "";
    snprintf(detail, sizeof detail, "tag%d length%d", p.tag, (int)p.u.dir.pr_name_len);
    show("prestat_get", i, e == 0 ? detail : "", e);
    e = __wasi_fd_prestat_dir_name(fds[i].fd, (uint8_t*)name, sizeof name);
    show("prestat_dir_name", i, name, e);
    show("prestat_dir_name 0", i, "", __wasi_fd_prestat_dir_name(fds[i].fd, (uint8_t*)name, 0));
  }
  positions("first");
  static const __wasi_filedelta_t kOffsets[] = {
      0, 4, -2, 1000, -5000, (__wasi_filedelta_t)1 << 40, INT64_MIN};
  EACH {
    for (int whence = 0; whence < 3; ++whence) {
      for (unsigned k = 0; k < sizeof kOffsets / sizeof kOffsets[0]; ++k) {
        __wasi_filesize_t at = 0;
        (void)!__wasi_fd_seek(fds[i].fd, 4, __WASI_WHENCE_SET, &at);
        at = 0;
        __wasi_errno_t e = __wasi_fd_seek(fds[i].fd, kOffsets[k], (__wasi_whence_t)whence, &at);
        char detail[80];
        snprintf(detail, sizeof detail, "whence%d %lld -> %llu", whence, (long long)kOffsets[k],
                 (unsigned long long)at);
        show("seek", i, detail, e);
      }
    }
    __wasi_filesize_t at = 0;
    (void)!__wasi_fd_seek(fds[i].fd, 0, __WASI_WHENCE_SET, &at);
  }
  for (int i = 3; i < fd_count; ++i) {
    uint8_t buf[8];
    __wasi_iovec_t iov = {buf, sizeof buf};
    __wasi_ciovec_t out = {(const uint8_t*)"XY", 2}, none = {(const uint8_t*)"", 0};
    char detail[80];
    n = 0;
    __wasi_errno_t e = __wasi_fd_read(fds[i].fd, &iov, 1, &n);
    snprintf(detail, sizeof detail, "%d %.*s", (int)n, (int)n, buf);
    show("read", i, detail, e);
    n = 0;
    e = __wasi_fd_pread(fds[i].fd, &iov, 1, 12, &n);
    snprintf(detail, sizeof detail, "%d %.*s", (int)n, (int)n, buf);
    show("pread 12", i, detail, e);
    n = 0;
    e = __wasi_fd_pread(fds[i].fd, &iov, 1, 100, &n);
    snprintf(detail, sizeof detail, "%d", (int)n);
    show("pread 100", i, detail, e);
    n = 0;
    e = __wasi_fd_pread(fds[i].fd, &iov, 1, UINT64_MAX, &n);
    show("pread max", i, "", e);
    n = 0;
    e = __wasi_fd_write(fds[i].fd, &out, 1, &n);
    snprintf(detail, sizeof detail, "%d", (int)n);
    show("write", i, detail, e);
    n = 0;
    e = __wasi_fd_write(fds[i].fd, &none, 1, &n);
    show("write nothing", i, "", e);
    n = 0;
    e = __wasi_fd_pwrite(fds[i].fd, &out, 1, 10, &n);
    snprintf(detail, sizeof detail, "%d", (int)n);
    show("pwrite 10", i, detail, e);
  }
  // Standard streams only where it can't disturb the output.
  for (int i = 0; i < 3; ++i) {
    uint8_t buf[8];
    __wasi_iovec_t iov = {buf, sizeof buf};
    __wasi_ciovec_t none = {(const uint8_t*)"", 0};
    if (i != 0) {
      show("read", i, "", __wasi_fd_read(fds[i].fd, &iov, 1, &n));
    }
    show("pread", i, "", __wasi_fd_pread(fds[i].fd, &iov, 1, 0, &n));
    show("write nothing", i, "", __wasi_fd_write(fds[i].fd, &none, 1, &n));
    show("pwrite", i, "", __wasi_fd_pwrite(fds[i].fd, &none, 1, 0, &n));
  }
  positions("after writes");
  for (int flags = 0; flags < 32; ++flags) {
    EACH {
      if (flags > 4 && i < 5) {
        continue;
      }
      __wasi_errno_t e = __wasi_fd_fdstat_set_flags(fds[i].fd, (__wasi_fdflags_t)flags);
      __wasi_fdstat_t s;
      char detail[80];
      snprintf(detail, sizeof detail, "%d -> %d", flags,
               __wasi_fd_fdstat_get(fds[i].fd, &s) == 0 ? s.fs_flags : -1);
      show("fdstat_set_flags", i, detail, e);
    }
  }
  EACH {
    show("fdstat_set_rights", i, "", __wasi_fd_fdstat_set_rights(fds[i].fd, r, r));
  }
  EACH {
    for (int advice = 0; advice < 6; ++advice) {
      char detail[80];
      snprintf(detail, sizeof detail, "%d", advice);
      show("advise", i, detail, __wasi_fd_advise(fds[i].fd, 0, 10, (__wasi_advice_t)advice));
    }
    show("advise far", i, "", __wasi_fd_advise(fds[i].fd, UINT64_MAX, 10, 0));
  }
  EACH {
    show("sync", i, "", __wasi_fd_sync(fds[i].fd));
    show("datasync", i, "", __wasi_fd_datasync(fds[i].fd));
  }
  EACH {
    static const __wasi_filesize_t kSizes[] = {5, 3000, UINT64_MAX, 16};
    for (int k = 0; k < 4; ++k) {
      char detail[80];
      snprintf(detail, sizeof detail, "%llu", (unsigned long long)kSizes[k]);
      show("filestat_set_size", i, detail, __wasi_fd_filestat_set_size(fds[i].fd, kSizes[k]));
    }
  }
  for (int i = 4; i < fd_count; ++i) {
    times(i, "both", 1000000001, 2000000002, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM);
    times(i, "mtim", 5, 3000000003, __WASI_FSTFLAGS_MTIM);
    times(i, "atim twice", 5, 5, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW);
    times(i, "nothing", 5, 5, 0);
  }
  times(0, "stdin", 1, 1, __WASI_FSTFLAGS_MTIM);
  EACH {
    uint8_t buf[512];
    n = 0;
    __wasi_errno_t e = __wasi_fd_readdir(fds[i].fd, buf, sizeof buf, 0, &n);
    show("readdir", i, e == 0 && n >= 24 ? "entries" : "", e);
    e = __wasi_fd_readdir(fds[i].fd, buf, 10, 0, &n);
    show("readdir 10", i, e == 0 && n == 10 ? "10" : "", e);
  }
  EACH {
    show("sock_recv", i, "", __wasi_sock_recv(fds[i].fd, 0, 0, 0, &n, &(__wasi_roflags_t){0}));
    show("sock_send", i, "", __wasi_sock_send(fds[i].fd, 0, 0, 0, &n));
    show("sock_shutdown", i, "", __wasi_sock_shutdown(fds[i].fd, 1));
    __wasi_fd_t accepted;
    show("sock_accept", i, "", __wasi_sock_accept(fds[i].fd, 0, &accepted));
  }
  // path functions on descriptors that are no directories.
  EACH {
    __wasi_fd_t fd = 0;
    __wasi_filestat_t s;
    uint8_t buf[8];
    __wasi_errno_t e = __wasi_path_open(fds[i].fd, 0, "missing", 0, r, r, 0, &fd);
    show("path_open", i, "", e);
    show("path_filestat_get", i, "", __wasi_path_filestat_get(fds[i].fd, 0, "missing", &s));
    show("path_unlink_file", i, "", __wasi_path_unlink_file(fds[i].fd, "missing"));
    show("path_rename", i, "", __wasi_path_rename(fds[i].fd, "missing", dir, "missing"));
    show("path_rename to", i, "", __wasi_path_rename(dir, "missing", fds[i].fd, "missing"));
    show("path_link", i, "", __wasi_path_link(fds[i].fd, 0, "missing", dir, "missing"));
    show("path_symlink", i, "", __wasi_path_symlink("x", fds[i].fd, "missing/x"));
    show("path_readlink", i, "", __wasi_path_readlink(fds[i].fd, "missing", buf, sizeof buf, &n));
    show("path_create_directory", i, "", __wasi_path_create_directory(fds[i].fd, "missing/x"));
    show("path_remove_directory", i, "", __wasi_path_remove_directory(fds[i].fd, "missing"));
    show("path_set_times", i, "", __wasi_path_filestat_set_times(fds[i].fd, 0, "missing", 0, 0, 0));
  }
  for (int i = 3; i < fd_count; ++i) {
    for (int what = 0; what < 2; ++what) {
      __wasi_subscription_t sub;
      __wasi_event_t event;
      memset(&sub, 0, sizeof sub);
      memset(&event, 0, sizeof event);
      sub.userdata = 42;
      sub.u.tag = what == 0 ? __WASI_EVENTTYPE_FD_READ : __WASI_EVENTTYPE_FD_WRITE;
      sub.u.u.fd_read.file_descriptor = fds[i].fd;
      __wasi_errno_t e = __wasi_poll_oneoff(&sub, &event, 1, &n);
      char detail[80] = "";
      if (e == 0) {
        snprintf(detail, sizeof detail, "n%d userdata%d type%d error%d", (int)n,
                 (int)event.userdata, event.type, event.error);
      }
      show(what == 0 ? "poll read" : "poll write", i, detail, e);
    }
  }
  for (int clock = 0; clock < 4; ++clock) {
    __wasi_timestamp_t t = 0, again = 0;
    __wasi_errno_t e = __wasi_clock_time_get((__wasi_clockid_t){clock}, 1, &t);
    printf("clock_time_get %d: %d\n", clock, e);
    e = __wasi_clock_res_get((__wasi_clockid_t){clock}, &t);
    printf("clock_res_get %d: %d %llu\n", clock, e, e == 0 ? (unsigned long long)t : 0);
    (void)again;
    __wasi_subscription_t sub;
    __wasi_event_t event;
    memset(&sub, 0, sizeof sub);
    sub.userdata = 7;
    sub.u.tag = __WASI_EVENTTYPE_CLOCK;
    sub.u.u.clock.id = clock;
    sub.u.u.clock.timeout = 1000;
    e = __wasi_poll_oneoff(&sub, &event, 1, &n);
    if (clock < 2) {
      printf("poll clock %d: %d n%d type%d error%d\n", clock, e, (int)n, event.type, event.error);
    }
  }
  __wasi_subscription_t sub;
  __wasi_event_t event;
  printf("poll none: %d\n", __wasi_poll_oneoff(&sub, &event, 0, &n));
  EACH {
    show("renumber self", i, "", __wasi_fd_renumber(fds[i].fd, fds[i].fd));
  }
  show("renumber to closed", 5, "", __wasi_fd_renumber(fds[5].fd, kClosed));
  show("renumber from closed", 5, "", __wasi_fd_renumber(kClosed, fds[5].fd));
  show("renumber", 5, "", __wasi_fd_renumber(fds[5].fd, fds[6].fd));
  show("close renumbered", 5, "", __wasi_fd_close(fds[5].fd));
  show("close target", 6, "", __wasi_fd_close(fds[6].fd));
  for (int i = 3; i < fd_count; ++i) {
    show("close", i, "", __wasi_fd_close(fds[i].fd));
    show("close again", i, "", __wasi_fd_close(fds[i].fd));
  }
  show("close", 0, "", __wasi_fd_close(0));
  show("read closed", 0, "", __wasi_fd_read(0, 0, 0, &n));
  return 0;
}
