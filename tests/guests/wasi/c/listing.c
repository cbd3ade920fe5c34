// fd_readdir: entries, cookies, small buffers, changes meanwhile.
#include "check.h"
#include "raw.h"

enum { kMany = 300, kHeader = 24, kNameRoom = 64 };

typedef struct {
  char name[kNameRoom];
  uint8_t type;
  uint64_t ino;
  uint64_t next;
} Entry;

static Entry entries[2 * kMany];
static int entry_count;

// Lists from a cookie through a buffer of that size, to the end. An errno.
static int list_from(__wasi_fd_t dir, size_t size, uint64_t cookie) {
  static uint8_t buffer[65536] __attribute__((aligned(8)));
  entry_count = 0;
  for (int rounds = 0; rounds < 20000; ++rounds) {
    __wasi_size_t used = 0;
    const int e = __wasi_fd_readdir(dir, buffer, size, cookie, &used);
    if (e != 0) {
      return e;
    }
    if (used > size) {
      return __WASI_ERRNO_OVERFLOW;
    }
    size_t at = 0;
    while (used - at >= kHeader) {
      __wasi_dirent_t dirent;
      memcpy(&dirent, buffer + at, sizeof dirent);
      if (used - at - kHeader < dirent.d_namlen) {
        break;  // Cut off: from the last whole one's cookie on, again.
      }
      Entry* entry = &entries[entry_count++];
      const size_t keep = dirent.d_namlen < kNameRoom - 1 ? dirent.d_namlen : kNameRoom - 1;
      memcpy(entry->name, buffer + at + kHeader, keep);
      entry->name[keep] = 0;
      entry->type = dirent.d_type;
      entry->ino = dirent.d_ino;
      entry->next = dirent.d_next;
      cookie = dirent.d_next;
      at += kHeader + dirent.d_namlen;
      if (entry_count == 2 * kMany) {
        return __WASI_ERRNO_2BIG;
      }
    }
    if (used < size) {
      return 0;
    }
  }
  return __WASI_ERRNO_TIMEDOUT;
}

static const Entry* find(const char* name) {
  for (int i = 0; i < entry_count; ++i) {
    if (strcmp(entries[i].name, name) == 0) {
      return &entries[i];
    }
  }
  return NULL;
}

static int many_name(int i, char* name) {
  return snprintf(name, kNameRoom, "entry-%03d-%.*s", i, i % 40,
                  "0123456789012345678901234567890123456789");
}

// Every one of them once, and "." and "..".
static void check_many(void) {
  EQ(entry_count, kMany + 2);
  for (int i = 0; i < kMany; ++i) {
    char name[kNameRoom];
    many_name(i, name);
    int seen = 0;
    for (int k = 0; k < entry_count; ++k) {
      seen += strcmp(entries[k].name, name) == 0;
    }
    if (seen != 1) {
      FAILS("%s is there %d times", name, seen);
    }
  }
}

int main(void) {
  MUST(__wasi_path_create_directory(kRoot, "l"));
  __wasi_fd_t dir = open_dir(kRoot, "l");
  CASE("fd_readdir", "an empty directory") {
    ERRNO(list_from(dir, 4096, 0), SUCCESS);
    EQ(entry_count, 2);
  }
  CASE("fd_readdir", "dot and dot-dot come first, as directories") {
    TEXT(entries[0].name, strlen(entries[0].name), ".");
    TEXT(entries[1].name, strlen(entries[1].name), "..");
    EQ(entries[0].type, __WASI_FILETYPE_DIRECTORY);
    EQ(entries[1].type, __WASI_FILETYPE_DIRECTORY);
  }
  CASE("fd_readdir", "dot is the directory itself") {
    __wasi_filestat_t stat;
    ERRNO(__wasi_fd_filestat_get(dir, &stat), SUCCESS);
    EQ(entries[0].ino, stat.ino);
  }
  CASE("fd_readdir", "dot-dot tells nothing of what lies above") {
    EQ(entries[1].ino, entries[0].ino);
  }
  put_file(dir, "file", "x");
  MUST(__wasi_path_create_directory(dir, "folder"));
  MUST(__wasi_path_symlink("file", dir, "link"));
  CASE("fd_readdir", "a new name is seen from the start on") {
    ERRNO(list_from(dir, 4096, 0), SUCCESS);
    EQ(entry_count, 5);
  }
  CASE("fd_readdir", "types: file, directory, symbolic link") {
    TRUE(find("file") != NULL && find("file")->type == __WASI_FILETYPE_REGULAR_FILE);
    TRUE(find("folder") != NULL && find("folder")->type == __WASI_FILETYPE_DIRECTORY);
    TRUE(find("link") != NULL && find("link")->type == __WASI_FILETYPE_SYMBOLIC_LINK);
  }
  CASE("fd_readdir", "inodes are what path_filestat_get says") {
    __wasi_filestat_t stat;
    ERRNO(__wasi_path_filestat_get(dir, 0, "file", &stat), SUCCESS);
    TRUE(find("file") != NULL && find("file")->ino == stat.ino);
    ERRNO(__wasi_path_filestat_get(dir, 0, "link", &stat), SUCCESS);
    TRUE(find("link") != NULL && find("link")->ino == stat.ino);
  }
  CASE("fd_readdir", "an unlinked name is gone") {
    ERRNO(__wasi_path_unlink_file(dir, "link"), SUCCESS);
    ERRNO(list_from(dir, 4096, 0), SUCCESS);
    EQ(entry_count, 4);
    TRUE(find("link") == NULL);
  }
  CASE("fd_readdir", "names in UTF-8") {
    put_file(dir, "\xce\xa9 \xf0\x9f\x98\x80", "");
    ERRNO(list_from(dir, 4096, 0), SUCCESS);
    TRUE(find("\xce\xa9 \xf0\x9f\x98\x80") != NULL);
  }

  MUST(__wasi_path_create_directory(kRoot, "many"));
  __wasi_fd_t many = open_dir(kRoot, "many");
  for (int i = 0; i < kMany; ++i) {
    char name[kNameRoom];
    many_name(i, name);
    put_file(many, name, "");
  }
  CASE("fd_readdir", "300 names at once") {
    ERRNO(list_from(many, 65536, 0), SUCCESS);
    check_many();
  }
  CASE("fd_readdir", "through a buffer of 4 KiB") {
    ERRNO(list_from(many, 4096, 0), SUCCESS);
    check_many();
  }
  CASE("fd_readdir", "through a buffer that holds one or two") {
    ERRNO(list_from(many, 100, 0), SUCCESS);
    check_many();
  }
  CASE("fd_readdir", "goes on from each cookie") {
    ERRNO(list_from(many, 65536, 0), SUCCESS);
    static Entry whole[kMany + 2];
    const int count = entry_count;
    memcpy(whole, entries, sizeof whole);
    for (int i = 0; i < count; i += 7) {
      ERRNO(list_from(many, 65536, whole[i].next), SUCCESS);
      EQ(entry_count, count - i - 1);
      if (entry_count > 0) {
        TEXT(entries[0].name, strlen(entries[0].name), whole[i + 1].name);
      }
    }
  }
  CASE("fd_readdir", "goes back to an earlier cookie") {
    ERRNO(list_from(many, 65536, 0), SUCCESS);
    const uint64_t early = entries[10].next;
    char name[kNameRoom];
    strcpy(name, entries[11].name);
    ERRNO(list_from(many, 65536, entries[200].next), SUCCESS);
    ERRNO(list_from(many, 65536, early), SUCCESS);
    TEXT(entries[0].name, strlen(entries[0].name), name);
  }
  CASE("fd_readdir", "two descriptors of one directory do not disturb each other") {
    __wasi_fd_t other = open_dir(kRoot, "many");
    static uint8_t buffer[200];
    __wasi_size_t used = 0;
    ERRNO(__wasi_fd_readdir(many, buffer, 200, 0, &used), SUCCESS);
    ERRNO(list_from(other, 4096, 0), SUCCESS);
    check_many();
    ERRNO(__wasi_fd_close(other), SUCCESS);
  }
  CASE("fd_readdir", "names that went away during the listing are no trouble") {
    static uint8_t buffer[4096] __attribute__((aligned(8)));
    __wasi_size_t used = 0;
    ERRNO(__wasi_fd_readdir(many, buffer, sizeof buffer, 0, &used), SUCCESS);
    EQ(used, sizeof buffer);
    __wasi_dirent_t first;
    memcpy(&first, buffer, sizeof first);
    for (int i = 0; i < kMany; i += 2) {
      char name[kNameRoom];
      many_name(i, name);
      ERRNO(__wasi_path_unlink_file(many, name), SUCCESS);
    }
    ERRNO(list_from(many, 4096, 0), SUCCESS);
    EQ(entry_count, kMany / 2 + 2);
  }

  static uint8_t buffer[256] __attribute__((aligned(8)));
  __wasi_size_t used = 0;
  CASE("fd_readdir", "a buffer shorter than a header is filled") {
    memset(buffer, 0xee, sizeof buffer);
    ERRNO(__wasi_fd_readdir(dir, buffer, 10, 0, &used), SUCCESS);
    EQ(used, 10);
    EQ(buffer[10], 0xee);
  }
  CASE("fd_readdir", "a buffer shorter than the name") {
    memset(buffer, 0xee, sizeof buffer);
    ERRNO(__wasi_fd_readdir(dir, buffer, kHeader + 1 + kHeader + 1, 0, &used), SUCCESS);
    EQ(used, kHeader + 1 + kHeader + 1);
    EQ(buffer[kHeader + 1 + kHeader], '.');
    EQ(buffer[kHeader + 1 + kHeader + 1], 0xee);
  }
  CASE("fd_readdir", "no buffer") {
    used = 99;
    ERRNO(__wasi_fd_readdir(dir, buffer, 0, 0, &used), SUCCESS);
    EQ(used, 0);
  }
  CASE("fd_readdir", "from the end") {
    ERRNO(list_from(dir, 4096, 0), SUCCESS);
    const uint64_t end = entries[entry_count - 1].next;
    ERRNO(__wasi_fd_readdir(dir, buffer, sizeof buffer, end, &used), SUCCESS);
    EQ(used, 0);
  }
  CASE("fd_readdir", "a directory that has been removed") {
    MUST(__wasi_path_create_directory(kRoot, "gone"));
    __wasi_fd_t gone = open_dir(kRoot, "gone");
    ERRNO(__wasi_path_remove_directory(kRoot, "gone"), SUCCESS);
    const int e = __wasi_fd_readdir(gone, buffer, sizeof buffer, 0, &used);
    TRUE(e == 0 || e == __WASI_ERRNO_NOENT);
    ERRNO(__wasi_fd_close(gone), SUCCESS);
  }
  CASE("fd_readdir", "a preopen") {
    ERRNO(list_from(kRoot, 4096, 0), SUCCESS);
    TRUE(find("many") != NULL && find("l") != NULL);
  }
  CASE("fd_readdir", "a file, a stream, not open") {
    __wasi_fd_t file = open_in(dir, "file", 0, READ, 0);
    ERRNO(__wasi_fd_readdir(file, buffer, sizeof buffer, 0, &used), BADF);
    ERRNO(__wasi_fd_readdir(0, buffer, sizeof buffer, 0, &used), BADF);
    ERRNO(__wasi_fd_readdir(777, buffer, sizeof buffer, 0, &used), BADF);
  }
  return 0;
}
