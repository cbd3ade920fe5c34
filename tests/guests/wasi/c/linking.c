// Links and what paths say of files: path_link, path_symlink, path_readlink, path_filestat_get,
// path_filestat_set_times.
#include "check.h"
#include "raw.h"

static __wasi_fd_t dir;
static __wasi_filestat_t st;

static int stat_of(const char* path, int lookup) {
  memset(&st, 0, sizeof st);
  return __wasi_path_filestat_get(dir, (__wasi_lookupflags_t)lookup, path, &st);
}
static int link_to(const char* from, const char* to) {
  return __wasi_path_link(dir, 0, from, dir, to);
}
static int symlink_to(const char* target, const char* path) {
  return __wasi_path_symlink(target, dir, path);
}
static char target[300];
static __wasi_size_t target_size;
static int readlink_of(const char* path, __wasi_size_t room) {
  target_size = 0;
  memset(target, '.', sizeof target);
  return __wasi_path_readlink(dir, path, (uint8_t*)target, room, &target_size);
}

static void hard_links(void) {
  CASE("path_link", "a second name of the same file") {
    put_file(dir, "file", "data");
    ERRNO(link_to("file", "hard"), SUCCESS);
    ERRNO(stat_of("file", 0), SUCCESS);
    const __wasi_inode_t ino = st.ino;
    EQ(st.nlink, 2);
    ERRNO(stat_of("hard", 0), SUCCESS);
    EQ(st.ino, ino);
    put_file(dir, "hard", "changed");
    FILE_IS(dir, "file", "changed");
  }
  CASE("path_link", "in another directory") {
    ERRNO(__wasi_path_create_directory(dir, "sub"), SUCCESS);
    ERRNO(link_to("file", "sub/hard"), SUCCESS);
    FILE_IS(dir, "sub/hard", "changed");
    __wasi_fd_t sub = open_dir(dir, "sub");
    ERRNO(__wasi_path_link(dir, 0, "file", sub, "hard2"), SUCCESS);
    ERRNO(__wasi_path_link(sub, 0, "hard", dir, "hard3"), SUCCESS);
    ERRNO(stat_of("file", 0), SUCCESS);
    EQ(st.nlink, 5);
    ERRNO(__wasi_fd_close(sub), SUCCESS);
  }
  CASE("path_link", "onto what is there") {
    ERRNO(link_to("file", "hard"), EXIST);
    ERRNO(link_to("file", "sub"), EXIST);
    ERRNO(link_to("file", "file"), EXIST);
  }
  CASE("path_link", "what is not there, to where nothing is") {
    ERRNO(link_to("missing", "x"), NOENT);
    ERRNO(link_to("file", "missing/x"), NOENT);
    ERRNO(link_to("file", "file/x"), NOTDIR);
    ERRNO(link_to("", "x"), NOENT);
    ERRNO(link_to("file", ""), NOENT);
  }
  CASE("path_link", "a directory") {
    ERRNO(link_to("sub", "x"), PERM);
    ERRNO(link_to(".", "x"), PERM);
  }
  CASE("path_link", "a symbolic link: itself") {
    ERRNO(symlink_to("file", "soft"), SUCCESS);
    ERRNO(link_to("soft", "softhard"), SUCCESS);
    EQ(type_of(dir, "softhard"), __WASI_FILETYPE_SYMBOLIC_LINK);
  }
  CASE("path_link", "following the source is refused") {
    ERRNO(__wasi_path_link(dir, FOLLOW, "soft", dir, "x"), INVAL);
  }
  CASE("path_link", "slashes") {
    ERRNO(link_to("file/", "x"), NOTDIR);
    ERRNO(link_to("file", "x/"), NOENT);
    EQ(type_of(dir, "x"), kNothing);
  }
  CASE("path_link", "outside, either way") {
    put_file(kRoot, "secret", "secret");
    ERRNO(link_to("../secret", "x"), PERM);
    ERRNO(link_to("file", "../x"), PERM);
    ERRNO(link_to("/etc/passwd", "x"), PERM);
    ERRNO(link_to("file", "/tmp/x"), PERM);
    ERRNO(symlink_to("..", "up"), SUCCESS);
    ERRNO(link_to("up/secret", "x"), PERM);
    ERRNO(link_to("file", "up/x"), PERM);
  }
  CASE("path_link", "in a stream, nothing; a NUL") {
    ERRNO(__wasi_path_link(0, 0, "file", dir, "x"), BADF);
    ERRNO(__wasi_path_link(dir, 0, "file", 777, "x"), BADF);
    ERRNO(raw_path_link((int)dir, 0, BYTES("file\0"), (int)dir, BYTES("x")), INVAL);
    ERRNO(raw_path_link((int)dir, 0, BYTES("file"), (int)dir, BYTES("x\0")), INVAL);
  }
}

static void symbolic_links(void) {
  CASE("path_symlink", "to a file, a directory, what is not there") {
    ERRNO(symlink_to("file", "s1"), SUCCESS);
    ERRNO(symlink_to("sub", "s2"), SUCCESS);
    ERRNO(symlink_to("no/where/../at all", "s3"), SUCCESS);
    EQ(type_of(dir, "s1"), __WASI_FILETYPE_SYMBOLIC_LINK);
    EQ(type_of(dir, "s2"), __WASI_FILETYPE_SYMBOLIC_LINK);
    EQ(type_of(dir, "s3"), __WASI_FILETYPE_SYMBOLIC_LINK);
  }
  CASE("path_symlink", "is relative to where the link is") {
    put_file(dir, "sub/near", "near");
    ERRNO(symlink_to("near", "sub/s"), SUCCESS);
    ERRNO(stat_of("sub/s", FOLLOW), SUCCESS);
    EQ(st.size, 4);
    ERRNO(symlink_to("../file", "sub/s2"), SUCCESS);
    ERRNO(stat_of("sub/s2", FOLLOW), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_REGULAR_FILE);
  }
  CASE("path_symlink", "one that leads out can be made, and not followed") {
    ERRNO(symlink_to("../secret", "leak"), SUCCESS);
    ERRNO(stat_of("leak", 0), SUCCESS);
    ERRNO(stat_of("leak", FOLLOW), PERM);
  }
  CASE("path_symlink", "an absolute one is refused") {
    ERRNO(symlink_to("/etc/passwd", "abs"), PERM);
    ERRNO(symlink_to("/", "abs"), PERM);
    EQ(type_of(dir, "abs"), kNothing);
  }
  CASE("path_symlink", "onto what is there") {
    ERRNO(symlink_to("x", "file"), EXIST);
    ERRNO(symlink_to("x", "sub"), EXIST);
    ERRNO(symlink_to("x", "s1"), EXIST);
    ERRNO(symlink_to("x", "s3"), EXIST);
  }
  CASE("path_symlink", "to nothing, as nothing") {
    ERRNO(symlink_to("", "x"), NOENT);
    ERRNO(symlink_to("x", ""), NOENT);
  }
  CASE("path_symlink", "to where nothing is, outside, with a slash") {
    ERRNO(symlink_to("x", "missing/x"), NOENT);
    ERRNO(symlink_to("x", "file/x"), NOTDIR);
    ERRNO(symlink_to("x", "../x"), PERM);
    ERRNO(symlink_to("x", "up/x"), PERM);
    ERRNO(symlink_to("x", "x/"), NOENT);
  }
  CASE("path_symlink", "in a stream, nothing; a NUL") {
    ERRNO(__wasi_path_symlink("x", 0, "y"), BADF);
    ERRNO(__wasi_path_symlink("x", 777, "y"), BADF);
    ERRNO(raw_path_symlink(BYTES("x\0"), (int)dir, BYTES("y")), INVAL);
    ERRNO(raw_path_symlink(BYTES("x"), (int)dir, BYTES("y\0")), INVAL);
  }
  CASE("path_readlink", "the target, as it was given, without a terminator") {
    ERRNO(readlink_of("s1", 64), SUCCESS);
    TEXT(target, target_size + 1, "file.");
    ERRNO(readlink_of("s3", 64), SUCCESS);
    TEXT(target, target_size, "no/where/../at all");
    ERRNO(readlink_of("leak", 64), SUCCESS);
    TEXT(target, target_size, "../secret");
  }
  CASE("path_readlink", "cut to the buffer, which is filled") {
    ERRNO(readlink_of("s1", 2), SUCCESS);
    TEXT(target, 4, "fi..");
    EQ(target_size, 2);
    ERRNO(readlink_of("s1", 4), SUCCESS);
    EQ(target_size, 4);
  }
  CASE("path_readlink", "no buffer") {
    ERRNO(readlink_of("s1", 0), SUCCESS);
    EQ(target_size, 0);
  }
  CASE("path_readlink", "no link") {
    ERRNO(readlink_of("file", 64), INVAL);
    ERRNO(readlink_of("sub", 64), INVAL);
    ERRNO(readlink_of("missing", 64), NOENT);
    ERRNO(readlink_of("", 64), NOENT);
  }
  CASE("path_readlink", "in a directory that a link leads to, outside") {
    ERRNO(readlink_of("s2/s", 64), SUCCESS);
    TEXT(target, target_size, "near");
    ERRNO(readlink_of("../n/s1", 64), PERM);
    ERRNO(readlink_of("up/x", 64), PERM);
  }
  CASE("path_readlink", "a long target") {
    char text[256];
    memset(text, 't', 255);
    text[255] = 0;
    ERRNO(symlink_to(text, "long"), SUCCESS);
    ERRNO(readlink_of("long", 300), SUCCESS);
    EQ(target_size, 255);
    TRUE(memcmp(target, text, 255) == 0);
  }
  CASE("path_readlink", "in a stream, nothing; a NUL") {
    ERRNO(__wasi_path_readlink(0, "s1", (uint8_t*)target, 8, &target_size), BADF);
    ERRNO(__wasi_path_readlink(777, "s1", (uint8_t*)target, 8, &target_size), BADF);
    ERRNO(raw_path_readlink((int)dir, BYTES("s1\0"), (uintptr_t)target, 8, (uintptr_t)&target_size),
          INVAL);
  }
}

static void stats(void) {
  put_file(dir, "st", "0123456789");
  CASE("path_filestat_get", "a file, a directory") {
    ERRNO(stat_of("st", 0), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_REGULAR_FILE);
    EQ(st.size, 10);
    EQ(st.nlink, 1);
    ERRNO(stat_of("sub", 0), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_DIRECTORY);
    ERRNO(stat_of(".", 0), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_DIRECTORY);
  }
  CASE("path_filestat_get", "a link itself, and what it leads to") {
    ERRNO(symlink_to("st", "tost"), SUCCESS);
    ERRNO(stat_of("tost", 0), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_SYMBOLIC_LINK);
    EQ(st.size, 2);
    ERRNO(stat_of("tost", FOLLOW), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_REGULAR_FILE);
    EQ(st.size, 10);
  }
  CASE("path_filestat_get", "links that dangle and go round") {
    ERRNO(stat_of("s3", 0), SUCCESS);
    ERRNO(stat_of("s3", FOLLOW), NOENT);
    ERRNO(symlink_to("round", "round"), SUCCESS);
    ERRNO(stat_of("round", 0), SUCCESS);
    ERRNO(stat_of("round", FOLLOW), LOOP);
  }
  CASE("path_filestat_get", "a slash behind a file, a directory, a link to one") {
    ERRNO(stat_of("st/", 0), NOTDIR);
    ERRNO(stat_of("sub/", 0), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_DIRECTORY);
  }
  CASE("path_filestat_get", "a slash behind a link to a directory follows it") {
    ERRNO(stat_of("s2/", 0), SUCCESS);
    EQ(st.filetype, __WASI_FILETYPE_DIRECTORY);
  }
  CASE("path_filestat_get", "what is not there, outside") {
    ERRNO(stat_of("missing", 0), NOENT);
    ERRNO(stat_of("", 0), NOENT);
    ERRNO(stat_of("st/x", 0), NOTDIR);
    ERRNO(stat_of("..", 0), PERM);
    ERRNO(stat_of("../secret", 0), PERM);
    ERRNO(stat_of("/", 0), PERM);
    ERRNO(stat_of("up", FOLLOW), PERM);
    ERRNO(stat_of("up/secret", 0), PERM);
    ERRNO(stat_of("sub/..", 0), SUCCESS);
  }
  CASE("path_filestat_get", "a change shows in the times") {
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "st", 0, 1000, __WASI_FSTFLAGS_MTIM), SUCCESS);
    __wasi_fd_t fd = open_in(dir, "st", 0, WRITE, 0);
    ERRNO(write_text(fd, "x"), SUCCESS);
    ERRNO(__wasi_fd_close(fd), SUCCESS);
    ERRNO(stat_of("st", 0), SUCCESS);
    TRUE(st.mtim > 1672531200000000000);
  }
  CASE("path_filestat_get", "in a file, a stream, nothing; a NUL") {
    __wasi_fd_t file = open_in(dir, "st", 0, READ, 0);
    const int e = __wasi_path_filestat_get(file, 0, "x", &st);
    TRUE(e == __WASI_ERRNO_BADF || e == __WASI_ERRNO_NOTDIR);
    ERRNO(__wasi_fd_close(file), SUCCESS);
    ERRNO(__wasi_path_filestat_get(0, 0, "x", &st), BADF);
    ERRNO(__wasi_path_filestat_get(777, 0, "x", &st), BADF);
    ERRNO(raw_path_filestat_get((int)dir, 0, BYTES("st\0"), (uintptr_t)&st), INVAL);
  }
  const int both = __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM;
  CASE("path_filestat_set_times", "both, to the nanosecond") {
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "st", 1000000001, 2000000002,
                                         (__wasi_fstflags_t)both),
          SUCCESS);
    ERRNO(stat_of("st", 0), SUCCESS);
    EQ(st.atim, 1000000001);
    EQ(st.mtim, 2000000002);
  }
  CASE("path_filestat_set_times", "one, now, none") {
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "st", 3, 0, __WASI_FSTFLAGS_ATIM), SUCCESS);
    ERRNO(stat_of("st", 0), SUCCESS);
    EQ(st.atim, 3);
    EQ(st.mtim, 2000000002);
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "st", 9, 9, 0), SUCCESS);
    ERRNO(stat_of("st", 0), SUCCESS);
    EQ(st.atim, 3);
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "st", 9, 9, __WASI_FSTFLAGS_MTIM_NOW), SUCCESS);
    ERRNO(stat_of("st", 0), SUCCESS);
    EQ(st.atim, 3);
    TRUE(st.mtim > 1672531200000000000);
  }
  CASE("path_filestat_set_times", "of a link, and of what it leads to") {
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "tost", 0, 5000000005, __WASI_FSTFLAGS_MTIM),
          SUCCESS);
    ERRNO(stat_of("tost", 0), SUCCESS);
    EQ(st.mtim, 5000000005);
    ERRNO(stat_of("st", 0), SUCCESS);
    TRUE(st.mtim != 5000000005);
    ERRNO(__wasi_path_filestat_set_times(dir, FOLLOW, "tost", 0, 6000000006, __WASI_FSTFLAGS_MTIM),
          SUCCESS);
    ERRNO(stat_of("st", 0), SUCCESS);
    EQ(st.mtim, 6000000006);
  }
  CASE("path_filestat_set_times", "of a directory") {
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "sub", 0, 7000000007, __WASI_FSTFLAGS_MTIM),
          SUCCESS);
    ERRNO(stat_of("sub", 0), SUCCESS);
    EQ(st.mtim, 7000000007);
  }
  CASE("path_filestat_set_times", "a time and now at once") {
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "st", 1, 1,
                                         __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW),
          INVAL);
  }
  CASE("path_filestat_set_times", "what is not there, outside") {
    const __wasi_fstflags_t m = __WASI_FSTFLAGS_MTIM;
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "missing", 0, 1, m), NOENT);
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "", 0, 1, m), NOENT);
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "../secret", 0, 1, m), PERM);
    ERRNO(__wasi_path_filestat_set_times(dir, FOLLOW, "leak", 0, 1, m), PERM);
    ERRNO(__wasi_path_filestat_set_times(dir, FOLLOW, "round", 0, 1, m), LOOP);
  }
  CASE("path_filestat_set_times", "in a stream, nothing; a NUL") {
    ERRNO(__wasi_path_filestat_set_times(0, 0, "st", 0, 1, __WASI_FSTFLAGS_MTIM), BADF);
    ERRNO(__wasi_path_filestat_set_times(777, 0, "st", 0, 1, __WASI_FSTFLAGS_MTIM), BADF);
    ERRNO(raw_path_filestat_set_times((int)dir, 0, BYTES("st\0"), 0, 1, __WASI_FSTFLAGS_MTIM),
          INVAL);
  }
}

int main(void) {
  MUST(__wasi_path_create_directory(kRoot, "n"));
  dir = open_dir(kRoot, "n");
  hard_links();
  symbolic_links();
  stats();
  return 0;
}
