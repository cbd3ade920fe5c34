// Reading, writing and positions: fd_read, fd_write, fd_pread, fd_pwrite, fd_seek, fd_tell on
// files.
#include "check.h"
#include "raw.h"

static __wasi_filesize_t at;
static __wasi_size_t n;

static int seek(__wasi_fd_t fd, int64_t offset, int whence) {
  at = 0;
  return raw_fd_seek((int)fd, offset, whence, (uintptr_t)&at);
}
static int tell(__wasi_fd_t fd) {
  at = 0;
  return __wasi_fd_tell(fd, &at);
}
static int pread(__wasi_fd_t fd, char* text, __wasi_size_t size, uint64_t offset) {
  __wasi_iovec_t iov = {(uint8_t*)text, size};
  n = 0;
  return __wasi_fd_pread(fd, &iov, 1, offset, &n);
}
static int pwrite(__wasi_fd_t fd, const char* text, uint64_t offset) {
  __wasi_ciovec_t iov = {(const uint8_t*)text, strlen(text)};
  n = 0;
  return __wasi_fd_pwrite(fd, &iov, 1, offset, &n);
}

static void reading(__wasi_fd_t dir) {
  char text[64];
  put_file(dir, "file", "0123456789");
  __wasi_fd_t fd = open_in(dir, "file", 0, READ, 0);
  CASE("fd_read", "from the start, and goes on") {
    ERRNO(read_text(fd, text, 4, &n), SUCCESS);
    TEXT(text, n, "0123");
    ERRNO(read_text(fd, text, 4, &n), SUCCESS);
    TEXT(text, n, "4567");
  }
  CASE("fd_read", "what is left, then the end") {
    ERRNO(read_text(fd, text, 4, &n), SUCCESS);
    TEXT(text, n, "89");
    ERRNO(read_text(fd, text, 4, &n), SUCCESS);
    EQ(n, 0);
    ERRNO(read_text(fd, text, 4, &n), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_read", "what was appended after the end was read") {
    __wasi_fd_t other = open_in(dir, "file", 0, WRITE, __WASI_FDFLAGS_APPEND);
    ERRNO(write_text(other, "ab"), SUCCESS);
    ERRNO(__wasi_fd_close(other), SUCCESS);
    ERRNO(read_text(fd, text, 4, &n), SUCCESS);
    TEXT(text, n, "ab");
  }
  CASE("fd_read", "no buffers, empty buffers") {
    ERRNO(__wasi_fd_read(fd, NULL, 0, &n), SUCCESS);
    EQ(n, 0);
    __wasi_iovec_t empty[2] = {{(uint8_t*)text, 0}, {(uint8_t*)text, 0}};
    ERRNO(__wasi_fd_read(fd, empty, 2, &n), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_read", "into several buffers, empty ones between") {
    ERRNO(seek(fd, 0, 0), SUCCESS);
    memset(text, '.', sizeof text);
    __wasi_iovec_t several[] = {{(uint8_t*)text, 0},
                                {(uint8_t*)text, 2},
                                {(uint8_t*)text + 4, 0},
                                {(uint8_t*)text + 4, 3},
                                {(uint8_t*)text + 9, 1}};
    ERRNO(__wasi_fd_read(fd, several, 5, &n), SUCCESS);
    EQ(n, 6);
    TEXT(text, 11, "01..234..5.");
  }
  CASE("fd_read", "leaves what is behind the bytes that it read") {
    ERRNO(seek(fd, 10, 0), SUCCESS);
    memset(text, '.', sizeof text);
    ERRNO(read_text(fd, text, 8, &n), SUCCESS);
    TEXT(text, 8, "ab......");
  }
  CASE("fd_read", "a hole is zeros") {
    __wasi_fd_t hole = open_in(dir, "hole", CREAT, READ | WRITE, 0);
    ERRNO(seek(hole, 1000000, 0), SUCCESS);
    ERRNO(write_text(hole, "x"), SUCCESS);
    ERRNO(seek(hole, 999997, 0), SUCCESS);
    ERRNO(read_text(hole, text, 8, &n), SUCCESS);
    EQ(n, 4);
    TRUE(memcmp(text, "\0\0\0x", 4) == 0);
    ERRNO(__wasi_fd_close(hole), SUCCESS);
  }
  CASE("fd_read", "open for writing alone") {
    __wasi_fd_t writes = open_in(dir, "file", 0, WRITE, 0);
    ERRNO(read_text(writes, text, 4, &n), BADF);
    ERRNO(__wasi_fd_close(writes), SUCCESS);
  }
  CASE("fd_read", "a directory") {
    ERRNO(read_text(dir, text, 4, &n), BADF);
    ERRNO(read_text(kRoot, text, 4, &n), BADF);
  }
  CASE("fd_read", "a number that is not open") {
    ERRNO(read_text(777, text, 4, &n), BADF);
    ERRNO(read_text((__wasi_fd_t)-1, text, 4, &n), BADF);
  }

  CASE("fd_pread", "from a place, and moves nothing") {
    ERRNO(seek(fd, 3, 0), SUCCESS);
    ERRNO(pread(fd, text, 4, 6), SUCCESS);
    TEXT(text, n, "6789");
    ERRNO(tell(fd), SUCCESS);
    EQ(at, 3);
  }
  CASE("fd_pread", "less at the end, nothing behind it") {
    ERRNO(pread(fd, text, 10, 9), SUCCESS);
    TEXT(text, n, "9ab");
    ERRNO(pread(fd, text, 10, 12), SUCCESS);
    EQ(n, 0);
    ERRNO(pread(fd, text, 10, 1000000), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_pread", "into several buffers") {
    memset(text, '.', sizeof text);
    __wasi_iovec_t several[] = {{(uint8_t*)text, 2}, {(uint8_t*)text + 4, 3}};
    ERRNO(__wasi_fd_pread(fd, several, 2, 1, &n), SUCCESS);
    EQ(n, 5);
    TEXT(text, 8, "12..345.");
  }
  CASE("fd_pread", "no buffers") {
    ERRNO(__wasi_fd_pread(fd, NULL, 0, 1, &n), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_pread", "an offset that no file has") {
    ERRNO(pread(fd, text, 4, UINT64_MAX), INVAL);
  }
  CASE("fd_pread", "open for writing alone, a directory, not open") {
    __wasi_fd_t writes = open_in(dir, "file", 0, WRITE, 0);
    ERRNO(pread(writes, text, 4, 0), BADF);
    ERRNO(__wasi_fd_close(writes), SUCCESS);
    ERRNO(pread(dir, text, 4, 0), BADF);
    ERRNO(pread(777, text, 4, 0), BADF);
  }
  MUST(__wasi_fd_close(fd));
}

static void writing(__wasi_fd_t dir) {
  char text[64];
  __wasi_fd_t fd = open_in(dir, "out", CREAT, READ | WRITE, 0);
  CASE("fd_write", "at the position, which moves") {
    ERRNO(write_text(fd, "hello"), SUCCESS);
    ERRNO(write_text(fd, " world"), SUCCESS);
    ERRNO(tell(fd), SUCCESS);
    EQ(at, 11);
    FILE_IS(dir, "out", "hello world");
  }
  CASE("fd_write", "over what is there") {
    ERRNO(seek(fd, 6, 0), SUCCESS);
    ERRNO(write_text(fd, "W"), SUCCESS);
    FILE_IS(dir, "out", "hello World");
  }
  CASE("fd_write", "behind the end: a hole between") {
    ERRNO(seek(fd, 13, 0), SUCCESS);
    ERRNO(write_text(fd, "!"), SUCCESS);
    ERRNO(pread(fd, text, 20, 0), SUCCESS);
    EQ(n, 14);
    TRUE(memcmp(text, "hello World\0\0!", 14) == 0);
  }
  CASE("fd_write", "from several buffers, empty ones between") {
    __wasi_fd_t several = open_in(dir, "several", CREAT, WRITE, 0);
    __wasi_ciovec_t parts[] = {{(const uint8_t*)"", 0},
                               {(const uint8_t*)"ab", 2},
                               {(const uint8_t*)"", 0},
                               {(const uint8_t*)"c", 1},
                               {(const uint8_t*)"def", 3}};
    ERRNO(__wasi_fd_write(several, parts, 5, &n), SUCCESS);
    EQ(n, 6);
    ERRNO(__wasi_fd_close(several), SUCCESS);
    FILE_IS(dir, "several", "abcdef");
  }
  CASE("fd_write", "nothing") {
    ERRNO(__wasi_fd_write(fd, NULL, 0, &n), SUCCESS);
    EQ(n, 0);
    ERRNO(write_text(fd, ""), SUCCESS);
  }
  CASE("fd_write", "a megabyte") {
    enum { kSize = 1 << 20 };
    uint8_t* data = malloc(kSize);
    memset(data, 'm', kSize);
    __wasi_fd_t large = open_in(dir, "large", CREAT, WRITE, 0);
    __wasi_size_t done = 0;
    while (done < kSize) {
      __wasi_ciovec_t iov = {data + done, kSize - done};
      const int e = __wasi_fd_write(large, &iov, 1, &n);
      if (e != 0 || n == 0) {
        FAILS("errno is %s", errno_name(e));
        break;
      }
      done += n;
    }
    __wasi_filestat_t stat;
    ERRNO(__wasi_fd_filestat_get(large, &stat), SUCCESS);
    EQ(stat.size, kSize);
    ERRNO(__wasi_fd_close(large), SUCCESS);
    free(data);
  }
  CASE("fd_write", "open to append: at the end, wherever the position is") {
    put_file(dir, "log", "one");
    __wasi_fd_t append = open_in(dir, "log", 0, READ | WRITE, __WASI_FDFLAGS_APPEND);
    ERRNO(seek(append, 0, 0), SUCCESS);
    ERRNO(write_text(append, "two"), SUCCESS);
    ERRNO(tell(append), SUCCESS);
    EQ(at, 6);
    ERRNO(__wasi_fd_close(append), SUCCESS);
    FILE_IS(dir, "log", "onetwo");
  }
  CASE("fd_write", "two appenders in turns") {
    put_file(dir, "log", "");
    __wasi_fd_t a = open_in(dir, "log", 0, WRITE, __WASI_FDFLAGS_APPEND);
    __wasi_fd_t b = open_in(dir, "log", 0, WRITE, __WASI_FDFLAGS_APPEND);
    ERRNO(write_text(a, "a"), SUCCESS);
    ERRNO(write_text(b, "b"), SUCCESS);
    ERRNO(write_text(a, "c"), SUCCESS);
    ERRNO(__wasi_fd_close(a), SUCCESS);
    ERRNO(__wasi_fd_close(b), SUCCESS);
    FILE_IS(dir, "log", "abc");
  }
  CASE("fd_write", "open for reading alone") {
    __wasi_fd_t reads = open_in(dir, "out", 0, READ, 0);
    ERRNO(write_text(reads, "x"), BADF);
    ERRNO(__wasi_fd_close(reads), SUCCESS);
  }
  CASE("fd_write", "a directory, not open") {
    ERRNO(write_text(dir, "x"), BADF);
    ERRNO(write_text(kRoot, "x"), BADF);
    ERRNO(write_text(777, "x"), BADF);
  }

  put_file(dir, "out", "0123456789");
  CASE("fd_pwrite", "at a place, and moves nothing") {
    ERRNO(seek(fd, 3, 0), SUCCESS);
    ERRNO(pwrite(fd, "xy", 6), SUCCESS);
    EQ(n, 2);
    ERRNO(tell(fd), SUCCESS);
    EQ(at, 3);
    FILE_IS(dir, "out", "012345xy89");
  }
  CASE("fd_pwrite", "over the end") {
    ERRNO(pwrite(fd, "abc", 9), SUCCESS);
    FILE_IS(dir, "out", "012345xy8abc");
  }
  CASE("fd_pwrite", "from several buffers") {
    __wasi_ciovec_t parts[] = {{(const uint8_t*)"AB", 2}, {(const uint8_t*)"C", 1}};
    ERRNO(__wasi_fd_pwrite(fd, parts, 2, 0, &n), SUCCESS);
    EQ(n, 3);
    FILE_IS(dir, "out", "ABC345xy8abc");
  }
  CASE("fd_pwrite", "no buffers") {
    ERRNO(__wasi_fd_pwrite(fd, NULL, 0, 0, &n), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_pwrite", "open to append: at the end, as Linux does") {
    put_file(dir, "log", "one");
    __wasi_fd_t append = open_in(dir, "log", 0, WRITE, __WASI_FDFLAGS_APPEND);
    ERRNO(pwrite(append, "two", 0), SUCCESS);
    ERRNO(__wasi_fd_close(append), SUCCESS);
    FILE_IS(dir, "log", "onetwo");
  }
  CASE("fd_pwrite", "an offset that no file has") {
    ERRNO(pwrite(fd, "x", UINT64_MAX), INVAL);
  }
  CASE("fd_pwrite", "open for reading alone, a directory, not open") {
    __wasi_fd_t reads = open_in(dir, "out", 0, READ, 0);
    ERRNO(pwrite(reads, "x", 0), BADF);
    ERRNO(__wasi_fd_close(reads), SUCCESS);
    ERRNO(pwrite(dir, "x", 0), BADF);
    ERRNO(pwrite(777, "x", 0), BADF);
  }
  MUST(__wasi_fd_close(fd));
}

static void positions(__wasi_fd_t dir) {
  char text[8];
  put_file(dir, "file", "0123456789");
  __wasi_fd_t fd = open_in(dir, "file", 0, READ | WRITE, 0);
  CASE("fd_seek", "from the start") {
    ERRNO(seek(fd, 4, 0), SUCCESS);
    EQ(at, 4);
    ERRNO(read_text(fd, text, 2, &n), SUCCESS);
    TEXT(text, n, "45");
  }
  CASE("fd_seek", "from here, both ways") {
    ERRNO(seek(fd, -3, 1), SUCCESS);
    EQ(at, 3);
    ERRNO(seek(fd, 2, 1), SUCCESS);
    EQ(at, 5);
    ERRNO(seek(fd, 0, 1), SUCCESS);
    EQ(at, 5);
  }
  CASE("fd_seek", "from the end, both ways") {
    ERRNO(seek(fd, -1, 2), SUCCESS);
    EQ(at, 9);
    ERRNO(seek(fd, 5, 2), SUCCESS);
    EQ(at, 15);
  }
  CASE("fd_seek", "behind the end changes no size") {
    ERRNO(seek(fd, (int64_t)1 << 40, 0), SUCCESS);
    EQ(at, (int64_t)1 << 40);
    __wasi_filestat_t stat;
    ERRNO(__wasi_fd_filestat_get(fd, &stat), SUCCESS);
    EQ(stat.size, 10);
    ERRNO(read_text(fd, text, 2, &n), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_seek", "before the start: refused, the position stays") {
    ERRNO(seek(fd, 5, 0), SUCCESS);
    ERRNO(seek(fd, -1, 0), INVAL);
    ERRNO(seek(fd, -6, 1), INVAL);
    ERRNO(seek(fd, -11, 2), INVAL);
    ERRNO(seek(fd, INT64_MIN, 0), INVAL);
    ERRNO(tell(fd), SUCCESS);
    EQ(at, 5);
  }
  CASE("fd_seek", "sums that no number holds") {
    ERRNO(seek(fd, INT64_MIN, 1), INVAL);
    ERRNO(seek(fd, INT64_MAX, 1), INVAL);
    ERRNO(tell(fd), SUCCESS);
    EQ(at, 5);
  }
  CASE("fd_seek", "an appender's position, for reading") {
    __wasi_fd_t append = open_in(dir, "file", 0, READ | WRITE, __WASI_FDFLAGS_APPEND);
    ERRNO(tell(append), SUCCESS);
    EQ(at, 0);
    ERRNO(seek(append, 8, 0), SUCCESS);
    ERRNO(read_text(append, text, 8, &n), SUCCESS);
    TEXT(text, n, "89");
    ERRNO(__wasi_fd_close(append), SUCCESS);
  }
  CASE("fd_seek", "each descriptor has its own") {
    __wasi_fd_t other = open_in(dir, "file", 0, READ, 0);
    ERRNO(seek(fd, 5, 0), SUCCESS);
    ERRNO(tell(other), SUCCESS);
    EQ(at, 0);
    ERRNO(__wasi_fd_close(other), SUCCESS);
  }
  CASE("fd_seek", "a directory, not open") {
    ERRNO(seek(dir, 0, 0), BADF);
    ERRNO(seek(kRoot, 0, 0), BADF);
    ERRNO(seek(777, 0, 0), BADF);
  }
  CASE("fd_seek", "a standard stream") {
    ERRNO(seek(0, 0, 1), SPIPE);
    ERRNO(seek(1, 0, 1), SPIPE);
    ERRNO(seek(2, 0, 1), SPIPE);
  }
  CASE("fd_tell", "at first, and after reads, writes and seeks") {
    __wasi_fd_t other = open_in(dir, "file", 0, READ | WRITE, 0);
    ERRNO(tell(other), SUCCESS);
    EQ(at, 0);
    ERRNO(read_text(other, text, 3, &n), SUCCESS);
    ERRNO(tell(other), SUCCESS);
    EQ(at, 3);
    ERRNO(write_text(other, "xx"), SUCCESS);
    ERRNO(tell(other), SUCCESS);
    EQ(at, 5);
    ERRNO(seek(other, 100, 0), SUCCESS);
    ERRNO(tell(other), SUCCESS);
    EQ(at, 100);
    ERRNO(__wasi_fd_close(other), SUCCESS);
  }
  CASE("fd_tell", "a directory, not open") {
    ERRNO(tell(dir), BADF);
    ERRNO(tell(777), BADF);
  }
  CASE("fd_tell", "a standard stream") {
    ERRNO(tell(0), SPIPE);
    ERRNO(tell(1), SPIPE);
  }
  MUST(__wasi_fd_close(fd));
}

int main(void) {
  MUST(__wasi_path_create_directory(kRoot, "t"));
  const __wasi_fd_t dir = open_dir(kRoot, "t");
  reading(dir);
  writing(dir);
  positions(dir);
  return 0;
}
