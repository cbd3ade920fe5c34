// A read-only directory: everything that would change something is refused, everything else works.
// The directory has "file" (10 bytes), "folder/inner", "link" to file.
#include "check.h"
#include "raw.h"

int main(void) {
  const __wasi_fd_t dir = kRoot;
  __wasi_fd_t fd = 0;
  CASE("path_open", "read-only: reading") {
    FILE_IS(dir, "file", "0123456789");
    FILE_IS(dir, "folder/inner", "inner");
  }
  CASE("path_open", "read-only: writing, creating, emptying") {
    ERRNO(__wasi_path_open(dir, 0, "file", 0, WRITE, WRITE, 0, &fd), PERM);
    ERRNO(__wasi_path_open(dir, 0, "file", 0, READ | WRITE, READ | WRITE, 0, &fd), PERM);
    ERRNO(__wasi_path_open(dir, 0, "new", CREAT, READ, READ, 0, &fd), PERM);
    ERRNO(__wasi_path_open(dir, 0, "new", CREAT | EXCL, WRITE, WRITE, 0, &fd), PERM);
    ERRNO(__wasi_path_open(dir, 0, "file", TRUNC, READ, READ, 0, &fd), PERM);
    FILE_IS(dir, "file", "0123456789");
  }
  CASE("path_open", "read-only: beneath a directory that was opened") {
    __wasi_fd_t folder = open_dir(dir, "folder");
    ERRNO(__wasi_path_open(folder, 0, "inner", 0, WRITE, WRITE, 0, &fd), PERM);
    ERRNO(__wasi_path_open(folder, 0, "new", CREAT, WRITE, WRITE, 0, &fd), PERM);
    ERRNO(__wasi_fd_close(folder), SUCCESS);
  }
  CASE("fd_readdir", "read-only: lists") {
    static uint8_t buffer[1024];
    __wasi_size_t used = 0;
    ERRNO(__wasi_fd_readdir(dir, buffer, sizeof buffer, 0, &used), SUCCESS);
    TRUE(used > 100);
  }
  CASE("path_filestat_get", "read-only: tells") {
    __wasi_filestat_t stat;
    ERRNO(__wasi_path_filestat_get(dir, 0, "file", &stat), SUCCESS);
    EQ(stat.size, 10);
  }
  CASE("path_readlink", "read-only: reads") {
    uint8_t target[16];
    __wasi_size_t size = 0;
    ERRNO(__wasi_path_readlink(dir, "link", target, sizeof target, &size), SUCCESS);
    TEXT(target, size, "file");
  }
  CASE("path_create_directory", "read-only") {
    ERRNO(__wasi_path_create_directory(dir, "new"), PERM);
  }
  CASE("path_remove_directory", "read-only") {
    ERRNO(__wasi_path_remove_directory(dir, "folder"), PERM);
  }
  CASE("path_unlink_file", "read-only") {
    ERRNO(__wasi_path_unlink_file(dir, "file"), PERM);
  }
  CASE("path_rename", "read-only") {
    ERRNO(__wasi_path_rename(dir, "file", dir, "renamed"), PERM);
  }
  CASE("path_rename", "read-only: into and out of it") {
    put_file(kRoot + 1, "other", "o");
    ERRNO(__wasi_path_rename(dir, "file", kRoot + 1, "stolen"), PERM);
    ERRNO(__wasi_path_rename(kRoot + 1, "other", dir, "planted"), PERM);
  }
  CASE("path_link", "read-only") {
    ERRNO(__wasi_path_link(dir, 0, "file", dir, "second"), PERM);
  }
  CASE("path_link", "read-only: into and out of it") {
    ERRNO(__wasi_path_link(dir, 0, "file", kRoot + 1, "stolen"), PERM);
    ERRNO(__wasi_path_link(kRoot + 1, 0, "other", dir, "planted"), PERM);
  }
  CASE("path_symlink", "read-only") {
    ERRNO(__wasi_path_symlink("file", dir, "new"), PERM);
  }
  CASE("path_filestat_set_times", "read-only") {
    ERRNO(__wasi_path_filestat_set_times(dir, 0, "file", 1, 1, __WASI_FSTFLAGS_MTIM), PERM);
  }
  fd = open_in(dir, "file", 0, READ, 0);
  CASE("fd_write", "read-only: a file of it") {
    ERRNO(write_text(fd, "x"), BADF);
  }
  CASE("fd_filestat_set_size", "read-only: a file of it") {
    ERRNO(__wasi_fd_filestat_set_size(fd, 0), PERM);
  }
  CASE("fd_filestat_set_times", "read-only: a file of it, the directory itself") {
    ERRNO(__wasi_fd_filestat_set_times(fd, 1, 1, __WASI_FSTFLAGS_MTIM), PERM);
    ERRNO(__wasi_fd_filestat_set_times(dir, 1, 1, __WASI_FSTFLAGS_MTIM), PERM);
  }
  CASE("fd_fdstat_get", "read-only: a file of it says that it cannot be written") {
    __wasi_fdstat_t stat;
    ERRNO(__wasi_fd_fdstat_get(fd, &stat), SUCCESS);
    EQ(stat.fs_rights_base & (READ | WRITE), READ);
  }
  return 0;
}
