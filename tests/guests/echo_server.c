// echo_server FD COUNT: accepts COUNT connections from the listening socket FD, one after the
// other, sends each everything back until it ends, and says how much that was. echo_server FD: the
// same with a connected socket.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int Fail(const char* what) {
  printf("%s: %s\n", what, strerror(errno));
  return 1;
}

static int Echo(int connection) {
  static char bytes[65536];
  size_t total = 0;
  ssize_t got;
  while ((got = recv(connection, bytes, sizeof bytes, 0)) > 0) {
    for (ssize_t sent = 0; sent < got;) {
      const ssize_t now = send(connection, bytes + sent, (size_t)(got - sent), 0);
      if (now < 0) {
        return Fail("send");
      }
      sent += now;
    }
    total += (size_t)got;
  }
  if (got < 0) {
    return Fail("recv");
  }
  printf("echoed %zu bytes\n", total);
  fflush(stdout);
  return 0;
}

int main(int argc, char** argv) {
  const int fd = argc > 1 ? atoi(argv[1]) : 3;
  puts("ready");
  fflush(stdout);
  if (argc < 3) {
    return Echo(fd);
  }
  // Whoever made the socket may have it otherwise.
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return Fail("fcntl");
  }
  for (int left = atoi(argv[2]); left > 0; --left) {
    const int connection = accept(fd, NULL, NULL);
    if (connection < 0) {
      return Fail("accept");
    }
    if (Echo(connection) != 0) {
      return 1;
    }
    close(connection);
  }
  return 0;
}
