#include "daemon/session/session.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "daemon/account/account.h"
#include "daemon/config/parse.h"
#include "daemon/config/steady_time.h"
#include "daemon/config/text.h"
#include "daemon/observe/log.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/sandbox/landlock.h"
#include "daemon/scheduler/scheduler.h"
#include "daemon/session/scratch_maker.h"
#include "daemon/store/module_store.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

// What proto/handshake/handshake.h says as kMaxDescriptorsPerSession.
constexpr size_t kMaxDescriptors = 256;

absl::Status Closed() {
  return absl::NotFoundError("the session has ended");
}

void NameStop(const std::string& module_name, GuestResult& result) {
  if (!result.stop.has_value()) {
    return;
  }
  if (auto* trap = std::get_if<engine::Trap>(&*result.stop)) {
    NameFrames(module_name, trap->backtrace);
  } else if (auto* interrupt = std::get_if<engine::Interrupt>(&*result.stop)) {
    NameFrames(module_name, interrupt->backtrace);
  }
}

// What was asked for, where that is less than the daemon's limit.
template <typename T>
T LowerOf(T requested, T limit) {
  return requested == T() ? limit : std::min(requested, limit);
}

// What the kernel keeps for a scratch directory besides its files: a mount, a file system.
constexpr uint64_t kScratchHostBytes = uint64_t{64} << 10;

// What the daemon itself keeps for a program, the whole of its scratch directories with it.
// `scratch_limit`: --max-scratch, which one without a size may have all of.
uint64_t HostBytesOf(const RunRequestSpec& spec, const GuestLimits& limits,
                     uint64_t scratch_limit) {
  uint64_t bytes = limits.wasm_stack_bytes + spec.buffer_bytes;
  uint64_t scratch_bytes = 0;
  for (const RunRequestSpec::Preopen& preopen : spec.preopens) {
    if (const auto* scratch = std::get_if<RunRequestSpec::Preopen::Scratch>(&preopen.source)) {
      const uint64_t size = scratch->size_bytes == 0 ? scratch_limit : scratch->size_bytes;
      // More than the limit is refused when they are made.
      scratch_bytes = std::min(scratch_limit, scratch_bytes + std::min(size, scratch_limit));
      bytes += kScratchHostBytes;
    }
  }
  bytes += scratch_bytes;
  for (const std::vector<std::string>* texts : {&spec.args, &spec.env}) {
    for (const std::string& text : *texts) {
      bytes += sizeof(std::string) + text.size();
    }
  }
  return bytes;
}

// How an invocation that was interrupted is told to its client.
absl::Status StatusOf(const Invocation& invocation) {
  const std::string name =
      StrCat("invocation ", invocation.info().id, " (", ToString(invocation.info().kind),
             invocation.info().func.empty() ? "" : " of ", invocation.info().func, ")");
  if (const std::string limit = invocation.limit(); !limit.empty()) {
    return absl::ResourceExhaustedError(StrCat(name, " was stopped: it has no more than ", limit));
  }
  return InterruptedStatus(invocation.reason(), name);
}

const GuestResult& ResultOf(const GuestResult& result) {
  return result;
}
const GuestResult& ResultOf(const CallGuestResult& called) {
  return called.result;
}
const GuestResult& ResultOf(const BytesGuestResult& called) {
  return called.result;
}
const GuestResult& ResultOf(const BoundInstance& bound) {
  return bound.result;
}
const GuestResult& ResultOf(const CreateInstanceResult& created) {
  return created.result;
}

// Access has no guest of its own.
struct NoGuest {};
const GuestResult& ResultOf(const NoGuest& /*unused*/) {
  static const GuestResult* const none = new GuestResult;
  return *none;
}

void CountInterrupted(engine::InterruptReason reason, Counters& counters) {
  switch (reason) {
    case engine::InterruptReason::kNone:
      break;
    case engine::InterruptReason::kDeadline:
      counters.deadline_exceeded.Add();
      break;
    case engine::InterruptReason::kCancel:
    case engine::InterruptReason::kClientGone:
    case engine::InterruptReason::kShutdown:
      counters.cancelled.Add();
      break;
  }
}

}  // namespace

Session::Session(SessionServices& services, Identity identity, std::shared_ptr<Account> account,
                 Charge place)
    : services_(services),
      identity_(std::move(identity)),
      account_(std::move(account)),
      last_used_(SteadyNow()),
      place_(std::move(place)) {}

Session::~Session() = default;

void Session::Introduce(std::string client_name, std::string client_version) {
  Log(LogLevel::kDebug, "client introduced itself",
      {{"session", identity_.number}, {"client", client_name}, {"version", client_version}});
  const absl::MutexLock lock(&mutex_);
  client_name_ = std::move(client_name);
}

std::string Session::client_name() const {
  const absl::MutexLock lock(&mutex_);
  return client_name_;
}

absl::StatusOr<std::vector<uint64_t>> Session::AddDescriptors(
    std::vector<engine::UniqueFd> descriptors) {
  const absl::MutexLock lock(&mutex_);
  if (closed_) {
    return Closed();
  }
  if (descriptors_.size() + descriptors.size() > kMaxDescriptors) {
    return absl::ResourceExhaustedError(
        StrCat("a session holds no more than ", kMaxDescriptors, " descriptors"));
  }
  WASMD_RETURN_IF_ERROR(account_->Take(Resource::kOpenFiles, descriptors.size()));
  std::vector<uint64_t> handles;
  for (engine::UniqueFd& descriptor : descriptors) {
    handles.push_back(NextHandle());
    descriptors_.emplace(handles.back(), std::move(descriptor));
  }
  return handles;
}

absl::StatusOr<engine::UniqueFd> Session::TakeDescriptor(uint64_t handle) {
  const absl::MutexLock lock(&mutex_);
  const auto found = descriptors_.find(handle);
  if (found == descriptors_.end()) {
    return absl::NotFoundError(StrCat(
        "no descriptor ", handle, " in this session: each is used once, and comes by handshake"));
  }
  engine::UniqueFd descriptor = std::move(found->second);
  descriptors_.erase(found);
  account_->Give(Resource::kOpenFiles);  // Who opens it for a program is charged again.
  return descriptor;
}

absl::StatusOr<std::shared_ptr<Invocation>> Session::NewInvocation(InvocationInfo info,
                                                                   Resource quota) {
  info.principal = identity_.principal;
  const absl::MutexLock lock(&mutex_);
  if (closed_) {
    return Closed();
  }
  info.client_name = client_name_;
  if (info.id == 0) {
    while (invocations_.contains(next_invocation_)) {
      ++next_invocation_;
    }
    info.id = next_invocation_++;
  } else if (invocations_.contains(info.id)) {
    return absl::AlreadyExistsError(StrCat("invocation ", info.id, " runs already"));
  }
  WASMD_RETURN_IF_ERROR(account_->Take(quota));
  auto invocation = std::make_shared<Invocation>(std::move(info));
  invocations_.emplace(invocation->info().id, invocation);
  return invocation;
}

void Session::Forget(const Invocation& invocation, Resource quota) {
  const absl::MutexLock lock(&mutex_);
  invocations_.erase(invocation.info().id);
  last_used_ = SteadyNow();
  if (quota == Resource::kCalls) {
    account_->Give(quota);
  }
}

void Session::EndRun() {
  const absl::MutexLock lock(&mutex_);
  account_->Give(Resource::kRuns);
  last_used_ = SteadyNow();
}

template <typename T>
Session::Started Session::Start(std::shared_ptr<Invocation> invocation, StartSpec spec,
                                std::function<absl::StatusOr<T>(Invocation&)> guest, Done<T> done) {
  const Resource quota = spec.quota;
  Scheduler::Work work;
  work.invocation = invocation;
  work.deadline = spec.deadline;
  work.group = std::move(spec.group);
  work.limits = TimeLimitsOf(quota, spec.limits);
  const std::shared_ptr<Session> self = shared_from_this();
  work.run = [self, invocation, quota, guest = std::move(guest), done]() mutable {
    auto result = std::make_shared<absl::StatusOr<T>>(guest(*invocation));
    guest = nullptr;  // Instances and modules that it holds are free before the client hears.
    return std::function<void()>([self, invocation, quota, result = std::move(result), done] {
      const bool interrupted = result->ok() && ResultOf(**result).stop.has_value() &&
                               std::holds_alternative<engine::Interrupt>(*ResultOf(**result).stop);
      self->Forget(*invocation, quota);
      if (result->ok() && ResultOf(**result).stop.has_value() &&
          std::holds_alternative<engine::Trap>(*ResultOf(**result).stop)) {
        self->services_.counters.traps.Add();
      }
      if (interrupted) {
        CountInterrupted(invocation->reason(), self->services_.counters);
        done(StatusOf(*invocation));
      } else {
        done(std::move(*result));
      }
    });
  };
  work.dropped = [self, invocation, quota, done] {
    CountInterrupted(invocation->reason(), self->services_.counters);
    self->Forget(*invocation, quota);
    done(StatusOf(*invocation));
  };
  const absl::Status started = quota == Resource::kRuns
                                   ? services_.scheduler.StartRun(std::move(work))
                                   : services_.scheduler.StartCall(std::move(work));
  if (!started.ok()) {
    Forget(*invocation, quota);
    done(started);
    return nullptr;
  }
  return invocation;
}

GuestLimits Session::Limits(const RequestedLimits& requested, std::optional<uint64_t> fuel) const {
  const Options& options = services_.options;
  GuestLimits limits;
  limits.memory_bytes = LowerOf(requested.memory_bytes, options.max_memory_bytes);
  limits.table_elements = LowerOf<uint64_t>(requested.table_elements, options.max_table_elements);
  limits.heap_bytes = LowerOf(requested.heap_bytes, options.max_heap_bytes);
  limits.wasm_stack_bytes = LowerOf(requested.stack_bytes, options.wasm_stack_bytes);
  limits.open_files = LowerOf(requested.open_files, options.max_open_files);
  limits.memory = account_->of(Resource::kMemory);
  limits.files = account_->of(Resource::kOpenFiles);
  limits.fuel = fuel;
  return limits;
}

uint64_t Session::OutputBufferBytes(const RequestedLimits& requested) const {
  return LowerOf(requested.output_buffer_bytes, services_.options.max_output_buffer_bytes);
}

Scheduler::TimeLimits Session::TimeLimitsOf(Resource quota,
                                            const RequestedLimits& requested) const {
  const Options& options = services_.options;
  Scheduler::TimeLimits limits;
  const bool is_run = quota == Resource::kRuns;
  limits.wall_time = is_run ? options.max_run_time : options.max_call_time;
  limits.wall_option = is_run ? "--max-run-time" : "--max-call-time";
  limits.cpu_time = options.max_cpu_time == absl::ZeroDuration()
                        ? requested.cpu_time
                        : LowerOf(requested.cpu_time, options.max_cpu_time);
  return limits;
}

template <typename T>
Session::Started Session::StartCall(const CallTarget& target, std::string func, CallKind<T> kind,
                                    Done<T> done) {
  services_.counters.calls.Add();
  InvocationInfo info;
  info.id = target.invocation_id;
  info.kind = InvocationKind::kCall;
  info.func = std::move(func);
  std::shared_ptr<InstanceGroup> group;  // Null: the call has an instance of its own.
  std::function<absl::StatusOr<T>(Invocation&)> guest;
  if (target.module.empty()) {
    if (target.fuel.has_value()) {
      done(absl::InvalidArgumentError(
          "fuel is for calls of a module: the code of an instance does not count"));
      return nullptr;
    }
    absl::StatusOr<std::shared_ptr<HeldInstance>> held = FindInstance(target.instance);
    if (held.ok() && target.limits.limits_instance()) {
      held = absl::InvalidArgumentError(
          "an instance keeps the limits that it was made with; a call of it can limit its CPU time "
          "alone");
    }
    if (!held.ok()) {
      done(held.status());
      return nullptr;
    }
    info.module = (*held)->module->digest;
    group = (*held)->group;
    guest = [held = *std::move(held), call = std::move(kind.on_instance)](Invocation& running) {
      held->invocations.fetch_add(1, std::memory_order_relaxed);
      return call(*held, running);
    };
  } else {
    absl::StatusOr<ModuleRecord> module = services_.store.Find(identity_.principal, target.module);
    if (!module.ok()) {
      done(module.status());
      return nullptr;
    }
    info.module = module->module->digest;
    info.module_name = module->name;
    guest = [stored = module->module, call = std::move(kind.on_module)](Invocation& running) {
      absl::StatusOr<T> called = call(*stored, running);
      if (called.ok()) {
        NameStop(running.info().module_name, called->result);
      }
      return called;
    };
  }
  absl::StatusOr<std::shared_ptr<Invocation>> invocation =
      NewInvocation(std::move(info), Resource::kCalls);
  if (!invocation.ok()) {
    done(invocation.status());
    return nullptr;
  }
  return Start<T>(*invocation, {Resource::kCalls, target.deadline, std::move(group), target.limits},
                  std::move(guest), std::move(done));
}

Session::Started Session::Call(CallRequestSpec spec, Done<CallGuestResult> done) {
  const auto call = std::make_shared<CallSpec>(std::move(spec.call));
  CallKind<CallGuestResult> kind;
  kind.on_instance = [this, call](HeldInstance& held, Invocation& running) {
    return CallGuest(*held.group, *held.instance, *call, running, [this] { return NextHandle(); });
  };
  kind.on_module = [this, call, limits = Limits(spec.limits, spec.fuel)](const StoredModule& stored,
                                                                         Invocation& running) {
    return CallFreshGuest(services_.engine.runtime(), limits, stored.module, *call, running);
  };
  return StartCall(spec, call->func, std::move(kind), std::move(done));
}

Session::Started Session::CallBytes(BytesCallRequestSpec spec, Done<BytesGuestResult> done) {
  CallKind<BytesGuestResult> kind;
  kind.on_instance = [call = spec.call](HeldInstance& held, Invocation& running) {
    return CallBytesGuest(*held.group, *held.instance, call, running);
  };
  kind.on_module = [this, call = spec.call, limits = Limits(spec.limits, spec.fuel)](
                       const StoredModule& stored, Invocation& running) {
    return CallFreshBytesGuest(services_.engine.runtime(), limits, stored.module, call, running);
  };
  return StartCall(spec, spec.call.func, std::move(kind), std::move(done));
}

absl::StatusOr<ScratchDirectory> Session::MakeScratch(
    const RunRequestSpec::Preopen::Scratch& scratch, uint64_t& left_bytes) {
  const uint64_t limit = services_.options.max_scratch_bytes;
  const uint64_t size_bytes = scratch.size_bytes != 0 ? scratch.size_bytes : left_bytes;
  if (services_.scratch == nullptr || size_bytes == 0 || size_bytes > left_bytes) {
    return absl::ResourceExhaustedError(StrCat("a program's scratch directories have no more than ",
                                               FormatByteSize(limit), " together (--max-scratch)"));
  }
  left_bytes -= size_bytes;
  return services_.scratch->Make(size_bytes);
}

absl::StatusOr<engine::WasiOptions> Session::ResolveWasi(RunRequestSpec& spec,
                                                         std::vector<ScratchDirectory>& scratch) {
  engine::WasiOptions wasi;
  uint64_t scratch_bytes = services_.options.max_scratch_bytes;
  wasi.args = std::move(spec.args);
  wasi.env = std::move(spec.env);
  for (RunRequestSpec::Preopen& preopen : spec.preopens) {
    engine::WasiPreopen out;
    out.guest_path = std::move(preopen.guest_path);
    out.read_only = preopen.read_only;
    if (const auto* handle = std::get_if<uint64_t>(&preopen.source)) {
      WASMD_ASSIGN_OR_RETURN(out.directory, TakeDescriptor(*handle));
      if (services_.options.sandbox == SandboxMode::kStrict &&
          LandlockForbids(out.directory.get())) {
        return absl::PermissionDeniedError(
            StrCat("the directory for ", out.guest_path,
                   " lies beneath no --root of the daemon, which runs with --sandbox strict; with "
                   "--sandbox basic it could be used"));
      }
    } else if (const auto* wanted =
                   std::get_if<RunRequestSpec::Preopen::Scratch>(&preopen.source)) {
      WASMD_ASSIGN_OR_RETURN(ScratchDirectory made, MakeScratch(*wanted, scratch_bytes));
      out.directory = made.Take();
      if (services_.options.sandbox == SandboxMode::kStrict &&
          LandlockForbids(out.directory.get())) {
        // Attached nowhere, it lies beneath nothing that Landlock has a rule for.
        return absl::PermissionDeniedError(
            "there are no scratch directories with --sandbox strict on this system; with --sandbox "
            "basic there are");
      }
      scratch.push_back(std::move(made));
    } else {
      const std::string& name = std::get<std::string>(preopen.source);
      const auto root = services_.roots.find(name);
      if (root == services_.roots.end()) {
        return absl::NotFoundError(
            StrCat("the daemon's configuration offers no directory \"", name, "\" (--root)"));
      }
      out.directory.reset(::fcntl(root->second.get(), F_DUPFD_CLOEXEC, 0));
      if (!out.directory) {
        return absl::ResourceExhaustedError(StrCat("no descriptor: ", std::strerror(errno)));
      }
    }
    wasi.preopens.push_back(std::move(out));
  }
  for (const uint64_t handle : spec.sockets) {
    WASMD_ASSIGN_OR_RETURN(engine::UniqueFd socket, TakeDescriptor(handle));
    wasi.sockets.push_back({std::move(socket)});
  }
  if (const auto* handle = std::get_if<uint64_t>(&spec.stdin_source)) {
    WASMD_ASSIGN_OR_RETURN(wasi.stdin_stream, TakeDescriptor(*handle));
  } else if (auto* stream =
                 std::get_if<std::shared_ptr<engine::WasiInputStream>>(&spec.stdin_source)) {
    wasi.stdin_stream = std::move(*stream);
  }
  for (const auto& [from, to] : {std::pair{&spec.stdout_target, &wasi.stdout_stream},
                                 std::pair{&spec.stderr_target, &wasi.stderr_stream}}) {
    if (const auto* handle = std::get_if<uint64_t>(from)) {
      WASMD_ASSIGN_OR_RETURN(*to, TakeDescriptor(*handle));
    } else if (auto* stream = std::get_if<std::shared_ptr<engine::WasiOutputStream>>(from)) {
      *to = std::move(*stream);
    }
  }
  return wasi;
}

Session::StartedRun Session::Run(RunRequestSpec spec, Done<GuestResult> done) {
  services_.counters.runs.Add();
  absl::StatusOr<ModuleRecord> module = services_.store.Find(identity_.principal, spec.module);
  // First, since nothing else is to be had for a run that has no place; descriptors least of all.
  const GuestLimits limits = Limits(spec.limits, spec.fuel);
  absl::StatusOr<Charge> memory =
      module.ok()
          ? account_->TakeCharge(Resource::kMemory,
                                 HostBytesOf(spec, limits, services_.options.max_scratch_bytes))
          : module.status();
  const auto scratch = std::make_shared<std::vector<ScratchDirectory>>();
  const auto resolve = [&]() -> absl::StatusOr<engine::WasiOptions> {
    WASMD_RETURN_IF_ERROR(memory.status());
    // Before descriptors are opened and directories made for them.
    const size_t files = spec.preopens.size() + spec.sockets.size() + 3;
    if (files > limits.open_files) {
      return absl::InvalidArgumentError(StrCat("a program that begins with ", files,
                                               " open files is over the limit of ",
                                               limits.open_files, " (--max-open-files)"));
    }
    return ResolveWasi(spec, *scratch);
  };
  absl::StatusOr<engine::WasiOptions> wasi = resolve();
  if (!wasi.ok()) {
    done(wasi.status());
    return {};
  }
  InvocationInfo info;
  info.id = spec.invocation_id;
  info.kind = InvocationKind::kRun;
  info.module = module->module->digest;
  info.module_name = module->name;
  absl::StatusOr<std::shared_ptr<Invocation>> invocation =
      NewInvocation(std::move(info), Resource::kRuns);
  if (!invocation.ok()) {
    done(invocation.status());
    return {};
  }
  // std::function wants copyable tasks.
  const auto options = std::make_shared<engine::WasiOptions>(*std::move(wasi));
  StartedRun started;
  started.place = std::shared_ptr<void>(
      nullptr, [self = shared_from_this(),
                kept = std::make_shared<Charge>(*std::move(memory))](void* /*unused*/) {
        kept->Drop();
        self->EndRun();
      });
  started.invocation = Start<GuestResult>(
      *invocation, {Resource::kRuns, spec.deadline, nullptr, spec.limits},
      [this, limits, stored = module->module, options, scratch](Invocation& running) {
        absl::StatusOr<GuestResult> ended = RunGuest(services_.engine.runtime(), limits,
                                                     stored->module, std::move(*options), running);
        if (ended.ok()) {
          NameStop(running.info().module_name, *ended);
        }
        return ended;
      },
      std::move(done));
  return started;
}

absl::Status Session::Cancel(uint64_t invocation_id) {
  std::shared_ptr<Invocation> invocation;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = invocations_.find(invocation_id);
    if (found == invocations_.end()) {
      return absl::NotFoundError(StrCat("no invocation ", invocation_id, " runs in this session"));
    }
    invocation = found->second;
  }
  invocation->Interrupt(engine::InterruptReason::kCancel);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Session::HeldInstance>> Session::FindInstance(
    uint64_t instance) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = instances_.find(instance);
  if (found == instances_.end()) {
    return absl::NotFoundError(StrCat("no instance ", instance, " in this session"));
  }
  return found->second;
}

absl::StatusOr<uint64_t> Session::AddInstance(std::shared_ptr<HeldInstance> held) {
  const absl::MutexLock lock(&mutex_);
  if (closed_) {
    return Closed();
  }
  const uint64_t instance = NextHandle();
  instances_.emplace(instance, std::move(held));
  return instance;
}

Session::Started Session::CreateInstance(CreateInstanceSpec spec, Done<CreateInstanceResult> done) {
  absl::StatusOr<ModuleRecord> module = services_.store.Find(identity_.principal, spec.module);
  if (!module.ok()) {
    done(module.status());
    return nullptr;
  }
  InstantiateSpec instantiate;
  instantiate.module = module->module->module;
  instantiate.wasi = spec.wasi;
  std::shared_ptr<InstanceGroup> group;
  std::vector<std::shared_ptr<HeldInstance>> imported;
  for (const auto& [name, handle] : spec.imports) {
    absl::StatusOr<std::shared_ptr<HeldInstance>> held = FindInstance(handle);
    if (held.ok() && group != nullptr && group != (*held)->group) {
      held = absl::FailedPreconditionError(StrCat(
          "instance ", handle, " was not made together with instance ", spec.imports.front().second,
          "; one instance imports from instances that import from each other, or from one"));
    }
    if (!held.ok()) {
      done(held.status());
      return nullptr;
    }
    group = (*held)->group;
    instantiate.imports.emplace_back(name, (*held)->instance);
  }
  absl::StatusOr<std::shared_ptr<HeldInstance>> held = NewHeld();
  if (held.ok() && group != nullptr && spec.limits.limits_instance()) {
    held = absl::InvalidArgumentError(
        "an instance that imports from others shares the limits that the first was made with");
  }
  if (!held.ok()) {
    done(held.status());
    return nullptr;
  }
  if (group == nullptr) {
    group = std::make_shared<InstanceGroup>(services_.engine.runtime(), Limits(spec.limits));
  }
  InvocationInfo info;
  info.kind = InvocationKind::kInstantiate;
  info.module = module->module->digest;
  info.module_name = module->name;
  absl::StatusOr<std::shared_ptr<Invocation>> invocation =
      NewInvocation(std::move(info), Resource::kCalls);
  if (!invocation.ok()) {
    done(invocation.status());
    return nullptr;
  }
  return Start<CreateInstanceResult>(
      *invocation, {Resource::kCalls, spec.deadline, group, spec.limits},
      [this, group, instantiate = std::move(instantiate), held = *std::move(held),
       stored = module->module](Invocation& running) -> absl::StatusOr<CreateInstanceResult> {
        WASMD_ASSIGN_OR_RETURN(InstantiateResult made,
                               InstantiateGuest(*group, instantiate, running));
        CreateInstanceResult created;
        created.result = std::move(made.result);
        if (made.instance != nullptr) {
          held->module = stored;
          held->group = group;
          held->instance = made.instance;
          WASMD_ASSIGN_OR_RETURN(created.instance, AddInstance(held));
        }
        return created;
      },
      std::move(done));
}

absl::StatusOr<ModuleRecord> Session::FindModule(const std::string& module) const {
  return services_.store.Find(identity_.principal, module);
}

absl::StatusOr<BoundInstance> Session::FindBound(uint64_t instance) const {
  WASMD_ASSIGN_OR_RETURN(const std::shared_ptr<HeldInstance> held, FindInstance(instance));
  return BoundInstance{held, held->group, held->instance, {}};
}

Session::Started Session::MakeBound(const ModuleRecord& module, const RequestedLimits& limits,
                                    absl::Time deadline, Done<BoundInstance> done) {
  absl::StatusOr<std::shared_ptr<HeldInstance>> held = NewHeld();
  InvocationInfo info;
  info.kind = InvocationKind::kInstantiate;
  info.module = module.module->digest;
  info.module_name = module.name;
  const absl::StatusOr<std::shared_ptr<Invocation>> invocation =
      held.ok() ? NewInvocation(std::move(info), Resource::kCalls) : held.status();
  if (!invocation.ok()) {
    done(invocation.status());
    return nullptr;
  }
  (*held)->module = module.module;
  (*held)->group = std::make_shared<InstanceGroup>(services_.engine.runtime(), Limits(limits));
  return Start<BoundInstance>(
      *invocation, {Resource::kCalls, deadline, (*held)->group, limits},
      [held = *held](Invocation& running) -> absl::StatusOr<BoundInstance> {
        InstantiateSpec spec;
        spec.module = held->module->module;
        spec.wasi = ImportsWasi(*spec.module);
        WASMD_ASSIGN_OR_RETURN(InstantiateResult made,
                               InstantiateGuest(*held->group, spec, running));
        held->instance = made.instance;
        return BoundInstance{held, held->group, made.instance, std::move(made.result)};
      },
      std::move(done));
}

absl::StatusOr<std::shared_ptr<Session::HeldInstance>> Session::NewHeld() {
  auto held = std::make_shared<HeldInstance>();
  WASMD_ASSIGN_OR_RETURN(held->place, account_->TakeCharge(Resource::kInstances));
  return held;
}

absl::StatusOr<uint64_t> Session::OnClose(std::function<void()> closer) {
  const absl::MutexLock lock(&mutex_);
  if (closed_) {
    return Closed();
  }
  const uint64_t key = NextHandle();
  closers_.emplace(key, std::move(closer));
  return key;
}

void Session::ForgetCloser(uint64_t key) {
  std::function<void()> forgotten;  // Released without the lock.
  const absl::MutexLock lock(&mutex_);
  if (const auto found = closers_.find(key); found != closers_.end()) {
    forgotten = std::move(found->second);
    closers_.erase(found);
  }
}

Session::Started Session::Access(AccessSpec spec, std::function<void(absl::Status)> done) {
  absl::StatusOr<std::shared_ptr<HeldInstance>> held = FindInstance(spec.instance);
  if (!held.ok()) {
    done(held.status());
    return nullptr;
  }
  InvocationInfo info;
  info.kind = InvocationKind::kAccess;
  info.module = (*held)->module->digest;
  info.func = std::move(spec.what);
  absl::StatusOr<std::shared_ptr<Invocation>> invocation =
      NewInvocation(std::move(info), Resource::kCalls);
  if (!invocation.ok()) {
    done(invocation.status());
    return nullptr;
  }
  const std::shared_ptr<InstanceGroup> group = (*held)->group;
  return Start<NoGuest>(
      *invocation, {Resource::kCalls, spec.deadline, group, {}},
      [held = *std::move(held),
       access = std::move(spec.access)](Invocation& /*running*/) -> absl::StatusOr<NoGuest> {
        WASMD_RETURN_IF_ERROR(access(*held->instance));
        return NoGuest{};
      },
      [done = std::move(done)](const absl::StatusOr<NoGuest>& result) { done(result.status()); });
}

absl::Status Session::DropInstance(uint64_t instance) {
  std::shared_ptr<HeldInstance> dropped;  // Released without the lock.
  const absl::MutexLock lock(&mutex_);
  const auto found = instances_.find(instance);
  if (found == instances_.end()) {
    return absl::NotFoundError(StrCat("no instance ", instance, " in this session"));
  }
  dropped = std::move(found->second);
  instances_.erase(found);
  return absl::OkStatus();
}

std::vector<InstanceRecord> Session::ListInstances() const {
  std::vector<InstanceRecord> records;
  const absl::MutexLock lock(&mutex_);
  for (const auto& [handle, held] : instances_) {
    InstanceRecord record;
    record.instance = handle;
    record.module = held->module->digest;
    record.memory_bytes = held->group->store().memory_bytes();
    record.invocations = held->invocations.load(std::memory_order_relaxed);
    records.push_back(std::move(record));
  }
  return records;
}

uint32_t Session::instance_count() const {
  return static_cast<uint32_t>(account_->used(Resource::kInstances));
}

void Session::Touch() {
  const absl::MutexLock lock(&mutex_);
  last_used_ = SteadyNow();
}

absl::Time Session::last_used() const {
  const absl::MutexLock lock(&mutex_);
  const bool runs = account_->used(Resource::kCalls) != 0 || account_->used(Resource::kRuns) != 0;
  return runs ? SteadyNow() : last_used_;
}

void Session::Close(engine::InterruptReason reason) {
  // All released without the lock: destructors of stores unmap gigabytes of address space.
  std::vector<std::shared_ptr<Invocation>> running;
  std::unordered_map<uint64_t, engine::UniqueFd> descriptors;
  std::map<uint64_t, std::shared_ptr<HeldInstance>> instances;
  std::map<uint64_t, std::function<void()>> closers;
  {
    const absl::MutexLock lock(&mutex_);
    if (closed_) {
      return;
    }
    closed_ = true;
    for (const auto& [id, invocation] : invocations_) {
      running.push_back(invocation);
    }
    descriptors.swap(descriptors_);
    account_->Give(Resource::kOpenFiles, descriptors.size());
    place_.Drop();
    instances.swap(instances_);
    closers.swap(closers_);
  }
  for (const auto& [key, closer] : closers) {
    closer();
  }
  for (const std::shared_ptr<Invocation>& invocation : running) {
    invocation->Interrupt(reason);
  }
}

}  // namespace wasmd::daemon
