// Standard streams: what they are, and reading and writing them.
//
//   streams pipe|file|null     standard input is a pipe with "first line\nsecond", a file with the
//                              same, or /dev/null
#include "check.h"
#include "raw.h"

static __wasi_fdstat_t fdstat;

static void input_text(int is_pipe) {
  char text[64];
  __wasi_size_t n = 0;
  CASE("fd_read", is_pipe ? "a pipe: in parts" : "a file as standard input: in parts") {
    ERRNO(read_text(0, text, 5, &n), SUCCESS);
    TEXT(text, n, "first");
  }
  CASE("fd_read", is_pipe ? "a pipe: no buffers take nothing"
                          : "a file as standard input: no buffers take nothing") {
    ERRNO(__wasi_fd_read(0, NULL, 0, &n), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_read", is_pipe ? "a pipe: the rest, then the end, and again"
                          : "a file as standard input: the rest, then the end, and again") {
    size_t size = 0;
    do {
      ERRNO(read_text(0, text + size, 60 - size, &n), SUCCESS);
      size += n;
    } while (n != 0 && size < 60);
    TEXT(text, size, " line\nsecond");
    ERRNO(read_text(0, text, 4, &n), SUCCESS);
    EQ(n, 0);
  }
}

int main(int argc, char** argv) {
  const char* input = argc > 1 ? argv[1] : "pipe";
  char text[64];
  __wasi_size_t n = 0;
  if (strcmp(input, "null") == 0) {
    CASE("fd_read", "nothing as standard input: the end at once") {
      ERRNO(read_text(0, text, sizeof text, &n), SUCCESS);
      EQ(n, 0);
    }
    return 0;
  }
  const int is_pipe = strcmp(input, "pipe") == 0;
  input_text(is_pipe);
  if (!is_pipe) {
    return 0;
  }
  __wasi_filestat_t stat;
  CASE("fd_fdstat_get", "standard streams that are no terminals are of no known type") {
    for (__wasi_fd_t fd = 0; fd < 3; ++fd) {
      ERRNO(__wasi_fd_fdstat_get(fd, &fdstat), SUCCESS);
      EQ(fdstat.fs_filetype, __WASI_FILETYPE_UNKNOWN);
    }
  }
  CASE("fd_fdstat_get", "standard input reads, output and error write") {
    ERRNO(__wasi_fd_fdstat_get(0, &fdstat), SUCCESS);
    EQ(fdstat.fs_rights_base & (READ | WRITE), READ);
    for (__wasi_fd_t fd = 1; fd < 3; ++fd) {
      ERRNO(__wasi_fd_fdstat_get(fd, &fdstat), SUCCESS);
      EQ(fdstat.fs_rights_base & (READ | WRITE), WRITE);
    }
  }
  CASE("fd_filestat_get", "standard streams have a type and no size") {
    for (__wasi_fd_t fd = 0; fd < 3; ++fd) {
      ERRNO(__wasi_fd_filestat_get(fd, &stat), SUCCESS);
      EQ(stat.filetype, __WASI_FILETYPE_UNKNOWN);
      EQ(stat.size, 0);
    }
  }
  CASE("fd_write", "to standard error") {
    ERRNO(write_text(2, "to standard error\n"), SUCCESS);
  }
  CASE("fd_write", "nothing to a stream") {
    ERRNO(write_text(1, ""), SUCCESS);
    ERRNO(__wasi_fd_write(1, NULL, 0, &n), SUCCESS);
  }
  CASE("fd_write", "to standard input") {
    ERRNO(write_text(0, "x"), BADF);
  }
  CASE("fd_read", "from standard output and error") {
    ERRNO(read_text(1, text, 4, &n), BADF);
    ERRNO(read_text(2, text, 4, &n), BADF);
  }
  CASE("fd_pread", "standard input has no positions") {
    __wasi_iovec_t iov = {(uint8_t*)text, 4};
    ERRNO(__wasi_fd_pread(0, &iov, 1, 0, &n), SPIPE);
  }
  CASE("fd_pwrite", "standard output has no positions") {
    __wasi_ciovec_t iov = {(const uint8_t*)"", 0};
    ERRNO(__wasi_fd_pwrite(1, &iov, 1, 0, &n), SPIPE);
  }
  CASE("fd_pread", "standard output cannot be read") {
    __wasi_iovec_t iov = {(uint8_t*)text, 4};
    ERRNO(__wasi_fd_pread(1, &iov, 1, 0, &n), BADF);
  }
  CASE("fd_pwrite", "standard input cannot be written") {
    __wasi_ciovec_t iov = {(const uint8_t*)"x", 1};
    ERRNO(__wasi_fd_pwrite(0, &iov, 1, 0, &n), BADF);
  }
  CASE("fd_fdstat_set_flags", "a standard stream") {
    ERRNO(__wasi_fd_fdstat_set_flags(0, __WASI_FDFLAGS_NONBLOCK), BADF);
    ERRNO(__wasi_fd_fdstat_set_flags(2, 0), BADF);
  }
  CASE("fd_fdstat_set_rights", "a standard stream") {
    ERRNO(__wasi_fd_fdstat_set_rights(0, READ, READ), BADF);
  }
  CASE("fd_filestat_set_size", "a standard stream") {
    ERRNO(__wasi_fd_filestat_set_size(1, 0), BADF);
  }
  CASE("fd_filestat_set_times", "a standard stream") {
    ERRNO(__wasi_fd_filestat_set_times(1, 0, 1, __WASI_FSTFLAGS_MTIM), BADF);
  }
  CASE("fd_sync", "a standard stream") {
    ERRNO(__wasi_fd_sync(1), BADF);
  }
  CASE("fd_datasync", "a standard stream") {
    ERRNO(__wasi_fd_datasync(1), BADF);
  }
  CASE("fd_advise", "a standard stream") {
    ERRNO(__wasi_fd_advise(0, 0, 0, 0), BADF);
  }
  CASE("fd_allocate", "a standard stream") {
    ERRNO(__wasi_fd_allocate(1, 0, 10), BADF);
  }
  CASE("sock_accept", "what is no socket, what is not open") {
    __wasi_fd_t fd = 0;
    ERRNO(__wasi_sock_accept(0, 0, &fd), NOTSOCK);
    ERRNO(__wasi_sock_accept(kRoot, 0, &fd), NOTSOCK);
    ERRNO(__wasi_sock_accept(777, 0, &fd), BADF);
  }
  CASE("sock_recv", "what is no socket, what is not open") {
    __wasi_iovec_t iov = {(uint8_t*)text, 4};
    __wasi_roflags_t flags = 0;
    ERRNO(__wasi_sock_recv(0, &iov, 1, 0, &n, &flags), NOTSOCK);
    ERRNO(__wasi_sock_recv(kRoot, &iov, 1, 0, &n, &flags), NOTSOCK);
    ERRNO(__wasi_sock_recv(777, &iov, 1, 0, &n, &flags), BADF);
  }
  CASE("sock_send", "what is no socket, what is not open") {
    __wasi_ciovec_t iov = {(const uint8_t*)"x", 1};
    ERRNO(__wasi_sock_send(1, &iov, 1, 0, &n), NOTSOCK);
    ERRNO(__wasi_sock_send(kRoot, &iov, 1, 0, &n), NOTSOCK);
    ERRNO(__wasi_sock_send(777, &iov, 1, 0, &n), BADF);
  }
  CASE("sock_shutdown", "what is no socket, what is not open") {
    ERRNO(__wasi_sock_shutdown(1, __WASI_SDFLAGS_WR), NOTSOCK);
    ERRNO(__wasi_sock_shutdown(kRoot, __WASI_SDFLAGS_WR), NOTSOCK);
    ERRNO(__wasi_sock_shutdown(777, __WASI_SDFLAGS_WR), BADF);
  }
  CASE("fd_renumber", "a file becomes standard input") {
    put_file(kRoot, "input", "from a file");
    __wasi_fd_t fd = open_in(kRoot, "input", 0, READ, 0);
    ERRNO(__wasi_fd_renumber(fd, 0), SUCCESS);
    ERRNO(read_text(0, text, sizeof text, &n), SUCCESS);
    TEXT(text, n, "from a file");
    ERRNO(__wasi_fd_fdstat_get(0, &fdstat), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_REGULAR_FILE);
  }
  CASE("fd_close", "standard error") {
    ERRNO(__wasi_fd_close(2), SUCCESS);
    ERRNO(__wasi_fd_close(2), BADF);
    ERRNO(write_text(2, "x"), BADF);
  }
  CASE("path_open", "takes the number of a standard stream that was closed") {
    __wasi_fd_t fd = open_in(kRoot, "input", 0, READ, 0);
    EQ(fd, 2);
  }
  return 0;
}
