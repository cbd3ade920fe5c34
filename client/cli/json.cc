#include "client/cli/json.h"

#include <cmath>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include <nlohmann/json.hpp>

#include "client/cpp/text.h"
#include "client/cpp/value.h"

namespace wasmd::cli {

namespace {

Json TimeToJson(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

Json LimitsToJson(const client::Limits& limits) {
  Json json = {{"min", limits.min}};
  if (limits.max.has_value()) {
    json["max"] = *limits.max;
  }
  return json;
}

Json TypesToJson(const std::vector<client::ValType>& types) {
  Json json = Json::array();
  for (const client::ValType type : types) {
    json.push_back(client::ToString(type));
  }
  return json;
}

Json ToJson(const client::ExternType& type) {
  if (const auto* func = std::get_if<client::FuncType>(&type)) {
    return {{"kind", "func"},
            {"params", TypesToJson(func->params)},
            {"results", TypesToJson(func->results)}};
  }
  if (const auto* table = std::get_if<client::TableType>(&type)) {
    return {{"kind", "table"},
            {"element", client::ToString(table->element)},
            {"limits", LimitsToJson(table->limits)},
            {"address", client::ToString(table->address)}};
  }
  if (const auto* memory = std::get_if<client::MemoryType>(&type)) {
    return {{"kind", "memory"},
            {"limits", LimitsToJson(memory->limits)},
            {"address", client::ToString(memory->address)},
            {"page_size", memory->page_size}};
  }
  if (const auto* tag = std::get_if<client::TagType>(&type)) {
    return {{"kind", "tag"}, {"params", TypesToJson(tag->params)}};
  }
  const auto& global = std::get<client::GlobalType>(type);
  return {
      {"kind", "global"}, {"type", client::ToString(global.type)}, {"mutable", global.is_mutable}};
}

template <typename Float>
Json FloatToJson(Float value) {
  // The shortest text of an f32 is not that of the double that JSON would make of it.
  if (!std::isfinite(value)) {
    return client::ToString(client::Value(value));
  }
  return Json::parse(client::ToString(client::Value(value)));
}

Json ToJson(const client::Trap& trap) {
  Json frames = Json::array();
  for (const client::Frame& frame : trap.frames) {
    frames.push_back({{"module", frame.module_name},
                      {"func_index", frame.func_index},
                      {"func_name", frame.func_name},
                      {"module_offset", frame.module_offset}});
  }
  return {{"code", client::ToString(trap.code)},
          {"message", trap.message},
          {"frames", std::move(frames)},
          {"frames_omitted", trap.frames_omitted}};
}

Json ToJson(const client::Activity& activity) {
  return {{"invocation_id", activity.invocation_id},
          {"kind", activity.kind},
          {"client", activity.client_name},
          {"module", activity.module},
          {"module_name", activity.module_name},
          {"func", activity.func},
          {"elapsed_ms", absl::ToInt64Milliseconds(activity.elapsed)},
          {"cpu_seconds", activity.cpu_seconds},
          {"memory_bytes", activity.memory_bytes}};
}

}  // namespace

Json ToJson(const client::Value& value) {
  Json json = {{"type", client::ToString(client::TypeOf(value))}};
  if (const auto* i32 = std::get_if<int32_t>(&value)) {
    json["value"] = *i32;
  } else if (const auto* f32 = std::get_if<float>(&value)) {
    json["value"] = FloatToJson(*f32);
  } else if (const auto* f64 = std::get_if<double>(&value)) {
    json["value"] = FloatToJson(*f64);
  } else {
    json["value"] = client::ToString(value);
  }
  return json;
}

Json ToJson(const client::Outcome& outcome) {
  if (const auto* values = std::get_if<client::Values>(&outcome)) {
    Json list = Json::array();
    for (const client::Value& value : *values) {
      list.push_back(ToJson(value));
    }
    return {{"values", std::move(list)}};
  }
  if (const auto* trap = std::get_if<client::Trap>(&outcome)) {
    return {{"trap", ToJson(*trap)}};
  }
  return {{"exit_code", std::get<client::Exit>(outcome).code}};
}

Json ToJson(const client::BytesResult& result) {
  Json json;
  if (const auto* output = std::get_if<std::string>(&result.outcome)) {
    json["output"] = absl::Base64Escape(client::CatPart(*output));
  } else if (const auto* trap = std::get_if<client::Trap>(&result.outcome)) {
    json["trap"] = ToJson(*trap);
  } else {
    json["exit_code"] = std::get<client::Exit>(result.outcome).code;
  }
  json["duration_ns"] = absl::ToInt64Nanoseconds(result.duration);
  if (result.fuel_left.has_value()) {
    json["fuel_left"] = *result.fuel_left;
  }
  return json;
}

Json ToJson(const client::ModuleInfo& module) {
  return {{"digest", module.digest},
          {"name", module.name},
          {"size_bytes", module.size_bytes},
          {"defined_funcs", module.defined_funcs},
          {"compiled_funcs", module.compiled_funcs},
          {"machine_code_bytes", module.machine_code_bytes},
          {"instances", module.instances},
          {"uploaded_at", TimeToJson(module.uploaded_at)},
          {"last_used_at", TimeToJson(module.last_used_at)}};
}

Json ToJson(const client::ModuleDetails& module) {
  Json json = ToJson(module.info);
  Json imports = Json::array();
  for (const client::Import& entry : module.imports) {
    imports.push_back(
        {{"module", entry.module}, {"name", entry.name}, {"type", ToJson(entry.type)}});
  }
  Json exports = Json::array();
  for (const client::Export& entry : module.exports) {
    exports.push_back({{"name", entry.name}, {"type", ToJson(entry.type)}});
  }
  Json sections = Json::array();
  for (const client::Section& section : module.sections) {
    sections.push_back({{"name", section.name}, {"size_bytes", section.size_bytes}});
  }
  json["imports"] = std::move(imports);
  json["exports"] = std::move(exports);
  json["sections"] = std::move(sections);
  return json;
}

Json ToJson(const client::ServerInfo& info) {
  return {{"version", info.version},
          {"protocol_version", info.protocol_version},
          {"pid", info.pid},
          {"started_at", TimeToJson(info.started_at)},
          {"workers", info.workers},
          {"max_runs", info.max_runs},
          {"sandbox",
           {{"mode", info.sandbox.mode},
            {"in_force", info.sandbox.in_force},
            {"lacking", info.sandbox.lacking}}}};
}

Json ToJson(const client::SessionInfo& session) {
  return {{"address", session.address},
          {"server", session.server_name},
          {"protocol_version", session.protocol_version},
          {"passes_descriptors", session.passes_descriptors},
          {"wasm_features", session.wasm_features},
          {"missing_wasm_features", session.missing_wasm_features},
          {"host_modules", session.host_modules},
          {"roots", session.roots},
          {"limits",
           {{"max_module_bytes", session.max_module_bytes},
            {"max_instances", session.max_instances},
            {"max_concurrent_runs", session.max_concurrent_runs},
            {"max_concurrent_calls", session.max_concurrent_calls},
            {"max_memory_bytes", session.max_memory_bytes},
            {"max_scratch_bytes", session.max_scratch_bytes},
            {"idle_timeout_seconds", session.idle_timeout_seconds}}}};
}

Json ToJson(const client::ServerStats& stats) {
  Json activities = Json::array();
  for (const client::Activity& activity : stats.activities) {
    activities.push_back(ToJson(activity));
  }
  return {{"uptime_ms", absl::ToInt64Milliseconds(stats.uptime)},
          {"resident_bytes", stats.resident_bytes},
          {"peak_resident_bytes", stats.peak_resident_bytes},
          {"cpu_seconds", stats.cpu_seconds},
          {"connections", stats.connections},
          {"sessions", stats.sessions},
          {"modules", stats.modules},
          {"module_bytes", stats.module_bytes},
          {"machine_code_bytes", stats.machine_code_bytes},
          {"instances", stats.instances},
          {"calls_total", stats.calls_total},
          {"runs_total", stats.runs_total},
          {"traps_total", stats.traps_total},
          {"cancelled_total", stats.cancelled_total},
          {"deadline_exceeded_total", stats.deadline_exceeded_total},
          {"queued_calls", stats.queued_calls},
          {"channels", stats.channels},
          {"channel_calls", stats.channel_calls},
          {"activities", std::move(activities)}};
}

void AddRefusal(const std::string& refused_at, Json& json) {
  if (!refused_at.empty()) {
    json["refused_at"] = refused_at;
  }
}

Json ToJson(const client::LimitUse& use) {
  Json json = {{"scope", client::ToString(use.scope)},
               {"holder", use.holder},
               {"resource", use.resource},
               {"unit", use.unit == client::LimitUnit::kBytes          ? "bytes"
                        : use.unit == client::LimitUnit::kMilliseconds ? "ms"
                                                                       : "count"},
               {"used", use.used},
               {"peak", use.peak},
               {"option", use.option}};
  json["limit"] = use.limit.has_value() ? Json(*use.limit) : Json();
  return json;
}

std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string DumpLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace wasmd::cli
