// docs/limits.md says what the table of options says: every limit, with its default, and no other.
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/config/option_table.h"

namespace wasmd::daemon {
namespace {

using testing::ContainerEq;

// Options that limit something and are not called so.
const std::set<std::string> kOtherLimits = {"wasm-stack", "module-store-size", "compile-threads"};

std::string Page() {
  std::ifstream file(WASMD_LIMITS_PAGE);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// "| `--max-runs` | 64 | …" as {"max-runs", "64"}.
std::map<std::string, std::string> RowsOf(const std::string& page) {
  static const std::regex kRow("\\| `--([a-z-]+)` \\| ([^|]*) \\|");
  std::map<std::string, std::string> rows;
  for (auto at = std::sregex_iterator(page.begin(), page.end(), kRow); at != std::sregex_iterator();
       ++at) {
    EXPECT_TRUE(rows.emplace((*at)[1], (*at)[2]).second) << "twice: " << (*at)[1];
  }
  return rows;
}

TEST(LimitsPageTest, HasEveryLimitWithItsDefaultAndNoOther) {
  std::map<std::string, std::string> limits;
  for (const OptionRow& row : OptionTable()) {
    if (row.name.starts_with("max-") || kOtherLimits.contains(row.name)) {
      limits[row.name] = row.default_text;
    }
  }
  EXPECT_THAT(RowsOf(Page()), ContainerEq(limits));
}

TEST(LimitsPageTest, NamesNoOptionThatThereIsNot) {
  std::set<std::string> names;
  for (const OptionRow& row : OptionTable()) {
    names.insert(row.name);
  }
  names.insert({"fuel", "help", "timeout"});  // Not of the table; wasmctl's.
  const std::string page = Page();
  static const std::regex kOption("--([a-z][a-z-]+)");
  for (auto at = std::sregex_iterator(page.begin(), page.end(), kOption);
       at != std::sregex_iterator(); ++at) {
    EXPECT_TRUE(names.contains((*at)[1])) << "there is no option --" << (*at)[1];
  }
}

}  // namespace
}  // namespace wasmd::daemon
