#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

#include "client/cli/commands.h"
#include "client/cli/connection.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/report.h"
#include "client/cpp/client.h"
#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

// For requests that need no work of the daemon.
constexpr absl::Duration kQuick = absl::Seconds(10);

client::Control QuickControl(const Common& common) {
  client::Control control;
  control.stop = common.stop;
  control.timeout = common.timeout == absl::InfiniteDuration() ? kQuick : common.timeout;
  return control;
}

std::string StatsText(const client::ServerInfo& info, const client::SessionInfo& session,
                      const client::ServerStats& stats, double cpu_share) {
  std::string text = Cat("wasmd ", info.version, " at ", session.address, ", pid ", info.pid,
                         ", up ", FormatAge(stats.uptime), "\n");
  text += absl::StrFormat("memory %s (peak %s)   cpu %.1f s%s   connections %u   sessions %u\n",
                          FormatBytes(stats.resident_bytes), FormatBytes(stats.peak_resident_bytes),
                          stats.cpu_seconds,
                          cpu_share < 0 ? "" : absl::StrFormat(" (%.0f%%)", cpu_share * 100),
                          stats.connections, stats.sessions);
  text +=
      absl::StrFormat("modules %u (%s, code %s)   instances %u   queued calls %u\n", stats.modules,
                      FormatBytes(stats.module_bytes), FormatBytes(stats.machine_code_bytes),
                      stats.instances, stats.queued_calls);
  text += absl::StrFormat("channels %u   calls over channels %u\n", stats.channels,
                          stats.channel_calls);
  text += absl::StrFormat("calls %u   runs %u   traps %u   cancelled %u   over the deadline %u\n\n",
                          stats.calls_total, stats.runs_total, stats.traps_total,
                          stats.cancelled_total, stats.deadline_exceeded_total);
  Table table({"KIND", "MODULE", "FUNCTION", "CLIENT", "TIME", "CPU", "MEMORY"});
  for (const size_t column : {4U, 5U, 6U}) {
    table.AlignRight(column);
  }
  for (const client::Activity& activity : stats.activities) {
    table.Add({activity.kind,
               activity.module_name.empty() ? ShortDigest(activity.module) : activity.module_name,
               activity.func, activity.client_name, FormatAge(activity.elapsed),
               FormatAge(absl::Seconds(activity.cpu_seconds)), FormatBytes(activity.memory_bytes)});
  }
  return text + table.ToString();
}

// Sleeps; false: interrupted.
bool SleepFor(absl::Duration duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  return !wake.wait_for(lock, stop, absl::ToChronoNanoseconds(duration),
                        [&stop] { return stop.stop_requested(); });
}

std::string Joined(const std::vector<std::string>& names) {
  return names.empty() ? std::string("none") : absl::StrJoin(names, " ");
}

std::string SandboxText(const client::SandboxInfo& sandbox) {
  std::string text = sandbox.mode.empty() ? "not told" : sandbox.mode;
  if (!sandbox.in_force.empty()) {
    text += Cat(": ", absl::StrJoin(sandbox.in_force, ", "));
  }
  if (!sandbox.lacking.empty()) {
    text += Cat("; lacking: ", absl::StrJoin(sandbox.lacking, ", "));
  }
  return text;
}

std::string LimitText(uint64_t limit, bool bytes = false) {
  if (limit == 0) {
    return "none";
  }
  return bytes ? FormatBytes(limit) : Cat(limit);
}

std::string Amount(uint64_t amount, client::LimitUnit unit) {
  switch (unit) {
    case client::LimitUnit::kCount:
      return Cat(amount);
    case client::LimitUnit::kBytes:
      return FormatBytes(amount);
    case client::LimitUnit::kMilliseconds:
      return FormatAge(absl::Milliseconds(static_cast<int64_t>(amount)));
  }
  return "";
}

}  // namespace

int Health(const Common& common) {
  absl::StatusOr<Connection> connection = Connect(common, /*pass_descriptors=*/false);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  const absl::Status status = (*connection)->CheckHealth(QuickControl(common));
  if (!status.ok()) {
    return ReportStatus(status);
  }
  Print(common.format == OutputFormat::kJson ? Dump({{"status", "serving"}})
                                             : std::string("serving\n"));
  return kDone;
}

int Info(const Common& common) {
  absl::StatusOr<Connection> connection = Connect(common);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  const absl::StatusOr<client::ServerInfo> info =
      (*connection)->GetServerInfo(QuickControl(common));
  if (!info.ok()) {
    return ReportStatus(info.status());
  }
  const client::SessionInfo& session = (*connection)->session();
  if (common.format == OutputFormat::kJson) {
    Print(Dump({{"server", ToJson(*info)}, {"session", ToJson(session)}}));
    return kDone;
  }
  Table table({"version", info->version});
  table.Add({"protocol", Cat(info->protocol_version)});
  table.Add({"address", session.address});
  table.Add({"pid", Cat(info->pid)});
  table.Add(
      {"started", absl::FormatTime("%Y-%m-%d %H:%M:%S", info->started_at, absl::LocalTimeZone())});
  table.Add({"workers", Cat(info->workers)});
  table.Add({"runs at a time", Cat(info->max_runs)});
  table.Add({"sandbox", SandboxText(info->sandbox)});
  table.Add({"descriptors", session.passes_descriptors ? std::string("passed") : session.why_not});
  table.Add({"wasm features", Joined(session.wasm_features)});
  table.Add({"refused features", Joined(session.missing_wasm_features)});
  table.Add({"host modules", Joined(session.host_modules)});
  table.Add({"roots", Joined(session.roots)});
  table.Add({"limit: module", LimitText(session.max_module_bytes, true)});
  table.Add({"limit: memory", LimitText(session.max_memory_bytes, true)});
  table.Add({"limit: scratch directories", LimitText(session.max_scratch_bytes, true)});
  table.Add({"limit: instances", LimitText(session.max_instances)});
  table.Add({"limit: runs", LimitText(session.max_concurrent_runs)});
  table.Add({"limit: calls", LimitText(session.max_concurrent_calls)});
  Print(table.ToString());
  return kDone;
}

int Features(const Common& common) {
  absl::StatusOr<Connection> connection = Connect(common, /*pass_descriptors=*/false);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  const client::SessionInfo& session = (*connection)->session();
  if (common.format == OutputFormat::kJson) {
    Json features = Json::array();
    for (const std::string& name : session.wasm_features) {
      features.push_back({{"name", name}, {"supported", true}});
    }
    for (const std::string& name : session.missing_wasm_features) {
      features.push_back({{"name", name}, {"supported", false}});
    }
    Print(Dump({{"features", std::move(features)}}));
    return kDone;
  }
  Table table({"FEATURE", "STATE"});
  for (const std::string& name : session.wasm_features) {
    table.Add({name, "on"});
  }
  for (const std::string& name : session.missing_wasm_features) {
    table.Add({name, "not supported"});
  }
  Print(table.ToString());
  return kDone;
}

int Limits(const Common& common) {
  // With a session, so that the daemon knows whose limits are asked for.
  absl::StatusOr<Connection> connection = Connect(common);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  const absl::StatusOr<std::vector<client::LimitUse>> limits =
      (*connection)->GetLimits(QuickControl(common));
  if (!limits.ok()) {
    return ReportStatus(limits.status());
  }
  if (common.format == OutputFormat::kJson) {
    Json rows = Json::array();
    for (const client::LimitUse& use : *limits) {
      rows.push_back(ToJson(use));
    }
    Print(Dump({{"limits", std::move(rows)}}));
    return kDone;
  }
  Table table({"OF", "RESOURCE", "USED", "MOST", "LIMIT", "OPTION"});
  for (const size_t column : {2U, 3U, 4U}) {
    table.AlignRight(column);
  }
  for (const client::LimitUse& use : *limits) {
    const bool is_used = use.scope != client::LimitScope::kInvocation;
    table.Add({Cat(client::ToString(use.scope), use.holder.empty() ? "" : " ", use.holder),
               use.resource, is_used ? Amount(use.used, use.unit) : "",
               is_used ? Amount(use.peak, use.unit) : "",
               use.limit.has_value() ? Amount(*use.limit, use.unit) : "none", use.option});
  }
  Print(table.ToString());
  return kDone;
}

int Top(const Common& common, const TopArguments& arguments) {
  absl::StatusOr<Connection> connection = Connect(common, /*pass_descriptors=*/false);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  const absl::StatusOr<client::ServerInfo> info =
      (*connection)->GetServerInfo(QuickControl(common));
  if (!info.ok()) {
    return ReportStatus(info.status());
  }
  const bool live = isatty(STDOUT_FILENO) == 1 && arguments.count != 1U;
  const uint32_t count = arguments.count.value_or(live ? UINT32_MAX : 1);
  double last_cpu_seconds = -1;
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0 && !SleepFor(arguments.interval, common.stop)) {
      break;
    }
    const absl::StatusOr<client::ServerStats> stats = (*connection)->GetStats(QuickControl(common));
    if (!stats.ok()) {
      return common.stop.stop_requested() ? kDone : ReportStatus(stats.status());
    }
    const double share = last_cpu_seconds < 0 ? -1
                                              : (stats->cpu_seconds - last_cpu_seconds) /
                                                    absl::ToDoubleSeconds(arguments.interval);
    last_cpu_seconds = stats->cpu_seconds;
    if (common.format == OutputFormat::kJson) {
      Print(count == 1 ? Dump(ToJson(*stats)) : DumpLine(ToJson(*stats)));
    } else {
      // Home, then each line up to its end, then what is below: no flicker.
      std::string text = StatsText(*info, (*connection)->session(), *stats, share);
      if (live) {
        for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 4) {
          text.insert(at, "\x1b[K");
        }
        text = Cat(i == 0 ? "\x1b[2J" : "", "\x1b[H", text, "\x1b[J");
      }
      Print(text);
    }
    if (std::fflush(stdout) != 0) {
      break;
    }
  }
  return kDone;
}

}  // namespace wasmd::cli
