// A connection to wasmd, and what can be done with it.
//
//   absl::StatusOr<Client> client = Client::Connect("unix:/run/wasmd.sock");
//   absl::StatusOr<ModuleInfo> module = client->UploadModule(ModuleSource::File("fib.wasm"));
//   absl::StatusOr<CallResult> result = client->Call(module->digest, "fib", {30});
//   if (const auto* values = std::get_if<Values>(&result->outcome)) …   // else a Trap, or an Exit
//
// Client owns a session of the daemon: its instances and the descriptors that it passed. The
// session ends, and what it has running is cancelled, when the Client and every Instance and
// Channel made from it are gone, or the process dies. On a unix socket descriptors can be passed: a
// module's file is then read by the daemon, and a run's standard streams and directories are used
// by it directly. Over TCP, or where the daemon refuses that, the bytes travel through gRPC.
//
// Client and Instance are thread-safe: any number of calls may be in progress at a time. Both can
// be moved, which is not. Every function blocks until it is done, its deadline passes, or its stop
// token is triggered, unless it says otherwise.
//
// Errors are absl::Status with one line of text. Codes, besides those named at each function:
//   kUnavailable        no daemon there, or the connection was lost
//   kPermissionDenied   the socket, or the daemon, refuses this user
//   kDeadlineExceeded   the timeout passed; the guest is stopped
//   kCancelled          the stop token was triggered; the guest is stopped
//   kResourceExhausted  over a limit of the daemon, which is named
#ifndef WASMD_CLIENT_CPP_CLIENT_H_
#define WASMD_CLIENT_CPP_CLIENT_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "client/cpp/channel_options.h"
#include "client/cpp/module.h"
#include "client/cpp/outcome.h"
#include "client/cpp/server.h"
#include "client/cpp/stdio.h"
#include "client/cpp/value.h"

namespace wasmd::client {

class Channel;
class Core;
class Instance;

struct ConnectOptions {
  // For the daemon's log and `wasmctl top`.
  std::string client_name = "wasmd-cpp";
  std::string client_version = {};
  // For the whole of Connect.
  absl::Duration timeout = absl::Seconds(10);
  // Off: no handshake, everything travels through gRPC.
  bool pass_descriptors = true;
};

// Of an input and of an output of CallBytes.
inline constexpr uint64_t kMaxCallBytes = uint64_t{4} << 20;

// What a guest may use, where that is less than the daemon allows (its option of the same name). 0:
// what it allows. See docs/limits.md.
struct InvocationLimits {
  uint64_t memory_bytes = 0;         // --max-memory
  uint64_t table_elements = 0;       // --max-table-elements
  uint64_t heap_bytes = 0;           // --max-heap
  uint64_t stack_bytes = 0;          // --wasm-stack
  uint32_t open_files = 0;           // --max-open-files; programs
  uint64_t output_buffer_bytes = 0;  // --max-output-buffer; programs
  absl::Duration cpu_time = {};      // --max-cpu-time. Beyond: kResourceExhausted.
};

// A limit on one request. Infinite and never, by default.
struct Control {
  absl::Duration timeout = absl::InfiniteDuration();
  std::stop_token stop = {};
  // Of Client's calls and runs alone, not of an Instance's or a Channel's: how many instructions
  // the guest may execute before it traps, kOutOfFuel. Empty: they are not counted.
  std::optional<uint64_t> fuel = {};
  // Of calls, runs, instances and bindings. A call of an Instance can limit its CPU time alone
  // (kInvalidArgument); the others were settled when the instance was made.
  InvocationLimits limits = {};
};

// Where a module's bytes come from. Refers to what it is made from, which must stay until the
// upload is done.
class ModuleSource {
 public:
  static ModuleSource Bytes(std::string_view bytes) { return ModuleSource(bytes, {}, -1); }
  static ModuleSource File(std::string_view path) { return ModuleSource({}, path, -1); }
  // Read from its start if it is a regular file, else from where it is to its end.
  static ModuleSource Descriptor(int fd) { return ModuleSource({}, {}, fd); }

  std::string_view bytes() const { return bytes_; }
  std::string_view path() const { return path_; }
  int fd() const { return fd_; }

 private:
  ModuleSource(std::string_view bytes, std::string_view path, int fd)
      : bytes_(bytes), path_(path), fd_(fd) {}
  std::string_view bytes_;
  std::string_view path_;
  int fd_;
};

struct UploadOptions {
  // Shown in lists and backtraces; empty: the file's base name. Cut to 255 bytes.
  std::string name;
  // Compile every function before returning.
  bool eager = false;
  // Called as the upload goes on, on the calling thread; not at all if the daemon reads the file
  // itself or has the module.
  std::function<void(uint64_t sent_bytes, uint64_t total_bytes)> progress;
  Control control;
};

struct InstanceOptions {
  // Each satisfies the imports whose module name is the first by the exports of the second.
  std::vector<std::pair<std::string, const Instance*>> imports;
  // Provide "wasi_snapshot_preview1", with neither arguments nor directories.
  bool wasi = false;
  Control control;
};

// A directory for a WASI program.
struct Preopen {
  std::string guest_path;  // "/", "/data"
  // One of: an open directory, which is passed to the daemon and stays the caller's; a root that
  // the daemon's configuration names (SessionInfo::roots); or an empty directory in memory of that
  // size, which goes with the run (0: as large as the daemon allows).
  int directory_fd = -1;
  std::string root;
  bool read_only = false;
  std::optional<uint64_t> scratch_bytes = std::nullopt;
};

struct RunOptions {
  std::vector<std::string> args;  // argv[0] included.
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<Preopen> preopens;
  // Stream sockets, listening or connected, that are passed to the daemon and stay the caller's.
  // The program sees them behind the directories: the first as 3 + preopens.size().
  std::vector<int> socket_fds;
  Input input = Input::Null();
  Output output = Output::Null();
  Output error = Output::Null();
  // As control.limits.memory_bytes.
  uint64_t max_memory_bytes = 0;
  Control control;
};

// An instance in the daemon. Its state lives until Drop, or until this object is gone.
class Instance {
 public:
  Instance(Instance&& other) noexcept;
  Instance& operator=(Instance&& other) noexcept;
  // Tells the daemon to drop it, and does not wait.
  ~Instance();

  // As Client::Call. Calls of one instance take turns. After kDeadlineExceeded or kCancelled in the
  // middle of a call its state is gone, and so are later calls (kFailedPrecondition or kNotFound).
  absl::StatusOr<CallResult> Call(std::string_view func, std::span<const Value> args,
                                  const Control& control = {});
  absl::StatusOr<CallResult> Call(std::string_view func, std::initializer_list<Value> args,
                                  const Control& control = {}) {
    return Call(func, std::span(args.begin(), args.size()), control);
  }

  // As Client::CallBytes, and takes turns as Call does.
  absl::StatusOr<BytesResult> CallBytes(std::string_view func, std::string_view input,
                                        const Control& control = {});

  // The exported memory of that name; empty: the only one. At any size: requests are cut to what
  // the daemon takes at a time. kOutOfRange: not inside the memory; a write may then have happened
  // in part.
  absl::StatusOr<std::string> ReadMemory(std::string_view memory, uint64_t offset,
                                         uint64_t size_bytes, const Control& control = {});
  absl::Status WriteMemory(std::string_view memory, uint64_t offset, std::string_view data,
                           const Control& control = {});

  absl::StatusOr<Value> GetGlobal(std::string_view global, const Control& control = {});
  // kFailedPrecondition: immutable.
  absl::Status SetGlobal(std::string_view global, const Value& value, const Control& control = {});

  // Ends it now, and waits. From then on everything here is kNotFound, as it is after a move.
  absl::Status Drop(const Control& control = {});

  uint64_t id() const { return id_; }

 private:
  friend class Client;
  Instance(std::shared_ptr<Core> core, uint64_t id);

  std::shared_ptr<Core> core_;
  uint64_t id_ = 0;  // 0: moved from or dropped.
};

class Client {
 public:
  // An empty address is DefaultAddress(). kInvalidArgument: not an address. kFailedPrecondition:
  // there is something there that is no wasmd, or it speaks no version that we speak.
  static absl::StatusOr<Client> Connect(std::string_view address = {},
                                        const ConnectOptions& options = {});

  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  // Ends the session without waiting.
  ~Client();

  const SessionInfo& session() const;

  // ---- Modules

  // Makes the daemon have the module: at once if it has it already.
  // kInvalidArgument: malformed or invalid. kUnimplemented: it needs a wasm feature that the daemon
  // lacks. kNotFound, kPermissionDenied: of the file.
  absl::StatusOr<ModuleInfo> UploadModule(const ModuleSource& source,
                                          const UploadOptions& options = {});

  // By digest, or by a prefix of at least 8 hex digits, with or without "sha256:". kNotFound.
  absl::StatusOr<ModuleDetails> GetModule(std::string_view digest, const Control& control = {});
  absl::StatusOr<std::vector<ModuleInfo>> ListModules(const Control& control = {});
  absl::Status RemoveModule(std::string_view digest, const Control& control = {});

  // ---- Instances

  // kInvalidArgument: an import that nothing satisfies, which is named. kAborted: the start
  // function trapped.
  absl::StatusOr<Instance> Instantiate(std::string_view digest,
                                       const InstanceOptions& options = {});
  absl::StatusOr<std::vector<InstanceInfo>> ListInstances(const Control& control = {});

  // ---- Invocations

  // Calls an exported function in a fresh instance of the module.
  // kNotFound: no such module or export. kInvalidArgument: the arguments do not fit the function's
  // type.
  absl::StatusOr<CallResult> Call(std::string_view digest, std::string_view func,
                                  std::span<const Value> args, const Control& control = {});
  absl::StatusOr<CallResult> Call(std::string_view digest, std::string_view func,
                                  std::initializer_list<Value> args, const Control& control = {}) {
    return Call(digest, func, std::span(args.begin(), args.size()), control);
  }

  // For a thread that makes many calls: client/cpp/channel.h, to be included by who uses it.
  // kInvalidArgument: the options. With ChannelTransport::kRing also whatever keeps shared memory
  // from being had.
  absl::StatusOr<Channel> OpenChannel(const ChannelOptions& options = {});

  // Calls an exported function that takes and gives a byte string (docs/bytes.md), in a fresh
  // instance of the module: the input is copied into the instance's memory, and the output out of
  // it.
  //
  //   absl::StatusOr<BytesResult> result = client->CallBytes(module->digest, "upper", "abc");
  //   if (const auto* output = std::get_if<std::string>(&result->outcome)) …  // else Trap, or Exit
  //
  // kNotFound: no such module or export, or the module lacks another one that such functions need.
  // kInvalidArgument: an export is of another type. kResourceExhausted: the input has more than
  // kMaxCallBytes. kOutOfRange: the output has; the function has returned.
  absl::StatusOr<BytesResult> CallBytes(std::string_view digest, std::string_view func,
                                        std::string_view input, const Control& control = {});

  // Runs a module as a WASI program until it ends. kFailedPrecondition: a directory descriptor or a
  // socket, and none can be passed to this daemon. kInvalidArgument: a socket that is none.
  // kAborted: a standard stream failed here; ErrnoOf() has the reason, and the run is cancelled.
  absl::StatusOr<RunResult> Run(std::string_view digest, const RunOptions& options);

  // ---- The daemon

  absl::StatusOr<ServerInfo> GetServerInfo(const Control& control = {});
  absl::StatusOr<ServerStats> GetStats(const Control& control = {});
  // Every limit in force and its use: of an invocation, of this user's sessions, of the user, of
  // the daemon.
  absl::StatusOr<std::vector<LimitUse>> GetLimits(const Control& control = {});
  // Ok: it serves. kUnavailable: it is there, and does not (it drains, say).
  absl::Status CheckHealth(const Control& control = {});

  // Ends the session and waits for the daemon to confirm. The Client is of no use afterwards.
  absl::Status Close(const Control& control = {});

 private:
  explicit Client(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;
};

// The errno of a local failure (a file, a stream, a connection) that a status of this library
// carries.
std::optional<int> ErrnoOf(const absl::Status& status);

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_CLIENT_H_
