// Between the daemon's values and the schema's messages.
#ifndef WASMD_DAEMON_RPC_TRANSLATE_H_
#define WASMD_DAEMON_RPC_TRANSLATE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/session/session.h"
#include "daemon/store/module_store.h"
#include "proto/wasmd/v1/module.pb.h"
#include "proto/wasmd/v1/server.pb.h"
#include "proto/wasmd/v1/value.pb.h"

namespace wasmd::daemon {

// `text` as a proto string: at most `max_bytes`, what is no UTF-8 replaced by '?'.
std::string WireText(std::string_view text, size_t max_bytes = 4096);

// kInvalidArgument: nothing set, a v128 that has not 16 bytes, an unknown reference type.
absl::StatusOr<GuestArgument> FromWire(const v1::Value& value);
void ToWire(const GuestValue& value, v1::Value& out);

RequestedLimits FromWire(const v1::InvocationLimits& limits);

v1::ValType ToWire(engine::ValType type);
void ToWire(const engine::FuncType& type, v1::FuncType& out);
void ToWire(const engine::GlobalType& type, v1::GlobalType& out);
void ToWire(const engine::ExternType& type, v1::ExternType& out);

// How a guest ended; not for interrupts, which are statuses. `values` are what it returned, if it
// did.
void ToWire(const GuestResult& result, std::span<const GuestValue> values, v1::Outcome& out);

void ToWire(const ModuleRecord& record, v1::ModuleInfo& out);
void ToWire(const ActivityInfo& activity, v1::Activity& out);

int64_t UnixMillis(absl::Time time);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_RPC_TRANSLATE_H_
