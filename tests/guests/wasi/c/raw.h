// The imports themselves, where the C library's wrappers stand in the way: they measure paths with
// strlen and have no proc_raise. Addresses and lengths are as the host gets them.
#ifndef WASMD_TESTS_GUESTS_WASI_C_RAW_H_
#define WASMD_TESTS_GUESTS_WASI_C_RAW_H_

#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) \
  __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) extern int raw_##name

IMPORT(args_get)(uintptr_t table, uintptr_t buffer);
IMPORT(args_sizes_get)(uintptr_t count, uintptr_t size);
IMPORT(environ_get)(uintptr_t table, uintptr_t buffer);
IMPORT(environ_sizes_get)(uintptr_t count, uintptr_t size);
IMPORT(clock_res_get)(int clock, uintptr_t out);
IMPORT(clock_time_get)(int clock, int64_t precision, uintptr_t out);
IMPORT(fd_advise)(int fd, int64_t offset, int64_t size, int advice);
IMPORT(fd_fdstat_get)(int fd, uintptr_t out);
IMPORT(fd_fdstat_set_flags)(int fd, int flags);
IMPORT(fd_fdstat_set_rights)(int fd, int64_t base, int64_t inheriting);
IMPORT(fd_filestat_get)(int fd, uintptr_t out);
IMPORT(fd_filestat_set_times)(int fd, int64_t atim, int64_t mtim, int flags);
IMPORT(fd_pread)(int fd, uintptr_t iovecs, size_t count, int64_t offset, uintptr_t out);
IMPORT(fd_prestat_get)(int fd, uintptr_t out);
IMPORT(fd_prestat_dir_name)(int fd, uintptr_t path, size_t size);
IMPORT(fd_pwrite)(int fd, uintptr_t iovecs, size_t count, int64_t offset, uintptr_t out);
IMPORT(fd_read)(int fd, uintptr_t iovecs, size_t count, uintptr_t out);
IMPORT(fd_readdir)(int fd, uintptr_t buffer, size_t size, int64_t cookie, uintptr_t out);
IMPORT(fd_seek)(int fd, int64_t offset, int whence, uintptr_t out);
IMPORT(fd_tell)(int fd, uintptr_t out);
IMPORT(fd_write)(int fd, uintptr_t iovecs, size_t count, uintptr_t out);
IMPORT(path_create_directory)(int fd, uintptr_t path, size_t size);
IMPORT(path_filestat_get)(int fd, int lookup, uintptr_t path, size_t size, uintptr_t out);
IMPORT(path_filestat_set_times)(int fd, int lookup, uintptr_t path, size_t size, int64_t atim,
                                int64_t mtim, int flags);
IMPORT(path_link)(int old_fd, int lookup, uintptr_t old_path, size_t old_size, int new_fd,
                  uintptr_t new_path, size_t new_size);
IMPORT(path_open)(int fd, int lookup, uintptr_t path, size_t size, int oflags, int64_t base,
                  int64_t inheriting, int fdflags, uintptr_t out);
IMPORT(path_readlink)(int fd, uintptr_t path, size_t size, uintptr_t buffer, size_t buffer_size,
                      uintptr_t out);
IMPORT(path_remove_directory)(int fd, uintptr_t path, size_t size);
IMPORT(path_rename)(int old_fd, uintptr_t old_path, size_t old_size, int new_fd, uintptr_t new_path,
                    size_t new_size);
IMPORT(path_symlink)(uintptr_t target, size_t target_size, int fd, uintptr_t path, size_t size);
IMPORT(path_unlink_file)(int fd, uintptr_t path, size_t size);
IMPORT(poll_oneoff)(uintptr_t subscriptions, uintptr_t events, size_t count, uintptr_t out);
IMPORT(proc_raise)(int signal);
IMPORT(random_get)(uintptr_t buffer, size_t size);
IMPORT(sock_accept)(int fd, int flags, uintptr_t out);
IMPORT(sock_recv)(int fd, uintptr_t iovecs, size_t count, int flags, uintptr_t size_out,
                  uintptr_t flags_out);
IMPORT(sock_send)(int fd, uintptr_t iovecs, size_t count, int flags, uintptr_t out);
IMPORT(sock_shutdown)(int fd, int how);

#undef IMPORT

// A text that a C string can't be: its bytes and how many.
#define BYTES(literal) (uintptr_t)(literal), sizeof(literal) - 1

#endif  // WASMD_TESTS_GUESTS_WASI_C_RAW_H_
