// What the daemon says of itself and of the session.
#ifndef WASMD_CLIENT_CPP_SERVER_H_
#define WASMD_CLIENT_CPP_SERVER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace wasmd::client {

// What Connect agreed on.
struct SessionInfo {
  std::string address;  // As Address::ToString().
  std::string server_name;
  std::string server_version;
  uint32_t protocol_version = 0;

  std::vector<std::string> wasm_features;
  std::vector<std::string> missing_wasm_features;
  std::vector<std::string> host_modules;
  std::vector<std::string>
      roots;  // Directories that the daemon's configuration offers as preopens.

  // Descriptors can be passed. If not, the reason.
  bool passes_descriptors = false;
  std::string why_not;
  // Channels can be opened by shared memory (client/cpp/channel.h).
  bool channels = false;

  // Limits of the session; 0: not told.
  uint64_t max_module_bytes = 0;
  uint32_t max_instances = 0;
  uint32_t max_concurrent_runs = 0;
  uint32_t max_concurrent_calls = 0;
  uint64_t max_memory_bytes = 0;
  uint64_t max_scratch_bytes = 0;
  uint32_t idle_timeout_seconds =
      0;  // Without descriptor passing: the session ends when unused for so long.
};

// How the daemon has confined itself (docs/sandbox.md).
struct SandboxInfo {
  std::string mode;  // "off", "basic", "strict"; empty: a daemon that does not say.
  std::vector<std::string> in_force;
  std::vector<std::string> lacking;  // What its kernel cannot.
};

struct ServerInfo {
  std::string version;
  uint32_t protocol_version = 0;
  absl::Time started_at;
  int32_t pid = 0;
  uint32_t workers = 0;
  uint32_t max_runs = 0;
  SandboxInfo sandbox;
};

// A running invocation of this user.
struct Activity {
  uint64_t invocation_id = 0;
  std::string kind;  // "call" or "run"
  std::string client_name;
  std::string module;
  std::string module_name;
  std::string func;
  absl::Duration elapsed;
  double cpu_seconds = 0;
  uint64_t memory_bytes = 0;
};

struct ServerStats {
  absl::Duration uptime;
  uint64_t resident_bytes = 0;
  uint64_t peak_resident_bytes = 0;
  double cpu_seconds = 0;
  uint32_t connections = 0;
  uint32_t sessions = 0;
  uint32_t modules = 0;
  uint64_t module_bytes = 0;
  uint64_t machine_code_bytes = 0;
  uint32_t instances = 0;
  uint64_t calls_total = 0;
  uint64_t runs_total = 0;
  uint64_t traps_total = 0;
  uint64_t cancelled_total = 0;
  uint64_t deadline_exceeded_total = 0;
  uint32_t queued_calls = 0;
  // Shared-memory channels, and calls that came over such; those are not in `calls`.
  uint32_t channels = 0;
  uint64_t channel_calls = 0;
  std::vector<Activity> activities;
};

enum class LimitScope : uint8_t { kOther, kInvocation, kSession, kUser, kDaemon };
enum class LimitUnit : uint8_t { kCount, kBytes, kMilliseconds };

// A limit of the daemon, and what is used of it.
struct LimitUse {
  LimitScope scope = LimitScope::kOther;
  std::string holder;    // A session's number, or a user.
  std::string resource;  // "memory", "open files"
  LimitUnit unit = LimitUnit::kCount;
  uint64_t used = 0;
  uint64_t peak = 0;              // The most that was used at one time.
  std::optional<uint64_t> limit;  // None: those around it alone.
  std::string option;             // Of wasmd: "--max-user-memory". Empty: none.
};
// "invocation", "session", "user", "daemon".
std::string ToString(LimitScope scope);

// An instance of this session.
struct InstanceInfo {
  uint64_t id = 0;
  std::string module;
  uint64_t memory_bytes = 0;
  uint64_t invocations = 0;
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_SERVER_H_
