// path_open: every flag, what it makes and what it refuses.
#include "check.h"
#include "raw.h"

static __wasi_fd_t dir;
static __wasi_fd_t fd;

static int open_at(const char* path, int lookup, int oflags, __wasi_rights_t rights, int fdflags) {
  fd = 0;
  return raw_path_open((int)dir, lookup, (uintptr_t)path, strlen(path), oflags, (int64_t)rights,
                       (int64_t)rights, fdflags, (uintptr_t)&fd);
}
// Opens for reading and closes: an errno.
static int can_open(const char* path, int lookup) {
  const int e = open_at(path, lookup, 0, READ, 0);
  return e == 0 ? __wasi_fd_close(fd) : e;
}
static int close_it(void) {
  return __wasi_fd_close(fd);
}
static int filetype(void) {
  __wasi_fdstat_t stat;
  return __wasi_fd_fdstat_get(fd, &stat) == 0 ? stat.fs_filetype : kNothing;
}

static void opening_files(void) {
  char text[32];
  __wasi_size_t n = 0;
  CASE("path_open", "a file, a directory") {
    ERRNO(open_at("file", 0, 0, READ, 0), SUCCESS);
    EQ(filetype(), __WASI_FILETYPE_REGULAR_FILE);
    ERRNO(close_it(), SUCCESS);
    ERRNO(open_at("folder", 0, 0, READ, 0), SUCCESS);
    EQ(filetype(), __WASI_FILETYPE_DIRECTORY);
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "what is not there") {
    ERRNO(can_open("missing", 0), NOENT);
    ERRNO(can_open("missing/file", 0), NOENT);
    ERRNO(can_open("folder/missing", 0), NOENT);
  }
  CASE("path_open", "an empty path") {
    ERRNO(can_open("", 0), NOENT);
  }
  CASE("path_open", "beneath a file") {
    ERRNO(can_open("file/x", 0), NOTDIR);
    ERRNO(can_open("file/.", 0), NOTDIR);
  }
  CASE("path_open", "dots within the directory") {
    ERRNO(can_open("./file", 0), SUCCESS);
    ERRNO(can_open("folder/../file", 0), SUCCESS);
    ERRNO(can_open("folder/./../folder/inner", 0), SUCCESS);
    ERRNO(can_open(".", 0), SUCCESS);
    ERRNO(can_open("folder/..", 0), SUCCESS);
  }
  CASE("path_open", "dot-dot out of the directory") {
    ERRNO(can_open("..", 0), PERM);
    ERRNO(can_open("../secret", 0), PERM);
    ERRNO(can_open("folder/../../secret", 0), PERM);
    ERRNO(can_open("../o/file", 0), PERM);
  }
  CASE("path_open", "an absolute path") {
    ERRNO(can_open("/", 0), PERM);
    ERRNO(can_open("/file", 0), PERM);
    ERRNO(can_open("/etc/passwd", 0), PERM);
  }
  CASE("path_open", "several slashes") {
    ERRNO(can_open("folder//inner", 0), SUCCESS);
    ERRNO(can_open("folder////inner", 0), SUCCESS);
  }
  CASE("path_open", "a slash behind a file, a directory") {
    ERRNO(can_open("file/", 0), NOTDIR);
    ERRNO(can_open("folder/", 0), SUCCESS);
    ERRNO(can_open("folder//", 0), SUCCESS);
    ERRNO(can_open("missing/", 0), NOENT);
  }
  CASE("path_open", "a NUL in the path") {
    ERRNO(raw_path_open((int)dir, 0, BYTES("file\0x"), 0, READ, READ, 0, (uintptr_t)&fd), INVAL);
    ERRNO(raw_path_open((int)dir, 0, BYTES("\0"), 0, READ, READ, 0, (uintptr_t)&fd), INVAL);
  }
  CASE("path_open", "a path that is not UTF-8") {
    ERRNO(can_open("bad\xff", 0), ILSEQ);
    ERRNO(can_open("\xc0\xaf", 0), ILSEQ);
    ERRNO(can_open("\xed\xa0\x80", 0), ILSEQ);
  }
  CASE("path_open", "no more of the text than its length says") {
    ERRNO(raw_path_open((int)dir, 0, (uintptr_t)"filexyz", 4, 0, READ, READ, 0, (uintptr_t)&fd),
          SUCCESS);
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "a component that is too long") {
    char name[301];
    memset(name, 'n', 300);
    name[300] = 0;
    ERRNO(can_open(name, 0), NAMETOOLONG);
    ERRNO(open_at(name, 0, CREAT, READ | WRITE, 0), NAMETOOLONG);
  }
  CASE("path_open", "a path that is too long") {
    static char path[8001];
    for (int i = 0; i < 8000; i += 2) {
      memcpy(path + i, "./", 2);
    }
    ERRNO(can_open(path, 0), NAMETOOLONG);
  }
  CASE("path_open", "rights decide: reading alone") {
    ERRNO(open_at("file", 0, 0, READ, 0), SUCCESS);
    ERRNO(read_text(fd, text, 4, &n), SUCCESS);
    ERRNO(write_text(fd, "x"), BADF);
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "rights decide: writing alone") {
    ERRNO(open_at("file", 0, 0, WRITE, 0), SUCCESS);
    ERRNO(read_text(fd, text, 4, &n), BADF);
    ERRNO(write_text(fd, "0"), SUCCESS);
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "rights decide: both") {
    ERRNO(open_at("file", 0, 0, READ | WRITE, 0), SUCCESS);
    ERRNO(read_text(fd, text, 1, &n), SUCCESS);
    ERRNO(write_text(fd, "1"), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    FILE_IS(dir, "file", "0123456789");
  }
  CASE("path_open", "a directory for writing") {
    ERRNO(open_at("folder", 0, 0, READ | WRITE, 0), ISDIR);
    ERRNO(open_at(".", 0, 0, WRITE, 0), ISDIR);
  }
  CASE("path_open", "relative to a directory that was opened") {
    ERRNO(open_at("folder", 0, DIRECTORY, READ, 0), SUCCESS);
    const __wasi_fd_t folder = fd;
    FILE_IS(folder, "inner", "inner");
    ERRNO(raw_path_open((int)folder, 0, BYTES("../file"), 0, READ, READ, 0, (uintptr_t)&fd), PERM);
    ERRNO(__wasi_fd_close(folder), SUCCESS);
  }
  CASE("path_open", "relative to a file, a stream, nothing") {
    ERRNO(open_at("file", 0, 0, READ, 0), SUCCESS);
    const int file = (int)fd;
    ERRNO(raw_path_open(file, 0, BYTES("x"), 0, READ, READ, 0, (uintptr_t)&fd), NOTDIR);
    ERRNO(__wasi_fd_close((__wasi_fd_t)file), SUCCESS);
    ERRNO(raw_path_open(0, 0, BYTES("x"), 0, READ, READ, 0, (uintptr_t)&fd), BADF);
    ERRNO(raw_path_open(777, 0, BYTES("x"), 0, READ, READ, 0, (uintptr_t)&fd), BADF);
  }
}

static void opening_flags(void) {
  __wasi_filestat_t stat;
  CASE("path_open", "creat: makes a file") {
    ERRNO(open_at("new", 0, CREAT, READ | WRITE, 0), SUCCESS);
    EQ(filetype(), __WASI_FILETYPE_REGULAR_FILE);
    ERRNO(__wasi_fd_filestat_get(fd, &stat), SUCCESS);
    EQ(stat.size, 0);
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "creat: leaves what is there") {
    ERRNO(open_at("file", 0, CREAT, READ | WRITE, 0), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    FILE_IS(dir, "file", "0123456789");
  }
  CASE("path_open", "creat: for reading alone makes a file too") {
    ERRNO(open_at("new2", 0, CREAT, READ, 0), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    EQ(type_of(dir, "new2"), __WASI_FILETYPE_REGULAR_FILE);
  }
  CASE("path_open", "creat: in a directory that is not there") {
    ERRNO(open_at("missing/new", 0, CREAT, WRITE, 0), NOENT);
    ERRNO(open_at("file/new", 0, CREAT, WRITE, 0), NOTDIR);
  }
  CASE("path_open", "creat: a directory") {
    ERRNO(open_at("folder", 0, CREAT, WRITE, 0), ISDIR);
  }
  CASE("path_open", "creat: with a slash behind it") {
    ERRNO(open_at("new3/", 0, CREAT, WRITE, 0), ISDIR);
    EQ(type_of(dir, "new3"), kNothing);
  }
  CASE("path_open", "creat: outside") {
    ERRNO(open_at("../new", 0, CREAT, WRITE, 0), PERM);
    ERRNO(open_at("/tmp/new", 0, CREAT, WRITE, 0), PERM);
  }
  CASE("path_open", "excl: refuses what is there") {
    ERRNO(open_at("file", 0, CREAT | EXCL, WRITE, 0), EXIST);
    ERRNO(open_at("folder", 0, CREAT | EXCL, WRITE, 0), EXIST);
    ERRNO(open_at("link", 0, CREAT | EXCL, WRITE, 0), EXIST);
    ERRNO(open_at("dangling", FOLLOW, CREAT | EXCL, WRITE, 0), EXIST);
  }
  CASE("path_open", "excl: makes what is not") {
    ERRNO(open_at("own", 0, CREAT | EXCL, WRITE, 0), SUCCESS);
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "trunc: empties the file") {
    put_file(dir, "cut", "something");
    ERRNO(open_at("cut", 0, TRUNC, WRITE, 0), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    FILE_IS(dir, "cut", "");
  }
  CASE("path_open", "trunc: what is not there, a directory") {
    ERRNO(open_at("missing", 0, TRUNC, WRITE, 0), NOENT);
    ERRNO(open_at("folder", 0, TRUNC, WRITE, 0), ISDIR);
  }
  CASE("path_open", "creat and trunc") {
    put_file(dir, "cut", "something");
    ERRNO(open_at("cut", 0, CREAT | TRUNC, READ | WRITE, 0), SUCCESS);
    ERRNO(write_text(fd, "new"), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    FILE_IS(dir, "cut", "new");
  }
  CASE("path_open", "directory: a directory and nothing else") {
    ERRNO(open_at("folder", 0, DIRECTORY, READ, 0), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    ERRNO(open_at("file", 0, DIRECTORY, READ, 0), NOTDIR);
    ERRNO(open_at("missing", 0, DIRECTORY, READ, 0), NOENT);
  }
  CASE("path_open", "directory: cannot be created or emptied") {
    ERRNO(open_at("newdir", 0, DIRECTORY | CREAT, READ, 0), INVAL);
    ERRNO(open_at("folder", 0, DIRECTORY | CREAT, READ, 0), INVAL);
    ERRNO(open_at("folder", 0, DIRECTORY | TRUNC, READ, 0), INVAL);
    ERRNO(open_at("folder", 0, DIRECTORY | EXCL, READ, 0), INVAL);
  }
  CASE("path_open", "append") {
    put_file(dir, "log", "one");
    ERRNO(open_at("log", 0, 0, WRITE, __WASI_FDFLAGS_APPEND), SUCCESS);
    ERRNO(write_text(fd, "two"), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    FILE_IS(dir, "log", "onetwo");
  }
  CASE("path_open", "append and trunc") {
    ERRNO(open_at("log", 0, TRUNC, WRITE, __WASI_FDFLAGS_APPEND), SUCCESS);
    ERRNO(write_text(fd, "x"), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    FILE_IS(dir, "log", "x");
  }
  CASE("path_open", "nonblock: a file does not care") {
    ERRNO(open_at("file", 0, 0, READ, __WASI_FDFLAGS_NONBLOCK), SUCCESS);
    char text[16];
    __wasi_size_t n = 0;
    ERRNO(read_text(fd, text, sizeof text, &n), SUCCESS);
    TEXT(text, n, "0123456789");
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "sync, dsync, rsync") {
    ERRNO(open_at("file", 0, 0, READ | WRITE, __WASI_FDFLAGS_SYNC), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    ERRNO(open_at("file", 0, 0, READ | WRITE, __WASI_FDFLAGS_DSYNC), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    ERRNO(open_at("file", 0, 0, READ | WRITE, __WASI_FDFLAGS_RSYNC), SUCCESS);
    ERRNO(close_it(), SUCCESS);
  }
}

static void opening_links(void) {
  CASE("path_open", "a link, followed") {
    ERRNO(open_at("link", FOLLOW, 0, READ, 0), SUCCESS);
    EQ(filetype(), __WASI_FILETYPE_REGULAR_FILE);
    ERRNO(close_it(), SUCCESS);
    ERRNO(open_at("dirlink", FOLLOW, 0, READ, 0), SUCCESS);
    EQ(filetype(), __WASI_FILETYPE_DIRECTORY);
    ERRNO(close_it(), SUCCESS);
  }
  CASE("path_open", "a link, not followed") {
    ERRNO(can_open("link", 0), LOOP);
    ERRNO(can_open("dirlink", 0), LOOP);
    ERRNO(can_open("dangling", 0), LOOP);
    ERRNO(open_at("dirlink", 0, DIRECTORY, READ, 0), LOOP);
  }
  CASE("path_open", "links on the way are always followed") {
    ERRNO(can_open("dirlink/inner", 0), SUCCESS);
    ERRNO(can_open("dirlink/../file", 0), SUCCESS);
  }
  CASE("path_open", "a slash behind a link to a directory follows it") {
    ERRNO(can_open("dirlink/", 0), SUCCESS);
    ERRNO(can_open("dirlink/.", 0), SUCCESS);
  }
  CASE("path_open", "a chain of links") {
    ERRNO(can_open("chain9", FOLLOW), SUCCESS);
    ERRNO(can_open("chain9", 0), LOOP);
  }
  CASE("path_open", "a chain of more links than the system follows") {
    ERRNO(can_open("chain49", FOLLOW), LOOP);
  }
  CASE("path_open", "a link to itself, two to each other") {
    ERRNO(can_open("self", FOLLOW), LOOP);
    ERRNO(can_open("ping", FOLLOW), LOOP);
    ERRNO(can_open("self/x", 0), LOOP);
  }
  CASE("path_open", "a link that dangles") {
    ERRNO(can_open("dangling", FOLLOW), NOENT);
    ERRNO(can_open("dangling/x", FOLLOW), NOENT);
  }
  CASE("path_open", "creat through a link that dangles makes the target") {
    ERRNO(open_at("dangling", FOLLOW, CREAT, WRITE, 0), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    EQ(type_of(dir, "nowhere"), __WASI_FILETYPE_REGULAR_FILE);
    ERRNO(__wasi_path_unlink_file(dir, "nowhere"), SUCCESS);
  }
  CASE("path_open", "trunc through a link empties the target") {
    put_file(dir, "target", "full");
    ERRNO(__wasi_path_symlink("target", dir, "tolink"), SUCCESS);
    ERRNO(open_at("tolink", FOLLOW, TRUNC, WRITE, 0), SUCCESS);
    ERRNO(close_it(), SUCCESS);
    FILE_IS(dir, "target", "");
  }
  CASE("path_open", "a link that leads out") {
    ERRNO(can_open("out", FOLLOW), PERM);
    ERRNO(can_open("out/secret", 0), PERM);
    ERRNO(open_at("out", FOLLOW, DIRECTORY, READ, 0), PERM);
    ERRNO(can_open("outfile", FOLLOW), PERM);
    ERRNO(open_at("outfile", FOLLOW, CREAT, WRITE, 0), PERM);
  }
  CASE("path_open", "a link that leads out and comes back in") {
    ERRNO(can_open("outandin", FOLLOW), PERM);
  }
  CASE("path_open", "a link upwards that stays inside") {
    ERRNO(can_open("folder/up", FOLLOW), SUCCESS);
    ERRNO(can_open("folder/up/file", 0), SUCCESS);
  }
}

static void opening_many(void) {
  CASE("path_open", "many at a time") {
    static __wasi_fd_t open[500];
    int count = 0;
    for (; count < 500 && open_at("file", 0, 0, READ, 0) == 0; ++count) {
      open[count] = fd;
    }
    EQ(count, 500);
    for (int i = 0; i < count; ++i) {
      ERRNO(__wasi_fd_close(open[i]), SUCCESS);
    }
  }
  CASE("path_open", "too many: the program's own limit, and then it goes on") {
    static __wasi_fd_t open[4000];
    int count = 0, e = 0;
    for (; count < 4000 && (e = open_at("file", 0, 0, READ, 0)) == 0; ++count) {
      open[count] = fd;
    }
    check_errno(e, __WASI_ERRNO_MFILE);
    for (int i = 0; i < count; ++i) {
      ERRNO(__wasi_fd_close(open[i]), SUCCESS);
    }
    ERRNO(can_open("file", 0), SUCCESS);
  }
  CASE("path_open", "twice: two positions") {
    __wasi_fd_t a = open_in(dir, "file", 0, READ, 0);
    __wasi_fd_t b = open_in(dir, "file", 0, READ, 0);
    char text[4];
    __wasi_size_t n = 0;
    ERRNO(read_text(a, text, 4, &n), SUCCESS);
    ERRNO(read_text(b, text, 2, &n), SUCCESS);
    TEXT(text, n, "01");
    ERRNO(__wasi_fd_close(a), SUCCESS);
    ERRNO(__wasi_fd_close(b), SUCCESS);
  }
  CASE("path_open", "a tree 60 deep") {
    __wasi_fd_t here = open_dir(dir, ".");
    static char path[200];
    for (int i = 0; i < 60; ++i) {
      ERRNO(__wasi_path_create_directory(here, "x"), SUCCESS);
      const __wasi_fd_t below = open_dir(here, "x");
      ERRNO(__wasi_fd_close(here), SUCCESS);
      here = below;
      strcat(path, "x/");
    }
    put_file(here, "bottom", "deep");
    ERRNO(__wasi_fd_close(here), SUCCESS);
    strcat(path, "bottom");
    FILE_IS(dir, path, "deep");
  }
}

int main(void) {
  MUST(__wasi_path_create_directory(kRoot, "o"));
  put_file(kRoot, "secret", "secret");
  dir = open_dir(kRoot, "o");
  put_file(dir, "file", "0123456789");
  MUST(__wasi_path_create_directory(dir, "folder"));
  put_file(dir, "folder/inner", "inner");
  MUST(__wasi_path_symlink("file", dir, "link"));
  MUST(__wasi_path_symlink("folder", dir, "dirlink"));
  MUST(__wasi_path_symlink("nowhere", dir, "dangling"));
  MUST(__wasi_path_symlink("self", dir, "self"));
  MUST(__wasi_path_symlink("pong", dir, "ping"));
  MUST(__wasi_path_symlink("ping", dir, "pong"));
  MUST(__wasi_path_symlink("..", dir, "out"));
  MUST(__wasi_path_symlink("../secret", dir, "outfile"));
  MUST(__wasi_path_symlink("../o/file", dir, "outandin"));
  MUST(__wasi_path_symlink("..", dir, "folder/up"));
  MUST(__wasi_path_symlink("file", dir, "chain0"));
  for (int i = 1; i < 50; ++i) {
    char from[16], to[16];
    snprintf(from, sizeof from, "chain%d", i);
    snprintf(to, sizeof to, "chain%d", i - 1);
    MUST(__wasi_path_symlink(to, dir, from));
  }
  opening_files();
  opening_flags();
  opening_links();
  opening_many();
  return 0;
}
