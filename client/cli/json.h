// The library's types as JSON. 64-bit integers of wasm are strings, as in protobuf's JSON, and so
// are floats that JSON has no number for; sizes and counts are numbers.
#ifndef WASMD_CLIENT_CLI_JSON_H_
#define WASMD_CLIENT_CLI_JSON_H_

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "client/cpp/module.h"
#include "client/cpp/outcome.h"
#include "client/cpp/server.h"
#include "client/cpp/value.h"

namespace wasmd::cli {

// Keeps the order that keys are put in.
using Json = nlohmann::ordered_json;

Json ToJson(const client::Value& value);
Json ToJson(const client::Outcome& outcome);
// The output in base64, as protobuf's JSON has bytes.
Json ToJson(const client::BytesResult& result);
Json ToJson(const client::ModuleInfo& module);
Json ToJson(const client::ModuleDetails& module);
Json ToJson(const client::ServerInfo& info);
Json ToJson(const client::SessionInfo& session);
Json ToJson(const client::ServerStats& stats);
Json ToJson(const client::LimitUse& use);
// Key "refused_at", where something was refused.
void AddRefusal(const std::string& refused_at, Json& json);

// Indented, with a newline at its end. Bytes that are not UTF-8 are replaced.
std::string Dump(const Json& json);
// On one line.
std::string DumpLine(const Json& json);

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_JSON_H_
