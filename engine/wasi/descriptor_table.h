// DescriptorTable: what the guest's small numbers mean.
//
// A number is the lowest free one. Bounded by WasiLimits::max_open_files and charged to
// WasiLimits::open_files. Single-thread: the guest's; owns everything in it.
#ifndef WASMD_ENGINE_WASI_DESCRIPTOR_TABLE_H_
#define WASMD_ENGINE_WASI_DESCRIPTOR_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/accountant.h"
#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "engine/wasi/wasi.h"
#include "engine/wasi/wasi_stream.h"

namespace wasmd::engine {

enum class DescriptorKind : uint8_t {
  kInput,      // Standard input; reading only.
  kOutput,     // Standard output or error; writing only.
  kFile,       // Anything that path_open opened but a directory.
  kDirectory,  // A preopen, or opened by path_open.
  kSocket,     // A stream socket: handed in, or accepted.
};

struct Descriptor {
  DescriptorKind kind = DescriptorKind::kFile;
  abi::Filetype filetype = abi::Filetype::kUnknown;
  // Opened beneath a read-only preopen, or one itself.
  bool read_only = false;
  bool nonblock = false;
  // Reading or writing may wait (pipes, terminals, sockets, …), so it is done with an eye on the
  // interrupt.
  bool may_block = false;
  // The kernel knows no RWF_NOWAIT for it; found out by trying.
  bool no_nowait = false;
  UniqueFd fd;                               // Empty for null streams and for the two below.
  std::shared_ptr<WasiInputStream> input;    // kInput
  std::shared_ptr<WasiOutputStream> output;  // kOutput
  std::optional<std::string> preopen_path;   // kDirectory
  // kDirectory: an own description for fd_readdir, opened when it is first needed.
  UniqueFd listing;
  // kDirectory: where fd_readdir goes on after the first, second, … name, by the kernel's
  // positions.
  std::vector<int64_t> places;
  bool listening = false;  // kSocket: it accepts, and carries no bytes itself.
};

class DescriptorTable {
 public:
  explicit DescriptorTable(const WasiLimits& limits)
      : max_open_files_(limits.max_open_files), accountant_(limits.open_files) {}
  DescriptorTable(const DescriptorTable&) = delete;
  DescriptorTable& operator=(const DescriptorTable&) = delete;
  ~DescriptorTable();

  // Charges the next `count` that are added. nullopt: they may be. Otherwise the limit.
  std::optional<NamedLimit> Hold(uint32_t count);
  // None can be added. Where one can, it has been charged.
  bool full() { return Hold(1).has_value(); }
  // Takes the lowest free number. Not full() only.
  uint32_t Add(Descriptor descriptor);
  // Null if there is none.
  Descriptor* Find(uint32_t fd) {
    return fd < descriptors_.size() ? descriptors_[fd].get() : nullptr;
  }
  // False if there is none.
  bool Close(uint32_t fd);
  // Closes `to` and makes it mean what `from` does; `from` is free then. Both are open and
  // different.
  void Renumber(uint32_t from, uint32_t to);

 private:
  void Uncharge(uint32_t count);

  const uint32_t max_open_files_;
  const std::shared_ptr<Accountant> accountant_;  // Null: nobody is charged.
  uint32_t open_count_ = 0;
  uint32_t held_count_ = 0;   // Charged, and not added yet.
  uint32_t lowest_free_ = 0;  // Every number below is taken.
  // Heap identity: a Descriptor* stays good while others come and go.
  std::vector<std::unique_ptr<Descriptor>> descriptors_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_DESCRIPTOR_TABLE_H_
