#include "daemon/observe/log.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/stdout_sinks.h"

#include "daemon/config/options.h"
#include "daemon/config/text.h"

namespace wasmd::daemon {
namespace {

struct LogState {
  std::atomic<LogLevel> level{LogLevel::kInfo};
  std::atomic<LogFormat> format{LogFormat::kText};
  // spdlog serializes writers and flushes; lines are made here, so that both formats escape alike.
  spdlog::logger logger{"wasmd", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
};

LogState& State() {
  // Never destroyed: threads may log until the process is gone.
  static LogState* const state = [] {
    auto* made = new LogState;
    made->logger.set_pattern("%v");
    made->logger.set_level(spdlog::level::trace);
    made->logger.flush_on(spdlog::level::trace);
    return made;
  }();
  return *state;
}

std::string_view Name(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return "trace";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "?";
}

// Quoted where a reader could not tell its end.
void AppendTextValue(std::string_view value, std::string& line) {
  const bool plain = !value.empty() && std::ranges::all_of(value, [](char c) {
    return c > ' ' && c != '"' && c != '\\' && c != '\x7f';
  });
  if (plain) {
    line += value;
  } else {
    StrAppend(&line, "\"", EscapeJson(value), "\"");
  }
}

}  // namespace

std::string EscapeJson(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      escaped += '\\';
      escaped += c;
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (c == '\t') {
      escaped += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      StrAppend(&escaped, "\\u", absl::Hex(byte, absl::kZeroPad4));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

void InitLog(LogLevel level, LogFormat format) {
  State().level.store(level, std::memory_order_relaxed);
  State().format.store(format, std::memory_order_relaxed);
}

bool LogEnabled(LogLevel level) {
  return level >= State().level.load(std::memory_order_relaxed);
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) {
    return;
  }
  const std::string time =
      absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  std::string line;
  if (State().format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    StrAppend(&line, "{\"time\":\"", time, "\",\"level\":\"", Name(level), "\",\"message\":\"",
              EscapeJson(message), "\"");
    for (const LogField& field : fields) {
      StrAppend(&line, ",\"", field.name, "\":\"", EscapeJson(field.value), "\"");
    }
    line += '}';
  } else {
    StrAppend(&line, time, " ", Name(level), " ", EscapeJson(message));
    for (const LogField& field : fields) {
      StrAppend(&line, " ", field.name, "=");
      AppendTextValue(field.value, line);
    }
  }
  State().logger.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace wasmd::daemon
