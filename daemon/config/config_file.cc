#include "daemon/config/config_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): errors as values, not exceptions.
#define TOML_EXCEPTIONS 0
#include "toml++/toml.h"

#include "daemon/config/option_table.h"
#include "daemon/config/options.h"
#include "daemon/config/text.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

// A file larger than this is no configuration.
constexpr size_t kMaxFileBytes = size_t{1} << 20;

absl::Status At(const std::string& path, const toml::source_region& where, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(path, ":", where.begin.line, ": ", what));
}

absl::Status SetScalar(const std::string& path, const OptionRow& row, const toml::node& node,
                       Options& options) {
  std::string text;
  if (const auto* as_string = node.as_string()) {
    text = as_string->get();
  } else if (const auto* as_integer = node.as_integer()) {
    text = StrCat(as_integer->get());
  } else if (const auto* as_float = node.as_floating_point()) {
    text = StrCat(as_float->get());
  } else {
    return At(path, node.source(), StrCat(row.name, ": must be a string or a number"));
  }
  if (const absl::Status status = row.set(text, options); !status.ok()) {
    return At(path, node.source(), StrCat(row.name, ": ", status.message()));
  }
  return absl::OkStatus();
}

absl::Status SetRow(const std::string& path, const OptionRow& row, const toml::node& node,
                    Options& options) {
  if (!row.repeatable) {
    return SetScalar(path, row, node, options);
  }
  row.clear(options);
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& item : *list) {
      WASMD_RETURN_IF_ERROR(SetScalar(path, row, item, options));
    }
    return absl::OkStatus();
  }
  if (const toml::table* table = node.as_table()) {
    for (const auto& [name, item] : *table) {
      const auto* value = item.as_string();
      if (value == nullptr) {
        return At(path, item.source(), StrCat(row.name, ".", name.str(), ": must be a string"));
      }
      if (const absl::Status status = row.set(StrCat(name.str(), "=", value->get()), options);
          !status.ok()) {
        return At(path, item.source(), StrCat(row.name, ": ", status.message()));
      }
    }
    return absl::OkStatus();
  }
  return SetScalar(path, row, node, options);
}

}  // namespace

absl::Status LoadConfigFile(const std::string& path, Options& options) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::ErrnoToStatus(errno, path);
  }
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad() || text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(StrCat(path, ": not a configuration file"));
  }
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    return At(path, parsed.error().source(), parsed.error().description());
  }
  const std::vector<OptionRow> rows = OptionTable();
  for (const auto& [key, node] : parsed.table()) {
    const auto row = std::ranges::find(rows, key.str(), &OptionRow::name);
    if (row == rows.end()) {
      return At(path, key.source(), StrCat("unknown key \"", key.str(), "\""));
    }
    WASMD_RETURN_IF_ERROR(SetRow(path, *row, node, options));
  }
  return absl::OkStatus();
}

}  // namespace wasmd::daemon
