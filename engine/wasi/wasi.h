// Wasi: WASI preview 1 for one run of one program.
//
//   WasiOptions options;
//   options.args = {"prog", "--help"};
//   options.preopens.push_back({"/data", UniqueFd(open("/srv/data", O_PATH | O_DIRECTORY |
//   O_CLOEXEC)), false}); options.stdout_stream = std::make_shared<MyOutput>();           // or
//   UniqueFd(dup(1)); nothing: null WASMD_ASSIGN_OR_RETURN(std::unique_ptr<Wasi> wasi,
//   Wasi::Create(std::move(options))); wasi->AddTo(linker); // defines module
//   "wasi_snapshot_preview1" … instantiate, call "_start" … outcome.exit()->code // proc_exit;
//   returning from _start is 0
//
// What the guest can reach is what the options give it: the directories, with everything beneath
// them, the sockets, and three streams. The kernel keeps every path beneath its directory (openat2,
// RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS), also against links that change meanwhile. Which
// functions there are, and where they differ from wasmtime's: docs/wasi.md.
//
// Functions that wait (reads, writes, polls, sleeps) wait on HostContext::interrupt_fd() too.
// Memory use is bounded by WasiLimits, whatever numbers the guest passes. Pointers that don't lie
// in the guest's memory, or are not aligned as the function's types ask, trap, as WASI says;
// everything else that goes wrong is an errno.
//
// Single-thread: the guest's, one call at a time. Outlives every store into whose linker it was
// added. Destruction closes all descriptors and drops the streams.
#ifndef WASMD_ENGINE_WASI_WASI_H_
#define WASMD_ENGINE_WASI_WASI_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/base/accountant.h"
#include "engine/base/unique_fd.h"
#include "engine/runtime/host_func.h"
#include "engine/wasi/wasi_stream.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

inline constexpr std::string_view kWasiModuleName = "wasi_snapshot_preview1";

// A directory of the host that the guest sees, as descriptor 3, 4, … in the order of the options.
struct WasiPreopen {
  std::string
      guest_path;  // "/", "/data", ".": what prestat_dir_name says. At most 4,096 bytes, no NUL.
  UniqueFd directory;  // O_PATH is enough.
  bool read_only =
      false;  // Whatever would change something in it fails with EPERM, as in wasmtime.
};

// A stream socket of the host that the guest sees behind the directories, in the order of the
// options: listening (sock_accept) or connected (reads, writes, sock_recv, sock_send). Of any
// address family. Its file description may be shared with whoever made it, so its flags are left
// alone; whether the guest's calls wait begins as its O_NONBLOCK says.
struct WasiSocket {
  UniqueFd socket;
};

// std::monostate: stdin is at its end, stdout and stderr throw away. A descriptor is read or
// written directly, in whatever mode (O_NONBLOCK or not) it is in: its file description may be
// shared with a client's shell, so its flags are left alone.
using WasiInput = std::variant<std::monostate, UniqueFd, std::shared_ptr<WasiInputStream>>;
using WasiOutput = std::variant<std::monostate, UniqueFd, std::shared_ptr<WasiOutputStream>>;

struct WasiLimits {
  uint32_t max_open_files =
      1024;  // Of one program, standard streams, preopens and sockets included. Beyond: EMFILE.
  uint32_t max_args = 16384;          // args and env each; beyond, Create fails.
  uint32_t max_args_bytes = 4 << 20;  // args and env together, terminators included.
  // Is charged for open files, one each, and may refuse them: EMFILE, or kResourceExhausted from
  // Create. Null: nobody. Shared: by the programs that it bounds together.
  std::shared_ptr<Accountant> open_files = nullptr;
};

struct WasiOptions {
  std::vector<std::string> args;  // args[0] is the program's name. No NUL inside.
  std::vector<std::string> env;   // "NAME=value". No NUL inside.
  std::vector<WasiPreopen> preopens;
  std::vector<WasiSocket> sockets;
  WasiInput stdin_stream;
  WasiOutput stdout_stream;
  WasiOutput stderr_stream;
  // Nanoseconds of CLOCK_REALTIME and CLOCK_MONOTONIC; null: the kernel's. Sleeping uses the
  // kernel's in any case.
  std::function<uint64_t()> realtime_ns;
  std::function<uint64_t()> monotonic_ns;
  WasiLimits limits;
};

class WasiContext;

// One importable function: what a linker needs.
struct WasiFunction {
  std::string_view name;
  FuncType type;
  HostCallback callback;  // Refers to the Wasi.
};

class Wasi {
 public:
  // kInvalidArgument: a NUL in an argument, variable or path, a preopen that is no directory or is
  // procfs's, a socket that is none or carries no stream, limits exceeded. kResourceExhausted:
  // WasiLimits::open_files refuses.
  static absl::StatusOr<std::unique_ptr<Wasi>> Create(WasiOptions options);
  ~Wasi();
  Wasi(const Wasi&) = delete;
  Wasi& operator=(const Wasi&) = delete;

  // All functions of preview 1, also the ones that only answer ENOSYS.
  std::vector<WasiFunction> Functions();

  // Defines them in a linker: anything with DefineFunc(module, name, type, callback).
  template <typename Linker>
  void AddTo(Linker& linker) {
    for (WasiFunction& function : Functions()) {
      linker.DefineFunc(kWasiModuleName, function.name, std::move(function.type),
                        std::move(function.callback));
    }
  }

  // The functions as plain members, for tests.
  WasiContext& context() { return *context_; }

 private:
  explicit Wasi(std::unique_ptr<WasiContext> context);
  std::unique_ptr<WasiContext> context_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_WASI_H_
