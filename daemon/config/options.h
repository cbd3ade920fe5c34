// Options: everything that can be set from outside, with defaults and bounds. Filled by
// command_line.h.
//
// A plain value. Limits say what happens at them where they are enforced; all of them answer
// RESOURCE_EXHAUSTED with the option's name.
#ifndef WASMD_DAEMON_CONFIG_OPTIONS_H_
#define WASMD_DAEMON_CONFIG_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace wasmd::daemon {

struct ListenAddress {
  enum class Kind : uint8_t { kUnix, kTcp };
  Kind kind = Kind::kUnix;
  std::string path;   // kUnix.
  std::string host;   // kTcp: a name or a numeric address, without brackets.
  uint16_t port = 0;  // kTcp: 0 lets the kernel choose.
  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

// A directory that clients may name as a preopen.
struct NamedRoot {
  std::string name;
  std::string path;
  friend bool operator==(const NamedRoot&, const NamedRoot&) = default;
};

// How the daemon confines itself (daemon/sandbox).
enum class SandboxMode : uint8_t { kOff, kBasic, kStrict };

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : uint8_t { kText, kJson };

inline constexpr uint64_t kMiB = uint64_t{1} << 20;

struct Options {
  // Empty: DefaultListenAddress().
  std::vector<ListenAddress> listen;
  uint32_t socket_mode = 0600;

  // Threads that run calls. 0: one a core. More are started while all of them are held by calls
  // that take long.
  uint32_t workers = 0;
  uint32_t max_workers = 256;
  // Each worker stays on a CPU of its own.
  bool pin = false;
  // How long an idle worker looks for more before it sleeps; less where that has not paid off.
  absl::Duration max_spin = absl::Microseconds(50);
  uint32_t max_queued_calls = 4096;
  // Programs at one time, of all clients. Each has a thread.
  uint32_t max_runs = 64;
  // Threads that hash, decode, validate and compile uploads. 0: one a core.
  uint32_t compile_threads = 0;

  uint64_t max_module_bytes = 256 * kMiB;
  // Module bytes and machine code that the store keeps; least recently used modules go first.
  uint64_t module_store_bytes = 1024 * kMiB;
  // Uploads in flight, of all clients together.
  uint64_t max_upload_bytes = 1024 * kMiB;
  // ---- Of one invocation or instance. A request may ask for less.
  // Linear memory of one instance or program.
  uint64_t max_memory_bytes = 4096 * kMiB;
  // Table elements, and bytes of the heap that exceptions are in, likewise.
  uint32_t max_table_elements = 10'000'000;
  uint64_t max_heap_bytes = 64 * kMiB;
  // All scratch directories of one program; 0: there are none.
  uint64_t max_scratch_bytes = 64 * kMiB;
  // Stack of wasm code in one invocation.
  uint64_t wasm_stack_bytes = 8 * kMiB;
  // Of one program; its streams and directories count.
  uint32_t max_open_files = 1024;
  // Output of a program that its client has not taken yet, of each stream that goes through gRPC.
  uint64_t max_output_buffer_bytes = kMiB / 4;
  // Zero: none but the client's.
  absl::Duration max_run_time = absl::ZeroDuration();
  absl::Duration max_call_time = absl::ZeroDuration();
  absl::Duration max_cpu_time = absl::ZeroDuration();
  // Of one module's validation, and compilation before its upload is answered.
  absl::Duration max_load_time = absl::Minutes(2);

  // ---- Of a session, of a user, of the daemon. 0: none of its own.
  uint64_t max_session_memory_bytes = 0;
  uint64_t max_user_memory_bytes = 0;
  // 0: what the cgroup or the machine gives, less what the daemon needs.
  uint64_t max_total_memory_bytes = 0;
  uint32_t max_session_open_files = 0;
  uint32_t max_user_open_files = 0;
  // 0: three quarters of the process's descriptors.
  uint32_t max_total_open_files = 0;
  uint64_t max_user_module_bytes = 0;
  uint64_t max_user_upload_bytes = 0;
  uint32_t max_user_loads = 64;
  uint32_t max_user_sessions = 0;
  uint32_t max_user_instances = 8192;
  uint32_t max_user_calls = 0;
  uint32_t max_user_runs = 0;

  uint32_t max_connections = 1024;
  uint32_t max_sessions = 1024;
  uint32_t max_instances_per_session = 1024;
  uint32_t max_calls_per_session = 128;
  uint32_t max_runs_per_session = 64;
  absl::Duration session_idle_timeout = absl::Minutes(10);

  // Shared-memory channels.
  uint32_t max_channels = 1024;
  uint32_t max_channels_per_session = 64;
  uint32_t max_channels_per_user = 256;
  uint32_t max_channel_funcs = 1024;
  uint64_t max_channel_arena_bytes = 64 * kMiB;
  // All segments of one user's channels.
  uint64_t max_channel_bytes_per_user = 256 * kMiB;
  // Segments of the default size that lie ready, pages and all.
  uint32_t ready_channels = 4;

  absl::Duration drain_timeout = absl::Seconds(10);
  std::vector<NamedRoot> roots;
  SandboxMode sandbox = SandboxMode::kBasic;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
};

// unix:$XDG_RUNTIME_DIR/wasmd.sock, or unix:/tmp/wasmd-<uid>/wasmd.sock where that is not set: the
// clients' default too.
ListenAddress DefaultListenAddress();

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CONFIG_OPTIONS_H_
