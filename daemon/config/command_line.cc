#include "daemon/config/command_line.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "daemon/config/config_file.h"
#include "daemon/config/option_table.h"
#include "daemon/config/options.h"
#include "daemon/config/parse.h"
#include "daemon/config/text.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

constexpr std::string_view kDescription =
    "Runs WebAssembly for other processes: they connect, load modules, call their functions or run "
    "them as WASI programs.";

constexpr std::string_view kFooter = R"(Examples:
  wasmd                                          # for this user, at the default address
  wasmd --listen unix:/run/wasmd.sock --socket-mode 0660 --max-runs 16
  wasmd --listen tcp:127.0.0.1:7070 --root data=/srv/data --log-format json
  wasmctl -a unix:/run/wasmd.sock run prog.wasm  # a client

A configuration file is TOML with the flags' names as keys; flags win:
  listen = ["unix:/run/wasmd.sock"]
  max-runs = 16
  module-store-size = "512MiB"
  [root]
  data = "/srv/data"

Sizes: 4096, 64KiB, 256MiB, 2GiB. Times: 250ms, 5s, 2m, 1h.
Signals: SIGTERM and SIGINT refuse new work, let running invocations end, then exit; a second one
stops them at once. Exit status: 0 ended on a signal, 1 could not start, 2 wrong usage.
)";

// Wraps `text` at `width` columns, every line but the first indented.
std::string Wrap(std::string_view text, size_t indent, size_t width) {
  std::string wrapped;
  size_t column = indent;
  for (const absl::string_view word : absl::StrSplit(AbslView(text), ' ')) {
    if (column != indent && column + 1 + word.size() > width) {
      StrAppend(&wrapped, "\n", std::string(indent, ' '));
      column = indent;
    } else if (column != indent) {
      wrapped += ' ';
      ++column;
    }
    StrAppend(&wrapped, word);
    column += word.size();
  }
  return wrapped;
}

void AppendHelpLine(std::string_view left, std::string_view right, std::string& text) {
  constexpr size_t kIndent = 32;
  constexpr size_t kWidth = 100;
  std::string line = StrCat("  ", left);
  if (line.size() + 2 > kIndent) {
    StrAppend(&text, line, "\n", std::string(kIndent, ' '));
  } else {
    StrAppend(&text, line, std::string(kIndent - line.size(), ' '));
  }
  StrAppend(&text, Wrap(right, kIndent, kWidth), "\n");
}

std::string Help(const std::vector<OptionRow>& rows) {
  std::string text =
      StrCat("Usage: wasmd [OPTIONS]\n\n", Wrap(kDescription, 0, 100), "\n\nOptions:\n");
  AppendHelpLine("-h, --help", "Print this and exit", text);
  AppendHelpLine("--version", "Print the version and exit", text);
  AppendHelpLine("-c, --config FILE", "Read options from a TOML file", text);
  std::string_view group;
  for (const OptionRow& row : rows) {
    if (row.group != group) {
      group = row.group;
      StrAppend(&text, "\n", group, ":\n");
    }
    AppendHelpLine(StrCat("--", row.name, " ", row.placeholder),
                   StrCat(row.help, row.default_text.empty() ? "" : " [", row.default_text,
                          row.default_text.empty() ? "" : "]"),
                   text);
  }
  return StrCat(text, "\n", kFooter);
}

absl::Status CheckTogether(const Options& options) {
  if (options.workers > options.max_workers) {
    return absl::InvalidArgumentError(
        StrCat("--workers ", options.workers, " is more than --max-workers ", options.max_workers));
  }
  if (options.max_module_bytes > options.module_store_bytes) {
    return absl::InvalidArgumentError(
        StrCat("--max-module-size ", FormatByteSize(options.max_module_bytes),
               " is more than --module-store-size ", FormatByteSize(options.module_store_bytes)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv,
                                             std::string_view version) {
  const std::vector<OptionRow> rows = OptionTable();
  CLI::App app{std::string(kDescription), "wasmd"};
  app.set_help_flag();
  bool help = false;
  bool print_version = false;
  std::string config_path;
  app.add_flag("-h,--help", help);
  app.add_flag("--version,-V", print_version);
  app.add_option("-c,--config", config_path)->type_name("FILE");
  std::map<std::string, std::vector<std::string>> given;
  for (const OptionRow& row : rows) {
    app.add_option(StrCat("--", row.name), given[row.name])
        ->type_name(row.placeholder)
        ->expected(1)
        ->multi_option_policy(row.repeatable ? CLI::MultiOptionPolicy::TakeAll
                                             : CLI::MultiOptionPolicy::TakeLast);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(absl::StrReplaceAll(error.what(), {{"\n", " "}}));
  }
  CommandLine result;
  if (help) {
    result.text = Help(rows);
    return result;
  }
  if (print_version) {
    result.text = StrCat("wasmd ", version, "\n");
    return result;
  }
  if (!config_path.empty()) {
    WASMD_RETURN_IF_ERROR(LoadConfigFile(config_path, result.options));
  }
  for (const OptionRow& row : rows) {
    const std::vector<std::string>& values = given[row.name];
    if (!values.empty() && row.repeatable) {
      row.clear(result.options);
    }
    for (const std::string& value : values) {
      if (const absl::Status status = row.set(value, result.options); !status.ok()) {
        return absl::InvalidArgumentError(StrCat("--", row.name, ": ", status.message()));
      }
    }
  }
  WASMD_RETURN_IF_ERROR(CheckTogether(result.options));
  return result;
}

}  // namespace wasmd::daemon
