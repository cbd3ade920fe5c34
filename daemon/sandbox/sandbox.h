// Sandbox: the daemon confines itself once it has opened what it needs, so that whoever takes it
// over through a guest or a client finds little to take.
//
//   open directories, bind sockets, connect to the service manager
//   Enter     no new privileges, capabilities, Landlock: the thread's, so before there are others
//   start the engine (which maps the memory for code) and all threads
//   Seal      no writable code, no dumps, seccomp: the whole process's, before the first client
//
// basic and strict are described in docs/sandbox.md. What the kernel lacks is left out and named in
// the report; what it has and refuses is an error, and the daemon does not start.
//
// Single-thread: main's.
#ifndef WASMD_DAEMON_SANDBOX_SANDBOX_H_
#define WASMD_DAEMON_SANDBOX_SANDBOX_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {

// "off", "basic", "strict".
std::string_view ToString(SandboxMode mode);

struct SandboxReport {
  SandboxMode mode = SandboxMode::kOff;
  std::vector<std::string> in_force;
  // What the mode means to do and this kernel cannot, with the reason.
  std::vector<std::string> lacking;
};

// What the configuration names of the file system.
struct SandboxPlaces {
  std::vector<int> roots;                       // Open directories that programs may be given.
  std::vector<std::string> socket_directories;  // Where files are removed at the end.
};

class Sandbox {
 public:
  // kInternal: the kernel refuses something that it has. One line.
  static absl::StatusOr<Sandbox> Enter(SandboxMode mode, const SandboxPlaces& places);
  absl::Status Seal();

  const SandboxReport& report() const { return report_; }

 private:
  explicit Sandbox(SandboxMode mode) { report_.mode = mode; }

  absl::Status Restrict(const SandboxPlaces& places);
  // Counts `what` as in force, or as lacking where `done` is kUnavailable; other errors are handed
  // on.
  absl::Status Note(const absl::Status& done, std::string what);

  SandboxReport report_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_SANDBOX_SANDBOX_H_
