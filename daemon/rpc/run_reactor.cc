#include "daemon/rpc/run_reactor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/translate.h"
#include "daemon/session/session_manager.h"
#include "engine/base/status_macros.h"
#include "proto/wasmd/v1/invocation.pb.h"

namespace wasmd::daemon {
namespace {

constexpr size_t kMaxStdinChunkBytes = size_t{1} << 20;
// The largest message of output: large enough that a message's cost is small beside it.
constexpr size_t kMaxOutputMessageBytes = size_t{256} << 10;

class RunReactor final : public grpc::ServerBidiReactor<v1::RunRequest, v1::RunResponse> {
 public:
  RunReactor(const RpcContext& rpc, const grpc::CallbackServerContext& context)
      : rpc_(rpc), context_(context) {}

  // The pointer that keeps it alive until OnDone.
  void Begin(std::shared_ptr<RunReactor> self) {
    self_ = std::move(self);
    StartRead(&request_);
  }

 private:
  using Queue = std::shared_ptr<engine::ByteQueue>;

  void OnReadDone(bool ok) override {
    // OnDone may come as soon as the RPC is finished.
    const std::shared_ptr<RunReactor> self = self_;
    if (!began_) {
      began_ = true;
      if (!ok || !request_.has_start()) {
        const absl::MutexLock lock(&mutex_);
        FinishLocked(absl::InvalidArgumentError("a run's first request is its start"));
        return;
      }
      StartProgram();
      return;
    }
    Session::Started rejected;
    {
      const absl::MutexLock lock(&mutex_);
      if (!ok) {
        CloseStdin();
        return;
      }
      if (!TakeStdin()) {
        rejected = invocation_;
      }
    }
    // Without the lock: an invocation that still waits ends within this call, in OnProgramEnd.
    if (rejected != nullptr) {
      rejected->Interrupt(engine::InterruptReason::kCancel);
    }
  }

  void OnWriteDone(bool ok) override {
    const std::shared_ptr<RunReactor> self = self_;
    Session::Started invocation;
    {
      const absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok) {
        client_gone_ = true;
        invocation = invocation_;
      }
      PumpOutput();
    }
    if (invocation != nullptr) {
      invocation->Interrupt(CancelReason(context_));
    }
  }

  void OnCancel() override {
    Session::Started invocation;
    {
      const absl::MutexLock lock(&mutex_);
      client_gone_ = true;
      invocation = invocation_;
      PumpOutput();
    }
    if (invocation != nullptr) {
      invocation->Interrupt(CancelReason(context_));
    }
  }

  void OnDone() override {
    // May be the last reference: nothing is touched afterwards.
    const std::shared_ptr<RunReactor> self = std::move(self_);
  }

  // ---- Starting

  void StartProgram() {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, context_);
    absl::StatusOr<RunRequestSpec> spec =
        session.ok() ? SpecOf(**session, request_.start()) : session.status();
    if (!spec.ok()) {
      const absl::MutexLock lock(&mutex_);
      FinishLocked(spec.status());
      return;
    }
    spec->deadline = DeadlineOf(context_);
    Session::StartedRun started =
        (*session)->Run(*std::move(spec), [self = self_](absl::StatusOr<GuestResult> result) {
          self->OnProgramEnd(std::move(result));
        });
    bool gone = false;
    {
      const absl::MutexLock lock(&mutex_);
      place_ = std::move(started.place);
      invocation_ = started.invocation;
      gone = client_gone_;
      if (started.invocation == nullptr) {
        // OnProgramEnd has been called, with the reason.
        FinishLocked(result_->status());
        return;
      }
      admitted_ = true;
      PumpOutput();
      ReadOn();
    }
    if (gone) {
      started.invocation->Interrupt(CancelReason(context_));
    }
  }

  absl::StatusOr<RunRequestSpec> SpecOf(const Session& session, const v1::RunStart& start) {
    RunRequestSpec spec;
    spec.module = start.module();
    spec.args.assign(start.args().begin(), start.args().end());
    for (const v1::EnvVar& variable : start.env()) {
      if (variable.name().empty() || variable.name().find('=') != std::string::npos) {
        return absl::InvalidArgumentError(
            StrCat("\"", variable.name(), "\" is no name of an environment variable"));
      }
      spec.env.push_back(StrCat(variable.name(), "=", variable.value()));
    }
    for (const v1::Preopen& preopen : start.preopens()) {
      RunRequestSpec::Preopen out;
      out.guest_path = preopen.guest_path();
      out.read_only = preopen.read_only();
      if (preopen.source_case() == v1::Preopen::kDescriptorHandle) {
        out.source = preopen.descriptor_handle();
      } else if (preopen.source_case() == v1::Preopen::kRoot) {
        out.source = preopen.root();
      } else if (preopen.source_case() == v1::Preopen::kScratch) {
        out.source = RunRequestSpec::Preopen::Scratch{preopen.scratch().max_bytes()};
      } else {
        return absl::InvalidArgumentError(StrCat(
            "the directory for \"", preopen.guest_path(),
            "\" has no source: pass a descriptor, name a root or ask for a scratch directory"));
      }
      spec.preopens.push_back(std::move(out));
    }
    spec.sockets.assign(start.socket_handles().begin(), start.socket_handles().end());
    spec.invocation_id = start.invocation_id();
    if (start.has_fuel()) {
      spec.fuel = start.fuel();
    }
    spec.limits = FromWire(start.limits());
    if (start.max_memory_bytes() != 0 &&
        (spec.limits.memory_bytes == 0 || start.max_memory_bytes() < spec.limits.memory_bytes)) {
      spec.limits.memory_bytes = start.max_memory_bytes();
    }
    buffer_bytes_ = session.OutputBufferBytes(spec.limits);
    WASMD_RETURN_IF_ERROR(SetStdin(start.stdin(), spec.stdin_source));
    WASMD_RETURN_IF_ERROR(SetOutput(start.stdout(), spec.stdout_target, stdout_));
    WASMD_RETURN_IF_ERROR(SetOutput(start.stderr(), spec.stderr_target, stderr_));
    for (const Queue& queue : {stdin_, stdout_, stderr_}) {
      spec.buffer_bytes += queue == nullptr ? 0 : buffer_bytes_;
    }
    return spec;
  }

  absl::Status SetStdin(const v1::Stdio& stdio, RunRequestSpec::Input& source) {
    switch (stdio.kind_case()) {
      case v1::Stdio::kDescriptorHandle:
        source = stdio.descriptor_handle();
        return absl::OkStatus();
      case v1::Stdio::kNull:
        return absl::OkStatus();
      case v1::Stdio::kStream:
      case v1::Stdio::KIND_NOT_SET:
        break;
    }
    // The guest has ended, and so calls none of these, before the RPC is finished and the reactor
    // gone.
    WASMD_ASSIGN_OR_RETURN(stdin_, engine::ByteQueue::Create(engine::ByteQueue::GuestEnd::kReads,
                                                             buffer_bytes_, [this] {
                                                               const absl::MutexLock lock(&mutex_);
                                                               PushStdin();
                                                             }));
    source = std::shared_ptr<engine::WasiInputStream>(stdin_);
    return absl::OkStatus();
  }

  absl::Status SetOutput(const v1::Stdio& stdio, RunRequestSpec::Output& target, Queue& queue) {
    switch (stdio.kind_case()) {
      case v1::Stdio::kDescriptorHandle:
        target = stdio.descriptor_handle();
        return absl::OkStatus();
      case v1::Stdio::kNull:
        return absl::OkStatus();
      case v1::Stdio::kStream:
      case v1::Stdio::KIND_NOT_SET:
        break;
    }
    WASMD_ASSIGN_OR_RETURN(queue, engine::ByteQueue::Create(engine::ByteQueue::GuestEnd::kWrites,
                                                            buffer_bytes_, [this] {
                                                              const absl::MutexLock lock(&mutex_);
                                                              PumpOutput();
                                                            }));
    target = std::shared_ptr<engine::WasiOutputStream>(queue);
    return absl::OkStatus();
  }

  // ---- Standard input

  // False: the client broke the protocol. The guest is to be stopped, and the RPC ends with
  // `rejected_`.
  bool TakeStdin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    switch (request_.kind_case()) {
      case v1::RunRequest::kStdinData:
        if (request_.stdin_data().size() > kMaxStdinChunkBytes) {
          rejected_ = absl::InvalidArgumentError("stdin_data has at most 1 MiB");
          ReadOn();
          return false;
        }
        if (stdin_ != nullptr && !stdin_eof_) {
          rest_ = std::move(*request_.mutable_stdin_data());
          rest_offset_ = 0;
          PushStdin();
          return true;
        }
        // Nobody wants it: the program was given another stdin.
        ReadOn();
        return true;
      case v1::RunRequest::kStdinEof:
        CloseStdin();
        ReadOn();
        return true;
      case v1::RunRequest::kStart:
      case v1::RunRequest::KIND_NOT_SET:
        break;
    }
    rejected_ = absl::InvalidArgumentError("after a run's start come stdin_data and stdin_eof");
    return false;
  }

  // Gives the guest what there is room for, and reads on when all is in the queue.
  void PushStdin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (rest_.empty()) {
      return;
    }
    rest_offset_ += stdin_->Push(std::as_bytes(std::span(rest_)).subspan(rest_offset_));
    if (rest_offset_ < rest_.size() && !result_.has_value()) {
      return;  // The queue's callback comes when there is room.
    }
    rest_.clear();
    ReadOn();
  }

  void CloseStdin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    stdin_eof_ = true;
    if (stdin_ != nullptr) {
      stdin_->Close();
    }
  }

  void ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!finished_) {
      StartRead(&request_);
    }
  }

  // ---- Output and end

  // On the run's thread, or within Session::Run, or on a canceller's.
  void OnProgramEnd(absl::StatusOr<GuestResult> result) {
    const absl::MutexLock lock(&mutex_);
    result_ = std::move(result);
    PumpOutput();
  }

  // Sends the next message, if none is in flight: that the run has started, output, the end.
  void PumpOutput() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!admitted_ || writing_ || finished_) {
      return;
    }
    if (client_gone_) {
      // Whatever the guest still writes is dropped; it has been interrupted.
      if (result_.has_value()) {
        FinishLocked(result_->ok() ? absl::CancelledError("the client has gone")
                                   : result_->status());
      }
      return;
    }
    response_.Clear();
    if (!started_sent_) {
      started_sent_ = true;
      response_.mutable_started()->set_invocation_id(invocation_->info().id);
      Write();
      return;
    }
    // In turns, so that a flood on one does not hide the other.
    stderr_next_ = !stderr_next_;
    for (const bool from_stderr : {stderr_next_, !stderr_next_}) {
      const Queue& queue = from_stderr ? stderr_ : stdout_;
      std::string bytes = queue == nullptr ? std::string() : queue->Pop(kMaxOutputMessageBytes);
      if (!bytes.empty()) {
        (from_stderr ? *response_.mutable_stderr_data() : *response_.mutable_stdout_data()) =
            std::move(bytes);
        Write();
        return;
      }
    }
    if (result_.has_value()) {
      End();
    }
  }

  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    writing_ = true;
    StartWrite(&response_);
  }

  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!rejected_.ok() || !result_->ok()) {
      FinishLocked(rejected_.ok() ? result_->status() : rejected_);
      return;
    }
    const GuestResult& result = **result_;
    v1::RunExit& exit = *response_.mutable_exit();
    if (result.stop.has_value()) {
      ToWire(result, {}, *exit.mutable_outcome());
    } else {
      exit.mutable_outcome()->set_exit_code(0);
    }
    exit.set_duration_ns(result.duration_ns);
    exit.set_peak_memory_bytes(result.peak_memory_bytes);
    if (result.fuel_left.has_value()) {
      exit.set_fuel_left(*result.fuel_left);
    }
    finished_ = true;
    StartWriteAndFinish(&response_, {}, grpc::Status::OK);
  }

  void FinishLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!finished_) {
      finished_ = true;
      Finish(ToGrpc(status));
    }
  }

  const RpcContext& rpc_;
  const grpc::CallbackServerContext& context_;
  std::shared_ptr<RunReactor> self_;  // Until OnDone.
  bool began_ = false;                // Of OnReadDone alone, which is called one at a time.
  v1::RunRequest request_;            // While a read is in flight, gRPC's; else OnReadDone's.
  size_t buffer_bytes_ = 0;           // Of each stream's queue.
  Queue stdin_;  // Each null unless it is a stream. Constant once the run starts.
  Queue stdout_;
  Queue stderr_;

  absl::Mutex mutex_;
  v1::RunResponse response_ ABSL_GUARDED_BY(mutex_);  // While `writing_`, gRPC's.
  std::string rest_ ABSL_GUARDED_BY(mutex_);          // Of stdin_data: what did not fit yet, from
  size_t rest_offset_ ABSL_GUARDED_BY(mutex_) = 0;    // here on.
  bool stdin_eof_ ABSL_GUARDED_BY(mutex_) = false;
  bool admitted_ ABSL_GUARDED_BY(mutex_) = false;  // Session::Run has returned an invocation.
  bool started_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool client_gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool stderr_next_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status rejected_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::StatusOr<GuestResult>> result_ ABSL_GUARDED_BY(mutex_);
  Session::Started invocation_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<void> place_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

grpc::ServerBidiReactor<v1::RunRequest, v1::RunResponse>* StartRunReactor(
    const RpcContext& rpc, const grpc::CallbackServerContext& context) {
  const auto reactor = std::make_shared<RunReactor>(rpc, context);
  reactor->Begin(reactor);
  return reactor.get();
}

}  // namespace wasmd::daemon
