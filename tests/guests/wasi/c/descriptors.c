// Descriptors and what they say of themselves: fd_close, fd_renumber, fd_prestat_*, fd_fdstat_*,
// fd_filestat_*, fd_advise, fd_allocate, fd_sync, fd_datasync.
#include "check.h"
#include "raw.h"

static __wasi_fdstat_t fdstat;
static __wasi_filestat_t filestat;

static int get_fdstat(__wasi_fd_t fd) {
  memset(&fdstat, 0, sizeof fdstat);
  return __wasi_fd_fdstat_get(fd, &fdstat);
}
static int get_stat(__wasi_fd_t fd) {
  memset(&filestat, 0, sizeof filestat);
  return __wasi_fd_filestat_get(fd, &filestat);
}
static int close_fd(__wasi_fd_t fd) {
  return __wasi_fd_close(fd);
}

static void numbers(__wasi_fd_t dir) {
  char text[16];
  __wasi_size_t n = 0;
  put_file(dir, "a", "aaa");
  put_file(dir, "b", "bbb");
  CASE("fd_close", "a file, a directory") {
    __wasi_fd_t file = open_in(dir, "a", 0, READ, 0);
    __wasi_fd_t folder = open_dir(kRoot, "d");
    ERRNO(close_fd(file), SUCCESS);
    ERRNO(close_fd(folder), SUCCESS);
  }
  CASE("fd_close", "twice") {
    __wasi_fd_t file = open_in(dir, "a", 0, READ, 0);
    ERRNO(close_fd(file), SUCCESS);
    ERRNO(close_fd(file), BADF);
    ERRNO(read_text(file, text, 4, &n), BADF);
  }
  CASE("fd_close", "numbers that never were") {
    ERRNO(close_fd(777), BADF);
    ERRNO(close_fd(0x7fffffff), BADF);
    ERRNO(close_fd((__wasi_fd_t)-1), BADF);
  }
  CASE("fd_close", "a number is given out again") {
    __wasi_fd_t one = open_in(dir, "a", 0, READ, 0);
    ERRNO(close_fd(one), SUCCESS);
    __wasi_fd_t two = open_in(dir, "b", 0, READ, 0);
    EQ(two, one);
    ERRNO(close_fd(two), SUCCESS);
  }
  CASE("fd_close", "the lowest free number first") {
    __wasi_fd_t one = open_in(dir, "a", 0, READ, 0);
    __wasi_fd_t two = open_in(dir, "a", 0, READ, 0);
    __wasi_fd_t three = open_in(dir, "a", 0, READ, 0);
    EQ(two, one + 1);
    EQ(three, one + 2);
    ERRNO(close_fd(one), SUCCESS);
    ERRNO(close_fd(two), SUCCESS);
    EQ(open_in(dir, "a", 0, READ, 0), one);
    ERRNO(close_fd(one), SUCCESS);
    ERRNO(close_fd(three), SUCCESS);
  }
  CASE("fd_close", "an unlinked file stays until then") {
    put_file(dir, "gone", "still here");
    __wasi_fd_t file = open_in(dir, "gone", 0, READ, 0);
    ERRNO(__wasi_path_unlink_file(dir, "gone"), SUCCESS);
    ERRNO(read_text(file, text, sizeof text, &n), SUCCESS);
    TEXT(text, n, "still here");
    ERRNO(get_stat(file), SUCCESS);
    EQ(filestat.nlink, 0);
    ERRNO(close_fd(file), SUCCESS);
  }

  CASE("fd_renumber", "the old number is free, the new one is the file") {
    __wasi_fd_t from = open_in(dir, "a", 0, READ, 0);
    __wasi_fd_t to = open_in(dir, "b", 0, READ, 0);
    ERRNO(__wasi_fd_renumber(from, to), SUCCESS);
    ERRNO(read_text(from, text, 4, &n), BADF);
    ERRNO(read_text(to, text, 4, &n), SUCCESS);
    TEXT(text, n, "aaa");
    ERRNO(close_fd(to), SUCCESS);
    ERRNO(close_fd(from), BADF);
  }
  CASE("fd_renumber", "the position goes along") {
    __wasi_fd_t from = open_in(dir, "a", 0, READ, 0);
    __wasi_fd_t to = open_in(dir, "b", 0, READ, 0);
    ERRNO(read_text(from, text, 1, &n), SUCCESS);
    ERRNO(__wasi_fd_renumber(from, to), SUCCESS);
    ERRNO(read_text(to, text, 4, &n), SUCCESS);
    TEXT(text, n, "aa");
    ERRNO(close_fd(to), SUCCESS);
  }
  CASE("fd_renumber", "onto itself") {
    __wasi_fd_t file = open_in(dir, "a", 0, READ, 0);
    ERRNO(__wasi_fd_renumber(file, file), SUCCESS);
    ERRNO(read_text(file, text, 4, &n), SUCCESS);
    TEXT(text, n, "aaa");
    ERRNO(close_fd(file), SUCCESS);
  }
  CASE("fd_renumber", "a directory onto a file") {
    __wasi_fd_t folder = open_dir(kRoot, "d");
    __wasi_fd_t file = open_in(dir, "a", 0, READ, 0);
    ERRNO(__wasi_fd_renumber(folder, file), SUCCESS);
    ERRNO(get_fdstat(file), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_DIRECTORY);
    ERRNO(close_fd(file), SUCCESS);
  }
  CASE("fd_renumber", "one that is not open") {
    __wasi_fd_t file = open_in(dir, "a", 0, READ, 0);
    ERRNO(__wasi_fd_renumber(file, 777), BADF);
    ERRNO(__wasi_fd_renumber(777, file), BADF);
    ERRNO(__wasi_fd_renumber(777, 777), BADF);
    ERRNO(read_text(file, text, 4, &n), SUCCESS);
    ERRNO(close_fd(file), SUCCESS);
  }
}

static void preopens(__wasi_fd_t dir) {
  char text[16] = "................";
  __wasi_prestat_t prestat;
  memset(&prestat, 0xff, sizeof prestat);
  CASE("fd_prestat_get", "a preopened directory: how long its name is") {
    ERRNO(__wasi_fd_prestat_get(kRoot, &prestat), SUCCESS);
    EQ(prestat.tag, 0);
    EQ(prestat.u.dir.pr_name_len, 1);
    ERRNO(__wasi_fd_prestat_get(kRoot + 1, &prestat), SUCCESS);
    EQ(prestat.u.dir.pr_name_len, 12);
  }
  CASE("fd_prestat_get", "the end of the preopens") {
    ERRNO(__wasi_fd_prestat_get(777, &prestat), BADF);
  }
  CASE("fd_prestat_get", "an opened directory, a file, a stream") {
    __wasi_fd_t file = open_in(dir, "a", 0, READ, 0);
    ERRNO(__wasi_fd_prestat_get(dir, &prestat), BADF);
    ERRNO(__wasi_fd_prestat_get(file, &prestat), BADF);
    ERRNO(__wasi_fd_prestat_get(0, &prestat), BADF);
    ERRNO(close_fd(file), SUCCESS);
  }
  CASE("fd_prestat_dir_name", "the name, without a terminator") {
    ERRNO(__wasi_fd_prestat_dir_name(kRoot, (uint8_t*)text, 1), SUCCESS);
    TEXT(text, 2, "/.");
    ERRNO(__wasi_fd_prestat_dir_name(kRoot + 1, (uint8_t*)text, 12), SUCCESS);
    TEXT(text, 13, "/other/place.");
  }
  CASE("fd_prestat_dir_name", "more room than the name takes") {
    memset(text, '.', sizeof text);
    ERRNO(__wasi_fd_prestat_dir_name(kRoot, (uint8_t*)text, 16), SUCCESS);
    TEXT(text, 4, "/...");
  }
  CASE("fd_prestat_dir_name", "less room") {
    ERRNO(__wasi_fd_prestat_dir_name(kRoot + 1, (uint8_t*)text, 11), NAMETOOLONG);
    ERRNO(__wasi_fd_prestat_dir_name(kRoot, (uint8_t*)text, 0), NAMETOOLONG);
  }
  CASE("fd_prestat_dir_name", "no preopen") {
    ERRNO(__wasi_fd_prestat_dir_name(dir, (uint8_t*)text, 8), NOTDIR);
    ERRNO(__wasi_fd_prestat_dir_name(0, (uint8_t*)text, 8), NOTDIR);
  }
  CASE("fd_prestat_dir_name", "not open") {
    ERRNO(__wasi_fd_prestat_dir_name(777, (uint8_t*)text, 8), BADF);
  }
}

static void state(__wasi_fd_t dir) {
  __wasi_fd_t rdwr = open_in(dir, "a", 0, READ | WRITE, 0);
  __wasi_fd_t rdonly = open_in(dir, "a", 0, READ, 0);
  __wasi_fd_t wronly = open_in(dir, "a", 0, WRITE, 0);
  CASE("fd_fdstat_get", "a file") {
    ERRNO(get_fdstat(rdwr), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_REGULAR_FILE);
    EQ(fdstat.fs_flags, 0);
  }
  CASE("fd_fdstat_get", "rights tell what it was opened for") {
    ERRNO(get_fdstat(rdwr), SUCCESS);
    EQ(fdstat.fs_rights_base & (READ | WRITE), READ | WRITE);
    ERRNO(get_fdstat(rdonly), SUCCESS);
    EQ(fdstat.fs_rights_base & (READ | WRITE), READ);
    ERRNO(get_fdstat(wronly), SUCCESS);
    EQ(fdstat.fs_rights_base & (READ | WRITE), WRITE);
  }
  CASE("fd_fdstat_get", "a directory") {
    ERRNO(get_fdstat(dir), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_DIRECTORY);
    TRUE(fdstat.fs_rights_base & __WASI_RIGHTS_FD_READDIR);
    TRUE(fdstat.fs_rights_base & __WASI_RIGHTS_PATH_OPEN);
    ERRNO(get_fdstat(kRoot), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_DIRECTORY);
    TRUE(fdstat.fs_rights_inheriting & WRITE);
  }
  CASE("fd_fdstat_get", "a directory cannot be read, written or sought as a file") {
    ERRNO(get_fdstat(dir), SUCCESS);
    EQ(fdstat.fs_rights_base & (WRITE | __WASI_RIGHTS_FD_SEEK), 0);
  }
  CASE("fd_fdstat_get", "an opened directory says that files in it can be written") {
    ERRNO(get_fdstat(dir), SUCCESS);
    TRUE(fdstat.fs_rights_inheriting & WRITE);
  }
  CASE("fd_fdstat_get", "not open") {
    ERRNO(get_fdstat(777), BADF);
  }
  CASE("fd_fdstat_get", "flags given at opening") {
    __wasi_fd_t append = open_in(dir, "a", 0, WRITE, __WASI_FDFLAGS_APPEND);
    ERRNO(get_fdstat(append), SUCCESS);
    EQ(fdstat.fs_flags, __WASI_FDFLAGS_APPEND);
    ERRNO(close_fd(append), SUCCESS);
    __wasi_fd_t nonblock =
        open_in(dir, "a", 0, WRITE, __WASI_FDFLAGS_APPEND | __WASI_FDFLAGS_NONBLOCK);
    ERRNO(get_fdstat(nonblock), SUCCESS);
    EQ(fdstat.fs_flags, __WASI_FDFLAGS_APPEND | __WASI_FDFLAGS_NONBLOCK);
    ERRNO(close_fd(nonblock), SUCCESS);
  }
  CASE("fd_fdstat_set_flags", "append, and back") {
    put_file(dir, "log", "one");
    __wasi_fd_t log = open_in(dir, "log", 0, WRITE, 0);
    ERRNO(__wasi_fd_fdstat_set_flags(log, __WASI_FDFLAGS_APPEND), SUCCESS);
    ERRNO(get_fdstat(log), SUCCESS);
    EQ(fdstat.fs_flags, __WASI_FDFLAGS_APPEND);
    ERRNO(write_text(log, "two"), SUCCESS);
    FILE_IS(dir, "log", "onetwo");
    ERRNO(__wasi_fd_fdstat_set_flags(log, 0), SUCCESS);
    ERRNO(get_fdstat(log), SUCCESS);
    EQ(fdstat.fs_flags, 0);
    __wasi_filesize_t at = 0;
    ERRNO(__wasi_fd_seek(log, 0, __WASI_WHENCE_SET, &at), SUCCESS);
    ERRNO(write_text(log, "ONE"), SUCCESS);
    FILE_IS(dir, "log", "ONEtwo");
    ERRNO(close_fd(log), SUCCESS);
  }
  CASE("fd_fdstat_set_flags", "nonblock, and back") {
    ERRNO(__wasi_fd_fdstat_set_flags(rdwr, __WASI_FDFLAGS_NONBLOCK), SUCCESS);
    ERRNO(get_fdstat(rdwr), SUCCESS);
    EQ(fdstat.fs_flags, __WASI_FDFLAGS_NONBLOCK);
    ERRNO(__wasi_fd_fdstat_set_flags(rdwr, 0), SUCCESS);
    ERRNO(get_fdstat(rdwr), SUCCESS);
    EQ(fdstat.fs_flags, 0);
  }
  CASE("fd_fdstat_set_flags", "of this descriptor alone") {
    ERRNO(__wasi_fd_fdstat_set_flags(rdwr, __WASI_FDFLAGS_APPEND), SUCCESS);
    ERRNO(get_fdstat(wronly), SUCCESS);
    EQ(fdstat.fs_flags, 0);
    ERRNO(__wasi_fd_fdstat_set_flags(rdwr, 0), SUCCESS);
  }
  CASE("fd_fdstat_set_flags", "those that can only be given at opening") {
    ERRNO(__wasi_fd_fdstat_set_flags(rdwr, __WASI_FDFLAGS_DSYNC), INVAL);
    ERRNO(__wasi_fd_fdstat_set_flags(rdwr, __WASI_FDFLAGS_SYNC), INVAL);
    ERRNO(__wasi_fd_fdstat_set_flags(rdwr, __WASI_FDFLAGS_RSYNC), INVAL);
  }
  CASE("fd_fdstat_set_flags", "a directory, not open") {
    ERRNO(__wasi_fd_fdstat_set_flags(dir, 0), BADF);
    ERRNO(__wasi_fd_fdstat_set_flags(777, 0), BADF);
  }
  CASE("fd_fdstat_set_rights", "is not supported") {
    ERRNO(__wasi_fd_fdstat_set_rights(rdwr, READ, READ), NOTSUP);
    ERRNO(__wasi_fd_fdstat_set_rights(dir, READ, READ), NOTSUP);
  }
  CASE("fd_fdstat_set_rights", "not open") {
    ERRNO(__wasi_fd_fdstat_set_rights(777, READ, READ), BADF);
  }
  MUST(close_fd(rdwr));
  MUST(close_fd(rdonly));
  MUST(close_fd(wronly));
}

static void attributes(__wasi_fd_t dir) {
  put_file(dir, "file", "0123456789");
  __wasi_fd_t fd = open_in(dir, "file", 0, READ | WRITE, 0);
  __wasi_fd_t rdonly = open_in(dir, "file", 0, READ, 0);
  CASE("fd_filestat_get", "a file") {
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.filetype, __WASI_FILETYPE_REGULAR_FILE);
    EQ(filestat.size, 10);
    EQ(filestat.nlink, 1);
    TRUE(filestat.ino != 0);
    TRUE(filestat.mtim > 1672531200000000000);
  }
  CASE("fd_filestat_get", "the same file by another descriptor and by its path") {
    const __wasi_inode_t ino = filestat.ino;
    const __wasi_device_t dev = filestat.dev;
    ERRNO(get_stat(rdonly), SUCCESS);
    EQ(filestat.ino, ino);
    EQ(filestat.dev, dev);
    ERRNO(__wasi_path_filestat_get(dir, 0, "file", &filestat), SUCCESS);
    EQ(filestat.ino, ino);
  }
  CASE("fd_filestat_get", "another file is another inode") {
    const __wasi_inode_t ino = filestat.ino;
    ERRNO(__wasi_path_filestat_get(dir, 0, "a", &filestat), SUCCESS);
    TRUE(filestat.ino != ino);
  }
  CASE("fd_filestat_get", "a directory") {
    ERRNO(get_stat(dir), SUCCESS);
    EQ(filestat.filetype, __WASI_FILETYPE_DIRECTORY);
    ERRNO(get_stat(kRoot), SUCCESS);
    EQ(filestat.filetype, __WASI_FILETYPE_DIRECTORY);
  }
  CASE("fd_filestat_get", "links are counted") {
    ERRNO(__wasi_path_link(dir, 0, "file", dir, "second"), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.nlink, 2);
    ERRNO(__wasi_path_unlink_file(dir, "second"), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.nlink, 1);
  }
  CASE("fd_filestat_get", "the size is seen at once") {
    __wasi_fd_t append = open_in(dir, "file", 0, WRITE, __WASI_FDFLAGS_APPEND);
    ERRNO(write_text(append, "x"), SUCCESS);
    ERRNO(get_stat(rdonly), SUCCESS);
    EQ(filestat.size, 11);
    ERRNO(close_fd(append), SUCCESS);
  }
  CASE("fd_filestat_get", "not open") {
    ERRNO(get_stat(777), BADF);
  }
  put_file(dir, "file", "0123456789");
  CASE("fd_filestat_set_size", "shorter") {
    ERRNO(__wasi_fd_filestat_set_size(fd, 4), SUCCESS);
    FILE_IS(dir, "file", "0123");
  }
  CASE("fd_filestat_set_size", "longer: zeros") {
    ERRNO(__wasi_fd_filestat_set_size(fd, 6), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.size, 6);
    char text[8];
    __wasi_size_t n = 0;
    __wasi_iovec_t iov = {(uint8_t*)text, 8};
    ERRNO(__wasi_fd_pread(fd, &iov, 1, 0, &n), SUCCESS);
    EQ(n, 6);
    TRUE(memcmp(text, "0123\0\0", 6) == 0);
  }
  CASE("fd_filestat_set_size", "nothing, and the same again") {
    ERRNO(__wasi_fd_filestat_set_size(fd, 0), SUCCESS);
    ERRNO(__wasi_fd_filestat_set_size(fd, 0), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.size, 0);
  }
  CASE("fd_filestat_set_size", "leaves the position") {
    __wasi_filesize_t at = 0;
    ERRNO(__wasi_fd_seek(fd, 7, __WASI_WHENCE_SET, &at), SUCCESS);
    ERRNO(__wasi_fd_filestat_set_size(fd, 3), SUCCESS);
    ERRNO(__wasi_fd_tell(fd, &at), SUCCESS);
    EQ(at, 7);
  }
  CASE("fd_filestat_set_size", "a size that no file has") {
    ERRNO(__wasi_fd_filestat_set_size(fd, UINT64_MAX), INVAL);
  }
  CASE("fd_filestat_set_size", "open for reading alone") {
    ERRNO(__wasi_fd_filestat_set_size(rdonly, 1), INVAL);
  }
  CASE("fd_filestat_set_size", "a directory, not open") {
    ERRNO(__wasi_fd_filestat_set_size(dir, 1), BADF);
    ERRNO(__wasi_fd_filestat_set_size(777, 1), BADF);
  }

  CASE("fd_filestat_set_times", "both, to the nanosecond") {
    ERRNO(__wasi_fd_filestat_set_times(fd, 1000000001, 2000000002,
                                       __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM),
          SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.atim, 1000000001);
    EQ(filestat.mtim, 2000000002);
  }
  CASE("fd_filestat_set_times", "one, and the other stays") {
    ERRNO(__wasi_fd_filestat_set_times(fd, 5, 3000000003, __WASI_FSTFLAGS_MTIM), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.atim, 1000000001);
    EQ(filestat.mtim, 3000000003);
    ERRNO(__wasi_fd_filestat_set_times(fd, 4000000004, 5, __WASI_FSTFLAGS_ATIM), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.atim, 4000000004);
    EQ(filestat.mtim, 3000000003);
  }
  CASE("fd_filestat_set_times", "none") {
    ERRNO(__wasi_fd_filestat_set_times(fd, 5, 5, 0), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.atim, 4000000004);
    EQ(filestat.mtim, 3000000003);
  }
  CASE("fd_filestat_set_times", "now") {
    ERRNO(
        __wasi_fd_filestat_set_times(fd, 5, 5, __WASI_FSTFLAGS_ATIM_NOW | __WASI_FSTFLAGS_MTIM_NOW),
        SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    TRUE(filestat.atim > 1672531200000000000);
    TRUE(filestat.mtim > 1672531200000000000);
  }
  CASE("fd_filestat_set_times", "a time and now at once") {
    ERRNO(__wasi_fd_filestat_set_times(fd, 5, 5, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW),
          INVAL);
    ERRNO(__wasi_fd_filestat_set_times(fd, 5, 5, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW),
          INVAL);
  }
  CASE("fd_filestat_set_times", "a file that is open for reading alone") {
    ERRNO(__wasi_fd_filestat_set_times(rdonly, 0, 7000000007, __WASI_FSTFLAGS_MTIM), SUCCESS);
    ERRNO(get_stat(rdonly), SUCCESS);
    EQ(filestat.mtim, 7000000007);
  }
  CASE("fd_filestat_set_times", "a directory") {
    ERRNO(__wasi_fd_filestat_set_times(dir, 0, 8000000008, __WASI_FSTFLAGS_MTIM), SUCCESS);
    ERRNO(get_stat(dir), SUCCESS);
    EQ(filestat.mtim, 8000000008);
  }
  CASE("fd_filestat_set_times", "not open") {
    ERRNO(__wasi_fd_filestat_set_times(777, 0, 0, 0), BADF);
  }

  CASE("fd_advise", "every advice") {
    for (int advice = 0; advice < 6; ++advice) {
      ERRNO(__wasi_fd_advise(fd, 0, 10, (__wasi_advice_t)advice), SUCCESS);
    }
  }
  CASE("fd_advise", "behind the end, about everything") {
    ERRNO(__wasi_fd_advise(fd, 1000000, 10, 0), SUCCESS);
    ERRNO(__wasi_fd_advise(fd, 0, 0, 0), SUCCESS);
  }
  CASE("fd_advise", "about what no file has") {
    ERRNO(__wasi_fd_advise(fd, UINT64_MAX, 10, 0), SUCCESS);
    ERRNO(__wasi_fd_advise(fd, 0, UINT64_MAX, 0), INVAL);
  }
  CASE("fd_advise", "a directory, not open") {
    ERRNO(__wasi_fd_advise(dir, 0, 10, 0), BADF);
    ERRNO(__wasi_fd_advise(777, 0, 10, 0), BADF);
  }
  put_file(dir, "file", "0123456789");
  CASE("fd_allocate", "makes the file longer") {
    ERRNO(__wasi_fd_allocate(fd, 0, 100), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.size, 100);
  }
  CASE("fd_allocate", "never shorter, and keeps what is there") {
    ERRNO(__wasi_fd_allocate(fd, 0, 5), SUCCESS);
    ERRNO(get_stat(fd), SUCCESS);
    EQ(filestat.size, 100);
    char text[11];
    __wasi_size_t n = 0;
    __wasi_iovec_t iov = {(uint8_t*)text, 10};
    ERRNO(__wasi_fd_pread(fd, &iov, 1, 0, &n), SUCCESS);
    TEXT(text, n, "0123456789");
  }
  CASE("fd_allocate", "no bytes, and more than there can be") {
    ERRNO(__wasi_fd_allocate(fd, 0, 0), INVAL);
    ERRNO(__wasi_fd_allocate(fd, 0, UINT64_MAX), INVAL);
  }
  CASE("fd_allocate", "open for reading alone") {
    ERRNO(__wasi_fd_allocate(rdonly, 0, 1000), BADF);
  }
  CASE("fd_allocate", "a directory, not open") {
    ERRNO(__wasi_fd_allocate(dir, 0, 10), BADF);
    ERRNO(__wasi_fd_allocate(777, 0, 10), BADF);
  }
  CASE("fd_sync", "a file") {
    ERRNO(__wasi_fd_sync(fd), SUCCESS);
    ERRNO(__wasi_fd_sync(rdonly), SUCCESS);
  }
  CASE("fd_sync", "a directory, not open") {
    ERRNO(__wasi_fd_sync(dir), BADF);
    ERRNO(__wasi_fd_sync(777), BADF);
  }
  CASE("fd_datasync", "a file") {
    ERRNO(__wasi_fd_datasync(fd), SUCCESS);
    ERRNO(__wasi_fd_datasync(rdonly), SUCCESS);
  }
  CASE("fd_datasync", "a directory, not open") {
    ERRNO(__wasi_fd_datasync(dir), BADF);
    ERRNO(__wasi_fd_datasync(777), BADF);
  }
  MUST(close_fd(fd));
  MUST(close_fd(rdonly));
}

int main(void) {
  MUST(__wasi_path_create_directory(kRoot, "d"));
  const __wasi_fd_t dir = open_dir(kRoot, "d");
  numbers(dir);
  preopens(dir);
  state(dir);
  attributes(dir);
  CASE("fd_close", "a preopen") {
    ERRNO(close_fd(kRoot + 1), SUCCESS);
    ERRNO(close_fd(kRoot + 1), BADF);
    __wasi_prestat_t prestat;
    ERRNO(__wasi_fd_prestat_get(kRoot + 1, &prestat), BADF);
    ERRNO(__wasi_fd_prestat_get(kRoot, &prestat), SUCCESS);
  }
  CASE("fd_renumber", "a preopen away") {
    __wasi_fd_t file = open_in(dir, "a", 0, READ, 0);
    ERRNO(__wasi_fd_renumber(kRoot, file), SUCCESS);
    __wasi_prestat_t prestat;
    ERRNO(__wasi_fd_prestat_get(kRoot, &prestat), BADF);
    ERRNO(get_fdstat(file), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_DIRECTORY);
  }
  return 0;
}
