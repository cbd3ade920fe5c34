// C++'s and C's libraries on WASI: streams, stdio, dirent, stat, poll, times. Prints a line a case, as c/check.h does.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::string failure;

void Fail(const std::string& text) {
  if (failure.empty()) {
    failure = text;
  }
}

template <typename Got, typename Want>
void Equal(const char* what, const Got& got, const Want& want) {
  if (!(got == want)) {
    std::ostringstream text;
    text << what << " is " << got << ", not " << want;
    Fail(text.str());
  }
}
#define EQ(got, want) Equal(#got, (got), (want))
#define OK(call)                                                 \
  do {                                                           \
    errno = 0;                                                   \
    if ((call) < 0) {                                            \
      Fail(std::string(#call) + ": " + std::strerror(errno));    \
    }                                                            \
  } while (false)
#define FAILS(call, want)         \
  do {                            \
    errno = 0;                    \
    EQ((call), -1);               \
    EQ(errno, (want));            \
  } while (false)

template <typename Body>
void Case(const char* name, Body body) {
  failure.clear();
  body();
  if (failure.empty()) {
    std::printf("ok C and C++ libraries: %s\n", name);
  } else {
    std::printf("FAIL C and C++ libraries: %s: %s\n", name, failure.c_str());
  }
  std::fflush(stdout);
}

std::string Contents(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Streams() {
  Case("ofstream and ifstream", [] {
    std::ofstream("/c/a") << "one " << 2 << '\n' << 3.5;
    EQ(Contents("/c/a"), "one 2\n3.5");
  });
  Case("ofstream appends", [] {
    std::ofstream("/c/a", std::ios::app) << "!";
    EQ(Contents("/c/a"), "one 2\n3.5!");
  });
  Case("fstream reads and writes in place", [] {
    std::fstream file("/c/a", std::ios::in | std::ios::out);
    file.seekp(4);
    file << 'X';
    file.seekg(0);
    std::string word;
    file >> word >> word;
    EQ(word, "X");
  });
  Case("ifstream of what is not there", [] { EQ(std::ifstream("/c/none").is_open(), false); });
  Case("getline over many lines", [] {
    {
      std::ofstream out("/c/lines");
      for (int i = 0; i < 5000; ++i) {
        out << "line " << i << '\n';
      }
    }
    std::ifstream in("/c/lines");
    int count = 0;
    for (std::string line; std::getline(in, line);) {
      ++count;
    }
    EQ(count, 5000);
  });
  Case("cin", [] {
    std::string line;
    std::getline(std::cin, line);
    EQ(line, "first line");
    std::getline(std::cin, line);
    EQ(line, "second");
    EQ(static_cast<bool>(std::getline(std::cin, line)), false);
  });
  Case("fopen modes", [] {
    std::FILE* file = std::fopen("/c/m", "w+");
    std::fputs("0123456789", file);
    std::rewind(file);
    char text[16] = "";
    EQ(std::fread(text, 1, 4, file), 4u);
    std::fseek(file, -2, SEEK_END);
    EQ(std::ftell(file), 8);
    EQ(std::fgetc(file), '8');
    std::fclose(file);
    EQ(std::fopen("/c/m", "wx") == nullptr, true);
    EQ(errno, EEXIST);
    file = std::fopen("/c/m", "a+");
    std::rewind(file);
    std::fputs("end", file);
    std::fclose(file);
    EQ(Contents("/c/m"), "0123456789end");
  });
  Case("ungetc, fgets, feof", [] {
    std::FILE* file = std::fopen("/c/lines", "r");
    const int first = std::fgetc(file);
    std::ungetc(first, file);
    char line[64];
    int count = 0;
    while (std::fgets(line, sizeof line, file) != nullptr) {
      ++count;
    }
    EQ(count, 5000);
    EQ(std::feof(file) != 0, true);
    std::fclose(file);
  });
  Case("remove and rename", [] {
    std::ofstream("/c/r1") << "r";
    OK(std::rename("/c/r1", "/c/r2"));
    EQ(Contents("/c/r2"), "r");
    OK(std::remove("/c/r2"));
    FAILS(std::remove("/c/r2"), ENOENT);
  });
}

void Descriptors() {
  Case("open, pread, pwrite, lseek", [] {
    const int fd = open("/c/fd", O_RDWR | O_CREAT | O_EXCL, 0666);
    OK(fd);
    EQ(write(fd, "0123456789", 10), 10);
    EQ(pwrite(fd, "xy", 2, 3), 2);
    EQ(lseek(fd, 0, SEEK_CUR), 10);
    char text[8] = "";
    EQ(pread(fd, text, 4, 2), 4);
    EQ(std::string(text), "2xy5");
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    OK(ftruncate(fd, 3));
    struct stat status = {};
    OK(fstat(fd, &status));
    EQ(status.st_size, 3);
    EQ(S_ISREG(status.st_mode), true);
    OK(close(fd));
    FAILS(close(fd), EBADF);
  });
  Case("openat, fstatat, unlinkat", [] {
    OK(mkdir("/c/at", 0777));
    const int dir = open("/c/at", O_RDONLY | O_DIRECTORY);
    OK(dir);
    const int fd = openat(dir, "f", O_WRONLY | O_CREAT, 0666);
    OK(fd);
    EQ(write(fd, "abc", 3), 3);
    OK(close(fd));
    struct stat status = {};
    OK(fstatat(dir, "f", &status, 0));
    EQ(status.st_size, 3);
    OK(unlinkat(dir, "f", 0));
    OK(close(dir));
    OK(rmdir("/c/at"));
  });
  Case("fcntl flags", [] {
    const int fd = open("/c/fd", O_WRONLY | O_APPEND);
    EQ(fcntl(fd, F_GETFL) & (O_APPEND | O_ACCMODE), O_APPEND | O_WRONLY);
    OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    EQ(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_NONBLOCK);
    OK(close(fd));
  });
  Case("reading what is open for writing", [] {
    const int fd = open("/c/fd", O_WRONLY);
    char byte = 0;
    FAILS(read(fd, &byte, 1), EBADF);
    OK(close(fd));
  });
  Case("isatty and poll", [] {
    EQ(isatty(1), 0);
    pollfd ready = {1, POLLOUT, 0};
    EQ(poll(&ready, 1, 1000), 1);
    EQ((ready.revents & POLLOUT) != 0, true);
    EQ(poll(nullptr, 0, 1), 0);
  });
  Case("futimens, utimensat", [] {
    const timespec times[2] = {{1000, 1}, {2000, 2}};
    OK(utimensat(AT_FDCWD, "/c/fd", times, 0));
    struct stat status = {};
    OK(stat("/c/fd", &status));
    EQ(status.st_atim.tv_sec, 1000);
    EQ(status.st_mtim.tv_nsec, 2);
  });
}

void Names() {
  Case("opendir, readdir, rewinddir, seekdir", [] {
    OK(mkdir("/c/list", 0777));
    for (int i = 0; i < 100; ++i) {
      std::ofstream("/c/list/n" + std::to_string(i)) << i;
    }
    DIR* dir = opendir("/c/list");
    EQ(dir != nullptr, true);
    std::vector<std::string> names;
    long place = 0;
    std::string behind;
    for (const dirent* entry = readdir(dir); entry != nullptr; entry = readdir(dir)) {
      if (names.size() == 51) {
        behind = entry->d_name;
      }
      names.emplace_back(entry->d_name);
      if (names.size() == 51) {
        place = telldir(dir);
      }
    }
    EQ(names.size(), 102u);
    seekdir(dir, place);
    EQ(std::string(readdir(dir)->d_name), behind);
    rewinddir(dir);
    EQ(std::string(readdir(dir)->d_name), names[0]);
    closedir(dir);
    std::sort(names.begin(), names.end());
    EQ(names[0] + names[1] + names[2], "...n0");
  });
  Case("mkdir, rmdir, their errors", [] {
    FAILS(mkdir("/c/list", 0777), EEXIST);
    FAILS(mkdir("/c/none/x", 0777), ENOENT);
    FAILS(rmdir("/c/list"), ENOTEMPTY);
    FAILS(rmdir("/c/fd"), ENOTDIR);
    FAILS(unlink("/c/list"), EISDIR);
  });
  Case("link, symlink, readlink, lstat", [] {
    OK(link("/c/fd", "/c/hard"));
    OK(symlink("fd", "/c/soft"));
    char target[16] = "";
    EQ(readlink("/c/soft", target, sizeof target), 2);
    struct stat status = {};
    OK(lstat("/c/soft", &status));
    EQ(S_ISLNK(status.st_mode), true);
    OK(stat("/c/soft", &status));
    EQ(S_ISREG(status.st_mode), true);
    EQ(status.st_nlink, 2u);
    FAILS(open("/c/soft", O_RDONLY | O_NOFOLLOW), ELOOP);
  });
  Case("access", [] {
    OK(access("/c/fd", R_OK | W_OK));
    FAILS(access("/c/none", F_OK), ENOENT);
  });
  Case("paths out of the directories", [] {
    errno = 0;
    EQ(open("/c/../../etc/passwd", O_RDONLY), -1);
    EQ(open("/etc/passwd", O_RDONLY), -1);
  });
}

void Process() {
  Case("getenv", [] {
    EQ(std::string(getenv("NAME")), "value = x");
    EQ(getenv("NONE") == nullptr, true);
  });
  Case("chrono, clock_gettime, nanosleep", [] {
    const auto start = std::chrono::steady_clock::now();
    const timespec pause = {0, 15000000};
    OK(nanosleep(&pause, nullptr));
    EQ(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(15), true);
    EQ(time(nullptr) > 1672531200, true);
  });
  Case("random_device", [] {
    std::random_device random;
    EQ(random() == random() && random() == random(), false);
  });
}

}  // namespace

int main(int argc, char** argv) {
  Case("argv", [&] {
    EQ(argc, 4);
    EQ(std::string(argv[1]) + "|" + argv[2] + "|" + argv[3], "a||b c");
  });
  if (mkdir("/c", 0777) != 0) {
    std::printf("FAIL set-up: %s\n", std::strerror(errno));
    return 1;
  }
  Streams();
  Descriptors();
  Names();
  Process();
  return 0;
}
