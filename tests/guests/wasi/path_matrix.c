// Every path function of WASI preview 1 on many kinds of path, straight on the imports (no C
// library in between), each in a fresh little tree. Prints one line a case with the errno: made to
// be compared between runtimes.
//
//   path_matrix [CASE…]      needs one preopen, descriptor 3, a directory to make "m" in
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <wasi/api.h>

static const char* const kPaths[] = {
    "file",
    "dir",
    "dir/inner",
    "link",
    "dirlink",
    "dangling",
    "loop",
    "out",
    "abs",
    "missing",
    "missing/x",
    "file/x",
    "dirlink/inner",
    "out/etc",
    "link/",
    "file/",
    "dir/",
    "dir//",
    "missing/",
    "dirlink/",
    "dangling/",
    "file/.",
    "dir/.",
    "dir/./",
    "missing/.",
    "file/..",
    "dir/..",
    "dir/../file",
    "dir/inner/../../file",
    "missing/../file",
    "file/../file",
    ".",
    "./",
    "..",
    "../",
    "../m",
    "../../x",
    "./file",
    ".//file",
    "dir/../..",
    "dir/../../m/file",
    "/",
    "/file",
    "//",
    "/m/file",
    "",
    "full",
    "full/",
    "full/.",
    "upfile",
    "dir/up",
    "fifo_no",
    "a/b/c/d/e/f",
    "name\xc3\xa9",
    "bad\xff",
    "./.",
    ".hidden",
    "...",
    "....",
    " ",
};
enum { kPathCount = sizeof kPaths / sizeof kPaths[0] };

enum { kRoot = 3 };
static __wasi_fd_t base;  // The fresh tree.

static void must(__wasi_errno_t e, const char* what) {
  if (e != 0) {
    printf("set-up failed: %s: %d\n", what, e);
    fflush(stdout);
    __wasi_proc_exit(1);
  }
}

static __wasi_errno_t open_at(__wasi_fd_t dir, __wasi_lookupflags_t lookup, const char* path,
                              __wasi_oflags_t oflags, __wasi_rights_t rights, __wasi_fd_t* fd) {
  return __wasi_path_open(dir, lookup, path, oflags, rights, rights, 0, fd);
}

static void put_file(__wasi_fd_t dir, const char* name, const char* text) {
  __wasi_fd_t fd;
  must(
      open_at(dir, 0, name, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_TRUNC, __WASI_RIGHTS_FD_WRITE, &fd),
      name);
  __wasi_ciovec_t iov = {(const uint8_t*)text, strlen(text)};
  __wasi_size_t n;
  must(__wasi_fd_write(fd, &iov, 1, &n), "write");
  must(__wasi_fd_close(fd), "close");
}

static void remove_all(__wasi_fd_t dir, const char* name) {
  __wasi_fd_t fd;
  if (open_at(dir, 0, name, __WASI_OFLAGS_DIRECTORY,
              __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR, &fd) == 0) {
    for (;;) {
      static uint8_t buf[65536] __attribute__((aligned(8)));
      __wasi_size_t used = 0;
      if (__wasi_fd_readdir(fd, buf, sizeof buf, 0, &used) != 0) {
        break;
      }
      int removed = 0;
      for (size_t at = 0; at + 24 <= used;) {
        __wasi_dirent_t entry;
        memcpy(&entry, buf + at, sizeof entry);
        char child[300];
        size_t len = entry.d_namlen < 299 ? entry.d_namlen : 299;
        memcpy(child, buf + at + 24, len);
        child[len] = 0;
        at += 24 + entry.d_namlen;
        if (strcmp(child, ".") && strcmp(child, "..")) {
          remove_all(fd, child);
          removed = 1;
        }
      }
      if (!removed) {
        break;
      }
    }
    (void)!__wasi_fd_close(fd);
    (void)!__wasi_path_remove_directory(dir, name);
  } else {
    (void)!__wasi_path_unlink_file(dir, name);
  }
}

static void fresh(void) {
  remove_all(kRoot, "m");
  must(__wasi_path_create_directory(kRoot, "m"), "mkdir m");
  must(open_at(kRoot, 0, "m", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READ, &base), "open m");
  put_file(base, "file", "0123456789");
  must(__wasi_path_create_directory(base, "dir"), "mkdir dir");
  put_file(base, "dir/inner", "inner");
  must(__wasi_path_create_directory(base, "full"), "mkdir full");
  put_file(base, "full/x", "x");
  must(__wasi_path_symlink("file", base, "link"), "link");
  must(__wasi_path_symlink("dir", base, "dirlink"), "dirlink");
  must(__wasi_path_symlink("nowhere", base, "dangling"), "dangling");
  must(__wasi_path_symlink("loop", base, "loop"), "loop");
  must(__wasi_path_symlink("../..", base, "out"), "out");
  must(__wasi_path_symlink("../file", base, "dir/up"), "up");
  must(__wasi_path_symlink("dir/../file", base, "upfile"), "upfile");
}

static void show(const char* op, const char* path, const char* other, __wasi_errno_t e) {
  printf("%-22s %-22s %-12s %d\n", op, path, other, e);
}

static void show_open(const char* op, const char* path, __wasi_errno_t e, __wasi_fd_t fd) {
  if (e != 0) {
    show(op, path, "", e);
    return;
  }
  __wasi_fdstat_t s;
  char what[40] = "?";
  if (__wasi_fd_fdstat_get(fd, &s) == 0) {
    snprintf(what, sizeof what, "type%d flags%d", s.fs_filetype, s.fs_flags);
  }
  show(op, path, what, e);
  (void)!__wasi_fd_close(fd);
}

typedef void (*Case)(const char* path);

#define OPEN_CASE(name, lookup, oflags, rights)                          \
  static void name(const char* path) {                                   \
    __wasi_fd_t fd = 0;                                                  \
    __wasi_errno_t e = open_at(base, lookup, path, oflags, rights, &fd); \
    show_open(#name, path, e, fd);                                       \
  }
#define R __WASI_RIGHTS_FD_READ
#define W __WASI_RIGHTS_FD_WRITE
#define F __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW
OPEN_CASE(open_read, F, 0, R)
OPEN_CASE(open_read_nofollow, 0, 0, R)
OPEN_CASE(open_write, F, 0, W)
OPEN_CASE(open_readwrite, F, 0, R | W)
OPEN_CASE(open_nothing, F, 0, 0)
OPEN_CASE(open_creat, F, __WASI_OFLAGS_CREAT, R | W)
OPEN_CASE(open_creat_nofollow, 0, __WASI_OFLAGS_CREAT, W)
OPEN_CASE(open_creat_read, F, __WASI_OFLAGS_CREAT, R)
OPEN_CASE(open_creat_excl, F, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, W)
OPEN_CASE(open_excl, F, __WASI_OFLAGS_EXCL, R)
OPEN_CASE(open_trunc, F, __WASI_OFLAGS_TRUNC, W)
OPEN_CASE(open_trunc_read, F, __WASI_OFLAGS_TRUNC, R)
OPEN_CASE(open_dir, F, __WASI_OFLAGS_DIRECTORY, R)
OPEN_CASE(open_dir_nofollow, 0, __WASI_OFLAGS_DIRECTORY, R)
OPEN_CASE(open_dir_write, F, __WASI_OFLAGS_DIRECTORY, W)
OPEN_CASE(open_dir_creat, F, __WASI_OFLAGS_DIRECTORY | __WASI_OFLAGS_CREAT, W)

static void stat_case(const char* op, const char* path, __wasi_lookupflags_t lookup) {
  __wasi_filestat_t s;
  memset(&s, 0, sizeof s);
  __wasi_errno_t e = __wasi_path_filestat_get(base, lookup, path, &s);
  char what[40] = "";
  if (e == 0) {
    snprintf(what, sizeof what, "type%d size%d", s.filetype, s.filetype == 3 ? -1 : (int)s.size);
  }
  show(op, path, what, e);
}
static void stat_follow(const char* path) {
  stat_case("stat_follow", path, F);
}
static void stat_nofollow(const char* path) {
  stat_case("stat_nofollow", path, 0);
}

static void times_case(const char* op, const char* path, __wasi_lookupflags_t lookup) {
  __wasi_errno_t e = __wasi_path_filestat_set_times(base, lookup, path, 1000000007, 2000000009,
                                                    __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM);
  char what[60] = "";
  __wasi_filestat_t s;
  if (e == 0 && __wasi_path_filestat_get(base, lookup, path, &s) == 0) {
    snprintf(what, sizeof what, "%lld", (long long)s.mtim);
  }
  show(op, path, what, e);
}
static void times_follow(const char* path) {
  times_case("times_follow", path, F);
}
static void times_nofollow(const char* path) {
  times_case("times_nofollow", path, 0);
}
static void times_both(const char* path) {
  show("times_both", path, "", __wasi_path_filestat_set_times(base, F, path, 1, 2, 3));
}

static void mkdir_case(const char* path) {
  show("mkdir", path, "", __wasi_path_create_directory(base, path));
}
static void rmdir_case(const char* path) {
  show("rmdir", path, "", __wasi_path_remove_directory(base, path));
}
static void unlink_case(const char* path) {
  show("unlink", path, "", __wasi_path_unlink_file(base, path));
}
static void readlink_case(const char* path) {
  uint8_t buf[64];
  __wasi_size_t n = 0;
  __wasi_errno_t e = __wasi_path_readlink(base, path, buf, sizeof buf, &n);
  char what[70] = "";
  if (e == 0) {
    snprintf(what, sizeof what, "%.*s", (int)n, buf);
  }
  show("readlink", path, what, e);
}
static void symlink_at(const char* path) {
  show("symlink_at", path, "", __wasi_path_symlink("file", base, path));
}
static void symlink_to(const char* path) {
  show("symlink_to", path, "", __wasi_path_symlink(path, base, "new"));
}
static void link_from(const char* path) {
  show("link_from", path, "", __wasi_path_link(base, 0, path, base, "new"));
}
static void link_to(const char* path) {
  show("link_to", path, "", __wasi_path_link(base, 0, "file", base, path));
}
static void link_follow(const char* path) {
  show("link_follow", path, "", __wasi_path_link(base, F, path, base, "new"));
}
static void rename_from(const char* path) {
  show("rename_from", path, "", __wasi_path_rename(base, path, base, "new"));
}
static void rename_to(const char* path) {
  show("rename_to", path, "", __wasi_path_rename(base, "file", base, path));
}
static void rename_dir_to(const char* path) {
  show("rename_dir_to", path, "", __wasi_path_rename(base, "dir", base, path));
}
static void rename_slash(const char* path) {
  show("rename_slash", path, "", __wasi_path_rename(base, path, base, "new/"));
}

static const struct {
  const char* name;
  Case run;
} kCases[] = {
#define C(name) {#name, name}
    C(open_read),       C(open_read_nofollow), C(open_write),          C(open_readwrite),
    C(open_nothing),    C(open_creat),         C(open_creat_nofollow), C(open_creat_read),
    C(open_creat_excl), C(open_excl),          C(open_trunc),          C(open_trunc_read),
    C(open_dir),        C(open_dir_nofollow),  C(open_dir_write),      C(open_dir_creat),
    C(stat_follow),     C(stat_nofollow),      C(times_follow),        C(times_nofollow),
    C(times_both),      C(mkdir_case),         C(rmdir_case),          C(unlink_case),
    C(readlink_case),   C(symlink_at),         C(symlink_to),          C(link_from),
    C(link_to),         C(link_follow),        C(rename_from),         C(rename_to),
    C(rename_dir_to),   C(rename_slash),
};

// Where wasmtime differs from POSIX, and we don't: rmdir("dir/") is rmdir("dir"), and a slash after
// a link's name follows it.
static int differs_on_purpose(const char* name, const char* path) {
  const size_t size = strlen(path);
  const int slash = size > 1 && path[size - 1] == '/';
  const int dot = size > 2 && strcmp(path + size - 2, "/.") == 0;
  if (strcmp(name, "rmdir_case") == 0) {
    return slash;
  }
  return (strcmp(name, "stat_nofollow") == 0 || strcmp(name, "times_nofollow") == 0) &&
         (slash || dot);
}

int main(int argc, char** argv) {
  for (size_t c = 0; c < sizeof kCases / sizeof kCases[0]; ++c) {
    int wanted = argc < 2;
    for (int i = 1; i < argc; ++i) {
      wanted |= strcmp(argv[i], kCases[c].name) == 0;
    }
    if (!wanted) {
      continue;
    }
    for (int p = 0; p < kPathCount; ++p) {
      if (differs_on_purpose(kCases[c].name, kPaths[p])) {
        continue;
      }
      fresh();
      kCases[c].run(kPaths[p]);
      (void)!__wasi_fd_close(base);
    }
  }
  remove_all(kRoot, "m");
  return 0;
}
