// The daemon's log: lines on stderr, as text or as JSON.
//
//   Log(LogLevel::kInfo, "session opened", {{"session", "3"}, {"client", "wasmctl"}});
//   2024-05-01T12:00:00.123Z info session opened session=3 client=wasmctl
//   {"time":"2024-05-01T12:00:00.123Z","level":"info","message":"session
//   opened","session":"3","client":"wasmctl"}
//
// Values come from clients: control characters are escaped in both formats, so that a name forges
// no line. Thread-safe.
#ifndef WASMD_DAEMON_OBSERVE_LOG_H_
#define WASMD_DAEMON_OBSERVE_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "daemon/config/options.h"

namespace wasmd::daemon {

struct LogField {
  LogField(std::string_view field_name, std::string_view field_value)
      : name(field_name), value(field_value) {}
  LogField(std::string_view field_name, uint64_t number)
      : name(field_name), value(std::to_string(number)) {}
  std::string_view name;
  std::string value;
};

// Called once, before threads are started. Without it: text, kInfo.
void InitLog(LogLevel level, LogFormat format);

bool LogEnabled(LogLevel level);
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

// `text` with control characters, quotes and backslashes escaped as JSON does.
std::string EscapeJson(std::string_view text);

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_OBSERVE_LOG_H_
