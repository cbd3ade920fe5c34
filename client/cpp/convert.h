// Between the wire's messages and the library's types. Internal.
#ifndef WASMD_CLIENT_CPP_CONVERT_H_
#define WASMD_CLIENT_CPP_CONVERT_H_

#include <vector>

#include "absl/status/statusor.h"

#include "client/cpp/client.h"
#include "client/cpp/module.h"
#include "client/cpp/outcome.h"
#include "client/cpp/server.h"
#include "client/cpp/value.h"

namespace wasmd::v1 {
class CallBytesResponse;
class FuncType;
class GetLimitsResponse;
class GetModuleResponse;
class GetServerInfoResponse;
class GetStatsResponse;
class InitializeResponse;
class InstanceInfo;
class InvocationLimits;
class ModuleInfo;
class Outcome;
class Value;
}  // namespace wasmd::v1

namespace wasmd::client {

void ToProto(const Value& value, v1::Value* proto);
void ToProto(const InvocationLimits& limits, v1::InvocationLimits* proto);
// kInternal: a value of a kind that this library does not know.
absl::StatusOr<Value> FromProto(const v1::Value& proto);
absl::StatusOr<Outcome> FromProto(const v1::Outcome& proto);
// Takes the output out of it. kInternal: neither an output nor how it ended.
absl::StatusOr<BytesResult> FromProto(v1::CallBytesResponse&& proto);

FuncType FromProto(const v1::FuncType& proto);
ModuleInfo FromProto(const v1::ModuleInfo& proto);
ModuleDetails FromProto(const v1::GetModuleResponse& proto);
InstanceInfo FromProto(const v1::InstanceInfo& proto);
ServerInfo FromProto(const v1::GetServerInfoResponse& proto);
ServerStats FromProto(const v1::GetStatsResponse& proto);
std::vector<LimitUse> FromProto(const v1::GetLimitsResponse& proto);
// All but the fields that the daemon does not tell.
SessionInfo FromProto(const v1::InitializeResponse& proto);

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_CONVERT_H_
