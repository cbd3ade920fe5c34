// WasiContext: the functions of WASI preview 1 as plain members, and the state they share.
//
// Each takes the calling Guest and the wasm arguments (an address or length in guest memory is
// uint32_t; results go to the addresses at the end) and answers with an errno, or with the reason
// why the guest doesn't go on: see Answer. The members need no engine: tests call them with a byte
// array for memory.
//
// Single-thread: the guest's. Spec: WASI preview 1; by the function's name.
#ifndef WASMD_ENGINE_WASI_CONTEXT_H_
#define WASMD_ENGINE_WASI_CONTEXT_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/wasi.h"

struct stat;

namespace wasmd::engine {

class WasiContext {
 public:
  explicit WasiContext(WasiOptions options);
  WasiContext(const WasiContext&) = delete;
  WasiContext& operator=(const WasiContext&) = delete;

  // Checks the options and opens descriptors 0 to 2, the preopens and the sockets. Once, before
  // anything else. Errors: Wasi::Create.
  absl::Status Open();

  // Arguments and environment: addresses go to a table, texts with terminators to a buffer.
  Answer ArgsGet(Guest& guest, uint32_t table, uint32_t buffer);
  Answer ArgsSizesGet(Guest& guest, uint32_t count_out, uint32_t size_out);
  Answer EnvironGet(Guest& guest, uint32_t table, uint32_t buffer);
  Answer EnvironSizesGet(Guest& guest, uint32_t count_out, uint32_t size_out);

  // kBadf for the CPU-time clocks, which there are none of; kInval for unknown ones.
  Answer ClockResGet(Guest& guest, uint32_t clock, uint32_t out);
  Answer ClockTimeGet(Guest& guest, uint32_t clock, uint64_t precision, uint32_t out);

  Answer FdAdvise(Guest& guest, uint32_t fd, uint64_t offset, uint64_t size, uint32_t advice);
  Answer FdAllocate(Guest& guest, uint32_t fd, uint64_t offset, uint64_t size);
  Answer FdClose(Guest& guest, uint32_t fd);
  Answer FdDatasync(Guest& guest, uint32_t fd);
  Answer FdFdstatGet(Guest& guest, uint32_t fd, uint32_t out);
  Answer FdFdstatSetFlags(Guest& guest, uint32_t fd, uint32_t flags);
  Answer FdFdstatSetRights(Guest& guest, uint32_t fd, uint64_t base, uint64_t inheriting);
  Answer FdFilestatGet(Guest& guest, uint32_t fd, uint32_t out);
  Answer FdFilestatSetSize(Guest& guest, uint32_t fd, uint64_t size);
  Answer FdFilestatSetTimes(Guest& guest, uint32_t fd, uint64_t atim, uint64_t mtim,
                            uint32_t flags);
  Answer FdPread(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count, uint64_t offset,
                 uint32_t out);
  Answer FdPrestatGet(Guest& guest, uint32_t fd, uint32_t out);
  Answer FdPrestatDirName(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size);
  Answer FdPwrite(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count, uint64_t offset,
                  uint32_t out);
  Answer FdRead(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count, uint32_t out);
  Answer FdReaddir(Guest& guest, uint32_t fd, uint32_t buffer, uint32_t size, uint64_t cookie,
                   uint32_t out);
  Answer FdRenumber(Guest& guest, uint32_t from, uint32_t to);
  Answer FdSeek(Guest& guest, uint32_t fd, int64_t offset, uint32_t whence, uint32_t out);
  Answer FdSync(Guest& guest, uint32_t fd);
  Answer FdTell(Guest& guest, uint32_t fd, uint32_t out);
  Answer FdWrite(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count, uint32_t out);

  Answer PathCreateDirectory(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size);
  Answer PathFilestatGet(Guest& guest, uint32_t fd, uint32_t lookup, uint32_t path,
                         uint32_t path_size, uint32_t out);
  Answer PathFilestatSetTimes(Guest& guest, uint32_t fd, uint32_t lookup, uint32_t path,
                              uint32_t path_size, uint64_t atim, uint64_t mtim, uint32_t flags);
  Answer PathLink(Guest& guest, uint32_t old_fd, uint32_t lookup, uint32_t old_path,
                  uint32_t old_size, uint32_t new_fd, uint32_t new_path, uint32_t new_size);
  Answer PathOpen(Guest& guest, uint32_t fd, uint32_t lookup, uint32_t path, uint32_t path_size,
                  uint32_t open_flags, uint64_t rights_base, uint64_t rights_inheriting,
                  uint32_t fd_flags, uint32_t out);
  Answer PathReadlink(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size, uint32_t buffer,
                      uint32_t buffer_size, uint32_t out);
  Answer PathRemoveDirectory(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size);
  Answer PathRename(Guest& guest, uint32_t old_fd, uint32_t old_path, uint32_t old_size,
                    uint32_t new_fd, uint32_t new_path, uint32_t new_size);
  Answer PathSymlink(Guest& guest, uint32_t target, uint32_t target_size, uint32_t fd,
                     uint32_t path, uint32_t path_size);
  Answer PathUnlinkFile(Guest& guest, uint32_t fd, uint32_t path, uint32_t path_size);

  Answer PollOneoff(Guest& guest, uint32_t subscriptions, uint32_t events, uint32_t count,
                    uint32_t out);
  Answer ProcExit(Guest& guest, uint32_t code);
  Answer ProcRaise(Guest& guest, uint32_t signal);
  Answer RandomGet(Guest& guest, uint32_t buffer, uint32_t size);
  Answer SchedYield(Guest& guest);
  Answer SockAccept(Guest& guest, uint32_t fd, uint32_t flags, uint32_t out);
  Answer SockRecv(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count, uint32_t flags,
                  uint32_t size_out, uint32_t flags_out);
  Answer SockSend(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count, uint32_t flags,
                  uint32_t out);
  Answer SockShutdown(Guest& guest, uint32_t fd, uint32_t how);

 private:
  Answer StoreStrings(Guest& guest, const std::vector<std::string>& strings, uint32_t table,
                      uint32_t buffer) const;
  static Answer StoreStringSizes(Guest& guest, const std::vector<std::string>& strings,
                                 uint32_t count_out, uint32_t size_out);
  // kRealtime or kMonotonic.
  uint64_t NowNs(uint32_t clock) const;
  absl::Status OpenPreopen(WasiPreopen preopen);
  absl::Status OpenSocket(WasiSocket socket);
  // Null unless `fd` is open and of that kind.
  Descriptor* FindFile(uint32_t fd);
  Descriptor* FindDirectory(uint32_t fd);
  // kBadf: not open. kNotsock: something else.
  Answer FindSocket(uint32_t fd, Descriptor*& socket);

  WasiOptions options_;
  uint64_t start_monotonic_ns_ =
      0;  // The guest's monotonic clock starts at 0: the machine's uptime is not its business.
  DescriptorTable descriptors_;
};

// A host file's record as the guest sees it. False: a time that WASI can't express.
bool FilestatOf(const struct stat& status, abi::Filestat& filestat);
abi::Filetype FiletypeOf(uint32_t mode);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_CONTEXT_H_
