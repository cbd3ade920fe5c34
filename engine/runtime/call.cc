// What calls do where the short ways of FuncHandle::Call and TypedFunc end: calls that need
// preparation, and what stopped a guest.
#include <cinttypes>
#include <cstdio>
#include <string>
#include <utility>

#include "engine/abi/call_stub.h"
#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"
#include "engine/code/code_map.h"
#include "engine/code/module_code.h"
#include "engine/runtime/instance.h"
#include "engine/runtime/loaded_module_impl.h"
#include "engine/runtime/store_impl.h"
#include "engine/runtime/typed_func.h"
#include "engine/trap/entry.h"

namespace wasmd::engine {

using outcome_internal::StopHolder;

namespace {

absl::Status CheckValues(const FuncType& type, std::span<const Value> args,
                         std::span<Value> results) {
  if (args.size() != type.params.size()) {
    return absl::InvalidArgumentError(
        StrCat(args.size(), " arguments for a function of type ", ToString(type)));
  }
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].type != type.params[i]) {
      return absl::InvalidArgumentError(StrCat("argument ", i, " is ", ToString(args[i]),
                                               " for a function of type ", ToString(type)));
    }
  }
  if (results.size() != type.results.size()) {
    return absl::InvalidArgumentError(
        StrCat("room for ", results.size(), " results of a function of type ", ToString(type)));
  }
  return absl::OkStatus();
}

// A fault in generated code that is not a memory access out of bounds is a bug of ours, and nothing
// after it can be trusted.
[[noreturn]] void OurFault(const TrapRecord& record, const char* why) {
  char message[160];
  std::snprintf(message, sizeof(message),
                "generated code faulted at pc 0x%" PRIx64 ", address 0x%" PRIx64 ": %s", record.pc,
                record.fault_address, why);
  CheckFailed(__FILE__, __LINE__, "fault in generated code", message);
}

void CheckFault(const TrapRecord& record, const Store::Impl& store) {
  const ModuleCode* code = CodeOwner(record.pc);
  const std::optional<ModuleCode::Location> location =
      code == nullptr ? std::nullopt : code->Find(record.pc, /*is_return_address=*/false);
  if (!location.has_value() || !location->site.has_value() ||
      location->site->trap != static_cast<uint8_t>(TrapCode::kMemoryOutOfBounds)) {
    OurFault(record, "no access that may trap is there");
  }
  if (!store.OwnsMemoryAt(record.fault_address)) {
    OurFault(record, "the address is in no memory of the store");
  }
}

// The activation is over; the record is still its own.
StopHolder TakeStop(Store::Impl& store) {
  const TrapRecord& record = store.trap_record;
  std::string message = std::exchange(store.stop_message, {});
  if (record.is_fault) {
    CheckFault(record, store);
  }
  Backtrace backtrace = Backtrace::Capture(record, store.options.backtrace_frames);
  TrapCode code = record.code;
  if (code == TrapCode::kExit) {
    return StopHolder(Exit{store.exit_code});
  }
  if (code == TrapCode::kInterrupt) {
    // By the signal, maybe for an outer activation's store, or found by the entry or the host
    // thunk.
    const auto reason = static_cast<InterruptReason>(
        record.interrupt_reason != 0
            ? record.interrupt_reason
            : store.context.interrupt_requested.load(std::memory_order_relaxed));
    if (reason != InterruptReason::kNone) {
      const bool has_run = record.pc != 0;
      store.abandoned |= has_run;
      // Inner activations leave the flag for those outside of them.
      if (store.context.window.load(std::memory_order_relaxed) != kStoreActive) {
        if (store.abandoned) {  // No call is as short as a bound store's: each finds out.
          store.context.window.store(kStoreUnbound, std::memory_order_relaxed);
        }
        store.interrupt->Acknowledge();
      }
      return StopHolder(Interrupt{reason, store.abandoned, std::move(backtrace)});
    }
    code = TrapCode::kHostError;
    message = "a host function says that it was interrupted, and nobody did";
  }
  if (code == TrapCode::kException) {
    return StopHolder(store.exceptions.TakePending(std::move(backtrace)));
  }
  if (message.empty()) {
    if (backtrace.empty() && backtrace.omitted_frames() == 0) {
      return StopHolder::PlainTrap(code);
    }
    message = std::string(ToString(code));
  }
  return StopHolder(Trap{code, std::move(message), std::move(backtrace)});
}

// With everything in the frame but the store. Errors as FuncHandle::Call.
absl::StatusOr<Outcome<void>> CallInFrame(EntryFrame& frame, Store::Impl& store) {
  if (store.abandoned) {
    return absl::FailedPreconditionError("the store was abandoned when its guest was interrupted");
  }
  frame.store = &store.context;
  switch (EnterWasm(frame, store.options.wasm_stack_bytes)) {
    case EntryResult::kReturned:
      return Outcome<void>();
    case EntryResult::kTrapped:
      return Outcome<void>(TakeStop(store));
    case EntryResult::kNoStack:
      return absl::ResourceExhaustedError(
          "the caller's stack is not its thread's own, and no other is to be had");
  }
  WASMD_UNREACHABLE();
}

}  // namespace

FuncHandle::FuncHandle(Store& store, FuncRef& ref, const RegisteredType& type)
    : context_(&store.impl().context), ref_(&ref), type_(&type), store_(&store) {}

absl::StatusOr<Outcome<void>> FuncHandle::CallSlowly(std::span<const Value> args,
                                                     std::span<Value> results) const {
  Store::Impl& store = store_->impl();
  WASMD_RETURN_IF_ERROR(CheckValues(type(), args, results));
  WASMD_ASSIGN_OR_RETURN(const void* stub, store.env->types().EnsureCallStub(*type_));
  EntryFrame frame;
  frame.code = stub;
  frame.context = ref_->context;
  frame.general[0] = reinterpret_cast<uint64_t>(ref_->code.load(std::memory_order_acquire));
  frame.general[1] = reinterpret_cast<uint64_t>(args.data());
  frame.general[2] = reinterpret_cast<uint64_t>(results.data());
  frame.general[3] = reinterpret_cast<uint64_t>(&store.context);
  WASMD_ASSIGN_OR_RETURN(Outcome<void> outcome, CallInFrame(frame, store));
  if (outcome.ok() && frame.general_results[0] != kStubCalled) {
    return WrongArguments(args, results);
  }
  if (outcome.ok()) {
    for (const Value& value : results) {
      store.exceptions.KeepForHost(value);
    }
  }
  return outcome;
}

absl::Status FuncHandle::WrongArguments(std::span<const Value> args,
                                        std::span<Value> results) const {
  WASMD_RETURN_IF_ERROR(CheckValues(type(), args, results));
  return absl::InvalidArgumentError("the arguments were changed while they were passed");
}

namespace fast_entry {

const Stop* TakeTrap(Store& store) {
  return TakeStop(store.impl()).Release();
}

}  // namespace fast_entry

namespace typed_func_internal {

const Stop* CallPrepared(EntryFrame& frame, Store& store) {
  absl::StatusOr<Outcome<void>> outcome = CallInFrame(frame, store.impl());
  if (!outcome.ok()) {
    return new Stop(Trap{TrapCode::kHostError, std::string(outcome.status().message()), {}});
  }
  return outcome->Release();
}

StoreContext& ContextOf(Store& store) {
  return store.impl().context;
}

absl::Status WrongType(const FuncType& actual, const FuncType& wanted) {
  return absl::InvalidArgumentError(
      StrCat("the function is of type ", ToString(actual), ", which is not ", ToString(wanted)));
}

}  // namespace typed_func_internal

}  // namespace wasmd::engine
