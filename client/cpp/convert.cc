#include "client/cpp/convert.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "proto/wasmd/v1/instance.pb.h"
#include "proto/wasmd/v1/invocation.pb.h"
#include "proto/wasmd/v1/module.pb.h"
#include "proto/wasmd/v1/server.pb.h"
#include "proto/wasmd/v1/session.pb.h"
#include "proto/wasmd/v1/value.pb.h"

namespace wasmd::client {

namespace {

ValType FromProto(v1::ValType type) {
  switch (type) {
    case v1::VAL_TYPE_I32:
      return ValType::kI32;
    case v1::VAL_TYPE_I64:
      return ValType::kI64;
    case v1::VAL_TYPE_F32:
      return ValType::kF32;
    case v1::VAL_TYPE_F64:
      return ValType::kF64;
    case v1::VAL_TYPE_V128:
      return ValType::kV128;
    case v1::VAL_TYPE_FUNCREF:
      return ValType::kFuncRef;
    case v1::VAL_TYPE_EXTERNREF:
      return ValType::kExternRef;
    case v1::VAL_TYPE_EXNREF:
      return ValType::kExnRef;
    default:
      return ValType::kUnknown;
  }
}

// Older daemons do not tell.
ValType AddressFromProto(v1::ValType address) {
  return address == v1::VAL_TYPE_UNSPECIFIED ? ValType::kI32 : FromProto(address);
}

Limits FromProto(const v1::Limits& proto) {
  Limits limits{.min = proto.min(), .max = std::nullopt};
  if (proto.has_max()) {
    limits.max = proto.max();
  }
  return limits;
}

ExternType FromProto(const v1::ExternType& proto) {
  switch (proto.kind_case()) {
    case v1::ExternType::kTable:
      return TableType{.element = FromProto(proto.table().element()),
                       .limits = FromProto(proto.table().limits()),
                       .address = AddressFromProto(proto.table().address())};
    case v1::ExternType::kMemory:
      return MemoryType{.limits = FromProto(proto.memory().limits()),
                        .address = AddressFromProto(proto.memory().address()),
                        .page_size = proto.memory().page_size() == 0 ? MemoryType{}.page_size
                                                                     : proto.memory().page_size()};
    case v1::ExternType::kGlobal:
      return GlobalType{.type = FromProto(proto.global().type()),
                        .is_mutable = proto.global().mutable_()};
    case v1::ExternType::kTag: {
      TagType tag;
      for (const int type : proto.tag().params()) {
        tag.params.push_back(FromProto(static_cast<v1::ValType>(type)));
      }
      return tag;
    }
    case v1::ExternType::kFunc:
    case v1::ExternType::KIND_NOT_SET:
      break;
  }
  return client::FromProto(proto.func());
}

Trap FromProto(const v1::Trap& proto) {
  Trap trap;
  trap.code = static_cast<TrapCode>(proto.code());
  trap.message = proto.message();
  trap.frames_omitted = proto.frames_omitted();
  for (const v1::Frame& frame : proto.frames()) {
    trap.frames.push_back({.module_name = frame.module_name(),
                           .func_index = frame.func_index(),
                           .func_name = frame.func_name(),
                           .module_offset = frame.module_offset()});
  }
  return trap;
}

}  // namespace

void ToProto(const Value& value, v1::Value* proto) {
  if (const auto* i32 = std::get_if<int32_t>(&value)) {
    proto->set_i32(*i32);
  } else if (const auto* i64 = std::get_if<int64_t>(&value)) {
    proto->set_i64(*i64);
  } else if (const auto* f32 = std::get_if<float>(&value)) {
    proto->set_f32_bits(std::bit_cast<uint32_t>(*f32));
  } else if (const auto* f64 = std::get_if<double>(&value)) {
    proto->set_f64_bits(std::bit_cast<uint64_t>(*f64));
  } else if (const auto* v128 = std::get_if<V128>(&value)) {
    proto->set_v128(v128->bytes.data(), v128->bytes.size());
  } else if (const auto* ref = std::get_if<Reference>(&value)) {
    proto->mutable_ref()->set_type(ref->type == ValType::kFuncRef  ? v1::VAL_TYPE_FUNCREF
                                   : ref->type == ValType::kExnRef ? v1::VAL_TYPE_EXNREF
                                                                   : v1::VAL_TYPE_EXTERNREF);
    proto->mutable_ref()->set_handle(ref->handle);
  }
}

absl::StatusOr<Value> FromProto(const v1::Value& proto) {
  switch (proto.kind_case()) {
    case v1::Value::kI32:
      return Value(proto.i32());
    case v1::Value::kI64:
      return Value(int64_t{proto.i64()});
    case v1::Value::kF32Bits:
      return Value(std::bit_cast<float>(proto.f32_bits()));
    case v1::Value::kF64Bits:
      return Value(std::bit_cast<double>(uint64_t{proto.f64_bits()}));
    case v1::Value::kV128: {
      V128 v128;
      if (proto.v128().size() != v128.bytes.size()) {
        return absl::InternalError("the daemon sent a v128 that has not 16 bytes");
      }
      std::memcpy(v128.bytes.data(), proto.v128().data(), v128.bytes.size());
      return Value(v128);
    }
    case v1::Value::kRef:
      return Value(
          Reference{.type = FromProto(proto.ref().type()), .handle = proto.ref().handle()});
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return absl::InternalError("the daemon sent a value of a kind that this client does not know");
}

absl::StatusOr<Outcome> FromProto(const v1::Outcome& proto) {
  switch (proto.kind_case()) {
    case v1::Outcome::kValues: {
      Values values;
      for (const v1::Value& value : proto.values().values()) {
        absl::StatusOr<Value> converted = FromProto(value);
        if (!converted.ok()) {
          return converted.status();
        }
        values.push_back(*std::move(converted));
      }
      return Outcome(std::move(values));
    }
    case v1::Outcome::kTrap:
      return Outcome(FromProto(proto.trap()));
    case v1::Outcome::kExitCode:
      return Outcome(Exit{.code = proto.exit_code()});
    case v1::Outcome::KIND_NOT_SET:
      break;
  }
  return absl::InternalError("the daemon sent an outcome that this client does not know");
}

FuncType FromProto(const v1::FuncType& proto) {
  FuncType func;
  for (const int type : proto.params()) {
    func.params.push_back(FromProto(static_cast<v1::ValType>(type)));
  }
  for (const int type : proto.results()) {
    func.results.push_back(FromProto(static_cast<v1::ValType>(type)));
  }
  return func;
}

absl::StatusOr<BytesResult> FromProto(v1::CallBytesResponse&& proto) {
  BytesResult result;
  result.duration = absl::Nanoseconds(static_cast<int64_t>(proto.duration_ns()));
  if (proto.has_fuel_left()) {
    result.fuel_left = proto.fuel_left();
  }
  if (proto.has_output()) {
    result.outcome = std::move(*proto.mutable_output());
    return result;
  }
  absl::StatusOr<Outcome> outcome = FromProto(proto.outcome());
  if (!outcome.ok()) {
    return outcome.status();
  }
  result.refused_at = proto.outcome().refused_at();
  if (auto* trap = std::get_if<Trap>(&*outcome)) {
    result.outcome = std::move(*trap);
  } else if (const auto* exit = std::get_if<Exit>(&*outcome)) {
    result.outcome = *exit;
  } else {
    return absl::InternalError("the daemon sent values instead of a byte string");
  }
  return result;
}

ModuleInfo FromProto(const v1::ModuleInfo& proto) {
  return {.digest = proto.digest(),
          .name = proto.name(),
          .size_bytes = proto.size_bytes(),
          .defined_funcs = proto.defined_funcs(),
          .compiled_funcs = proto.compiled_funcs(),
          .machine_code_bytes = proto.machine_code_bytes(),
          .instances = proto.instances(),
          .uploaded_at = absl::FromUnixMillis(proto.uploaded_at_ms()),
          .last_used_at = absl::FromUnixMillis(proto.last_used_at_ms())};
}

ModuleDetails FromProto(const v1::GetModuleResponse& proto) {
  ModuleDetails details;
  details.info = FromProto(proto.module());
  for (const v1::Import& entry : proto.imports()) {
    details.imports.push_back(
        {.module = entry.module(), .name = entry.name(), .type = FromProto(entry.type())});
  }
  for (const v1::Export& entry : proto.exports()) {
    details.exports.push_back({.name = entry.name(), .type = FromProto(entry.type())});
  }
  for (const v1::Section& section : proto.sections()) {
    details.sections.push_back({.name = section.name(), .size_bytes = section.size_bytes()});
  }
  return details;
}

InstanceInfo FromProto(const v1::InstanceInfo& proto) {
  return {.id = proto.instance(),
          .module = proto.module(),
          .memory_bytes = proto.memory_bytes(),
          .invocations = proto.invocations()};
}

ServerInfo FromProto(const v1::GetServerInfoResponse& proto) {
  return {.version = proto.version(),
          .protocol_version = proto.protocol_version(),
          .started_at = absl::FromUnixMillis(proto.started_at_ms()),
          .pid = proto.pid(),
          .workers = proto.workers(),
          .max_runs = proto.max_runs(),
          .sandbox = {
              .mode = proto.sandbox().mode(),
              .in_force = {proto.sandbox().in_force().begin(), proto.sandbox().in_force().end()},
              .lacking = {proto.sandbox().lacking().begin(), proto.sandbox().lacking().end()}}};
}

ServerStats FromProto(const v1::GetStatsResponse& proto) {
  ServerStats stats;
  stats.uptime = absl::Milliseconds(static_cast<int64_t>(proto.uptime_ms()));
  stats.resident_bytes = proto.resident_bytes();
  stats.peak_resident_bytes = proto.peak_resident_bytes();
  stats.cpu_seconds = proto.cpu_seconds();
  stats.connections = proto.connections();
  stats.sessions = proto.sessions();
  stats.modules = proto.modules();
  stats.module_bytes = proto.module_bytes();
  stats.machine_code_bytes = proto.machine_code_bytes();
  stats.instances = proto.instances();
  stats.calls_total = proto.calls_total();
  stats.runs_total = proto.runs_total();
  stats.traps_total = proto.traps_total();
  stats.cancelled_total = proto.cancelled_total();
  stats.deadline_exceeded_total = proto.deadline_exceeded_total();
  stats.queued_calls = proto.queued_calls();
  stats.channels = proto.channels();
  stats.channel_calls = proto.channel_calls_total();
  for (const v1::Activity& activity : proto.activities()) {
    stats.activities.push_back(
        {.invocation_id = activity.invocation_id(),
         .kind = activity.kind(),
         .client_name = activity.client_name(),
         .module = activity.module(),
         .module_name = activity.module_name(),
         .func = activity.func(),
         .elapsed = absl::Milliseconds(static_cast<int64_t>(activity.elapsed_ms())),
         .cpu_seconds = activity.cpu_seconds(),
         .memory_bytes = activity.memory_bytes()});
  }
  return stats;
}

void ToProto(const InvocationLimits& limits, v1::InvocationLimits* proto) {
  proto->set_memory_bytes(limits.memory_bytes);
  proto->set_table_elements(limits.table_elements);
  proto->set_heap_bytes(limits.heap_bytes);
  proto->set_stack_bytes(limits.stack_bytes);
  proto->set_open_files(limits.open_files);
  proto->set_output_buffer_bytes(limits.output_buffer_bytes);
  if (limits.cpu_time > absl::ZeroDuration()) {
    proto->set_cpu_time_ms(
        static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(limits.cpu_time), 1)));
  }
}

std::string ToString(LimitScope scope) {
  switch (scope) {
    case LimitScope::kOther:
      break;
    case LimitScope::kInvocation:
      return "invocation";
    case LimitScope::kSession:
      return "session";
    case LimitScope::kUser:
      return "user";
    case LimitScope::kDaemon:
      return "daemon";
  }
  return "?";
}

std::vector<LimitUse> FromProto(const v1::GetLimitsResponse& proto) {
  std::vector<LimitUse> limits;
  for (const v1::LimitUse& use : proto.limits()) {
    LimitUse& limit = limits.emplace_back();
    limit.scope = use.scope() > v1::LIMIT_SCOPE_DAEMON || use.scope() < 0
                      ? LimitScope::kOther
                      : static_cast<LimitScope>(use.scope());
    limit.holder = use.holder();
    limit.resource = use.resource();
    limit.unit = use.unit() == v1::LIMIT_UNIT_BYTES          ? LimitUnit::kBytes
                 : use.unit() == v1::LIMIT_UNIT_MILLISECONDS ? LimitUnit::kMilliseconds
                                                             : LimitUnit::kCount;
    limit.used = use.used();
    limit.peak = use.peak();
    if (use.has_limit()) {
      limit.limit = use.limit();
    }
    limit.option = use.option();
  }
  return limits;
}

SessionInfo FromProto(const v1::InitializeResponse& proto) {
  SessionInfo info;
  info.server_name = proto.server_name();
  info.server_version = proto.server_version();
  info.protocol_version = proto.protocol_version();
  const v1::Capabilities& capabilities = proto.capabilities();
  info.wasm_features.assign(capabilities.wasm_features().begin(),
                            capabilities.wasm_features().end());
  info.missing_wasm_features.assign(capabilities.missing_wasm_features().begin(),
                                    capabilities.missing_wasm_features().end());
  info.host_modules.assign(capabilities.host_modules().begin(), capabilities.host_modules().end());
  info.roots.assign(capabilities.roots().begin(), capabilities.roots().end());
  info.channels = capabilities.channels();
  info.max_module_bytes = proto.limits().max_module_bytes();
  info.max_instances = proto.limits().max_instances();
  info.max_concurrent_runs = proto.limits().max_concurrent_runs();
  info.max_concurrent_calls = proto.limits().max_concurrent_calls();
  info.max_memory_bytes = proto.limits().max_memory_bytes();
  info.max_scratch_bytes = proto.limits().max_scratch_bytes();
  info.idle_timeout_seconds = proto.limits().idle_timeout_seconds();
  return info;
}

}  // namespace wasmd::client
