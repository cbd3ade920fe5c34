// A listening socket that was handed in, and connections accepted from it.
//
//   sockets      lines that begin with "--" tell whoever runs it what to do as the client:
//                -- connect, -- send TEXT, -- expect TEXT, -- expect-end, -- drain BYTES, -- finish
//                (it sends no more), -- close
#include "check.h"
#include "raw.h"

static char text[64];
static __wasi_size_t n;
static __wasi_roflags_t roflags;

static void ask(const char* what) {
  printf("-- %s\n", what);
  fflush(stdout);
}
static int set_flags(__wasi_fd_t fd, int flags) {
  return __wasi_fd_fdstat_set_flags(fd, (__wasi_fdflags_t)flags);
}
static int accept_from(__wasi_fd_t listener, int flags, __wasi_fd_t* fd) {
  *fd = 0;
  return raw_sock_accept((int)listener, flags, (uintptr_t)fd);
}
static int receive(__wasi_fd_t fd, __wasi_size_t size, int flags) {
  __wasi_iovec_t iov = {(uint8_t*)text, size};
  n = 0;
  roflags = 9;
  return __wasi_sock_recv(fd, &iov, 1, (__wasi_riflags_t)flags, &n, &roflags);
}
static int send_text(__wasi_fd_t fd, const char* what) {
  __wasi_ciovec_t iov = {(const uint8_t*)what, strlen(what)};
  n = 0;
  return __wasi_sock_send(fd, &iov, 1, 0, &n);
}
// Waits at most that long until it can be read or written. The number of events; -1 for an error.
static __wasi_event_t event;
static int wait_for(__wasi_fd_t fd, int tag, int ms) {
  __wasi_subscription_t subs[2];
  __wasi_event_t events[2];
  memset(subs, 0, sizeof subs);
  subs[0].userdata = 1;
  subs[0].u.tag = (uint8_t)tag;
  subs[0].u.u.fd_read.file_descriptor = fd;
  subs[1].userdata = 2;
  subs[1].u.tag = __WASI_EVENTTYPE_CLOCK;
  *(uint32_t*)&subs[1].u.u.clock.id = 1;
  subs[1].u.u.clock.timeout = (uint64_t)ms * 1000000;
  __wasi_size_t count = 0;
  if (__wasi_poll_oneoff(subs, events, 2, &count) != 0) {
    return -1;
  }
  for (__wasi_size_t i = 0; i < count; ++i) {
    if (events[i].userdata == 1) {
      event = events[i];
      return 1;
    }
  }
  return 0;
}
enum { kRead = __WASI_EVENTTYPE_FD_READ, kWrite = __WASI_EVENTTYPE_FD_WRITE, kLong = 20000 };

int main(void) {
  __wasi_fd_t listener = 0;
  __wasi_fdstat_t fdstat;
  for (__wasi_fd_t fd = 3; fd < 8 && listener == 0; ++fd) {
    if (__wasi_fd_fdstat_get(fd, &fdstat) == 0 &&
        fdstat.fs_filetype == __WASI_FILETYPE_SOCKET_STREAM) {
      listener = fd;
    }
  }
  if (listener == 0) {
    printf("FAIL set-up: no socket\n");
    return 1;
  }
  __wasi_fd_t fd = 0;
  CASE("fd_fdstat_get", "a listening socket") {
    ERRNO(__wasi_fd_fdstat_get(listener, &fdstat), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_SOCKET_STREAM);
    EQ(fdstat.fs_flags, 0);
  }
  CASE("fd_prestat_get", "a socket is no preopened directory") {
    __wasi_prestat_t prestat;
    ERRNO(__wasi_fd_prestat_get(listener, &prestat), BADF);
  }
  CASE("fd_fdstat_set_flags", "a socket: nonblock, and back") {
    ERRNO(set_flags(listener, __WASI_FDFLAGS_NONBLOCK), SUCCESS);
    ERRNO(__wasi_fd_fdstat_get(listener, &fdstat), SUCCESS);
    EQ(fdstat.fs_flags, __WASI_FDFLAGS_NONBLOCK);
    ERRNO(set_flags(listener, 0), SUCCESS);
    ERRNO(__wasi_fd_fdstat_get(listener, &fdstat), SUCCESS);
    EQ(fdstat.fs_flags, 0);
  }
  CASE("poll_oneoff", "a listening socket that nobody calls") {
    EQ(wait_for(listener, kRead, 10), 0);
  }
  CASE("sock_accept", "nonblock: nobody there") {
    ERRNO(set_flags(listener, __WASI_FDFLAGS_NONBLOCK), SUCCESS);
    ERRNO(accept_from(listener, 0, &fd), AGAIN);
    ERRNO(set_flags(listener, 0), SUCCESS);
  }
  CASE("sock_recv", "a listening socket") {
    ERRNO(receive(listener, 4, 0), NOTCONN);
  }
  ask("connect");
  CASE("poll_oneoff", "a listening socket that somebody calls") {
    EQ(wait_for(listener, kRead, kLong), 1);
    EQ(event.type, kRead);
    check_errno(event.error, 0);
  }
  CASE("sock_accept", "somebody there") {
    ERRNO(accept_from(listener, 0, &fd), SUCCESS);
    ERRNO(__wasi_fd_fdstat_get(fd, &fdstat), SUCCESS);
    EQ(fdstat.fs_filetype, __WASI_FILETYPE_SOCKET_STREAM);
    EQ(fdstat.fs_flags, 0);
  }
  CASE("sock_accept", "a connection accepts nobody") {
    __wasi_fd_t other = 0;
    ERRNO(accept_from(fd, 0, &other), INVAL);
  }
  CASE("fd_filestat_get", "a connection") {
    __wasi_filestat_t stat;
    memset(&stat, 0, sizeof stat);
    ERRNO(__wasi_fd_filestat_get(fd, &stat), SUCCESS);
    EQ(stat.filetype, __WASI_FILETYPE_SOCKET_STREAM);
  }
  CASE("poll_oneoff", "a connection can be written, and has nothing to read") {
    EQ(wait_for(fd, kWrite, kLong), 1);
    EQ(wait_for(fd, kRead, 10), 0);
  }
  CASE("sock_recv", "nonblock: nothing there") {
    ERRNO(set_flags(fd, __WASI_FDFLAGS_NONBLOCK), SUCCESS);
    ERRNO(receive(fd, 4, 0), AGAIN);
    ERRNO(set_flags(fd, 0), SUCCESS);
  }
  ask("send hello world");
  CASE("poll_oneoff", "a connection that has something to read") {
    EQ(wait_for(fd, kRead, kLong), 1);
    TRUE(event.fd_readwrite.nbytes >= 1);
    EQ(event.fd_readwrite.flags, 0);
  }
  CASE("sock_recv", "in parts") {
    ERRNO(receive(fd, 5, 0), SUCCESS);
    TEXT(text, n, "hello");
    EQ(roflags, 0);
  }
  CASE("sock_recv", "peek: the bytes stay") {
    ERRNO(receive(fd, 3, __WASI_RIFLAGS_RECV_PEEK), SUCCESS);
    TEXT(text, n, " wo");
    ERRNO(receive(fd, 3, 0), SUCCESS);
    TEXT(text, n, " wo");
  }
  CASE("sock_recv", "into several buffers") {
    memset(text, '.', sizeof text);
    __wasi_iovec_t several[] = {{(uint8_t*)text, 1}, {(uint8_t*)text + 4, 20}};
    ERRNO(__wasi_sock_recv(fd, several, 2, 0, &n, &roflags), SUCCESS);
    EQ(n, 3);
    TEXT(text, 8, "r...ld..");
    if (n < 3) {
      (void)receive(fd, 3 - n, __WASI_RIFLAGS_RECV_WAITALL);  // What comes next begins afresh.
    }
  }
  CASE("sock_recv", "no buffers") {
    ERRNO(__wasi_sock_recv(fd, NULL, 0, 0, &n, &roflags), SUCCESS);
    EQ(n, 0);
  }
  CASE("sock_recv", "waitall: until the buffer is full") {
    ask("send abc");
    ask("send defgh");
    ERRNO(receive(fd, 8, __WASI_RIFLAGS_RECV_WAITALL), SUCCESS);
    TEXT(text, n, "abcdefgh");
  }
  CASE("fd_read", "a connection") {
    ask("send read me");
    size_t size = 0;
    while (size < 7) {
      ERRNO(read_text(fd, text + size, 7 - size, &n), SUCCESS);
      if (n == 0) {
        break;
      }
      size += n;
    }
    TEXT(text, size, "read me");
  }
  CASE("sock_send", "bytes") {
    ERRNO(send_text(fd, "to you"), SUCCESS);
    EQ(n, 6);
    ask("expect to you");
  }
  CASE("sock_send", "from several buffers") {
    __wasi_ciovec_t parts[] = {{(const uint8_t*)"one ", 4}, {(const uint8_t*)"two", 3}};
    ERRNO(__wasi_sock_send(fd, parts, 2, 0, &n), SUCCESS);
    EQ(n, 7);
    ask("expect one two");
  }
  CASE("sock_send", "nothing") {
    ERRNO(__wasi_sock_send(fd, NULL, 0, 0, &n), SUCCESS);
    EQ(n, 0);
  }
  CASE("fd_write", "a connection") {
    ERRNO(write_text(fd, "written"), SUCCESS);
    ask("expect written");
  }
  CASE("sock_send", "more than anybody keeps: all of it, as the client takes it") {
    enum { kSize = 8 << 20 };
    uint8_t* data = calloc(1, kSize);
    ask("drain 8388608");
    __wasi_size_t sent = 0;
    while (sent < kSize) {
      __wasi_ciovec_t iov = {data + sent, kSize - sent};
      const int e = __wasi_sock_send(fd, &iov, 1, 0, &n);
      if (e != 0 || n == 0) {
        FAILS("errno is %s after %u bytes", errno_name(e), (unsigned)sent);
        break;
      }
      sent += n;
    }
    EQ(sent, kSize);
    free(data);
  }
  CASE("fd_seek", "a connection has no position") {
    __wasi_filesize_t at = 0;
    ERRNO(__wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, &at), SPIPE);
  }
  CASE("fd_tell", "a connection has no position") {
    __wasi_filesize_t at = 0;
    ERRNO(__wasi_fd_tell(fd, &at), SPIPE);
  }
  CASE("fd_pread", "a connection has no positions") {
    __wasi_iovec_t iov = {(uint8_t*)text, 4};
    ERRNO(__wasi_fd_pread(fd, &iov, 1, 0, &n), SPIPE);
  }
  CASE("fd_pwrite", "a connection has no positions") {
    __wasi_ciovec_t iov = {(const uint8_t*)"x", 1};
    ERRNO(__wasi_fd_pwrite(fd, &iov, 1, 0, &n), SPIPE);
  }
  CASE("fd_readdir", "a connection") {
    ERRNO(__wasi_fd_readdir(fd, (uint8_t*)text, sizeof text, 0, &n), BADF);
  }
  CASE("path_open", "beneath a connection") {
    __wasi_fd_t file = 0;
    const int e = __wasi_path_open(fd, 0, "x", 0, READ, READ, 0, &file);
    TRUE(e == __WASI_ERRNO_BADF || e == __WASI_ERRNO_NOTDIR);
  }
  __wasi_fd_t second = 0;
  CASE("sock_accept", "a second connection; nonblock by the call's flag") {
    ask("connect");
    ERRNO(accept_from(listener, __WASI_FDFLAGS_NONBLOCK, &second), SUCCESS);
    TRUE(second != fd);
    ERRNO(receive(second, 4, 0), AGAIN);
    ask("send second");
    EQ(wait_for(second, kRead, kLong), 1);
    ERRNO(receive(second, 20, 0), SUCCESS);
    TEXT(text, n, "second");
    ERRNO(__wasi_fd_fdstat_get(second, &fdstat), SUCCESS);
    EQ(fdstat.fs_flags, __WASI_FDFLAGS_NONBLOCK);
  }
  CASE("fd_renumber", "a connection") {
    ERRNO(__wasi_fd_renumber(second, fd), SUCCESS);
    ERRNO(send_text(fd, "moved"), SUCCESS);
    ask("expect moved");
    ERRNO(send_text(second, "x"), BADF);
  }
  CASE("sock_recv", "after the client's last byte: the end") {
    ask("send last");
    ask("finish");
    EQ(wait_for(fd, kRead, kLong), 1);
    ERRNO(set_flags(fd, 0), SUCCESS);
    ERRNO(receive(fd, 4, __WASI_RIFLAGS_RECV_WAITALL), SUCCESS);
    TEXT(text, n, "last");
    ERRNO(receive(fd, 20, 0), SUCCESS);
    EQ(n, 0);
    ERRNO(receive(fd, 20, 0), SUCCESS);
    EQ(n, 0);
  }
  CASE("poll_oneoff", "a connection at its end can be read") {
    EQ(wait_for(fd, kRead, kLong), 1);
  }
  CASE("fd_close", "a connection: the client sees the end") {
    ask("connect");
    ERRNO(accept_from(listener, 0, &second), SUCCESS);
    ERRNO(__wasi_fd_close(second), SUCCESS);
    ask("expect-end");
  }
  CASE("sock_shutdown", "writing: the client sees the end, and can go on") {
    ask("connect");
    ERRNO(accept_from(listener, 0, &second), SUCCESS);
    ERRNO(send_text(second, "bye"), SUCCESS);
    ERRNO(__wasi_sock_shutdown(second, __WASI_SDFLAGS_WR), SUCCESS);
    ask("expect bye");
    ask("expect-end");
    ask("send and you");
    ERRNO(receive(second, 7, __WASI_RIFLAGS_RECV_WAITALL), SUCCESS);
    TEXT(text, n, "and you");
  }
  CASE("sock_shutdown", "writing: nothing more can be sent") {
    ERRNO(send_text(second, "x"), PIPE);
    ERRNO(write_text(second, "x"), PIPE);
  }
  CASE("sock_shutdown", "reading: the end at once") {
    ERRNO(__wasi_sock_shutdown(second, __WASI_SDFLAGS_RD), SUCCESS);
    ERRNO(receive(second, 4, 0), SUCCESS);
    EQ(n, 0);
    ERRNO(__wasi_fd_close(second), SUCCESS);
  }
  CASE("sock_shutdown", "both at once") {
    ask("connect");
    ERRNO(accept_from(listener, 0, &second), SUCCESS);
    ERRNO(__wasi_sock_shutdown(second, __WASI_SDFLAGS_RD | __WASI_SDFLAGS_WR), SUCCESS);
    ask("expect-end");
    ERRNO(receive(second, 4, 0), SUCCESS);
    EQ(n, 0);
    ERRNO(send_text(second, "x"), PIPE);
  }
  CASE("poll_oneoff", "a connection that is over says so") {
    EQ(wait_for(second, kRead, kLong), 1);
    EQ(event.fd_readwrite.flags, __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP);
    ERRNO(__wasi_fd_close(second), SUCCESS);
  }
  CASE("sock_send", "to a client that has gone: an error, no signal") {
    ask("connect");
    ERRNO(accept_from(listener, 0, &second), SUCCESS);
    ask("close");
    int e = 0;
    for (int i = 0; i < 1000 && e == 0; ++i) {
      e = send_text(second, "x");
      if (e == 0) {
        (void)wait_for(second, kRead, 5);
      }
    }
    TRUE(e == __WASI_ERRNO_PIPE || e == __WASI_ERRNO_CONNRESET);
    ERRNO(__wasi_fd_close(second), SUCCESS);
  }
  CASE("sock_accept", "ten in a row") {
    for (int i = 0; i < 10; ++i) {
      ask("connect");
      ERRNO(accept_from(listener, 0, &second), SUCCESS);
      ERRNO(send_text(second, "hi"), SUCCESS);
      ask("expect hi");
      ERRNO(__wasi_fd_close(second), SUCCESS);
    }
  }
  ask("connect");
  MUST(accept_from(listener, 0, &fd));
  CASE("fd_close", "a listening socket") {
    ERRNO(__wasi_fd_close(listener), SUCCESS);
    ERRNO(accept_from(listener, 0, &second), BADF);
  }
  CASE("sock_recv", "waitall: what came before the end") {
    ask("send ab");
    ask("finish");
    ERRNO(receive(fd, 8, __WASI_RIFLAGS_RECV_WAITALL), SUCCESS);
    TEXT(text, n, "ab");
  }
  return 0;
}
