// Calls that may end the program: addresses outside of memory, misaligned ones, values that WASI
// does not know, exits. One a run.
//
//   outcomes --list      prints a line a case: how it is to end ("trap", "ok" or "exit CODE"), and
//                        its name
//   outcomes CASE        does the case of that number. Where it is to end "ok", its own line says
//                        so; else whoever runs it looks at how it ended
#include "check.h"
#include "raw.h"

enum { kOutside = 0xfffffff0u };
static uint64_t room[8];  // Aligned to 8, and large enough for every record.
#define IN ((uintptr_t)room)
#define ODD ((uintptr_t)room + 1)
#define PATH BYTES("file")
#define NO_PATH (uintptr_t)kOutside, 4

static __wasi_iovec_t to_outside = {(uint8_t*)kOutside, 64};
static __wasi_iovec_t past_end = {(uint8_t*)16, 0xffffffffu};
#define IOV(iov) (uintptr_t)&(iov), 1

static int file;
static int sub_of(int tag, uint32_t id) {
  static __wasi_subscription_t sub;
  memset(&sub, 0, sizeof sub);
  sub.u.tag = (uint8_t)tag;
  *(uint32_t*)&sub.u.u.clock.id = id;
  return (int)(uintptr_t)&sub;
}
static __wasi_event_t event;
static void return_early(void) {
  exit(0);
}

// how, function, case, call
#define CASES                                                                                     \
  T(args_get, "a table outside of memory", raw_args_get(kOutside, IN))                            \
  T(args_get, "texts outside of memory", raw_args_get(IN, kOutside))                              \
  T(args_get, "a misaligned table", raw_args_get(ODD, IN))                                        \
  T(args_sizes_get, "a result outside of memory", raw_args_sizes_get(kOutside, IN))               \
  T(args_sizes_get, "a misaligned result", raw_args_sizes_get(IN, ODD))                           \
  T(environ_get, "a table outside of memory", raw_environ_get(kOutside, IN))                      \
  T(environ_sizes_get, "a result outside of memory", raw_environ_sizes_get(IN, kOutside))         \
  T(clock_res_get, "a result outside of memory", raw_clock_res_get(0, kOutside))                  \
  T(clock_time_get, "a result outside of memory", raw_clock_time_get(0, 1, kOutside))             \
  T(clock_time_get, "a misaligned result", raw_clock_time_get(0, 1, ODD))                         \
  T(fd_fdstat_get, "a result outside of memory", raw_fd_fdstat_get(kRoot, kOutside))              \
  T(fd_filestat_get, "a result outside of memory", raw_fd_filestat_get(kRoot, kOutside))          \
  T(fd_pread, "a buffer outside of memory", raw_fd_pread(file, IOV(to_outside), 0, IN))           \
  T(fd_pread, "a list outside of memory", raw_fd_pread(file, kOutside, 8, 0, IN))                 \
  T(fd_prestat_get, "a result outside of memory", raw_fd_prestat_get(kRoot, kOutside))            \
  T(fd_prestat_dir_name, "a buffer outside of memory",                                            \
    raw_fd_prestat_dir_name(kRoot, 0xffffffffu, 8))                                               \
  T(fd_pwrite, "a buffer outside of memory", raw_fd_pwrite(file, IOV(to_outside), 0, IN))         \
  T(fd_read, "a buffer outside of memory", raw_fd_read(file, IOV(to_outside), IN))                \
  T(fd_read, "a buffer that goes over the end", raw_fd_read(file, IOV(past_end), IN))             \
  T(fd_read, "a list outside of memory", raw_fd_read(file, kOutside, 8, IN))                      \
  T(fd_read, "a misaligned list", raw_fd_read(file, ODD, 1, IN))                                  \
  T(fd_read, "a list longer than memory", raw_fd_read(file, IN, 0x40000000u, IN))                 \
  T(fd_read, "a result outside of memory", raw_fd_read(file, IN, 0, kOutside))                    \
  T(fd_readdir, "a buffer outside of memory", raw_fd_readdir(kRoot, kOutside, 64, 0, IN))         \
  T(fd_readdir, "a result outside of memory", raw_fd_readdir(kRoot, IN, 8, 0, kOutside))          \
  T(fd_seek, "a result outside of memory", raw_fd_seek(file, 0, 0, kOutside))                     \
  T(fd_tell, "a result outside of memory", raw_fd_tell(file, kOutside))                           \
  T(fd_write, "a buffer outside of memory", raw_fd_write(file, IOV(to_outside), IN))              \
  T(fd_write, "a result outside of memory", raw_fd_write(file, IN, 0, kOutside))                  \
  T(path_create_directory, "a path outside of memory", raw_path_create_directory(kRoot, NO_PATH)) \
  T(path_filestat_get, "a path outside of memory", raw_path_filestat_get(kRoot, 0, NO_PATH, IN))  \
  T(path_filestat_get, "a result outside of memory",                                              \
    raw_path_filestat_get(kRoot, 0, PATH, kOutside))                                              \
  T(path_filestat_set_times, "a path outside of memory",                                          \
    raw_path_filestat_set_times(kRoot, 0, NO_PATH, 0, 0, 0))                                      \
  T(path_link, "a path outside of memory", raw_path_link(kRoot, 0, PATH, kRoot, NO_PATH))         \
  T(path_open, "a path outside of memory", raw_path_open(kRoot, 0, NO_PATH, 0, 2, 2, 0, IN))      \
  T(path_open, "a result outside of memory", raw_path_open(kRoot, 0, PATH, 0, 2, 2, 0, kOutside)) \
  T(path_open, "a misaligned result", raw_path_open(kRoot, 0, PATH, 0, 2, 2, 0, ODD))             \
  T(path_readlink, "a path outside of memory", raw_path_readlink(kRoot, NO_PATH, IN, 8, IN))      \
  T(path_readlink, "a buffer outside of memory",                                                  \
    raw_path_readlink(kRoot, BYTES("link"), 0xfffffffeu, 8, IN))                                  \
  T(path_remove_directory, "a path outside of memory", raw_path_remove_directory(kRoot, NO_PATH)) \
  T(path_rename, "a path outside of memory", raw_path_rename(kRoot, PATH, kRoot, NO_PATH))        \
  T(path_symlink, "a target outside of memory", raw_path_symlink(NO_PATH, kRoot, PATH))           \
  T(path_unlink_file, "a path outside of memory", raw_path_unlink_file(kRoot, NO_PATH))           \
  T(poll_oneoff, "subscriptions outside of memory", raw_poll_oneoff(kOutside, IN, 1, IN))         \
  T(poll_oneoff, "events outside of memory",                                                      \
    raw_poll_oneoff((uintptr_t)sub_of(0, 1), kOutside, 1, IN))                                    \
  T(poll_oneoff, "more subscriptions than memory holds",                                          \
    raw_poll_oneoff((uintptr_t)sub_of(0, 1), (uintptr_t)&event, 0x10000000u, IN))                 \
  T(random_get, "a buffer outside of memory", raw_random_get(kOutside, 64))                       \
  E(random_get, "no bytes at the very end of memory", SUCCESS,                                    \
    raw_random_get((uintptr_t)__builtin_wasm_memory_size(0) << 16, 0))                            \
  E(clock_res_get, "an unknown clock", INVAL, raw_clock_res_get(9, IN))                           \
  E(clock_time_get, "an unknown clock", INVAL, raw_clock_time_get(9, 1, IN))                      \
  E(fd_advise, "unknown advice", INVAL, raw_fd_advise(file, 0, 1, 6))                             \
  E(fd_fdstat_set_flags, "unknown flags", INVAL, raw_fd_fdstat_set_flags(file, 32))               \
  E(fd_fdstat_set_rights, "unknown rights", INVAL, raw_fd_fdstat_set_rights(file, 1LL << 40, 0))  \
  E(fd_filestat_set_times, "unknown flags", INVAL, raw_fd_filestat_set_times(file, 0, 0, 16))     \
  E(fd_seek, "an unknown origin", INVAL, raw_fd_seek(file, 0, 3, IN))                             \
  E(path_filestat_get, "unknown lookup flags", INVAL, raw_path_filestat_get(kRoot, 2, PATH, IN))  \
  E(path_filestat_set_times, "unknown flags", INVAL,                                              \
    raw_path_filestat_set_times(kRoot, 0, PATH, 0, 0, 16))                                        \
  E(path_link, "unknown lookup flags", INVAL, raw_path_link(kRoot, 2, PATH, kRoot, BYTES("x")))   \
  E(path_open, "unknown lookup flags", INVAL, raw_path_open(kRoot, 2, PATH, 0, 2, 2, 0, IN))      \
  E(path_open, "unknown open flags", INVAL, raw_path_open(kRoot, 0, PATH, 16, 2, 2, 0, IN))       \
  E(path_open, "unknown descriptor flags", INVAL, raw_path_open(kRoot, 0, PATH, 0, 2, 2, 32, IN)) \
  E(path_open, "unknown rights", INVAL, raw_path_open(kRoot, 0, PATH, 0, 1LL << 40, 2, 0, IN))    \
  E(poll_oneoff, "an unknown kind of event", INVAL,                                               \
    raw_poll_oneoff((uintptr_t)sub_of(3, 0), (uintptr_t)&event, 1, IN))                           \
  E(poll_oneoff, "an unknown clock", INVAL,                                                       \
    raw_poll_oneoff((uintptr_t)sub_of(0, 9), (uintptr_t)&event, 1, IN))                           \
  E(proc_raise, "signals are not supported", NOTSUP, raw_proc_raise(6))                           \
  X(proc_exit, "0", 0, __wasi_proc_exit(0))                                                       \
  X(proc_exit, "1", 1, __wasi_proc_exit(1))                                                       \
  X(proc_exit, "42", 42, __wasi_proc_exit(42))                                                    \
  X(proc_exit, "125", 125, __wasi_proc_exit(125))                                                 \
  X(proc_exit, "255", 255, __wasi_proc_exit(255))                                                 \
  X(proc_exit, "256: a process's status has 8 bits", 0, __wasi_proc_exit(256))                    \
  X(proc_exit, "deep in a call, by exit()", 0, return_early())                                    \
  X(proc_exit, "returning from main", 7, result = 7)

#define T(function, name, call) {"trap", #function, name},
#define E(function, name, errno_, call) {"ok", #function, name},
#define X(function, name, code, call) {"exit " #code, #function, name},
static const struct {
  const char *how, *function, *name;
} kCases[] = {CASES};
#undef T
#undef E
#undef X
enum { kCount = sizeof kCases / sizeof kCases[0] };

int main(int argc, char** argv) {
  if (argc != 2 || strcmp(argv[1], "--list") == 0) {
    for (int i = 0; i < kCount; ++i) {
      printf("%s|%s|%s\n", kCases[i].how, kCases[i].function, kCases[i].name);
    }
    return 0;
  }
  put_file(kRoot, "file", "0123456789");
  (void)!__wasi_path_symlink("a long enough target", kRoot, "link");
  file = (int)open_in(kRoot, "file", 0, READ | WRITE, 0);
  const int which = atoi(argv[1]);
  int result = 0, got = 0, line = 0;
#define T(function, name, call) \
  if (line++ == which) {        \
    (void)!(call);              \
    return 99;                  \
  }
#define E(function, name, errno_, call) \
  if (line++ == which) {                \
    got = (call);                       \
    CASE(#function, name) {             \
      ERRNO(got, errno_);               \
    }                                   \
  }
#define X(function, name, code, call) \
  if (line++ == which) {              \
    call;                             \
  }
  CASES
  return result;
}
