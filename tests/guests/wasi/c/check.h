// Test cases in a guest, one line of standard output each:
//
//   ok fd_seek: from the end
//   FAIL fd_seek: before the start: errno is success, not inval
//
//   CASE("fd_seek", "from the end") {
//     ERRNO(__wasi_fd_seek(fd, -2, __WASI_WHENCE_END, &at), SUCCESS);
//     EQ(at, 8);
//   }
//
// What stands here is what WASI and POSIX promise and wasmd does. The first check of a case that
// fails is told; the case goes on. What it takes to come to a case (MUST) ends the program where it
// fails. Lines are the same wherever and whenever it runs, so that engines can be compared.
#ifndef WASMD_TESTS_GUESTS_WASI_C_CHECK_H_
#define WASMD_TESTS_GUESTS_WASI_C_CHECK_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wasi/api.h>

enum { kRoot = 3 };  // The first preopen.

static const char* const kErrnoNames[] = {
    "success",     "2big",           "acces",       "addrinuse",   "addrnotavail",
    "afnosupport", "again",          "already",     "badf",        "badmsg",
    "busy",        "canceled",       "child",       "connaborted", "connrefused",
    "connreset",   "deadlk",         "destaddrreq", "dom",         "dquot",
    "exist",       "fault",          "fbig",        "hostunreach", "idrm",
    "ilseq",       "inprogress",     "intr",        "inval",       "io",
    "isconn",      "isdir",          "loop",        "mfile",       "mlink",
    "msgsize",     "multihop",       "nametoolong", "netdown",     "netreset",
    "netunreach",  "nfile",          "nobufs",      "nodev",       "noent",
    "noexec",      "nolck",          "nolink",      "nomem",       "nomsg",
    "noprotoopt",  "nospc",          "nosys",       "notconn",     "notdir",
    "notempty",    "notrecoverable", "notsock",     "notsup",      "notty",
    "nxio",        "overflow",       "ownerdead",   "perm",        "pipe",
    "proto",       "protonosupport", "prototype",   "range",       "rofs",
    "spipe",       "srch",           "stale",       "timedout",    "txtbsy",
    "xdev",        "notcapable",
};

static inline const char* errno_name(int e) {
  return e >= 0 && e < (int)(sizeof kErrnoNames / sizeof kErrnoNames[0]) ? kErrnoNames[e] : "?";
}

static const char* case_function;
static const char* case_name;
static char case_failure[200];

static inline int case_begin(const char* function, const char* name) {
  case_function = function;
  case_name = name;
  case_failure[0] = 0;
  return 1;
}

// In one write, and at once: a trap behind it takes nothing away.
static inline int case_end(void) {
  if (case_failure[0] == 0) {
    printf("ok %s: %s\n", case_function, case_name);
  } else {
    printf("FAIL %s: %s: %s\n", case_function, case_name, case_failure);
  }
  fflush(stdout);
  return 0;
}

#define CASE(function, name) \
  for (int running_ = case_begin(function, name); running_; running_ = case_end())

#define FAILS(...)                                              \
  do {                                                          \
    if (case_failure[0] == 0) {                                 \
      snprintf(case_failure, sizeof case_failure, __VA_ARGS__); \
    }                                                           \
  } while (0)

static inline void check_errno(int got, int want) {
  if (got != want) {
    FAILS("errno is %s, not %s", errno_name(got), errno_name(want));
  }
}
#define ERRNO(call, want) check_errno((call), __WASI_ERRNO_##want)

static inline void check_equal(const char* what, uint64_t got, uint64_t want) {
  if (got != want) {
    FAILS("%s is %lld, not %lld", what, (long long)got, (long long)want);
  }
}
#define EQ(got, want) check_equal(#got, (uint64_t)(got), (uint64_t)(want))

#define TRUE(condition)                  \
  do {                                   \
    if (!(condition)) {                  \
      FAILS("%s is not so", #condition); \
    }                                    \
  } while (0)

static inline void check_text(const char* got, size_t size, const char* want) {
  if (size != strlen(want) || memcmp(got, want, size) != 0) {
    FAILS("it is \"%.*s\", not \"%s\"", (int)(size < 60 ? size : 60), got, want);
  }
}
#define TEXT(got, size, want) check_text((const char*)(got), (size), (want))

static inline void must_errno(int e, const char* what) {
  if (e != 0) {
    printf("FAIL set-up: %s: errno is %s\n", what, errno_name(e));
    fflush(stdout);
    __wasi_proc_exit(1);
  }
}
#define MUST(call) must_errno((call), #call)

// ---- Files

#define READ __WASI_RIGHTS_FD_READ
#define WRITE __WASI_RIGHTS_FD_WRITE
#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW
#define CREAT __WASI_OFLAGS_CREAT
#define TRUNC __WASI_OFLAGS_TRUNC
#define EXCL __WASI_OFLAGS_EXCL
#define DIRECTORY __WASI_OFLAGS_DIRECTORY

static inline __wasi_fd_t open_in(__wasi_fd_t dir, const char* path, int oflags,
                                  __wasi_rights_t rights, int fdflags) {
  __wasi_fd_t fd = 0;
  must_errno(__wasi_path_open(dir, 0, path, (__wasi_oflags_t)oflags, rights, rights,
                              (__wasi_fdflags_t)fdflags, &fd),
             path);
  return fd;
}
static inline __wasi_fd_t open_dir(__wasi_fd_t dir, const char* path) {
  return open_in(dir, path, DIRECTORY, READ | __WASI_RIGHTS_FD_READDIR, 0);
}

static inline int write_text(__wasi_fd_t fd, const char* text) {
  __wasi_ciovec_t iov = {(const uint8_t*)text, strlen(text)};
  __wasi_size_t n = 0;
  const int e = __wasi_fd_write(fd, &iov, 1, &n);
  return e == 0 && n != strlen(text) ? __WASI_ERRNO_IO : e;
}
// At most 255 bytes; the end of it is the end of the file or of what is there.
static inline int read_text(__wasi_fd_t fd, char* text, __wasi_size_t size, __wasi_size_t* n) {
  __wasi_iovec_t iov = {(uint8_t*)text, size};
  *n = 0;
  return __wasi_fd_read(fd, &iov, 1, n);
}

static inline void put_file(__wasi_fd_t dir, const char* path, const char* text) {
  const __wasi_fd_t fd = open_in(dir, path, CREAT | TRUNC, WRITE, 0);
  must_errno(write_text(fd, text), path);
  must_errno(__wasi_fd_close(fd), path);
}

// Checks a whole file.
static inline void check_file(__wasi_fd_t dir, const char* path, const char* want) {
  __wasi_fd_t fd = 0;
  const int e = __wasi_path_open(dir, 0, path, 0, READ, READ, 0, &fd);
  if (e != 0) {
    FAILS("%s: errno is %s, not success", path, errno_name(e));
    return;
  }
  char text[256];
  __wasi_size_t n = 0;
  check_errno(read_text(fd, text, sizeof text, &n), 0);
  check_text(text, n, want);
  check_errno(__wasi_fd_close(fd), 0);
}
#define FILE_IS(dir, path, want) check_file((dir), (path), (want))

// What is there: its type, or 255 for nothing.
static inline int type_of(__wasi_fd_t dir, const char* path) {
  __wasi_filestat_t stat;
  return __wasi_path_filestat_get(dir, 0, path, &stat) == 0 ? stat.filetype : 255;
}
enum { kNothing = 255 };

#endif  // WASMD_TESTS_GUESTS_WASI_C_CHECK_H_
