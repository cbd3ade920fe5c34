// The C library on WASI: stdio, descriptors, directories, links, times. Cases as in check.h, in
// terms of errno.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// The names that it uses for WASI's flags are none of ours here.
#include "check.h"

#define C(name) CASE("C library", name)
#define OK(call)                               \
  do {                                         \
    errno = 0;                                 \
    if ((call) < 0) {                          \
      FAILS("%s: %s", #call, strerror(errno)); \
    }                                          \
  } while (0)
#define REFUSED(call, want)                                       \
  do {                                                            \
    errno = 0;                                                    \
    const long got_ = (call);                                     \
    if (got_ != -1 || errno != (want)) {                          \
      FAILS("%s is %ld, errno %s", #call, got_, strerror(errno)); \
    }                                                             \
  } while (0)

static void put(const char* path, const char* text) {
  FILE* file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
    FAILS("%s: %s", path, strerror(errno));
  }
}
static void contents(const char* path, const char* want) {
  char text[256] = "";
  FILE* file = fopen(path, "r");
  if (file == NULL) {
    FAILS("%s: %s", path, strerror(errno));
    return;
  }
  const size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  TEXT(text, size, want);
}

static void streams(void) {
  char text[64];
  C("scanf, fgets and the end of standard input") {
    char one[16] = "", two[16] = "";
    EQ(scanf("%15s %15s", one, two), 2);
    TEXT(one, strlen(one), "first");
    TEXT(two, strlen(two), "line");
    EQ(getchar(), '\n');
    TRUE(fgets(text, sizeof text, stdin) != NULL);
    TEXT(text, strlen(text), "second");
    TRUE(fgets(text, sizeof text, stdin) == NULL);
    TRUE(feof(stdin));
  }
  C("fopen: w, r, a, r+, w+, a+, x") {
    put("/c/m", "0123456789");
    contents("/c/m", "0123456789");
    FILE* file = fopen("/c/m", "a");
    fputs("end", file);
    fclose(file);
    contents("/c/m", "0123456789end");
    file = fopen("/c/m", "r+");
    fputs("AB", file);
    fclose(file);
    contents("/c/m", "AB23456789end");
    TRUE(fopen("/c/m", "wx") == NULL && errno == EEXIST);
    TRUE(fopen("/c/none", "r") == NULL && errno == ENOENT);
    TRUE(fopen("/c/none", "r+") == NULL && errno == ENOENT);
    file = fopen("/c/m", "a+");
    EQ(fread(text, 1, 2, file), 2);
    rewind(file);
    fputs("!", file);
    fclose(file);
    contents("/c/m", "AB23456789end!");
    file = fopen("/c/m", "w+");
    fputs("new", file);
    rewind(file);
    EQ(fread(text, 1, 10, file), 3);
    fclose(file);
  }
  C("fseek, ftell, rewind, ungetc") {
    put("/c/s", "0123456789");
    FILE* file = fopen("/c/s", "r");
    EQ(fseek(file, -2, SEEK_END), 0);
    EQ(ftell(file), 8);
    EQ(fgetc(file), '8');
    EQ(ungetc('x', file), 'x');
    EQ(fgetc(file), 'x');
    EQ(fgetc(file), '9');
    EQ(fgetc(file), EOF);
    rewind(file);
    EQ(fgetc(file), '0');
    EQ(fseek(file, -5, SEEK_SET), -1);
    fclose(file);
  }
  C("a thousand lines by fprintf and fgets") {
    FILE* file = fopen("/c/lines", "w");
    for (int i = 0; i < 1000; ++i) {
      fprintf(file, "line %d\n", i);
    }
    fclose(file);
    file = fopen("/c/lines", "r");
    int count = 0;
    while (fgets(text, sizeof text, file) != NULL) {
      count += atoi(text + 5) == count;
    }
    EQ(count, 1000);
    fclose(file);
  }
  C("setvbuf: no buffer") {
    FILE* file = fopen("/c/u", "w");
    setvbuf(file, NULL, _IONBF, 0);
    fputs("at once", file);
    contents("/c/u", "at once");
    fclose(file);
  }
  C("freopen: to another file") {
    FILE* file = fopen("/c/u", "r");
    file = freopen("/c/s", "r", file);
    TRUE(file != NULL && fgetc(file) == '0');
    fclose(file);
  }
  C("remove, rename") {
    put("/c/r1", "r");
    OK(rename("/c/r1", "/c/r2"));
    contents("/c/r2", "r");
    OK(remove("/c/r2"));
    REFUSED(remove("/c/r2"), ENOENT);
    REFUSED(rename("/c/r2", "/c/r3"), ENOENT);
  }
}

static void descriptors(void) {
  char text[16] = "";
  struct stat status;
  C("open, read, write, lseek, close") {
    const int fd = open("/c/fd", O_RDWR | O_CREAT | O_EXCL, 0666);
    OK(fd);
    EQ(write(fd, "0123456789", 10), 10);
    EQ(lseek(fd, 2, SEEK_SET), 2);
    EQ(read(fd, text, 3), 3);
    TEXT(text, 3, "234");
    REFUSED(lseek(fd, -1, SEEK_SET), EINVAL);
    OK(close(fd));
    REFUSED(close(fd), EBADF);
    REFUSED(open("/c/fd", O_RDWR | O_CREAT | O_EXCL, 0666), EEXIST);
  }
  C("pread, pwrite, readv, writev") {
    const int fd = open("/c/fd", O_RDWR);
    EQ(pwrite(fd, "xy", 2, 3), 2);
    EQ(pread(fd, text, 4, 2), 4);
    TEXT(text, 4, "2xy5");
    char a[2], b[3];
    struct iovec parts[] = {{a, 2}, {b, 3}};
    EQ(readv(fd, parts, 2), 5);
    TEXT(a, 2, "01");
    TEXT(b, 3, "2xy");
    struct iovec out[] = {{"AB", 2}, {"", 0}, {"C", 1}};
    EQ(writev(fd, out, 3), 3);
    OK(close(fd));
    contents("/c/fd", "012xyABC89");
  }
  C("ftruncate, fstat, fsync") {
    const int fd = open("/c/fd", O_RDWR);
    OK(ftruncate(fd, 3));
    OK(fsync(fd));
    OK(fdatasync(fd));
    OK(fstat(fd, &status));
    EQ(status.st_size, 3);
    TRUE(S_ISREG(status.st_mode));
    OK(close(fd));
  }
  C("posix_fallocate, posix_fadvise") {
    const int fd = open("/c/fd", O_RDWR);
    EQ(posix_fallocate(fd, 0, 50), 0);
    EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
    OK(fstat(fd, &status));
    EQ(status.st_size, 50);
    OK(close(fd));
  }
  C("the mode that it was opened in") {
    int fd = open("/c/fd", O_WRONLY);
    REFUSED(read(fd, text, 1), EBADF);
    OK(close(fd));
    fd = open("/c/fd", O_RDONLY);
    REFUSED(write(fd, "x", 1), EBADF);
    OK(close(fd));
  }
  C("fcntl: F_GETFL, F_SETFL") {
    const int fd = open("/c/fd", O_WRONLY | O_APPEND);
    EQ(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND);
    OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    EQ(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_NONBLOCK);
    OK(close(fd));
  }
  C("openat, fstatat, mkdirat, unlinkat") {
    OK(mkdir("/c/at", 0777));
    const int dir = open("/c/at", O_RDONLY | O_DIRECTORY);
    OK(dir);
    OK(mkdirat(dir, "d", 0777));
    OK(fstatat(dir, "d", &status, 0));
    TRUE(S_ISDIR(status.st_mode));
    OK(unlinkat(dir, "d", AT_REMOVEDIR));
    OK(close(dir));
  }
  C("openat: writing in a directory that was opened") {
    const int dir = open("/c/at", O_RDONLY | O_DIRECTORY);
    const int fd = openat(dir, "f", O_WRONLY | O_CREAT, 0666);
    OK(fd);
    EQ(write(fd, "abc", 3), 3);
    OK(close(fd));
    OK(fstatat(dir, "f", &status, 0));
    EQ(status.st_size, 3);
    OK(unlinkat(dir, "f", 0));
    OK(close(dir));
  }
  C("isatty, poll") {
    EQ(isatty(1), 0);
    struct pollfd ready = {1, POLLOUT, 0};
    EQ(poll(&ready, 1, 1000), 1);
    TRUE(ready.revents & POLLOUT);
  }
}

static int compare(const void* a, const void* b) {
  return strcmp(*(char* const*)a, *(char* const*)b);
}

static void names(void) {
  struct stat status;
  C("opendir, readdir, telldir, seekdir, rewinddir") {
    static char* listed[128];
    char path[64], behind[64] = "", first[64] = "";
    OK(mkdir("/c/list", 0777));
    for (int i = 0; i < 100; ++i) {
      snprintf(path, sizeof path, "/c/list/n%d", i);
      put(path, "");
    }
    DIR* dir = opendir("/c/list");
    int count = 0;
    long place = 0;
    struct dirent* entry;
    while (count < 128 && (entry = readdir(dir)) != NULL) {
      if (count == 0) {
        strcpy(first, entry->d_name);
      }
      if (count == 51) {
        strcpy(behind, entry->d_name);
      }
      listed[count++] = strdup(entry->d_name);
      if (count == 51) {
        place = telldir(dir);
      }
    }
    EQ(count, 102);
    seekdir(dir, place);
    entry = readdir(dir);
    TRUE(entry != NULL && strcmp(entry->d_name, behind) == 0);
    rewinddir(dir);
    entry = readdir(dir);
    TRUE(entry != NULL && strcmp(entry->d_name, first) == 0);
    closedir(dir);
    qsort(listed, (size_t)count, sizeof listed[0], compare);
    TEXT(listed[2], strlen(listed[2]), "n0");
    TEXT(listed[101], strlen(listed[101]), "n99");
  }
  C("scandir, alphasort") {
    struct dirent** sorted = NULL;
    const int count = scandir("/c/list", &sorted, NULL, alphasort);
    EQ(count, 102);
    TEXT(sorted[2]->d_name, strlen(sorted[2]->d_name), "n0");
  }
  C("mkdir, rmdir, unlink: their errors") {
    REFUSED(mkdir("/c/list", 0777), EEXIST);
    REFUSED(mkdir("/c/none/x", 0777), ENOENT);
    REFUSED(mkdir("/c/fd/x", 0777), ENOTDIR);
    REFUSED(rmdir("/c/list"), ENOTEMPTY);
    REFUSED(rmdir("/c/fd"), ENOTDIR);
    REFUSED(unlink("/c/list"), EISDIR);
    REFUSED(unlink("/c/none"), ENOENT);
  }
  C("link, symlink, readlink, lstat") {
    char target[16];
    OK(link("/c/fd", "/c/hard"));
    OK(symlink("fd", "/c/soft"));
    EQ(readlink("/c/soft", target, sizeof target), 2);
    OK(lstat("/c/soft", &status));
    TRUE(S_ISLNK(status.st_mode));
    OK(stat("/c/soft", &status));
    TRUE(S_ISREG(status.st_mode));
    EQ(status.st_nlink, 2);
    REFUSED(open("/c/soft", O_RDONLY | O_NOFOLLOW), ELOOP);
    REFUSED(symlink("x", "/c/soft"), EEXIST);
    REFUSED(link("/c/fd", "/c/hard"), EEXIST);
  }
  C("utimensat, futimens") {
    const struct timespec times[2] = {{1000, 1}, {2000, 2}};
    OK(utimensat(AT_FDCWD, "/c/fd", times, 0));
    OK(stat("/c/fd", &status));
    EQ(status.st_atim.tv_sec, 1000);
    EQ(status.st_mtim.tv_nsec, 2);
    const struct timespec later[2] = {{0, UTIME_OMIT}, {3000, 3}};
    const int fd = open("/c/fd", O_RDWR);
    OK(futimens(fd, later));
    OK(fstat(fd, &status));
    EQ(status.st_atim.tv_sec, 1000);
    EQ(status.st_mtim.tv_sec, 3000);
    OK(close(fd));
  }
  C("access") {
    OK(access("/c/fd", R_OK | W_OK));
    REFUSED(access("/c/none", F_OK), ENOENT);
  }
  C("chdir, getcwd, relative paths") {
    char here[64];
    OK(chdir("/c/list"));
    TRUE(getcwd(here, sizeof here) != NULL);
    TEXT(here, strlen(here), "/c/list");
    OK(access("n1", F_OK));
    OK(access("../fd", F_OK));
    OK(chdir("/"));
  }
  C("a path out of the directory") {
    const int fd = open("/c/../../etc/passwd", O_RDONLY);
    TRUE(fd < 0);
  }
}

static void process(void) {
  C("getenv, setenv") {
    const char* name = getenv("NAME");
    TRUE(name != NULL);
    TEXT(name, strlen(name), "value = x");
    TRUE(getenv("NONE") == NULL);
    OK(setenv("NONE", "one", 1));
    TEXT(getenv("NONE"), 3, "one");
  }
  C("clock_gettime, nanosleep, time") {
    struct timespec before, after;
    const struct timespec pause = {0, 15000000};
    OK(clock_gettime(CLOCK_MONOTONIC, &before));
    OK(nanosleep(&pause, NULL));
    OK(clock_gettime(CLOCK_MONOTONIC, &after));
    TRUE((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= 15000000);
    TRUE(time(NULL) > 1672531200);
  }
  C("getentropy") {
    uint8_t a[16], b[16];
    OK(getentropy(a, 16));
    OK(getentropy(b, 16));
    TRUE(memcmp(a, b, 16) != 0);
  }
}

int main(int argc, char** argv) {
  C("argv") {
    EQ(argc, 4);
    TEXT(argv[1], strlen(argv[1]), "a");
    TEXT(argv[2], strlen(argv[2]), "");
    TEXT(argv[3], strlen(argv[3]), "b c");
    TRUE(argv[4] == NULL);
  }
  C("mkdir") {
    OK(mkdir("/c", 0777));
  }
  streams();
  descriptors();
  names();
  process();
  return 0;
}
