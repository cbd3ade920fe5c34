// files COMMAND ARGS…: one file operation a command; prints the outcome, the error's name included.
// Several commands are separated by an argument ";". The exit code is the number of failures.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Our own names: what strerror says is the same everywhere, but a number is easier to compare with
// the preview-1 document.
static int Report(const char* what, const char* path, int failed) {
  if (failed) {
    printf("%s %s: error %d (%s)\n", what, path, errno, strerror(errno));
  } else {
    printf("%s %s: ok\n", what, path);
  }
  return failed != 0;
}

static int Write(const char* path, const char* text, int flags) {
  int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
  if (fd < 0) {
    return Report("open", path, 1);
  }
  size_t size = strlen(text);
  int failed = write(fd, text, size) != (ssize_t)size;
  failed |= close(fd) != 0;
  return Report("write", path, failed);
}

// So many bytes, a page at a time.
static int Fill(const char* path, long bytes) {
  static char page[4096];
  int fd = open(path, O_WRONLY | O_CREAT, 0644);
  if (fd < 0) {
    return Report("open", path, 1);
  }
  while (bytes > 0) {
    const size_t part = bytes < (long)sizeof page ? (size_t)bytes : sizeof page;
    if (write(fd, page, part) != (ssize_t)part) {
      return Report("fill", path, 1);
    }
    bytes -= (long)part;
  }
  return Report("fill", path, close(fd) != 0);
}

static int Read(const char* path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    return Report("open", path, 1);
  }
  char block[4096];
  ssize_t got;
  while ((got = read(fd, block, sizeof block)) > 0) {
    fwrite(block, 1, (size_t)got, stdout);
  }
  int failed = got < 0;
  failed |= close(fd) != 0;
  return Report("read", path, failed);
}

static int ByName(const void* a, const void* b) {
  return strcmp(*(char* const*)a, *(char* const*)b);
}

// Names are sorted: the order of a directory is the host file system's business.
static int List(const char* path) {
  DIR* dir = opendir(path);
  if (dir == NULL) {
    return Report("opendir", path, 1);
  }
  char* names[4096];
  size_t count = 0;
  struct dirent* entry;
  while ((entry = readdir(dir)) != NULL && count < sizeof names / sizeof names[0]) {
    char line[512];
    const char* type = entry->d_type == DT_DIR   ? "dir"
                       : entry->d_type == DT_REG ? "file"
                       : entry->d_type == DT_LNK ? "link"
                                                 : "other";
    snprintf(line, sizeof line, "%s %s", entry->d_name, type);
    names[count++] = strdup(line);
  }
  closedir(dir);
  qsort(names, count, sizeof names[0], ByName);
  printf("%zu entries\n", count);
  for (size_t i = 0; i < count; ++i) {
    printf("  %s\n", names[i]);
    free(names[i]);
  }
  return 0;
}

static int Stat(const char* path, int follow) {
  struct stat info;
  if ((follow ? stat(path, &info) : lstat(path, &info)) != 0) {
    return Report("stat", path, 1);
  }
  const char* type = S_ISDIR(info.st_mode)   ? "dir"
                     : S_ISREG(info.st_mode) ? "file"
                     : S_ISLNK(info.st_mode) ? "link"
                                             : "other";
  // A directory's size and link count are the host file system's.
  printf("stat %s: %s size %lld\n", path, type,
         S_ISREG(info.st_mode) ? (long long)info.st_size : -1LL);
  return 0;
}

// Writes `count` numbered lines, then reads them back through seeks from the end to the start.
static int Seek(const char* path, int count) {
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) {
    return Report("open", path, 1);
  }
  char line[17];
  int failed = 0;
  for (int i = 0; i < count; ++i) {
    snprintf(line, sizeof line, "line %10d\n", i);
    failed |= write(fd, line, 16) != 16;
  }
  unsigned long long sum = 0;
  for (int i = count - 1; i >= 0; --i) {
    failed |= lseek(fd, (off_t)i * 16, SEEK_SET) != (off_t)i * 16;
    failed |= read(fd, line, 16) != 16;
    sum = sum * 31 + (unsigned long long)atoi(line + 5);
  }
  // A positioned write must not move the file's own offset.
  off_t before = lseek(fd, 0, SEEK_CUR);
  failed |= pwrite(fd, "LINE", 4, 32) != 4;
  failed |= pread(fd, line, 4, 32) != 4 || memcmp(line, "LINE", 4) != 0;
  failed |= lseek(fd, 0, SEEK_CUR) != before;
  printf("end %lld sum %llx\n", (long long)lseek(fd, 0, SEEK_END), sum);
  failed |= ftruncate(fd, (off_t)count * 16 - 8) != 0;
  printf("end after truncate %lld\n", (long long)lseek(fd, 0, SEEK_END));
  failed |= fsync(fd) != 0;
  failed |= close(fd) != 0;
  return Report("seek", path, failed);
}

static int Link(const char* target, const char* path) {
  return Report("symlink", path, symlink(target, path) != 0);
}

static int ReadLink(const char* path) {
  char target[256];
  ssize_t size = readlink(path, target, sizeof target);
  if (size < 0) {
    return Report("readlink", path, 1);
  }
  printf("readlink %s: %.*s\n", path, (int)size, target);
  return 0;
}

// Opens `path` again and again until the engine refuses, to see that descriptors are bounded and
// that closing gives them back.
static int OpenMany(const char* path, int count) {
  int* fds = malloc(sizeof *fds * (size_t)count);
  int opened = 0;
  while (opened < count && (fds[opened] = open(path, O_RDONLY)) >= 0) {
    ++opened;
  }
  printf("opened %d of %d\n", opened, count);
  int failed = 0;
  for (int i = 0; i < opened; ++i) {
    failed |= close(fds[i]) != 0;
  }
  free(fds);
  return Report("close", path, failed);
}

static int Command(int argc, char** argv) {
  const char* name = argc > 0 ? argv[0] : "";
  const char* first = argc > 1 ? argv[1] : "";
  const char* second = argc > 2 ? argv[2] : "";
  if (strcmp(name, "write") == 0) {
    return Write(first, second, O_TRUNC);
  }
  if (strcmp(name, "append") == 0) {
    return Write(first, second, O_APPEND);
  }
  if (strcmp(name, "create") == 0) {
    return Write(first, second, O_EXCL);
  }
  if (strcmp(name, "read") == 0) {
    return Read(first);
  }
  if (strcmp(name, "list") == 0) {
    return List(first);
  }
  if (strcmp(name, "stat") == 0) {
    return Stat(first, 1);
  }
  if (strcmp(name, "lstat") == 0) {
    return Stat(first, 0);
  }
  if (strcmp(name, "mkdir") == 0) {
    return Report("mkdir", first, mkdir(first, 0755) != 0);
  }
  if (strcmp(name, "rmdir") == 0) {
    return Report("rmdir", first, rmdir(first) != 0);
  }
  if (strcmp(name, "unlink") == 0) {
    return Report("unlink", first, unlink(first) != 0);
  }
  if (strcmp(name, "rename") == 0) {
    return Report("rename", first, rename(first, second) != 0);
  }
  if (strcmp(name, "link") == 0) {
    return Report("link", second, link(first, second) != 0);
  }
  if (strcmp(name, "symlink") == 0) {
    return Link(first, second);
  }
  if (strcmp(name, "readlink") == 0) {
    return ReadLink(first);
  }
  if (strcmp(name, "seek") == 0) {
    return Seek(first, atoi(second));
  }
  if (strcmp(name, "wait") == 0) {  // For a byte on standard input.
    printf("waiting\n");
    fflush(stdout);
    return Report("wait", first, getchar() == EOF);
  }
  if (strcmp(name, "fill") == 0) {
    return Fill(first, atol(second));
  }
  if (strcmp(name, "open_many") == 0) {
    return OpenMany(first, atoi(second));
  }
  printf("unknown command %s\n", name);
  return 1;
}

int main(int argc, char** argv) {
  int failures = 0;
  for (int start = 1; start < argc;) {
    int end = start;
    while (end < argc && strcmp(argv[end], ";") != 0) {
      ++end;
    }
    failures += Command(end - start, argv + start);
    start = end + 1;
  }
  return failures;
}
