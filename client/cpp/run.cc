// A run: what travels where, and on which thread.
//
//   calling thread   starts the RPC, then reads responses: stdout and stderr into their sinks,
//   until `exit` input thread     only if standard input travels as a stream: reads the source,
//   writes requests, until the end of either
//
// Descriptors that are passed need neither. Both threads wait by poll on the descriptor and on one
// eventfd, which says that the run is over or that its stop token was triggered, so a silent
// terminal on standard input never holds up the end.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <grpcpp/support/sync_stream.h>

#include "client/cpp/client.h"
#include "client/cpp/convert.h"
#include "client/cpp/core.h"
#include "client/cpp/posix.h"
#include "client/cpp/stdio.h"
#include "client/cpp/text.h"

namespace wasmd::client {

namespace {

using RunStream = grpc::ClientReaderWriter<v1::RunRequest, v1::RunResponse>;

constexpr size_t kInputChunkBytes = size_t{256} << 10;
// A pipe that polls as writable takes this much without blocking. (PIPE_BUF)
constexpr size_t kOutputChunkBytes = 4096;

// Wakes whoever waits for a descriptor: the run is over, or is to be.
struct Wake {
  void Set() {
    over = true;
    SetEvent(event);
  }

  std::atomic<bool> over{false};
  Fd event = MakeEvent();
  absl::Duration timeout = absl::InfiniteDuration();
  absl::Time deadline = absl::InfiniteFuture();
};

// Writes all of it, unless woken. Of a regular file and a terminal nothing is known to poll; both
// take writes at once.
absl::Status WriteDescriptor(int fd, std::string_view data, const Wake& wake,
                             std::string_view name) {
  while (!data.empty()) {
    const Ready ready = WaitFor(fd, POLLOUT, wake.event.get(), wake.deadline);
    if (ready == Ready::kDeadline) {
      return NotDoneWithin(wake.timeout);
    }
    if (ready == Ready::kWoken) {
      return absl::CancelledError("cancelled");
    }
    const ssize_t written = write(fd, data.data(), std::min(data.size(), kOutputChunkBytes));
    if (written >= 0) {
      data.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      return WithErrno(absl::AbortedError(ErrnoStatus(errno, name).message()), errno);
    }
  }
  return absl::OkStatus();
}

// Fills the buffer in part; 0: the end, or woken.
absl::StatusOr<size_t> ReadDescriptor(int fd, std::span<char> buffer, const Wake& wake) {
  for (;;) {
    const Ready ready = WaitFor(fd, POLLIN, wake.event.get(), wake.deadline);
    if (ready == Ready::kDeadline) {
      return NotDoneWithin(wake.timeout);
    }
    if (ready == Ready::kWoken) {
      return size_t{0};
    }
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got >= 0) {
      return static_cast<size_t>(got);
    }
    if (errno != EINTR && errno != EAGAIN) {
      return WithErrno(absl::AbortedError(ErrnoStatus(errno, "standard input").message()), errno);
    }
  }
}

// Where standard input's stream comes from; null: it does not travel as one.
Input::Source SourceOf(const Input& input, const v1::Stdio& stdio, const Wake& wake) {
  if (!stdio.stream()) {
    return nullptr;
  }
  if (const auto* descriptor = std::get_if<DescriptorStream>(&input.kind())) {
    return [fd = descriptor->fd, &wake](std::span<char> buffer) {
      return ReadDescriptor(fd, buffer, wake);
    };
  }
  if (const auto* text = std::get_if<std::string>(&input.kind())) {
    return
        [rest = std::string_view(*text)](std::span<char> buffer) mutable -> absl::StatusOr<size_t> {
          const size_t size = rest.copy(buffer.data(), buffer.size());
          rest.remove_prefix(size);
          return size;
        };
  }
  const auto* source = std::get_if<Input::Source>(&input.kind());
  return source != nullptr ? *source : nullptr;
}

Output::Sink SinkOf(const Output& output, const Wake& wake, std::string_view name) {
  if (const auto* descriptor = std::get_if<DescriptorStream>(&output.kind())) {
    return [fd = descriptor->fd, &wake, name](std::string_view data) {
      return WriteDescriptor(fd, data, wake, name);
    };
  }
  if (const auto* sink = std::get_if<Output::Sink>(&output.kind())) {
    return *sink;
  }
  return [](std::string_view) { return absl::OkStatus(); };
}

// Collects what is to be passed, and then fills the handles in.
class Passing {
 public:
  template <typename Setter>
  void Add(int fd, Setter set) {
    descriptors_.push_back(fd);
    setters_.emplace_back(std::move(set));
  }

  absl::Status Pass(Core& core) {
    if (descriptors_.empty()) {
      return absl::OkStatus();
    }
    absl::StatusOr<std::vector<uint64_t>> handles = core.PassDescriptors(descriptors_);
    if (!handles.ok()) {
      return handles.status();
    }
    for (size_t i = 0; i < handles->size(); ++i) {
      setters_[i]((*handles)[i]);
    }
    return absl::OkStatus();
  }

 private:
  std::vector<int> descriptors_;
  std::vector<std::function<void(uint64_t)>> setters_;
};

template <typename Kind>
void FillStdio(const Kind& kind, bool can_pass, v1::Stdio* stdio, Passing& passing) {
  if (std::holds_alternative<NullStream>(kind)) {
    stdio->set_null(true);
    return;
  }
  const auto* descriptor = std::get_if<DescriptorStream>(&kind);
  if (descriptor != nullptr && descriptor->pass && can_pass) {
    passing.Add(descriptor->fd, [stdio](uint64_t handle) { stdio->set_descriptor_handle(handle); });
    return;
  }
  stdio->set_stream(true);
}

absl::Status FillPreopens(const RunOptions& options, const SessionInfo& session,
                          v1::RunStart* start, Passing& passing) {
  for (const Preopen& preopen : options.preopens) {
    v1::Preopen* proto = start->add_preopens();
    proto->set_guest_path(preopen.guest_path);
    proto->set_read_only(preopen.read_only);
    if (!preopen.root.empty()) {
      proto->set_root(preopen.root);
    } else if (preopen.scratch_bytes.has_value()) {
      proto->mutable_scratch()->set_max_bytes(*preopen.scratch_bytes);
    } else if (session.passes_descriptors) {
      passing.Add(preopen.directory_fd,
                  [proto](uint64_t handle) { proto->set_descriptor_handle(handle); });
    } else {
      return absl::FailedPreconditionError(
          Cat("no directory can be passed to wasmd at ", session.address, " (", session.why_not,
              "); it offers ",
              session.roots.empty() ? "no roots"
                                    : Cat("the roots ", absl::StrJoin(session.roots, ", "))));
    }
  }
  return absl::OkStatus();
}

absl::Status FillSockets(const RunOptions& options, const SessionInfo& session, v1::RunStart* start,
                         Passing& passing) {
  if (!options.socket_fds.empty() && !session.passes_descriptors) {
    return absl::FailedPreconditionError(
        Cat("no socket can be passed to wasmd at ", session.address, " (", session.why_not, ")"));
  }
  for (size_t i = 0; i < options.socket_fds.size(); ++i) {
    start->add_socket_handles(0);
    passing.Add(options.socket_fds[i], [start, i](uint64_t handle) {
      start->set_socket_handles(static_cast<int>(i), handle);
    });
  }
  return absl::OkStatus();
}

void PumpInput(RunStream& stream, const Input::Source& source, const Wake& wake,
               grpc::ClientContext& context, absl::Status* failure) {
  std::string buffer(kInputChunkBytes, '\0');
  v1::RunRequest request;
  for (;;) {
    absl::StatusOr<size_t> got = source(std::span(buffer.data(), buffer.size()));
    // Nobody is there to be told anything; a cancel would even make an error of a good end.
    if (wake.over) {
      return;
    }
    if (!got.ok()) {
      *failure = got.status();
      context.TryCancel();
      return;
    }
    if (*got == 0) {
      stream.WritesDone();
      return;
    }
    request.set_stdin_data(buffer.data(), *got);
    // False: the run is over.
    if (!stream.Write(request)) {
      return;
    }
  }
}

}  // namespace

absl::StatusOr<RunResult> Client::Run(std::string_view digest, const RunOptions& options) {
  const SessionInfo& session = core_->session();
  v1::RunRequest request;
  v1::RunStart* start = request.mutable_start();
  start->set_module(std::string(digest));
  for (const std::string& arg : options.args) {
    start->add_args(arg);
  }
  for (const auto& [name, value] : options.env) {
    v1::EnvVar* variable = start->add_env();
    variable->set_name(name);
    variable->set_value(value);
  }
  start->set_invocation_id(core_->NextInvocationId());
  start->set_max_memory_bytes(options.max_memory_bytes);
  if (options.control.fuel.has_value()) {
    start->set_fuel(*options.control.fuel);
  }
  ToProto(options.control.limits, start->mutable_limits());

  Passing passing;
  if (absl::Status status = FillPreopens(options, session, start, passing); !status.ok()) {
    return status;
  }
  if (absl::Status status = FillSockets(options, session, start, passing); !status.ok()) {
    return status;
  }
  FillStdio(options.input.kind(), session.passes_descriptors, start->mutable_stdin(), passing);
  FillStdio(options.output.kind(), session.passes_descriptors, start->mutable_stdout(), passing);
  FillStdio(options.error.kind(), session.passes_descriptors, start->mutable_stderr(), passing);
  if (absl::Status status = passing.Pass(*core_); !status.ok()) {
    return status;
  }

  Wake wake;
  if (options.control.timeout != absl::InfiniteDuration()) {
    wake.timeout = options.control.timeout;
    wake.deadline = absl::Now() + wake.timeout;
  }
  const Input::Source source = SourceOf(options.input, start->stdin(), wake);
  const Output::Sink out = SinkOf(options.output, wake, "standard output");
  const Output::Sink err = SinkOf(options.error, wake, "standard error");

  grpc::ClientContext context;
  core_->Prepare(context, options.control);
  // The headers go out with the first message.
  context.set_initial_metadata_corked(true);
  const std::stop_callback cancel(options.control.stop, [&context, &wake] {
    context.TryCancel();
    wake.Set();
  });
  const std::unique_ptr<RunStream> stream = core_->invocations().Run(&context);
  grpc::WriteOptions last;
  if (source == nullptr) {
    last.set_last_message();
  }
  absl::Status input_failure;
  std::thread input;
  if (stream->Write(request, last) && source != nullptr) {
    input = std::thread([&] { PumpInput(*stream, source, wake, context, &input_failure); });
  }

  absl::Status output_failure;
  std::optional<v1::RunExit> exit;
  v1::RunResponse response;
  while (stream->Read(&response)) {
    absl::Status status;
    if (response.has_stdout_data()) {
      status = out(response.stdout_data());
    } else if (response.has_stderr_data()) {
      status = err(response.stderr_data());
    } else if (response.has_exit()) {
      exit = std::move(*response.mutable_exit());
    }
    if (!status.ok() && output_failure.ok()) {
      output_failure = status;
      context.TryCancel();
    }
  }
  wake.Set();
  if (input.joinable()) {
    input.join();
  }
  const absl::Status status = core_->Convert(stream->Finish(), options.control);
  if (!status.ok()) {
    // A stream that failed here is why the run was cancelled.
    for (const absl::Status& failure : {output_failure, input_failure}) {
      if (absl::IsCancelled(status) && !failure.ok() && !absl::IsCancelled(failure)) {
        return failure;
      }
    }
    return status;
  }
  if (!exit.has_value()) {
    return absl::InternalError("the daemon ended the run without saying how");
  }
  absl::StatusOr<Outcome> outcome = FromProto(exit->outcome());
  if (!outcome.ok()) {
    return outcome.status();
  }
  return RunResult{
      .outcome = *std::move(outcome),
      .duration = absl::Nanoseconds(static_cast<int64_t>(exit->duration_ns())),
      .peak_memory_bytes = exit->peak_memory_bytes(),
      .fuel_left = exit->has_fuel_left() ? std::optional(exit->fuel_left()) : std::nullopt,
      .refused_at = exit->outcome().refused_at()};
}

}  // namespace wasmd::client
