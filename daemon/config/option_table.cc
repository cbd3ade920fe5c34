#include "daemon/config/option_table.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"

#include "daemon/config/options.h"
#include "daemon/config/parse.h"
#include "daemon/config/text.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

constexpr std::string_view kListening = "Listening";
constexpr std::string_view kRunning = "Running";
constexpr std::string_view kInvocations =
    "Limits of one invocation or instance (a request may ask for less)";
constexpr std::string_view kHolders = "Limits of a session, of a user, of all together";
constexpr std::string_view kModules = "Modules";
constexpr std::string_view kSessions = "Sessions and connections";
constexpr std::string_view kChannels = "Channels";
constexpr std::string_view kConfinement = "Confinement";
constexpr std::string_view kLogging = "Logging";

struct CountBounds {
  uint32_t min = 0;
  uint32_t max = 0;
};

struct SizeBounds {
  uint64_t min = 0;
  uint64_t max = 0;
};

OptionRow Row(std::string_view group, std::string_view name, std::string_view placeholder,
              std::string_view help) {
  OptionRow row;
  row.name = std::string(name);
  row.group = std::string(group);
  row.placeholder = std::string(placeholder);
  row.help = std::string(help);
  return row;
}

OptionRow Count(OptionRow row, uint32_t Options::* field, CountBounds bounds) {
  const uint32_t default_value = Options().*field;
  row.default_text = default_value == 0 ? "one a core" : StrCat(default_value);
  row.set = [field, bounds](std::string_view value, Options& options) {
    uint32_t number = 0;
    if (!absl::SimpleAtoi(AbslView(value), &number) || number < bounds.min || number > bounds.max) {
      return absl::InvalidArgumentError(
          StrCat("\"", value, "\" is no number from ", bounds.min, " to ", bounds.max));
    }
    options.*field = number;
    return absl::OkStatus();
  };
  return row;
}

OptionRow Size(OptionRow row, uint64_t Options::* field, SizeBounds bounds) {
  row.default_text = FormatByteSize(Options().*field);
  row.set = [field, bounds](std::string_view value, Options& options) -> absl::Status {
    WASMD_ASSIGN_OR_RETURN(const uint64_t size, ParseByteSize(value));
    if (size < bounds.min || size > bounds.max) {
      return absl::InvalidArgumentError(StrCat("\"", value, "\" is not from ",
                                               FormatByteSize(bounds.min), " to ",
                                               FormatByteSize(bounds.max)));
    }
    options.*field = size;
    return absl::OkStatus();
  };
  return row;
}

OptionRow Time(OptionRow row, absl::Duration Options::* field, absl::Duration min,
               absl::Duration max) {
  row.default_text = absl::FormatDuration(Options().*field);
  row.set = [field, min, max](std::string_view value, Options& options) -> absl::Status {
    WASMD_ASSIGN_OR_RETURN(const absl::Duration time, ParseDuration(value));
    if (time < min || time > max) {
      return absl::InvalidArgumentError(StrCat("\"", value, "\" is not from ",
                                               absl::FormatDuration(min), " to ",
                                               absl::FormatDuration(max)));
    }
    options.*field = time;
    return absl::OkStatus();
  };
  return row;
}

// A limit that may be left out: 0, which the value "none" and `absent` stand for.
template <typename Field, typename Bounds>
OptionRow Optional(OptionRow row, OptionRow (*kind)(OptionRow, Field, Bounds), Field field,
                   Bounds bounds, std::string_view absent = "none") {
  row = kind(std::move(row), field, bounds);
  if (Options().*field == 0) {
    row.default_text = std::string(absent);
  }
  row.set = [field, absent, set = std::move(row.set)](std::string_view value, Options& options) {
    if (value == absent) {
      options.*field = 0;
      return absl::OkStatus();
    }
    return set(value, options);
  };
  return row;
}

OptionRow OptionalCount(OptionRow row, uint32_t Options::* field, CountBounds bounds,
                        std::string_view absent = "none") {
  return Optional<uint32_t Options::*, CountBounds>(std::move(row), &Count, field, bounds, absent);
}

OptionRow OptionalSize(OptionRow row, uint64_t Options::* field, SizeBounds bounds,
                       std::string_view absent = "none") {
  return Optional<uint64_t Options::*, SizeBounds>(std::move(row), &Size, field, bounds, absent);
}

OptionRow OptionalTime(OptionRow row, absl::Duration Options::* field) {
  row = Time(std::move(row), field, absl::Milliseconds(1), absl::Hours(24 * 365));
  if (Options().*field == absl::ZeroDuration()) {
    row.default_text = "none";
  }
  row.set = [field, set = std::move(row.set)](std::string_view value, Options& options) {
    if (value == "none") {
      options.*field = absl::ZeroDuration();
      return absl::OkStatus();
    }
    return set(value, options);
  };
  return row;
}

template <typename T>
struct Choice {
  std::string_view name;
  T value;
};

template <typename T>
OptionRow OneOf(OptionRow row, T Options::* field, std::vector<Choice<T>> choices) {
  for (const Choice<T>& choice : choices) {
    StrAppend(&row.placeholder, row.placeholder.empty() ? "" : "|", choice.name);
    if (choice.value == Options().*field) {
      row.default_text = std::string(choice.name);
    }
  }
  row.set = [field, names = row.placeholder, choices = std::move(choices)](std::string_view value,
                                                                           Options& options) {
    for (const Choice<T>& choice : choices) {
      if (choice.name == value) {
        options.*field = choice.value;
        return absl::OkStatus();
      }
    }
    return absl::InvalidArgumentError(StrCat("\"", value, "\" is none of ", names));
  };
  return row;
}

void AddListening(std::vector<OptionRow>& rows) {
  OptionRow listen = Row(
      kListening, "listen", "ADDRESS",
      "Where clients connect: unix:/path/to/socket or tcp:host:port (port 0: any; plain text, so "
      "for trusted networks). May be given more than once");
  listen.default_text = "unix:$XDG_RUNTIME_DIR/wasmd.sock";
  listen.repeatable = true;
  listen.set = [](std::string_view value, Options& options) -> absl::Status {
    WASMD_ASSIGN_OR_RETURN(ListenAddress address, ParseListenAddress(value));
    options.listen.push_back(std::move(address));
    return absl::OkStatus();
  };
  listen.clear = [](Options& options) { options.listen.clear(); };
  rows.push_back(std::move(listen));

  OptionRow mode = Row(kListening, "socket-mode", "MODE",
                       "Permissions of unix sockets: who may connect, and so run programs here");
  mode.default_text = "0600";
  mode.set = [](std::string_view value, Options& options) -> absl::Status {
    WASMD_ASSIGN_OR_RETURN(options.socket_mode, ParseFileMode(value));
    return absl::OkStatus();
  };
  rows.push_back(std::move(mode));
  rows.push_back(
      Time(Row(kListening, "drain-timeout", "TIME",
               "How long running invocations may go on after SIGTERM or SIGINT; a second "
               "signal stops them at once"),
           &Options::drain_timeout, absl::ZeroDuration(), absl::Hours(24)));
}

void AddRunning(std::vector<OptionRow>& rows) {
  rows.push_back(
      Count(Row(kRunning, "workers", "N", "Threads that run calls"), &Options::workers, {1, 1024}));
  rows.push_back(
      Count(Row(kRunning, "max-workers", "N",
                "Threads that run calls while --workers of them are held by calls that take long"),
            &Options::max_workers, {1, 4096}));
  rows.push_back(
      OneOf<bool>(Row(kRunning, "pin", "", "Whether each worker stays on a CPU of its own"),
                  &Options::pin, {{"off", false}, {"on", true}}));
  rows.push_back(Time(Row(kRunning, "max-spin", "TIME",
                          "How long an idle worker looks for the next call before it sleeps; it "
                          "does for less where that has not paid off, and never on a CPU that it "
                          "shares with its client. 0s: never"),
                      &Options::max_spin, absl::ZeroDuration(), absl::Milliseconds(10)));
  rows.push_back(Count(Row(kRunning, "max-queued-calls", "N", "Calls that may wait for a worker"),
                       &Options::max_queued_calls, {1, 1'000'000}));
  rows.push_back(Count(Row(kRunning, "max-runs", "N", "Programs that may run at one time"),
                       &Options::max_runs, {1, 4096}));
  OptionRow root = Row(kRunning, "root", "NAME=PATH",
                       "A directory that clients may give to programs by its name. May be given "
                       "more than once");
  root.repeatable = true;
  root.set = [](std::string_view value, Options& options) -> absl::Status {
    WASMD_ASSIGN_OR_RETURN(NamedRoot named, ParseNamedRoot(value));
    for (const NamedRoot& other : options.roots) {
      if (other.name == named.name) {
        return absl::InvalidArgumentError(StrCat("the name \"", named.name, "\" is given twice"));
      }
    }
    options.roots.push_back(std::move(named));
    return absl::OkStatus();
  };
  root.clear = [](Options& options) { options.roots.clear(); };
  rows.push_back(std::move(root));
}

void AddInvocations(std::vector<OptionRow>& rows) {
  rows.push_back(Size(Row(kInvocations, "max-memory", "SIZE",
                          "Linear memory that one instance or program may have"),
                      &Options::max_memory_bytes, {64 * 1024, 4096 * kMiB}));
  rows.push_back(Size(Row(kInvocations, "max-scratch", "SIZE",
                          "Files in the scratch directories of one program, in memory. 0: it may "
                          "have none"),
                      &Options::max_scratch_bytes, {0, 64 * 1024 * kMiB}));
  rows.push_back(Count(Row(kInvocations, "max-table-elements", "N", "Elements of its tables"),
                       &Options::max_table_elements, {1, 10'000'000}));
  rows.push_back(
      Size(Row(kInvocations, "max-heap", "SIZE", "Heap of its exceptions; counts as memory too"),
           &Options::max_heap_bytes, {1024, 4096 * kMiB}));
  rows.push_back(Size(Row(kInvocations, "wasm-stack", "SIZE", "Call stack of one invocation"),
                      &Options::wasm_stack_bytes, {64 * 1024, 256 * kMiB}));
  rows.push_back(Count(Row(kInvocations, "max-open-files", "N",
                           "Files that one program has open, its streams and directories included"),
                       &Options::max_open_files, {3, 65'536}));
  rows.push_back(Size(Row(kInvocations, "max-output-buffer", "SIZE",
                          "Output of a program that is kept for its client, of each stream that "
                          "is not a passed descriptor; the program waits then"),
                      &Options::max_output_buffer_bytes, {1024, 64 * kMiB}));
  rows.push_back(OptionalTime(Row(kInvocations, "max-run-time", "TIME",
                                  "How long a program may run, whatever its client says"),
                              &Options::max_run_time));
  rows.push_back(OptionalTime(Row(kInvocations, "max-call-time", "TIME",
                                  "How long a call may wait and run, likewise; not those over "
                                  "channels"),
                              &Options::max_call_time));
  rows.push_back(OptionalTime(Row(kInvocations, "max-cpu-time", "TIME",
                                  "CPU time of one call or program; not of calls over channels"),
                              &Options::max_cpu_time));
}

void AddHolders(std::vector<OptionRow>& rows) {
  constexpr SizeBounds kMemory = {64 * 1024, 1024 * 1024 * kMiB};
  constexpr CountBounds kFiles = {3, 10'000'000};
  constexpr CountBounds kMany = {1, 1'000'000};
  rows.push_back(OptionalSize(
      Row(kHolders, "max-session-memory", "SIZE",
          "Memory of all guests of a session: linear memories, tables, heaps, instances, buffers"),
      &Options::max_session_memory_bytes, kMemory));
  rows.push_back(
      OptionalSize(Row(kHolders, "max-user-memory", "SIZE", "Memory of all guests of a user"),
                   &Options::max_user_memory_bytes, kMemory));
  rows.push_back(OptionalSize(
      Row(kHolders, "max-total-memory", "SIZE",
          "Memory of all guests, modules, machine code, uploads and channels together. auto: what "
          "the cgroup or the machine has, less a sixteenth and 96 MiB for the daemon"),
      &Options::max_total_memory_bytes, kMemory, "auto"));
  rows.push_back(OptionalCount(
      Row(kHolders, "max-session-open-files", "N",
          "Files that all programs of a session have open, and descriptors passed for them"),
      &Options::max_session_open_files, kFiles));
  rows.push_back(OptionalCount(Row(kHolders, "max-user-open-files", "N", "The same of a user"),
                               &Options::max_user_open_files, kFiles));
  rows.push_back(OptionalCount(
      Row(kHolders, "max-total-open-files", "N",
          "The same of all together. auto: three quarters of the descriptors that wasmd may have"),
      &Options::max_total_open_files, kFiles, "auto"));
  rows.push_back(OptionalSize(
      Row(kHolders, "max-user-module-memory", "SIZE",
          "Modules that a user has uploaded first, and their machine code; his least recently used "
          "go first"),
      &Options::max_user_module_bytes, kMemory));
  rows.push_back(OptionalSize(
      Row(kHolders, "max-user-upload-memory", "SIZE", "Uploads of a user in flight together"),
      &Options::max_user_upload_bytes, kMemory));
  rows.push_back(OptionalCount(
      Row(kHolders, "max-user-loads", "N", "Uploads of a user that are compiled or wait for it"),
      &Options::max_user_loads, kMany));
  rows.push_back(OptionalCount(Row(kHolders, "max-user-sessions", "N", "Sessions of a user"),
                               &Options::max_user_sessions, kMany));
  rows.push_back(OptionalCount(Row(kHolders, "max-user-instances", "N", "Instances of a user"),
                               &Options::max_user_instances, kMany));
  rows.push_back(OptionalCount(
      Row(kHolders, "max-user-calls", "N", "Calls of a user that may wait or run at one time"),
      &Options::max_user_calls, kMany));
  rows.push_back(OptionalCount(
      Row(kHolders, "max-user-runs", "N", "Programs of a user that may run at one time"),
      &Options::max_user_runs, kMany));
}

void AddModules(std::vector<OptionRow>& rows) {
  rows.push_back(Size(Row(kModules, "max-module-size", "SIZE", "Largest module accepted"),
                      &Options::max_module_bytes, {1024, 1024 * kMiB}));
  rows.push_back(Size(Row(kModules, "module-store-size", "SIZE",
                          "Modules and their machine code kept in memory; least recently used go "
                          "first"),
                      &Options::module_store_bytes, {kMiB, 1024 * 1024 * kMiB}));
  rows.push_back(Size(Row(kModules, "max-upload-memory", "SIZE", "All uploads in flight together"),
                      &Options::max_upload_bytes, {kMiB, 1024 * 1024 * kMiB}));
  rows.push_back(Count(Row(kModules, "compile-threads", "N",
                           "Threads that decode, validate and compile uploaded modules"),
                       &Options::compile_threads, {1, 1024}));
  rows.push_back(OptionalTime(Row(kModules, "max-load-time", "TIME",
                                  "How long validating an upload, and compiling it where that was "
                                  "asked for, may take"),
                              &Options::max_load_time));
}

void AddSessions(std::vector<OptionRow>& rows) {
  rows.push_back(Count(Row(kSessions, "max-connections", "N", "Connections at one time"),
                       &Options::max_connections, {1, 1'000'000}));
  rows.push_back(Count(Row(kSessions, "max-sessions", "N", "Sessions at one time"),
                       &Options::max_sessions, {1, 1'000'000}));
  rows.push_back(Count(Row(kSessions, "max-session-instances", "N", "Instances of one session"),
                       &Options::max_instances_per_session, {1, 100'000}));
  rows.push_back(Count(Row(kSessions, "max-session-calls", "N",
                           "Calls of one session that may wait or run at one time"),
                       &Options::max_calls_per_session, {1, 100'000}));
  rows.push_back(Count(
      Row(kSessions, "max-session-runs", "N", "Programs of one session that may run at one time"),
      &Options::max_runs_per_session, {1, 4096}));
  rows.push_back(Time(Row(kSessions, "session-idle-timeout", "TIME",
                          "A session without a handshake connection ends after this long without a "
                          "request"),
                      &Options::session_idle_timeout, absl::Seconds(1), absl::Hours(24 * 365)));
}

void AddChannels(std::vector<OptionRow>& rows) {
  rows.push_back(Count(Row(kChannels, "max-channels", "N", "Shared-memory channels at one time"),
                       &Options::max_channels, {1, 1'000'000}));
  rows.push_back(Count(Row(kChannels, "max-session-channels", "N", "Channels of one session"),
                       &Options::max_channels_per_session, {1, 100'000}));
  rows.push_back(Count(Row(kChannels, "max-user-channels", "N", "Channels of one user's sessions"),
                       &Options::max_channels_per_user, {1, 1'000'000}));
  rows.push_back(
      Count(Row(kChannels, "max-channel-functions", "N", "Functions that are bound to one channel"),
            &Options::max_channel_funcs, {1, 65'536}));
  rows.push_back(Size(Row(kChannels, "max-channel-arena", "SIZE",
                          "Shared memory for arguments and results of one channel"),
                      &Options::max_channel_arena_bytes, {64 * 1024, 1024 * kMiB}));
  rows.push_back(Size(Row(kChannels, "max-user-channel-memory", "SIZE",
                          "Shared memory of all channels of one user"),
                      &Options::max_channel_bytes_per_user, {kMiB, 1024 * 1024 * kMiB}));
  rows.push_back(Count(Row(kChannels, "ready-channels", "N",
                           "Channels of the default size whose memory is kept ready for the next "
                           "that attach"),
                       &Options::ready_channels, {0, 1024}));
}

void AddConfinement(std::vector<OptionRow>& rows) {
  rows.push_back(OneOf<SandboxMode>(
      Row(kConfinement, "sandbox", "",
          "What the daemon gives up before the first client comes. basic: everything that it never "
          "needs. strict: all system calls but those on a list, and all files but those beneath "
          "--root, so that clients' own directories are refused. What the kernel cannot do is "
          "logged"),
      &Options::sandbox,
      {{"off", SandboxMode::kOff},
       {"basic", SandboxMode::kBasic},
       {"strict", SandboxMode::kStrict}}));
}

void AddLogging(std::vector<OptionRow>& rows) {
  rows.push_back(OneOf<LogLevel>(Row(kLogging, "log-level", "", "What is logged, to stderr"),
                                 &Options::log_level,
                                 {{"trace", LogLevel::kTrace},
                                  {"debug", LogLevel::kDebug},
                                  {"info", LogLevel::kInfo},
                                  {"warning", LogLevel::kWarning},
                                  {"error", LogLevel::kError},
                                  {"off", LogLevel::kOff}}));
  rows.push_back(OneOf<LogFormat>(Row(kLogging, "log-format", "", "How it is written"),
                                  &Options::log_format,
                                  {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}));
}

}  // namespace

std::vector<OptionRow> OptionTable() {
  std::vector<OptionRow> rows;
  AddListening(rows);
  AddRunning(rows);
  AddInvocations(rows);
  AddHolders(rows);
  AddModules(rows);
  AddSessions(rows);
  AddChannels(rows);
  AddConfinement(rows);
  AddLogging(rows);
  return rows;
}

}  // namespace wasmd::daemon
