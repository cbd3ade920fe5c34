#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
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

client::Control ControlOf(const Common& common) {
  client::Control control;
  control.stop = common.stop;
  control.timeout = common.timeout;
  return control;
}

std::string DetailsText(const client::ModuleDetails& module) {
  const client::ModuleInfo& info = module.info;
  Table head({"digest", info.digest});
  head.Add({"name", info.name});
  head.Add({"size", Cat(FormatBytes(info.size_bytes), " (", info.size_bytes, " bytes)")});
  head.Add({"functions", Cat(info.defined_funcs, ", ", info.compiled_funcs, " compiled")});
  head.Add({"machine code", FormatBytes(info.machine_code_bytes)});
  head.Add({"instances", Cat(info.instances)});
  head.Add({"uploaded", Cat(FormatAge(absl::Now() - info.uploaded_at), " ago")});
  head.Add({"last used", Cat(FormatAge(absl::Now() - info.last_used_at), " ago")});
  std::string text = head.ToString();
  if (!module.imports.empty()) {
    Table table({"IMPORT", "TYPE"});
    for (const client::Import& entry : module.imports) {
      table.Add({Cat(entry.module, ".", entry.name), client::ToString(entry.type)});
    }
    text += "\n" + table.ToString();
  }
  if (!module.exports.empty()) {
    Table table({"EXPORT", "TYPE"});
    for (const client::Export& entry : module.exports) {
      table.Add({entry.name, client::ToString(entry.type)});
    }
    text += "\n" + table.ToString();
  }
  if (!module.sections.empty()) {
    Table table({"SECTION", "SIZE"});
    table.AlignRight(1);
    for (const client::Section& section : module.sections) {
      table.Add({section.name, FormatBytes(section.size_bytes)});
    }
    text += "\n" + table.ToString();
  }
  return text;
}

}  // namespace

int ModuleLoad(const Common& common, const std::vector<std::string>& files, bool eager) {
  absl::StatusOr<Connection> connection = Connect(common);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  Json list = Json::array();
  int exit_code = kDone;
  for (const std::string& file : files) {
    const absl::StatusOr<client::ModuleInfo> module =
        ResolveModule(*connection->client, common, file, eager);
    if (!module.ok()) {
      exit_code = ReportStatus(module.status());
    } else if (common.format == OutputFormat::kJson) {
      list.push_back(ToJson(*module));
    } else {
      Print(Cat(module->digest, "  ", file, "\n"));
    }
  }
  if (common.format == OutputFormat::kJson) {
    Print(Dump(list));
  }
  return exit_code;
}

int ModuleList(const Common& common, bool quiet) {
  absl::StatusOr<Connection> connection = Connect(common);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  const absl::StatusOr<std::vector<client::ModuleInfo>> modules =
      (*connection)->ListModules(ControlOf(common));
  if (!modules.ok()) {
    return ReportStatus(modules.status());
  }
  if (quiet) {
    for (const client::ModuleInfo& module : *modules) {
      Print(module.digest + "\n");
    }
    return kDone;
  }
  if (common.format == OutputFormat::kJson) {
    Json list = Json::array();
    for (const client::ModuleInfo& module : *modules) {
      list.push_back(ToJson(module));
    }
    Print(Dump(list));
    return kDone;
  }
  Table table(
      {"DIGEST", "NAME", "SIZE", "FUNCTIONS", "COMPILED", "CODE", "INSTANCES", "LAST USED"});
  for (const size_t column : {2U, 3U, 4U, 5U, 6U, 7U}) {
    table.AlignRight(column);
  }
  for (const client::ModuleInfo& module : *modules) {
    table.Add({ShortDigest(module.digest), module.name, FormatBytes(module.size_bytes),
               Cat(module.defined_funcs), Cat(module.compiled_funcs),
               FormatBytes(module.machine_code_bytes), Cat(module.instances),
               Cat(FormatAge(absl::Now() - module.last_used_at), " ago")});
  }
  Print(table.ToString());
  return kDone;
}

int ModuleInspect(const Common& common, const std::string& module) {
  absl::StatusOr<Connection> connection = Connect(common);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  const absl::StatusOr<client::ModuleInfo> info =
      ResolveModule(*connection->client, common, module);
  if (!info.ok()) {
    return ReportStatus(info.status());
  }
  const absl::StatusOr<client::ModuleDetails> details =
      (*connection)->GetModule(info->digest, ControlOf(common));
  if (!details.ok()) {
    return ReportStatus(details.status(), module);
  }
  Print(common.format == OutputFormat::kJson ? Dump(ToJson(*details)) : DetailsText(*details));
  return kDone;
}

int ModuleRemove(const Common& common, const std::vector<std::string>& modules) {
  absl::StatusOr<Connection> connection = Connect(common);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  int exit_code = kDone;
  Json removed = Json::array();
  for (const std::string& module : modules) {
    // By digest only: a file's name must not load what is to be removed.
    const std::optional<std::string> digest = AsDigest(module);
    if (!digest.has_value()) {
      PrintError(Cat(module,
                     ": not a digest; write sha256:… or 8 of its digits or more (`wasmctl module "
                     "ls` lists them)"));
      exit_code = kFailure;
      continue;
    }
    absl::Status status;
    const absl::StatusOr<client::ModuleDetails> details =
        (*connection)->GetModule(*digest, ControlOf(common));
    status = details.ok() ? (*connection)->RemoveModule(details->info.digest, ControlOf(common))
                          : details.status();
    if (!status.ok()) {
      exit_code = ReportStatus(status, module);
    } else if (common.format == OutputFormat::kJson) {
      removed.push_back(details->info.digest);
    } else {
      Print(Cat("removed ", details->info.digest, "  ", details->info.name, "\n"));
    }
  }
  if (common.format == OutputFormat::kJson) {
    Print(Dump({{"removed", std::move(removed)}}));
  }
  return exit_code;
}

}  // namespace wasmd::cli
