// FuncHandle::Call: values into registers and overflow cells, into wasm, and values, or what
// stopped the guest, out again.
#include <cinttypes>
#include <cstdio>
#include <string>
#include <utility>

#include "engine/abi/calling_convention.h"
#include "engine/base/check.h"
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

constexpr char kNoStackMessage[] =
    "the caller's stack is not its thread's own, and no other is to be had";

absl::Status CheckArguments(const FuncType& type, std::span<const Value> args) {
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
  return absl::OkStatus();
}

void PlaceArguments(const FuncType& type, std::span<const Value> args, EntryFrame& frame) {
  LocationAssigner params = LocationAssigner::Params();
  for (size_t i = 0; i < args.size(); ++i) {
    const ValueLocation at = params.Next(type.params[i]);
    const bool is_32_bits = args[i].type == ValType::kI32 || args[i].type == ValType::kF32;
    const uint64_t bits = is_32_bits ? args[i].bits & 0xffff'ffff : args[i].bits;
    switch (at.kind) {
      case ValueLocation::Kind::kGeneralReg:
        frame.general[at.index] = bits;
        break;
      case ValueLocation::Kind::kFloatReg:
        frame.floats[at.index] = {bits, args[i].hi};
        break;
      case ValueLocation::Kind::kOverflow:
        frame.store->overflow[at.index] = {bits, args[i].hi};
        break;
    }
  }
}

void TakeResults(const FuncType& type, const EntryFrame& frame, std::vector<Value>& results) {
  results.clear();
  LocationAssigner locations = LocationAssigner::Results();
  for (const ValType result : type.results) {
    const ValueLocation at = locations.Next(result);
    switch (at.kind) {
      case ValueLocation::Kind::kGeneralReg:
        results.push_back(ReadCell({frame.general_results[at.index], 0}, result));
        break;
      case ValueLocation::Kind::kFloatReg:
        results.push_back(ReadCell(frame.float_results[at.index], result));
        break;
      case ValueLocation::Kind::kOverflow:
        results.push_back(ReadCell(frame.store->overflow[at.index], result));
        break;
    }
  }
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
  if (message.empty()) {
    if (backtrace.empty() && backtrace.omitted_frames() == 0) {
      return StopHolder::PlainTrap(code);
    }
    message = std::string(ToString(code));
  }
  return StopHolder(Trap{code, std::move(message), std::move(backtrace)});
}

}  // namespace

absl::StatusOr<Outcome<void>> FuncHandle::Call(std::span<const Value> args,
                                               std::vector<Value>& results) const {
  Store::Impl& store = store_->impl();
  if (store.abandoned) {
    return absl::FailedPreconditionError("the store was abandoned when its guest was interrupted");
  }
  if (absl::Status status = CheckArguments(*type_, args); !status.ok()) {
    return status;
  }
  EntryFrame frame;
  frame.code = ref_->code.load(std::memory_order_acquire);
  frame.context = ref_->context;
  frame.store = &store.context;
  PlaceArguments(*type_, args, frame);
  switch (EnterWasm(frame, store.options.wasm_stack_bytes)) {
    case EntryResult::kReturned:
      TakeResults(*type_, frame, results);
      return Outcome<void>();
    case EntryResult::kTrapped:
      return Outcome<void>(TakeStop(store));
    case EntryResult::kNoStack:
      return absl::ResourceExhaustedError(kNoStackMessage);
  }
  WASMD_UNREACHABLE();
}

namespace typed_func_internal {

const Stop* TakeTrap(Store& store) {
  return TakeStop(store.impl()).Release();
}

const Stop* CallPrepared(EntryFrame& frame, Store& store_in) {
  Store::Impl& store = store_in.impl();
  if (store.abandoned) {
    return new Stop(
        Trap{TrapCode::kHostError, "the store was abandoned when its guest was interrupted", {}});
  }
  switch (EnterWasm(frame, store.options.wasm_stack_bytes)) {
    case EntryResult::kReturned:
      return nullptr;
    case EntryResult::kTrapped:
      return TakeStop(store).Release();
    case EntryResult::kNoStack:
      return new Stop(Trap{TrapCode::kHostError, kNoStackMessage, {}});
  }
  WASMD_UNREACHABLE();
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
